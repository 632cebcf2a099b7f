"""How the portal's pages are made: one declaration per entry of the navigation, one function per page, one template.

A page that is for everybody::

    @page("GET", "/events")
    async def show_events(call: Call, *, ui_locales: str | None = None) -> Reply[bytes]:
        \"\"\"Show what can happen.\"\"\"
        return render(call, "events.html", {…}, section="events", viewer=await guest(call), ui_locales=ui_locales)

One that belongs to somebody asks in its own transaction who that is, and what they may by now::

    @page("GET", "/clients")
    async def show_clients(call: Call, *, ui_locales: str | None = None) -> Reply[bytes]:
        \"\"\"Show the programs that may connect.\"\"\"
        async with admitted(call, "clients:read") as (tx, viewer):
            …
        return render(call, "clients.html", {…}, section="clients", viewer=viewer, ui_locales=ui_locales)

What changes something is a form with ``{{ csrf_field() }}``, whose POST reads it by ``form_of``, calls the room's
service as ``viewer.caller(call)`` and answers by ``go``. The function's module is named in ``routes.PAGES``.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, Literal, TypeVar
from urllib.parse import urlencode
from uuid import UUID

import msgspec

from billfold import errors, ids
from billfold.ids import Prefix
from billfold_server.http.routing import Call, Reply, Routes
from billfold_server.people.pages import forms, kit
from billfold_server.people.pages.kit import Instead, form_of, root_of, sign_in_address
from billfold_server.people.service import comes_again, may_come_again
from billfold_server.portal.viewers import Viewer
from billfold_server.portal.viewers import viewer as find_viewer
from billfold_server.tenancy.transaction import TenantTx

__all__ = [
    "ROOT",
    "SECTIONS",
    "Member",
    "Section",
    "admit",
    "admit_member",
    "admitted",
    "admitted_member",
    "came_before",
    "form_of",
    "go",
    "looked_at",
    "once",
    "page",
    "render",
    "routes",
    "waits",
]

ROOT: Final = "/portal"
_REFUSED: Final = 403
_WAITING: Final = 202
_TWICE: Final = 409
_OF_ONE_PAGE: Final = frozenset({forms.FIELD, forms.ONCE})
H = TypeVar("H", bound=Callable[..., Awaitable[Reply[bytes]]])

routes = Routes(
    tag="Developer portal", description="What partners read, and do with their programs.", audience="tenant-public"
)


class Section(msgspec.Struct, frozen=True):
    """An entry of the navigation.

    Attributes:
        name: By which a page says that it belongs there.
        path: Its first page, below ``/portal``.
        words: The key of what it is called.
        scope: What somebody must be allowed to see it; None is for everybody, who needn't sign in.
        of_partner: Whether it is for members of partners alone, whatever the bank's own people may.
        of_sandbox: Whether there is something to do in sandboxes alone.
    """

    name: str
    path: str
    words: str
    scope: str | None = None
    of_partner: bool = False
    of_sandbox: bool = False

    def is_for(self, viewer: Viewer, *, sandbox: bool) -> bool:
        """Tell whether the navigation has it for somebody who is signed in, at a tenant that is a sandbox or isn't."""
        if (self.of_partner and viewer.partner_id is None) or (self.of_sandbox and not sandbox):
            return False
        return self.scope in viewer.scopes


SECTIONS: Final[tuple[Section, ...]] = (
    Section("home", "", "portal.home"),
    Section("guides", "/guides", "portal.guides"),
    Section("reference", "/reference", "reference.title"),
    Section("events", "/events", "portal.events"),
    Section("errors", "/errors", "portal.errors"),
    Section("changes", "/changes", "portal.changes"),
    Section("status", "/status", "portal.status"),
    Section("approvals", "/approvals", "portal_approvals.title", "approvals:read"),
    Section("console", "/console", "console.nav", "clients:write", of_sandbox=True),
    Section("clients", "/clients", "portal_clients.title", "clients:read"),
    Section("webhooks", "/webhooks", "portal_webhooks.title", "webhooks:read"),
    Section("requests", "/requests", "portal_requests.title", "requests:read"),
    Section("sandboxes", "/sandboxes", "portal_sandboxes.title", "partner_sandboxes:read", of_partner=True),
    Section("members", "/members", "portal_members.title", "members:read", of_partner=True),
)
"""The navigation, in its order; what needs a scope comes under a heading of its own."""


