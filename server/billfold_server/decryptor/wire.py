"""What the decryptor and its clients say to each other: Structs in MessagePack, each frame with its length before it.

A frame from a client is ``[number, patience_ms, order]``, one from the decryptor ``[number, answer]``. Answers come in
any order; the number says to which order one belongs.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from billfold_server.decryptor.rules import KeyTimes
from billfold_server.keys.service import Fingerprint
from billfold_server.tenancy.manifest import CardField

__all__ = [
    "CODES",
    "MOST_BYTES",
    "MOST_ITEMS",
    "Answer",
    "EncryptionKey",
    "Failed",
    "Fingerprints",
    "FingerprintsMade",
    "GiveOut",
    "Given",
    "GivenOut",
    "Incoming",
    "Kind",
    "MakeKey",
    "Order",
    "Outgoing",
    "PublicKey",
    "PublicKeys",
    "PublicKeysShown",
    "Refingerprint",
    "Refused",
    "SealedKey",
    "Status",
    "StatusTold",
    "TakeIn",
    "Taken",
    "TakenIn",
    "decode_answer",
    "decode_order",
    "encode",
]

MOST_BYTES: Final = 4 * 1024 * 1024
"""The largest frame."""

MOST_ITEMS: Final = 128
"""How many items one order may hold; what is more goes in several, between which others get their turn."""

Kind = Literal["card", "bank_account", "personal"]

CODES: Final = frozenset(
    {
        "bank_account_invalid",
        "card_brand_unknown",
        "card_cvc_invalid",
        "card_expired",
        "card_expiry_invalid",
        "card_holder_invalid",
        "card_number_invalid",
        "encryption_key_expired",
        "encryption_key_unknown",
        "jwe_invalid",
        "personal_value_invalid",
        "response_key_invalid",
        "response_key_required",
        "token_forgotten",
        "token_unreadable",
    }
)
"""Every code that ``Refused`` can have; each is one of ``billfold.errors``."""


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """Why nothing was done with an item.

    Attributes:
        code: One of ``CODES``; never anything of what was sent.
    """

    code: str


class Incoming(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be kept under a vault token.

    Attributes:
        token_id: The token's id, to which the sealed value is bound.
        kind: What it is. A card comes as a JWE alone.
        subject: The party under whose key it is sealed; ``TENANT_SUBJECT`` for nobody in particular.
        personal_type: As the manifest declares it, for personal values.
        jwe: A compact JWE to one of the tenant's encryption keys: a card's or an account's fields, or a personal
            ``{"value": …}``.
        plain: Instead of it, an account as JSON, or a personal value in UTF-8.
    """

    token_id: UUID
    kind: Kind
    subject: UUID
    personal_type: str | None = None
    jwe: str | None = None
    plain: bytes | None = None

    def __repr__(self) -> str:
        return f"Incoming({self.token_id}, {self.kind})"


class Taken(msgspec.Struct, frozen=True, kw_only=True, tag="taken"):
    """What was made of it.

    Attributes:
        sealed: The value, to be kept in ``vault_tokens.value`` of the row ``token_id``.
        masked: What may be shown of it: ``brand``, ``bin``, ``last4``, ``expiry_month`` and ``expiry_year`` of a card,
            ``country`` and ``last4`` of an account, nothing of anything else.
        fingerprints: Of the value without what changes about it (expiry, holder), under every version of the key that
            is in use, newest first.
        has_cvc: Whether a card's code is kept, for one authorization within minutes.
    """

    sealed: bytes
    masked: dict[str, str | int]
    fingerprints: list[Fingerprint]
    has_cvc: bool = False


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be given out.

    Attributes:
        token_id: The token's id.
        kind: What it is; another than it was taken in as is refused.
        sealed: As ``Taken`` had it.
        response_jwk: The caller's public key (P-256). Without one, a card isn't given out.
        with_cvc: Whether the card's code goes with it, if it is still there; it is forgotten with that.
        fields: What of a card is told; None is everything but the code.
    """

    token_id: UUID
    kind: Kind
    sealed: bytes
    response_jwk: dict[str, Any] | None = None
    with_cvc: bool = False
    fields: Sequence[CardField] | None = None


class Given(msgspec.Struct, frozen=True, kw_only=True, tag="given"):
    """A value on its way out: encrypted to the caller's key, or plain where there was none.

    Attributes:
        jwe: A compact JWE; its payload is JSON as it came in, with the token's id.
        plain: An account as JSON, or a personal value in UTF-8.
    """

    jwe: str | None = None
    plain: bytes | None = None

    def __repr__(self) -> str:
        return "Given(…)"


class PublicKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key to which cards are encrypted.

    Attributes:
        jwk: ``kty, crv, x, y`` with ``kid``, ``use`` and ``alg``.
        not_after: Until when it may be used.
    """

    jwk: dict[str, str]
    not_after: datetime


