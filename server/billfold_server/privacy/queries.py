"""The queries of the inventory, over tables of all rooms. Names of tables and columns come from the inventory alone."""

from collections.abc import Mapping, Sequence
from typing import Final

from billfold_server.tenancy.transaction import TenantTx

__all__ = ["COUNTED", "Count", "count_columns"]

COUNTED: Final = 20_000
"""Tables that seem larger than this aren't read through to count."""

Count = tuple[int, bool]
"""How many rows hold something in a column, and whether that is an estimate."""


def _quoted(name: str) -> str:
    """Return an identifier as SQL takes it."""
    return '"' + name.replace('"', '""') + '"'


_SIZES: Final = """
SELECT c.relname AS table, CASE WHEN c.relkind = 'p' THEN (
        SELECT coalesce(sum(greatest(p.reltuples, 0)), 0)::bigint
        FROM pg_catalog.pg_inherits AS i JOIN pg_catalog.pg_class AS p ON p.oid = i.inhrelid WHERE i.inhparent = c.oid
    ) ELSE greatest(c.reltuples, 0)::bigint END AS rows
FROM pg_catalog.pg_class AS c
WHERE c.relnamespace = $1::text::regnamespace AND c.relname = ANY($2::text[])
"""


async def count_columns(tx: TenantTx, columns: Mapping[str, Sequence[str]]) -> dict[tuple[str, str], Count]:
    """Return how many rows of tables hold something in some of their columns: one query for each table.

    Args:
        tx: The tenant's transaction.
        columns: The columns, by table.
    """
    rows = await tx.fetch(_SIZES, _quoted(tx.tenant.schema), list(columns))
    sizes = {row["table"]: row["rows"] for row in rows}
    found: dict[tuple[str, str], Count] = {}
    for table, names in columns.items():
        estimated = sizes.get(table, 0) > COUNTED
        counts = ", ".join(f"count({_quoted(name)})" for name in names)
        part = f"(SELECT {', '.join(map(_quoted, names))} FROM {_quoted(table)} LIMIT {COUNTED + 1:d})"  # noqa: S608
        row = await tx.fetchrow(f"SELECT count(*), {counts} FROM {part} AS some_rows")  # noqa: S608
        assert row is not None
        read, *filled = row
        # Of a table whose size PostgreSQL hasn't looked at yet, no more is known than that it is larger than that.
        whole = max(sizes.get(table, 0), read)
        estimated = estimated or read > COUNTED
        for name, number in zip(names, filled, strict=True):
            found[table, name] = (round(number * whole / read) if estimated and read else number, estimated)
    return found