def page(method: Literal["GET", "POST"], path: str) -> Callable[[H], H]:
    """Declare a page.

    Args:
        method: GET shows, POST takes a form.
        path: Below ``/portal``.
    """
    return kit.declare_page(routes, method, ROOT + path, prefix="portal")


@asynccontextmanager
async def admitted(call: Call, scope: str, *, back: str | None = None) -> AsyncIterator[tuple[TenantTx, Viewer]]:
    """Open the tenant's transaction, and return with it who is signed in and may this now.

    Args:
        call: The request.
        scope: What they must be allowed.
        back: Where they come back to once they have signed in, below ``/portal``; the page itself where absent.

    Raises:
        Instead: They have to sign in first (303), or may not (403).
    """
    async with call.tx() as tx:
        found = await _admit(call, tx, scope, back)
        if isinstance(found, Viewer):
            yield tx, found
            return
    # What the look itself has written stays, such as when they were seen.
    raise Instead(found)


async def admit(call: Call, scope: str, *, back: str | None = None) -> Viewer:
    """Return who is signed in and may this now, for what takes transactions of its own; see ``admitted``."""
    async with admitted(call, scope, back=back) as (_, viewer):
        return viewer


async def _admit(call: Call, tx: TenantTx, scope: str, back: str | None) -> Viewer | Reply[bytes]:
    found = await find_viewer(call, tx)
    if found is None:
        here = call.path if call.method == "GET" else ROOT
        return _see(sign_in_address(call, here if back is None else ROOT + back))
    if found.is_recovered:
        return _see(f"{root_of(call, found.login_realm)}/account?notice=limited")
    return found if scope in found.scopes else _refused(call, found)


def looked_at(path: str, asked: Mapping[str, str | None]) -> str:
    """Return a page with what is looked for on it, to come back to.

    Args:
        path: The page, below ``/portal``.
        asked: What its address says, as far as it may stand in one: ids and words of ours, nothing that was typed.
    """
    said = urlencode({name: value for name, value in asked.items() if value})
    return f"{path}?{said}" if said else path


@asynccontextmanager
async def once(call: Call, form: Mapping[str, str]) -> AsyncIterator[bool]:
    """Tell whether a form comes for the first time, around what is done then; if that is refused, it may come again.

    Its template has ``once_field()``. A button is pressed twice, or a page loaded again that shows a secret. Where
    nobody knows what has become of it, it may not: it would be done twice.

    Args:
        call: The request.
        form: The form's fields.
    """
    async with call.tx() as tx:
        first = not await comes_again(call, tx, form)
    try:
        yield first
    except errors.BillfoldError as error:
        if not error.in_doubt:
            async with call.tx() as tx:
                await may_come_again(call, tx, form)
        raise


def came_before(call: Call, viewer: Viewer, *, section: str, back: str) -> Reply[bytes]:
    """Return the page for a form that has come before, and now does nothing.

    Args:
        call: The request.
        viewer: Who has sent it.
        section: To which entry of the navigation it belongs.
        back: Where is found what it has made, below ``/portal``.
    """
    return render(call, "again.html", {"back": back}, section=section, viewer=viewer, status=_TWICE)


class Member(msgspec.Struct, frozen=True):
    """A partner's member who may do something now; what they see and change is their partner's."""

    viewer: Viewer
    partner_id: UUID

    def may(self, scope: str) -> bool:
        """Tell whether their role allows something else."""
        return scope in self.viewer.scopes

    async def ask(self, call: Call, operation_id: str, body: Mapping[str, Any] | None = None, **path: str) -> Any:
        """Ask for an operation on what is their partner's, in their name. Errors are those of ``Viewer.ask``."""
        whose = {"partner_id": ids.encode(Prefix.PARTNER, self.partner_id)}
        return await self.viewer.ask(call, operation_id, whose | path, body)


