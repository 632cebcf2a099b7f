"""A detached month's archive, verified against what its ledger keeps: checkpoint, links, and what hangs on the month.

That is its transfers, what was reversed of its entries and by them, and the holds that they captured. An archive knows
of a sum what it had come to by then, so the tenant's may be more, unless the archives have all that it is made of. What
was reversed is exact where all archives are given, for the ledger has the rest of what has reversed it.

The checkpoint holds the digest of the file, and is a record of the chain. So a file that has this digest is the one
that was verified before its month left. Of another one the first record that isn't as the chain's links say is named.
Both say no more than the chain itself, which ``verify_ledger`` looks at.
"""

import asyncio
import hashlib
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Final
from uuid import UUID

import asyncpg
import msgspec

from billfold import ids
from billfold.chain import Damage, Finding
from billfold.chain.findings import Findings
from billfold.chain.lines import name_of
from billfold.chain.records import (
    CheckpointRecord,
    EndRecord,
    HoldRecord,
    JournalEntryRecord,
    LinkRecord,
    Record,
    ReversalRecord,
    TransferRecord,
    read_record,
)
from billfold_server.ledger.export import LOCK_ENTRIES, LOCK_TIMEOUT_MS, STATEMENT_TIMEOUT_MS, columns_of
from billfold_server.ledger.reading import UnreadableError, check_row, shape_of
from billfold_server.tenancy.context import TenantRef
from billfold_server.tenancy.service import month_of
from billfold_server.tenancy.transaction import Database, TenantTx

__all__ = ["ArchiveVerification", "Sums", "verify_archive", "verify_archives"]

_WINDOW: Final = 1000
_KINDS: Final = ["transfer", "top_up", "withdrawal"]
_TEXTS: Final = ("description", "metadata")
"""What is erased in the tenant when somebody is forgotten, and stays in files that nobody rewrites."""

_LINKS: Final = "SELECT number, recorded_at, leaves, hash FROM ledger_links WHERE number = ANY($1::bigint[])"
_TRANSFERS: Final = (
    f"SELECT {', '.join(columns_of(TransferRecord, *_TEXTS))} FROM transfers "  # noqa: S608 - constants
    "WHERE kind = ANY($1::text[]) AND id = ANY($2::uuid[])"
)
_REVERSALS: Final = (
    "SELECT journal_entry_id, amount_minor, reversed_minor FROM reversals WHERE journal_entry_id = ANY($1::uuid[])"
)
_KEPT_REVERSING: Final = """
SELECT j.reverses, sum(p.amount_minor)::bigint AS total
FROM journal_entries AS j JOIN postings AS p ON p.entry_id = j.id
WHERE j.reverses <= $1 AND p.amount_minor > 0 GROUP BY j.reverses
"""
_DETACHED_REVERSALS: Final = """
SELECT journal_entry_id, amount_minor, reversed_minor FROM reversals
WHERE journal_entry_id > $1 AND journal_entry_id <= $2
ORDER BY journal_entry_id LIMIT 1000
"""
_HOLDS: Final = "SELECT id, captured_minor, journal_entry_ids FROM holds WHERE id = ANY($1::uuid[])"
_COUNT: Final = "SELECT count(*) FROM transfers WHERE kind = ANY($1::text[]) AND id > $2 AND id <= $3"
_CHECKPOINTS: Final = "SELECT number, month, entry_id, sequence, archive_digest FROM ledger_checkpoints ORDER BY number"
_COMPARED: Final[Mapping[str, tuple[type[msgspec.Struct], Collection[str]]]] = {
    "link": (LinkRecord, columns_of(LinkRecord)),
    "reversal": (ReversalRecord, columns_of(ReversalRecord)),
    "hold": (HoldRecord, ("id", "captured_minor", "journal_entry_ids")),
    "checkpoint": (CheckpointRecord, ("number", "month", "entry_id", "sequence", "archive_digest")),
}
_SHAPES: Final = {
    record: tuple(column for column in shape_of(record_type) if column.name in names)
    for record, (record_type, names) in _COMPARED.items()
}
"""What the columns may hold that are compared with an archive."""


