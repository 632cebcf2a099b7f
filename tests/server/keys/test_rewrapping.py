"""Rotation and rewrap: what is new lies under the new, what is old comes along, and nobody who reads notices."""

import asyncio
from collections.abc import Callable
from uuid import UUID, uuid4

import pytest

from billfold import errors
from billfold_server.keys import rules, upkeep_queries
from billfold_server.keys.backends import Wrapped
from billfold_server.keys.rewrapping import Outcome, Rewrap
from billfold_server.keys.rotation import rotate
from billfold_server.keys.service import Keys, Place, SealBroken, TenantKey
from billfold_server.keys.standing import standing
from tests.keystores import Owner, StoreUrls, as_administrator

NewKeys = Callable[..., Keys]
PLACE = Place("parties", "1", "email")


async def sealed_by(keys: Keys, owner: Owner, number: int) -> dict[UUID, bytes]:
    """Return a value for each of so many subjects, sealed under their keys."""
    subjects = [uuid4() for _ in range(number)]
    sealers = await keys.sealers(owner, subjects)
    return {subject: sealers[subject].seal(PLACE, subject.bytes) for subject in subjects}


async def all_open(keys: Keys, owner: Owner, values: dict[UUID, bytes]) -> bool:
    """Tell whether every value opens."""
    opener = await keys.opener(owner, values.values())
    return all(opener.open(PLACE, value) == subject.bytes for subject, value in values.items())


async def rewrap(keys: Keys, owner: Owner, *, batch: int = 250) -> Outcome:
    """Rewrap, and let go of what nothing needs then."""
    work = Rewrap(keys.store, keys.backends, owner.id, keys.domain, batch=batch)
    await work.run()
    return await work.let_go()


class TestARotation:
    async def test_is_used_by_every_process_within_seconds(self, new_keys: NewKeys, owner: Owner) -> None:
        """A process that has the former epoch at hand makes new keys under the new one once it was told."""
        here, there = new_keys(), new_keys()
        await sealed_by(there, owner, 1)
        rotated = await rotate(here.store, here.backends, owner.id, "data")
        await there.evictions._look()
        await sealed_by(there, owner, 3)
        (domain,) = (await standing(here.store, here.backends, owner.id)).domains
        assert rotated.number == 2
        assert [(epoch.number, epoch.subject_keys) for epoch in domain.epochs] == [(1, 1), (2, 3)]
        assert (domain.tenant_key_latest, domain.epochs[1].tenant_key_version) == (2, 2)

    async def test_leaves_everything_readable(self, new_keys: NewKeys, owner: Owner) -> None:
        """What was sealed before opens, in processes that know and in ones that don't."""
        keys = new_keys()
        values = await sealed_by(keys, owner, 20)
        await rotate(keys.store, keys.backends, owner.id, "data")
        assert await all_open(keys, owner, values)
        assert await all_open(new_keys(), owner, values)

    async def test_of_several_at_once_is_one_after_the_other(self, new_keys: NewKeys, owner: Owner) -> None:
        """Each has an epoch of its own, and no epoch lies under an older version than the one before."""
        keys = [new_keys() for _ in range(4)]
        await sealed_by(keys[0], owner, 1)
        rotated = await asyncio.gather(*(rotate(each.store, each.backends, owner.id, "data") for each in keys))
        assert sorted(each.number for each in rotated) == [2, 3, 4, 5]
        in_order = sorted(rotated, key=lambda each: each.number)
        versions = [each.tenant_key_version for each in in_order]
        assert versions == sorted(versions)


