"""Finds card numbers where none belongs: in texts that lie open, and in requests to operations that keep such texts.

A card's number belongs into the vault, encrypted before it leaves whoever has it (PCI DSS 4.0.1, requirements 3.2 and
3.5). Whoever types one into a label, a reference or an id is told so, and nothing of it is kept. What has the length,
first digits and check digit of a brand's numbers counts as one, and so does one in ten other numbers that begin like
them; whoever numbers orders so has to put a letter in between. What programs make up by chance doesn't: UUIDs, letters
and digits in turns, and eight, ten or more random bytes in hexadecimal digits. Nor do times (RFC 3339, section 5.6) and
days.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote_plus

import msgspec
from stdnum import iban, luhn

__all__ = ["FEWEST_ANYWHERE", "REASON", "holds_card_number", "masked", "place_in_json", "place_in_texts", "stands_in"]

REASON: Final = "holds what looks like a card's number, which belongs into the vault alone"
"""What is wrong with a text that holds one."""

_SHOWN: Final = 4
_FEWEST: Final = 13
_MAYBE: Final = re.compile(r"\d(?:[\W_]{0,2}\d){12}")
_MAYBE_BYTES: Final = re.compile(rb"[0-9](?:[^0-9A-Za-z]{0,2}[0-9]){12}")
_SHAPES: Final = bytes(0x30 if chr(each).isdigit() else 0x78 for each in range(0x80)).ljust(256, b"x")
_BETWEEN: Final = bytes(each for each in range(0x80) if not chr(each).isalnum())
_SHAPES_APART: Final = _SHAPES[:0x22] + b'"' + _SHAPES[0x23:0x80] + bytes(range(0x80, 0x100))
_BETWEEN_TEXTS: Final = _BETWEEN.replace(b'"', b"")
"""With these, the marks that part texts stay, and so does what isn't ASCII."""

_IN_A_ROW: Final = b"0" * 13
"""What is left of thirteen digits that nothing but marks stands between."""

_GROUPS: Final = re.compile(r"[0-9]+(?:[\W_]{1,2}[0-9]+)*")
_LENGTHS: Final = range(_FEWEST, 20)
_MOST_GROUPS: Final = 1_000
"""More of them in a row mean nothing to anybody, and looking through a megabyte of them takes half a minute."""
_MOST_IN_A_BODY: Final = 5_000
"""The same for all of a request, whose other texts wait meanwhile for the one event loop."""

_BRANDED: Final = re.compile(
    r"4(?:[0-9]{12}|[0-9]{15}|[0-9]{18})"
    r"|(?:5[1-5][0-9]{2}|222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]{12}"
    r"|3[47][0-9]{13}|3(?:0[0-5]|[68][0-9])[0-9]{11}|(?:6011|65[0-9]{2}|64[4-9][0-9])[0-9]{12}"
    r"|35[0-9]{14}|62[0-9]{14,17}"
)
_IBANS: Final = re.compile(
    r"(?<![A-Za-z0-9])[A-Za-z]{2}[0-9]{2}"
    r"(?:[A-Za-z0-9]{11,30}|(?: [A-Za-z0-9]{4}){2,7}(?: [A-Za-z0-9]{1,3})?)(?![A-Za-z0-9])"
)
_MADE_UP: Final = re.compile(
    r"(?<![A-Za-z0-9])(?:[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
    r"|(?:[0-9]*[A-Za-z]+[0-9]+[A-Za-z]+[0-9]+[A-Za-z]+[0-9A-Za-z]*)"
    r"|(?=[0-9]*[A-Fa-f][0-9]*[A-Fa-f])[0-9A-Fa-f]{16}|(?=[0-9]*[A-Fa-f])[0-9A-Fa-f]{20,})(?![A-Za-z0-9])"
)
"""One in ten thousand of these would have a card's number in it otherwise."""

