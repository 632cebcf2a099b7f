"""Jobs of the HTTP edge."""

from datetime import UTC, datetime, timedelta
from typing import Final

from billfold_server.db.jobs import JobKinds, JobRun, RetryPolicy
from billfold_server.db.schedules import Schedule
from billfold_server.http import idempotency

__all__ = ["SCHEDULES", "register"]

EXPIRE: Final = "idempotency.expire"
_BATCH = 5000
_OF_OTHERS: Final = timedelta(days=1)
"""How long keys of open banking count at least (Open Banking Read/Write API Profile 4.0, idempotency)."""

SCHEDULES: Final = (Schedule(name=EXPIRE, kind=EXPIRE, rule="every 6h"),)


def register(kinds: JobKinds) -> None:
    """Say who does the jobs of this room.

    Where orders come by the hundred in a second there are millions of keys, and no other job waits for them.
    """
    kinds.register(EXPIRE, expire_keys, RetryPolicy(timeout_s=900), apart=True, at_once=2)


async def expire_keys(run: JobRun) -> None:
    """Forget idempotency keys that have been kept for long enough, in small transactions.

    Their age counts in real time, also where a test clock says that the job is due: copies of a request travel in real
    time.
    """
    now = datetime.now(UTC)
    before = now - timedelta(days=run.tenant.manifest.retention.idempotent_answers_days)
    for expire, until in ((idempotency.expire, before), (idempotency.expire_of_others, now - _OF_OTHERS)):
        expired = _BATCH
        while expired == _BATCH:
            async with run.tx() as tx:
                expired = await expire(tx, until, _BATCH)
    async with run.tx() as tx:
        await run.finish(tx)
