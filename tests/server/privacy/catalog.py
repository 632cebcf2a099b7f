"""What a migrated tenant's tables really are, as PostgreSQL's catalog tells."""

import asyncpg

from tests.tenants import Tenancy

__all__ = ["columns_of"]

_COLUMNS = """
SELECT c.relname AS table, a.attname AS column
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND NOT c.relispartition
ORDER BY 1, a.attnum
"""


async def columns_of(tenancy: Tenancy) -> list[tuple[str, str]]:
    """Return every column of every table in the tenant's schema; a partition has its parent's."""
    connection = await asyncpg.connect(tenancy.admin_dsn)
    try:
        rows = await connection.fetch(_COLUMNS, tenancy.tenant.schema)
    finally:
        await connection.close()
    return [(row["table"], row["column"]) for row in rows]
