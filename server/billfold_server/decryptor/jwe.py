"""Opening and making what is encrypted to a key (RFC 7516), with the algorithm always chosen on this side.

One form alone is taken: compact, ECDH-ES with the agreed key used directly, P-256, A256GCM. The header must say exactly
what it has to, once; what it may say in other systems (compression, critical extensions, names of the parties, keys to
be fetched) is refused before anything is computed with it. joserfc does the rest.

Sources: RFC 7516, section 5.2; RFC 7518, section 4.6; RFC 8725, sections 3.1, 3.2, 3.4 and 3.6.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from msgspec import Meta

__all__ = [
    "LONGEST",
    "Header",
    "JweInvalid",
    "ResponseKeyInvalid",
    "open_payload",
    "public_key",
    "read",
    "seal_payload",
]

LONGEST: Final = 8 * 1024
"""In characters; a card is 700 of them."""

_LONGEST_HEADER: Final = 1024
_NUMBER_CHARACTERS: Final = 43
_FORM: Final = re.compile(
    # Header, no encrypted key (RFC 7518, section 4.6), 96 bits of nonce, ciphertext, and all 128 bits of the tag.
    r"([A-Za-z0-9_-]+)\.\.[A-Za-z0-9_-]{16}\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]{21}[AQgw]",
    re.ASCII,
)
_WHOLE: Final = {
    0: frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
    1: frozenset(""),
    2: frozenset("AQgw"),
    3: frozenset("AEIMQUYcgkosw048"),
}
"""With which characters base64url may end, by how many are beyond the last four: others hide bits (RFC 4648, 3.5)."""

_REGISTRY: Final = jwe.JWERegistry(algorithms=["ECDH-ES", "A256GCM"], strict_check_header=False)

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


def read(text: str) -> Header:
    """Return what the header of a JWE says, before anything is decrypted.

    Raises:
        JweInvalid: It is none of the one form.
    """
    match = _FORM.fullmatch(text) if len(text) <= LONGEST else None
    if match is None or len(match.group(1)) > _LONGEST_HEADER or not all(map(_is_whole, match.groups())):
        raise JweInvalid
    try:
        header = _HEADER.decode(base64.urlsafe_b64decode(match.group(1) + "=" * (-len(match.group(1)) % 4)))
    except (binascii.Error, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise JweInvalid from None
    if not (_is_whole(header.epk.x) and _is_whole(header.epk.y)):
        raise JweInvalid
    return header


def _is_whole(text: str) -> bool:
    return text[-1] in _WHOLE[len(text) % 4]


def open_payload(text: str, key: ECKey) -> bytes:
    """Return what a JWE holds, whose header ``read`` has looked at.

    Args:
        text: The JWE.
        key: The private key that the header names, chosen on this side.

    Raises:
        JweInvalid: It doesn't open: another key, a point off the curve, or it was changed.
    """
    try:
        payload = jwe.decrypt_compact(text, key, registry=_REGISTRY).plaintext
    except (JoseError, ValueError, TypeError, KeyError, AssertionError):
        raise JweInvalid from None
    if payload is None:
        raise JweInvalid
    return payload


def public_key(jwk: Mapping[str, Any]) -> ECKey:
    """Return a caller's public key, to which may be encrypted.

    Raises:
        ResponseKeyInvalid: It is another kind of key, no point of its curve, private, or says more than it may.
    """
    try:
        said = msgspec.convert(dict(jwk), _ResponseKey)
        if not (_is_whole(said.x) and _is_whole(said.y)):
            raise ResponseKeyInvalid
        key = ECKey.import_key({name: str(value) for name, value in msgspec.to_builtins(said).items()})
        # Whether there is such a point shows only when the numbers are first needed.
        key.public_key  # noqa: B018
    except (JoseError, msgspec.MsgspecError, ValueError, TypeError, KeyError):
        raise ResponseKeyInvalid from None
    return key


def seal_payload(payload: bytes, key: ECKey, *, aud: str | None = None) -> str:
    """Return a payload as a compact JWE to a public key.

    Args:
        payload: What is in it.
        key: From ``public_key``.
        aud: For whom it is.
    """
    header: dict[str, str] = {"alg": "ECDH-ES", "enc": "A256GCM"}
    if (kid := key.get("kid")) is not None:
        header["kid"] = str(kid)
    if aud is not None:
        header["aud"] = aud
    return jwe.encrypt_compact(header, payload, key, registry=_REGISTRY)