class ArchiveVerification(msgspec.Struct, frozen=True, kw_only=True):
    """What the verification of an archive has found.

    Attributes:
        ok: Whether everything holds.
        month: Which month it is, ``2024-01``; absent where it holds no entry.
        checkpoint: The number of the checkpoint that seals that month; absent where there is none.
        journal_entries: How many there are in it.
        findings: What doesn't hold; at most 100.
        further: How many more there are than ``findings`` holds.
    """

    ok: bool
    month: str | None
    checkpoint: int | None
    journal_entries: int
    findings: list[Finding]
    further: int


class Sums:
    """What the entries of archives that are verified one after the other have reversed and captured."""

    def __init__(self) -> None:
        self._totals: Counter[UUID] = Counter()
        self._entries: defaultdict[UUID, set[UUID]] = defaultdict(set)

    def count(self, of: UUID, entry: JournalEntryRecord) -> int:
        """Count what an entry reverses or captures, unless it was counted already, and return what there is by now.

        Args:
            of: The entry that it reverses, or the hold that it captures.
            entry: The entry.
        """
        if entry.id not in self._entries[of]:
            self._entries[of].add(entry.id)
            self._totals[of] += sum(posting.amount_minor for posting in entry.postings if posting.amount_minor > 0)
        return self._totals[of]

    def add(self, of: UUID, amount_minor: int) -> None:
        """Add what entries reverse that the ledger keeps."""
        self._totals[of] += amount_minor

    def total(self, of: UUID) -> int:
        """Return what was reversed of an entry by all that was counted and added."""
        return self._totals[of]

    def has_all(self, of: UUID, entries: Sequence[UUID]) -> bool:
        """Tell whether these are the entries that were counted."""
        return self._entries[of] == set(entries)


async def verify_archive(
    database: Database, tenant: TenantRef, path: Path, sums: Sums | None = None
) -> ArchiveVerification:
    """Verify the archive of a detached month against the ledger that it has left.

    Args:
        database: Where the ledger lies.
        tenant: Whose ledger it is.
        path: The file.
        sums: What the archives before have reversed and captured, to which this one's is added.

    Raises:
        OSError: The file can't be read.
    """
    async with database.tx(tenant, snapshot=True, statement_timeout_ms=STATEMENT_TIMEOUT_MS) as tx:
        return await _Archive(tx, path, Sums() if sums is None else sums).verify()


async def verify_archives(
    database: Database, tenant: TenantRef, paths: Sequence[Path]
) -> dict[str, ArchiveVerification]:
    """Verify archives one after the other, and the sums of detached entries where nothing is missing of these.

    That is where all detached months are given, and each is as it left: what isn't in them is in the ledger. A sum that
    is wrong is a finding of its entry's month.

    Args:
        database: Where the ledger lies.
        tenant: Whose ledger it is.
        paths: The files.

    Raises:
        OSError: One of them can't be read.
    """
    sums = Sums()
    looked = {str(path): await verify_archive(database, tenant, path, sums) for path in paths}
    if not looked or not all(each.ok for each in looked.values()):
        return looked
    async with database.tx(
        tenant, snapshot=True, lock_timeout_ms=LOCK_TIMEOUT_MS, statement_timeout_ms=STATEMENT_TIMEOUT_MS
    ) as tx:
        # Before the transaction's snapshot is taken: what has reversed entries in a month that leaves now is neither in
        # these files nor in the ledger any more.
        await tx.execute(LOCK_ENTRIES)
        checkpoints = await _fetch(tx, "checkpoint", _CHECKPOINTS)
        if {row["number"] for row in checkpoints} != {each.checkpoint for each in looked.values()}:
            return looked
        paths_of = {each.month: path for path, each in looked.items()}
        findings: defaultdict[str, Findings] = defaultdict(Findings)
        async for entry_id, fact in _wrong_reversals(tx, sums, checkpoints[-1]["entry_id"]):
            path = paths_of.get(_month(entry_id), str(paths[-1]))
            findings[path].add(Damage.EDITED, "reversal", str(entry_id), fact)
    for path, found in findings.items():
        further = found.count - len(found.kept)
        looked[path] = msgspec.structs.replace(looked[path], ok=False, findings=found.kept, further=further)
    return looked


