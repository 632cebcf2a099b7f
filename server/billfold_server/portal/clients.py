"""The portal's pages of API clients: which programs may connect, what each may, and how it proves who it is.

What changes something is the operation of the API, asked for in the person's name, so that a second person agrees to it
where the tenant wants that.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from msgspec import Meta

from billfold import errors, ids
from billfold.contract.clients import Client, ClientCreated, ClientSecret
from billfold.contract.common import ClientId
from billfold.ids import Prefix
from billfold_server.http.pagination import Cursor
from billfold_server.http.reading import decode_json
from billfold_server.http.routing import Call, Reply
from billfold_server.identity import service as identity
from billfold_server.partners import service as partners
from billfold_server.portal.pages import admitted, came_before, form_of, go, once, page, render, waits
from billfold_server.portal.viewers import Viewer
from billfold_server.tenancy.transaction import TenantTx

__all__: list[str] = []

_READ: Final = "clients:read"
_WRITE: Final = "clients:write"
_KIND: Final = "portal clients"
_SHOWN: Final = 25
_SCOPE: Final = "scope."
"""With what the names of the fields of scopes begin."""
_BY_SECRET: Final = "client_secret_basic"  # noqa: S105 - a method
_BY_KEY: Final = "private_key_jwt"
_SECRETS: Final = frozenset({_BY_SECRET, "client_secret_post"})
_KEYS: Final = frozenset({_BY_KEY, "self_signed_tls_client_auth"})
_PRIVATE: Final = frozenset({"d", "k", "p", "q"})
"""Members of keys that aren't public (RFC 7518, section 6)."""
_OVERLAPS_S: Final = (3600, 86_400, 0)
"""For how long a former secret may be taken as well; the first is what is meant where nothing is said."""
_REFUSED: Final = 403
_CONFLICT: Final = 409
_INVALID: Final = 422
_JSON: Final = msgspec.json.Decoder[Any]()
_Notice = Annotated[str, Meta(max_length=20)]
_NOTICES: Final = frozenset({"enabled", "disabled", "rekeyed"})
_MISTAKES: Final = (errors.ClientMetadataRefused, errors.MalformedBody, errors.ValidationFailed)


def _id(client_id: str) -> UUID:
    return ids.decode(Prefix.CLIENT, client_id)


async def _found(call: Call, client_id: str, scope: str) -> tuple[Viewer, Client]:
    """Return who may do this now and the client that it is about.

    Raises:
        errors.NotFound: There is no such client for them.
    """
    async with admitted(call, scope, back=f"/clients/{client_id}") as (tx, viewer):
        return viewer, await identity.get_client(tx, viewer.caller(call), _id(client_id))


# What there is.


@page("GET", "/clients")
async def show_clients(call: Call, *, cursor: Cursor | None = None, ui_locales: str | None = None) -> Reply[bytes]:
    """Show the programs that may connect."""
    place = call.cursors.decode(_KIND, cursor)
    async with admitted(call, _READ) as (tx, viewer):
        after = UUID(str(place[0])) if place else None
        found = await identity.show_clients(tx, viewer.caller(call), after=after, limit=_SHOWN + 1)
    shown = call.page(_KIND, found, _SHOWN, key=lambda each: [str(_id(each.id))])
    view = {
        "clients": shown.data,
        "more": None if shown.next_cursor is None else f"?{urlencode({'cursor': shown.next_cursor})}",
        "may_write": _WRITE in viewer.scopes,
    }
    return render(call, "clients.html", view, section="clients", viewer=viewer, ui_locales=ui_locales)


@page("GET", "/clients/{client_id}")
async def show_client(
    call: Call, client_id: ClientId, *, notice: _Notice = "", ui_locales: str | None = None
) -> Reply[bytes]:
    """Show a client, and what can be done with it."""
    found = await _found(call, client_id, _READ)
    return _one(call, *found, notice=notice if notice in _NOTICES else None, ui_locales=ui_locales)


def _one(
    call: Call,
    viewer: Viewer,
    client: Client,
    *,
    notice: str | None = None,
    complaint: str | None = None,
    status: int = _REFUSED,
    ui_locales: str | None = None,
) -> Reply[bytes]:
    keys = (client.jwks or {}).get("keys", [])
    view = {
        "client": client,
        "keys": [each.get("kid") or each.get("kty") for each in keys],
        "has_secret": client.token_endpoint_auth_method in _SECRETS,
        "has_keys": client.token_endpoint_auth_method in _KEYS,
        "overlaps": _OVERLAPS_S,
        "may_write": _WRITE in viewer.scopes,
        "notice": notice,
        "complaint": complaint,
    }
    status = 200 if complaint is None else status
    return render(call, "client.html", view, section="clients", viewer=viewer, status=status, ui_locales=ui_locales)


# A new one.


