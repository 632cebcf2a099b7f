"""Jobs against PostgreSQL: claimed once, retried, buried, and done in time."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import msgspec
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from billfold import errors, ids
from billfold_server.db import jobs, leases
from billfold_server.db.jobs import JobKinds, JobRun, NewJob, RetryPolicy, backoff
from billfold_server.db.runner import JobRunner
from billfold_server.db.schedules import Schedule
from billfold_server.tenancy import clock
from billfold_server.tenancy.clock import ClockState, arrive, read_clock, request_advance, tenant_now
from billfold_server.tenancy.transaction import TenantTx
from tests.apart import apart
from tests.tenants import Tenancy

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
QUICK = RetryPolicy(attempts=3, first_wait_s=0, timeout_s=30)


def job(kind: str = "note", *, due_at: datetime = LONG_AGO, payload: bytes = b"{}", key: str | None = None) -> NewJob:
    """Return a job."""
    return NewJob(id=ids.uuid7(), kind=kind, due_at=due_at, payload=payload, dedup_key=key)


async def enqueue(tenancy: Tenancy, *new: NewJob) -> None:
    """Commit jobs."""
    async with tenancy.database.tx(tenancy.tenant) as tx:
        await jobs.enqueue(tx, *new)


async def enqueue_and_fail(tenancy: Tenancy, *new: NewJob) -> None:
    """Enqueue jobs in a transaction that rolls back."""
    async with tenancy.database.tx(tenancy.tenant) as tx:
        await jobs.enqueue(tx, *new)
        raise ZeroDivisionError


async def remaining(tenancy: Tenancy) -> int:
    """Return how many jobs there are, dead letters included."""
    async with tenancy.database.tx(tenancy.tenant) as tx:
        return int(await tx.fetchval("SELECT count(*) FROM jobs"))


async def pass_real_time(tenancy: Tenancy, *, seconds: int) -> None:
    """Let what waits on the real clock wait as if so much time had passed."""
    earlier = f"UPDATE jobs SET claimed_until = claimed_until - interval '{seconds} seconds'"  # noqa: S608 - ours
    async with tenancy.database.tx(tenancy.tenant) as tx:
        await tx.execute(earlier)


async def dead_letters(tenancy: Tenancy) -> list[jobs.DeadLetter]:
    """Return the dead letters."""
    async with tenancy.database.tx(tenancy.tenant) as tx:
        return await jobs.list_dead_letters(tx)


def runner(tenancy: Tenancy, handler: Callable[[JobRun], Awaitable[None]], retry: RetryPolicy = QUICK) -> JobRunner:
    """Return a runner that knows jobs of kind ``note``."""
    kinds = JobKinds()
    kinds.register("note", handler, retry)
    return JobRunner(tenancy.database, kinds)


class Recorder:
    """Notes which jobs were done."""

    def __init__(self) -> None:
        self.done: list[UUID] = []

    async def __call__(self, run: JobRun) -> None:
        """Note the job."""
        self.done.append(run.job.id)


class TestAJob:
    async def test_is_done_once_and_gone(self, tenancy: Tenancy):
        """A handler that returns has done the job."""
        recorder = Recorder()
        first, second = job(), job()
        await enqueue(tenancy, first, second)
        await runner(tenancy, recorder).run(tenancy.tenant)
        assert sorted(recorder.done) == [first.id, second.id]
        assert await remaining(tenancy) == 0

    async def test_is_not_there_if_its_transaction_rolled_back(self, tenancy: Tenancy):
        """A job commits with the change that asks for it."""
        with pytest.raises(ZeroDivisionError):
            await enqueue_and_fail(tenancy, job())
        assert await remaining(tenancy) == 0

    async def test_waits_until_it_is_due(self, tenancy: Tenancy):
        """A job of the future isn't done, and the runner says when to come back."""
        recorder = Recorder()
        async with tenancy.database.tx(tenancy.tenant) as tx:
            due_at = await tenant_now(tx) + timedelta(hours=1)
            await jobs.enqueue(tx, job(due_at=due_at))
        wait_s = await runner(tenancy, recorder).run(tenancy.tenant)
        assert recorder.done == []
        async with tenancy.database.tx(tenancy.tenant) as tx:
            left_s = (due_at - await tenant_now(tx)).total_seconds()
        assert wait_s is not None
        assert left_s <= wait_s <= 3600

    async def test_is_left_alone_where_its_kind_is_unknown(self, tenancy: Tenancy):
        """A process that is older than a kind of job leaves it to newer ones."""
        await enqueue(tenancy, job("unheard_of"))
        assert await runner(tenancy, Recorder()).run(tenancy.tenant) is None
        assert await remaining(tenancy) == 1

    async def test_with_a_key_is_added_once_while_unfinished(self, tenancy: Tenancy):
        """A second job of the same kind and key is dropped; once the first is done there may be another."""
        recorder = Recorder()
        work = runner(tenancy, recorder)
        await enqueue(tenancy, job(key="k"), job(key="k"), job(key="other"))
        await enqueue(tenancy, job(key="k"))
        await work.run(tenancy.tenant)
        assert len(recorder.done) == 2
        await enqueue(tenancy, job(key="k"))
        await work.run(tenancy.tenant)
        assert len(recorder.done) == 3

    async def test_commits_with_what_its_handler_writes(self, tenancy: Tenancy):
        """A handler that finishes in its transaction and then fails has neither written nor finished."""
        attempts = 0

        async def write_then_fail_once(run: JobRun) -> None:
            nonlocal attempts
            attempts += 1
            async with run.tx() as tx:
                await jobs.enqueue(tx, job("written"))
                await run.finish(tx)
                if attempts == 1:
                    raise ZeroDivisionError

        await enqueue(tenancy, job())
        await runner(tenancy, write_then_fail_once).run(tenancy.tenant)
        assert attempts == 2
        assert await remaining(tenancy) == 1

    async def test_can_put_itself_off(self, tenancy: Tenancy):
        """A postponed job comes back later with all its attempts."""
        later = datetime(2100, 1, 1, tzinfo=UTC)

        async def postpone(run: JobRun) -> None:
            async with run.tx() as tx:
                await run.postpone(tx, later)

        await enqueue(tenancy, job(key="k"))
        await runner(tenancy, postpone).run(tenancy.tenant)
        async with tenancy.database.tx(tenancy.tenant) as tx:
            row = await tx.fetchrow("SELECT due_at, attempts, claimed_by FROM jobs")
        assert row is not None
        assert tuple(row) == (later, 0, None)


