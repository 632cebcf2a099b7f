"""The pages of somebody who is signed in: factors, password and sessions. What changes them needs a fresh factor."""

from datetime import datetime
from typing import Any, Final

import msgspec

from billfold import ids
from billfold.contract import events
from billfold.ids import Prefix
from billfold_server.http.routing import Call, Reply
from billfold_server.people import attempts, factors, passkeys, queries, rules, sessions, strength
from billfold_server.people.attempts import Blocked
from billfold_server.people.desk import Desk, end_grants, in_minutes, tell
from billfold_server.people.enrolling import codes_page, new_totp_of, refused_password, totp_view
from billfold_server.people.hosting import form_of, go, page, signed_in
from billfold_server.people.pages.kit import Instead, render
from billfold_server.people.queries import UserRow
from billfold_server.people.sessions import Session

__all__: list[str] = []

_WRONG: Final = 422
_TOO_MANY: Final = 429
_PLACES: Final = {
    "account": "/account",
    "password": "/account/password",
    "app": "/account/app",
    "passkey": "/account/passkey",
    "codes": "/account/recovery-codes",
}
"""Where a step-up may lead: nowhere else, whatever an address says."""
_UNNAMED: Final = frozenset({"Authenticator", "Passkey"})
"""What a factor is called where its owner has given it no name."""
_NOTICES: Final = frozenset(
    {"recovered", "limited", "waits", "password", "app", "passkey", "removed", "needed", "ended"}
)


@page("GET", "/account")
async def show_account(call: Call, *, notice: str | None = None, ui_locales: str | None = None) -> Reply[bytes]:
    """Show factors and sessions."""
    desk, session, user = await signed_in(call)
    async with desk.tx() as tx:
        theirs = await queries.list_factors(tx, user.id)
        open_ = await queries.list_sessions(tx, user.id, desk.now)
        left = await queries.count_recovery_codes(tx, user.id)
    here = factors.held(user, theirs, desk.now)
    view = {
        "person": session,
        "user": user,
        "notice": notice if notice in _NOTICES else None,
        "here": f"{desk.visit.root}/account",
        "factors": [
            {
                "id": ids.encode(Prefix.FACTOR, each.id),
                "kind": each.kind,
                "label": None if each.label in _UNNAMED else each.label,
                "suspended": each.state == "suspended",
                "waits": each.good_from if each.good_from > desk.now else None,
                "added": each.created_at,
                "used": each.last_used_at,
                "removable": not each.is_good(desk.now)
                or rules.can_remove(here, "totp" if each.kind == "totp" else "passkey"),
            }
            for each in theirs
        ],
        "sessions": [
            {
                "id": ids.encode(Prefix.SESSION, each.id),
                "device": each.device,
                "since": each.created_at,
                "present": each.id == session.id,
            }
            for each in open_
            if not rules.is_over(desk.realm, last_seen_at=each.last_seen_at, ends_at=each.ends_at, now=desk.now)
        ],
        "codes_left": left,
    }
    return render(call, "account.html", view, ui_locales=ui_locales, preferred=user.language)


# Step-up.


async def _fresh(call: Call, to: str, *, recovering: bool = False) -> tuple[Desk, Session, UserRow]:
    """Return who is signed in and has shown a second factor just now.

    Args:
        call: The request.
        to: Where a step-up leads back.
        recovering: Whether somebody may do it who came by a recovery code, which is no step-up for anything else.

    Raises:
        Instead: They have to sign in or to show one first, or may not do it.
    """
    desk, session, user = await signed_in(call)
    if session.is_recovered:
        if not recovering:
            raise Instead(go(call, "/account?notice=limited"))
    elif not rules.is_fresh(session.confirmed_at, desk.now):
        raise Instead(go(call, f"/confirm?to={to}"))
    return desk, session, user


def _good_from(desk: Desk, session: Session) -> datetime:
    """Return from when a factor counts that is enrolled now: later, for whoever came by a recovery code."""
    return desk.now + rules.RECOVERED_FACTORS_WAIT if session.is_recovered else desk.now


