"""Sealing and opening for tenants: keys made once, kept for a while, and gone when they are forgotten."""

import asyncio
from collections.abc import Callable
from contextlib import nullcontext
from uuid import UUID, uuid4

import pytest

from billfold import errors
from billfold_server.keys.rotation import rotate
from billfold_server.keys.service import (
    TENANT_SUBJECT,
    Keys,
    Limits,
    Place,
    SealBroken,
    TenantKey,
    Wrapped,
    key_id_of,
)
from tests.keystores import Owner, StoreUrls, as_administrator

NewKeys = Callable[..., Keys]
PLACE = Place("parties", "pty_1", "email")


class TestKeys:
    async def test_open_what_they_have_sealed(self, new_keys: NewKeys, owner: Owner) -> None:
        """A value sealed in one process opens in another, at its place."""
        sealer = await new_keys().sealer(owner, uuid4())
        sealed = sealer.seal(PLACE, b"ada@example.org")
        assert key_id_of(sealed) == sealer.key_id
        assert b"@example" not in sealed
        assert (await new_keys().opener(owner, [sealed])).open(PLACE, sealed) == b"ada@example.org"

    async def test_warn_of_some_that_do_not_open_though_others_of_the_tenant_do(
        self, new_keys: NewKeys, owner: Owner, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A Vault that is from before the newest of its keys opens what is older, and that says nothing of the rest."""
        keys = new_keys()
        older = (await keys.sealer(owner)).seal(PLACE, b"older")
        unwrap = keys.backends.current.unwrap

        async def lack_the_newest(key: TenantKey, wrapped: Wrapped, bound_to: bytes) -> bytes:
            if wrapped.version > 1:
                raise SealBroken
            return await unwrap(key, wrapped, bound_to)

        await rotate(keys.store, keys.backends, owner.id, "data")
        keys.evict_all()
        newer = (await keys.sealer(owner, uuid4())).seal(PLACE, b"newer")
        for lacking in (1, 0):
            keys.evict_all()
            with monkeypatch.context() as changed:
                if lacking:
                    changed.setattr(keys.backends.current, "unwrap", lack_the_newest)
                with pytest.raises(errors.KeysUnavailable) if lacking else nullcontext():
                    await keys.opener(owner, [newer])
                assert (await keys.opener(owner, [older])).open(PLACE, older) == b"older"
            assert ["keys of 1 tenant(s)" in each for each in keys.warnings()] == [True] * lacking

    async def test_open_nothing_of_another_tenant_or_domain(self, new_keys: NewKeys, owner: Owner) -> None:
        """The same row, read as somebody else's or by another domain's keys, doesn't open."""
        sealed = (await new_keys().sealer(owner)).seal(PLACE, b"x")
        for keys, who in [(new_keys(), Owner(uuid4())), (new_keys(domain="cards"), owner)]:
            with pytest.raises(SealBroken):
                (await keys.opener(who, [sealed])).open(PLACE, sealed)

    async def test_are_one_per_subject_though_processes_race(self, new_keys: NewKeys, owner: Owner) -> None:
        """Four processes that seal for the same twenty subjects at once end up with one key for each."""
        subjects = [uuid4() for _ in range(20)]
        answers = await asyncio.gather(*(new_keys().sealers(owner, subjects) for _ in range(4)))
        for subject in subjects:
            assert len({answer[subject].key_id for answer in answers}) == 1

    async def test_are_made_for_a_purpose_under_the_epoch_that_is_there(
        self, new_keys: NewKeys, owner: Owner, key_store_urls: StoreUrls
    ) -> None:
        """A process that doesn't know yet that its epoch was retired takes the new one, and is refused nothing."""
        keys, other = new_keys(), new_keys()
        await keys.evictions.catch_up()
        await keys._newest_epoch(owner.id)
        await rotate(other.store, other.backends, owner.id, "data")
        await as_administrator(key_store_urls, "DELETE FROM key_epochs WHERE tenant_id = $1 AND number = 1", owner.id)
        prints = (await keys.fingerprinter(owner, "email")).digests(b"ada")
        assert (await other.fingerprinter(owner, "email")).digests(b"ada") == prints

    async def test_are_asked_for_once_by_all_who_wait(self, new_keys: NewKeys, owner: Owner) -> None:
        """Fifty requests at once for one subject's key cost one query, and each has its own seals."""
        keys, subject = new_keys(), uuid4()
        await keys.sealer(owner, subject)
        keys.evict_all()
        before = keys.counts["loads"]
        sealers = await asyncio.gather(*(keys.sealer(owner, subject) for _ in range(50)))
        assert keys.counts["loads"] - before == 1
        assert len({sealer.seal(PLACE, b"x") for sealer in sealers}) == 50

    async def test_are_loaded_together(self, new_keys: NewKeys, owner: Owner) -> None:
        """A thousand values of a thousand subjects are opened by one query."""
        subjects = [uuid4() for _ in range(1_000)]
        sealers = await new_keys().sealers(owner, subjects)
        sealed = {subject: sealers[subject].seal(PLACE, subject.bytes) for subject in subjects}
        keys = new_keys()
        opener = await keys.opener(owner, sealed.values())
        assert keys.counts["loads"] == 1
        assert all(opener.open(PLACE, value) == subject.bytes for subject, value in sealed.items())

    async def test_seal_no_more_than_was_asked_for(self, new_keys: NewKeys, owner: Owner) -> None:
        """A sealer's seals are counted, because they come out of the key's budget."""
        sealer = await new_keys().sealer(owner, TENANT_SUBJECT, seals=2)
        sealer.seal(PLACE, b"1")
        sealer.seal(PLACE, b"2")
        with pytest.raises(RuntimeError):
            sealer.seal(PLACE, b"3")

    async def test_get_a_successor_when_a_budget_is_spent(
        self, new_keys: NewKeys, owner: Owner, key_store_urls: StoreUrls
    ) -> None:
        """A key that has sealed 2^31 values seals no more; the next generation does, and the old values still open."""
        keys = new_keys()
        first = await keys.sealer(owner)
        sealed = first.seal(PLACE, b"old")
        spend = "UPDATE subject_keys SET seals_reserved = 2147483648 - 10 WHERE tenant_id = $1"
        await as_administrator(key_store_urls, spend, owner.id)
        later = new_keys()
        second = await later.sealer(owner)
        assert second.key_id != first.key_id
        assert (await later.opener(owner, [sealed])).open(PLACE, sealed) == b"old"
        rows = await as_administrator(
            key_store_urls,
            "SELECT generation, current, seals_reserved FROM subject_keys WHERE tenant_id = $1 ORDER BY generation",
            owner.id,
        )
        assert [tuple(row)[:2] for row in rows] == [(1, False), (2, True)]
        assert all(row["seals_reserved"] <= 2**31 for row in rows)

    async def test_are_gone_everywhere_once_forgotten(self, new_keys: NewKeys, owner: Owner) -> None:
        """A forgotten subject's values open in no process that has looked since; another subject's do."""
        here, there = new_keys(), new_keys(limits=Limits(stale_s=0))
        subject, other = uuid4(), uuid4()
        sealers = await here.sealers(owner, [subject, other])
        sealed = {each: sealers[each].seal(PLACE, each.bytes) for each in (subject, other)}
        assert (await there.opener(owner, sealed.values())).open(PLACE, sealed[subject]) == subject.bytes
        await here.forget(owner, [subject], reason="erasure request")
        for keys in (here, there, new_keys()):
            opener = await keys.opener(owner, sealed.values())
            assert opener.open(PLACE, sealed[other]) == other.bytes
            with pytest.raises(errors.SubjectForgotten):
                opener.open(PLACE, sealed[subject])
            with pytest.raises(errors.SubjectForgotten):
                await keys.sealer(owner, subject)

    async def test_make_none_for_who_was_forgotten_before_having_any(self, new_keys: NewKeys, owner: Owner) -> None:
        """Whoever was forgotten without keys gets none later, in any domain."""
        subject = uuid4()
        await new_keys().forget(owner, [subject], reason="erasure request")
        for keys in (new_keys(), new_keys(domain="cards")):
            with pytest.raises(errors.SubjectForgotten):
                await keys.sealer(owner, subject)

    async def test_make_fingerprints_that_agree(self, new_keys: NewKeys, owner: Owner) -> None:
        """Two processes have one fingerprint for a value; another purpose, tenant or domain has another."""
        made = [
            (await keys.fingerprinter(who, purpose)).digests(b"4111")[0].digest
            for keys, who, purpose in [
                (new_keys(), owner, "cards"),
                (new_keys(), owner, "cards"),
                (new_keys(), owner, "emails"),
                (new_keys(), Owner(uuid4()), "cards"),
                (new_keys(domain="cards"), owner, "cards"),
            ]
        ]
        assert made[0] == made[1]
        assert len(set(made)) == 4

    async def test_keep_old_fingerprints_findable_while_they_rotate(self, new_keys: NewKeys, owner: Owner) -> None:
        """After a rotation there are two digests, the newest first, and the older is what was stored before."""
        keys = new_keys()
        old = (await keys.fingerprinter(owner, "cards")).digests(b"4111")
        assert await keys.rotate_purpose(owner, "cards") == 2
        new = (await keys.fingerprinter(owner, "cards")).digests(b"4111")
        assert [each.version for each in new] == [2, 1]
        assert new[1:] == old

    async def test_are_unavailable_without_their_store(self, owner: Owner, new_keys: NewKeys) -> None:
        """A key store that can't be reached is told as such, and when to come back."""
        keys = new_keys()
        keys.store._dsn = "postgresql://nobody@127.0.0.1:1/none"
        with pytest.raises(errors.KeysUnavailable) as caught:
            await keys.sealer(owner)
        assert caught.value.reason == "key_store_unreachable"
        assert caught.value.retry_after_s == 1

    async def test_of_a_deleted_tenant_are_gone(
        self, new_keys: NewKeys, owner: Owner, key_store_urls: StoreUrls
    ) -> None:
        """Nothing of it is left in the key store, and what it had sealed is broken."""
        keys = new_keys()
        sealed = (await keys.sealer(owner)).seal(PLACE, b"x")
        await keys.fingerprinter(owner, "cards")
        await keys.forget_tenant(owner)
        for table in ("subject_keys", "key_epochs", "purpose_keys", "local_tenant_keys", "forgotten_subjects"):
            assert not await as_administrator(key_store_urls, f"SELECT FROM {table} WHERE tenant_id = $1", owner.id)
        with pytest.raises(SealBroken):
            (await keys.opener(owner, [sealed])).open(PLACE, sealed)


def test_nobody_is_the_tenants_own_subject() -> None:
    """No party can have the id under which a tenant's own values lie."""
    assert UUID(int=0) == TENANT_SUBJECT
