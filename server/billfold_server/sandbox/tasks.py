"""The room's jobs: fetching money that a silent rail had."""

from billfold_server.db.jobs import JobKinds, JobRun, RetryPolicy
from billfold_server.http.services import Services
from billfold_server.sandbox.incoming import FETCH_JOB, Fetch, fetch_later

__all__ = ["register"]


def register(kinds: JobKinds, services: Services) -> None:
    """Say who does the jobs of this room."""

    async def fetch(run: JobRun) -> None:
        await fetch_later(services, run.tenant, run.job.read(Fetch))

    kinds.register(FETCH_JOB, fetch, RetryPolicy(attempts=30, first_wait_s=60.0))
