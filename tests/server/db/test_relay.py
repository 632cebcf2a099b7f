"""The relay and what it hands to whom."""

from collections.abc import Sequence

import pytest

from billfold.contract.platform import Event
from billfold_server.db.outbox import emit
from billfold_server.db.relay import Relay
from billfold_server.tenancy.context import TenantRef
from billfold_server.tenancy.transaction import TenantTx
from tests.server.db.test_outbox import event
from tests.tenants import Tenancy


class Reader:
    """A publisher that remembers what it is told."""

    name = "reader"

    def __init__(self, types: Sequence[str] | None, *, fails: int = 0) -> None:
        self._types = types
        self.told: list[int] = []
        self._fails = fails

    async def wanted(self, _: TenantTx) -> Sequence[str] | None:
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
