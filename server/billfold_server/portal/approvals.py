"""The portal's pages of what waits for a second person: the bank's staff see what is asked for, and agree to it or not.

A decision is the operation of the API, asked for in the person's name; so nobody decides on what they have asked for
themselves, and what is approved is carried out at once.
"""

from typing import Annotated, Any, Final
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from msgspec import Meta

from billfold import errors, ids
from billfold.contract.approvals import Approval, ApprovalStatus
from billfold.contract.common import ApprovalId
from billfold.ids import Prefix
from billfold_server.approvals import service as approvals
from billfold_server.http.pagination import Cursor
from billfold_server.http.routing import Call, Reply
from billfold_server.identity import service as identity
from billfold_server.people import service as people
from billfold_server.people.pages.words import amount_text
from billfold_server.portal.pages import admit, admitted, form_of, go, looked_at, page, render
from billfold_server.portal.reference import reference_of
from billfold_server.portal.viewers import Viewer
from billfold_server.tenancy.transaction import TenantTx

__all__: list[str] = []

_SECTION: Final = "approvals"
_READ: Final = "approvals:read"
_DECIDE: Final = "approvals:decide"
_KIND: Final = "portal approvals"
_SHOWN: Final = 25
_ALL: Final = "all"
_CONFLICT: Final = 409
_REFUSED_FROM: Final = 400
_Asked = Annotated[str, Meta(max_length=20)]
_NOTICES: Final = frozenset({"approved", "executed", "rejected"})
_COMPLAINTS: Final[dict[type[errors.ProblemError], str]] = {
    errors.MakerMayNotDecide: "own",
    errors.ApprovalNotPending: "late",
    errors.MakerLacksPermission: "maker",
    errors.ValidationFailed: "reason",
    errors.NotFound: "elsewhere",
}
"""Which sentence tells why somebody couldn't decide."""


@page("GET", "/approvals")
async def show_approvals(
    call: Call, *, which: _Asked = "", cursor: Cursor | None = None, ui_locales: str | None = None
) -> Reply[bytes]:
    """Show what waits for a second person, or all that ever has."""
    place = call.cursors.decode(_KIND, cursor)
    status = None if which == _ALL else ApprovalStatus.PENDING
    back = looked_at("/approvals", {"which": which if status is None else None, "cursor": cursor})
    async with admitted(call, _READ, back=back) as (tx, viewer):
        before = UUID(str(place[0])) if place else None
        rows, now = await approvals.list_approvals(tx, status=status, before=before, limit=_SHOWN + 1)
    found = await approvals.show(call.services.keys, call.tenant, rows, now)
    shown = call.page(_KIND, found, _SHOWN, key=lambda each: [str(ids.decode(Prefix.APPROVAL, each.id))])
    more = {} if shown.next_cursor is None else {"cursor": shown.next_cursor}
    view = {
        "approvals": [(each, _summary(call, each), _is_refused(each)) for each in shown.data],
        "all": which == _ALL,
        "more": f"?{urlencode({**({'which': _ALL} if which == _ALL else {}), **more})}" if more else None,
    }
    return render(call, "approvals.html", view, section=_SECTION, viewer=viewer, ui_locales=ui_locales)


@page("GET", "/approvals/{approval_id}")
async def show_approval(
    call: Call, approval_id: ApprovalId, *, notice: _Asked = "", ui_locales: str | None = None
) -> Reply[bytes]:
    """Show what is asked for, by whom, and what has come of it."""
    viewer = await admit(call, _READ, back=f"/approvals/{approval_id}")
    return await _shown(call, viewer, approval_id, notice=notice, ui_locales=ui_locales)


@page("POST", "/approvals/{approval_id}/approve")
async def approve(call: Call, approval_id: ApprovalId, body: bytes) -> Reply[bytes]:
    """Agree to it, and have it carried out."""
    return await _decide(call, approval_id, body, "approveApproval")


