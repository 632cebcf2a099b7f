"""Looks things up together: those who ask while a query is on its way are answered by the next one.

Nothing is remembered, so each answer is as fresh as a query of one's own would have made it; but a busy realm pays for
one transaction per batch and not for one per request.
"""

import asyncio
import contextvars
import time
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from billfold_server.db.engine import ENGINE
from billfold_server.db.sets import PLANS
from billfold_server.identity.realms import Realm

if TYPE_CHECKING:
    from billfold_server.tenancy.transaction import Database

__all__ = ["Together"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_LONGEST_BATCH: Final = 200
_LONGEST_S: Final = 0.1
"""For how long one transaction answers those who come meanwhile."""


class _Line(Generic[K, V]):
    """Those who wait at one realm, by what they ask for."""

    def __init__(self) -> None:
        self.waiting: dict[K, list[asyncio.Future[V | None]]] = {}
        self.reader: asyncio.Task[None] | None = None

    def take(self) -> "dict[K, list[asyncio.Future[V | None]]]":
        """Take those who waited longest."""
        return {key: self.waiting.pop(key) for key in list(self.waiting)[:_LONGEST_BATCH]}


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
        """Return one, or None.

        Raises:
            NestedTransactionError: A transaction is open already.
        """
        return await self.begin(realm, key)

    def begin(self, realm: Realm, key: K) -> "asyncio.Future[V | None]":
        """Begin to look one up, and return what will have it, or None.

        Raises:
            NestedTransactionError: A transaction is open already.
        """
        ENGINE.refuse_nesting()
        line = self._lines.get(realm.owner)
        if line is None:
            line = self._lines[realm.owner] = _Line()
        # Each has one of their own, so that who goes away takes nobody else's.
        answer: asyncio.Future[V | None] = asyncio.get_running_loop().create_future()
        line.waiting.setdefault(key, []).append(answer)
        if line.reader is None:
            # It reads for many, so it has nothing of the one that happens to start it.
            line.reader = asyncio.get_running_loop().create_task(self._read(realm, line), context=contextvars.Context())
        return answer

    async def _read(self, realm: Realm, line: _Line[K, V]) -> None:
        batch: dict[K, list[asyncio.Future[V | None]]] = {}
        try:
            while batch := line.take():
                try:
                    async with self._tx(realm) as tx:
                        ends = time.monotonic() + _LONGEST_S
                        while batch:
                            found = await self._of(tx, list(batch))
                            # It has only read, so nobody need wait for its end.
                            for key, answers in batch.items():
                                for answer in _open(answers):
                                    answer.set_result(found.get(key))
                            # Each query sees what is committed by then, so who came meanwhile needs no further
                            # transaction.
                            batch = line.take() if time.monotonic() < ends else {}
                except Exception as error:  # noqa: BLE001 - each of those who wait is told
                    for answer in _open(*batch.values()):
                        answer.set_exception(error)
        finally:
            line.reader = None
            self._lines.pop(realm.owner, None)
            # Only if this task itself was ended is there anybody left.
            for answer in _open(*batch.values(), *line.waiting.values()):
                answer.cancel()

    def _tx(self, realm: Realm) -> AbstractAsyncContextManager[Any]:
        if realm.tenant is None:
            return self._database.platform_tx()
        # What is looked up here is found by its key, however many ask.
        return self._database.tx(realm.tenant, begin_sql=PLANS)


def _open(*answers: "list[asyncio.Future[V | None]]") -> "list[asyncio.Future[V | None]]":
    """Return what somebody still waits for."""
    return [answer for each in answers for answer in each if not answer.done()]
