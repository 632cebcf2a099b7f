"""The few things that differ between the asynchronous client and the synchronous one. Both are written by hand."""

import asyncio
from asyncio import Lock, sleep
from os import PathLike
from pathlib import Path
from typing import BinaryIO

from billfold.client._async.transport import AsyncHttpxTransport as DefaultTransport

__all__ = ["DefaultTransport", "Lock", "read_file", "sleep"]


async def read_file(source: str | PathLike[str] | bytes | BinaryIO) -> bytes:
    """Return the bytes of a file that is named, open, or in memory already."""
    if isinstance(source, bytes):
        return source
    if isinstance(source, str | PathLike):
        return await asyncio.to_thread(Path(source).read_bytes)
    return await asyncio.to_thread(source.read)
