"""Keys of tenants that come and go."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
import pytest

from billfold import errors
from billfold_server.keys import destruction
from billfold_server.keys.backends import TenantKey
from billfold_server.keys.service import Keys, Place, SealBroken
from billfold_server.tenancy.context import SYSTEM, Caller, TenantRef
from billfold_server.tenancy.service import Owner, Tenants
from tests.keystores import StoreUrls, as_administrator
from tests.openbao import OpenBao
from tests.server.keys.vault.kit import approle, opened
from tests.tenants import Tenancy, manifest

PLACE = Place("parties", "pty_1", "email")


def an_operator() -> Caller:
    """Return somebody who operates the platform."""
    return msgspec.structs.replace(SYSTEM, actor="operator:ada", user_id=uuid4())


async def deleted(tenancy: Tenancy, keys: Keys, caller: Caller = SYSTEM) -> None:
    """Delete the tenant, as a server with these keys does."""
    ending = destruction.EndingKeys(keys)
    tenants = Tenants(tenancy.database, tenancy.administrator, tenancy.registry, keys=ending)
    await tenants.suspend(tenancy.tenant.slug, reason="it ends")
    await tenants.delete(tenancy.tenant.slug, confirm=tenancy.tenant.slug, reason="it ends", caller=caller)


async def asked_for(tenancy: Tenancy) -> list[destruction.Destruction]:
    """Return what was asked for concerning the tenant."""
    async with tenancy.database.platform_tx() as tx:
        listed = await destruction.list_destructions(tx)
    return [each for each in listed if each.tenant_id == tenancy.tenant.id]


class TestADeletedTenant:
    async def test_leaves_no_keys(
        self, tenancy: Tenancy, new_keys: Callable[..., Keys], key_store_urls: StoreUrls
    ) -> None:
        """With its schema go its keys, and what was copied of its data before can't be read any more."""
        keys, tenant = new_keys(), tenancy.tenant
        sealed = (await keys.sealer(tenant)).seal(PLACE, b"x")
        before = await destruction.remains(keys, tenant.id, tenant.slug)
        assert (before.keys, before.rows > 0, before.nothing) == (["local data"], True, False)
        await deleted(tenancy, keys, an_operator())
        assert not await as_administrator(key_store_urls, "SELECT FROM subject_keys WHERE tenant_id = $1", tenant.id)
        for process in (keys, new_keys()):
            with pytest.raises(SealBroken):
                (await process.opener(tenant, [sealed])).open(PLACE, sealed)
        assert (await destruction.remains(keys, tenant.id, tenant.slug)).nothing
        assert await asked_for(tenancy) == [], "there is nothing left to be asked for"
        async with tenancy.database.platform_tx() as tx:
            assert (tenant.id, tenant.slug) in await destruction.list_deleted(tx)
            assert await destruction.list_deleted(tx, slug="somebody-else") == []
            assert await destruction.list_deleted(tx, after=tenant.id) == []
            assert await destruction.find_destroyed(tx, [UUID(int=1), tenant.id]) == {tenant.id}

    async def test_has_its_keys_destruction_asked_for_by_whoever_asks_again(
        self, tenancy: Tenancy, new_keys: Callable[..., Keys], openbao: OpenBao, tmp_path: Path
    ) -> None:
        """A person who repeats what a program, or an older version, has begun asks for the key in Vault, too; once."""
        slug = tenancy.tenant.slug
        async with opened(openbao, tmp_path, **approle(openbao, tmp_path, "billfold-operator")) as vault:
            ending = destruction.EndingKeys(new_keys(backend=lambda _store: vault))
            tenants = Tenants(tenancy.database, tenancy.administrator, tenancy.registry, keys=ending)
            await tenants.suspend(slug, reason="it ends")
            await tenants.ask_to_delete(slug, confirm=slug)
            assert await asked_for(tenancy) == []
            for _ in range(2):
                await tenants.ask_to_delete(slug, confirm=slug, caller=an_operator())
        assert [each.state for each in await asked_for(tenancy)] == ["pending"]

    async def test_leaves_its_key_in_vault_until_two_agree(
        self, tenancy: Tenancy, new_keys: Callable[..., Keys], openbao: OpenBao, tmp_path: Path
    ) -> None:
        """Who deletes it has asked, another one agrees; then Vault has no key that could open an old backup."""
        tenant, operator = tenancy.tenant, an_operator()
        async with opened(openbao, tmp_path, **approle(openbao, tmp_path, "billfold-operator")) as vault:
            keys = new_keys(backend=lambda _store: vault)
            await keys.sealer(tenant)
            await vault.ensure(TenantKey(tenant.id, "cards"))
            await deleted(tenancy, keys, operator)
            left = await destruction.remains(keys, tenant.id, tenant.slug)
            assert (left.rows, left.keys, left.unknown) == (0, ["vault data", "vault cards"], [])
            (asked,) = await asked_for(tenancy)
            assert (asked.state, asked.asked_by) == ("pending", operator.user_id)
            done = await destruction.approve(tenancy.database, keys, an_operator(), asked.id, now=asked.asked_at)
            assert done.state == "done"
            assert (await destruction.remains(keys, tenant.id, tenant.slug)).nothing

    async def test_isnt_taken_for_gone_where_vault_says_nothing(
        self, tenancy: Tenancy, new_keys: Callable[..., Keys], openbao: OpenBao, tmp_path: Path
    ) -> None:
        """A program that deletes has asked for nothing; and a Vault that can't be asked proves nothing."""
        tenant = tenancy.tenant
        async with opened(openbao, tmp_path, **approle(openbao, tmp_path, "billfold-operator")) as vault:
            keys = new_keys(backend=lambda _store: vault)
            await keys.sealer(tenant)
            await deleted(tenancy, keys)
            assert await asked_for(tenancy) == []
        async with opened(openbao, tmp_path, address="http://127.0.0.1:9") as silent:
            keys = new_keys(backend=lambda _store: silent)
            left = await destruction.remains(keys, tenant.id, tenant.slug)
        assert (left.keys, left.unknown, left.nothing) == ([], ["vault data", "vault cards"], False)


