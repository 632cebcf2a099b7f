"""The room's job: a turn at a rail."""

import msgspec

from billfold import ids
from billfold.ids import Prefix
from billfold_server.db.jobs import JobKinds, JobRun, RetryPolicy
from billfold_server.http.services import Services
from billfold_server.payments.service import ASK_JOB, take_turn

__all__ = ["register"]


class _Payload(msgspec.Struct):
    payment_id: str
    turn: int


def register(kinds: JobKinds, services: Services) -> None:
    """Say who does the job of this room.

    A rail that doesn't answer is no failure of the job, which records the silence and plans the next turn. Whatever
    does fail (the database, the keys) is tried for about a day before it is a dead letter.
    """

    async def ask(run: JobRun) -> None:
        payload = run.job.read(_Payload)
        payment_id = ids.decode(Prefix.PAYMENT, payload.payment_id)
        await take_turn(services, run.tenant, payment_id, turn=payload.turn, attempt=run.job.attempt)

    kinds.register(ASK_JOB, ask, RetryPolicy(attempts=30))
