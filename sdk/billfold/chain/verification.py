"""The verification of a whole ledger, record by record and without a server.

A verifier is given the records of an export (``billfold.chain.records``) one after the other and says in the end what
it has found. What it keeps in memory doesn't grow with the number of journal entries: parties, wallets and accounts,
the holds that are open at that point of time, the entries that are still to be reversed, and the records of one link.
"""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from billfold.chain.beside import Beside
from billfold.chain.bookkeeping import Bookkeeping
from billfold.chain.findings import Damage, Finding, Findings
from billfold.chain.lines import Source, name_of, read_all
from billfold.chain.linking import Chained, Linking
from billfold.chain.links import HASH_BYTES, Head
from billfold.chain.people import People
from billfold.chain.records import (
    FORMATS,
    AccountRecord,
    AliasRecord,
    CheckpointRecord,
    EndRecord,
    HeadRecord,
    HoldRecord,
    IdempotencyKeyRecord,
    JournalEntryRecord,
    LinkRecord,
    PartyRecord,
    Record,
    RowRecord,
    WalletRecord,
    read_record,
)

__all__ = ["Verification", "Verifier", "verify_export"]

_TIMELINE: Final = 6
_RANKS: Final[dict[type, int]] = {
    HeadRecord: 0,
    PartyRecord: 1,
    WalletRecord: 2,
    AliasRecord: 3,
    AccountRecord: 4,
    CheckpointRecord: 5,
    RowRecord: 7,
    IdempotencyKeyRecord: 8,
    EndRecord: 9,
}
"""Which kinds of line come before which; all others are of the timeline."""

