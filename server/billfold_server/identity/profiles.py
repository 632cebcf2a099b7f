"""Security profiles: what a tenant's authorization server asks of its clients, as data.

A manifest names one; nothing else in this room decides by a profile's name. Sources: FAPI 2.0 Security Profile (Final),
FAPI 2.0 Message Signing (Final), FAPI 1.0 Part 2: Advanced, and RFC 9700 for all of them.
"""

from typing import Final, Literal

import msgspec

from billfold_server.tenancy.manifest import SecurityProfile

__all__ = ["PROFILES", "ClientAuthentication", "Need", "Profile", "ResponseMode", "SigningAlgorithm"]

ClientAuthentication = Literal[
    "private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth", "client_secret_basic", "client_secret_post"
]
"""How a client proves who it is (RFC 7591, section 2; RFC 8705, section 2)."""

SigningAlgorithm = Literal["PS256", "ES256", "EdDSA"]
"""What may sign anything here (FAPI 2.0 Security Profile, section 5.4.1)."""

ResponseMode = Literal["query", "jwt", "query.jwt"]
"""How an authorization response comes back; ``jwt`` is JARM's default for a code, which is ``query.jwt``."""

Need = Literal["refused", "allowed", "required"]


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What one security profile asks.

    Attributes:
        client_authentication: The methods that a client may be registered with.
        algorithms: What may sign client assertions, request objects, DPoP proofs and what the server itself signs.
        bearer: Whether an access token may go unbound; otherwise each is bound by DPoP or mTLS.
        dpop: Whether a token may be bound to a DPoP key (RFC 9449).
        dpop_nonce: Whether proofs must hold a nonce of the server's (section 8), so that none can be made beforehand.
        pushed: Whether authorization requests come by PAR alone (RFC 9126).
        request_object: Whether the request is a signed object (RFC 9101).
        response_modes: How the answer may come back; the first is meant where the request says nothing.
        signed_introspection: Whether a client may ask for a signed answer (RFC 9701).
        code_ttl_s: How long an authorization code lives at most.
        request_uri_ttl_s: How long a pushed request waits for the browser.
        loopback_redirects: Whether an answer may go to a program on the developer's own machine, without TLS.
        refresh_rotation: Whether each use of a refresh token makes a new one. FAPI 2.0 (section 5.3.2.1) forbids that
            where tokens are bound to the client's key, because a lost answer would end the grant.
    """

    client_authentication: frozenset[ClientAuthentication]
    algorithms: tuple[SigningAlgorithm, ...] = ("PS256", "ES256", "EdDSA")
    bearer: bool = False
    dpop: bool = True
    dpop_nonce: bool = True
    pushed: bool = True
    request_object: Need = "refused"
    response_modes: tuple[ResponseMode, ...] = ("query",)
    signed_introspection: bool = False
    code_ttl_s: int = 60
    request_uri_ttl_s: int = 90
    loopback_redirects: bool = False
    refresh_rotation: bool = False


_WITH_KEYS: Final[frozenset[ClientAuthentication]] = frozenset(
    {"private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"}
)
_WITH_SECRETS: Final[frozenset[ClientAuthentication]] = frozenset({"client_secret_basic", "client_secret_post"})

PROFILES: Final[dict[SecurityProfile, Profile]] = {
    "fapi2": Profile(
        client_authentication=_WITH_KEYS, request_object="allowed", response_modes=("query", "jwt", "query.jwt")
    ),
    "fapi2-message-signing": Profile(
        client_authentication=_WITH_KEYS,
        request_object="required",
        response_modes=("jwt", "query.jwt"),
        signed_introspection=True,
    ),
    # What UK Open Banking's third parties speak: FAPI 1.0 Part 2, with code and JARM in place of the hybrid flow.
    "fapi1-advanced": Profile(
        client_authentication=_WITH_KEYS,
        algorithms=("PS256", "ES256"),
        dpop=False,
        request_object="required",
        response_modes=("jwt", "query.jwt"),
        signed_introspection=True,
    ),
    "sandbox": Profile(
        client_authentication=_WITH_KEYS | _WITH_SECRETS,
        bearer=True,
        dpop_nonce=False,
        request_object="allowed",
        response_modes=("query", "jwt", "query.jwt"),
        signed_introspection=True,
        loopback_redirects=True,
        refresh_rotation=True,
    ),
}
"""Every profile that a manifest can name."""
