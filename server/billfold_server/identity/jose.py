"""Signing and verifying (RFC 7515), with the algorithm and the key always chosen on this side.

Nothing that a token's header says is believed: it may name one of the keys that are known already, and no more. What
says where to find a key (``jku``, ``x5u``), brings one (``jwk``) or changes how a token is read (``crit``, ``b64``) is
refused, so that no later code can be tempted by it. Sources: RFC 8725, sections 3.1 and 3.5; FAPI 2.0 Security Profile,
section 5.4.1.
"""

import base64
import binascii
import functools
import re
from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from billfold_server.identity.profiles import SigningAlgorithm

__all__ = [
    "LONGEST_HEADER",
    "SignatureInvalid",
    "SigningKey",
    "Token",
    "algorithm_of",
    "check_signature",
    "encoded",
    "import_key",
    "named",
    "payload_of",
    "read",
    "remembered_key",
    "rsa_key_of_ours",
    "sign",
    "signed_by",
    "verify",
]

SigningKey = RSAKey | ECKey | OKPKey
"""A key that signs or verifies."""

LONGEST_HEADER: Final = 2048
"""Enough for a key of 4096 bits in it, in characters of base64url."""

_LONGEST: Final = 16 * 1024
_FORM: Final = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_HARMLESS: Final = frozenset({"alg", "kid", "typ", "x5t", "x5t#S256"})


class SignatureInvalid(Exception):
    """A text isn't a JWS of the form that is expected here, or isn't signed by the key."""


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A compact JWS whose header was read, and nothing was verified.

    Attributes:
        text: The whole of it.
        alg: What it says about its algorithm. Only good for comparison with what is expected.
        kid: Which key it names.
        typ: What it says that it is.
        claims: What it claims, unverified: good for finding out whose key must verify it.
    """

    text: str
    alg: str
    kid: str | None
    typ: str | None
    claims: dict[str, Any]

    def __repr__(self) -> str:
        return f"Token(alg={self.alg!r}, kid={self.kid!r}, typ={self.typ!r})"


_BY_NAME: Final[dict[str, SigningAlgorithm]] = {
    "PS256": "PS256",
    "ES256": "ES256",
    # Two names of the same thing: RFC 8037, and RFC 9864, section 2.2.
    "EdDSA": "EdDSA",
    "Ed25519": "EdDSA",
}
_MATHEMATICS: Final = ("kty", "crv", "x", "y", "n", "e")
"""The members of a public key that make it that key (RFC 7638)."""


class _Header(msgspec.Struct):
    alg: str
    kid: str | None = None
    typ: str | None = None


_CLAIMS: Final = msgspec.json.Decoder(dict[str, Any])


def algorithm_of(jwk: Mapping[str, Any]) -> SigningAlgorithm | None:
    """Return the one algorithm by which a key may sign here, which its kind decides; None where it may not."""
    match jwk.get("kty"), jwk.get("crv"):
        case "RSA", _:
            return "PS256"
        case "EC", "P-256":
            return "ES256"
        case "OKP", "Ed25519":
            return "EdDSA"
    return None


def named(alg: str) -> SigningAlgorithm | None:
    """Return the algorithm that a header's ``alg`` names, or None where it names none of ours."""
    return _BY_NAME.get(alg)


def import_key(jwk: Mapping[str, Any]) -> SigningKey:
    """Return a key that was checked when it was registered or made. Only what is mathematics is taken from it.

    Raises:
        ValueError: It is no key of a kind that may sign here.
    """
    parts = {name: value for name, value in jwk.items() if name not in {"alg", "use", "key_ops", "kid", "x5c", "x5t"}}
    try:
        match algorithm_of(jwk):
            case "PS256":
                return RSAKey.import_key(parts)
            case "ES256":
                return ECKey.import_key(parts)
            case "EdDSA":
                return OKPKey.import_key(parts)
    except (JoseError, TypeError, KeyError) as error:
        msg = "the key can't be read"
        raise ValueError(msg) from error
    msg = "keys of this kind sign nothing here"
    raise ValueError(msg)


