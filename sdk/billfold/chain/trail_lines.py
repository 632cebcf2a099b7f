"""The lines of an audit trail's export, one Struct for each kind.

An export is a text of JSON lines (UTF-8), spelled as those of a ledger (``billfold.chain.records``), in this order:

1. ``trail``: what the trail says of itself.
2. Each ``seal``, which is a link of the chain, and after it what it holds: its ``audit_record`` lines in order of id,
   then its ``ordered`` lines, one for each transfer, in order of id.
3. Records and transfers that no link holds.
4. ``end``: how many lines of each kind came before.
"""

from typing import Final, TypeAlias
from uuid import UUID

import msgspec

from billfold.chain.lines import Line, Time, read_line
from billfold.chain.links import StoredLink
from billfold.chain.trail import audit_record_leaf, ordered_leaf

__all__ = [
    "TRAIL_FORMAT",
    "AuditRecordLine",
    "OrderedLine",
    "SealLine",
    "TrailEndLine",
    "TrailHeadLine",
    "TrailLine",
    "encode_trail_line",
    "read_trail_line",
]

TRAIL_FORMAT: Final = "billfold.audit/1"
"""The version of these lines."""


class TrailHeadLine(Line, frozen=True, kw_only=True, tag="trail"):
    """What a trail says of itself, as its head's row has it.

    Attributes:
        format: ``billfold.audit/1``.
        tenant: The tenant's slug; absent where the trail is the platform's.
        number: The newest link's number.
        hash: Its hash.
        skips: What the next link needs of those before.
        sealed_at: When it was sealed; where there is none, when the trail began.
        ordered_to: The newest transfer that is sealed.
        oldest: The id of the oldest record that is there.
    """

    format: str
    tenant: str | None
    number: int
    hash: bytes
    skips: bytes
    sealed_at: Time
    ordered_to: UUID | None
    oldest: UUID | None


class SealLine(Line, frozen=True, kw_only=True, tag="seal"):
    """A link of the chain; what it holds are the lines that follow.

    Attributes:
        number: From 1 on, without gaps.
        sealed_at: When it was made.
        leaves: The leaves of its seal and of its records, 32 bytes each.
        record_ids: The ids of its records, 16 bytes each.
        ordered: The leaves of the transfers that it holds.
        ordered_to: The newest transfer that this link or one before holds.
        hash: Its hash.
    """

    number: int
    sealed_at: Time
    leaves: bytes
    record_ids: bytes
    ordered: bytes
    ordered_to: UUID | None
    hash: bytes

    def stored(self) -> StoredLink:
        """Return the link as the chain knows it."""
        return StoredLink(self.number, self.sealed_at, self.leaves, self.hash)


class AuditRecordLine(Line, frozen=True, kw_only=True, tag="audit_record"):
    """A record of the trail.

    Attributes:
        facts: A JSON object, in any spelling.
        link: The link that it says it is in; absent where it isn't sealed.
        salt: What keeps its leaf from being guessed; empty where it isn't sealed.
    """

    id: UUID
    actor: str
    action: str
    object_id: str
    reason: str | None
    request_id: str | None
    facts: msgspec.Raw
    recorded_at: Time
    link: int | None
    salt: bytes

    def leaf(self) -> bytes:
        """Return its leaf.

        Raises:
            ValueError: Its facts are no JSON.
            RecursionError: They nest too deep.
        """
        return audit_record_leaf(
            id=self.id,
            actor=self.actor,
            action=self.action,
            object_id=self.object_id,
            reason=self.reason,
            request_id=self.request_id,
            facts=bytes(self.facts),
            recorded_at=self.recorded_at,
            salt=self.salt,
        )


class OrderedLine(Line, frozen=True, kw_only=True, tag="ordered"):
    """Who ordered a transfer, top-up or withdrawal, as its own row says."""

    kind: str
    id: UUID
    actor: str
    request_id: str | None
    recorded_at: Time

    def leaf(self) -> bytes:
        """Return its leaf."""
        return ordered_leaf(kind=self.kind, id=self.id, actor=self.actor, request_id=self.request_id)


class TrailEndLine(Line, frozen=True, kw_only=True, tag="end"):
    """How many lines of each kind came before, so that an export that was cut short shows."""

    counts: dict[str, int]


TrailLine: TypeAlias = TrailHeadLine | SealLine | AuditRecordLine | OrderedLine | TrailEndLine
"""Any line of an export."""

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[TrailLine] = msgspec.json.Decoder(TrailLine)


def encode_trail_line(line: TrailLine) -> bytes:
    """Return a line without its end."""
    return _encoder.encode(line)


def read_trail_line(line: bytes | str) -> TrailLine:
    """Read a line.

    Raises:
        msgspec.DecodeError: It is no JSON, no such line, or one with members that it can't have, or has twice.
        UnicodeDecodeError: It is no UTF-8.
    """
    # Facts are written as they were read, twins and all.
    return read_line(line, _decoder)
