"""What workers know of tenants."""

import asyncio
import json
import time
from collections.abc import Callable

import msgspec
import pytest

from billfold import errors
from billfold_server.db.engine import NestedTransactionError
from billfold_server.tenancy.context import TenantRef
from billfold_server.tenancy.service import CACHE_S, Registry
from billfold_server.tenancy.transaction import Database
from tests.server.tenancy.line import Line
from tests.tenants import SECRET, Tenancy, manifest


class TestTheRegistry:
    async def test_finds_a_tenant_by_slug_and_by_host(self, tenancy: Tenancy) -> None:
        """Both lead to the same tenant, and another host to none."""
        acme = await tenancy.add("acme", hosts=["pay.example", "wallet.example"])
        for host in ("pay.example", "wallet.example"):
            assert await tenancy.registry.find_by_host(host) == acme
        assert await tenancy.registry.find("acme") == acme
        assert await tenancy.registry.find_by_host("other.example") is None
        assert await tenancy.registry.find("nobody") is None
        with pytest.raises(errors.UnknownTenant):
            await tenancy.registry.get("nobody")

    async def test_says_what_goes_on_with_a_tenant_that_has_no_tables_yet(
        self, tenancy: Tenancy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Commands on one whose making was cut short are refused for that, and it doesn't wait for a migration."""

        async def killed(*_: object, **__: object) -> None:
            raise errors.DatabaseUnavailable("gone", retry_after_s=5)

        with monkeypatch.context() as patched:
            patched.setattr(tenancy.tenants._administrator(), "provision", killed)
            with pytest.raises(errors.DatabaseUnavailable):
                await tenancy.tenants.apply(manifest("acme"))
        assert await tenancy.registry.find("acme") is not None
        for refused in (tenancy.registry.get("acme"), tenancy.tenants.migrate(["acme"])):
            with pytest.raises(errors.TenantStateRefuses, match="apply its manifest") as told:
                await refused
            assert told.value.facts == {"state": "provisioning"}
        assert tenancy.registry.behind == 0
        await tenancy.tenants.apply(manifest("acme"))
        assert (await tenancy.registry.get("acme")).state == "active"

    async def test_lists_everyone_in_order(self, tenancy: Tenancy) -> None:
        """Background work goes through all tenants."""
        for slug in ("zeta", "alpha"):
            await tenancy.add(slug)
        assert [tenant.slug for tenant in await tenancy.registry.everyone()] == ["alpha", "testbank", "zeta"]

    async def test_hears_of_another_workers_change_within_a_second(self, tenancy: Tenancy) -> None:
        """A second worker sees creation, change and deletion without being told."""
        other = Registry(Database(tenancy.runtime_dsn, deployment_secret=SECRET))
        assert await other.find("acme") is None
        await tenancy.tenants.apply(manifest("acme"))
        await until(other, lambda found: found is not None)
        await tenancy.tenants.suspend("acme", reason="test")
        await until(other, lambda found: found is not None and found.state == "suspended")
        await tenancy.tenants.delete("acme", confirm="acme")
        await until(other, lambda found: found is None)
        await other._database.close()

    async def test_closes_sandboxes_with_the_bank_whose_partners_they_are_of(self, tenancy: Tenancy) -> None:
        """They answer as the bank does, and are served again with it, but for what is suspended itself."""
        bank = await tenancy.add_with_sandboxes("acme", 2)
        await tenancy.tenants.suspend("acme-1", reason="test")
        other = Registry(tenancy.database, cache_s=0)

        async def states() -> list[str]:
            return [each.state for each in await other.everyone() if each.slug.startswith("acme")]

        assert await states() == ["active", "active", "suspended"]
        key = (await other.get("acme-0")).id
        await tenancy.tenants.suspend("acme", reason="test")
        assert await states() == ["suspended"] * 3
        by_id = await other.find_by_id(key)
        assert by_id is not None
        assert by_id.state == "suspended"
        await tenancy.tenants.resume("acme", reason="test")
        assert await states() == ["active", "active", "suspended"]
        await tenancy.doom("acme")
        assert await states() == ["deleting", "deleting", "suspended"]
        assert [each.state for each in await tenancy.tenants.sandboxes_of(bank.id)] == ["active", "suspended"]
        # A command finds a sandbox's own tables for as long as they are there.
        assert (await other.get("acme-0")).slug == "acme-0"

    async def test_serves_the_others_where_one_cannot_be_read(self, tenancy: Tenancy) -> None:
        """What a manifest can't say is never written; what stands there all the same costs nobody else anything."""
        wrong = msgspec.structs.replace(manifest("acme"), name="two\nlines")
        with pytest.raises(errors.ManifestInvalid) as refused:
            await tenancy.tenants.apply(wrong)
        assert refused.value.facts["key"] == "name"
        await tenancy.add("acme")
        await tenancy.add("zeta")
        async with tenancy.database.platform_tx() as tx:
            await tx.execute("UPDATE tenants SET manifest = '{}' WHERE slug = 'acme'")
        registry = Registry(tenancy.database)
        assert [tenant.slug for tenant in await registry.everyone()] == ["testbank", "zeta"]
        assert registry.unreadable == ["acme"]
        with pytest.raises(errors.TenantUnreadable):
            registry.refuse_unreadable("acme")
        registry.refuse_unreadable("zeta")

    async def test_takes_nothing_for_fresh_that_was_asked_for_before_a_change(self, tenancy: Tenancy) -> None:
        """What another task was just reading when this process changed something is read again at the next look."""

        class ChangedMeanwhile(Registry):
            async def _read(self) -> None:
                await super()._read()
                if not changed:
                    changed.append(await tenancy.tenants.suspend("testbank", reason="test"))
                    self.expire()

        changed: list[object] = []
        registry = ChangedMeanwhile(tenancy.database, cache_s=60)
        assert (await registry.get("testbank")).state == "active"
        assert (await registry.get("testbank")).state == "suspended"

    async def test_serves_the_others_where_one_is_in_a_state_of_a_newer_version(self, tenancy: Tenancy) -> None:
        """That one isn't served, nor changed; its operators are told why."""
        acme = await tenancy.add("acme")
        async with tenancy.administrator.connect() as connection:
            await connection.execute(
                "ALTER TABLE billfold_platform.tenants DROP CONSTRAINT tenants_state_check; "
                "UPDATE billfold_platform.tenants SET state = 'archived' WHERE slug = 'acme'; "
                "UPDATE billfold_platform.registry SET revision = revision + 1; "
                "UPDATE billfold_platform.tenants SET revision = (SELECT revision FROM billfold_platform.registry)"
            )
        registry = Registry(tenancy.database)
        assert [tenant.slug for tenant in await registry.everyone()] == ["testbank"]
        assert registry.unreadable == ["acme"]
        tenancy.registry.expire()
        assert (await tenancy.registry.get("acme")).state == "suspended"
        assert "archived" in str((await tenancy.tenants.get("acme")).view().unreadable)
        for change in (
            tenancy.tenants.resume("acme", reason="test"),
            tenancy.tenants.ask_to_delete("acme", confirm="acme"),
            tenancy.tenants.apply(acme.manifest),
        ):
            with pytest.raises(errors.TenantStateRefuses) as refused:
                await change
            assert refused.value.state == "archived"

    async def test_knows_when_one_that_it_cannot_read_any_more_is_suspended(self, tenancy: Tenancy) -> None:
        """It is served as it was known, and no longer than operators want."""
        acme = await tenancy.add("acme")
        async with tenancy.database.platform_tx() as tx:
            await tx.execute("UPDATE tenants SET manifest = '{}' WHERE slug = 'acme'")
        await tenancy.tenants.suspend("acme", reason="test")
        found = await tenancy.registry.get("acme")
        assert (found.state, found.manifest) == ("suspended", acme.manifest)

    async def test_reads_what_a_newer_version_has_written(self, tenancy: Tenancy) -> None:
        """Keys that this version doesn't know are passed over, wherever they stand; what it stores says no defaults."""
        publisher = {"issuer": "https://directory.example", "jwks": {"keys": [{"kty": "EC"}]}}
        purposes = {"support": {"clients": ["*"], "kinds": ["card"], "fields": ["expiry"]}}
        acme = await tenancy.add(
            "acme", registration={"publishers": [publisher]}, tokenization={"purposes": purposes}, limits={}
        )
        async with tenancy.database.platform_tx() as tx:
            text = await tx.fetchval("SELECT manifest FROM tenants WHERE slug = 'acme'")
        stored = msgspec.json.decode(text)
        assert set(stored) == {
            "brand", "currencies", "features", "isolation", "name", "numbering", "registration", "sandbox",
            "security_profile", "slug", "tokenization",
        }  # fmt: skip
        for part in (
            stored,
            stored["brand"],
            stored["registration"]["publishers"][0],
            stored["tokenization"]["purposes"]["support"],
        ):
            part["of_tomorrow"] = {"key": 1}
        stored["retention"] = {"of_tomorrow": 1}
        async with tenancy.database.platform_tx() as tx:
            await tx.execute("UPDATE tenants SET manifest = $1 WHERE slug = 'acme'", json.dumps(stored))
        found = await Registry(tenancy.database).get("acme")
        assert found.manifest == acme.manifest

    async def test_asks_the_database_once_a_second(self, tenancy: Tenancy) -> None:
        """A thousand look-ups at once are one query, and without a change nothing else is read."""
        registry = Registry(tenancy.database, cache_s=60)
        await registry.find("testbank")
        revision = registry._revision
        reads = 0

        async def counted() -> None:
            nonlocal reads
            reads += 1
            await read()

        read, registry._read = registry._read, counted  # type: ignore[method-assign]
        await asyncio.gather(*(registry.find("testbank") for _ in range(1000)))
        assert reads == 0
        registry.expire()
        await asyncio.gather(*(registry.find("testbank") for _ in range(1000)))
        assert (reads, registry._revision) == (1, revision)

    async def test_knows_a_tenant_that_another_worker_has_made_at_once(self, tenancy: Tenancy) -> None:
        """Whoever is told that it is ready may ask any worker at once; many who err are two queries."""
        other = Registry(tenancy.database, cache_s=60)
        assert await other.find("acme") is None
        made = await tenancy.add("acme")
        assert await other.find("acme") == made
        reads = 0

        async def counted() -> None:
            nonlocal reads
            reads += 1
            await read()

        read, other._read = other._read, counted  # type: ignore[method-assign]
        # One for who comes first, and one that begins after all of them have come.
        assert set(await asyncio.gather(*(other.find("nobody") for _ in range(1000)))) == {None}
        assert reads == 2

    async def test_says_unavailable_while_the_database_is_away_and_recovers(self, tenancy: Tenancy) -> None:
        """No restart is needed once connections are possible again, neither for look-ups nor for transactions."""
        line = Line(tenancy.runtime_dsn)
        await line.mend()
        database = Database(line.dsn, deployment_secret=SECRET)
        registry = Registry(database, cache_s=0)
        for _ in range(3):
            async with database.tx(await registry.get("testbank")) as tx:
                assert await tx.fetchval("SELECT 1") == 1
            await line.cut()
            for _ in range(3):
                with pytest.raises(errors.DatabaseUnavailable) as caught:
                    await registry.get("testbank")
                assert (caught.value.retry_after_s or 0) >= 1
                with pytest.raises(errors.DatabaseUnavailable):
                    async with database.tx(tenancy.tenant):
                        pass
            await line.mend()
        await database.close()
        await line.cut()

    async def test_follows_a_database_that_went_back(self, tenancy: Tenancy) -> None:
        """Restored, or replaced by one that had missed the last changes, it says itself what there is from then on."""
        await tenancy.add("acme")
        registry = Registry(tenancy.database, cache_s=0)
        await registry.everyone()
        async with tenancy.database.platform_tx() as tx:
            revision = await tx.fetchval("SELECT revision FROM registry")
            kept = await tx.fetch("SELECT id, state, revision FROM tenants")
        await tenancy.tenants.suspend("acme", reason="test")
        await tenancy.add("zeta")
        states = [(each.slug, each.state) for each in await registry.everyone()]
        assert states == [("acme", "suspended"), ("testbank", "active"), ("zeta", "active")]
        async with tenancy.administrator.connect() as connection, connection.transaction():
            await connection.execute("SET LOCAL search_path TO billfold_platform")
            await connection.execute("DELETE FROM tenants WHERE slug = 'zeta'")
            await connection.execute("UPDATE registry SET revision = $1", revision)
            change = "UPDATE tenants SET state = $2, revision = $3 WHERE id = $1"
            await connection.executemany(change, [tuple(row) for row in kept])
        states = [(each.slug, each.state) for each in await registry.everyone()]
        assert states == [("acme", "active"), ("testbank", "active")]

    async def test_is_not_asked_inside_a_transaction(self, tenancy: Tenancy) -> None:
        """It would work as long as the answer is known, and fail now and then; so it always fails."""
        await tenancy.registry.find("testbank")
        async with tenancy.database.tx(tenancy.tenant):
            with pytest.raises(NestedTransactionError):
                await tenancy.registry.find("testbank")


async def until(registry: Registry, holds: Callable[[TenantRef | None], bool]) -> None:
    """Wait until a registry knows of a change: whoever asks it when a second has gone by since then is told of it."""
    changed = asked = time.monotonic()
    while not holds(await registry.find("acme")):
        assert asked - changed < CACHE_S
        await asyncio.sleep(0.02)
        asked = time.monotonic()
