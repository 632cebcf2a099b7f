"""Identifiers: UUIDv7 inside, a registered prefix and 26 Crockford characters on the wire.

A UUIDv7 (RFC 9562, section 5.7) starts with the time, so rows made together lie together in an index. The prefix says
what an id names before anyone looks it up, and lets a wrong kind of id be refused without a query.
"""

import os
import threading
import time
from enum import StrEnum
from uuid import UUID

__all__ = ["InvalidIdError", "Prefix", "decode", "encode", "new", "pattern", "uuid7"]

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ".lower()
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_LENGTH = 26
_BITS_PER_CHARACTER = 5
_UUID_BITS = 128


class Prefix(StrEnum):
    """The registry of id prefixes: one for each kind of object that has an id on the wire."""

    ACCOUNT = "acc"
    ALIAS = "als"
    AUDIT_RECORD = "aud"
    CLIENT = "cli"
    EVENT = "evt"
    HOLD = "hld"
    JOB = "job"
    JOURNAL_ENTRY = "jrn"
    PARTY = "par"
    REQUEST = "req"
    SIGNING_KEY = "key"
    STATEMENT_ENTRY = "ste"
    STATEMENT_IMPORT = "sti"
    TENANT = "ten"
    TOP_UP = "top"
    TRANSFER = "trf"
    WALLET = "wal"
    WITHDRAWAL = "wdr"


class InvalidIdError(ValueError):
    """A text isn't an id of the kind that was asked for.

    Attributes:
        expected: The prefix that was asked for.
    """

    def __init__(self, expected: Prefix) -> None:
        super().__init__(f"expected an id that begins with {expected}_")
        self.expected = expected


_lock = threading.Lock()
_last = 0
_RANDOM_BITS = 74
_RANDOM_MASK = (1 << _RANDOM_BITS) - 1
_MILLISECONDS_SHIFT = _RANDOM_BITS
_NANOSECONDS_PER_MILLISECOND = 1_000_000
_RANDOM_B_BITS = 62


def uuid7(now_ms: int | None = None) -> UUID:
    """Make a UUIDv7 that is greater than every one made before it in this process.

    Within one millisecond the random part counts up by a random step (RFC 9562, section 6.2, method 2), so order of
    creation is order of id even in a batch.

    Args:
        now_ms: Milliseconds since the Unix epoch; the machine's clock where absent.
    """
    global _last  # noqa: PLW0603 - the order of ids is a property of the process
    milliseconds = time.time_ns() // _NANOSECONDS_PER_MILLISECOND if now_ms is None else now_ms
    entropy = int.from_bytes(os.urandom(10), "big")
    with _lock:
        fresh = (milliseconds << _MILLISECONDS_SHIFT) | (entropy & _RANDOM_MASK)
        step = 1 + (entropy & 0xFFFF_FFFF)
        _last = fresh if (fresh >> _MILLISECONDS_SHIFT) > (_last >> _MILLISECONDS_SHIFT) else _last + step
        value = _last
    milliseconds, random = value >> _MILLISECONDS_SHIFT, value & _RANDOM_MASK
    random_a, random_b = random >> _RANDOM_B_BITS, random & ((1 << _RANDOM_B_BITS) - 1)
    return UUID(int=(milliseconds << 80) | (0x7 << 76) | (random_a << 64) | (0b10 << 62) | random_b)


def new(prefix: Prefix) -> str:
    """Make a fresh id in its wire form."""
    return encode(prefix, uuid7())


def encode(prefix: Prefix, value: UUID) -> str:
    """Return the wire form of an id: ``wal_`` and 26 characters of Crockford's base 32, lower case."""
    number = value.int
    characters = [
        _ALPHABET[(number >> shift) & 0x1F]
        for shift in range(_BITS_PER_CHARACTER * (_LENGTH - 1), -1, -_BITS_PER_CHARACTER)
    ]
    return f"{prefix.value}_{''.join(characters)}"


def decode(prefix: Prefix, text: str) -> UUID:
    """Read the wire form of an id.

    One id has one spelling: upper case and look-alike letters are refused, so that ids can be compared as text.

    Raises:
        InvalidIdError: The text has another prefix, a wrong length or character, or more than 128 bits.
    """
    head, separator, body = text.partition("_")
    if head != prefix.value or not separator or len(body) != _LENGTH:
        raise InvalidIdError(prefix)
    number = 0
    for character in body:
        value = _VALUES.get(character)
        if value is None:
            raise InvalidIdError(prefix)
        number = (number << _BITS_PER_CHARACTER) | value
    if number >> _UUID_BITS:
        raise InvalidIdError(prefix)
    return UUID(int=number)


def pattern(prefix: Prefix) -> str:
    """Return the regular expression (ECMA 262) that the wire form of such an id matches."""
    return f"^{prefix.value}_[0-7][{_ALPHABET}]{{25}}$"
