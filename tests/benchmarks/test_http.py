"""Money over HTTP: ``billfold up`` with one worker, and load from another process on the same processors.

Nothing here fails because it is slow. What is asserted is that the answers are right, and that the books agree.
"""

import asyncio
from collections.abc import Iterator

import pytest

from billfold_server.http.services import Services
from tests.benchmarks.extent import Extent
from tests.benchmarks.gauge import Gauge, Report, Sample
from tests.benchmarks.ground import Ground
from tests.benchmarks.serving import SUCCESSES, WARM_UP, Client, Server, serving

pytestmark = pytest.mark.timeout(0)

_BULK = 100


@pytest.fixture(scope="module")
def server(runner: asyncio.Runner, services: Services, ground: Ground, extent: Extent) -> Iterator[Server]:
    """A server that is up."""
    with serving(Server(runner, services, ground, extent)) as made:
        yield made


@pytest.fixture(scope="module")
def client(server: Server) -> Client:
    """A client of a tenant with wallets."""
    made = server.open_client("over_http", server.extent.wallets)
    server.measure(made)
    return made


class TestHttp:
    """Over HTTP."""

    def test_single_transfers_are_made(self, gauge: Gauge, report: Report, server: Server, client: Client) -> None:
        """Each request is one transfer, at random or with one wallet in every transfer; all add up."""
        found = gauge.interleave(
            "http single",
            {"random": lambda: server.measure(client), "hot": lambda: server.measure(client, hot=True)},
        )
        report.variant("HTTP single, random", found["random"], asked="1.5 (2.0)")
        report.variant("HTTP single, one hot wallet", found["hot"], asked="1.5 (2.0)")
        for name, measured in found.items():
            ratios = [each.p95_ms / each.mean_ms for each in measured.samples]
            report.ratio(f"… p95 against mean, {name}", ratios, asked="at most 2")

    def test_proven_transfers_are_made(self, gauge: Gauge, report: Report, server: Server, client: Client) -> None:
        """Each request is one transfer and carries a proof that the token is the sender's (DPoP); all add up."""
        found = gauge.interleave("http dpop", {"random": lambda: server.measure_proven(client)})
        report.variant("HTTP single with DPoP, random", found["random"], asked="1.0")

    def test_bulk_transfers_are_made(self, gauge: Gauge, report: Report, server: Server, client: Client) -> None:
        """Each request is a hundred transfers; all add up."""
        found = gauge.interleave("http bulk", {"random": lambda: server.measure(client, bulk=_BULK)})
        report.variant(f"HTTP bulk of {_BULK}, random", found["random"], unit="items/s", asked="3.5 (4.5)")


class TestManyTenants:
    """Of many tenants."""

    def test_one_that_floods_leaves_the_others_their_pace(
        self, gauge: Gauge, report: Report, server: Server, many: list[Client]
    ) -> None:
        """All but one ask now and then; the last one does so, too, or asks without a pause on many connections."""
        *others, last = many
        # Each tenant's first requests fill caches and prepare statements, in every worker.
        others_beside(server, others, last, flood=0)
        found = gauge.interleave(
            "tenants",
            {
                "normal": lambda: others_beside(server, others, last, flood=0),
                "flood": lambda: others_beside(server, others, last, flood=4 * server.extent.callers),
            },
        )
        report.variant(f"{len(many)} tenants, each with a pause", found["normal"], note="of the others")
        report.variant("… one of them flooding", found["flood"], note="of the others")
        ratios = found["flood"].ratios(found["normal"], lambda each: each.p95_ms)
        report.ratio("… the others' p95 against normal", ratios, asked="at most 1.5")


_PAUSE_S = 0.5
"""How long a client waits between requests where it doesn't flood: some two requests per second for each tenant.

Together that is well below what a machine of two cores can do. At it, everybody would wait without anybody's flood.
"""

_FIRST_S = 2 * _PAUSE_S
"""Within which each has asked once, since it waits for half a pause longer at most."""


def others_beside(server: Server, others: list[Client], last: Client, *, flood: int) -> Sample:
    """Return how those fare that don't flood.

    Args:
        server: The server.
        others: Those who ask now and then.
        last: Who does so, too, or floods.
        flood: On how many connections; 0 for none.
    """
    before = server.entries([*others, last])
    # Each has a process of its own, so that who floods doesn't hold up the others on the client's side.
    quiet = [client.group(1, pause_s=_PAUSE_S) for client in others]
    rest = last.group(flood) if flood else last.group(1, pause_s=_PAUSE_S)
    # Tokens are new in each measurement, and whoever shows one first has it verified and its client looked up. That
    # happens once in minutes, but would be the slowest twentieth of a short measurement, so it doesn't count.
    senders = [server.load(groups, least_s=_FIRST_S) for groups in (quiet, [rest])]
    found, flooded = (server.found(sender) for sender in senders)
    assert set(found.statuses) <= SUCCESSES, found.refused
    # Too many at once are refused at once: as overloaded, or as too many requests of one client.
    assert set(flooded.statuses) <= SUCCESSES | {429, 503}, flooded.refused
    assert server.entries([*others, last]) - before == found.made + flooded.made
    window_s = max(server.extent.seconds * (1 - WARM_UP), _FIRST_S)
    to_last = flooded.counted / window_s
    # However fast the machine is: the fewer of them, the less of it is the last one's.
    facts = {
        "answers/s to the last": to_last,
        "of them while one of the others waits": to_last * found.mean_ms / 1000,
        "ms late of who sends for the others": found.late_ms,
    }
    return Sample(rate=found.counted / window_s, mean_ms=found.mean_ms, p95_ms=found.p95_ms, facts=facts)


@pytest.fixture(scope="module")
def many(server: Server) -> list[Client]:
    """A client for each of many tenants."""
    return [server.open_client(f"tenant_{number}", 10) for number in range(server.extent.tenants)]
