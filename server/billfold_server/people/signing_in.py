"""The pages of signing in: name and password, then a second factor; or a passkey, which is both."""

from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from billfold import errors
from billfold.contract import events
from billfold_server.audit import service as audit
from billfold_server.http.routing import Call, Reply
from billfold_server.people import attempts, factors, passkeys, queries, rules, sessions
from billfold_server.people.attempts import Attempt, Blocked
from billfold_server.people.desk import TICKET_S, Desk, in_minutes, tell
from billfold_server.people.hosting import form_of, go, page
from billfold_server.people.onwards import Onward, onward
from billfold_server.people.pages.kit import render
from billfold_server.people.queries import UserRow
from billfold_server.people.rules import Method
from billfold_server.tenancy.transaction import Tx

__all__ = ["arrive"]

_PASSED: Final = "password passed"
_TOO_MANY: Final = 429
_WRONG: Final = 422


class _Passed(msgspec.Struct, frozen=True):
    """Somebody who has typed a password: who, where it was right, else nobody. Both are of the same length.

    The attempt goes along, so that it can be given back where nobody can judge it.
    """

    user_id: UUID
    onward: Onward
    attempt: Attempt


def arrive(desk: Desk, wanted: Onward, cookies: tuple[str, ...] = ()) -> Reply[bytes]:
    """Send somebody who has signed in on: back to the client's request, to a page of ours, or to the account."""
    if (address := wanted.address(desk.call)) is not None:
        return go(desk.call, address, cookies=cookies, absolute=True)
    return go(desk.call, "/account", cookies=cookies)


@page("GET", "/sign-in")
async def show_sign_in(
    call: Call, *, interaction: str | None = None, to: str | None = None, ui_locales: str | None = None
) -> Reply[bytes]:
    """Ask who it is."""
    desk = Desk(call)
    wanted = onward(interaction, to)
    if wanted.interaction is None:
        async with desk.tx() as tx:
            found = await sessions.current(desk, tx)
        if found is not None and found[0].stage == "signed_in":
            return arrive(desk, wanted)
    return _sign_in_page(desk, wanted, ui_locales=ui_locales)


def _sign_in_page(
    desk: Desk,
    wanted: Onward,
    *,
    name: str = "",
    wrong: str | None = None,
    minutes: int = 0,
    ui_locales: str | None = None,
) -> Reply[bytes]:
    view = {
        "onward": wanted.fields,
        "name": name[:254],
        "wrong": wrong,
        "minutes": minutes,
        "here": f"{desk.visit.root}/sign-in{wanted.query}",
        "options": passkeys.begin(desk, "sign-in"),
    }
    status = 200 if wrong is None else _TOO_MANY if wrong in {"blocked", "stopped"} else _WRONG
    # Where it goes on to a client, the chain of redirects leaves this origin.
    form_to = () if wanted.interaction is None else None
    reply = render(desk.call, "sign_in.html", view, status=status, ui_locales=ui_locales, form_to=form_to, script=True)
    return _later(reply, minutes)


def _later(reply: Reply[bytes], minutes: int) -> Reply[bytes]:
    if not minutes:
        return reply
    return msgspec.structs.replace(reply, headers={**reply.headers, "Retry-After": str(minutes * 60)})


@page("POST", "/sign-in")
async def take_password(call: Call, body: bytes) -> Reply[bytes]:
    """Check name and password, and ask for the second factor whatever came of that.

    Neither answer nor effort tells whether there is such a person, or whether the password was right: that is told
    together with the second factor's, so that nobody can guess at one by itself.
    """
    desk, form = Desk(call), form_of(call, body)
    wanted, typed = onward(form.get("interaction"), form.get("to")), form.get("name", "")
    limits = call.services.limits
    limits.check_address(call.peer)
    # Each that isn't finished is a failure; one that is is taken back.
    limits.count_failure(call.peer)
    name = rules.login_name(typed)
    try:
        async with desk.tx() as tx:
            user = None if name is None else await queries.find_by_name(tx, desk.realm, name)
            device = sessions.known_device(desk, user)
            attempt = await attempts.begin(desk, tx, desk.account("password", name or ""), device)
    except Blocked as blocked:
        return _blocked(desk, wanted, typed, blocked)
    kept = user.password_hash if user is not None and user.is_let_in else None
    right = await call.services.rooms["people"].passwords.verify(form.get("password", ""), kept)
    async with desk.tx() as tx:
        await _note_password(desk, tx, user, attempt, right=right)
    passed = user.id if user is not None and right else factors.NOBODY
    return _second_page(desk, _Passed(passed, wanted, attempt))


def _blocked(desk: Desk, wanted: Onward, typed: str, blocked: Blocked) -> Reply[bytes]:
    if blocked.wait is None:
        return _sign_in_page(desk, wanted, name=typed, wrong="stopped")
    return _sign_in_page(desk, wanted, name=typed, wrong="blocked", minutes=in_minutes(blocked.wait))


async def _note_password(desk: Desk, tx: Tx, user: UserRow | None, attempt: Attempt, *, right: bool) -> None:
    """Record a password that was typed, right or wrong; one at a name that nobody has costs as much."""
    action = "user.password_passed" if right else "user.sign_in_failed"
    if user is None:
        await audit.record(tx, audit.new_record(desk.caller(), action, "nobody"))
        return
    await tell(tx, desk.caller(), action, user, facts={"step": "password"})
    if attempt.locks:
        await tell(tx, desk.caller(), events.USER_LOCKED, user, facts={"step": "password"})


