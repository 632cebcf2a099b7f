"""Signatures of bodies, apart from them: who has signed an order, and that nothing in it was changed on its way.

A signature is a JWS whose payload is left out (RFC 7515, appendix F), made by PS256, in the header ``x-jws-signature``.
Three members of its own header say when it was made, by whom, and by whose directory the key is known, and ask for
being understood (``crit``). Since version 3.1.4 of the standard the payload is encoded as in any JWS.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from billfold.auth import _jwt as jwt
from billfold.keys.signer import Signer, b64url

__all__ = ["HEADER", "SIGNED_AT", "SIGNER", "TRUST_ANCHOR", "detached", "signing_input", "verify"]

HEADER: Final = "x-jws-signature"
SIGNED_AT: Final = "http://openbanking.org.uk/iat"
SIGNER: Final = "http://openbanking.org.uk/iss"
TRUST_ANCHOR: Final = "http://openbanking.org.uk/tan"

_CRITICAL: Final = (SIGNED_AT, SIGNER, TRUST_ANCHOR)
_ALGORITHM: Final = "PS256"
_PARTS: Final = 3
_MAX_HEADER: Final = 8 * 1024
_AHEAD_S: Final = 30


def signing_input(signer: Signer, body: bytes, *, issuer: str, trust_anchor: str, now: float) -> bytes:
    """Return what is signed for a body.

    Args:
        signer: The key, which has to be one for PS256.
        body: What is sent.
        issuer: Who signs, as its directory names it.
        trust_anchor: Whose directory knows the key.
        now: The bank's time.

    Raises:
        ValueError: The key signs by another algorithm.
    """
    if signer.algorithm != _ALGORITHM:
        raise ValueError("orders are signed by PS256, which needs an RSA key")
    header = {
        "kid": signer.kid,
        "cty": "application/json",
        SIGNED_AT: int(now),
        SIGNER: issuer,
        TRUST_ANCHOR: trust_anchor,
        "crit": list(_CRITICAL),
    }
    head = jwt.encoded({"typ": "JOSE", "alg": signer.algorithm, **header})
    return f"{head}.{b64url(body)}".encode("ascii")


def detached(data: bytes, signature: bytes) -> str:
    """Return the header's value from what was signed and its signature."""
    return f"{data.partition(b'.')[0].decode('ascii')}..{b64url(signature)}"


def verify(value: str, body: bytes, keys: Iterable[Mapping[str, Any]], *, now: float) -> Mapping[str, Any]:
    """Return the header of a signature, once it is seen that one of the keys has made it for this body.

    Args:
        value: What came in the header.
        body: What came as the body, to the byte.
        keys: The bank's.
        now: The bank's time.

    Raises:
        jwt.Rejected: It isn't so.
    """
    parts = value.split(".")
    if len(value) > _MAX_HEADER or len(parts) != _PARTS or parts[1]:
        raise jwt.Rejected("it isn't a signature apart from its body")
    # The whole token is put together again, so that the key is found and the signature checked as for any other.
    token = f"{parts[0]}.{b64url(body)}.{parts[2]}"
    header = jwt.unverified_header(token, largest=None)
    _check_extensions(header.get("crit"), header)
    jwt.check_signature(token, keys, header=header, algorithms=(_ALGORITHM,))
    signed_at = header.get(SIGNED_AT)
    if not jwt.is_time(signed_at) or float(str(signed_at)) > now + _AHEAD_S:
        raise jwt.Rejected("it says that it was made later than now")
    return header


def _check_extensions(critical: object, header: Mapping[str, Any]) -> None:
    if not isinstance(critical, list) or sorted(map(str, critical)) != sorted(_CRITICAL):
        raise jwt.Rejected("its header asks for other extensions than those of open banking")
    if "b64" in header or any(name not in header for name in _CRITICAL):
        raise jwt.Rejected("its header isn't that of open banking")
