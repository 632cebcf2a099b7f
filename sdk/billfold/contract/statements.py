"""Bank statements: files of statement entries, each of which moves a wallet or waits in suspense."""

from datetime import date
from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from billfold.contract.common import (
    AccountId,
    Instant,
    JournalEntryId,
    LongText,
    Request,
    Response,
    StatementEntryId,
    StatementImportId,
    TopUpId,
    WalletId,
    WithdrawalId,
)

__all__ = [
    "AssignStatementEntry",
    "EntryOutcome",
    "EntryReason",
    "ImportedStatement",
    "ReverseStatementImport",
    "StatementEntry",
    "StatementFormat",
    "StatementImport",
]


_ALL_BUT_ONE = 3


class StatementFormat(StrEnum):
    """The formats of statement files that can be read."""

    CAMT_053 = "camt.053"
    MT940 = "mt940"


class EntryOutcome(StrEnum):
    """What became of a statement entry.

    ``suspense`` waits to be assigned. ``reversed`` would wait there, but what had brought it was undone by hand; or it
    had moved money, and its whole import was taken back.
    """

    TOPPED_UP = "topped_up"
    WITHDRAWN = "withdrawn"
    SUSPENSE = "suspense"
    ASSIGNED = "assigned"
    REVERSED = "reversed"
    DUPLICATE = "duplicate"
    NOT_BOOKED = "not_booked"


class EntryReason(StrEnum):
    """Why a statement entry moved no wallet when it was imported.

    ``withdrawal_differs`` and ``top_up_differs`` name a withdrawal or top-up, and can't be that one: by the amount, the
    currency, or what was shown or given back of it before; or two are named, or one that there isn't.
    ``cash_account_limit`` shows one, but the account where that was on its way has an overdraft limit of its own, and
    less than the entry takes from it. ``history_detached`` brings one back whose month has left the ledger.
    """

    NO_ALIAS = "no_alias"
    AMBIGUOUS_ALIAS = "ambiguous_alias"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    WALLET_FROZEN = "wallet_frozen"
    WALLET_CLOSED = "wallet_closed"
    BALANCE_OUT_OF_RANGE = "balance_out_of_range"
    BANK_HAS_NOT_BOOKED = "bank_has_not_booked"
    ZERO_AMOUNT = "zero_amount"
    WITHDRAWAL_DIFFERS = "withdrawal_differs"
    TOP_UP_DIFFERS = "top_up_differs"
    CASH_ACCOUNT_LIMIT = "cash_account_limit"
    HISTORY_DETACHED = "history_detached"


class ImportedStatement(Response, frozen=True, kw_only=True):
    """One statement of a file, and what its import did.

    The cash account goes where the bank's statements lead. Where it stood elsewhere and no entry tells why, the
    difference is ``break_minor``, and it was posted against the account ``breaks``.
    """

    bank_account: str
    statement_id: str
    currency: str
    cash_account_id: AccountId
    opening_date: date
    closing_date: date
    opening_balance_minor: Annotated[int | None, Meta(description="Null where it is in another currency.")]
    closing_balance_minor: Annotated[int | None, Meta(description="Null where it is in another currency.")]
    entries: Annotated[int, Meta(description="How many entries the statement has.")]
    topped_up: int
    withdrawn: int
    suspense: Annotated[int, Meta(description="How many went to suspense, those with `matched` among them.")]
    matched: Annotated[
        int, Meta(description="How many of these were taken on at once, as what had been ordered here.")
    ] = 0
    duplicates: int
    not_booked: int
    difference_minor: Annotated[
        int | None,
        Meta(description="Opening balance plus entries less closing balance: 0 closes, null mixes currencies."),
    ]
    cash_before_minor: Annotated[int, Meta(description="Posted balance of the cash account before the statement.")]
    cash_after_minor: Annotated[int, Meta(description="Posted balance of the cash account after the statement.")]
    break_minor: Annotated[
        int, Meta(description="What moved the cash account though no entry tells why; 0 is no break.")
    ]
    verdict: Annotated[
        str, Meta(description="Whether the statement's own arithmetic closes, and whether it continues the books.")
    ]


