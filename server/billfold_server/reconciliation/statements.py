"""Reading bank statement files: bytes in, one neutral model out, or a refusal that says where and why.

Nothing here looks at the outside: no files, no clock, no database. Posting what was read is the business of the room's
service.
"""

import re
from typing import Final

from billfold.errors import StatementUnreadable
from billfold_server.reconciliation import camt053, mt940
from billfold_server.reconciliation.model import (
    BOOKED,
    Balance,
    Statement,
    StatementEntry,
    unreadable,
    with_dedup_keys,
)

__all__ = [
    "BOOKED",
    "DEFAULT_MAX_BYTES",
    "Balance",
    "Statement",
    "StatementEntry",
    "StatementUnreadable",
    "read_statements",
]

DEFAULT_MAX_BYTES: Final = 16 * 1024 * 1024
"""The largest file read unless the caller says otherwise: some twenty thousand entries of camt.053."""

_SNIFFED = 4096
_BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_UTF_16_XML = (b"\xff\xfe<\x00", b"\xfe\xff\x00<", b"<\x00?\x00", b"\x00<\x00?")

_OFX = re.compile(rb"\A(?:OFXHEADER|(?:<\?xml[^>]*\?>\s*)?<(?:\?OFX\b|OFX>))", re.IGNORECASE)
_OTHERS: Final = (
    (_OFX, "OFX"),
    (re.compile(rb"\A01,[^,\r\n]*,[^,\r\n]*,[0-9]{6},"), "BAI2"),
    (re.compile(rb"\A101[ 0-9][0-9]{9}"), "NACHA"),
    (re.compile(rb"\A!(?:Type|Account|Option)", re.IGNORECASE), "QIF"),
    (re.compile(rb"\APK\x03\x04"), "ZIP"),
    (re.compile(rb"\A%PDF-"), "PDF"),
    (re.compile(rb"\A[^\r\n<:{]*(?:,[^\r\n,]*,|;[^\r\n;]*;|\t[^\r\n\t]*\t)"), "CSV"),
)
"""How the formats begin that aren't read, so that a refusal can name them. The order matters: BAI2 has commas too."""

_MT940_FIELD = re.compile(rb"^:[0-9]{2}[A-Z]?:", re.IGNORECASE | re.MULTILINE)
_SWIFT_HEADER = re.compile(rb"\A[\x01\s]*\{1:")


def read_statements(data: bytes, *, max_bytes: int = DEFAULT_MAX_BYTES, dedup_secret: bytes = b"") -> list[Statement]:
    """Read all statements of a camt.053 or MT940 file.

    The format is found in the contents, as file names and media types of bank files can't be trusted. A file is read
    whole or refused whole: half a statement would be money lost.

    Args:
        data: The file as the bank sent it.
        max_bytes: A file above this size is refused before anything is parsed.
        dedup_secret: The tenant's own key for the entries' dedup keys, at most 64 bytes; see ``model.with_dedup_keys``.

    Returns:
        The statements in the file's order, at least one. Whether a statement's arithmetic closes is its own verdict,
        and no reason to refuse it.

    Raises:
        StatementUnreadable: Not a statement file, or a broken one; ``line`` and ``reason`` say where and why.
    """
    if len(data) > max_bytes:
        raise unreadable(None, f"the file has {len(data)} bytes, and at most {max_bytes} are read")
    head = data
    for mark in _BYTE_ORDER_MARKS:
        head = head.removeprefix(mark)
    head = head.lstrip()[:_SNIFFED]
    if not head:
        raise unreadable(None, "the file is empty")
    return with_dedup_keys(_read(data, head), dedup_secret)


def _read(data: bytes, head: bytes) -> list[Statement]:
    # OFX may begin like any XML, so it is told apart first; no other format can be mistaken for those read here.
    is_ofx = _OFX.match(head) is not None
    if not is_ofx and (head.startswith(b"<") or data.startswith(_UTF_16_XML)):
        return camt053.read(data)
    if not is_ofx and (_SWIFT_HEADER.match(head) or _MT940_FIELD.search(data)):
        return mt940.read(data)
    named = next((name for pattern, name in _OTHERS if pattern.match(head)), None)
    if named:
        raise unreadable(1, f"the format is {named}, and only camt.053 and MT940 statements are read")
    raise unreadable(1, "this is neither a camt.053 nor an MT940 file")
