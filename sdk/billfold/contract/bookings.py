"""What others tell of the ledger: balances, and journal entries with their postings."""

from typing import Annotated

from msgspec import Meta

from billfold.contract.common import AccountId, Instant, JournalEntryId, Response

__all__ = ["Balance", "JournalEntry", "Posting"]


class Balance(Response, frozen=True, kw_only=True):
    """An account's balance on its normal side, in minor units.

    ``available_minor`` is posted less held. The overdraft limit isn't part of it.
    """

    account_id: AccountId
    currency: str
    posted_minor: Annotated[int, Meta(description="Booked.")]
    pending_minor: Annotated[int, Meta(description="Expected by open holds, but not booked.")]
    held_minor: Annotated[int, Meta(description="Reserved by open holds.")]
    available_minor: Annotated[int, Meta(description="Posted less held.")]
    overdraft_limit_minor: Annotated[int | None, Meta(description="How far it may fall below zero; null is unlimited.")]


class Posting(Response, frozen=True, kw_only=True):
    """One signed line on one account: positive is debit, negative is credit."""

    account_id: AccountId
    amount_minor: int
    currency: str
    balance_after_minor: Annotated[int, Meta(description="The account's posted balance after it, on its normal side.")]


class JournalEntry(Response, frozen=True, kw_only=True):
    """A balanced, immutable set of postings."""

    id: JournalEntryId
    sequence: Annotated[int, Meta(description="Place in the tenant's journal; without gaps.")]
    kind: Annotated[str, Meta(description="What kind of command made it.", examples=["transfer"])]
    description: str | None
    postings: list[Posting]
    reverses: Annotated[str | None, Meta(description="The journal entry that this one undoes.")]
    hold_id: str | None
    effective_at: Annotated[Instant, Meta(description="When it happened, on the tenant's clock.")]
    recorded_at: Annotated[Instant, Meta(description="When it was written.")]
    metadata: dict[str, str]
