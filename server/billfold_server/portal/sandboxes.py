"""The portal's pages of a partner's sandboxes: which there are, how far each is, and how one gets into it.

They are for members of a partner, who see their own; what changes something is the operation of the API, asked for in
the person's name.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from billfold import errors, ids
from billfold.contract.common import PartnerSandboxId
from billfold.contract.partner_sandboxes import PartnerSandbox, PartnerSandboxCredentials
from billfold.ids import Prefix
from billfold_server.http.routing import Call, Reply
from billfold_server.portal.pages import (
    Member,
    admit_member,
    admitted_member,
    came_before,
    form_of,
    go,
    once,
    page,
    render,
)
from billfold_server.sandbox import service as sandbox

__all__: list[str] = []

_SECTION: Final = "sandboxes"
_READ: Final = "partner_sandboxes:read"
_WRITE: Final = "partner_sandboxes:write"
_MOST: Final = 100
"""How many are shown: a manifest allows twenty, and may have allowed more of them before than it does now."""
_DIGITS: Final = 10
_INVALID: Final = 422
_CONFLICT: Final = 409
_Notice = Annotated[str, Meta(max_length=20)]
_NOTICES: Final = frozenset({"created", "reset", "removed"})
_MISTAKES: Final = (
    errors.FeatureDisabled,
    errors.PartnerSandboxLimitReached,
    errors.PartnerSandboxNameTaken,
    errors.ValidationFailed,
)


async def _found(call: Call, sandbox_id: str, scope: str) -> tuple[Member, PartnerSandbox]:
    """Return who may do this now and the sandbox that it is about.

    Raises:
        errors.NotFound: Their partner has no such sandbox.
    """
    async with admitted_member(call, scope, back=f"/sandboxes/{sandbox_id}") as (tx, who):
        key = ids.decode(Prefix.PARTNER_SANDBOX, sandbox_id)
        row = await sandbox.get_sandbox(tx, who.viewer.caller(call), who.partner_id, key)
    return who, row.to_response(sandbox.address(call.services, call.tenant, row.id))


@page("GET", "/sandboxes")
async def show_sandboxes(call: Call, *, notice: _Notice = "", ui_locales: str | None = None) -> Reply[bytes]:
    """Show the partner's sandboxes."""
    async with admitted_member(call, _READ, back="/sandboxes") as (tx, who):
        rows = await sandbox.list_sandboxes(tx, who.viewer.caller(call), who.partner_id, limit=_MOST)
    view = {
        "sandboxes": [row.to_response(sandbox.address(call.services, call.tenant, row.id)) for row in rows],
        "most": sandbox.offered(call.services, call.tenant),
        "may_write": who.may(_WRITE),
        "notice": notice if notice in _NOTICES else None,
    }
    return render(call, "sandboxes.html", view, section=_SECTION, viewer=who.viewer, ui_locales=ui_locales)


@page("GET", "/sandboxes/{sandbox_id}")
async def show_sandbox(
    call: Call, sandbox_id: PartnerSandboxId, *, notice: _Notice = "", ui_locales: str | None = None
) -> Reply[bytes]:
    """Show a sandbox, how far it is, and what can be done with it."""
    found = await _found(call, sandbox_id, _READ)
    return _one(call, *found, notice=notice if notice in _NOTICES else None, ui_locales=ui_locales)


def _one(
    call: Call,
    who: Member,
    shown: PartnerSandbox,
    *,
    notice: str | None = None,
    complaint: str | None = None,
    status: int = 200,
    ui_locales: str | None = None,
) -> Reply[bytes]:
    view = {"sandbox": shown, "may_write": who.may(_WRITE), "notice": notice, "complaint": complaint}
    return render(call, "sandbox.html", view, section=_SECTION, viewer=who.viewer, status=status, ui_locales=ui_locales)


# A new one.


@page("GET", "/sandboxes/new")
async def ask_for_sandbox(call: Call, *, ui_locales: str | None = None) -> Reply[bytes]:
    """Ask what a new sandbox is to be."""
    who = await admit_member(call, _WRITE, back="/sandboxes/new")
    return _form(call, who, {"seeded": "yes"}, ui_locales=ui_locales)


@page("POST", "/sandboxes/new")
async def create_sandbox(call: Call, body: bytes) -> Reply[bytes]:
    """Ask for a sandbox, which is made in the moments after."""
    form = form_of(call, body)
    who = await admit_member(call, _WRITE, back="/sandboxes/new")
    try:
        said = {"name": form.get("name", "").strip(), **_customers(form)}
        made = await who.ask(call, "createPartnerSandbox", said)
    except _MISTAKES as error:
        return _form(call, who, form, complaint=error)
    sandbox_id = msgspec.json.decode(made.body, type=PartnerSandbox).id
    return go(call, f"/sandboxes/{sandbox_id}?notice=created")


