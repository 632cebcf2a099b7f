"""The relay and what it hands to whom."""

import asyncio
import contextvars
from collections.abc import Sequence

import asyncpg
import pytest

from billfold.contract.platform import Event
from billfold_server.db.outbox import emit
from billfold_server.db.relay import _MOVE_ON, Relay
from billfold_server.tenancy.context import TenantRef
from billfold_server.tenancy.transaction import TenantTx
from tests.server.db.test_outbox import event
from tests.tenants import Tenancy


class Reader:
    """A publisher that remembers what it is told."""

    question = "NULL::boolean"

    def __init__(self, types: Sequence[str] | None, *, fails: int = 0, name: str = "reader") -> None:
        self.name = name
        self._types = types
        self.told: list[int] = []
        self._fails = fails

    def wanted(self, _: TenantRef, __: None) -> Sequence[str] | None:
        """Return the types that it was made for."""
        return self._types

    async def publish(self, _: TenantRef, events: Sequence[Event]) -> None:
        """Remember the events' numbers, unless it is to fail."""
        if self._fails:
            self._fails -= 1
            raise ConnectionError
        self.told += [each.sequence for each in events]


async def emitted(tenancy: Tenancy, *kinds: str) -> None:
    """Emit an event of each kind."""
    async with tenancy.database.tx(tenancy.tenant) as tx:
        await emit(tx, *(event(number, kind) for number, kind in enumerate(kinds)))


async def place_of(tenancy: Tenancy) -> int:
    """Return how far the reader has come."""
    async with tenancy.database.tx(tenancy.tenant) as tx:
        return int(await tx.fetchval("SELECT sequence FROM publisher_cursors WHERE publisher = 'reader'"))


@pytest.mark.parametrize("types", [None, ["a", "b"]])
class TestARunUpToANumber:
    async def test_tells_nothing_that_is_behind_it(self, tenancy: Tenancy, types: list[str] | None):
        """What has happened since is told by the next run, and nothing twice, to whoever wants some types or all."""
        reader = Reader(types)
        relay = Relay(tenancy.database, [reader])
        await emitted(tenancy, "a", "b", "a", "b", "a")
        await relay.run(tenancy.tenant, up_to=3)
        assert (reader.told, await place_of(tenancy)) == ([1, 2, 3], 3)
        await relay.run(tenancy.tenant)
        assert reader.told == [1, 2, 3, 4, 5]


