"""The job that deletes what has been kept for long enough."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from billfold_server.db.jobs import JobKinds, JobRun, RetryPolicy
from billfold_server.db.retention import Sweep
from billfold_server.db.schedules import Schedule
from billfold_server.keys.service import Keys
from billfold_server.parties import service as parties
from billfold_server.privacy.service import SHRED_JOB, Shred
from billfold_server.tenancy.clock import tenant_now

__all__ = ["BATCH", "SCHEDULES", "SWEEP", "register"]

SWEEP: Final = "privacy.sweep"
BATCH: Final = 5_000
_MOST: Final = 200
"""Batches of one table in one run; what is left then goes the next time."""

REINDEX: Final = "parties.reindex"
_REINDEXED: Final = 500

_log = structlog.stdlib.get_logger("billfold.privacy")

SCHEDULES: Final = (
    Schedule(name=SWEEP, kind=SWEEP, rule="every 6h"),
    Schedule(name=REINDEX, kind=REINDEX, rule="every 6h"),
)


def register(kinds: JobKinds, sweeps: Sequence[Sweep], keys: Keys, *, batch: int = BATCH) -> None:
    """Say who does the jobs of this room.

    Args:
        kinds: Where.
        sweeps: What every room has to delete.
        keys: What destroys the keys of who was forgotten.
        batch: How many rows go in one transaction.
    """

    async def shred(run: JobRun) -> None:
        """Destroy the keys of a party that was forgotten; doing it twice changes nothing."""
        await keys.forget(run.tenant, [run.job.read(Shred).party_id], reason=SHRED_JOB)

    async def reindex(run: JobRun) -> None:
        """Let parties be found by the newest version of the key alone, so that older ones can be retired."""
        while await parties.reindex(run.database, keys, run.tenant, batch=_REINDEXED):
            pass

    async def sweep(run: JobRun) -> None:
        """Delete what is old enough, in small transactions, each of which stands for itself.

        What can't be deleted keeps nothing else from it; the run has failed all the same, and is tried again.
        """
        async with run.tx() as tx:
            clocks = {"tenant": await tenant_now(tx), "real": datetime.now(UTC)}
        retention = run.tenant.manifest.retention
        failed: list[Exception] = []
        for each in sweeps:
            kept = max(timedelta(days=getattr(retention, each.kept, 0)), each.least)
            before = clocks[each.clock] - kept
            try:
                await _sweep(run, each, before, batch)
            except Exception as error:  # noqa: BLE001 - raised below, whatever it is
                _log.exception("a sweep has failed", sweep=each.name, tenant=run.tenant.slug)
                failed.append(error)
        if failed:
            raise ExceptionGroup("some of what is old enough could not be deleted", failed)

    # Much may be old enough at once, and nothing else of the tenant's waits for as long as that takes.
    kinds.register(SWEEP, sweep, RetryPolicy(timeout_s=900), apart=True, at_once=2)
    kinds.register(SHRED_JOB, shred, RetryPolicy(attempts=100))
    kinds.register(REINDEX, reindex, RetryPolicy(timeout_s=900), apart=True, at_once=2)


async def _sweep(run: JobRun, sweep: Sweep, before: datetime, batch: int) -> None:
    for _ in range(_MOST):
        async with run.tx() as tx:
            if await sweep.work(tx, before, batch) < batch:
                return
