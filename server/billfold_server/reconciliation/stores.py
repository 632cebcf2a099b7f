"""The SQL of the reconciliation room on the engine's side: what a batch loads, and what it writes as sets."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import asyncpg

from billfold.contract.statements import EntryOutcome, EntryReason, StatementFormat
from billfold_server.db.sets import Write
from billfold_server.reconciliation.rows import (
    BankAccountKey,
    BankAccountRow,
    ContentsRow,
    HistoryRow,
    ImportRow,
    KnownStatementRow,
    OfJournalEntryRow,
    OrderedKind,
    SeenEntryRow,
    ShownRow,
    StatementEntryRow,
    StatementRow,
    ToldStatement,
)
from billfold_server.reconciliation.rules import Span
from billfold_server.tenancy.transaction import TenantTx

__all__ = [
    "ENTRY_COLUMNS",
    "IMPORT_COLUMNS",
    "REVERSED",
    "STATEMENT_COLUMNS",
    "STORES",
    "to_entry",
    "to_import",
    "to_statement",
]

IMPORT_COLUMNS: Final = "i.id, i.format, i.created_at, i.reversed_at"
STATEMENT_COLUMNS: Final = (
    "s.id, s.statement_import_id, s.position, s.bank_account, s.statement_key, s.currency, s.cash_account_id, "
    "s.opening_date, s.closing_date, s.opening_minor, s.closing_minor, s.reached_minor, s.entries, s.topped_up, "
    "s.withdrawn, s.suspense, s.matched, s.duplicates, s.not_booked, s.difference_minor, s.cash_before_minor, "
    "s.cash_after_minor, s.break_minor, s.verdict, s.opening_entry_id, s.break_entry_id"
)
REVERSED: Final = "EXISTS (SELECT FROM reversals AS r WHERE r.journal_entry_id = e.journal_entry_id)"
"""Of an entry in suspense: whether what has brought it there was undone by hand, so that it doesn't wait."""
ENTRY_COLUMNS: Final = (
    "e.id, e.statement_import_id, e.statement_id, e.position, e.bank_account, e.dedup_key, e.booking_date, "
    "e.value_date, e.amount_minor, e.currency, e.status, e.sealed_texts, "
    "e.bank_transaction_code, "
    "CASE WHEN e.taken_back AND e.journal_entry_id IS NOT NULL THEN 'reversed' "
    f"WHEN e.outcome = 'suspense' AND {REVERSED} THEN 'reversed' ELSE e.outcome END AS outcome, "
    "e.reason, e.matched_by, e.wallet_id, e.account_id, e.withdrawal_id, e.top_up_id, e.duplicate_of, e.movement_id, "
    "e.journal_entry_id, e.assigning_journal_entry_id, e.effective_at, e.booked_ahead, e.created_at, "
    "e.taken_back"
)
_TOLD: Final = ToldStatement.__struct_fields__
_SPAN: Final = ("statement_key", "opening_date", "closing_date", "opening_minor", "reached_minor")


def to_import(row: asyncpg.Record) -> ImportRow:
    """Return the import that a row of ``IMPORT_COLUMNS`` holds."""
    return ImportRow(
        id=row["id"],
        format=StatementFormat(row["format"]),
        created_at=row["created_at"],
        reversed_at=row["reversed_at"],
    )


def to_statement(row: asyncpg.Record) -> StatementRow:
    """Return the statement that a row of ``STATEMENT_COLUMNS`` holds."""
    return StatementRow(**dict(row))


def to_entry(row: asyncpg.Record) -> StatementEntryRow:
    """Return the entry that a row of ``ENTRY_COLUMNS`` holds."""
    facts = dict(row)
    facts["outcome"] = EntryOutcome(facts["outcome"])
    facts["reason"] = None if facts["reason"] is None else EntryReason(facts["reason"])
    return StatementEntryRow(**facts)


def _span(row: asyncpg.Record, end: str) -> Span | None:
    if row[f"{end}_statement_key"] is None:
        return None
    return Span(**{name: row[f"{end}_{name}"] for name in _SPAN})


