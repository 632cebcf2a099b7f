"""Sessions: begun, found by their cookie, elevated and ended. A cookie is 256 random bits; only its digest is kept."""

import secrets
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from billfold import ids
from billfold.contract import events
from billfold_server.people import attempts, queries, rules, sca_queries
from billfold_server.people.desk import Desk, digest_of, end_grants, tell
from billfold_server.people.pages.kit import LoginRealm
from billfold_server.people.queries import SessionRow, UserRow
from billfold_server.people.rules import Method
from billfold_server.tenancy.transaction import Tx

__all__ = ["Session", "begin", "current", "elevate", "end", "end_with_factor"]

_DEVICE: Final = "device"
_DEVICE_AGE: Final = timedelta(days=365)
_KEPT: Final = timedelta(days=90)


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who is signed in.

    Attributes:
        id: The session's id, which stays when its cookie changes.
        user_id: Who.
        login_realm: By whose sign-in.
        party_id: The party that a payment service user is.
        display_name: How pages address them.
        roles: What bank staff is, or a partner's member.
        auth_time: When they signed in.
        confirmed_at: When they last showed a second factor.
        amr: How (RFC 8176).
        acr: What that amounts to: ``urn:openbanking:psd2:sca`` or ``…:ca``.
        factor_ids: With which passkeys and apps; the session ends with any of them.
        language: What they like to read.
        stage: ``enrolling`` for whoever has come by an enrolment link, else ``signed_in``.
        ends_at: When it ends, whatever happens.
        partner_id: The partner organisation whose member it is.
        partner_scopes: What that may at most.
    """

    id: UUID
    user_id: UUID
    login_realm: LoginRealm
    party_id: UUID | None
    display_name: str
    roles: list[str]
    auth_time: datetime
    confirmed_at: datetime | None
    amr: list[str]
    acr: str
    factor_ids: list[UUID]
    language: str | None
    stage: str
    ends_at: datetime
    partner_id: UUID | None = None
    partner_scopes: list[str] | None = None

    @property
    def is_recovered(self) -> bool:
        """Tell whether it was begun by a recovery code, and does nothing but to restore access."""
        return rules.is_recovered(self.acr)


def _session(row: SessionRow, user: UserRow) -> Session:
    return Session(
        id=row.id,
        user_id=user.id,
        login_realm=msgspec.convert(user.login_realm, LoginRealm),
        party_id=user.party_id,
        display_name=user.display_name,
        roles=user.roles,
        auth_time=row.auth_time,
        confirmed_at=row.confirmed_at,
        amr=row.amr,
        acr=row.acr,
        factor_ids=row.factor_ids,
        language=user.language,
        stage=row.stage,
        ends_at=row.ends_at,
        partner_id=user.partner_id,
        partner_scopes=user.partner_scopes,
    )


async def current(desk: Desk, tx: Tx) -> tuple[Session, UserRow] | None:
    """Return whose session the browser's cookie opens, at this very moment, or None.

    The row is read each time, so that a sign-out holds from the next request on.
    """
    cookie = desk.cookie(desk.session_cookie)
    found = None if cookie is None else await queries.find_session(tx, digest_of(cookie))
    if found is None:
        return None
    row, user = found
    over = rules.is_over(desk.realm, last_seen_at=row.last_seen_at, ends_at=row.ends_at, now=desk.now)
    # Who enrols anew is active already, and stays so.
    standing = {"active", "invited"} if row.stage == "enrolling" else {"active"}
    if over or user.login_realm != desk.realm or user.state not in standing or user.suspended:
        return None
    if desk.now - row.last_seen_at >= rules.SEEN_EVERY:
        await queries.see_session(tx, row.id, desk.now)
    return _session(row, user), user


async def is_still_open(tx: Tx, session: Session, user: UserRow) -> bool:
    """Tell whether somebody is signed in still, which nobody changes then until the transaction ends.

    Between reading who it is and writing, time passes: a password is hashed, or keys are fetched. Meanwhile they may
    have been signed out, disabled or forgotten, or have enrolled anew because somebody else has their session.
    """
    locked = await queries.lock_user(tx, user.id)
    return locked is not None and locked.is_let_in and await queries.is_session_open(tx, session.id, hold=True)


async def begin(desk: Desk, tx: Tx, user: UserRow, methods: list[Method], *, factor_id: UUID | None) -> tuple[str, ...]:
    """Begin a session of somebody who has shown enough, and return the headers that set its cookies.

    Args:
        desk: The request.
        tx: An open transaction.
        user: Who.
        methods: How they have shown it.
        factor_id: With which passkey or app; None is a recovery code.
    """
    cookie = secrets.token_urlsafe(32)
    await _end_present(desk, tx)
    await queries.insert_session(tx, _new(desk, user, cookie, "signed_in", methods, factor_id))
    await queries.set_signed_in(tx, user.id, desk.now)
    await attempts.forget(desk, tx, user)
    if desk.call.tenant_or_none is None:
        # Jobs are tenants'; the platform's few rows are looked after on the way.
        before, totals_before = desk.now - _KEPT, desk.now - rules.TOTALS_FORGOTTEN
        await queries.sweep(
            tx, now=desk.now, sessions_before=before, failures_before=before, totals_before=totals_before
        )
    facts: dict[str, str | int | list[str]] = {"amr": rules.amr_of(methods), "acr": rules.acr_of(methods)}
    await tell(tx, desk.caller(user.id), events.USER_SIGNED_IN, user, facts=facts)
    cookies = (desk.written(desk.session_cookie, cookie),)
    # A device that is known has a share of attempts of its own, which no recovery code opens.
    return cookies if rules.is_recovered(rules.acr_of(methods)) else (*cookies, *remember(desk, user))


async def begin_enrolling(desk: Desk, tx: Tx, user: UserRow) -> tuple[str, ...]:
    """Begin the session in which somebody who came by a link enrols."""
    cookie = secrets.token_urlsafe(32)
    await _end_present(desk, tx)
    await queries.insert_session(tx, _new(desk, user, cookie, "enrolling", [], None))
    return (desk.written(desk.session_cookie, cookie),)


async def _end_present(desk: Desk, tx: Tx) -> None:
    """End the session that the browser has so far, whosever it is."""
    cookie = desk.cookie(desk.session_cookie)
    found = None if cookie is None else await queries.find_session(tx, digest_of(cookie))
    if found is not None:
        await queries.end_session(tx, found[1].id, found[0].id, "replaced", desk.now)


def _new(  # noqa: PLR0917 - what a session begins with
    desk: Desk, user: UserRow, cookie: str, stage: str, methods: list[Method], factor_id: UUID | None
) -> SessionRow:
    enrolling = stage == "enrolling"
    return SessionRow(
        id=ids.uuid7(),
        digest=digest_of(cookie),
        user_id=user.id,
        stage=stage,
        amr=rules.amr_of(methods),
        acr=rules.acr_of(methods),
        factor_ids=[] if factor_id is None else [factor_id],
        new_password_hash=None,
        auth_time=desk.now,
        confirmed_at=None if enrolling else desk.now,
        last_seen_at=desk.now,
        ends_at=desk.now + (rules.ENROLLING if enrolling else rules.LIMITS[desk.realm].whole),
        ended_at=None,
        end_reason=None,
        device=rules.device_of(desk.call.headers.get("user-agent", "")),
        created_at=desk.now,
    )


async def elevate(desk: Desk, tx: Tx, session: Session, method: Method, factor_id: UUID) -> tuple[str, ...]:
    """Note that a second factor was shown, under a new cookie, so that one that was seen before opens nothing more."""
    cookie = secrets.token_urlsafe(32)
    enrolled = session.stage == "enrolling"
    before = [each for each in session.amr if each != "mfa"]
    shown: list[Method] = msgspec.convert(list(dict.fromkeys([*before, method])), list[Method])
    await queries.elevate_session(
        tx,
        session.id,
        digest_of(cookie),
        amr=rules.amr_of(shown),
        acr=rules.acr_of(shown),
        factor_ids=list({*session.factor_ids, factor_id}),
        ends_at=desk.now + rules.LIMITS[desk.realm].whole if enrolled else session.ends_at,
        now=desk.now,
    )
    return (desk.written(desk.session_cookie, cookie),)


async def end_with_factor(desk: Desk, tx: Tx, user: UserRow, factor_id: UUID, reason: str) -> None:
    """End what rests on a factor that is gone or can't be trusted: sessions, what apps were allowed, and agreements."""
    await queries.end_sessions_of_factor(tx, user.id, factor_id, reason, desk.now)
    await end_grants(desk, tx, user, reason, factor_id=factor_id)
    if desk.call.tenant_or_none is not None:
        await sca_queries.void_of_factor(tx, user.id, factor_id, desk.now)