def rsa_key_of_ours(pem: bytes) -> RSAKey:
    """Return a key that was made here, and of which whoever keeps it knows that it still is that one.

    To look whether its numbers are prime takes up to 90 ms, in which the library lets no other thread run.

    Raises:
        ValueError: It is no key.
        TypeError: It is a key of another kind.
    """
    key = serialization.load_pem_private_key(pem, None, unsafe_skip_rsa_key_validation=True)
    if not isinstance(key, rsa.RSAPrivateKey):
        msg = "the key is of another kind"
        raise TypeError(msg)
    return RSAKey.import_key(key)


@functools.lru_cache(maxsize=10_000)
def _imported(parts: tuple[tuple[str, str], ...]) -> SigningKey:
    return import_key(dict(parts))


def remembered_key(jwk: Mapping[str, Any]) -> SigningKey:
    """Return a public key as ``import_key`` does, made once for each: a client shows the same one each time.

    Raises:
        ValueError: It is no key of a kind that may sign here.
    """
    return _imported(tuple((name, str(jwk[name])) for name in _MATHEMATICS if name in jwk))


def sign(
    claims: Mapping[str, Any] | msgspec.Struct, key: SigningKey, *, alg: SigningAlgorithm, kid: str, typ: str
) -> str:
    """Return claims as a compact JWS."""
    signed = _head(alg, typ, kid) + b"." + encoded(msgspec.json.encode(claims))
    return (signed + b"." + encoded(_signature(key.private_key, signed, alg))).decode()


@functools.lru_cache(maxsize=1_000)
def _head(alg: str, typ: str, kid: str) -> bytes:
    """Return a header in base64url, made once for each key."""
    return encoded(msgspec.json.encode({"alg": alg, "typ": typ, "kid": kid}))


def signed_by(
    key: SigningKey, header: Mapping[str, Any], payload: bytes, *, alg: SigningAlgorithm
) -> tuple[bytes, bytes, bytes]:
    """Return the three parts of a compact JWS, each in base64url."""
    head, middle = encoded(msgspec.json.encode(header)), encoded(payload)
    return head, middle, encoded(_signature(key.private_key, head + b"." + middle, alg))


def check_signature(key: SigningKey, head: str, payload: bytes, signature: str, *, alg: SigningAlgorithm) -> None:
    """Refuse what the key hasn't signed by this algorithm; who calls has looked at the header.

    Args:
        key: The key, chosen on this side.
        head: The header, in base64url as it came.
        payload: What is signed, as it is.
        signature: In base64url as it came.
        alg: The algorithm, chosen on this side.

    Raises:
        SignatureInvalid: It hasn't.
    """
    try:
        _verify(key.public_key, _raw(signature), head.encode("ascii") + b"." + encoded(payload), alg)
    except (InvalidSignature, ValueError, TypeError, AttributeError):
        raise SignatureInvalid from None


def read(text: str) -> Token:
    """Return what a compact JWS says, before it is verified.

    Raises:
        SignatureInvalid: It isn't one, or its header says more than a header may here.
    """
    match = _FORM.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        raise SignatureInvalid
    try:
        header, claims = _decode(match.group(1)), _decode(match.group(2))
        if not header.keys() <= _HARMLESS:
            raise SignatureInvalid
        head = msgspec.convert(header, _Header)
    except (binascii.Error, ValueError, RecursionError, msgspec.MsgspecError):
        raise SignatureInvalid from None
    return Token(text=text, alg=head.alg, kid=head.kid, typ=head.typ, claims=claims)


def _decode(segment: str) -> dict[str, Any]:
    return _CLAIMS.decode(_raw(segment))


