"""The portal's pages of a partner's members: who they are, and how they are let in and out.

They are for members of a partner, who see their own; what changes something is the operation of the API, asked for in
the person's name.
"""

from collections.abc import Mapping
from typing import Annotated, Final
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from msgspec import Meta

from billfold import errors, ids
from billfold.contract.common import UserId
from billfold.contract.roles import PartnerRole
from billfold.contract.users import EnrolmentCode, User
from billfold.ids import Prefix
from billfold_server.http.pagination import Cursor
from billfold_server.http.routing import Call, Reply
from billfold_server.partners import service as partners
from billfold_server.people import service as people
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
    waits,
)

__all__: list[str] = []

_SECTION: Final = "members"
_READ: Final = "members:read"
_WRITE: Final = "members:write"
_KIND: Final = "portal members"
_SHOWN: Final = 25
_ROLES: Final = tuple(each.value for each in PartnerRole)
_INVALID: Final = 422
_Notice = Annotated[str, Meta(max_length=20)]
_NOTICES: Final = frozenset({"changed", "removed"})
_MISTAKES: Final = (errors.LoginNameTaken, errors.UserInvalid, errors.ValidationFailed)


async def _found(call: Call, user_id: str, scope: str) -> tuple[Member, User]:
    """Return who may do this now and the member that it is about.

    Raises:
        errors.NotFound: Their partner has no such member.
    """
    async with admitted_member(call, scope, back=f"/members/{user_id}") as (tx, who):
        realm, key = people.Realm.of(call.services, call.tenant), ids.decode(Prefix.USER, user_id)
        return who, await partners.get_member(realm, tx, who.viewer.caller(call), who.partner_id, key)


# Who there is.


@page("GET", "/members")
async def show_members(
    call: Call, *, cursor: Cursor | None = None, notice: _Notice = "", ui_locales: str | None = None
) -> Reply[bytes]:
    """Show who looks after the partner's programs."""
    place = call.cursors.decode(_KIND, cursor)
    async with admitted_member(call, _READ, back="/members") as (tx, who):
        found = await partners.list_members(
            people.Realm.of(call.services, call.tenant),
            tx,
            who.viewer.caller(call),
            who.partner_id,
            before=UUID(str(place[0])) if place else None,
            limit=_SHOWN + 1,
        )
    shown = call.page(_KIND, found, _SHOWN, key=lambda each: [str(ids.decode(Prefix.USER, each.id))])
    view = {
        "members": shown.data,
        "more": None if shown.next_cursor is None else f"?{urlencode({'cursor': shown.next_cursor})}",
        "may_write": who.may(_WRITE),
        "notice": notice if notice in _NOTICES else None,
    }
    return render(call, "members.html", view, section=_SECTION, viewer=who.viewer, ui_locales=ui_locales)


@page("GET", "/members/{user_id}")
async def show_member(
    call: Call, user_id: UserId, *, notice: _Notice = "", ui_locales: str | None = None
) -> Reply[bytes]:
    """Show a member, and what can be done."""
    who, member = await _found(call, user_id, _READ)
    view = {
        "member": member,
        "roles": _ROLES,
        "may_write": who.may(_WRITE),
        "oneself": member.id == who.viewer.actor,
        "notice": notice if notice in _NOTICES else None,
    }
    return render(call, "member.html", view, section=_SECTION, viewer=who.viewer, ui_locales=ui_locales)


# Somebody new.


@page("GET", "/members/new")
async def ask_for_member(call: Call, *, ui_locales: str | None = None) -> Reply[bytes]:
    """Ask who is to be let in."""
    who = await admit_member(call, _WRITE, back="/members/new")
    return _form(call, who, {}, ui_locales=ui_locales)


