"""The pages of enrolment: by a one-time link to a password, a second factor and recovery codes."""

import asyncio
from typing import Any, Final

import msgspec
from markupsafe import Markup

from billfold.contract import events
from billfold_server.http.routing import Call, Reply
from billfold_server.people import attempts, factors, passkeys, queries, sessions, strength
from billfold_server.people.codes import digest_of_typed
from billfold_server.people.desk import Desk, end_grants, tell
from billfold_server.people.factors import NewTotp, Used
from billfold_server.people.hosting import form_of, go, page
from billfold_server.people.pages import brand
from billfold_server.people.pages.kit import Instead, render
from billfold_server.people.queries import UserRow
from billfold_server.people.sessions import Session

__all__ = ["codes_page", "new_totp_of", "refused_password", "totp_view"]

_WRONG: Final = 422
_NEW_TOTP: Final = "new totp"
_TOTP_S: Final = 1800


@page("GET", "/enrol")
async def show_enrol(call: Call, *, code: str | None = None, ui_locales: str | None = None) -> Reply[bytes]:
    """Ask to begin: a link is opened by mail filters and previews, too, and they mustn't spend it."""
    return _begin_page(Desk(call), code or "", ui_locales=ui_locales)


def _begin_page(desk: Desk, code: str, *, wrong: bool = False, ui_locales: str | None = None) -> Reply[bytes]:
    code = code[:100]
    here = f"{desk.visit.root}/enrol" + (f"?code={code}" if code and code.isascii() and code.isalnum() else "")
    view = {"code": code, "wrong": wrong, "here": here, "halves": desk.realm == "operator"}
    return render(desk.call, "enrol_begin.html", view, status=_WRONG if wrong else 200, ui_locales=ui_locales)


@page("POST", "/enrol")
async def take_enrolment_code(call: Call, body: bytes) -> Reply[bytes]:
    """Spend the one-time code; who is kept out meanwhile, as while their partner is suspended, keeps theirs."""
    desk, form = Desk(call), form_of(call, body)
    call.services.limits.check_address(call.peer)
    code = "".join(form.get("code", "").split())
    async with desk.tx() as tx:
        digest = digest_of_typed(code)
        # First the user, whom nobody shuts out then until they have begun, and then the code, which would go with that.
        owner_id = await queries.find_owner_of_enrolment_code(tx, digest)
        user = None if owner_id is None else await queries.lock_user(tx, owner_id)
        if await queries.lock_enrolment_code(tx, digest, desk.now) is None:
            user = None
        if user is not None and user.login_realm == desk.realm and user.state != "disabled" and not user.suspended:
            await queries.spend_enrolment_code(tx, digest, desk.now)
            cookies = await sessions.begin_enrolling(desk, tx, user)
            await tell(tx, desk.caller(user.id), "user.enrolment_begun", user)
            return go(call, "/enrol/steps", cookies=cookies)
    call.services.limits.count_failure(call.peer)
    return _begin_page(desk, code, wrong=True)


async def _enrolling(call: Call) -> tuple[Desk, Session, UserRow]:
    """Return who enrols.

    Raises:
        Instead: Nobody does.
    """
    desk = Desk(call)
    async with desk.tx() as tx:
        found = await sessions.current(desk, tx)
    if found is None or found[0].stage != "enrolling":
        raise Instead(go(call, "/sign-in"))
    return desk, *found


@page("GET", "/enrol/steps")
async def show_enrolment_step(call: Call, *, by: str | None = None, ui_locales: str | None = None) -> Reply[bytes]:
    """Show what is to be done next: a password, or a second factor."""
    desk, session, user = await _enrolling(call)
    if "pwd" not in session.amr:
        return _password_page(desk, user, ui_locales=ui_locales)
    return await _factor_page(desk, user, by=by, ui_locales=ui_locales)


def _password_page(
    desk: Desk, user: UserRow, *, wrong: str | None = None, ui_locales: str | None = None
) -> Reply[bytes]:
    view = {
        "user": user,
        "wrong": wrong,
        "shortest": strength.SHORTEST,
        "here": f"{desk.visit.root}/enrol/steps",
        "enrolling": True,
        "action": "/enrol/password",
    }
    status = 200 if wrong is None else _WRONG
    return render(desk.call, "password.html", view, status=status, ui_locales=ui_locales, preferred=user.language)


async def _factor_page(
    desk: Desk,
    user: UserRow,
    *,
    by: str | None,
    wrong: str | None = None,
    ticket: str | None = None,
    ui_locales: str | None = None,
) -> Reply[bytes]:
    async with desk.tx() as tx:
        theirs = await queries.list_factors(tx, user.id)
    if not desk.place.has_name:
        # Nobody is asked first for what can't be done here.
        by = "app"
    view: dict[str, Any] = {
        "user": user,
        "by": by if by == "app" else "passkey",
        "wrong": wrong,
        "here": f"{desk.visit.root}/enrol/steps" + ("?by=app" if by == "app" else ""),
        "enrolling": True,
        "options": passkeys.begin_registration(desk, user, theirs),
        **(await totp_view(desk, user, ticket) if by == "app" else {}),
    }
    status = 200 if wrong is None else _WRONG
    return render(
        desk.call, "factor.html", view, status=status, ui_locales=ui_locales, preferred=user.language, script=True
    )


