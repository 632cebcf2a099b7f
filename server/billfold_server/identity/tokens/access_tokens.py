"""Access tokens: signed, and checked against what this server alone decides (RFC 9068, RFC 8725).

The type and the keys are fixed here, and the algorithm is the key's; of a token's header only the key's id is believed,
and it chooses among the realm's own keys. A header that says anything else, such as ``jku`` or ``crit``, isn't one of
ours.
"""

import base64
import binascii
import hashlib
import re
from typing import Any, Final, Literal

import msgspec

from billfold import errors
from billfold_server.identity import jose
from billfold_server.identity.profiles import SigningAlgorithm

__all__ = ["TYPE", "Claims", "Confirmation", "digest_of", "key_id_of", "verify"]

TYPE: Final = "at+jwt"
_LONGEST = 8192
_FORM = re.compile(r"([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")

# How far two servers' clocks may differ when one reads the other's fresh token.
_SKEW_S: Final = 5


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    alg: SigningAlgorithm
    typ: Literal["at+jwt"]
    kid: str


class Confirmation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """To which key a token is bound (RFC 7800), and so who alone can use it.

    Attributes:
        jkt: The thumbprint of a DPoP key (RFC 9449, section 6.1).
        x5t: The thumbprint of a certificate (RFC 8705, section 3.1).
    """

    jkt: str | None = None
    x5t: str | None = msgspec.field(default=None, name="x5t#S256")


class Claims(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What an access token says (RFC 9068, section 2.2). An audience is one text, never a list.

    Attributes:
        iss: The realm's issuer.
        sub: Who acts: the user where one has allowed it, else the client.
        client_id: The client.
        aud: The one resource that it opens (RFC 8707).
        scope: What it allows, with blanks in between.
        jti: Its id.
        iat: When it was issued.
        exp: When it ends.
        cnf: To which key it is bound; nothing binds it where absent.
        gid: The grant by which it was issued, ``grt_…``.
        auth_time: When the user had signed in.
        acr: How strongly.
        amr: By which means.
        authorization_details: What it allows in particular (RFC 9396, section 9.1).
    """

    iss: str
    sub: str
    client_id: str
    aud: str
    scope: str
    jti: str
    iat: int
    exp: int
    cnf: Confirmation | None = None
    gid: str | None = None
    auth_time: int | None = None
    acr: str | None = None
    amr: list[str] | None = None
    authorization_details: list[dict[str, Any]] | None = None


_HEADER = msgspec.json.Decoder(_Header)
_CLAIMS = msgspec.json.Decoder(Claims)


def digest_of(jti: str) -> bytes:
    """Return what is kept of the id of a token that was revoked."""
    return hashlib.sha256(jti.encode()).digest()


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


def verify(token: str, key: jose.SigningKey, *, alg: SigningAlgorithm, issuer: str, now_s: int) -> Claims:
    """Return what a token says, if this key signed it for this realm and it is valid now.

    Whoever asks compares its audience.

    Args:
        token: The token, whose header ``key_id_of`` has read.
        key: The public key of that id.
        alg: The one algorithm by which it signs.
        issuer: Who must have issued it.
        now_s: Seconds since the Unix epoch.

    Raises:
        errors.InvalidToken: Anything of this doesn't hold. The refusal doesn't say what.
    """
    try:
        claims = _CLAIMS.decode(jose.payload_of(token, key, alg=alg))
    except (jose.SignatureInvalid, ValueError, msgspec.DecodeError):
        raise _refusal() from None
    if claims.iss != issuer or (claims.sub == claims.client_id) is not (claims.gid is None):
        raise _refusal()
    if claims.cnf == Confirmation():
        raise _refusal()
    if not claims.iat - _SKEW_S <= now_s < claims.exp:
        raise _refusal()
    return claims