class _Guess(msgspec.Struct, frozen=True):
    """What came of a code.

    Attributes:
        cookies: Of the session that it has elevated; None where it was wrong or not looked at.
        wrong: Which text tells what was wrong.
        minutes: How long no further code is taken.
    """

    cookies: tuple[str, ...] | None = None
    wrong: str | None = None
    minutes: int = 0


async def _guess(desk: Desk, session: Session, user: UserRow, code: str) -> _Guess:
    """Check an app's code, count it, and elevate the session if it is right. A recovery code never does."""
    account = desk.account("second factor", str(user.id))
    # An attempt that nobody could look at isn't counted.
    await desk.have_secrets()
    try:
        async with desk.tx() as tx:
            attempt = await attempts.begin(desk, tx, account, sessions.known_device(desk, user))
    except Blocked as blocked:
        desk.call.services.limits.count_failure(desk.call.peer)
        if blocked.wait is None:
            return _Guess(wrong="stopped")
        return _Guess(wrong="blocked", minutes=in_minutes(blocked.wait))
    async with desk.tx() as tx:
        used = await factors.use_code(desk, tx, user, code, recovery=False)
        if used is not None and used.factor_id is not None:
            await attempts.succeed(tx, attempt)
            return _Guess(await sessions.elevate(desk, tx, session, used.method, used.factor_id))
        await tell(tx, desk.caller(), "user.sign_in_failed", user, facts={"step": "second factor"})
        if attempt.locks:
            await tell(tx, desk.caller(), events.USER_LOCKED, user, facts={"step": "second factor"})
    desk.call.services.limits.count_failure(desk.call.peer)
    return _Guess(wrong="code")


@page("GET", "/confirm")
async def show_confirm(call: Call, *, to: str | None = None, ui_locales: str | None = None) -> Reply[bytes]:
    """Ask for a second factor once more."""
    desk, session, user = await signed_in(call)
    return await _confirm_page(desk, session, user, to, ui_locales=ui_locales)


async def _confirm_page(
    desk: Desk,
    session: Session,
    user: UserRow,
    to: str | None,
    *,
    wrong: str | None = None,
    minutes: int = 0,
    ui_locales: str | None = None,
) -> Reply[bytes]:
    async with desk.tx() as tx:
        theirs = await queries.list_factors(tx, user.id)
    place = to if to in _PLACES else "account"
    with_passkey = any(each.rp_id == desk.place.rp_id and each.is_good(desk.now) for each in theirs)
    view = {
        "person": session,
        "to": place,
        "here": f"{desk.visit.root}/confirm?to={place}",
        "wrong": wrong,
        "minutes": minutes,
        "totp": factors.held(user, theirs, desk.now).totp > 0,
        "options": passkeys.begin(desk, "confirm", user=user, factors=theirs) if with_passkey else None,
    }
    status = 200 if wrong is None else _TOO_MANY if wrong in {"blocked", "stopped"} else _WRONG
    return render(
        desk.call,
        "confirm.html",
        view,
        status=status,
        ui_locales=ui_locales,
        preferred=user.language,
        script=with_passkey,
    )


@page("POST", "/confirm")
async def take_confirmation(call: Call, body: bytes) -> Reply[bytes]:
    """Check a second factor, and give the session a new cookie."""
    desk, session, user = await signed_in(call)
    form = form_of(call, body)
    call.services.limits.check_address(call.peer)
    place = _PLACES.get(form.get("to", ""), _PLACES["account"])
    if "credential" in form:
        async with desk.tx() as tx:
            shown = await passkeys.show(desk, tx, "confirm", form.get("ticket"), form.get("credential"))
            if shown is not None and shown.user.id == user.id:
                cookies = await sessions.elevate(desk, tx, session, shown.method, shown.factor.id)
                return go(call, place, cookies=cookies)
        call.services.limits.count_failure(call.peer)
        return await _confirm_page(desk, session, user, form.get("to"), wrong="passkey")

    result = await _guess(desk, session, user, form.get("code", ""))
    if result.cookies is None:
        return await _confirm_page(desk, session, user, form.get("to"), wrong=result.wrong, minutes=result.minutes)
    return go(call, place, cookies=result.cookies)


