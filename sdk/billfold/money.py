"""Money: a whole number of minor units and an ISO 4217 currency, never a float.

The exponents are ISO 4217's own (list one of 2026-01-01). Funds codes and metals without a minor unit, and the codes
for testing and for "no currency", aren't money that a wallet can hold, so they are left out.
"""

import re
from decimal import Decimal
from typing import Annotated, Final

import msgspec

from billfold._remaking import Remade

__all__ = [
    "CURRENCIES",
    "MAX_AMOUNT_MINOR",
    "AmountError",
    "CurrencyCode",
    "Money",
    "SignedMoney",
    "exponent",
    "from_decimal",
    "pair",
    "read_decimal",
    "to_decimal",
]

MAX_AMOUNT_MINOR = 10**15
"""The largest amount of one posting, hold or payment, in minor units."""

_BY_EXPONENT = {
    0: ("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"),
    2: (
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE "
        "CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD "
        "HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK "
        "MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD "
        "RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH "
        "USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG"
    ),
    3: ("BHD IQD JOD KWD LYD OMR TND"),
    4: ("CLF UYW"),
}

CURRENCIES: dict[str, int] = {code: exponent_ for exponent_, codes in _BY_EXPONENT.items() for code in codes.split()}
"""Each ISO 4217 currency code with its exponent: the number of digits after the decimal point."""


class AmountError(Remade, ValueError):
    """An amount can't be expressed as whole minor units of its currency.

    Attributes:
        reason: ``unknown_currency``, ``malformed``, ``excess_precision`` or ``out_of_range``.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


CurrencyCode = Annotated[
    str,
    msgspec.Meta(
        pattern=f"^({'|'.join(sorted(CURRENCIES))})$(?!\\n)",
        description="ISO 4217 alphabetic currency code.",
        examples=["EUR"],
    ),
]

PositiveMinor = Annotated[
    int,
    msgspec.Meta(ge=1, le=MAX_AMOUNT_MINOR, description="Amount in minor units, for example cents.", examples=[1250]),
]
SignedMinor = Annotated[
    int,
    msgspec.Meta(
        ge=-MAX_AMOUNT_MINOR,
        le=MAX_AMOUNT_MINOR,
        description="Amount in minor units; positive is debit, negative is credit.",
        examples=[-1250],
    ),
]


class Money(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A positive amount of one currency, in minor units."""

    amount_minor: PositiveMinor
    currency: CurrencyCode

    def __post_init__(self) -> None:
        """Refuse a fraction or a text at once: a Struct that is made in Python doesn't look at what it is made of."""
        if type(self.amount_minor) is not int:
            raise TypeError('an amount of money is a whole number of minor units: Money(1250, "EUR") is 12.50 EUR')

    def __str__(self) -> str:
        """Return the amount as people write it, such as ``12.50 EUR``."""
        return _written(self.amount_minor, self.currency)

    def __format__(self, spec: str) -> str:
        """Return the same with what a format says of a text, as in ``f"{amount:>14}"`` in a table."""
        return format(str(self), spec)


class SignedMoney(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """An amount of one currency with a sign: positive is debit, negative is credit."""

    amount_minor: SignedMinor
    currency: CurrencyCode

    def __str__(self) -> str:
        """Return the amount as people write it, such as ``-12.50 EUR``."""
        return _written(self.amount_minor, self.currency)

    def __format__(self, spec: str) -> str:
        """Return the same with what a format says of a text, as in ``f"{amount:>14}"`` in a table."""
        return format(str(self), spec)


def _written(amount_minor: int, currency: str) -> str:
    """Return an amount as people write it, and in minor units where a newer server sends a currency unknown here."""
    if currency not in CURRENCIES:
        return f"{amount_minor} minor units of {currency}"
    return f"{to_decimal(amount_minor, currency)} {currency}"


# Decimal would take spaces, underscores, exponents and the digits of every script, and 1e5 for a hundred thousand.
_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)")


def exponent(currency: str) -> int:
    """Return how many digits the currency has after the decimal point (ISO 4217).

    Raises:
        AmountError: ISO 4217 lists no such currency with a minor unit.
    """
    try:
        return CURRENCIES[currency]
    except KeyError:
        reason = "unknown_currency"
        raise AmountError(reason, "the currency isn't one of ISO 4217 with a minor unit") from None


def read_decimal(text: str) -> Decimal:
    """Read a decimal number that is written in the digits 0 to 9 with at most one point.

    Raises:
        AmountError: It is written otherwise.
    """
    if not _DECIMAL.fullmatch(text):
        reason = "malformed"
        raise AmountError(reason, "the amount isn't a decimal number such as 12.50: digits with at most one point")
    return Decimal(text)


def from_decimal(amount: Decimal | str, currency: str) -> int:
    """Turn a decimal amount into minor units.

    Zeros beyond the currency's exponent are no excess; any other digit there is refused, never rounded.

    Args:
        amount: A finite decimal, such as ``Decimal("12.50")`` or ``"-3"``. A text has the digits 0 to 9 and at most one
            point.
        currency: ISO 4217 code.

    Returns:
        The signed number of minor units, at most ``MAX_AMOUNT_MINOR`` in size.

    Raises:
        AmountError: The amount is malformed, too precise or too large, or the currency unknown.
    """
    digits = exponent(currency)
    value = read_decimal(amount) if isinstance(amount, str) else amount
    if not value.is_finite():
        reason = "malformed"
        raise AmountError(reason, "the amount isn't a finite number")
    # The size is checked before scaling, so that "1e999999999" costs nothing.
    if value and value.adjusted() + digits > len(str(MAX_AMOUNT_MINOR)):
        reason = "out_of_range"
        raise AmountError(reason, "the amount is larger than 10^15 minor units")
    sign, significand, power = value.as_tuple()
    shift = int(power) + digits
    number = int("".join(map(str, significand)) or "0")
    if shift >= 0:
        number = number * 10**shift if number else 0
    else:
        number, rest = divmod(number, 10**-shift) if -shift <= len(significand) else (0, number)
        if rest:
            reason = "excess_precision"
            raise AmountError(reason, f"{currency} has {digits} digits after the decimal point")
    if number > MAX_AMOUNT_MINOR:
        reason = "out_of_range"
        raise AmountError(reason, "the amount is larger than 10^15 minor units")
    return -number if sign else number


def pair(amount: object, currency: str) -> tuple[str | Decimal, str]:
    """Return what an amount that isn't ``Money`` consists of: a number and a currency.

    Args:
        amount: What was given for an amount.
        currency: The one in the example of what is asked for.

    Raises:
        TypeError: It is anything else.
    """
    match amount:
        case (str() | Decimal() as number, str() as of):
            return number, of
    raise TypeError(f'an amount of money is Money(1250, "{currency}") or ("12.50", "{currency}"), never a float')


def to_decimal(amount_minor: int, currency: str) -> Decimal:
    """Return the decimal form of an amount, with exactly the currency's digits after the point."""
    digits = exponent(currency)
    sign = 1 if amount_minor < 0 else 0
    return Decimal((sign, tuple(map(int, str(abs(amount_minor)))), -digits))
