"""The months of a tenant's ledger, each with partitions of its own.

An entry's id is made of the instant at which it was recorded, so a month is a range of ids. Whatever lies in no month's
range is taken by the default partitions, so that a write never fails for want of a month; it is moved when the month is
made.

Everything here runs as the owner of the tenant's schema, in a transaction whose search path is that schema.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from typing import Final
from uuid import UUID

import asyncpg
import msgspec

from billfold import ids
from billfold_server.tenancy.rules import quoted
from billfold_server.tenancy.transaction import Tx

__all__ = [
    "AHEAD",
    "AT_FIRST",
    "DetachedMonth",
    "Partition",
    "bounds",
    "default_months",
    "detached_months",
    "let_erase",
    "list_partitions",
    "make",
    "missing",
    "month_of",
    "months_from",
    "next_month",
    "partition_name",
    "schemas_lacking",
]

AHEAD: Final = 3
"""How many months are made ahead of the present one."""

AT_FIRST: Final = 1
"""How many of them a new ledger begins with: each costs nine relations, and there is time for the others."""

_KEYS: Final = {"journal_entries": "id", "postings": "entry_id"}
"""The tables that are partitioned, each with the column by which it is."""

_LAST_MONTH: Final = 12


_DETACHED: Final = """
SELECT to_date(substring(c.relname FROM '[0-9]{4}_[0-9]{2}$'), 'YYYY_MM') AS month,
    has_any_column_privilege(coalesce($1::name, current_user), c.oid, 'UPDATE') AS erasable
FROM pg_catalog.pg_class AS c
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND NOT c.relispartition
    AND c.relname ~ '^journal_entries_[0-9]{4}_[0-9]{2}$'
ORDER BY c.relname
"""


class DetachedMonth(msgspec.Struct, frozen=True):
    """A month that has left the ledger without an archive, and stays as two tables of the owner's.

    Attributes:
        month: Its first day.
        erasable: Whether a role may erase what people have written of its entries.
    """

    month: date
    erasable: bool

    @property
    def journal_entries(self) -> str:
        """The table of its entries."""
        return partition_name("journal_entries", self.month)

    @property
    def postings(self) -> str:
        """The table of their postings."""
        return partition_name("postings", self.month)


class Partition(msgspec.Struct, frozen=True, kw_only=True):
    """What a ledger keeps of one month.

    Attributes:
        month: ``2026-11``; ``rest`` for what lies in no month that has been made.
        journal_entries: How many there are.
        bytes: What entries and postings take on disk, with their indexes.
    """

    month: str
    journal_entries: int
    bytes: int


def month_of(instant: datetime) -> date:
    """Return the first day of the month in which an instant lies, in UTC."""
    return instant.astimezone(UTC).date().replace(day=1)


def next_month(month: date) -> date:
    """Return the first day of the month that follows."""
    return date(month.year + month.month // _LAST_MONTH, month.month % _LAST_MONTH + 1, 1)


def months_from(first: date, ahead: int) -> list[date]:
    """Return a month and so many that follow."""
    months = [first]
    while len(months) <= ahead:
        months.append(next_month(months[-1]))
    return months


def partition_name(table: str, month: date) -> str:
    """Return what a table's partition of a month is called."""
    return f"{table}_{month:%Y_%m}"


def bounds(month: date) -> tuple[UUID, UUID]:
    """Return the first id that belongs to a month, and the first that no longer does."""
    first, after = (datetime(each.year, each.month, 1, tzinfo=UTC) for each in (month, next_month(month)))
    return ids.first_at(first), ids.first_at(after)


async def missing(tx: Tx, months: Iterable[date]) -> list[date]:
    """Return those of the months that have no partitions yet."""
    rows = await tx.fetch(
        "SELECT c.relname FROM pg_catalog.pg_inherits AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid "
        "WHERE i.inhparent = 'postings'::regclass"
    )
    there = {row["relname"] for row in rows}
    return [month for month in months if partition_name("postings", month) not in there]


async def default_months(tx: Tx, *, until: date) -> list[date]:
    """Return the months of which something lies in the default partitions, none after ``until``."""
    found: set[date] = set()
    for table, key in _KEYS.items():
        # Each step goes down the index to the first row of the next month.
        query = f"SELECT {key} FROM {table}_rest WHERE {key} >= $1 ORDER BY {key} LIMIT 1"  # noqa: S608 - constants
        first, end = ids.first_at(datetime(1970, 1, 1, tzinfo=UTC)), bounds(until)[1]
        while (row := await tx.fetchval(query, first)) is not None and row < end:
            month = month_of(ids.instant_of(row))
            found.add(month)
            first = bounds(month)[1]
    return sorted(found)


