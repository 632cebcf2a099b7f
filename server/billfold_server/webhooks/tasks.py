"""The room's job: delivering events to endpoints."""

from billfold_server.db.jobs import JobKinds, JobRun
from billfold_server.http.services import Services
from billfold_server.outbound.service import RETRIES, Outbound
from billfold_server.webhooks import delivering

__all__ = ["register"]


def register(kinds: JobKinds, services: Services, outbound: Outbound) -> None:
    """Say who does the job of this room."""

    async def deliver(run: JobRun) -> None:
        await delivering.deliver(run, services, outbound)

    kinds.register(delivering.DELIVER_JOB, deliver, RETRIES, apart=True)
