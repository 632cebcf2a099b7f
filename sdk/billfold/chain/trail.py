"""The chain of an audit trail: what its records say as texts, and its links. Everything here is pure.

A trail has two kinds of record: its own, and the transfers, top-ups and withdrawals whose rows say themselves who
ordered them. They are *sealed* some time after they were committed. Each sealing adds a link, whose tree has the leaf
of the *seal* first, which says what the link holds, and then those of the trail's own records in order of id.

The texts frame what people may have written by its length in bytes of UTF-8 (``5:staff``), so that no text can be read
in two ways; what is absent is ``-``.
"""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any, ClassVar, Final
from uuid import UUID

from billfold.chain.links import NOTHING, Head, Link, leaf

__all__ = [
    "ID_BYTES",
    "MOST_RECORDS",
    "TRAIL_START",
    "TrailHead",
    "TrailLink",
    "audit_record_leaf",
    "audit_record_text",
    "canonical_facts",
    "join_ids",
    "ordered_leaf",
    "ordered_text",
    "seal_leaf",
    "seal_text",
    "split_ids",
]

ID_BYTES: Final = 16
MOST_RECORDS: Final = 1_000
"""How many records a link holds at most: those of the lowest ids, and fewer only where there were no more."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class TrailLink(Link, frozen=True):
    """A link of an audit trail's chain."""

    word: ClassVar[str] = "audit link"


class TrailHead(Head, frozen=True):
    """The newest link of an audit trail's chain, as ``Head`` is of a ledger's."""

    link_type: ClassVar[type[Link]] = TrailLink


TRAIL_START: Final = TrailHead(number=0, hash=NOTHING)
"""The head of a trail of which nothing is sealed."""


def audit_record_text(
    *,
    id: UUID,
    actor: str,
    action: str,
    object_id: str,
    reason: str | None,
    request_id: str | None,
    facts: str | bytes,
    recorded_at: datetime,
    salt: bytes,
) -> str:
    """Return the text of an audit record.

    Args:
        id: Its id.
        actor: Who did it.
        action: What was done.
        object_id: With what.
        reason: Why.
        request_id: In which request.
        facts: What else is known, as a JSON object in any spelling.
        recorded_at: When it was written.
        salt: 16 random bytes of this record's own, which go with it.

    Raises:
        ValueError: The facts are no JSON.
        RecursionError: They nest too deep.
    """
    texts = "\n".join(map(_framed, (actor, action, object_id, reason, request_id, canonical_facts(facts))))
    recorded = (recorded_at - _EPOCH) // _MICROSECOND
    return f"audit record\n{salt.hex()}\n{id.hex}\n{recorded}\n{texts}"


def audit_record_leaf(
    *,
    id: UUID,
    actor: str,
    action: str,
    object_id: str,
    reason: str | None,
    request_id: str | None,
    facts: str | bytes,
    recorded_at: datetime,
    salt: bytes,
) -> bytes:
    """Return the leaf of an audit record: the hash of what ``audit_record_text`` says."""
    return leaf(
        audit_record_text(
            id=id,
            actor=actor,
            action=action,
            object_id=object_id,
            reason=reason,
            request_id=request_id,
            facts=facts,
            recorded_at=recorded_at,
            salt=salt,
        )
    )


def ordered_text(*, kind: str, id: UUID, actor: str, request_id: str | None) -> str:
    """Return the text of who ordered a transfer, top-up or withdrawal.

    When it was recorded its id says (``billfold.ids.instant_of``), and the rest of it the ledger's chain.

    Args:
        kind: ``transfer``, ``top_up`` or ``withdrawal``.
        id: Its id.
        actor: Who ordered it.
        request_id: In which request.
    """
    return f"audit transfer\n{id}\n{_framed(actor)}\n{_framed(request_id)}\n{kind}"


def ordered_leaf(*, kind: str, id: UUID, actor: str, request_id: str | None) -> bytes:
    """Return the leaf of who ordered a transfer: the hash of what ``ordered_text`` says."""
    return leaf(ordered_text(kind=kind, id=id, actor=actor, request_id=request_id))


def seal_text(*, record_ids: bytes, ordered: bytes, ordered_to: UUID | None) -> str:
    """Return the text of a seal, which says what its link holds.

    Args:
        record_ids: What ``join_ids`` returned of the link's own records, in order.
        ordered: The leaves of the transfers in it, end to end and in order of id.
        ordered_to: The newest transfer that is sealed by this link or one before; absent where there is none.
    """
    return (
        f"audit seal\n{len(record_ids) // ID_BYTES}\n{sha256(record_ids).hexdigest()}\n{len(ordered)}\n"
        f"{sha256(ordered).hexdigest()}\n{'-' if ordered_to is None else ordered_to}"
    )


def seal_leaf(*, record_ids: bytes, ordered: bytes, ordered_to: UUID | None) -> bytes:
    """Return the leaf of a seal: the hash of what ``seal_text`` says."""
    return leaf(seal_text(record_ids=record_ids, ordered=ordered, ordered_to=ordered_to))


def join_ids(ids: list[UUID]) -> bytes:
    """Return ids end to end, 16 bytes each."""
    return b"".join(each.bytes for each in ids)


def split_ids(joined: bytes) -> list[UUID]:
    """Return ids one by one; what is cut off at the end is none."""
    return [UUID(bytes=bytes(joined[at : at + ID_BYTES])) for at in range(0, len(joined) - ID_BYTES + 1, ID_BYTES)]


def canonical_facts(facts: str | bytes) -> str:
    """Return a JSON document in the one spelling that is hashed.

    Members are sorted by name, there are no blanks, texts escape what JSON makes them escape, and a number is its
    digits without zeros at the end, ``e`` and an exponent: 1.50 and 15e-1 are both ``15e-1``. Nothing is rounded.

    Raises:
        ValueError: It is no JSON.
        RecursionError: It nests too deep.
    """
    return _spelled(json.loads(facts, parse_int=Decimal, parse_float=Decimal, parse_constant=_refuse_constant))


def _spelled(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{_quoted(name)}:{_spelled(value[name])}" for name in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_spelled, value)) + "]"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, Decimal):
        return _number(value)
    return "null" if value is None else "true" if value else "false"


def _number(value: Decimal) -> str:
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int), "JSON has no number that isn't finite"
    written = "".join(map(str, digits))
    kept = written.rstrip("0")
    # Zero has neither a sign nor an exponent.
    return f"{'-' if sign else ''}{kept}e{exponent + len(written) - len(kept)}" if kept else "0"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _framed(text: str | None) -> str:
    return "-" if text is None else f"{len(text.encode())}:{text}"
