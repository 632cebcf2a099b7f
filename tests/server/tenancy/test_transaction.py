"""The tenant transaction against PostgreSQL: what it sees, what it refuses, and what it leaves behind (nothing)."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from billfold import errors
from billfold_server.db.engine import ENGINE, NestedTransactionError, NoTransactionError
from billfold_server.db.pools import Login
from billfold_server.tenancy.transaction import Database, TenantTx
from tests.tenants import SECRET, Tenancy

NOTES = "CREATE TABLE notes (id integer PRIMARY KEY, body text NOT NULL)"
DEFERRED = "CREATE TABLE pairs (id integer PRIMARY KEY, other integer REFERENCES pairs DEFERRABLE INITIALLY DEFERRED)"
GRANTS = "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {{runtime}}"


@pytest_asyncio.fixture
async def bank(tenancy: Tenancy) -> AsyncIterator[Tenancy]:
    """Return a tenancy whose tenant has two small tables."""
    await tenancy.as_owner(tenancy.tenant, NOTES, DEFERRED, GRANTS.format(schema=tenancy.tenant.schema))
    yield tenancy
    await tenancy.database.settle()


LEFT = """SELECT current_user::text = session_user::text AS own_role, current_setting('search_path') AS path,
    current_setting('lock_timeout') AS lock_timeout,
    (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) AS locks,
    to_regclass('pg_temp.left_behind')::text AS temporary,
    (SELECT count(*) FROM pg_cursors WHERE is_holdable) AS cursors,
    (SELECT count(*) FROM pg_stat_activity WHERE usename = session_user AND datname = current_database()
    AND state LIKE 'idle in tr%') AS open"""


async def leftovers(tenancy: Tenancy) -> dict[str, Any]:
    """Return what is left of a transaction: in the pool's sessions, in the pool itself, and in the caller's context."""
    await tenancy.database.settle()
    in_context = False
    with contextlib.suppress(NoTransactionError):
        in_context = ENGINE.open_transaction().open
    lease = await tenancy.database.pools.acquire(Login(tenancy.tenant.id.hex))
    try:
        until = time.monotonic() + 30
        # A session whose connection was closed in the middle of a query hears of it when that is over.
        while (found := (await lease.connection.fetch(LEFT))[0])["open"] and time.monotonic() < until:
            await asyncio.sleep(0.02)
    finally:
        await tenancy.database.pools.release(lease)
    return {**found, "in_context": in_context, "on_loan": tenancy.database.pools.on_loan}


CLEAN = {
    "own_role": True,
    "path": "",
    "lock_timeout": "0",
    "locks": 0,
    "temporary": None,
    "cursors": 0,
    "open": 0,
    "in_context": False,
    "on_loan": 0,
}


class TestATransaction:
    """What a transaction of a tenant is."""

    async def test_has_the_tenants_role_and_its_schema_alone(self, tenancy: Tenancy) -> None:
        """Role and search path are the tenant's."""
        async with tenancy.database.tx(tenancy.tenant) as tx:
            row = await tx.fetchrow("SELECT current_user::text AS role, current_schemas(false)::text[] AS path")
        assert row is not None
        assert row["role"] == tenancy.tenant.runtime_role
        assert row["path"] == [tenancy.tenant.schema]

    async def test_commits_when_the_block_ends(self, bank: Tenancy) -> None:
        """What was written is there for the next transaction."""
        async with bank.database.tx(bank.tenant) as tx:
            await tx.execute("INSERT INTO notes (id, body) VALUES ($1, $2)", 1, "kept")
        async with bank.database.tx(bank.tenant) as tx:
            assert await tx.fetchval("SELECT body FROM notes WHERE id = 1") == "kept"
        assert await leftovers(bank) == CLEAN

    async def test_begins_in_one_round_trip(self, bank: Tenancy) -> None:
        """BEGIN, role, search path, time-outs and the caller's own SQL are one message."""
        sent: list[str] = []
        lease = await bank.database.pools.acquire(Login(bank.tenant.id.hex))
        lease.connection.add_query_logger(lambda query: sent.append(query.query))
        await bank.database.pools.release(lease)
        async with bank.database.tx(bank.tenant, begin_sql="SET LOCAL work_mem TO '8MB'") as tx:
            assert await tx.fetchval("SELECT current_setting('work_mem')") == "8MB"
        assert [query.split(";")[0] for query in sent] == [
            "BEGIN",
            "SELECT current_setting('work_mem')",
            sent[2].split(";")[0],
        ]
        assert "COMMIT" in sent[2]

    async def test_runs_piccolo_queries_on_its_connection(self, bank: Tenancy) -> None:
        """A query of Piccolo's sees what the transaction has written and nobody else can see yet."""
        from tests.server.tenancy.notes import Notes  # noqa: PLC0415 - the table exists in this test's schema alone

        async with bank.database.tx(bank.tenant) as tx:
            await tx.execute("INSERT INTO notes (id, body) VALUES (7, 'uncommitted')")
            assert await Notes.select(Notes.body).where(Notes.id == 7).first() == {"body": "uncommitted"}
            async with await Notes.select().batch(batch_size=1) as batch:
                sizes = [len(rows) async for rows in batch]
        assert sizes == [1]

    async def test_of_a_snapshot_sees_one_moment_and_only_reads(self, bank: Tenancy) -> None:
        """Two queries of a snapshot agree although another transaction commits between them."""
        async with bank.database.tx(bank.tenant, snapshot=True) as tx:
            before = await tx.fetchval("SELECT count(*) FROM notes")
            await execute(bank, "INSERT INTO {schema}.notes VALUES (1, 'late')")
            assert await tx.fetchval("SELECT count(*) FROM notes") == before
            with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
                await tx.execute("INSERT INTO notes (id, body) VALUES (2, 'refused')")
            await tx.connection.execute("ROLLBACK; BEGIN")

    async def test_is_of_no_use_once_it_has_ended(self, tenancy: Tenancy) -> None:
        """A transaction that somebody kept doesn't reach the connection, which is another's by now."""
        async with tenancy.database.tx(tenancy.tenant) as tx:
            pass
        with pytest.raises(NoTransactionError):
            await tx.fetchval("SELECT 1")

    async def test_gives_its_queries_one_after_the_other(self, tenancy: Tenancy) -> None:
        """Two queries at once on one transaction are refused, not mixed up."""
        with pytest.raises(asyncpg.InterfaceError):
            async with tenancy.database.tx(tenancy.tenant) as tx:
                await asyncio.gather(tx.fetchval("SELECT pg_sleep(0.05)"), tx.fetchval("SELECT 1"))
        assert await leftovers(tenancy) == CLEAN


