"""The ledger against the serial model: random orders in batches, and balances as of any time."""

import random
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billfold_server.invariants.service import check
from billfold_server.ledger.engine import Engine
from billfold_server.ledger.export import verify_ledger
from billfold_server.ledger.service import balances_as_of
from tests.server.ledger.books import Bench, open_engine
from tests.server.ledger.clerk import Clerk
from tests.server.ledger.model import Model
from tests.server.ledger.orders import (
    AGES,
    AMOUNTS,
    CURRENCIES,
    LASTS,
    UNKNOWN,
    WALLETS,
    WHATS,
    Order,
    random_batch,
    resolve,
)
from tests.soak import many
from tests.tenants import Tenancy

START = datetime(2026, 11, 20, 12, tzinfo=UTC)
INSTANTS = 12
SEEDS, PLAYS, ORDERS_EACH = many(6, 40), many(2, 6), 4_200
"""In CI 50,000 orders on each version of PostgreSQL, in the soak a million. Wallets that are closed stay so: after some
thousands of orders a play has nothing new to tell, and another set of wallets has its turn on the same ledger.
"""
STEPS = (timedelta(), timedelta(hours=1), timedelta(hours=10))
"""How the tenant's time goes on between batches; holds end exactly at some of these."""
ORDERS = st.builds(
    Order,
    what=st.sampled_from(list(WHATS)),
    amount=st.sampled_from(AMOUNTS),
    currency=st.sampled_from(CURRENCIES),
    source=st.integers(0, 11),
    target=st.integers(0, WALLETS - 1),
    account=st.none() | st.integers(0, UNKNOWN),
    picks=st.lists(st.tuples(st.integers(0, UNKNOWN), st.sampled_from([1, -1, 20, -250])), max_size=4).map(tuple),
    balanced=st.booleans(),
    final=st.booleans(),
    whole=st.booleans(),
    age=st.none() | st.sampled_from(AGES),
    lasts=st.none() | st.sampled_from(LASTS),
    key=st.none() | st.integers(0, 5),
)
FUNDED = [Order("top_up", 1000, currency, target=wallet) for currency in CURRENCIES for wallet in range(3)]


class Hands:
    """A clock in the test's hands, which may jump back."""

    def __init__(self) -> None:
        self.time = datetime.now(UTC)

    def now(self) -> datetime:
        """Return the time to which it was set."""
        return self.time


