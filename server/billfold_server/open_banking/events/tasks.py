"""The room's job: pushing notifications to third parties."""

from billfold_server.db.jobs import JobKinds, JobRun
from billfold_server.http.services import Services
from billfold_server.open_banking.events import pushing
from billfold_server.outbound.service import RETRIES, Outbound

__all__ = ["register"]


def register(kinds: JobKinds, services: Services, outbound: Outbound) -> None:
    """Say who does the job of this room."""

    async def push(run: JobRun) -> None:
        await pushing.push(run, services, outbound)

    kinds.register(pushing.PUSH_JOB, push, RETRIES, apart=True)