class TestRemovedSandboxes:
    async def test_leave_keys_in_vault_of_which_two_destroy_all_at_once(
        self, tenancy: Tenancy, new_keys: Callable[..., Keys], openbao: OpenBao, tmp_path: Path
    ) -> None:
        """One asks for all of them, another one agrees once; what is cut short goes on by agreeing again."""
        async with opened(openbao, tmp_path, **approle(openbao, tmp_path, "billfold-operator")) as vault:
            keys = new_keys(backend=lambda _store: vault)
            removed = [await removed_sandbox(tenancy, keys, number) for number in range(3)]
            assert await everything_asked_for(tenancy) == [], "nobody asks for each of them"
            asked = await asked_for_removed(tenancy, an_operator())
            assert (asked.tenants, asked.state) == (3, "pending")
            with pytest.raises(errors.NotFound):
                await asked_for_removed(tenancy, an_operator())
            assert await everything_asked_for(tenancy) == [(asked.id, "pending", 3)]
            maker = msgspec.structs.replace(an_operator(), user_id=asked.asked_by)
            with pytest.raises(errors.MakerMayNotDecide):
                await destruction.approve(tenancy.database, keys, maker, asked.id, now=asked.asked_at)
            second = an_operator()
            async with opened(openbao, tmp_path, address="http://127.0.0.1:9") as silent:
                cut = new_keys(backend=lambda _store: silent)
                with pytest.raises(errors.KeysUnavailable):
                    await destruction.approve(tenancy.database, cut, second, asked.id, now=asked.asked_at)
            assert await everything_asked_for(tenancy) == [(asked.id, "approved", 3)]
            done = await destruction.approve(tenancy.database, keys, second, asked.id, now=asked.asked_at)
            assert (done.state, done.tenants) == ("done", 3)
            for tenant in removed:
                assert (await destruction.remains(keys, tenant.id, tenant.slug)).nothing
            with pytest.raises(errors.NotFound):
                await asked_for_removed(tenancy, an_operator())
            with pytest.raises(errors.ApprovalNotPending):
                await destruction.approve(tenancy.database, keys, second, asked.id, now=asked.asked_at)

    async def test_are_asked_for_anew_once_what_was_asked_has_expired(
        self, tenancy: Tenancy, new_keys: Callable[..., Keys]
    ) -> None:
        """And by a person; refusing one request refuses it for all."""
        keys = new_keys()
        for number in range(2):
            await removed_sandbox(tenancy, keys, number)
        with pytest.raises(errors.PersonRequired):
            await asked_for_removed(tenancy, SYSTEM)
        first = await asked_for_removed(tenancy, an_operator(), limit=1)
        second = await asked_for_removed(tenancy, an_operator())
        assert (first.tenants, second.tenants) == (1, 1)
        async with tenancy.database.platform_tx() as tx:
            refused = await destruction.reject(tx, an_operator(), second.id, now=second.asked_at)
            late = first.expires_at
            anew = await destruction.ask_for_removed(tx, an_operator(), reason="it ends", now=late)
        assert (refused.state, anew.tenants) == ("rejected", 2)
        with pytest.raises(errors.ApprovalNotPending):
            await destruction.approve(tenancy.database, keys, an_operator(), first.id, now=late)

    async def test_are_not_known_of_those_that_an_older_version_has_removed(
        self, tenancy: Tenancy, new_keys: Callable[..., Keys]
    ) -> None:
        """Whose they were wasn't written down: they are counted with others, until each is asked for."""
        removed = await removed_sandbox(tenancy, new_keys(), 1)
        async with tenancy.database.platform_tx() as tx:
            now = datetime.now(UTC)
            assert await destruction.count_unclaimed(tx, now) == 0
        async with tenancy.administrator.connect() as connection:
            await connection.execute("UPDATE billfold_platform.deleted_tenants SET owner_id = NULL")
        async with tenancy.database.platform_tx() as tx:
            assert await destruction.count_unclaimed(tx, now) == 1
            await destruction.ask(
                tx, an_operator(), tenant_id=removed.id, slug=removed.slug, reason="it is gone", now=now
            )
            assert await destruction.count_unclaimed(tx, now) == 0


