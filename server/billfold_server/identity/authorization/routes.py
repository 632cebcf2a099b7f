"""The addresses at which people are asked: pushing a request, and bringing a browser with it.

A tenant and the platform are served by the same functions; the address says whose clients and people are meant.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal

from billfold.contract.oauth import PushedAuthorizationRequest, PushedAuthorizationResponse
from billfold_server.http.reading import JSON
from billfold_server.http.routing import Call, Reply, Routes
from billfold_server.identity import rules
from billfold_server.identity.answers import refused
from billfold_server.identity.authorization import apps, dashboard, endpoint, pushed, sign_out
from billfold_server.identity.rules import OAuthRefusal
from billfold_server.people.pages import forms
from billfold_server.people.pages.kit import MEDIA_TYPE, answering

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


_EXAMPLE: Final = {
    "request": {
        "response_type": "code",
        "redirect_uri": "https://app.example/cb",
        "scope": "openid",
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        "code_challenge_method": "S256",
        "state": "af0ifjsldkj",
    }
}


async def _push(call: Call, body: bytes) -> Reply[PushedAuthorizationResponse]:
    try:
        answer, headers = await pushed.push(call, body)
    except OAuthRefusal as refusal:
        return refused(refusal, call.services.identity.realm(call.tenant_or_none))
    return Reply(body=answer, headers={"Cache-Control": "no-store", **headers})


@routes.post(
    "/oauth/par",
    surface="oauth",
    status=201,
    body_media_type=_FORM,
    body_schema=PushedAuthorizationRequest,
    examples=_EXAMPLE,
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
    examples=_EXAMPLE,
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


async def end_session(
    call: Call,
    *,
    id_token_hint: str | None = None,
    client_id: str | None = None,
    post_logout_redirect_uri: str | None = None,
    state: str | None = None,
) -> Reply[bytes]:
    """Ask a person whether to sign out, as an app wishes."""
    given = (
        ("id_token_hint", id_token_hint),
        ("client_id", client_id),
        ("post_logout_redirect_uri", post_logout_redirect_uri),
        ("state", state),
    )
    return await sign_out.ask(call, {name: value for name, value in given if value is not None})


async def end_session_by_form(call: Call, body: bytes) -> Reply[bytes]:
    """Ask a person whether to sign out, as an app wishes by a form."""
    return await sign_out.ask(call, forms.read(body))


async def decide_end_session(call: Call, body: bytes) -> Reply[bytes]:
    """Take a person's answer to whether to sign out."""
    return await sign_out.decide(call, forms.read(body))


async def show_apps(call: Call, *, before: str | None = None, ui_locales: str | None = None) -> Reply[bytes]:
    """Show what a person has allowed apps."""
    return await apps.show(call, before, ui_locales)


async def end_app(call: Call, body: bytes) -> Reply[bytes]:
    """Take back what a person has allowed an app."""
    return await apps.end(call, forms.read(body))


async def show_consents(call: Call, *, before: str | None = None, ui_locales: str | None = None) -> Reply[bytes]:
    """Show what a customer has allowed third parties."""
    return await dashboard.show(call, before, ui_locales)


async def show_consent(
    call: Call,
    *,
    consent: str | None = None,
    done: str | None = None,
    uses_before: str | None = None,
    steps_after: str | None = None,
    ui_locales: str | None = None,
) -> Reply[bytes]:
    """Show one of a customer's consents, what was used of it, and its history."""
    return await dashboard.show_one(
        call, consent, ui_locales, done=done is not None, uses_before=uses_before, steps_after=steps_after
    )


async def confirm_end_of_consent(
    call: Call, *, consent: str | None = None, ui_locales: str | None = None
) -> Reply[bytes]:
    """Ask whether a consent is really to be taken back."""
    return await dashboard.confirm(call, consent, ui_locales)


async def end_consent(call: Call, body: bytes) -> Reply[bytes]:
    """Take back what a customer has allowed a third party."""
    return await dashboard.end(call, forms.read(body))


_BROWSERS: Final[tuple[tuple[Literal["GET", "POST"], str, Callable[..., Awaitable[Reply[bytes]]]], ...]] = (
    ("GET", "/authorize", authorize),
    ("POST", "/authorize", authorize_by_form),
    ("GET", "/authorize/resume", resume_authorization),
    ("POST", "/authorize/decision", decide_authorization),
    ("GET", "/end-session", end_session),
    ("POST", "/end-session", end_session_by_form),
    ("POST", "/end-session/decision", decide_end_session),
    ("GET", "/apps", show_apps),
    ("POST", "/apps/end", end_app),
)
"""The same at each tenant and at the platform."""

_CUSTOMERS: Final[tuple[tuple[Literal["GET", "POST"], str, Callable[..., Awaitable[Reply[bytes]]]], ...]] = (
    ("GET", "/consents", show_consents),
    ("GET", "/consents/one", show_consent),
    ("GET", "/consents/end", confirm_end_of_consent),
    ("POST", "/consents/end", end_consent),
)
"""What only tenants have, because only customers give consents."""


def _declare(room: Routes, below: str, prefix: str, pages: tuple[Any, ...] = _BROWSERS) -> None:
    """Declare what browsers use; no document shows it, for apps only send browsers there."""
    for method, path, handler in pages:
        room.operation(
            method,
            f"{below}/oauth{path}",
            operation_id=f"{prefix}{handler.__name__}",
            body_media_type=_FORM if method == "POST" else JSON,
            response_media_type=MEDIA_TYPE,
            surface="page",
            open_query=True,
            in_document=False,
        )(answering(handler))


_declare(routes, "", "", (*_BROWSERS, *_CUSTOMERS))
_declare(platform_routes, "/platform", "platform_")
