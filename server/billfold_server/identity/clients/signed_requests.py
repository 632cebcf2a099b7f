"""Registration requests that a third party has signed, as UK Open Banking's dynamic registration wants them.

The request is a JWS by one of the keys that the software statement in it names, so whoever has merely seen a statement
registers nothing by it. It is for one server, for a short time, and is used once.

Source: Open Banking Dynamic Client Registration 3.3, sections on the request; RFC 7591, section 2.3.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeGuard

import msgspec

from billfold_server.identity import jose
from billfold_server.identity.clients import software_statements
from billfold_server.identity.clients.keys import check_jwks, signing_keys
from billfold_server.identity.clients.software_statements import StatementRefused
from billfold_server.identity.profiles import Profile
from billfold_server.tenancy.manifest import SoftwarePublisher

__all__ = ["SignedRequest", "read"]

_TYPES: Final = frozenset({None, "jwt", "jose"})
_LONGEST_S: Final = 3600
_SKEW_S: Final = 10
_ITS_OWN: Final = frozenset({"iss", "sub", "aud", "exp", "nbf", "iat", "jti"})


class SignedRequest(msgspec.Struct, frozen=True):
    """A request that is believed.

    Attributes:
        said: What is asked for.
        software_id: Who has signed it.
        jti: Its id, good once.
        expires_at: Until when it would be believed.
    """

    said: dict[str, Any]
    software_id: str
    jti: str
    expires_at: datetime


def read(
    text: bytes, publishers: Sequence[SoftwarePublisher], profile: Profile, now: datetime, *, audience: str
) -> SignedRequest:
    """Return what a signed request asks for, once it is seen that the software of its statement has signed it.

    Args:
        text: A compact JWS.
        publishers: Whose statements are believed.
        profile: Says by which algorithms anything may be signed.
        now: The real time.
        audience: This server's name for itself.

    Raises:
        StatementRefused: It isn't so, or its statement isn't believed.
    """
    try:
        token = jose.read(text.decode("ascii", errors="replace").strip())
    except jose.SignatureInvalid:
        raise _refused("the signed request can't be read") from None
    statement = token.claims.get("software_statement")
    if not isinstance(statement, str):
        raise StatementRefused("invalid_software_statement", "a software statement is needed")
    vouched = software_statements.read(statement, publishers, profile, now).metadata
    _verify(token, vouched.get("jwks"), profile)
    software_id = vouched.get("software_id")
    if not isinstance(software_id, str) or token.claims.get("iss") != software_id:
        raise _refused("the signed request's iss isn't the software of its statement")
    if audience not in (said := token.claims.get("aud"), *(said if isinstance(said, list) else ())):
        raise _refused("the signed request's aud isn't this server's issuer")
    jti, expires_at = token.claims.get("jti"), _end(token.claims, now)
    if not isinstance(jti, str) or not jti:
        raise _refused("the signed request needs a jti")
    asked = {name: value for name, value in token.claims.items() if name not in _ITS_OWN}
    return SignedRequest(asked, software_id, jti, expires_at)


def _verify(token: jose.Token, jwks: object, profile: Profile) -> None:
    """See that one of the keys that the directory knows has signed a request."""
    if not isinstance(jwks, dict) or check_jwks(jwks) is not None:
        raise _refused("the software statement names no keys that could have signed the request")
    for key in signing_keys(jwks, profile.algorithms):
        alg = jose.algorithm_of(key)
        if alg is None or (token.kid is not None and key["kid"] != token.kid):
            continue
        try:
            jose.verify(token, jose.import_key(key), alg=alg, types=_TYPES)
        except jose.SignatureInvalid:
            continue
        return
    raise _refused("the request isn't signed by a key of its software")


def _end(claims: dict[str, Any], now: datetime) -> datetime:
    """Return until when a request is good, which is soon."""
    begins, ends, now_s = claims.get("iat"), claims.get("exp"), now.timestamp()
    if not _is_number(begins) or not _is_number(ends):
        raise _refused("the signed request needs iat and exp")
    # Compared and not subtracted, because a number may be longer than any float.
    if not (begins <= now_s + _SKEW_S and now_s < ends <= now_s + _LONGEST_S):
        raise _refused("the signed request isn't good now, or for longer than an hour")
    return datetime.fromtimestamp(ends, UTC) + timedelta(seconds=_SKEW_S)


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _refused(reason: str) -> StatementRefused:
    return StatementRefused("invalid_client_metadata", reason)
