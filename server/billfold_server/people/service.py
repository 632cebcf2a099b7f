"""People: made, disabled, unlocked and signed out by those who run a tenant or the platform; and who is signed in."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from billfold import errors, ids
from billfold.contract import events
from billfold.contract.partners import CreatePartnerMember
from billfold.contract.roles import PartnerRole, StaffRole
from billfold.contract.users import CreateUser, EnrolmentCode, LoginRealm, SignedOut, User, UserState
from billfold.ids import Prefix
from billfold_server.http.routing import Call
from billfold_server.parties import service as parties
from billfold_server.people import attempt_queries, factors, queries, rules, sca, sessions
from billfold_server.people.codes import new_code
from billfold_server.people.desk import Desk, People, digest_of, secret_place, tell, user_id_of
from billfold_server.people.identifying import Identified, identify
from billfold_server.people.pages import forms, kit
from billfold_server.people.queries import UserRow
from billfold_server.people.sca import Challenge, LinkedAction
from billfold_server.people.sessions import Session
from billfold_server.people.showing import Realm, kinds_and_locks, view_of, views_of
from billfold_server.people.standing import (
    Named,
    UserStanding,
    find_named,
    lock_users,
    scopes_of,
    standing_in,
    standing_of,
    standings_sql,
)
from billfold_server.tenancy.context import Caller, TenantRef
from billfold_server.tenancy.transaction import TenantTx, Tx

__all__ = [
    "Challenge",
    "Identified",
    "LinkedAction",
    "Listed",
    "Named",
    "People",
    "Realm",
    "Session",
    "UserStanding",
    "begin_sca",
    "comes_again",
    "count_members",
    "create_made_up",
    "create_member",
    "create_operator",
    "create_user",
    "current_session",
    "end_current_session",
    "find_named",
    "get_member",
    "get_user",
    "hold_session",
    "identify",
    "is_sca_open",
    "is_session_open",
    "kinds_and_locks",
    "list_briefly",
    "list_members",
    "list_users",
    "list_users_of",
    "lock_users",
    "may_come_again",
    "new_enrolment_code",
    "offer_enrolment",
    "remove_member",
    "scopes_of",
    "set_member_role",
    "set_roles",
    "set_user_state",
    "sign_out_everywhere",
    "standing_in",
    "standing_of",
    "standings_sql",
    "sweep",
    "unlock_user",
    "use_sca",
]

ENROLMENT: Final = timedelta(days=7)
"""How long a one-time link waits."""


async def current_session(call: Call, realm: kit.LoginRealm | None = None, *, tx: Any = None) -> Session | None:
    """Return who is signed in with the browser that asks, at this very moment, or None.

    Args:
        call: The request.
        realm: By whose sign-in; the address's own where absent.
        tx: An open transaction of the tenant or the platform, where there is one.
    """
    desk = Desk(call, realm)
    if tx is None:
        async with desk.tx() as opened:
            found = await sessions.current(desk, opened)
    else:
        found = await sessions.current(desk, tx)
    return None if found is None or found[0].stage == "enrolling" else found[0]


async def end_current_session(call: Call, realm: kit.LoginRealm | None = None) -> tuple[str, ...]:
    """Sign out who is signed in with the browser that asks, and return the headers that take its cookie back.

    Args:
        call: The request.
        realm: Of whose sign-in; the address's own where absent.
    """
    desk = Desk(call, realm)
    async with desk.tx() as tx:
        found = await sessions.current(desk, tx)
        if found is not None:
            await queries.end_session(tx, found[1].id, found[0].id, "signed out", desk.now)
            await tell(tx, desk.caller(found[1].id), "user.signed_out", found[1])
    return sessions.end(desk)


async def comes_again(call: Call, tx: Tx, form: Mapping[str, str]) -> bool:
    """Tell whether a form that counts once has come before, and note that it has. One without ``forms.ONCE`` hasn't."""
    if (digest := _which(call, form)) is None:
        return False
    return not await queries.spend(tx, digest, call.services.clock.now() + timedelta(seconds=forms.TTL_S))


async def may_come_again(call: Call, tx: Tx, form: Mapping[str, str]) -> None:
    """Let a form count that came before, since nothing came of that."""
    if (digest := _which(call, form)) is not None:
        await queries.give_back(tx, digest)


def _which(call: Call, form: Mapping[str, str]) -> bytes | None:
    desk, said = Desk(call), form.get(forms.ONCE)
    return None if said is None else desk.people.digest("forms", desk.owner, said)