class EncryptionKey(msgspec.Struct, frozen=True, kw_only=True, tag="encryption_key"):
    """A new pair of keys, its private half sealed, as its row has it."""

    id: UUID
    generation: int
    sealed_private: bytes
    created_at: datetime
    not_after: datetime


class SealedKey(msgspec.Struct, frozen=True, array_like=True):
    """A pair of keys as a client knows it: the private half is None where it was deleted after its time."""

    id: UUID
    sealed_private: bytes | None


# Orders.


class MakeKey(msgspec.Struct, frozen=True, tag="make_key"):
    """Make a pair of keys."""

    tenant_id: UUID
    generation: int


class PublicKeys(msgspec.Struct, frozen=True, tag="public_keys"):
    """Show the public halves of those pairs that are the tenant's own and may be used now."""

    tenant_id: UUID
    keys: list[SealedKey]


class TakeIn(msgspec.Struct, frozen=True, tag="take_in"):
    """Open, check and seal."""

    tenant_id: UUID
    issuer: str
    keys: list[SealedKey]
    items: list[Incoming]


class GiveOut(msgspec.Struct, frozen=True, tag="give_out"):
    """Open, and encrypt to who asks."""

    tenant_id: UUID
    items: list[Outgoing]


class Fingerprints(msgspec.Struct, frozen=True, tag="fingerprints"):
    """Make the fingerprints of values to look for."""

    tenant_id: UUID
    issuer: str
    keys: list[SealedKey]
    kind: Kind
    values: list[str]
    personal_type: str | None = None

    def __repr__(self) -> str:
        return f"Fingerprints({self.kind})"


class Refingerprint(msgspec.Struct, frozen=True, tag="refingerprint"):
    """Make the fingerprints of values that are sealed already."""

    tenant_id: UUID
    items: list[Outgoing]


class Status(msgspec.Struct, frozen=True, tag="status"):
    """Say how things are."""


Order = MakeKey | PublicKeys | TakeIn | GiveOut | Fingerprints | Refingerprint | Status

# Answers.


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The order as a whole failed.

    Attributes:
        code: ``keys_unavailable`` or ``internal_error``.
        reason: For logs: ``overloaded``, ``timeout``, or what the key service says.
        retry_after_s: When to come back.
    """

    code: str
    reason: str = ""
    retry_after_s: int = 1


class PublicKeysShown(msgspec.Struct, frozen=True, tag="public_keys"):
    """Current first; and the times of all that open, for who decides whether another is due."""

    keys: list[PublicKey]
    times: list[KeyTimes]


class TakenIn(msgspec.Struct, frozen=True, tag="taken_in"):
    """One for each item."""

    results: list[Taken | Refused]


class GivenOut(msgspec.Struct, frozen=True, tag="given_out"):
    """One for each item."""

    results: list[Given | Refused]


class FingerprintsMade(msgspec.Struct, frozen=True, tag="fingerprints"):
    """Those of each value, newest version of the key first; an empty list where there can't be such a value."""

    results: list[list[Fingerprint] | Refused]


class StatusTold(msgspec.Struct, frozen=True, kw_only=True, tag="status"):
    """How things are.

    Attributes:
        pid: The process.
        cvcs: How many codes are kept.
        cvcs_locked: Whether they stay out of the swap.
        memory_locked: Whether all of the process does.
        waiting: How many items are under way.
        spent: By kind of order: how many items were worked on, and the processor's seconds for them.
        keys: Why the keys of cards are out of reach; None where they aren't.
        vault_calls: What Vault was asked, how it went, and how often, since somebody was told last.
    """

    pid: int
    cvcs: int
    cvcs_locked: bool
    memory_locked: bool
    waiting: int
    spent: dict[str, tuple[int, float]]
    keys: str | None = None
    vault_calls: list[tuple[str, str, int]] = []


Answer = EncryptionKey | Failed | PublicKeysShown | TakenIn | GivenOut | FingerprintsMade | StatusTold

_ORDER: Final = msgspec.msgpack.Decoder(tuple[int, int, Order])
_ANSWER: Final = msgspec.msgpack.Decoder(tuple[int, Answer])
_ENCODER: Final = msgspec.msgpack.Encoder()


def decode_order(frame: bytes) -> tuple[int, int, Order]:
    """Return the number, the patience in milliseconds and the order of a frame.

    Raises:
        msgspec.MsgspecError: It is none.
    """
    return _ORDER.decode(frame)


def decode_answer(frame: bytes) -> tuple[int, Answer]:
    """Return the number and the answer of a frame.

    Raises:
        msgspec.MsgspecError: It is none.
    """
    return _ANSWER.decode(frame)


def encode(*parts: Any) -> bytes:
    """Return a frame with its length before it."""
    frame = _ENCODER.encode(parts)
    return len(frame).to_bytes(4, "big") + frame
