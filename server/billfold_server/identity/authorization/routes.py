"""The addresses at which people are asked: pushing a request, and bringing a browser with it.

A tenant and the platform are served by the same functions; the address says whose clients and people are meant.
"""

from collections.abc import Awaitable, Callable
from typing import Final, Literal

from billfold.contract.oauth import PushedAuthorizationRequest, PushedAuthorizationResponse
from billfold_server.http.reading import JSON
from billfold_server.http.routing import Call, Reply, Routes
from billfold_server.identity import rules
from billfold_server.identity.answers import refused
from billfold_server.identity.authorization import endpoint, pushed
from billfold_server.identity.rules import OAuthRefusal
from billfold_server.people.pages import forms
from billfold_server.people.pages.kit import MEDIA_TYPE

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


async def authorize(call: Call, *, client_id: str | None = None, request_uri: str | None = None) -> Reply[bytes]:
    """Begin to ask a person whose browser brings the address of a pushed request."""
    return await endpoint.begin(call, client_id, request_uri)


async def authorize_by_form(call: Call, body: bytes) -> Reply[bytes]:
    """Begin to ask a person whose browser posts the address of a pushed request (OpenID Connect Core, 3.1.2.1)."""
    try:
        form = rules.read_form(body)
    except OAuthRefusal:
        form = {}
    return await endpoint.begin(call, form.get("client_id"), form.get("request_uri"))


async def resume_authorization(call: Call, *, interaction: str = "", ui_locales: str | None = None) -> Reply[bytes]:
    """Go on after sign-in: show what is asked."""
    return await endpoint.resume(call, interaction, ui_locales)


async def decide_authorization(call: Call, body: bytes) -> Reply[bytes]:
    """Take a person's answer."""
    return await endpoint.decide(call, forms.read(body))


_BROWSERS: Final[tuple[tuple[Literal["GET", "POST"], str, Callable[..., Awaitable[Reply[bytes]]]], ...]] = (
    ("GET", "", authorize),
    ("POST", "", authorize_by_form),
    ("GET", "/resume", resume_authorization),
    ("POST", "/decision", decide_authorization),
)


def _declare(room: Routes, below: str, prefix: str) -> None:
    """Declare what browsers use; no document shows it, for apps only send browsers there."""
    for method, path, handler in _BROWSERS:
        room.operation(
            method,
            f"{below}/oauth/authorize{path}",
            operation_id=f"{prefix}{handler.__name__}",
            body_media_type=_FORM if method == "POST" else JSON,
            response_media_type=MEDIA_TYPE,
            surface="page",
            open_query=True,
            in_document=False,
        )(handler)


_declare(routes, "", "")
_declare(platform_routes, "/platform", "platform_")