async def removed_sandbox(tenancy: Tenancy, keys: Keys, number: int) -> TenantRef:
    """Make a sandbox of a partner of the tenant, with keys, and remove it."""
    owner = Owner(tenant_id=tenancy.tenant.id, partner_id=UUID(int=1), sandbox_id=UUID(int=number))
    tenants = Tenants(tenancy.database, tenancy.administrator, tenancy.registry, keys=destruction.EndingKeys(keys))
    slug = f"sandbox-{number}"
    await tenants.apply(manifest(slug), owner=owner)
    made = await tenancy.registry.get(slug)
    await keys.sealer(made)
    await tenants.suspend(slug, reason="test")
    await tenants.delete(slug, confirm=slug, caller=an_operator())
    return made


async def asked_for_removed(tenancy: Tenancy, operator: Caller, *, limit: int = 10) -> destruction.Destruction:
    """Ask for the keys of all removed sandboxes."""
    now = datetime.now(UTC)
    async with tenancy.database.platform_tx() as tx:
        return await destruction.ask_for_removed(tx, operator, reason="they are gone", now=now, limit=limit)


async def everything_asked_for(tenancy: Tenancy) -> list[tuple[UUID, str, int]]:
    """Return what is listed."""
    async with tenancy.database.platform_tx() as tx:
        return [(each.id, each.state, each.tenants) for each in await destruction.list_destructions(tx)]