def _second_page(desk: Desk, passed: _Passed) -> Reply[bytes]:
    """Ask for a second factor: for any, because which ones somebody has would tell that the password was right."""
    view: dict[str, Any] = {
        "ticket": desk.seal(passed, _PASSED),
        # The ticket says it as well, and can't once it has expired.
        "onward": passed.onward.fields,
        "options": passkeys.begin(desk, "second factor"),
    }
    form_to = () if passed.onward.interaction is None else None
    return render(desk.call, "second_factor.html", view, form_to=form_to, script=True)


async def _spend(desk: Desk, tx: Tx, ticket: str | None) -> _Passed | None:
    """Return who has typed a password, once: each guess at the second factor needs the first again."""
    passed = desk.open(ticket, _Passed, _PASSED)
    if passed is None:
        return None
    digest = desk.people.digest("passed passwords", ticket or "")
    return passed if await queries.spend(tx, digest, desk.now + timedelta(seconds=2 * TICKET_S)) else None


@page("POST", "/sign-in/code")
async def take_code(call: Call, body: bytes) -> Reply[bytes]:
    """Check the code of an authenticator app, or a recovery code, and tell what came of both steps together."""
    desk, form = Desk(call), form_of(call, body)
    try:
        await desk.have_secrets()
    except errors.KeysUnavailable:
        await _give_back(desk, form.get("ticket"))
        raise
    async with desk.tx() as tx:
        passed = await _spend(desk, tx, form.get("ticket"))
        if passed is None:
            return _sign_in_page(desk, onward(form.get("interaction"), form.get("to")), wrong="late")
        # Nobody shuts them out until they are in: a session that begins meanwhile would come back with them.
        user = await queries.lock_user(tx, passed.user_id)
        user = user if user is not None and user.is_let_in else None
        used = await factors.use_code(desk, tx, user, form.get("code", ""), recovery=True)
        if user is not None and used is not None:
            cookies = await sessions.begin(desk, tx, user, ["pwd", used.method], factor_id=used.factor_id)
            call.services.limits.forgive(call.peer)
            if used.method == "recovery":
                # It does nothing for a client: whoever has lost a factor restores it first.
                return go(call, "/account?notice=recovered", cookies=cookies)
            return arrive(desk, passed.onward, cookies)
        await _note_factor(desk, tx, user)
    return _sign_in_page(desk, passed.onward, wrong="either")


async def _give_back(desk: Desk, ticket: str | None) -> None:
    """Uncount an attempt whose code can't be judged now. Its ticket is spent: whoever it was types the password again.

    Wrong passwords are given back as right ones are, or counts would tell which it was. Nothing is learned by either.
    """
    async with desk.tx() as tx:
        passed = await _spend(desk, tx, ticket)
        if passed is not None:
            await attempts.give_back(tx, passed.attempt)
    if passed is not None:
        desk.call.services.limits.forgive(desk.call.peer)


async def _note_factor(desk: Desk, tx: Tx, user: UserRow | None) -> None:
    """Record a second factor that was wrong, or came after a wrong password."""
    if user is None:
        await audit.record(tx, audit.new_record(desk.caller(), "user.sign_in_failed", "nobody"))
    else:
        await tell(tx, desk.caller(), "user.sign_in_failed", user, facts={"step": "second factor"})


@page("POST", "/sign-in/passkey")
async def take_passkey(call: Call, body: bytes) -> Reply[bytes]:
    """Check a passkey: of anybody, or of somebody whose password was right."""
    desk, form = Desk(call), form_of(call, body)
    after_password = "passed" in form
    if not after_password:
        call.services.limits.check_address(call.peer)
    wanted = onward(form.get("interaction"), form.get("to"))
    async with desk.tx() as tx:
        passed = await _spend(desk, tx, form["passed"]) if after_password else None
        if after_password and passed is None:
            return _sign_in_page(desk, wanted, wrong="late")
        wanted = wanted if passed is None else passed.onward
        purpose = "sign-in" if passed is None else "second factor"
        shown = await passkeys.show(desk, tx, purpose, form.get("ticket"), form.get("credential"))
        # Two people's factors are no two factors of one.
        if shown is not None and (passed is None or passed.user_id == shown.user.id):
            methods: list[Method] = [shown.method] if passed is None else ["pwd", shown.method]
            cookies = await sessions.begin(desk, tx, shown.user, methods, factor_id=shown.factor.id)
            if passed is not None:
                call.services.limits.forgive(call.peer)
            return arrive(desk, wanted, cookies)
    if passed is not None:
        return _sign_in_page(desk, wanted, wrong="either")
    call.services.limits.count_failure(call.peer)
    return _sign_in_page(desk, wanted, wrong="passkey")


@page("POST", "/sign-out")
async def sign_out(call: Call, body: bytes) -> Reply[bytes]:
    """End the session, or say that it has ended: in another tab, or by itself."""
    desk = Desk(call)
    async with desk.tx() as tx:
        found = await sessions.current(desk, tx)
        # A form that was made for a session that is over doesn't stand. Whose page it was, the browser tells.
        if found is not None or call.headers.get("sec-fetch-site") != "same-origin":
            form_of(call, body)
        if found is not None:
            await queries.end_session(tx, found[1].id, found[0].id, "signed out", desk.now)
            await tell(tx, desk.caller(found[1].id), "user.signed_out", found[1])
    return go(call, "/signed-out", cookies=sessions.end(desk))


@page("GET", "/signed-out")
async def show_signed_out(call: Call, *, ui_locales: str | None = None) -> Reply[bytes]:
    """Say that it has ended."""
    here = f"{Desk(call).visit.root}/signed-out"
    return render(call, "signed_out.html", {"here": here}, ui_locales=ui_locales)