async def _giveable(call: Call, tx: TenantTx, viewer: Viewer) -> list[str]:
    """Return what somebody may give a client: what their partner has, or else what they have themselves."""
    if viewer.partner_id is None:
        return sorted(viewer.scopes & identity.TENANT_SCOPES.keys())
    partner = await partners.get(tx, viewer.caller(call), viewer.partner_id)
    return sorted(set(partner.client_scopes) & identity.GIVEABLE_SCOPES.keys() - (partners.OVER_PEOPLE - viewer.scopes))


async def _maker(call: Call) -> tuple[Viewer, list[str]]:
    """Return who may make a client now and what they may give it."""
    async with admitted(call, _WRITE, back="/clients/new") as (tx, viewer):
        return viewer, await _giveable(call, tx, viewer)


@page("GET", "/clients/new")
async def ask_for_client(call: Call, *, ui_locales: str | None = None) -> Reply[bytes]:
    """Ask what a new client is to be."""
    return _form(call, *await _maker(call), {}, ui_locales=ui_locales)


@page("POST", "/clients/new")
async def create_client(call: Call, body: bytes) -> Reply[bytes]:
    """Register a client, and show its secret this once, where it has one."""
    form = form_of(call, body)
    viewer, scopes = await _maker(call)
    try:
        async with once(call, form) as first:
            if not first:
                return came_before(call, viewer, section="clients", back="/clients")
            made: ClientCreated = await viewer.ask(call, "createClient", {}, _said(form, secrets=_takes_secrets(call)))
    except errors.ApprovalRequired as waiting:
        return waits(call, viewer, waiting, section="clients", back="/clients", action="/clients/new", form=form)
    except (*_MISTAKES, errors.InsufficientScope) as error:
        return _form(call, viewer, scopes, form, complaint=error)
    if made.client_secret is None:
        return go(call, f"/clients/{made.id}")
    return _secret(call, viewer, made, made.client_secret)


def _takes_secrets(call: Call) -> bool:
    return _BY_SECRET in call.services.identity.realm(call.tenant).profile.client_authentication


def _said(form: Mapping[str, str], *, secrets: bool) -> dict[str, Any]:
    """Return what a form asks for, as the operation's body has it.

    Raises:
        errors.ValidationFailed: There are no public keys where there must be.
    """
    by_secret = secrets and form.get("method") != _BY_KEY
    said: dict[str, Any] = {"token_endpoint_auth_method": _BY_SECRET if by_secret else _BY_KEY}
    said["client_name"] = form.get("client_name", "").strip()
    if scopes := sorted(name.removeprefix(_SCOPE) for name in form if name.startswith(_SCOPE)):
        said["scope"] = " ".join(scopes)
    return said if by_secret else {**said, "jwks": _jwks(form)}


def _jwks(form: Mapping[str, str]) -> Any:
    """Return the keys that were typed: a JWK Set, or the one key that somebody has.

    Raises:
        errors.ValidationFailed: It isn't JSON, or there is a private key in it, which is kept nowhere, not even for a
            second person's look.
    """
    try:
        said = decode_json(form.get("jwks", "").encode(), _JSON)
    except errors.MalformedBody:
        raise errors.ValidationFailed("the keys aren't JSON", param="jwks") from None
    if isinstance(said, dict) and "kty" in said:
        said = {"keys": [said]}
    keys = said.get("keys") if isinstance(said, dict) else None
    if not isinstance(keys, list) or any(not isinstance(each, dict) or _PRIVATE & each.keys() for each in keys):
        raise errors.ValidationFailed("there must be public keys, and no others", param="jwks")
    return said


def _form(
    call: Call,
    viewer: Viewer,
    scopes: list[str],
    form: Mapping[str, str],
    *,
    complaint: errors.ProblemError | None = None,
    ui_locales: str | None = None,
) -> Reply[bytes]:
    """Return the page on which a client is made, with what was said and what is wrong with it."""
    wrong = None if complaint is None else _complaint(complaint)
    view = {
        # Keys that aren't taken may be private ones, which nobody is shown.
        "form": {name: value for name, value in form.items() if name != "jwks" or wrong != "keys"},
        "complaint": wrong,
        "scopes": scopes,
        "scope": _SCOPE,
        "secrets": _takes_secrets(call),
        "by_key": _BY_KEY,
        "by_secret": _BY_SECRET,
    }
    status = 200 if wrong is None else _INVALID
    return render(
        call, "client_form.html", view, section="clients", viewer=viewer, status=status, ui_locales=ui_locales
    )


def _complaint(error: errors.ProblemError) -> str:
    """Return the key of what is said of a mistake."""
    if isinstance(error, errors.InsufficientScope):
        return "beyond"
    said = error.param or ""
    return next((word for word, about in _ABOUT.items() if said.startswith(about)), "form")


_ABOUT: Final = {"keys": "jwks", "scope": "scope", "name": "client_name"}


def _secret(call: Call, viewer: Viewer, client: Client, secret: str, **more: Any) -> Reply[bytes]:
    """Return the page that shows a secret, which is the only one that ever does."""
    view = {"client": client, "secret": secret, "former_until": None, "base_url": call.base_url, **more}
    return render(call, "client_secret.html", view, section="clients", viewer=viewer)


