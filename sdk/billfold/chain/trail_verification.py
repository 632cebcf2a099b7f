"""The verification of an audit trail: every record is hashed and compared with the chain of its seals."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from billfold.chain.findings import Damage, Finding, Findings
from billfold.chain.lines import Source, name_of, read_all
from billfold.chain.linking import Linking
from billfold.chain.links import Head
from billfold.chain.trail import TRAIL_START
from billfold.chain.trail_lines import (
    TRAIL_FORMAT,
    AuditRecordLine,
    OrderedLine,
    SealLine,
    TrailEndLine,
    TrailHeadLine,
    TrailLine,
    read_trail_line,
)
from billfold.chain.trail_sealed import SealedOrders, SealedRecords, Sealing

__all__ = ["TrailVerification", "TrailVerifier", "verify_trail_export"]

_SHORTEST: Final = timedelta(days=365)
"""For how long no retention deletes a record."""
_RANKS: Final[dict[type, int]] = {TrailHeadLine: 0, TrailEndLine: 2}


class TrailVerification(msgspec.Struct, frozen=True, kw_only=True):
    """What a verification of an audit trail has found.

    Attributes:
        ok: Whether everything holds.
        findings: What doesn't, in the order of the chain; at most 100.
        further: How many more there are than ``findings`` holds.
        head: The head that the links lead to.
        counts: How many lines there are of each kind.
        deleted: How many records are gone because they were kept for long enough.
        deleted_to: When the newest of them was made.
        unsealed: How many records and transfers no link holds yet, so that nothing would show if they were changed.
        unsealed_since: When the oldest of them was recorded.
        late: How many sealed records say that they were made more than a quarter of an hour before a sealing that
            didn't find them, though it had room. Somebody may have put them in, or a server's clock was wrong.
        late_ids: Their ids, 100 at most.
    """

    ok: bool
    findings: list[Finding]
    further: int
    head: Head
    counts: dict[str, int]
    deleted: int = 0
    deleted_to: datetime | None = None
    unsealed: int = 0
    unsealed_since: datetime | None = None
    late: int = 0
    late_ids: list[UUID] = []


def verify_trail_export(
    source: Source, *, trusted: Head | None = None, now: datetime | None = None
) -> TrailVerification:
    """Verify an export of an audit trail, with no server and nobody's word but the export's own.

    The first record that was edited, dropped, inserted or put elsewhere is the first finding. A chain that was made
    anew as a whole, or cut off at its end, contradicts nothing but a head that was kept elsewhere.

    Args:
        source: The lines, or the path of the file that holds them.
        trusted: A head that is known from elsewhere; the trail must contain it. Its number and hash are looked at.
        now: The time by which records are old enough to have been deleted; the present where absent.

    Raises:
        OSError: The file can't be read.
    """
    verifier = TrailVerifier(trusted=trusted, now=now)
    for number, line in read_all(source, read_trail_line):
        if line is None:
            verifier.malformed(number)
        else:
            verifier.take(line, number=number)
    return verifier.finish()


class TrailVerifier:
    """Verifies the lines of an audit trail as they come, in the order of an export.

    Args:
        trusted: A head that is known from elsewhere; the trail must contain it.
        now: The time by which records are old enough to have been deleted; the present where absent.
    """

    def __init__(self, *, trusted: Head | None = None, now: datetime | None = None) -> None:
        self._findings = Findings()
        self._linking = Linking(self._findings, trusted, start=TRAIL_START, whole="audit trail")
        self._now = now or datetime.now(UTC)
        self._counts: Counter[str] = Counter()
        self._stated: TrailHeadLine | None = None
        self._newest: SealLine | None = None
        self._sealing = Sealing(self._findings)
        self._records = SealedRecords(self._sealing)
        self._orders = SealedOrders(self._sealing, self._findings)
        self._unsealed = 0
        self._unsealed_since: datetime | None = None
        self._oldest: UUID | None = None
        self._rank = 0
        self._ended = self._stopped = False
        self._handlers: dict[type, Callable[[Any], None]] = {
            TrailHeadLine: self._take_head,
            SealLine: self._take_seal,
            AuditRecordLine: self._take_record,
            OrderedLine: self._take_ordered,
            TrailEndLine: self._take_end,
        }

    def take(self, line: TrailLine, *, number: int | None = None) -> None:
        """Look at the next line.

        Args:
            line: The line.
            number: Its place in the export, for the findings.
        """
        self._findings.line = number
        kind, name = type(line), name_of(line)
        if not self._counts and kind is not TrailHeadLine:
            self._findings.add(Damage.INCOMPLETE, "trail", None, "an export begins with its trail")
        if self._ended:
            self._findings.add(Damage.INSERTED, name, None, "it comes after the end")
            return
        self._counts[name] += 1
        rank = _RANKS.get(kind, 1)
        if rank < self._rank:
            self._findings.add(Damage.REORDERED, name, None, "it stands behind what comes after its kind")
        self._rank = max(rank, self._rank)
        self._handlers[kind](line)

    def malformed(self, number: int) -> None:
        """Take note of a line that is none."""
        self._findings.line = number
        self._findings.add(Damage.MALFORMED, "line", None, "the line isn't one of this format")

    def unreadable(self, record: str, id_: str | None) -> None:
        """Take note of a row that its trail can't tell, so that nothing comes any more."""
        self._findings.line = None
        self._findings.add(Damage.MALFORMED, record, id_, "it holds a value that can't be read")
        self._stopped = True

    def finish(self) -> TrailVerification:
        """Say what was found, once all lines have come."""
        self._close()
        self._findings.line = None
        if not self._stopped:
            if not self._ended:
                self._findings.add(Damage.INCOMPLETE, "end", None, "the export was cut short")
            self._check_stated()
            self._linking.finish()
        sealing = self._sealing
        return TrailVerification(
            ok=not self._findings.count,
            findings=list(self._findings.kept),
            further=self._findings.count - len(self._findings.kept),
            head=self._linking.head,
            counts=dict(self._counts),
            deleted=sealing.deleted,
            deleted_to=sealing.deleted_to,
            unsealed=self._unsealed,
            unsealed_since=self._unsealed_since,
            late=sealing.late,
            late_ids=list(sealing.late_ids),
        )

    def _take_head(self, line: TrailHeadLine) -> None:
        if self._stated is not None:
            self._findings.add(Damage.INSERTED, "trail", None, "there is a second one")
            return
        self._stated = line
        if line.format != TRAIL_FORMAT:
            self._findings.add(Damage.MALFORMED, "trail", None, f"its format isn't {TRAIL_FORMAT}")
        # The platform deletes no record of its own.
        self._sealing.kept_from = self._now - _SHORTEST if line.tenant is not None else None
        self._sealing.oldest = line.oldest

    def _take_seal(self, line: SealLine) -> None:
        self._close()
        self._linking.follow(line.stored())
        self._sealing.begin(line)
        self._newest = line

    def _close(self) -> None:
        """Look at what must be whole once all lines of a link have come."""
        if self._sealing.link is not None:
            self._records.end()
            self._orders.end()
        self._sealing.link = None

    def _take_record(self, line: AuditRecordLine) -> None:
        self._oldest = line.id if self._oldest is None else min(self._oldest, line.id)
        if self._records.take(line):
            return
        if line.link is None:
            self._wait(line.recorded_at)
        else:
            self._sealing.blame_stray(line)

    def _take_ordered(self, line: OrderedLine) -> None:
        if not self._orders.take(line):
            self._wait(line.recorded_at)

    def _wait(self, recorded_at: datetime) -> None:
        self._unsealed += 1
        since = self._unsealed_since
        self._unsealed_since = recorded_at if since is None else min(since, recorded_at)

    def _take_end(self, line: TrailEndLine) -> None:
        self._close()
        self._ended = True
        counted = {name: number for name, number in self._counts.items() if name != "end"}
        for name in sorted(line.counts.keys() | counted.keys()):
            stated, found = line.counts.get(name, 0), counted.get(name, 0)
            if stated != found:
                damage = Damage.INSERTED if found > stated else Damage.DROPPED
                self._findings.add(damage, name, None, f"their number is {found} rather than {stated}")

    def _check_stated(self) -> None:
        stated, head, newest = self._stated, self._linking.head, self._newest
        if stated is None:
            return
        computed: dict[str, object] = {
            "number": head.number,
            "hash": head.hash,
            "skips": head.skips,
            "ordered_to": None if newest is None else newest.ordered_to,
            # Where nothing is sealed it says when the trail began, which nothing else does.
            "sealed_at": stated.sealed_at if newest is None else newest.sealed_at,
            "oldest": self._oldest,
        }
        for name, value in computed.items():
            if getattr(stated, name) != value:
                shown = value.hex() if isinstance(value, bytes) else value
                fact = f"its {name} isn't {shown}, which the links and records lead to"
                self._findings.add(Damage.EDITED, "trail", None, fact)
