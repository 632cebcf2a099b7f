"""The job that deletes what has been kept for long enough."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from billfold_server.db.jobs import JobKinds, JobRun, RetryPolicy
from billfold_server.db.retention import Sweep
from billfold_server.db.schedules import Schedule
from billfold_server.tenancy.clock import tenant_now

__all__ = ["BATCH", "SCHEDULES", "SWEEP", "register"]

SWEEP: Final = "privacy.sweep"
BATCH: Final = 5_000
_MOST: Final = 200
"""Batches of one table in one run; what is left then goes the next time."""

SCHEDULES: Final = (Schedule(name=SWEEP, kind=SWEEP, rule="every 6h"),)


def register(kinds: JobKinds, sweeps: Sequence[Sweep], *, batch: int = BATCH) -> None:
    """Say who does the jobs of this room.

    Args:
        kinds: Where.
        sweeps: What every room has to delete.
        batch: How many rows go in one transaction.
    """

    async def sweep(run: JobRun) -> None:
        """Delete what is old enough, in small transactions, each of which stands for itself."""
        async with run.tx() as tx:
            clocks = {"tenant": await tenant_now(tx), "real": datetime.now(UTC)}
        retention = run.tenant.manifest.retention
        for each in sweeps:
            days = getattr(retention, each.kept, 0)
            before = clocks[each.clock] - timedelta(days=days)
            for _ in range(_MOST):
                async with run.tx() as tx:
                    if await each.work(tx, before, batch) < batch:
                        break

    kinds.register(SWEEP, sweep, RetryPolicy(timeout_s=900))
