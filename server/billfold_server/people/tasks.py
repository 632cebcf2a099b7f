"""Jobs of the room: what has expired is forgotten."""

from datetime import UTC, datetime, timedelta
from typing import Final

from billfold_server.db.jobs import JobKinds, JobRun
from billfold_server.db.schedules import Schedule
from billfold_server.people import service

__all__ = ["SCHEDULES", "register"]

SWEEP: Final = "people.sweep"
SCHEDULES: Final = (Schedule(name=SWEEP, kind=SWEEP, rule="every 6h"),)


def register(kinds: JobKinds) -> None:
    """Say who does the jobs of this room."""
    kinds.register(SWEEP, sweep)


async def sweep(run: JobRun) -> None:
    """Forget sessions, challenges, codes and failures that have long expired, which are all on the real clock."""
    async with run.tx() as tx:
        kept = timedelta(days=run.tenant.manifest.retention.sessions_days)
        await service.sweep(tx, now=datetime.now(UTC), kept=kept)
        await run.finish(tx)
