"""The job that makes account statements, once a month has passed on the tenant's clock."""

from typing import Final
from uuid import UUID

from billfold_server.account_statements import service
from billfold_server.db.jobs import JobKinds, JobRun
from billfold_server.db.schedules import Schedule
from billfold_server.tenancy.context import Caller

__all__ = ["MAKE", "SCHEDULES", "register"]

MAKE: Final = "account_statements.make"
# Every day, so that a month whose statements failed isn't made up for a month later.
SCHEDULES: Final = (Schedule(name=MAKE, kind=MAKE, rule="41 1 * * *"),)


def register(kinds: JobKinds) -> None:
    """Say who does the jobs of this room."""
    kinds.register(MAKE, make)


async def make(run: JobRun) -> None:
    """Make what is due. Doing it twice changes nothing."""
    await service.make_due(run.tx, Caller(actor=f"job:{MAKE}", client_id=UUID(int=0)))
