"""The SQL of deliveries and attempts."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from billfold.contract.webhooks import WebhookDeliveryState
from billfold_server.db.filters import Filter
from billfold_server.db.personal import counted
from billfold_server.tenancy.transaction import TenantTx
from billfold_server.webhooks.delivery_rows import (
    DELIVERY,
    AttemptRow,
    DeliveryRow,
    NewDelivery,
    Outcome,
    to_delivery,
)
from billfold_server.webhooks.queries import now_suspended
from billfold_server.webhooks.rows import ENDPOINT, EndpointRow, to_endpoint

__all__ = [
    "FILTERS",
    "add",
    "add_attempts",
    "arm",
    "cancel",
    "disarm",
    "due",
    "end",
    "find",
    "hold_listening",
    "list_attempts",
    "list_page",
    "next_due_at",
    "replay",
    "sweep",
]

# S608 below: the texts are made of this module's constants and numbered parameters only.

FILTERS: Final = "SELECT json_agg(event_types) FROM webhook_endpoints WHERE state <> 'disabled'"
"""What each endpoint that is told of anything wants to be told of; null where there is none."""
_LISTENING: Final = f"""
SELECT {ENDPOINT} FROM webhook_endpoints WHERE state <> 'disabled' ORDER BY id FOR SHARE
"""  # noqa: S608


async def hold_listening(tx: TenantTx) -> list[EndpointRow]:
    """Return the endpoints that are told of what happens; until the transaction ends they stay as they are."""
    return await now_suspended(tx, [to_endpoint(row) for row in await tx.fetch(_LISTENING)])


_ADD: Final = """
INSERT INTO webhook_deliveries (
    id, endpoint_id, event_id, sequence, event_type, state, attempts, begun_at, next_attempt_at, created_at, copies)
SELECT n.id, n.endpoint_id, n.event_id, n.sequence, n.event_type, 'waiting', 0, $9::timestamptz,
    CASE WHEN n.due THEN $9::timestamptz + n.wait_s * interval '1 second' END, $9, n.copies
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::text[], $6::bool[], $7::int[], $8::smallint[])
    AS n (id, endpoint_id, event_id, sequence, event_type, due, wait_s, copies)
"""


def _columns(new: Sequence[NewDelivery]) -> list[list[object]]:
    return [[getattr(each, name) for each in new] for name in NewDelivery.__struct_fields__]


async def add(tx: TenantTx, new: Sequence[NewDelivery], now: datetime) -> None:
    """Write deliveries, with one statement; those that are there already stay as they are."""
    await tx.execute(f"{_ADD} ON CONFLICT (endpoint_id, sequence) DO NOTHING", *_columns(new), now)


_DUE: Final = f"""
SELECT {DELIVERY} FROM webhook_deliveries
WHERE endpoint_id = $1 AND next_attempt_at <= $2
ORDER BY next_attempt_at, sequence LIMIT $3
"""  # noqa: S608
_NEXT: Final = "SELECT min(next_attempt_at) FROM webhook_deliveries WHERE endpoint_id = $1"


async def due(tx: TenantTx, endpoint_id: UUID, now: datetime, limit: int) -> list[DeliveryRow]:
    """Return what is to be tried now, what has waited longest first."""
    return [to_delivery(row) for row in await tx.fetch(_DUE, endpoint_id, now, limit)]


async def next_due_at(tx: TenantTx, endpoint_id: UUID) -> datetime | None:
    """Return when there is something to try next, or None."""
    at: datetime | None = await tx.fetchval(f"{_NEXT} AND next_attempt_at IS NOT NULL", endpoint_id)
    return at


async def end(tx: TenantTx, outcomes: Sequence[Outcome], now: datetime) -> set[UUID]:
    """Note what attempts have come to, and return of which deliveries.

    What was put off meanwhile stays so, unless it was delivered. Of what has begun anew meanwhile, an attempt from
    before says nothing, unless by it it was delivered.
    """
    rows = await tx.fetch(
        """
        UPDATE webhook_deliveries AS d
        SET state = n.state, attempts = d.attempts + 1, last_result = n.result, last_attempt_at = $5::timestamptz,
            next_attempt_at = CASE WHEN d.next_attempt_at IS NOT NULL THEN n.next_attempt_at END
        FROM unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $6::int[])
            AS n (id, state, result, next_attempt_at, attempts)
        WHERE d.id = n.id AND d.state = 'waiting' AND (d.attempts = n.attempts OR n.state = 'delivered')
        RETURNING d.id
        """,
        [each.delivery_id for each in outcomes],
        [each.state.value for each in outcomes],
        [each.result for each in outcomes],
        [each.next_attempt_at for each in outcomes],
        now,
        [each.attempts for each in outcomes],
    )
    return {row["id"] for row in rows}


async def add_attempts(tx: TenantTx, attempts: Sequence[AttemptRow]) -> None:
    """Write attempts, with one statement."""
    await tx.execute(
        """
        INSERT INTO webhook_attempts (id, delivery_id, attempted_at, took_ms, result, sealed_exchange)
        SELECT n.id, n.delivery_id, n.attempted_at, n.took_ms, n.result, n.sealed_exchange
        FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::int[], $5::text[], $6::bytea[])
            AS n (id, delivery_id, attempted_at, took_ms, result, sealed_exchange)
        """,
        [each.id for each in attempts],
        [each.delivery_id for each in attempts],
        [each.attempted_at for each in attempts],
        [each.took_ms for each in attempts],
        [each.result for each in attempts],
        [each.sealed_exchange for each in attempts],
    )


async def replay(tx: TenantTx, new: Sequence[NewDelivery], now: datetime) -> None:
    """Have events delivered as if they had just happened, whether they were before or not, with one statement."""
    await tx.execute(
        f"""
        {_ADD}
        ON CONFLICT (endpoint_id, sequence) DO UPDATE SET
            state = excluded.state, attempts = 0, begun_at = excluded.begun_at,
            next_attempt_at = excluded.next_attempt_at, copies = excluded.copies
        """,
        *_columns(new),
        now,
    )


async def disarm(tx: TenantTx, *endpoint_ids: UUID) -> None:
    """Try nothing of what endpoints haven't been told of; it goes on waiting."""
    await tx.execute(
        """
        UPDATE webhook_deliveries SET next_attempt_at = NULL
        WHERE endpoint_id = ANY($1) AND next_attempt_at IS NOT NULL
        """,
        list(endpoint_ids),
    )


