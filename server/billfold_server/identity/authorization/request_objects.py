"""Request objects: what a client asks, signed by it (RFC 9101; FAPI 2.0 Message Signing, section 5.3.1).

Which keys and algorithms count is said by the client's registration and the realm's profile. A request object's header
only chooses among those keys; where it brings or points to a key of its own, it is refused.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from billfold_server.identity import jose
from billfold_server.identity.clients.rows import Client
from billfold_server.identity.jose import SignatureInvalid
from billfold_server.identity.profiles import SigningAlgorithm
from billfold_server.identity.rules import OAuthRefusal

__all__ = ["RequestObject", "read"]

_LIFE_S: Final = 60 * 60
"""FAPI 2.0 Message Signing, section 5.3.1: ``exp`` at most so long after ``nbf``, and ``nbf`` so long ago."""

_SKEW_S: Final = 10
"""FAPI 2.0 Security Profile, section 5.3.2.1: a clock that is up to ten seconds ahead is borne with."""

_LONGEST_JTI: Final = 1024
_TYPES: Final = ("oauth-authz-req+jwt", "jwt", None)


class RequestObject(msgspec.Struct, frozen=True, kw_only=True):
    """A request object whose signature, times and addressee were checked.

    Attributes:
        claims: The parameters, and what a JWT has besides.
        jti: Its id, where it has one: it may be used once.
        expires_at: Until when it is good.
    """

    claims: dict[str, Any]
    jti: str | None
    expires_at: datetime


def _refusal(description: str) -> OAuthRefusal:
    return OAuthRefusal("invalid_request_object", description)


def read(
    text: str, client: Client, *, algorithms: Sequence[SigningAlgorithm], issuer: str, now: datetime
) -> RequestObject:
    """Return what a request object says.

    Args:
        text: A compact JWS.
        client: Who has authenticated; its keys alone count.
        algorithms: What the profile lets sign. The client may have registered one of them.
        issuer: Whom it must be meant for.
        now: The real time.

    Raises:
        OAuthRefusal: ``invalid_request_object``.
    """
    claims = _verify(text, client, algorithms)
    if claims.get("iss") != client.client_id or claims.get("client_id") != client.client_id:
        raise _refusal("iss and client_id must be the client that has authenticated")
    # What a client signs to prove who it is isn't a request, even if it holds parameters (RFC 9101, section 10.8).
    if claims.get("sub") == client.client_id:
        raise _refusal("sub can't be the client")
    audience = claims.get("aud")
    if audience != issuer and not (isinstance(audience, list) and issuer in audience):
        raise _refusal("aud must be the issuer")
    if "request" in claims or "request_uri" in claims:
        raise _refusal("a request object can't hold another")
    expires_at = _check_times(claims, int(now.timestamp()))
    jti = claims.get("jti")
    if jti is not None and not (isinstance(jti, str) and 0 < len(jti) <= _LONGEST_JTI):
        raise _refusal("jti must be a text")
    return RequestObject(claims=claims, jti=jti, expires_at=expires_at)


def _verify(text: str, client: Client, algorithms: Sequence[SigningAlgorithm]) -> dict[str, Any]:
    """Return the claims, if one of those of the client's keys that may sign requests has signed them."""
    try:
        token = jose.read(text)
    except SignatureInvalid:
        raise _refusal("it isn't a signed JWT in compact form, or its header holds what none here may") from None
    for key in (client.jwks or {}).get("keys", []):
        alg = jose.algorithm_of(key)
        if (
            alg is None
            or alg not in algorithms
            or client.request_object_alg not in {None, alg}
            or key.get("use", "sig") != "sig"
        ):
            continue
        if token.kid is not None and key.get("kid") != token.kid:
            continue
        try:
            return jose.verify(token, jose.import_key(key), alg=alg, types=_TYPES)
        except SignatureInvalid:
            # The next key may be the one; it isn't said which of them failed, or how.
            continue
    raise _refusal("it isn't signed by a key and an algorithm that the client may sign requests by")


def _check_times(claims: Mapping[str, Any], now_s: int) -> datetime:
    expires_s, not_before_s = _seconds(claims, "exp"), _seconds(claims, "nbf")
    if expires_s <= now_s:
        raise _refusal("it has expired")
    if not_before_s > now_s + _SKEW_S:
        raise _refusal("it isn't good yet")
    # First compared and then added to, because a number may be longer than any float.
    if not_before_s < now_s - _LIFE_S or expires_s > not_before_s + _LIFE_S:
        raise _refusal("it may be good for 60 minutes at most")
    return datetime.fromtimestamp(expires_s, UTC)


def _seconds(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _refusal(f"{name} is required, in seconds")
    return value
