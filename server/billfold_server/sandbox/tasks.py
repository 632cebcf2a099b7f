"""The room's jobs: fetching money that a silent rail had, and destroying the keys of who went with a reset."""

from billfold_server.db.jobs import JobKinds, JobRun, RetryPolicy
from billfold_server.http.services import Services
from billfold_server.sandbox.incoming import FETCH_JOB, Fetch, fetch_later
from billfold_server.sandbox.resetting import SHRED_JOB, Shred, shred

__all__ = ["register"]


def register(kinds: JobKinds, services: Services) -> None:
    """Say who does the jobs of this room."""

    async def fetch(run: JobRun) -> None:
        await fetch_later(services, run.tenant, run.job.read(Fetch))

    async def destroy(run: JobRun) -> None:
        await shred(services.keys, run.tenant, run.job.read(Shred))

    kinds.register(SHRED_JOB, destroy, RetryPolicy(attempts=100))
    kinds.register(FETCH_JOB, fetch, RetryPolicy(attempts=30, first_wait_s=60.0))