async def hold_session(tx: Tx, session_id: UUID) -> bool:
    """Tell whether a session is open, which nobody ends then until the transaction does."""
    return await queries.is_session_open(tx, session_id, hold=True)


async def is_session_open(tx: Tx, session_id: UUID) -> bool:
    """Tell whether a session is open at this moment, for what only reads: it waits for nobody who has the session."""
    return await queries.is_session_open(tx, session_id, hold=False)


async def begin_sca(
    call: Call, tx: Tx, user_id: UUID, action: LinkedAction, *, return_to: str, replaces: UUID | None = None
) -> Challenge:
    """Ask somebody to approve an action by strong authentication, at ``approve?challenge=…``; ``sca.begin`` says more.

    Args:
        call: The request.
        tx: The tenant's transaction.
        user_id: Whom.
        action: What is to be done, to which the authentication is linked.
        return_to: Our own path to which the page of approval leads in the end.
        replaces: The challenge that was asked before in place of this one.
    """
    return await sca.begin(Desk(call), tx, user_id, action, return_to=return_to, replaces=replaces)


async def use_sca(call: Call, tx: Tx, reference: str, user_id: UUID, action: LinkedAction) -> bool:
    """Use an approval for what is really being done, once, and tell whether it holds; ``sca.use`` says more.

    Args:
        call: The request.
        tx: The transaction in which the action is done.
        reference: The challenge's id.
        user_id: Who has approved.
        action: What is being done.
    """
    return await sca.use(Desk(call), tx, reference, user_id, action)


async def is_sca_open(call: Call, tx: Tx, reference: str, user_id: UUID) -> bool:
    """Tell whether somebody can still approve what they were asked to by ``begin_sca``, and hasn't yet."""
    row = await sca.find_own(tx, reference, user_id, lock=False)
    return row is not None and sca.is_open(Desk(call), row)


async def create_user(realm: Realm, tx: Tx, caller: Caller, body: CreateUser) -> User:
    """Create somebody, who can sign in once they have enrolled.

    Raises:
        errors.UserInvalid: What was sent contradicts itself.
        errors.LoginNameTaken: The name is taken.
        errors.NotFound: There is no such party.
    """
    login_realm = body.login_realm.value
    is_psu = body.login_realm is LoginRealm.PSU
    if body.login_realm is LoginRealm.PARTNER:
        raise errors.UserInvalid("a partner's members are invited where the partner is", param="login_realm")
    if is_psu is not (body.party_id is not None):
        raise errors.UserInvalid("a payment service user is a party, and nobody else is", param="party_id")
    if is_psu and body.roles:
        raise errors.UserInvalid("a payment service user has no roles", param="roles")
    party_id = None if body.party_id is None else ids.decode(Prefix.PARTY, body.party_id)
    row = _new(realm, login_realm, body.login_name, body.display_name, party_id=party_id)
    row = msgspec.structs.replace(row, roles=sorted({role.value for role in body.roles}), language=body.language)
    await _insert(tx, caller, row)
    return await view_of(realm, tx, row)


async def create_made_up(
    services: Any, tenant: TenantRef, caller: Caller, body: CreateUser, *, password: str, totp_secret: str
) -> None:
    """Create a sandbox's made-up customer, who signs in by a password and an authenticator app from the beginning.

    Whoever makes them knows both, so this is for nobody who exists: anywhere but in a sandbox that takes shared
    secrets, people enrol by themselves.

    Args:
        services: The server's parts.
        tenant: The sandbox.
        caller: Who makes them.
        body: Whom.
        password: Their password.
        totp_secret: Their app's secret, in base 32.

    Raises:
        errors.UserInvalid: The tenant is no sandbox, or what was sent contradicts itself.
        errors.LoginNameTaken: The name is taken.
        errors.NotFound: There is no such party.
        errors.KeysUnavailable: The keys are out of reach.
    """
    manifest = tenant.manifest
    if not manifest.sandbox or manifest.security_profile != "sandbox":
        raise errors.UserInvalid("only a sandbox has made-up people")
    realm, factor_id = Realm.of(services, tenant), ids.uuid7()
    hashed = await realm.people.passwords.hash(password)
    sealed = (await services.keys.sealer(tenant)).seal(secret_place(factor_id), totp_secret.encode())
    async with services.database.tx(tenant) as tx:
        user_id = ids.decode(Prefix.USER, (await create_user(realm, tx, caller, body)).id)
        user = _existing(await queries.lock_user(tx, user_id))
        row = factors.new_row(factor_id, user, "totp", "Authenticator", now=realm.now)
        await queries.insert_factor(tx, msgspec.structs.replace(row, sealed_secret=sealed, last_step=0))
        await queries.set_password(tx, user_id, hashed, realm.now)
        await queries.set_state(tx, user_id, "active", realm.now)
        await tell(tx, caller, "user.enrolled", user)


