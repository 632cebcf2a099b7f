"""The pages of signing in: name and password, then a second factor; or a passkey, which is both."""

import re
from typing import Any, Final
from uuid import UUID

import msgspec

from billfold_server.audit import service as audit
from billfold_server.http.routing import Call, Reply
from billfold_server.people import attempts, factors, passkeys, queries, rules, sessions
from billfold_server.people.attempts import Attempt, Blocked
from billfold_server.people.desk import Desk, in_minutes, tell
from billfold_server.people.hosting import form_of, go, page
from billfold_server.people.pages.kit import render
from billfold_server.people.queries import FactorRow, UserRow
from billfold_server.people.rules import Method

__all__ = ["Guess", "arrive", "guess"]

_PASSED: Final = "password passed"
_INTERACTION: Final = re.compile(r"[A-Za-z0-9_-]{1,200}")
_TOO_MANY: Final = 429
_WRONG: Final = 422


class _Passed(msgspec.Struct, frozen=True):
    """Somebody whose password was right."""

    user_id: UUID
    interaction: str | None


def _interaction(text: str | None) -> str | None:
    return text if text and _INTERACTION.fullmatch(text) else None


def arrive(desk: Desk, interaction: str | None, cookies: tuple[str, ...]) -> Reply[bytes]:
    """Send somebody who has signed in on: back to the client's request, or to the account."""
    if interaction is None:
        return go(desk.call, "/account", cookies=cookies)
    path = f"{desk.call.mount}/oauth/authorize/resume?interaction={interaction}"
    return go(desk.call, path, cookies=cookies, absolute=True)


@page("GET", "/sign-in")
async def show_sign_in(call: Call, *, interaction: str | None = None, ui_locales: str | None = None) -> Reply[bytes]:
    """Ask who it is."""
    desk = Desk(call)
    wanted = _interaction(interaction)
    if wanted is None:
        async with desk.tx() as tx:
            found = await sessions.current(desk, tx)
        if found is not None and found[0].stage == "signed_in":
            return go(call, "/account")
    return _sign_in_page(desk, wanted, ui_locales=ui_locales)


def _sign_in_page(
    desk: Desk,
    interaction: str | None,
    *,
    name: str = "",
    wrong: str | None = None,
    minutes: int = 0,
    ui_locales: str | None = None,
) -> Reply[bytes]:
    here = f"{desk.visit.root}/sign-in" + (f"?interaction={interaction}" if interaction else "")
    view = {
        "interaction": interaction,
        "name": name[:254],
        "wrong": wrong,
        "minutes": minutes,
        "here": here,
        "options": passkeys.begin(desk, "sign-in"),
    }
    status = 200 if wrong is None else _TOO_MANY if minutes else _WRONG
    # Where it goes on to a client, the chain of redirects leaves this origin.
    form_to = () if interaction is None else None
    reply = render(desk.call, "sign_in.html", view, status=status, ui_locales=ui_locales, form_to=form_to, script=True)
    return _later(reply, minutes)


def _later(reply: Reply[bytes], minutes: int) -> Reply[bytes]:
    if not minutes:
        return reply
    return msgspec.structs.replace(reply, headers={**reply.headers, "Retry-After": str(minutes * 60)})


@page("POST", "/sign-in")
async def take_password(call: Call, body: bytes) -> Reply[bytes]:
    """Check name and password. Whether there is such a person can't be told from answer or effort."""
    desk, form = Desk(call), form_of(call, body)
    interaction, typed = _interaction(form.get("interaction")), form.get("name", "")
    call.services.limits.check_address(call.peer)
    name = rules.login_name(typed)
    try:
        async with desk.tx() as tx:
            user = None if name is None else await queries.find_by_name(tx, desk.realm, name)
            device = sessions.known_device(desk, user)
            attempt = await attempts.begin(desk, tx, desk.account("password", name or ""), device)
    except Blocked as blocked:
        call.services.limits.count_failure(call.peer)
        return _sign_in_page(desk, interaction, name=typed, wrong="blocked", minutes=in_minutes(blocked.wait))
    kept = user.password_hash if user is not None and user.state == "active" else None
    if not await call.services.rooms["people"].passwords.verify(form.get("password", ""), kept):
        call.services.limits.count_failure(call.peer)
        await _tell_failure(desk, user, attempt, "password")
        return _sign_in_page(desk, interaction, name=typed, wrong="password")
    assert user is not None
    async with desk.tx() as tx:
        await attempts.succeed(tx, attempt)
        theirs = await queries.list_factors(tx, user.id)
    return _second_page(desk, user, theirs, interaction)


async def _tell_failure(desk: Desk, user: UserRow | None, attempt: Attempt, step: str) -> None:
    """Record a failure; one at a name that nobody has costs as much, and tells the bank of guessing all the same."""
    async with desk.tx() as tx:
        if user is None:
            await audit.record(tx, audit.new_record(desk.caller(), "user.sign_in_failed", "nobody"))
            return
        await tell(tx, desk.caller(), "user.sign_in_failed", user, facts={"step": step}, event=not attempt.locks)
        if attempt.locks:
            await tell(tx, desk.caller(), "user.locked", user, facts={"step": step})


