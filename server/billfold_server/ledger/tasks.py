"""The ledger's jobs: ending holds whose time has run out."""

from uuid import UUID

import msgspec

from billfold import ids
from billfold.ids import Prefix
from billfold_server.db.jobs import JobKinds, JobRun, RetryPolicy
from billfold_server.ledger.engine import Engine
from billfold_server.ledger.kinds import EXPIRE_HOLD, EXPIRE_HOLD_JOB, Expiry
from billfold_server.tenancy.context import Caller

__all__ = ["register"]


class _Payload(msgspec.Struct):
    hold_id: str


def register(kinds: JobKinds, engine: Engine) -> None:
    """Say who does the ledger's jobs.

    Whoever has money held waits for that, and nobody else can give it back once the hold's time is over; so it is tried
    for about a day before it is a dead letter.
    """

    async def expire_hold(run: JobRun) -> None:
        # Expiring twice changes nothing, so the command needs no idempotency key and the job no transaction of its own.
        hold_id = ids.decode(Prefix.HOLD, run.job.read(_Payload).hold_id)
        caller = Caller(actor=f"job:{EXPIRE_HOLD_JOB}", client_id=UUID(int=0))
        await engine.submit(run.tenant, caller, EXPIRE_HOLD, Expiry(hold_id))

    kinds.register(EXPIRE_HOLD_JOB, expire_hold, RetryPolicy(attempts=30))
