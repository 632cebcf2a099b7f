"""The tenant's clock, and what a test clock does on its way."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billfold import errors, ids
from billfold.contract.platform import AdvanceClock, Event, TenantClock
from billfold_server.db import jobs
from billfold_server.db.jobs import JobKinds, JobRun, NewJob, RetryPolicy
from billfold_server.db.outbox import NewEvent, emit
from billfold_server.db.relay import PUBLISH_TIMEOUT_S, Relay
from billfold_server.db.runner import JobRunner
from billfold_server.db.schedules import Schedule
from billfold_server.sandbox import service
from billfold_server.tenancy import clock
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.context import TenantRef
from billfold_server.tenancy.transaction import TenantTx
from tests.apart import apart
from tests.callers import CALLER
from tests.tenants import Tenancy

DAY = timedelta(days=1)


class Diary:
    """A job's handler that writes down what was done when, and may fail or make further jobs.

    The payload says how often the job fails first, and after how many hours it makes a further job.
    """

    def __init__(self) -> None:
        self.entries: list[tuple[datetime, int]] = []

    async def __call__(self, run: JobRun) -> None:
        """Do the job as its payload says."""
        plan = msgspec.json.decode(run.job.payload)
        async with run.tx() as tx:
            now = await tenant_now(tx)
            self.entries.append((now, plan["n"]))
            assert now >= run.job.due_at
            if run.job.attempt <= plan.get("fails", 0):
                raise ZeroDivisionError
            if "then_h" in plan:
                await jobs.enqueue(tx, planned(now + timedelta(hours=plan["then_h"]), n=plan["n"] + 1000))
            await run.finish(tx)

    @property
    def numbers(self) -> list[int]:
        """The numbers of the jobs that were done, in that order."""
        return [number for _, number in self.entries]


def planned(due_at: datetime, **plan: int) -> NewJob:
    """Return a job for the diary."""
    return NewJob(id=ids.uuid7(), kind="note", due_at=due_at, payload=msgspec.json.encode(plan))


def work(
    tenancy: Tenancy, diary: Diary, *, schedules: Sequence[Schedule] = (), relay: Relay | None = None
) -> JobRunner:
    """Return a runner whose jobs are written down."""
    kinds = JobKinds()
    kinds.register("note", diary, RetryPolicy(attempts=4, first_wait_s=3600, longest_wait_s=86_400))
    return JobRunner(tenancy.database, kinds, schedules=schedules, relay=relay)


async def now_of(tenancy: Tenancy) -> datetime:
    """Return the tenant's time."""
    async with tenancy.database.tx(tenancy.tenant) as tx:
        return await tenant_now(tx)


async def order(tenancy: Tenancy, to: datetime, *, freeze: bool = True) -> TenantClock:
    """Order an advance, as the route does."""
    async with tenancy.database.tx(tenancy.tenant) as tx:
        return await service.order_advance(tx, CALLER, AdvanceClock(to=to, freeze=freeze))


async def enqueue(tenancy: Tenancy, *new: NewJob) -> None:
    """Commit jobs."""
    async with tenancy.database.tx(tenancy.tenant) as tx:
        await jobs.enqueue(tx, *new)


async def shown(tenancy: Tenancy) -> TenantClock:
    """Return the clock as clients see it."""
    async with tenancy.database.tx(tenancy.tenant) as tx:
        return await service.get_clock(tx)


