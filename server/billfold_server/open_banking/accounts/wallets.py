"""Wallets as accounts: what they are, what is on them, and whose they are."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Final
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from billfold.contract.arrangements import ProductType
from billfold.contract.ledger import Balance
from billfold.contract.open_banking.accounts import (
    OBAccount6,
    OBAccount6Account,
    OBInternalAccountStatus1Code,
    OBParty2,
    OBPartyRelationships1,
    OBPartyRelationships1Account,
    OBReadBalance1Balance,
    OBReadBalance1CreditLine,
    StatementFrequencyAndFormatEntry,
)
from billfold.contract.open_banking.codes import OBBalanceType1Code
from billfold.contract.open_banking.common import OBStatement2Amount
from billfold.contract.parties import Party, PartyKind
from billfold.contract.wallets import WalletStatus
from billfold.ids import Prefix, encode
from billfold_server.arrangements.service import ProductRow
from billfold_server.open_banking.accounts.words import amount, decimal_text, identification_of, indicator, or_unset
from billfold_server.wallets.service import WalletRow

__all__ = ["STATUSES", "AccountFacts", "account_id", "to_account", "to_balances", "to_party"]

STATUSES: Final[dict[WalletStatus, OBInternalAccountStatus1Code]] = {
    WalletStatus.ACTIVE: "Enabled",
    WalletStatus.FROZEN: "Disabled",
    WalletStatus.CLOSED: "Deleted",
}
"""What the standard calls each state of a wallet."""

_CURRENT: Final = frozenset({ProductType.PERSONAL_CURRENT_ACCOUNT, ProductType.BUSINESS_CURRENT_ACCOUNT})
_STATEMENTS: Final = [StatementFrequencyAndFormatEntry(frequency="MNTH", communication_method="ONLI", format="DPDF")]


@lru_cache(maxsize=4096)
def account_id(wallet_id: UUID) -> str:
    """Return a wallet's id as the standard's ``AccountId``."""
    return encode(Prefix.WALLET, wallet_id)


class AccountFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a wallet as an account.

    Attributes:
        kind: What its owner is.
        product: Of which product it is.
        iban: By which number it is known outside.
        owner: Who owns it; None where that may not be told.
    """

    wallet: WalletRow
    kind: PartyKind
    product: ProductRow | None
    iban: str | None = None
    owner: Party | None = None


def to_account(facts: AccountFacts, *, detail: bool) -> OBAccount6:
    """Return an account; with its numbers and its owner's name where all of it may be read."""
    wallet, product = facts.wallet, facts.product
    basic = OBAccount6(
        account_id=account_id(wallet.id),
        status=STATUSES[wallet.status],
        status_update_date_time=wallet.updated_at,
        currency=wallet.currencies[0] if len(wallet.currencies) == 1 else UNSET,
        account_category="Business" if facts.kind is PartyKind.COMPANY else "Personal",
        account_type_code="CACC" if product is not None and product.type in _CURRENT else "WALT",
        description=UNSET if product is None else or_unset(product.name, 35),
        nickname=or_unset(wallet.label, 70),
        opening_date=wallet.created_at,
        switch_status="UK.CASS.NotSwitched",
    )
    if not detail:
        return basic
    name = UNSET if facts.owner is None else or_unset(facts.owner.name, 350)
    numbers = identification_of(account_id(wallet.id), facts.iban)
    return msgspec.structs.replace(
        basic,
        account=[OBAccount6Account(scheme_name=scheme, identification=number, name=name) for scheme, number in numbers],
        statement_frequency_and_format=_STATEMENTS,
    )


def to_balances(
    wallet_id: UUID, balances: Sequence[Balance], currency: str, now: datetime
) -> list[OBReadBalance1Balance]:
    """Return what is on a wallet: booked and available, in each of its currencies.

    Args:
        wallet_id: The wallet.
        balances: What is on it.
        currency: In which currency nothing is on it, where it has none.
        now: The tenant's time.
    """
    named = account_id(wallet_id)
    kinds: tuple[OBBalanceType1Code, OBBalanceType1Code] = ("ITBD", "ITAV")
    if not balances:
        return [_balance(named, kind, 0, currency, now) for kind in kinds]
    return [
        _balance(named, kind, amount_minor, each.currency, now, overdraft_minor=each.overdraft_limit_minor or 0)
        for each in balances
        for kind, amount_minor in zip(kinds, (each.posted_minor, each.available_minor), strict=True)
    ]


def _balance(
    named: str, kind: OBBalanceType1Code, amount_minor: int, currency: str, now: datetime, *, overdraft_minor: int = 0
) -> OBReadBalance1Balance:
    line = OBReadBalance1CreditLine(included=False, type="Pre-Agreed", amount=amount(overdraft_minor, currency))
    return OBReadBalance1Balance(
        account_id=named,
        credit_debit_indicator=indicator(amount_minor),
        type=kind,
        date_time=now,
        amount=OBStatement2Amount(amount=decimal_text(amount_minor, currency), currency=currency),
        credit_line=[line] if overdraft_minor else UNSET,
    )


def to_party(party: Party, *, account: tuple[str, str] | None = None) -> OBParty2:
    """Return a customer.

    Args:
        party: Who.
        account: The id and the address of the account whose owner they are shown as.
    """
    person = party.kind is PartyKind.PERSON
    name = or_unset(party.name, 350)
    related: OBPartyRelationships1 | UnsetType = UNSET
    if account is not None:
        related = OBPartyRelationships1(account=OBPartyRelationships1Account(id=account[0], related=account[1]))
    return OBParty2(
        party_id=party.id,
        party_type="Sole",
        name=name,
        full_legal_name=name,
        legal_structure="UK.OBIE.Individual" if person else UNSET,
        account_role="UK.OBIE.Principal",
        email_address=or_unset(party.email, 256),
        relationships=related,
    )
