"""The daily look at a tenant's encryption keys: private halves that nobody may use any more are deleted."""

from typing import TYPE_CHECKING, Final

from billfold_server.db.jobs import JobKinds, JobRun
from billfold_server.db.schedules import Schedule

if TYPE_CHECKING:
    from billfold_server.decryptor.service import WorkersDecryptor

__all__ = ["SCHEDULES", "WIPE_JOB", "register"]

WIPE_JOB: Final = "decryptor.encryption_keys"

SCHEDULES: Final = (Schedule(name=WIPE_JOB, kind=WIPE_JOB, rule="every 1d"),)


def register(kinds: JobKinds, decryptor: "WorkersDecryptor") -> None:
    """Say who deletes them. Their age counts in real time, whatever a test clock says."""

    async def wipe(run: JobRun) -> None:
        await decryptor.wipe(run.tenant)

    kinds.register(WIPE_JOB, wipe)
