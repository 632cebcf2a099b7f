"""An export that becomes a tenant's ledger: verified while it is read, and written whole or not at all.

Everything happens in one transaction of the tenant, under the ledger's lock. Rows are copied a thousand at a time, so
memory doesn't grow with the export.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final
from uuid import uuid4

import asyncpg
import msgspec

from billfold import ids
from billfold.chain import ERA, Finding, Head, Verification, Verifier
from billfold.chain.records import (
    AccountRecord,
    AccountTermsRecord,
    AliasRecord,
    CheckpointRecord,
    EraRecord,
    HeadRecord,
    HoldRecord,
    HoldTermsRecord,
    IdempotencyKeyRecord,
    JournalEntryRecord,
    LinkRecord,
    MovementRecord,
    PartyRecord,
    Record,
    ReversalRecord,
    RowRecord,
    TransferRecord,
    WalletRecord,
    WalletTermsRecord,
    read_record,
)
from billfold.ids import Prefix
from billfold_server.audit import service as audit
from billfold_server.db import jobs
from billfold_server.db.jobs import NewJob
from billfold_server.invariants.service import Breach, breaches_in
from billfold_server.ledger.export import BESIDE, STATEMENT_TIMEOUT_MS, columns_of
from billfold_server.ledger.kinds import EXPIRE_HOLD_JOB
from billfold_server.tenancy.context import Caller, TenantRef
from billfold_server.tenancy.transaction import Database, TenantTx

__all__ = ["BALANCES", "COLUMNS", "POSTINGS", "ImportRefusedError", "import_ledger"]

_HEAD: Final = ("sequence", "revision", "recorded_at", "effective_high", "link", "hash", "skips")
_COPIED: Final = re.compile(r"^COPY \w+, line (\d+)")
"""How PostgreSQL says which row of a copy it refuses."""

_BATCH: Final = 1000
_EVERY: Final = 10_000

_TABLES: Final[Mapping[type[msgspec.Struct], str]] = {
    PartyRecord: "parties",
    WalletRecord: "wallets",
    AliasRecord: "wallet_aliases",
    AccountRecord: "accounts",
    CheckpointRecord: "ledger_checkpoints",
    LinkRecord: "ledger_links",
    JournalEntryRecord: "journal_entries",
    TransferRecord: "transfers",
    ReversalRecord: "reversals",
    HoldRecord: "holds",
    MovementRecord: "hold_movements",
    HoldTermsRecord: "hold_terms",
    EraRecord: "ledger_eras",
    WalletTermsRecord: "wallet_terms",
    AccountTermsRecord: "account_terms",
    IdempotencyKeyRecord: "idempotency_keys",
}
"""Which table the rows of a record go to; those that refer to others come after them."""

POSTINGS: Final = (
    "entry_id",
    "line",
    "account_id",
    "amount_minor",
    "currency",
    "posted_after_minor",
    "effective_at",
    "late_class",
)

BALANCES: Final = ("account_id", "posted_minor")

_FURTHER: Final = {"postings": POSTINGS, "checkpoint_balances": BALANCES}
"""Tables whose rows come inside of other records."""

_BESIDE_COLUMNS: Final = {table: frozenset(columns.split(", ")) for table, (_, columns) in BESIDE.items()}

_LATER: Final[Mapping[str, Mapping[str, object]]] = {
    "statement_imports": {"reversed_at": None},
    "statements": {"matched": 0, "opening_entry_id": None, "break_entry_id": None},
    "statement_entries": {"account_id": None, "withdrawal_id": None, "top_up_id": None, "taken_back": False},
    "payments": {"returned_minor": 0},
}
"""Columns that exports from before don't have, with what stands there then.

