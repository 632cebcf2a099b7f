"""The ledger's engine in this process: transfers per second, as multiples of TPC-B on the same cluster.

Nothing here fails because it is slow. What is asserted is that the answers are right, and that the books agree.
"""

import asyncio
from collections.abc import Callable, Iterator

import pytest

from billfold_server.http.services import Services
from tests.benchmarks.bank import FUNDS_MINOR, Bank, Given, books_of, give, open_bank, opened, orders
from tests.benchmarks.extent import Extent
from tests.benchmarks.gauge import Gauge, Report, Sample
from tests.benchmarks.ground import Ground

pytestmark = pytest.mark.timeout(0)

_FIRST_GUESS = 8_000
_PLENTY = 1.3


class Room:
    """The engine, and a tenant that it works for.

    Attributes:
        accepted: How many transfers the tenant's clients were told of.
    """

    def __init__(self, runner: asyncio.Runner, services: Services, bank: Bank, ground: Ground, extent: Extent) -> None:
        self.runner = runner
        self.services = services
        self.bank = bank
        self.accepted = 0
        self._ground = ground
        self._extent = extent
        self._rate = float(_FIRST_GUESS)

    def measure(self, *, hot: bool = False, mixed: bool = False) -> Sample:
        """Give orders for a while, and see that the books have gone on by what was answered."""
        given = orders(self.bank, round(self._rate * _PLENTY * self._extent.seconds) + 100, hot=hot, mixed=mixed)
        before = self.runner.run(books_of(self.services, self.bank.tenant))
        wal, size, postgres_s = self._ground.wal_bytes(), self._size(), self._ground.postgres_s()
        found = self.runner.run(self._give(given))
        after = self.runner.run(books_of(self.services, self.bank.tenant))
        self._check(found, after.entries - before.entries, mixed=mixed)
        assert (after.sum_minor, after.in_wallets_minor) == (0, before.in_wallets_minor)
        assert after.transfers - before.transfers == found.accepted
        sample = found.sample()
        self._rate = sample.rate
        sample.facts["µs of PostgreSQL"] = (self._ground.postgres_s() - postgres_s) / len(found.took) * 1e6
        sample.facts["bytes of tables"] = (self._size() - size) / found.accepted
        sample.facts["bytes of WAL"] = (self._ground.wal_bytes() - wal) / found.accepted
        return sample

    def _size(self) -> int:
        return self._ground.size_bytes(self.bank.schema)

    async def _give(self, given: list) -> Given:  # type: ignore[type-arg]
        extent = self._extent
        return await give(self.services.engine, self.bank.tenant, given, callers=extent.callers, seconds=extent.seconds)

    @staticmethod
    def _check(found: Given, entries: int, *, mixed: bool) -> None:
        assert entries == found.accepted
        if not mixed:
            assert set(found.tally) == {(201, False)}
        assert set(found.tally) <= {(201, False), (201, True), (409, False), (409, True)}


@pytest.fixture(scope="module")
def services(runner: asyncio.Runner, ground: Ground) -> Iterator[Services]:
    """The server's parts, in this process."""
    entered = opened(ground.settings)
    yield runner.run(entered.__aenter__())
    runner.run(entered.__aexit__(None, None, None))


@pytest.fixture(scope="module")
def open_room(runner: asyncio.Runner, services: Services, ground: Ground, extent: Extent) -> Callable[[str], Room]:
    """Open a further tenant."""

    def open_(slug: str) -> Room:
        bank = runner.run(open_bank(services, slug, extent.wallets))
        books = runner.run(books_of(services, bank.tenant))
        assert books.in_wallets_minor == FUNDS_MINOR * (2 * extent.wallets - 1)
        return Room(runner, services, bank, ground, extent)

    return open_


@pytest.fixture(scope="module")
def room(open_room: Callable[[str], Room]) -> Room:
    """A tenant with wallets."""
    opened_room = open_room("bench")
    # The first orders prepare statements and fill caches.
    opened_room.measure()
    return opened_room


class TestTheEngine:
    """The engine in process."""

    def test_moves_money_at_random_and_through_one_wallet(self, gauge: Gauge, report: Report, room: Room) -> None:
        """Callers move money between wallets at random, or with one wallet in every transfer; all add up."""
        found = gauge.interleave("engine", {"random": room.measure, "hot": lambda: room.measure(hot=True)})
        report.variant("Engine in process, random", found["random"], asked="3.0 (3.5)")
        report.variant("Engine in process, one hot wallet", found["hot"])
        report.ratio("… hot against random", found["hot"].ratios(found["random"]), asked="1.0")

    def test_answers_refused_and_copied_orders(self, gauge: Gauge, report: Report, room: Room) -> None:
        """With 5 % of refusals and 10 % of copies each order has one answer, and no copy moves money."""
        found = gauge.interleave("refused", {"clean": room.measure, "mixed": lambda: room.measure(mixed=True)})
        report.variant("Engine, clean", found["clean"])
        report.variant("Engine, 5 % refused and 10 % copies", found["mixed"])
        report.ratio("… against clean", found["mixed"].ratios(found["clean"]), asked="0.9")