class TestAFailingJob:
    async def test_is_tried_again_and_then_buried(self, tenancy: Tenancy):
        """After its last attempt it is a dead letter that names the error's kind, and is not tried any more."""
        attempts = 0

        async def fail(run: JobRun) -> None:
            nonlocal attempts
            attempts += 1
            assert run.job.attempt == attempts
            raise errors.WalletFrozen("names somebody", wallet_id="wal_x")

        buried = job(payload=b'{"a":1}')
        await enqueue(tenancy, buried)
        work = runner(tenancy, fail)
        await work.run(tenancy.tenant)
        (letter,) = await dead_letters(tenancy)
        assert (letter.id, letter.attempts, letter.last_error) == (buried.id, 3, "wallet_frozen")
        assert letter.payload == b'{"a":1}'
        await work.run(tenancy.tenant)
        assert attempts == 3

    async def test_can_be_revived(self, tenancy: Tenancy):
        """A dead letter that somebody retries is a job again, with all its attempts."""
        broken = True

        async def fail_while_broken(_: JobRun) -> None:
            if broken:
                raise ZeroDivisionError

        await enqueue(tenancy, job())
        work = runner(tenancy, fail_while_broken)
        await work.run(tenancy.tenant)
        (letter,) = await dead_letters(tenancy)
        broken = False
        async with tenancy.database.tx(tenancy.tenant) as tx:
            await jobs.retry_dead_letter(tx, letter.id, due_at=LONG_AGO)
        await work.run(tenancy.tenant)
        assert await remaining(tenancy) == 0

    async def test_that_is_no_dead_letter_cannot_be_revived(self, tenancy: Tenancy):
        """Only what is dead can be revived."""
        with pytest.raises(errors.NotFound):
            async with tenancy.database.tx(tenancy.tenant) as tx:
                await jobs.retry_dead_letter(tx, uuid4(), due_at=LONG_AGO)
        waiting = job()
        await enqueue(tenancy, waiting)
        with pytest.raises(errors.JobStateRefuses):
            async with tenancy.database.tx(tenancy.tenant) as tx:
                await jobs.retry_dead_letter(tx, waiting.id, due_at=LONG_AGO)

    async def test_is_counted_once_it_is_buried(self, tenancy: Tenancy):
        """The runner tells of the kind of a job that has failed for good, and not of attempts before."""
        buried: list[str] = []

        async def fail(_: JobRun) -> None:
            assert buried == []
            raise ZeroDivisionError

        kinds = JobKinds()
        kinds.register("note", fail, QUICK)
        await enqueue(tenancy, job())
        await JobRunner(tenancy.database, kinds, buried=buried.append).run(tenancy.tenant)
        assert buried == ["note"]

    async def test_cannot_be_revived_beside_a_newer_one(self, tenancy: Tenancy):
        """A dead letter whose key is in use again stays dead."""

        async def fail(_: JobRun) -> None:
            raise ZeroDivisionError

        await enqueue(tenancy, job(key="k"))
        await runner(tenancy, fail).run(tenancy.tenant)
        (letter,) = await dead_letters(tenancy)
        await enqueue(tenancy, job(key="k"))
        with pytest.raises(errors.JobStateRefuses):
            async with tenancy.database.tx(tenancy.tenant) as tx:
                await jobs.retry_dead_letter(tx, letter.id, due_at=LONG_AGO)

    async def test_does_not_hold_up_the_others(self, tenancy: Tenancy):
        """While one job fails again and again, the others are done."""
        done: list[UUID] = []
        bad = job()

        async def fail_one(run: JobRun) -> None:
            if run.job.id == bad.id:
                raise ZeroDivisionError
            done.append(run.job.id)

        good = [job() for _ in range(20)]
        await enqueue(tenancy, bad, *good)
        await runner(tenancy, fail_one).run(tenancy.tenant)
        assert sorted(done) == [new.id for new in good]

    async def test_that_hangs_is_given_up(self, tenancy: Tenancy):
        """An attempt that takes longer than its kind may has failed."""

        async def hang(_: JobRun) -> None:
            await asyncio.Event().wait()

        await enqueue(tenancy, job())
        work = runner(tenancy, hang, RetryPolicy(attempts=1, timeout_s=0))
        await work.run(tenancy.tenant)
        (letter,) = await dead_letters(tenancy)
        assert letter.last_error == "builtins.TimeoutError"


