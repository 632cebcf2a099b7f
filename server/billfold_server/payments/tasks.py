"""The room's jobs: a turn at a rail, and seeing that no payment is left without one."""

from typing import Final

import msgspec

from billfold import ids
from billfold.ids import Prefix
from billfold_server.db.jobs import JobKinds, JobRun, RetryPolicy
from billfold_server.db.schedules import Schedule
from billfold_server.http.services import Services
from billfold_server.payments.service import ASK_JOB, plan_missing_turns, take_turn

__all__ = ["SCHEDULES", "WATCH_JOB", "register"]

WATCH_JOB: Final = "payments.watch"

SCHEDULES: Final = (Schedule(name=WATCH_JOB, kind=WATCH_JOB, rule="every 6h"),)


class _Payload(msgspec.Struct):
    payment_id: str
    turn: int


def register(kinds: JobKinds, services: Services) -> None:
    """Say who does the jobs of this room.

    A rail that doesn't answer is no failure of the job, which records the silence and plans the next turn. Whatever
    does fail (the database, the keys) is tried for about a day before it is a dead letter. Nothing else of the tenant's
    waits for as long as a rail takes to answer.
    """

    async def ask(run: JobRun) -> None:
        payload = run.job.read(_Payload)
        payment_id = ids.decode(Prefix.PAYMENT, payload.payment_id)
        await take_turn(services, run.tenant, payment_id, turn=payload.turn, attempt=run.job.attempt)

    kinds.register(ASK_JOB, ask, RetryPolicy(attempts=30), apart=True)
    kinds.register(WATCH_JOB, _watch)


async def _watch(run: JobRun) -> None:
    after = None
    while True:
        async with run.tx() as tx:
            after = await plan_missing_turns(tx, after=after)
            if after is None:
                await run.finish(tx)
                return
