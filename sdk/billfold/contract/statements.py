"""Bank statements: files of statement entries, each of which moves a wallet or waits in suspense."""

from datetime import date
from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from billfold.contract.common import (
    AccountId,
    Instant,
    JournalEntryId,
    Request,
    Response,
    StatementEntryId,
    StatementImportId,
    WalletId,
)

__all__ = [
    "AssignStatementEntry",
    "EntryOutcome",
    "ImportedStatement",
    "StatementEntry",
    "StatementFormat",
    "StatementImport",
]


class StatementFormat(StrEnum):
    """The formats of statement files that can be read."""

    CAMT_053 = "camt.053"
    MT940 = "mt940"


class EntryOutcome(StrEnum):
    """What became of a statement entry."""

    TOPPED_UP = "topped_up"
    WITHDRAWN = "withdrawn"
    SUSPENSE = "suspense"
    ASSIGNED = "assigned"
    DUPLICATE = "duplicate"
    NOT_BOOKED = "not_booked"


class ImportedStatement(Response, frozen=True, kw_only=True):
    """One statement of a file, and what its import did."""

    bank_account: str
    statement_id: str
    currency: str
    cash_account_id: AccountId
    opening_balance_minor: int
    closing_balance_minor: int
    entries: Annotated[int, Meta(description="How many entries the statement has.")]
    topped_up: int
    withdrawn: int
    suspense: int
    duplicates: int
    not_booked: int
    difference_minor: Annotated[
        int | None,
        Meta(description="Opening balance plus entries less closing balance: 0 closes, null mixes currencies."),
    ]
    cash_balance_minor: Annotated[int, Meta(description="Posted balance of the cash account after the statement.")]
    verdict: Annotated[str, Meta(description="One sentence on whether the statement's own arithmetic closes.")]


class StatementImport(Response, frozen=True, kw_only=True):
    """What the import of one file did."""

    id: StatementImportId
    format: StatementFormat
    statements: list[ImportedStatement]
    created_at: Instant


class StatementEntry(Response, frozen=True, kw_only=True):
    """One entry of a bank's statement (ISO 20022 ``Ntry``)."""

    id: StatementEntryId
    statement_import_id: StatementImportId
    bank_account: str
    booking_date: date
    value_date: date | None
    amount_minor: Annotated[int, Meta(description="Positive came in, negative went out.")]
    currency: str
    counterparty_name: str | None
    counterparty_iban: str | None
    references: list[str]
    remittance: str | None
    outcome: EntryOutcome
    matched_by: Annotated[str | None, Meta(description="The scheme of the alias that named the wallet.")]
    wallet_id: str | None
    journal_entry_id: Annotated[JournalEntryId | None, Meta(description="The journal entry that booked it.")]
    created_at: Instant


class AssignStatementEntry(Request, frozen=True, kw_only=True):
    """An order to move an entry from suspense to the wallet that it belongs to."""

    wallet_id: WalletId
