"""Identifiers: UUIDv7 inside, a registered prefix and 26 Crockford characters on the wire.

A UUIDv7 (RFC 9562, section 5.7) starts with the time, so rows made together lie together in an index. The prefix says
what an id names before anyone looks it up, and lets a wrong kind of id be refused without a query.
"""

import os
import struct
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from uuid import UUID

from billfold._remaking import Remade

__all__ = [
    "InvalidIdError",
    "Prefix",
    "decode",
    "encode",
    "first_at",
    "instant_of",
    "last_at",
    "make_with",
    "new",
    "pattern",
    "uuid7",
    "uuid7_at",
]

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_LENGTH = 26
_UUID_BITS = 128
# Two characters at a time, ten bits each: ids are made and read by the thousand, so both ways go by table.
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_PAIR_MASK = 0x3FF
_PIECE_MASK = 0x3FFF_FFFF
_LOWER_MASK = (1 << 60) - 1
_PYTHON_DIGITS = b"0123456789abcdefghijklmnopqrstuv"
# What is no character of ours becomes "!", which int() refuses; so do the blanks and underscores that it would take.
_TO_PYTHON = bytes(
    _PYTHON_DIGITS[_ALPHABET.index(chr(byte))] if chr(byte) in _ALPHABET else ord("!") for byte in range(256)
)


class Prefix(StrEnum):
    """The registry of id prefixes: one for each kind of object that has an id on the wire."""

    ACCOUNT = "acc"
    ACCOUNT_STATEMENT = "ast"
    ALIAS = "als"
    APPROVAL = "apr"
    ARRANGEMENT = "arr"
    AUDIT_RECORD = "aud"
    CARD_SESSION = "cse"
    CLIENT = "cli"
    CONSENT = "con"
    ENCRYPTION_KEY = "enk"
    EVENT = "evt"
    EVENT_SUBSCRIPTION = "evs"
    FACTOR = "fac"
    FINGERPRINT = "fpr"
    GRANT = "grt"
    HOLD = "hld"
    JOB = "job"
    JOURNAL_ENTRY = "jrn"
    PARTNER = "ptn"
    PARTNER_SANDBOX = "sbx"
    PARTY = "par"
    PAYMENT = "pay"
    PRODUCT = "prd"
    REQUEST = "req"
    SCA_CHALLENGE = "sca"
    SESSION = "ses"
    SIGNING_KEY = "key"
    SIMULATION = "sim"
    STATEMENT_ENTRY = "ste"
    STATEMENT_IMPORT = "sti"
    TENANT = "ten"
    TOP_UP = "top"
    TRANSFER = "trf"
    USER = "usr"
    VAULT_TOKEN = "tok"  # noqa: S105 - No secret: what every vault token begins with.
    WALLET = "wal"
    WEBHOOK_DELIVERY = "whd"
    WEBHOOK_ENDPOINT = "whe"
    WITHDRAWAL = "wdr"


class InvalidIdError(Remade, ValueError):
    """A text isn't an id of the kind that was asked for.

    Attributes:
        expected: The prefix that was asked for.
    """

    def __init__(self, expected: Prefix) -> None:
        super().__init__(f"expected an id that begins with {expected}_ and has 26 characters after that")
        self.expected = expected


_lock = threading.Lock()
_last = 0
_RANDOM_BITS = 74
_NANOSECONDS_PER_MILLISECOND = 1_000_000
_RANDOM_B_BITS = 62
_RANDOM_B_MASK = (1 << _RANDOM_B_BITS) - 1
_VERSION = 0x7 << 76
_VARIANT = 0b10 << 62
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


# The kernel's randomness is fetched by the page: asking for each number costs more than the rest of an id.
_pool: list[int] = []


def _after_fork() -> None:
    """Let a child make ids of its own, though another thread of the parent may have been making one at that moment."""
    global _lock  # noqa: PLW0603 - the parent's is held for good where that thread isn't in the child
    _lock = threading.Lock()
    _pool.clear()


os.register_at_fork(after_in_child=_after_fork)


def _entropy() -> int:
    """Return 64 random bits."""
    try:
        return _pool.pop()
    except IndexError:
        numbers: tuple[int, ...] = struct.unpack("512Q", os.urandom(4096))
        _pool.extend(numbers[1:])
        return numbers[0]


def _plainly(number: int) -> UUID:
    return UUID(int=number)


_made: Callable[[int], UUID] = _plainly


def make_with(make: Callable[[int], UUID]) -> None:
    """Let ids be made as another kind of UUID, equal to the plain ones: a database driver brings one that is faster.

    Args:
        make: Turns a number of 128 bits into a UUID.
    """
    global _made  # noqa: PLW0603 - one kind of id for the process
    _made = make
    _read.cache_clear()


def uuid7(now_ms: int | None = None) -> UUID:
    """Make a UUIDv7 that is greater than every one made before it in this process.

    Within one millisecond the random part counts up by a random step (RFC 9562, section 6.2, method 2), so order of
    creation is order of id even in a batch.

    Args:
        now_ms: Milliseconds since the Unix epoch; the machine's clock where absent.
    """
    return _made(_next(now_ms))


