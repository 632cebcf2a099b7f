"""What a consent has to permit for each kind of data, and what more it may permit. Pure.

Source: Open Banking Read/Write API Profile 4.0, account access consents: permission codes.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Final, Literal

import msgspec

from billfold import errors
from billfold_server.consents.service import Consent
from billfold_server.ledger.service import Span

__all__ = [
    "ACCOUNTS",
    "BALANCES",
    "BENEFICIARIES",
    "DIRECT_DEBITS",
    "OFFERS",
    "PARTY",
    "PARTY_OF_PSU",
    "PRODUCTS",
    "SCHEDULED_PAYMENTS",
    "STANDING_ORDERS",
    "STATEMENTS",
    "TRANSACTIONS",
    "Cluster",
    "bounds",
    "is_within",
    "side_of",
    "span_of",
]


class Cluster(msgspec.Struct, frozen=True):
    """A kind of data.

    Attributes:
        permission: What it takes to read it.
        detail: What it takes to read all of it, where that is more.
        offered: Under which name the manifest may say that the bank doesn't offer it; what every bank must offer has
            none.
    """

    permission: str
    detail: str | None = None
    offered: str | None = None

    def in_detail(self, permissions: Collection[str]) -> bool:
        """Tell whether all of it may be read."""
        return self.detail is None or self.detail in permissions

    def require(self, permissions: Collection[str]) -> None:
        """Refuse what takes another permission besides.

        Raises:
            errors.ConsentLacksPermission: The consent permits neither.
        """
        if self.permission not in permissions and self.detail not in permissions:
            raise errors.ConsentLacksPermission(permission=self.permission)

    def require_detail(self, permissions: Collection[str]) -> None:
        """Refuse what only all of it may be read for.

        Raises:
            errors.ConsentLacksPermission: The consent permits less.
        """
        if self.detail is not None and self.detail not in permissions:
            raise errors.ConsentLacksPermission(permission=self.detail)


ACCOUNTS: Final = Cluster("ReadAccountsBasic", "ReadAccountsDetail")
BALANCES: Final = Cluster("ReadBalances")
TRANSACTIONS: Final = Cluster("ReadTransactionsBasic", "ReadTransactionsDetail")
BENEFICIARIES: Final = Cluster("ReadBeneficiariesBasic", "ReadBeneficiariesDetail", "beneficiaries")
DIRECT_DEBITS: Final = Cluster("ReadDirectDebits", None, "direct_debits")
STANDING_ORDERS: Final = Cluster("ReadStandingOrdersBasic", "ReadStandingOrdersDetail", "standing_orders")
SCHEDULED_PAYMENTS: Final = Cluster("ReadScheduledPaymentsBasic", "ReadScheduledPaymentsDetail", "scheduled_payments")
STATEMENTS: Final = Cluster("ReadStatementsBasic", "ReadStatementsDetail", "statements")
OFFERS: Final = Cluster("ReadOffers", None, "offers")
PRODUCTS: Final = Cluster("ReadProducts", None, "products")
PARTY: Final = Cluster("ReadParty", None, "parties")
PARTY_OF_PSU: Final = Cluster("ReadPartyPSU", None, "parties")

_CREDITS: Final = "ReadTransactionsCredits"
_DEBITS: Final = "ReadTransactionsDebits"


def side_of(permissions: Collection[str]) -> Literal["credit", "debit"] | None:
    """Return which side alone may be read of what was booked; None where both may.

    Raises:
        errors.ConsentLacksPermission: Neither may.
    """
    if _CREDITS in permissions:
        return None if _DEBITS in permissions else "credit"
    if _DEBITS in permissions:
        return "debit"
    raise errors.ConsentLacksPermission(permission=_CREDITS)


def bounds(consent: Consent, from_: datetime | None, to: datetime | None) -> tuple[datetime | None, datetime | None]:
    """Return between which instants something may be shown: what was asked for, as far as the consent's dates reach."""
    begins = [each for each in (from_, consent.transactions_from) if each is not None]
    ends = [each for each in (to, consent.transactions_to) if each is not None]
    return max(begins, default=None), min(ends, default=None)


def span_of(consent: Consent, from_: datetime | None, to: datetime | None) -> Span:
    """Return which part of the books may be shown: what was asked for, as far as the consent's own dates reach.

    Raises:
        errors.ConsentLacksPermission: Neither credits nor debits may be read.
    """
    begins, ends = bounds(consent, from_, to)
    return Span(from_=begins, to=ends, side=side_of(consent.permissions))


def is_within(consent: Consent, starts_at: datetime, ends_at: datetime) -> bool:
    """Tell whether a statement's time lies within the consent's own dates, so that its sums tell nothing else."""
    begins, ends = consent.transactions_from, consent.transactions_to
    return (begins is None or starts_at >= begins) and (ends is None or ends_at <= ends)
