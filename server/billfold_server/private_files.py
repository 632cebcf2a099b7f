"""Files that commands write what others mustn't read into."""

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

__all__ = ["open_private"]

_PRIVATE: Final = 0o600


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
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE), "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
