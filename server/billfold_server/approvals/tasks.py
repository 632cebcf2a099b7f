"""The room's job: carrying out what is approved, where who approved it has died before."""

import msgspec

from billfold import ids
from billfold.ids import Prefix
from billfold_server.approvals.service import EXECUTE_JOB, Approvals
from billfold_server.db.jobs import JobKinds, JobRun, RetryPolicy

__all__ = ["register"]


class _Payload(msgspec.Struct):
    approval_id: str


def register(kinds: JobKinds, approvals: Approvals) -> None:
    """Say who does the job of this room.

    What is approved is never decided on again, and who has asked waits for it; so it is tried for about a day, in which
    the ledger and the keys are there again, before it is a dead letter.
    """

    async def execute(run: JobRun) -> None:
        await approvals.execute(run.tenant, ids.decode(Prefix.APPROVAL, run.job.read(_Payload).approval_id))

    kinds.register(EXECUTE_JOB, execute, RetryPolicy(attempts=30))
