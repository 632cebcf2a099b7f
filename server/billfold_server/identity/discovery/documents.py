"""The metadata of an authorization server, made from its realm's profile.

Sources: RFC 8414, section 2; OpenID Connect Discovery, section 3; and of what stands in it, RFC 8705 (section 5), RFC
9101 (section 10.5), RFC 9126 (section 5), RFC 9207 (section 3), RFC 9396 (section 10), RFC 9449 (section 5.1), RFC 9701
(section 7), JARM (section 3) and OpenID Connect RP-Initiated Logout (section 2.1). What isn't served isn't said.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, get_args
from urllib.parse import urlsplit

import msgspec

from billfold.contract.oauth import MtlsEndpoints, ServerMetadata
from billfold_server.identity import rules
from billfold_server.identity.authorization.parameters import Prompt
from billfold_server.identity.authorization.sign_in import ACR_VALUES
from billfold_server.identity.profiles import Profile
from billfold_server.identity.realms import Realm

__all__ = ["Deployment", "metadata", "resource_metadata"]

_ENDPOINTS: Final[Mapping[str, str]] = {
    "authorization_endpoint": "/oauth/authorize",
    "token_endpoint": "/oauth/token",
    "pushed_authorization_request_endpoint": "/oauth/par",
    "introspection_endpoint": "/oauth/introspect",
    "revocation_endpoint": "/oauth/revoke",
    "userinfo_endpoint": "/oauth/userinfo",
    "registration_endpoint": "/oauth/register",
    "end_session_endpoint": "/oauth/end-session",
}
"""Where each endpoint is, below the issuer."""

_WITH_CERTIFICATE: Final = (
    "token_endpoint",
    "pushed_authorization_request_endpoint",
    "introspection_endpoint",
    "revocation_endpoint",
    "userinfo_endpoint",
)
"""The endpoints at which a client may show a certificate."""

_BY_CERTIFICATE: Final = frozenset({"tls_client_auth", "self_signed_tls_client_auth"})

_CLAIMS: Final = (
    "acr",
    "amr",
    "aud",
    "auth_time",
    "exp",
    "iat",
    "iss",
    "name",
    "nonce",
    "openbanking_intent_id",
    "sub",
    "updated_at",
)


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """What a realm's metadata depends on beside the realm.

    Attributes:
        served: The paths of all operations, as they are declared.
        mtls_base_url: Where client certificates are asked for; None where nobody asks.
        certificates: Whether client certificates reach the server in any way.
        grant_types: The grants that the token endpoint knows.
        details_types: The types of RFC 9396.
        languages: Of the hosted pages.
        registration: Whether clients may register themselves here.
        open_banking: Whether third parties may connect.
    """

    served: Collection[str]
    mtls_base_url: str | None
    certificates: bool
    grant_types: Sequence[str]
    details_types: Sequence[str]
    languages: Sequence[str]
    registration: bool
    open_banking: bool


def resource_metadata(realm: Realm, deployment: Deployment, resource: str = "/v1") -> dict[str, Any]:
    """Return what a realm's resource says about itself, and who issues tokens for it (RFC 9728, section 2).

    Args:
        realm: Whose.
        deployment: What else it depends on.
        resource: Which, below the issuer.
    """
    known = rules.PLATFORM_SCOPES if realm.platform else rules.TENANT_SCOPES
    if resource != "/v1":
        known = rules.OPEN_BANKING_SCOPES
    said: dict[str, Any] = {
        "resource": f"{realm.issuer}{resource}",
        "authorization_servers": [realm.issuer],
        "scopes_supported": sorted(known),
        "bearer_methods_supported": ["header"],
        "resource_documentation": f"{realm.issuer}/docs",
        "tls_client_certificate_bound_access_tokens": deployment.certificates,
    }
    if realm.profile.dpop:
        said["dpop_signing_alg_values_supported"] = list(realm.profile.algorithms)
        said["dpop_bound_access_tokens_required"] = not realm.profile.bearer and not deployment.certificates
    return said


def metadata(realm: Realm, deployment: Deployment) -> ServerMetadata:
    """Return what a realm's authorization server says about itself."""
    prefix = "/platform" if realm.platform else ""
    served = {name: path for name, path in _ENDPOINTS.items() if prefix + path in deployment.served}
    if not deployment.registration:
        served.pop("registration_endpoint", None)
    said: dict[str, Any] = {
        "issuer": realm.issuer,
        "jwks_uri": f"{realm.issuer}/.well-known/jwks.json",
        "service_documentation": f"{realm.issuer}/docs",
        "scopes_supported": _scopes(realm, deployment, people="authorization_endpoint" in served),
        **{name: realm.issuer + path for name, path in served.items()},
        **_client_authentication(realm.profile, served, deployment),
        **_binding(realm, served, deployment),
        **(_authorization(realm.profile, deployment) if "authorization_endpoint" in served else _NO_PEOPLE),
    }
    said["grant_types_supported"] = sorted(
        grant for grant in deployment.grant_types if grant == "client_credentials" or "authorization_endpoint" in served
    )
    return ServerMetadata(**said)