def end(desk: Desk) -> tuple[str, ...]:
    """Return the header that takes the session's cookie back."""
    return (desk.written(desk.session_cookie, "", max_age_s=0),)


class _Device(msgspec.Struct, frozen=True):
    """Somebody who has signed in on this device before, and by what the device is told from others."""

    user_id: UUID
    device: str


def remember(desk: Desk, user: UserRow) -> tuple[str, ...]:
    """Return the header by which the device is known again, so that strangers' guesses don't lock its owner out."""
    until_s = int((desk.now + _DEVICE_AGE).timestamp())
    made = _Device(user.id, _device_of(desk, user) or secrets.token_urlsafe(16))
    value = desk.people.tickets.seal(made, _DEVICE, desk.owner, desk.realm, until_s=until_s)
    return (desk.written(f"{_DEVICE}-{desk.realm}", value, max_age_s=int(_DEVICE_AGE.total_seconds())),)


def known_device(desk: Desk, user: UserRow | None) -> str | None:
    """Return the device's name if this user has signed in on it before, else None.

    The name is what the cookie says, not how it is written, so that no other spelling of it begins a new count.
    """
    return None if user is None else _device_of(desk, user)


def _device_of(desk: Desk, user: UserRow) -> str | None:
    cookie = desk.cookie(f"{_DEVICE}-{desk.realm}")
    if cookie is None:
        return None
    known = desk.people.tickets.open(cookie, _Device, _DEVICE, desk.owner, desk.realm, now_s=desk.now_s)
    return known.device if known is not None and known.user_id == user.id else None
