"""Workers that are killed with SIGKILL in the middle of their work lose nothing and do nothing twice."""

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from billfold import ids
from billfold.contract.platform import AdvanceClock
from billfold_server.db import jobs
from billfold_server.db.jobs import NewJob
from billfold_server.db.outbox import NewEvent, emit, list_events
from billfold_server.db.relay import Relay
from billfold_server.db.runner import JobRunner
from billfold_server.sandbox import service as sandbox
from billfold_server.tenancy.clock import read_clock, tenant_now
from tests.callers import CALLER
from tests.forks import forked
from tests.server.db import killable_worker
from tests.server.db.killable_worker import KIND, FilePublisher, job_kinds
from tests.tenants import Tenancy

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("kills")]

KILLS = 6
EVENTS = 500
JOBS = 300
"""So many each time that a kill leaves some of them behind."""
EACH = timedelta(hours=1)
"""How far the clock goes from one job to the next."""
WAY = JOBS * EACH
WORKERS = 2

# What the passing of real time does to the leases of whoever was killed.
LEASES_END = {
    "relay": "UPDATE publisher_cursors SET claimed_until = now() WHERE claimed_until IS NOT NULL",
    "jobs": "UPDATE jobs SET claimed_until = now() WHERE claimed_until IS NOT NULL",
    "clock": "UPDATE tenant_clock SET driver_until = now() WHERE driver IS NOT NULL",
}

UNPUBLISHED = """
SELECT (SELECT count(*) FROM outbox_events)
     - coalesce((SELECT sequence FROM publisher_cursors WHERE publisher = 'file'), 0)
"""


async def waiting(tenancy: Tenancy, role: str) -> int:
    """Return how much a role has still to do."""
    async with tenancy.database.tx(tenancy.tenant) as tx:
        return int(await tx.fetchval(UNPUBLISHED if role == "relay" else "SELECT count(*) FROM jobs"))


async def end_leases(tenancy: Tenancy, *roles: str) -> None:
    """Let the leases of the dead run out."""
    for role in roles:
        async with tenancy.database.tx(tenancy.tenant) as tx:
            await tx.execute(LEASES_END[role])


async def kill_again_and_again(
    role: str, tenancy: Tenancy, folder: Path, *, between: Callable[[int], Awaitable[None]]
) -> int:
    """Start workers and kill them at moments nobody chose, with something new to do each time; return how often."""
    chance = random.Random(4711)
    interrupted = rounds = 0
    # On a machine that lets us kill them only when they are done, more often.
    while rounds < KILLS or (interrupted <= KILLS / 2 and rounds < 5 * KILLS):
        await between(rounds)
        before = await waiting(tenancy, role)
        if not before:
            # Those of the round before were quick, or we were slow to kill them.
            break
        rounds += 1
        processes = [forked(killable_worker.run, role, tenancy.runtime_dsn, folder) for _ in range(WORKERS)]
        # Not before something has been done, and then at a moment that nobody chose.
        async with asyncio.timeout(20):
            while await waiting(tenancy, role) == before:
                await asyncio.sleep(0.002)
        await asyncio.sleep(chance.uniform(0, 0.05))
        for process in processes:
            process.kill()
            process.join(20)
        assert [process.exitcode for process in processes] == [-signal.SIGKILL] * WORKERS
        interrupted += await waiting(tenancy, role) > 0
        await end_leases(tenancy, "relay", "jobs", role)
    print(f"\n{role}: {interrupted} of {rounds} kills left work behind")
    assert interrupted > 0
    assert interrupted >= rounds - 1 or interrupted > KILLS / 2
    return rounds


