"""Files that are written whole or not at all, most of which others mustn't read."""

import errno
import os
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

__all__ = ["EVERYBODY", "keep_privately", "open_output", "replacing"]

_PRIVATE: Final = 0o600
EVERYBODY: Final = 0o666
"""Whom the umask lets in; a file that was there before goes on letting in whom it did."""


def keep_privately(path: Path, content: bytes, *, mode: int = _PRIVATE) -> None:
    """Write a small file, whole or not at all, for us alone or for whom the mode lets in."""
    with replacing(path, mode=mode) as stream:
        stream.write(content)


@contextmanager
def replacing(path: Path, *, mode: int = _PRIVATE) -> Iterator[BinaryIO]:
    """Open a draft that takes a file's place once all of it is on the disk; what was there stays until then.

    What is for us alone is so whoever could read what was there.

    Raises:
        OSError: The draft can't be made, or can't take the file's place, as that of a file which is mounted by itself.
            It names the file, as whoever called did.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    former = _former(path) if mode == EVERYBODY else None
    with _naming(path):
        # Whoever had it open before it is known whom it lets in would read what is written afterwards.
        allowed = mode if former is None else _PRIVATE
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, allowed)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            if former is not None:
                _resemble(descriptor, former)
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        with _naming(path):
            draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _former(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _resemble(descriptor: int, former: os.stat_result) -> None:
    """Give a draft the mode of the file that it replaces, and its group and owner as far as we and the disk may.

    Where the group can't be the same, the mode lets our own in as far as all others.
    """
    mode = stat.S_IMODE(former.st_mode) & EVERYBODY
    with suppress(OSError):
        os.fchown(descriptor, -1, former.st_gid)
    if os.fstat(descriptor).st_gid != former.st_gid:
        mode = mode & ~stat.S_IRWXG | (mode & stat.S_IRWXO) << 3
    # Before it is another's, who alone may say whom it lets in.
    with suppress(OSError):
        os.fchmod(descriptor, mode)
    with suppress(OSError):
        os.fchown(descriptor, former.st_uid, -1)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Name a file where its draft has failed."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise


@contextmanager
def open_output(output: str, *, mode: int = _PRIVATE) -> Iterator[BinaryIO]:
    """Open what is written to; a file belongs to its owner alone from its first byte on, or to whom the mode lets in.

    What was there stays until all is written, so that neither a failure nor a tenant's name that was mistyped costs
    somebody the export of yesterday.
    """
    if output == "-":
        yield sys.stdout.buffer
        return
    path = Path(os.path.realpath(output))
    if path.is_symlink():
        # Of one that leads to itself Path.resolve says nothing that could be told from a mistake of ours.
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), output)
    if path.exists() and not path.is_file():
        # A pipe, or a device.
        with path.open("wb") as stream:
            yield stream
        return
    with replacing(path, mode=mode) as stream:
        yield stream
