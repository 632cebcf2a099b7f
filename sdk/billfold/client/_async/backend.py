"""The few things that differ between the asynchronous client and the synchronous one. Both are written by hand."""

import asyncio
import weakref
from asyncio import sleep
from os import PathLike
from pathlib import Path
from typing import BinaryIO

from billfold.client._async.transport import AsyncHttpxTransport as DefaultTransport

__all__ = ["DefaultTransport", "Lock", "read_file", "sleep"]


class Lock:
    """A lock for the tasks of a loop, whichever runs.

    The locks of asyncio belong for good to the first loop in which a task had to wait for them, but one client may
    serve one loop after the other.
    """

    def __init__(self) -> None:
        self._locks: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = weakref.WeakKeyDictionary()

    async def __aenter__(self) -> None:
        await self._locks.setdefault(asyncio.get_running_loop(), asyncio.Lock()).acquire()

    async def __aexit__(self, *_: object) -> None:
        self._locks[asyncio.get_running_loop()].release()


async def read_file(source: str | PathLike[str] | bytes | BinaryIO) -> bytes:
    """Return the bytes of a file that is named, open, or in memory already."""
    if isinstance(source, bytes):
        return source
    if isinstance(source, str | PathLike):
        return await asyncio.to_thread(Path(source).read_bytes)
    return await asyncio.to_thread(source.read)
