"""Account statements: what was booked to a wallet in a month, made once and never changed."""

from typing import Annotated

from msgspec import Meta

from billfold.contract.common import AccountId, AccountStatementId, Expanded, Instant, Response, WalletId
from billfold.contract.wallets import Wallet
from billfold.money import CurrencyCode

__all__ = ["AccountStatement", "AccountStatementExpanded"]


class AccountStatementExpanded(Expanded, frozen=True, kw_only=True):
    """What an account statement refers to, where it was asked for."""

    wallet: Wallet | None = None


class AccountStatement(Response, frozen=True, kw_only=True, omit_defaults=True):
    """What was booked to a wallet in one currency in a month.

    It holds the entries that were booked in the month; each is in one statement and no other, also where it took effect
    earlier. A month without any has no statement. Balances are as the wallet's owner sees them.
    """

    id: AccountStatementId
    wallet_id: WalletId
    account_id: AccountId
    currency: CurrencyCode
    starts_at: Instant
    ends_at: Annotated[Instant, Meta(description="The beginning of the next month.")]
    opening_minor: Annotated[int, Meta(description="The balance before the first entry.")]
    closing_minor: Annotated[int, Meta(description="The balance after the last one.")]
    credits_minor: Annotated[int, Meta(ge=0, description="The sum of what came in.")]
    debits_minor: Annotated[int, Meta(ge=0, description="The sum of what went out.")]
    entries: Annotated[int, Meta(ge=1, description="How many entries there are.")]
    created_at: Instant
    expanded: AccountStatementExpanded = AccountStatementExpanded()