class _BankAccounts:
    row_type = BankAccountRow
    cached = False

    async def load(self, tx: TenantTx, keys: Sequence[Hashable]) -> dict[Any, Any]:
        """Return how far these bank accounts have come."""
        wanted = [key for key in keys if isinstance(key, BankAccountKey)]
        rows = await tx.fetch(
            """
            SELECT b.bank_account, b.currency, b.cash_account_id, b.first_statement_key, b.first_opening_date,
                b.first_closing_date, b.first_opening_minor, b.first_reached_minor, b.last_statement_key,
                b.last_opening_date, b.last_closing_date, b.last_opening_minor, b.last_reached_minor, b.break_minor,
                b.break_at, b.created_at, b.updated_at
            FROM unnest($1::text[], $2::text[]) AS n (bank_account, currency)
            JOIN bank_accounts AS b ON b.bank_account = n.bank_account AND b.currency = n.currency
            """,
            [key.bank_account for key in wanted],
            [key.currency for key in wanted],
        )
        plain = ("bank_account", "currency", "cash_account_id", "break_minor", "break_at", "created_at", "updated_at")
        found = [
            BankAccountRow(**{name: row[name] for name in plain}, first=_span(row, "first"), last=_span(row, "last"))
            for row in rows
        ]
        return {row.key: row for row in found}

    def writes(self, rows: Sequence[BankAccountRow], _before: Mapping[Hashable, BankAccountRow | None]) -> list[Write]:
        """Insert the new bank accounts, and set how far the others have come."""
        spans = [
            [getattr(span, name) if span is not None else None for span in (getattr(row, end) for row in rows)]
            for end in ("first", "last")
            for name in _SPAN
        ]
        sql = """
            INSERT INTO bank_accounts AS b (
                bank_account, currency, cash_account_id, break_minor, break_at, created_at, updated_at,
                first_statement_key, first_opening_date, first_closing_date, first_opening_minor, first_reached_minor,
                last_statement_key, last_opening_date, last_closing_date, last_opening_minor, last_reached_minor)
            SELECT n.bank_account, n.currency, n.cash_account_id, n.break_minor, n.break_at, n.created_at, n.updated_at,
                n.first_statement_key, n.first_opening_date, n.first_closing_date, n.first_opening_minor,
                n.first_reached_minor, n.last_statement_key, n.last_opening_date, n.last_closing_date,
                n.last_opening_minor, n.last_reached_minor
            FROM unnest(
                $1::text[], $2::text[], $3::uuid[], $4::bigint[], $5::timestamptz[], $6::timestamptz[],
                $7::timestamptz[], $8::text[], $9::date[], $10::date[], $11::bigint[], $12::bigint[], $13::text[],
                $14::date[], $15::date[], $16::bigint[], $17::bigint[]
            ) AS n (bank_account, currency, cash_account_id, break_minor, break_at, created_at, updated_at,
                first_statement_key, first_opening_date, first_closing_date, first_opening_minor, first_reached_minor,
                last_statement_key, last_opening_date, last_closing_date, last_opening_minor, last_reached_minor)
            ON CONFLICT (bank_account, currency) DO UPDATE SET
                break_minor = excluded.break_minor, break_at = excluded.break_at, updated_at = excluded.updated_at,
                first_statement_key = excluded.first_statement_key, first_opening_date = excluded.first_opening_date,
                first_closing_date = excluded.first_closing_date, first_opening_minor = excluded.first_opening_minor,
                first_reached_minor = excluded.first_reached_minor, last_statement_key = excluded.last_statement_key,
                last_opening_date = excluded.last_opening_date, last_closing_date = excluded.last_closing_date,
                last_opening_minor = excluded.last_opening_minor, last_reached_minor = excluded.last_reached_minor
            """
        arguments = (
            [row.bank_account for row in rows],
            [row.currency for row in rows],
            [row.cash_account_id for row in rows],
            [row.break_minor for row in rows],
            [row.break_at for row in rows],
            [row.created_at for row in rows],
            [row.updated_at for row in rows],
            *spans,
        )
        return [Write(sql, arguments)]


class _Imports:
    row_type = ImportRow
    cached = False

    async def load(self, tx: TenantTx, keys: Sequence[Hashable]) -> dict[Any, Any]:
        """Return imports by id."""
        rows = await tx.fetch(
            f"SELECT {IMPORT_COLUMNS} FROM statement_imports AS i WHERE i.id = ANY($1::uuid[])",  # noqa: S608 - constant
            list(keys),
        )
        return {found.id: found for found in map(to_import, rows)}

    def writes(self, rows: Sequence[ImportRow], _before: Mapping[Hashable, ImportRow | None]) -> list[Write]:
        """Add the new ones, and set when the others were taken back."""
        sql = """
            INSERT INTO statement_imports AS i (id, format, created_at, reversed_at)
            SELECT n.id, n.format, n.created_at, n.reversed_at
            FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::timestamptz[])
                AS n (id, format, created_at, reversed_at)
            ON CONFLICT (id) DO UPDATE SET reversed_at = excluded.reversed_at
            """
        arguments = (
            [row.id for row in rows],
            [row.format.value for row in rows],
            [row.created_at for row in rows],
            [row.reversed_at for row in rows],
        )
        return [Write(sql, arguments)]


