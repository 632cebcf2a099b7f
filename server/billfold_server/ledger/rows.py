"""The ledger's rows, as the engine loads and writes them and as the API shows them. Pure data.

So Python's collector of garbage needn't look at them (``gc``); ``tests/repository/test_untracked.py`` says of what that
holds.
"""

from collections.abc import Hashable
from datetime import datetime
from typing import Literal, NamedTuple, Protocol
from uuid import UUID

import msgspec

from billfold import chain, ids
from billfold.contract.ledger import Account, AccountType, Balance, Hold, HoldStatus, JournalEntry, NormalSide, Posting
from billfold.ids import Prefix
from billfold_server.ledger import rules

__all__ = [
    "AccountRow",
    "CodeKey",
    "EntryRow",
    "GrantKey",
    "GrantRow",
    "HoldMovementRow",
    "HoldRow",
    "JournalKind",
    "Line",
    "PostingRow",
    "ReversalRow",
    "Row",
    "WalletKey",
]


JournalKind = Literal[
    "journal_entry",
    "reversal",
    "capture",
    "transfer",
    "top_up",
    "withdrawal",
    "payment",
    "payment.settled",
    "payment.returned",
    "payment.suspense",
    "payment.unclaimed",
    "statement_opening",
    "statement_break",
    "statement_suspense",
    "statement_assignment",
]
"""Every kind of journal entry that a command posts. Who shows entries by other words has one for each of these."""


class Row(Protocol):
    """A row of a room's own table, which the engine loads and writes on that room's behalf."""

    @property
    def key(self) -> Hashable:
        """What the row is loaded by."""
        ...


class WalletKey(msgspec.Struct, frozen=True, cache_hash=True, gc=False):
    """The account of a wallet in one currency."""

    wallet_id: UUID
    currency: str


class CodeKey(msgspec.Struct, frozen=True, cache_hash=True, gc=False):
    """The account of the chart of accounts with this code and currency."""

    code: str
    currency: str


class AccountRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An account, with its running balances.

    Attributes:
        posted_minor: Signed; positive is debit.
        pending_minor: What open holds are expected to bring, on the normal side; never negative.
        held_minor: What open holds reserve, on the normal side; never negative.
        status: ``active``, ``frozen`` or ``closed``.
    """

    id: UUID
    code: str | None
    type: AccountType
    normal_side: NormalSide
    currency: str
    wallet_id: UUID | None
    name: str | None
    status: str = "active"
    overdraft_limit_minor: int | None
    posted_minor: int = 0
    pending_minor: int = 0
    held_minor: int = 0
    metadata: dict[str, str]
    version: int = 1
    created_at: datetime
    updated_at: datetime

    @property
    def key(self) -> UUID:
        """What the row is loaded by."""
        return self.id

    @property
    def wire_id(self) -> str:
        """The account's id as the API spells it."""
        return ids.encode(Prefix.ACCOUNT, self.id)

    @property
    def balance_minor(self) -> int:
        """The posted balance on the account's normal side."""
        return rules.on_normal_side(self.posted_minor, self.normal_side)

    @property
    def available_minor(self) -> int:
        """Posted less held, on the normal side."""
        return self.balance_minor - self.held_minor

    def to_balance(self) -> Balance:
        """Return the balance as the API shows it."""
        return Balance(
            account_id=self.wire_id,
            currency=self.currency,
            posted_minor=self.balance_minor,
            pending_minor=self.pending_minor,
            held_minor=self.held_minor,
            available_minor=self.available_minor,
            overdraft_limit_minor=self.overdraft_limit_minor,
        )

    def to_response(self) -> Account:
        """Return the account as the API shows it."""
        return Account(
            id=self.wire_id,
            code=self.code,
            type=self.type,
            normal_side=self.normal_side,
            wallet_id=None if self.wallet_id is None else ids.encode(Prefix.WALLET, self.wallet_id),
            name=self.name,
            balance=self.to_balance(),
            metadata=self.metadata,
            version=self.version,
            created_at=self.created_at,
        )


class Line(msgspec.Struct, frozen=True, gc=False):
    """One posting before it is posted: signed, positive is debit."""

    account_id: UUID
    amount_minor: int
    currency: str


class PostingRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One signed line on one account, with the account's posted balance after it (signed, positive is debit).

    Attributes:
        late_class: Absent where no entry before took effect later; else the binary logarithm of by how many seconds,
            rounded down.
    """

    line: int
    account_id: UUID
    normal_side: NormalSide
    amount_minor: int
    currency: str
    posted_after_minor: int
    late_class: int | None = None


class EntryRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A journal entry with its postings.

    Attributes:
        id: Made of ``recorded_at``, to the microsecond.
        effective_high: The latest time at which this entry or any before it took effect.
        text_salt: What keeps the commitment from being guessed; absent where there is no text.
        text_commitment: Stands in the chain for description and metadata, so that these may be erased.
    """

    id: UUID
    sequence: int
    kind: str
    description: str | None
    reverses: UUID | None
    hold_id: UUID | None
    effective_at: datetime
    effective_high: datetime
    recorded_at: datetime
    metadata: dict[str, str]
    text_salt: bytes | None = None
    text_commitment: bytes | None = None
    postings: tuple[PostingRow, ...]

    def leaf(self) -> bytes:
        """Return the entry's digest in the chain."""
        return chain.leaf(self.text())

    def text(self) -> str:
        """Return the text by which the entry is in the chain."""
        return chain.entry_text(
            sequence=self.sequence,
            id=self.id,
            kind=self.kind,
            reverses=self.reverses,
            hold_id=self.hold_id,
            effective_at=self.effective_at,
            recorded_at=self.recorded_at,
            commitment=self.text_commitment,
            postings=[
                (posting.line, posting.account_id, posting.amount_minor, posting.currency, posting.posted_after_minor)
                for posting in self.postings
            ],
        )

    @property
    def key(self) -> UUID:
        """What the row is loaded by."""
        return self.id

    @property
    def wire_id(self) -> str:
        """The journal entry's id as the API spells it."""
        return ids.encode(Prefix.JOURNAL_ENTRY, self.id)

    def balance_after(self, account_id: UUID) -> int:
        """Return an account's posted balance after the entry, on its normal side."""
        for posting in reversed(self.postings):
            if posting.account_id == account_id:
                return rules.on_normal_side(posting.posted_after_minor, posting.normal_side)
        raise KeyError(account_id)

    def to_response(self) -> JournalEntry:
        """Return the journal entry as the API shows it."""
        return JournalEntry(
            id=self.wire_id,
            sequence=self.sequence,
            kind=self.kind,
            description=self.description,
            postings=[
                Posting(
                    account_id=ids.encode(Prefix.ACCOUNT, posting.account_id),
                    amount_minor=posting.amount_minor,
                    currency=posting.currency,
                    balance_after_minor=rules.on_normal_side(posting.posted_after_minor, posting.normal_side),
                )
                for posting in self.postings
            ],
            reverses=None if self.reverses is None else ids.encode(Prefix.JOURNAL_ENTRY, self.reverses),
            hold_id=None if self.hold_id is None else ids.encode(Prefix.HOLD, self.hold_id),
            effective_at=self.effective_at,
            recorded_at=self.recorded_at,
            metadata=self.metadata,
        )


class HoldRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A reservation of part of a wallet's balance.

    Attributes:
        account_id: The wallet's account whose balance is reserved.
        to_account_id: The account that expects it, where it is known already.
        steps: How many movements it has had; the next one's number.
    """

    id: UUID
    wallet_id: UUID
    account_id: UUID
    to_wallet_id: UUID | None
    to_account_id: UUID | None
    currency: str
    amount_minor: int
    captured_minor: int = 0
    released_minor: int = 0
    status: HoldStatus = HoldStatus.OPEN
    expires_at: datetime | None
    description: str | None
    metadata: dict[str, str]
    steps: int = 0
    journal_entry_ids: tuple[UUID, ...] = ()
    created_at: datetime
    updated_at: datetime

    @property
    def key(self) -> UUID:
        """What the row is loaded by."""
        return self.id

    @property
    def remaining_minor(self) -> int:
        """What it still reserves."""
        return self.amount_minor - self.captured_minor - self.released_minor

    def to_response(self) -> Hold:
        """Return the hold as the API shows it."""
        return Hold(
            id=ids.encode(Prefix.HOLD, self.id),
            status=self.status,
            wallet_id=ids.encode(Prefix.WALLET, self.wallet_id),
            account_id=ids.encode(Prefix.ACCOUNT, self.account_id),
            to_wallet_id=None if self.to_wallet_id is None else ids.encode(Prefix.WALLET, self.to_wallet_id),
            to_account_id=None if self.to_account_id is None else ids.encode(Prefix.ACCOUNT, self.to_account_id),
            currency=self.currency,
            amount_minor=self.amount_minor,
            captured_minor=self.captured_minor,
            released_minor=self.released_minor,
            remaining_minor=self.remaining_minor,
            expires_at=self.expires_at,
            description=self.description,
            metadata=self.metadata,
            journal_entry_ids=[ids.encode(Prefix.JOURNAL_ENTRY, entry) for entry in self.journal_entry_ids],
            created_at=self.created_at,
            updated_at=self.updated_at,
        )


class HoldMovementRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One change of what a hold reserves, kept so that held and pending balances can be told as of any time.

    Attributes:
        delta_minor: How much more (or, negative, less) is reserved and expected since.
        held_after_minor: What all holds together reserve on ``account_id`` after it.
        pending_after_minor: What all holds together are to bring ``to_account_id`` after it, where there is one.
    """

    hold_id: UUID
    step: int
    account_id: UUID
    to_account_id: UUID | None
    delta_minor: int
    held_after_minor: int
    pending_after_minor: int | None
    effective_at: datetime
    recorded_at: datetime

    @property
    def key(self) -> tuple[UUID, int]:
        """What the row is known by."""
        return (self.hold_id, self.step)

    def leaf(self) -> bytes:
        """Return the movement's digest in the chain."""
        return chain.movement_leaf(
            hold_id=self.hold_id,
            step=self.step,
            account_id=self.account_id,
            to_account_id=self.to_account_id,
            delta_minor=self.delta_minor,
            effective_at=self.effective_at,
            recorded_at=self.recorded_at,
            held_after_minor=self.held_after_minor,
            pending_after_minor=self.pending_after_minor,
        )


class GrantKey(NamedTuple):
    """What a user has allowed a client, and by which digest the token that is shown for it would be revoked."""

    grant_id: UUID
    token_digest: bytes


class GrantRow(msgspec.Struct, frozen=True):
    """What a user has allowed a client, as long as it stands and its token wasn't revoked; else it isn't found."""

    key: GrantKey


class ReversalRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How much of a journal entry has been undone."""

    journal_entry_id: UUID
    amount_minor: int
    reversed_minor: int

    @property
    def key(self) -> UUID:
        """What the row is loaded by."""
        return self.journal_entry_id
