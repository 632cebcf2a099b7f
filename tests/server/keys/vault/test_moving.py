"""Moving keys between a keyring and a real OpenBao while they are read, and keeping them by least privilege."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest

from billfold import errors
from billfold_server.keys.keeping import Keeper
from billfold_server.keys.rewrapping import Outcome, Rewrap
from billfold_server.keys.rotation import rotate
from billfold_server.keys.service import BackendName, Backends, Keyring, Keys, KeyStore, Limits, LocalBackend, TenantKey
from billfold_server.keys.standing import standing
from tests.keystores import Owner, StoreUrls, as_administrator
from tests.openbao import OpenBao
from tests.server.keys.test_rewrapping import PLACE, all_open, sealed_by
from tests.server.keys.vault.kit import approle, opened

COLD = Limits(keys=4, epochs=4, keep_s=0.02)


async def moved(keys: Keys, owner: Owner, to: BackendName) -> Outcome:
    """Move a tenant's keys."""
    await rotate(keys.store, keys.backends, owner.id, keys.domain, to=to)
    work = Rewrap(keys.store, keys.backends, owner.id, keys.domain, batch=20)
    await work.run()
    return await work.let_go()


class TestAMove:
    async def test_goes_both_ways_while_keys_are_read(
        self, openbao: OpenBao, tmp_path: Path, key_store_urls: StoreUrls, keyring: Keyring, owner: Owner
    ) -> None:
        """No read fails, nothing stays in the backend that was left, and back again all is as before."""
        operator = approle(openbao, tmp_path, "billfold-operator")
        async with opened(openbao, tmp_path, **operator) as vault:
            stores = [KeyStore(key_store_urls.own) for _ in range(2)]
            first, second = (Backends(LocalBackend(keyring, store), vault) for store in stores)
            keys, reader = Keys(stores[0], first), Keys(stores[1], second, limits=COLD)
            values = await sealed_by(keys, owner, 100)
            reads, ended = 0, asyncio.Event()

            async def read() -> None:
                nonlocal reads
                while not ended.is_set():
                    assert await all_open(reader, owner, values)
                    reads += 1

            reading = asyncio.create_task(read())
            backends: list[BackendName] = ["vault", "local", "vault"]
            for to in backends:
                before = reads
                outcome = await moved(keys, owner, to)
                assert (outcome.moved, outcome.left) == (100, 0)
                (domain,) = (await standing(keys.store, keys.backends, owner.id)).domains
                assert [(epoch.backend, epoch.subject_keys) for epoch in domain.epochs] == [(to, 100)]
                # Whatever was read while keys moved, there is one more read of where they are now.
                async with asyncio.timeout(60):
                    while reads < before + 2 and not reading.done():
                        await asyncio.sleep(0)
                assert not reading.done(), reading.exception()
            ended.set()
            await reading
            for store in stores:
                await store.close()

    async def test_to_where_nobody_knows_the_way_changes_nothing(
        self, new_keys: Callable[..., Keys], owner: Owner
    ) -> None:
        """A backend that isn't configured takes no keys."""
        keys = new_keys()
        values: dict[UUID, bytes] = await sealed_by(keys, owner, 2)
        with pytest.raises(errors.KeysUnavailable) as refused:
            await moved(keys, owner, "vault")
        assert refused.value.reason == "not_configured"
        assert await all_open(new_keys(), owner, values)


class TestAWorkerOfLeastPrivilege:
    async def test_keeps_keys_as_far_as_it_is_allowed(
        self, openbao: OpenBao, tmp_path: Path, key_store_urls: StoreUrls, owner: Owner
    ) -> None:
        """It rotates in time, rewraps and lets go of old versions; to destroy the key itself is left to an operator."""
        async with opened(openbao, tmp_path) as vault:
            store = KeyStore(key_store_urls.own)
            keys = Keys(store, Backends(vault))
            values = await sealed_by(keys, owner, 5)
            age = "UPDATE key_epochs SET created_at = created_at - interval '91 days' WHERE tenant_id = $1"
            await as_administrator(key_store_urls, age, owner.id)
            await Keeper(keys, rotate_days=90, grace_s=0).look()
            (domain,) = (await standing(store, keys.backends, owner.id)).domains
            assert [(epoch.number, epoch.subject_keys) for epoch in domain.epochs] == [(2, 5)]
            assert (domain.tenant_key_latest, domain.tenant_key_least) == (2, 2)
            with pytest.raises(errors.KeysUnavailable) as refused:
                await vault.destroy(TenantKey(owner.id, "data"))
            assert refused.value.reason == "forbidden"
            assert (await keys.sealer(owner, next(iter(values)))).seal(PLACE, b"x")
            keys.evict_all()
            assert await all_open(keys, owner, values)
            await store.close()


class TestAnOperator:
    async def test_gives_fingerprints_of_cards_a_new_key(
        self, openbao: OpenBao, tmp_path: Path, key_store_urls: StoreUrls, owner: Owner
    ) -> None:
        """The decryptor makes fingerprints by it, and finds by both; its own policy and the operator's are enough."""
        roles = [approle(openbao, tmp_path, f"billfold-{name}") for name in ("decryptor", "operator")]
        async with (
            opened(openbao, tmp_path, domain="cards", **roles[0]) as decryptor,
            opened(openbao, tmp_path, domain="cards", **roles[1]) as operator,
        ):
            stores = [KeyStore(key_store_urls.own) for _ in range(2)]
            theirs = Keys(stores[0], Backends(decryptor), domain="cards")
            ours = Keys(stores[1], Backends(operator), domain="cards")
            old = (await theirs.fingerprinter(owner, "vault token card")).digests(b"4111")
            assert await ours.rotate_purpose(owner, "vault token card") == 2
            theirs.evict_all()
            new = (await theirs.fingerprinter(owner, "vault token card")).digests(b"4111")
            assert ([each.version for each in new], new[1:]) == ([2, 1], old)
            for store in stores:
                await store.close()
