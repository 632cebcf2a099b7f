"""An export that becomes a tenant's ledger: verified while it is read, and written whole or not at all.

Everything happens in one transaction of the tenant, under the ledger's lock. Rows are copied a thousand at a time, so
memory doesn't grow with the export.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final
from uuid import uuid4

import asyncpg
import msgspec

from billfold import ids
from billfold.chain import Finding, Verification, Verifier
from billfold.chain.records import (
    AccountRecord,
    AliasRecord,
    CheckpointRecord,
    HeadRecord,
    HoldRecord,
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
    read_record,
)
from billfold.ids import Prefix
from billfold_server.audit import service as audit
from billfold_server.db import jobs
from billfold_server.db.jobs import NewJob
from billfold_server.ledger.export import BESIDE, STATEMENT_TIMEOUT_MS, columns_of
from billfold_server.ledger.kinds import EXPIRE_HOLD_JOB
from billfold_server.tenancy.context import Caller, TenantRef
from billfold_server.tenancy.transaction import Database, TenantTx

__all__ = ["BALANCES", "COLUMNS", "POSTINGS", "ImportRefusedError", "import_ledger"]

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


class ImportRefusedError(Exception):
    """An export wasn't imported, and nothing has changed.

    Attributes:
        reason: ``tenant_not_empty``, ``export_damaged`` or ``export_refused`` (by the database's own constraints).
        fact: What was found, as half a sentence.
        finding: The first thing that is wrong with the export, where that is why.
    """

    def __init__(self, reason: str, fact: str, finding: Finding | None = None) -> None:
        super().__init__(fact)
        self.reason = reason
        self.fact = fact
        self.finding = finding


async def import_ledger(
    database: Database,
    tenant: TenantRef,
    lines: Iterable[bytes],
    *,
    caller: Caller,
    advance: Callable[[int], None] = lambda _: None,
) -> Verification:
    """Make an export the ledger of a tenant that has none yet; its heads are then those of the export.

    Args:
        database: Where the tenant is.
        tenant: Whose ledger it becomes. It must be empty.
        lines: The export's lines.
        caller: Who does it, for the audit.
        advance: Told how many lines have been read, now and then.

    Raises:
        ImportRefusedError: The tenant isn't empty, or the export isn't whole.
    """
    try:
        async with database.tx(tenant, statement_timeout_ms=STATEMENT_TIMEOUT_MS) as tx:
            await _require_empty(tx)
            importing = _Import(tx)
            for number, line in enumerate(lines, 1):
                await importing.take(number, line)
                if number % _EVERY == 0:
                    advance(number)
            return await importing.finish(caller)
    except (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError) as error:
        raise ImportRefusedError("export_refused", f"the database refuses it ({error.sqlstate})") from error


async def _require_empty(tx: TenantTx) -> None:
    """Take the ledger's lock, and see that nothing is there."""
    await tx.execute("SELECT FROM ledger_head WHERE id = 1 FOR UPDATE")
    for table in (*_TABLES.values(), *_FURTHER, *BESIDE):
        if await tx.fetchval(f"SELECT EXISTS (SELECT FROM {table})"):  # noqa: S608 - constants
            raise ImportRefusedError("tenant_not_empty", f"the tenant has {table.replace('_', ' ')} already")


class _Import:
    """One import under way."""

    def __init__(self, tx: TenantTx) -> None:
        self._tx = tx
        self._verifier = Verifier()
        self._head: HeadRecord | None = None
        self._rows: dict[str, list[tuple[object, ...]]] = {}
        self._beside: dict[str, list[dict[str, Any]]] = {}
        self._jobs: list[NewJob] = []
        self._kept = 0

    async def take(self, number: int, line: bytes) -> None:
        """Verify a line, and keep what it says for the next batch."""
        try:
            record = read_record(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._verifier.malformed(number)
            self._require_sound()
            return
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
            self._rows.setdefault(_TABLES[type(record)], []).append(_values(record))
        if isinstance(record, JournalEntryRecord):
            lines = self._rows.setdefault("postings", [])
            for posting in record.postings:
                at = posting.effective_at or record.effective_at
                lines.append((record.id, *(getattr(posting, name) for name in POSTINGS[1:-2]), at, posting.late_class))
        elif isinstance(record, CheckpointRecord):
            self._rows.setdefault("checkpoint_balances", []).extend(record.balances)
        elif isinstance(record, HoldRecord) and record.status == "open" and record.expires_at is not None:
            # What ends a hold is a job, and jobs aren't part of the books.
            payload = msgspec.json.encode({"hold_id": ids.encode(Prefix.HOLD, record.id)})
            job = NewJob(id=ids.uuid7(), kind=EXPIRE_HOLD_JOB, due_at=record.expires_at, payload=payload)
            self._jobs.append(job)
        self._kept += 1

    def _keep_beside(self, record: RowRecord) -> None:
        if record.table not in BESIDE:
            raise ImportRefusedError("export_damaged", f"there is no table {record.table[:100]} to import")
        self._beside.setdefault(record.table, []).append(record.columns)

    async def _write(self) -> None:
        for table in (*_TABLES.values(), *_FURTHER):
            if rows := self._rows.get(table):
                columns = _FURTHER.get(table) or COLUMNS[table]
                await self._tx.connection.copy_records_to_table(table, records=rows, columns=columns)
        for table, documents in self._beside.items():
            _, columns_text = BESIDE[table]
            await self._tx.execute(
                f"INSERT INTO {table} ({columns_text}) "  # noqa: S608 - constants
                f"SELECT {columns_text} FROM jsonb_populate_recordset(NULL::{table}, $1::jsonb)",
                msgspec.json.encode(documents).decode(),
            )
        await jobs.enqueue(self._tx, *self._jobs)
        self._rows, self._beside, self._jobs, self._kept = {}, {}, [], 0

    async def finish(self, caller: Caller) -> Verification:
        """Write the rest and the head, once all of it is certain."""
        verification = self._verifier.finish()
        if not verification.ok:
            raise _damaged(verification.findings[0])
        head = self._head
        assert head is not None, "a sound export has a head"
        await self._write()
        await self._tx.execute(
            """
            UPDATE ledger_head SET sequence = $1, revision = $2, recorded_at = $3, effective_high = $4, link = $5,
                hash = $6, skips = $7, fence = $8
            WHERE id = 1
            """,
            head.sequence,
            head.revision,
            head.recorded_at,
            head.effective_high,
            head.link,
            head.hash,
            head.skips,
            uuid4(),
        )
        facts = {"from": head.tenant, "sequence": head.sequence, "link": head.link, "hash": head.hash.hex()}
        tenant_id = ids.encode(Prefix.TENANT, self._tx.tenant.id)
        await audit.record(self._tx, audit.new_record(caller, "ledger.imported", tenant_id, facts=facts))
        return verification


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
