"""What a forked child must not share with its parent: connections, and locks that a thread may have held."""

import os
import weakref
from typing import Protocol

__all__ = ["watch"]


class _Watched(Protocol):
    def after_fork(self) -> None:
        """Let go, in the child, of what is the parent's."""
        ...


_watched: "weakref.WeakSet[_Watched]" = weakref.WeakSet()


def watch(thing: _Watched) -> None:
    """Call a thing's ``after_fork`` in every child that this process forks while the thing lives."""
    _watched.add(thing)


def _after_fork() -> None:
    for thing in list(_watched):
        thing.after_fork()


# Absent where processes can't fork.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