class TestATenantsClock:
    async def test_is_the_real_one_at_first(self, tenancy: Tenancy):
        """A new tenant lives in the present, and its time goes on within a transaction."""
        before = datetime.now(UTC)
        async with tenancy.database.tx(tenancy.tenant) as tx:
            first, second = await tenant_now(tx), await tenant_now(tx)
        assert before <= first < second <= datetime.now(UTC)

    async def test_cannot_be_moved_where_it_is_real(self, tenancy: Tenancy):
        """Only a sandbox has a test clock."""
        bank = await tenancy.add("bank", sandbox=False)
        with pytest.raises(errors.ClockNotControllable):
            async with tenancy.database.tx(bank) as tx:
                await service.order_advance(tx, CALLER, AdvanceClock(to=datetime(2100, 1, 1, tzinfo=UTC)))
        async with tenancy.database.tx(bank) as tx:
            assert (await service.get_clock(tx)).controllable is False

    async def test_never_goes_back(self, tenancy: Tenancy):
        """An instant that has passed, or that the clock is on its way past, is refused."""
        now = await now_of(tenancy)
        with pytest.raises(errors.ClockMovesForward):
            await order(tenancy, now - timedelta(seconds=1))
        await order(tenancy, now + 2 * DAY)
        with pytest.raises(errors.ClockMovesForward):
            await order(tenancy, now + DAY)

    async def test_stands_where_it_was_frozen(self, tenancy: Tenancy):
        """A frozen clock shows the same instant until it is moved."""
        target = await now_of(tenancy) + DAY
        await order(tenancy, target)
        assert await work(tenancy, Diary()).drive(tenancy.tenant)
        assert await shown(tenancy) == TenantClock(now=target, controllable=True, frozen=True)
        assert await now_of(tenancy) == target

    async def test_runs_on_where_it_was_let_go(self, tenancy: Tenancy):
        """A clock that is advanced without freezing goes on from there at the real pace."""
        target = await now_of(tenancy) + DAY
        before = datetime.now(UTC)
        await order(tenancy, target, freeze=False)
        assert await work(tenancy, Diary()).drive(tenancy.tenant)
        first, second = await now_of(tenancy), await now_of(tenancy)
        assert target <= first < second <= target + (datetime.now(UTC) - before)
        assert (await shown(tenancy)).frozen is False

    async def test_can_be_frozen_where_it_is(self, tenancy: Tenancy):
        """Advancing a frozen clock to its own instant is allowed, and lets it run."""
        target = await now_of(tenancy) + DAY
        runner = work(tenancy, Diary())
        await order(tenancy, target)
        await runner.drive(tenancy.tenant)
        await order(tenancy, target, freeze=False)
        await runner.drive(tenancy.tenant)
        assert await now_of(tenancy) > target


class TestAStandingClock:
    async def test_has_what_is_due_at_one_instant_done_in_its_order(self, tenancy: Tenancy):
        """Jobs of one instant are done one after the other, as asked for, however many processes there are."""
        under_way: list[int] = []
        seen: list[tuple[int, int]] = []

        class Counting(Diary):
            async def __call__(self, run: JobRun) -> None:
                under_way.append(1)
                # So that another would begin the next one, if it could.
                await asyncio.sleep(0.02)
                await super().__call__(run)
                seen.append((self.numbers[-1], len(under_way)))
                under_way.pop()

        await order(tenancy, start := await now_of(tenancy) + DAY)
        diary = Counting()
        runners = [work(tenancy, diary) for _ in range(2)]
        await runners[0].drive(tenancy.tenant)
        await enqueue(tenancy, *(planned(start, n=n) for n in range(6)))
        await asyncio.gather(*(runner.run(tenancy.tenant) for runner in runners))
        assert seen == [(n, 1) for n in range(6)]


