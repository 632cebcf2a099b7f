"""The job that makes account statements, once a month has passed on the tenant's clock."""

import functools
from typing import Final
from uuid import UUID

from billfold_server.account_statements import service
from billfold_server.db.jobs import JobKinds, JobRun, RetryPolicy
from billfold_server.db.schedules import Schedule
from billfold_server.tenancy.context import Caller

__all__ = ["MAKE", "SCHEDULES", "register"]

MAKE: Final = "account_statements.make"
# Every day, so that a month whose statements failed isn't made up for a month later.
SCHEDULES: Final = (Schedule(name=MAKE, kind=MAKE, rule="41 1 * * *"),)

_PATIENT: Final = RetryPolicy(timeout_s=3600)
_STATEMENT_TIMEOUT_MS: Final = 600_000
"""How long one query may take. It adds up all that was booked to its accounts in a month, which of a single one may be
millions of entries; where it is broken off each time, no month behind it ever has statements."""


def register(kinds: JobKinds) -> None:
    """Say who does the jobs of this room.

    Nothing else of the tenant's waits for as long as much that was booked takes to be added up.
    """
    kinds.register(MAKE, make, _PATIENT, apart=True, at_once=2)


async def make(run: JobRun) -> None:
    """Make what is due. Doing it twice changes nothing."""
    patient = functools.partial(run.database.tx, run.tenant, statement_timeout_ms=_STATEMENT_TIMEOUT_MS)
    await service.make_due(patient, Caller(actor=f"job:{MAKE}", client_id=UUID(int=0)))
