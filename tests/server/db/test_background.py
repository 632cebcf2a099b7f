"""The background of a server process: what leads to a visit."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import uvloop

from billfold import ids
from billfold.contract.platform import Event
from billfold_server.db import agenda, background, jobs
from billfold_server.db.background import Background
from billfold_server.db.jobs import JobKinds, JobRun, NewJob
from billfold_server.db.outbox import NewEvent, emit, last_sequence, list_events
from billfold_server.db.relay import Relay
from billfold_server.db.runner import JobRunner
from billfold_server.db.wakeups import Work
from billfold_server.tenancy.clock import request_advance, tenant_now
from billfold_server.tenancy.context import TenantRef
from billfold_server.tenancy.transaction import Database
from tests.pace import quickest
from tests.postgres import execute
from tests.tenants import SECRET, Tenancy

NEVER_S = 3600.0


class Server:
    """A process's database and background."""

    def __init__(
        self, dsn: str, tenant: TenantRef, *, poll_s: float = NEVER_S, sweep_s: float = NEVER_S, all_every: int = 20
    ) -> None:
        self.database = Database(dsn, deployment_secret=SECRET)
        self.tenant = tenant
        self.served = [tenant]
        self.done = asyncio.Event()
        kinds = JobKinds()
        kinds.register("note", self.note)
        relay = Relay(self.database)
        self.background = Background(
            self.database,
            self.tenants,
            relay,
            JobRunner(self.database, kinds, relay=relay),
            poll_s=poll_s,
            sweep_s=sweep_s,
            all_every=all_every,
        )

    async def tenants(self) -> list[TenantRef]:
        """Return the one tenant, unless it is gone."""
        return self.served

    async def note(self, _: JobRun) -> None:
        """Do a job by saying so."""
        self.done.set()


@contextlib.asynccontextmanager
async def running(server: Server) -> AsyncIterator[Server]:
    """Run a server's background, from after its first sweep."""
    task = asyncio.create_task(server.background.run())
    try:
        while server.background._sweeps == 0:
            await asyncio.sleep(0)
        yield server
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await server.database.close()


def idle(tenancy: Tenancy, *, poll_s: float = NEVER_S, sweep_s: float = NEVER_S, all_every: int = 20) -> Server:
    """Return a server that has nothing to do."""
    return Server(tenancy.runtime_dsn, tenancy.tenant, poll_s=poll_s, sweep_s=sweep_s, all_every=all_every)


async def numbered(database: Database, tenant: TenantRef, *, events: int = 1) -> None:
    """Wait until so many events have their numbers."""
    while True:
        async with database.tx(tenant) as tx:
            if await last_sequence(tx) >= events:
                return


async def emit_one(database: Database, tenant: TenantRef) -> None:
    """Commit an event."""
    async with database.tx(tenant) as tx:
        now = await tenant_now(tx)
        await emit(tx, NewEvent(id=ids.uuid7(), type="t", object_id="o", data=b"{}", occurred_at=now))


async def enqueue_one(database: Database, tenant: TenantRef, *, in_s: float = 0) -> None:
    """Commit a job that is due in some seconds."""
    async with database.tx(tenant) as tx:
        due_at = await tenant_now(tx) + timedelta(seconds=in_s)
        await jobs.enqueue(tx, NewJob(id=ids.uuid7(), kind="note", due_at=due_at))


class Visits:
    """Counts a server's visits to its tenant."""

    def __init__(self, server: Server, patch: pytest.MonkeyPatch) -> None:
        self._background, self.number = server.background, 0
        run = server.background._runner.run

        async def counted(tenant: TenantRef, *, turn_s: float | None = None) -> float | None:
            self.number += 1
            return await run(tenant, turn_s=turn_s)

        patch.setattr(server.background._runner, "run", counted)

    async def in_sweeps(self, number: int) -> int:
        """Return how many there are in so many sweeps."""
        visits, sweeps = self.number, self._background._sweeps
        while self._background._sweeps < sweeps + number:
            await asyncio.sleep(0.005)
        return self.number - visits

    async def further(self, number: int) -> None:
        """Wait for so many more, however many sweeps that takes: a visit may be longer than several of them."""
        visits = self.number
        while self.number < visits + number:
            await asyncio.sleep(0.005)


