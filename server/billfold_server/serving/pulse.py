"""How a parent knows that its processes still turn: each says so every few seconds, on the channel of its orders.

A process that has ended is seen by its parent at once. One whose event loop stands still is not: it keeps its socket,
answers nobody and would do so for ever. What it says comes from the very loop that serves.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

__all__ = ["beating", "hangs"]

_BEATS: Final = 6
"""How many must be missing before a process counts as hung: of one that is merely slow, some come late."""


@contextlib.asynccontextmanager
async def beating(send: Callable[[bytes], Awaitable[None]], timeout_s: float) -> AsyncIterator[None]:
    """Tell the parent that this process turns, for as long as the block lasts.

    Args:
        send: Sends bytes to it.
        timeout_s: After how long a silence the parent counts this process as hung; 0 is never.
    """
    task = asyncio.create_task(_beat(send, timeout_s), name="pulse")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _beat(send: Callable[[bytes], Awaitable[None]], timeout_s: float) -> None:
    with contextlib.suppress(OSError):
        while timeout_s:
            await asyncio.sleep(timeout_s / _BEATS)
            await send(b".")


async def hangs(channel: socket.socket, timeout_s: float) -> bool:
    """Return True once a process has said nothing for too long, and False once it has closed its end.

    It is counted in looks and not by the clock, so that a machine or a parent that has slept finds nobody hung.

    Args:
        channel: To that process; it doesn't block.
        timeout_s: What is too long.
    """
    missing = 0
    while missing < _BEATS:
        await asyncio.sleep(timeout_s / _BEATS)
        try:
            if not channel.recv(65_536):
                return False
        except BlockingIOError:
            missing += 1
        except ConnectionError:
            return False
        else:
            missing = 0
    return True
