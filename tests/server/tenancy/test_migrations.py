"""Migrations of tenants' schemas: all of them, several at a time, and on from wherever they stopped."""

import asyncio
import hashlib
import importlib
import json
import re
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from billfold import errors
from billfold_server.tenancy import indexing, migrations
from billfold_server.tenancy.context import SYSTEM
from billfold_server.tenancy.migrations import SqlMigration
from billfold_server.tenancy.migrations import tenant as tenant_package
from billfold_server.tenancy.rules import create_index
from billfold_server.tenancy.service import Migrated
from tests.postgres import WAITS
from tests.tenants import Tenancy, manifest

STEP = """
from billfold_server.tenancy.migrations import SqlMigration

async def forwards():
    return SqlMigration(
        migration_id="{name}", app_name="tenant", description="A step of a test",
        statements={statements!r}, grants={grants!r}, indexes={indexes!r},
    )
"""

Write = Callable[..., None]
Migrating = asyncio.Task[list[Migrated]]

DEADLINE_S = 30
DIGESTS = Path(__file__).with_name("migrations.json")
WITHIN = {
    # Of tables that stay small: what people, clients and partners are, and not what they do.
    "tenant_0031_partners: api_clients_partner_id of api_clients",
    "tenant_0031_partners: users_partner_id of users",
    "tenant_0031_partners: webhook_endpoints_partner_id of webhook_endpoints",
    "tenant_0047_blocks_of_third_parties: blocked_third_parties_of_directories of blocked_third_parties",
    "tenant_0051_blocks_of_organisations: blocked_third_parties_of_clients of blocked_third_parties",
    # From before indexes were built beside writers.
    "tenant_0016_consent_grants: grants_consent_id of grants",
    # Of a table in partitions, of which PostgreSQL can't build one beside writers.
    "tenant_0038_transfers_written_once: journal_entries_other_kinds of journal_entries",
}
"""Indexes of older tables that are built within their step, as deployments have run it."""
APPS: tuple[migrations.App, ...] = ("platform", "tenant")


@pytest.fixture
def write(tmp_path: Path) -> Iterator[Write]:
    """Return a function that adds a migration of tenants, for as long as the test runs."""
    names: list[str] = []

    def add(name: str, *statements: str, indexes: Mapping[str, str] | None = None, **grants: str) -> None:
        text = STEP.format(name=name, statements=statements, grants=grants, indexes=indexes)
        (tmp_path / f"{name}.py").write_text(text)
        names.append(name)
        sys.modules.pop(f"{tenant_package.__name__}.{name}", None)
        importlib.invalidate_caches()
        migrations.load.cache_clear()

    tenant_package.__path__.append(str(tmp_path))
    yield add
    tenant_package.__path__.remove(str(tmp_path))
    for name in names:
        sys.modules.pop(f"{tenant_package.__name__}.{name}", None)
    migrations.load.cache_clear()


async def runs(tenancy: Tenancy, schema: str) -> list[str]:
    """Return which migrations a schema says that it has, in the order in which they ran."""
    connection = await asyncpg.connect(tenancy.admin_dsn)
    try:
        return [row["name"] for row in await connection.fetch(f"SELECT name FROM {schema}.migration ORDER BY id")]  # noqa: S608
    finally:
        await connection.close()


def _step(app: migrations.App, name: str) -> SqlMigration:
    found: SqlMigration = asyncio.run(importlib.import_module(f"{migrations.__name__}.{app}.{name}").forwards())
    return found


_INDEX = re.compile(r"CREATE (?:UNIQUE )?INDEX (?:IF NOT EXISTS )?(\w+)\s+ON (?:ONLY )?(\w+)")


def _indexed(sql: str) -> Iterator[tuple[list[str], tuple[str, str]]]:
    """Yield each index that statements make and the table that it is of, with the tables that they make."""
    made = re.findall(r"CREATE TABLE (?:IF NOT EXISTS )?(\w+)", sql)
    yield from (
        (made, found)
        for found in re.findall(r"CREATE (?:UNIQUE )?INDEX (?:IF NOT EXISTS )?(\w+)\s+ON (?:ONLY )?(\w+)", sql)
    )


def digest(app: migrations.App, name: str) -> str:
    """Return the digest of what a step does, whatever it says of itself."""
    step = _step(app, name)
    does = [step.statements, sorted(step.grants.items()), sorted(step.indexes.items())]
    return hashlib.sha256(json.dumps(does).encode()).hexdigest()


