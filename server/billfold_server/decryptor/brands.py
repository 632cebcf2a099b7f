"""Card brands by the first digits of a number, with the lengths of their numbers and codes.

Who issues which range is published by the schemes; where one scheme's range lies inside another's, the longer prefix
counts (ISO/IEC 7812-1).
"""

from typing import Final

import msgspec

__all__ = ["Brand", "brand_of"]


class Brand(msgspec.Struct, frozen=True):
    """A card brand.

    Attributes:
        name: As masks show it.
        lengths: How many digits a number may have.
        cvc_digits: How many its code has.
    """

    name: str
    lengths: frozenset[int]
    cvc_digits: int = 3


_AMEX: Final = Brand("amex", frozenset({15}), 4)
_DINERS: Final = Brand("diners", frozenset(range(14, 20)))
_DISCOVER: Final = Brand("discover", frozenset(range(16, 20)))
_JCB: Final = Brand("jcb", frozenset(range(16, 20)))
_MAESTRO: Final = Brand("maestro", frozenset(range(12, 20)))
_MASTERCARD: Final = Brand("mastercard", frozenset({16}))
_MIR: Final = Brand("mir", frozenset(range(16, 20)))
_RUPAY: Final = Brand("rupay", frozenset({16}))
_TROY: Final = Brand("troy", frozenset({16}))
_UNIONPAY: Final = Brand("unionpay", frozenset(range(16, 20)))
_VISA: Final = Brand("visa", frozenset({13, 16, 18, 19}))

_RANGES: Final = (
    ("4", "4", _VISA),
    ("34", "34", _AMEX),
    ("37", "37", _AMEX),
    ("51", "55", _MASTERCARD),
    ("2221", "2720", _MASTERCARD),
    ("300", "305", _DINERS),
    ("3095", "3095", _DINERS),
    ("36", "36", _DINERS),
    ("38", "39", _DINERS),
    ("6011", "6011", _DISCOVER),
    ("644", "649", _DISCOVER),
    ("65", "65", _DISCOVER),
    ("3528", "3589", _JCB),
    ("62", "62", _UNIONPAY),
    ("81", "81", _UNIONPAY),
    ("2200", "2204", _MIR),
    ("50", "50", _MAESTRO),
    ("56", "58", _MAESTRO),
    ("60", "61", _MAESTRO),
    ("63", "64", _MAESTRO),
    ("66", "69", _MAESTRO),
    ("508500", "508999", _RUPAY),
    ("606985", "607984", _RUPAY),
    ("608001", "608500", _RUPAY),
    ("652150", "653149", _RUPAY),
    ("817200", "820199", _RUPAY),
    ("9792", "9792", _TROY),
)


def _table() -> dict[str, Brand]:
    return {str(prefix): brand for first, last, brand in _RANGES for prefix in range(int(first), int(last) + 1)}


_BRANDS: Final = _table()
_PREFIXES: Final = sorted({len(prefix) for prefix in _BRANDS}, reverse=True)


def brand_of(number: str) -> Brand | None:
    """Return whose card a number is, or None where nobody that we know has issued it."""
    for length in _PREFIXES:
        if (brand := _BRANDS.get(number[:length])) is not None:
            return brand
    return None
