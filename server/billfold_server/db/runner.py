"""The runner: does a tenant's jobs when they are due, and moves its test clock past them in order.

Usually several jobs of a tenant run at once, in as many processes as there are. While a test clock is being moved, one
driver alone does the tenant's jobs, one after the other: it stops the clock at the next thing that falls due, does it,
lets the relay tell of it, and goes on. So ninety days of a sandbox happen in the same order each time. What is done to
other tenants (``RetryPolicy.real``) doesn't wait for that.
"""

import asyncio
import functools
import math
import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

import structlog
from asyncpg import Record

from billfold import errors, ids
from billfold.ids import Prefix, uuid7
from billfold_server.db import jobs, schedules
from billfold_server.db.apart import Apart
from billfold_server.db.jobs import Job, JobKinds, JobRun, LeaseLostError
from billfold_server.db.leases import renewed
from billfold_server.db.relay import Relay
from billfold_server.db.schedules import Schedule
from billfold_server.db.turns import Turns
from billfold_server.db.wakeups import Work
from billfold_server.tenancy import clock
from billfold_server.tenancy.clock import ClockState
from billfold_server.tenancy.context import TenantRef
from billfold_server.tenancy.transaction import Database, TenantTx

__all__ = ["JobRunner"]

log = structlog.get_logger(__name__)

# An instance of its own: the module's state is everybody's, and tests that draw by chance must be repeatable.
_CHANCE = random.Random()  # noqa: S311 - It only has to differ.
STEADY_JITTER = 0.5
"""What chance is under a test clock, so that each run is like the one before."""

DRIVER_LEASE_S = 60
"""How long a test clock waits for its driver before another one takes over."""

_LEASE_ENDED: Final = "lease_ended"
"""How a job's last attempt ended where nobody came back to say it."""

_POLL_S = 0.02
_LOOK_S = 1.0
"""How often a driver looks for what is done meanwhile."""
_TURN_S: Final = 30.0
"""After how long it is looked again, in any process, for a job that waits for its turn in this one."""

_PUT_BACK: Final = timedelta(minutes=1)
"""A real clock that shows so much less than before was put right; less is told by visits that overlap."""
_FAR: Final = timedelta(days=366)
_LAST: Final = timedelta(days=1)
"""Who moves a clock farther than a year at once has no more of what comes again and again than that of the last day."""
# The first thing on the clock's way: a job, whether or not another process is at it, or a schedule.
_NEXT_JOB = """
SELECT id, kind, due_at, coalesce(claimed_until > now(), false) AS busy
FROM jobs
WHERE status = 'waiting' AND due_at <= $1 AND kind = ANY($2::text[])
ORDER BY due_at, id
LIMIT 1
"""
_IS_BUSY = """
SELECT EXISTS (SELECT FROM jobs WHERE status = 'waiting' AND claimed_until > now() AND kind = ANY($1::text[]))
"""
_NEXT_SCHEDULE = "SELECT min(next_at) FROM job_schedules WHERE next_at <= $1 AND kind = ANY($2::text[])"

_NEXT = """
SELECT
    (SELECT min(due_at) FROM jobs
     WHERE status = 'waiting' AND claimed_until IS NULL AND kind = ANY($1::text[])) AS due_at,
    (SELECT min(next_at) FROM job_schedules WHERE kind = ANY($1::text[])) AS next_at,
    (SELECT extract(epoch FROM min(claimed_until) - now())::float8 FROM jobs
     WHERE status = 'waiting' AND claimed_until IS NOT NULL AND kind = ANY($1::text[])) AS lease_s
"""
_NEXT_OF_EACH = """
SELECT k.kind,
    (SELECT min(j.due_at) FROM jobs AS j
     WHERE j.status = 'waiting' AND j.claimed_until IS NULL AND j.kind = k.kind) AS due_at,
    (SELECT min(s.next_at) FROM job_schedules AS s WHERE s.kind = k.kind) AS next_at,
    (SELECT extract(epoch FROM min(j.claimed_until) - now())::float8 FROM jobs AS j
     WHERE j.status = 'waiting' AND j.claimed_until IS NOT NULL AND j.kind = k.kind) AS lease_s
FROM unnest($1::text[]) AS k (kind)
"""

_AT_ONCE = 4
"""How many jobs of one tenant run at once in this process, but for those that run apart."""


