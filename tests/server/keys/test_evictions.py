"""Forgetting: every process follows, in time and in order, or uses no key at all."""

import asyncio
import time
from collections.abc import Callable
from uuid import uuid4

import asyncpg
import pytest

from billfold import errors
from billfold_server.keys.service import Keyring, Keys, KeyStore, Limits, LocalBackend, Place, TenantKey, Wrapped
from tests.keystores import Owner, StoreUrls, as_administrator
from tests.pace import quickest

NewKeys = Callable[..., Keys]
PLACE = Place("parties", "pty_1", "email")
WAITING = """
SELECT FROM pg_stat_activity
WHERE wait_event_type = 'Lock' AND query LIKE '%eviction_head%' AND datname = current_database()
"""
LIVING = "SELECT FROM subject_keys WHERE tenant_id = $1 AND subject_id = $2 AND wrapped IS NOT NULL"


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


class Slow(LocalBackend):
    """A backend that answers when it may."""

    def __init__(self, keyring: Keyring, store: KeyStore) -> None:
        super().__init__(keyring, store)
        self.asked, self.may_answer = asyncio.Event(), asyncio.Event()

    async def unwrap(self, key: TenantKey, wrapped: Wrapped, bound_to: bytes) -> bytes:
        """Wait for leave, and unwrap."""
        self.asked.set()
        await self.may_answer.wait()
        return await super().unwrap(key, wrapped, bound_to)


class TestAForgottenSubject:
    async def test_is_gone_within_seconds_where_nobody_asks_for_it(self, new_keys: NewKeys, owner: Owner) -> None:
        """A process that only looks in the background drops the key, too."""
        here, there, subject = new_keys(), new_keys(), uuid4()
        sealed = (await here.sealer(owner, subject)).seal(PLACE, b"x")
        await there.opener(owner, [sealed])
        following = asyncio.create_task(there.run())
        assert len(there._keys) == 1
        await here.forget(owner, [subject], reason="erasure request")
        until = time.monotonic() + 30
        while len(there._keys):
            assert time.monotonic() < until
            await asyncio.sleep(0.01)
        following.cancel()

    async def test_is_not_kept_by_who_was_just_reading_its_key(
        self, new_keys: NewKeys, owner: Owner, keyring: Keyring
    ) -> None:
        """A key that was read before its subject was forgotten, and opened after, is neither used nor cached."""
        here, subject = new_keys(), uuid4()
        sealed = (await here.sealer(owner, subject)).seal(PLACE, b"x")
        slow: list[Slow] = []

        def backend(store: KeyStore) -> Slow:
            slow.append(Slow(keyring, store))
            return slow[-1]

        there = new_keys(backend=backend)
        opening = asyncio.create_task(there.opener(owner, [sealed]))
        await slow[0].asked.wait()
        await here.forget(owner, [subject], reason="erasure request")
        await there.evictions._look()
        slow[0].may_answer.set()
        with pytest.raises(errors.SubjectForgotten):
            (await opening).open(PLACE, sealed)
        assert len(there._keys) == 0

    async def test_has_no_key_left_however_many_make_one_meanwhile(
        self, new_keys: NewKeys, owner: Owner, key_store_urls: StoreUrls
    ) -> None:
        """Three processes seal for subjects that a fourth forgets: they have sealed before, or are refused."""
        processes, forgetting = [new_keys() for _ in range(3)], new_keys()
        await processes[0].sealer(owner)
        for _ in range(12):
            subject = uuid4()
            sealing = [keys.sealer(owner, subject) for keys in processes]
            *made, forgotten = await asyncio.gather(
                *sealing, forgetting.forget(owner, [subject], reason="erasure request"), return_exceptions=True
            )
            assert forgotten is None
            assert all(not isinstance(each, Exception) or isinstance(each, errors.SubjectForgotten) for each in made)
            assert not await as_administrator(key_store_urls, LIVING, owner.id, subject)

    async def test_gets_no_next_generation(self, new_keys: NewKeys, owner: Owner, key_store_urls: StoreUrls) -> None:
        """One whose key was spent when it was forgotten has none afterwards."""
        keys, subject = new_keys(), uuid4()
        await keys.sealer(owner, subject)
        await as_administrator(
            key_store_urls, "UPDATE subject_keys SET seals_reserved = 2147483648 WHERE tenant_id = $1", owner.id
        )
        await new_keys().sealer(owner, subject)
        await keys.forget(owner, [subject], reason="erasure request")
        assert not await as_administrator(key_store_urls, LIVING, owner.id, subject)
        with pytest.raises(errors.SubjectForgotten):
            await new_keys().sealer(owner, subject)
        (row,) = await as_administrator(
            key_store_urls, "SELECT keys FROM forgotten_subjects WHERE tenant_id = $1", owner.id
        )
        assert row["keys"] == 3