class TestAForgottenTenant:
    """What happens without the door."""

    async def test_finds_no_tables(self, bank: Tenancy) -> None:
        """Outside of a tenant's transaction the shared login sees no tenant's table (42P01)."""
        lease = await bank.database.pools.acquire(Login(bank.tenant.id.hex))
        try:
            with pytest.raises(asyncpg.UndefinedTableError) as caught:
                await lease.connection.fetch("SELECT body FROM notes")
        finally:
            await bank.database.pools.release(lease)
        assert caught.value.sqlstate == "42P01"

    async def test_finds_no_tables_from_the_platforms_transaction(self, bank: Tenancy) -> None:
        """The platform's transaction doesn't see tenants' tables either."""
        with pytest.raises(asyncpg.UndefinedTableError):
            async with bank.database.platform_tx() as tx:
                await tx.fetch("SELECT body FROM notes")

    async def test_stops_a_piccolo_query(self, bank: Tenancy) -> None:
        """A query of Piccolo's outside of a transaction fails and opens no connection."""
        from tests.server.tenancy.notes import Notes  # noqa: PLC0415

        before = bank.database.pools.open_connections()
        with pytest.raises(NoTransactionError):
            await Notes.select()
        with pytest.raises(NoTransactionError):
            await Notes.select().batch()
        assert bank.database.pools.open_connections() == before


