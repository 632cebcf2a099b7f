"""Sessions: begun, found by their cookie, elevated and ended. A cookie is 256 random bits; only its digest is kept."""

import secrets
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from billfold import ids
from billfold_server.people import queries, rules
from billfold_server.people.desk import Desk, digest_of, tell
from billfold_server.people.pages.kit import LoginRealm
from billfold_server.people.queries import SessionRow, Tx, UserRow
from billfold_server.people.rules import Method

__all__ = ["Session", "begin", "current", "elevate", "end"]

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
        roles: What bank staff is.
        auth_time: When they signed in.
        confirmed_at: When they last showed a second factor.
        amr: How (RFC 8176).
        acr: What that amounts to: ``urn:openbanking:psd2:sca`` or ``…:ca``.
        language: What they like to read.
        stage: ``enrolling`` for whoever has come by an enrolment link, else ``signed_in``.
        ends_at: When it ends, whatever happens.
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
    language: str | None
    stage: str
    ends_at: datetime


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
        language=user.language,
        stage=row.stage,
        ends_at=row.ends_at,
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
    if over or user.login_realm != desk.realm or user.state not in standing:
        return None
    if desk.now - row.last_seen_at >= rules.SEEN_EVERY:
        await queries.see_session(tx, row.id, desk.now)
    return _session(row, user), user


async def begin(desk: Desk, tx: Tx, user: UserRow, methods: list[Method]) -> tuple[str, ...]:
    """Begin a session of somebody who has shown enough, and return the headers that set its cookies."""
    cookie = secrets.token_urlsafe(32)
    await _end_present(desk, tx)
    await queries.insert_session(tx, _new(desk, user, cookie, "signed_in", methods))
    await queries.set_signed_in(tx, user.id, desk.now)
    if desk.call.tenant_or_none is None:
        # Jobs are tenants'; the platform's few rows are looked after on the way.
        await queries.sweep(tx, now=desk.now, sessions_before=desk.now - _KEPT, failures_before=desk.now - _KEPT)
    facts: dict[str, str | int | list[str]] = {"amr": rules.amr_of(methods), "acr": rules.acr_of(methods)}
    await tell(tx, desk.caller(user.id), "user.signed_in", user, facts=facts)
    return (desk.written(desk.session_cookie, cookie), *remember(desk, user))


async def begin_enrolling(desk: Desk, tx: Tx, user: UserRow) -> tuple[str, ...]:
    """Begin the session in which somebody who came by a link enrols."""
    cookie = secrets.token_urlsafe(32)
    await _end_present(desk, tx)
    await queries.insert_session(tx, _new(desk, user, cookie, "enrolling", []))
    return (desk.written(desk.session_cookie, cookie),)


async def _end_present(desk: Desk, tx: Tx) -> None:
    """End the session that the browser has so far, whosever it is."""
    cookie = desk.cookie(desk.session_cookie)
    found = None if cookie is None else await queries.find_session(tx, digest_of(cookie))
    if found is not None:
        await queries.end_session(tx, found[1].id, found[0].id, "replaced", desk.now)


def _new(desk: Desk, user: UserRow, cookie: str, stage: str, methods: list[Method]) -> SessionRow:
    enrolling = stage == "enrolling"
    return SessionRow(
        id=ids.uuid7(),
        digest=digest_of(cookie),
        user_id=user.id,
        stage=stage,
        amr=rules.amr_of(methods),
        acr=rules.acr_of(methods),
        auth_time=desk.now,
        confirmed_at=None if enrolling else desk.now,
        last_seen_at=desk.now,
        ends_at=desk.now + (rules.ENROLLING if enrolling else rules.LIMITS[desk.realm].whole),
        ended_at=None,
        end_reason=None,
        device=rules.device_of(desk.call.headers.get("user-agent", "")),
        created_at=desk.now,
    )


async def elevate(desk: Desk, tx: Tx, session: Session, methods: list[Method]) -> tuple[str, ...]:
    """Note that a second factor was shown, under a new cookie, so that one that was seen before opens nothing more."""
    cookie = secrets.token_urlsafe(32)
    enrolled = session.stage == "enrolling"
    before = [method for method in session.amr if method != "mfa"]
    known = [*before, *(method for method in methods if method not in before)]
    shown: list[Method] = msgspec.convert(known, list[Method])
    await queries.elevate_session(
        tx,
        session.id,
        digest_of(cookie),
        stage="signed_in",
        amr=rules.amr_of(shown),
        acr=rules.acr_of(shown),
        ends_at=desk.now + rules.LIMITS[desk.realm].whole if enrolled else session.ends_at,
        now=desk.now,
    )
    return (desk.written(desk.session_cookie, cookie),)


async def note_password(tx: Tx, session: Session) -> None:
    """Note that whoever enrols has a password by now."""
    await queries.set_session_methods(tx, session.id, ["pwd"])


def end(desk: Desk) -> tuple[str, ...]:
    """Return the header that takes the session's cookie back."""
    return (desk.written(desk.session_cookie, "", max_age_s=0),)


class _Device(msgspec.Struct, frozen=True):
    """Somebody who has signed in on this device before."""

    user_id: UUID


def remember(desk: Desk, user: UserRow) -> tuple[str, ...]:
    """Return the header by which the device is known again, so that strangers' guesses don't lock its owner out."""
    until_s = int((desk.now + _DEVICE_AGE).timestamp())
    value = desk.people.tickets.seal(_Device(user.id), _DEVICE, desk.owner, desk.realm, until_s=until_s)
    return (desk.written(f"{_DEVICE}-{desk.realm}", value, max_age_s=int(_DEVICE_AGE.total_seconds())),)


def known_device(desk: Desk, user: UserRow | None) -> str | None:
    """Return the device's name if this user has signed in on it before, else None."""
    cookie = desk.cookie(f"{_DEVICE}-{desk.realm}")
    if user is None or cookie is None:
        return None
    known = desk.people.tickets.open(cookie, _Device, _DEVICE, desk.owner, desk.realm, now_s=desk.now_s)
    return cookie if known is not None and known.user_id == user.id else None
