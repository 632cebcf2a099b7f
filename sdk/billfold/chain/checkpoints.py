"""The record by which a ledger seals what was detached from it."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final
from uuid import UUID

from billfold.chain.links import leaf

__all__ = ["balances_digest", "checkpoint_leaf", "checkpoint_text"]

_BALANCES: Final = b"\x04"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def checkpoint_text(
    *,
    number: int,
    month: str,
    entry_id: UUID,
    sequence: int,
    effective_high: datetime,
    recorded_at: datetime,
    balances_digest: bytes,
    archive_digest: bytes | None,
) -> str:
    """Return the text of a checkpoint's record, one fact a line.

    Args:
        number: The checkpoint's number.
        month: The month that was detached with it.
        entry_id: The last journal entry that was detached.
        sequence: Its place in the ledger.
        effective_high: The latest time at which any entry up to it took effect.
        recorded_at: When it was sealed.
        balances_digest: What ``balances_digest`` returned.
        archive_digest: SHA-256 of the month's archive, where there is one.
    """
    return (
        f"checkpoint\n{number}\n{month}\n{entry_id.hex}\n{sequence}\n{(effective_high - _EPOCH) // _MICROSECOND}\n"
        f"{(recorded_at - _EPOCH) // _MICROSECOND}\n{balances_digest.hex()}\n"
        f"{'-' if archive_digest is None else archive_digest.hex()}"
    )


def checkpoint_leaf(
    *,
    number: int,
    month: str,
    entry_id: UUID,
    sequence: int,
    effective_high: datetime,
    recorded_at: datetime,
    balances_digest: bytes,
    archive_digest: bytes | None,
) -> bytes:
    """Return the leaf of a checkpoint: the hash of what ``checkpoint_text`` says."""
    return leaf(
        checkpoint_text(
            number=number,
            month=month,
            entry_id=entry_id,
            sequence=sequence,
            effective_high=effective_high,
            recorded_at=recorded_at,
            balances_digest=balances_digest,
            archive_digest=archive_digest,
        )
    )


def balances_digest(balances: Iterable[tuple[UUID, int]]) -> bytes:
    """Return the digest of posted balances: SHA-256 over 0x04 and a line for each account that has one.

    Args:
        balances: Account and signed balance; their order doesn't matter, and those of zero don't count.
    """
    lines = "".join(f"{account.hex} {posted}\n" for account, posted in sorted(balances) if posted)
    return sha256(_BALANCES + lines.encode()).digest()