class TestTheSweep:
    async def test_passes_over_a_tenant_where_nothing_was_written(
        self, tenancy: Tenancy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It finds what another process leaves there all the same, as soon as PostgreSQL has counted it."""
        server = idle(tenancy, sweep_s=0.02, all_every=10_000)
        visits = Visits(server, monkeypatch)
        async with running(server), asyncio.timeout(40):
            while await visits.in_sweeps(6):
                pass
            # A session that ends has told what it has written; one that stays may take ten seconds.
            other = Database(tenancy.runtime_dsn, deployment_secret=SECRET)
            await enqueue_one(other, tenancy.tenant)
            await other.close()
            await server.done.wait()
            while await visits.in_sweeps(6):
                pass

    async def test_visits_everybody_now_and_then(self, tenancy: Tenancy, monkeypatch: pytest.MonkeyPatch) -> None:
        """What is counted may be wrong: it begins anew when PostgreSQL has crashed."""
        server = idle(tenancy, sweep_s=0.02, all_every=5)
        visits = Visits(server, monkeypatch)
        async with running(server), asyncio.timeout(40):
            await visits.in_sweeps(20)
            assert await visits.in_sweeps(20) < 20
            await visits.further(2)

    async def test_visits_a_tenant_that_has_come_back(self, tenancy: Tenancy, monkeypatch: pytest.MonkeyPatch) -> None:
        """What it was left with when it was suspended waits for nobody's look."""
        server = idle(tenancy, sweep_s=0.02, all_every=10_000)
        visits = Visits(server, monkeypatch)
        async with running(server), asyncio.timeout(40):
            while await visits.in_sweeps(6):
                pass
            server.served = []
            assert await visits.in_sweeps(2) == 0
            server.served = [tenancy.tenant]
            await visits.further(1)

    async def test_visits_everybody_where_nothing_is_counted(
        self, tenancy: Tenancy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A database may be told to count nothing."""
        name = tenancy.admin_dsn.rpartition("/")[2].partition("?")[0]
        await execute(tenancy.admin_dsn, f'ALTER DATABASE "{name}" SET track_counts TO off')
        server = idle(tenancy, sweep_s=0.02, all_every=10_000)
        visits = Visits(server, monkeypatch)
        async with running(server), asyncio.timeout(40):
            await visits.in_sweeps(10)
            await visits.further(6)


class TestTheBackground:
    async def test_numbers_an_event_as_soon_as_it_is_committed(self, tenancy: Tenancy):
        """A commit of this process wakes the relay, without polling and sweeping."""
        async with running(idle(tenancy)) as server, asyncio.timeout(20):
            await emit_one(server.database, server.tenant)
            await numbered(server.database, server.tenant)

    async def test_does_a_job_as_soon_as_it_is_committed(self, tenancy: Tenancy):
        """A commit of this process wakes the runner."""
        async with running(idle(tenancy)) as server, asyncio.timeout(20):
            await enqueue_one(server.database, server.tenant)
            await server.done.wait()

    async def test_does_a_job_when_it_falls_due(self, tenancy: Tenancy):
        """A job of the near future is done at its time by a timer of this process."""
        async with running(idle(tenancy)) as server, asyncio.timeout(20):
            await enqueue_one(server.database, server.tenant, in_s=0.3)
            await server.done.wait()

    async def test_finds_what_another_process_left(self, tenancy: Tenancy):
        """The sweep visits tenants of which nobody has said anything."""
        async with running(idle(tenancy, sweep_s=0.1)) as server, asyncio.timeout(20):
            await emit_one(tenancy.database, tenancy.tenant)
            await enqueue_one(tenancy.database, tenancy.tenant)
            await numbered(server.database, server.tenant)
            await server.done.wait()

    async def test_finds_the_jobs_of_a_process_that_has_ended(self, tenancy: Tenancy):
        """When a job is due stands in the agenda, from which any other process takes it."""
        async with running(idle(tenancy)) as first, asyncio.timeout(20):
            await enqueue_one(first.database, first.tenant, in_s=600)
            while not await agenda_of(tenancy):
                pass
        await pass_time(tenancy, seconds=600)
        async with running(idle(tenancy, poll_s=0.05)) as second, asyncio.timeout(20):
            await second.done.wait()
        assert not first.done.is_set()

    async def test_gives_the_agenda_to_one_process_at_a_time(self, tenancy: Tenancy):
        """A tenant whose time has come is claimed once, and comes up again if its visitor is never heard of."""
        async with tenancy.database.platform_tx() as tx:
            await tx.execute(
                "INSERT INTO tenant_wakeups (tenant_id, wake_at) VALUES ($1, now() - interval '1 s')", tenancy.tenant.id
            )
        claims = []
        for _ in range(2):
            async with tenancy.database.platform_tx() as tx:
                claims.append(await agenda.claim_due(tx, again_ms=60_000))
        assert claims == [[tenancy.tenant.id], []]

    async def test_goes_on_after_the_database_was_away(self, tenancy: Tenancy):
        """Connections that are cut cost a visit or two, and nothing else."""
        async with running(idle(tenancy, poll_s=0.05, sweep_s=0.2)) as server, asyncio.timeout(30):
            for _ in range(5):
                await cut_connections(tenancy)
            await enqueue_one(tenancy.database, tenancy.tenant)
            await server.done.wait()

    async def test_visits_a_tenant_that_was_busy_once_more(self, tenancy: Tenancy):
        """What is committed during a visit isn't left until the next sweep."""
        async with running(idle(tenancy)) as server, asyncio.timeout(20):
            for _ in range(30):
                await emit_one(server.database, server.tenant)
            while True:
                async with server.database.tx(server.tenant) as tx:
                    if len(await list_events(tx)) == 30:
                        break

    @pytest.mark.parametrize("gone", [True, False])
    async def test_comes_again_after_a_failure_to_nobody_who_is_gone(
        self, tenancy: Tenancy, monkeypatch: pytest.MonkeyPatch, *, gone: bool
    ):
        """A visit that fails is tried again, but where another process has deleted the tenant, all let go of it."""
        left: list[UUID] = []
        monkeypatch.setattr(Relay, "leave", lambda _, tenant_id: left.append(tenant_id))
        async with running(idle(tenancy)) as server, asyncio.timeout(20):
            await at_rest(server)
            async with tenancy.administrator.connect() as connection:
                await connection.execute(f"DROP SCHEMA {tenancy.tenant.schema} CASCADE")
            if gone:
                server.served.clear()
            server.database.wakeups.signal(server.tenant, Work.JOBS)
            await at_rest(server)
            assert [key[0] for key in server.background._timers] == ([] if gone else [server.tenant.id])
        assert left == ([server.tenant.id] if gone else [])


class TestATenantThatIsSuspended:
    async def test_is_left_also_by_who_was_to_come_again_soon(self, tenancy: Tenancy):
        """A job that puts itself off, or is tried again, is done until the next sweep at the latest."""
        server = idle(tenancy, sweep_s=0.2)
        noted: list[float] = []

        async def note(run: JobRun) -> None:
            noted.append(asyncio.get_running_loop().time())
            async with run.tx() as tx:
                await run.postpone(tx, await tenant_now(tx) + timedelta(seconds=0.02))

        kinds = JobKinds()
        kinds.register("note", note)
        server.background._runner = JobRunner(server.database, kinds)
        async with running(server), asyncio.timeout(20):
            await enqueue_one(server.database, server.tenant)
            while len(noted) < 3:
                await asyncio.sleep(0.01)
            server.served.clear()
            await sweeps(server, 2)
            await at_rest(server)
            before = len(noted)
            await asyncio.sleep(0.4)
            await sweeps(server, 2)
            assert len(noted) == before
            server.served.append(server.tenant)
            while len(noted) == before:
                await asyncio.sleep(0.01)


class Endless:
    """A publisher that is told of something new whenever it is told of something."""

    name = "endless"
    question = "NULL::boolean"

    def __init__(self, database: Database) -> None:
        self._database = database

    def wanted(self, _: TenantRef, __: None) -> None:
        """Want to be told of everything."""

    async def publish(self, tenant: TenantRef, _: Sequence[Event]) -> None:
        """Make something happen."""
        await emit_one(self._database, tenant)


class TestATenantThatHasAlwaysSomethingToDo:
    @pytest.mark.parametrize("what", ["jobs", "events", "clock"])
    async def test_leaves_others_their_turn(self, tenancy: Tenancy, monkeypatch: pytest.MonkeyPatch, what: str):
        """What has no end at one tenant, or takes very long, keeps no job of another one from being done."""
        monkeypatch.setattr(background, "_TURN_S", 0.1, raising=False)
        busy = await tenancy.add("busy", sandbox=True)
        database = Database(tenancy.runtime_dsn, deployment_secret=SECRET)
        done = asyncio.Event()

        async def note(run: JobRun) -> None:
            if run.tenant.id != busy.id:
                done.set()
                return
            async with run.tx() as tx:
                await run.finish(tx)
                due_at = await tenant_now(tx) + timedelta(hours=what == "clock")
                await jobs.enqueue(tx, NewJob(id=ids.uuid7(), kind="note", due_at=due_at))

        kinds = JobKinds()
        kinds.register("note", note)
        relay = Relay(database, [Endless(database)] if what == "events" else [])
        runner = JobRunner(database, kinds, relay=relay)

        async def tenants() -> list[TenantRef]:
            return [busy, tenancy.tenant]

        visits = Background(database, tenants, relay, runner, poll_s=NEVER_S, sweep_s=NEVER_S, concurrency=1)
        task = asyncio.create_task(visits.run())
        async with database.tx(busy) as tx:
            if what == "clock":
                await request_advance(tx, await tenant_now(tx) + timedelta(days=364), freeze=True)
        await (emit_one if what == "events" else enqueue_one)(database, busy)
        await asyncio.sleep(0.5)
        await enqueue_one(database, tenancy.tenant)
        try:
            async with asyncio.timeout(20):
                await done.wait()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await database.close()


class TestAVisitThatIsAskedForAtOnce:
    @pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
    async def test_spoils_no_later_one(self, tenancy: Tenancy, loop: Callable[[], asyncio.AbstractEventLoop]):
        """A visit is wanted now, then later and sooner; the timers of each kind of loop will do for all of them."""

        async def ask() -> list[Work]:
            server = idle(tenancy)
            for wait_s in (0.0, 0.0003, 5.0, 0.01, 0.02):
                server.background._come_again(tenancy.tenant, Work.JOBS, wait_s)
            await server.database.wakeups.wait(5)
            return [work for _, work in server.database.wakeups.take(busy={})]

        def run() -> list[Work]:
            with asyncio.Runner(loop_factory=loop) as runner:
                return runner.run(ask())

        assert await asyncio.to_thread(run) == [Work.JOBS]


class TestATimerThatIsEarly:
    async def test_is_set_again(self, tenancy: Tenancy, monkeypatch: pytest.MonkeyPatch):
        """Who is wanted at a time that is still ahead, when the timer for it has just rung, is visited all the same."""
        server = idle(tenancy)
        server.background._come_again(tenancy.tenant, Work.JOBS, 0.05)
        due, timer = server.background._timers[tenancy.tenant.id, Work.JOBS]
        timer.cancel()
        server.background._ring(tenancy.tenant, Work.JOBS)
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: due - 0.0004, raising=False)
        server.background._come_again(tenancy.tenant, Work.JOBS, 0.0004)
        monkeypatch.undo()
        assert server.background._timers.keys() == {(tenancy.tenant.id, Work.JOBS)}


class TestWhatRunsForAsLongAsTheProcess:
    async def test_begins_again_after_it_has_failed(self, monkeypatch: pytest.MonkeyPatch):
        """A defect ends one run of it, not what it is there for."""
        monkeypatch.setattr(background, "_AFTER_FAILURE_S", 0.0)
        runs = iter([ValueError, KeyError, None])
        begun = []

        async def run() -> None:
            error = next(runs)
            begun.append(error)
            if error is not None:
                raise error

        await background.keep_running("room", run)
        assert begun == [ValueError, KeyError, None]


async def at_rest(server: Server) -> None:
    """Wait until what a server was woken for has been done."""
    while server.background._visits or server.database.wakeups._wanted:
        await asyncio.sleep(0.001)


async def sweeps(server: Server, number: int) -> None:
    """Wait until so many sweeps have begun after now."""
    before = server.background._sweeps
    while server.background._sweeps < before + number:
        await asyncio.sleep(0.001)


async def pass_time(tenancy: Tenancy, *, seconds: int) -> None:
    """Let jobs be due, and the agenda say so, as if so much time had passed."""
    earlier = f"interval '{seconds} seconds'"
    async with tenancy.database.tx(tenancy.tenant) as tx:
        await tx.execute(f"UPDATE jobs SET due_at = due_at - {earlier}")  # noqa: S608 - ours
    async with tenancy.database.platform_tx() as tx:
        await tx.execute(f"UPDATE tenant_wakeups SET wake_at = wake_at - {earlier}")  # noqa: S608 - ours


async def agenda_of(tenancy: Tenancy) -> int:
    """Return how many tenants stand in the agenda."""
    async with tenancy.database.platform_tx() as tx:
        return int(await tx.fetchval("SELECT count(*) FROM tenant_wakeups"))


async def cut_connections(tenancy: Tenancy) -> None:
    """End every session of the server's login."""
    async with tenancy.administrator.connect() as connection:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@pytest.mark.parametrize("work", ["events", "jobs"])
async def test_latency_is_small(tenancy: Tenancy, work: str) -> None:
    """From commit to number, and from commit to the job's start, it takes a moment, no poll or sweep."""
    emitted = 0
    async with running(idle(tenancy)) as server, asyncio.timeout(60):

        async def once() -> None:
            nonlocal emitted
            if work == "events":
                emitted += 1
                await emit_one(server.database, server.tenant)
                await numbered(server.database, server.tenant, events=emitted)
            else:
                server.done.clear()
                await enqueue_one(server.database, server.tenant)
                await server.done.wait()

        took_s = await quickest(once, below_s=5)
    print(f"\n{work}: {took_s * 1000:.1f} ms")
    assert took_s < 5


class TestABusyTenant:
    async def test_is_looked_at_for_events_a_few_times_a_second(self, tenancy: Tenancy) -> None:
        """However many commits leave events behind, the relay comes at once, and then after a rest with all of them."""
        visits: list[int] = []

        class Counting(Relay):
            async def run(self, tenant: TenantRef, **how: Any) -> float | None:
                async with server.database.tx(tenant) as tx:
                    visits.append(await last_sequence(tx))
                return await super().run(tenant, **how)

        server = idle(tenancy)
        server.database.wakeups.unheard = Work(0)
        server.background._relay = Counting(server.database)
        begun = asyncio.get_running_loop().time()
        async with running(server), asyncio.timeout(20):
            while not visits:
                await asyncio.sleep(0.001)
            for _ in range(30):
                await emit_one(server.database, server.tenant)
            while visits[-1] < 30:
                await asyncio.sleep(0.001)
            took_s = asyncio.get_running_loop().time() - begun
        # Five times a second; the first one and the last come in the midst of such a rest.
        assert len(visits) <= 3 + 5 * took_s


class TestAnEventThatNobodyIsToldOf:
    async def test_wakes_nobody(self, tenancy: Tenancy) -> None:
        """A process without publishers isn't woken by events, but by jobs."""
        server = idle(tenancy)
        wakeups = server.database.wakeups
        async with server.database.tx(tenancy.tenant) as tx:
            tx.wake(Work.EVENTS)
        assert not await wakeups.wait(0)
        async with server.database.tx(tenancy.tenant) as tx:
            tx.wake(Work.EVENTS)
            tx.wake(Work.JOBS)
        assert await wakeups.wait(0)
        assert wakeups.take() == [(tenancy.tenant, Work.JOBS)]
        await server.database.close()
