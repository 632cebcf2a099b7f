"""The SQL of arrangements and products. Lists are keyset pages, newest first."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from billfold.contract.arrangements import ArrangementKind, ArrangementStatus, ProductType
from billfold.money import Money
from billfold_server.arrangements.rows import ArrangementRow, ProductRow
from billfold_server.db.filters import Filter
from billfold_server.db.sets import Write
from billfold_server.tenancy.transaction import TenantTx

__all__ = [
    "DELETE_OF_WALLETS",
    "assign_product",
    "find",
    "find_product",
    "insert",
    "inserts_product",
    "list_behind",
    "list_of_wallets",
    "list_page",
    "list_products",
    "lock_product",
    "products_of_wallets",
    "update",
    "update_product",
]

# S608 below: the texts are made of this module's constants and numbered parameters only.

_COLUMNS: Final = "a.id, a.wallet_id, a.kind, a.status, a.sealed_terms, a.version, a.created_at, a.updated_at"
_PRODUCT: Final = (
    "p.id, p.name, p.type, p.description, p.secondary_id, p.monthly_fee_cap::text AS monthly_fee_cap, "
    "p.interest_rate, p.notes, p.version, p.created_at, p.updated_at"
)


def _arrangement(row: asyncpg.Record) -> ArrangementRow:
    return ArrangementRow(
        **{**row, "kind": ArrangementKind(row["kind"]), "status": ArrangementStatus(row["status"])},
    )


def _product(row: asyncpg.Record) -> ProductRow:
    cap = row["monthly_fee_cap"]
    values = {name: row[name] for name in ProductRow.__struct_fields__}
    values |= {
        "type": ProductType(row["type"]),
        "monthly_fee_cap": None if cap is None else msgspec.json.decode(cap, type=Money),
        "notes": list(row["notes"]),
    }
    return ProductRow(**values)


# Arrangements.


async def insert(tx: TenantTx, rows: Sequence[ArrangementRow]) -> None:
    """Write new arrangements, with one statement."""
    await tx.execute(
        """
        INSERT INTO arrangements (id, wallet_id, kind, status, sealed_terms, version, created_at, updated_at)
        SELECT n.id, n.wallet_id, n.kind, n.status, n.sealed_terms, n.version, n.created_at, n.updated_at
        FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::bytea[], $6::int[], $7::timestamptz[],
            $8::timestamptz[]) AS n (id, wallet_id, kind, status, sealed_terms, version, created_at, updated_at)
        """,
        [row.id for row in rows],
        [row.wallet_id for row in rows],
        [row.kind.value for row in rows],
        [row.status.value for row in rows],
        [row.sealed_terms for row in rows],
        [row.version for row in rows],
        [row.created_at for row in rows],
        [row.updated_at for row in rows],
    )


async def update(tx: TenantTx, row: ArrangementRow) -> bool:
    """Write a changed arrangement, and tell whether it was still the version before."""
    sql = """
        UPDATE arrangements SET status = $2, sealed_terms = $3, version = $4, updated_at = $5
        WHERE id = $1 AND version = $4 - 1
    """
    done = await tx.execute(sql, row.id, row.status.value, row.sealed_terms, row.version, row.updated_at)
    return done == "UPDATE 1"


async def find(tx: TenantTx, arrangement_id: UUID) -> ArrangementRow | None:
    """Return an arrangement, or None."""
    row = await tx.fetchrow(f"SELECT {_COLUMNS} FROM arrangements AS a WHERE a.id = $1", arrangement_id)  # noqa: S608
    return None if row is None else _arrangement(row)


async def list_page(
    tx: TenantTx,
    *,
    limit: int,
    before: UUID | None,
    wallet_id: UUID | None,
    kind: str | None,
    status: str | None,
) -> list[ArrangementRow]:
    """Return arrangements that meet all conditions given, newest first."""
    where = Filter()
    where.add("a.wallet_id = $", wallet_id)
    where.add_word("a.kind", kind)
    where.add_word("a.status", status)
    where.add("a.id < $", before)
    rows = await tx.fetch(
        f"SELECT {_COLUMNS} FROM arrangements AS a WHERE {where} ORDER BY a.id DESC LIMIT {limit:d}",  # noqa: S608
        *where.values,
    )
    return [_arrangement(row) for row in rows]


async def list_of_wallets(
    tx: TenantTx,
    wallet_ids: Sequence[UUID],
    kind: str,
    *,
    statuses: Sequence[str],
    limit: int,
    after: UUID | None,
    backwards: bool,
) -> list[ArrangementRow]:
    """Return arrangements of one kind of these wallets, in the order in which they were made, or backwards."""
    order, than = ("DESC", "<") if backwards else ("ASC", ">")
    rows = await tx.fetch(
        f"""
        SELECT {_COLUMNS} FROM unnest($1::uuid[]) AS w (id)
        CROSS JOIN LATERAL (
            SELECT {_COLUMNS} FROM arrangements AS a
            WHERE a.wallet_id = w.id AND a.kind = $2 AND a.status = ANY($3::text[])
                AND ($4::uuid IS NULL OR a.id {than} $4)
            ORDER BY a.id {order} LIMIT {limit:d}) AS a
        ORDER BY a.id {order} LIMIT {limit:d}
        """,  # noqa: S608
        list(wallet_ids),
        kind,
        list(statuses),
        after,
    )
    return [_arrangement(row) for row in rows]


async def list_behind(tx: TenantTx, wallet_ids: Sequence[UUID], after: UUID | None, limit: int) -> list[ArrangementRow]:
    """Return arrangements of these wallets behind a place, in the order of ids."""
    rows = await tx.fetch(
        f"""
        SELECT {_COLUMNS} FROM arrangements AS a
        WHERE a.wallet_id = ANY($1::uuid[]) AND ($2::uuid IS NULL OR a.id > $2) ORDER BY a.id LIMIT $3
        """,  # noqa: S608
        list(wallet_ids),
        after,
        limit,
    )
    return [_arrangement(row) for row in rows]


DELETE_OF_WALLETS: Final = "DELETE FROM arrangements WHERE wallet_id = ANY($1::uuid[])"


# Products.


_INSERT_PRODUCT: Final = """
INSERT INTO products (id, name, type, description, secondary_id, monthly_fee_cap, interest_rate, notes, version,
    created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6::jsonb, $7, $8, $9, $10, $11)
