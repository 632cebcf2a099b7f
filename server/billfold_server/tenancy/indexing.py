"""Indexes of tables that have grown: built beside whoever writes, before the migration that asks for them.

Within a transaction an index keeps every writer of its table out for as long as it is built, which is minutes where
there are a hundred million rows. ``CREATE INDEX CONCURRENTLY`` keeps out nobody, and can't be part of a transaction.
What is small is indexed by the migration itself: that takes no time, and needn't wait, as building beside others does,
until every transaction of the database that was open has ended. So are tables in partitions, of which PostgreSQL can't
build an index beside writers.
"""

from collections.abc import Mapping
from typing import Final

from billfold_server.tenancy.roles import AdminConnection
from billfold_server.tenancy.rules import create_index, indexed_table, quoted

__all__ = ["GROWN_BYTES", "build"]

GROWN_BYTES: Final = 16 * 1024 * 1024
"""From which size on a table has grown: that much is indexed within a few tenths of a second."""

_STANDING: Final = """
SELECT coalesce(pg_relation_size(to_regclass($2)), 0) > $3 AS grown,
    (SELECT indisvalid FROM pg_catalog.pg_index WHERE indexrelid = to_regclass($1)) AS valid
"""


async def build(connection: AdminConnection, owner: str, schema: str, indexes: Mapping[str, str]) -> None:
    """Build those of a migration's indexes that are lacking on tables that have grown.

    No time-out holds here: nobody waits behind this, and to begin anew would cost what was done. What somebody was
    killed at is there and unusable; it is taken away first.

    Args:
        connection: The administrator's, outside of any transaction.
        owner: The role to whom the schema belongs.
        schema: The schema.
        indexes: On what, by the index's name: ``{"notes_by_day": "notes (day, id)"}``.

    Raises:
        asyncpg.PostgresError: PostgreSQL refuses one. Those before it are built.
    """
    if not indexes:
        return
    await connection.execute(f"SET ROLE {quoted(owner)}")
    try:
        for name, definition in indexes.items():
            index, table = (f"{quoted(schema)}.{quoted(each)}" for each in (name, indexed_table(definition)))
            standing = await connection.fetchrow(_STANDING, index, table, GROWN_BYTES)
            assert standing is not None
            if standing["valid"] is False:
                await connection.execute(f"DROP INDEX CONCURRENTLY {index}")
            if standing["grown"] and not standing["valid"]:
                await connection.execute(create_index(name, definition, beside_writers_of=schema))
    finally:
        if not connection.is_closed():
            await connection.execute("RESET ROLE")
