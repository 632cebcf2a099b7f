"""The pages of the API's reference, and on each operation's page the console that tries it."""

import uuid
from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from billfold import errors
from billfold_server.http.inside import Answered
from billfold_server.http.routing import Call, Reply
from billfold_server.identity.service import Client
from billfold_server.people.pages.kit import sign_in_address
from billfold_server.portal import trying
from billfold_server.portal.pages import ROOT, admitted, form_of, page, render
from billfold_server.portal.reference import OperationPage, reference_of
from billfold_server.portal.sending import SCOPE, note, own, send, usable
from billfold_server.portal.trying import Asked, Obstacle, obstacle
from billfold_server.portal.viewers import Viewer, guest

__all__: list[str] = []

OperationId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9]{1,64}$(?!\n)", description="The operation's id.")]

PartName = Annotated[str, Meta(pattern=r"^[a-z-]{1,64}$(?!\n)", description="A part of the API.")]

_SHOWN_CHARACTERS: Final = 64 * 1024
_ROWS: Final = 4, 24
_TEXTS: Final = ("application/json", "application/problem+json", "text/")
_FORBIDDEN: Final = 403
_INVALID: Final = 422


class _Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a request.

    Attributes:
        client: As which program it was made.
        request_id: Under which id.
        curl: The request as a command.
        answered: The answer; None where none came in time.
        text: Its body, to be read.
        is_cut: Whether that is the beginning only.
        kind: Its media type.
        code: The problem's code, where it is one.
    """

    client: str
    request_id: str
    curl: str
    answered: Answered | None
    text: str = ""
    is_cut: bool = False
    kind: str = ""
    code: str | None = None

    @property
    def headers(self) -> str:
        """The answer's headers."""
        assert self.answered is not None
        return "\n".join(f"{name}: {value}" for name, value in sorted(self.answered.headers.items()))


@page("GET", "/reference")
async def show_reference(call: Call, *, part: PartName | None = None, ui_locales: str | None = None) -> Reply[bytes]:
    """List every operation, and open one part of them."""
    view = {"tags": reference_of(call).tags, "base_url": call.base_url, "part": part}
    return render(call, "reference.html", view, section="reference", viewer=await guest(call), ui_locales=ui_locales)


@page("GET", "/reference/{operation_id}")
async def show_operation(call: Call, operation_id: OperationId, *, ui_locales: str | None = None) -> Reply[bytes]:
    """Show an operation, and to whoever is signed in what tries it."""
    shown = _page(call, operation_id)
    viewer, clients = await guest(call), []
    hindered = _obstacle(call, shown, viewer)
    if hindered is None and viewer is not None and SCOPE in viewer.scopes:
        async with call.tx() as tx:
            clients = await usable(tx, viewer, shown.declared)
    return _shown(call, shown, viewer, clients, hindered, ui_locales=ui_locales)


@page("POST", "/reference/{operation_id}")
async def try_operation(call: Call, operation_id: OperationId, body: bytes) -> Reply[bytes]:
    """Make a request as a program, and show what it was answered.

    It is no redirect: the answer is nowhere but on this page, and loading it again sends the same under the same key.
    """
    form = form_of(call, body)
    shown = _page(call, operation_id)
    asked = trying.asked(shown.declared, form)
    async with admitted(call, SCOPE, back=f"/reference/{operation_id}") as (tx, viewer):
        hindered = _obstacle(call, shown, viewer)
        clients = [] if hindered else await usable(tx, viewer, shown.declared)
        client = next((each for each in clients if each.client_id == form.get("client")), None)
        if client is None:
            # Whether it is disabled, somebody else's or none at all is told by nothing.
            return _shown(call, shown, viewer, clients, hindered, form=form, status=_FORBIDDEN)
        if asked.complaints:
            return _shown(call, shown, viewer, clients, None, form=form, asked=asked, status=_INVALID)
        request_id = await note(call, tx, viewer, client, shown.declared)
    answered = await send(call, client, shown.declared, asked, request_id)
    command = trying.curl(shown.line.method, call.base_url, asked)
    outcome = _outcome(client, request_id, command, answered)
    return _shown(call, shown, viewer, clients, None, form=form, outcome=outcome)


@page("GET", "/console")
async def show_console(call: Call, *, ui_locales: str | None = None) -> Reply[bytes]:
    """Show as which programs operations can be tried, and where."""
    async with admitted(call, SCOPE) as (tx, viewer):
        clients = await own(tx, viewer)
    view = {"clients": clients, "sandbox": call.tenant.manifest.sandbox}
    return render(call, "console.html", view, section="console", viewer=viewer, ui_locales=ui_locales)


