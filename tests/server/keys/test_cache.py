"""What a process keeps of keys: for so long, so many, and for so much work."""

from collections.abc import Callable
from uuid import uuid4

from billfold_server.keys.service import Keys, Limits, Place
from tests.keystores import Owner, StoreUrls, as_administrator

NewKeys = Callable[..., Keys]
PLACE = Place("parties", "pty_1", "email")


class TestTheCache:
    async def test_saves_queries_while_a_key_is_in_it(self, new_keys: NewKeys, owner: Owner) -> None:
        """A thousand openings of one key cost one query, and the backend is asked once."""
        sealed = (await new_keys().sealer(owner)).seal(PLACE, b"x")
        keys = new_keys()
        for _ in range(1_000):
            assert (await keys.opener(owner, [sealed])).open(PLACE, sealed) == b"x"
        assert (keys.counts["loads"], keys.counts["backend_calls"], keys.counts["hits"]) == (1, 1, 999)

    async def test_keeps_a_key_for_no_longer_than_it_may(self, new_keys: NewKeys, owner: Owner) -> None:
        """However often it is used, it is read anew in the end."""
        now = [1_000.0]
        keys = new_keys(monotonic=lambda: now[0], limits=Limits(keep_s=60, stale_s=1_000))
        sealed = (await keys.sealer(owner)).seal(PLACE, b"x")
        before = keys.counts["loads"]
        for _ in range(5):
            now[0] += 14
            await keys.opener(owner, [sealed])
        assert keys.counts["loads"] == before + 1

    async def test_keeps_so_many_and_forgets_what_was_not_asked_for_longest(
        self, new_keys: NewKeys, owner: Owner
    ) -> None:
        """Of three keys two stay."""
        subjects = [uuid4() for _ in range(3)]
        made = await new_keys().sealers(owner, subjects)
        sealed = [made[subject].seal(PLACE, b"x") for subject in subjects]
        keys = new_keys(limits=Limits(keys=2))
        for each in (sealed[0], sealed[1], sealed[0], sealed[2]):
            await keys.opener(owner, [each])
        assert len(keys._keys) == 2
        before = keys.counts["loads"]
        await keys.opener(owner, [sealed[0]])
        assert keys.counts["loads"] == before
        await keys.opener(owner, [sealed[1]])
        assert keys.counts["loads"] == before + 1

    async def test_reads_a_key_anew_that_has_sealed_many_bytes(self, new_keys: NewKeys, owner: Owner) -> None:
        """A copy seals so many bytes and no more, and goes on with a fresh one."""
        keys = new_keys(limits=Limits(key_bytes=1_000))
        sealed = [(await keys.sealer(owner)).seal(PLACE, bytes(600)) for _ in range(6)]
        assert keys.counts["loads"] == 3
        assert (await keys.opener(owner, sealed)).open(PLACE, sealed[5]) == bytes(600)


class TestTheBudget:
    async def test_is_taken_in_growing_blocks(self, new_keys: NewKeys, owner: Owner, key_store_urls: StoreUrls) -> None:
        """Twenty thousand seals cost four queries; what a process has reserved and not used is lost with it."""
        keys = new_keys()
        for _ in range(20_000):
            await keys.sealer(owner)
        assert keys.counts["loads"] == 4
        (row,) = await as_administrator(
            key_store_urls, "SELECT seals_reserved FROM subject_keys WHERE tenant_id = $1", owner.id
        )
        assert row["seals_reserved"] == 64 * (1 + 8 + 64 + 512)

    async def test_gives_a_bulk_as_much_as_it_asks_for(self, new_keys: NewKeys, owner: Owner) -> None:
        """A sealer for a hundred thousand values is had at once, and seals every one of them."""
        sealer = await new_keys().sealer(owner, seals=100_000)
        assert len({sealer.seal(PLACE, b"x")[17:29] for _ in range(100_000)}) == 100_000
