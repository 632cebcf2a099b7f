"""Keyset pages: opaque cursors that nobody but this server can make.

A cursor holds the sort key of the last row that was shown. It is authenticated with a keyed MAC over the list's kind,
the tenant and the values, so a cursor that was altered, or that belongs to another list or tenant, is refused before
any query sees it.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from typing import Annotated, Final
from uuid import UUID

import msgspec
from msgspec import Meta

from billfold import errors, ids

__all__ = ["DEFAULT_LIMIT", "MAX_LIMIT", "Cursor", "CursorValue", "Cursors", "Limit", "decode_cursor", "encode_cursor"]

DEFAULT_LIMIT: Final = 25
MAX_LIMIT: Final = 100

CursorValue = str | int | None
"""What a sort key may be made of. Ids and times travel as text."""

Limit = Annotated[int, Meta(ge=1, le=MAX_LIMIT, description="How many items the page has at most.")]
Cursor = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=1000,
        pattern=r"^[A-Za-z0-9_-]+$(?!\n)",
        description="Where the page begins: ``next_cursor`` of the page before.",
    ),
]

_TAG_BYTES = 16
_VALUES = msgspec.json.Decoder(list[CursorValue])


def _tag(key: bytes, kind: str, payload: bytes) -> bytes:
    # The length of the kind goes first, so that no kind and payload can be read as another pair.
    message = len(kind.encode()).to_bytes(2, "big") + kind.encode() + payload
    return hmac.new(key, message, hashlib.sha256).digest()[:_TAG_BYTES]


def encode_cursor(key: bytes, kind: str, values: Sequence[CursorValue]) -> str:
    """Return the cursor that continues the list ``kind`` after the row whose sort key is ``values``."""
    payload = msgspec.json.encode(list(values))
    return base64.urlsafe_b64encode(_tag(key, kind, payload) + payload).rstrip(b"=").decode()


def decode_cursor(key: bytes, kind: str, text: str) -> list[CursorValue]:
    """Return the sort key that a cursor holds.

    Raises:
        errors.InvalidCursor: This server didn't make it, or it made it for another list.
    """
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise errors.InvalidCursor(param="cursor") from None
    tag, payload = raw[:_TAG_BYTES], raw[_TAG_BYTES:]
    if not hmac.compare_digest(tag, _tag(key, kind, payload)):
        raise errors.InvalidCursor(param="cursor")
    return _VALUES.decode(payload)


class Cursors:
    """Makes and reads the cursors of one tenant."""

    def __init__(self, key: bytes, owner: str) -> None:
        self._key = key
        self._owner = owner

    def encode(self, kind: str, values: Sequence[CursorValue]) -> str:
        """Return the cursor that continues the tenant's list ``kind`` after ``values``."""
        return encode_cursor(self._key, f"{self._owner}/{kind}", values)

    def decode(self, kind: str, text: str | None) -> list[CursorValue] | None:
        """Return the sort key that a cursor holds, or None where the list begins.

        Raises:
            errors.InvalidCursor: This server didn't make it, or it made it for another list or tenant.
        """
        return None if text is None else decode_cursor(self._key, f"{self._owner}/{kind}", text)

    def decode_id(self, kind: str, text: str | None, prefix: ids.Prefix) -> UUID | None:
        """Return the id that a cursor holds, as it does in a list that is sorted by ids, or None where the list begins.

        Raises:
            errors.InvalidCursor: This server didn't make it, or it made it for another list or tenant.
        """
        values = self.decode(kind, text)
        return None if values is None else ids.decode(prefix, str(values[0]))