_NO_PEOPLE: Final[dict[str, Any]] = {"response_types_supported": []}


def _scopes(realm: Realm, deployment: Deployment, *, people: bool) -> list[str]:
    known = rules.PLATFORM_SCOPES if realm.platform else rules.TENANT_SCOPES
    of_third_parties = rules.OPEN_BANKING_SCOPES if deployment.open_banking else ()
    return sorted([*known, *of_third_parties, *(rules.OPENID_SCOPES if people else ())])


def _client_authentication(profile: Profile, served: Mapping[str, str], deployment: Deployment) -> dict[str, Any]:
    methods = sorted(
        method for method in profile.client_authentication if deployment.certificates or method not in _BY_CERTIFICATE
    )
    said: dict[str, Any] = {}
    for endpoint in ("token", "introspection", "revocation"):
        if f"{endpoint}_endpoint" in served:
            said[f"{endpoint}_endpoint_auth_methods_supported"] = methods
            said[f"{endpoint}_endpoint_auth_signing_alg_values_supported"] = list(profile.algorithms)
    if "introspection_endpoint" in served:
        # In every profile a client may be registered so that the answers for it are signed (RFC 9701).
        said["introspection_signing_alg_values_supported"] = list(profile.algorithms)
    return said


def _binding(realm: Realm, served: Mapping[str, str], deployment: Deployment) -> dict[str, Any]:
    said: dict[str, Any] = {"tls_client_certificate_bound_access_tokens": deployment.certificates}
    if realm.profile.dpop:
        said["dpop_signing_alg_values_supported"] = list(realm.profile.algorithms)
    if deployment.mtls_base_url is not None:
        base = deployment.mtls_base_url + urlsplit(realm.issuer).path
        aliases = {name: base + served[name] for name in _WITH_CERTIFICATE if name in served}
        said["mtls_endpoint_aliases"] = MtlsEndpoints(**aliases)
    return said


def _authorization(profile: Profile, deployment: Deployment) -> dict[str, Any]:
    said: dict[str, Any] = {
        "response_types_supported": ["code"],
        "response_modes_supported": list(profile.response_modes),
        "code_challenge_methods_supported": ["S256"],
        "require_pushed_authorization_requests": profile.pushed,
        "authorization_response_iss_parameter_supported": True,
        "acr_values_supported": list(ACR_VALUES),
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": list(profile.algorithms),
        "claim_types_supported": ["normal"],
        "claims_supported": list(_CLAIMS),
        "claims_parameter_supported": True,
        "prompt_values_supported": list(get_args(Prompt)),
        "request_parameter_supported": profile.request_object != "refused",
        # What a client hosts itself isn't fetched; what it has pushed is meant by PAR's own endpoint.
        "request_uri_parameter_supported": False,
        "require_request_uri_registration": False,
        "ui_locales_supported": list(deployment.languages),
    }
    if deployment.details_types:
        said["authorization_details_types_supported"] = sorted(deployment.details_types)
    if profile.request_object != "refused":
        said["request_object_signing_alg_values_supported"] = list(profile.algorithms)
        said["require_signed_request_object"] = profile.request_object == "required"
    if {"jwt", "query.jwt"} & set(profile.response_modes):
        said["authorization_signing_alg_values_supported"] = list(profile.algorithms)
    return said
