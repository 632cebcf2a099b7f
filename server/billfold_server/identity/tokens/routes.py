"""The endpoints of tokens: issued, looked into, ended; and who has signed in.

A tenant and the platform are served by the same functions; the address says whose clients and keys are meant. What
isn't in the OpenAPI document is described by the metadata that the protocols' own clients read.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from billfold.contract.oauth import Introspection, TokenQuestion, TokenRequest, TokenResponse, UserInfo
from billfold_server.http.routing import Call, Reply, Routes
from billfold_server.identity import rules
from billfold_server.identity.answers import refused
from billfold_server.identity.clients import service as clients
from billfold_server.identity.clients.rows import Client
from billfold_server.identity.grants.issuing import issue
from billfold_server.identity.realms import Realm
from billfold_server.identity.rules import OAuthRefusal
from billfold_server.identity.service import authenticate
from billfold_server.identity.tokens.binding import show
from billfold_server.identity.tokens.introspection import introspect
from billfold_server.identity.tokens.revocation import revoke
from billfold_server.identity.tokens.userinfo import userinfo

__all__ = ["platform_routes", "routes"]

routes = Routes(
    tag="Identity",
    description="Access tokens (RFC 6749, RFC 9068), bound to the client's key (RFC 9449, RFC 8705) by most profiles.",
    audience="tenant-public",
)
platform_routes = Routes(
    tag="Identity",
    description="Access tokens of platform operators, by an issuer of their own.",
    audience="platform-public",
)

_FORM: Final = "application/x-www-form-urlencoded"

Endpoint = Callable[[Call, Realm, Client, Mapping[str, str]], Awaitable[Reply[Any]]]


async def _asked(call: Call, body: bytes, endpoint: Endpoint) -> Reply[Any]:
    """Run an endpoint for a client, once it has authenticated."""
    realm = call.services.identity.realm(call.tenant_or_none)
    try:
        form = rules.read_form(body)
        client = await authenticate(call.services, realm, call, form)
        return await endpoint(call, realm, client, form)
    except OAuthRefusal as refusal:
        return refused(refusal, realm, always_401=endpoint is introspect)


async def _issue(call: Call, body: bytes) -> Reply[TokenResponse]:
    """Issue tokens to a client once it has authenticated; what it shows that counts once is remembered together."""
    realm = call.services.identity.realm(call.tenant_or_none)
    try:
        form = rules.read_form(body)
        attempt = await clients.begin(call.services, realm, call, form)
        shown = show(call, realm)
        client = await clients.finish(call.services, call, attempt)
        token, headers = await issue(call, realm, client, form, shown)
    except OAuthRefusal as refusal:
        return refused(refusal, realm)
    return Reply(body=token, headers={"Cache-Control": "no-store", **headers})


@routes.post("/oauth/token", surface="oauth", body_media_type=_FORM, body_schema=TokenRequest, hot=True)
async def create_token(call: Call, body: bytes) -> Reply[TokenResponse]:
    """Issue an access token to a client.

    By an authorization code, by client credentials or by a refresh token (RFC 6749, sections 4.1.3, 4.4 and 6). The
    client authenticates in the one way that it is registered for, and shows the key to which its token will be bound.
    """
    return await _issue(call, body)


@platform_routes.post("/platform/oauth/token", surface="oauth", body_media_type=_FORM, body_schema=TokenRequest)
async def create_platform_token(call: Call, body: bytes) -> Reply[TokenResponse]:
    """Issue an access token to a platform operator's client.

    By an authorization code, by client credentials or by a refresh token (RFC 6749, sections 4.1.3, 4.4 and 6). The
    client authenticates in the one way that it is registered for, and shows the key to which its token will be bound.
    """
    return await _issue(call, body)


@routes.post("/oauth/introspect", surface="oauth", body_media_type=_FORM, body_schema=TokenQuestion, in_document=False)
async def introspect_token(call: Call, body: bytes) -> Reply[Introspection]:
    """Tell a client what a token of its own is worth (RFC 7662).

    The answer is a signed JWT (RFC 9701) for a client that is registered so, and for one that accepts
    ``application/token-introspection+jwt`` where the security profile lets it.
    """
    return await _asked(call, body, introspect)


@platform_routes.post(
    "/platform/oauth/introspect", surface="oauth", body_media_type=_FORM, body_schema=TokenQuestion, in_document=False
)
async def introspect_platform_token(call: Call, body: bytes) -> Reply[Introspection]:
    """Tell an operator's client what a token of its own is worth (RFC 7662)."""
    return await _asked(call, body, introspect)


@routes.post(
    "/oauth/revoke", surface="oauth", body_media_type=_FORM, body_schema=TokenQuestion, in_document=False, status=200
)
async def revoke_token(call: Call, body: bytes) -> Reply[None]:
    """End a token of the client's own (RFC 7009).

    A refresh token ends everything that was issued by the same grant. What isn't a token of the client's is no error.
    Every worker knows it within a second.
    """
    return await _asked(call, body, revoke)


@platform_routes.post(
    "/platform/oauth/revoke",
    surface="oauth",
    body_media_type=_FORM,
    body_schema=TokenQuestion,
    in_document=False,
    status=200,
)
async def revoke_platform_token(call: Call, body: bytes) -> Reply[None]:
    """End a token of an operator's client's own (RFC 7009)."""
    return await _asked(call, body, revoke)


@routes.get("/oauth/userinfo", audience="tenant", scope="openid", resource="", customers=True, in_document=False)
async def get_userinfo(call: Call) -> UserInfo:
    """Show who has signed in (OpenID Connect Core, section 5.3)."""
    return await userinfo(call)


@routes.post(
    "/oauth/userinfo", audience="tenant", status=200, scope="openid", resource="", customers=True, in_document=False
)
async def post_userinfo(call: Call) -> UserInfo:
    """Show who has signed in (OpenID Connect Core, section 5.3)."""
    return await userinfo(call)


@platform_routes.get(
    "/platform/oauth/userinfo", audience="platform", scope="openid", resource="", customers=True, in_document=False
)
async def get_platform_userinfo(call: Call) -> UserInfo:
    """Show which operator has signed in (OpenID Connect Core, section 5.3)."""
    return await userinfo(call)
