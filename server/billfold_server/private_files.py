"""Files into which is written what others mustn't read."""

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

__all__ = ["keep_privately", "open_draft", "open_private"]

_PRIVATE: Final = 0o600


def open_draft(draft: Path, path: Path) -> int:
    """Return a descriptor of a new file that becomes another one when it is whole; its owner alone may read it.

    Raises:
        OSError: It can't be made; whoever named the other one is told of that.
    """
    try:
        return os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
    except OSError as error:
        error.filename = str(path)
        raise


def keep_privately(path: Path, content: bytes) -> None:
    """Write a small file, whole or not at all, for us alone."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def open_private(output: str) -> Iterator[BinaryIO]:
    """Open what is written to; a file belongs to its owner alone from its first byte on.

    What was there stays until all is written, so that neither a failure nor a tenant's name that was mistyped costs
    somebody the export of yesterday.
    """
    if output == "-":
        yield sys.stdout.buffer
        return
    path = Path(output).resolve()
    if path.exists() and not path.is_file():
        # A pipe, or a device.
        with path.open("wb") as stream:
            yield stream
        return
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(open_draft(draft, path), "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
