"""Words of the standard that several kinds of data share: amounts, accounts and agents."""

from typing import Final, Literal

from msgspec import UNSET, UnsetType

from billfold.contract.arrangements import AccountScheme, CounterpartyAccount
from billfold.contract.open_banking.common import (
    OBActiveOrHistoricCurrencyAndAmount5,
    OBBranchAndFinancialInstitutionIdentification61,
    OBCashAccount51,
)
from billfold.contract.open_banking.records import OBBranchAndFinancialInstitutionIdentification51
from billfold.money import Money, exponent
from billfold_server.wallets.service import sort_code_of

__all__ = [
    "BICFI",
    "IBAN",
    "SCHEMES",
    "SORT_CODE",
    "WALLET",
    "account_of",
    "agent_of",
    "amount",
    "amount_of",
    "branch_of",
    "decimal_text",
    "identification_of",
    "indicator",
    "or_unset",
]

IBAN: Final = "UK.OBIE.IBAN"
SORT_CODE: Final = "UK.OBIE.SortCodeAccountNumber"
WALLET: Final = "UK.OBIE.Wallet"
BICFI: Final = "UK.OBIE.BICFI"

SCHEMES: Final[dict[AccountScheme, str]] = {
    AccountScheme.IBAN: IBAN,
    AccountScheme.SORT_CODE_ACCOUNT_NUMBER: SORT_CODE,
    AccountScheme.BBAN: "UK.OBIE.BBAN",
    AccountScheme.PAYM: "UK.OBIE.Paym",
    AccountScheme.WALLET: WALLET,
}
"""What the standard calls each kind of account number."""


def or_unset(text: str | None, longest: int) -> str | UnsetType:
    """Return a text as far as the standard has room for it; what is empty is absent."""
    return UNSET if not text else text[:longest]


def decimal_text(amount_minor: int, currency: str) -> str:
    """Return an amount without its sign, with as many decimal places as its currency has."""
    digits, text = exponent(currency), str(abs(amount_minor))
    if not digits:
        return text
    if len(text) <= digits:
        text = text.zfill(digits + 1)
    return f"{text[:-digits]}.{text[-digits:]}"


def amount(amount_minor: int, currency: str) -> OBActiveOrHistoricCurrencyAndAmount5:
    """Return an amount without its sign, which stands beside it."""
    return OBActiveOrHistoricCurrencyAndAmount5(amount=decimal_text(amount_minor, currency), currency=currency)


def amount_of(money: Money | None) -> OBActiveOrHistoricCurrencyAndAmount5 | UnsetType:
    """Return an amount, or nothing."""
    return UNSET if money is None else amount(money.amount_minor, money.currency)


def indicator(amount_minor: int) -> Literal["Credit", "Debit"]:
    """Return the side of an amount that is seen by the wallet's owner; nothing is a credit."""
    return "Debit" if amount_minor < 0 else "Credit"


def identification_of(wallet_id: str, iban: str | None) -> list[tuple[str, str]]:
    """Return by which numbers a wallet is known, each with its scheme, the most usual first; there is always one."""
    if iban is None:
        return [(WALLET, wallet_id)]
    sort_code = sort_code_of(iban)
    return [(IBAN, iban)] if sort_code is None else [(SORT_CODE, sort_code), (IBAN, iban)]


def account_of(account: CounterpartyAccount) -> OBCashAccount51:
    """Return somebody else's account."""
    return OBCashAccount51(
        scheme_name=SCHEMES[account.scheme],
        identification=account.identification,
        name=or_unset(account.name, 350),
        secondary_identification=or_unset(account.secondary_identification, 34),
    )


def agent_of(account: CounterpartyAccount) -> OBBranchAndFinancialInstitutionIdentification61 | UnsetType:
    """Return the bank of somebody else's account, where it is known."""
    if account.bic is None:
        return UNSET
    return OBBranchAndFinancialInstitutionIdentification61(scheme_name=BICFI, identification=account.bic)


def branch_of(account: CounterpartyAccount) -> OBBranchAndFinancialInstitutionIdentification51 | UnsetType:
    """Return the bank of somebody else's account, in the words of what is paid again and of what is scheduled."""
    if account.bic is None:
        return UNSET
    return OBBranchAndFinancialInstitutionIdentification51(scheme_name=BICFI, identification=account.bic)
