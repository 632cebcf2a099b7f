"""The daily check of each tenant's books."""

from typing import Final

from billfold_server.db.jobs import JobKinds, JobRun
from billfold_server.db.schedules import Schedule
from billfold_server.invariants.service import check

__all__ = ["CHECK_JOB", "SCHEDULES", "register"]

CHECK_JOB: Final = "invariants.check"

SCHEDULES: Final = (Schedule(name=CHECK_JOB, kind=CHECK_JOB, rule="17 3 * * *"),)


def register(kinds: JobKinds) -> None:
    """Say who checks the books. A breach is logged as an error, and counted, by the check itself."""

    async def check_books(run: JobRun) -> None:
        await check(run.database, run.tenant)

    kinds.register(CHECK_JOB, check_books)
