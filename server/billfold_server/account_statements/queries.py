"""The SQL of account statements."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from billfold_server.account_statements.rows import MonthRow, StatementRow
from billfold_server.db.filters import Filter
from billfold_server.tenancy.transaction import TenantTx

__all__ = [
    "begin_month",
    "count",
    "find",
    "finish_month",
    "insert",
    "last_account",
    "last_month",
    "list_of_wallets",
    "list_page",
    "made_until",
]

# S608 below: the texts are made of this module's constants and numbered parameters only.

_COLUMNS: Final = (
    "s.id, s.wallet_id, s.account_id, s.currency, s.starts_at, s.ends_at, s.behind, s.until, s.opening_minor, "
    "s.closing_minor, s.credits_minor, s.debits_minor, s.beyond_minor, s.entries, s.created_at"
)
_MOST_MINOR: Final = 8 * 10**18
"""The largest sum that is kept as it is: with the largest balance added to it, it still fits PostgreSQL's bigint."""


def _statement(row: asyncpg.Record) -> StatementRow:
    facts = dict(row)
    beyond = int(facts.pop("beyond_minor"))
    facts["credits_minor"] += beyond
    facts["debits_minor"] += beyond
    return StatementRow(**facts)


def _beyond(row: StatementRow) -> int:
    """Return how much of both sums is kept apart. They differ by two balances at most, so neither falls below zero."""
    return max(0, row.credits_minor - _MOST_MINOR, row.debits_minor - _MOST_MINOR)


# Months.


async def last_month(tx: TenantTx) -> MonthRow | None:
    """Return the last month that was begun, and keep others from beginning another; None where there is none."""
    row = await tx.fetchrow(
        """
        SELECT m.starts_at, m.ends_at, m.behind, m.until, m.made_at FROM account_statement_months AS m
        ORDER BY m.starts_at DESC LIMIT 1 FOR UPDATE
        """
    )
    return None if row is None else MonthRow(*row)


async def begin_month(tx: TenantTx, month: MonthRow) -> bool:
    """Write a month, unless somebody else has begun it, and tell whether nobody has."""
    sql = """
        INSERT INTO account_statement_months (starts_at, ends_at, behind, until) VALUES ($1, $2, $3, $4)
        ON CONFLICT (starts_at) DO NOTHING
    """
    return await tx.execute(sql, month.starts_at, month.ends_at, month.behind, month.until) == "INSERT 0 1"


async def finish_month(tx: TenantTx, starts_at: datetime, now: datetime) -> bool:
    """Note that all statements of a month were made, and tell whether nobody has before."""
    sql = "UPDATE account_statement_months SET made_at = $2 WHERE starts_at = $1 AND made_at IS NULL"
    return await tx.execute(sql, starts_at, now) == "UPDATE 1"


async def made_until(tx: TenantTx) -> UUID | None:
    """Return the last entry of the last month of which all statements were made; None where there is none."""
    found: UUID | None = await tx.fetchval(
        """
        SELECT m.until FROM account_statement_months AS m WHERE m.made_at IS NOT NULL
        ORDER BY m.starts_at DESC LIMIT 1
        """
    )
    return found


# Statements.


async def insert(tx: TenantTx, rows: Sequence[StatementRow]) -> None:
    """Write statements, with one statement; one that is there stays as it is."""
    await tx.execute(
        """
        INSERT INTO account_statements (id, wallet_id, account_id, currency, starts_at, ends_at, behind, until,
            opening_minor, closing_minor, credits_minor, debits_minor, entries, created_at, beyond_minor)
        SELECT n.id, n.wallet_id, n.account_id, n.currency, n.starts_at, n.ends_at, n.behind, n.until, n.opening_minor,
            n.closing_minor, n.credits_minor - n.beyond_minor, n.debits_minor - n.beyond_minor, n.entries,
            n.created_at, n.beyond_minor
        FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::uuid[],
            $8::uuid[], $9::bigint[], $10::bigint[], $11::numeric[], $12::numeric[], $13::bigint[], $14::timestamptz[],
            $15::numeric[])
            AS n (id, wallet_id, account_id, currency, starts_at, ends_at, behind, until, opening_minor, closing_minor,
                credits_minor, debits_minor, entries, created_at, beyond_minor)
        ON CONFLICT (account_id, starts_at) DO NOTHING
        """,
        *([getattr(row, name) for row in rows] for name in StatementRow.__struct_fields__),
        [_beyond(row) for row in rows],
    )


async def last_account(tx: TenantTx, starts_at: datetime) -> UUID | None:
    """Return the last account of which a month has a statement, behind which to go on."""
    found: UUID | None = await tx.fetchval(
        "SELECT s.account_id FROM account_statements AS s WHERE s.starts_at = $1 ORDER BY s.account_id DESC LIMIT 1",
        starts_at,
    )
    return found


async def count(tx: TenantTx, starts_at: datetime) -> int:
    """Return of how many accounts a month has a statement."""
    return int(await tx.fetchval("SELECT count(*) FROM account_statements WHERE starts_at = $1", starts_at))


async def find(tx: TenantTx, statement_id: UUID) -> StatementRow | None:
    """Return a statement, or None."""
    row = await tx.fetchrow(f"SELECT {_COLUMNS} FROM account_statements AS s WHERE s.id = $1", statement_id)  # noqa: S608
    return None if row is None else _statement(row)


async def list_page(tx: TenantTx, *, limit: int, before: UUID | None, wallet_id: UUID | None) -> list[StatementRow]:
    """Return statements, newest first."""
    where = Filter()
    where.add("s.wallet_id = $", wallet_id)
    where.add("s.id < $", before)
    rows = await tx.fetch(
        f"SELECT {_COLUMNS} FROM account_statements AS s WHERE {where} ORDER BY s.id DESC LIMIT {limit:d}",  # noqa: S608
        *where.values,
    )
    return [_statement(row) for row in rows]


async def list_of_wallets(
    tx: TenantTx,
    wallet_ids: Sequence[UUID],
    *,
    from_: datetime | None,
    to: datetime | None,
    limit: int,
    place: UUID | None,
    backwards: bool,
) -> list[StatementRow]:
    """Return statements of these wallets whose time lies between two instants, newest first, or backwards."""
    order, than = ("ASC", ">") if backwards else ("DESC", "<")
    where = Filter()
    where.values.append(list(wallet_ids))
    where.add("s.starts_at >= $", from_)
    where.add("s.ends_at <= $", to)
    where.add(f"s.id {than} $", place)
    rows = await tx.fetch(
        f"""
        SELECT {_COLUMNS} FROM unnest($1::uuid[]) AS w (id)
        CROSS JOIN LATERAL (
            SELECT {_COLUMNS} FROM account_statements AS s WHERE s.wallet_id = w.id AND {where}
            ORDER BY s.id {order} LIMIT {limit:d}) AS s
        ORDER BY s.id {order} LIMIT {limit:d}
        """,  # noqa: S608
        *where.values,
    )
    return [_statement(row) for row in rows]
