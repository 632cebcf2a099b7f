"""The SQL of the log of requests."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from billfold import ids
from billfold_server.db.filters import Filter
from billfold_server.db.personal import counted
from billfold_server.request_log.rows import REQUEST, RequestRow
from billfold_server.tenancy.transaction import TenantTx

__all__ = ["Wanted", "add", "find", "list_page", "sweep"]

_INSERT: Final = """
INSERT INTO request_log (id, request_id, method, operation, path, status, code, client_id, took_ms, exchange)
SELECT n.id, n.request_id, n.method, n.operation, n.path, n.status, n.code, n.client_id, n.took_ms, n.exchange
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::smallint[], $7::text[], $8::uuid[],
    $9::int[], $10::bytea[])
    AS n (id, request_id, method, operation, path, status, code, client_id, took_ms, exchange)
"""


async def add(tx: TenantTx, rows: Sequence[RequestRow]) -> None:
    """Write requests, with one statement."""
    await tx.execute(_INSERT, *([getattr(row, name) for row in rows] for name in RequestRow.__struct_fields__))


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which requests are looked for; what is None doesn't matter.

    Attributes:
        status_from: The least status.
        from_: Answered then or later.
        to: Answered before.
    """

    client_id: UUID | None = None
    request_id: str | None = None
    status_from: int | None = None
    status_below: int | None = None
    method: str | None = None
    operation: str | None = None
    from_: datetime | None = None
    to: datetime | None = None


_OF_PARTNER: Final = "client_id IN (SELECT c.id FROM api_clients AS c WHERE c.partner_id = $)"


async def list_page(
    tx: TenantTx, wanted: Wanted, *, own: UUID | None, limit: int, before: UUID | None, partner_id: UUID | None = None
) -> list[RequestRow]:
    """Return requests, of one client or partner where it is given, without what was said, the newest first."""
    where = Filter()
    where.add("client_id = $", own)
    where.add(_OF_PARTNER, partner_id)
    where.add("id < $", before)
    where.add("client_id = $", wanted.client_id)
    where.add("request_id = $", wanted.request_id)
    where.add("status >= $", wanted.status_from)
    where.add("status < $", wanted.status_below)
    where.add("method = $", wanted.method)
    where.add("operation = $", wanted.operation)
    where.add("id >= $", None if wanted.from_ is None else ids.first_at(wanted.from_))
    where.add("id < $", None if wanted.to is None else ids.first_at(wanted.to))
    sql = f"SELECT {REQUEST} FROM request_log WHERE {where} ORDER BY id DESC LIMIT {limit:d}"  # noqa: S608 - constants
    return [RequestRow(**dict(row)) for row in await tx.fetch(sql, *where.values)]


async def find(tx: TenantTx, request_id: str, client_id: UUID | None, partner_id: UUID | None) -> RequestRow | None:
    """Return the last request of an id, of a client or partner where one is given, or None."""
    where = Filter()
    where.add("request_id = $", request_id)
    where.add("client_id = $", client_id)
    where.add(_OF_PARTNER, partner_id)
    sql = f"SELECT {REQUEST}, exchange FROM request_log WHERE {where} ORDER BY id DESC LIMIT 1"  # noqa: S608 - constants
    row = await tx.fetchrow(sql, *where.values)
    return None if row is None else RequestRow(**dict(row))


async def sweep(tx: TenantTx, before: datetime, limit: int) -> int:
    """Delete the oldest requests that were answered before an instant, and return how many."""
    return counted(
        await tx.execute(
            "DELETE FROM request_log WHERE id IN (SELECT id FROM request_log WHERE id < $1 ORDER BY id LIMIT $2)",
            ids.first_at(before),
            limit,
        )
    )
