"""Counts what consents are used for, without making requests wait for each other.

Each process adds up what it has seen and writes that down every second, so a busy consent costs its requests nothing,
and a process that is killed loses a second of counting, but never a step of a consent.
"""

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

import structlog

from billfold_server.consents import queries
from billfold_server.tenancy.context import TenantRef

if TYPE_CHECKING:
    from billfold_server.http.services import Services
    from billfold_server.tenancy.transaction import Database

__all__ = ["ROOM", "Counts", "Uses", "uses_of"]

ROOM: Final = "consents"
_EVERY_S: Final = 1.0
_MOST: Final = 10_000
"""Kinds of use per tenant that are remembered while they can't be written; what is more isn't counted."""

_log = structlog.stdlib.get_logger("billfold.consents")

Counts = dict[tuple[UUID, datetime, str], tuple[int, datetime]]
"""By consent, hour and operation: how often, and when last."""


class Uses:
    """What this process has seen and not written yet.

    Args:
        database: Where it is written.
    """

    def __init__(self, database: "Database") -> None:
        self._database = database
        self._tenants: dict[UUID, tuple[TenantRef, Counts]] = {}
        self._writing = asyncio.Lock()

    def note(self, tenant: TenantRef, consent_id: UUID, operation: str, now: datetime) -> None:
        """Count one use of a consent."""
        self._add(tenant, {(consent_id, queries.hour_of(now), operation): (1, now)})

    def _add(self, tenant: TenantRef, more: Counts) -> None:
        _, counts = self._tenants.setdefault(tenant.id, (tenant, {}))
        for key, (times, last_at) in more.items():
            if key in counts:
                before, at = counts[key]
                counts[key] = (before + times, max(at, last_at))
            elif len(counts) < _MOST:
                counts[key] = (times, last_at)

    async def flush(self) -> None:
        """Write down what was seen, also what is just being written; what can't be is kept for the next time."""
        async with self._writing:
            seen, self._tenants = self._tenants, {}
            for tenant, counts in seen.values():
                try:
                    async with self._database.tx(tenant) as tx:
                        await queries.add_uses(tx, counts)
                except Exception:  # noqa: BLE001 - counting holds up nothing else
                    _log.warning("uses of consents are written later", tenant=tenant.slug, exc_info=True)
                    self._add(tenant, counts)

    async def run(self) -> None:
        """Write down what was seen, every second, until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_S)
            await self.flush()


def uses_of(services: "Services") -> Uses:
    """Return what counts uses in this process."""
    uses: Uses = services.rooms[ROOM]
    return uses
