"""An import whose process is killed: all of it is in the books afterwards, or nothing."""

import asyncio
import signal
from pathlib import Path

import asyncpg
import pytest

from billfold_server.invariants.service import check
from billfold_server.keys.service import Keys
from tests.forks import forked
from tests.keystores import StoreUrls
from tests.server.reconciliation import import_worker
from tests.server.reconciliation.desk import Desk
from tests.server.reconciliation.statement_files import ACCOUNT, camt053, daily
from tests.server.reconciliation.test_import import WEEK
from tests.tenants import Tenancy

PATIENCE_S = 60


async def until(connection: asyncpg.Connection, condition: str, *values: object) -> None:
    """Wait until a condition on the database's own state holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not await connection.fetchval(f"SELECT {condition}", *values):
            await asyncio.sleep(0.01)


_HERE = "FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'"
_WAITS = f"EXISTS (SELECT 1 {_HERE} AND wait_event_type = 'Lock')"
_GONE = f"NOT EXISTS (SELECT 1 {_HERE} AND pid <> ALL($1::int[]))"


@pytest.mark.xdist_group("kills")
class TestAnImportThatIsKilled:
    """An import that is killed."""

    @pytest.mark.parametrize("table", ["bank_accounts", "statements", "statement_entries", "postings", "outbox_events"])
    async def test_leaves_nothing_behind(
        self, tenancy: Tenancy, tenant_keys: Keys, key_store_urls: StoreUrls, tmp_path: Path, table: str
    ) -> None:
        """Killed in the middle of its writes, it has changed nothing; done again, everything is there once."""
        file = tmp_path / "week.xml"
        file.write_bytes(camt053(*daily(WEEK)))
        desk = Desk(tenancy.database, tenant_keys, tenancy.tenant)
        before = await desk.counts()
        holder = await asyncpg.connect(tenancy.admin_dsn)
        # Inside a transaction, PostgreSQL would show its activity as it was at first.
        watcher = await asyncpg.connect(tenancy.admin_dsn)
        try:
            # Whoever writes this table waits, so the import is stopped exactly there.
            await holder.execute(f"BEGIN; LOCK TABLE {tenancy.tenant.schema}.{table} IN SHARE MODE")
            known = [row["pid"] for row in await watcher.fetch(f"SELECT pid {_HERE}")]
            worker = forked(import_worker.run, tenancy.admin_dsn, key_store_urls.own, file)
            try:
                await until(watcher, _WAITS)
            finally:
                worker.kill()
                worker.join(PATIENCE_S)
            assert worker.exitcode == -signal.SIGKILL
            await holder.execute("ROLLBACK")
            await until(watcher, _GONE, known)
        finally:
            await holder.close()
            await watcher.close()
        assert await desk.counts() == before
        done = await desk.take_in(file.read_bytes())
        assert sum(one.duplicates for one in done.statements) == 0
        assert await desk.cash_minor(ACCOUNT) == WEEK.closing_minor
        assert await check(desk.database, desk.tenant) == []
        await desk.engine.close()