async def totp_view(desk: Desk, user: UserRow, ticket: str | None = None) -> dict[str, Any]:
    """Return what a page shows of a new secret, or of the one that is still being set up."""
    made = desk.open(ticket, NewTotp, _NEW_TOTP) or factors.new_totp()
    spaced = " ".join(made.secret[at : at + 4] for at in range(0, len(made.secret), 4))
    return {
        "totp_ticket": desk.seal(made, _NEW_TOTP, until_s=desk.now_s + _TOTP_S),
        "totp_secret": spaced,
        # Drawn by segno of our own text, without anything that a visitor typed but as modules of the picture.
        # It takes milliseconds, in which others are served.
        "totp_qr": Markup(await asyncio.to_thread(factors.qr_of, desk, user, made)),  # noqa: S704
    }


def new_totp_of(desk: Desk, ticket: str | None) -> NewTotp | None:
    """Return the secret that a page has shown, or None where that is too long ago."""
    return desk.open(ticket, NewTotp, _NEW_TOTP)


def refused_password(desk: Desk, user: UserRow, form: dict[str, str]) -> str | None:
    """Return why a new password is refused, or None; what belongs to the bank and the person is guessed first."""
    password = form.get("password", "")
    if password != form.get("again"):
        return "different"
    tenant = desk.call.tenant_or_none
    looks = brand.brand_of(tenant)
    context = [looks.display_name, user.login_name, user.display_name, "billfold", "wallet", "banking"]
    if tenant is not None:
        context += [tenant.slug, tenant.manifest.name]
    return strength.weakness(password, context)


@page("POST", "/enrol/password")
async def take_first_password(call: Call, body: bytes) -> Reply[bytes]:
    """Keep the password that somebody has chosen, until everything else is there: it takes effect with that."""
    desk, session, user = await _enrolling(call)
    form = form_of(call, body)
    # Hashing takes its time, which no transaction should wait for.
    if (weak := refused_password(desk, user, form)) is not None:
        return _password_page(desk, user, wrong=weak)
    hashed = await desk.people.passwords.hash(form["password"])
    async with desk.tx() as tx:
        await queries.keep_new_password(tx, session.id, hashed)
    return go(call, "/enrol/steps")


@page("POST", "/enrol/app")
async def take_first_app(call: Call, body: bytes) -> Reply[bytes]:
    """Enrol an authenticator app."""
    desk, session, user = await _enrolling(call)
    form = form_of(call, body)
    if "pwd" not in session.amr:
        return go(call, "/enrol/steps")
    made = new_totp_of(desk, form.get("ticket"))
    label = form.get("label", "").strip() or "Authenticator"
    if made is not None:
        await desk.have_secrets(seal=True)
        async with desk.tx() as tx:
            if (hashed := await _chosen(tx, session, user)) is None:
                return go(call, "/enrol/steps")
            if await factors.add_totp(desk, tx, user, made, code=form.get("code", ""), label=label):
                return await _finish(desk, tx, session, user, hashed, Used("otp", made.factor_id))
    return await _factor_page(desk, user, by="app", wrong="code", ticket=form.get("ticket"))


@page("POST", "/enrol/passkey")
async def take_first_passkey(call: Call, body: bytes) -> Reply[bytes]:
    """Enrol a passkey."""
    desk, session, user = await _enrolling(call)
    form = form_of(call, body)
    if "pwd" not in session.amr:
        return go(call, "/enrol/steps")
    label = form.get("label", "").strip() or "Passkey"
    async with desk.tx() as tx:
        if (hashed := await _chosen(tx, session, user)) is None:
            return go(call, "/enrol/steps")
        made = await passkeys.register(
            desk, tx, user, ticket=form.get("ticket"), answer=form.get("credential"), label=label
        )
        if made is not None:
            return await _finish(desk, tx, session, user, hashed, made)
    return await _factor_page(desk, user, by="passkey", wrong="passkey")


async def _chosen(tx: Any, session: Session, user: UserRow) -> str | None:
    """Return the new password's hash of somebody whom nobody else changes meanwhile; None where they can't go on."""
    locked = await queries.lock_user(tx, user.id)
    if locked is None or locked.state == "disabled" or locked.suspended:
        return None
    return await queries.find_new_password(tx, session.id)


async def _finish(  # noqa: PLR0917 - what an enrolment consists of
    desk: Desk, tx: Any, session: Session, user: UserRow, hashed: str, used: Used
) -> Reply[bytes]:
    """End the enrolment: all that is new takes the place of all that was before, in one transaction.

    Until then whoever begins anew has what they had, and an enrolment that is given up has changed nothing.
    """
    assert used.factor_id is not None
    await queries.set_password(tx, user.id, hashed, desk.now)
    for old in await queries.list_factors(tx, user.id):
        if old.id != used.factor_id:
            await queries.delete_factor(tx, user.id, old.id)
    await queries.end_sessions(tx, user.id, "enrolled anew", desk.now, but=session.id)
    await end_grants(desk, tx, user, "enrolled anew")
    await queries.set_state(tx, user.id, "active", desk.now)
    await queries.set_signed_in(tx, user.id, desk.now)
    await attempts.forget(desk, tx, user)
    codes = await factors.new_recovery_codes(desk, tx, user)
    cookies = (
        *await sessions.elevate(desk, tx, session, used.method, used.factor_id),
        *sessions.remember(desk, user),
    )
    await tell(tx, desk.caller(user.id), events.USER_PASSWORD_CHANGED, user)
    await tell(tx, desk.caller(user.id), events.USER_ENROLLED, user)
    reply = codes_page(desk, user, codes, enrolling=True)
    return msgspec.structs.replace(reply, cookies=(*reply.cookies, *cookies))


def codes_page(desk: Desk, user: UserRow, codes: list[str], *, enrolling: bool = False) -> Reply[bytes]:
    """Return the page that shows recovery codes, this once."""
    view = {"codes": codes, "enrolling": enrolling}
    return render(desk.call, "recovery_codes.html", view, preferred=user.language)
