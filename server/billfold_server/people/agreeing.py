"""The page of approval: what is agreed to is shown in full, and signed by a second factor."""

import secrets
from typing import Final
from urllib.parse import urlencode

from billfold_server.http.routing import Call, Reply
from billfold_server.people import attempts, factors, passkeys, queries, sca, sessions
from billfold_server.people.attempts import Blocked
from billfold_server.people.desk import Desk, in_minutes
from billfold_server.people.hosting import form_of, go, page, signed_in
from billfold_server.people.pages.kit import Instead, page_error, render
from billfold_server.people.pages.words import amount_text, kind_text
from billfold_server.people.queries import UserRow
from billfold_server.people.sca_queries import ChallengeRow
from billfold_server.people.sessions import Session

_WRONG: Final = 422
_TOO_MANY: Final = 429
_SALT_BYTES: Final = 16


async def _asked(call: Call, challenge: str) -> tuple[Desk, Session, UserRow, ChallengeRow]:
    """Return who is asked, and what.

    Raises:
        Instead: They have to sign in first, or can't agree to it any more.
    """
    desk, session, user = await signed_in(call, back=f"/auth/approve?{urlencode({'challenge': challenge})}")
    if call.tenant_or_none is None:
        raise Instead(_over(call, None))
    async with desk.tx() as tx:
        row = await sca.find_own(tx, challenge, user.id, lock=False)
    if row is None or not sca.is_open(desk, row):
        raise Instead(_over(call, row))
    return desk, session, user, row


def _over(call: Call, row: ChallengeRow | None) -> Reply[bytes]:
    """Send somebody who can't agree any more back to where they were asked, which goes on by what they have agreed to.

    A button may be pressed twice, a code entered wrongly too often, or too late: whoever asked asks anew, or has it.
    """
    if row is None or row.return_to is None:
        return page_error(call, "approve.gone", status=404)
    return go(call, row.return_to, absolute=True)


@page("GET", "/approve")
async def show_approval(call: Call, *, challenge: str = "", ui_locales: str | None = None) -> Reply[bytes]:
    """Show what is to be agreed to."""
    return await _page(*await _asked(call, challenge), ui_locales=ui_locales)


async def _page(
    desk: Desk,
    session: Session,
    user: UserRow,
    row: ChallengeRow,
    *,
    wrong: str | None = None,
    minutes: int = 0,
    ui_locales: str | None = None,
) -> Reply[bytes]:
    async with desk.tx() as tx:
        theirs = await queries.list_factors(tx, user.id)
    with_passkey = any(each.rp_id == desk.place.rp_id and each.is_good(desk.now) for each in theirs)
    asked = sca.challenge_of(row)
    # The authenticator signs the digest of what is shown; what follows it lets a second try be told from a replay.
    signed = row.digest + secrets.token_bytes(_SALT_BYTES)
    view = {
        "challenge": asked,
        "person": session,
        "here": f"{desk.visit.root}/approve?challenge={asked.id}",
        "amount": amount_text,
        "kind": kind_text,
        "totp": factors.held(user, theirs, desk.now).totp > 0 and "pwd" in session.amr,
        "options": passkeys.begin(desk, "approval", user=user, factors=theirs, challenge=signed)
        if with_passkey
        else None,
        "wrong": wrong,
        "minutes": minutes,
        "back": row.return_to,
    }
    status = 200 if wrong is None else _TOO_MANY if wrong in {"blocked", "stopped"} else _WRONG
    return render(
        desk.call,
        "approve.html",
        view,
        status=status,
        ui_locales=ui_locales,
        preferred=user.language,
        form_to=None if row.return_to else (),
        script=with_passkey,
    )


@page("POST", "/approve")
async def take_approval(call: Call, body: bytes) -> Reply[bytes]:
    """Take the second factor, which agrees to exactly what was shown."""
    form = form_of(call, body)
    call.services.limits.check_address(call.peer)
    desk, session, user, row = await _asked(call, form.get("challenge", ""))
    by_passkey = "credential" in form
    if not by_passkey:
        # An attempt that nobody could look at isn't counted.
        await desk.have_secrets()
    try:
        async with desk.tx() as tx:
            account = desk.account("second factor", str(user.id))
            attempt = await attempts.begin(desk, tx, account, sessions.known_device(desk, user))
    except Blocked as blocked:
        wrong, minutes = ("stopped", 0) if blocked.wait is None else ("blocked", in_minutes(blocked.wait))
        return await _page(desk, session, user, row, wrong=wrong, minutes=minutes)
    async with desk.tx() as tx:
        # As whatever else takes both does it: the user, and then what is theirs.
        await queries.lock_user(tx, user.id)
        locked = await sca.find_own(tx, form["challenge"], user.id, lock=True)
        if locked is None or not sca.is_open(desk, locked):
            return _over(call, locked)
        if by_passkey:
            shown = await passkeys.show(desk, tx, "approval", form.get("ticket"), form["credential"])
            result = await sca.complete_with_passkey(desk, tx, locked, user, shown=shown, answer=form["credential"])
        else:
            result = await sca.complete_with_code(desk, tx, locked, user, session=session, code=form.get("code", ""))
        if result is not None:
            await attempts.succeed(tx, attempt)
            return go(call, row.return_to or f"{desk.visit.root}/approved", absolute=True)
    call.services.limits.count_failure(call.peer)
    return await _page(*await _asked(call, form["challenge"]), wrong="passkey" if by_passkey else "code")


@page("GET", "/approved")
async def show_approved(call: Call, *, ui_locales: str | None = None) -> Reply[bytes]:
    """Say that it was agreed to."""
    return render(call, "approved.html", {"here": f"{Desk(call).visit.root}/approved"}, ui_locales=ui_locales)
