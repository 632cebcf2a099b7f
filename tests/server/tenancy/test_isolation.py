"""Tenants kept apart: by role, by login, and under load."""

import asyncio
import contextlib
import random
from collections import Counter

import asyncpg
import pytest

from billfold import errors
from billfold_server.db.embedded import EmbeddedPostgres
from billfold_server.db.pools import Login, PoolSettings
from billfold_server.tenancy.context import TenantRef
from billfold_server.tenancy.transaction import Database
from tests.tenants import SECRET, Tenancy, manifest, template_with

ROWS = (
    "CREATE TABLE rows (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, owner text NOT NULL, mark integer)",
    "GRANT SELECT, INSERT ON rows TO {runtime}",
)


async def session(database: Database, tenant: TenantRef) -> tuple[str, str]:
    """Return who has logged in for a tenant's transaction, and whose role it has."""
    async with database.tx(tenant) as tx:
        row = await tx.fetchrow("SELECT session_user::text AS login, current_user::text AS role")
    assert row is not None
    return row["login"], row["role"]


VAULTS = ("vault", "vault_two")


@pytest.fixture(scope="session")
def tenancy_template(postgres: EmbeddedPostgres, tenancy_template: str) -> str:
    """Return the name of a template that has two tenants as well that are isolated by login."""
    vaults = (manifest(slug, isolation="login") for slug in VAULTS)
    return template_with(postgres, tenancy_template, "tenancy_vaults", *vaults)


