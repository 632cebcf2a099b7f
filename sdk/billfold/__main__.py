"""The ``billfold`` command: the partner's commands, and the server's where that is installed beside the SDK."""

import sys

from billfold import _server

__all__ = ["main"]


def main() -> None:
    """Run the command line: the server's, with the partner's commands in it, or the latter alone.

    Exits with 69 (``EX_UNAVAILABLE`` of BSD's sysexits) when this install has neither.
    """
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


if __name__ == "__main__":
    main()