async def arm(tx: TenantTx, *endpoint_ids: UUID, now: datetime) -> list[UUID]:
    """Try what waits, as if it had just begun; return for which endpoints there is anything."""
    rows = await tx.fetch(
        """
        UPDATE webhook_deliveries SET next_attempt_at = $2, begun_at = $2, attempts = 0
        WHERE endpoint_id = ANY($1) AND state = 'waiting'
        RETURNING endpoint_id
        """,
        list(endpoint_ids),
        now,
    )
    return sorted({row["endpoint_id"] for row in rows})


async def cancel(tx: TenantTx, endpoint_id: UUID) -> None:
    """Give up what waits for an endpoint that is no more."""
    await tx.execute(
        """
        UPDATE webhook_deliveries SET state = 'cancelled', next_attempt_at = NULL
        WHERE endpoint_id = $1 AND state = 'waiting'
        """,
        endpoint_id,
    )


# Reading.


# States stand in the text, and not beside it: an index of some of them serves no plan that is made for all.
_OF_STATE: Final = {each.value: f"state = '{each.value}'" for each in WebhookDeliveryState}
_OF_PARTNER: Final = "endpoint_id IN (SELECT e.id FROM webhook_endpoints AS e WHERE e.partner_id = $)"


async def find(tx: TenantTx, delivery_id: UUID, *, partner_id: UUID | None = None) -> DeliveryRow | None:
    """Return a delivery, if it is to an endpoint of the partner where one is given, or None."""
    where = Filter()
    where.add("id = $", delivery_id)
    where.add(_OF_PARTNER, partner_id)
    row = await tx.fetchrow(f"SELECT {DELIVERY} FROM webhook_deliveries WHERE {where}", *where.values)  # noqa: S608
    return None if row is None else to_delivery(row)


async def list_page(
    tx: TenantTx,
    *,
    limit: int,
    before: UUID | None = None,
    endpoint_id: UUID | None = None,
    event_id: UUID | None = None,
    state: str | None = None,
    partner_id: UUID | None = None,
) -> list[DeliveryRow]:
    """Return deliveries that meet all conditions given, the newest first."""
    where = Filter()
    where.add("id < $", before)
    where.add("endpoint_id = $", endpoint_id)
    where.add("event_id = $", event_id)
    if state is not None:
        where.add(_OF_STATE[state])
    where.add(_OF_PARTNER, partner_id)
    sql = f"SELECT {DELIVERY} FROM webhook_deliveries WHERE {where} ORDER BY id DESC LIMIT {limit:d}"  # noqa: S608
    return [to_delivery(row) for row in await tx.fetch(sql, *where.values)]


_ATTEMPTS: Final = """
SELECT id, delivery_id, attempted_at, took_ms, result, sealed_exchange FROM webhook_attempts
WHERE delivery_id = $1 ORDER BY id DESC LIMIT $2
"""


async def list_attempts(tx: TenantTx, delivery_id: UUID, limit: int) -> list[AttemptRow]:
    """Return the last attempts at a delivery, the last one first."""
    return [AttemptRow(**dict(row)) for row in await tx.fetch(_ATTEMPTS, delivery_id, limit)]


# What is still to be tried stays, so that no attempt is written of what is gone.
_OLDEST: Final = """
SELECT id FROM webhook_deliveries WHERE created_at < $1 AND next_attempt_at IS NULL ORDER BY created_at LIMIT $2
"""


async def sweep(tx: TenantTx, before: datetime, limit: int) -> int:
    """Delete deliveries that were written before an instant, with their attempts, and return how many."""
    # Whoever has one of them may be waiting for another one of them.
    found = [row["id"] for row in await tx.fetch(f"{_OLDEST} FOR UPDATE SKIP LOCKED", before, limit)]
    if not found:
        return 0
    await tx.execute("DELETE FROM webhook_attempts WHERE delivery_id = ANY($1::uuid[])", found)
    return counted(await tx.execute("DELETE FROM webhook_deliveries WHERE id = ANY($1::uuid[])", found))