class TestAJobOfTheRealWorld:
    async def test_is_tried_again_while_the_tenants_clock_stands(self, tenancy: Tenancy):
        """Its waits are on the real clock, by which the runner says when to come back."""
        attempts = 0

        async def fail_once(_: JobRun) -> None:
            nonlocal attempts
            attempts += 1
            if attempts == 1:
                raise ZeroDivisionError

        async with tenancy.database.tx(tenancy.tenant) as tx:
            await request_advance(tx, await tenant_now(tx) + timedelta(seconds=1), freeze=True)
            await arrive(tx, await read_clock(tx))
        await enqueue(tenancy, job(key="one"))
        work = runner(tenancy, fail_once, RetryPolicy(first_wait_s=600, real=True))
        wait_s = await work.run(tenancy.tenant)
        assert attempts == 1
        assert wait_s is not None
        assert 0 < wait_s <= 600
        await pass_real_time(tenancy, seconds=600)
        await work.run(tenancy.tenant)
        assert (attempts, await remaining(tenancy)) == (2, 0)

    async def test_is_passed_by_a_clock_that_is_moved(self, tenancy: Tenancy):
        """While it waits for its next attempt nobody is held up on the way, and it is done on arrival."""
        attempts: list[str] = []

        async def fail_once(run: JobRun) -> None:
            attempts.append(run.job.kind)
            if len(attempts) == 1:
                raise ZeroDivisionError

        kinds = JobKinds()
        kinds.register("real", fail_once, RetryPolicy(first_wait_s=600, real=True))
        kinds.register("note", fail_once)
        work = JobRunner(tenancy.database, kinds)
        await enqueue(tenancy, job("real"))
        await work.run(tenancy.tenant)
        async with tenancy.database.tx(tenancy.tenant) as tx:
            later = await tenant_now(tx) + timedelta(days=1)
            await jobs.enqueue(tx, job("note", due_at=later))
            await request_advance(tx, later, freeze=True)
        assert await work.drive(tenancy.tenant, timeout_s=60)
        assert attempts == ["real", "note"]
        await pass_real_time(tenancy, seconds=600)
        await work.run(tenancy.tenant)
        assert attempts == ["real", "note", "real"]

    @pytest.mark.parametrize("driven", [False, True])
    async def test_is_done_while_the_clock_is_moved(self, tenancy: Tenancy, *, driven: bool):
        """By whoever drives it, and by whoever finds that somebody else does."""
        done = asyncio.Event()

        async def note(_: JobRun) -> None:
            done.set()

        async def move(_: JobRun) -> None:
            if not done.is_set():
                await enqueue(tenancy, job("real"))
                if driven:
                    await other.run(tenancy.tenant)
                    assert done.is_set()
                await asyncio.sleep(0.1)

        kinds = JobKinds()
        kinds.register("real", note, RetryPolicy(real=True))
        kinds.register("note", move)
        work, other = JobRunner(tenancy.database, kinds), JobRunner(tenancy.database, kinds)
        async with tenancy.database.tx(tenancy.tenant) as tx:
            now = await tenant_now(tx)
            for days in range(1, 100):
                await jobs.enqueue(tx, job("note", due_at=now + timedelta(days=days)))
            await request_advance(tx, now + timedelta(days=200), freeze=True)
        driving = asyncio.create_task(work.drive(tenancy.tenant))
        async with asyncio.timeout(20):
            await done.wait()
            assert not driving.done()
            await driving


