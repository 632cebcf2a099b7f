"""The ledger's engine in this process: transfers per second, as multiples of TPC-B on the same cluster.

Nothing here fails because it is slow. What is asserted is that the answers are right, and that the books agree.
"""

import asyncio
from collections.abc import Iterator

import pytest

from tests.benchmarks.bare import BareRoom
from tests.benchmarks.extent import Extent
from tests.benchmarks.gauge import Gauge, Report
from tests.benchmarks.ground import Ground
from tests.benchmarks.room import OpenRoom, Room

pytestmark = pytest.mark.timeout(0)


@pytest.fixture(scope="module")
def room(open_room: OpenRoom) -> Room:
    """A tenant with wallets."""
    opened_room = open_room("bench")
    # The first orders prepare statements and fill caches.
    opened_room.measure()
    return opened_room


@pytest.fixture(scope="module")
def bare(runner: asyncio.Runner, ground: Ground, extent: Extent) -> Iterator[BareRoom]:
    """A ledger with next to nothing around it, in the same database."""
    made = BareRoom(runner, ground, extent)
    yield made
    made.close()


class TestTheEngine:
    """The engine in process."""

    def test_moves_money_at_random_and_through_one_wallet(self, gauge: Gauge, report: Report, room: Room) -> None:
        """Callers move money between wallets at random, or with one wallet in every transfer; all add up."""
        found = gauge.interleave("engine", {"random": room.measure, "hot": lambda: room.measure(hot=True)})
        report.variant("Engine in process, random", found["random"], asked="3.0 (3.5)")
        report.variant("Engine in process, one hot wallet", found["hot"])
        report.against("… hot against random", found["hot"], found["random"], asked="1.0")

    def test_is_compared_with_a_bare_ledger(self, gauge: Gauge, report: Report, room: Room, bare: BareRoom) -> None:
        """What all that Billfold keeps besides costs it, on this machine and in the same minutes."""
        found = gauge.interleave("bare", {"engine": room.measure, "bare": bare.measure})
        report.variant("A bare ledger in process, random", found["bare"])
        report.against("… the engine against that", found["engine"], found["bare"])

    def test_answers_refused_and_copied_orders(self, gauge: Gauge, report: Report, room: Room) -> None:
        """With 5 % of refusals and 10 % of copies each order has one answer, and no copy moves money."""
        found = gauge.interleave("refused", {"clean": room.measure, "mixed": lambda: room.measure(mixed=True)})
        report.variant("Engine, clean", found["clean"])
        report.variant("Engine, 5 % refused and 10 % copies", found["mixed"])
        report.against("… against clean", found["mixed"], found["clean"], asked="0.9")

    def test_chains_what_it_writes(self, gauge: Gauge, report: Report, open_room: OpenRoom) -> None:
        """Each batch extends the hash chain, or, in a ledger that nobody could verify, none does."""
        on, off = open_room("chained"), open_room("unchained")
        on.measure()
        links = off.links()
        found = gauge.interleave("chain", {"on": on.measure, "off": off.measure_unchained})
        assert off.links() == links
        report.variant("Engine, hash chain on", found["on"])
        report.variant("Engine, hash chain off", found["off"])
        report.against("… on against off", found["on"], found["off"], asked="0.97")