"""


def inserts_product(row: ProductRow) -> Write:
    """Return what writes a new product."""
    return Write(_INSERT_PRODUCT, tuple(_values(row)))


def _values(row: ProductRow) -> list[Any]:
    cap = row.monthly_fee_cap
    values = msgspec.structs.asdict(row)
    values["type"] = row.type.value
    values["monthly_fee_cap"] = None if cap is None else msgspec.json.encode(cap).decode()
    return list(values.values())


async def update_product(tx: TenantTx, row: ProductRow) -> None:
    """Write a changed product."""
    await tx.execute(
        """
        UPDATE products SET name = $2, description = $4, secondary_id = $5, monthly_fee_cap = $6::jsonb,
            interest_rate = $7, notes = $8, version = $9, updated_at = $11
        WHERE id = $1 AND type = $3 AND created_at = $10
        """,
        *_values(row),
    )


async def find_product(tx: TenantTx, product_id: UUID) -> ProductRow | None:
    """Return a product, or None."""
    row = await tx.fetchrow(f"SELECT {_PRODUCT} FROM products AS p WHERE p.id = $1", product_id)  # noqa: S608
    return None if row is None else _product(row)


async def lock_product(tx: TenantTx, product_id: UUID) -> ProductRow | None:
    """Return a product and keep others from changing it until the transaction ends, or None."""
    row = await tx.fetchrow(
        f"SELECT {_PRODUCT} FROM products AS p WHERE p.id = $1 FOR NO KEY UPDATE",  # noqa: S608
        product_id,
    )
    return None if row is None else _product(row)


async def list_products(tx: TenantTx, *, limit: int, before: UUID | None) -> list[ProductRow]:
    """Return products, newest first."""
    where = Filter()
    where.add("p.id < $", before)
    rows = await tx.fetch(
        f"SELECT {_PRODUCT} FROM products AS p WHERE {where} ORDER BY p.id DESC LIMIT {limit:d}",  # noqa: S608
        *where.values,
    )
    return [_product(row) for row in rows]


async def products_of_wallets(tx: TenantTx, wallet_ids: Sequence[UUID]) -> Mapping[UUID, ProductRow]:
    """Return of which product each of these wallets is; one that is of none is absent."""
    rows = await tx.fetch(
        f"""
        SELECT w.wallet_id, {_PRODUCT} FROM wallet_products AS w JOIN products AS p ON p.id = w.product_id
        WHERE w.wallet_id = ANY($1::uuid[])
        """,  # noqa: S608
        list(wallet_ids),
    )
    return {row["wallet_id"]: _product(row) for row in rows}


async def assign_product(tx: TenantTx, product_id: UUID, wallet_ids: Sequence[UUID], now: datetime) -> set[UUID]:
    """Let wallets be of a product, with one statement, and return which of them weren't before."""
    rows = await tx.fetch(
        """
        INSERT INTO wallet_products (wallet_id, product_id, since)
        SELECT w.id, $2, $3 FROM unnest($1::uuid[]) AS w (id)
        ON CONFLICT (wallet_id) DO UPDATE SET product_id = excluded.product_id, since = excluded.since
        WHERE wallet_products.product_id <> excluded.product_id
        RETURNING wallet_id
        """,
        sorted(wallet_ids),
        product_id,
        now,
    )
    return {row["wallet_id"] for row in rows}