async def claim_again(tenancy: Tenancy) -> None:
    """Claim every job for another one than has it."""
    async with tenancy.database.tx(tenancy.tenant) as tx:
        await tx.execute("UPDATE jobs SET claimed_by = $1", uuid4())


class TestAClaim:
    async def test_is_made_by_one_of_many(self, tenancy: Tenancy):
        """Runners that compete do each job once."""
        recorder = Recorder()
        new = [job() for _ in range(100)]
        await enqueue(tenancy, *new)
        await asyncio.gather(*(runner(tenancy, recorder).run(tenancy.tenant) for _ in range(4)))
        assert sorted(recorder.done) == [one.id for one in new]

    async def test_keeps_the_late_one_from_finishing(self, tenancy: Tenancy):
        """Who comes back after another has claimed the job can't commit anything for it."""

        async def finish_late(run: JobRun) -> None:
            await apart(claim_again(tenancy))
            async with run.tx() as tx:
                await jobs.enqueue(tx, job("written"))
                await run.finish(tx)

        await enqueue(tenancy, job())
        await runner(tenancy, finish_late).run(tenancy.tenant)
        async with tenancy.database.tx(tenancy.tenant) as tx:
            rows = await tx.fetch("SELECT kind FROM jobs")
        assert [row["kind"] for row in rows] == ["note"]

    async def test_is_given_back_when_the_runner_is_stopped(self, tenancy: Tenancy):
        """A job that was interrupted is there for the next runner at once, with the attempt not counted."""
        begun = asyncio.Event()

        async def hang(_: JobRun) -> None:
            begun.set()
            await asyncio.Event().wait()

        await enqueue(tenancy, job())
        running = asyncio.create_task(runner(tenancy, hang).run(tenancy.tenant))
        await begun.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        recorder = Recorder()
        await runner(tenancy, recorder).run(tenancy.tenant)
        assert len(recorder.done) == 1

    @pytest.mark.parametrize("lease_s", [-1, 6 * 3600])
    async def test_ends_with_its_lease(self, tenancy: Tenancy, lease_s: int):
        """One whose holder never came back is made anew, as an attempt, also where the clock was ahead meanwhile."""
        await enqueue(tenancy, job())
        async with tenancy.database.tx(tenancy.tenant) as tx:
            (lost,) = await jobs.claim(tx, now=await tenant_now(tx), leases_s={"note": lease_s}, tokens=uuid4, limit=1)
        attempts: list[int] = []

        async def note_attempt(run: JobRun) -> None:
            attempts.append(run.job.attempt)

        await runner(tenancy, note_attempt).run(tenancy.tenant)
        assert (lost.attempt, attempts) == (1, [2])

    async def test_of_a_job_that_takes_long_ends_soon_after_whoever_made_it(self, tenancy: Tenancy):
        """A process that is killed keeps nobody from the job for as long as that may take."""
        recorder, patient = Recorder(), RetryPolicy(timeout_s=3600)
        await enqueue(tenancy, job())
        async with tenancy.database.tx(tenancy.tenant) as tx:
            leases_s = {"note": patient.lease_s}
            assert await jobs.claim(tx, now=await tenant_now(tx), leases_s=leases_s, tokens=uuid4, limit=1)
        later = runner(tenancy, recorder, patient)
        await later.run(tenancy.tenant)
        assert recorder.done == []
        await pass_real_time(tenancy, seconds=150)
        await later.run(tenancy.tenant)
        assert len(recorder.done) == 1

    @pytest.mark.parametrize("timeout_s", [111, 119, 120, 3600])
    async def test_lasts_as_long_as_the_job_that_whoever_made_it_does(
        self, tenancy: Tenancy, monkeypatch: pytest.MonkeyPatch, timeout_s: int
    ):
        """It is renewed again and again, however long that takes, where it isn't long enough for all of it."""
        monkeypatch.setattr(leases, "_RENEWALS", 1_000_000)
        seen: set[datetime] = set()

        async def take_long(run: JobRun) -> None:
            async with asyncio.timeout(60):
                while len(seen) < 3:
                    async with run.tx() as tx:
                        seen.add(await tx.fetchval("SELECT claimed_until FROM jobs"))

        await enqueue(tenancy, job())
        await runner(tenancy, take_long, RetryPolicy(timeout_s=timeout_s)).run(tenancy.tenant)
        assert (len(seen), await remaining(tenancy)) == (3, 0)

    async def test_that_is_lost_ends_what_is_done(self, tenancy: Tenancy, monkeypatch: pytest.MonkeyPatch):
        """Whoever stood still for too long does nothing twice, once it learns that another is at the job."""
        monkeypatch.setattr(leases, "_RENEWALS", 1_000_000)
        ended, taking = list[str](), list[asyncio.Task[None]]()

        async def stand_still(_: JobRun) -> None:
            # By a task of its own: a renewal may see what it commits before it hears of that itself.
            taking.append(asyncio.create_task(claim_again(tenancy)))
            try:
                await asyncio.wait_for(asyncio.Event().wait(), 60)
            except asyncio.CancelledError:
                ended.append("cancelled")
                raise

        await enqueue(tenancy, job())
        with structlog.testing.capture_logs() as lines:
            await runner(tenancy, stand_still, RetryPolicy(timeout_s=3600)).run(tenancy.tenant)
        await asyncio.gather(*taking)
        assert (ended, [each["event"] for each in lines]) == (["cancelled"], ["job_lease_lost"])
        assert await remaining(tenancy) == 1

    async def test_that_is_gone_with_its_job_ends_nothing(self, tenancy: Tenancy, monkeypatch: pytest.MonkeyPatch):
        """A job that has finished itself may still have something to say."""
        monkeypatch.setattr(leases, "_RENEWALS", 1_000_000)
        said: list[str] = []

        async def say_so(run: JobRun) -> None:
            async with run.tx() as tx:
                await run.finish(tx)
            await asyncio.sleep(0.2)
            said.append("finished")

        await enqueue(tenancy, job())
        await runner(tenancy, say_so, RetryPolicy(timeout_s=3600)).run(tenancy.tenant)
        assert (said, await remaining(tenancy)) == (["finished"], 0)

    async def test_is_not_renewed_for_one_that_goes_on_when_its_time_is_over(
        self, tenancy: Tenancy, monkeypatch: pytest.MonkeyPatch
    ):
        """What hangs, and can't even be ended, keeps nobody else from the job."""
        monkeypatch.setattr(jobs, "_LEASE_S", 0)
        seen: list[datetime] = []

        async def hang_on(run: JobRun) -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                for _ in range(10):
                    async with run.tx() as tx:
                        seen.append(await tx.fetchval("SELECT claimed_until FROM jobs"))
                    await asyncio.sleep(0.01)

        await enqueue(tenancy, job())
        await runner(tenancy, hang_on, RetryPolicy(timeout_s=0)).run(tenancy.tenant)
        assert (len(seen), len(set(seen))) == (10, 1)

    async def test_is_the_last_where_none_of_those_who_made_one_came_back(self, tenancy: Tenancy):
        """A job that kills whoever does it kills no more of them than it has attempts."""
        recorder = Recorder()
        await enqueue(tenancy, job())
        for _ in range(QUICK.attempts):
            async with tenancy.database.tx(tenancy.tenant) as tx:
                await jobs.claim(tx, now=await tenant_now(tx), leases_s={"note": -1}, tokens=uuid4, limit=1)
        await runner(tenancy, recorder).run(tenancy.tenant)
        (letter,) = await dead_letters(tenancy)
        assert (recorder.done, letter.last_error) == ([], "lease_ended")


