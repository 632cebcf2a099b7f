"""Looks things up together: those who ask while a query is on its way are answered by the next one.

Nothing is remembered, so each answer is as fresh as a query of one's own would have made it; but a busy realm pays for
one transaction per batch and not for one per request.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from billfold_server.db.sets import PLANS
from billfold_server.identity.realms import Realm

if TYPE_CHECKING:
    from billfold_server.tenancy.transaction import Database

__all__ = ["Together"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_LONGEST_BATCH: Final = 200


class _Line(Generic[K, V]):
    """Those who wait at one realm, by what they ask for."""

    def __init__(self) -> None:
        self.waiting: dict[K, asyncio.Future[V | None]] = {}
        self.reader: asyncio.Task[None] | None = None


class Together(Generic[K, V]):
    """Finds things of one kind, for all realms of one process.

    Args:
        database: Where they are.
        read: Returns, in a transaction of the realm, those that there are of some, by their keys.
    """

    def __init__(self, database: "Database", read: Callable[[Any, Sequence[K]], Awaitable[Mapping[K, V]]]) -> None:
        self._database = database
        self._of = read
        self._lines: dict[str, _Line[K, V]] = {}

    async def find(self, realm: Realm, key: K) -> V | None:
        """Return one, or None. Must not be awaited inside of an open transaction."""
        line = self._lines.get(realm.owner)
        if line is None:
            line = self._lines[realm.owner] = _Line()
        answer = line.waiting.get(key)
        if answer is None:
            answer = line.waiting[key] = asyncio.get_running_loop().create_future()
        if line.reader is None:
            line.reader = asyncio.create_task(self._read(realm, line))
        # Others may wait for the same answer when the one who asked first has gone away.
        return await asyncio.shield(answer)

    async def _read(self, realm: Realm, line: _Line[K, V]) -> None:
        batch: dict[K, asyncio.Future[V | None]] = {}
        try:
            while line.waiting:
                taken = list(line.waiting)[:_LONGEST_BATCH]
                batch = {key: line.waiting.pop(key) for key in taken}
                try:
                    async with self._tx(realm) as tx:
                        found = await self._of(tx, taken)
                        # It has only read, so nobody need wait for its end.
                        for key, answer in batch.items():
                            answer.set_result(found.get(key))
                except Exception as error:  # noqa: BLE001 - each of those who wait is told
                    for answer in batch.values():
                        if not answer.done():
                            answer.set_exception(error)
        finally:
            line.reader = None
            self._lines.pop(realm.owner, None)
            # Only if this task itself was ended is there anybody left.
            for answer in (*batch.values(), *line.waiting.values()):
                answer.cancel()

    def _tx(self, realm: Realm) -> AbstractAsyncContextManager[Any]:
        if realm.tenant is None:
            return self._database.platform_tx()
        # What is looked up here is found by its key, however many ask.
        return self._database.tx(realm.tenant, begin_sql=PLANS)
