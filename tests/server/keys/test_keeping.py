"""Keeping keys in the background, and backing the key store up and bringing it back."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Callable, Collection
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from billfold import errors
from billfold.contract.data_keys import KeyEpoch
from billfold_server.db.embedded import EmbeddedPostgres
from billfold_server.keys import backups, rules, upkeep_queries
from billfold_server.keys.backends.registry import Backends
from billfold_server.keys.keeping import Keeper
from billfold_server.keys.rotation import rotate
from billfold_server.keys.service import (
    Keyring,
    Keys,
    KeyStore,
    LocalBackend,
    SealBroken,
    TenantKey,
    Wrapped,
    prepare_store,
)
from billfold_server.keys.standing import standing
from billfold_server.tenancy.context import TenantRef
from tests.keystores import Owner, StoreUrls, as_administrator
from tests.postgres import create_database, drop_database
from tests.server.keys.test_rewrapping import PLACE, all_open, sealed_by
from tests.tenants import manifest

NewKeys = Callable[..., Keys]


class TestAKeeper:
    async def test_rewraps_what_lies_under_a_former_epoch(self, new_keys: NewKeys, owner: Owner) -> None:
        """A rotation is followed through by whoever looks next, down to the version of the tenant key."""
        keys = new_keys()
        values = await sealed_by(keys, owner, 10)
        await rotate(keys.store, keys.backends, owner.id, "data")
        await Keeper(new_keys(), grace_s=0).look()
        (domain,) = (await standing(keys.store, keys.backends, owner.id)).domains
        assert [(epoch.number, epoch.subject_keys) for epoch in domain.epochs] == [(2, 10)]
        assert domain.tenant_key_least == 2
        assert await all_open(new_keys(), owner, values)

    async def test_rotates_what_is_too_old(self, new_keys: NewKeys, owner: Owner, key_store_urls: StoreUrls) -> None:
        """An epoch older than it may become is replaced, and one that isn't stays."""
        keys = new_keys()
        await sealed_by(keys, owner, 1)
        await Keeper(keys, rotate_days=90, grace_s=0).look()
        assert [each.number for each in await epochs(keys, owner)] == [1]
        age = "UPDATE key_epochs SET created_at = created_at - interval '91 days' WHERE tenant_id = $1"
        await as_administrator(key_store_urls, age, owner.id)
        await Keeper(keys, rotate_days=90, grace_s=0).look()
        assert [each.number for each in await epochs(keys, owner)] == [2]

    async def test_makes_no_keys_for_a_tenant_that_was_deleted_meanwhile(
        self, new_keys: NewKeys, owner: Owner, key_store_urls: StoreUrls, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its turn comes after it was deleted, and nothing of it is there again."""
        keys = new_keys()
        await sealed_by(keys, owner, 1)
        age = "UPDATE key_epochs SET created_at = created_at - interval '91 days' WHERE tenant_id = $1"
        await as_administrator(key_store_urls, age, owner.id)
        fetch = keys.store.fetch

        async def fetch_first(sql: str, *arguments: object) -> object:
            rows = await fetch(sql, *arguments)
            if sql == upkeep_queries.KEPT:
                await keys.store.forget_tenant(owner.id)
            return rows

        monkeypatch.setattr(keys.store, "fetch", fetch_first)
        await Keeper(keys, rotate_days=90, grace_s=0).look()
        (row,) = await fetch(upkeep_queries.REMAINS, owner.id)
        assert row["rows"] == 0

    async def test_rotates_as_the_manifest_says(
        self, new_keys: NewKeys, owner: Owner, key_store_urls: StoreUrls
    ) -> None:
        """A tenant's own period counts, shorter or longer than the deployment's, also where manifests aren't known."""
        cards, data, store = new_keys(domain="cards"), new_keys(), new_keys().store
        await cards.sealer(owner)
        await data.sealer(owner)
        age = "UPDATE key_epochs SET created_at = created_at - interval '31 days' WHERE tenant_id = $1"
        await as_administrator(key_store_urls, age, owner.id)

        async def look(days: int | None) -> tuple[int, int]:
            async def tenants() -> list[TenantRef]:
                return [tenant_ref(owner, days)]

            await Keeper(data, rotate_days=30 if days == 32 else 90, tenants=tenants, grace_s=0).look()
            await Keeper(cards, rotate_days=30 if days == 32 else 90, grace_s=0).look()
            shown = await standing(store, data.backends, owner.id, rotate_days=90)
            assert shown.rotate_days == (days or 90)
            assert all(
                each.rotates_at == each.epochs[-1].created_at + timedelta(days=days or 90) for each in shown.domains
            )
            by_domain = {each.domain.value: each.epochs[-1].number for each in shown.domains}
            return by_domain["data"], by_domain["cards"]

        assert await look(None) == (1, 1)
        assert await look(32) == (1, 1)
        assert await look(30) == (2, 2)
        assert await look(30) == (2, 2)
        assert await look(None) == (2, 2)

    async def test_leaves_a_tenant_to_whoever_works_for_it(self, new_keys: NewKeys, owner: Owner) -> None:
        """One process at a time works for a tenant; where it ends, however it ends, another goes on."""
        keys = new_keys()
        await sealed_by(keys, owner, 3)
        await rotate(keys.store, keys.backends, owner.id, "data")
        async with keys.store.long() as connection:
            await connection.fetchval(upkeep_queries.TRY_ALONE, str(owner.id), "data")
            await Keeper(new_keys(), grace_s=0).look()
            assert [each.number for each in await epochs(keys, owner)] == [1, 2]
        await Keeper(new_keys(), grace_s=0).look()
        assert [each.number for each in await epochs(keys, owner)] == [2]

    async def test_works_for_its_own_domain_alone(self, new_keys: NewKeys, owner: Owner) -> None:
        """A worker of the API doesn't touch the keys of cards."""
        cards = new_keys(domain="cards")
        await cards.sealer(owner)
        await rotate(cards.store, cards.backends, owner.id, "cards")
        await Keeper(new_keys(), grace_s=0).look()
        assert [each.number for each in await epochs(cards, owner)] == [1, 2]


def tenant_ref(owner: Owner, days: int | None) -> TenantRef:
    """Return a tenant whose manifest says after how many days keys are replaced, or nothing of it."""
    said = manifest("alpha", keys={} if days is None else {"rotate_days": days})
    return TenantRef(
        id=owner.id,
        slug="alpha",
        schema="s",
        runtime_role="r",
        owner_role="o",
        state="active",
        manifest=said,
        revision=1,
    )


async def epochs(keys: Keys, owner: Owner) -> list[KeyEpoch]:
    """Return a tenant's epochs."""
    (domain,) = (await standing(keys.store, keys.backends, owner.id)).domains
    return list(domain.epochs)


class Deployment:
    """A key store of its own, with a keyring."""

    def __init__(self, dsn: str, keyring: Keyring) -> None:
        self.store = KeyStore(dsn)
        self.keyring = keyring

    def keys(self) -> Keys:
        """Return what a process has."""
        return Keys(self.store, Backends(LocalBackend(self.keyring, self.store)))

    async def bring_back(
        self,
        path: Path,
        *,
        forgotten: AsyncIterator[tuple[UUID, Collection[UUID], str]] | None = None,
        destroyed: Collection[UUID] = (),
        replace: bool = True,
    ) -> backups.Restored:
        """Put a backup in the place of what the key store holds."""
        self.asked: list[int] = []

        async def those_of(tenants: Collection[UUID]) -> Collection[UUID]:
            self.asked.append(len(tenants))
            return {*destroyed} & {*tenants}

        return await backups.bring_back(
            self.store, self.keyring, path, forgotten=forgotten or nobody(), destroyed=those_of, replace=replace
        )


@pytest_asyncio.fixture
async def deployment(postgres: EmbeddedPostgres, keyring: Keyring) -> AsyncIterator[Deployment]:
    """A deployment whose key store may go."""
    admin = await asyncio.to_thread(create_database, postgres)
    made = Deployment(await prepare_store(admin, keyring), keyring)
    yield made
    await made.store.close()
    await asyncio.to_thread(drop_database, postgres, admin)


async def nobody() -> AsyncIterator[tuple[UUID, Collection[UUID], str]]:
    """Yield no forgotten subjects."""
    none: tuple[UUID, Collection[UUID], str]
    for none in ():
        yield none


class TestABackup:
    async def test_brings_everything_back(self, deployment: Deployment, owner: Owner, tmp_path: Path) -> None:
        """After the key store was lost, what was sealed before opens again."""
        values = await sealed_by(deployment.keys(), owner, 50)
        prints = (await deployment.keys().fingerprinter(owner, "email")).digests(b"ada")
        made = await backups.back_up(deployment.store, deployment.keyring, tmp_path / "keys.jsonl")
        async with deployment.store.tx() as connection:
            for table in ("subject_keys", "purpose_keys", "key_epochs", "local_tenant_keys"):
                await connection.execute(f"DELETE FROM {table}")  # noqa: S608
        back = await deployment.bring_back(tmp_path / "keys.jsonl", replace=False)
        assert (back.rows, back.forgotten_again) == (made.rows, 0)
        keys = deployment.keys()
        assert await all_open(keys, owner, values)
        assert (await keys.fingerprinter(owner, "email")).digests(b"ada") == prints
        assert (await keys.sealer(owner, next(iter(values)))).seal(PLACE, b"x")

    async def test_is_one_file_that_the_next_replaces(
        self, deployment: Deployment, owner: Owner, tmp_path: Path
    ) -> None:
        """No former generation is left beside it, its owner alone may read it, and it holds no usable key."""
        path = tmp_path / "keys.jsonl"
        await sealed_by(deployment.keys(), owner, 2)
        first = await backups.back_up(deployment.store, deployment.keyring, path)
        await sealed_by(deployment.keys(), owner, 2)
        second = await backups.back_up(deployment.store, deployment.keyring, path)
        assert second.rows == first.rows + 2
        assert os.listdir(tmp_path) == ["keys.jsonl"]  # noqa: PTH208
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        other = Backends(LocalBackend(Keyring(b"o" * 32), deployment.store))
        (row,) = await deployment.store.fetch(upkeep_queries.EPOCHS, owner.id, "data")
        wrapped, bound_to = Wrapped(row["key_version"], row["wrapped"]), rules.bound_epoch(owner.id, "data", row["id"])
        with pytest.raises(SealBroken):
            await other.current.unwrap(TenantKey(owner.id, "data"), wrapped, bound_to)

    async def test_is_refused_where_it_was_changed_or_is_anothers(
        self, deployment: Deployment, owner: Owner, tmp_path: Path
    ) -> None:
        """A line taken out, a byte changed, the end missing, another keyring, or no backup at all."""
        path = tmp_path / "keys.jsonl"
        await sealed_by(deployment.keys(), owner, 3)
        await backups.back_up(deployment.store, deployment.keyring, path)
        whole = path.read_bytes()
        lines = whole.splitlines(keepends=True)
        changed = whole[:200] + bytes([whole[200] ^ 1]) + whole[201:]
        for bad in (b"".join(lines[:2] + lines[3:]), changed, b"".join(lines[:-1]), b"hello"):
            path.write_bytes(bad)
            with pytest.raises(backups.BackupUnusable):
                backups.read_backup(deployment.keyring, path)
        with pytest.raises(backups.BackupUnusable):
            # What isn't a backup is never written over.
            await backups.back_up(deployment.store, deployment.keyring, path)
        path.write_bytes(whole)
        with pytest.raises(backups.BackupUnusable):
            backups.read_backup(Keyring(b"o" * 32), path)

    async def test_replaces_nothing_by_a_slip(self, deployment: Deployment, owner: Owner, tmp_path: Path) -> None:
        """A key store that isn't empty stays as it is, unless that was said."""
        path = tmp_path / "keys.jsonl"
        await sealed_by(deployment.keys(), owner, 1)
        await backups.back_up(deployment.store, deployment.keyring, path)
        later = await sealed_by(deployment.keys(), owner, 1)
        with pytest.raises(backups.BackupUnusable):
            await deployment.bring_back(path, replace=False)
        assert await all_open(deployment.keys(), owner, later)

    async def test_brings_nobody_back_who_was_forgotten_since(
        self, deployment: Deployment, owner: Owner, tmp_path: Path
    ) -> None:
        """Whom the tenant's own records name is forgotten again, and the others are there."""
        path, keys = tmp_path / "keys.jsonl", deployment.keys()
        values = await sealed_by(keys, owner, 2)
        gone, stays = values
        await backups.back_up(deployment.store, deployment.keyring, path)
        await keys.forget(owner, [gone], reason="asked for it")

        async def told() -> AsyncIterator[tuple[UUID, Collection[UUID], str]]:
            yield owner.id, {gone}, "as the audit says"

        back = await deployment.bring_back(path, forgotten=told())
        assert back.forgotten_again == 1
        await keys.evictions._look()
        assert await all_open(keys, owner, {stays: values[stays]})
        with pytest.raises(errors.SubjectForgotten):
            (await keys.opener(owner, [values[gone]])).open(PLACE, values[gone])

    async def test_brings_nobody_back_whom_the_store_itself_had_forgotten(
        self, deployment: Deployment, owner: Owner, tmp_path: Path
    ) -> None:
        """Also where no tenant's record names them; when and why they were forgotten stays as it was."""
        path, keys = tmp_path / "keys.jsonl", deployment.keys()
        values = await sealed_by(keys, owner, 2)
        gone, stays = values
        await backups.back_up(deployment.store, deployment.keyring, path)
        await keys.forget(owner, [gone], reason="asked for it")
        told = "SELECT subject_id, forgotten_at, reason, keys FROM forgotten_subjects"
        before = await deployment.store.fetch(told)
        back = await deployment.bring_back(path)
        assert back.forgotten_again == 1
        assert await deployment.store.fetch(told) == before
        keys = deployment.keys()
        assert await all_open(keys, owner, {stays: values[stays]})
        with pytest.raises(errors.SubjectForgotten):
            (await keys.opener(owner, [values[gone]])).open(PLACE, values[gone])

    async def test_changes_nothing_before_it_knows_whom_to_forget(
        self, deployment: Deployment, owner: Owner, tmp_path: Path
    ) -> None:
        """Where the tenants' records can't be read, the key store stays as it is."""
        path, keys = tmp_path / "keys.jsonl", deployment.keys()
        (gone, sealed), *_ = (await sealed_by(keys, owner, 1)).items()
        await backups.back_up(deployment.store, deployment.keyring, path)
        await keys.forget(owner, [gone], reason="asked for it")
        later = await sealed_by(keys, owner, 1)

        async def told() -> AsyncIterator[tuple[UUID, Collection[UUID], str]]:
            yield owner.id, {gone}, "as the audit says"
            raise errors.Busy("the database is away")

        with pytest.raises(errors.Busy):
            await deployment.bring_back(path, forgotten=told())
        keys = deployment.keys()
        assert await all_open(keys, owner, later)
        with pytest.raises(errors.SubjectForgotten):
            (await keys.opener(owner, [sealed])).open(PLACE, sealed)

    async def test_brings_no_tenant_back_whose_keys_were_destroyed(
        self, deployment: Deployment, owner: Owner, tmp_path: Path
    ) -> None:
        """Nothing of it is left in the key store, and another tenant's keys are there."""
        path, keys, other = tmp_path / "keys.jsonl", deployment.keys(), Owner(uuid4())
        await sealed_by(keys, owner, 2)
        values = await sealed_by(keys, other, 1)
        made = await backups.back_up(deployment.store, deployment.keyring, path)
        await keys.forget_tenant(owner)
        back = await deployment.bring_back(path, destroyed=[owner.id, uuid4()])
        assert (back.rows < made.rows, back.forgotten_again, back.destroyed_again) == (True, 0, 1)
        left = "SELECT tenant_id FROM subject_keys UNION SELECT tenant_id FROM key_epochs"
        assert [row["tenant_id"] for row in await deployment.store.fetch(left)] == [other.id]
        assert await all_open(deployment.keys(), other, values)

    async def test_asks_of_a_thousand_tenants_at_once_which_were_destroyed(
        self, deployment: Deployment, owner: Owner, tmp_path: Path
    ) -> None:
        """A deployment may have had any number of tenants, and only those count that the key store has heard of."""
        path, keys = tmp_path / "keys.jsonl", deployment.keys()
        values = await sealed_by(keys, owner, 1)
        one_each = "SELECT gen_random_uuid(), 'data', 1, 'salt', now() FROM generate_series(1, 1500)"
        await deployment.store.execute(f"INSERT INTO local_tenant_keys {one_each}")
        await backups.back_up(deployment.store, deployment.keyring, path)
        others = await deployment.store.fetch("SELECT tenant_id FROM local_tenant_keys WHERE tenant_id <> $1", owner.id)
        destroyed = {row["tenant_id"] for row in others}
        assert len(destroyed) == 1500
        back = await deployment.bring_back(path, destroyed=destroyed)
        assert (deployment.asked, back.destroyed_again) == ([1000, 501], 1500)
        assert await deployment.store.fetch("SELECT 1 FROM local_tenant_keys WHERE tenant_id <> $1", owner.id) == []
        assert await all_open(deployment.keys(), owner, values)
