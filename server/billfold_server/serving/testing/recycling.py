"""Makes a tenant that was used into one that nobody has ever seen, in a fraction of the time that a new one takes.

To make a tenant is to run every migration, some hundreds of statements of DDL. So what a test leaves behind is made
pristine instead: its rows go, those that provisioning had made come back, and schema and roles get the names of
another tenant, with another id. Nothing that anybody remembers of the former one (tokens, keys, plans, what waits to
be done) is any of the new one's, and whoever is still at work for it finds neither role nor schema.

It needs the rights of the cluster's owner. That is the embedded database of a test run, and no other.
"""

import asyncio
from typing import Final
from uuid import UUID

import asyncpg
import msgspec

from billfold_server.tenancy.rules import PLATFORM_SCHEMA, TenantNames, quoted

__all__ = ["Pristine", "Recycler", "registered_anew"]

_KEPT: Final = "billfold_pristine"
"""The schema of what provisioning has put into tables."""
_BLOATED_BYTES: Final = 1024 * 1024
_LOCK_TIMEOUT_MS: Final = 5_000

_TABLES: Final = """
SELECT c.oid, quote_ident(c.relname) AS name, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS columns
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
WHERE c.relnamespace = to_regnamespace($1) AND c.relkind = 'r'
GROUP BY c.oid ORDER BY c.oid
"""
_RELATIONS: Final = """
SELECT array_agg(oid ORDER BY oid) FROM pg_catalog.pg_class
WHERE relnamespace = to_regnamespace($1) AND relkind IN ('r', 'p', 'S')
"""
_WRITTEN: Final = """
SELECT oid, pg_relation_size(oid) AS size FROM unnest($1::oid[]) AS oid WHERE pg_relation_size(oid) > 0
"""
_SEQUENCES: Final = """
SELECT quote_ident(sequencename) AS name FROM pg_catalog.pg_sequences
WHERE schemaname = $1 AND last_value IS NOT NULL
"""


class Pristine(msgspec.Struct, frozen=True):
    """A tenant's schema as provisioning has left it.

    Attributes:
        relations: Everything in it; whoever finds anything else there doesn't know it.
        tables: The name of each table, by its oid.
        restored: What brings the rows of a table back, by its oid, where it had any.
    """

    relations: list[int]
    tables: dict[int, str]
    restored: dict[int, str]


class Recycler:
    """Makes tenants pristine.

    Args:
        connection: Of the cluster's owner, to the tenants' database; nobody else uses it.
    """

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._connection = connection
        self._alone = asyncio.Lock()

    async def remember(self, names: TenantNames) -> Pristine:
        """Keep what is in the tables of a tenant that was just provisioned."""
        connection, schema = self._connection, quoted(names.schema)
        async with self._alone, connection.transaction():
            relations = await connection.fetchval(_RELATIONS, names.schema)
            rows = await connection.fetch(_TABLES, names.schema)
            written = {row["oid"] for row in await connection.fetch(_WRITTEN, [row["oid"] for row in rows])}
            await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {_KEPT}")
            restored = {}
            for row in (row for row in rows if row["oid"] in written):
                kept, columns = f"{_KEPT}.t{row['oid']}", row["columns"]
                source = f"SELECT {columns} FROM {schema}.{row['name']}"  # noqa: S608 - Names of the catalog's.
                await connection.execute(f"CREATE TABLE {kept} AS {source}")
                restored[row["oid"]] = (
                    f"INSERT INTO {row['name']} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {kept}"  # noqa: S608 - Names of the catalog's.
                )
        return Pristine(relations, {row["oid"]: row["name"] for row in rows}, restored)

    async def recycle(self, pristine: Pristine, old: TenantNames, new: TenantNames, registered: str) -> bool:
        """Make a tenant's schema pristine and give it to another tenant, or do nothing.

        Args:
            pristine: How it was at first.
            old: How schema and roles are called.
            new: How they are called then.
            registered: What is done in the registry together with it, as SQL.

        Returns:
            Whether it was done; if not, somebody has changed the schema itself.
        """
        async with self._alone:
            return await self._recycle(pristine, old, new, registered)

    async def _recycle(self, pristine: Pristine, old: TenantNames, new: TenantNames, registered: str) -> bool:
        connection, schema = self._connection, quoted(old.schema)
        every = ", ".join(f"{schema}.{name}" for name in pristine.tables.values())
        async with connection.transaction():
            # Whoever is still at it ends first; after that there is no such role or schema any longer.
            await connection.execute(f"SET LOCAL lock_timeout TO {_LOCK_TIMEOUT_MS}; LOCK TABLE {every}")
            if await connection.fetchval(_RELATIONS, old.schema) != pristine.relations:
                return False
            written = {row["oid"]: row["size"] for row in await connection.fetch(_WRITTEN, list(pristine.tables))}
            sequences = [row["name"] for row in await connection.fetch(_SEQUENCES, old.schema)]
            await connection.execute(
                "; ".join(
                    [
                        f"SET LOCAL search_path TO {schema}; SET LOCAL session_replication_role TO replica",
                        *(f"DELETE FROM {pristine.tables[oid]}" for oid in written),  # noqa: S608 - Names of the catalog's.
                        *(pristine.restored[oid] for oid in written if oid in pristine.restored),
                        *(f"ALTER SEQUENCE {name} RESTART" for name in sequences),
                        f"ALTER SCHEMA {schema} RENAME TO {quoted(new.schema)}",
                        f"ALTER ROLE {quoted(old.owner_role)} RENAME TO {quoted(new.owner_role)}",
                        f"ALTER ROLE {quoted(old.runtime_role)} RENAME TO {quoted(new.runtime_role)}",
                        f"SET LOCAL search_path TO {PLATFORM_SCHEMA}",
                        registered,
                    ]
                )
            )
        for oid in (oid for oid, size in written.items() if size > _BLOATED_BYTES):
            await connection.execute(f"VACUUM {quoted(new.schema)}.{pristine.tables[oid]}")
        return True


def registered_anew(old: UUID, new: UUID, slug: str) -> str:
    """Return the SQL by which the registry has another tenant in the place of one."""
    return f"""
    UPDATE registry SET revision = revision + 1 WHERE id = 1;
    INSERT INTO deleted_tenants (id, slug, revision, deleted_at)
    SELECT t.id, t.slug, r.revision, now() FROM tenants t, registry r WHERE t.id = '{old}';
    INSERT INTO tenants (id, slug, state, manifest, schema_version, revision, created_at, updated_at)
    SELECT '{new}', '{slug}', state, (manifest::jsonb || '{{"slug": "{slug}"}}')::text, schema_version,
        (SELECT revision FROM registry), now(), now()
    FROM tenants WHERE id = '{old}';
    DELETE FROM tenant_wakeups WHERE tenant_id = '{old}';
    DELETE FROM tenants WHERE id = '{old}'
    """  # noqa: S608 - Ids and a slug of our own making.
