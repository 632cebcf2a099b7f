"""The SQL of partners. One that was removed is found by none of it."""

from collections.abc import Collection
from typing import Final
from uuid import UUID

from billfold_server.db.filters import Filter
from billfold_server.db.row_locks import lock_rows
from billfold_server.partners.rows import COLUMNS, Partner
from billfold_server.tenancy.transaction import TenantTx

__all__ = ["find", "hold", "insert", "list_page", "lock", "lock_all", "update"]

# S608 below: the texts are made of this module's constants and numbered parameters only.

_NAMES: Final = Partner.__struct_fields__
_CHANGING: Final = ("name", "external_id", "state", "client_scopes", "version", "updated_at", "removed_at")
# Whoever has waited for a lock reads the row anew, and so finds none that was removed meanwhile.
_BY_ID: Final = f"SELECT {COLUMNS} FROM partners WHERE id = $1 AND removed_at IS NULL"  # noqa: S608
_INSERT: Final = f"""
INSERT INTO partners ({COLUMNS}) VALUES ({", ".join(f"${n}" for n in range(1, len(_NAMES) + 1))})
"""  # noqa: S608
_UPDATE: Final = f"""
UPDATE partners SET {", ".join(f"{name} = ${n}" for n, name in enumerate(_CHANGING, start=2))} WHERE id = $1
"""  # noqa: S608


async def find(tx: TenantTx, partner_id: UUID) -> Partner | None:
    """Return a partner, or None."""
    row = await tx.fetchrow(_BY_ID, partner_id)
    return None if row is None else Partner(**dict(row))


async def hold(tx: TenantTx, partner_id: UUID) -> Partner | None:
    """Return a partner that stays as it is until the transaction ends, or None."""
    row = await tx.fetchrow(f"{_BY_ID} FOR SHARE", partner_id)
    return None if row is None else Partner(**dict(row))


async def lock(tx: TenantTx, partner_id: UUID) -> Partner | None:
    """Return a partner and keep others from it until the transaction ends, or None."""
    row = await tx.fetchrow(f"{_BY_ID} FOR UPDATE", partner_id)
    return None if row is None else Partner(**dict(row))


async def lock_all(tx: TenantTx, partner_ids: Collection[UUID], *, staying: Collection[UUID]) -> None:
    """Keep others from partners until the transaction ends, and let further ones stay as they are."""
    await lock_rows(tx, _BY_ID, partner_ids, staying=staying)


async def list_page(
    tx: TenantTx,
    *,
    limit: int,
    before: UUID | None,
    state: str | None,
    external_id: str | None,
    only: UUID | None,
) -> list[Partner]:
    """Return partners that meet all conditions given, the newest first."""
    where = Filter()
    where.add("removed_at IS NULL")
    where.add("id < $", before)
    where.add("state = $", state)
    where.add("external_id = $", external_id)
    where.add("id = $", only)
    sql = f"SELECT {COLUMNS} FROM partners WHERE {where} ORDER BY id DESC LIMIT {limit:d}"  # noqa: S608
    return [Partner(**dict(row)) for row in await tx.fetch(sql, *where.values)]


async def insert(tx: TenantTx, new: Partner) -> None:
    """Write a new partner.

    Raises:
        asyncpg.UniqueViolationError: Another one has the external id.
    """
    await tx.execute(_INSERT, *(getattr(new, name) for name in _NAMES))


async def update(tx: TenantTx, changed: Partner) -> None:
    """Write what may change of a partner.

    Raises:
        asyncpg.UniqueViolationError: Another one has the external id.
    """
    await tx.execute(_UPDATE, changed.id, *(getattr(changed, name) for name in _CHANGING))
