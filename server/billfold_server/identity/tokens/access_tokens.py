"""Access tokens: signed, and checked against what this server alone decides (RFC 9068, RFC 8725).

The algorithm, the type and the keys are fixed here; of a token's header only the key's id is believed, and it chooses
among the realm's own keys. A header that says anything else, such as ``jku`` or ``crit``, isn't one of ours.
"""

import base64
import binascii
import re
from typing import Any, Final, Literal

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from billfold import errors

__all__ = ["ALGORITHM", "Claims", "key_id_of", "sign", "verify"]

ALGORITHM: Final = "ES256"
_TYPE: Final = "at+jwt"
_LONGEST = 4096
_FORM = re.compile(r"([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")

# How far two servers' clocks may differ when one reads the other's fresh token.
_SKEW_S: Final = 5


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    alg: Literal["ES256"]
    typ: Literal["at+jwt"]
    kid: str


class Claims(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an access token says (RFC 9068, section 2.2). An audience is one text, never a list."""

    iss: str
    sub: str
    client_id: str
    aud: str
    scope: str
    jti: str
    iat: int
    exp: int


_HEADER = msgspec.json.Decoder(_Header)


def sign(claims: msgspec.Struct, key: ECKey, kid: str, *, type_: str = _TYPE) -> str:
    """Return the token that says so; what isn't an access token has another type, and passes for none."""
    header = {"alg": ALGORITHM, "typ": type_, "kid": kid}
    return jwt.encode(header, msgspec.to_builtins(claims), key, algorithms=[ALGORITHM])


def _refusal() -> errors.InvalidToken:
    return errors.InvalidToken("the access token isn't valid here and now")


def key_id_of(token: str) -> str:
    """Return which key a token names, once its header is exactly of our form.

    Raises:
        errors.InvalidToken: It isn't.
    """
    match = _FORM.fullmatch(token) if len(token) <= _LONGEST else None
    if match is None:
        raise _refusal()
    segment = match.group(1)
    try:
        return _HEADER.decode(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))).kid
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise _refusal() from None


def verify(token: str, key: ECKey, *, issuer: str, audience: str, now_s: int) -> Claims:
    """Return what a token says, if this key signed it for this audience and it is valid now.

    Args:
        token: The token, whose header ``key_id_of`` has read.
        key: The public key of that id.
        issuer: Who must have issued it.
        audience: For whom it must be.
        now_s: Seconds since the Unix epoch.

    Raises:
        errors.InvalidToken: Anything of this doesn't hold. The refusal doesn't say what.
    """
    try:
        read: Any = jwt.decode(token, key, algorithms=[ALGORITHM])
        claims = msgspec.convert(read.claims, Claims)
    except (JoseError, ValueError, TypeError, msgspec.ValidationError):
        raise _refusal() from None
    if claims.iss != issuer or claims.aud != audience or claims.sub != claims.client_id:
        raise _refusal()
    if not claims.iat - _SKEW_S <= now_s < claims.exp:
        raise _refusal()
    return claims
