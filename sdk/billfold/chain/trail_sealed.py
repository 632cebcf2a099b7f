"""The comparison of what a link of an audit trail holds with the rows that are there."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from billfold import ids
from billfold.chain.findings import Damage, Findings
from billfold.chain.links import HASH_BYTES, BrokenLinkError
from billfold.chain.trail import ID_BYTES, MOST_RECORDS, seal_leaf, split_ids
from billfold.chain.trail_lines import AuditRecordLine, OrderedLine, SealLine

__all__ = ["SealedOrders", "SealedRecords", "Sealing"]

_EDITED: Final = "its hash isn't the one that was sealed"
_INSERTED: Final = "no such record was sealed there"
_APART: Final = timedelta(minutes=1)
"""How much older a record that stays may be than one that is deleted: ids are made just before the time is read."""
_MOST_STRANGE: Final = 100
_LATE: Final = timedelta(minutes=15)
"""How long before a sealing a record may say that it was made, and not have been there: no transaction takes longer."""
_MOST_LATE: Final = 100


class Sealing:
    """The link whose records come, and what has become of those that are gone.

    Attributes:
        link: The link; None where what comes is in none.
        record_ids: The ids of its records.
        record_leaves: The leaves of its records.
        kept_from: Since when no record may have been deleted; None where none ever may.
        oldest: The oldest record that is there.
        deleted: How many records are gone because they were old enough.
        deleted_to: When the newest of them was made.
        late: How many records weren't there yet when they should have been sealed by what they say of their time.
        late_ids: The first ones of them.

    Args:
        findings: Where to say what is wrong.
    """

    def __init__(self, findings: Findings) -> None:
        self.link: SealLine | None = None
        self.record_ids: list[UUID] = []
        self.record_leaves: list[bytes] = []
        self.kept_from: datetime | None = None
        self.oldest: UUID | None = None
        self.deleted = 0
        self.deleted_to: datetime | None = None
        self.late = 0
        self.late_ids: list[UUID] = []
        self._before: SealLine | None = None
        self._since: datetime | None = None
        self._above: UUID | None = None
        self._ordered_to: UUID | None = None
        self._findings = findings

    def begin(self, link: SealLine) -> None:
        """Go on with a link, and see that its seal says what it holds."""
        self._note_before(link)
        try:
            seal, *self.record_leaves = link.stored().split()
        except BrokenLinkError:
            seal, self.record_leaves = b"", []
        self.record_ids = split_ids(link.record_ids)
        told = seal_leaf(record_ids=link.record_ids, ordered=link.ordered, ordered_to=link.ordered_to)
        in_order = self.record_ids == sorted(set(self.record_ids))
        whole = len(link.record_ids) % ID_BYTES == 0 and len(link.ordered) % HASH_BYTES == 0
        if seal != told or not whole or not in_order or len(self.record_ids) != len(self.record_leaves):
            self.blame(Damage.EDITED, "link", str(link.number), "what it says that it holds isn't what was sealed")
        before, self._ordered_to = self._ordered_to, link.ordered_to
        if before is not None and (link.ordered_to is None or link.ordered_to < before):
            self.blame(Damage.EDITED, "link", str(link.number), "it takes back which transfers are sealed")

    def _note_before(self, link: SealLine) -> None:
        """Remember which records were left for this link: none from long before the last one, if that had room."""
        before, self.link = self._before, link
        self._before = link
        self._since, self._above = None, None
        if before is not None:
            self._since = before.sealed_at
            if len(self.record_ids) >= MOST_RECORDS:
                self._above = max(self.record_ids)

    def see_when(self, line: AuditRecordLine) -> None:
        """Take note of a record that wasn't there when, by what it says, the link before should have held it."""
        if self._since is None or (self._above is not None and line.id > self._above):
            return
        times = [line.recorded_at, _made_at(line.id) or line.recorded_at]
        if self._since - min(times) <= _LATE:
            return
        self.late += 1
        if len(self.late_ids) < _MOST_LATE:
            self.late_ids.append(line.id)

    def blame(self, damage: Damage, record: str, id_: str | None, fact: str) -> None:
        """Say what is wrong with something that the link holds."""
        self._findings.add(damage, record, id_, fact, link=None if self.link is None else self.link.number)

    def blame_stray(self, line: AuditRecordLine) -> None:
        """Say that a record claims a link that doesn't hold it, unless that has been said."""
        name = str(line.id)
        if not any(each.record == "audit_record" and each.id == name for each in self._findings.kept):
            fact = f"it says that link {line.link} holds it, which it doesn't"
            self._findings.add(Damage.INSERTED, "audit_record", name, fact, link=line.link)

    def miss(self, id_: UUID, after: UUID | None) -> None:
        """Take note of a record that is gone: deleted when it was old enough, or dropped."""
        made_at = _made_at(id_)
        if made_at is not None and self._may_be_deleted(made_at):
            self.deleted += 1
            self.deleted_to = made_at if self.deleted_to is None else max(self.deleted_to, made_at)
            return
        behind = "" if after is None else f"; it came after audit record {after}"
        self.blame(Damage.DROPPED, "audit_record", str(id_), f"it was sealed and is missing{behind}")

    def _may_be_deleted(self, made_at: datetime) -> bool:
        # Records are deleted from the oldest one on.
        if self.kept_from is None or made_at >= self.kept_from:
            return False
        oldest = None if self.oldest is None else _made_at(self.oldest)
        return oldest is None or made_at - _APART <= oldest


