"""Checkpoints as readers and commands know them: up to where a ledger's history has been detached."""

from collections.abc import Hashable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from billfold import errors, ids
from billfold_server.tenancy.transaction import Tx

__all__ = ["NEWEST", "STORES", "CheckpointRow", "find_checkpoint"]

NEWEST: Final = "newest"
"""The key of the newest checkpoint, the only one that commands look at."""


class CheckpointRow(msgspec.Struct, frozen=True, kw_only=True):
    """Up to where the history is detached.

    Attributes:
        number: The checkpoint's number.
        entry_id: The last journal entry that is detached.
        sequence: Its place in the ledger.
        effective_high: The latest time at which any of them took effect.
    """

    number: int
    entry_id: UUID
    sequence: int
    effective_high: datetime

    @property
    def key(self) -> str:
        """What the row is loaded by."""
        return NEWEST

    def covers(self, entry_id: UUID) -> bool:
        """Tell whether a journal entry with this id would have been detached."""
        return entry_id <= self.entry_id

    def refusal(self, what: str) -> errors.HistoryDetached:
        """Return the error for what lies before the checkpoint.

        Args:
            what: What isn't there any more, as the beginning of a sentence.
        """
        recorded = ids.instant_of(self.entry_id)
        return errors.HistoryDetached(
            f"{what}: the ledger's history has been detached up to {recorded.isoformat()}.",
            effective_from=self.effective_high.isoformat(),
            recorded_from=recorded.isoformat(),
        )


async def find_checkpoint(tx: Tx) -> CheckpointRow | None:
    """Return the newest checkpoint, or None where nothing has been detached."""
    row = await tx.fetchrow(
        """
        SELECT c.number, c.entry_id, c.sequence, c.effective_high
        FROM ledger_checkpoints AS c ORDER BY c.number DESC LIMIT 1
        """
    )
    return None if row is None else CheckpointRow(**dict(row))


class _Checkpoints:
    row_type = CheckpointRow
    cached = False

    async def load(self, tx: Tx, keys: Sequence[Hashable]) -> dict[Any, Any]:
        """Return the newest checkpoint."""
        del keys
        found = await find_checkpoint(tx)
        return {} if found is None else {NEWEST: found}


STORES: Final = (_Checkpoints(),)
"""What the engine loads beside the ledger's own rows."""
