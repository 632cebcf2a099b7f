"""The SQL of endpoints."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from billfold_server.tenancy.transaction import TenantTx
from billfold_server.webhooks.rows import ENDPOINT, WRITTEN, EndpointRow, to_endpoint

__all__ = [
    "count",
    "delete",
    "find",
    "insert",
    "list_of_partner",
    "list_page",
    "lock",
    "now_suspended",
    "take",
    "update",
    "waiting_since",
]

# S608 below: the texts are made of this module's constants and numbered parameters only.

_BY_ID: Final = f"SELECT {ENDPOINT} FROM webhook_endpoints WHERE id = $1"  # noqa: S608
_PAGE: Final = f"""
SELECT {ENDPOINT} FROM webhook_endpoints
WHERE ($1::uuid IS NULL OR id > $1) AND ($3::uuid IS NULL OR partner_id = $3) ORDER BY id LIMIT $2
"""  # noqa: S608
_INSERT: Final = f"""
INSERT INTO webhook_endpoints ({", ".join(WRITTEN)})
VALUES ({", ".join(f"${n}" for n in range(1, len(WRITTEN) + 1))})
"""  # noqa: S608
_WAITING_SINCE: Final = """
SELECT least(
    (SELECT min(due.at) FROM webhook_endpoints AS e CROSS JOIN LATERAL (
        SELECT min(next_attempt_at) AS at FROM webhook_deliveries
        WHERE endpoint_id = e.id AND next_attempt_at IS NOT NULL) AS due
     WHERE e.state = 'enabled'),
    (SELECT occurred_at FROM outbox_events
     WHERE sequence > (SELECT sequence FROM publisher_cursors WHERE publisher = $1)
       AND EXISTS (SELECT FROM webhook_endpoints WHERE state = 'enabled')
     ORDER BY sequence LIMIT 1))
"""
_CHANGING: Final = tuple(name for name in WRITTEN if name not in {"id", "created_at", "taken_at", "partner_id"})
_UPDATE: Final = f"""
UPDATE webhook_endpoints SET {", ".join(f"{name} = ${n}" for n, name in enumerate(_CHANGING, start=2))} WHERE id = $1
"""  # noqa: S608


async def find(tx: TenantTx, endpoint_id: UUID) -> EndpointRow | None:
    """Return an endpoint, or None."""
    row = await tx.fetchrow(_BY_ID, endpoint_id)
    return None if row is None else to_endpoint(row)


async def waiting_since(tx: TenantTx, publisher: str) -> datetime | None:
    """Return since when what has waited longest could have been sent, or when it will be; None where nothing waits."""
    at: datetime | None = await tx.fetchval(_WAITING_SINCE, publisher)
    return at


async def lock(tx: TenantTx, endpoint_id: UUID) -> EndpointRow | None:
    """Return an endpoint and keep others from it until the transaction ends."""
    row = await tx.fetchrow(f"{_BY_ID} FOR UPDATE", endpoint_id)
    return None if row is None else (await now_suspended(tx, [to_endpoint(row)]))[0]


async def now_suspended(tx: TenantTx, locked: list[EndpointRow]) -> list[EndpointRow]:
    """Return endpoints that are locked with what their partners' rows say by now.

    The statement that has waited for a lock saw partners as they were before; whoever resumes one locks its endpoints.
    """
    owners = {row.partner_id for row in locked if row.partner_id is not None}
    if not owners:
        return locked
    found = await tx.fetch("SELECT id FROM partners WHERE id = ANY($1::uuid[]) AND state = 'suspended'", list(owners))
    suspended = {row["id"] for row in found}
    return [msgspec.structs.replace(row, suspended=row.partner_id in suspended) for row in locked]


async def list_page(
    tx: TenantTx, *, after: UUID | None, limit: int, partner_id: UUID | None = None
) -> list[EndpointRow]:
    """Return endpoints by id, the oldest first: all of them, or those of a partner."""
    return [to_endpoint(row) for row in await tx.fetch(_PAGE, after, limit, partner_id)]


async def list_of_partner(tx: TenantTx, partner_id: UUID) -> list[EndpointRow]:
    """Return a partner's endpoints, and keep others from them until the transaction ends."""
    sql = f"SELECT {ENDPOINT} FROM webhook_endpoints WHERE partner_id = $1 ORDER BY id FOR UPDATE"  # noqa: S608
    return [to_endpoint(row) for row in await tx.fetch(sql, partner_id)]


async def count(tx: TenantTx, partner_id: UUID | None) -> int:
    """Return how many endpoints a partner, or (None) the tenant itself, has."""
    sql = "SELECT count(*) FROM webhook_endpoints WHERE partner_id IS NOT DISTINCT FROM $1"
    return int(await tx.fetchval(sql, partner_id))


async def insert(tx: TenantTx, new: EndpointRow) -> None:
    """Write a new endpoint.

    Raises:
        asyncpg.ForeignKeyViolationError: There is no such partner.
    """
    await tx.execute(_INSERT, *(_value(getattr(new, name)) for name in WRITTEN))


async def update(tx: TenantTx, changed: EndpointRow) -> None:
    """Write what may change of an endpoint."""
    await tx.execute(_UPDATE, changed.id, *(_value(getattr(changed, name)) for name in _CHANGING))


async def take(tx: TenantTx, endpoint_id: UUID, now: datetime) -> None:
    """Note that an endpoint has taken something."""
    await tx.execute("UPDATE webhook_endpoints SET taken_at = $2 WHERE id = $1", endpoint_id, now)


async def delete(tx: TenantTx, endpoint_id: UUID) -> None:
    """Delete an endpoint."""
    await tx.execute("DELETE FROM webhook_endpoints WHERE id = $1", endpoint_id)


def _value(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