def _waits(  # noqa: PLR0917 - what waits, and how it is asked for again
    call: Call, viewer: Viewer, waiting: errors.ApprovalRequired, client: Client, action: str, form: Mapping[str, str]
) -> Reply[bytes]:
    """Return the page that says that a second person must agree, with the form that asks again once they have."""
    path, about = f"/clients/{client.id}", f"{client.client_name} ({client.id})"
    return waits(
        call,
        viewer,
        waiting,
        section="clients",
        back=path,
        about=about,
        action=f"{path}/{action}",
        form=form,
    )


# Changes of one.


@page("POST", "/clients/{client_id}/rotate-secret")
async def rotate_client_secret(call: Call, client_id: ClientId, body: bytes) -> Reply[bytes]:
    """Give a client another secret, and show it this once.

    A form that comes a second time, as by a reload, does nothing: the secret that programs still have would be gone.
    """
    form = form_of(call, body)
    viewer, client = await _found(call, client_id, _WRITE)
    if form.get("version") != str(client.version):
        return _one(call, viewer, client, complaint="stale", status=_CONFLICT)
    overlaps = {str(each): each for each in _OVERLAPS_S}
    said = {"overlap_s": overlaps.get(form.get("overlap_s", ""), _OVERLAPS_S[0])}
    try:
        made: ClientSecret = await viewer.ask(call, "rotateClientSecret", {"client_id": client_id}, said)
    except errors.ApprovalRequired as waiting:
        return _waits(call, viewer, waiting, client, "rotate-secret", form)
    except (errors.InsufficientScope, errors.ClientMetadataRefused) as error:
        return _one(call, viewer, client, complaint=_complaint(error))
    return _secret(call, viewer, client, made.client_secret, former_until=made.former_secret_until)


@page("GET", "/clients/{client_id}/keys")
async def ask_for_client_keys(call: Call, client_id: ClientId, *, ui_locales: str | None = None) -> Reply[bytes]:
    """Ask for the keys that a client has from now on, beginning with those that it has."""
    viewer, client = await _found(call, client_id, _WRITE)
    now = "" if client.jwks is None else msgspec.json.format(msgspec.json.encode(client.jwks), indent=2).decode()
    return _keys(call, viewer, client, now, ui_locales=ui_locales)


@page("POST", "/clients/{client_id}/keys")
async def rotate_client_keys(call: Call, client_id: ClientId, body: bytes) -> Reply[bytes]:
    """Replace a client's keys."""
    form = form_of(call, body)
    viewer, client = await _found(call, client_id, _WRITE)
    try:
        await viewer.ask(call, "rotateClientKeys", {"client_id": client_id}, {"jwks": _jwks(form)})
    except errors.ApprovalRequired as waiting:
        return _waits(call, viewer, waiting, client, "keys", form)
    except (*_MISTAKES, errors.InsufficientScope) as error:
        return _keys(call, viewer, client, "", complaint=_complaint(error))
    return go(call, f"/clients/{client_id}?notice=rekeyed")


def _keys(
    call: Call,
    viewer: Viewer,
    client: Client,
    text: str,
    *,
    complaint: str | None = None,
    ui_locales: str | None = None,
) -> Reply[bytes]:
    view = {"client": client, "text": text, "complaint": complaint}
    status = 200 if complaint is None else _INVALID
    return render(
        call, "client_keys.html", view, section="clients", viewer=viewer, status=status, ui_locales=ui_locales
    )


@page("GET", "/clients/{client_id}/disable")
async def ask_to_disable_client(call: Call, client_id: ClientId, *, ui_locales: str | None = None) -> Reply[bytes]:
    """Ask whether a client is really to be kept out."""
    viewer, client = await _found(call, client_id, _WRITE)
    view = {"client": client}
    return render(call, "client_disable.html", view, section="clients", viewer=viewer, ui_locales=ui_locales)


@page("POST", "/clients/{client_id}/disable")
async def disable_client(call: Call, client_id: ClientId, body: bytes) -> Reply[bytes]:
    """Keep a client out."""
    return await _set_state(call, client_id, body, enabled=False)


@page("POST", "/clients/{client_id}/enable")
async def enable_client(call: Call, client_id: ClientId, body: bytes) -> Reply[bytes]:
    """Let a client in again."""
    return await _set_state(call, client_id, body, enabled=True)


async def _set_state(call: Call, client_id: str, body: bytes, *, enabled: bool) -> Reply[bytes]:
    form = form_of(call, body)
    viewer, client = await _found(call, client_id, _WRITE)
    what = "enable" if enabled else "disable"
    try:
        await viewer.ask(call, f"{what}Client", {"client_id": client_id})
    except errors.ApprovalRequired as waiting:
        return _waits(call, viewer, waiting, client, what, form)
    except (errors.InsufficientScope, errors.ClientMetadataRefused) as error:
        return _one(call, viewer, client, complaint=_complaint(error))
    return go(call, f"/clients/{client_id}?notice={what}d")
