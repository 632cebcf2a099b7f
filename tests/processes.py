"""Which processes there are, asked of the system directly: tests ask many times while they wait for one."""

import contextlib
from collections.abc import Iterable

import psutil

__all__ = ["children", "living"]


def children(pid: int) -> dict[int, str]:
    """Return the processes that one has started and that live, each with its command line."""
    found = {}
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(pid).children():
            # One that is dead and that nobody has buried yet has none.
            with contextlib.suppress(psutil.NoSuchProcess):
                if command := " ".join(child.cmdline()):
                    found[child.pid] = command
    return found


def living(pids: Iterable[int]) -> set[int]:
    """Return which of these processes live; a dead one that nobody has buried yet doesn't."""
    found = set()
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.add(pid)
    return found