async def _wrong_reversals(tx: TenantTx, sums: Sums, last_id: UUID) -> AsyncIterator[tuple[UUID, str]]:
    """Yield the entries up to one of which something else is said than all that has reversed them makes."""
    for row in await tx.fetch(_KEPT_REVERSING, last_id):
        sums.add(row["reverses"], row["total"])
    after_id = UUID(int=0)
    while rows := await _fetch(tx, "reversal", _DETACHED_REVERSALS, after_id, last_id):
        for row in rows:
            said, made = row["reversed_minor"], sums.total(row["journal_entry_id"])
            if said != made:
                fact = f"the tenant says that {said} were reversed, and all that has reversed it makes {made}"
                yield row["journal_entry_id"], fact
        after_id = rows[-1]["journal_entry_id"]


class _Sealed(msgspec.Struct, frozen=True):
    """A checkpoint, and the place after which its month begins."""

    number: int
    month: str
    after_id: UUID
    after_sequence: int
    entry_id: UUID
    sequence: int
    digest: bytes | None


class _Archive:
    """One archive that is being verified."""

    def __init__(self, tx: TenantTx, path: Path, sums: Sums) -> None:
        self._tx = tx
        self._path = path
        self._findings = Findings()
        self._checkpoints: dict[str | None, _Sealed] = {}
        self._sealed: _Sealed | None = None
        self._month: str | None = None
        self._leaves: frozenset[bytes] = frozenset()
        self._sequence: int | None = None
        self._entries = self._transfers = 0
        self._counts: Counter[str] = Counter()
        self._ended = False
        self._hanging = _Hanging(sums, self._add)

    async def verify(self) -> ArchiveVerification:
        """Read the file once, a window at a time."""
        try:
            await self._read()
        except UnreadableError as error:
            # What the tenant keeps ends here, and not what the file says.
            self._add(None, Damage.MALFORMED, error.record, error.id, "it holds a value that can't be read")
        return ArchiveVerification(
            ok=not self._findings.count,
            month=self._month,
            checkpoint=None if self._sealed is None else self._sealed.number,
            journal_entries=self._entries,
            findings=self._findings.kept,
            further=self._findings.count - len(self._findings.kept),
        )

    async def _read(self) -> None:
        await self._find_checkpoints()
        digest = hashlib.sha256()
        with await asyncio.to_thread(self._path.open, "rb") as stream:
            number = 0
            while lines := await asyncio.to_thread(lambda: list(islice(stream, _WINDOW))):
                for line in lines:
                    digest.update(line)
                await self._take(number, lines)
                number += len(lines)
        await self._finish(digest.digest())

    async def _find_checkpoints(self) -> None:
        after_id, after_sequence = UUID(int=0), 0
        for row in await _fetch(self._tx, "checkpoint", _CHECKPOINTS):
            sealed = _Sealed(
                row["number"],
                row["month"],
                after_id,
                after_sequence,
                row["entry_id"],
                row["sequence"],
                row["archive_digest"],
            )
            self._checkpoints[sealed.month] = sealed
            after_id, after_sequence = sealed.entry_id, sealed.sequence

    async def _take(self, before: int, lines: Sequence[bytes]) -> None:
        """Look at some lines, with what the tenant keeps of them."""
        records: list[tuple[int, Record]] = []
        for number, line in enumerate(lines, before + 1):
            try:
                records.append((number, read_record(line)))
            except (msgspec.DecodeError, UnicodeDecodeError):
                self._add(number, Damage.MALFORMED, "line", None, "the line isn't a record of this format")
        numbers = [record.number for _, record in records if isinstance(record, LinkRecord)]
        kept = {row["number"]: dict(row) for row in await _fetch(self._tx, "link", _LINKS, _storable(numbers))}
        moved = [record.id for _, record in records if isinstance(record, TransferRecord)]
        transfers = {(row["kind"], row["id"]): dict(row) for row in await self._tx.fetch(_TRANSFERS, _KINDS, moved)}
        for number, record in records:
            if self._ended:
                self._add(number, Damage.INSERTED, name_of(record), None, "it comes after the end")
            elif isinstance(record, LinkRecord):
                self._take_link(number, record, kept.get(record.number))
            elif isinstance(record, JournalEntryRecord):
                self._take_entry(number, record)
            elif isinstance(record, TransferRecord):
                self._take_transfer(number, record, transfers.get((record.kind, record.id)))
            elif isinstance(record, EndRecord):
                self._ended = True
                if record.counts != self._counts:
                    self._add(number, Damage.INCOMPLETE, "end", None, "it counts other lines than there are")
            self._counts[name_of(record)] += 1
        await self._hanging.look_at(records, self._tx)

    def _add(self, line: int | None, damage: Damage, record: str, id_: str | None, fact: str) -> None:
        self._findings.add(damage, record, id_, fact, line=line)

    def _take_link(self, line: int, record: LinkRecord, kept: dict[str, object] | None) -> None:
        # What the records are compared with is the ledger's own link, not what the file says of it.
        leaves = b"" if kept is None else kept["leaves"]
        assert isinstance(leaves, bytes)
        self._leaves = frozenset(leaves[at : at + 32] for at in range(0, len(leaves), 32))
        if kept is None:
            self._add(line, Damage.INSERTED, "link", str(record.number), "the ledger has no such link")
        elif msgspec.structs.asdict(record) != kept:
            self._add(line, Damage.EDITED, "link", str(record.number), "the ledger's own link is another one")

    def _take_entry(self, line: int, record: JournalEntryRecord) -> None:
        self._entries += 1
        if self._sequence is None:
            self._month = _month(record.id)
            self._sealed = self._checkpoints.get(self._month)
            self._sequence = record.sequence - 1 if self._sealed is None else self._sealed.after_sequence
        if record.sequence != self._sequence + 1:
            fact = f"journal entry {self._sequence + 1} should be here"
            damage = Damage.DROPPED if record.sequence > self._sequence else Damage.REORDERED
            self._add(line, damage, "journal_entry", str(record.id), fact)
        if not record.says_what_was_committed:
            fact = f"the text of journal entry {record.sequence} isn't the one that was committed to"
            self._add(line, Damage.EDITED, "journal_entry", str(record.id), fact)
        if record.leaf() not in self._leaves:
            fact = f"journal entry {record.sequence} isn't as it was when it was posted"
            self._add(line, Damage.EDITED, "journal_entry", str(record.id), fact)
        self._sequence = record.sequence

    def _take_transfer(self, line: int, record: TransferRecord, kept: dict[str, object] | None) -> None:
        self._transfers += 1
        said = {name: getattr(record, name) for name in columns_of(TransferRecord, *_TEXTS)}
        if kept is None:
            self._add(line, Damage.DROPPED, "transfer", str(record.id), "the tenant has it no longer")
        elif kept != said:
            different = ", ".join(sorted(name for name in said if kept[name] != said[name]))
            self._add(line, Damage.EDITED, "transfer", str(record.id), f"the tenant has another {different}")

    async def _finish(self, digest: bytes) -> None:
        if not self._ended:
            self._add(None, Damage.INCOMPLETE, "end", None, "the archive was cut short")
        sealed = self._sealed
        if sealed is None:
            fact = f"no checkpoint of this ledger seals {self._month or 'a month without entries'}"
            self._add(None, Damage.DANGLING, "checkpoint", None, fact)
            return
        if self._sequence != sealed.sequence:
            fact = f"the month ends with journal entry {sealed.sequence}"
            self._add(None, Damage.INCOMPLETE, "journal_entry", None, fact)
        if sealed.digest != digest:
            fact = "the file isn't the one that was written when the month left"
            self._add(None, Damage.EDITED, "checkpoint", str(sealed.number), fact)
        found = await self._tx.fetchval(_COUNT, _KINDS, sealed.after_id, sealed.entry_id)
        if found > self._transfers:
            fact = f"the tenant has {found} of that month, and the archive {self._transfers}"
            self._add(None, Damage.INSERTED, "transfer", None, fact)


