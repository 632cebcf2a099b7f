"""The few things that differ between the asynchronous client and the synchronous one. Both are written by hand."""

import asyncio
import inspect
import weakref
from asyncio import sleep
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, Final

from billfold import errors
from billfold.client import _forking as forking
from billfold.client._async.transport import AsyncHttpxTransport as DefaultTransport
from billfold.client._pooled import LATE
from billfold.keys.signer import Signer

__all__ = ["DefaultTransport", "Lock", "read_file", "settle", "sign", "sleep", "turn"]


class _Signing:
    """The threads in which keys sign that wait for something, such as Vault.

    They are threads of their own, so that a Vault that is silent doesn't hold up what else the program does in the
    threads of its event loop.
    """

    _THREADS: Final = 8

    def __init__(self) -> None:
        self._threads: ThreadPoolExecutor | None = None
        forking.watch(self)

    def after_fork(self) -> None:
        """Forget the threads, which aren't in the child."""
        self._threads = None

    async def sign(self, signer: Signer, data: bytes) -> bytes:
        """Let a key sign in one of the threads."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._THREADS, thread_name_prefix="billfold-sign")
        return await asyncio.get_running_loop().run_in_executor(self._threads, signer.sign, data)


_signing = _Signing()


async def sign(signer: Signer, data: bytes) -> bytes:
    """Return a key's signature of some bytes, in a thread where the key waits for something."""
    return await _signing.sign(signer, data) if signer.blocks else signer.sign(data)


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


@asynccontextmanager
async def turn(lock: Lock, within_s: float) -> AsyncIterator[None]:
    """Have a lock, behind which another call may wait for the server with more patience than this one.

    Args:
        lock: Which one.
        within_s: How long this call waits for its turn.

    Raises:
        errors.TimedOut: It didn't get its turn in time.
    """
    try:
        async with asyncio.timeout(within_s):
            await lock.__aenter__()
    except TimeoutError:
        raise errors.TimedOut(LATE, sent=False) from None
    try:
        yield
    finally:
        await lock.__aexit__()


async def settle(outcome: Any) -> None:
    """Wait for what a function of the caller's has returned, if there is something to wait for."""
    if inspect.isawaitable(outcome):
        await outcome


async def read_file(source: str | PathLike[str] | bytes | BinaryIO) -> bytes:
    """Return the bytes of a file that is named, open, or in memory already."""
    if isinstance(source, bytes):
        return source
    if isinstance(source, str | PathLike):
        return await asyncio.to_thread(Path(source).read_bytes)
    return await asyncio.to_thread(source.read)
