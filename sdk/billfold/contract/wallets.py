"""Wallets, their aliases, and the money that moves between them and the world."""

from enum import StrEnum
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from billfold.contract.bookings import Balance, JournalEntry
from billfold.contract.common import (
    AccountId,
    AliasId,
    Expanded,
    IdempotencyKey,
    Instant,
    JournalEntryId,
    LongText,
    Metadata,
    OtherWalletId,
    PartyId,
    Problem,
    Reference,
    Request,
    Response,
    Text,
    TopUpId,
    TransferId,
    WalletId,
    WithdrawalId,
)
from billfold.contract.parties import Party
from billfold.money import CurrencyCode, Money, PositiveMinor

__all__ = [
    "Alias",
    "AliasScheme",
    "BulkMode",
    "ChangeWalletStatus",
    "CreateAlias",
    "CreateTopUp",
    "CreateTransfer",
    "CreateTransfers",
    "CreateWallet",
    "CreateWithdrawal",
    "KeyedTransfer",
    "ReverseTransfer",
    "TopUp",
    "TopUpExpanded",
    "Transfer",
    "TransferExpanded",
    "TransferVerdict",
    "TransferVerdicts",
    "UpdateWallet",
    "Wallet",
    "WalletExpanded",
    "WalletStatus",
    "Withdrawal",
    "WithdrawalExpanded",
]


class WalletStatus(StrEnum):
    """Whether money can move in a wallet."""

    ACTIVE = "active"
    FROZEN = "frozen"
    CLOSED = "closed"


class AliasScheme(StrEnum):
    """What kind of name an alias is."""

    IBAN = "iban"
    REFERENCE = "reference"
    NAME = "name"
    SORT_CODE_ACCOUNT_NUMBER = "sort_code_account_number"


class CreateWallet(Request, frozen=True, kw_only=True):
    """A new wallet of a party. Currencies that aren't named here are opened by the first money that arrives."""

    party_id: PartyId
    label: Text | None = None
    currencies: Annotated[list[CurrencyCode], Meta(max_length=20)] = []
    metadata: Metadata = {}


class UpdateWallet(Request, frozen=True, kw_only=True):
    """Changes to a wallet. What is absent stays."""

    label: Text | UnsetType | None = UNSET
    metadata: Metadata | UnsetType = UNSET


class ChangeWalletStatus(Request, frozen=True, kw_only=True):
    """Why a wallet is frozen, unfrozen or closed."""

    reason: LongText


class WalletExpanded(Expanded, frozen=True, kw_only=True):
    """What a wallet refers to, where it was asked for."""

    party: Party | None = None


class Wallet(Response, frozen=True, kw_only=True, omit_defaults=True):
    """A party's wallet, with a balance per currency."""

    id: WalletId
    party_id: PartyId
    status: WalletStatus
    status_reason: str | None
    label: str | None
    balances: list[Balance]
    metadata: dict[str, str]
    version: Annotated[int, Meta(description="Counts up at each change; the ETag is made of it.")]
    created_at: Instant
    updated_at: Instant
    expanded: WalletExpanded = WalletExpanded()


class CreateAlias(Request, frozen=True, kw_only=True):
    """Another name by which money finds the wallet: an IBAN, a reference, or a counterparty's name."""

    scheme: AliasScheme
    value: Text


class Alias(Response, frozen=True, kw_only=True):
    """Another name by which money finds a wallet."""

    id: AliasId
    wallet_id: WalletId
    scheme: AliasScheme
    value: str
    created_at: Instant


class CreateTransfer(Request, frozen=True, kw_only=True):
    """An order to move money from one wallet to another."""

    from_wallet_id: WalletId
    to_wallet_id: OtherWalletId
    amount: Money
    description: Reference | None = None
    effective_at: Instant | None = None
    metadata: Metadata = {}

    def __post_init__(self) -> None:
        """Bring the instant to UTC."""
        self._to_utc("effective_at")


class ReverseTransfer(Request, frozen=True, kw_only=True):
    """An order to undo a transfer, top-up or withdrawal, whole or in part."""

    amount_minor: PositiveMinor | None = None
    reason: LongText | None = None


class TransferExpanded(Expanded, frozen=True, kw_only=True):
    """What a transfer refers to, where it was asked for."""

    from_wallet: Wallet | None = None
    to_wallet: Wallet | None = None
    journal_entry: JournalEntry | None = None


