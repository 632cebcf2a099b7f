"""Opening and making what is encrypted to a key (RFC 7516), with the algorithm always chosen on this side.

One form alone is taken: compact, ECDH-ES with the agreed key used directly, P-256, A256GCM. The header must say exactly
what it has to, once; what it may say in other systems (compression, critical extensions, names of the parties, keys to
be fetched) is refused before anything is computed with it. What is left of the standards is then short enough to stand
here: a library that knows all of their algorithms takes as long again as the curve.

Sources: RFC 7516, sections 5.1 and 5.2; RFC 7518, sections 4.6 (with appendix C) and 5.3; RFC 8725, sections 3.1, 3.2,
3.4 and 3.6.
"""

import base64
import binascii
import hashlib
import re
import secrets
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDH,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from msgspec import Meta

__all__ = [
    "LONGEST",
    "Header",
    "Jwe",
    "JweInvalid",
    "Recipient",
    "ResponseKeyInvalid",
    "jwk_of",
    "open_payload",
    "point_of",
    "public_key",
    "read",
    "seal_payload",
    "split",
]

LONGEST: Final = 8 * 1024
"""In characters; a card is 700 of them."""

_LONGEST_HEADER: Final = 1024
_NUMBER_CHARACTERS: Final = 43
_FORM: Final = re.compile(
    # Header, no encrypted key (RFC 7518, section 4.6), 96 bits of nonce, ciphertext, and all 128 bits of the tag.
    r"([A-Za-z0-9_-]+)\.\.([A-Za-z0-9_-]{16})\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{21}[AQgw])",
    re.ASCII,
)
_WHOLE: Final = {
    0: frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
    1: frozenset(""),
    2: frozenset("AQgw"),
    3: frozenset("AEIMQUYcgkosw048"),
}
"""With which characters base64url may end, by how many are beyond the last four: others hide bits (RFC 4648, 3.5)."""

_CURVE: Final = SECP256R1()
_ECDH: Final = ECDH()
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_OTHER_INFO: Final = b"".join(
    [
        # AlgorithmID is the content's algorithm, for the key is used directly; nobody names the parties.
        *(len(part).to_bytes(4, "big") + part for part in (b"A256GCM", b"", b"")),
        # SuppPubInfo: how many bits the key has.
        (256).to_bytes(4, "big"),
    ]
)
"""What the agreed key is for (RFC 7518, section 4.6.2)."""

_Number = Annotated[str, Meta(min_length=_NUMBER_CHARACTERS, max_length=_NUMBER_CHARACTERS)]


class JweInvalid(Exception):
    """A text is no JWE of the form that is taken here, or doesn't open by the key."""


class ResponseKeyInvalid(Exception):
    """A key isn't one to which is encrypted here."""


