"""Which batches can be decided while the one before is being written, and what ends one that was."""

import time
from collections.abc import Sequence
from typing import Final

import asyncpg

from billfold import errors
from billfold_server.ledger.memory import Known
from billfold_server.ledger.queue import Item, Run

__all__ = ["is_over", "may_follow"]

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