@asynccontextmanager
async def admitted_member(call: Call, scope: str, *, back: str) -> AsyncIterator[tuple[TenantTx, Member]]:
    """Open the tenant's transaction, and return with it who may do this now for their partner; see ``admitted``."""
    async with admitted(call, scope, back=back) as (tx, viewer):
        if viewer.partner_id is not None:
            yield tx, Member(viewer, viewer.partner_id)
            return
    raise Instead(_refused(call, viewer))


async def admit_member(call: Call, scope: str, *, back: str) -> Member:
    """Return who may do this now for their partner, for what takes transactions of its own; see ``admitted``."""
    async with admitted_member(call, scope, back=back) as (_, member):
        return member


def _refused(call: Call, viewer: Viewer) -> Reply[bytes]:
    """Return the page for who is signed in and may not do this."""
    return render(call, "refused.html", {}, section="", viewer=viewer, status=_REFUSED)


def render(
    call: Call,
    template: str,
    view: Mapping[str, Any],
    *,
    section: str,
    viewer: Viewer | None,
    status: int = 200,
    ui_locales: str | None = None,
    script: bool = False,
) -> Reply[bytes]:
    """Return a page with the portal's navigation around it.

    In the template, which extends ``portal/layout.html``, ``portal`` begins addresses of the portal's own pages.

    Args:
        call: The request.
        template: A file of ``people/pages/templates/portal``.
        view: What it shows; everything is escaped.
        section: To which entry of the navigation it belongs.
        viewer: Who looks at it; None where nobody is signed in.
        status: The HTTP status.
        ui_locales: The language that was chosen on the page.
        script: Whether it loads one of the kit's scripts.
    """
    sandbox = call.tenant.manifest.sandbox
    around = {
        "person": viewer,
        "here": call.mount + call.path,
        "portal": call.mount + ROOT,
        "section": section,
        "public": [each for each in SECTIONS if each.scope is None],
        "own": [] if viewer is None else [each for each in SECTIONS if each.is_for(viewer, sandbox=sandbox)],
        "sign_in": sign_in_address(call, call.path if call.method == "GET" else ROOT),
    }
    preferred = None if viewer is None else viewer.language
    return kit.render(
        call,
        f"portal/{template}",
        {**around, **view},
        status=status,
        ui_locales=ui_locales,
        preferred=preferred,
        script=script,
    )


def waits(
    call: Call,
    viewer: Viewer,
    waiting: errors.ApprovalRequired,
    *,
    section: str,
    back: str,
    about: str = "",
    action: str = "",
    form: Mapping[str, str] | None = None,
) -> Reply[bytes]:
    """Return the page that says that a second person must agree first.

    Args:
        call: The request.
        viewer: Who has asked.
        waiting: What the operation said.
        section: To which entry of the navigation it belongs.
        back: Where they go meanwhile, below ``/portal``.
        about: What it is about.
        action: Where the same form is sent again, below ``/portal``.
        form: That form, where its maker must send it again; None where it is done by itself.
    """
    again = None if form is None else {name: value for name, value in form.items() if name not in _OF_ONE_PAGE}
    view = {"approval_id": waiting.approval_id, "about": about, "back": back, "action": action, "again": again}
    return render(call, "waits.html", view, section=section, viewer=viewer, status=_WAITING)


def go(call: Call, path: str) -> Reply[bytes]:
    """Send the browser to a page below ``/portal``, by GET (RFC 9110, section 15.4.4)."""
    return _see(call.mount + ROOT + path)


def _see(location: str) -> Reply[bytes]:
    return Reply(status=303, headers={"Location": location, "Cache-Control": "no-store"})
