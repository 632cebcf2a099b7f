"""The relay: gives committed events their numbers, and hands them to publishers in that order.

Any number of processes may run it. A tenant's numbers are given under the lock of one row; whoever finds it taken
leaves, since its holder does the same work. Numbers are committed together with the head that counts them, so a relay
that is killed has given none or all of a batch, never the same twice, and never leaves a gap.

A publisher is called outside of any transaction and may be called again for what it has already sent: at least once,
in order, and the receiver knows an event by its id.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol
from uuid import UUID, uuid4

import structlog

from billfold.contract.platform import Event
from billfold_server.db import outbox
from billfold_server.tenancy.context import TenantRef
from billfold_server.tenancy.transaction import Database, TenantTx

__all__ = ["Publisher", "Relay", "number_events"]

log = structlog.get_logger(__name__)

BATCH = 1000
PUBLISH_BATCH = 100

LEASE_S = 30
"""How long a publisher's place in a tenant's stream belongs to one process."""

PUBLISH_TIMEOUT_S = 20
"""How long a publisher may take for a batch; shorter than the lease, so that two never send at once."""

RETRY_FIRST_S, RETRY_LAST_S = 1.0, 300.0

BUSY_S = 0.05
"""After which time to look again where another relay was numbering: it may have begun too early to see all."""


class Publisher(Protocol):
    """Tells others about events: webhooks, a stream, a search index."""

    name: str
    """Under which its place in each tenant's stream is kept. It never changes."""

    async def publish(self, tenant: TenantRef, events: Sequence[Event]) -> None:
        """Send events, in order. If it raises, the same ones come again later."""
        ...


_LOCK_HEAD = "SELECT sequence FROM relay_head WHERE id = 1 FOR UPDATE SKIP LOCKED"
_PENDING = "SELECT id FROM outbox_events WHERE sequence IS NULL ORDER BY position LIMIT $1"
_NUMBER = """
UPDATE outbox_events AS e SET sequence = n.sequence
FROM unnest($1::uuid[], $2::bigint[]) AS n (id, sequence)
WHERE e.id = n.id
"""
_MOVE_HEAD = "UPDATE relay_head SET sequence = $1 WHERE id = 1"


async def number_events(tx: TenantTx, limit: int = BATCH) -> int | None:
    """Give the tenant's oldest unnumbered events the next numbers.

    Returns:
        How many were numbered; None where another relay is at it, so that nothing can be said.
    """
    head = await tx.fetchval(_LOCK_HEAD)
    if head is None:
        return None
    # This statement's snapshot is taken after the lock, so it sees what the relay before has numbered.
    pending = [row["id"] for row in await tx.fetch(_PENDING, limit)]
    if pending:
        last = head + len(pending)
        await tx.execute(_NUMBER, pending, list(range(head + 1, last + 1)))
        await tx.execute(_MOVE_HEAD, last)
    return len(pending)


class Relay:
    """Numbers and publishes the events of any tenant.

    Args:
        database: The door to the tenants' tables.
        publishers: Who is told.
        batch: How many events are numbered in one transaction at most.
        publish_batch: How many events a publisher is given at once.
    """

    def __init__(
        self,
        database: Database,
        publishers: Sequence[Publisher] = (),
        *,
        batch: int = BATCH,
        publish_batch: int = PUBLISH_BATCH,
    ) -> None:
        self._database = database
        self._publishers = tuple(publishers)
        self._batch = batch
        self._publish_batch = publish_batch

    async def run(self, tenant: TenantRef) -> float | None:
        """Give numbers to all that is there, and publish it.

        Returns:
            Seconds after which a further visit is wanted, because another process was at it or a publisher failed.
        """
        waits = [await self._number_all(tenant)]
        for publisher in self._publishers:
            waits.append(await self._publish_all(tenant, publisher))  # noqa: PERF401 - one after the other
        return min((wait for wait in waits if wait is not None), default=None)

    async def _number_all(self, tenant: TenantRef) -> float | None:
        while True:
            async with self._database.tx(tenant) as tx:
                numbered = await number_events(tx, self._batch)
            if numbered is None:
                return BUSY_S
            if numbered < self._batch:
                return None

    async def _publish_all(self, tenant: TenantRef, publisher: Publisher) -> float | None:
        token = uuid4()
        while True:
            async with self._database.tx(tenant) as tx:
                behind = await tx.fetchval(_IS_BEHIND, publisher.name)
                place = await _claim(tx, publisher.name, token) if behind else None
                events = [] if place is None else await outbox.list_events(tx, after=place, limit=self._publish_batch)
            if not behind:
                return None
            if not events:
                return RETRY_FIRST_S
            try:
                async with asyncio.timeout(PUBLISH_TIMEOUT_S):
                    await publisher.publish(tenant, events)
            except Exception as error:  # noqa: BLE001 - whatever went wrong, the events come again
                log.warning(
                    "publisher_failed", publisher=publisher.name, tenant=tenant.slug, cause=type(error).__name__
                )
                async with self._database.tx(tenant) as tx:
                    await _put_off(tx, publisher.name, token)
                return RETRY_FIRST_S
            async with self._database.tx(tenant) as tx:
                await _advance(tx, publisher.name, token, events[-1].sequence)


# A publisher's place. It is claimed under a lease on the real clock, because what it does takes place outside of any
# transaction; the token fences whoever comes back after the lease has gone to another.

_IS_BEHIND = """
SELECT h.sequence > coalesce(c.sequence, 0)
FROM relay_head AS h LEFT JOIN publisher_cursors AS c ON c.publisher = $1
WHERE h.id = 1
"""
_ENSURE_PLACE = """
INSERT INTO publisher_cursors (publisher, sequence, failures) VALUES ($1, 0, 0) ON CONFLICT (publisher) DO NOTHING
"""
_CLAIM = """
UPDATE publisher_cursors SET claimed_by = $2, claimed_until = now() + $3::int * interval '1 second'
WHERE publisher = $1
  AND (claimed_until IS NULL OR claimed_until <= now())
  AND (retry_at IS NULL OR retry_at <= now())
RETURNING sequence
"""
_ADVANCE = """
UPDATE publisher_cursors
SET sequence = $3, failures = 0, retry_at = NULL, claimed_by = NULL, claimed_until = NULL
WHERE publisher = $1 AND claimed_by = $2
"""
_PUT_OFF = """
UPDATE publisher_cursors
SET claimed_by = NULL, claimed_until = NULL, failures = failures + 1,
    retry_at = now() + least($3::float8 * power(2, least(failures, 20)), $4::float8) * interval '1 second'
WHERE publisher = $1 AND claimed_by = $2
"""


async def _claim(tx: TenantTx, publisher: str, token: UUID) -> int | None:
    await tx.execute(_ENSURE_PLACE, publisher)
    place = await tx.fetchval(_CLAIM, publisher, token, LEASE_S)
    return None if place is None else int(place)


async def _advance(tx: TenantTx, publisher: str, token: UUID, sequence: int) -> None:
    await tx.execute(_ADVANCE, publisher, token, sequence)


async def _put_off(tx: TenantTx, publisher: str, token: UUID) -> None:
    await tx.execute(_PUT_OFF, publisher, token, RETRY_FIRST_S, RETRY_LAST_S)
