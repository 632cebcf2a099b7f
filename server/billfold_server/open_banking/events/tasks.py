"""The room's job: pushing notifications to third parties."""

from billfold_server.db.jobs import JobKinds, JobRun, RetryPolicy
from billfold_server.http.services import Services
from billfold_server.open_banking.events import pushing
from billfold_server.outbound.service import Outbound

__all__ = ["register"]


def register(kinds: JobKinds, services: Services, outbound: Outbound) -> None:
    """Say who does the job of this room.

    What third parties don't take is no failure of the job. Whatever does fail (the database, the keys) is tried for
    about a day before it is a dead letter.
    """

    async def push(run: JobRun) -> None:
        await pushing.push(run, services, outbound)

    kinds.register(pushing.PUSH_JOB, push, RetryPolicy(attempts=30, timeout_s=pushing.TIMEOUT_S), apart=True)