class TestTheMigrations:
    @pytest.mark.parametrize("app", ["platform", "tenant"])
    def test_have_one_numbered_file_per_step(self, app: migrations.App) -> None:
        """Numbers count up without a gap or a double, so that two rooms can't take the same place."""
        numbers = [int(name.split("_")[1]) for name in migrations.load(app)]
        assert numbers == sorted(set(numbers))

    def test_stay_as_deployments_have_run_them(self) -> None:
        """Whoever has run a step doesn't run it again: what is to change is changed by another one."""
        kept = json.loads(DIGESTS.read_text())
        found = {name: digest(app, name) for app in APPS for name in migrations.load(app)}
        assert kept == found, f"{DIGESTS.name} keeps digests of all steps: add new ones, and change none"

    def test_build_indexes_of_older_tables_beside_writers(self) -> None:
        """Among the statements of a step, an index keeps its table's writers out for as long as it is built."""
        found = {
            f"{name}: {index} of {table}"
            for name in migrations.load("tenant")
            for made, (index, table) in _indexed("\n".join(_step("tenant", name).statements))
            if table not in made
        }
        assert found == WITHIN, "a step's indexes of tables that it hasn't made are its `indexes`"

    async def test_are_all_in_the_schema_of_a_new_tenant(self, tenancy: Tenancy) -> None:
        """Its version is the newest, and the registry knows."""
        assert await runs(tenancy, tenancy.tenant.schema) == list(migrations.load("tenant"))
        assert (await tenancy.tenants.get("testbank")).schema_version == migrations.newest("tenant")

    async def test_give_every_table_a_primary_key(self, tenancy: Tenancy) -> None:
        """Replication and clusters need one on each table, also those of the platform."""
        connection = await asyncpg.connect(tenancy.admin_dsn)
        without = await connection.fetch(
            "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE c.relkind IN ('r', 'p') AND n.nspname = ANY($1) "
            "AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)",
            [tenancy.tenant.schema, "billfold_platform"],
        )
        await connection.close()
        assert without == []

    async def test_use_nothing_that_a_cluster_of_machines_cannot_carry(self, tenancy: Tenancy) -> None:
        """No trigger of our own, no deferred constraint, no SECURITY DEFINER function and no foreign schema."""
        connection = await asyncpg.connect(tenancy.admin_dsn)
        row = await connection.fetchrow(
            "SELECT (SELECT count(*) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
            "  WHERE NOT t.tgisinternal AND c.relnamespace = n.oid) AS triggers, "
            "(SELECT count(*) FROM pg_constraint WHERE connamespace = n.oid AND condeferrable) AS deferrable, "
            "(SELECT count(*) FROM pg_proc WHERE pronamespace = n.oid AND prosecdef) AS definers, "
            "(SELECT count(*) FROM pg_constraint f JOIN pg_class c ON c.oid = f.confrelid "
            "  WHERE f.connamespace = n.oid AND f.contype = 'f' AND c.relnamespace <> n.oid) AS outside "
            "FROM pg_namespace n WHERE n.nspname = $1",
            tenancy.tenant.schema,
        )
        await connection.close()
        assert row is not None
        assert dict(row) == {"triggers": 0, "deferrable": 0, "definers": 0, "outside": 0}

    async def test_give_the_runtime_role_no_table_to_own(self, tenancy: Tenancy) -> None:
        """Every table belongs to the owner role."""
        connection = await asyncpg.connect(tenancy.admin_dsn)
        owners = await connection.fetch(
            "SELECT DISTINCT pg_get_userbyid(relowner) AS owner FROM pg_class WHERE relnamespace = to_regnamespace($1)",
            tenancy.tenant.schema,
        )
        await connection.close()
        assert [row["owner"] for row in owners] == [tenancy.tenant.owner_role]