class TestAProcessThatCantLook:
    async def test_uses_no_key_until_it_can(self, new_keys: NewKeys, owner: Owner) -> None:
        """Once what it knows of forgotten subjects is too old, it drops all keys; that needs no restart to mend."""
        clock = Clock()
        keys = new_keys(monotonic=clock, limits=Limits(stale_s=5))
        sealed = (await keys.sealer(owner)).seal(PLACE, b"x")
        dsn, keys.store._dsn = keys.store._dsn, "postgresql://nobody@127.0.0.1:1/none"
        await keys.store.close()
        clock.now += 4.9
        assert (await keys.opener(owner, [sealed])).open(PLACE, sealed) == b"x"
        clock.now += 0.2
        with pytest.raises(errors.KeysUnavailable):
            await keys.opener(owner, [sealed])
        assert len(keys._keys) == len(keys._current) == len(keys._epochs) == 0
        keys.store._dsn = dsn
        await keys.store.close()
        assert (await keys.opener(owner, [sealed])).open(PLACE, sealed) == b"x"

    async def test_drops_everything_when_it_was_away_too_long(
        self, new_keys: NewKeys, owner: Owner, key_store_urls: StoreUrls
    ) -> None:
        """Evictions are told for a day; who missed one keeps nothing."""
        here, there = new_keys(), new_keys(limits=Limits(stale_s=0))
        subject, other = uuid4(), uuid4()
        await there.sealers(owner, [subject, other])
        await here.forget(owner, [subject], reason="erasure request")
        await as_administrator(key_store_urls, "DELETE FROM evictions")
        await there.evictions.catch_up()
        assert len(there._keys) == 0

    async def test_tells_its_cause_within_two_seconds_without_holding_others_up(
        self, new_keys: NewKeys, owner: Owner, key_store_urls: StoreUrls
    ) -> None:
        """A key store that is locked up is given up in time, the event loop goes on, and later all is well."""
        keys = new_keys(patient=False)
        await keys.sealer(owner)
        blocking = await asyncpg.connect(key_store_urls.admin, server_settings={"search_path": "billfold_keys"})
        holding = blocking.transaction()
        await holding.start()
        await blocking.execute("LOCK TABLE subject_keys IN ACCESS EXCLUSIVE MODE")
        turns = 0

        async def ask() -> None:
            nonlocal turns
            asking = asyncio.create_task(keys.sealer(owner, uuid4()))
            while not asking.done():
                await asyncio.sleep(0.01)
                turns += 1
            with pytest.raises(errors.KeysUnavailable):
                await asking

        assert await quickest(ask, below_s=2.5) < 2.5
        if turns <= 20:
            # This process stood still just as long as the key store was waited for.
            await ask()
        assert turns > 20
        await holding.rollback()
        await blocking.close()
        assert await keys.sealer(owner, uuid4())

    async def test_tells_all_who_wait_by_one_look(self, new_keys: NewKeys, owner: Owner) -> None:
        """Twenty who ask a key store that hangs are answered in the time of one, not one after another."""
        silent = asyncio.Event()

        async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await silent.wait()
            writer.close()

        server = await asyncio.start_server(hang, "127.0.0.1", 0)
        nowhere = f"postgresql://nobody@127.0.0.1:{server.sockets[0].getsockname()[1]}/none"
        keys = new_keys(dsn=nowhere, patient=False)

        async def ask() -> None:
            asked = await asyncio.gather(*(keys.sealer(owner) for _ in range(20)), return_exceptions=True)
            assert all(isinstance(each, errors.KeysUnavailable) for each in asked)

        took_s = await quickest(ask, below_s=2.8)
        silent.set()
        server.close()
        assert took_s < 2.8


class TestEvictions:
    async def test_are_numbered_in_the_order_of_commits(
        self, new_keys: NewKeys, store: KeyStore, key_store_urls: StoreUrls
    ) -> None:
        """Nobody gets a number while an earlier one isn't committed, so whoever reads up to one has missed none."""
        first, second = Owner(uuid4()), Owner(uuid4())
        keys = new_keys()
        async with store.tx() as connection:
            before = await connection.fetchval("UPDATE eviction_head SET number = number + 1 RETURNING number")
            telling = asyncio.create_task(keys.forget(second, [uuid4()], reason="erasure request"))
            while not await as_administrator(key_store_urls, WAITING):
                assert not telling.done()
            await connection.execute(
                "INSERT INTO evictions (number, tenant_id, made_at) VALUES ($1, $2, now())", before, first.id
            )
        await telling
        rows = await store.fetch("SELECT number, tenant_id FROM evictions WHERE number >= $1 ORDER BY number", before)
        assert [(row["number"], row["tenant_id"]) for row in rows] == [(before, first.id), (before + 1, second.id)]
