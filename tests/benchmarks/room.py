"""The engine and one tenant that it works for, measured from within this process."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator

import pytest

from billfold_server.http.services import Services
from billfold_server.ledger import batches, deciding
from tests.benchmarks.bank import Bank, Given, books_of, give, orders
from tests.benchmarks.extent import Extent
from tests.benchmarks.filling import fill_keys
from tests.benchmarks.gauge import Sample
from tests.benchmarks.ground import Ground

__all__ = ["OpenRoom", "Room"]

_FIRST_GUESS = 8_000
_PLENTY = 1.3
_SOME = 1_000


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
        with self.checked():
            return self.turn(hot=hot, mixed=mixed)

    @contextlib.contextmanager
    def checked(self) -> Iterator[None]:
        """See that the books go on by what is answered in the block; beside a long history, that takes a while."""
        before, accepted = self.runner.run(books_of(self.services, self.bank.tenant)), self.accepted
        yield
        after = self.runner.run(books_of(self.services, self.bank.tenant))
        accepted = self.accepted - accepted
        assert (after.entries - before.entries, after.transfers - before.transfers) == (accepted, accepted)
        assert (after.sum_minor, after.in_wallets_minor) == (0, before.in_wallets_minor)

    def turn(self, *, hot: bool = False, mixed: bool = False, ordered: bool = False) -> Sample:
        """Give orders for a while; whoever asks for several turns has the books ``checked`` around them.

        Args:
            hot: Whether the first wallet is in each of them.
            mixed: Whether some are refused, and some are copies.
            ordered: Whether their idempotency keys are in the order of time, as the SDK makes them.
        """
        number = round(self._rate * _PLENTY * self._extent.seconds) + 100
        given = orders(self.bank, number, hot=hot, mixed=mixed, ordered=ordered)
        wal, size, postgres_s = self._ground.wal_bytes(), self._size(), self._ground.postgres_s()
        found = self.runner.run(self._give(given))
        self._check(found, mixed=mixed)
        self.accepted += found.accepted
        sample = found.sample()
        self._rate = sample.rate
        sample.facts["µs of PostgreSQL"] = (self._ground.postgres_s() - postgres_s) / len(found.took) * 1e6
        sample.facts["bytes of tables"] = (self._size() - size) / found.accepted
        sample.facts["bytes of WAL"] = (self._ground.wal_bytes() - wal) / found.accepted
        return sample

    def measure_unchained(self) -> Sample:
        """Do the same without a hash chain, which nothing but a benchmark may."""
        with unchained():
            return self.measure()

    def links(self) -> int:
        """Return how many links the tenant's chain has."""
        return self.runner.run(self._links())

    async def _links(self) -> int:
        async with self.services.database.tx(self.bank.tenant) as tx:
            return int(await tx.fetchval("SELECT link FROM ledger_head WHERE id = 1"))

    def remember(self, keys: int) -> None:
        """Let the tenant have answered that many requests with random idempotency keys."""
        self.runner.run(fill_keys(self._ground.dsn(), self.bank, keys))

    def _size(self) -> int:
        return self._ground.size_bytes(self.bank.schema)

    async def _give(self, given: list) -> Given:  # type: ignore[type-arg]
        extent = self._extent
        return await give(self.services.engine, self.bank.tenant, given, callers=extent.callers, seconds=extent.seconds)

    @staticmethod
    def _check(found: Given, *, mixed: bool) -> None:
        if not mixed:
            assert set(found.tally) == {(201, False)}
            return
        assert set(found.tally) <= {(201, False), (201, True), (409, False), (409, True)}
        # One in ten is a copy and one in twenty is refused, so among so many there are both.
        if sum(found.tally.values()) > _SOME:
            assert found.tally[201, True]
            assert found.tally[409, False]


@contextlib.contextmanager
def unchained() -> Iterator[None]:
    """Let the engine make no salts, compute no digests and write no links, for as long as the block takes.

    Without a salt an entry has no commitment to its text. The head is moved all the same, for it has more to say.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "leaves_of", lambda _: [])
        patch.setattr(deciding._Chance, "salt", lambda _: None)
        yield


OpenRoom = Callable[..., Room]
