"""The room's job: what time does to consents, on the tenant's clock."""

from billfold import ids
from billfold.ids import Prefix
from billfold_server.consents import service
from billfold_server.consents.telling import DUE_JOB, Due
from billfold_server.db.jobs import JobKinds, JobRun

__all__ = ["register"]


def register(kinds: JobKinds) -> None:
    """Say who does the job of this room."""
    kinds.register(DUE_JOB, _due)


async def _due(run: JobRun) -> None:
    """End a consent whose time has come, or have its customer come back, exactly once."""
    consent_id = ids.decode(Prefix.CONSENT, run.job.read(Due).consent_id)
    async with run.tx() as tx:
        await run.finish(tx)
        await service.catch_up(tx, consent_id)