class _Statements:
    row_type = StatementRow

    def writes(self, rows: Sequence[StatementRow], _before: Mapping[Hashable, StatementRow | None]) -> list[Write]:
        """Add the new ones; none is ever changed."""
        sql = """
            INSERT INTO statements (
                id, statement_import_id, position, bank_account, statement_key, currency, cash_account_id,
                opening_date, closing_date, opening_minor, closing_minor, reached_minor, entries, topped_up, withdrawn,
                suspense, matched, duplicates, not_booked, difference_minor, cash_before_minor, cash_after_minor,
                break_minor, verdict, opening_entry_id, break_entry_id)
            SELECT n.id, n.statement_import_id, n.position, n.bank_account, n.statement_key, n.currency,
                n.cash_account_id, n.opening_date, n.closing_date, n.opening_minor, n.closing_minor, n.reached_minor,
                n.entries, n.topped_up, n.withdrawn, n.suspense, n.matched, n.duplicates, n.not_booked,
                n.difference_minor, n.cash_before_minor, n.cash_after_minor, n.break_minor, n.verdict,
                n.opening_entry_id, n.break_entry_id
            FROM unnest(
                $1::uuid[], $2::uuid[], $3::int[], $4::text[], $5::text[], $6::text[], $7::uuid[], $8::date[],
                $9::date[], $10::bigint[], $11::bigint[], $12::bigint[], $13::int[], $14::int[], $15::int[],
                $16::int[], $17::int[], $18::int[], $19::int[], $20::bigint[], $21::bigint[], $22::bigint[],
                $23::bigint[], $24::text[], $25::uuid[], $26::uuid[]
            ) AS n (id, statement_import_id, position, bank_account, statement_key, currency, cash_account_id,
                opening_date, closing_date, opening_minor, closing_minor, reached_minor, entries, topped_up, withdrawn,
                suspense, matched, duplicates, not_booked, difference_minor, cash_before_minor, cash_after_minor,
                break_minor, verdict, opening_entry_id, break_entry_id)
            """
        arguments = (*([getattr(row, name) for row in rows] for name in StatementRow.__struct_fields__),)
        return [Write(sql, arguments)]


class _Contents:
    row_type = ContentsRow
    # It is seldom asked for.
    cached = False

    async def load(self, tx: TenantTx, keys: Sequence[Hashable]) -> dict[Any, Any]:
        """Return what these imports have put into the books."""
        statements = await tx.fetch(
            f"SELECT {STATEMENT_COLUMNS} FROM statements AS s "  # noqa: S608 - constant
            "WHERE s.statement_import_id = ANY($1::uuid[]) ORDER BY s.statement_import_id, s.position",
            list(keys),
        )
        entries = await tx.fetch(
            "SELECT e.statement_import_id, e.id, e.journal_entry_id, e.assigning_journal_entry_id "
            "FROM statement_entries AS e WHERE e.statement_import_id = ANY($1::uuid[]) ORDER BY e.id",
            list(keys),
        )
        return {key: _contents(key, statements, entries) for key in keys}


def _contents(key: Hashable, statements: Sequence[asyncpg.Record], entries: Sequence[asyncpg.Record]) -> ContentsRow:
    told = tuple(to_statement(row) for row in statements if row["statement_import_id"] == key)
    mine = [row for row in entries if row["statement_import_id"] == key]
    named = [row[name] for row in mine for name in ("journal_entry_id", "assigning_journal_entry_id")]
    assert isinstance(key, UUID), "an import is asked for by its id"
    return ContentsRow(key, told, tuple(row["id"] for row in mine), tuple(each for each in named if each is not None))


class _Histories:
    row_type = HistoryRow
    # It is seldom asked for, and an import leaves none of it but its own id.
    cached = False

    async def load(self, tx: TenantTx, keys: Sequence[Hashable]) -> dict[Any, Any]:
        """Return what the statements of these bank accounts have said that weren't taken back."""
        rows = await tx.fetch(
            """
            SELECT s.bank_account, s.statement_import_id, s.statement_key, s.currency, s.opening_date, s.closing_date,
                s.opening_minor, s.closing_minor, s.reached_minor, s.break_minor, i.created_at AS imported_at,
                s.entries > s.duplicates AS is_new
            FROM statements AS s JOIN statement_imports AS i ON i.id = s.statement_import_id
            WHERE s.bank_account = ANY($1::text[]) AND i.reversed_at IS NULL
            ORDER BY s.statement_import_id, s.position
            """,
            list(keys),
        )
        told: dict[Any, list[ToldStatement]] = {key: [] for key in keys}
        for row in rows:
            told[row["bank_account"]].append(ToldStatement(**{name: row[name] for name in _TOLD}))
        return {
            key: HistoryRow(
                bank_account=key,
                latest_import_id=found[-1].statement_import_id if found else None,
                statements=tuple(found),
            )
            for key, found in told.items()
        }


