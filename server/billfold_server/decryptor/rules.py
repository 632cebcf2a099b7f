"""What a card, an account and a key for encrypting must be like. Pure: the time is told, and nothing is looked up.

Refusals are codes, never sentences with what was sent in them.
"""

import re
import unicodedata
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Final

import msgspec
from msgspec import Meta
from stdnum import iban as _iban
from stdnum import luhn as _luhn
from stdnum.exceptions import ValidationError

from billfold_server.decryptor.brands import brand_of

__all__ = [
    "Account",
    "Card",
    "KeyTimes",
    "account_masked",
    "account_value",
    "card_masked",
    "check_account",
    "check_card",
    "check_number",
    "normal_account",
    "normal_personal",
    "successor_due",
]

# Cards.

_DIGITS: Final = re.compile(r"[0-9]{12,19}", re.ASCII)
_CVC: Final = re.compile(r"[0-9]{3,4}", re.ASCII)
_MOST_YEARS: Final = 20
_LONGEST_HOLDER: Final = 64
_MOST_DIGITS_OF_HOLDER: Final = 6
"""A name may have a digit, and never enough of them to be a card number in the wrong field."""
_HOLDER_MARKS: Final = frozenset(" .,'’`-/&()·")  # noqa: RUF001 - An apostrophe as it is typeset is one, too.
_LONG_NUMBER: Final = 16
_WEST: Final = timedelta(hours=12)
"""How much later than in UTC a month ends at the date line's other side; a card is good to its last day anywhere."""