# What changes something.


@page("GET", "/account/password")
async def show_password(call: Call, *, ui_locales: str | None = None) -> Reply[bytes]:
    """Ask for a new password."""
    return _password_page(*await _fresh(call, "password"), ui_locales=ui_locales)


def _password_page(
    desk: Desk, session: Session, user: UserRow, *, wrong: str | None = None, ui_locales: str | None = None
) -> Reply[bytes]:
    view = {
        "person": session,
        "user": user,
        "wrong": wrong,
        "shortest": strength.SHORTEST,
        "here": f"{desk.visit.root}/account/password",
        "enrolling": False,
        "action": "/account/password",
    }
    status = 200 if wrong is None else _WRONG
    return render(desk.call, "password.html", view, status=status, ui_locales=ui_locales, preferred=user.language)


@page("POST", "/account/password")
async def take_new_password(call: Call, body: bytes) -> Reply[bytes]:
    """Set a new password, and end all other sessions."""
    desk, session, user = await _fresh(call, "password")
    form = form_of(call, body)
    if (weak := refused_password(desk, user, form)) is not None:
        return _password_page(desk, session, user, wrong=weak)
    hashed = await desk.people.passwords.hash(form["password"])
    async with desk.tx() as tx:
        if not await sessions.is_still_open(tx, session, user):
            return go(call, "/sign-in")
        await queries.set_password(tx, user.id, hashed, desk.now)
        await queries.end_sessions(tx, user.id, "password changed", desk.now, but=session.id)
        await end_grants(desk, tx, user, "password changed")
        await tell(tx, desk.caller(user.id), events.USER_PASSWORD_CHANGED, user)
    return go(call, "/account?notice=password")


@page("GET", "/account/app")
async def show_app(call: Call, *, ui_locales: str | None = None) -> Reply[bytes]:
    """Show a new secret for an authenticator app."""
    return await _factor_page(*await _fresh(call, "app", recovering=True), by="app", ui_locales=ui_locales)


@page("GET", "/account/passkey")
async def show_passkey(call: Call, *, ui_locales: str | None = None) -> Reply[bytes]:
    """Offer to make a passkey."""
    return await _factor_page(*await _fresh(call, "passkey", recovering=True), by="passkey", ui_locales=ui_locales)


async def _factor_page(
    desk: Desk,
    session: Session,
    user: UserRow,
    *,
    by: str,
    wrong: str | None = None,
    ticket: str | None = None,
    ui_locales: str | None = None,
) -> Reply[bytes]:
    async with desk.tx() as tx:
        theirs = await queries.list_factors(tx, user.id)
    view = {
        "person": session,
        "user": user,
        "by": by,
        "wrong": wrong,
        "here": f"{desk.visit.root}/account/{by}",
        "enrolling": False,
        "options": passkeys.begin_registration(desk, user, theirs),
        **(await totp_view(desk, user, ticket) if by == "app" else {}),
    }
    status = 200 if wrong is None else _WRONG
    return render(
        desk.call, "factor.html", view, status=status, ui_locales=ui_locales, preferred=user.language, script=True
    )


@page("POST", "/account/app")
async def take_app(call: Call, body: bytes) -> Reply[bytes]:
    """Enrol a further authenticator app."""
    desk, session, user = await _fresh(call, "app", recovering=True)
    form = form_of(call, body)
    made = new_totp_of(desk, form.get("ticket"))
    label = form.get("label", "").strip() or "Authenticator"
    if made is not None:
        await desk.have_secrets(seal=True)
        async with desk.tx() as tx:
            if not await sessions.is_still_open(tx, session, user):
                return go(call, "/sign-in")
            good_from = _good_from(desk, session)
            if await factors.add_totp(
                desk, tx, user, made, code=form.get("code", ""), label=label, good_from=good_from
            ):
                return go(call, f"/account?notice={'waits' if session.is_recovered else 'app'}")
    return await _factor_page(desk, session, user, by="app", wrong="code", ticket=form.get("ticket"))