def _customers(form: Mapping[str, str]) -> dict[str, Any]:
    """Return whether customers are wanted, and from which seed, if one was typed.

    Raises:
        errors.ValidationFailed: The seed is no number.
    """
    if "seeded" not in form:
        return {"seeded": False}
    text = form.get("seed", "").strip()
    if not text:
        return {"seeded": True}
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        raise errors.ValidationFailed("a seed is a number", param="seed")
    return {"seeded": True, "seed": int(text)}


def _form(
    call: Call,
    who: Member,
    form: Mapping[str, str],
    *,
    complaint: errors.ProblemError | None = None,
    ui_locales: str | None = None,
) -> Reply[bytes]:
    """Return the page on which a sandbox is asked for, with what was said and what is wrong with it."""
    wrong = None if complaint is None else _COMPLAINTS.get(type(complaint), "form")
    view = {"form": form, "complaint": wrong, "most": sandbox.offered(call.services, call.tenant)}
    status = 200 if wrong is None else _INVALID
    return render(
        call, "sandbox_form.html", view, section=_SECTION, viewer=who.viewer, status=status, ui_locales=ui_locales
    )


_COMPLAINTS: Final[dict[type[errors.ProblemError], str]] = {
    errors.FeatureDisabled: "none",
    errors.PartnerSandboxLimitReached: "most",
    errors.PartnerSandboxNameTaken: "taken",
}


# What is done with one.


@page("POST", "/sandboxes/{sandbox_id}/credentials")
async def make_sandbox_credentials(call: Call, sandbox_id: PartnerSandboxId, body: bytes) -> Reply[bytes]:
    """Make a client of a sandbox, and show its secret this once."""
    form = form_of(call, body)
    who, shown = await _found(call, sandbox_id, _WRITE)
    try:
        async with once(call, form) as first:
            if not first:
                return came_before(call, who.viewer, section=_SECTION, back=f"/sandboxes/{sandbox_id}")
            made: PartnerSandboxCredentials = await who.ask(
                call, "createPartnerSandboxCredentials", sandbox_id=sandbox_id
            )
    except errors.PartnerSandboxStateRefuses:
        return _one(call, who, shown, complaint="state", status=_CONFLICT)
    view = {"sandbox": shown, "made": made}
    return render(call, "sandbox_secret.html", view, section=_SECTION, viewer=who.viewer)


@page("GET", "/sandboxes/{sandbox_id}/reset")
async def ask_to_reset_sandbox(
    call: Call, sandbox_id: PartnerSandboxId, *, ui_locales: str | None = None
) -> Reply[bytes]:
    """Ask with whom a sandbox is to begin anew."""
    return await _asked(call, sandbox_id, "sandbox_reset.html", ui_locales)


@page("POST", "/sandboxes/{sandbox_id}/reset")
async def reset_sandbox(call: Call, sandbox_id: PartnerSandboxId, body: bytes) -> Reply[bytes]:
    """Ask for a sandbox to be brought back to its beginning."""
    form = form_of(call, body)
    who, shown = await _found(call, sandbox_id, _WRITE)
    try:
        await who.ask(call, "resetPartnerSandbox", _customers(form), sandbox_id=sandbox_id)
    except errors.PartnerSandboxStateRefuses:
        return _one(call, who, shown, complaint="state", status=_CONFLICT)
    except errors.ValidationFailed:
        view = {"sandbox": shown, "form": form, "complaint": "form"}
        return render(call, "sandbox_reset.html", view, section=_SECTION, viewer=who.viewer, status=_INVALID)
    return go(call, f"/sandboxes/{sandbox_id}?notice=reset")


@page("GET", "/sandboxes/{sandbox_id}/remove")
async def ask_to_remove_sandbox(
    call: Call, sandbox_id: PartnerSandboxId, *, ui_locales: str | None = None
) -> Reply[bytes]:
    """Ask whether a sandbox is really to go."""
    return await _asked(call, sandbox_id, "sandbox_remove.html", ui_locales)


@page("POST", "/sandboxes/{sandbox_id}/remove")
async def remove_sandbox(call: Call, sandbox_id: PartnerSandboxId, body: bytes) -> Reply[bytes]:
    """Ask for a sandbox to be removed."""
    form_of(call, body)
    found = await _found(call, sandbox_id, _WRITE)
    await found[0].ask(call, "removePartnerSandbox", sandbox_id=sandbox_id)
    return go(call, "/sandboxes?notice=removed")


async def _asked(call: Call, sandbox_id: str, template: str, ui_locales: str | None) -> Reply[bytes]:
    """Return a page that asks whether, and how, something is to be done."""
    who, shown = await _found(call, sandbox_id, _WRITE)
    form = {"seeded": "yes"} if shown.seeded else {}
    if shown.seed is not None:
        form["seed"] = str(shown.seed)
    view = {"sandbox": shown, "form": form, "complaint": None}
    return render(call, template, view, section=_SECTION, viewer=who.viewer, ui_locales=ui_locales)
