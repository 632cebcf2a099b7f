"""The daily look at a tenant's signing keys, so that successors are made though nobody asks for anything."""

from typing import Final

from billfold_server.db.jobs import JobKinds, JobRun
from billfold_server.db.schedules import Schedule
from billfold_server.identity.service import Identity

__all__ = ["KEEP_JOB", "SCHEDULES", "register"]

KEEP_JOB: Final = "identity.signing_keys"

SCHEDULES: Final = (Schedule(name=KEEP_JOB, kind=KEEP_JOB, rule="every 1d"),)


def register(kinds: JobKinds, identity: Identity) -> None:
    """Say who looks after the keys. Their age counts in real time, whatever a test clock says."""

    async def keep(run: JobRun) -> None:
        await identity.signing.keep(identity.realm(run.tenant))

    kinds.register(KEEP_JOB, keep)