class TestMigratingAllTenants:
    async def test_brings_each_to_the_newest_version(self, tenancy: Tenancy, write: Write) -> None:
        """Each schema gets the step once, with its grants, and progress is told as it is made."""
        for number in range(5):
            await tenancy.add(f"bank{number}")
        write("tenant_9001_more", "CREATE TABLE more (id integer PRIMARY KEY)", more="SELECT, INSERT")
        told: list[str] = []
        results = await tenancy.tenants.migrate(progress=lambda result: told.append(result.slug), concurrency=3)
        assert {result.schema_version for result in results} == {"tenant_9001_more"}
        assert sorted(told) == [record.slug for record in await tenancy.tenants.everyone()]
        for record in await tenancy.tenants.everyone():
            assert record.schema_version == "tenant_9001_more"
            async with tenancy.database.tx(await tenancy.registry.get(record.slug)) as tx:
                await tx.execute("INSERT INTO more (id) VALUES (1)")
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await tx.execute("DELETE FROM more")
                await tx.connection.execute("ROLLBACK; BEGIN")

    async def test_goes_on_where_it_failed(self, tenancy: Tenancy, write: Write) -> None:
        """One tenant fails in the second of three steps; the others are done, and its own first step stays."""
        odd = await tenancy.add("odd")
        await tenancy.add("even")
        write("tenant_9001_first", "CREATE TABLE first (id integer PRIMARY KEY)")
        write("tenant_9002_second", "CREATE TABLE half (id integer PRIMARY KEY)", "CREATE TABLE second (id integer)")
        write("tenant_9003_third", "CREATE TABLE third (id integer PRIMARY KEY)")
        await tenancy.as_owner(odd, "CREATE TABLE second (id integer)")
        results = {result.slug: result for result in await tenancy.tenants.migrate()}
        assert results["odd"].error is not None
        assert {results[slug].schema_version for slug in ("even", "testbank")} == {"tenant_9003_third"}
        # The failed step left nothing, not even the statement that had succeeded.
        assert (await runs(tenancy, odd.schema))[-1] == "tenant_9001_first"
        await tenancy.as_owner(odd, "DROP TABLE second")
        again = {result.slug: result for result in await tenancy.tenants.migrate()}
        assert {result.error for result in again.values()} == {None}
        assert (await runs(tenancy, odd.schema))[-3:] == [
            "tenant_9001_first",
            "tenant_9002_second",
            "tenant_9003_third",
        ]

    async def test_by_two_processes_at_once_runs_each_step_once(self, tenancy: Tenancy, write: Write) -> None:
        """The second one waits, and finds nothing to do."""
        write("tenant_9001_more", "CREATE TABLE more (id integer PRIMARY KEY)")
        both = await asyncio.gather(tenancy.tenants.migrate(), tenancy.tenants.migrate())
        assert [[result.error for result in results] for results in both] == [[None], [None]]
        assert (await runs(tenancy, tenancy.tenant.schema)).count("tenant_9001_more") == 1

    async def test_lets_readers_pass_while_it_waits_for_a_lock(self, tenancy: Tenancy, write: Write) -> None:
        """A step that can't have its lock gives way again and again, and is done once the lock is free."""
        write("tenant_9001_table", "CREATE TABLE busy (id integer PRIMARY KEY)", busy="SELECT")
        await tenancy.tenants.migrate()
        write("tenant_9002_column", "ALTER TABLE busy ADD COLUMN note text")
        holder = await asyncpg.connect(tenancy.admin_dsn)
        await holder.execute(f"BEGIN; LOCK TABLE {tenancy.tenant.schema}.busy IN ACCESS SHARE MODE")
        migrating = asyncio.create_task(tenancy.tenants.migrate())
        # A reader that comes while the step waits stands behind it, but not for longer than the step's time-out.
        async with asyncio.timeout(30):
            while not await holder.fetchval(WAITS):
                await asyncio.sleep(0.01)
        async with tenancy.database.tx(tenancy.tenant, lock_timeout_ms=8_000) as tx:
            assert await tx.fetch("SELECT id FROM busy") == []
        assert not migrating.done()
        await holder.close()
        assert [result.error for result in await migrating] == [None]

    async def test_passes_over_tenants_without_a_schema(self, tenancy: Tenancy) -> None:
        """What is still being provisioned gets its migrations then."""
        await tenancy.tenants._write(manifest("unfinished"), SYSTEM)
        assert [result.slug for result in await tenancy.tenants.migrate()] == ["testbank"]

    async def test_of_one_that_is_unknown_is_refused(self, tenancy: Tenancy) -> None:
        """Before anything is changed."""
        with pytest.raises(errors.UnknownTenant):
            await tenancy.tenants.migrate(["testbank", "nobody"])