@page("POST", "/members/new")
async def create_member(call: Call, body: bytes) -> Reply[bytes]:
    """Let somebody in, and show the link by which they enrol this once."""
    form = form_of(call, body)
    who = await admit_member(call, _WRITE, back="/members/new")
    said = {name: form.get(name, "").strip() for name in ("login_name", "display_name", "role")}
    try:
        async with once(call, form) as first:
            if not first:
                return came_before(call, who.viewer, section=_SECTION, back="/members")
            made = await who.ask(call, "createPartnerMember", said)
    except errors.ApprovalRequired as waiting:
        return waits(call, who.viewer, waiting, section=_SECTION, back="/members", about=said["login_name"])
    except _MISTAKES as error:
        return _form(call, who, form, complaint=error)
    member = msgspec.json.decode(made.body, type=User)
    return _link(call, who, member, await who.ask(call, "createPartnerMemberEnrolmentCode", user_id=member.id))


def _form(
    call: Call,
    who: Member,
    form: Mapping[str, str],
    *,
    complaint: errors.ProblemError | None = None,
    ui_locales: str | None = None,
) -> Reply[bytes]:
    """Return the page on which somebody is let in, with what was said and what is wrong with it."""
    wrong = None if complaint is None else "taken" if isinstance(complaint, errors.LoginNameTaken) else "form"
    view = {"form": form, "complaint": wrong, "roles": _ROLES}
    status = 200 if wrong is None else _INVALID
    return render(
        call, "member_form.html", view, section=_SECTION, viewer=who.viewer, status=status, ui_locales=ui_locales
    )


def _link(call: Call, who: Member, member: User, code: EnrolmentCode) -> Reply[bytes]:
    """Return the page that shows an enrolment link, which is the only one that ever does."""
    view = {"member": member, "code": code}
    return render(call, "member_link.html", view, section=_SECTION, viewer=who.viewer)


# Changes of one.


@page("POST", "/members/{user_id}/invite")
async def invite_member(call: Call, user_id: UserId, body: bytes) -> Reply[bytes]:
    """Let a member enrol, or enrol anew, by a link that is shown this once."""
    form = form_of(call, body)
    who, member = await _found(call, user_id, _WRITE)
    path = f"/members/{user_id}"
    try:
        code: EnrolmentCode = await who.ask(call, "createPartnerMemberEnrolmentCode", user_id=user_id)
    except errors.ApprovalRequired as waiting:
        about, action = member.display_name, f"{path}/invite"
        return waits(call, who.viewer, waiting, section=_SECTION, back=path, about=about, action=action, form=form)
    return _link(call, who, member, code)


@page("POST", "/members/{user_id}/role")
async def set_member_role(call: Call, user_id: UserId, body: bytes) -> Reply[bytes]:
    """Change what a member does."""
    form = form_of(call, body)
    who, member = await _found(call, user_id, _WRITE)
    path = f"/members/{user_id}"
    try:
        await who.ask(call, "setPartnerMemberRole", {"role": form.get("role", "")}, user_id=user_id)
    except errors.ApprovalRequired as waiting:
        return waits(call, who.viewer, waiting, section=_SECTION, back=path, about=member.display_name)
    return go(call, f"{path}?notice=changed")


@page("GET", "/members/{user_id}/remove")
async def ask_to_remove_member(call: Call, user_id: UserId, *, ui_locales: str | None = None) -> Reply[bytes]:
    """Ask whether a member is really to go."""
    who, member = await _found(call, user_id, _WRITE)
    view = {"member": member}
    return render(call, "member_remove.html", view, section=_SECTION, viewer=who.viewer, ui_locales=ui_locales)


@page("POST", "/members/{user_id}/remove")
async def remove_member(call: Call, user_id: UserId, body: bytes) -> Reply[bytes]:
    """Remove a member."""
    form_of(call, body)
    who, member = await _found(call, user_id, _WRITE)
    try:
        await who.ask(call, "removePartnerMember", user_id=user_id)
    except errors.ApprovalRequired as waiting:
        return waits(call, who.viewer, waiting, section=_SECTION, back="/members", about=member.display_name)
    return go(call, "/members?notice=removed")
