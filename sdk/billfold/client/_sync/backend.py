"""The few things that differ between the asynchronous client and the synchronous one. Both are written by hand."""

from os import PathLike
from pathlib import Path
from threading import Lock
from time import sleep
from typing import BinaryIO

from billfold.client._sync.transport import HttpxTransport as DefaultTransport
from billfold.keys.signer import Signer

__all__ = ["DefaultTransport", "Lock", "read_file", "settle", "sign", "sleep"]


def sign(signer: Signer, data: bytes) -> bytes:
    """Return a key's signature of some bytes."""
    return signer.sign(data)


def settle(_outcome: object) -> None:
    """Do nothing: a function of the caller's has done its work when it returns."""


def read_file(source: str | PathLike[str] | bytes | BinaryIO) -> bytes:
    """Return the bytes of a file that is named, open, or in memory already."""
    if isinstance(source, bytes):
        return source
    if isinstance(source, str | PathLike):
        return Path(source).read_bytes()
    return source.read()
