"""Jobs of the HTTP edge."""

from datetime import UTC, datetime, timedelta
from typing import Final

from billfold_server.db.jobs import JobKinds, JobRun
from billfold_server.db.schedules import Schedule
from billfold_server.http import idempotency

__all__ = ["SCHEDULES", "register"]

EXPIRE: Final = "idempotency.expire"
_BATCH = 5000

SCHEDULES: Final = (Schedule(name=EXPIRE, kind=EXPIRE, rule="every 6h"),)


def register(kinds: JobKinds) -> None:
    """Say who does the jobs of this room."""
    kinds.register(EXPIRE, expire_keys)


async def expire_keys(run: JobRun) -> None:
    """Forget idempotency keys that have been kept for long enough, in small transactions.

    Their age counts in real time, also where a test clock says that the job is due: copies of a request travel in real
    time.
    """
    before = datetime.now(UTC) - timedelta(days=run.tenant.manifest.retention.idempotent_answers_days)
    while True:
        async with run.tx() as tx:
            expired = await idempotency.expire(tx, before, _BATCH)
            if expired < _BATCH:
                await run.finish(tx)
                return