@pytest_asyncio.fixture
async def grown(tenancy: Tenancy, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the tenant have a table that counts as one that has grown, and the next version an index of it."""
    monkeypatch.setattr(indexing, "GROWN_BYTES", 0)
    write("tenant_9001_notes", "CREATE TABLE notes (id integer PRIMARY KEY)", notes="SELECT, INSERT")
    await tenancy.tenants.migrate()
    await note(tenancy, 0)
    write("tenant_9002_index", indexes={"notes_backwards": "notes (id DESC) WHERE id >= 0"})


async def note(tenancy: Tenancy, number: int) -> None:
    """Write into the table that is indexed."""
    async with tenancy.database.tx(tenancy.tenant, lock_timeout_ms=8_000) as tx:
        await tx.execute("INSERT INTO notes (id) VALUES ($1)", number)


async def is_valid(tenancy: Tenancy) -> bool | None:
    """Return whether the index can be used; None where there is none."""
    sql = "SELECT (SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1))"
    valid: bool | None = await asked(tenancy, sql, f"{tenancy.tenant.schema}.notes_backwards")
    return valid


async def asked(tenancy: Tenancy, sql: str, *arguments: object) -> Any:
    """Return what the administrator is answered."""
    connection = await asyncpg.connect(tenancy.admin_dsn)
    try:
        return await connection.fetchval(sql, *arguments)
    finally:
        await connection.close()


@asynccontextmanager
async def building(tenancy: Tenancy) -> AsyncIterator[tuple[Migrating, int]]:
    """Migrate while a writer's transaction is open, which the index waits for; yield this, and who it is that waits."""
    holder = await asyncpg.connect(tenancy.admin_dsn)
    try:
        await holder.execute(f"BEGIN; LOCK TABLE {tenancy.tenant.schema}.notes IN ROW EXCLUSIVE MODE")
        migrating = asyncio.create_task(tenancy.tenants.migrate())
        async with asyncio.timeout(DEADLINE_S):
            # Within a transaction it would be told the same of others again and again.
            while not (found := await asked(tenancy, _BUILDER)):
                await asyncio.sleep(0.01)
        yield migrating, found
    finally:
        await holder.close()


_BUILDER = """
SELECT a.pid FROM pg_stat_activity AS a JOIN pg_locks AS l ON l.pid = a.pid
WHERE a.query LIKE 'CREATE INDEX CONCURRENTLY%notes_backwards%' AND NOT l.granted
    AND a.datname = current_database()
"""


@pytest.mark.usefixtures("grown")
class TestAnIndexOfATableThatHasGrown:
    async def test_is_built_while_others_write(self, tenancy: Tenancy) -> None:
        """It waits for the writers who were there, and those who come meanwhile don't wait for it."""
        async with building(tenancy) as (migrating, _):
            for number in range(1, 20):
                await note(tenancy, number)
            assert not migrating.done()
        assert [result.error for result in await migrating] == [None]
        assert await is_valid(tenancy)
        assert (await runs(tenancy, tenancy.tenant.schema))[-1] == "tenant_9002_index"

    async def test_is_built_anew_where_that_was_cut_off(self, tenancy: Tenancy) -> None:
        """What is left of the first attempt can't be used, and is taken away by the next."""
        async with building(tenancy) as (migrating, builder):
            await asked(tenancy, "SELECT pg_cancel_backend($1)", builder)
            (failed,) = await migrating
        assert (failed.error is None, await is_valid(tenancy)) == (False, False)
        assert [result.error for result in await tenancy.tenants.migrate()] == [None]
        assert await is_valid(tenancy)

    async def test_may_be_unique(self, tenancy: Tenancy, write: Write) -> None:
        """Built beside writers or within the step, it takes no row twice."""
        write("tenant_9003_once", indexes={"notes_once": "UNIQUE notes ((id % 100)) WHERE id >= 0"})
        assert [result.error for result in await tenancy.tenants.migrate()] == [None]
        with pytest.raises(asyncpg.UniqueViolationError):
            await note(tenancy, 100)
        step = create_index("notes_once", "UNIQUE notes (id)")
        assert step == 'CREATE UNIQUE INDEX "notes_once" ON notes (id)'

    async def test_is_built_once_by_two_processes(self, tenancy: Tenancy) -> None:
        """Who waits for the other is no transaction whose end the other would wait for."""
        async with building(tenancy) as (first, _):
            second = asyncio.create_task(tenancy.tenants.migrate())
            async with asyncio.timeout(DEADLINE_S):
                while not await asked(tenancy, _ADMINS):
                    await asyncio.sleep(0.01)
        assert [[each.error for each in await results] for results in (first, second)] == [[None], [None]]
        assert await is_valid(tenancy)
        assert (await runs(tenancy, tenancy.tenant.schema)).count("tenant_9002_index") == 1


_ADMINS = """
SELECT 1 FROM pg_stat_activity
WHERE query LIKE '%advisory_lock%' AND application_name = 'billfold admin' AND datname = current_database()
"""
