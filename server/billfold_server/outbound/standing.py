"""Whether who receives what is being sent is still as it was when that was read."""

import time
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from billfold_server.db.jobs import JobRun
from billfold_server.tenancy.transaction import TenantTx

__all__ = ["Standing"]

log = structlog.get_logger(__name__)

_LOOK_S: Final = 0.5
"""How often it is looked for, while a batch is being sent."""


class Standing:
    """Whether a receiver is still as it was when a batch for it was read.

    A slow one takes minutes for a batch. Who deletes or pauses it, moves it, gives it another secret or keeps it out
    doesn't mean once these are over.

    Args:
        run: The job that sends the batch.
        receiver: What it is called in the log.
        stands: Tells it, as it is in a transaction.
    """

    def __init__(self, run: JobRun, receiver: str, stands: Callable[[TenantTx], Awaitable[bool]]) -> None:
        self._run = run
        self._receiver = receiver
        self._look = stands
        self._looked_s = time.monotonic()
        self._stands = True

    async def holds(self) -> bool:
        """Tell whether it is so, as seen just now or a moment ago. Where that can't be seen, it isn't."""
        if self._stands and time.monotonic() - self._looked_s >= _LOOK_S:
            self._looked_s = time.monotonic()
            try:
                async with self._run.tx() as tx:
                    stands = await self._look(tx)
            except Exception:  # What was sent before is noted all the same, if it can be.
                log.exception("receiver_not_read", tenant=self._run.tenant.slug, receiver=self._receiver)
                stands = False
            # Several look at once where that takes long, and one that began earlier may end later.
            if not stands:
                self._stands = False
        return self._stands
