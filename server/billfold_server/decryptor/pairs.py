"""The pairs of keys to which a tenant's cards are encrypted, as the decryptor knows them.

A public half alone could be written by anybody who can write rows, and what is encrypted to it could then be read by
them. So it is always told from the private half, and that opens only if this deployment has sealed it, for this tenant
and this row, together with its times.
"""

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    derive_private_key,
    generate_private_key,
)

from billfold import ids
from billfold.ids import Prefix
from billfold_server.decryptor import jwe, rules
from billfold_server.decryptor.wire import EncryptionKey, PublicKey, SealedKey
from billfold_server.keys.service import Opener, Place, Sealer

__all__ = ["Opened", "kid_of", "make", "open_pair", "public_key"]

_NUMBER_BYTES: Final = 32


class _Pair(msgspec.Struct, frozen=True, array_like=True):
    """What lies under the seal: the private number, and what it is for."""

    private: bytes
    generation: int
    created_at: datetime
    not_after: datetime

    def __repr__(self) -> str:
        return f"_Pair({self.generation})"


_PAIR: Final = msgspec.msgpack.Decoder(_Pair)


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """A pair that has been opened.

    Attributes:
        kid: Its id, as headers name it.
        key: The private key.
        generation: Counts a tenant's pairs.
        created_at: When it was made.
        not_after: Until when may be encrypted to it.
        opened_at: When it was opened, by ``cvcs.uptime``.
    """

    kid: str
    key: EllipticCurvePrivateKey
    generation: int
    created_at: datetime
    not_after: datetime
    opened_at: float

    def __repr__(self) -> str:
        return f"Opened({self.kid})"


def kid_of(key_id: UUID) -> str:
    """Return a pair's id as headers name it."""
    return ids.encode(Prefix.ENCRYPTION_KEY, key_id)


def _place(key_id: UUID) -> Place:
    return Place("encryption_keys", str(key_id), "sealed_private")


def make(sealer: Sealer, generation: int, now: datetime) -> EncryptionKey:
    """Return a new pair, as its row will have it."""
    number = generate_private_key(SECP256R1()).private_numbers().private_value.to_bytes(_NUMBER_BYTES, "big")
    pair = _Pair(number, generation, now, now + rules.LIFE)
    key_id = ids.uuid7()
    return EncryptionKey(
        id=key_id,
        generation=generation,
        sealed_private=sealer.seal(_place(key_id), msgspec.msgpack.encode(pair)),
        created_at=pair.created_at,
        not_after=pair.not_after,
    )


def open_pair(opener: Opener, sealed: SealedKey, opened_at: float) -> Opened:
    """Return a pair that this deployment has sealed for this tenant and row.

    Raises:
        SealBroken: It hasn't.
        msgspec.MsgspecError: It has sealed something else there.
    """
    assert sealed.sealed_private is not None
    pair = _PAIR.decode(opener.open(_place(sealed.id), sealed.sealed_private))
    return Opened(
        kid=kid_of(sealed.id),
        key=derive_private_key(int.from_bytes(pair.private, "big"), SECP256R1()),
        generation=pair.generation,
        created_at=pair.created_at,
        not_after=pair.not_after,
        opened_at=opened_at,
    )


def public_key(opened: Opened) -> PublicKey:
    """Return the public half as others are shown it."""
    jwk = jwe.jwk_of(opened.key.public_key())
    return PublicKey(jwk={**jwk, "kid": opened.kid, "use": "enc", "alg": "ECDH-ES"}, not_after=opened.not_after)
