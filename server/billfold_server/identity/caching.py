"""What a process remembers of realms, and how it looks things up once for all who wait for them."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

__all__ = ["Bounded", "Once"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Bounded(Generic[K, V]):
    """A cache that forgets what wasn't asked for longest."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        """Return what is remembered under a key, or None."""
        if (value := self._entries.get(key)) is not None:
            self._entries.move_to_end(key)
        return value

    def put(self, key: K, value: V) -> None:
        """Remember a value, and forget the one that wasn't asked for longest where there are too many."""
        self._entries[key] = value
        self._entries.move_to_end(key)
        while len(self._entries) > self._size:
            self._entries.popitem(last=False)

    def trim(self, is_old: Callable[[V], bool]) -> None:
        """Forget those that weren't asked for longest, as long as they are old."""
        while self._entries and is_old(next(iter(self._entries.values()))):
            self._entries.popitem(last=False)

    def drop(self, key: K) -> None:
        """Forget what is remembered under a key."""
        self._entries.pop(key, None)

    def __len__(self) -> int:
        return len(self._entries)


class Once:
    """Does what several requests wait for only once at a time."""

    def __init__(self) -> None:
        self._under_way: dict[Hashable, asyncio.Task[Any]] = {}

    async def do(self, key: Hashable, work: Coroutine[Any, Any, V]) -> V:
        """Do the work, or wait for it where it is under way."""
        task: asyncio.Task[V] | None = self._under_way.get(key)
        if task is None:
            task = asyncio.create_task(work)
            self._under_way[key] = task
            task.add_done_callback(lambda _: self._under_way.pop(key, None))
        else:
            work.close()
        # The one who asked first may go away; the others still wait for the answer.
        return await asyncio.shield(task)