class Play:
    """The model and the engine side by side.

    Args:
        bench: The tenant, and an engine.
        clock: The machine's clock.
        name: Keeps plays on the same ledger apart.
        now: The tenant's time at the beginning.
        engines: Those of several workers, of which each batch is given to one.
    """

    def __init__(
        self, bench: Bench, clock: Hands, name: str = "", *, now: datetime = START, engines: Sequence[Engine] = ()
    ) -> None:
        self._bench = bench
        self._clock = clock
        self._engines = engines or [bench.engine]
        self.model = Model(now)
        self.clerk = Clerk(bench, name)
        self.verdicts: set[tuple[str, str]] = set()

    async def open(self) -> None:
        """Open the wallets, under a tenant's clock that stands."""
        await self.pass_time(timedelta())
        await self.clerk.open()

    async def pass_time(self, by: timedelta) -> None:
        """Let the tenant's time go on, and the machine's too, or back."""
        self.model.now += by
        self._clock.time += timedelta(seconds=1) if by == STEPS[1] else -timedelta(minutes=5)
        async with self._bench.database.tx(self._bench.tenant) as tx:
            await tx.execute("UPDATE tenant_clock SET frozen_at = $1 WHERE id = 1", self.model.now)

    async def give(self, orders: list[Order]) -> None:
        """Give orders to both sides, and hold one's verdicts to the other's."""
        number = self.model.number + 1
        # Not in turns: what one worker knows is right after its own batches and stale after the other's.
        self._bench.engine = self._engines[number * 7 // 3 % len(self._engines)]
        expected = [self.model.carry_out(order) for order in orders]
        found = await self.clerk.give(orders, number)
        assert list(zip(orders, found, strict=True)) == list(zip(orders, expected, strict=True))
        self.verdicts |= {(order.what, verdict) for order, verdict in zip(orders, expected, strict=True)}

    async def compare(self, random_: random.Random) -> None:
        """Hold every balance to the model's: now, and as of random instants on both time axes."""
        rows = await self.clerk.rows()
        for key, row in rows.items():
            assert (row.balance_minor, row.pending_minor, row.held_minor) == self.model.balance(key), key
        effective = [None, self.model.now, *(change.effective_at for change in self.model.history)]
        for _ in range(INSTANTS):
            effective_at = random_.choice(effective)
            if effective_at is not None and random_.random() < 0.5:
                effective_at -= timedelta(microseconds=1)
            number, recorded_at = random_.choice(self.clerk.recorded) if self.clerk.recorded else (None, None)
            if number is not None and recorded_at is not None and random_.random() < 0.5:
                number, recorded_at = number - 1, recorded_at - timedelta(microseconds=1)
            async with self._bench.database.tx(self._bench.tenant) as tx:
                found = await balances_as_of(
                    tx, list(rows.values()), effective_at=effective_at, recorded_at=recorded_at
                )
            for key, balance in zip(rows, found, strict=True):
                wanted = self.model.as_of(key, effective_at=effective_at, number=number)
                assert (balance.posted_minor, balance.pending_minor, balance.held_minor) == wanted, key


@pytest.fixture
def clock() -> Hands:
    """The machine's clock, as the engine sees it."""
    return Hands()


@pytest_asyncio.fixture
async def bench(tenancy: Tenancy, clock: Hands) -> AsyncIterator[Bench]:
    """Return an engine."""
    # On a busy machine a batch may take longer than a copy waits otherwise.
    engine = open_engine(tenancy.database, clock=clock, copy_wait_s=60)
    yield Bench(engine, tenancy.database, tenancy.tenant)
    await engine.close()


@pytest_asyncio.fixture
async def engines(bench: Bench, clock: Hands) -> AsyncIterator[list[Engine]]:
    """Return the engines of two workers."""
    other = open_engine(bench.database, clock=clock, copy_wait_s=60)
    yield [bench.engine, other]
    await other.close()


@pytest.mark.timeout(600)
@pytest.mark.slow
class TestWhateverIsOrdered:
    """Whatever is ordered."""

    @pytest.mark.parametrize("seed", range(SEEDS))
    async def test_ends_as_in_the_serial_model(
        self, bench: Bench, engines: list[Engine], clock: Hands, seed: int
    ) -> None:
        """In batches of any size, of one worker or another, each item gets the model's verdict; so do the books."""
        random_, now = random.Random(seed), START
        verdicts: set[tuple[str, str]] = set()
        for number in range(PLAYS):
            play = Play(bench, clock, f".{number}", now=now, engines=engines)
            await play.open()
            keyed: list[Order] = []
            while play.model.number < ORDERS_EACH:
                size = random_.choice([1, 2, 20, 60, 250, 600])
                await play.give(random_batch(random_, play.model, keyed, size))
                await play.pass_time(random_.choice(STEPS))
            await play.compare(random_)
            verdicts |= play.verdicts
            now = play.model.now
        assert await check(bench.database, bench.tenant) == []
        assert (await verify_ledger(bench.database, bench.tenant)).findings == []
        assert len(verdicts) >= 100, sorted(verdicts)

    @settings(max_examples=many(40, 400), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(batches=st.lists(st.lists(ORDERS, min_size=1, max_size=8), min_size=1, max_size=6), random_=st.randoms())
    async def test_ends_so_in_every_small_case(
        self, bench: Bench, clock: Hands, batches: list[list[Order]], random_: random.Random
    ) -> None:
        """Cases that are searched for, and made small when they fail, agree with the model as well."""
        # A tenant's time never goes back, so each play begins after those before on the same books.
        play = Play(bench, clock, f".{len(bench.wallets)}", now=START + timedelta(days=len(bench.wallets)))
        await play.open()
        await play.give(FUNDED)
        for batch in batches:
            await play.give([order for each in batch if (order := resolve(each, play.model)) is not None])
            await play.pass_time(timedelta(hours=3))
        await play.compare(random_)
        assert await check(bench.database, bench.tenant) == []
