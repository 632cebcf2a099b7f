"""Jobs that run beside the visits, and those of which few do so at once."""

import asyncio
from datetime import timedelta

from billfold_server.db import jobs
from billfold_server.db.jobs import JobKinds, JobRun
from billfold_server.db.runner import JobRunner
from billfold_server.tenancy.clock import request_advance, tenant_now
from billfold_server.tenancy.context import TenantRef
from tests.live import LiveServer
from tests.server.db.test_jobs import Recorder, enqueue, job, remaining, runner
from tests.tenants import Tenancy

APART = 8
LONG_S = 120


async def wanted(tenancy: Tenancy) -> list[TenantRef]:
    """Return which tenants are to be visited, which nobody does here."""
    await asyncio.sleep(0)
    return [tenant for tenant, _ in tenancy.database.wakeups.take(busy=())]


class TestAJobThatRunsApart:
    async def test_holds_up_neither_the_visit_nor_others(self, tenancy: Tenancy):
        """While more of them hang than there are places, other jobs are done, and the places are all that is taken."""
        held, begun, done = asyncio.Event(), asyncio.Event(), asyncio.Event()
        running = 0

        async def hang(_: JobRun) -> None:
            nonlocal running
            running += 1
            if running == APART:
                begun.set()
            await held.wait()

        async def note(_: JobRun) -> None:
            done.set()

        kinds = JobKinds()
        kinds.register("hang", hang, apart=True)
        kinds.register("note", note)
        runner = JobRunner(tenancy.database, kinds, apart=APART)
        await enqueue(tenancy, *(job("hang") for _ in range(APART + 3)), job("note"))
        async with asyncio.timeout(30):
            await runner.run(tenancy.tenant)
            await begun.wait()
        assert done.is_set()
        assert running == APART
        held.set()
        await runner.settle()
        await runner.run(tenancy.tenant)
        await runner.settle()
        assert await remaining(tenancy) == 0

    async def test_is_given_back_where_the_process_stops(self, tenancy: Tenancy):
        """Another process takes it up at once, with all its attempts."""
        begun = asyncio.Event()

        async def hang(_: JobRun) -> None:
            begun.set()
            await asyncio.Event().wait()

        kinds = JobKinds()
        kinds.register("note", hang, apart=True)
        stopped = JobRunner(tenancy.database, kinds)
        await enqueue(tenancy, job())
        async with asyncio.timeout(30):
            await stopped.run(tenancy.tenant)
            await begun.wait()
            await stopped.stop()
        attempts: list[int] = []

        async def count(run: JobRun) -> None:
            attempts.append(run.job.attempt)

        await runner(tenancy, count).run(tenancy.tenant)
        assert attempts == [1]

    async def test_waits_for_its_turn_where_others_of_its_kind_take_long(self, tenancy: Tenancy):
        """What comes to all tenants at one instant takes few connections at a time, and all of it is done."""
        running, most = 0, 0

        async def count(_: JobRun) -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.01)
            running -= 1

        kinds = JobKinds()
        kinds.register("note", count, apart=True, at_once=2)
        runner = JobRunner(tenancy.database, kinds)
        await enqueue(tenancy, *(job() for _ in range(5)))
        async with asyncio.timeout(20):
            while await remaining(tenancy):
                await runner.run(tenancy.tenant)
                await runner.settle()
        assert most == 2

    async def test_takes_no_place_while_it_waits_and_is_claimed_by_nobody(self, tenancy: Tenancy):
        """So deliveries have the places, whatever waits, and another process may do what this one can't yet."""
        begun, held, sent = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def take_long(_: JobRun) -> None:
            begun.set()
            await held.wait()

        async def send(_: JobRun) -> None:
            sent.set()

        kinds = JobKinds()
        kinds.register("long", take_long, apart=True, at_once=1)
        kinds.register("send", send, apart=True)
        runner = JobRunner(tenancy.database, kinds, apart=2)
        await enqueue(tenancy, *(job("long") for _ in range(3)))
        async with asyncio.timeout(20):
            await runner.run(tenancy.tenant)
            await begun.wait()
            await enqueue(tenancy, job("send"))
            await runner.run(tenancy.tenant)
            await sent.wait()
        elsewhere, recorder = JobKinds(), Recorder()
        elsewhere.register("long", recorder)
        await JobRunner(tenancy.database, elsewhere).run(tenancy.tenant)
        assert len(recorder.done) == 2
        held.set()
        await runner.settle()
        assert await remaining(tenancy) == 0

    async def test_waits_for_no_other_tenants_where_a_clock_is_moved(self, tenancy: Tenancy):
        """Who moves a sandbox's clock isn't held up by what takes long elsewhere; at its end who waits is visited."""
        begun, held, where = asyncio.Event(), asyncio.Event(), []

        async def take_long(run: JobRun) -> None:
            where.append(run.tenant)
            if run.tenant != sandbox:
                begun.set()
                await held.wait()

        kinds = JobKinds()
        kinds.register("long", take_long, apart=True, at_once=1)
        runner, sandbox = JobRunner(tenancy.database, kinds), await tenancy.add("moved")
        await enqueue(tenancy, job("long"))
        async with asyncio.timeout(20):
            await runner.run(tenancy.tenant)
            await begun.wait()
            async with tenancy.database.tx(sandbox) as tx:
                now = await tenant_now(tx)
                await jobs.enqueue(tx, job("long"), job("long", due_at=now + timedelta(days=1)))
            await runner.run(sandbox)
            assert sandbox not in where
            async with tenancy.database.tx(sandbox) as tx:
                await request_advance(tx, now + timedelta(days=2), freeze=True)
            assert await runner.drive(sandbox)
        assert where == [tenancy.tenant, sandbox, sandbox]
        await wanted(tenancy)
        held.set()
        await runner.settle()
        assert sandbox in await wanted(tenancy)

    def test_is_every_one_that_may_take_long(self, live: LiveServer):
        """Whatever has minutes for an attempt holds up neither the tenant's other jobs nor the visits of others."""
        runner: JobRunner = live.services.rooms["jobs"]
        kinds = [runner._kinds[name] for name in runner._kinds]
        assert [kind.name for kind in kinds if kind.retry.timeout_s > LONG_S and not kind.apart] == []
