"""Tenants whose schemas are behind this version, as when servers are renewed before anybody has migrated."""

import asyncpg
import httpx
import pytest

from billfold import errors
from billfold_server.serving.explaining import explain
from billfold_server.serving.failures import Exit
from billfold_server.tenancy.context import TenantRef
from tests.live import LiveServer
from tests.pace import until
from tests.postgres import execute
from tests.server.ledger.books import Bench, open_engine
from tests.tenants import Tenancy, manifest

OLDER = "tenant_0056_deliveries_by_state"

AS_BEFORE = """
UPDATE billfold_platform.tenants SET schema_version = '{version}', revision = revision + 1 WHERE slug = '{slug}';
UPDATE billfold_platform.registry SET revision = (SELECT max(revision) FROM billfold_platform.tenants)
"""


async def set_back(tenancy: Tenancy, *statements: str) -> TenantRef:
    """Return the tenant after some statements, as one whose schema is of the version before."""
    await tenancy.as_owner(tenancy.tenant, *statements)
    await execute(tenancy.admin_dsn, AS_BEFORE.format(version=OLDER, slug="testbank"))
    tenancy.registry.expire()
    return await tenancy.registry.get("testbank")


class TestATenantThatIsAhead:
    async def test_is_let_be_by_a_process_of_the_version_before(self, tenancy: Tenancy) -> None:
        """One that starts while servers are renewed says of no schema that it lacks what it has."""
        tomorrow = "tenant_9999_of_tomorrow"
        await tenancy.as_owner(
            tenancy.tenant,
            f"INSERT INTO migration (name, app_name, ran_on) VALUES ('{tomorrow}', 'tenant', now())",  # noqa: S608
        )
        await execute(tenancy.admin_dsn, AS_BEFORE.format(version=tomorrow, slug="testbank"))
        assert [each.schema_version for each in await tenancy.tenants.migrate()] == [tomorrow]
        assert (await tenancy.tenants.migrate_tenant("testbank")).schema_version == tomorrow
        assert (await tenancy.tenants.apply(tenancy.tenant.manifest)).tenant.schema_version == tomorrow


class TestATenantThatIsBehind:
    async def test_is_known_as_such_and_served(self, tenancy: Tenancy) -> None:
        """What it has can be asked for, so that little is lost until somebody migrates."""
        tenant = await set_back(tenancy)
        assert (tenant.is_behind, tenancy.registry.behind) == (True, 1)
        async with tenancy.database.tx(tenant) as tx:
            assert await tx.fetchval("SELECT count(*) FROM wallets") == 0
        (migrated,) = await tenancy.tenants.migrate()
        assert migrated.error is None
        tenancy.registry.expire()
        assert (await tenancy.registry.get("testbank")).is_behind is False

    async def test_says_so_where_something_is_not_there_yet(self, tenancy: Tenancy) -> None:
        """Rather than that we have made a mistake; anywhere else a statement that is wrong stays what it is."""
        with pytest.raises(asyncpg.UndefinedTableError):
            async with tenancy.database.tx(tenancy.tenant) as tx:
                await tx.fetch("SELECT FROM what_comes_next")
        tenant = await set_back(tenancy)
        for statement in ("SELECT FROM what_comes_next", "SELECT next FROM wallets", "DELETE FROM transfers"):
            with pytest.raises(errors.TenantUnreadable, match="behind this version"):
                async with tenancy.database.tx(tenant) as tx:
                    await tx.fetch(statement)
        with pytest.raises(asyncpg.DivisionByZeroError):
            async with tenancy.database.tx(tenant) as tx:
                await tx.fetch("SELECT 1 / 0")

    async def test_says_so_where_a_command_cannot_be_written(self, tenancy: Tenancy) -> None:
        """Whether it is carried out step by step or sent as one text; nothing of it happens."""
        bench = Bench(open_engine(tenancy.database), tenancy.database, tenancy.tenant)
        await bench.add_wallets(2)
        await bench.top_up(0, 1_000)
        await bench.transfer(0, 1, 1)
        bench.tenant = await set_back(tenancy, "ALTER TABLE transfers RENAME TO transfers_before")
        for _ in range(2):
            with pytest.raises(errors.TenantUnreadable):
                await bench.transfer(0, 1, 1)
        await tenancy.as_owner(bench.tenant, "ALTER TABLE transfers_before RENAME TO transfers")
        assert (await bench.transfer(0, 1, 1)).status == 201
        async with tenancy.database.tx(bench.tenant) as tx:
            assert await tx.fetchval("SELECT count(*) FROM transfers WHERE kind = 'transfer'") == 2

    async def test_ends_a_command_line_with_what_to_do(self, tenancy: Tenancy) -> None:
        """It names the tenant, and the exit code is that of what is away for now."""
        tenant = await set_back(tenancy)
        with pytest.raises(errors.TenantUnreadable) as refused:
            async with tenancy.database.tx(tenant) as tx:
                await tx.fetch("SELECT FROM what_comes_next")
        failure = explain(refused.value)
        assert (failure.code, failure.exit_code) == ("tenant_unreadable", Exit.UNAVAILABLE)
        assert "testbank is behind this version" in failure.sentence
        assert "billfold doctor" in failure.sentence


async def fall_back(live: LiveServer, slug: str) -> None:
    """Let a tenant's schema be of the version before."""
    async with live.services.database.platform_tx() as tx:
        revision = await tx.fetchval("UPDATE registry SET revision = revision + 1 WHERE id = 1 RETURNING revision")
        await tx.execute("UPDATE tenants SET schema_version = $1, revision = $2 WHERE slug = $3", OLDER, revision, slug)
    tenant = await live.services.registry.get(slug)
    url = live.settings.admin_database_url
    assert url is not None
    await execute(url.reveal(), f"ALTER TABLE {tenant.schema}.wallet_aliases RENAME TO wallet_aliases_before")


class TestARequestToOne:
    def test_is_answered_as_far_as_it_can_be(self, live: LiveServer) -> None:
        """What isn't there yet is refused for now, and isn't a mistake; monitoring is told of it."""
        live.add_tenant(manifest("late"))
        with live.client("late") as client:
            assert client.get("/v1/wallets", params={"alias": "Ada"}).status_code == 200
            live.run(fall_back(live, "late"))
            until(lambda: "behind this version" in str(httpx.get(f"{live.url}/health/ready").json()["warnings"]))
            assert client.get("/v1/wallets").status_code == 200
            refused = client.get("/v1/wallets", params={"alias": "Ada"})
        assert (refused.status_code, refused.json()["code"]) == (503, "tenant_unreadable")
        assert refused.headers["retry-after"] == "60"
