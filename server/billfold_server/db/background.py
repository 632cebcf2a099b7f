"""The background of a server process: visits tenants that have events to publish or jobs to do.

Three things lead to a visit. A commit in this process that left something behind: at once. The agenda, which all
processes share: when a tenant's next job is due. And a sweep over all tenants, now and then and at the start, which
finds whatever the other two have lost; nothing depends on them but the delay. It passes over tenants where nothing was
written since they were found with nothing to do (ADR 68).
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog

from billfold import errors
from billfold_server.db import agenda
from billfold_server.db.relay import Relay
from billfold_server.db.runner import JobRunner
from billfold_server.db.stillness import Stillness
from billfold_server.db.wakeups import Work
from billfold_server.tenancy.context import TenantRef
from billfold_server.tenancy.transaction import Database

__all__ = ["Background", "keep_running"]

log = structlog.get_logger(__name__)

_AFTER_FAILURE_S = 1.0
_CLAIM_AGAIN_MS = 30_000
_EVENTS_EVERY_S = 0.2
_TURN_S = 5.0
"""After how long a visit begins nothing more, neither of a tenant's events nor of its jobs: others wait for its place,
and the tenant's own events wait for its jobs. It comes again behind those who wait."""
_TABLES = ("job_schedules", "jobs", "publisher_cursors", "relay_head", "tenant_clock")
"""Where what a visit is for is written; each event moves ``relay_head``."""
_ALL = Work.EVENTS | Work.JOBS


