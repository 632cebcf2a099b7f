"""The room's job: delivering events to endpoints."""

from billfold_server.db.jobs import JobKinds, JobRun, RetryPolicy
from billfold_server.http.services import Services
from billfold_server.outbound.service import Outbound
from billfold_server.webhooks import delivering

__all__ = ["register"]


def register(kinds: JobKinds, services: Services, outbound: Outbound) -> None:
    """Say who does the job of this room.

    What endpoints don't take is no failure of the job. Whatever does fail (the database, the keys) is tried for about
    a day before it is a dead letter.
    """

    async def deliver(run: JobRun) -> None:
        await delivering.deliver(run, services, outbound)

    kinds.register(
        delivering.DELIVER_JOB, deliver, RetryPolicy(attempts=30, timeout_s=delivering.TIMEOUT_S), apart=True
    )
