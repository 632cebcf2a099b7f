"""Clients that sign an assertion (RFC 7523, sections 2.2 and 3; OpenID Connect Core, section 9).

The audience is the issuer alone, as one text: an assertion for another server, or for an endpoint whose address another
server could claim, is worth nothing here (FAPI 2.0 Security Profile, section 5.3.2.1, item 7).
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import msgspec
from joserfc.jwk import ECKey, OKPKey, RSAKey
from msgspec import Meta

from billfold_server.identity import jose
from billfold_server.identity.clients.keys import signing_keys
from billfold_server.identity.clients.rows import Client
from billfold_server.identity.profiles import SigningAlgorithm
from billfold_server.identity.rules import OAuthRefusal

__all__ = ["TYPE", "Assertion", "check", "read"]

TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

_TYPES: Final = frozenset({None, "jwt", "client-authentication+jwt"})
_LONGEST_LIFE_S: Final = 300
_SKEW_S: Final = 10

_Number = Annotated[int, Meta(ge=0, le=2**40)] | Annotated[float, Meta(ge=0, le=2**40)]


class _Claims(msgspec.Struct, frozen=True):
    """What an assertion must say; what else it says is of no concern (RFC 7519, section 4)."""

    iss: str
    sub: str
    aud: str
    exp: _Number
    jti: Annotated[str, Meta(min_length=1, max_length=255)]
    nbf: _Number = 0
    iat: _Number = 0


class Assertion(msgspec.Struct, frozen=True):
    """An assertion that was read, and not yet verified.

    Attributes:
        token: The JWS.
        client_id: Whose it says that it is.
    """

    token: jose.Token
    client_id: str


def read(form: Mapping[str, str]) -> Assertion:
    """Return the assertion in a form.

    Raises:
        OAuthRefusal: ``invalid_client``: there is none that could be verified.
    """
    refusal = OAuthRefusal("invalid_client", "the client isn't authenticated")
    if form.get("client_assertion_type") != TYPE or "client_assertion" not in form:
        raise refusal
    try:
        token = jose.read(form["client_assertion"])
    except jose.SignatureInvalid:
        raise refusal from None
    subject = token.claims.get("sub")
    # What the form says beside the assertion must be the same (RFC 7521, section 4.2).
    if not isinstance(subject, str) or form.get("client_id", subject) != subject:
        raise refusal
    return Assertion(token, subject)


def check(
    assertion: Assertion,
    client: Client | None,
    *,
    issuer: str,
    algorithms: Sequence[SigningAlgorithm],
    now: datetime,
) -> tuple[str, datetime] | None:
    """Return the id of an assertion and until when it would be believed, or None if it proves nothing.

    Whoever asks this must see to it that the id is used once.

    Args:
        assertion: As ``read`` returned it.
        client: The client that it names, where there is one. Without one as much is calculated.
        issuer: The realm's issuer.
        algorithms: What may sign in the realm.
        now: The real time.
    """
    if client is not None and client.assertion_alg is not None:
        algorithms = [alg for alg in algorithms if alg == client.assertion_alg]
    jwk = _key_of(assertion.token, client, algorithms)
    alg = jose.algorithm_of(jwk) if jwk is not None else _stand_in(assertion.token.alg)
    key = jose.remembered_key(jwk) if jwk is not None else _STAND_INS[alg]
    assert alg is not None
    try:
        said = jose.verify(assertion.token, key, alg=alg, types=_TYPES)
        claims = msgspec.convert(said, _Claims)
    except (jose.SignatureInvalid, msgspec.ValidationError):
        return None
    if jwk is None or client is None or not _holds(claims, client.client_id, issuer, now.timestamp()):
        return None
    return claims.jti, datetime.fromtimestamp(claims.exp + _SKEW_S, UTC)


def _holds(claims: _Claims, client_id: str, issuer: str, now_s: float) -> bool:
    return (
        claims.iss == claims.sub == client_id
        and claims.aud == issuer
        and now_s - _SKEW_S < claims.exp <= now_s + _LONGEST_LIFE_S + _SKEW_S
        and max(claims.nbf, claims.iat) <= now_s + _SKEW_S
    )


def _key_of(
    token: jose.Token, client: Client | None, algorithms: Sequence[SigningAlgorithm]
) -> Mapping[str, Any] | None:
    """Return the client's key that must have signed: the one that is named, or the only one that can be meant."""
    keys = [] if client is None else signing_keys(client.jwks, algorithms)
    # The algorithm that a header names only narrows the choice; what counts is that of the key.
    keys = [
        key for key in keys if (jose.algorithm_of(key) == token.alg if token.kid is None else key["kid"] == token.kid)
    ]
    return keys[0] if len(keys) == 1 else None


# Where there is no key, these take its place, so that how long it takes tells nothing of who exists.
_STAND_INS: Final[Mapping[SigningAlgorithm | None, jose.SigningKey]] = {
    "PS256": RSAKey.import_key(
        {
            "kty": "RSA",
            "e": "AQAB",
            "n": (
                "mrCveJsVoc6ZRE-lzVhCThmsdmCJQoBA8S2KNiw-YWDh2VkUJFlKLupcYDAjydkPelee1wDKivtXoToUCyVJTvCGsZ"
                "AZMMndtav2vjgLTYI99dNQp1nsqYD8pDNLhnPHU1zXUd8E5z106TaK4qp0vZx0s7treyOrn6dS0w22j6uewrKqaBMO"
                "nsa_4z0id0bfZVSzrBi8MDeNtxOGVlXxOqGH3_U9Cl3U_61dsuW9Xny4WiVb70vveeqfl8dYA5I-"
                "XBgbwTv6qECYoGpvrtVE9LetwgZ6Ki5h8jm8Jssc45QUCckoWU9HZ2ycBdY6h1_TUtAx5sr_aFmmNLg00thOpw"
            ),
        }
    ),
    "ES256": ECKey.import_key(
        {
            "kty": "EC",
            "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        }
    ),
    "EdDSA": OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}),
}


def _stand_in(alg: str) -> SigningAlgorithm:
    return next((each for each in _STAND_INS if each == alg), None) or "ES256"