class Card(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A card as it comes in, inside of a JWE."""

    number: Annotated[str, Meta(max_length=32)]
    expiry_month: int
    expiry_year: int
    holder: Annotated[str, Meta(max_length=256)] | None = None
    cvc: Annotated[str, Meta(max_length=8)] | None = None

    def __repr__(self) -> str:
        return "Card(…)"


def check_card(card: Card, now: datetime) -> str | None:
    """Return the code of why a card isn't taken, or None.

    Args:
        card: What came in.
        now: The real time.
    """
    refusal = check_number(card.number) or _check_expiry(card, now)
    if refusal is not None:
        return refusal
    if card.holder is not None and not _is_name(card.holder):
        return "card_holder_invalid"
    if card.cvc is not None and not _is_code(card.cvc, card.number):
        return "card_cvc_invalid"
    return None


def check_number(number: str) -> str | None:
    """Return the code of why a number can't be a card's, or None."""
    if _DIGITS.fullmatch(number) is None or not _luhn.is_valid(number):
        return "card_number_invalid"
    brand = brand_of(number)
    if brand is None:
        return "card_brand_unknown"
    return None if len(number) in brand.lengths else "card_number_invalid"


def _is_code(cvc: str, number: str) -> bool:
    brand = brand_of(number)
    return brand is not None and _CVC.fullmatch(cvc) is not None and len(cvc) == brand.cvc_digits


def _check_expiry(card: Card, now: datetime) -> str | None:
    if not 1 <= card.expiry_month <= 12:  # noqa: PLR2004 - Months of a year.
        return "card_expiry_invalid"
    somewhere = now - _WEST
    if (card.expiry_year, card.expiry_month) < (somewhere.year, somewhere.month):
        return "card_expired" if card.expiry_year >= 1000 else "card_expiry_invalid"  # noqa: PLR2004 - Four digits.
    return None if card.expiry_year <= now.year + _MOST_YEARS else "card_expiry_invalid"


def _is_name(holder: str) -> bool:
    digits = sum(character.isdigit() for character in holder)
    return (
        1 <= len(holder) <= _LONGEST_HOLDER
        and holder == holder.strip()
        and digits <= _MOST_DIGITS_OF_HOLDER
        and any(character.isalpha() for character in holder)
        and all(
            character in _HOLDER_MARKS or unicodedata.category(character)[0] in "LM" or character in "0123456789"
            for character in holder
        )
    )


def card_masked(card: Card) -> dict[str, str | int]:
    """Return what of a card may be shown: brand, first digits, last four, expiry.

    Of long numbers the first eight are shown, of others six (PCI DSS 4.0.1, requirement 3.4.1 and its FAQ 1091).
    """
    brand = brand_of(card.number)
    assert brand is not None, "it was checked"
    return {
        "brand": brand.name,
        "bin": card.number[: 8 if len(card.number) >= _LONG_NUMBER else 6],
        "last4": card.number[-4:],
        "expiry_month": card.expiry_month,
        "expiry_year": card.expiry_year,
    }


# Bank accounts.

_SORT_CODE: Final = re.compile(r"[0-9]{6}", re.ASCII)
_ACCOUNT_NUMBER: Final = re.compile(r"[0-9]{8}", re.ASCII)


class Account(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A bank account: an IBAN, or a British sort code with its account number."""

    iban: Annotated[str, Meta(max_length=64)] | None = None
    sort_code: Annotated[str, Meta(max_length=16)] | None = None
    account_number: Annotated[str, Meta(max_length=16)] | None = None
    holder: Annotated[str, Meta(min_length=1, max_length=140)] | None = None

    def __repr__(self) -> str:
        return "Account(…)"


def normal_account(account: Account) -> Account:
    """Return an account in one form, whatever blanks and hyphens it was written with."""
    strip = str.maketrans("", "", " -")
    return Account(
        iban=None if account.iban is None else account.iban.translate(strip).upper(),
        sort_code=None if account.sort_code is None else account.sort_code.translate(strip),
        account_number=None if account.account_number is None else account.account_number.translate(strip),
        holder=account.holder,
    )


def check_account(account: Account) -> str | None:
    """Return the code of why an account, in its normal form, isn't taken, or None."""
    if account.iban is not None:
        if account.sort_code is not None or account.account_number is not None:
            return "bank_account_invalid"
        try:
            _iban.validate(account.iban, check_country=False)
        except ValidationError:
            return "bank_account_invalid"
        return None if account.iban.isascii() and account.iban.isalnum() else "bank_account_invalid"
    if _SORT_CODE.fullmatch(account.sort_code or "") is None:
        return "bank_account_invalid"
    return None if _ACCOUNT_NUMBER.fullmatch(account.account_number or "") else "bank_account_invalid"


def account_value(account: Account) -> str:
    """Return what makes an account the one that it is, of which fingerprints are made."""
    return account.iban or f"GB {account.sort_code} {account.account_number}"


def account_masked(account: Account) -> dict[str, str | int]:
    """Return what of an account may be shown: country and last four."""
    return {
        "country": "GB" if account.iban is None else account.iban[:2],
        "last4": (account.iban or account.account_number or "")[-4:],
    }


# Other personal values.


def normal_personal(value: str) -> str:
    """Return a personal value in the one form that fingerprints are made of: case, width and blanks don't count."""
    return " ".join(unicodedata.normalize("NFKC", value).casefold().split())


# Keys for encrypting.

ROTATE_AFTER: Final = timedelta(days=7)
"""How long a key is the first choice."""

LIFE: Final = timedelta(days=14)
"""How long anybody may encrypt by a key; long enough for pages and programs that keep it for a while."""

GRACE: Final = timedelta(hours=1)
"""How long after that what was encrypted by it is still opened: clocks differ, and requests are repeated."""


class KeyTimes(msgspec.Struct, frozen=True, kw_only=True):
    """When a key for encrypting was made, and until when it may be used."""

    generation: int
    created_at: datetime
    not_after: datetime


def successor_due(keys: Sequence[KeyTimes], now: datetime) -> bool:
    """Tell whether another key is to be made now.

    Args:
        keys: Those of a tenant that open, in any order.
        now: The real time.
    """
    newest = max(keys, key=lambda key: key.generation, default=None)
    return newest is None or not newest.created_at <= now < newest.created_at + ROTATE_AFTER
