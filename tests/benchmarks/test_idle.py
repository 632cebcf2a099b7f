"""Many tenants in which nothing happens: what they cost a server that is up, in parts of a core."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from billfold_server.audit.trail_reading import verify_trail
from billfold_server.http.services import Services
from billfold_server.tenancy.context import TenantRef
from tests.benchmarks.extent import Extent
from tests.benchmarks.gauge import Report, say
from tests.benchmarks.ground import Ground, processor_s
from tests.benchmarks.serving import Server, serving
from tests.pace import until
from tests.tenants import manifest

pytestmark = pytest.mark.timeout(0)

_SETTLE, _WINDOW = 10, 15
"""Times the length of a measurement: for as long each tenant is new, and for as long it is then measured."""
_SEALED_S = 100
_TIMES = 3
"""How many times as many tenants as elsewhere: the schemas of a hundred PostgreSQL's sessions still remember."""


@pytest.fixture(scope="module")
def tenants(runner: asyncio.Runner, services: Services, extent: Extent) -> list[TenantRef]:
    """Tenants that have nothing but the record of their own beginning."""
    return runner.run(_add(services, _TIMES * extent.tenants))


async def _add(services: Services, number: int) -> list[TenantRef]:
    added = []
    for each in range(number):
        await services.tenants.apply(manifest(f"idle_{each}", sandbox=False))
        added.append(await services.registry.get(f"idle_{each}"))
    return added


@pytest.fixture(scope="module")
def server(
    runner: asyncio.Runner, services: Services, ground: Ground, extent: Extent, tenants: list[TenantRef]
) -> Iterator[Server]:
    """A server that comes up when they are there."""
    assert tenants
    with serving(Server(runner, services, ground, extent)) as made:
        yield made


class TestIdleTenants:
    """Tenants in which nothing happens."""

    def test_cost_next_to_nothing(
        self, report: Report, server: Server, ground: Ground, extent: Extent, tenants: list[TenantRef]
    ) -> None:
        """And all that had been recorded of them is in the chains of their trails."""
        say(f"idle: {len(tenants)} tenants rest for {extent.seconds * _SETTLE:.0f} s")
        time.sleep(extent.seconds * _SETTLE)
        (worker,) = server.up.workers()
        worker_s, postgres_s, begun = processor_s(worker), ground.postgres_s(), time.monotonic()
        time.sleep(extent.seconds * _WINDOW)
        took_s = time.monotonic() - begun
        report.count(
            f"{len(tenants)} idle tenants, % of a core, the worker's", (processor_s(worker) - worker_s) / took_s * 100
        )
        report.count("… of PostgreSQL", (ground.postgres_s() - postgres_s) / took_s * 100)
        until(lambda: server.runner.run(self._unsealed(server, tenants)) == 0, timeout_s=_SEALED_S)

    @staticmethod
    async def _unsealed(server: Server, tenants: list[TenantRef]) -> int:
        found = [await verify_trail(server.services.database, each) for each in tenants]
        assert all(each.ok for each in found)
        return sum(each.unsealed for each in found)