def _second_page(
    desk: Desk,
    user: UserRow,
    theirs: list[FactorRow],
    interaction: str | None,
    *,
    wrong: str | None = None,
    minutes: int = 0,
) -> Reply[bytes]:
    here = factors.held(user, theirs)
    place = desk.place.rp_id
    with_passkey = any(each.rp_id == place and each.state == "active" for each in theirs)
    view: dict[str, Any] = {
        "ticket": desk.seal(_Passed(user.id, interaction), _PASSED),
        "wrong": wrong,
        "minutes": minutes,
        "totp": here.totp > 0,
        "interaction": interaction,
        "options": passkeys.begin(desk, "second factor", user=user, factors=theirs) if with_passkey else None,
    }
    status = 200 if wrong is None else _TOO_MANY if minutes else _WRONG
    form_to = () if interaction is None else None
    reply = render(
        desk.call,
        "second_factor.html",
        view,
        status=status,
        form_to=form_to,
        preferred=user.language,
        script=with_passkey,
    )
    return _later(reply, minutes)


class Guess(msgspec.Struct, frozen=True):
    """What came of a code.

    Attributes:
        method: Which kind of code was right; None where it was wrong or not looked at.
        wrong: Which text tells what was wrong.
        minutes: How long no further code is taken.
        cookies: Of the session that it has begun or elevated.
    """

    method: Method | None = None
    wrong: str | None = None
    minutes: int = 0
    cookies: tuple[str, ...] = ()


async def guess(desk: Desk, user: UserRow, code: str, *, recovery: bool, then: Any) -> Guess:
    """Check a code of somebody who is known, count it, and do what follows from its being right.

    Args:
        desk: The request.
        user: Who.
        code: As it was typed.
        recovery: Whether a recovery code will do.
        then: Called with the transaction and the method; its result are cookies.
    """
    account = desk.account("second factor", str(user.id))
    try:
        async with desk.tx() as tx:
            attempt = await attempts.begin(desk, tx, account, sessions.known_device(desk, user))
    except Blocked as blocked:
        desk.call.services.limits.count_failure(desk.call.peer)
        return Guess(wrong="blocked", minutes=in_minutes(blocked.wait))
    async with desk.tx() as tx:
        method = await factors.use_code(desk, tx, user, code, recovery=recovery)
        if method is not None:
            await attempts.succeed(tx, attempt)
            return Guess(method=method, cookies=await then(tx, method))
    desk.call.services.limits.count_failure(desk.call.peer)
    await _tell_failure(desk, user, attempt, "second factor")
    return Guess(wrong="code")


@page("POST", "/sign-in/code")
async def take_code(call: Call, body: bytes) -> Reply[bytes]:
    """Check the code of an authenticator app, or a recovery code, of somebody whose password was right."""
    desk, form = Desk(call), form_of(call, body)
    call.services.limits.check_address(call.peer)
    passed = desk.open(form.get("ticket"), _Passed, _PASSED)
    if passed is None:
        return _sign_in_page(desk, None, wrong="late")
    async with desk.tx() as tx:
        user = await queries.find_user(tx, passed.user_id)
        theirs = [] if user is None else await queries.list_factors(tx, user.id)
    if user is None or user.state != "active":
        return _sign_in_page(desk, passed.interaction, wrong="late")

    async def begin(tx: Any, method: Method) -> tuple[str, ...]:
        return await sessions.begin(desk, tx, user, ["pwd", method])

    result = await guess(desk, user, form.get("code", ""), recovery=True, then=begin)
    if result.method is None:
        return _second_page(desk, user, theirs, passed.interaction, wrong=result.wrong, minutes=result.minutes)
    if result.method == "recovery" and passed.interaction is None:
        return go(call, "/account?notice=recovered", cookies=result.cookies)
    return arrive(desk, passed.interaction, result.cookies)


@page("POST", "/sign-in/passkey")
async def take_passkey(call: Call, body: bytes) -> Reply[bytes]:
    """Check a passkey: of anybody, or of somebody whose password was right."""
    desk, form = Desk(call), form_of(call, body)
    call.services.limits.check_address(call.peer)
    passed = desk.open(form.get("passed"), _Passed, _PASSED)
    interaction = _interaction(form.get("interaction")) if passed is None else passed.interaction
    purpose = "sign-in" if passed is None else "second factor"
    async with desk.tx() as tx:
        shown = await passkeys.show(desk, tx, purpose, form.get("ticket"), form.get("credential"))
        # Two people's factors are no two factors of one.
        if shown is not None and (passed is None or passed.user_id == shown.user.id):
            methods: list[Method] = [shown.method] if passed is None else ["pwd", shown.method]
            cookies = await sessions.begin(desk, tx, shown.user, methods)
            return arrive(desk, interaction, cookies)
    call.services.limits.count_failure(call.peer)
    return _sign_in_page(desk, interaction, wrong="passkey")


@page("POST", "/sign-out")
async def sign_out(call: Call, body: bytes) -> Reply[bytes]:
    """End the session."""
    form_of(call, body)
    desk = Desk(call)
    async with desk.tx() as tx:
        found = await sessions.current(desk, tx)
        if found is not None:
            await queries.end_session(tx, found[1].id, found[0].id, "signed out", desk.now)
            await tell(tx, desk.caller(found[1].id), "user.signed_out", found[1], event=False)
    return go(call, "/signed-out", cookies=sessions.end(desk))


@page("GET", "/signed-out")
async def show_signed_out(call: Call, *, ui_locales: str | None = None) -> Reply[bytes]:
    """Say that it has ended."""
    here = f"{Desk(call).visit.root}/signed-out"
    return render(call, "signed_out.html", {"here": here}, ui_locales=ui_locales)