class _Hanging:
    """Compares what an archive's entries have reversed and captured with what the tenant says of that.

    Each sum is named once, however many entries contradict it.

    Args:
        sums: What the archives before have reversed and captured.
        add: What takes a finding.
    """

    def __init__(self, sums: Sums, add: Callable[[int | None, Damage, str, str | None, str], None]) -> None:
        self._sums = sums
        self._add = add
        self._reversals: dict[UUID, asyncpg.Record] = {}
        self._holds: dict[UUID, asyncpg.Record] = {}
        self._named: set[UUID] = set()

    async def look_at(self, records: Sequence[tuple[int, Record]], tx: TenantTx) -> None:
        """Look at some records, by their lines, with what the tenant keeps of them."""
        entries = [record for _, record in records if isinstance(record, JournalEntryRecord)]
        originals = {record.journal_entry_id for _, record in records if isinstance(record, ReversalRecord)}
        originals |= {entry.reverses for entry in entries if entry.reverses is not None}
        holds = {entry.hold_id for entry in entries if entry.hold_id is not None}
        reversals = await _fetch(tx, "reversal", _REVERSALS, list(originals))
        self._reversals = {row["journal_entry_id"]: row for row in reversals}
        self._holds = {row["id"]: row for row in await _fetch(tx, "hold", _HOLDS, list(holds))}
        for line, record in records:
            if isinstance(record, ReversalRecord):
                self._take_reversal(line, record)
            elif isinstance(record, JournalEntryRecord) and record.reverses is not None:
                self._compare_reversal(line, record.reverses, self._sums.count(record.reverses, record))
            elif isinstance(record, JournalEntryRecord) and record.hold_id is not None:
                self._compare_hold(line, record.hold_id, record)

    def _take_reversal(self, line: int, record: ReversalRecord) -> None:
        """Look at the sum of an entry, which is what it had come to when the month left."""
        original = record.journal_entry_id
        kept = self._reversals.get(original)
        if kept is not None and kept["amount_minor"] != record.amount_minor:
            fact = f"the tenant says that it is one of {kept['amount_minor']} rather than {record.amount_minor}"
            self._name(line, Damage.EDITED, "reversal", original, fact)
        self._compare_reversal(line, original, record.reversed_minor)

    def _compare_reversal(self, line: int, original: UUID, least: int) -> None:
        kept = self._reversals.get(original)
        if kept is None:
            self._name(line, Damage.DROPPED, "reversal", original, "the tenant has it no longer")
        elif kept["reversed_minor"] < least:
            fact = f"the tenant says that {kept['reversed_minor']} were reversed, and it was {least} at the least"
            self._name(line, Damage.EDITED, "reversal", original, fact)

    def _compare_hold(self, line: int, hold_id: UUID, entry: JournalEntryRecord) -> None:
        kept, captured = self._holds.get(hold_id), self._sums.count(hold_id, entry)
        if kept is None:
            self._name(line, Damage.DROPPED, "hold", hold_id, "the tenant has it no longer")
            return
        named, said = kept["journal_entry_ids"], kept["captured_minor"]
        if entry.id not in named:
            fact = f"journal entry {entry.sequence} captures it, and the tenant's doesn't name that"
            self._name(line, Damage.EDITED, "hold", hold_id, fact)
        elif said < captured or (said != captured and self._sums.has_all(hold_id, named)):
            fact = f"the tenant says that {said} were captured, and its entries make {captured}"
            self._name(line, Damage.EDITED, "hold", hold_id, fact)

    def _name(self, line: int, damage: Damage, record: str, id_: UUID, fact: str) -> None:
        if id_ not in self._named:
            self._named.add(id_)
            self._add(line, damage, record, str(id_), fact)


async def _fetch(tx: TenantTx, record: str, query: str, *arguments: object) -> list[asyncpg.Record]:
    """Return rows that can be compared.

    Raises:
        UnreadableError: One of them holds a value that no command can have written.
    """
    rows = await tx.fetch(query, *arguments)
    for row in rows:
        check_row(record, row, _SHAPES[record])
    return rows


def _month(entry_id: UUID) -> str | None:
    try:
        return f"{month_of(ids.instant_of(entry_id)):%Y-%m}"
    except OverflowError:
        return None


def _storable(numbers: Sequence[int]) -> list[int]:
    """Return the numbers that a link can have."""
    return [number for number in numbers if 0 < number < 2**63]