class TestAKilledRelay:
    async def test_has_numbered_each_event_once(self, tenancy: Tenancy, tmp_path: Path):
        """After many kills the numbers have no gap and no double, and everything was published in order."""

        async def emit_more(number: int) -> None:
            for begin in range(number * EVENTS, (number + 1) * EVENTS, 10):
                async with tenancy.database.tx(tenancy.tenant) as tx:
                    await emit(tx, *(event(n) for n in range(begin, begin + 10)))

        rounds = await kill_again_and_again("relay", tenancy, tmp_path, between=emit_more)
        await Relay(tenancy.database, [FilePublisher(tmp_path)]).run(tenancy.tenant)
        async with tenancy.database.tx(tenancy.tenant) as tx:
            events = await list_events(tx, limit=10_000)
        total = rounds * EVENTS
        assert [found.sequence for found in events] == list(range(1, total + 1))
        assert sorted(found.data["n"] for found in events) == list(range(total))
        published = [int(line) for line in (tmp_path / "published").read_text().split()]
        # At least once; and whatever was sent again, nothing was sent for the first time out of order.
        assert list(dict.fromkeys(published)) == list(range(1, total + 1))


class TestAKilledJobWorker:
    async def test_has_done_each_job_once(self, tenancy: Tenancy, tmp_path: Path):
        """What jobs did in the database is there exactly once, what they did outside at least once."""

        async def enqueue_more(number: int) -> None:
            async with tenancy.database.tx(tenancy.tenant) as tx:
                now = await tenant_now(tx)
                await jobs.enqueue(tx, *(visit(n, now) for n in range(number * JOBS, (number + 1) * JOBS)))

        rounds = await kill_again_and_again("jobs", tenancy, tmp_path, between=enqueue_more)
        await JobRunner(tenancy.database, job_kinds(tmp_path)).run(tenancy.tenant)
        async with tenancy.database.tx(tenancy.tenant) as tx:
            left = await tx.fetchval("SELECT count(*) FROM jobs")
            visited = await tx.fetch("SELECT external_id FROM parties")
        total = rounds * JOBS
        assert left == 0
        assert sorted(row["external_id"] for row in visited) == sorted(f"visit-{n}" for n in range(total))
        assert {int(line) for line in (tmp_path / "visited").read_text().split()} == set(range(total))


class TestAKilledDriver:
    async def test_has_left_the_clock_on_its_way(self, tenancy: Tenancy, tmp_path: Path):
        """Whoever drives a test clock may die; the next one goes on, and every job saw its own instant, in order."""
        async with tenancy.database.tx(tenancy.tenant) as tx:
            start_at = await tenant_now(tx)
        ways = 0

        async def further(_: int) -> None:
            """Send the clock further where it has arrived: then they were quick, or we were slow to kill them."""
            nonlocal ways
            if await waiting(tenancy, "clock"):
                return
            numbers = range(ways * JOBS, (ways + 1) * JOBS)
            ways += 1
            async with tenancy.database.tx(tenancy.tenant) as tx:
                await jobs.enqueue(tx, *(visit(n, start_at + (n + 1) * EACH) for n in numbers))
                await sandbox.order_advance(tx, CALLER, AdvanceClock(to=start_at + ways * WAY + EACH / 2))

        await kill_again_and_again("clock", tenancy, tmp_path, between=further)
        runner = JobRunner(tenancy.database, job_kinds(tmp_path))
        await runner.run(tenancy.tenant)
        async with tenancy.database.tx(tenancy.tenant) as tx:
            assert (await read_clock(tx)).now == start_at + ways * WAY + EACH / 2
            rows = await tx.fetch("SELECT external_id, created_at FROM parties ORDER BY id")
        assert [(row["external_id"], row["created_at"] - start_at) for row in rows] == [
            (f"visit-{n}", (n + 1) * EACH) for n in range(ways * JOBS)
        ]


def event(number: int) -> NewEvent:
    """Return an event that carries a number."""
    data = msgspec.json.encode({"n": number})
    now = datetime(2026, 11, 20, 12, tzinfo=UTC)
    return NewEvent(id=ids.uuid7(), type="thing.changed", object_id="obj", data=data, occurred_at=now)


def visit(number: int, due_at: datetime) -> NewJob:
    """Return a job that carries a number."""
    return NewJob(id=ids.uuid7(), kind=KIND, due_at=due_at, payload=msgspec.json.encode({"n": number}))