class TestASchedule:
    async def test_makes_up_for_missed_occurrences_once(self, tenancy: Tenancy):
        """After a long break one job is done, and the next occurrence lies ahead."""
        recorder = Recorder()
        kinds = JobKinds()
        kinds.register("note", recorder)
        work = JobRunner(tenancy.database, kinds, schedules=[Schedule(name="n", kind="note", rule="every 1h")])
        await work.run(tenancy.tenant)
        assert recorder.done == []
        async with tenancy.database.tx(tenancy.tenant) as tx:
            await tx.execute("UPDATE job_schedules SET next_at = $1", LONG_AGO)
        await work.run(tenancy.tenant)
        assert len(recorder.done) == 1
        async with tenancy.database.tx(tenancy.tenant) as tx:
            state = await read_clock(tx)
            next_at = await tx.fetchval("SELECT next_at FROM job_schedules")
        assert state.now < next_at <= state.now + timedelta(hours=1)

    async def test_keeps_its_place_over_a_restart(self, tenancy: Tenancy):
        """A process that starts leaves a schedule that is there as it is, and follows a changed rule."""
        kinds = JobKinds()
        kinds.register("note", Recorder())

        async def start(rule: str) -> datetime:
            await JobRunner(tenancy.database, kinds, schedules=[Schedule(name="n", kind="note", rule=rule)]).run(
                tenancy.tenant
            )
            async with tenancy.database.tx(tenancy.tenant) as tx:
                next_at: datetime = await tx.fetchval("SELECT next_at FROM job_schedules")
                return next_at

        first = await start("0 3 1 * *")
        assert await start("0 3 1 * *") == first
        assert await start("0 4 1 * *") == first + timedelta(hours=1)

    async def test_comes_as_ever_once_a_clock_that_was_ahead_is_right(
        self, tenancy: Tenancy, monkeypatch: pytest.MonkeyPatch
    ):
        """Whether or not a process is started anew then, nobody waits for a day that the clock has only shown."""
        kinds = JobKinds()
        kinds.register("note", Recorder())
        daily = [Schedule(name="n", kind="note", rule="every 1d")]
        running = JobRunner(tenancy.database, kinds, schedules=daily)

        async def read_ahead(tx: TenantTx) -> ClockState:
            state = await read_clock(tx)
            return msgspec.structs.replace(state, now=state.now + timedelta(days=400))

        for work in (running, JobRunner(tenancy.database, kinds, schedules=daily)):
            with monkeypatch.context() as patched:
                patched.setattr(clock, "read_clock", read_ahead)
                await running.run(tenancy.tenant)
            await work.run(tenancy.tenant)
            async with tenancy.database.tx(tenancy.tenant) as tx:
                assert await tx.fetchval("SELECT next_at < now() + interval '1 day' FROM job_schedules")


