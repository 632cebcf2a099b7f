"""The ledger's engine beside a long history: what it costs to write, and balances as of any time.

Its file comes last, so that nothing else is measured beside so much data.
"""

import contextlib
import functools
import random
import time
from collections.abc import Callable, Sequence

import pytest

from billfold import ids
from billfold.ids import Prefix
from billfold_server.ledger.service import balances_as_of, list_wallet_accounts
from tests.benchmarks.extent import Extent
from tests.benchmarks.gauge import Gauge, Report, Sample, whole
from tests.benchmarks.ground import Ground
from tests.benchmarks.room import OpenRoom, Room

pytestmark = pytest.mark.timeout(0)


@pytest.fixture(scope="module")
def large(request: pytest.FixtureRequest, open_room: OpenRoom, extent: Extent) -> Room:
    """A tenant with a long history, and as many wallets as any."""
    if not request.config.getoption("--large"):
        pytest.skip("fills tables for minutes, and is measured with --large")
    opened_room = open_room("large", extent.postings)
    opened_room.measure()
    return opened_room


class TestLargeTables:
    """Large tables."""

    def test_cost_little_more_to_write_to(self, beside: "Beside", extent: Extent) -> None:
        """Transfers beside millions of postings are made as they are in empty tables."""
        beside.compare("empty", f"{extent.postings:,} postings")

    def test_answer_for_any_time(self, report: Report, large: Room) -> None:
        """Balances as of random instants on both time axes are found, and are the sum of the postings."""
        for name, axes in {"recorded": (False, True), "effective": (True, False), "both": (True, True)}.items():
            took = large.runner.run(as_of(large, effective=axes[0], recorded=axes[1]))
            mean, p95 = sum(took) / len(took) * 1000, sorted(took)[int(len(took) * 0.95)] * 1000
            report.latency(f"Balance as of a time ({name}), {len(took)} reads", mean, p95, asked="about 1 ms")

    def test_cost_little_more_with_their_idempotency_keys(self, beside: "Beside", large: Room, extent: Extent) -> None:
        """The same, when each of those transfers has left a key behind that is still kept, in the order of no time."""
        large.remember(extent.postings // 2)
        beside.compare("empty_keys", f"{extent.postings:,} postings and their keys, random as all others")
        beside.compare("empty_sdk", "the same, new keys as the SDK makes them", ordered=True)


class Beside:
    """Compares a long history with empty tables, from one checkpoint to the next.

    After a checkpoint each page is logged whole when it is touched first, and a long history's transfers touch more
    pages. How long that takes doesn't depend on how far the next checkpoint is, so neither the first seconds nor
    any others say what a day costs; a whole cycle does. Both tenants' transfers share it, so each has half as many in
    which to make up for its first ones as it would have by itself.
    """

    def __init__(self, gauge: Gauge, report: Report, ground: Ground, open_room: OpenRoom, large: Room) -> None:
        self._gauge = gauge
        self._report = report
        self._ground = ground
        self._open_room = open_room
        self._large = large

    def compare(self, slug: str, what: str, *, ordered: bool = False) -> None:
        """Measure both in turns, beginning with a checkpoint.

        Args:
            slug: Of the new tenant to compare with.
            what: What the long history consists of.
            ordered: Whether new idempotency keys are in the order of time.
        """
        rooms = {"empty": self._open_room(slug), "large": self._large}
        with contextlib.ExitStack() as stack:
            for room in rooms.values():
                stack.enter_context(room.checked())
                # The first orders prepare statements and fill caches.
                room.turn(ordered=ordered)
            self._ground.checkpoint()
            turns = {name: functools.partial(room.turn, ordered=ordered) for name, room in rooms.items()}
            found, quiet = self._gauge.cycles(what, turns, self._ground.checkpoints)
        self._report.turns("Engine, empty tables, from checkpoint to checkpoint", found["empty"], quiet=quiet)
        self._report.turns(f"Engine, {what}", found["large"], quiet=quiet)
        cycles = list(zip(found["large"], found["empty"], strict=True))
        self._report.ratio("… against empty", [_times(*each) for each in cycles], asked="0.85")
        self._report.ratio("… by processor time", [_times(theirs, ours, figure=_cost_us) for ours, theirs in cycles])
        first = [_times(ours[:1], theirs[:1]) for ours, theirs in cycles]
        self._report.ratio("… in the first turns of each", first)
        later = [_times(ours[len(ours) // 2 :], theirs[len(theirs) // 2 :]) for ours, theirs in cycles]
        self._report.ratio("… in the second half of each", later)


@pytest.fixture
def beside(gauge: Gauge, report: Report, ground: Ground, open_room: OpenRoom, large: Room) -> Beside:
    """What compares the long history with empty tables."""
    return Beside(gauge, report, ground, open_room, large)


def _rate(sample: Sample) -> float:
    return sample.rate


def _cost_us(sample: Sample) -> float:
    return sample.cost_us


def _times(ours: Sequence[Sample], theirs: Sequence[Sample], *, figure: Callable[[Sample], float] = _rate) -> float:
    return figure(whole(ours)) / figure(whole(theirs))


_READS, _CHECKED = 400, 10
_SUM = """
SELECT -coalesce(sum(p.amount_minor), 0)::bigint FROM postings AS p JOIN journal_entries AS j ON j.id = p.entry_id
WHERE p.account_id = $1 AND j.effective_at <= $2 AND j.recorded_at <= $3
"""


async def as_of(room: Room, *, effective: bool, recorded: bool) -> list[float]:
    """Return how many seconds each of some balances as of a time took; some of them are held to the postings' sum."""
    random_, took = random.Random(3), []
    wallets = [ids.decode(Prefix.WALLET, wallet) for wallet in random_.sample(room.bank.wallets, 10)]
    async with room.services.database.tx(room.bank.tenant, statement_timeout_ms=600_000) as tx:
        accounts = [found[0] for found in (await list_wallet_accounts(tx, wallets)).values()]
        (row,) = await tx.fetch("SELECT min(recorded_at) AS first, max(recorded_at) AS last FROM journal_entries")
        for number in range(_READS):
            account = random_.choice(accounts)
            at = [row["first"] + (row["last"] - row["first"]) * random_.random() for _ in range(2)]
            began = time.perf_counter()
            (balance,) = await balances_as_of(
                tx, [account], effective_at=at[0] if effective else None, recorded_at=at[1] if recorded else None
            )
            took.append(time.perf_counter() - began)
            if number < _CHECKED:
                until = at[0] if effective else row["last"], at[1] if recorded else row["last"]
                assert balance.posted_minor == await tx.fetchval(_SUM, account.id, *until)
    return took
