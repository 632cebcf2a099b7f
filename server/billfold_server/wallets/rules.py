"""What is allowed with wallets: their states, their aliases and the tenant's limits. Pure."""

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from typing import Final
from uuid import UUID

from stdnum import iban

from billfold import errors, ids
from billfold.contract.wallets import AliasScheme, Wallet, WalletStatus
from billfold.ids import Prefix
from billfold.money import Money
from billfold_server.wallets.rows import AliasKey, Sought

__all__ = [
    "WALLET_STATES",
    "check_limit",
    "has_funds",
    "is_given_out",
    "names_alike",
    "new_alias",
    "next_status",
    "normalise_alias",
    "number_of",
    "rivals_of",
    "seek",
    "sort_code_of",
    "wallet_meant",
]

_MAX_ALIAS_BYTES: Final = 2000

WALLET_STATES: Final[Mapping[tuple[WalletStatus, str], WalletStatus]] = {
    (WalletStatus.ACTIVE, "freeze"): WalletStatus.FROZEN,
    (WalletStatus.FROZEN, "unfreeze"): WalletStatus.ACTIVE,
    (WalletStatus.ACTIVE, "close"): WalletStatus.CLOSED,
    (WalletStatus.FROZEN, "close"): WalletStatus.CLOSED,
}
"""The life of a wallet. What isn't listed is refused by the error that names the state it is in."""


def next_status(status: WalletStatus, step: str, wallet_id: str) -> WalletStatus:
    """Return the state after a step.

    Args:
        status: The present state.
        step: ``freeze``, ``unfreeze`` or ``close``.
        wallet_id: The wallet's id on the wire, which a refusal names.

    Raises:
        WalletClosed: The wallet is closed, for good.
        WalletFrozen: It is frozen already.
        WalletNotFrozen: It isn't frozen, so there is nothing to unfreeze.
    """
    if (status, step) in WALLET_STATES:
        return WALLET_STATES[status, step]
    if status is WalletStatus.CLOSED:
        raise errors.WalletClosed(wallet_id=wallet_id)
    if step == "freeze":
        raise errors.WalletFrozen(wallet_id=wallet_id)
    raise errors.WalletNotFrozen(wallet_id=wallet_id)


def has_funds(wallet: Wallet, amount: Money) -> bool:
    """Tell whether a wallet could pay an amount now: from what is available, or out of an overdraft that was agreed.

    Whoever asks is told the same that an order of the amount would find, for the ledger counts so (``check_funds``).
    """
    if wallet.status is not WalletStatus.ACTIVE:
        return False
    return any(
        each.overdraft_limit_minor is None or each.available_minor + each.overdraft_limit_minor >= amount.amount_minor
        for each in wallet.balances
        if each.currency == amount.currency
    )


def normalise_alias(scheme: AliasScheme, value: str) -> str:
    """Bring an alias's value into the form in which it is stored and compared.

    An IBAN is upper case without blanks, and a British account is its digits alone. A reference or a name is
    case-folded, with compatible characters made equal (NFKC) and each run of white space made one blank.
    """
    if scheme is AliasScheme.IBAN:
        return "".join(value.split()).upper()
    if scheme is AliasScheme.SORT_CODE_ACCOUNT_NUMBER:
        return "".join(value.replace("-", " ").split())
    return " ".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", value).casefold()).split())


def new_alias(scheme: AliasScheme, value: str) -> str:
    """Return the normal form of an alias that is about to be given.

    Raises:
        AliasInvalid: An IBAN's country or check digits are wrong (ISO 13616), a British account isn't 14 digits, or
            nothing remains of the value, or its compatible characters grow to more than PostgreSQL can keep in an
            index.
    """
    normal = normalise_alias(scheme, value)
    if scheme is AliasScheme.IBAN and not iban.is_valid(normal):
        detail = "The value isn't an IBAN with right check digits."
        raise errors.AliasInvalid(detail, param="value")
    if scheme is AliasScheme.SORT_CODE_ACCOUNT_NUMBER and re.fullmatch("[0-9]{14}", normal) is None:
        detail = "The value isn't a sort code of six digits and an account number of eight."
        raise errors.AliasInvalid(detail, param="value")
    if not normal:
        detail = "The value is empty."
        raise errors.AliasInvalid(detail, param="value")
    if len(normal.encode()) > _MAX_ALIAS_BYTES:
        detail = "The value is too long, once its compatible characters are spelled out."
        raise errors.AliasInvalid(detail, param="value")
    return normal


_UK: Final = "GB"
_UK_LENGTH: Final = 22
_SORT_CODE_AT: Final = 8


def sort_code_of(iban: str) -> str | None:
    """Return sort code and account number of a British IBAN, as fourteen digits; None of any other."""
    if iban.startswith(_UK) and len(iban) == _UK_LENGTH and iban[_SORT_CODE_AT:].isdigit():
        return iban[_SORT_CODE_AT:]
    return None