async def make(tx: Tx, months: Sequence[date], *, moved: Iterable[date] = ()) -> None:
    """Make the partitions of months.

    Args:
        tx: As the owner of the schema.
        months: Which ones; they have none yet.
        moved: Those of them of which something lies in the default partitions. It is moved, which takes as long as
            copying it, and meanwhile nothing is posted.
    """
    if not months:
        return
    with_rows = set(moved)
    statements = [
        _create(table, month) if month not in with_rows else _move(table, key, month)
        for month in months
        for table, key in _KEYS.items()
    ]
    # Who posts holds this row to the end, so nobody is in the middle of writing what is moved.
    await tx.execute("; ".join(["SELECT FROM ledger_head WHERE id = 1 FOR UPDATE", *statements]))


def _create(table: str, month: date) -> str:
    first, after = bounds(month)
    name = quoted(partition_name(table, month))
    return f"CREATE TABLE {name} PARTITION OF {table} FOR VALUES FROM ('{first}') TO ('{after}')"


def _move(table: str, key: str, month: date) -> str:
    first, after = bounds(month)
    name = quoted(partition_name(table, month))
    columns = _COLUMNS[table]
    return f"""
        CREATE TABLE {name} (LIKE {table} INCLUDING ALL);
        WITH moved AS (
            DELETE FROM {table}_rest WHERE {key} >= '{first}' AND {key} < '{after}' RETURNING {columns})
        INSERT INTO {name} ({columns}) SELECT {columns} FROM moved;
        ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{first}') TO ('{after}')
    """  # noqa: S608 - constants, and names and bounds that follow from a date


_COLUMNS: Final = {
    "journal_entries": (
        "id, sequence, kind, description, reverses, hold_id, effective_at, effective_high, recorded_at, metadata, "
        "text_salt, text_commitment"
    ),
    "postings": ("entry_id, line, account_id, amount_minor, currency, posted_after_minor, effective_at, late_class"),
}


async def detached_months(tx: Tx, role: str | None = None) -> list[DetachedMonth]:
    """Return the months that were detached and stay in the database, oldest first.

    Args:
        tx: In the tenant's schema.
        role: Of whom it is told what may be erased; of who asks where it is absent.
    """
    return [DetachedMonth(row["month"], row["erasable"]) for row in await tx.fetch(_DETACHED, role)]


async def let_erase(tx: Tx, runtime: str) -> None:
    """Let the role that serves requests erase what people have written of entries whose months were detached.

    Of all else that is in these tables it sees whose account an entry is on, and no more.

    Args:
        tx: As the owner of the schema.
        runtime: The role.
    """
    role = quoted(runtime)
    statements = [
        f"GRANT SELECT (entry_id, account_id) ON {each.postings} TO {role}; "
        f"GRANT SELECT (id, text_salt), UPDATE (description, metadata, text_salt) ON {each.journal_entries} TO {role}"
        for each in await detached_months(tx, runtime)
        if not each.erasable
    ]
    if statements:
        await tx.execute("; ".join(statements))


async def list_partitions(tx: Tx) -> list[Partition]:
    """Return what there is of each month, oldest first, and the rest last.

    Entries are counted by the places of the first and the last, since the journal has no gaps.
    """
    rows = await tx.fetch(
        """
        SELECT regexp_replace(c.relname, '^(journal_entries|postings)_', '') AS month,
            sum(pg_catalog.pg_total_relation_size(c.oid))::bigint AS bytes
        FROM pg_catalog.pg_inherits AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent IN ('journal_entries'::regclass, 'postings'::regclass)
        GROUP BY 1 ORDER BY 1
        """
    )
    return [
        Partition(
            month=row["month"].replace("_", "-"), journal_entries=await _entries(tx, row["month"]), bytes=row["bytes"]
        )
        for row in rows
    ]


async def _entries(tx: Tx, month: str) -> int:
    table = quoted(f"journal_entries_{month}")
    if month == "rest":
        # What lies there may be of several months that don't follow each other, and it is never much.
        count: int = await tx.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608 - a name from the catalog, quoted
        return count
    ends = [
        await tx.fetchval(f"SELECT sequence FROM {table} ORDER BY id {order} LIMIT 1")  # noqa: S608 - as above
        for order in ("ASC", "DESC")
    ]
    return 0 if None in ends else int(ends[1] - ends[0] + 1)


async def schemas_lacking(
    connection: "asyncpg.Connection[asyncpg.Record] | Tx", schemas: Sequence[str], months: Sequence[date]
) -> set[str]:
    """Return those of some tenants' schemas that lack one of the months; anybody may ask."""
    rows = await connection.fetch(
        """
        SELECT n.nspname FROM pg_catalog.pg_namespace AS n
        WHERE n.nspname = ANY($1::text[]) AND cardinality($2::text[]) > (
            SELECT count(*) FROM pg_catalog.pg_class AS c
            WHERE c.relnamespace = n.oid AND c.relispartition AND c.relname = ANY($2::text[]))
        """,
        list(schemas),
        [partition_name("postings", month) for month in months],
    )
    return {row["nspname"] for row in rows}
