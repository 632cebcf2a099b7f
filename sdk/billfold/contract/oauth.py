"""OAuth 2: what the token endpoint is asked and answers, and what an authorization server says about itself."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from billfold.contract.common import Response

__all__ = [
    "Introspection",
    "Jwk",
    "JwkSet",
    "MtlsEndpoints",
    "OAuthError",
    "PushedAuthorizationRequest",
    "PushedAuthorizationResponse",
    "ServerMetadata",
    "TokenQuestion",
    "TokenRequest",
    "TokenResponse",
    "UserInfo",
]


class TokenRequest(Response, frozen=True, kw_only=True):
    """A request for an access token (RFC 6749, sections 4.1.3, 4.4.2 and 6)."""

    _secrets = frozenset({"client_assertion", "client_secret", "code", "code_verifier", "refresh_token"})

    grant_type: Literal["authorization_code", "client_credentials", "refresh_token"]
    scope: Annotated[
        str | None,
        Meta(
            description="Space-separated scopes; everything that was allowed, or the client may, where absent.",
            examples=["wallets:read"],
        ),
    ] = None
    client_id: Annotated[
        str | None, Meta(description="Where the client doesn't authenticate by HTTP Basic.", examples=["cli_…"])
    ] = None
    client_secret: Annotated[
        str | None, Meta(description="Beside ``client_id``, where the security profile takes secrets.")
    ] = None
    client_assertion_type: Annotated[
        str | None, Meta(examples=["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"])
    ] = None
    client_assertion: Annotated[str | None, Meta(description="A JWT that the client has signed (RFC 7523).")] = None
    code: Annotated[str | None, Meta(description="The authorization code.")] = None
    redirect_uri: Annotated[str | None, Meta(description="The address to which the code was sent.")] = None
    code_verifier: Annotated[str | None, Meta(description="What the code's challenge was made of (RFC 7636).")] = None
    refresh_token: Annotated[str | None, Meta(description="The refresh token.")] = None
    resource: Annotated[str | None, Meta(description="Which resource the token is for (RFC 8707).")] = None
    authorization_details: Annotated[
        str | None, Meta(description="JSON: which of the details that were allowed the token has (RFC 9396).")
    ] = None


class TokenResponse(Response, frozen=True, kw_only=True, omit_defaults=True):
    """An access token, and what comes with it (RFC 6749, section 5.1)."""

    _secrets = frozenset({"access_token", "id_token", "refresh_token"})

    access_token: Annotated[str, Meta(description="A JWT (RFC 9068).")]
    token_type: Annotated[
        Literal["Bearer", "DPoP"],
        Meta(description="``DPoP`` where it is bound to the key of a proof (RFC 9449); else RFC 6750 or RFC 8705."),
    ]
    expires_in: Annotated[int, Meta(ge=1, le=600, description="Seconds that it lives.")]
    scope: Annotated[str, Meta(description="Space-separated scopes that it has.")]
    refresh_token: str | None = None
    id_token: Annotated[
        str | None, Meta(description="Who has signed in (OpenID Connect Core, section 2), with the scope ``openid``.")
    ] = None
    authorization_details: Annotated[
        list[dict[str, Any]] | None, Meta(description="What it allows in particular (RFC 9396, section 7).")
    ] = None


_CLIENT_ID = Annotated[str | None, Meta(description="Where the client shows it in the form.", examples=["cli_…"])]


class PushedAuthorizationRequest(Response, frozen=True, kw_only=True):
    """An authorization request, sent by the client itself (RFC 9126, section 2.1).

    Beside these there are the parameters by which the client authenticates. What isn't known is ignored.
    """

    response_type: Annotated[Literal["code"] | None, Meta(description="Required, unless a request object says it.")] = (
        None
    )
    redirect_uri: Annotated[str | None, Meta(description="Exactly as registered.")] = None
    scope: Annotated[str | None, Meta(description="Space-separated scopes.", examples=["openid"])] = None
    code_challenge: Annotated[str | None, Meta(description="Of the code's verifier (RFC 7636).")] = None
    code_challenge_method: Literal["S256"] | None = None
    state: Annotated[str, Meta(max_length=4096, description="Given back as it is.")] | None = None
    nonce: Annotated[str, Meta(max_length=2048, description="Said by the ID token.")] | None = None
    response_mode: Literal["query", "jwt", "query.jwt"] | None = None
    authorization_details: Annotated[str | None, Meta(description="A JSON list (RFC 9396).")] = None
    claims: Annotated[str | None, Meta(description="A JSON object (OpenID Connect Core, section 5.5).")] = None
    resource: Annotated[str | None, Meta(description="An API; may occur often (RFC 8707).")] = None
    dpop_jkt: Annotated[str | None, Meta(description="The key that alone may redeem the code (RFC 9449).")] = None
    prompt: str | None = None
    max_age: Annotated[str | None, Meta(description="Seconds since the person signed in, at most.")] = None
    login_hint: str | None = None
    acr_values: str | None = None
    ui_locales: str | None = None
    request: Annotated[
        str | None, Meta(description="All of the above as a signed request object (RFC 9101), and nothing beside it.")
    ] = None
    client_id: _CLIENT_ID = None


class PushedAuthorizationResponse(Response, frozen=True, kw_only=True):
    """Where the browser finds a request that was pushed (RFC 9126, section 2.2)."""

    request_uri: Annotated[
        str,
        Meta(
            description="For the authorize endpoint, beside the client's id.",
            examples=["urn:ietf:params:oauth:request_uri:6esc_11ACC5bwc014ltc14eY22c"],
        ),
    ]
    expires_in: Annotated[int, Meta(ge=1, le=600, description="Seconds within which the browser must come.")]


class TokenQuestion(Response, frozen=True, kw_only=True):
    """A request about a token: what it is worth (RFC 7662), or that it ends (RFC 7009)."""

    _secrets = frozenset({"token"})

    token: Annotated[str, Meta(description="An access token or a refresh token of the client's own.")]
    token_type_hint: Annotated[str | None, Meta(description="Isn't needed.", examples=["access_token"])] = None


class Introspection(Response, frozen=True, kw_only=True, omit_defaults=True):
    """What a token is worth (RFC 7662, section 2.2). Of one that is worth nothing, nothing else is said."""

    active: bool
    token_type: Literal["Bearer", "DPoP"] | None = None
    iss: str | None = None
    sub: str | None = None
    client_id: str | None = None
    aud: str | None = None
    scope: str | None = None
    jti: str | None = None
    iat: int | None = None
    exp: int | None = None
    cnf: Annotated[dict[str, str] | None, Meta(description="To which key it is bound (RFC 9449, RFC 8705).")] = None
    auth_time: int | None = None
    acr: str | None = None
    amr: list[str] | None = None
    authorization_details: list[dict[str, Any]] | None = None


class UserInfo(Response, frozen=True, kw_only=True, omit_defaults=True):
    """Who has signed in (OpenID Connect Core, section 5.3.2), as far as the token's scopes ask for it."""

    sub: Annotated[str, Meta(examples=["usr_…"])]
    name: Annotated[str | None, Meta(description="With the scope ``profile``.")] = None
    updated_at: Annotated[int | None, Meta(description="With the scope ``profile``: seconds since the epoch.")] = None
    openbanking_intent_id: Annotated[str | None, Meta(description="The consent by which the token was allowed.")] = None


