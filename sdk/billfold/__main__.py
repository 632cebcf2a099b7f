"""The ``billfold`` command: the partner's commands, and the server's where that is installed beside the SDK."""

import codecs
import contextlib
import io
import os
import sys

from billfold import _server

__all__ = ["main"]


def main() -> None:
    """Run the command line: the server's, with the partner's commands in it, or the latter alone.

    Exits with 69 (``EX_UNAVAILABLE`` of BSD's sysexits) when this install has neither, and with 141, as by SIGPIPE,
    when whoever read the output has gone, as `| head` does.
    """
    _have_streams()
    stdout = sys.stdout
    try:
        _run()
    except SystemExit as end:
        # Click ends with 1 then, with something else in the place of the stream, and rich while it handles the error.
        if sys.stdout is not stdout or isinstance(end.__context__, BrokenPipeError):
            sys.exit(141)
        raise
    except KeyboardInterrupt:
        # By Ctrl-C while commands are still being loaded; afterwards they end by themselves.
        sys.exit(130)
    finally:
        try:
            stdout.flush()
        except OSError:
            # It has been told of by now. Python would complain once more, and end with a code of its own.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stdout.fileno())


def _run() -> None:
    try:
        from billfold.cli import root  # noqa: PLC0415 - Needs an extra.
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        sys.stderr.write(
            "billfold: This needs more than the SDK; install the partner's commands with: pip install 'billfold[cli]', "
            "and a server with: pip install 'billfold[server,postgres]'\n"
        )
        sys.exit(69)
    try:
        command = _server.load("cli", extra="server,postgres")
    except _server.MissingExtraError:
        root.main()
    else:
        command(further=root.partner)


def _have_streams() -> None:
    """Have all three standard streams, and what is written go there whole, or not and be told of.

    Where one was closed, the next file would take its number, and get what is said there.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # The lowest number that is free, which is that of the stream. Processes of ours have it as well.
            descriptor = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(descriptor, True)  # noqa: FBT003 - It has no name.
            setattr(sys, name, open(descriptor, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - To the end.
    if isinstance(sys.stdout, io.TextIOWrapper) and isinstance(sys.stdout.buffer, io.RawIOBase):
        # With PYTHONUNBUFFERED, what the disk has no room for would be gone without a word.
        encoding, raw = sys.stdout.encoding, sys.stdout.detach()
        sys.stdout = io.TextIOWrapper(io.BufferedWriter(raw), encoding=encoding, line_buffering=True)
    if isinstance(sys.stderr, io.TextIOWrapper) and sys.stderr is sys.__stderr__:
        encoding = sys.stderr.encoding
        sys.stderr = _Complaints(sys.stderr.detach(), encoding=encoding, line_buffering=True)
    _let_write_anything()


class _Complaints(io.TextIOWrapper):
    """Standard error, where nobody need hear: with what a command ends doesn't hang on that."""

    def write(self, text: str, /) -> int:
        """Write what can be written."""
        with contextlib.suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        """Write what waits, if that can be."""
        with contextlib.suppress(OSError):
            super().flush()


def _let_write_anything() -> None:
    """Let output hold what a terminal that isn't of UTF-8 has no character for.

    An order that is carried out must not end as a failure for a name in its answer, and be given once more.
    """
    codecs.register_error(_ESCAPED, _escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ESCAPED)


_ESCAPED = "billfold.escaped"


def _escaped(error: UnicodeError) -> tuple[str, int]:
    """Return what stands for characters that can't be written: escapes of JSON, so that documents stay such."""
    assert isinstance(error, UnicodeEncodeError), "it is for writing"
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{unit.hex()}" for unit in (units[at : at + 2] for at in range(0, len(units), 2))), error.end


if __name__ == "__main__":
    main()
