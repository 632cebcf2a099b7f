"""A test's own tenant, beside a database of its own from a template: what else would give it clean tables.

The template is a database in which one tenant was provisioned, in the cluster of the other tests, as durable as theirs.
Each has its turn in every round, and each is whole: it is there, is asked one thing over a connection, and is cleared
up before the next begins. Beneath both stands a round trip to PostgreSQL, which nothing goes below.
"""

import asyncio
import statistics
import time
from collections.abc import Callable, Coroutine
from typing import Any

import asyncpg
import pytest

from billfold.testing.sandboxes import Sandboxes
from billfold_server.db.embedded import EmbeddedPostgres
from tests.benchmarks.extent import Extent
from tests.benchmarks.gauge import say
from tests.postgres import create_database, drop_database
from tests.sdk.testing.conftest import run_name, wallet_sandboxes

__all__ = ["run_name", "wallet_sandboxes"]

pytestmark = pytest.mark.timeout(0)


def took_ms(work: Callable[[], object]) -> float:
    """Return how long something took."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1_000


def told(name: str, times_ms: list[float]) -> float:
    """Tell median and the slow end of what was measured, and return the median."""
    median = statistics.median(times_ms)
    slow = sorted(times_ms)[int(len(times_ms) * 0.95)]
    say(f"{name}: median {median:.1f} ms, p95 {slow:.1f} ms, of {len(times_ms)}")
    return median


class TestATestsOwnTenant:
    def test_is_there_beside_a_database_from_a_template(
        self, wallet_sandboxes: Sandboxes, postgres: EmbeddedPostgres, tenancy_template: str, extent: Extent
    ) -> None:
        """Each tenant is another one, and has nothing of the one before; the figures are told and gate nothing."""
        names: list[str] = []

        def tenant() -> None:
            with wallet_sandboxes.fresh() as sandbox:
                names.append(sandbox.client.tenant.get().slug)
                assert not list(sandbox.client.parties.list())

        def database() -> None:
            dsn = create_database(postgres, template=tenancy_template)
            run(_asked(dsn))
            drop_database(postgres, dsn)

        with asyncio.Runner() as runner:

            def run(work: Coroutine[Any, Any, None]) -> None:
                runner.run(work)

            own = runner.run(asyncpg.connect(postgres.dsn("postgres")))
            tenant()
            database()
            measured: dict[str, list[float]] = {"tenant": [], "database": [], "trip": []}
            until = time.monotonic() + extent.seconds * extent.rounds
            while time.monotonic() < until:
                # Each waits for what is left of clearing up after the one before.
                measured["tenant"].append(took_ms(tenant))
                measured["database"].append(took_ms(database))
                measured["trip"].append(took_ms(lambda: run(_trip(own))))
            runner.run(own.close())
        assert len(set(names)) == len(names)
        ours = told("A tenant: fresh, two calls of it, cleared up", measured["tenant"])
        theirs = told("A database from a template: made, connected to, asked, dropped", measured["database"])
        trip = told("A round trip to PostgreSQL", measured["trip"])
        say(f"A tenant costs {ours / theirs:.2f} times a database from a template, and {ours / trip:.0f} round trips")


async def _asked(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.fetchval("SELECT count(*) FROM pg_tables")
    await connection.close()


async def _trip(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    await connection.fetchval("SELECT 1")
