"""The daily check of each tenant's books."""

from billfold_server.db.jobs import JobKinds, JobRun
from billfold_server.invariants.service import check

__all__ = ["CHECK_JOB", "register"]

CHECK_JOB = "invariants.check"


def register(kinds: JobKinds) -> None:
    """Say who checks the books. A breach is logged as an error, and counted, by the check itself."""

    async def check_books(run: JobRun) -> None:
        await check(run.database, run.tenant)

    kinds.register(CHECK_JOB, check_books)