@page("POST", "/account/passkey")
async def take_new_passkey(call: Call, body: bytes) -> Reply[bytes]:
    """Enrol a further passkey."""
    desk, session, user = await _fresh(call, "passkey", recovering=True)
    form = form_of(call, body)
    label = form.get("label", "").strip() or "Passkey"
    async with desk.tx() as tx:
        if not await sessions.is_still_open(tx, session, user):
            return go(call, "/sign-in")
        if await passkeys.register(
            desk,
            tx,
            user,
            ticket=form.get("ticket"),
            answer=form.get("credential"),
            label=label,
            good_from=_good_from(desk, session),
        ):
            return go(call, f"/account?notice={'waits' if session.is_recovered else 'passkey'}")
    return await _factor_page(desk, session, user, by="passkey", wrong="passkey")


@page("POST", "/account/remove")
async def remove_factor(call: Call, body: bytes) -> Reply[bytes]:
    """Remove a factor, as long as enough is left."""
    desk, session, user = await _fresh(call, "account")
    form = form_of(call, body)
    try:
        factor_id = ids.decode(Prefix.FACTOR, form.get("factor", ""))
    except ids.InvalidIdError:
        return go(call, "/account")
    async with desk.tx() as tx:
        if not await sessions.is_still_open(tx, session, user):
            return go(call, "/sign-in")
        # Two removals at once must not each leave what the other takes.
        locked = await queries.lock_user(tx, user.id)
        theirs = await queries.list_factors(tx, user.id, lock=True)
        factor = next((each for each in theirs if each.id == factor_id), None)
        if locked is None or factor is None:
            return go(call, "/account")
        kind: Any = factor.kind
        if factor.is_good(desk.now) and not rules.can_remove(factors.held(locked, theirs, desk.now), kind):
            return go(call, "/account?notice=needed")
        await queries.delete_factor(tx, user.id, factor_id)
        facts = {"factor_id": form["factor"], "kind": factor.kind}
        await tell(tx, desk.caller(user.id), events.USER_FACTOR_REMOVED, user, facts=facts)
        await sessions.end_with_factor(desk, tx, user, factor_id, "a factor was removed")
    return go(call, "/account?notice=removed")


@page("GET", "/account/recovery-codes")
async def show_recovery_codes(call: Call, *, ui_locales: str | None = None) -> Reply[bytes]:
    """Offer to make new recovery codes."""
    desk, session, user = await _fresh(call, "codes")
    view = {"person": session, "here": f"{desk.visit.root}/account/recovery-codes"}
    return render(call, "new_codes.html", view, ui_locales=ui_locales, preferred=user.language)


@page("POST", "/account/recovery-codes")
async def make_recovery_codes(call: Call, body: bytes) -> Reply[bytes]:
    """Make new recovery codes, and show them this once."""
    desk, session, user = await _fresh(call, "codes")
    form_of(call, body)
    async with desk.tx() as tx:
        if not await sessions.is_still_open(tx, session, user):
            return go(call, "/sign-in")
        codes = await factors.new_recovery_codes(desk, tx, user)
    return codes_page(desk, user, codes)


@page("POST", "/account/end-session")
async def end_session(call: Call, body: bytes) -> Reply[bytes]:
    """End another session of one's own."""
    desk, _, user = await signed_in(call)
    form = form_of(call, body)
    try:
        session_id = ids.decode(Prefix.SESSION, form.get("session", ""))
    except ids.InvalidIdError:
        return go(call, "/account")
    async with desk.tx() as tx:
        await queries.end_session(tx, user.id, session_id, "ended by its owner", desk.now)
    return go(call, "/account?notice=ended")


@page("POST", "/account/sign-out-everywhere")
async def sign_out_everywhere(call: Call, body: bytes) -> Reply[bytes]:
    """End all sessions, this one included."""
    desk, _, user = await signed_in(call)
    form_of(call, body)
    async with desk.tx() as tx:
        number = await queries.end_sessions(tx, user.id, "signed out everywhere", desk.now)
        await end_grants(desk, tx, user, "signed out everywhere")
        await tell(tx, desk.caller(user.id), events.USER_SIGNED_OUT_EVERYWHERE, user, facts={"sessions": number})
    return go(call, "/signed-out", cookies=sessions.end(desk))
