"""The OAuth 2 endpoints: tokens, keys and what the authorization server says about itself.

A tenant and the platform are served by the same functions; the address says whose clients and keys are meant.
"""

from billfold.contract.oauth import JwkSet, TokenRequest, TokenResponse
from billfold_server.http.routing import Call, Reply, Routes
from billfold_server.identity import rules
from billfold_server.identity.answers import refused
from billfold_server.identity.rules import OAuthRefusal
from billfold_server.identity.service import authenticate

__all__ = ["platform_routes", "routes"]

routes = Routes(
    tag="Identity",
    description="Access tokens by client credentials (RFC 6749), signed as ES256 JWTs (RFC 9068).",
    audience="tenant-public",
)
platform_routes = Routes(
    tag="Identity",
    description="Access tokens of platform operators, by an issuer of their own.",
    audience="platform-public",
)

_FORM = "application/x-www-form-urlencoded"
_KEYS_MAX_AGE_S = 300


async def _issue(call: Call, body: bytes) -> Reply[TokenResponse]:
    identity = call.services.identity
    realm = identity.realm(call.tenant_or_none)
    try:
        form = rules.read_form(body)
        client = await authenticate(call.services, realm, call, form)
        token = await identity.issue(realm, client, form)
    except OAuthRefusal as refusal:
        return refused(refusal)
    return Reply(body=token, headers={"Cache-Control": "no-store"})


async def _keys(call: Call) -> Reply[JwkSet]:
    identity = call.services.identity
    keys = await identity.jwks(identity.realm(call.tenant_or_none))
    return Reply(body=keys, headers={"Cache-Control": f"public, max-age={_KEYS_MAX_AGE_S}"})


@routes.post("/oauth/token", surface="oauth", body_media_type=_FORM, body_schema=TokenRequest)
async def create_token(call: Call, body: bytes) -> Reply[TokenResponse]:
    """Issue an access token to a client.

    By client credentials (RFC 6749, section 4.4). The client authenticates by HTTP Basic or in the form, not by both.
    """
    return await _issue(call, body)


@routes.get("/.well-known/jwks.json")
async def get_jwks(call: Call) -> Reply[JwkSet]:
    """Show the public keys by which this tenant's access tokens can be verified."""
    return await _keys(call)


@platform_routes.post("/platform/oauth/token", surface="oauth", body_media_type=_FORM, body_schema=TokenRequest)
async def create_platform_token(call: Call, body: bytes) -> Reply[TokenResponse]:
    """Issue an access token to a platform operator's client.

    By client credentials (RFC 6749, section 4.4). The client authenticates by HTTP Basic or in the form, not by both.
    """
    return await _issue(call, body)


@platform_routes.get("/platform/.well-known/jwks.json")
async def get_platform_jwks(call: Call) -> Reply[JwkSet]:
    """Show the public keys by which operators' access tokens can be verified."""
    return await _keys(call)
