"""The verification of the chain: links that follow from each other, and records that are those of their link."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Final, TypeAlias

import msgspec

from billfold.chain.findings import Damage, Findings
from billfold.chain.lines import name_of
from billfold.chain.links import NOTHING, START, BrokenLinkError, Head, StoredLink
from billfold.chain.records import (
    AccountTermsRecord,
    CheckpointRecord,
    EraRecord,
    HoldTermsRecord,
    JournalEntryRecord,
    LinkRecord,
    MovementRecord,
    WalletTermsRecord,
)

__all__ = ["Chained", "Linking"]

Chained: TypeAlias = (
    JournalEntryRecord
    | MovementRecord
    | HoldTermsRecord
    | CheckpointRecord
    | EraRecord
    | WalletTermsRecord
    | AccountTermsRecord
)
"""A record that is in the chain."""

_MOST_MISSING: Final = 100
_FACTS: Final = {
    Damage.EDITED: "its hash isn't the one that was committed",
    Damage.INSERTED: "no such record was committed there",
    Damage.REORDERED: "it was committed at another place",
}


class Linking:
    """Follows the links, and compares the records of each with its leaves.

    Attributes:
        head: The head that the links lead to.
        number: The number of the newest link.

    Args:
        findings: Where to say what is wrong.
        trusted: A head that is known from elsewhere; the chain must contain it.
        start: The head before the first link.
        whole: What the chain is of, in words.
    """

    def __init__(self, findings: Findings, trusted: Head | None, *, start: Head = START, whole: str = "ledger") -> None:
        self.head: Head = start
        self._whole = whole
        self.number: int | None = None
        self._findings = findings
        self._trusted = trusted
        self._link: StoredLink | None = None
        self._linked_at: datetime | None = None
        self._last_title: str | None = None
        self._last_sequence = 0
        self._unnamed: list[int] = []
        self._detached = 0
        self._missed_to = 0

    def begin(self, detached: int) -> None:
        """Take note that so many journal entries, the first ones, have been detached: only their leaves are here."""
        self._detached = self._last_sequence = detached

    def take(self, record: LinkRecord) -> None:
        """Follow the next link, and keep its leaves for the records that come."""
        self._link = stored = record.stored()
        self.follow(stored)

    def follow(self, stored: StoredLink) -> None:
        """Follow the next link."""
        expected = self.head.number + 1
        if stored.number > expected:
            self._name_missing_links(stored.number)
            self._go_on_after(stored)
        elif stored.number < expected:
            fact = f"it stands after link {self.head.number}"
            self._findings.add(Damage.REORDERED, "link", str(stored.number), fact, link=stored.number)
        else:
            self._follow(stored)
        self.number, self._linked_at = stored.number, stored.recorded_at
        if self._trusted is not None and self._trusted.number == stored.number and self._trusted.hash != stored.hash:
            fact = "its hash isn't that of the head which is trusted"
            self._findings.add(Damage.EDITED, "link", str(stored.number), fact, link=stored.number)

    def _follow(self, stored: StoredLink) -> None:
        if self._linked_at is not None and stored.recorded_at <= self._linked_at:
            fact = "it was recorded before the link that it follows"
            self._findings.add(Damage.INCONSISTENT, "link", str(stored.number), fact, link=stored.number)
        try:
            self.head = self.head.follow(stored)
        except BrokenLinkError as error:
            fact = f"its {error.fact} doesn't follow from the links before"
            self._findings.add(Damage.EDITED, "link", str(stored.number), fact, link=stored.number)
            self._go_on_after(stored)

    def _go_on_after(self, stored: StoredLink) -> None:
        """Take a broken link's hash as it is stored, so that later links are judged by themselves."""
        head_type = type(self.head)
        follower, _ = head_type(number=stored.number - 1, hash=NOTHING, skips=self.head.skips).extend(
            [NOTHING], stored.recorded_at
        )
        self.head = head_type(number=stored.number, hash=stored.hash, skips=follower.skips)

    def _name_missing_links(self, following: int) -> None:
        first = max(self.head.number + 1, self._missed_to)
        for number in range(first, min(following, first + _MOST_MISSING)):
            self._findings.add(Damage.DROPPED, "link", str(number), "it is missing", link=number)
        self._missed_to = following

    def compare(self, group: Sequence[tuple[int | None, Chained]], following: int | None) -> None:
        """Compare the records of a link with its leaves, and name what was edited, dropped, inserted or moved.

        Args:
            group: The records that stand under it.
            following: The number of the link that should come then, where it is known.
        """
        left = group
        if following is not None and following > self.head.number + 1:
            # What was recorded after this link belongs to one that is missing.
            at = self._linked_at
            left = [(line, record) for line, record in group if at is not None and record.recorded_at <= at]
        self._compare(left)
        if following is not None and len(left) < len(group):
            self._name_missing_links(following)
            for _, record in group[len(left) :]:
                self._note(record, strange=False)

    def _compare(self, group: Sequence[tuple[int | None, Chained]]) -> None:
        found = [record.leaf() for _, record in group]
        expected = self._without_detached(self._leaves(), found)
        if self._detached and any(isinstance(record, JournalEntryRecord) for _, record in group):
            self._blame_checkpoint()
        wanted, there = Counter(expected), Counter(found)
        if _whole_but_for_edits(expected, found):
            # As many are strange as are lost, and the others stand in order: nothing but edits.
            for (line, record), each in zip(group, found, strict=True):
                if not wanted[each]:
                    self._name(Damage.EDITED, line, record)
                self._note(record, strange=False)
            return
        index = place = 0
        while index < len(expected) or place < len(found):
            lost = index < len(expected) and not there[expected[index]]
            strange = place < len(found) and wanted[found[place]] <= 0
            if place < len(found) and not (lost and not strange):
                line, record = group[place]
                damage = self._judge(found[place], expected[index : index + 1], lost=lost, strange=strange)
                if damage is not None:
                    self._name(damage, line, record)
                self._note(record, strange=strange and not lost)
                wanted[found[place]] -= 1
                place += 1
                index += damage is not Damage.INSERTED and index < len(expected)
            else:
                if lost:
                    self._name_missing(index)
                index += 1

    def _without_detached(self, expected: list[bytes], found: Sequence[bytes]) -> list[bytes]:
        """Leave out the leaves of detached entries: as many as there are, since they come before all others.

        A record that is strange here was one of those whose leaf is missing, before somebody edited it.
        """
        if not self._detached:
            return expected
        there, wanted = set(found), set(expected)
        missing, strange = sum(each not in there for each in expected), sum(each not in wanted for each in found)
        gone, left = min(self._detached, max(0, missing - strange)), []
        self._detached -= gone
        for each in expected:
            if each in there or not gone:
                left.append(each)
            else:
                gone -= 1
        return left

    def _blame_checkpoint(self) -> None:
        fact = f"the chain holds {self._detached} fewer of the entries that it says were detached"
        self._findings.add(Damage.INCONSISTENT, "checkpoint", None, fact)
        self._detached = 0

    @staticmethod
    def _judge(found: bytes, expected: Sequence[bytes], *, lost: bool, strange: bool) -> Damage | None:
        if [found] == expected:
            return None
        if strange:
            return Damage.EDITED if lost else Damage.INSERTED
        return Damage.REORDERED

    def _leaves(self) -> list[bytes]:
        # What still came before the next link would belong to none.
        link, self._link = self._link, None
        try:
            return [] if link is None else link.split()
        except BrokenLinkError:
            # It has been named already, when it didn't follow.
            return []

    def _name(self, damage: Damage, line: int | None, record: Chained) -> None:
        sequence = record.sequence if isinstance(record, JournalEntryRecord) else None
        fact = _FACTS[damage]
        self._findings.add(damage, name_of(record), _key(record), fact, sequence=sequence, link=self.number, line=line)

    def _name_missing(self, index: int) -> None:
        """Name a record of which only the leaf is left: by its place, until a later record tells which one it was."""
        number, after = self.number, self._last_title
        fact = f"record {index + 1} of link {number} is missing" + (f" after {after}" if after else "")
        place = self._findings.add(Damage.DROPPED, "record", f"{number}/{index}", fact, link=number)
        if place is not None:
            self._unnamed.append(place)

    def _note(self, record: Chained, *, strange: bool) -> None:
        """Remember a record as the newest one, and name those that are missing before it by their sequence."""
        self._last_title = _title(record)
        if not isinstance(record, JournalEntryRecord) or strange:
            return
        gap, unnamed, kept = record.sequence - self._last_sequence - 1, self._unnamed, self._findings.kept
        if gap and gap == len(unnamed):
            for number, place in enumerate(unnamed, self._last_sequence + 1):
                kept[place] = msgspec.structs.replace(kept[place], record="journal_entry", sequence=number)
        self._last_sequence, self._unnamed = record.sequence, []

    def finish(self) -> None:
        """See that the links hold what was detached, and have come as far as the head that is trusted."""
        if self._detached:
            self._blame_checkpoint()
        trusted = self._trusted
        if trusted is not None and trusted.number < 1 and (trusted.number, trusted.hash) != (START.number, START.hash):
            # No link has such a number, so none was compared.
            number = trusted.number
            fact = f"no {self._whole} has the head which is trusted"
            self._findings.add(Damage.EDITED, "link", str(number), fact, link=number)
        if self._trusted is not None and self._trusted.number > self.head.number:
            number, last = self.head.number + 1, self._trusted.number
            fact = f"the {self._whole} ends before link {last}, whose head is trusted"
            self._findings.add(Damage.DROPPED, "link", str(number), fact, link=number)


def _whole_but_for_edits(expected: Sequence[bytes], found: Sequence[bytes]) -> bool:
    wanted, there = set(expected), set(found)
    kept = [each for each in expected if each in there]
    return len(expected) == len(found) and kept == [each for each in found if each in wanted]


def _key(record: Chained) -> str:
    if isinstance(record, CheckpointRecord | EraRecord):
        return str(record.number)
    if isinstance(record, MovementRecord):
        return f"{record.hold_id}/{record.step}"
    if isinstance(record, HoldTermsRecord):
        return str(record.hold_id)
    if isinstance(record, WalletTermsRecord):
        return str(record.wallet_id)
    return str(record.account_id if isinstance(record, AccountTermsRecord) else record.id)


def _title(record: Chained) -> str:
    if isinstance(record, JournalEntryRecord):
        return f"journal entry {record.sequence}"
    return f"{name_of(record).replace('_', ' ')} {_key(record)}"
