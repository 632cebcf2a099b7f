"""The portal's pages of requests: what programs have asked, and one request with what was sent and answered."""

import json
import re
import typing
from typing import Annotated, Any, Final
from urllib.parse import urlencode
from uuid import UUID

from msgspec import Meta

from billfold import ids
from billfold.contract.requests import LoggedMessage, RequestId, RequestMethod, StatusClass
from billfold.ids import InvalidIdError, Prefix
from billfold_server.http.pagination import Cursor
from billfold_server.http.routing import Call, Reply
from billfold_server.http.services import REQUEST_LOG
from billfold_server.portal.pages import admit, looked_at, page, render
from billfold_server.request_log import service as request_log

__all__: list[str] = []

_SCOPE: Final = "requests:read"
_KIND: Final = "portal requests"
_SHOWN: Final = 25
_CLASSES: Final = typing.get_args(StatusClass)
_METHODS: Final = typing.get_args(RequestMethod)
_OPERATION: Final = re.compile(r"[A-Za-z0-9]{1,100}")
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{8,64}")
_Asked = Annotated[str, Meta(max_length=100)]


@page("GET", "/requests")
async def show_requests(
    call: Call,
    *,
    status_class: _Asked = "",
    method: _Asked = "",
    operation: _Asked = "",
    client_id: _Asked = "",
    request_id: _Asked = "",
    cursor: Cursor | None = None,
    ui_locales: str | None = None,
) -> Reply[bytes]:
    """Show what programs have asked, the newest first, as far as it is looked for."""
    asked = {
        "status_class": status_class,
        "method": method,
        "operation": operation.strip(),
        "client_id": client_id.strip(),
        "request_id": request_id.strip(),
    }
    asked = {name: value for name, value in asked.items() if value}
    wanted = _wanted(asked)
    viewer = await admit(call, _SCOPE, back=looked_at("/requests", {**asked, "cursor": cursor} if wanted else {}))
    place = call.cursors.decode(_KIND, cursor)
    rows: list[request_log.RequestRow] = []
    if wanted is not None:
        await call.services.rooms[REQUEST_LOG].write(call.tenant.id)
        async with call.tx() as tx:
            rows = await request_log.list_requests(
                tx, viewer.caller(call), wanted, limit=_SHOWN + 1, before=UUID(str(place[0])) if place else None
            )
    shown = call.page(_KIND, rows, _SHOWN, key=lambda row: [str(row.id)])
    older = None if shown.next_cursor is None else f"?{urlencode({**asked, 'cursor': shown.next_cursor})}"
    view = {
        "requests": [row.to_response() for row in shown.data],
        "asked": asked,
        "older": older,
        "logged": call.tenant.manifest.logs_requests,
        "days": call.tenant.manifest.retention.requests_days,
        "classes": _CLASSES,
        "methods": _METHODS,
    }
    return render(call, "requests.html", view, section="requests", viewer=viewer, ui_locales=ui_locales)


def _wanted(asked: dict[str, str]) -> request_log.Wanted | None:
    """Return what is looked for, or None where there is nothing of that kind."""
    class_, method, operation = asked.get("status_class"), asked.get("method"), asked.get("operation")
    request_id = asked.get("request_id")
    known = (
        class_ in {None, *_CLASSES}
        and method in {None, *_METHODS}
        and (operation is None or _OPERATION.fullmatch(operation))
        and (request_id is None or _REQUEST_ID.fullmatch(request_id))
    )
    try:
        client_id = ids.decode(Prefix.CLIENT, asked["client_id"]) if "client_id" in asked else None
    except InvalidIdError:
        return None
    if not known:
        return None
    return request_log.Wanted(
        client_id=client_id,
        request_id=request_id,
        status_from=None if class_ is None else int(class_[0]) * 100,
        status_below=None if class_ is None else int(class_[0]) * 100 + 100,
        method=method,
        operation=operation,
    )


@page("GET", "/requests/{request_id}")
async def show_request(call: Call, request_id: RequestId, *, ui_locales: str | None = None) -> Reply[bytes]:
    """Show a request with what was sent and what was answered."""
    viewer = await admit(call, _SCOPE)
    await call.services.rooms[REQUEST_LOG].write(call.tenant.id)
    async with call.tx() as tx:
        record = (await request_log.get(tx, viewer.caller(call), request_id)).to_record()
    view = {
        "record": record,
        "query": _pretty(record.query) if record.query else None,
        "messages": (("request", _message(record.request)), ("response", _message(record.response))),
    }
    return render(call, "request.html", view, section="requests", viewer=viewer, ui_locales=ui_locales)


def _message(message: LoggedMessage) -> dict[str, Any]:
    return {
        "headers": message.headers,
        "body": None if message.body is None else _pretty(message.body),
        "state": message.body_state.value,
    }


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