@page("POST", "/approvals/{approval_id}/reject")
async def reject(call: Call, approval_id: ApprovalId, body: bytes) -> Reply[bytes]:
    """Refuse it."""
    return await _decide(call, approval_id, body, "rejectApproval")


async def _decide(call: Call, approval_id: str, body: bytes, operation_id: str) -> Reply[bytes]:
    form = form_of(call, body)
    viewer = await admit(call, _DECIDE, back=f"/approvals/{approval_id}")
    reason = form.get("reason", "").strip()
    try:
        reply = await viewer.ask(call, operation_id, {"approval_id": approval_id}, {"reason": reason or None})
    except tuple(_COMPLAINTS) as error:
        return await _shown(call, viewer, approval_id, complaint=_COMPLAINTS[type(error)], reason=reason)
    decided: Approval = reply.body
    return go(call, f"/approvals/{approval_id}?notice={decided.status.value}")


async def _shown(
    call: Call,
    viewer: Viewer,
    approval_id: str,
    *,
    notice: str = "",
    complaint: str | None = None,
    reason: str = "",
    ui_locales: str | None = None,
) -> Reply[bytes]:
    """Return the page of one; raises ``errors.NotFound`` where there is none."""
    async with call.tx() as tx:
        row, now = await approvals.get_approval(tx, ids.decode(Prefix.APPROVAL, approval_id))
        maker = await _name_of(call, tx, row.made_by)
        decider = None if row.decided_by is None else await _name_of(call, tx, row.decided_by)
    (approval,) = await approvals.show(call.services.keys, call.tenant, [row], now)
    pending = approval.status is ApprovalStatus.PENDING
    view = {
        "approval": approval,
        "summary": _summary(call, approval),
        "known": reference_of(call).page(approval.requested.operation_id) is not None,
        "asked": _written(approval.requested.body),
        "amounts": _amounts(approval.requested.body),
        "amount": amount_text,
        "outcome": _written(approval.outcome),
        "maker": maker,
        "decider": decider,
        "mine": approval.requested_by == viewer.actor,
        "may_decide": pending and _DECIDE in viewer.scopes and approval.requested_by != viewer.actor,
        "notice": notice if notice in _NOTICES and not pending else None,
        "refused": _is_refused(approval),
        "complaint": complaint,
        "reason": reason,
    }
    status = 200 if complaint is None else _CONFLICT
    return render(call, "approval.html", view, section=_SECTION, viewer=viewer, status=status, ui_locales=ui_locales)


async def _name_of(call: Call, tx: TenantTx, who: str) -> str | None:
    """Return what a person or a program is called, as far as that is known still."""
    try:
        if who.startswith(f"{Prefix.USER.value}_"):
            realm = people.Realm.of(call.services, call.tenant)
            return (await people.get_user(realm, tx, ids.decode(Prefix.USER, who))).display_name
        client = await identity.find_client(tx, ids.decode(Prefix.CLIENT, who))
    except (errors.NotFound, ids.InvalidIdError):
        return None
    return None if client is None else client.name


def _summary(call: Call, approval: Approval) -> str:
    """Return what is asked for in a few words; what isn't of the API by its name."""
    found = reference_of(call).page(approval.requested.operation_id)
    return approval.requested.operation_id if found is None else found.line.summary


def _is_refused(approval: Approval) -> bool:
    """Tell whether what was approved came to nothing: it was tried, and the operation has refused it."""
    return approval.outcome_status is not None and approval.outcome_status >= _REFUSED_FROM


def _amounts(body: dict[str, Any] | None) -> list[tuple[str, int, str]]:
    """Return the amounts that a request names: whoever agrees to one shouldn't have to count its digits."""
    found = []
    for name, value in (body or {}).items():
        match value:
            case {"amount_minor": int(minor), "currency": str(currency)}:
                found.append((name, minor, currency))
    return found


def _written(value: dict[str, Any] | None) -> str | None:
    return None if value is None else msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