async def keep_running(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """Run what goes on for as long as the process, and again if it fails: without it the process would seem well."""
    while True:
        try:
            await run()
        except Exception:
            log.exception("room_failed", room=name)
            await asyncio.sleep(_AFTER_FAILURE_S)
        else:
            return


class Background:
    """The visits of one process.

    Args:
        database: The door to the tenants' tables.
        tenants: Lists the tenants that are served.
        relay: Publishes events.
        runner: Does jobs.
        poll_s: How often the agenda is read.
        sweep_s: How often tenants are visited for no reason.
        all_every: How often that is every tenant, whatever PostgreSQL has counted: in each so many sweeps.
        concurrency: How many tenants are visited at once.
    """

    def __init__(
        self,
        database: Database,
        tenants: Callable[[], Awaitable[Sequence[TenantRef]]],
        relay: Relay,
        runner: JobRunner,
        *,
        poll_s: float = 1.0,
        sweep_s: float = 30.0,
        all_every: int = 20,
        concurrency: int = 4,
    ) -> None:
        self._database = database
        self._tenants = tenants
        self._relay = relay
        if not relay.has_publishers:
            # Each transfer leaves an event, and a visit for nothing would cost as much as its HTTP does.
            database.wakeups.unheard |= Work.EVENTS
        self._runner = runner
        self._poll_s = poll_s
        self._sweep_s = sweep_s
        self._places = asyncio.Semaphore(concurrency)
        self._visits: dict[UUID, asyncio.Task[None]] = {}
        # Those that haven't rung yet, each with its time, which not every event loop's handles can tell.
        self._timers: dict[tuple[UUID, Work], tuple[float, asyncio.Handle]] = {}
        self._planned: dict[UUID, datetime] = {}
        self._from_agenda: set[UUID] = set()
        self._told_at: dict[UUID, float] = {}
        self._stillness = Stillness(_TABLES, all_every=all_every)
        # What was counted of those who wait for the sweep's visit.
        self._swept: dict[UUID, int] = {}
        # Those to whom somebody would come again and that weren't served at the last sweep.
        self._left: set[UUID] = set()
        self._sweeps = 0

    async def run(self) -> None:
        """Visit tenants until cancelled. What is being done then is given back, so that others take it up at once."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._dispatch())
                group.create_task(self._repeat(self._read_agenda, self._poll_s))
                group.create_task(self._repeat(self._sweep, self._sweep_s))
        finally:
            for _, timer in self._timers.values():
                timer.cancel()
            visits = list(self._visits.values())
            for visit in visits:
                visit.cancel()
            await asyncio.gather(*visits, return_exceptions=True)
            await self._runner.stop()

    async def leave(self, tenant_id: UUID) -> None:
        """Let go of a tenant that is about to be gone: nothing of this process visits it any longer, or will."""
        self._forget(tenant_id)
        if (visit := self._visits.get(tenant_id)) is not None:
            visit.cancel()
            await asyncio.wait([visit])
        await self._runner.leave(tenant_id)
        # What ended just now may have asked for another visit.
        await asyncio.sleep(0)
        self._forget(tenant_id)

    def _forget(self, tenant_id: UUID) -> None:
        for key in [key for key in self._timers if key[0] == tenant_id]:
            self._timers.pop(key)[1].cancel()
        self._database.wakeups.forget(tenant_id)
        self._relay.leave(tenant_id)
        self._planned.pop(tenant_id, None)
        self._told_at.pop(tenant_id, None)
        self._swept.pop(tenant_id, None)
        self._from_agenda.discard(tenant_id)

    async def _dispatch(self) -> None:
        while True:
            if await self._database.wakeups.wait(self._poll_s):
                for tenant, wanted in self._database.wakeups.take(busy=self._visits):
                    work = self._rested(tenant, wanted)
                    if not work:
                        continue
                    visit = asyncio.create_task(self._visit(tenant, work), name=f"visit-{tenant.slug}")
                    self._visits[tenant.id] = visit
                    visit.add_done_callback(functools.partial(self._end_visit, tenant.id))

    def _rested(self, tenant: TenantRef, work: Work) -> Work:
        """Return what a visit is for now: a busy tenant's events are looked at a few times a second and no more."""
        if Work.EVENTS not in work:
            return work
        now = asyncio.get_running_loop().time()
        rest_s = self._told_at.get(tenant.id, -_EVENTS_EVERY_S) + _EVENTS_EVERY_S - now
        if rest_s > 0:
            self._come_again(tenant, Work.EVENTS, rest_s)
            return work & ~Work.EVENTS
        self._told_at[tenant.id] = now
        return work

    def _end_visit(self, tenant_id: UUID, _: "asyncio.Task[None]") -> None:
        del self._visits[tenant_id]
        self._database.wakeups.nudge()

    async def _visit(self, tenant: TenantRef, work: Work) -> None:
        async with self._places:
            count = self._swept.pop(tenant.id, None)
            if tenant.id in self._left and not await self._is_served(tenant):
                # Nobody has to come again either: when it is served again, the next sweep finds it.
                self._forget(tenant.id)
                return
            try:
                retry_s = wait_s = None
                if Work.EVENTS in work:
                    retry_s = await self._relay.run(tenant, turn_s=_TURN_S)
                    self._come_again(tenant, Work.EVENTS, None if retry_s is None else min(retry_s, self._sweep_s))
                if Work.JOBS in work:
                    wait_s = await self._runner.run(tenant, turn_s=_TURN_S)
                    self._come_again(tenant, Work.JOBS, wait_s)
                    await self._plan(tenant.id, wait_s)
                whole = work | self._database.wakeups.unheard == _ALL
                if whole and retry_s is None and (wait_s is None or wait_s > self._sweep_s):
                    # The agenda knows of what comes later than the next sweep.
                    self._stillness.note(tenant.id, count)
            except errors.Unavailable:
                self._come_again(tenant, work, _AFTER_FAILURE_S)
            except Exception:
                if await self._is_served(tenant):
                    log.exception("visit_failed", tenant=tenant.slug)
                    self._come_again(tenant, work, _AFTER_FAILURE_S)
                else:
                    # Another process may have deleted it, which tells nobody here.
                    self._forget(tenant.id)

    async def _is_served(self, tenant: TenantRef) -> bool:
        """Tell whether a tenant is served, or may be."""
        try:
            return any(each.id == tenant.id for each in await self._tenants())
        except errors.Unavailable:
            return True

    def _come_again(self, tenant: TenantRef, work: Work, wait_s: float | None) -> None:
        """Set this process's own timer; a later visit than the sweep's needs none."""
        if wait_s is None or wait_s > self._sweep_s:
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + wait_s
        if (before := self._timers.get((tenant.id, work))) is not None:
            if before[0] <= due:
                return
            before[1].cancel()
        self._timers[tenant.id, work] = due, loop.call_later(wait_s, self._ring, tenant, work)

    def _ring(self, tenant: TenantRef, work: Work) -> None:
        # An event loop may be a moment early, so whether a timer still has to ring can't be told from its time.
        del self._timers[tenant.id, work]
        self._database.wakeups.signal(tenant, work)

    async def _plan(self, tenant_id: UUID, wait_s: float | None) -> None:
        """Tell the other processes when the tenant wants to be visited next, unless they know."""
        wake_at = None if wait_s is None else datetime.now(UTC) + timedelta(seconds=wait_s)
        if tenant_id in self._from_agenda:
            self._from_agenda.discard(tenant_id)
            async with self._database.platform_tx() as tx:
                await agenda.plan_exactly(tx, tenant_id, wake_at)
        elif wake_at is not None and not self._is_planned(tenant_id, wake_at):
            async with self._database.platform_tx() as tx:
                await agenda.plan(tx, tenant_id, wake_at)
        else:
            return
        if wake_at is None:
            self._planned.pop(tenant_id, None)
        else:
            self._planned[tenant_id] = wake_at

    def _is_planned(self, tenant_id: UUID, wake_at: datetime) -> bool:
        planned = self._planned.get(tenant_id)
        return planned is not None and datetime.now(UTC) < planned <= wake_at + timedelta(seconds=1)

    async def _read_agenda(self) -> None:
        async with self._database.platform_tx() as tx:
            due = set(await agenda.claim_due(tx, again_ms=_CLAIM_AGAIN_MS))
        if due:
            self._from_agenda |= due
            for tenant in await self._tenants():
                if tenant.id in due:
                    self._database.wakeups.signal(tenant, Work.JOBS)

    async def _sweep(self) -> None:
        tenants = await self._tenants()
        async with self._database.platform_tx() as tx:
            counts = await self._stillness.begin(tx, tenants)
        self._left = {*self._visits, *(key[0] for key in self._timers)} - {each.id for each in tenants}
        for tenant in tenants:
            count = counts.get(tenant.id)
            if self._stillness.is_still(tenant.id, count):
                continue
            if count is not None:
                self._swept[tenant.id] = count
            self._database.wakeups.signal(tenant, _ALL)
        self._sweeps += 1

    async def _repeat(self, step: Callable[[], Awaitable[None]], every_s: float) -> None:
        while True:
            try:
                await step()
            except errors.Unavailable:
                log.warning("background_waits_for_database", step=step.__name__)
            except Exception:
                log.exception("background_step_failed", step=step.__name__)
            await asyncio.sleep(every_s)
