"""The engine on a durable PostgreSQL of its own, which is killed, or ends a session that has just committed."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from billfold import errors
from billfold_server.db.embedded import DEFAULT_MAJOR, EmbeddedPostgres
from billfold_server.invariants.service import check
from billfold_server.ledger.protocol import Answer
from tests.postgres import binaries, create_database, own_data_dir, remove
from tests.server.db.embedded.users import postmaster
from tests.server.ledger.books import Bench, open_engine
from tests.tenants import Tenancy, fill_template, open_tenancy

ORDERS = 300


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A data folder of the test's own."""
    folder = own_data_dir()
    yield folder
    remove(folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def server(data_dir: Path) -> Iterator[EmbeddedPostgres]:
    """A durable server."""
    with EmbeddedPostgres(data_dir, binaries=binaries(DEFAULT_MAJOR)) as started:
        yield started


@pytest_asyncio.fixture
async def durable(server: EmbeddedPostgres) -> AsyncIterator[Tenancy]:
    """A migrated tenant on the durable server."""
    dsn = create_database(server)
    await fill_template(dsn)
    opened = await open_tenancy(dsn)
    yield opened
    await opened.database.close()


@pytest_asyncio.fixture
async def bench(durable: Tenancy) -> AsyncIterator[Bench]:
    """An engine with two wallets, of which the first has money."""
    made = Bench(open_engine(durable.database, max_batch=16), durable.database, durable.tenant)
    await made.add_wallets(2)
    await made.top_up(0, 1_000)
    yield made
    await made.engine.close()


class TestACommitWhoseAnswerIsLost:
    """A commit whose answer is lost."""

    @pytest.mark.parametrize("known", [False, True])
    async def test_is_told_by_the_key(self, server: EmbeddedPostgres, bench: Bench, *, known: bool) -> None:
        """Who asked hears that nobody knows, and a copy gets the answer that was kept, on either path."""
        if known:
            await bench.top_up(1, 1)
        administrator = await asyncpg.connect(server.dsn("postgres"))
        try:
            # A standby that isn't there makes COMMIT wait once it is on disk; a session that ends then has committed.
            await administrator.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
            await administrator.execute("SELECT pg_reload_conf()")
            waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
            backend, number = None, 0
            while backend is None:
                # PostgreSQL reads its settings when it gets to it; what commits before doesn't wait.
                number += 1
                order = asyncio.create_task(bench.transfer(0, 1, 10, key=f"k{number}"))
                while (backend := await administrator.fetchval(waiting)) is None and not order.done():
                    pass
            await administrator.execute("SELECT pg_terminate_backend($1)", backend)
            with pytest.raises(errors.OutcomeUnknown) as unknown:
                await order
            await administrator.execute("ALTER SYSTEM RESET synchronous_standby_names")
            await administrator.execute("SELECT pg_reload_conf()")
        finally:
            await administrator.close()
        assert unknown.value.retry_after_s == 1
        copy = await bench.transfer(0, 1, 10, key=f"k{number}")
        assert (copy.status, copy.replayed, await bench.balance(1)) == (201, True, 10 * number + known)


@pytest.mark.slow
class TestAKilledPostgres:
    """A killed PostgreSQL."""

    async def test_has_kept_what_was_acknowledged(self, server: EmbeddedPostgres, data_dir: Path, bench: Bench) -> None:
        """Each order was answered, or is unknown or refused and given again; all are there once, with one answer."""
        acknowledged: dict[int, Answer] = {}

        async def give(number: int) -> None:
            while number not in acknowledged:
                try:
                    acknowledged[number] = await bench.transfer(0, 1, 1, key=f"k{number}")
                except errors.Unavailable:
                    await asyncio.sleep(0.05)

        orders = [asyncio.create_task(give(number)) for number in range(ORDERS)]
        for part in (1, 2):
            while len(acknowledged) < ORDERS * part // 3:
                await asyncio.sleep(0)
            os.kill(postmaster(data_dir), signal.SIGKILL)
            assert await asyncio.to_thread(server.ensure)
        await asyncio.gather(*orders)
        again = await asyncio.gather(*(bench.transfer(0, 1, 1, key=f"k{number}") for number in range(ORDERS)))
        assert all(answer.replayed and answer.body == acknowledged[number].body for number, answer in enumerate(again))
        assert (await bench.balance(0), await bench.balance(1)) == (1_000 - ORDERS, ORDERS)
        assert await check(bench.database, bench.tenant) == []
