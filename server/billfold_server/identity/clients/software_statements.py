"""Software statements: what a publisher whom the tenant trusts says of a client's software (RFC 7591, section 2.3).

A directory of licensed third parties signs them. What a statement says wins over what the client says of itself, so
that nobody gets an address, a key or a scope by its own word. Only the publishers that the manifest names are believed,
by the keys that stand there.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from billfold_server.identity import jose
from billfold_server.identity.clients.keys import check_jwks, signing_keys
from billfold_server.identity.profiles import Profile
from billfold_server.tenancy.manifest import SoftwarePublisher

__all__ = ["Statement", "StatementRefused", "read"]

_TYPES: Final = frozenset({None, "jwt", "software-statement+jwt"})
_SKEW_S: Final = 10
_REGISTERED: Final = frozenset({"iss", "sub", "aud", "exp", "nbf", "iat", "jti"})


class StatementRefused(Exception):
    """A statement isn't believed, or doesn't allow what the client asks for.

    Attributes:
        error: The code of RFC 7591, section 3.2.2.
        reason: Why, for the client's developer.
    """

    def __init__(self, error: str, reason: str) -> None:
        super().__init__(reason)
        self.error = error
        self.reason = reason


class Statement(msgspec.Struct, frozen=True):
    """A statement that is believed.

    Attributes:
        issuer: Who made it.
        metadata: What it says of the client, under the names of RFC 7591.
    """

    issuer: str
    metadata: dict[str, Any]


def read(text: str, publishers: Sequence[SoftwarePublisher], profile: Profile, now: datetime) -> Statement:
    """Return what a statement says, once one of the publishers is known to have signed it.

    Args:
        text: The statement, a JWS.
        publishers: Who is believed.
        profile: Says by which algorithms anything may be signed.
        now: The real time.

    Raises:
        StatementRefused: It isn't signed by one of them, or isn't valid now.
    """
    try:
        token = jose.read(text)
    except jose.SignatureInvalid:
        raise StatementRefused("invalid_software_statement", "the software statement can't be read") from None
    publisher = next((each for each in publishers if each.issuer == token.claims.get("iss")), None)
    if publisher is None:
        raise StatementRefused("unapproved_software_statement", "nobody believes this software statement's issuer here")
    claims = _verified(token, publisher, profile)
    now_s = now.timestamp()
    begins = max(_number(claims, "nbf", 0.0), _number(claims, "iat", 0.0))
    if not begins - _SKEW_S <= now_s < _number(claims, "exp", float("inf")):
        raise StatementRefused("invalid_software_statement", "the software statement isn't valid now")
    return Statement(publisher.issuer, {name: value for name, value in claims.items() if name not in _REGISTERED})


def _verified(token: jose.Token, publisher: SoftwarePublisher, profile: Profile) -> dict[str, Any]:
    refusal = StatementRefused("invalid_software_statement", "the software statement's signature isn't its issuer's")
    # A key that couldn't be registered by a client vouches for none either.
    if check_jwks(publisher.jwks) is not None:
        raise refusal
    keys = signing_keys(publisher.jwks, profile.algorithms)
    keys = [key for key in keys if token.kid is None or key["kid"] == token.kid]
    for key in keys:
        alg = jose.algorithm_of(key)
        assert alg is not None
        try:
            return jose.verify(token, jose.import_key(key), alg=alg, types=_TYPES)
        except jose.SignatureInvalid:
            continue
    raise refusal


def _number(claims: dict[str, Any], name: str, absent: float) -> float:
    value = claims.get(name, absent)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise StatementRefused("invalid_software_statement", f"the software statement's {name} is no instant")
    return value
