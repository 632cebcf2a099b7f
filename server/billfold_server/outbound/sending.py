"""One run of a job that sends a receiver what is due, a few at once, until nothing is or others have their turn.

What is due, in which order, what is sent and what an answer means is for the room to say that has the job::

    sending = Sending(run, outbound, lane=receiver_id)
    while True:
        async with run.tx() as tx:
            receiver = …
            now = await sending.begin(tx, receiver.url, receiver.wire_id, stands)
            due = [] if sending.is_over else await queries.due(tx, receiver_id, now, …)
            if not due:
                return await sending.end(tx, await queries.next_due_at(tx, receiver_id))
        …
            async with sending.place() as is_sent:
                if is_sent:
                    said = await sending.post(headers=…, body=…)

While the transaction that begins a batch holds the receiver nobody adds to what it is told, so nothing is left behind
without a job.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

import structlog

from billfold_server.db.jobs import JobRun, RetryPolicy
from billfold_server.outbound.answers import Answer, Failure
from billfold_server.outbound.reach import Reach
from billfold_server.outbound.rules import AT_ONCE
from billfold_server.tenancy import clock
from billfold_server.tenancy.transaction import TenantTx

if TYPE_CHECKING:
    from billfold_server.outbound.service import Outbound

__all__ = ["RETRIES", "Sending"]

log = structlog.get_logger(__name__)

RETRIES: Final = RetryPolicy(attempts=30, timeout_s=180)
"""What receivers don't take is no failure of such a job. Whatever does fail (the database, the keys) is tried for about
a day before it is a dead letter. A run stops to send long before its time is up, so that all it has sent is noted."""

_SENDS_S: Final = 60.0
"""For how long a run goes on sending."""
_LOOK_S: Final = 0.5
"""How often it is looked whether the receiver is as it was, while a batch is being sent."""


class Sending:
    """One run of a job that sends a receiver what is due.

    A slow one takes minutes for a batch. Who deletes or pauses it, moves it, gives it another secret or keeps it out
    doesn't mean once these are over, so that is looked for meanwhile.

    Args:
        run: The job.
        outbound: What calls.
        lane: With what its requests wait for their turn: each receiver has some of its own.
    """

    def __init__(self, run: JobRun, outbound: "Outbound", *, lane: UUID) -> None:
        self._run = run
        self._outbound = outbound
        self._lane = lane
        self._begun_s = time.monotonic()
        self._reach = Reach()
        self._places = asyncio.Semaphore(AT_ONCE)

    async def begin(
        self, tx: TenantTx, url: str, receiver: str, stands: Callable[[TenantTx], Awaitable[bool]]
    ) -> datetime:
        """Begin a batch, in the transaction that reads it, and return the tenant's time.

        Args:
            tx: The transaction.
            url: Where it is sent.
            receiver: What the receiver is called in the log.
            stands: Tells whether the receiver is still as it was, as it is in another transaction.
        """
        state = await clock.read_clock(tx)
        self._now, self._url, self._receiver = state.now, url, receiver
        self._looked_s, self._stands, self._ask = time.monotonic(), True, stands
        self._reach.stand(state.now if state.advancing_to is not None else None, url)
        return state.now

    async def end(self, tx: TenantTx, next_at: datetime | None, *, not_before: datetime | None = None) -> None:
        """End the run, in the transaction that has found nothing to send now.

        Args:
            tx: The transaction.
            next_at: When there is something to send next; None is never, and the job is finished.
            not_before: When to come back at the earliest, where that isn't at once.
        """
        if next_at is None:
            await self._run.finish(tx)
        else:
            # Where its turn is over, it goes on behind those who wait, however old what waits for it is.
            await self._run.postpone(tx, max(next_at, not_before or self._now))

    @property
    def is_over(self) -> bool:
        """Whether it has taken so long that no further batch is begun; sooner where a clock waits for it."""
        return self._reach.is_late(self._took_s, _SENDS_S)

    @property
    def _took_s(self) -> float:
        return time.monotonic() - self._begun_s

    @property
    def is_in_vain(self) -> bool:
        """Whether nobody answers, so that what would come of sending is only to be noted."""
        return self._reach.failure is not None

    @asynccontextmanager
    async def place(self) -> AsyncIterator[bool]:
        """Wait for a place to send one thing from, and tell whether to: else it is the next batch's, as it is by then.

        It isn't sent where the turn is over, or the receiver isn't as it was when the batch was read.
        """
        async with self._places:
            if self._goes_on and time.monotonic() - self._looked_s >= _LOOK_S:
                await self._look_again()
            yield self._goes_on

    @property
    def _goes_on(self) -> bool:
        # Where a clock waits, a batch goes on nevertheless, for what it learns of who isn't there ends with the run.
        return self._stands and self._took_s <= _SENDS_S

    async def _look_again(self) -> None:
        self._looked_s = time.monotonic()
        try:
            async with self._run.tx() as tx:
                stands = await self._ask(tx)
        except Exception:  # What was sent before is noted all the same, if it can be.
            log.exception("receiver_not_read", tenant=self._run.tenant.slug, receiver=self._receiver)
            stands = False
        # Several look at once where that takes long, and one that began earlier may end later.
        self._stands = self._stands and stands

    async def post(self, *, headers: Mapping[str, str], body: bytes) -> Answer | Failure:
        """Send one thing from a place, and return what came of it."""
        if self._reach.failure is not None:
            return self._reach.failure
        try:
            said = await self._outbound.post(self._run.tenant, self._url, headers=headers, body=body, lane=self._lane)
        except Exception:  # One that can't be sent, whatever the reason, keeps no other one from being noted.
            log.exception("not_sent", tenant=self._run.tenant.slug, receiver=self._receiver)
            return Failure(cause="error", took_s=0.0)
        self._reach.learn(said)
        return said
