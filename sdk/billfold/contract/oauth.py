"""OAuth 2: what the token endpoint is asked and answers, and what an authorization server says about itself."""

from typing import Annotated, Literal

from msgspec import Meta

from billfold.contract.common import Response

__all__ = ["Jwk", "JwkSet", "OAuthError", "ServerMetadata", "TokenRequest", "TokenResponse"]

# RFC 6749, appendix A: VSCHAR, and a scope-token.
_Visible = "^[\\x20-\\x7e]+$"


class TokenRequest(Response, frozen=True, kw_only=True):
    """A request for an access token by client credentials (RFC 6749, section 4.4.2)."""

    grant_type: Literal["client_credentials"]
    scope: Annotated[
        str | None,
        Meta(
            description="Space-separated scopes; everything that the client may where absent.",
            examples=["wallets:read"],
        ),
    ] = None
    client_id: Annotated[
        str | None, Meta(description="Where the client doesn't authenticate by HTTP Basic.", examples=["cli_…"])
    ] = None
    client_secret: Annotated[str | None, Meta(description="Beside ``client_id``.")] = None


class TokenResponse(Response, frozen=True, kw_only=True):
    """An access token (RFC 6749, section 5.1)."""

    access_token: Annotated[str, Meta(description="A JWT (RFC 9068), for the bearer (RFC 6750).")]
    token_type: Literal["Bearer"]
    expires_in: Annotated[int, Meta(ge=1, le=600, description="Seconds that it lives.")]
    scope: Annotated[str, Meta(description="Space-separated scopes that it has.")]


class OAuthError(Response, frozen=True, kw_only=True):
    """A refusal of an OAuth endpoint (RFC 6749, section 5.2)."""

    error: Annotated[str, Meta(examples=["invalid_client"])]
    error_description: str | None = None


class Jwk(Response, frozen=True, kw_only=True):
    """A public signing key (RFC 7517)."""

    kty: Literal["EC"]
    crv: Literal["P-256"]
    x: str
    y: str
    kid: str
    use: Literal["sig"]
    alg: Literal["ES256"]


class JwkSet(Response, frozen=True, kw_only=True):
    """The public keys by which access tokens can be verified (RFC 7517, section 5)."""

    keys: list[Jwk]


class ServerMetadata(Response, frozen=True, kw_only=True):
    """What an authorization server says about itself (RFC 8414, section 2)."""

    issuer: str
    token_endpoint: str
    jwks_uri: str
    scopes_supported: list[str]
    response_types_supported: list[str]
    grant_types_supported: list[str]
    token_endpoint_auth_methods_supported: list[str]
    service_documentation: str
