"""The rows of the reconciliation room, as the ledger's engine loads and writes them. Pure data."""

from datetime import date, datetime
from typing import Literal
from uuid import UUID

import msgspec

from billfold import ids
from billfold.contract.statements import (
    EntryOutcome,
    EntryReason,
    ImportedStatement,
    StatementEntry,
    StatementFormat,
    StatementImport,
)
from billfold.ids import Prefix
from billfold_server.reconciliation.rules import Span

__all__ = [
    "BankAccountKey",
    "BankAccountRow",
    "ContentsRow",
    "HistoryRow",
    "ImportRow",
    "KnownStatementRow",
    "OfJournalEntryRow",
    "OrderedKind",
    "SealedEntry",
    "SeenEntryRow",
    "ShownRow",
    "StatementEntryRow",
    "StatementRow",
    "Texts",
    "ToldStatement",
]


class BankAccountKey(msgspec.Struct, frozen=True):
    """One currency of a bank account."""

    bank_account: str
    currency: str


class BankAccountRow(msgspec.Struct, frozen=True, kw_only=True):
    """How far a bank account's statements have been imported, in one of its currencies.

    Attributes:
        first: The statement that begins earliest; its opening balance stands against equity.
        last: The statement that reaches furthest; where it leads, the cash account stands.
        break_minor: All that moved the cash account though no entry tells why, summed up.
        break_at: When the latest of it took effect.
    """

    bank_account: str
    currency: str
    cash_account_id: UUID
    first: Span | None = None
    last: Span | None = None
    break_minor: int = 0
    break_at: datetime | None = None
    created_at: datetime
    updated_at: datetime

    @property
    def key(self) -> BankAccountKey:
        """What the row is loaded by."""
        return BankAccountKey(self.bank_account, self.currency)


class ImportRow(msgspec.Struct, frozen=True, kw_only=True):
    """The import of one file.

    Attributes:
        reversed_at: When it was taken back as a whole.
    """

    id: UUID
    format: StatementFormat
    created_at: datetime
    reversed_at: datetime | None = None

    @property
    def key(self) -> UUID:
        """What the row is known by."""
        return self.id

    @property
    def wire_id(self) -> str:
        """The import's id as the API spells it."""
        return ids.encode(Prefix.STATEMENT_IMPORT, self.id)

    def to_response(self, statements: "list[StatementRow]") -> StatementImport:
        """Return the import as the API shows it, with its statements in the file's order."""
        return StatementImport(
            id=self.wire_id,
            format=self.format,
            statements=[statement.to_response() for statement in statements],
            created_at=self.created_at,
            reversed_at=self.reversed_at,
        )


class StatementRow(msgspec.Struct, frozen=True, kw_only=True):
    """One statement of an imported file, and what its import did. Never changed once written.

    Attributes:
        position: Its place in the file, from 0.
        statement_key: Equal for the same statement sent again.
        reached_minor: Where its booked entries lead from its opening balance.
        matched: How many of those in suspense were taken on at once, as withdrawals that had been ordered here.
        opening_entry_id: What moved the cash account against equity.
        break_entry_id: What moved it though no entry tells why.
    """

    id: UUID
    statement_import_id: UUID
    position: int
    bank_account: str
    statement_key: str
    currency: str
    cash_account_id: UUID
    opening_date: date
    closing_date: date
    opening_minor: int | None
    closing_minor: int | None
    reached_minor: int | None
    entries: int
    topped_up: int
    withdrawn: int
    suspense: int
    matched: int
    duplicates: int
    not_booked: int
    difference_minor: int | None
    cash_before_minor: int
    cash_after_minor: int
    break_minor: int
    verdict: str
    opening_entry_id: UUID | None = None
    break_entry_id: UUID | None = None

    @property
    def key(self) -> UUID:
        """What the row is known by."""
        return self.id

    def to_response(self) -> ImportedStatement:
        """Return the statement as the API shows it."""
        return ImportedStatement(
            bank_account=self.bank_account,
            statement_id=self.statement_key,
            currency=self.currency,
            cash_account_id=ids.encode(Prefix.ACCOUNT, self.cash_account_id),
            opening_date=self.opening_date,
            closing_date=self.closing_date,
            opening_balance_minor=self.opening_minor,
            closing_balance_minor=self.closing_minor,
            entries=self.entries,
            topped_up=self.topped_up,
            withdrawn=self.withdrawn,
            suspense=self.suspense,
            matched=self.matched,
            duplicates=self.duplicates,
            not_booked=self.not_booked,
            difference_minor=self.difference_minor,
            cash_before_minor=self.cash_before_minor,
            cash_after_minor=self.cash_after_minor,
            break_minor=self.break_minor,
            verdict=self.verdict,
        )


