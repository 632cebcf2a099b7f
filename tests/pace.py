"""How long something takes, told from how long a busy machine makes it take, and waiting for what takes a while."""

import time
from collections.abc import Awaitable, Callable
from typing import Final

__all__ = ["quickest", "quickest_call", "until"]

_ROUNDS: Final = 8


async def quickest(work: Callable[[], Awaitable[object]], *, below_s: float) -> float:
    """Return the seconds that something has taken when it went quickest, of as many rounds as are needed.

    Any round may have to wait for a processor, or for a process that does. What takes too long by itself takes too long
    in every one of them.

    Args:
        work: Does it once, and checks what comes of it.
        below_s: What it is to stay below; the first round that does is the last one.
    """
    took_s = float("inf")
    for _ in range(_ROUNDS):
        began = time.monotonic()
        await work()
        took_s = min(took_s, time.monotonic() - began)
        if took_s < below_s:
            break
    return took_s


def quickest_call(work: Callable[[], object], *, below_s: float) -> float:
    """Return the seconds that something has taken when it went quickest, as ``quickest`` does."""
    took_s = float("inf")
    for _ in range(_ROUNDS):
        began = time.monotonic()
        work()
        took_s = min(took_s, time.monotonic() - began)
        if took_s < below_s:
            break
    return took_s


def until(true: Callable[[], object], *, timeout_s: float = 30.0) -> None:
    """Wait until something holds, which is the fact to test or what a test needs to begin."""
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.005)
