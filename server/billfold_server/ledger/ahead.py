"""Which batches can be decided while the one before is being written, at what time, and what ends one that was."""

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import asyncpg

from billfold import errors
from billfold_server.ledger import batches
from billfold_server.ledger.memory import Known
from billfold_server.ledger.queue import Item, Queue, Run
from billfold_server.tenancy.clock import ClockReading
from billfold_server.tenancy.transaction import Database

__all__ = ["LOOKS_AT_CLOCK", "is_over", "may_follow", "time_of"]

LOOKS_AT_CLOCK: Final = 100
"""For how many batches the clock is looked at, once one held something that was too near the present to be told."""

_CLOCK_S: Final = 10.0
"""For how long the tenant's time is told from what its clock has shown."""


def is_over(error: Exception, run: Run) -> bool:
    """Tell whether a batch that couldn't be written ahead can't be written now at all."""
    if isinstance(error, errors.Busy):
        # Whoever has held for so long what was presumed would be waited for as long again; where there is a batch
        # before, it may be what that waits for.
        is_own = run.presumed_any and run.before is None
        return is_own and not isinstance(error.__cause__, asyncpg.DeadlockDetectedError)
    return isinstance(error, errors.Unavailable)


def may_follow(known: Known, batch: Sequence[Item]) -> bool:
    """Tell whether a batch can be decided before the ledger is taken."""
    if known.place is None or known.clock is None or time.monotonic() - known.clock.read_s > _CLOCK_S:
        return False
    return not any(item.kind.long for item in batch)


async def time_of(database: Database, queue: Queue, clock: ClockReading) -> tuple[ClockReading, datetime, datetime]:
    """Return what a tenant's clock has shown, what time it is by that, and by when at the latest."""
    if not queue.looks_at_clock:
        now = clock.now(time.monotonic())
        return clock, now, clock.latest(now)
    queue.looks_at_clock -= 1
    async with database.tx(queue.tenant) as tx:
        clock = await batches.read_clock(tx)
    # All that the batch holds had been asked for before.
    now = clock.now(clock.read_s)
    return clock, now, now