class TestARun:
    async def test_moves_all_on_at_once_whom_nothing_new_concerns(self, tenancy: Tenancy):
        """However many there are, it is one transaction; whoever is concerned is told, and nobody twice."""
        readers = [Reader([], name="idle"), Reader(["a"], name="picky"), Reader(None, name="all")]
        relay = Relay(tenancy.database, readers)
        await emitted(tenancy, "a")
        await relay.run(tenancy.tenant)
        await emitted(tenancy, "b", "b")
        assert await relay.run(tenancy.tenant) is None
        assert [each.told for each in readers] == [[], [1], [1, 2, 3]]
        async with tenancy.database.tx(tenancy.tenant) as tx:
            rows = await tx.fetch("SELECT publisher, sequence, xmin::text AS tx, failures FROM publisher_cursors")
        places = {row["publisher"]: row for row in rows}
        assert {row["sequence"] for row in rows} == {3}
        assert places["idle"]["tx"] == places["picky"]["tx"] != places["all"]["tx"]

    @pytest.mark.parametrize(
        ("hold", "wait_s"), [("claimed_by = gen_random_uuid(), claimed_until", 1), ("retry_at", 60)]
    )
    async def test_moves_nobody_on_whose_place_is_not_free(self, tenancy: Tenancy, hold: str, wait_s: float):
        """Another process may be through with it soon; who is to be left in peace isn't looked for until then."""
        relay = Relay(tenancy.database, [Reader(["a"])])
        await emitted(tenancy, "a")
        await relay.run(tenancy.tenant)
        await emitted(tenancy, "b")
        change = f"UPDATE publisher_cursors SET {hold} = now()"  # noqa: S608 - ours
        await tenancy.as_owner(tenancy.tenant, f"{change} + interval '1 minute'")
        assert await relay.run(tenancy.tenant) == pytest.approx(wait_s, abs=wait_s / 2)
        assert await place_of(tenancy) == 1
        await tenancy.as_owner(tenancy.tenant, change)
        assert await relay.run(tenancy.tenant) is None
        assert await place_of(tenancy) == 2

    @pytest.mark.parametrize("types", [None, ["a"]])
    @pytest.mark.parametrize("left", ["claimed_by = gen_random_uuid(), claimed_until", "retry_at"])
    async def test_heeds_no_time_that_a_wrong_clock_has_left(
        self, tenancy: Tenancy, left: str, types: list[str] | None
    ):
        """Where PostgreSQL's clock was hours ahead and is right again, nobody waits until it shows that time anew."""
        relay = Relay(tenancy.database, [Reader(types)])
        await emitted(tenancy, "a")
        await relay.run(tenancy.tenant)
        await emitted(tenancy, "b")
        change = f"UPDATE publisher_cursors SET {left} = now() + interval '6 hours'"  # noqa: S608 - ours
        await tenancy.as_owner(tenancy.tenant, change)
        assert await relay.run(tenancy.tenant) is None
        assert await place_of(tenancy) == 2

    async def test_asks_as_often_however_many_there_are(self, tenancy: Tenancy, monkeypatch: pytest.MonkeyPatch):
        """One question tells what all of them want, and one statement moves on those whom nothing concerns."""
        asked: list[str] = []
        fetch = TenantTx.fetch

        async def noted(tx: TenantTx, sql: str, *arguments: object) -> list[asyncpg.Record]:
            asked.append(sql)
            return await fetch(tx, sql, *arguments)

        many = [Reader(["a"] if number % 2 else [], name=f"r{number}") for number in range(6)]
        relay = Relay(tenancy.database, many)
        await emitted(tenancy, "a")
        await relay.run(tenancy.tenant)
        await emitted(tenancy, "b")
        with monkeypatch.context() as patch:
            patch.setattr(TenantTx, "fetch", noted)
            assert await relay.run(tenancy.tenant) is None
        assert len(asked) == 2
        assert [each.told for each in many] == [[], [1]] * 3

    async def test_waits_for_nobody_who_is_at_a_place(self, tenancy: Tenancy):
        """Two processes that move the same ones on at the same time would else wait for one another."""
        relay = Relay(tenancy.database, [Reader([], name="idle"), Reader([])])
        await emitted(tenancy, "a")
        await relay.run(tenancy.tenant)
        await emitted(tenancy, "b")
        async with tenancy.database.tx(tenancy.tenant) as tx:
            rows = await tx.fetch(_MOVE_ON, ["idle"], [1], [2], [""])
            assert [row["publisher"] for row in rows] == ["idle"]
            # In a context of its own, as another process would be.
            other = asyncio.create_task(_move_on(tenancy, ["idle", "reader"]), context=contextvars.Context())
            assert await asyncio.wait_for(other, 20) == ["reader"]


async def _move_on(tenancy: Tenancy, names: list[str]) -> list[str]:
    """Move publishers on from the first number to the second, and return which."""
    async with tenancy.database.tx(tenancy.tenant) as tx:
        places, heads, types = [1] * len(names), [2] * len(names), [""] * len(names)
        return [row["publisher"] for row in await tx.fetch(_MOVE_ON, names, places, heads, types)]


class TestAPublisherOfSomeTypes:
    async def test_is_told_of_them_alone_and_in_order(self, tenancy: Tenancy):
        """The others are passed over, however many there are, and a place is kept behind all of them."""
        reader = Reader(["a", "c"])
        relay = Relay(tenancy.database, [reader], publish_batch=2)
        await emitted(tenancy, "b", "a", "b", "c", "b", "a", "a", "b")
        assert await relay.run(tenancy.tenant) is None
        assert reader.told == [2, 4, 6, 7]
        assert await place_of(tenancy) == 8

    async def test_isnt_asked_where_nothing_concerns_it(self, tenancy: Tenancy):
        """What is new may be nobody's business; then there is nothing to come again for."""
        reader = Reader(["a"])
        await emitted(tenancy, "b", "b")
        assert await Relay(tenancy.database, [reader]).run(tenancy.tenant) is None
        assert (reader.told, await place_of(tenancy)) == ([], 2)

    async def test_is_told_again_of_what_it_has_failed_at(self, tenancy: Tenancy):
        """Its place stays, and after a while it is told of the same ones."""
        reader = Reader(["a"], fails=1)
        relay = Relay(tenancy.database, [reader])
        await emitted(tenancy, "b", "a")
        assert await relay.run(tenancy.tenant) == 1.0
        assert await place_of(tenancy) == 0
        await tenancy.as_owner(tenancy.tenant, "UPDATE publisher_cursors SET retry_at = now()")
        assert await relay.run(tenancy.tenant) is None
        assert reader.told == [2]