class _KnownStatements:
    row_type = KnownStatementRow
    cached = False

    async def load(self, tx: TenantTx, keys: Sequence[Hashable]) -> dict[Any, Any]:
        """Return what these statements said when they were imported last, but for what was taken back."""
        rows = await tx.fetch(
            """
            SELECT DISTINCT ON (s.statement_key) s.statement_key, s.opening_minor, s.closing_minor, s.reached_minor
            FROM unnest($1::text[]) AS n (statement_key)
            JOIN statements AS s ON md5(s.statement_key) = md5(n.statement_key) AND s.statement_key = n.statement_key
            JOIN statement_imports AS i ON i.id = s.statement_import_id AND i.reversed_at IS NULL
            ORDER BY s.statement_key, s.statement_import_id DESC, s.position DESC
            """,
            list(keys),
        )
        return {row["statement_key"]: KnownStatementRow(**dict(row)) for row in rows}


class _SeenEntries:
    row_type = SeenEntryRow
    cached = False

    async def load(self, tx: TenantTx, keys: Sequence[Hashable]) -> dict[Any, Any]:
        """Return which of these entries were imported before."""
        rows = await tx.fetch(
            """
            SELECT e.dedup_key, e.id FROM statement_entries AS e
            WHERE e.dedup_key = ANY($1::bytea[]) AND e.duplicate_of IS NULL AND NOT e.taken_back
            """,
            list(keys),
        )
        return {row["dedup_key"]: SeenEntryRow(row["dedup_key"], row["id"]) for row in rows}


class _StatementEntries:
    row_type = StatementEntryRow
    cached = False

    async def load(self, tx: TenantTx, keys: Sequence[Hashable]) -> dict[Any, Any]:
        """Return entries by id."""
        rows = await tx.fetch(
            f"SELECT {ENTRY_COLUMNS} FROM statement_entries AS e WHERE e.id = ANY($1::uuid[])",  # noqa: S608 - constant
            list(keys),
        )
        return {entry.id: entry for entry in map(to_entry, rows)}

    def writes(
        self, rows: Sequence[StatementEntryRow], _before: Mapping[Hashable, StatementEntryRow | None]
    ) -> list[Write]:
        """Insert the new entries, and set what has become of the others."""
        sql = """
            INSERT INTO statement_entries AS e (
                id, statement_import_id, statement_id, position, bank_account, dedup_key, booking_date, value_date,
                amount_minor, currency, status, sealed_texts, bank_transaction_code, outcome, reason, matched_by,
                wallet_id, account_id, withdrawal_id, top_up_id, duplicate_of, movement_id, journal_entry_id,
                assigning_journal_entry_id, effective_at, booked_ahead, created_at, taken_back)
            SELECT n.id, n.statement_import_id, n.statement_id, n.position, n.bank_account, n.dedup_key, n.booking_date,
                n.value_date, n.amount_minor, n.currency, n.status, n.sealed_texts, n.bank_transaction_code, n.outcome,
                n.reason, n.matched_by, n.wallet_id, n.account_id, n.withdrawal_id, n.top_up_id, n.duplicate_of,
                n.movement_id, n.journal_entry_id, n.assigning_journal_entry_id, n.effective_at, n.booked_ahead,
                n.created_at, n.taken_back
            FROM unnest(
                $1::uuid[], $2::uuid[], $3::uuid[], $4::int[], $5::text[], $6::bytea[], $7::date[], $8::date[],
                $9::bigint[], $10::text[], $11::text[], $12::bytea[], $13::text[], $14::text[], $15::text[],
                $16::text[], $17::uuid[], $18::uuid[], $19::uuid[], $20::uuid[], $21::uuid[], $22::uuid[],
                $23::uuid[], $24::uuid[], $25::timestamptz[], $26::boolean[], $27::timestamptz[],
                $28::boolean[]
            ) AS n (id, statement_import_id, statement_id, position, bank_account, dedup_key, booking_date, value_date,
                amount_minor, currency, status, sealed_texts, bank_transaction_code, outcome, reason, matched_by,
                wallet_id, account_id, withdrawal_id, top_up_id, duplicate_of, movement_id, journal_entry_id,
                assigning_journal_entry_id, effective_at, booked_ahead, created_at, taken_back)
            ON CONFLICT (id) DO UPDATE SET
                outcome = excluded.outcome, matched_by = excluded.matched_by, wallet_id = excluded.wallet_id,
                account_id = excluded.account_id, withdrawal_id = excluded.withdrawal_id,
                top_up_id = excluded.top_up_id,
                assigning_journal_entry_id = excluded.assigning_journal_entry_id,
                sealed_texts = excluded.sealed_texts, taken_back = excluded.taken_back
            """
        arguments = (*([getattr(row, name) for row in rows] for name in StatementEntryRow.__struct_fields__),)
        return [Write(sql, arguments)]