Where one says something else, the books don't hold without it.
"""


class ImportRefusedError(Exception):
    """An export wasn't imported, and nothing has changed.

    Attributes:
        reason: ``tenant_not_empty``, ``export_damaged``, ``export_refused`` (by the database, which takes no such
            values) or ``books_broken`` (an invariant doesn't hold of what was read).
        fact: What was found, as half a sentence.
        finding: The first thing that is wrong with the export, where that is why.
        breaches: Which invariants don't hold, where that is why.
    """

    def __init__(self, reason: str, fact: str, finding: Finding | None = None, breaches: Sequence[Breach] = ()) -> None:
        super().__init__(fact)
        self.reason = reason
        self.fact = fact
        self.finding = finding
        self.breaches = breaches


async def import_ledger(
    database: Database,
    tenant: TenantRef,
    lines: Iterable[bytes],
    *,
    caller: Caller,
    trusted: Head | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> Verification:
    """Make an export the ledger of a tenant that has none yet; its heads are then those of the export.

    Args:
        database: Where the tenant is.
        tenant: Whose ledger it becomes. It must be empty.
        lines: The export's lines.
        caller: Who does it, for the audit.
        trusted: A head that is known from elsewhere; the export must contain it.
        advance: Told how many lines have been read, now and then.

    Raises:
        ImportRefusedError: The tenant isn't empty, the export isn't whole, or an invariant doesn't hold of it.
    """
    async with database.tx(tenant, statement_timeout_ms=STATEMENT_TIMEOUT_MS) as tx:
        await _require_empty(tx)
        importing = _Import(tx, trusted)
        for number, line in enumerate(lines, 1):
            await importing.take(number, line)
            if number % _EVERY == 0:
                advance(number)
        return await importing.finish(caller)


async def _require_empty(tx: TenantTx) -> None:
    """Take the ledger's lock, and see that nothing is there."""
    await tx.execute("SELECT FROM ledger_head WHERE id = 1 FOR UPDATE")
    for table in (*_TABLES.values(), *_FURTHER, *BESIDE):
        if await tx.fetchval(f"SELECT EXISTS (SELECT FROM {table})"):  # noqa: S608 - constants
            raise ImportRefusedError("tenant_not_empty", f"the tenant has {table.replace('_', ' ')} already")


class _Line:
    """The line of the export that is being read, or whose rows are being written, for whoever must name it."""

    def __init__(self) -> None:
        self.number = 0

    @contextmanager
    def named(self) -> Iterator[None]:
        """Refuse what the driver or the database can't take, by the line that it came with."""
        try:
            yield
        except (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError) as error:
            fact = f"the database refuses line {self.number:,} ({error.sqlstate})"
            raise ImportRefusedError("export_refused", fact) from error
        except (OverflowError, ValueError) as error:
            # The driver's own errors of this kind are ValueErrors, too. Their texts repeat the value.
            fact = f"line {self.number:,} holds a value that the database doesn't take"
            raise ImportRefusedError("export_refused", fact) from error


class _Import:
    """One import under way."""

    def __init__(self, tx: TenantTx, trusted: Head | None) -> None:
        self._tx = tx
        self._verifier = Verifier(trusted=trusted)
        self._head: HeadRecord | None = None
        self._line = _Line()
        # Each row with the number of the line that it came with.
        self._rows: dict[str, list[tuple[int, tuple[object, ...]]]] = {}
        self._beside: dict[str, list[tuple[int, bytes]]] = {}
        self._jobs: list[NewJob] = []
        self._kept = 0

    async def take(self, number: int, line: bytes) -> None:
        """Verify a line, and keep what it says for the next batch."""
        self._line.number = number
        try:
            record = read_record(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._verifier.malformed(number)
            self._require_sound()
            return
        with self._line.named():
            self._verifier.take(record, line=number)
            self._require_sound()
            self._keep(record)
        if self._kept >= _BATCH:
            await self._write()

    def _require_sound(self) -> None:
        if not self._verifier.sound:
            raise _damaged(self._verifier.findings[0])

    def _keep(self, record: Record) -> None:
        if isinstance(record, HeadRecord):
            self._head = record
        elif isinstance(record, RowRecord):
            self._keep_beside(record)
        elif type(record) in _TABLES:
            self._add(_TABLES[type(record)], _values(record))
        if isinstance(record, JournalEntryRecord):
            for posting in record.postings:
                at = posting.effective_at or record.effective_at
                values = (getattr(posting, name) for name in POSTINGS[1:-2])
                self._add("postings", (record.id, *values, at, posting.late_class))
        elif isinstance(record, CheckpointRecord):
            self._add("checkpoint_balances", *record.balances)
        elif isinstance(record, HoldRecord) and record.status == "open" and record.expires_at is not None:
            # What ends a hold is a job, and jobs aren't part of the books.
            payload = msgspec.json.encode({"hold_id": ids.encode(Prefix.HOLD, record.id)})
            job = NewJob(id=ids.uuid7(), kind=EXPIRE_HOLD_JOB, due_at=record.expires_at, payload=payload)
            self._jobs.append(job)
        self._kept += 1

    def _add(self, table: str, *rows: tuple[object, ...]) -> None:
        self._rows.setdefault(table, []).extend((self._line.number, row) for row in rows)

    def _keep_beside(self, record: RowRecord) -> None:
        if record.table not in BESIDE:
            raise ImportRefusedError("export_damaged", f"there is no table {record.table[:100]} to import")
        others = (record.columns.keys() ^ _BESIDE_COLUMNS[record.table]) - _LATER.get(record.table, {}).keys()
        if others:
            # What the database isn't asked to take would be lost without a word.
            strange = min(others)[:100]
            fact = f"line {self._line.number:,} has other columns than {record.table} has, such as {strange}"
            raise ImportRefusedError("export_damaged", fact)
        row = (self._line.number, msgspec.json.encode({**_LATER.get(record.table, {}), **record.columns}))
        self._beside.setdefault(record.table, []).append(row)

    async def _write(self) -> None:
        for table in (*_TABLES.values(), *_FURTHER):
            if rows := self._rows.get(table):
                await self._copy(table, rows)
        for table, documents in self._beside.items():
            await self._insert(table, documents)
        await jobs.enqueue(self._tx, *self._jobs)
        self._rows, self._beside, self._jobs, self._kept = {}, {}, [], 0

    async def _copy(self, table: str, rows: Sequence[tuple[int, tuple[object, ...]]]) -> None:
        columns = _FURTHER.get(table) or COLUMNS[table]

        def told() -> Iterator[tuple[object, ...]]:
            # The driver encodes one row after the other, so the line is that of the row which it can't encode.
            for self._line.number, row in rows:
                yield row

        with self._line.named():
            try:
                await self._tx.connection.copy_records_to_table(table, records=told(), columns=columns)
            except asyncpg.PostgresError as error:
                place = _COPIED.search(error.context or "")
                if place is not None and 0 < int(place[1]) <= len(rows):
                    self._line.number = rows[int(place[1]) - 1][0]
                raise

    async def _insert(self, table: str, documents: Sequence[tuple[int, bytes]]) -> None:
        """Write rows of another room, by halves where something is refused, until it is known which row that is."""
        _, columns = BESIDE[table]
        sql = (
            f"INSERT INTO {table} ({columns}) "  # noqa: S608 - constants
            f"SELECT {columns} FROM jsonb_populate_recordset(NULL::{table}, $1::jsonb)"
        )
        await self._tx.execute("SAVEPOINT beside")
        try:
            await self._tx.execute(sql, (b"[" + b",".join(document for _, document in documents) + b"]").decode())
        except (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError):
            self._line.number = documents[0][0]
            if len(documents) == 1:
                with self._line.named():
                    raise
            await self._tx.execute("ROLLBACK TO SAVEPOINT beside")
            half = len(documents) // 2
            await self._insert(table, documents[:half])
            await self._insert(table, documents[half:])
        await self._tx.execute("RELEASE SAVEPOINT beside")

    async def finish(self, caller: Caller) -> Verification:
        """Write the rest and the head, once all of it is certain."""
        verification = self._verifier.finish()
        if not verification.ok:
            raise _damaged(verification.findings[0])
        head = self._head
        assert head is not None, "a sound export has a head"
        await self._write()
        await self._write_head(head, era=1 if verification.unrecorded else ERA)
        # The chain tells nothing of balances beside the ledger, nor of other rooms' rows.
        breaches = await breaches_in(self._tx)
        if breaches:
            first, *others = breaches
            further = f", and {len(others):,} more" if others else ""
            fact = f"{first.invariant} doesn't hold of {first.object}: {first.fact}{further}"
            raise ImportRefusedError("books_broken", fact, breaches=breaches)
        facts = {"from": head.tenant, "sequence": head.sequence, "link": head.link, "hash": head.hash.hex()}
        tenant_id = ids.encode(Prefix.TENANT, self._tx.tenant.id)
        await audit.record(self._tx, audit.new_record(caller, "ledger.imported", tenant_id, facts=facts))
        return verification

    async def _write_head(self, head: HeadRecord, era: int) -> None:
        sql = """
            UPDATE ledger_head SET sequence = $1, revision = $2, recorded_at = $3, effective_high = $4, link = $5,
                hash = $6, skips = $7, fence = $8, era = $9
            WHERE id = 1
            """
        values = (getattr(head, name) for name in _HEAD)
        # A sound export begins with its head.
        self._line.number = 1
        with self._line.named():
            await self._tx.execute(sql, *values, uuid4(), era)


COLUMNS: Final = {table: columns_of(record, "postings", "balances") for record, table in _TABLES.items()}


def _values(record: msgspec.Struct) -> tuple[object, ...]:
    """Return a record's columns as the database takes them."""
    return tuple(
        msgspec.json.encode(value).decode() if name == "metadata" else value
        for name in columns_of(type(record), "postings", "balances")
        for value in (getattr(record, name),)
    )


def _damaged(finding: Finding) -> ImportRefusedError:
    where = "" if finding.line is None else f" (line {finding.line})"
    name = f"{finding.record.replace('_', ' ')} {finding.id or ''}".strip()
    return ImportRefusedError("export_damaged", f"{name}{where} is {finding.damage.value}: {finding.fact}", finding)
