"""Connections and the tenants that they serve: each keeps to its own while there are enough."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest_asyncio

from billfold_server.db import pools
from billfold_server.db.pools import PoolSettings
from billfold_server.tenancy.context import TenantRef
from billfold_server.tenancy.transaction import Database
from tests.tenants import SECRET, Tenancy

Open = Callable[[PoolSettings], Database]


@pytest_asyncio.fixture
async def open_database(tenancy: Tenancy) -> AsyncIterator[Open]:
    """Open a further process's pools."""
    opened: list[Database] = []

    def open_(settings: PoolSettings) -> Database:
        opened.append(Database(tenancy.runtime_dsn, deployment_secret=SECRET, settings=settings))
        return opened[-1]

    yield open_
    for each in opened:
        await each.close()


async def session(database: Database, tenant: TenantRef) -> tuple[int, str, str]:
    """Return which of PostgreSQL's processes serves a tenant, and as whom it sees what."""
    async with database.tx(tenant) as tx:
        row = await tx.fetchrow("SELECT pg_backend_pid(), current_user::text, current_schema()::text")
    assert row is not None
    return tuple(row)


class TestAConnection:
    async def test_sees_what_is_committed_by_then_whatever_is_usual_there(self, tenancy: Tenancy) -> None:
        """A snapshot that is older than a query would show grants that have been revoked since."""
        usual = "&options=-c%20default_transaction_isolation%3Drepeatable%5C%20read"
        other = Database(tenancy.runtime_dsn + usual, deployment_secret=SECRET)
        try:
            async with other.tx(tenancy.tenant) as tx:
                row = await tx.fetchrow(
                    "SELECT reset_val, setting FROM pg_settings WHERE name = 'default_transaction_isolation'"
                )
                assert row is not None
                assert set(row) == {"read committed"}
                assert await tx.fetchval("SHOW transaction_isolation") == "read committed"
        finally:
            await other.close()

    async def test_stays_with_its_tenant(self, tenancy: Tenancy, open_database: Open) -> None:
        """A tenant that comes back meets the connection that it had, though others have come in between."""
        tenants = [tenancy.tenant, await tenancy.add("second"), await tenancy.add("third", isolation="login")]
        database = open_database(PoolSettings(budget=4))
        first = [await session(database, tenant) for tenant in tenants]
        assert len({pid for pid, _, _ in first}) == 3
        for tenant, before in zip(reversed(tenants), reversed(first), strict=True):
            assert await session(database, tenant) == before
        assert sum(database.pools.open_connections().values()) == 3

    async def test_changes_to_another_when_the_budget_is_spent(self, tenancy: Tenancy, open_database: Open) -> None:
        """The one that has been idle for longest goes to who has none, and shows that tenant's tables alone."""
        second, third = await tenancy.add("second"), await tenancy.add("third")
        database = open_database(PoolSettings(budget=2))
        (first_pid, _, _) = await session(database, tenancy.tenant)
        (second_pid, _, _) = await session(database, second)
        assert await session(database, third) == (first_pid, third.runtime_role, third.schema)
        assert (await session(database, second))[0] == second_pid
        assert await session(database, tenancy.tenant) == (
            first_pid,
            tenancy.tenant.runtime_role,
            tenancy.tenant.schema,
        )
        assert sum(database.pools.open_connections().values()) == 2

    async def test_is_closed_when_it_has_served_many(self, tenancy: Tenancy, open_database: Open) -> None:
        """What it remembers of each tenant's tables is given up with it, so its memory doesn't grow for ever."""
        tenants = [tenancy.tenant, await tenancy.add("second")]
        database = open_database(PoolSettings(budget=1))
        pids = [(await session(database, tenants[number % 2]))[0] for number in range(2 * pools._MOST_SHARES)]
        assert pids == [pids[0]] * pools._MOST_SHARES + [pids[-1]] * pools._MOST_SHARES
        assert pids[0] != pids[-1]

    async def test_that_died_while_idle_is_replaced(self, tenancy: Tenancy, open_database: Open) -> None:
        """Its tenant gets another, and no place of the budget is lost."""
        database = open_database(PoolSettings(budget=2))
        pids = {(await session(database, tenancy.tenant))[0]}
        for _ in range(3):
            await tenancy.as_owner(tenancy.tenant, f"RESET ROLE; SELECT pg_terminate_backend({max(pids)}, 5000)")
            pid, role, _ = await session(database, tenancy.tenant)
            assert role == tenancy.tenant.runtime_role
            assert pid not in pids
            pids = {pid}
        both = await asyncio.gather(*(session(database, tenancy.tenant) for _ in range(2)))
        assert len({pid for pid, _, _ in both}) == 2
        assert database.pools.on_loan == 0
