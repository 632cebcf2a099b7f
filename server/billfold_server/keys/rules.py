"""What is sealed, and how: the keys' hierarchy as pure functions of bytes.

A tenant's key lies in a backend and never leaves it. It wraps the keys of epochs; an epoch's key wraps those of its
subjects, the persons and companies to whom data belongs; a subject's key seals records. Each step is AES-256-GCM, and
each binds what it seals to its place by associated data, so that nothing opens anywhere but where it was put.

A sealed record is: one byte for the version of this form, the id of the key (16), the nonce (12), and the ciphertext
with its tag (16).
"""

import base64
from typing import Final, Literal
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

__all__ = [
    "DOMAINS",
    "KEY_BYTES",
    "MOST_SEALS",
    "NONCE_BYTES",
    "OVERHEAD_BYTES",
    "TENANT_SUBJECT",
    "Domain",
    "Place",
    "SealBroken",
    "bound",
    "bound_epoch",
    "bound_purpose_key",
    "bound_record",
    "bound_subject_key",
    "derive",
    "fingerprint",
    "key_id_of",
    "open_record",
    "seal",
    "seal_record",
    "unseal",
]

Domain = Literal["data", "cards"]
"""Whose keys: ``data`` is what the workers of the API may open, ``cards`` what the decryptor alone may."""

DOMAINS: Final[tuple[Domain, ...]] = ("data", "cards")
TENANT_SUBJECT: Final = UUID(int=0)
"""Under whose key lies what belongs to nobody in particular."""

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_ID_BYTES: Final = 16
_VERSION: Final = 1
_HEAD: Final = 1 + _ID_BYTES
_BODY: Final = _HEAD + NONCE_BYTES
OVERHEAD_BYTES: Final = _BODY + _TAG_BYTES
"""By how many bytes a sealed record is longer than what is in it."""

MOST_SEALS: Final = 2**31
"""How much one key may seal. Random nonces allow 2^32 texts (NIST SP 800-38D, section 8.3); this is half of them."""


class SealBroken(Exception):
    """What was sealed can't be opened: another key, another place or owner, or it was changed."""


class Place(msgspec.Struct, frozen=True):
    """Where a sealed value lies. It opens there alone.

    Attributes:
        table: The table's name.
        row: The row's primary key as text.
        column: The column's name.
    """

    table: str
    row: str
    column: str


def bound(*parts: bytes) -> bytes:
    """Return associated data that no other list of parts has: each part with its length before it."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def bound_epoch(tenant_id: UUID, domain: Domain, epoch_id: UUID) -> bytes:
    """Return to what an epoch's key is bound."""
    return bound(b"billfold key epoch", tenant_id.bytes, domain.encode(), epoch_id.bytes)


def bound_subject_key(tenant_id: UUID, domain: Domain, epoch_id: UUID, subject_id: UUID, key_id: UUID) -> bytes:
    """Return to what a subject's wrapped key is bound."""
    return bound(
        b"billfold subject key", tenant_id.bytes, domain.encode(), epoch_id.bytes, subject_id.bytes, key_id.bytes
    )


def bound_purpose_key(
    tenant_id: UUID, domain: Domain, epoch_id: UUID, *, purpose: str, version: int, key_id: UUID
) -> bytes:
    """Return to what the wrapped key of a purpose is bound."""
    return bound(
        b"billfold purpose key",
        tenant_id.bytes,
        domain.encode(),
        epoch_id.bytes,
        purpose.encode(),
        version.to_bytes(4, "big"),
        key_id.bytes,
    )


def bound_record(tenant_id: UUID, domain: Domain, place: Place, key_id: UUID) -> bytes:
    """Return to what a record is bound."""
    return bound(
        b"billfold record",
        bytes([_VERSION]),
        tenant_id.bytes,
        domain.encode(),
        place.table.encode(),
        place.row.encode(),
        place.column.encode(),
        key_id.bytes,
    )


def seal_record(cipher: AESGCM, key_id: UUID, bound_to: bytes, plain: bytes, *, nonce: bytes) -> bytes:
    """Return a record as it lies in the database.

    Args:
        cipher: The subject's key.
        key_id: Its id, which the record names.
        bound_to: From ``bound_record``.
        plain: What to keep.
        nonce: 12 fresh random bytes.
    """
    assert len(nonce) == NONCE_BYTES
    return bytes([_VERSION]) + key_id.bytes + nonce + cipher.encrypt(nonce, plain, bound_to)


def key_id_of(sealed: bytes) -> UUID:
    """Return the id of the key under which a record lies.

    Raises:
        SealBroken: It is no sealed record, or of a form that this version doesn't know.
    """
    if len(sealed) < OVERHEAD_BYTES or sealed[0] != _VERSION:
        raise SealBroken
    return UUID(bytes=bytes(sealed[1:_HEAD]))


def open_record(cipher: AESGCM, bound_to: bytes, sealed: bytes) -> bytes:
    """Return what lies in a record, which ``key_id_of`` has looked at before.

    Raises:
        SealBroken: Key or place is another, or it was changed.
    """
    try:
        return cipher.decrypt(sealed[_HEAD:_BODY], sealed[_BODY:], bound_to)
    except (InvalidTag, ValueError):
        raise SealBroken from None


def derive(secret: bytes, purpose: str, *, salt: bytes | None = None) -> bytes:
    """Return the key for one purpose, from which neither the secret nor another key can be learned (RFC 5869)."""
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=b"billfold " + purpose.encode()).derive(secret)


def seal(key: bytes, plain: bytes, bound_to: bytes, *, nonce: bytes) -> bytes:
    """Return ``plain`` under AES-256-GCM, bound to what it belongs to.

    Args:
        key: 32 bytes.
        plain: What to keep.
        bound_to: Associated data; unsealing needs the same.
        nonce: 12 fresh random bytes. One key seals far less than the 2^32 texts that random nonces allow
            (NIST SP 800-38D, section 8.3).
    """
    assert len(nonce) == NONCE_BYTES
    return nonce + AESGCM(key).encrypt(nonce, plain, bound_to)


def unseal(key: bytes, sealed: bytes, bound_to: bytes) -> bytes:
    """Return what was sealed.

    Raises:
        SealBroken: Key or owner is another, or it was changed.
    """
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound_to)
    except (InvalidTag, ValueError):
        raise SealBroken from None


def fingerprint(secret: bytes) -> str:
    """Return a short name of a secret, from which nothing of it can be learned."""
    return base64.b32encode(derive(secret, "fingerprint")[:5]).decode().lower()
