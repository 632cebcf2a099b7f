"""What PostgreSQL couldn't write, and why: a full disk of its own shows nowhere else while it goes on to read."""

from collections import Counter
from typing import Final

import asyncpg
import structlog

from billfold import errors

__all__ = ["CANNOT_WRITE", "REASONS", "Unwritten", "cannot_write"]

log = structlog.get_logger(__name__)

CANNOT_WRITE: Final = (
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.PostgresIOError,
)

REASONS: Final = ("disk_full", "io_error", "read_only", "exhausted")
"""Why something can't be written; the last is memory, or another of PostgreSQL's limits."""

_KINDS: Final = {
    asyncpg.DiskFullError: "disk_full",
    asyncpg.PostgresIOError: "io_error",
    asyncpg.ReadOnlySQLTransactionError: "read_only",
}
_TOLD_AGAIN_S: Final = 60.0


def cannot_write() -> errors.DatabaseUnavailable:
    """Make the error that says to whoever asked that one of these was raised."""
    msg = "the database can't write now: its disk or memory is full, or it is a standby"
    return errors.DatabaseUnavailable(msg, retry_after_s=5)


class Unwritten:
    """Transactions of one process that ended because PostgreSQL couldn't write.

    Attributes:
        counts: How many since somebody last took the counts, by reason.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._told_at: dict[str, float] = {}

    def note(self, error: BaseException, now_s: float) -> None:
        """Count one, and log it unless that was done within the last minute."""
        because = next((because for kind, because in _KINDS.items() if isinstance(error, kind)), "exhausted")
        self.counts[because] += 1
        told_at = self._told_at.get(because)
        if told_at is None or now_s - told_at >= _TOLD_AGAIN_S:
            self._told_at[because] = now_s
            log.error("database_cannot_write", because=because, sqlstate=getattr(error, "sqlstate", None))