_TIMES: Final = re.compile(
    r"(?<![A-Za-z0-9])[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])[Tt ](?:[01][0-9]|2[0-3]):[0-5][0-9]"
    r":(?:[0-5][0-9]|60)(?:[.,][0-9]{1,9})?(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9])?(?![A-Za-z0-9])"
)
"""With six decimals and an offset, one in ten between 22:21 and midnight would be a card's number otherwise."""

_DAYS: Final = re.compile(
    r"(?<![0-9])(?:(?:0?[1-9]|[12][0-9]|3[01])([./-])(?:0?[1-9]|[12][0-9]|3[01])\1(?:19|20)[0-9]{2}"
    r"|(?:19|20)[0-9]{2}([./-])(?:0[1-9]|1[0-2])\2(?:0[1-9]|[12][0-9]|3[01]))(?![0-9])"
)
"""Of the weeks in a reference, such as "23.11.2026-30.11.2026", one in ten would be a card's number on some days."""

_OF_ACCOUNTS: Final = frozenset({"account_number", "identification"})
"""Members that hold the numbers of bank accounts, which may look like a card's of fourteen digits or fewer."""

_FEWEST_BESIDE_ACCOUNTS: Final = 15
"""Of all brands but one that has become rare."""

FEWEST_ANYWHERE: Final = 14
"""With thirteen digits Visa's numbers were last given out decades ago, and German telephone numbers are now."""

_LARGE: Final = 10 ** (_FEWEST_BESIDE_ACCOUNTS - 1)
_LONG_NUMBER: Final = b"0" * _FEWEST_BESIDE_ACCOUNTS
"""What is left of a number of that size, or of several in a row."""

_PLACE: Final = re.compile(r"[a-z_]{1,40}")


class _Patience:
    """How many groups of digits are still looked at; past that there is taken to be a number."""

    def __init__(self, groups: int) -> None:
        self.groups = groups


def holds_card_number(text: str, *, fewest: int = _FEWEST, patience: _Patience | None = None) -> bool:
    """Tell whether a text holds what looks like a card's number: length, first digits and check digit of a brand.

    Digits of all scripts count, and what stands beside a number doesn't hide it: groups of digits are taken together in
    every way that gives the length of a number. Within a group nothing is looked for, for long numbers hold short ones.
    What is an IBAN isn't a card's number.

    Args:
        text: What lies open.
        fewest: How many digits a number must have.
        patience: That is shared by all texts of a request.
    """
    is_plain = text.isascii()
    if not is_plain:
        text = unicodedata.normalize("NFKC", text)
    elif not _has_digits(text.encode()):
        return False
    if _MAYBE.search(text) is None:
        return False
    normal = text if is_plain else "".join(str(unicodedata.decimal(each, each)) for each in text)
    normal = _MADE_UP.sub("", _DAYS.sub("", _TIMES.sub("", normal)))
    normal = _IBANS.sub(lambda match: "" if iban.is_valid(match[0], check_country=False) else match[0], normal)
    for run in _GROUPS.finditer(normal):
        groups = re.findall("[0-9]+", run[0])
        if sum(map(len, groups)) < _FEWEST:
            continue
        if patience is not None:
            patience.groups -= len(groups)
        tired = patience is not None and patience.groups < 0
        if tired or len(groups) > _MOST_GROUPS or _makes_a_number(groups, fewest):
            return True
    return False


def _makes_a_number(groups: Sequence[str], fewest: int) -> bool:
    """Tell whether groups of digits that follow one another are a card's number together."""
    for begin in range(len(groups)):
        digits = ""
        for group in groups[begin:]:
            digits += group
            if len(digits) >= _LENGTHS.stop:
                break
            if fewest <= len(digits) and _BRANDED.fullmatch(digits) and luhn.is_valid(digits):
                return True
    return False


def masked(text: str) -> str:
    """Return a text as it may lie open: of what holds a card's number, the last four digits and all that is none.

    It is for what others write, which can't be refused: the reference of a payment by which somebody pays a card's
    bill. More may be shown (PCI DSS 4.0.1, requirement 3.4.1), but which digits are the card's isn't always clear.
    """
    if not holds_card_number(text, fewest=FEWEST_ANYWHERE):
        return text
    left = sum(map(str.isdecimal, text)) - _SHOWN
    shown = []
    for each in text:
        if each.isdecimal():
            left -= 1
        shown.append("*" if each.isdecimal() and left >= 0 else each)
    return "".join(shown)