class Transfer(Response, frozen=True, kw_only=True, omit_defaults=True):
    """Money moved from one wallet to another."""

    id: TransferId
    from_wallet_id: WalletId
    to_wallet_id: OtherWalletId
    amount: Money
    reversed_minor: Annotated[int, Meta(description="How much of it has been undone since.")]
    from_balance_after_minor: Annotated[int, Meta(description="Posted balance of the source after it.")]
    to_balance_after_minor: Annotated[int, Meta(description="Posted balance of the destination after it.")]
    journal_entry_id: JournalEntryId
    description: str | None
    metadata: dict[str, str]
    effective_at: Instant
    recorded_at: Instant
    expanded: TransferExpanded = TransferExpanded()


class BulkMode(StrEnum):
    """Whether the items of one request stand for themselves (each), or are carried out all or none (atomic)."""

    EACH = "each"
    ATOMIC = "atomic"


class KeyedTransfer(CreateTransfer, frozen=True, kw_only=True):
    """An order to move money from one wallet to another, as one item of many.

    Its key is one with those of transfers that are ordered alone: the same order under the same key is carried out
    once, whichever way it comes, and another order under it is refused.
    """

    idempotency_key: IdempotencyKey


class CreateTransfers(Request, frozen=True, kw_only=True):
    """An order to make up to 1,000 transfers."""

    mode: BulkMode
    transfers: Annotated[list[KeyedTransfer], Meta(min_length=1, max_length=1000)]


class TransferVerdict(Response, frozen=True, kw_only=True):
    """What became of one item: a transfer where it was carried out, the problem where it was refused."""

    idempotency_key: IdempotencyKey
    status: Annotated[int, Meta(ge=200, le=599, description="The status that it would have been answered with alone.")]
    replayed: Annotated[bool, Meta(description="Whether this is the stored answer to an earlier order under its key.")]
    transfer: Transfer | None
    problem: Problem | None


class TransferVerdicts(Response, frozen=True, kw_only=True):
    """What became of each item, in the order in which they were sent."""

    carried_out: Annotated[int, Meta(description="How many items have their transfer, by this request or before.")]
    refused: Annotated[int, Meta(description="How many items have a problem instead.")]
    replayed: Annotated[int, Meta(description="How many of both were answered from the store.")]
    results: list[TransferVerdict]


class CreateTopUp(Request, frozen=True, kw_only=True):
    """An order to book money that came in from outside to a wallet, against a cash account."""

    wallet_id: WalletId
    amount: Money
    cash_account_id: Annotated[
        AccountId | None, Meta(description="The account where the money arrived; the tenant's default where absent.")
    ] = None
    description: Reference | None = None
    effective_at: Instant | None = None
    metadata: Metadata = {}

    def __post_init__(self) -> None:
        """Bring the instant to UTC."""
        self._to_utc("effective_at")


class TopUpExpanded(Expanded, frozen=True, kw_only=True):
    """What a top-up refers to, where it was asked for."""

    wallet: Wallet | None = None
    journal_entry: JournalEntry | None = None


class TopUp(Response, frozen=True, kw_only=True, omit_defaults=True):
    """Money that came into a wallet from outside."""

    id: TopUpId
    wallet_id: WalletId
    cash_account_id: AccountId
    amount: Money
    reversed_minor: int
    balance_after_minor: Annotated[int, Meta(description="Posted balance of the wallet after it.")]
    journal_entry_id: JournalEntryId
    description: str | None
    metadata: dict[str, str]
    effective_at: Instant
    recorded_at: Instant
    expanded: TopUpExpanded = TopUpExpanded()


class CreateWithdrawal(Request, frozen=True, kw_only=True):
    """An order to book money that leaves a wallet for the outside, against a cash account."""

    wallet_id: WalletId
    amount: Money
    cash_account_id: Annotated[
        AccountId | None, Meta(description="The account that the money leaves from; the tenant's default where absent.")
    ] = None
    description: Reference | None = None
    effective_at: Instant | None = None
    metadata: Metadata = {}

    def __post_init__(self) -> None:
        """Bring the instant to UTC."""
        self._to_utc("effective_at")


class WithdrawalExpanded(Expanded, frozen=True, kw_only=True):
    """What a withdrawal refers to, where it was asked for."""

    wallet: Wallet | None = None
    journal_entry: JournalEntry | None = None


class Withdrawal(Response, frozen=True, kw_only=True, omit_defaults=True):
    """Money that left a wallet for the outside."""

    id: WithdrawalId
    wallet_id: WalletId
    cash_account_id: AccountId
    amount: Money
    reversed_minor: int
    balance_after_minor: Annotated[int, Meta(description="Posted balance of the wallet after it.")]
    journal_entry_id: JournalEntryId
    description: str | None
    metadata: dict[str, str]
    effective_at: Instant
    recorded_at: Instant
    expanded: WithdrawalExpanded = WithdrawalExpanded()