class TestTheWaitAfterAFailure:
    @given(
        attempt=st.integers(1, 100),
        jitter=st.floats(0, 1),
        first_wait_s=st.floats(0.1, 10),
        longest_wait_s=st.floats(10, 10_000),
    )
    def test_grows_but_stays_within_bounds(
        self, attempt: int, jitter: float, first_wait_s: float, longest_wait_s: float
    ):
        """It is between half and all of the doubled wait, never more than the longest, and none after the last one."""
        policy = RetryPolicy(attempts=50, first_wait_s=first_wait_s, longest_wait_s=longest_wait_s)
        wait = backoff(policy, attempt, jitter)
        if attempt >= 50:
            assert wait is None
        else:
            assert wait is not None
            whole_s = min(first_wait_s * 2 ** (attempt - 1), longest_wait_s)
            assert whole_s / 2 - 1e-6 <= wait.total_seconds() <= whole_s + 1e-6


class TestAJobWithAKey:
    async def test_is_done_as_early_as_the_earliest_asks_for(self, tenancy: Tenancy):
        """One that waits is hastened, and never put off."""
        async with tenancy.database.tx(tenancy.tenant) as tx:
            now = await tenant_now(tx)
            for hours in (5, 2, 9):
                await jobs.enqueue_or_hasten(tx, job(due_at=now + timedelta(hours=hours), key="k"))
            rows = await tx.fetch("SELECT due_at FROM jobs")
        assert [row["due_at"] for row in rows] == [now + timedelta(hours=2)]
