"""The ledger: accounts, journal entries, postings and holds."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from billfold.contract.bookings import Balance, JournalEntry, Posting
from billfold.contract.common import (
    AccountId,
    Expanded,
    HoldId,
    Instant,
    JournalEntryId,
    LongText,
    Metadata,
    Reference,
    Request,
    Response,
    Text,
    WalletId,
)
from billfold.contract.wallets import Wallet
from billfold.money import MAX_AMOUNT_MINOR, CurrencyCode, Money, PositiveMinor, SignedMinor

__all__ = [
    "LEDGER_HEAD_TYPE",
    "Account",
    "AccountType",
    "Balance",
    "CaptureHold",
    "CreateAccount",
    "CreateHold",
    "CreateJournalEntry",
    "Hold",
    "HoldExpanded",
    "HoldStatus",
    "JournalEntry",
    "JournalEntryProof",
    "LedgerHead",
    "LedgerHeadClaims",
    "NewPosting",
    "NormalSide",
    "Posting",
    "ProofLink",
    "ReverseJournalEntry",
    "StatementLine",
    "UpdateAccount",
]

AccountCode = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=80,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]*$(?!\n)",
        description="Name of the account in the chart of accounts, unique with its currency.",
        examples=["fees"],
    ),
]
OverdraftLimit = Annotated[
    int,
    Meta(ge=0, le=MAX_AMOUNT_MINOR, description="How far the balance may fall below zero; null is without limit."),
]


Digest = Annotated[
    str,
    Meta(
        pattern=r"^[0-9a-f]{64}$(?!\n)",
        description="SHA-256, in hexadecimal.",
        examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
    ),
]
LEDGER_HEAD_TYPE: Final = "ledger-head+jwt"
"""The ``typ`` of a signed head's header, by which it is told from other things that the same key signs."""


class NormalSide(StrEnum):
    """The side on which an account's balance is shown as positive."""

    DEBIT = "debit"
    CREDIT = "credit"


class AccountType(StrEnum):
    """The five kinds of account; assets and expenses are debit-normal, the rest credit-normal."""

    ASSET = "asset"
    LIABILITY = "liability"
    EQUITY = "equity"
    INCOME = "income"
    EXPENSE = "expense"


class CreateAccount(Request, frozen=True, kw_only=True):
    """A new account in the tenant's chart of accounts."""

    code: AccountCode
    type: AccountType
    currency: CurrencyCode
    name: Text | None = None
    overdraft_limit_minor: OverdraftLimit | None = None
    metadata: Metadata = {}


class UpdateAccount(Request, frozen=True, kw_only=True):
    """Changes to an account. What is absent stays."""

    name: Text | UnsetType | None = UNSET
    overdraft_limit_minor: OverdraftLimit | UnsetType | None = UNSET
    metadata: Metadata | UnsetType = UNSET


class Account(Response, frozen=True, kw_only=True):
    """An account of the ledger. One that belongs to a wallet has no code."""

    id: AccountId
    code: str | None
    type: AccountType
    normal_side: NormalSide
    wallet_id: str | None
    name: str | None
    balance: Balance
    metadata: dict[str, str]
    version: int
    created_at: Instant


class NewPosting(Request, frozen=True, kw_only=True):
    """One signed line on one account: positive is debit, negative is credit."""

    account_id: AccountId
    amount_minor: Annotated[SignedMinor, Meta(extra_json_schema={"not": {"const": 0}})]
    currency: CurrencyCode

    def __post_init__(self) -> None:
        """Refuse a posting that posts nothing.

        Raises:
            ValueError: The amount is zero.
        """
        if self.amount_minor == 0:
            msg = "a posting's amount can't be zero"
            raise ValueError(msg)


class CreateJournalEntry(Request, frozen=True, kw_only=True):
    """A balanced set of postings. In each currency the amounts sum to zero."""

    postings: Annotated[list[NewPosting], Meta(min_length=2, max_length=100)]
    description: Reference | None = None
    effective_at: Instant | None = None
    metadata: Metadata = {}

    def __post_init__(self) -> None:
        """Bring the instant to UTC."""
        self._to_utc("effective_at")


class ReverseJournalEntry(Request, frozen=True, kw_only=True):
    """An order to undo a journal entry, whole or, where it has two postings, in part."""

    amount_minor: PositiveMinor | None = None
    reason: LongText | None = None
    metadata: Metadata = {}


