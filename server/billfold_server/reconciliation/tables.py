"""The tables of the reconciliation room as Piccolo knows them. The ledger's engine writes them; these serve to read."""

from piccolo.columns import UUID, BigInt, Boolean, Bytea, Date, Integer, Text, Timestamptz
from piccolo.table import Table

from billfold_server.db.engine import ENGINE

__all__ = ["StatementEntries", "StatementImports", "Statements"]


class StatementImports(Table, tablename="statement_imports", db=ENGINE):
    """Imports of one file each."""

    id = UUID(primary_key=True, default=None)
    format = Text(default=None)
    created_at = Timestamptz(default=None)


class Statements(Table, tablename="statements", db=ENGINE):
    """The statements of imported files; never changed once written."""

    id = UUID(primary_key=True, default=None)
    statement_import_id = UUID(default=None)
    position = Integer(default=None)
    bank_account = Text(default=None)
    statement_key = Text(default=None)
    currency = Text(default=None)
    cash_account_id = UUID(default=None)
    opening_date = Date(default=None)
    closing_date = Date(default=None)
    opening_minor = BigInt(null=True, default=None)
    closing_minor = BigInt(null=True, default=None)
    reached_minor = BigInt(null=True, default=None)
    entries = Integer(default=None)
    topped_up = Integer(default=None)
    withdrawn = Integer(default=None)
    suspense = Integer(default=None)
    duplicates = Integer(default=None)
    not_booked = Integer(default=None)
    difference_minor = BigInt(null=True, default=None)
    cash_before_minor = BigInt(default=None)
    cash_after_minor = BigInt(default=None)
    break_minor = BigInt(default=None)
    verdict = Text(default=None)


class StatementEntries(Table, tablename="statement_entries", db=ENGINE):
    """The entries of imported statements."""

    id = UUID(primary_key=True, default=None)
    statement_import_id = UUID(default=None)
    statement_id = UUID(default=None)
    position = Integer(default=None)
    bank_account = Text(default=None)
    dedup_key = Bytea(default=None)
    booking_date = Date(default=None)
    value_date = Date(null=True, default=None)
    amount_minor = BigInt(default=None)
    currency = Text(default=None)
    status = Text(default=None)
    sealed_texts = Bytea(null=True, default=None)
    bank_transaction_code = Text(null=True, default=None)
    outcome = Text(default=None)
    reason = Text(null=True, default=None)
    matched_by = Text(null=True, default=None)
    wallet_id = UUID(null=True, default=None)
    duplicate_of = UUID(null=True, default=None)
    movement_id = UUID(null=True, default=None)
    journal_entry_id = UUID(null=True, default=None)
    assigning_journal_entry_id = UUID(null=True, default=None)
    effective_at = Timestamptz(null=True, default=None)
    booked_ahead = Boolean(default=None)
    created_at = Timestamptz(default=None)
