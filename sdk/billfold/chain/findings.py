"""What a verification finds."""

from enum import StrEnum
from typing import Any, Final

import msgspec

__all__ = ["Damage", "Finding", "Findings"]

_MOST_FINDINGS: Final = 100


class Damage(StrEnum):
    """What can be wrong with a record. The first four are what the chain shows."""

    EDITED = "edited"
    DROPPED = "dropped"
    INSERTED = "inserted"
    REORDERED = "reordered"
    DANGLING = "dangling"
    UNBALANCED = "unbalanced"
    WRONG_BALANCE = "wrong_balance"
    INCONSISTENT = "inconsistent"
    MALFORMED = "malformed"
    INCOMPLETE = "incomplete"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong.

    Attributes:
        damage: What is wrong with it.
        record: What kind of record it is: ``journal_entry``, ``hold_movement``, ``link``, ``account``, …
        id: Its id, or the key that stands for one (``<hold>/<step>``, a link's number); absent where that is lost.
        sequence: A journal entry's place in the ledger, where it is known.
        link: The number of the link that it belongs to, where it belongs to one.
        line: The line of the export, from 1 on, at which this showed; absent for what didn't come from an export.
        fact: What was found, as half a sentence.
    """

    damage: Damage
    record: str
    id: str | None = None
    sequence: int | None = None
    link: int | None = None
    line: int | None = None
    fact: str


class Findings:
    """What has been found so far, and where the verification is.

    Attributes:
        line: The line of the export that is looked at.
        kept: The first findings.
        count: How many there are.
    """

    def __init__(self) -> None:
        self.line: int | None = None
        self.kept: list[Finding] = []
        self.count = 0

    def add(self, damage: Damage, record: str, id_: str | None, fact: str, **where: Any) -> int | None:
        """Keep a finding, and return its place among those that are kept; None for one too many."""
        self.count += 1
        if len(self.kept) == _MOST_FINDINGS:
            return None
        self.kept.append(Finding(damage=damage, record=record, id=id_, fact=fact, **{"line": self.line, **where}))
        return len(self.kept) - 1