def stands_in(raw: bytes) -> bool:
    """Tell whether a query string holds what looks like a card's number, in a name or a value, whatever is escaped."""
    if b"%" not in raw and not _may_hold(raw):
        return False
    return any(
        holds_card_number(unquote_plus(part.decode("latin-1")), fewest=FEWEST_ANYWHERE)
        for each in raw.split(b"&")
        for part in each.split(b"=")
    )


def place_in_texts(texts: Mapping[str, str]) -> str | None:
    """Return the name of the first text that holds what looks like a card's number, or None."""
    return next((name for name, text in texts.items() if holds_card_number(text, fewest=FEWEST_ANYWHERE)), None)


def place_in_json(body: bytes) -> str | None:
    """Return where a JSON text holds what looks like a card's number, or None.

    Most have no thirteen digits in a row, which is found out in a microsecond. Most of the others have them in ids and
    keys that are seen to hold no number without a look at anything else; only what may is looked at member by member.

    Args:
        body: A JSON text, which was found to be one before.
    """
    if not _may_hold(body) or _holds_none(body):
        return None
    return _place_of(msgspec.json.decode(body), "body", "", _Patience(_MOST_IN_A_BODY))


def _holds_none(body: bytes) -> bool:
    """Tell whether it is certain that no text and no number of a JSON text is refused.

    Where nothing is escaped, every second piece between quotation marks is a text as it is, and numbers are in the
    others. In a list of a hundred things that takes a tenth of the time of reading them and looking at each member.
    """
    if b"\\" in body:
        return False
    shapes = body.translate(_SHAPES_APART, _BETWEEN_TEXTS).split(b'"')
    maybe = [at for at, shape in enumerate(shapes) if len(shape) >= _FEWEST and _IN_A_ROW in shape]
    if not body.isascii():
        maybe = sorted({*maybe, *(at for at, shape in enumerate(shapes) if not shape.isascii())})
    if any(at % 2 == 0 and _LONG_NUMBER in shapes[at] for at in maybe):
        return False
    pieces, patience = body.split(b'"'), _Patience(_MOST_IN_A_BODY)
    return not any(
        holds_card_number(pieces[at].decode(), fewest=FEWEST_ANYWHERE, patience=patience) for at in maybe if at % 2
    )


def _may_hold(raw: bytes) -> bool:
    return b"\\u" in raw or not raw.isascii() or (_has_digits(raw) and _MAYBE_BYTES.search(raw) is not None)


def _has_digits(raw: bytes) -> bool:
    """Tell in a microsecond that most texts have no thirteen digits in a row, however far these may be apart."""
    return _IN_A_ROW in raw.translate(_SHAPES, _BETWEEN)


def _place_of(value: Any, place: str, name: str, patience: _Patience) -> str | None:
    if isinstance(value, str):
        fewest = _FEWEST_BESIDE_ACCOUNTS if name in _OF_ACCOUNTS else FEWEST_ANYWHERE
        return place if holds_card_number(value, fewest=fewest, patience=patience) else None
    if isinstance(value, int) and value >= _LARGE:
        return place if holds_card_number(str(value), fewest=_FEWEST_BESIDE_ACCOUNTS) else None
    if isinstance(value, dict):
        for each, member in value.items():
            # A name that the caller has chosen isn't repeated.
            is_plain = _PLACE.fullmatch(each) is not None
            if not is_plain and holds_card_number(each, fewest=FEWEST_ANYWHERE, patience=patience):
                return place
            below = (each if place == "body" else f"{place}.{each}") if is_plain else place
            if (found := _place_of(member, below, each, patience)) is not None:
                return found
    elif isinstance(value, list):
        for at, member in enumerate(value):
            if (found := _place_of(member, f"{place}[{at}]", name, patience)) is not None:
                return found
    return None