class _Point(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    kty: Literal["EC"]
    crv: Literal["P-256"]
    x: _Number
    y: _Number


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a JWE's header says, which is exactly this.

    Attributes:
        alg: How the key was agreed on.
        enc: How the content was encrypted.
        kid: The tenant's key.
        aud: The tenant's issuer, for whom it was made.
        epk: The sender's ephemeral public key.
    """

    alg: Literal["ECDH-ES"]
    enc: Literal["A256GCM"]
    kid: Annotated[str, Meta(min_length=1, max_length=64)]
    aud: Annotated[str, Meta(min_length=1, max_length=512)]
    epk: _Point


class _ResponseKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    kty: Literal["EC"]
    crv: Literal["P-256"]
    x: _Number
    y: _Number
    kid: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    use: Literal["enc"] | None = None
    alg: Literal["ECDH-ES"] | None = None


_HEADER: Final = msgspec.json.Decoder(Header)


class Jwe(msgspec.Struct, frozen=True):
    """A JWE that was taken apart.

    Attributes:
        header: What it says, as far as it was read.
        head: The same as it was sent, which is authentic with the content.
        nonce: 96 bits.
        sealed: The ciphertext with its tag.
    """

    header: Header
    head: bytes
    nonce: bytes
    sealed: bytes


class Recipient(msgspec.Struct, frozen=True):
    """To whom is encrypted.

    Attributes:
        key: The public key.
        kid: By what its owner knows it.
    """

    key: EllipticCurvePublicKey
    kid: str | None = None


def read(text: str) -> Jwe:
    """Return a JWE with what its header says, before anything is decrypted.

    Raises:
        JweInvalid: It is none of the one form.
    """
    head, nonce, sealed = split(text)
    try:
        header = _HEADER.decode(_bytes(head))
    except (binascii.Error, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise JweInvalid from None
    if not (_is_whole(header.epk.x) and _is_whole(header.epk.y)):
        raise JweInvalid
    return Jwe(header, head.encode(), nonce, sealed)


def split(text: str) -> tuple[str, bytes, bytes]:
    """Return a JWE's header as it was sent, its nonce, and its ciphertext with the tag.

    Raises:
        JweInvalid: It isn't compact, or not of such parts.
    """
    match = _FORM.fullmatch(text) if len(text) <= LONGEST else None
    if match is None or len(match[1]) > _LONGEST_HEADER or not all(map(_is_whole, match.groups())):
        raise JweInvalid
    head, nonce, ciphertext, tag = match.groups()
    return head, _bytes(nonce), _bytes(ciphertext) + _bytes(tag)


def _is_whole(text: str) -> bool:
    return text[-1] in _WHOLE[len(text) % 4]


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def open_payload(jwe: Jwe, key: EllipticCurvePrivateKey) -> bytes:
    """Return what a JWE holds.

    Args:
        jwe: From ``read``.
        key: The private key that the header names, chosen on this side.

    Raises:
        JweInvalid: It doesn't open: another key, a point off the curve, or it was changed.
    """
    epk = jwe.header.epk
    try:
        agreed = key.exchange(_ECDH, point_of(epk.x, epk.y))
        return _cipher(agreed).decrypt(jwe.nonce, jwe.sealed, jwe.head)
    except (InvalidTag, ValueError):
        raise JweInvalid from None


def point_of(x: str, y: str) -> EllipticCurvePublicKey:
    """Return a point of the curve by its coordinates, each in 43 characters of base64url.

    Raises:
        ValueError: There is no such point on it (RFC 8725, section 3.4).
    """
    return EllipticCurvePublicKey.from_encoded_point(_CURVE, b"\x04" + _bytes(x) + _bytes(y))


def jwk_of(key: EllipticCurvePublicKey) -> dict[str, str]:
    """Return a public key as a JWK (RFC 7518, section 6.2.1)."""
    point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return {"kty": "EC", "crv": "P-256", "x": _text(point[1:33]), "y": _text(point[33:])}


def _cipher(agreed: bytes) -> AESGCM:
    """Return what is encrypted by: one round of the Concat KDF gives as many bits as the key has (NIST SP 800-56A)."""
    return AESGCM(hashlib.sha256(b"\0\0\0\x01" + agreed + _OTHER_INFO).digest())


def public_key(jwk: Mapping[str, Any]) -> Recipient:
    """Return a caller's public key, to which may be encrypted.

    Raises:
        ResponseKeyInvalid: It is another kind of key, no point of its curve, private, or says more than it may.
    """
    try:
        said = msgspec.convert(jwk, _ResponseKey)
        if not (_is_whole(said.x) and _is_whole(said.y)):
            raise ResponseKeyInvalid
        return Recipient(point_of(said.x, said.y), said.kid)
    except (msgspec.MsgspecError, ValueError):
        raise ResponseKeyInvalid from None


def seal_payload(payload: bytes, to: Recipient, *, aud: str | None = None) -> str:
    """Return a payload as a compact JWE to a public key, by an ephemeral key of its own.

    Args:
        payload: What is in it.
        to: From ``public_key``.
        aud: For whom it is.
    """
    ephemeral = generate_private_key(_CURVE)
    said: dict[str, Any] = {"alg": "ECDH-ES", "enc": "A256GCM", "epk": jwk_of(ephemeral.public_key())}
    if to.kid is not None:
        said["kid"] = to.kid
    if aud is not None:
        said["aud"] = aud
    head, nonce = _text(msgspec.json.encode(said)), secrets.token_bytes(_NONCE_BYTES)
    sealed = _cipher(ephemeral.exchange(_ECDH, to.key)).encrypt(nonce, payload, head.encode())
    return f"{head}..{_text(nonce)}.{_text(sealed[:-_TAG_BYTES])}.{_text(sealed[-_TAG_BYTES:])}"