class TestARewrap:
    async def test_brings_every_key_to_the_newest_epoch(self, new_keys: NewKeys, owner: Owner) -> None:
        """Subjects' keys of all generations and keys of fingerprints move, and the former epochs are gone."""
        keys = new_keys()
        values = await sealed_by(keys, owner, 30)
        digest = (await keys.fingerprinter(owner, "email")).digests(b"ada")
        for _ in range(2):
            await rotate(keys.store, keys.backends, owner.id, "data")
        outcome = await rewrap(keys, owner, batch=7)
        assert (outcome.moved, outcome.left, outcome.retired_epochs) == (31, 0, [1, 2])
        (domain,) = (await standing(keys.store, keys.backends, owner.id)).domains
        assert [(epoch.number, epoch.subject_keys) for epoch in domain.epochs] == [(3, 30)]
        assert (domain.tenant_key_least, domain.awaiting_rewrap) == (3, 0)
        fresh = new_keys()
        assert await all_open(fresh, owner, values)
        assert (await fresh.fingerprinter(owner, "email")).digests(b"ada") == digest

    async def test_keeps_what_a_row_still_needs(self, new_keys: NewKeys, owner: Owner) -> None:
        """An epoch that isn't empty stays, and so does the version of the tenant's key behind it."""
        keys = new_keys()
        values = await sealed_by(keys, owner, 5)
        await rotate(keys.store, keys.backends, owner.id, "data")
        work = Rewrap(keys.store, keys.backends, owner.id, "data", batch=2)
        outcome = await work.run(for_s=-1)
        assert (outcome.moved, outcome.left, outcome.retired_epochs) == (0, 5, [])
        assert await all_open(new_keys(), owner, values)

    async def test_comes_back_for_rows_that_somebody_has_locked(
        self, new_keys: NewKeys, owner: Owner, key_store_urls: StoreUrls
    ) -> None:
        """It passes them over, moves the others, and ends once they were let go."""
        keys = new_keys()
        values = await sealed_by(keys, owner, 10)
        await rotate(keys.store, keys.backends, owner.id, "data")
        async with keys.store.tx() as connection:
            await connection.fetch(
                "SELECT id FROM subject_keys WHERE tenant_id = $1 ORDER BY id LIMIT 3 FOR UPDATE", owner.id
            )
            work = asyncio.create_task(rewrap(new_keys(), owner))
            count = "SELECT count(*) FROM subject_keys k JOIN key_epochs e ON e.id = k.epoch_id WHERE e.number = 2"
            while (await as_administrator(key_store_urls, count + " AND k.tenant_id = $1", owner.id))[0]["count"] < 7:
                await asyncio.sleep(0.01)
            assert not work.done()
        assert (await work).moved == 10
        assert await all_open(new_keys(), owner, values)

    async def test_may_be_done_by_several_at_once(self, new_keys: NewKeys, owner: Owner) -> None:
        """Each row is moved by one of them."""
        keys = [new_keys() for _ in range(3)]
        values = await sealed_by(keys[0], owner, 100)
        await rotate(keys[0].store, keys[0].backends, owner.id, "data")
        outcomes = await asyncio.gather(*(rewrap(each, owner, batch=5) for each in keys))
        assert sum(outcome.moved for outcome in outcomes) == 100
        assert await all_open(new_keys(), owner, values)

    async def test_has_nothing_left_where_another_has_done_it_all_meanwhile(
        self, new_keys: NewKeys, owner: Owner, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The epoch that it was about to empty has been retired by then."""
        keys, other = new_keys(), new_keys()
        values = await sealed_by(keys, owner, 3)
        await rotate(keys.store, keys.backends, owner.id, "data")
        unwrap = keys.backends.current.unwrap

        async def late(key: TenantKey, wrapped: Wrapped, bound_to: bytes) -> bytes:
            # What is of the first version is only wrapped anew.
            if wrapped.version > 1:
                monkeypatch.undo()
                assert (await rewrap(other, owner)).retired_epochs == [1]
            return await unwrap(key, wrapped, bound_to)

        monkeypatch.setattr(keys.backends.current, "unwrap", late)
        outcome = await rewrap(keys, owner)
        assert (outcome.moved, outcome.left, outcome.retired_epochs) == (0, 0, [])
        assert await all_open(new_keys(), owner, values)

    async def test_follows_a_version_that_was_made_in_the_backend(self, new_keys: NewKeys, owner: Owner) -> None:
        """Where somebody has rotated the tenant key itself, the epoch is wrapped anew and the old version goes."""
        keys = new_keys()
        values = await sealed_by(keys, owner, 3)
        key = TenantKey(owner.id, "data")
        await keys.backends.current.rotate(key)
        outcome = await rewrap(keys, owner)
        assert (outcome.moved, outcome.retired_below) == (0, {"local": 2})
        assert (await keys.backends.current.versions(key)).least == 2
        assert await all_open(new_keys(), owner, values)

    async def test_stops_at_a_key_that_was_tampered_with(
        self, new_keys: NewKeys, owner: Owner, key_store_urls: StoreUrls
    ) -> None:
        """A wrap that doesn't open is left where it is, with its epoch, for somebody to look at."""
        keys = new_keys()
        await sealed_by(keys, owner, 3)
        await rotate(keys.store, keys.backends, owner.id, "data")
        tamper = "UPDATE subject_keys SET wrapped = set_byte(wrapped, 20, 255 - get_byte(wrapped, 20))"
        await as_administrator(key_store_urls, tamper + " WHERE tenant_id = $1", owner.id)
        with pytest.raises(SealBroken):
            await rewrap(keys, owner)
        (domain,) = (await standing(keys.store, keys.backends, owner.id)).domains
        assert [epoch.subject_keys for epoch in domain.epochs] == [3, 0]

    async def test_of_nothing_does_nothing(self, new_keys: NewKeys, owner: Owner) -> None:
        """A tenant without keys has none to move."""
        assert await rewrap(new_keys(), owner) == Outcome(domain="data")

    async def test_lets_the_forgotten_be(self, new_keys: NewKeys, owner: Owner) -> None:
        """A subject that was forgotten before stays so."""
        keys = new_keys()
        values = await sealed_by(keys, owner, 2)
        gone, stays = values
        await keys.forget(owner, [gone], reason="test")
        await rotate(keys.store, keys.backends, owner.id, "data")
        assert (await rewrap(keys, owner)).moved == 1
        fresh = new_keys()
        assert await all_open(fresh, owner, {stays: values[stays]})
        with pytest.raises(errors.SubjectForgotten):
            (await fresh.opener(owner, [values[gone]])).open(PLACE, values[gone])


class TestAnEpoch:
    async def test_of_an_older_version_than_anothers_is_refused(self, new_keys: NewKeys, owner: Owner) -> None:
        """Whoever has wrapped it before a rotation and comes after it can't use a version that is about to go."""
        keys = new_keys()
        await sealed_by(keys, owner, 1)
        epoch_id, backend, key = uuid4(), keys.backends.current, TenantKey(owner.id, "data")
        late = await backend.wrap(key, b"k" * 32, rules.bound_epoch(owner.id, "data", epoch_id))
        await rotate(keys.store, keys.backends, owner.id, "data")
        made = await keys.store.fetch(
            upkeep_queries.INSERT_EPOCH_AFTER, owner.id, epoch_id, "data", "local", late.version, late.data, 0
        )
        assert made == []