async def create_operator(
    realm: Realm, tx: Tx, caller: Caller, *, login_name: str, display_name: str, language: str | None = None
) -> UUID:
    """Create an operator of the platform, and return their id.

    Raises:
        errors.UserInvalid: The name can't be a login name.
        errors.LoginNameTaken: The name is taken.
    """
    row = _new(realm, "operator", login_name, display_name, party_id=None)
    await _insert(tx, caller, msgspec.structs.replace(row, language=language))
    return row.id


def _new(realm: Realm, login_realm: str, name: str, display_name: str, *, party_id: UUID | None) -> UserRow:
    login_name = rules.login_name(name)
    if login_name is None:
        raise errors.UserInvalid("the name can't be a login name", param="login_name")
    return UserRow(
        id=ids.uuid7(),
        login_realm=login_realm,
        login_name=login_name,
        display_name=display_name,
        party_id=party_id,
        language=None,
        roles=[],
        state="invited",
        handle=secrets.token_bytes(32),
        password_hash=None,
        password_changed_at=None,
        last_sign_in_at=None,
        version=1,
        created_at=realm.now,
        updated_at=realm.now,
    )


async def _insert(tx: Tx, caller: Caller, row: UserRow) -> None:
    if not await _is_there(tx, row):
        raise errors.NotFound("there is no such party", param="party_id")
    try:
        await queries.insert_user(tx, row)
    except asyncpg.UniqueViolationError as error:
        raise errors.LoginNameTaken("another user of the realm has this name", param="login_name") from error
    facts: dict[str, str | int | list[str]] = {"roles": row.roles}
    if row.partner_id is not None:
        facts = {"partner_role": row.roles[0]}
    await tell(tx, caller, events.USER_CREATED, row, facts=facts)


async def _is_there(tx: Tx, user: UserRow) -> bool:
    """Tell whether a user is nobody who was forgotten, which nobody is then until the transaction ends."""
    return user.party_id is None or (isinstance(tx, TenantTx) and await parties.hold_party(tx, user.party_id))


async def _lock_who_is_there(tx: Tx, user_id: UUID) -> UserRow:
    """Return a user whose row nobody else may change meanwhile.

    The party comes before the user, as where it is forgotten.

    Raises:
        errors.NotFound: There is no such user, or they were forgotten, and nothing brings them back.
    """
    user = _existing(await queries.find_user(tx, user_id))
    if user.is_removed:
        raise errors.NotFound("the user was removed, and there is no way back", param="user_id")
    if not await _is_there(tx, user):
        raise errors.NotFound("the user's party was forgotten, and there is no way back", param="user_id")
    return _existing(await queries.lock_user(tx, user_id))


async def new_enrolment_code(realm: Realm, tx: Tx, caller: Caller, user_id: UUID) -> EnrolmentCode:
    """Let somebody enrol, or enrol anew; what they had before holds until they have done so.

    Raises:
        errors.NotFound: There is no such user.
        errors.UserStateRefuses: They are disabled.
    """
    code = new_code()
    user, expires_at = await offer_enrolment(realm, tx, caller, user_id, digest_of(code))
    place = "" if user.login_realm in {"psu", "operator"} else f"/{user.login_realm}"
    return EnrolmentCode(url=f"{realm.base_url}/auth{place}/enrol?code={code}", code=code, expires_at=expires_at)


async def offer_enrolment(
    realm: Realm, tx: Tx, caller: Caller, user_id: UUID, digest: bytes
) -> tuple[UserRow, datetime]:
    """Let somebody enrol by a code that somebody else has made, and return who, and until when.

    Raises:
        errors.NotFound: There is no such user.
        errors.UserStateRefuses: They are disabled.
    """
    user = await _lock_who_is_there(tx, user_id)
    if user.state == "disabled":
        raise errors.UserStateRefuses("a disabled user can't enrol", state=user.state)
    await queries.end_enrolments(tx, user.id, realm.now)
    expires_at = realm.now + ENROLMENT
    await queries.insert_enrolment_code(tx, ids.uuid7(), user.id, digest, now=realm.now, expires_at=expires_at)
    await tell(tx, caller, events.USER_ENROLMENT_OFFERED, user)
    return user, expires_at


