"""The portal's pages of webhooks: where events are delivered, what came of it, and what is delivered again."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Final
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from billfold import errors, ids
from billfold.contract.common import WebhookDeliveryId, WebhookEndpointId
from billfold.contract.events import EVENTS
from billfold.contract.webhooks import (
    MOST_ENDPOINTS,
    CreateWebhookEndpoint,
    ReplayWebhookEvents,
    UpdateWebhookEndpoint,
    WebhookDeliveryState,
    WebhookEndpoint,
    WebhookEndpointState,
    WebhookReplay,
)
from billfold.ids import Prefix
from billfold_server.http.pagination import Cursor
from billfold_server.http.routing import Call, Reply
from billfold_server.portal.pages import admit, admitted, came_before, form_of, go, looked_at, once, page, render
from billfold_server.portal.viewers import Viewer
from billfold_server.webhooks import service as webhooks

__all__: list[str] = []

_READ: Final = "webhooks:read"
_WRITE: Final = "webhooks:write"
_KIND: Final = "portal deliveries"
_ENDPOINTS: Final = "portal endpoints"
_SHOWN: Final = 25
_OVERLAP_S: Final = 86_400
_FAMILIES: Final = tuple(sorted({name.rpartition(".")[0] for name in EVENTS}))
"""The beginnings of all types of events."""
_FAMILY: Final = "family."
_STATES: Final = tuple(each.value for each in WebhookDeliveryState)
_Asked = Annotated[str, Meta(max_length=100)]
_Notice = Annotated[str, Meta(max_length=20)]
_BACKWARDS: Final = "backwards"
_STALE: Final = "stale"
_NOTICES: Final = frozenset({"changed", "deleted", "replayed", "tested", _BACKWARDS, _STALE})


def _endpoint_id(webhook_endpoint_id: str) -> UUID:
    return ids.decode(Prefix.WEBHOOK_ENDPOINT, webhook_endpoint_id)


def _notice(notice: str) -> str | None:
    return notice if notice in _NOTICES else None


# Endpoints.


@page("GET", "/webhooks")
async def show_webhooks(
    call: Call, *, notice: _Notice = "", cursor: Cursor | None = None, ui_locales: str | None = None
) -> Reply[bytes]:
    """Show where events are delivered."""
    place = call.cursors.decode(_ENDPOINTS, cursor)
    async with admitted(call, _READ) as (tx, viewer):
        after = UUID(str(place[0])) if place else None
        rows = await webhooks.list_endpoints(tx, viewer.caller(call), after=after, limit=MOST_ENDPOINTS + 1)
    shown = call.page(_ENDPOINTS, rows, MOST_ENDPOINTS, key=lambda row: [str(row.id)])
    now = call.services.clock.now()
    view = {
        "endpoints": [row.to_response(now) for row in shown.data],
        "more": None if shown.next_cursor is None else f"?{urlencode({'cursor': shown.next_cursor})}",
        "of_bank": viewer.partner_id is None,
        "may_write": _WRITE in viewer.scopes,
        "notice": _notice(notice),
    }
    return render(call, "webhooks.html", view, section="webhooks", viewer=viewer, ui_locales=ui_locales)


@page("GET", "/webhooks/new")
async def ask_for_webhook(call: Call, *, ui_locales: str | None = None) -> Reply[bytes]:
    """Ask where events are to be delivered."""
    viewer = await admit(call, _WRITE, back="/webhooks/new")
    return _form(call, viewer, {}, ui_locales=ui_locales)


@page("POST", "/webhooks/new")
async def create_webhook(call: Call, body: bytes) -> Reply[bytes]:
    """Register an endpoint, and show its secret this once."""
    form = form_of(call, body)
    viewer = await admit(call, _WRITE, back="/webhooks/new")
    try:
        async with once(call, form) as first:
            if not first:
                return came_before(call, viewer, section="webhooks", back="/webhooks")
            made = await webhooks.create_endpoint(viewer.acting(call), _read(form, CreateWebhookEndpoint))
    except (
        errors.ValidationFailed,
        errors.EventTypeUnknown,
        errors.WebhookUrlRefused,
        errors.WebhookEndpointLimitReached,
    ) as error:
        return _form(call, viewer, form, complaint=error)
    return _secret(call, viewer, made, made.secret)


def _form(
    call: Call,
    viewer: Viewer,
    form: Mapping[str, str],
    *,
    complaint: errors.ProblemError | None = None,
    endpoint: WebhookEndpoint | None = None,
    ui_locales: str | None = None,
) -> Reply[bytes]:
    """Return the page on which an endpoint is made or changed, with what was said and what is wrong with it."""
    view = {
        "form": form,
        "complaint": None if complaint is None else _complaint(complaint),
        "endpoint": endpoint,
        "families": _FAMILIES,
        "family": _FAMILY,
    }
    status = 200 if complaint is None else 422
    return render(
        call, "webhook_form.html", view, section="webhooks", viewer=viewer, status=status, ui_locales=ui_locales
    )


def _complaint(error: errors.ProblemError) -> str:
    """Return the key of what is said of a mistake."""
    if isinstance(error, errors.WebhookUrlRefused):
        return "refused_policy" if error.reason == "policy" else "refused"
    if isinstance(error, errors.WebhookEndpointLimitReached):
        return "too_many"
    return "wrong_types" if (error.param or "").startswith("event_types") else "wrong_form"


def _read(form: Mapping[str, str], kind: type[Any]) -> Any:
    """Return what a form asks for, as the operation's own body.

    Raises:
        errors.ValidationFailed: It isn't of the documented form.
    """
    families = [f"{name.removeprefix(_FAMILY)}.*" for name in form if name.startswith(_FAMILY)]
    types = families + form.get("types", "").replace(",", " ").split()
    said: dict[str, Any] = {"url": form.get("url", "").strip(), "event_types": types or None}
    said["description"] = form.get("description", "").strip() or None
    try:
        return msgspec.convert(said, kind)
    except msgspec.ValidationError as error:
        param = "event_types" if "event_types" in str(error) else "url"
        raise errors.ValidationFailed("the form isn't filled in as it has to be", param=param) from None


def _secret(call: Call, viewer: Viewer, endpoint: WebhookEndpoint, secret: str, **more: Any) -> Reply[bytes]:
    """Return the page that shows a secret, which is the only one that ever does."""
    view = {"endpoint": endpoint, "secret": secret, "former_until": None, **more}
    return render(call, "webhook_secret.html", view, section="webhooks", viewer=viewer)


@page("GET", "/webhooks/{webhook_endpoint_id}")
async def show_webhook(
    call: Call,
    webhook_endpoint_id: WebhookEndpointId,
    *,
    state: _Asked = "",
    cursor: Cursor | None = None,
    notice: _Notice = "",
    number: _Asked = "",
    next_after: _Asked = "",
    ui_locales: str | None = None,
) -> Reply[bytes]:
    """Show an endpoint with what was delivered to it, the newest first."""
    endpoint_id = _endpoint_id(webhook_endpoint_id)
    place = call.cursors.decode(_KIND, cursor)
    state = state if state in _STATES else ""
    back = looked_at(f"/webhooks/{webhook_endpoint_id}", {"state": state, "cursor": cursor})
    async with admitted(call, _READ, back=back) as (tx, viewer):
        endpoint = await webhooks.get_endpoint(tx, viewer.caller(call), endpoint_id)
        rows = await webhooks.list_deliveries(
            tx,
            viewer.caller(call),
            limit=_SHOWN + 1,
            before=UUID(str(place[0])) if place else None,
            endpoint_id=endpoint_id,
            event_id=None,
            state=state or None,
        )
    shown = call.page(_KIND, rows, _SHOWN, key=lambda row: [str(row.id)])
    more = {"state": state} if state else {}
    view = {
        "endpoint": endpoint.to_response(call.services.clock.now()),
        "deliveries": [row.to_response() for row in shown.data],
        "state": state,
        "states": _STATES,
        "older": None if shown.next_cursor is None else f"?{urlencode({**more, 'cursor': shown.next_cursor})}",
        "may_write": _WRITE in viewer.scopes,
        "notice": _notice(notice),
        "number": number if number.isdecimal() else "0",
        "next_after": next_after if next_after.isdecimal() else "",
    }
    return render(call, "webhook.html", view, section="webhooks", viewer=viewer, ui_locales=ui_locales)


@page("GET", "/webhooks/{webhook_endpoint_id}/change")
async def ask_for_change(
    call: Call, webhook_endpoint_id: WebhookEndpointId, *, ui_locales: str | None = None
) -> Reply[bytes]:
    """Ask what is to be changed of an endpoint."""
    async with admitted(call, _WRITE) as (tx, viewer):
        row = await webhooks.get_endpoint(tx, viewer.caller(call), _endpoint_id(webhook_endpoint_id))
    endpoint = row.to_response(call.services.clock.now())
    return _form(call, viewer, _said(endpoint), endpoint=endpoint, ui_locales=ui_locales)


def _said(endpoint: WebhookEndpoint) -> dict[str, str]:
    """Return what a form would have to say for an endpoint to be as it is."""
    families = {f"{family}.*" for family in _FAMILIES}
    types = endpoint.event_types or []
    chosen = {f"{_FAMILY}{each.removesuffix('.*')}": "on" for each in types if each in families}
    others = " ".join(each for each in types if each not in families)
    return {"url": endpoint.url, "description": endpoint.description or "", "types": others, **chosen}


@page("POST", "/webhooks/{webhook_endpoint_id}/change")
async def change_webhook(call: Call, webhook_endpoint_id: WebhookEndpointId, body: bytes) -> Reply[bytes]:
    """Change an endpoint."""
    form = form_of(call, body)
    path = f"/webhooks/{webhook_endpoint_id}"
    viewer = await admit(call, _WRITE, back=path)
    endpoint_id = _endpoint_id(webhook_endpoint_id)
    try:
        changes = _read(form, UpdateWebhookEndpoint)
        await webhooks.update_endpoint(viewer.acting(call), endpoint_id, changes, _whatever_was_changed)
    except (errors.ValidationFailed, errors.EventTypeUnknown, errors.WebhookUrlRefused) as error:
        async with call.tx() as tx:
            row = await webhooks.get_endpoint(tx, viewer.caller(call), endpoint_id)
        return _form(call, viewer, form, complaint=error, endpoint=row.to_response(call.services.clock.now()))
    return go(call, f"{path}?notice=changed")


def _whatever_was_changed(_version: int) -> None:
    """Let a change be made to whatever there is: the person has seen the page, and says what shall be."""


@page("POST", "/webhooks/{webhook_endpoint_id}/state")
async def set_webhook_state(call: Call, webhook_endpoint_id: WebhookEndpointId, body: bytes) -> Reply[bytes]:
    """Pause, disable or enable an endpoint."""
    form = form_of(call, body)
    path = f"/webhooks/{webhook_endpoint_id}"
    viewer = await admit(call, _WRITE, back=path)
    known = {each.value: each for each in WebhookEndpointState}
    state: WebhookEndpointState | UnsetType = known.get(form.get("state", ""), UNSET)
    changes = UpdateWebhookEndpoint(state=state)
    await webhooks.update_endpoint(
        viewer.acting(call), _endpoint_id(webhook_endpoint_id), changes, _whatever_was_changed
    )
    return go(call, f"{path}?notice=changed")


@page("POST", "/webhooks/{webhook_endpoint_id}/rotate")
async def rotate_webhook(call: Call, webhook_endpoint_id: WebhookEndpointId, body: bytes) -> Reply[bytes]:
    """Give an endpoint another secret, and show it this once; the former one signs for a day as well.

    A form that comes a second time, as by a reload, does nothing: the secret that receivers still know would be gone.
    """
    form, path, endpoint_id = form_of(call, body), f"/webhooks/{webhook_endpoint_id}", _endpoint_id(webhook_endpoint_id)
    async with admitted(call, _WRITE, back=path) as (tx, viewer):
        row = await webhooks.get_endpoint(tx, viewer.caller(call), endpoint_id)
    if form.get("version") != str(row.version):
        return go(call, f"{path}?notice={_STALE}")
    made = await webhooks.rotate_endpoint(viewer.acting(call), endpoint_id, _OVERLAP_S)
    async with call.tx() as tx:
        row = await webhooks.get_endpoint(tx, viewer.caller(call), endpoint_id)
    endpoint = row.to_response(call.services.clock.now())
    return _secret(call, viewer, endpoint, made.secret, former_until=made.former_secret_until)


@page("GET", "/webhooks/{webhook_endpoint_id}/delete")
async def ask_for_deletion(
    call: Call, webhook_endpoint_id: WebhookEndpointId, *, ui_locales: str | None = None
) -> Reply[bytes]:
    """Ask whether an endpoint is really to go."""
    async with admitted(call, _WRITE) as (tx, viewer):
        row = await webhooks.get_endpoint(tx, viewer.caller(call), _endpoint_id(webhook_endpoint_id))
    view = {"endpoint": row.to_response(call.services.clock.now())}
    return render(call, "webhook_delete.html", view, section="webhooks", viewer=viewer, ui_locales=ui_locales)


@page("POST", "/webhooks/{webhook_endpoint_id}/delete")
async def delete_webhook(call: Call, webhook_endpoint_id: WebhookEndpointId, body: bytes) -> Reply[bytes]:
    """Delete an endpoint."""
    form_of(call, body)
    viewer = await admit(call, _WRITE, back="/webhooks")
    async with viewer.acting(call).tx() as tx:
        await webhooks.delete_endpoint(tx, viewer.caller(call), _endpoint_id(webhook_endpoint_id))
    return go(call, "/webhooks?notice=deleted")


@page("POST", "/webhooks/{webhook_endpoint_id}/test")
async def test_webhook(call: Call, webhook_endpoint_id: WebhookEndpointId, body: bytes) -> Reply[bytes]:
    """Tell an endpoint of an event that is made for that."""
    form_of(call, body)
    path = f"/webhooks/{webhook_endpoint_id}"
    viewer = await admit(call, _WRITE, back=path)
    async with viewer.acting(call).tx() as tx:
        await webhooks.test_endpoint(tx, viewer.caller(call), _endpoint_id(webhook_endpoint_id))
    return go(call, f"{path}?notice=tested")


@page("POST", "/webhooks/{webhook_endpoint_id}/replay")
async def replay_webhook(call: Call, webhook_endpoint_id: WebhookEndpointId, body: bytes) -> Reply[bytes]:
    """Tell an endpoint again of a range of events."""
    form = form_of(call, body)
    path = f"/webhooks/{webhook_endpoint_id}"
    viewer = await admit(call, _WRITE, back=path)
    wanted = ReplayWebhookEvents(after=_number(form, "after") or 0, up_to=_number(form, "up_to"))
    async with viewer.acting(call).tx() as tx:
        try:
            done: WebhookReplay = await webhooks.replay_events(
                tx, viewer.caller(call), _endpoint_id(webhook_endpoint_id), wanted
            )
        except errors.EventRangeInvalid:
            return go(call, f"{path}?notice={_BACKWARDS}")
    said = {"notice": "replayed", "number": done.replayed, "next_after": done.next_after or ""}
    return go(call, f"{path}?{urlencode(said)}")


def _number(form: Mapping[str, str], name: str) -> int | None:
    """Return a place in the stream that a form names; what is no such place is none."""
    text = form.get(name, "").strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= len(str(2**63)) - 1 else None


# Deliveries.


@page("GET", "/webhooks/deliveries/{webhook_delivery_id}")
async def show_delivery(
    call: Call, webhook_delivery_id: WebhookDeliveryId, *, notice: _Notice = "", ui_locales: str | None = None
) -> Reply[bytes]:
    """Show a delivery with what was sent and what came back, attempt by attempt."""
    viewer = await admit(call, _READ)
    record = await webhooks.get_delivery(viewer.acting(call), ids.decode(Prefix.WEBHOOK_DELIVERY, webhook_delivery_id))
    view = {
        "delivery": record,
        "event": None if record.event is None else _pretty(record.event),
        "may_write": _WRITE in viewer.scopes,
        "notice": _notice(notice),
    }
    return render(call, "webhook_delivery.html", view, section="webhooks", viewer=viewer, ui_locales=ui_locales)


def _pretty(value: Any) -> str:
    return json.dumps(msgspec.to_builtins(value), indent=2, ensure_ascii=False)


@page("POST", "/webhooks/deliveries/{webhook_delivery_id}/replay")
async def replay_delivery(call: Call, webhook_delivery_id: WebhookDeliveryId, body: bytes) -> Reply[bytes]:
    """Deliver an event again."""
    form_of(call, body)
    path = f"/webhooks/deliveries/{webhook_delivery_id}"
    viewer = await admit(call, _WRITE, back=path)
    async with viewer.acting(call).tx() as tx:
        await webhooks.replay(tx, viewer.caller(call), ids.decode(Prefix.WEBHOOK_DELIVERY, webhook_delivery_id))
    return go(call, f"{path}?notice=replayed")