def _next(now_ms: int | None = None) -> int:
    global _last  # noqa: PLW0603 - the order of ids is a property of the process
    milliseconds = time.time_ns() // _NANOSECONDS_PER_MILLISECOND if now_ms is None else now_ms
    with _lock:
        if milliseconds > _last >> _RANDOM_BITS:
            _last = (milliseconds << _RANDOM_BITS) | (_entropy() << 10) | (_entropy() & 0x3FF)
        else:
            _last += 1 + (_entropy() & 0xFFFF_FFFF)
        value = _last
    # What is left of the upper random bits is the time, which goes before the version.
    upper = value >> _RANDOM_B_BITS
    return (upper >> 12 << 80) | _VERSION | ((upper & 0xFFF) << 64) | _VARIANT | (value & _RANDOM_B_MASK)


def uuid7_at(instant: datetime) -> UUID:
    """Make a UUIDv7 whose time is an instant, to the microsecond.

    Ids of different instants are ordered as these are (RFC 9562, section 6.2, method 3: the bits after the milliseconds
    hold the rest of the microseconds), and ``instant_of`` gives the instant back.
    """
    return _made(_at(instant) | _VARIANT | (_entropy() & _RANDOM_B_MASK))


def first_at(instant: datetime) -> UUID:
    """Return the smallest id that ``uuid7_at`` can make of an instant; before 1970 that of 1970."""
    return _made(_at(max(instant, _EPOCH)) | _VARIANT)


def last_at(instant: datetime) -> UUID:
    """Return the greatest id that ``uuid7_at`` can make of an instant; before 1970 that of 1970."""
    return _made(_at(max(instant, _EPOCH)) | _VARIANT | _RANDOM_B_MASK)


def instant_of(value: UUID) -> datetime:
    """Return the instant of which ``uuid7_at`` has made an id."""
    number = value.int
    return _EPOCH + timedelta(milliseconds=number >> 80, microseconds=number >> 64 & 0xFFF)


def _at(instant: datetime) -> int:
    elapsed = instant - _EPOCH
    milliseconds, microseconds = divmod(
        (elapsed.days * 86_400 + elapsed.seconds) * 1_000_000 + elapsed.microseconds, 1000
    )
    return (milliseconds << 80) | _VERSION | (microseconds << 64)


def new(prefix: Prefix) -> str:
    """Make a fresh id in its wire form."""
    # Nobody has written it before, so it is no use to remember it in the place of one that many know.
    return "".join((prefix, "_", _written(_next())))


def encode(prefix: Prefix, value: UUID) -> str:
    """Return the wire form of an id: ``wal_`` and 26 characters of Crockford's base 32, lower case."""
    return "".join((prefix, "_", _body(value.int)))


def _written(number: int) -> str:
    # Arithmetic on numbers of up to 30 bits is Python's fastest, and one step after the other is faster than a loop.
    pairs, mask = _PAIRS, _PAIR_MASK
    upper, lower = number >> 60, number & _LOWER_MASK
    a, b, c, d = upper >> 30 & _PIECE_MASK, upper & _PIECE_MASK, lower >> 30, lower & _PIECE_MASK
    return "".join((
        pairs[upper >> 60],
        pairs[a >> 20], pairs[a >> 10 & mask], pairs[a & mask],
        pairs[b >> 20], pairs[b >> 10 & mask], pairs[b & mask],
        pairs[c >> 20], pairs[c >> 10 & mask], pairs[c & mask],
        pairs[d >> 20], pairs[d >> 10 & mask], pairs[d & mask],
    ))  # fmt: skip


# What is known to many is written many times: a wallet that is paid into, an entry and all that tells of it.
_body = lru_cache(maxsize=32_768)(_written)


def decode(prefix: Prefix, text: str) -> UUID:
    """Read the wire form of an id.

    One id has one spelling: upper case and look-alike letters are refused, so that ids can be compared as text.

    Raises:
        InvalidIdError: The text has another prefix, a wrong length or character, or more than 128 bits.
    """
    head, separator, body = text.partition("_")
    if head != prefix or not separator:
        raise InvalidIdError(prefix)
    try:
        return _read(body)
    except ValueError:
        raise InvalidIdError(prefix) from None


# What many send is read many times, and what is the same object is found in a table without being compared.
@lru_cache(maxsize=32_768)
def _read(body: str) -> UUID:
    if len(body) != _LENGTH:
        raise ValueError(body)
    # Characters of other scripts can't be encoded (lone surrogates) or have no place in the table: ValueErrors, too.
    number = int(body.encode().translate(_TO_PYTHON), 32)
    if number >> _UUID_BITS:
        raise ValueError(body)
    return _made(number)


def pattern(prefix: Prefix) -> str:
    """Return the regular expression (ECMA 262) that the wire form of such an id matches."""
    # In Python `$` also matches before a newline at the end, which the look-ahead refuses; in ECMA it says nothing new.
    return f"^{prefix.value}_[0-7][{_ALPHABET}]{{25}}$(?!\\n)"
