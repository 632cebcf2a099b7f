"""Looks clients up together: those who ask while a query is on its way are answered by the next one.

Nothing is remembered, so each answer is as fresh as a query of one's own would have made it; but a busy realm pays for
one transaction per batch and not for one per request.
"""

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from billfold_server.identity.clients import rows
from billfold_server.identity.clients.rows import Registered
from billfold_server.identity.realms import Realm

if TYPE_CHECKING:
    from billfold_server.tenancy.transaction import Database

__all__ = ["Lookups"]

_LONGEST_BATCH: Final = 200


class _Line(msgspec.Struct, eq=False):
    """Those who wait at one realm, by the client that they ask for."""

    waiting: dict[UUID, "asyncio.Future[Registered | None]"] = msgspec.field(default_factory=dict)
    reader: "asyncio.Task[None] | None" = None


class Lookups:
    """Finds clients, for all realms of one process.

    Args:
        database: Where they are.
    """

    def __init__(self, database: "Database") -> None:
        self._database = database
        self._lines: dict[str, _Line] = {}

    async def find(self, realm: Realm, client_id: UUID) -> Registered | None:
        """Return a client, whatever its state, or None. Must not be awaited inside of an open transaction."""
        line = self._lines.get(realm.owner)
        if line is None:
            line = self._lines[realm.owner] = _Line()
        answer = line.waiting.get(client_id)
        if answer is None:
            answer = line.waiting[client_id] = asyncio.get_running_loop().create_future()
        if line.reader is None:
            line.reader = asyncio.create_task(self._read(realm, line))
        # Others may wait for the same answer when the one who asked first has gone away.
        return await asyncio.shield(answer)

    async def _read(self, realm: Realm, line: _Line) -> None:
        batch: dict[UUID, asyncio.Future[Registered | None]] = {}
        try:
            while line.waiting:
                taken = list(line.waiting)[:_LONGEST_BATCH]
                batch = {client_id: line.waiting.pop(client_id) for client_id in taken}
                try:
                    async with self._tx(realm) as tx:
                        found = {each.client.id: each for each in await rows.find_clients(tx, taken)}
                except Exception as error:  # noqa: BLE001 - each of those who wait is told
                    for answer in batch.values():
                        answer.set_exception(error)
                else:
                    for client_id, answer in batch.items():
                        answer.set_result(found.get(client_id))
        finally:
            line.reader = None
            self._lines.pop(realm.owner, None)
            # Only if this task itself was ended is there anybody left.
            for answer in (*batch.values(), *line.waiting.values()):
                answer.cancel()

    def _tx(self, realm: Realm) -> AbstractAsyncContextManager[Any]:
        return self._database.platform_tx() if realm.tenant is None else self._database.tx(realm.tenant)
