"""The leaves of many journal entries at once, as the engine needs them for each batch."""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol
from uuid import UUID

__all__ = ["EntryFacts", "PostingFacts", "entry_leaves"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_sha256 = hashlib.sha256


class PostingFacts(Protocol):
    """What the record of a journal entry says of one posting; ``entry_text`` has it in the same order."""

    @property
    def line(self) -> int:
        """The posting's number in its entry."""
        ...

    @property
    def account_id(self) -> UUID:
        """The account."""
        ...

    @property
    def amount_minor(self) -> int:
        """The amount in minor units, signed."""
        ...

    @property
    def currency(self) -> str:
        """Its currency."""
        ...

    @property
    def posted_after_minor(self) -> int:
        """The account's posted balance afterwards."""
        ...


class EntryFacts(Protocol):
    """What the record of a journal entry says; ``entry_text`` has it in the same order."""

    @property
    def sequence(self) -> int:
        """The entry's place in the ledger."""
        ...

    @property
    def id(self) -> UUID:
        """The entry's id."""
        ...

    @property
    def kind(self) -> str:
        """What made it."""
        ...

    @property
    def reverses(self) -> UUID | None:
        """The entry that it reverses."""
        ...

    @property
    def hold_id(self) -> UUID | None:
        """The hold that it captures."""
        ...

    @property
    def effective_at(self) -> datetime:
        """When it happened."""
        ...

    @property
    def recorded_at(self) -> datetime:
        """When it was written."""
        ...

    @property
    def text_commitment(self) -> bytes | None:
        """What ``commitment`` returned for its text."""
        ...

    @property
    def postings(self) -> Iterable[PostingFacts]:
        """The postings, in order of line."""
        ...


def entry_leaves(entries: Iterable[EntryFacts]) -> list[bytes]:
    """Return the leaves of journal entries: of each the hash of what ``entry_text`` says.

    The text is written out here once more. The engine does this for each entry, and to name its facts for a call and to
    tell one time anew for all entries of a batch costs as much as the hash.
    """
    leaves: list[bytes] = []
    told_at: datetime | None = None
    effective = ""
    for entry in entries:
        # What a batch posts took effect at one time, but for what is backdated.
        if entry.effective_at is not told_at:
            told_at = entry.effective_at
            effective = str((told_at - _EPOCH) // _MICROSECOND)
        reverses, hold_id, commitment = entry.reverses, entry.hold_id, entry.text_commitment
        text = (
            f"\x00entry\n{entry.sequence}\n{entry.id.hex}\n{entry.kind}\n{'-' if reverses is None else reverses.hex}\n"
            f"{'-' if hold_id is None else hold_id.hex}\n{effective}\n{(entry.recorded_at - _EPOCH) // _MICROSECOND}\n"
            f"{'-' if commitment is None else commitment.hex()}"
        )
        for one in entry.postings:
            text = f"{text}\n{one.line} {one.account_id.hex} {one.amount_minor} {one.currency} {one.posted_after_minor}"
        leaves.append(_sha256(text.encode()).digest())
    return leaves
