"""Codes by which people enrol: easy to type, used once, and kept as digests alone.

Whoever runs the platform enrols by a code of which two others have half each. What is kept of it follows from the
digests of both halves, in whatever order, so that the second half can be made when the first one's text is gone.
"""

import secrets
from typing import Final

from billfold_server.people.desk import digest_of

__all__ = ["digest_of_halves", "digest_of_typed", "new_code"]

_BYTES: Final = 20
_LENGTH: Final = 32
"""Twenty random bytes are so many characters of base 32: easy to type, and nothing in them needs quoting."""
_CROCKFORD: Final = "0123456789abcdefghjkmnpqrstvwxyz"


def new_code() -> str:
    """Make a code, or half of one."""
    number = int.from_bytes(secrets.token_bytes(_BYTES), "big")
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(_BYTES * 8 - 5, -1, -5))


def digest_of_halves(one: bytes, other: bytes) -> bytes:
    """Return what is kept of a code, from the digests of its halves."""
    return digest_of("".join(each.hex() for each in sorted((one, other))))


def digest_of_typed(code: str) -> bytes:
    """Return what would be kept of what somebody has typed: a code, or both halves of one."""
    if len(code) == 2 * _LENGTH:
        return digest_of_halves(digest_of(code[:_LENGTH]), digest_of(code[_LENGTH:]))
    return digest_of(code)
