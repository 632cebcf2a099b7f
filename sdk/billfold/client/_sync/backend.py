"""The few things that differ between the asynchronous client and the synchronous one. Both are written by hand."""

from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from threading import TIMEOUT_MAX, Lock
from time import sleep
from typing import BinaryIO

from billfold import errors
from billfold.client._pooled import LATE
from billfold.client._sync.transport import HttpxTransport as DefaultTransport
from billfold.keys.signer import Signer

__all__ = ["DefaultTransport", "Lock", "read_file", "settle", "sign", "sleep", "turn"]


def sign(signer: Signer, data: bytes) -> bytes:
    """Return a key's signature of some bytes."""
    return signer.sign(data)


@contextmanager
def turn(lock: Lock, within_s: float) -> Iterator[None]:
    """Have a lock, behind which another call may wait for the server with more patience than this one.

    Args:
        lock: Which one.
        within_s: How long this call waits for its turn.

    Raises:
        errors.TimedOut: It didn't get its turn in time.
    """
    if not lock.acquire(timeout=min(within_s, TIMEOUT_MAX)):
        raise errors.TimedOut(LATE, sent=False)
    try:
        yield
    finally:
        lock.release()


def settle(_outcome: object) -> None:
    """Do nothing: a function of the caller's has done its work when it returns."""


def read_file(source: str | PathLike[str] | bytes | BinaryIO) -> bytes:
    """Return the bytes of a file that is named, open, or in memory already."""
    if isinstance(source, bytes):
        return source
    if isinstance(source, str | PathLike):
        return Path(source).read_bytes()
    return source.read()