class SealedRecords:
    """Compares a link's records with its leaves.

    Args:
        sealing: The link.
    """

    def __init__(self, sealing: Sealing) -> None:
        self._sealing = sealing
        self._for: SealLine | None = None
        self._expected: dict[UUID, bytes] = {}
        self._seen: set[UUID] = set()
        self._last: UUID | None = None

    def _begin(self) -> None:
        sealing = self._sealing
        if self._for is not sealing.link:
            self._for, self._last = sealing.link, None
            self._expected = dict(zip(sealing.record_ids, sealing.record_leaves, strict=False))
            self._seen = set()

    def take(self, line: AuditRecordLine) -> bool:
        """Compare a record, and tell whether the link holds one of its id."""
        link = self._sealing.link
        if link is None:
            return False
        self._begin()
        expected = self._expected.get(line.id)
        if expected is None:
            return False
        name = str(line.id)
        if line.id in self._seen:
            self._sealing.blame(Damage.INSERTED, "audit_record", name, "it stands there twice")
            return True
        self._seen.add(line.id)
        if self._last is not None and line.id < self._last:
            self._sealing.blame(Damage.REORDERED, "audit_record", name, "records come in order of their ids")
        self._last = line.id
        if _leaf_of(line) != expected:
            self._sealing.blame(Damage.EDITED, "audit_record", name, _EDITED)
        elif line.link != link.number:
            said = "none" if line.link is None else f"link {line.link}"
            fact = f"it says that {said} holds it, and link {link.number} does"
            self._sealing.blame(Damage.EDITED, "audit_record", name, fact)
        else:
            self._sealing.see_when(line)
        return True

    def end(self) -> None:
        """Name what is missing, once all records of the link have come."""
        self._begin()
        after: UUID | None = None
        for id_ in self._expected:
            if id_ not in self._seen:
                self._sealing.miss(id_, after)
            after = id_


def _made_at(id_: UUID) -> datetime | None:
    """Return when an id was made; None of one that isn't made of a time."""
    try:
        return ids.instant_of(id_)
    except OverflowError:
        return None


def _leaf_of(line: AuditRecordLine) -> bytes | None:
    try:
        return line.leaf()
    except (ValueError, ArithmeticError, RecursionError):
        # Its facts are none that anybody has written.
        return None


class SealedOrders:
    """Compares who ordered a link's transfers with its leaves, one by one: there may be any number of rows.

    Args:
        sealing: The link.
        findings: Where to say what is wrong.
    """

    def __init__(self, sealing: Sealing, findings: Findings) -> None:
        self._sealing = sealing
        self._findings = findings
        self._for: SealLine | None = None
        self._expected: Sequence[bytes] = ()
        self._places: dict[bytes, int] | None = None
        self._next = 0
        self._strange: list[tuple[str, int | None]] = []
        self._more = 0
        self._title: str | None = None
        self._last: UUID | None = None

    def _begin(self) -> None:
        link = self._sealing.link
        if link is None or self._for is link:
            return
        ordered = link.ordered
        self._for = link
        self._expected = [ordered[at : at + HASH_BYTES] for at in range(0, len(ordered), HASH_BYTES)]
        self._places, self._next = None, 0

    def take(self, line: OrderedLine) -> bool:
        """Compare a transfer, and tell whether it belongs to the link."""
        link = self._sealing.link
        if link is None or link.ordered_to is None or line.id > link.ordered_to:
            return False
        self._begin()
        name = str(line.id)
        if self._last is not None and line.id < self._last:
            self._sealing.blame(Damage.REORDERED, "transfer", name, "transfers come in order of their ids")
        self._last = line.id
        leaf = line.leaf()
        if self._next < len(self._expected) and self._expected[self._next] == leaf:
            place: int | None = self._next
        else:
            place = self._find(leaf)
        if place is None or place < self._next:
            self._keep_strange(name)
            return True
        self._settle(place)
        self._next, self._title = place + 1, name
        if _made_at(line.id) != line.recorded_at:
            self._sealing.blame(Damage.EDITED, "transfer", name, "its id says another time than its recorded_at")
        return True

    def end(self) -> None:
        """Name what is missing, once all transfers of the link have come."""
        self._begin()
        self._settle(len(self._expected))

    def _find(self, leaf: bytes) -> int | None:
        if self._places is None:
            self._places = {each: place for place, each in enumerate(self._expected)}
        return self._places.get(leaf)

    def _keep_strange(self, name: str) -> None:
        if len(self._strange) < _MOST_STRANGE:
            self._strange.append((name, self._findings.line))
        else:
            self._more += 1

    def _settle(self, place: int) -> None:
        """Say of those that are strange, and of those that are lost before a place, what has happened to them."""
        lost, strange = place - self._next, self._strange
        for index, (name, line) in enumerate(strange):
            damage, fact = (Damage.EDITED, _EDITED) if index < lost else (Damage.INSERTED, _INSERTED)
            number = None if self._for is None else self._for.number
            self._findings.add(damage, "transfer", name, fact, link=number, line=line)
        if self._more:
            self._sealing.blame(Damage.INSERTED, "transfer", None, f"and {self._more:,} more, not sealed there")
        missing = lost - len(strange) - self._more
        if missing > 0:
            behind = "" if self._title is None else f" after transfer {self._title}"
            self._sealing.blame(Damage.DROPPED, "transfer", None, f"of what was sealed, {missing:,} missing{behind}")
        self._strange, self._more = [], 0