class ContentsRow(msgspec.Struct, frozen=True):
    """What one import has put into the books, as it was when it was loaded.

    Attributes:
        import_id: Which import.
        statements: Its statements, in the file's order.
        entry_ids: Its entries.
        journal_entry_ids: What has booked or assigned these.
    """

    import_id: UUID
    statements: tuple[StatementRow, ...]
    entry_ids: tuple[UUID, ...]
    journal_entry_ids: tuple[UUID, ...]

    @property
    def key(self) -> UUID:
        """What the row is loaded by."""
        return self.import_id


class ToldStatement(msgspec.Struct, frozen=True, kw_only=True):
    """What a statement said, and what became of its bank account by it.

    Attributes:
        imported_at: When it was imported, by the tenant's time.
        is_new: Whether it had entries that weren't imported before.
    """

    statement_import_id: UUID
    statement_key: str
    currency: str
    opening_date: date
    closing_date: date
    opening_minor: int | None
    closing_minor: int | None
    reached_minor: int | None
    break_minor: int
    imported_at: datetime
    is_new: bool


class HistoryRow(msgspec.Struct, frozen=True, kw_only=True):
    """The statements of a bank account, in all its currencies, of imports that weren't taken back.

    Attributes:
        latest_import_id: Which import was the last.
        statements: In the order in which they were imported. None are told by an import itself, which leaves word only
            that it was the last.
    """

    bank_account: str
    latest_import_id: UUID | None
    statements: tuple[ToldStatement, ...] = ()

    @property
    def key(self) -> str:
        """What the row is loaded by."""
        return self.bank_account


class KnownStatementRow(msgspec.Struct, frozen=True, kw_only=True):
    """Word that a statement was imported before, and what it said the last time.

    Attributes:
        stands: Whether that wasn't taken back.
    """

    statement_key: str
    opening_minor: int | None
    closing_minor: int | None
    reached_minor: int | None
    stands: bool = True

    @property
    def key(self) -> str:
        """What the row is loaded by."""
        return self.statement_key


class SeenEntryRow(msgspec.Struct, frozen=True):
    """Word that an entry was imported before; without ``entry_id`` that was taken back."""

    dedup_key: bytes
    entry_id: UUID | None

    @property
    def key(self) -> bytes:
        """What the row is loaded by."""
        return self.dedup_key


class OfJournalEntryRow(msgspec.Struct, frozen=True):
    """Which statement entry's money a journal entry has brought into suspense, or taken out of it."""

    journal_entry_id: UUID
    statement_entry_id: UUID

    @property
    def key(self) -> UUID:
        """What the row is loaded by."""
        return self.journal_entry_id


OrderedKind = Literal["withdrawal", "top_up"]
"""What moves a wallet by an order here, and at the bank besides."""


class ShownRow(msgspec.Struct, frozen=True):
    """What statements show of a withdrawal or top-up that was ordered here: that its money has moved, and came back.

    Attributes:
        transfer_id: Of which one.
        amount_minor: How much was ordered.
        out_minor: How much the entries that are assigned to it show to leave; of a top-up, to come in.
        back_minor: How much of that others show to come back.
    """

    kind: OrderedKind
    transfer_id: UUID
    amount_minor: int
    out_minor: int = 0
    back_minor: int = 0

    @property
    def key(self) -> UUID:
        """What the row is loaded by."""
        return self.transfer_id


class Texts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a bank's entry says of people, as JSON in one sealed value."""

    counterparty_name: str | None = None
    counterparty_iban: str | None = None
    references: tuple[str, ...] = ()
    remittance: str | None = None

    def __repr__(self) -> str:
        return "Texts()"


class SealedEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A statement entry as a command answers it, and as the answer is kept: without its texts, which go beside it.

    Attributes:
        entry: The entry.
        dedup_key: By which its texts are sealed to it.
        sealed_texts: Its ``Texts``.
    """

    entry: StatementEntry
    dedup_key: bytes
    sealed_texts: bytes | None


class StatementEntryRow(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a bank's statement. A duplicate keeps no texts.

    Attributes:
        statement_id: The row of the statement in which it stood.
        position: The line of the file where it begins.
        dedup_key: The same for the same movement in every file that shows it.
        status: The bank's own word; only ``BOOK`` has moved money.
        sealed_texts: Its ``Texts``; absent in a duplicate, and where whom they tell of was forgotten.
        account_id: The account of the general ledger that it was assigned to, where no wallet was.
        withdrawal_id: The withdrawal of that wallet that it shows to have left, or to have come back.
        top_up_id: The top-up of that wallet that it shows to have come in, or to have gone back.
        movement_id: The top-up (of a positive amount) or withdrawal that it became.
        journal_entry_id: What booked it, on the cash account and a wallet or suspense.
        assigning_journal_entry_id: What moved it out of suspense.
        taken_back: Whether its import was taken back as a whole.
    """

    id: UUID
    statement_import_id: UUID
    statement_id: UUID
    position: int
    bank_account: str
    dedup_key: bytes
    booking_date: date
    value_date: date | None
    amount_minor: int
    currency: str
    status: str
    sealed_texts: bytes | None = None
    bank_transaction_code: str | None = None
    outcome: EntryOutcome
    reason: EntryReason | None = None
    matched_by: str | None = None
    wallet_id: UUID | None = None
    account_id: UUID | None = None
    withdrawal_id: UUID | None = None
    top_up_id: UUID | None = None
    duplicate_of: UUID | None = None
    movement_id: UUID | None = None
    journal_entry_id: UUID | None = None
    assigning_journal_entry_id: UUID | None = None
    effective_at: datetime | None = None
    booked_ahead: bool = False
    created_at: datetime
    taken_back: bool = False

    @property
    def key(self) -> UUID:
        """What the row is loaded by."""
        return self.id

    @property
    def wire_id(self) -> str:
        """The entry's id as the API spells it."""
        return ids.encode(Prefix.STATEMENT_ENTRY, self.id)

    @property
    def ordered_id(self) -> UUID | None:
        """What it shows that was ordered here."""
        return self.withdrawal_id or self.top_up_id

    def to_sealed(self) -> SealedEntry:
        """Return the entry as a command answers it."""
        return SealedEntry(entry=self.to_response(None), dedup_key=self.dedup_key, sealed_texts=self.sealed_texts)

    def to_response(self, texts: Texts | None) -> StatementEntry:
        """Return the entry as the API shows it.

        Args:
            texts: What was opened of it, if there is anything.
        """
        texts = texts or Texts()
        movement = Prefix.TOP_UP if self.amount_minor > 0 else Prefix.WITHDRAWAL
        return StatementEntry(
            id=self.wire_id,
            statement_import_id=ids.encode(Prefix.STATEMENT_IMPORT, self.statement_import_id),
            bank_account=self.bank_account,
            booking_date=self.booking_date,
            value_date=self.value_date,
            amount_minor=self.amount_minor,
            currency=self.currency,
            status=self.status,
            counterparty_name=texts.counterparty_name,
            counterparty_iban=texts.counterparty_iban,
            references=list(texts.references),
            remittance=texts.remittance,
            outcome=self.outcome,
            reason=self.reason,
            matched_by=self.matched_by,
            wallet_id=_wire(Prefix.WALLET, self.wallet_id),
            account_id=_wire(Prefix.ACCOUNT, self.account_id),
            withdrawal_id=_wire(Prefix.WITHDRAWAL, self.withdrawal_id),
            top_up_id=_wire(Prefix.TOP_UP, self.top_up_id),
            duplicate_of=_wire(Prefix.STATEMENT_ENTRY, self.duplicate_of),
            movement_id=_wire(movement, self.movement_id),
            journal_entry_id=_wire(Prefix.JOURNAL_ENTRY, self.journal_entry_id),
            assigning_journal_entry_id=_wire(Prefix.JOURNAL_ENTRY, self.assigning_journal_entry_id),
            effective_at=self.effective_at,
            booked_ahead=self.booked_ahead,
            created_at=self.created_at,
            taken_back=self.taken_back,
        )


def _wire(prefix: Prefix, id_: UUID | None) -> str | None:
    return None if id_ is None else ids.encode(prefix, id_)