class OAuthError(Response, frozen=True, kw_only=True):
    """A refusal of an OAuth endpoint (RFC 6749, section 5.2)."""

    error: Annotated[str, Meta(examples=["invalid_client"])]
    error_description: str | None = None


class Jwk(Response, frozen=True, kw_only=True):
    """A public signing key (RFC 7517): elliptic curve, Edwards curve (RFC 8037) or RSA."""

    kty: Literal["EC", "OKP", "RSA"]
    crv: Literal["P-256", "Ed25519"] | UnsetType = UNSET
    x: str | UnsetType = UNSET
    y: str | UnsetType = UNSET
    n: str | UnsetType = UNSET
    e: str | UnsetType = UNSET
    kid: str
    use: Literal["sig"]
    alg: Literal["PS256", "ES256", "EdDSA"]


class JwkSet(Response, frozen=True, kw_only=True):
    """The public keys by which access tokens can be verified (RFC 7517, section 5)."""

    keys: list[Jwk]


class MtlsEndpoints(Response, frozen=True, kw_only=True, omit_defaults=True):
    """Where endpoints are for clients that show a certificate (RFC 8705, section 5)."""

    token_endpoint: str | UnsetType = UNSET
    pushed_authorization_request_endpoint: str | UnsetType = UNSET
    introspection_endpoint: str | UnsetType = UNSET
    revocation_endpoint: str | UnsetType = UNSET
    userinfo_endpoint: str | UnsetType = UNSET