class _OfJournalEntries:
    row_type = OfJournalEntryRow
    # It is seldom asked for.
    cached = False

    async def load(self, tx: TenantTx, keys: Sequence[Hashable]) -> dict[Any, Any]:
        """Return whose money these journal entries have moved, of entries that wait in suspense or have waited."""
        rows = await tx.fetch(
            """
            SELECT e.journal_entry_id, e.id AS statement_entry_id FROM statement_entries AS e
            WHERE e.journal_entry_id = ANY($1::uuid[]) AND e.outcome IN ('suspense', 'assigned')
            UNION ALL
            SELECT e.assigning_journal_entry_id, e.id FROM statement_entries AS e
            WHERE e.assigning_journal_entry_id = ANY($1::uuid[]) AND e.outcome IN ('suspense', 'assigned')
            """,
            list(keys),
        )
        return {row["journal_entry_id"]: OfJournalEntryRow(**dict(row)) for row in rows}


class _Shown:
    row_type = ShownRow
    # It is seldom asked for.
    cached = False

    async def load(self, tx: TenantTx, keys: Sequence[Hashable]) -> dict[Any, Any]:
        """Return what statements show of these withdrawals and top-ups; no two of them have one id."""
        rows = await tx.fetch(
            "SELECT 'withdrawal' AS kind, w.withdrawal_id AS transfer_id, w.amount_minor, w.out_minor, w.back_minor "
            "FROM withdrawals_shown AS w WHERE w.withdrawal_id = ANY($1::uuid[]) UNION ALL "
            "SELECT 'top_up', t.top_up_id, t.amount_minor, t.in_minor, t.back_minor "
            "FROM top_ups_shown AS t WHERE t.top_up_id = ANY($1::uuid[])",
            list(keys),
        )
        return {row["transfer_id"]: ShownRow(*row) for row in rows}

    def writes(self, rows: Sequence[ShownRow], _before: Mapping[Hashable, ShownRow | None]) -> list[Write]:
        """Insert the new ones, and set what is shown of the others."""
        kinds: dict[OrderedKind, list[ShownRow]] = {}
        for row in rows:
            kinds.setdefault(row.kind, []).append(row)
        return [
            Write(_UPSERT_SHOWN[kind], (*([getattr(row, name) for row in each] for name in _COUNTED),))
            for kind, each in kinds.items()
        ]


_COUNTED: Final = ("transfer_id", "amount_minor", "out_minor", "back_minor")
_UPSERT_SHOWN: Final[Mapping[OrderedKind, str]] = {
    "withdrawal": """
        INSERT INTO withdrawals_shown AS w (withdrawal_id, amount_minor, out_minor, back_minor)
        SELECT n.withdrawal_id, n.amount_minor, n.out_minor, n.back_minor
        FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[])
            AS n (withdrawal_id, amount_minor, out_minor, back_minor)
        ON CONFLICT (withdrawal_id) DO UPDATE SET out_minor = excluded.out_minor, back_minor = excluded.back_minor
        """,
    "top_up": """
        INSERT INTO top_ups_shown AS t (top_up_id, amount_minor, in_minor, back_minor)
        SELECT n.top_up_id, n.amount_minor, n.in_minor, n.back_minor
        FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[])
            AS n (top_up_id, amount_minor, in_minor, back_minor)
        ON CONFLICT (top_up_id) DO UPDATE SET in_minor = excluded.in_minor, back_minor = excluded.back_minor
        """,
}


STORES: Final = (
    _Shown(),
    _BankAccounts(),
    _Imports(),
    _Statements(),
    _Contents(),
    _Histories(),
    _KnownStatements(),
    _SeenEntries(),
    _OfJournalEntries(),
    _StatementEntries(),
)
"""The rows of this room, as the engine loads and writes them."""