class TestATenantIsolatedByLogin:
    async def test_has_a_session_of_its_own(self, tenancy: Tenancy) -> None:
        """The tenant's transaction runs in a session that its own login opened."""
        tenant = await tenancy.registry.get("vault")
        assert await session(tenancy.database, tenant) == (tenant.runtime_role, tenant.runtime_role)

    async def test_cannot_become_another_by_injected_sql(self, tenancy: Tenancy) -> None:
        """``SET ROLE`` to another tenant's role, or to the shared login, is refused (42501)."""
        tenant = await tenancy.registry.get("vault")
        deployment = await tenancy.database.deployment()
        other = await tenancy.registry.get("vault_two")
        for role in (
            other.runtime_role,
            other.owner_role,
            tenancy.tenant.runtime_role,
            tenant.owner_role,
            deployment.app_login,
            deployment.platform_role,
        ):
            for injected in (f"SET LOCAL ROLE {role}", f"SET ROLE {role}", f"SET SESSION AUTHORIZATION {role}"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    async with tenancy.database.tx(tenant) as tx:
                        await tx.execute(injected)

    async def test_gains_nothing_by_resetting_its_role(self, tenancy: Tenancy) -> None:
        """Below the role lies the same tenant's login."""
        tenant = await tenancy.registry.get("vault")
        async with tenancy.database.tx(tenant) as tx:
            await tx.execute("RESET ROLE; RESET SESSION AUTHORIZATION")
            assert await tx.fetchval("SELECT current_user::text") == tenant.runtime_role

    async def test_is_out_of_the_shared_logins_reach(self, tenancy: Tenancy) -> None:
        """SQL injected into a tenant that is isolated by role can't become one that is isolated by login."""
        vault = await tenancy.registry.get("vault")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with tenancy.database.tx(tenancy.tenant) as tx:
                await tx.execute(f"SET LOCAL ROLE {vault.runtime_role}")

    async def test_may_not_log_in_with_another_password(self, tenancy: Tenancy) -> None:
        """A server with another secret isn't let in, so the password matters."""
        vault = await tenancy.registry.get("vault")
        stranger = Database(tenancy.runtime_dsn, deployment_secret=b"another secret")
        with pytest.raises(asyncpg.InvalidPasswordError):
            await session(stranger, vault)
        await stranger.close()

    async def test_leaves_no_password_in_the_database(self, tenancy: Tenancy) -> None:
        """PostgreSQL stores a SCRAM verifier."""
        vault = await tenancy.registry.get("vault")
        connection = await asyncpg.connect(tenancy.admin_dsn)
        stored = await connection.fetchval("SELECT rolpassword FROM pg_authid WHERE rolname = $1", vault.runtime_role)
        await connection.close()
        assert stored.startswith("SCRAM-SHA-256$4096:")

    async def test_needs_the_deployments_secret(self, tenancy: Tenancy) -> None:
        """Without it the server can't know the password, and says so."""
        vault = await tenancy.registry.get("vault")
        database = Database(tenancy.runtime_dsn)
        with pytest.raises(RuntimeError):
            await session(database, vault)
        await database.close()


class TestATenantIsolatedByRole:
    async def test_shares_the_servers_session(self, tenancy: Tenancy) -> None:
        """The shared login opened the session, and the role is the tenant's."""
        deployment = await tenancy.database.deployment()
        assert await session(tenancy.database, tenancy.tenant) == (deployment.app_login, tenancy.tenant.runtime_role)

    async def test_can_become_another_by_injected_sql(self, tenancy: Tenancy) -> None:
        """What the mode doesn't stop, and why production has the other one."""
        other = await tenancy.add("other")
        async with tenancy.database.tx(tenancy.tenant) as tx:
            await tx.execute(f"SET LOCAL ROLE {other.runtime_role}")
            assert await tx.fetchval("SELECT current_user::text") == other.runtime_role
        assert (await session(tenancy.database, tenancy.tenant))[1] == tenancy.tenant.runtime_role

    async def test_cannot_become_an_owner(self, tenancy: Tenancy) -> None:
        """Even so, no tables can be changed or dropped, for nobody may become an owner."""
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with tenancy.database.tx(tenancy.tenant) as tx:
                await tx.execute(f"SET LOCAL ROLE {tenancy.tenant.owner_role}")


class TestAChangeOfIsolation:
    @pytest.mark.parametrize(("before", "after"), [("role", "login"), ("login", "role")])
    async def test_loses_no_request(self, tenancy: Tenancy, before: str, after: str) -> None:
        """Requests go on while a tenant's isolation changes, and end up on the new way."""
        await tenancy.add("mover", isolation=before)
        stop = asyncio.Event()

        async def requests() -> int:
            served = 0
            while not stop.is_set():
                await session(tenancy.database, await tenancy.registry.get("mover"))
                served += 1
            return served

        running = [asyncio.create_task(requests()) for _ in range(3)]
        await tenancy.add("mover", isolation=after)
        stop.set()
        assert all(await asyncio.gather(*running))
        mover = await tenancy.registry.get("mover")
        login, role = await session(tenancy.database, mover)
        assert (login == role) == (after == "login")

    async def test_closes_the_former_way(self, tenancy: Tenancy) -> None:
        """A tenant that moved to a login of its own can't be entered by the shared login any longer, and back."""
        await tenancy.add("mover", isolation="role")
        mover = await tenancy.add("mover", isolation="login")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with tenancy.database.tx(tenancy.tenant) as tx:
                await tx.execute(f"SET LOCAL ROLE {mover.runtime_role}")
        back = await tenancy.add("mover", isolation="role")
        stale = Database(tenancy.runtime_dsn, deployment_secret=SECRET)
        with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
            await session(stale, mover)
        await stale.close()
        assert (await session(tenancy.database, back))[1] == back.runtime_role

    @pytest.mark.parametrize(("wanted", "back"), [("login", "role"), ("role", "login")])
    async def test_that_is_taken_back_meanwhile_leaves_the_way_open(
        self, tenancy: Tenancy, wanted: str, back: str
    ) -> None:
        """Who closes the former way sees first whether it is the one that the tenant goes again."""
        await tenancy.add("mover", isolation=back)
        first = asyncio.create_task(tenancy.add("mover", isolation=wanted))
        while (await tenancy.tenants.get("mover")).isolation == back:
            await asyncio.sleep(0.02)
        mover = await tenancy.add("mover", isolation=back)
        await first
        fresh = Database(tenancy.runtime_dsn, deployment_secret=SECRET)
        assert (await session(fresh, mover))[1] == mover.runtime_role
        await fresh.close()


@pytest.mark.slow
class TestFiftyTenants:
    async def test_never_see_each_others_rows(self, tenancy: Tenancy) -> None:
        """Interleaved requests, errors and cancels of 50 tenants: each tenant's table holds its own rows alone."""
        tenants = await fifty(tenancy)
        database = Database(
            tenancy.runtime_dsn, deployment_secret=SECRET, settings=PoolSettings(budget=12, acquire_timeout_s=60)
        )
        written: Counter[str] = Counter()
        chance = random.Random(50)

        async def request(tenant: TenantRef, mark: int, fate: str) -> None:
            async with database.tx(tenant) as tx:
                await tx.execute("INSERT INTO rows (owner, mark) VALUES ($1, $2)", tenant.slug, mark)
                assert {row["owner"] for row in await tx.fetch("SELECT owner FROM rows")} == {tenant.slug}
                if fate == "error":
                    _ = 1 / 0
                if fate == "refused":
                    await tx.execute("SELECT 1 / 0")
                if fate == "slow":
                    await tx.execute("SELECT pg_sleep(0.02)")
            written[tenant.slug] += 1

        async def cancelled(tenant: TenantRef, mark: int) -> None:
            task = asyncio.create_task(request(tenant, mark, "slow"))
            await asyncio.wait({task}, timeout=chance.random() * 0.03)
            task.cancel()
            await asyncio.wait({task})

        turn = asyncio.Semaphore(40)

        async def one(mark: int) -> None:
            tenant = chance.choice(tenants)
            fate = chance.choice(["good", "good", "good", "slow", "error", "refused", "cancel"])
            async with turn:
                with contextlib.suppress(ZeroDivisionError, asyncpg.DivisionByZeroError):
                    await (cancelled(tenant, mark) if fate == "cancel" else request(tenant, mark, fate))

        await asyncio.gather(*(one(mark) for mark in range(1200)))
        await database.settle()
        assert sum(written.values()) > 600
        for tenant in tenants:
            async with database.tx(tenant) as tx:
                owners = Counter(row["owner"] for row in await tx.fetch("SELECT owner FROM rows"))
            # What was cancelled during COMMIT may be there without having been counted.
            assert set(owners) <= {tenant.slug}
            assert owners[tenant.slug] >= written[tenant.slug]
        assert database.pools.on_loan == 0
        await database.close()


async def fifty(tenancy: Tenancy) -> list[TenantRef]:
    """Provision 50 tenants, isolated in both ways, each with a table."""
    turn = asyncio.Semaphore(4)

    async def one(number: int) -> TenantRef:
        async with turn:
            tenant = await tenancy.add(f"bank{number:02}", isolation="login" if number % 2 else "role")
            await tenancy.as_owner(tenant, *ROWS)
            return tenant

    return list(await asyncio.gather(*(one(number) for number in range(50))))


class TestTheBudget:
    async def test_is_never_exceeded_by_all_pools_together(self, tenancy: Tenancy) -> None:
        """Six logins share three connections: idle ones of others give way."""
        tenants = [await tenancy.add(f"vault{number}", isolation="login") for number in range(6)]
        settings = PoolSettings(budget=3, acquire_timeout_s=30)
        database = Database(tenancy.runtime_dsn, deployment_secret=SECRET, settings=settings)
        most = 0

        async def request(tenant: TenantRef) -> None:
            nonlocal most
            async with database.tx(tenant) as tx:
                await tx.execute("SELECT pg_sleep(0.001)")
                most = max(most, sum(database.pools.open_connections().values()))

        await asyncio.gather(*(request(tenant) for _ in range(20) for tenant in tenants))
        assert most == 3
        assert sum(database.pools.open_connections().values()) <= 3
        await database.close()

    async def test_of_one_tenant_leaves_the_others_their_turn(self, tenancy: Tenancy) -> None:
        """A tenant whose transactions are all stuck doesn't keep another one waiting."""
        other = await tenancy.add("other")
        settings = PoolSettings(budget=4, per_tenant=2, acquire_timeout_s=0.1)
        database = Database(tenancy.runtime_dsn, deployment_secret=SECRET, settings=settings)
        gate = asyncio.Event()

        async def stuck() -> None:
            async with database.tx(tenancy.tenant):
                await gate.wait()

        hoard = [asyncio.create_task(stuck()) for _ in range(2)]
        while database.pools.on_loan < 2:
            await asyncio.sleep(0.001)
        with pytest.raises(errors.Overloaded) as caught:
            await session(database, tenancy.tenant)
        assert caught.value.retry_after_s == 1
        assert (await session(database, other))[1] == other.runtime_role
        gate.set()
        await asyncio.gather(*hoard)
        assert (await session(database, tenancy.tenant))[1] == tenancy.tenant.runtime_role
        await database.close()

    async def test_gives_up_waiting_without_losing_a_place(self, tenancy: Tenancy) -> None:
        """Who times out or is cancelled while waiting takes no connection out of the game."""
        settings = PoolSettings(budget=1, acquire_timeout_s=0.05)
        database = Database(tenancy.runtime_dsn, deployment_secret=SECRET, settings=settings)
        lease = await database.pools.acquire(Login("test"))
        waiting = [asyncio.create_task(session(database, tenancy.tenant)) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(result) for result in results] == [asyncio.CancelledError, errors.Overloaded, errors.Overloaded]
        await database.pools.release(lease)
        assert (await session(database, tenancy.tenant))[1] == tenancy.tenant.runtime_role
        await database.close()


class TestAnIdlePool:
    async def test_closes(self, tenancy: Tenancy) -> None:
        """A tenant that nobody asks for holds no connection, and in the end no pool."""
        vaults = [await tenancy.registry.get(slug) for slug in VAULTS]
        settings = PoolSettings(idle_s=0.05)
        database = Database(tenancy.runtime_dsn, deployment_secret=SECRET, settings=settings)
        async with database.tx(vaults[0]):
            assert database.pools.open_connections() == {vaults[0].runtime_role: 1}
        async with asyncio.timeout(30):
            while database.pools.open_connections():
                await asyncio.sleep(0.01)
        await session(database, vaults[1])
        assert {place.user for place in database.pools._places} == {vaults[1].runtime_role}
        await database.close()