def number_of(key: AliasKey) -> str | None:
    """Return the sort code and account number that a name says, as fourteen digits; None of a name that says none."""
    match key.scheme:
        case AliasScheme.IBAN:
            return sort_code_of(key.normal_value)
        case AliasScheme.SORT_CODE_ACCOUNT_NUMBER:
            return key.normal_value
        case _:
            return None


def names_alike(key: AliasKey, ibans: Iterable[str] = ()) -> tuple[AliasKey, ...]:
    """Return by which names an account may be known that is named by one of them: that one first.

    A British IBAN ends in the account's sort code and number, so these two say the same. An IBAN says which bank it is
    of as well; so two that end in the same sort code and number don't say the same as each other.

    Args:
        key: The name.
        ibans: Those that wallets have, as far as they end in the sort code and account number that is named.
    """
    number = number_of(key)
    if number is None:
        return (key,)
    if key.scheme is AliasScheme.IBAN:
        return key, AliasKey(AliasScheme.SORT_CODE_ACCOUNT_NUMBER, number)
    return key, *(AliasKey(AliasScheme.IBAN, each) for each in ibans if sort_code_of(each) == number)


def rivals_of(key: AliasKey, ibans: Iterable[str] = ()) -> tuple[AliasKey, ...]:
    """Return the names of which no other wallet may have one, if a wallet is to be given a name: that one first.

    They are those that say the same, and of a British IBAN those of other banks that end in the same sort code and
    account number as well. A sort code is one bank's, so one of the two is made up, and next to each other they would
    leave nobody to be meant by the number alone.

    Args:
        key: The name that is to be given.
        ibans: Those that wallets have, as far as they end in the sort code and account number that is named.
    """
    number = number_of(key)
    others = (AliasKey(AliasScheme.IBAN, each) for each in ibans if number is not None and sort_code_of(each) == number)
    return tuple(dict.fromkeys((*names_alike(key, ibans), *others)))


def wallet_meant(wallets: Iterable[UUID]) -> UUID | None:
    """Return the wallet that all names of an account are of; None where there is none, or nobody knows which is meant.

    Args:
        wallets: Whose the names are, for each name that some wallet has.
    """
    found = set(wallets)
    return found.pop() if len(found) == 1 else None


_SORT_CODE_DIGITS: Final = 6


def is_given_out(key: AliasKey, sort_codes: Collection[str], iban_prefixes: Collection[str]) -> bool:
    """Tell whether an account, by its number, can be nobody's but a wallet's.

    Args:
        key: The number.
        sort_codes: Those of which all accounts are wallets.
        iban_prefixes: Beginnings, without check digits, of IBANs that all are wallets'.
    """
    number = number_of(key)
    if number is not None and number[:_SORT_CODE_DIGITS] in sort_codes:
        return True
    # The check digits stand behind the country (ISO 13616).
    bare = f"{key.normal_value[:2]}{key.normal_value[4:]}"
    return key.scheme is AliasScheme.IBAN and bare.startswith(tuple(iban_prefixes))


def seek(typed: str) -> Sought | None:
    """Return which wallets are meant by what somebody has typed; None where that is nothing, and so all of them."""
    text = typed.strip()
    number = _APART.sub("", text).upper()
    is_number = len(number) >= _LEAST_OF_A_NUMBER and any(each.isdigit() for each in number)
    return Sought(text, _ending(text.lstrip("….").lower()), number if is_number else None) if text else None


_APART: Final = re.compile(r"[\s-]")
"""What people write between the parts of a number."""
_LEAST_OF_A_NUMBER: Final = 4
_ENDING: Final = 6
_BODY: Final = 26


def _ending(text: str) -> int | None:
    """Return the lowest thirty bits of ids that end in six characters, of five bits each."""
    if len(text) != _ENDING:
        return None
    try:
        return ids.decode(Prefix.WALLET, f"{Prefix.WALLET}_{text.rjust(_BODY, '0')}").int
    except ids.InvalidIdError:
        return None


def check_limit(limit: str, limits: Mapping[str, int], amount_minor: int, currency: str) -> None:
    """Refuse an amount above one of the tenant's limits.

    Limits bind what a wallet's holder orders: transfers, top-ups, withdrawals and holds. They don't bind the books' own
    corrections (journal entries, reversing entries), nor what a bank's statement says has happened.

    Args:
        limit: The limit's name in the manifest.
        limits: The limit by currency; a currency that isn't listed has none.
        amount_minor: What the limit is compared with.
        currency: ISO 4217 code.

    Raises:
        LimitExceeded: It is above.
    """
    limit_minor = limits.get(currency)
    if limit_minor is not None and amount_minor > limit_minor:
        raise errors.LimitExceeded(limit=limit, limit_minor=limit_minor, currency=currency)