async def get_user(realm: Realm, tx: Tx, user_id: UUID) -> User:
    """Return a user.

    Raises:
        errors.NotFound: There is no such user.
    """
    return await view_of(realm, tx, _existing(await queries.find_user(tx, user_id)))


async def list_users(
    realm: Realm,
    tx: Tx,
    *,
    login_realm: LoginRealm | None = None,
    state: UserState | None = None,
    party_id: UUID | None = None,
    login_name: str | None = None,
    before: UUID | None = None,
    limit: int = 100,
) -> list[User]:
    """Return users that meet all conditions given, the newest first."""
    rows = await queries.list_users(
        tx,
        login_realm=None if login_realm is None else login_realm.value,
        state=None if state is None else state.value,
        party_id=party_id,
        login_name=None if login_name is None else rules.login_name(login_name) or "",
        before=before,
        limit=limit,
    )
    return await views_of(realm, tx, rows)


async def list_users_of(tx: Tx, party_id: UUID) -> list[UUID]:
    """Return the ids of the users that a party is."""
    return await queries.list_users_of(tx, party_id)


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A user as a list on the command line shows it, of whatever realm."""

    id: str
    login_realm: str
    login_name: str
    display_name: str
    state: str
    roles: list[str]
    last_sign_in_at: datetime | None


async def list_briefly(tx: Tx) -> list[Listed]:
    """Return all users of a tenant or of the platform, the newest first."""
    rows = await queries.list_users(
        tx, login_realm=None, state=None, party_id=None, login_name=None, before=None, limit=10_000
    )
    names = [name for name in Listed.__struct_fields__ if name != "id"]
    return [Listed(id=user_id_of(row.id), **{name: getattr(row, name) for name in names}) for row in rows]


async def set_user_state(realm: Realm, tx: Tx, caller: Caller, user_id: UUID, *, enabled: bool) -> None:
    """Enable or disable somebody. Whoever is disabled is signed out, and their unspent enrolment code is good no more.

    Raises:
        errors.NotFound: There is no such user, or they are to be enabled, and were forgotten.
        errors.PermissionDenied: They are to be disabled, and are whoever asks.
    """
    if enabled:
        user = await _lock_who_is_there(tx, user_id)
    else:
        user = _existing(await queries.lock_user(tx, user_id))
        if caller.user_id == user_id:
            # The last one would leave nobody who could let anybody in.
            raise errors.PermissionDenied("nobody disables themselves")
    wanted = ("active" if user.password_hash is not None else "invited") if enabled else "disabled"
    if (user.state != "disabled") is enabled:
        return
    await queries.set_state(tx, user_id, wanted, realm.now)
    if not enabled:
        await queries.end_sessions(tx, user_id, "disabled", realm.now)
        await queries.delete_enrolment_codes(tx, user_id)
        await realm.people.end_grants(tx, "the user was disabled", now=realm.now, user_id=user_id, caller=caller)
    await tell(tx, caller, events.USER_ENABLED if enabled else events.USER_DISABLED, user)


async def set_roles(realm: Realm, tx: Tx, caller: Caller, user_id: UUID, roles: Sequence[StaffRole]) -> User:
    """Change what a member of staff does; tokens that they have allowed follow within a second.

    Raises:
        errors.NotFound: There is no such user.
        errors.UserInvalid: They are no member of staff.
        errors.PermissionDenied: They are whoever asks.
    """
    user = _existing(await queries.lock_user(tx, user_id))
    if user.login_realm != "staff":
        raise errors.UserInvalid("only staff has roles", param="user_id")
    if caller.user_id == user_id:
        raise errors.PermissionDenied("nobody changes roles of their own")
    wanted = sorted({role.value for role in roles})
    if wanted != user.roles:
        await queries.set_roles(tx, user_id, wanted, realm.now)
        await tell(tx, caller, events.USER_ROLES_CHANGED, user, facts={"roles": wanted, "former_roles": user.roles})
    return await get_user(realm, tx, user_id)


async def unlock_user(realm: Realm, tx: Tx, caller: Caller, user_id: UUID) -> None:
    """Forget the failures at somebody's account, so that attempts are taken again.

    Raises:
        errors.NotFound: There is no such user.
    """
    user = _existing(await queries.find_user(tx, user_id))
    for account in realm.accounts(user):
        await attempt_queries.forget_attempts(tx, account)
    await tell(tx, caller, events.USER_UNLOCKED, user)


async def sign_out_everywhere(realm: Realm, tx: Tx, caller: Caller, user_id: UUID) -> SignedOut:
    """End all sessions of somebody, and tell how many there were.

    Raises:
        errors.NotFound: There is no such user.
    """
    user = _existing(await queries.lock_user(tx, user_id))
    number = await queries.end_sessions(tx, user_id, "signed out by the bank", realm.now)
    await realm.people.end_grants(tx, "signed out by the bank", now=realm.now, user_id=user_id, caller=caller)
    await tell(tx, caller, events.USER_SIGNED_OUT_EVERYWHERE, user, facts={"sessions": number})
    return SignedOut(sessions=number)


# Members of partners. Whether the partner is the caller's own, its room has seen to.


async def create_member(
    realm: Realm, tx: TenantTx, caller: Caller, partner_id: UUID, body: CreatePartnerMember
) -> User:
    """Create a member of a partner, who can sign in once they have enrolled.

    Raises:
        errors.UserInvalid: The name can't be a login name.
        errors.LoginNameTaken: The name is taken, be it by a member of another partner.
    """
    row = _new(realm, "partner", body.login_name, body.display_name, party_id=None)
    row = msgspec.structs.replace(row, roles=[body.role.value], language=body.language, partner_id=partner_id)
    await _insert(tx, caller, row)
    return await view_of(realm, tx, row)


async def get_member(realm: Realm, tx: TenantTx, partner_id: UUID, user_id: UUID) -> User:
    """Return a member of a partner.

    Raises:
        errors.NotFound: There is no such member of this partner.
    """
    return await view_of(realm, tx, _member(await queries.find_user(tx, user_id), partner_id))


async def list_members(realm: Realm, tx: TenantTx, partner_id: UUID, *, before: UUID | None, limit: int) -> list[User]:
    """Return the members of a partner, the newest first."""
    return await views_of(realm, tx, await queries.list_members(tx, partner_id, before=before, limit=limit))


async def count_members(tx: TenantTx, partner_id: UUID) -> int:
    """Return how many members a partner has, enrolled or not."""
    return await queries.count_members(tx, partner_id)


async def set_member_role(  # noqa: PLR0917 - who, whose and what
    realm: Realm, tx: TenantTx, caller: Caller, partner_id: UUID, user_id: UUID, role: PartnerRole
) -> User:
    """Change what a member of a partner does, from the next request on.

    Raises:
        errors.NotFound: There is no such member of this partner.
        errors.PermissionDenied: They are whoever asks.
    """
    user = _member(await queries.lock_user(tx, user_id), partner_id)
    if caller.user_id == user_id:
        raise errors.PermissionDenied("nobody changes roles of their own")
    if [role.value] != user.roles:
        await queries.set_roles(tx, user_id, [role.value], realm.now)
        facts: dict[str, str | int | list[str]] = {"partner_role": role.value, "former_partner_role": user.roles[0]}
        await tell(tx, caller, events.USER_PARTNER_ROLE_CHANGED, user, facts=facts)
    return await get_user(realm, tx, user_id)


async def remove_member(realm: Realm, tx: TenantTx, caller: Caller, partner_id: UUID, user_id: UUID) -> None:
    """Sign a member of a partner out for good, and forget who they are. Their id stays, because the audit names it.

    Raises:
        errors.NotFound: There is no such member of this partner.
        errors.PermissionDenied: They are whoever asks.
    """
    user = _member(await queries.lock_user(tx, user_id), partner_id)
    if caller.user_id == user_id:
        raise errors.PermissionDenied("nobody removes themselves")
    await realm.people.end_grants(tx, "the member was removed", now=realm.now, user_id=user_id, caller=caller)
    await queries.forget_users(tx, [user_id], [secrets.token_bytes(32)], realm.now)
    await tell(tx, caller, events.USER_REMOVED, user)


def _member(user: UserRow | None, partner_id: UUID) -> UserRow:
    if user is None or user.partner_id != partner_id or user.is_removed:
        raise errors.NotFound("there is no such member", param="user_id")
    return user


def _existing(user: UserRow | None) -> UserRow:
    if user is None:
        raise errors.NotFound("there is no such user", param="user_id")
    return user


async def sweep(tx: Tx, *, now: datetime, kept: timedelta) -> None:
    """Forget what has expired: what is used once at once, sessions after a while.

    Args:
        tx: The tenant's transaction.
        now: The real time.
        kept: How long it can be seen that there was a session.
    """
    await queries.sweep(
        tx,
        now=now,
        sessions_before=now - kept,
        failures_before=now - 2 * rules.FORGOTTEN,
        totals_before=now - rules.TOTALS_FORGOTTEN,
    )