class JobRunner:
    """Does the jobs of any tenant.

    Args:
        database: The door to the tenants' tables.
        kinds: Who does which kind of job.
        schedules: What every tenant does again and again.
        relay: Tells of what the jobs have done, while a test clock is being moved.
        apart: How many of those that run apart do, beside them.
        buried: Is told the kind of each job that has failed for good.
    """

    def __init__(
        self,
        database: Database,
        kinds: JobKinds,
        *,
        schedules: Sequence[Schedule] = (),
        relay: Relay | None = None,
        apart: int = 32,
        buried: Callable[[str], None] | None = None,
    ) -> None:
        self._database = database
        self._kinds = kinds
        self._schedules = tuple(schedules)
        self._relay = relay
        self._apart = Apart(apart)
        self._turns = Turns(kinds)
        self._buried = buried
        self._scheduled: set[UUID] = set()
        self._seen_at = datetime.min.replace(tzinfo=UTC) + _PUT_BACK

    async def run(self, tenant: TenantRef, *, turn_s: float | None = None) -> float | None:
        """Do all that is due. What runs apart is begun and not waited for; its end asks for another visit.

        Args:
            tenant: Whose jobs.
            turn_s: After how many seconds nothing more is begun, so that others have their turn.

        Returns:
            Seconds after which there will be more; None where nothing waits, or the clock stands.
        """
        ends_s = math.inf if turn_s is None else time.monotonic() + turn_s
        while True:
            async with self._database.tx(tenant) as tx:
                state = await clock.read_clock(tx)
                await self._ensure_schedules(tx, state)
                claimed, begun = await self._claim(tx, state)
                wait_s = None if claimed or state.advancing_to else await self._next_wait_s(tx, state, len(begun))
            self._scheduled.add(tenant.id)
            await self._do(tenant, claimed, begun)
            if state.advancing_to is not None:
                if state.driven:
                    return 1.0
                await self.drive(tenant, timeout_s=turn_s, alone=True)
            elif not claimed:
                return wait_s
            if time.monotonic() > ends_s:
                return 0.0

    async def settle(self) -> None:
        """Wait until nothing runs apart any more."""
        await self._apart.settle()

    async def leave(self, tenant_id: UUID) -> None:
        """Give back what runs apart for one tenant."""
        self._turns.forget(tenant_id)
        await self._apart.leave(tenant_id)

    async def stop(self) -> None:
        """Give back what runs apart."""
        await self._apart.stop()

    async def drive(self, tenant: TenantRef, *, timeout_s: float | None = None, alone: bool = False) -> bool:
        """Bring a test clock to where it was sent, doing on the way what falls due.

        Args:
            tenant: Whose clock.
            timeout_s: After how many seconds to leave it, also where publishers are being told; a job that was begun
                is ended.
            alone: Whether nobody else visits the tenant meanwhile, as the background does where a request drives. Then
                nobody waits for the time-out either, and publishers aren't cut short by it.

        Returns:
            Whether it has arrived; if not, the time-out has passed, and whoever comes next goes on.
        """
        driver = uuid4()
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        told_to: int | None = None
        looked_s = time.monotonic()
        # In a turn, however short, the clock gets on a step: else it never would where telling takes a whole turn.
        stepped = not alone
        while True:
            async with self._database.tx(tenant) as tx:
                state = await clock.lock_clock(tx)
                # A tenant may be sent into its future before anybody has looked after it.
                await self._ensure_schedules(tx, state)
                mine = not state.driven or state.driver == driver
                late = deadline is not None and time.monotonic() > deadline and (stepped or not mine)
                job, arrived = None, state.advancing_to is None
                if state.advancing_to is not None and mine:
                    await clock.drive(tx, driver, 0 if late else DRIVER_LEASE_S)
                    told_to = await self._untold(tx, told_to)
                    if told_to is None and not late:
                        job, arrived = await self._step(tx, state)
                        stepped = True
                else:
                    # Another has taken over, and tells whoever is to be told.
                    told_to = None
            self._scheduled.add(tenant.id)
            if arrived:
                self._database.wakeups.signal(tenant, Work.JOBS)
                return True
            if late:
                return False
            if job is not None:
                await self._attempt(tenant, job)
            elif told_to is None or not await self._tell(tenant, told_to, None if alone else deadline):
                await asyncio.sleep(_POLL_S)
            if (alone or timeout_s is None) and time.monotonic() - looked_s >= _LOOK_S:
                await self._do_meanwhile(tenant)
                looked_s = time.monotonic()

    async def _do_meanwhile(self, tenant: TenantRef) -> None:
        """Do what doesn't wait for the clock, and would else be done by nobody until it has arrived."""
        async with self._database.tx(tenant) as tx:
            state = await clock.read_clock(tx)
            claimed, begun = ([], []) if state.advancing_to is None else await self._claim(tx, state)
        await self._do(tenant, claimed, begun)

    async def _step(self, tx: TenantTx, state: ClockState) -> tuple[Job | None, bool]:
        """Move the clock to the next thing that falls due and claim it, or to where it was sent."""
        kinds = self._kinds.on_tenants_clock
        now = state.now
        if state.advancing_to is not None and state.advancing_to - now > _FAR:
            await schedules.skip_to(tx, state.advancing_to - _LAST)
        while True:
            first = await tx.fetchrow(_NEXT_JOB, state.advancing_to, kinds)
            occurrence: datetime | None = await tx.fetchval(_NEXT_SCHEDULE, state.advancing_to, kinds)
            if occurrence is None or (first is not None and first["due_at"] < occurrence):
                break
            now = max(now, occurrence)
            await clock.step(tx, now)
            await schedules.enqueue_due(tx, now=now, kinds=kinds, new_id=uuid7)
        if first is None:
            await clock.arrive(tx, state)
            return None, True
        if first["busy"]:
            return None, False
        await clock.step(tx, first["due_at"])
        leases_s = {kind: self._kinds.leases_s[kind] for kind in kinds}
        claimed = await jobs.claim(tx, now=max(now, first["due_at"]), leases_s=leases_s, tokens=uuid4, limit=1)
        return (claimed[0] if claimed else None), False

    async def _untold(self, tx: TenantTx, up_to: int | None) -> int | None:
        """Return up to which event publishers must have been told before the clock moves on; None where they have been.

        What they make of it falls due at the instant at which they are told. What happens while they are being told
        isn't waited for as well, or a tenant where much does would never get on.
        """
        return None if self._relay is None else await self._relay.untold(tx, up_to)

    async def _tell(self, tenant: TenantRef, up_to: int, deadline: float | None) -> bool:
        """Tell publishers of what has happened; where it isn't all done, another process is at it or the time is up."""
        if self._relay is None:
            return True
        # However slow publishers are, the clock stays its driver's.
        renewed_by = time.monotonic() + DRIVER_LEASE_S / 2
        until = renewed_by if deadline is None else min(renewed_by, deadline)
        return await self._relay.run(tenant, up_to=up_to, deadline=until) is None

    async def _one_by_one(self, tx: TenantTx) -> int:
        """Return how many jobs may be begun where the clock stands: one, and none while any process is at another.

        Much falls due at one instant there, and is done in its order.
        """
        await clock.lock_clock(tx)
        is_busy: bool = await tx.fetchval(_IS_BUSY, self._kinds.in_line)
        return 0 if is_busy else 1

    async def _claim(self, tx: TenantTx, state: ClockState) -> tuple[list[Job], list[Job]]:
        """Claim what is due, and what of it runs apart; while the clock is moved only what doesn't wait for it."""
        moving = state.advancing_to is not None
        most = await self._one_by_one(tx) if state.frozen and not moving else _AT_ONCE
        if not moving:
            await schedules.enqueue_due(tx, now=state.now, kinds=list(self._kinds.leases_s), new_id=uuid7)
        claimed: list[list[Job]] = []
        for apart, limit in ((False, most), (True, self._apart.places(tx.tenant))):
            taken = self._turns.taken() if apart else ()
            leases = self._kinds.leases_of(apart=apart, moving=moving)
            leases_s = {kind: lease_s for kind, lease_s in leases.items() if kind not in taken}
            due = limit and leases_s
            claimed.append(
                await jobs.claim(tx, now=state.now, leases_s=leases_s, tokens=uuid4, limit=limit) if due else []
            )
        return claimed[0], claimed[1]

    async def _do(self, tenant: TenantRef, claimed: Sequence[Job], begun: Sequence[Job]) -> None:
        """Begin what runs apart, and do the rest at once."""
        for job in begun:
            if self._turns.take(job.kind):
                leave = functools.partial(self._leave_turn, job.kind)
                self._apart.begin(tenant, self._attempt(tenant, job), self._database.wakeups, leave=leave)
            else:
                # Another visit was quicker. The next one finds that the turns are taken.
                await self._give_back(tenant, job)
        await asyncio.gather(*(self._attempt(tenant, job) for job in claimed))

    def _leave_turn(self, kind: str) -> None:
        next_one = self._turns.give_back(kind)
        if next_one is not None:
            self._database.wakeups.signal(next_one, Work.JOBS)

    async def _ensure_schedules(self, tx: TenantTx, state: ClockState) -> None:
        if state.is_real:
            if state.now < self._seen_at - _PUT_BACK:
                # What comes next was told by a clock that was ahead.
                self._scheduled.clear()
            self._seen_at = state.now
        if tx.tenant.id not in self._scheduled:
            await schedules.ensure_schedules(tx, self._schedules, now=state.now, is_real=state.is_real)

    async def _next_wait_s(self, tx: TenantTx, state: ClockState, begun: int) -> float | None:
        # Where no place is left for what runs apart, the end of one of them brings the next visit.
        full = self._apart.places(tenant=tx.tenant) <= begun
        kinds = self._kinds.leases_of(apart=False) if full else self._kinds.leases_s
        taken = [kind for kind in self._turns.taken() if kind in kinds]
        row = await tx.fetchrow(_NEXT, [kind for kind in kinds if kind not in taken])
        assert row is not None
        waits_s = [_wait_s(row, state), await self._wait_for_turns_s(tx, state, taken) if taken else None]
        return min((each for each in waits_s if each is not None), default=None)

    async def _wait_for_turns_s(self, tx: TenantTx, state: ClockState, taken: Sequence[str]) -> float | None:
        """Note what is due and waits for its turn, and return after how long to look for it, or for what is due later.

        The end of another one brings the next visit, unless that one's turn is lost to who has nothing to do any more.
        """
        waits_s: list[float] = []
        for row in await tx.fetch(_NEXT_OF_EACH, taken):
            is_due = row["due_at"] is not None and row["due_at"] <= state.now
            wait_s = 0.0 if is_due else _wait_s(row, state)
            if wait_s == 0:
                self._turns.wait(row["kind"], tx.tenant)
            if wait_s is not None:
                waits_s.append(max(wait_s, _TURN_S))
        return min(waits_s, default=None)

    async def _attempt(self, tenant: TenantRef, job: Job) -> None:
        """Do a job once, and write down how it went."""
        kind = self._kinds[job.kind]
        if job.attempt > kind.retry.attempts:
            # Whoever made the last attempt hasn't come back to bury it, perhaps because of what the job does.
            return await self._fail(tenant, job, _LEASE_ENDED)
        run = JobRun(self._database, tenant, job)
        try:
            async with renewed(run, kind.retry):
                async with asyncio.timeout(kind.retry.timeout_s):
                    await kind.handler(run)
                if not run.settled:
                    async with run.tx() as tx:
                        await run.finish(tx)
        except asyncio.CancelledError:
            await asyncio.shield(self._give_back(tenant, job))
            raise
        except LeaseLostError:
            log.warning("job_lease_lost", kind=job.kind, job=_id(job), tenant=tenant.slug)
        except Exception as error:
            log.exception("job_failed", kind=job.kind, job=_id(job), tenant=tenant.slug, attempt=job.attempt)
            await self._fail(tenant, job, _cause(error))

    async def _fail(self, tenant: TenantRef, job: Job, cause: str) -> None:
        policy = self._kinds[job.kind].retry
        try:
            async with self._database.tx(tenant) as tx:
                state = await clock.read_clock(tx)
                jitter = _CHANCE.random() if state.is_real else STEADY_JITTER
                wait = jobs.backoff(policy, job.attempt, jitter)
                if policy.real and wait is not None:
                    await jobs.rest(tx, job, wait=wait, cause=cause)
                else:
                    await jobs.fail(tx, job, retry_at=None if wait is None else state.now + wait, cause=cause)
        except Exception:
            # The claim's lease brings the job back, once the database is there again. The other jobs go on.
            log.exception("job_outcome_unwritten", kind=job.kind, job=_id(job), tenant=tenant.slug)
            return
        if wait is None:
            log.error("job_dead", kind=job.kind, job=_id(job), tenant=tenant.slug, cause=cause)
            if self._buried is not None:
                self._buried(job.kind)

    async def _give_back(self, tenant: TenantRef, job: Job) -> None:
        try:
            async with self._database.tx(tenant) as tx:
                await jobs.release(tx, job)
        except Exception:
            log.exception("job_not_released", kind=job.kind, job=_id(job), tenant=tenant.slug)


def _wait_s(row: Record, state: ClockState) -> float | None:
    waits: list[float] = []
    if row["lease_s"] is not None:
        waits.append(row["lease_s"])
    if not state.frozen:
        waits += [(row[name] - state.now).total_seconds() for name in ("due_at", "next_at") if row[name] is not None]
    return max(0.0, min(waits)) if waits else None


def _id(job: Job) -> str:
    """Return a job's id as operators see it."""
    return ids.encode(Prefix.JOB, job.id)


def _cause(error: Exception) -> str:
    """Name an error without its message, which may hold what doesn't belong in a table."""
    if isinstance(error, errors.ProblemError):
        return error.code
    return f"{type(error).__module__}.{type(error).__qualname__}"