class ServerMetadata(Response, frozen=True, kw_only=True, omit_defaults=True):
    """What an authorization server says about itself (RFC 8414, section 2; OpenID Connect Discovery, section 3)."""

    issuer: str
    token_endpoint: str
    jwks_uri: str
    scopes_supported: list[str]
    response_types_supported: list[str]
    grant_types_supported: list[str]
    token_endpoint_auth_methods_supported: list[str]
    token_endpoint_auth_signing_alg_values_supported: list[str]
    service_documentation: str
    authorization_endpoint: str | UnsetType = UNSET
    pushed_authorization_request_endpoint: str | UnsetType = UNSET
    require_pushed_authorization_requests: bool | UnsetType = UNSET
    introspection_endpoint: str | UnsetType = UNSET
    introspection_endpoint_auth_methods_supported: list[str] | UnsetType = UNSET
    introspection_endpoint_auth_signing_alg_values_supported: list[str] | UnsetType = UNSET
    introspection_signing_alg_values_supported: list[str] | UnsetType = UNSET
    revocation_endpoint: str | UnsetType = UNSET
    revocation_endpoint_auth_methods_supported: list[str] | UnsetType = UNSET
    revocation_endpoint_auth_signing_alg_values_supported: list[str] | UnsetType = UNSET
    userinfo_endpoint: str | UnsetType = UNSET
    registration_endpoint: str | UnsetType = UNSET
    end_session_endpoint: str | UnsetType = UNSET
    mtls_endpoint_aliases: MtlsEndpoints | UnsetType = UNSET
    tls_client_certificate_bound_access_tokens: bool
    dpop_signing_alg_values_supported: list[str] | UnsetType = UNSET
    response_modes_supported: list[str] | UnsetType = UNSET
    code_challenge_methods_supported: list[str] | UnsetType = UNSET
    authorization_response_iss_parameter_supported: bool | UnsetType = UNSET
    authorization_signing_alg_values_supported: list[str] | UnsetType = UNSET
    authorization_details_types_supported: list[str] | UnsetType = UNSET
    request_parameter_supported: bool | UnsetType = UNSET
    request_uri_parameter_supported: bool | UnsetType = UNSET
    require_request_uri_registration: bool | UnsetType = UNSET
    request_object_signing_alg_values_supported: list[str] | UnsetType = UNSET
    require_signed_request_object: bool | UnsetType = UNSET
    subject_types_supported: list[str] | UnsetType = UNSET
    id_token_signing_alg_values_supported: list[str] | UnsetType = UNSET
    acr_values_supported: list[str] | UnsetType = UNSET
    claim_types_supported: list[str] | UnsetType = UNSET
    claims_supported: list[str] | UnsetType = UNSET
    claims_parameter_supported: bool | UnsetType = UNSET
    prompt_values_supported: list[str] | UnsetType = UNSET
    ui_locales_supported: list[str] | UnsetType = UNSET