class LedgerHead(Response, frozen=True, kw_only=True):
    """The newest link of the ledger's hash chain, signed: it stands for everything posted so far.

    Keep it, or publish it: books that are changed later no longer lead to it.
    """

    number: Annotated[int, Meta(description="The link's number; 0 where nothing has been posted.")]
    hash: Digest
    sequence: Annotated[int, Meta(description="How many journal entries there are.")]
    recorded_at: Annotated[Instant, Meta(description="When the newest record was written.")]
    jws: Annotated[
        str,
        Meta(
            description="A compact JWS (RFC 7515, ES256, `typ` ledger-head+jwt) of `iss` and the members above, by a "
            "key of the tenant's JWKS."
        ),
    ]


class LedgerHeadClaims(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a signed head says: the tenant's issuer, and the members of ``LedgerHead``."""

    iss: str
    number: int
    hash: str
    sequence: int
    recorded_at: datetime


class ProofLink(Response, frozen=True, kw_only=True):
    """A link of the ledger's hash chain, as far as its own hash is made of it."""

    number: int
    previous: Annotated[Digest, Meta(description="The hash of the link before.")]
    skip: Annotated[Digest, Meta(description="The hash of a link further back.")]
    recorded_at: Instant
    count: Annotated[int, Meta(description="How many records it holds.")]
    root: Annotated[Digest, Meta(description="The root of the Merkle tree over them (RFC 9162, section 2.1).")]


class JournalEntryProof(Response, frozen=True, kw_only=True):
    """What shows that a journal entry is in the ledger that a signed head stands for.

    The record's hash leads over `path` to the root of the last of `links`, and these lead back from the head.
    """

    journal_entry_id: JournalEntryId
    head: LedgerHead
    record: Annotated[str, Meta(description="The text by which the entry is in the chain, one fact a line.")]
    text_salt: Annotated[
        str | None,
        Meta(description="The salt of the commitment to description and metadata, in hexadecimal; null without text."),
    ]
    index: Annotated[int, Meta(description="The record's place in its link, from 0 on.")]
    path: Annotated[list[Digest], Meta(description="Hashes from the record up to the link's root.")]
    links: Annotated[list[ProofLink], Meta(description="Links from the head back to the record's.")]


class StatementLine(Response, frozen=True, kw_only=True):
    """One posting as an account's statement shows it."""

    sequence: Annotated[int, Meta(description="Place of its journal entry in the tenant's journal.")]
    line: Annotated[int, Meta(description="Place of the posting in its journal entry.")]
    journal_entry_id: JournalEntryId
    account_id: AccountId
    kind: str
    description: str | None
    amount_minor: Annotated[int, Meta(description="On the account's normal side: positive raises the balance.")]
    currency: str
    balance_after_minor: int
    effective_at: Instant
    recorded_at: Instant


class HoldStatus(StrEnum):
    """Where a hold is in its life."""

    OPEN = "open"
    CAPTURED = "captured"
    RELEASED = "released"
    EXPIRED = "expired"


class CreateHold(Request, frozen=True, kw_only=True):
    """An order to reserve part of a wallet's balance, for a wallet or account that may take it later."""

    wallet_id: WalletId
    amount: Money
    to_wallet_id: WalletId | None = None
    to_account_id: AccountId | None = None
    expires_at: Annotated[
        Instant | None,
        Meta(
            description="When it is given back by itself, on the tenant's clock; null is never, so that it stays "
            "reserved until it is captured or released."
        ),
    ] = None
    description: Reference | None = None
    metadata: Metadata = {}

    def __post_init__(self) -> None:
        """Bring the instant to UTC."""
        self._to_utc("expires_at")


class CaptureHold(Request, frozen=True, kw_only=True):
    """An order to settle a hold, whole or in part."""

    amount_minor: PositiveMinor | None = None
    to_wallet_id: WalletId | None = None
    to_account_id: AccountId | None = None
    final: Annotated[bool, Meta(description="Whether what isn't captured is released.")] = True


class HoldExpanded(Expanded, frozen=True, kw_only=True):
    """What a hold refers to, where it was asked for."""

    wallet: Wallet | None = None
    to_wallet: Wallet | None = None


class Hold(Response, frozen=True, kw_only=True, omit_defaults=True):
    """A reservation of part of a wallet's balance."""

    id: HoldId
    status: HoldStatus
    wallet_id: str
    account_id: AccountId
    to_wallet_id: str | None
    to_account_id: str | None
    currency: str
    amount_minor: int
    captured_minor: int
    released_minor: int
    remaining_minor: int
    expires_at: Instant | None
    description: str | None
    metadata: dict[str, str]
    journal_entry_ids: Annotated[list[str], Meta(description="The journal entries that captured it, in order.")]
    created_at: Instant
    updated_at: Instant
    expanded: HoldExpanded = HoldExpanded()