def verify(token: Token, key: SigningKey, *, alg: SigningAlgorithm, types: Collection[str | None]) -> dict[str, Any]:
    """Return what a token claims, if the key has signed it by this algorithm and it is of one of these types.

    Args:
        token: As ``read`` returned it.
        key: The key, chosen on this side.
        alg: The algorithm, chosen on this side.
        types: Which ``typ`` it may have; compared without regard to case, and to a leading ``application/``
            (RFC 7515, section 4.1.9). None stands for a header without one.

    Raises:
        SignatureInvalid: Anything of this doesn't hold.
    """
    typ = None if token.typ is None else token.typ.lower().removeprefix("application/")
    if named(token.alg) != alg or typ not in types:
        raise SignatureInvalid
    payload_of(token.text, key, alg=alg)
    return token.claims


def payload_of(text: str, key: SigningKey, *, alg: SigningAlgorithm) -> bytes:
    """Return what was signed, if the key has signed it by this algorithm; who calls has looked at the header.

    Raises:
        SignatureInvalid: It hasn't.
    """
    # Decoding passes over what isn't base64url, so nothing else may be there.
    if _FORM.fullmatch(text) is None:
        raise SignatureInvalid
    signed, _, signature = text.rpartition(".")
    try:
        _verify(key.public_key, _raw(signature), signed.encode("ascii"), alg)
        return _raw(signed.partition(".")[2])
    except (InvalidSignature, ValueError, TypeError, AttributeError):
        raise SignatureInvalid from None


# The mathematics is the library's, and what stands around it in RFC 7518 is a few lines: the general frame for JWS,
# which reads and writes each header once more, costs a quarter of a token request.

_PSS: Final = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=hashes.SHA256.digest_size)
_ECDSA: Final = ec.ECDSA(hashes.SHA256())
_HALF: Final = 32
"""Bytes of each of the two numbers of an ES256 signature (RFC 7518, section 3.4)."""


def _verify(key: Any, signature: bytes, signed: bytes, alg: SigningAlgorithm) -> None:
    """Check a signature by the algorithm that was chosen here; a key of another kind has no such method.

    Raises:
        InvalidSignature: It isn't the key's.
        TypeError: The key is of another kind.
        ValueError: The signature isn't of the algorithm's form.
    """
    match alg:
        case "ES256":
            if len(signature) != 2 * _HALF or not isinstance(key, ec.EllipticCurvePublicKey):
                raise ValueError(alg)
            numbers = int.from_bytes(signature[:_HALF]), int.from_bytes(signature[_HALF:])
            key.verify(encode_dss_signature(*numbers), signed, _ECDSA)
        case "PS256":
            if not isinstance(key, rsa.RSAPublicKey):
                raise TypeError(alg)
            key.verify(signature, signed, _PSS, hashes.SHA256())
        case "EdDSA":
            if not isinstance(key, ed25519.Ed25519PublicKey):
                raise TypeError(alg)
            key.verify(signature, signed)


def _signature(key: Any, signed: bytes, alg: SigningAlgorithm) -> bytes:
    """Return a signature by a private key (RFC 7518, sections 3.4 and 3.5; RFC 8037, section 3.1)."""
    match alg:
        case "ES256":
            assert isinstance(key, ec.EllipticCurvePrivateKey)
            numbers = decode_dss_signature(key.sign(signed, _ECDSA))
            return b"".join(number.to_bytes(_HALF) for number in numbers)
        case "PS256":
            assert isinstance(key, rsa.RSAPrivateKey)
            return key.sign(signed, _PSS, hashes.SHA256())
    assert isinstance(key, ed25519.Ed25519PrivateKey)
    return key.sign(signed)


def encoded(raw: bytes) -> bytes:
    """Return bytes in base64url, as all parts of a JWS are (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")


def _raw(segment: str) -> bytes:
    # What the library's own function does, without the two calls around it: each request has five of these.
    return binascii.a2b_base64(segment.encode("ascii").translate(_URL_SAFE) + b"=" * (-len(segment) % 4))