class TestAdvancing:
    async def test_does_what_falls_due_at_its_instant(self, tenancy: Tenancy):
        """Each job sees the clock at the moment for which it was planned, in that order."""
        diary = Diary()
        start = await now_of(tenancy)
        await enqueue(tenancy, *(planned(start + DAY * n, n=n) for n in (5, 1, 3, 2, 4, 9)))
        await order(tenancy, start + DAY * 6)
        assert await work(tenancy, diary).drive(tenancy.tenant)
        assert diary.entries == [(start + DAY * n, n) for n in (1, 2, 3, 4, 5)]
        assert await now_of(tenancy) == start + DAY * 6

    async def test_does_what_jobs_on_the_way_ask_for(self, tenancy: Tenancy):
        """A job that is made on the way falls due on the way."""
        diary = Diary()
        start = await now_of(tenancy)
        await enqueue(tenancy, planned(start + DAY, n=1, then_h=12), planned(start + 2 * DAY, n=2))
        await order(tenancy, start + 3 * DAY)
        await work(tenancy, diary).drive(tenancy.tenant)
        assert diary.entries == [(start + DAY, 1), (start + 1.5 * DAY, 1001), (start + 2 * DAY, 2)]

    async def test_retries_on_the_way(self, tenancy: Tenancy):
        """A failure is tried again after its wait on the tenant's clock, without chance in it."""
        diary = Diary()
        start = await now_of(tenancy)
        await enqueue(tenancy, planned(start + DAY, n=1, fails=2))
        await order(tenancy, start + 3 * DAY)
        await work(tenancy, diary).drive(tenancy.tenant)
        waits = [timedelta(0), timedelta(hours=0.75), timedelta(hours=0.75 + 1.5)]
        assert diary.entries == [(start + DAY + wait, 1) for wait in waits]

    async def test_keeps_schedules(self, tenancy: Tenancy):
        """Ninety days have ninety daily occurrences, each at its own time, even of a new tenant."""
        diary = Diary()
        daily = Schedule(name="daily", kind="note", rule="0 2 * * *", payload=b'{"n":7}')
        runner = work(tenancy, diary, schedules=[daily])
        # A clock that stands; one that ran might pass two o'clock before the way begins, and find 89.
        await order(tenancy, start := await now_of(tenancy) + DAY)
        await work(tenancy, Diary()).drive(tenancy.tenant)
        await order(tenancy, start + 90 * DAY)
        assert await runner.drive(tenancy.tenant)
        assert len(diary.entries) == 90
        assert {(now.hour, now.minute, now.second) for now, _ in diary.entries} == {(2, 0, 0)}
        assert [after - before for (before, _), (after, _) in zip(diary.entries, diary.entries[1:], strict=False)] == [
            DAY
        ] * 89

    async def test_by_years_keeps_the_schedules_of_the_last_day_alone(self, tenancy: Tenancy):
        """Whoever wants another century needn't wait for each of its days; what falls due once does so all the same."""
        diary = Diary()
        runner = work(
            tenancy, diary, schedules=[Schedule(name="daily", kind="note", rule="0 2 * * *", payload=b'{"n":7}')]
        )
        start = await now_of(tenancy)
        await enqueue(tenancy, planned(start + 400 * DAY, n=1))
        await order(tenancy, start + 30_000 * DAY)
        assert await runner.drive(tenancy.tenant)
        assert diary.numbers == [1, 7]

    async def test_lets_publishers_follow(self, tenancy: Tenancy):
        """What a job has emitted is published before the clock moves on."""
        watcher, start = Watcher(tenancy), await now_of(tenancy)
        runner = watched(tenancy, watcher)
        await enqueue(tenancy, *(planned(start + DAY * n, n=n) for n in (1, 2, 3)))
        await order(tenancy, start + DAY * 9)
        await runner.drive(tenancy.tenant)
        assert watcher.told == [(n, start + DAY * n) for n in (1, 2, 3)]

    async def test_begins_once_publishers_know_what_has_happened(self, tenancy: Tenancy):
        """What happened before the clock was sent away is told at its instant, whoever has begun to tell of it."""
        watcher, token = Watcher(tenancy), ids.uuid7()
        await order(tenancy, start := await now_of(tenancy) + DAY)
        await watched(tenancy, watcher).drive(tenancy.tenant)
        async with tenancy.database.tx(tenancy.tenant) as tx:
            await emit(tx, happened(start))
            # Another process has read it, and goes on in a moment.
            await tx.execute(
                """
                INSERT INTO publisher_cursors (publisher, sequence, failures, claimed_by, claimed_until)
                VALUES ('watcher', 0, 0, $1, now() + interval '30 seconds')
                """,
                token,
            )
        await order(tenancy, start + DAY)
        driving = asyncio.create_task(watched(tenancy, watcher).drive(tenancy.tenant))
        while not await driver_is_there(tenancy):
            pass
        assert (await now_of(tenancy), watcher.told) == (start, [])
        async with tenancy.database.tx(tenancy.tenant) as tx:
            await tx.execute("UPDATE publisher_cursors SET claimed_by = NULL, claimed_until = NULL")
        assert await driving
        assert (await now_of(tenancy), watcher.told) == (start + DAY, [(1, start)])

    async def test_is_left_to_whoever_took_it_over_while_publishers_were_told(self, tenancy: Tenancy):
        """A driver whose lease ended meanwhile tells nobody any more, and looks again only now and then."""
        start = await now_of(tenancy)
        looks = 0

        class Looking(JobRunner):
            async def _ensure_schedules(self, tx: TenantTx, state: clock.ClockState) -> None:
                nonlocal looks
                looks += 1
                await super()._ensure_schedules(tx, state)

        class Slow(Watcher):
            async def publish(self, tenant: TenantRef, events: Sequence[Event]) -> None:
                await super().publish(tenant, events)
                async with self._tenancy.database.tx(tenant) as tx:
                    await clock.lock_clock(tx)
                    await clock.drive(tx, ids.uuid7(), 60)

        async with tenancy.database.tx(tenancy.tenant) as tx:
            await emit(tx, happened(start))
        await order(tenancy, start + DAY)
        runner = Looking(tenancy.database, JobKinds(), relay=Relay(tenancy.database, [Slow(tenancy)]))
        assert not await runner.drive(tenancy.tenant, timeout_s=0.5)
        assert looks < 30, looks

    async def test_is_left_at_the_time_out_also_where_publishers_are_being_told(self, tenancy: Tenancy):
        """What was being sent is sent again by whoever comes next, at the same instant, and counts as no failure."""

        class Endless(Watcher):
            async def publish(self, tenant: TenantRef, events: Sequence[Event]) -> None:
                await super().publish(tenant, events)
                await asyncio.Event().wait()

        async with tenancy.database.tx(tenancy.tenant) as tx:
            await emit(tx, happened(await tenant_now(tx)))
        await order(tenancy, await now_of(tenancy) + DAY)
        start, endless, watcher = await now_of(tenancy), Endless(tenancy), Watcher(tenancy)
        # Where the machine is so slow that nobody has been told by then, nothing has happened: longer, then.
        for timeout_s in (0.5, 5, 20):
            begun_s = time.monotonic()
            assert not await watched(tenancy, endless).drive(tenancy.tenant, timeout_s=timeout_s)
            assert time.monotonic() - begun_s < timeout_s + PUBLISH_TIMEOUT_S / 2
            if endless.told:
                break
        async with tenancy.database.tx(tenancy.tenant) as tx:
            left = await tx.fetchrow("SELECT sequence, failures, claimed_by, retry_at FROM publisher_cursors")
        assert (left and tuple(left), await now_of(tenancy)) == ((0, 0, None, None), start)
        assert await watched(tenancy, watcher).drive(tenancy.tenant)
        assert endless.told == watcher.told == [(1, start)]

    async def test_goes_on_however_much_happens_while_publishers_are_told(self, tenancy: Tenancy):
        """They are told of what had happened by then, and of the rest where the clock is next."""
        start = await now_of(tenancy)

        class Busy(Watcher):
            async def publish(self, tenant: TenantRef, events: Sequence[Event]) -> None:
                await super().publish(tenant, events)
                async with self._tenancy.database.tx(tenant) as tx:
                    await emit(tx, happened(start))

        async with tenancy.database.tx(tenancy.tenant) as tx:
            await emit(tx, happened(start))
        await enqueue(tenancy, planned(start + DAY, n=1))
        await order(tenancy, start + 2 * DAY)
        watcher = Busy(tenancy)
        async with asyncio.timeout(PUBLISH_TIMEOUT_S):
            assert await watched(tenancy, watcher).drive(tenancy.tenant)
        assert [number for number, _ in watcher.told] == list(range(1, len(watcher.told) + 1))
        assert await now_of(tenancy) == start + 2 * DAY

    async def test_waits_for_no_publisher_in_trouble(self, tenancy: Tenancy):
        """One that fails is left behind, and told later."""
        start = await now_of(tenancy)

        class Broken(Watcher):
            async def publish(self, tenant: TenantRef, events: Sequence[Event]) -> None:
                await super().publish(tenant, events)
                raise ZeroDivisionError

        watcher = Broken(tenancy)
        await enqueue(tenancy, planned(start + DAY, n=1), planned(start + 2 * DAY, n=2))
        await order(tenancy, start + 3 * DAY)
        assert await watched(tenancy, watcher).drive(tenancy.tenant)
        assert (await now_of(tenancy), watcher.told[0]) == (start + 3 * DAY, (1, start + DAY))

    async def test_is_the_business_of_one_driver(self, tenancy: Tenancy):
        """Several drivers and runners at once do each job once, and still in order."""
        diary = Diary()
        start = await now_of(tenancy)
        await enqueue(tenancy, *(planned(start + DAY * n, n=n) for n in range(1, 31)))
        await order(tenancy, start + DAY * 31)
        runners = [work(tenancy, diary) for _ in range(3)]
        arrived = await asyncio.gather(
            *(runner.drive(tenancy.tenant) for runner in runners), *(runner.run(tenancy.tenant) for runner in runners)
        )
        assert arrived[:3] == [True, True, True]
        assert diary.numbers == list(range(1, 31))

    async def test_goes_on_after_its_driver_is_gone(self, tenancy: Tenancy):
        """A driver that stopped on the way is followed by whoever visits the tenant next."""
        start = await now_of(tenancy)
        stuck = asyncio.Event()

        class Stopper(Diary):
            async def __call__(self, run: JobRun) -> None:
                if msgspec.json.decode(run.job.payload)["n"] == 3:
                    stuck.set()
                    await asyncio.Event().wait()
                await super().__call__(run)

        first, second = Stopper(), Diary()
        await enqueue(tenancy, *(planned(start + DAY * n, n=n) for n in range(1, 6)))
        await order(tenancy, start + DAY * 6)
        driving = asyncio.create_task(work(tenancy, first).drive(tenancy.tenant))
        await stuck.wait()
        driving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await driving
        async with tenancy.database.tx(tenancy.tenant) as tx:
            # What the passing of real time does to the lease.
            await tx.execute("UPDATE tenant_clock SET driver_until = driver_until - interval '1 day'")
        await work(tenancy, second).run(tenancy.tenant)
        assert (first.numbers, second.numbers) == ([1, 2], [3, 4, 5])
        assert await now_of(tenancy) == start + DAY * 6

    async def test_that_takes_too_long_stops_at_its_time_out(self, tenancy: Tenancy):
        """A driver out of time says so, and leaves the rest to the next one."""
        diary = Diary()
        start = await now_of(tenancy)
        await enqueue(tenancy, *(planned(start + DAY * n, n=n) for n in range(1, 6)))
        await order(tenancy, start + DAY * 6)
        runner = work(tenancy, diary)
        assert await runner.drive(tenancy.tenant, timeout_s=-1) is False
        assert await now_of(tenancy) < start + DAY
        assert await runner.drive(tenancy.tenant) is True
        assert diary.numbers == [1, 2, 3, 4, 5]

    async def test_waits_for_a_job_that_another_process_has(self, tenancy: Tenancy):
        """The clock doesn't pass a job that is still being done."""
        start = await now_of(tenancy)
        await enqueue(tenancy, planned(start, n=0), planned(start + DAY, n=1))
        async with tenancy.database.tx(tenancy.tenant) as tx:
            (held,) = await jobs.claim(tx, now=await tenant_now(tx), leases_s={"note": 60}, tokens=ids.uuid7, limit=1)
        diary = Diary()
        await order(tenancy, start + 2 * DAY)
        driving = asyncio.create_task(work(tenancy, diary).drive(tenancy.tenant))
        while not await driver_is_there(tenancy):
            pass
        assert diary.numbers == []
        async with tenancy.database.tx(tenancy.tenant) as tx:
            await JobRun(tenancy.database, tenancy.tenant, held).finish(tx)
        assert await driving
        assert diary.numbers == [1]

    @settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        plans=st.lists(
            st.tuples(st.integers(0, 200), st.integers(0, 3), st.none() | st.integers(0, 100)), min_size=1, max_size=12
        ),
        stops=st.lists(st.integers(1, 60), min_size=1, max_size=4),
    )
    @pytest.mark.slow
    async def test_is_in_order_however_the_way_is_cut(
        self, tenancy: Tenancy, plans: list[tuple[int, int, int | None]], stops: list[int]
    ):
        """In one leap or in several, the same is done at the same instants in the same order."""

        async def days(cuts: list[int]) -> list[tuple[timedelta, int]]:
            # What is planned for after the days before; and no clock goes back to where they began.
            await tenancy.as_owner(tenancy.tenant, "DELETE FROM jobs")
            diary, origin = Diary(), max(datetime(2030, 1, 1, tzinfo=UTC), await now_of(tenancy) + DAY)
            runner = work(tenancy, diary)
            await order(tenancy, origin)
            assert await runner.drive(tenancy.tenant)
            await enqueue(tenancy, *(planned_after(origin, number, plan) for number, plan in enumerate(plans)))
            at = origin
            for cut in cuts:
                at += timedelta(hours=cut)
                await order(tenancy, at)
                assert await runner.drive(tenancy.tenant)
                assert await now_of(tenancy) == at
            return [(now - origin, number) for now, number in diary.entries]

        leaps = await apart(days(stops))
        whole = await apart(days([sum(stops)]))
        assert leaps == whole
        assert [now for now, _ in whole] == sorted(now for now, _ in whole)