def _page(call: Call, operation_id: str) -> OperationPage:
    shown = reference_of(call).page(operation_id)
    if shown is None:
        raise errors.NotFound("there is no such operation")
    return shown


def _obstacle(call: Call, shown: OperationPage, viewer: Viewer | None) -> Obstacle | None:
    scopes = frozenset[str]() if viewer is None else viewer.scopes
    return obstacle(shown.declared, sandbox=call.tenant.manifest.sandbox, scopes=scopes)


def _shown(
    call: Call,
    shown: OperationPage,
    viewer: Viewer | None,
    clients: list[Client],
    hindered: Obstacle | None,
    *,
    form: Mapping[str, str] | None = None,
    asked: Asked | None = None,
    outcome: _Outcome | None = None,
    status: int = 200,
    ui_locales: str | None = None,
) -> Reply[bytes]:
    """Return an operation's page.

    Args:
        call: The request.
        shown: What there is to say of it.
        viewer: Who looks.
        clients: As which programs they may try it.
        hindered: Why nobody, or they, can try it.
        form: What they have filled in.
        asked: What that would have asked for, where something is wrong with it.
        outcome: What came of it.
        status: The page's HTTP status.
        ui_locales: Languages that were asked for just now.
    """
    filled = _filled(shown, form, renew=outcome is not None and _is_settled(outcome))
    tag = reference_of(call).tag(shown.tag)
    rows = filled[trying.BODY].count("\n") + 2
    view: dict[str, Any] = {
        "page": shown,
        "anchor": tag.anchor,
        "beside": tag.lines,
        "curl": _curl(call, shown),
        "obstacle": hindered,
        "allowed": viewer is not None and SCOPE in viewer.scopes,
        "clients": clients,
        "filled": filled,
        "rows": min(max(rows, _ROWS[0]), _ROWS[1]),
        "complaints": {} if asked is None else asked.complaints,
        "outcome": outcome,
        "sign_in": sign_in_address(call, f"{ROOT}/reference/{shown.line.id}"),
    }
    return render(
        call, "operation.html", view, section="reference", viewer=viewer, status=status, ui_locales=ui_locales
    )


def _filled(shown: OperationPage, form: Mapping[str, str] | None, *, renew: bool) -> dict[str, str]:
    """Return what stands in the form's fields: what was filled in, and a key that nobody has used."""
    filled = {"client": "", **(form or {})}
    filled.setdefault(trying.BODY, (shown.body.example or "") if shown.body is not None else "")
    if form is None or renew:
        filled["header.Idempotency-Key"] = str(uuid.uuid4())
    return filled


def _is_settled(outcome: _Outcome) -> bool:
    """Tell whether asking once more under the same key could tell nothing new."""
    return outcome.answered is not None and outcome.answered.status < 300  # noqa: PLR2004 - Success ends there.


def _curl(call: Call, shown: OperationPage) -> str:
    """Return the operation's example as a command."""
    headers, body, path = dict[str, str](), b"", shown.line.path
    for each in shown.parameters:
        if each.where == "path" and each.example:
            path = path.replace(f"{{{each.part.name}}}", each.example)
        elif each.where == "header" and each.part.required:
            headers[each.part.name.lower()] = each.example
    if shown.body is not None:
        headers["content-type"] = shown.body.media_type
        body = (shown.body.example or "").encode()
    example = Asked(path=path, query="", headers=headers, body=body, complaints={})
    return trying.curl(shown.line.method, call.base_url, example, with_token=shown.declared.needs_token)


def _outcome(client: Client, request_id: str, command: str, answered: Answered | None) -> _Outcome:
    if answered is None:
        return _Outcome(client=client.name, request_id=request_id, curl=command, answered=None)
    kind = answered.headers.get("content-type", "")
    text = _readable(kind, answered.body)
    return _Outcome(
        client=client.name,
        request_id=request_id,
        curl=command,
        answered=answered,
        text=text[:_SHOWN_CHARACTERS],
        is_cut=len(text) > _SHOWN_CHARACTERS,
        kind=kind,
        code=_code(kind, answered.body),
    )


def _readable(kind: str, body: bytes) -> str:
    """Return a body as text, laid out where it is JSON; empty where it is no text."""
    if not kind.startswith(_TEXTS):
        return ""
    try:
        return (msgspec.json.format(body, indent=2) if "json" in kind else body).decode()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


class _Problem(msgspec.Struct):
    code: str


def _code(kind: str, body: bytes) -> str | None:
    if not kind.startswith("application/problem+json"):
        return None
    try:
        return msgspec.json.decode(body, type=_Problem).code
    except msgspec.DecodeError:
        return None