class StatementImport(Response, frozen=True, kw_only=True):
    """What the import of one file did."""

    id: StatementImportId
    format: StatementFormat
    statements: list[ImportedStatement]
    created_at: Instant
    reversed_at: Annotated[Instant | None, Meta(description="When it was taken back as a whole; null is not.")] = None


class ReverseStatementImport(Request, frozen=True, kw_only=True):
    """An order to take back an import as a whole."""

    reason: LongText | None = None


class StatementEntry(Response, frozen=True, kw_only=True):
    """One entry of a bank's statement (ISO 20022 ``Ntry``).

    A duplicate holds no texts of its own: ``duplicate_of`` names the entry that does.
    """

    id: StatementEntryId
    statement_import_id: StatementImportId
    bank_account: str
    booking_date: date
    value_date: date | None
    amount_minor: Annotated[int, Meta(description="Positive came in, negative went out.")]
    currency: str
    status: Annotated[str, Meta(description="The bank's own word; only `BOOK` has moved money.")]
    counterparty_name: str | None
    counterparty_iban: str | None
    references: list[str]
    remittance: str | None
    outcome: EntryOutcome
    reason: Annotated[EntryReason | None, Meta(description="Why it moved no wallet when it was imported.")]
    matched_by: Annotated[str | None, Meta(description="The scheme of the alias that named the wallet.")]
    wallet_id: Annotated[
        WalletId | None, Meta(description="The wallet that it moved, or that it names and couldn't move.")
    ]
    account_id: Annotated[
        AccountId | None, Meta(description="The account of the general ledger that it was assigned to.")
    ] = None
    withdrawal_id: Annotated[
        WithdrawalId | None, Meta(description="The withdrawal that it shows to have left, or to have come back.")
    ] = None
    top_up_id: Annotated[
        TopUpId | None, Meta(description="The top-up that it shows to have come in, or to have gone back.")
    ] = None
    duplicate_of: StatementEntryId | None
    movement_id: Annotated[str | None, Meta(description="The top-up or withdrawal that it became.")]
    journal_entry_id: Annotated[JournalEntryId | None, Meta(description="The journal entry that booked it.")]
    assigning_journal_entry_id: Annotated[
        JournalEntryId | None, Meta(description="The journal entry that moved it out of suspense.")
    ]
    effective_at: Annotated[
        Instant | None,
        Meta(description="When it took effect: noon of the booking date, or when it was imported if that is earlier."),
    ]
    booked_ahead: Annotated[
        bool, Meta(description="Whether its booking date lay in the tenant's future, so that it took effect at once.")
    ]
    created_at: Instant
    taken_back: Annotated[
        bool, Meta(description="Whether its import was taken back as a whole, so that it may be imported again.")
    ] = False


class AssignStatementEntry(Request, frozen=True, kw_only=True):
    """An order to move an entry from suspense to where it belongs.

    That is a wallet, an account where it is nobody's, or a withdrawal or top-up that was ordered here and that it
    shows. Exactly one of them is named.
    """

    wallet_id: WalletId | None = None
    account_id: Annotated[
        AccountId | None,
        Meta(
            description="An account of the general ledger: no wallet's, not suspense, no bank account's cash account."
        ),
    ] = None
    withdrawal_id: Annotated[
        WithdrawalId | None,
        Meta(description="A withdrawal whose money the entry shows to have left, or to have come back."),
    ] = None
    top_up_id: Annotated[
        TopUpId | None,
        Meta(description="A top-up whose money the entry shows to have come in, or to have gone back."),
    ] = None

    def __post_init__(self) -> None:
        """Refuse an order that names none of them, or several.

        Raises:
            ValueError: It does.
        """
        if [self.wallet_id, self.account_id, self.withdrawal_id, self.top_up_id].count(None) != _ALL_BUT_ONE:
            msg = "must name exactly one of wallet_id, account_id, withdrawal_id and top_up_id"
            raise ValueError(msg)
