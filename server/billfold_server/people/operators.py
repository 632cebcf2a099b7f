"""Operators, as other operators look after them over HTTP.

Whoever runs the platform may do everything there, and some of it takes two of them. So nobody lets anybody in alone:
what lets an operator in, be it a first enrolment, one anew, or a return after having been disabled, is asked for by one
and then by another one, in person. Each of the two gets half of the code by which somebody enrols: whoever had all of
it could enrol as the third. Shutting somebody out takes one, and may be a program's. At the server's own machine
``billfold users --platform`` needs neither: whoever is there has the database already (ADR 44).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

from billfold import errors
from billfold.contract.operators import CreateOperator, EnrolmentHalf, Operator
from billfold.contract.users import SignedOut, UserState
from billfold_server.people import operator_queries, queries, rules, service
from billfold_server.people.codes import digest_of_halves, new_code
from billfold_server.people.desk import digest_of, tell, user_id_of
from billfold_server.people.queries import UserRow
from billfold_server.people.service import Realm
from billfold_server.tenancy.context import Caller
from billfold_server.tenancy.transaction import PlatformTx

__all__ = ["create", "disable", "enable", "enrolment_half", "get", "list_page", "sign_out", "unlock"]

Access = Literal["enrolment", "return"]

_WAITS: Final = timedelta(days=3)
"""How long one operator's word waits for another one's."""


async def create(realm: Realm, tx: PlatformTx, caller: Caller, body: CreateOperator) -> Operator:
    """Create an operator, who enrols once two others have asked for it.

    Raises:
        errors.PersonRequired: A program asks.
        errors.UserInvalid: The name can't be a login name.
        errors.LoginNameTaken: The name is taken.
    """
    _person(caller)
    made = await service.create_operator(
        realm, tx, caller, login_name=body.login_name, display_name=body.display_name, language=body.language
    )
    return await get(realm, tx, made)


async def enrolment_half(realm: Realm, tx: PlatformTx, caller: Caller, user_id: UUID) -> EnrolmentHalf:
    """Return half of the code by which an operator enrols, or enrols anew; whoever asks second completes it.

    Neither of the two learns the other's half, so neither can enrol as the third.

    Raises:
        errors.NotFound: There is no such operator.
        errors.UserStateRefuses: They are disabled.
        errors.PersonRequired: A program asks.
        errors.PermissionDenied: They ask for themselves, or are no operator any more.
    """
    user = await _lock(tx, user_id)
    if user.state == "disabled":
        raise errors.UserStateRefuses("a disabled operator can't enrol", state=user.state)
    half, url = new_code(), f"{realm.base_url}/auth/enrol"
    kept = digest_of(half)
    first = await _other_ones(realm, tx, caller, user, "enrolment")
    if first is None:
        await _ask(realm, tx, caller, user, "enrolment", half=kept)
        return EnrolmentHalf(url=url, half=half, complete=False, expires_at=realm.now + _WAITS)
    assert first.half is not None, "a request without it isn't found"
    digest = digest_of_halves(first.half, kept)
    _, expires_at = await service.offer_enrolment(realm, tx, caller, user_id, digest)
    return EnrolmentHalf(url=url, half=half, complete=True, expires_at=expires_at)


async def enable(realm: Realm, tx: PlatformTx, caller: Caller, user_id: UUID) -> Operator | None:
    """Let a disabled operator in again; None where it waits for another one to ask for the same.

    Raises:
        errors.NotFound: There is no such operator.
        errors.PersonRequired: A program asks.
        errors.PermissionDenied: They ask for themselves, or are no operator any more.
    """
    user = await _lock(tx, user_id)
    if user.state == "disabled":
        if await _other_ones(realm, tx, caller, user, "return") is None:
            await _ask(realm, tx, caller, user, "return")
            return None
        await service.set_user_state(realm, tx, caller, user_id, enabled=True)
    return await get(realm, tx, user_id)


async def disable(realm: Realm, tx: PlatformTx, caller: Caller, user_id: UUID) -> Operator:
    """Disable an operator, who is signed out everywhere, and end what waits for a second one to let them in.

    Raises:
        errors.NotFound: There is no such operator.
        errors.PermissionDenied: They are whoever asks.
    """
    await _lock(tx, user_id)
    if caller.user_id == user_id:
        raise errors.PermissionDenied("nobody disables themselves")
    await operator_queries.forget_requests(tx, user_id)
    await service.set_user_state(realm, tx, caller, user_id, enabled=False)
    return await get(realm, tx, user_id)


async def unlock(realm: Realm, tx: PlatformTx, caller: Caller, user_id: UUID) -> Operator:
    """Take attempts to sign in as an operator again, where too many have failed.

    Raises:
        errors.NotFound: There is no such operator.
    """
    await service.unlock_user(realm, tx, caller, user_id)
    return await get(realm, tx, user_id)


async def sign_out(realm: Realm, tx: PlatformTx, caller: Caller, user_id: UUID) -> SignedOut:
    """Sign an operator out everywhere.

    Raises:
        errors.NotFound: There is no such operator.
    """
    return await service.sign_out_everywhere(realm, tx, caller, user_id)


async def get(realm: Realm, tx: PlatformTx, user_id: UUID) -> Operator:
    """Return an operator.

    Raises:
        errors.NotFound: There is none.
    """
    return (await _views(realm, tx, [await _find(tx, user_id)]))[0]


async def list_page(
    realm: Realm,
    tx: PlatformTx,
    *,
    login_name: str | None,
    state: UserState | None,
    before: UUID | None,
    limit: int,
) -> list[Operator]:
    """Return operators that meet all conditions given, the newest first."""
    rows = await queries.list_users(
        tx,
        login_realm=None,
        state=None if state is None else state.value,
        party_id=None,
        login_name=None if login_name is None else rules.login_name(login_name) or "",
        before=before,
        limit=limit,
    )
    return await _views(realm, tx, rows)


async def _other_ones(
    realm: Realm, tx: PlatformTx, caller: Caller, user: UserRow, what: Access
) -> operator_queries.Request | None:
    """Use up and return what another operator, who still is one, has asked for the same; None where nobody has."""
    asker = _person(caller)
    if asker == user.id:
        raise errors.PermissionDenied("nobody lets themselves in")
    return await operator_queries.use_request(tx, user.id, what, asker, realm.now)


async def _ask(
    realm: Realm, tx: PlatformTx, caller: Caller, user: UserRow, what: Access, *, half: bytes | None = None
) -> None:
    asker, expires_at = _person(caller), realm.now + _WAITS
    if not await operator_queries.ask(tx, user.id, what, asker, now=realm.now, expires_at=expires_at, half=half):
        raise errors.PermissionDenied("whoever asks is no operator any more")
    await tell(tx, caller, "user.access_asked", user, facts={"access": what})


def _person(caller: Caller) -> UUID:
    if caller.user_id is None:
        raise errors.PersonRequired("an operator must ask for it, as themselves")
    return caller.user_id


async def _find(tx: PlatformTx, user_id: UUID) -> UserRow:
    return _existing(await queries.find_user(tx, user_id))


async def _lock(tx: PlatformTx, user_id: UUID) -> UserRow:
    return _existing(await queries.lock_user(tx, user_id))


def _existing(user: UserRow | None) -> UserRow:
    if user is None:
        raise errors.NotFound("there is no such operator", param="user_id")
    return user


async def _views(realm: Realm, tx: PlatformTx, rows: Sequence[UserRow]) -> list[Operator]:
    kinds: Mapping[UUID, list[str]]
    locked: Mapping[UUID, datetime]
    kinds, locked = await service.kinds_and_locks(realm, tx, rows)
    shown: list[dict[str, Any]] = [
        {name: getattr(row, name) for name in Operator.__struct_fields__ if hasattr(row, name)}
        | {
            "id": user_id_of(row.id),
            "state": UserState(row.state),
            "factors": [*(["password"] if row.password_hash else []), *kinds.get(row.id, [])],
            "locked_until": locked.get(row.id),
        }
        for row in rows
    ]
    return [Operator(**each) for each in shown]