_LINES: Final = 3
"""How many lines a leaf of a link stands for at most: a journal entry with a transfer and what was reversed of it."""
_SPARE: Final = 10_000
_FIRST_OF_LINES: Final = frozenset({JournalEntryRecord, HoldRecord})
_BEFORE_ALL: Final = datetime(1000, 1, 1, tzinfo=UTC)
"""The latest time at which anything took effect, where nothing has moved yet."""
_FIRST_STATUS, _LAST_STATUS, _LONGEST_KEY, _FINGERPRINT_BYTES = 200, 499, 255, 32


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What a verification has found.

    Attributes:
        ok: Whether everything holds.
        findings: What doesn't, in the order of the ledger; the first is the first damaged record. At most 100.
        further: How many more there are than ``findings`` holds.
        head: The head that the links lead to.
        sequence: How many journal entries there are.
        counts: How many records there are of each kind.
        unrecorded: How many wallets and accounts were opened before the chain held such records, and have none yet:
            whose they are is their own word alone.
        era: The era that the ledger has come to (``billfold.chain.era_text``). In the first one, what was put in
            without such a record is only counted among them.
    """

    ok: bool
    findings: list[Finding]
    further: int
    head: Head
    sequence: int
    counts: dict[str, int]
    unrecorded: int = 0
    era: int = 1


def verify_export(source: Source, *, trusted: Head | None = None) -> Verification:
    """Verify an export of a ledger, with no server and nobody's word but the export's own.

    Every record is hashed and compared with the chain, every link with the links before; every entry must balance,
    every running balance follow from the one before, every account's balance from its records, and every reference
    lead to something. The first record that was edited, dropped, inserted or put elsewhere is the first finding.

    What an export says besides, and no record contradicts if it is changed, ``billfold.chain.UNHELD`` lists.

    A chain that was made anew as a whole contradicts nothing but what was kept elsewhere: a head that was published, or
    written down, is given as ``trusted``.

    Args:
        source: The lines, or the path of the file that holds them.
        trusted: A head that is known from elsewhere; the ledger must contain it. Its number and hash are looked at.

    Raises:
        OSError: The file can't be read.
    """
    verifier = Verifier(trusted=trusted)
    for number, record in read_all(source, read_record):
        if record is None:
            verifier.malformed(number)
        else:
            verifier.take(record, line=number)
    return verifier.finish()


class Verifier:
    """Verifies the records of a ledger as they come, in the order of an export.

    Args:
        trusted: A head that is known from elsewhere; the ledger must contain it.
    """

    def __init__(self, *, trusted: Head | None = None) -> None:
        self._findings = Findings()
        self._linking = Linking(self._findings, trusted)
        people = People(self._findings)
        self._books = Bookkeeping(self._findings, people)
        self._beside = Beside(self._findings, people)
        self._counts: Counter[str] = Counter()
        self._stated: HeadRecord | None = None
        self._ended = self._stopped = False
        # The records of the newest link, which are looked at together once all of them have come.
        self._group: list[tuple[int | None, Record]] = []
        self._open = False
        self._most = _SPARE
        self._rank = 0
        self._last_key: tuple[bytes, bytes] | None = None
        # Checkpoints come before the timeline; what seals them is a link in it.
        self._checkpoints: list[tuple[int | None, CheckpointRecord]] = []
        self._sealed = 0
        self._handlers: dict[type, Callable[[Any], None]] = {
            HeadRecord: self._take_head,
            CheckpointRecord: self._take_checkpoint,
            LinkRecord: self._take_link,
            RowRecord: self._take_beside,
            IdempotencyKeyRecord: self._take_key,
            EndRecord: self._take_end,
            **people.handlers,
        }

    @property
    def sound(self) -> bool:
        """Whether nothing wrong has been found so far; the records of the newest link aren't looked at yet."""
        return not self._findings.count

    @property
    def findings(self) -> list[Finding]:
        """What has been found so far."""
        return list(self._findings.kept)

    def take(self, record: Record, *, line: int | None = None) -> None:
        """Look at the next record.

        Args:
            record: The record.
            line: Its line in the export, for the findings.
        """
        self._findings.line = line
        kind = type(record)
        if not self._counts and kind is not HeadRecord:
            self._findings.add(Damage.INCOMPLETE, "head", None, "an export begins with its head")
        if self._ended:
            self._findings.add(Damage.INSERTED, name_of(record), None, "it comes after the end")
            return
        self._counts[name_of(record)] += 1
        rank = _RANKS.get(kind, _TIMELINE)
        if rank < self._rank:
            self._findings.add(Damage.REORDERED, name_of(record), None, "it stands behind what comes after its kind")
        self._rank = max(rank, self._rank)
        if kind in self._books.timeline and kind is not CheckpointRecord:
            if len(self._group) >= self._most:
                self._look_ahead(kind)
            self._group.append((line, record))
        else:
            self._handlers[kind](record)

    def malformed(self, line: int) -> None:
        """Take note of a line that is no record."""
        self._findings.line = line
        self._findings.add(Damage.MALFORMED, "line", None, "the line isn't a record of this format")

    def unreadable(self, record: str, id_: str | None) -> None:
        """Take note of a record that its ledger can't tell, so that nothing comes any more.

        Args:
            record: What kind of record it is.
            id_: Its id, or the key that stands for one.
        """
        self._findings.line = None
        self._findings.add(Damage.MALFORMED, record, id_, "it holds a value that can't be read")
        self._stopped = True

    def finish(self) -> Verification:
        """Say what was found, once all records have come."""
        if not self._stopped:
            self._look_at_the_end()
        return Verification(
            ok=self.sound,
            findings=self.findings,
            further=self._findings.count - len(self._findings.kept),
            head=self._linking.head,
            sequence=self._books.sequence,
            counts=dict(self._counts),
            unrecorded=self._books.unrecorded,
            era=self._books.era,
        )

    def _look_at_the_end(self) -> None:
        self._close_link()
        self._findings.line = None
        if not self._ended:
            self._findings.add(Damage.INCOMPLETE, "end", None, "the export was cut short")
        for line, checkpoint in self._checkpoints[self._sealed :]:
            fact = "no such checkpoint was sealed"
            self._findings.add(Damage.INSERTED, "checkpoint", str(checkpoint.number), fact, line=line)
        self._check_stated_head()
        self._linking.finish()
        self._books.finish()

    def _take_head(self, record: HeadRecord) -> None:
        if self._stated is not None:
            self._findings.add(Damage.INSERTED, "head", None, "there is a second one")
            return
        self._stated = record
        if record.format not in FORMATS:
            fact = f"the format is none of {', '.join(sorted(FORMATS))}"
            self._findings.add(Damage.MALFORMED, "head", None, fact)

    def _take_checkpoint(self, record: CheckpointRecord) -> None:
        before = self._checkpoints[-1][1] if self._checkpoints else None
        number, sequence = (0, 0) if before is None else (before.number, before.sequence)
        if self._linking.number is not None or record.number != number + 1 or record.sequence <= sequence:
            fact = "it doesn't stand in its place"
            self._findings.add(Damage.REORDERED, "checkpoint", str(record.number), fact)
            return
        self._checkpoints.append((self._findings.line, record))

    def _take_link(self, record: LinkRecord) -> None:
        self._close_link(record.number)
        if self._linking.number is None and self._checkpoints:
            newest = self._checkpoints[-1][1]
            self._books.begin(newest)
            self._linking.begin(newest.sequence)
        self._linking.take(record)
        self._books.begin_link(record.recorded_at)
        self._open = True
        self._most = _SPARE + _LINES * len(record.leaves) // HASH_BYTES
        if (
            self._sealed < len(self._checkpoints)
            and self._checkpoints[self._sealed][1].recorded_at == record.recorded_at
        ):
            self._group.append(self._checkpoints[self._sealed])
            self._sealed += 1

    def _close_link(self, following: int | None = None) -> None:
        """Look at the records of the newest link, all of which have come.

        Args:
            following: The number of the link that comes then; behind the last one, the head tells it.
        """
        if not self._group and not self._open:
            return
        if following is None and self._stated is not None:
            following = self._stated.link + 1
        self._open = False
        self._look_at_group(following)

    def _look_ahead(self, kind: type) -> None:
        """Look at more records than the newest link can have, and keep none of them: the next one is missing.

        Where all links are gone, everything else would be kept in memory otherwise.
        """
        # Not between an entry or a hold and what stands behind it, unless there is nothing else any more.
        if kind in _FIRST_OF_LINES or len(self._group) >= 2 * self._most:
            self._most = _SPARE
            self._look_at_group(self._linking.head.number + 2)

    def _look_at_group(self, following: int | None) -> None:
        group, self._group = self._group, []
        line = self._findings.line
        chained = [(at, record) for at, record in group if isinstance(record, Chained)]
        self._linking.compare(chained, following)
        for self._findings.line, record in group:
            self._books.check(record, self._linking.number)
        self._books.end_link()
        self._findings.line = line

    def _check_stated_head(self) -> None:
        stated, head, books = self._stated, self._linking.head, self._books
        if stated is None:
            return
        computed = {
            "sequence": books.sequence,
            "link": head.number,
            "hash": head.hash,
            "skips": head.skips,
            # Where there is no record this has no value.
            "recorded_at": books.recorded_at or stated.recorded_at,
            "effective_high": books.effective_high or _BEFORE_ALL,
        }
        if stated.revision < head.number:
            # Every link is a batch that has changed something.
            fact = f"its revision is {stated.revision}, and the newest link is {head.number}"
            self._findings.add(Damage.EDITED, "head", None, fact)
        for name, value in computed.items():
            if getattr(stated, name) != value:
                shown = value.hex() if isinstance(value, bytes) else value
                fact = f"its {name} isn't {shown}, which the records lead to"
                self._findings.add(Damage.EDITED, "head", None, fact)

    # What comes last.

    def _take_beside(self, record: RowRecord) -> None:
        self._close_link()
        self._beside.take(record)

    def _take_key(self, record: IdempotencyKeyRecord) -> None:
        self._close_link()
        key = (record.client_id.bytes, record.key.encode())
        name = f"{record.client_id}/{record.key}"
        if self._last_key is not None and key <= self._last_key:
            self._findings.add(Damage.REORDERED, "idempotency_key", name, "keys come in order and once each")
        self._last_key = key
        whole = (record.status is None) == (record.body is None)
        in_range = record.status is None or _FIRST_STATUS <= record.status <= _LAST_STATUS
        if not whole or not in_range or not 0 < len(record.key) <= _LONGEST_KEY:
            self._findings.add(Damage.MALFORMED, "idempotency_key", name, "it isn't an answer that is kept under a key")
        if len(record.fingerprint) != _FINGERPRINT_BYTES or not _is_json(record.body):
            self._findings.add(Damage.MALFORMED, "idempotency_key", name, "its fingerprint or body is damaged")

    def _take_end(self, record: EndRecord) -> None:
        self._close_link()
        self._ended = True
        counted = {name: number for name, number in self._counts.items() if name != "end"}
        if record.counts != counted:
            for name in sorted(record.counts.keys() | counted.keys()):
                stated, found = record.counts.get(name, 0), counted.get(name, 0)
                if stated != found:
                    damage = Damage.INSERTED if found > stated else Damage.DROPPED
                    self._findings.add(damage, name, None, f"their number is {found} rather than {stated}")


def _is_json(body: bytes | None) -> bool:
    if not body:
        return True
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
