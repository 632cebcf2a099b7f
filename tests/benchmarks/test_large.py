"""The ledger's engine beside a long history: what it costs to write, and balances as of any time.

Its file comes last, so that nothing else is measured beside so much data.
"""

import random
import time

import pytest

from billfold import ids
from billfold.ids import Prefix
from billfold_server.ledger.service import balances_as_of, list_wallet_accounts
from tests.benchmarks.extent import Extent
from tests.benchmarks.gauge import Gauge, Report
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

    def test_cost_little_more_to_write_to(
        self, gauge: Gauge, report: Report, open_room: OpenRoom, large: Room, extent: Extent
    ) -> None:
        """Transfers beside millions of postings are made as they are in empty tables."""
        empty = open_room("empty")
        empty.measure()
        found = gauge.interleave("large", {"empty": empty.measure, "large": large.measure})
        report.variant("Engine, empty tables", found["empty"])
        report.variant(f"Engine, {extent.postings:,} postings", found["large"])
        report.ratio("… against empty", found["large"].ratios(found["empty"]), asked="0.85")

    def test_answer_for_any_time(self, report: Report, large: Room) -> None:
        """Balances as of random instants on both time axes are found, and are the sum of the postings."""
        for name, axes in {"recorded": (False, True), "effective": (True, False), "both": (True, True)}.items():
            took = large.runner.run(as_of(large, effective=axes[0], recorded=axes[1]))
            mean, p95 = sum(took) / len(took) * 1000, sorted(took)[int(len(took) * 0.95)] * 1000
            report.latency(f"Balance as of a time ({name}), {len(took)} reads", mean, p95, asked="about 1 ms")

    def test_cost_little_more_with_their_idempotency_keys(
        self, gauge: Gauge, report: Report, open_room: OpenRoom, large: Room, extent: Extent
    ) -> None:
        """The same, when each of those transfers has left a key behind that is still kept."""
        empty = open_room("empty_keys")
        empty.measure()
        large.remember(extent.postings // 2)
        found = gauge.interleave("large keys", {"empty": empty.measure, "large": large.measure})
        report.variant(f"Engine, {extent.postings:,} postings and their keys", found["large"])
        report.ratio("… against empty", found["large"].ratios(found["empty"]), asked="0.85")


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