class TestAForeignSchema:
    """What happens with another tenant's name in a query."""

    async def test_may_not_be_entered(self, bank: Tenancy) -> None:
        """A qualified name of another tenant's table is refused (42501)."""
        other = await bank.add("other_bank")
        await bank.as_owner(other, NOTES)
        with pytest.raises(asyncpg.InsufficientPrivilegeError) as caught:
            async with bank.database.tx(bank.tenant) as tx:
                await tx.fetch(f"TABLE {other.schema}.notes")
        assert caught.value.sqlstate == "42501"
        assert await leftovers(bank) == CLEAN

    async def test_may_not_be_entered_from_the_shared_login(self, bank: Tenancy) -> None:
        """The shared login inherits no tenant's rights, so outside of a transaction it may enter no schema."""
        lease = await bank.database.pools.acquire(Login(bank.tenant.id.hex))
        try:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await lease.connection.fetch(f"TABLE {bank.tenant.schema}.notes")
        finally:
            await bank.database.pools.release(lease)

    async def test_may_not_be_made_or_changed(self, bank: Tenancy) -> None:
        """The runtime role creates nothing and alters nothing, not even in its own schema."""
        for statement in ("CREATE TABLE more (id integer)", "ALTER TABLE notes ADD extra text", "DROP TABLE notes"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with bank.database.tx(bank.tenant) as tx:
                    await tx.execute(statement)


class TestANestedTransaction:
    """What happens inside an open transaction."""

    async def test_is_refused(self, tenancy: Tenancy) -> None:
        """A second transaction of the same or of another tenant, or of the platform, isn't opened."""
        async with tenancy.database.tx(tenancy.tenant) as tx:
            with pytest.raises(NestedTransactionError):
                async with tenancy.database.tx(tenancy.tenant):
                    pass
            with pytest.raises(NestedTransactionError):
                async with tenancy.database.platform_tx():
                    pass
            assert await tx.fetchval("SELECT 1") == 1
        assert await leftovers(tenancy) == CLEAN

    async def test_is_refused_to_piccolo(self, tenancy: Tenancy) -> None:
        """Piccolo's own transaction would be a silent no-op."""
        async with tenancy.database.tx(tenancy.tenant):
            with pytest.raises(NestedTransactionError):
                ENGINE.transaction()
        with pytest.raises(NoTransactionError):
            ENGINE.transaction()

    async def test_is_refused_to_asyncpg(self, tenancy: Tenancy) -> None:
        """Asyncpg refuses its own transaction, too, because it didn't begin the outer one."""
        async with tenancy.database.tx(tenancy.tenant) as tx:
            with pytest.raises(asyncpg.InterfaceError):
                async with tx.connection.transaction():
                    pass

    async def test_is_none_once_the_outer_one_has_ended(self, tenancy: Tenancy) -> None:
        """A task that was started inside may open its own when the outer one is over."""

        async def later() -> int:
            await gate.wait()
            async with tenancy.database.tx(tenancy.tenant) as tx:
                return int(await tx.fetchval("SELECT 1"))

        gate = asyncio.Event()
        async with tenancy.database.tx(tenancy.tenant):
            task = asyncio.create_task(later())
        gate.set()
        assert await task == 1


class TestAnError:
    """What an error in the block leaves behind."""

    async def test_rolls_back_and_is_raised_as_it_is(self, bank: Tenancy) -> None:
        """Nothing of the block stays, and the caller sees its own error."""
        with pytest.raises(ZeroDivisionError):
            async with bank.database.tx(bank.tenant) as tx:
                await tx.execute("INSERT INTO notes (id, body) VALUES (1, 'gone')")
                _ = 1 / 0
        async with bank.database.tx(bank.tenant) as tx:
            assert await tx.fetchval("SELECT count(*) FROM notes") == 0
        assert await leftovers(bank) == CLEAN

    async def test_of_postgresql_keeps_its_sqlstate(self, bank: Tenancy) -> None:
        """Rooms map what PostgreSQL refuses by its SQLSTATE."""
        with pytest.raises(asyncpg.UniqueViolationError):
            async with bank.database.tx(bank.tenant) as tx:
                await tx.execute("INSERT INTO notes (id, body) VALUES (1, 'a')")
                await tx.execute("INSERT INTO notes (id, body) VALUES (1, 'b')")
        assert await leftovers(bank) == CLEAN

    async def test_that_was_swallowed_cannot_pass_for_a_commit(self, bank: Tenancy) -> None:
        """PostgreSQL answers COMMIT of a failed transaction with a quiet ROLLBACK; here it is an error."""
        with pytest.raises(asyncpg.InFailedSQLTransactionError):
            async with bank.database.tx(bank.tenant) as tx:
                await tx.execute("INSERT INTO notes (id, body) VALUES (1, 'lost')")
                with contextlib.suppress(asyncpg.PostgresError):
                    await tx.execute("SELECT 1 / 0")
        async with bank.database.tx(bank.tenant) as tx:
            assert await tx.fetchval("SELECT count(*) FROM notes") == 0
        assert await leftovers(bank) == CLEAN

    async def test_of_the_file_system_is_not_the_databases(self, tenancy: Tenancy) -> None:
        """An OSError of the caller's own doesn't become "database unavailable"."""
        with pytest.raises(FileNotFoundError):
            async with tenancy.database.tx(tenancy.tenant):
                raise FileNotFoundError


class TestACancel:
    """What a cancel leaves behind."""

    async def test_in_the_middle_of_a_query_leaves_nothing(self, bank: Tenancy) -> None:
        """The query is stopped, the transaction rolled back, and the connection clean."""

        async def work() -> None:
            async with bank.database.tx(bank.tenant) as tx:
                await tx.execute("INSERT INTO notes (id, body) VALUES (1, 'gone')")
                running.set()
                await tx.execute("SELECT pg_sleep(30)")

        running = asyncio.Event()
        task = asyncio.create_task(work())
        await running.wait()
        await until_running(bank, "SELECT pg_sleep(30)")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await leftovers(bank) == CLEAN
        async with bank.database.tx(bank.tenant) as tx:
            assert await tx.fetchval("SELECT count(*) FROM notes") == 0

    async def test_between_queries_leaves_nothing(self, bank: Tenancy) -> None:
        """A cancel while the block does something else rolls back, too."""

        async def work() -> None:
            async with bank.database.tx(bank.tenant) as tx:
                await tx.execute("INSERT INTO notes (id, body) VALUES (1, 'gone')")
                running.set()
                await asyncio.Event().wait()

        running = asyncio.Event()
        task = asyncio.create_task(work())
        await running.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await leftovers(bank) == CLEAN

    async def test_at_every_step_leaves_nothing(self, bank: Tenancy) -> None:
        """Wherever the event loop stands when the cancel comes, from acquiring to COMMIT, the pool stays clean."""

        async def work(number: int) -> None:
            async with bank.database.tx(bank.tenant) as tx:
                await tx.execute("INSERT INTO notes (id, body) VALUES ($1, 'x')", number)

        for steps in range(60):
            task = asyncio.create_task(work(steps))
            for _ in range(steps):
                await asyncio.sleep(0)
                if task.done():
                    break
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            assert await leftovers(bank) == CLEAN, f"cancelled at step {steps}"
        await work(1000)

    async def test_of_a_commit_lets_it_run_to_its_end(self, bank: Tenancy) -> None:
        """A COMMIT that was sent isn't cancelled on the server: its outcome would be open for no gain."""
        await bank.as_owner(
            bank.tenant,
            "CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN PERFORM pg_sleep(0.2); RETURN NULL; END'",
            "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON notes DEFERRABLE INITIALLY DEFERRED FOR EACH ROW "
            "EXECUTE FUNCTION slowly()",
        )

        async def work() -> None:
            async with bank.database.tx(bank.tenant) as tx:
                await tx.execute("INSERT INTO notes (id, body) VALUES (1, 'kept')")

        task = asyncio.create_task(work())
        await until_running(bank, "%COMMIT%")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await leftovers(bank) == CLEAN
        async with bank.database.tx(bank.tenant) as tx:
            assert await tx.fetchval("SELECT body FROM notes WHERE id = 1") == "kept"


class TestAFailedCommit:
    """What a COMMIT that fails leaves behind, and says."""

    async def test_by_a_deferred_constraint_keeps_its_sqlstate_and_leaves_nothing(self, bank: Tenancy) -> None:
        """The refusal is certain, so it isn't an unknown outcome."""
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            async with bank.database.tx(bank.tenant) as tx:
                await tx.execute("INSERT INTO pairs (id, other) VALUES (1, 2)")
        assert await leftovers(bank) == CLEAN
        async with bank.database.tx(bank.tenant) as tx:
            assert await tx.fetchval("SELECT count(*) FROM pairs") == 0

    async def test_by_a_lost_connection_is_an_unknown_outcome(self, bank: Tenancy) -> None:
        """The backend dies during COMMIT, so nobody knows; the connection isn't used again."""
        await bank.as_owner(
            bank.tenant,
            "CREATE FUNCTION dying() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS "
            "'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(5); RETURN NULL; END'",
            "CREATE CONSTRAINT TRIGGER deadly AFTER INSERT ON notes DEFERRABLE INITIALLY DEFERRED FOR EACH ROW "
            "EXECUTE FUNCTION dying()",
        )
        await execute(bank, "ALTER FUNCTION {schema}.dying() OWNER TO CURRENT_USER")
        with pytest.raises(errors.OutcomeUnknown) as caught:
            async with bank.database.tx(bank.tenant) as tx:
                await tx.execute("INSERT INTO notes (id, body) VALUES (1, 'who knows')")
        assert (caught.value.retry_after_s or 0) >= 1
        assert await leftovers(bank) == CLEAN

    async def test_that_was_never_sent_is_no_unknown_outcome(self, bank: Tenancy) -> None:
        """If the connection is gone before COMMIT, nothing was committed, and that is what is said."""
        with pytest.raises(errors.DatabaseUnavailable):
            async with bank.database.tx(bank.tenant) as tx:
                await tx.execute("INSERT INTO notes (id, body) VALUES (1, 'gone')")
                await terminate(bank, await tx.fetchval("SELECT pg_backend_pid()"))
                await lost(tx)
        assert await leftovers(bank) == CLEAN


class TestALostConnection:
    """What happens while the database goes away."""

    async def test_in_the_middle_says_unavailable(self, bank: Tenancy) -> None:
        """A query on a backend that was terminated has changed nothing."""
        with pytest.raises(errors.DatabaseUnavailable) as caught:
            async with bank.database.tx(bank.tenant) as tx:
                await terminate(bank, await tx.fetchval("SELECT pg_backend_pid()"))
                await tx.execute("SELECT 1")
        assert (caught.value.retry_after_s or 0) >= 1
        assert await leftovers(bank) == CLEAN

    async def test_while_idle_is_not_noticed(self, bank: Tenancy) -> None:
        """Pooled connections that died in their sleep are replaced before anybody sees an error."""

        async def one() -> int:
            async with bank.database.tx(bank.tenant) as tx:
                return int(await tx.fetchval("SELECT pg_backend_pid()"))

        before = await asyncio.gather(*(one() for _ in range(5)))
        for pid in set(before):
            await terminate(bank, pid)
        after = await asyncio.gather(*(one() for _ in range(5)))
        assert not set(before) & set(after)

    async def test_of_a_database_that_refuses_says_unavailable(self) -> None:
        """Nobody listens there."""
        database = Database("postgresql://nobody:nothing@127.0.0.1:9/none", deployment_secret=SECRET)
        with pytest.raises(errors.DatabaseUnavailable):
            async with database.platform_tx():
                pass
        await database.close()


class TestADatabaseThatCannotWrite:
    """A database that can't write."""

    @pytest.mark.parametrize("state", ["disk_full", "out_of_memory", "read_only_sql_transaction", "io_error"])
    async def test_is_unavailable(self, bank: Tenancy, state: str) -> None:
        """A full disk, or a standby that was taken for the primary, is no mistake of the caller's nor of ours."""
        with pytest.raises(errors.DatabaseUnavailable) as caught:
            async with bank.database.tx(bank.tenant) as tx:
                await tx.execute("INSERT INTO notes (id, body) VALUES (1, 'mine')")
                await tx.execute(f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{state}'; END $$")
        assert caught.value.retry_after_s == 5
        assert await leftovers(bank) == CLEAN


class TestALock:
    """What waiting for a lock means."""

    async def test_that_is_not_to_be_had_says_busy(self, bank: Tenancy) -> None:
        """After the lock time-out the transaction is over, and the caller may come back."""
        async with bank.database.tx(bank.tenant) as tx:
            await tx.execute("INSERT INTO notes (id, body) VALUES (1, 'locked')")
        holder = await asyncpg.connect(bank.admin_dsn)
        try:
            await holder.execute(f"BEGIN; LOCK TABLE {bank.tenant.schema}.notes")
            with pytest.raises(errors.Busy) as caught:
                async with bank.database.tx(bank.tenant, lock_timeout_ms=20) as tx:
                    await tx.execute("UPDATE notes SET body = 'mine'")
        finally:
            await holder.close()
        assert isinstance(caught.value.__cause__, asyncpg.LockNotAvailableError)
        assert await leftovers(bank) == CLEAN

    async def test_or_statement_that_takes_too_long_says_busy(self, tenancy: Tenancy) -> None:
        """A statement has a time limit of its own."""
        with pytest.raises(errors.Busy):
            async with tenancy.database.tx(tenancy.tenant, statement_timeout_ms=20) as tx:
                await tx.execute("SELECT pg_sleep(5)")
        assert await leftovers(tenancy) == CLEAN

    async def test_in_a_circle_is_tried_once_more_by_run(self, bank: Tenancy) -> None:
        """Two transactions that wait for each other both succeed in the end."""
        async with bank.database.tx(bank.tenant) as tx:
            await tx.executemany("INSERT INTO notes (id, body) VALUES ($1, '')", [(1,), (2,)])
        first, second = asyncio.Event(), asyncio.Event()

        async def work(tx: TenantTx, ids: tuple[int, int], mine: asyncio.Event, other: asyncio.Event) -> None:
            await tx.execute("UPDATE notes SET body = body || 'x' WHERE id = $1", ids[0])
            mine.set()
            await other.wait()
            await tx.execute("UPDATE notes SET body = body || 'x' WHERE id = $1", ids[1])

        await asyncio.gather(
            bank.database.run(bank.tenant, lambda tx: work(tx, (1, 2), first, second), lock_timeout_ms=10_000),
            bank.database.run(bank.tenant, lambda tx: work(tx, (2, 1), second, first), lock_timeout_ms=10_000),
        )
        async with bank.database.tx(bank.tenant) as tx:
            assert [row["body"] for row in await tx.fetch("SELECT body FROM notes")] == ["xx", "xx"]


class TestAStalePlan:
    """What a migration under a running server does to prepared statements."""

    async def test_is_tried_once_more_by_run(self, bank: Tenancy) -> None:
        """Asyncpg can't prepare again inside the failed transaction, so the whole of it is repeated."""
        tries = 0

        async def work(tx: TenantTx) -> Any:
            nonlocal tries
            tries += 1
            return await tx.fetch("SELECT id, body FROM notes")

        await bank.database.run(bank.tenant, work)
        assert tries == 1
        # What the statement returns has another type now, which makes its cached plan invalid.
        await bank.as_owner(bank.tenant, "ALTER TABLE notes ALTER COLUMN body TYPE varchar(100)")
        await bank.database.run(bank.tenant, work)
        assert tries == 1 + 2
        assert await leftovers(bank) == CLEAN

    async def test_is_an_error_without_run(self, bank: Tenancy) -> None:
        """``tx`` alone can't repeat a block, so it says what happened."""
        statement = "SELECT id, body FROM notes"
        async with bank.database.tx(bank.tenant) as tx:
            await tx.fetch(statement)
        await bank.as_owner(bank.tenant, "ALTER TABLE notes ALTER COLUMN body TYPE varchar(100)")
        with pytest.raises(asyncpg.InvalidCachedStatementError):
            async with bank.database.tx(bank.tenant) as tx:
                await tx.fetch(statement)
        async with bank.database.tx(bank.tenant) as tx:
            assert await tx.fetch(statement) == []

    async def test_of_one_shape_serves_several_schemas(self, bank: Tenancy) -> None:
        """A statement that was prepared for one tenant finds the next tenant's rows, not the first one's."""
        other = await bank.add("other_bank")
        await bank.as_owner(other, NOTES, GRANTS.format(schema=other.schema))
        for tenant, body in ((bank.tenant, "mine"), (other, "yours")):
            async with bank.database.tx(tenant) as tx:
                await tx.execute("INSERT INTO notes (id, body) VALUES (1, $1)", body)
        for tenant, body in ((bank.tenant, "mine"), (other, "yours"), (bank.tenant, "mine")):
            async with bank.database.tx(tenant) as tx:
                assert await tx.fetchval("SELECT body FROM notes WHERE id = 1") == body


class TestASession:
    """What SQL that isn't local could leave on a pooled connection."""

    @pytest.mark.parametrize("ending", ["COMMIT", "ROLLBACK"])
    async def test_is_clean_after_settings_locks_and_cursors(self, tenancy: Tenancy, ending: str) -> None:
        """A session's role, settings, advisory locks and cursors end with the transaction."""
        with contextlib.suppress(ZeroDivisionError):
            async with tenancy.database.tx(tenancy.tenant) as tx:
                await tx.execute(f"SET ROLE {tenancy.tenant.runtime_role}; SET search_path TO {tenancy.tenant.schema}")
                await tx.execute("SET lock_timeout TO 77; SELECT pg_advisory_lock(1)")
                await tx.execute("DECLARE left_open CURSOR WITH HOLD FOR SELECT 1")
                if ending == "ROLLBACK":
                    _ = 1 / 0
        assert await leftovers(tenancy) == CLEAN

    async def test_makes_no_temporary_tables(self, bank: Tenancy) -> None:
        """Nothing can stand in for a tenant's own tables, or fill the disk beside them."""
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with bank.database.tx(bank.tenant) as tx:
                await tx.execute("CREATE TEMPORARY TABLE notes AS SELECT 1 AS id, 'false'::text AS body")


async def lost(tx: TenantTx) -> None:
    """Wait until the process has noticed that its connection is gone."""
    with contextlib.suppress(asyncpg.InterfaceError):
        async with asyncio.timeout(30):
            while not tx.connection.is_closed():
                await asyncio.sleep(0.001)


async def terminate(tenancy: Tenancy, pid: int) -> None:
    """End a backend, as an operator or a crash would."""
    await execute(tenancy, f"SELECT pg_terminate_backend({pid}, 5000)")


async def execute(tenancy: Tenancy, sql: str) -> None:
    """Run SQL as the administrator, beside whatever is going on."""
    connection = await asyncpg.connect(tenancy.admin_dsn)
    try:
        await connection.execute(sql.replace("{schema}", tenancy.tenant.schema))
    finally:
        await connection.close()


async def until_running(tenancy: Tenancy, statement: str) -> None:
    """Wait until PostgreSQL itself is busy with a statement."""
    connection = await asyncpg.connect(tenancy.admin_dsn)
    try:
        async with asyncio.timeout(30):
            while not await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE $1 "
                "AND pid <> pg_backend_pid() AND datname = current_database()",
                statement,
            ):
                await asyncio.sleep(0.002)
    finally:
        await connection.close()
