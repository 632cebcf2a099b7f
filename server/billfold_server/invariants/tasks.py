"""The daily check of each tenant's books."""

from typing import Final

from billfold_server.db.jobs import JobKinds, JobRun, RetryPolicy
from billfold_server.db.schedules import Schedule
from billfold_server.invariants.service import check

__all__ = ["CHECK_JOB", "SCHEDULES", "register"]

CHECK_JOB: Final = "invariants.check"

SCHEDULES: Final = (Schedule(name=CHECK_JOB, kind=CHECK_JOB, rule="17 3 * * *"),)


_PATIENT: Final = RetryPolicy(attempts=3, timeout_s=3600)
"""Large books take their time; a check that is broken off tells nobody of anything."""


def register(kinds: JobKinds) -> None:
    """Say who checks the books. A breach is logged as an error, and counted, by the check itself.

    Nothing else of the tenant's waits for as long as that takes.
    """

    async def check_books(run: JobRun) -> None:
        await check(run.database, run.tenant)

    kinds.register(CHECK_JOB, check_books, _PATIENT, apart=True, at_once=2)
