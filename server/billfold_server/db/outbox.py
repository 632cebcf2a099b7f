"""The outbox: what happened, written by the transaction in which it happened.

An event is committed with the change that it tells of, or not at all. Its place in the tenant's stream is given
afterwards by the relay (``db.relay``), because numbers that are taken before a commit become visible out of order and
leave gaps when a transaction rolls back.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from billfold import ids
from billfold.contract.platform import Event
from billfold.ids import Prefix
from billfold_server.db.wakeups import Work
from billfold_server.tenancy.transaction import TenantTx

__all__ = ["NewEvent", "emit", "last_sequence", "list_events"]


class NewEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happens in a transaction.

    Attributes:
        id: UUIDv7; who receives an event twice knows it by its id.
        type: Object and what happened to it, such as ``party.created``.
        object_id: Wire id of the object.
        data: A JSON object with what others need to know, and no more personal data than that.
        occurred_at: When it happened, on the tenant's clock.
    """

    id: UUID
    type: str
    object_id: str
    data: bytes
    occurred_at: datetime


# The column "position" is an identity: it is taken when the statement runs, so of two events the one whose transaction
# saw the other's has the greater position, whatever the clocks of the processes say.
_INSERT = """
INSERT INTO outbox_events (id, type, object_id, data, occurred_at)
SELECT e.id, e.type, e.object_id, e.data::json, e.occurred_at
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::timestamptz[])
    WITH ORDINALITY AS e (id, type, object_id, data, occurred_at, place)
ORDER BY e.place
"""

_LIST = """
SELECT id, sequence, type, object_id, data::text AS data, occurred_at
FROM outbox_events
WHERE sequence > $1 AND ($2::text IS NULL OR type = $2)
ORDER BY sequence
LIMIT $3
"""


async def emit(tx: TenantTx, *events: NewEvent) -> None:
    """Write events in the transaction of the change that they tell of, with one statement.

    The relay is woken when the transaction has committed.
    """
    if not events:
        return
    await tx.execute(
        _INSERT,
        [event.id for event in events],
        [event.type for event in events],
        [event.object_id for event in events],
        [event.data.decode() for event in events],
        [event.occurred_at for event in events],
    )
    tx.wake(Work.EVENTS)


async def list_events(tx: TenantTx, *, after: int = 0, limit: int = 100, event_type: str | None = None) -> list[Event]:
    """Return the numbered events behind a place in the stream, in order.

    Whoever has seen number ``n`` has been able to see every smaller one, so reading on from the last number seen
    misses nothing.

    Args:
        tx: The tenant's transaction.
        after: The number of the last event that is known already; 0 to begin.
        limit: How many at most.
        event_type: Only events of this type.
    """
    rows = await tx.fetch(_LIST, after, event_type, limit)
    return [_event(row) for row in rows]


async def last_sequence(tx: TenantTx) -> int:
    """Return the number of the newest numbered event, or 0."""
    return int(await tx.fetchval("SELECT sequence FROM relay_head WHERE id = 1"))


def _event(row: Any) -> Event:
    return Event(
        id=ids.encode(Prefix.EVENT, row["id"]),
        sequence=row["sequence"],
        type=row["type"],
        object_id=row["object_id"],
        data=msgspec.json.decode(row["data"]),
        occurred_at=row["occurred_at"],
    )
