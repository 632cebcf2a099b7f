"""Days of a sandbox's clock, which are the same in each run, and short."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from billfold.testing import Sandbox, Sandboxes
from tests.soak import SOAK, many

pytestmark = [pytest.mark.xdist_group("billfold.testing"), pytest.mark.timeout(300)]

DAYS = many(2, 90)
Told = list[tuple[str, datetime]]


def live_through(sandbox: Sandbox, start: datetime) -> tuple[Told, list[list[str]], list[str], float]:
    """Let the same things happen, and return what was told, delivered and simulated, and how long it took.

    Holds expire, a receiver that fails is tried again, money comes in late because the rail is away, and whatever the
    platform does every night is done.
    """
    sandbox.clock.freeze(start)
    steady = sandbox.webhooks.listen()
    failing = sandbox.webhooks.listen("hold.*", status=500)
    wallet, shop = sandbox.wallet(holding=("5000.00", "EUR")), sandbox.wallet()
    sandbox.simulate.outage("rail", for_s=7_200)
    sandbox.simulate.webhook_delay(3_600, times=2)
    sandbox.simulate.incoming_transfer(wallet.id, amount=("10.00", "EUR"))
    began = time.monotonic()
    for day in range(DAYS):
        expires_at = start + timedelta(days=day, hours=30)
        sandbox.client.holds.create(
            wallet_id=wallet.id, to_wallet_id=shop.id, amount=("1.00", "EUR"), expires_at=expires_at
        )
        sandbox.transfer(("2.00", "EUR"), source=wallet, target=shop)
        sandbox.clock.advance(to=start + timedelta(days=day + 1))
    took_s = time.monotonic() - began
    happened = list(sandbox.events())
    events = [(event.type, event.occurred_at) for event in happened]
    # Ids differ from run to run, so objects are told apart by which of them was heard of first.
    delivered: dict[str, list[str]] = {event.object_id: [] for event in happened}
    for each in steady.wait_for(count=len(events), timeout_s=60):
        delivered[each.event.object_id].append(each.event.type)
    simulated = [f"{each.kind} {each.state} {each.used}" for each in sandbox.client.simulations.list()]
    # After three days without a success nothing more is tried there, and the sandbox is told so.
    assert {each.answered for each in failing.delivered} == {500}
    return events, list(delivered.values()), simulated, took_s


class TestDays:
    def test_are_the_same_each_time(self, wallet_sandboxes: Sandboxes):
        """Events come in one order at the same instants, webhooks in order for each object, in under a minute."""
        # Not the next midnight, which may come while the first of the two goes on.
        soon = datetime.now(UTC) + timedelta(days=2)
        start = soon.replace(hour=0, minute=0, second=0, microsecond=0)
        runs = []
        for _ in range(2):
            with wallet_sandboxes.fresh() as sandbox:
                runs.append(live_through(sandbox, start))
        first, second = runs
        assert first[:3] == second[:3]
        types = [each for each, _ in first[0]]
        assert types.count("hold.expired") == DAYS - 1
        assert types.count("top_up.posted") == 2
        if SOAK:
            print(f"{DAYS} days: {first[3]:.1f} s and {second[3]:.1f} s, {len(types)} events")
            assert max(first[3], second[3]) < 60
