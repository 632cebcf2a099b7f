"""What pages say, in each language: plain TOML files beside this one, ``words/<language>/<topic>.toml``.

A topic belongs to the room that shows it; a key is ``topic.name``. Every language says everything, which a test holds.
"""

import functools
import re
import tomllib
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

from billfold.money import to_decimal

__all__ = [
    "DEFAULT",
    "LANGUAGES",
    "amount_text",
    "apart",
    "choose",
    "date_text",
    "kind_text",
    "spoken_of",
    "text_of",
    "vocabulary",
]

DEFAULT: Final = "en"
_FOLDER: Final = Path(__file__).parent / "words"
LANGUAGES: Final[dict[str, str]] = {"en": "English", "de": "Deutsch"}
"""Each language that pages speak, by its tag, and what it calls itself."""

_RANGE: Final = re.compile(r"\s*([A-Za-z]{1,8}|\*)(?:-[A-Za-z0-9]{1,8})*\s*(?:;\s*q=([01](?:\.[0-9]{0,3})?))?\s*")


@functools.cache
def vocabulary(language: str) -> dict[str, str]:
    """Return everything that is said in a language, by key."""
    said: dict[str, str] = {}
    for path in sorted((_FOLDER / language).glob("*.toml")):
        said |= {f"{path.stem}.{name}": text for name, text in tomllib.loads(path.read_text(encoding="utf-8")).items()}
    return said


def text_of(language: str, key: str, **values: object) -> str:
    """Return a text, with values in its places.

    Raises:
        KeyError: There is no such text.
    """
    said = {name: apart(value) if isinstance(value, str) else value for name, value in values.items()}
    return vocabulary(language)[key].format(**said)


def apart(text: str) -> str:
    """Return a text of others so that its direction of writing ends with it, and turns nothing around beside it.

    What is written from right to left pulls digits and punctuation after it along, unless it is isolated (UAX 9,
    section 2.4). Text that only goes from left to right stays as it is, so that it is found and compared as it is.

    Args:
        text: What stands within a sentence of ours.
    """
    if text.isascii() or not any(unicodedata.bidirectional(each) in _TURNING for each in text):
        return text
    return f"{_ISOLATE}{text}{_END}"


_TURNING: Final = frozenset({"R", "AL", "AN", "RLE", "LRE", "RLO", "LRO", "PDF", "RLI", "LRI", "FSI", "PDI"})
_ISOLATE: Final = "\N{FIRST STRONG ISOLATE}"
_END: Final = "\N{POP DIRECTIONAL ISOLATE}"


def amount_text(amount_minor: int, currency: str, language: str) -> str:
    """Return an amount as people write it in a language."""
    amount: Decimal = to_decimal(amount_minor, currency)
    plain = f"{amount:,}"
    point, group = text_of(language, "kit.decimal_point"), text_of(language, "kit.group")
    spelled = plain.translate({ord(","): group, ord("."): point})
    return text_of(language, "kit.amount", amount=spelled, currency=currency)


def date_text(moment: datetime, language: str) -> str:
    """Return the day of an instant as people write it in a language."""
    month = text_of(language, "kit.months").split()[moment.month - 1]
    return text_of(language, "kit.date", day=moment.day, month=month, year=moment.year)


def kind_text(kind: str, language: str) -> str:
    """Return what somebody agrees to, in a language's words; what has none there is named as it is."""
    key = f"approve.kind_{kind}"
    if key in vocabulary(language):
        return text_of(language, key)
    return text_of(language, "approve.kind_other", kind=kind)


def spoken_of(wish: str | None) -> str | None:
    """Return the first of a list of tags whose language there is here, or None."""
    languages = (tag.partition("-")[0].lower() for tag in (wish or "").split())
    return next((each for each in languages if each in LANGUAGES), None)


def choose(wishes: Sequence[str | None], accept_language: str | None) -> str:
    """Return the language of a page.

    Args:
        wishes: What was said in so many words, the strongest first; each a list of tags with spaces in between, as
            ``ui_locales`` is (OpenID Connect Core, section 3.1.2.1).
        accept_language: What the browser prefers (RFC 9110, section 12.5.4).
    """
    for wish in wishes:
        if (language := spoken_of(wish)) is not None:
            return language
    ranges = []
    for place, part in enumerate((accept_language or "")[:500].split(",")):
        if (match := _RANGE.fullmatch(part)) is not None and match.group(1).lower() in LANGUAGES:
            ranges.append((-float(match.group(2) or 1), place, match.group(1).lower()))
    return next((language for quality, _, language in sorted(ranges) if quality), DEFAULT)