class Watcher:
    """A publisher that notes at which instant of the tenant's it is told of which event."""

    name = "watcher"
    question = "NULL::boolean"

    def __init__(self, tenancy: Tenancy) -> None:
        self._tenancy = tenancy
        self.told: list[tuple[int, datetime]] = []

    def wanted(self, _: TenantRef, __: None) -> None:
        """Want all."""

    async def publish(self, _: TenantRef, events: Sequence[Event]) -> None:
        """Note them."""
        self.told.extend([(event.sequence, await now_of(self._tenancy)) for event in events])


def happened(at: datetime) -> NewEvent:
    """Return an event."""
    return NewEvent(id=ids.uuid7(), type="t", object_id="o", data=b"{}", occurred_at=at)


def watched(tenancy: Tenancy, watcher: Watcher) -> JobRunner:
    """Return a runner whose jobs emit an event, of which a watcher is told."""

    async def tell(run: JobRun) -> None:
        async with run.tx() as tx:
            await emit(tx, happened(await tenant_now(tx)))

    kinds = JobKinds()
    kinds.register("note", tell)
    return JobRunner(tenancy.database, kinds, relay=Relay(tenancy.database, [watcher]))


def planned_after(origin: datetime, number: int, plan: tuple[int, int, int | None]) -> NewJob:
    """Return the job of a plan: due after so many hours, failing so often, followed by another."""
    due_h, fails, then_h = plan
    further = {} if then_h is None else {"then_h": then_h}
    return planned(origin + timedelta(hours=due_h), n=number, fails=fails, **further)


async def driver_is_there(tenancy: Tenancy) -> bool:
    """Tell whether somebody drives the clock."""
    async with tenancy.database.tx(tenancy.tenant) as tx:
        return (await clock.read_clock(tx)).driven
