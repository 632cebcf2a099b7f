"""Money over HTTPS with client certificates: as in ``test_http``, and what mutual TLS adds to it."""

import asyncio
from collections.abc import Iterator

import pytest

from billfold_server.http.services import Services
from tests.benchmarks.extent import Extent
from tests.benchmarks.gauge import Gauge, Report
from tests.benchmarks.ground import Ground
from tests.benchmarks.serving import Server, serving

pytestmark = pytest.mark.timeout(0)


@pytest.fixture(scope="module")
def server(runner: asyncio.Runner, services: Services, ground: Ground, extent: Extent) -> Iterator[Server]:
    """A server by HTTPS, whose clients show certificates."""
    with serving(Server(runner, services, ground, extent, tls=True)) as made:
        yield made


class TestHttpWithMutualTls:
    """Over HTTPS, on connections that have shown a certificate."""

    def test_transfers_are_made(self, gauge: Gauge, report: Report, server: Server) -> None:
        """Each request is one transfer with a token that is bound to the connection's certificate; all add up."""
        client = server.open_client("over_tls", server.extent.wallets)
        server.measure(client)
        found = gauge.interleave("http mtls", {"random": lambda: server.measure(client)})
        report.variant("HTTP single with mTLS, random", found["random"], asked="1.0")
