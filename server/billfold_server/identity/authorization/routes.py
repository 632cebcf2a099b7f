"""The addresses at which people are asked: pushing a request, and bringing a browser with it.

A tenant and the platform are served by the same functions; the address says whose clients and people are meant.
"""

from typing import Final

from billfold.contract.oauth import PushedAuthorizationRequest, PushedAuthorizationResponse
from billfold_server.http.routing import Call, Reply, Routes
from billfold_server.identity.answers import refused
from billfold_server.identity.authorization import pushed
from billfold_server.identity.rules import OAuthRefusal

__all__ = ["platform_routes", "routes"]

routes = Routes(
    tag="Authorization",
    description="How an app asks a person: it pushes its request, and the person's browser answers (RFC 9126).",
    audience="tenant-public",
)
platform_routes = Routes(
    tag="Authorization",
    description="How an app asks one of the platform's operators.",
    audience="platform-public",
)

_FORM: Final = "application/x-www-form-urlencoded"


async def _push(call: Call, body: bytes) -> Reply[PushedAuthorizationResponse]:
    try:
        answer = await pushed.push(call, body)
    except OAuthRefusal as refusal:
        return refused(refusal)
    return Reply(body=answer, headers={"Cache-Control": "no-store"})


@routes.post(
    "/oauth/par",
    surface="oauth",
    status=201,
    body_media_type=_FORM,
    body_schema=PushedAuthorizationRequest,
    in_document=False,
)
async def push_authorization_request(call: Call, body: bytes) -> Reply[PushedAuthorizationResponse]:
    """Take an authorization request from its client.

    The client authenticates as at the token endpoint. The answer's ``request_uri`` is what its user's browser brings to
    the authorize endpoint, within the time that is named, until the user has answered (RFC 9126).
    """
    return await _push(call, body)


@platform_routes.post(
    "/platform/oauth/par",
    surface="oauth",
    status=201,
    body_media_type=_FORM,
    body_schema=PushedAuthorizationRequest,
    in_document=False,
)
async def push_platform_authorization_request(call: Call, body: bytes) -> Reply[PushedAuthorizationResponse]:
    """Take an authorization request from a client of the platform's operators.

    The client authenticates as at the token endpoint. The answer's ``request_uri`` is what its user's browser brings to
    the authorize endpoint, within the time that is named, until the user has answered (RFC 9126).
    """
    return await _push(call, body)
