"""Partner organisations: made, changed, suspended and removed by the bank; their members also by their own admins.

Who acts for a partner is narrowed to it: ``Caller.partner_id`` says for which, and what belongs to another one, or to
nobody, isn't there for them. Whether a partner is let in stands in its own row alone. Whoever reads one of its members
or API clients reads that with them, so a suspension holds as soon as a disabled user or client would (ADR 40).
One that was removed stays suspended, in a row that nobody finds (ADR 57).
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Protocol
from uuid import UUID

import asyncpg
import msgspec

from billfold import errors, ids
from billfold.contract import events
from billfold.contract import partners as contract
from billfold.contract.events import EventType, PartnerEventData
from billfold.contract.partners import CreatePartner, CreatePartnerMember, PartnerState, UpdatePartner
from billfold.contract.roles import PartnerRole
from billfold.contract.users import EnrolmentCode, User
from billfold_server.audit import service as audit
from billfold_server.db import outbox
from billfold_server.partners import queries, rules
from billfold_server.partners.rows import Partner
from billfold_server.people import service as people
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.context import Caller
from billfold_server.tenancy.transaction import TenantTx

__all__ = [
    "OVER_PEOPLE",
    "Partner",
    "create",
    "create_member",
    "get",
    "get_member",
    "hold",
    "hold_alone",
    "invite_member",
    "kept_by",
    "list_members",
    "list_partners",
    "lock_partners",
    "narrowed",
    "remove",
    "remove_member",
    "set_member_role",
    "set_state",
    "update",
    "when_changed",
]

OVER_PEOPLE: Final = rules.OVER_PEOPLE

CheckVersion = Callable[[int], None]
"""Refuses a change to what is no longer what the caller read."""


class Follow(Protocol):
    """What another room does in the transaction in which a partner changes."""

    def __call__(
        self, tx: TenantTx, caller: Caller, former: Partner, partner: Partner, now: datetime
    ) -> Awaitable[None]:
        """Follow a change, at a real time."""
        ...


_FOLLOWERS: Final[list[Follow]] = []


def when_changed(follow: Follow) -> None:
    """Have another room follow what changes of partners, in the same transaction."""
    _FOLLOWERS.append(follow)


class CountOf(Protocol):
    """Counts what another room has of a partner."""

    def __call__(self, tx: TenantTx, partner_id: UUID) -> Awaitable[int]:
        """Return how many there are of what keeps the partner from being removed."""
        ...


_COUNTS: Final[dict[str, CountOf]] = {"members": people.count_members}


def kept_by(what: str, count: CountOf) -> None:
    """Have another room count what keeps a partner from being removed.

    Whoever makes such a thing holds the partner first (``hold``), in the same transaction: then the partner is either
    removed before, and isn't found, or what was made is counted.

    Args:
        what: Its name in ``rules.LEAVING``.
        count: Counts it.
    """
    assert what in rules.LEAVING, what
    _COUNTS[what] = count


# Who sees what.


def narrowed(caller: Caller, partner_id: UUID | None) -> UUID | None:
    """Return whose things are meant: those of the partner that was named, or the caller's own, or (None) everybody's.

    Raises:
        errors.NotFound: The caller acts for another partner.
    """
    if partner_id is not None and not caller.is_of(partner_id):
        raise _unknown()
    return caller.partner_id if partner_id is None else partner_id


def _unknown() -> errors.NotFound:
    return errors.NotFound("there is no such partner", param="partner_id")


def _existing(partner: Partner | None, caller: Caller) -> Partner:
    if partner is None or not caller.is_of(partner.id):
        raise _unknown()
    return partner


async def hold(tx: TenantTx, partner_id: UUID) -> Partner:
    """Return a partner that stays as it is until the transaction ends.

    Raises:
        errors.NotFound: There is none.
    """
    partner = await queries.hold(tx, partner_id)
    if partner is None:
        raise _unknown()
    return partner


async def hold_alone(tx: TenantTx, caller: Caller, partner_id: UUID) -> Partner:
    """Return a partner, and keep others from it until the transaction ends.

    Raises:
        errors.NotFound: There is none, or the caller acts for another.
    """
    return _existing(await queries.lock(tx, partner_id), caller)


async def lock_partners(tx: TenantTx, partner_ids: Collection[UUID], *, staying: Collection[UUID]) -> None:
    """Keep others from partners, and let those stay as they are that only have to, until the transaction ends."""
    await queries.lock_all(tx, partner_ids, staying=staying)


async def get(tx: TenantTx, caller: Caller, partner_id: UUID) -> contract.Partner:
    """Return a partner.

    Raises:
        errors.NotFound: There is none, or the caller acts for another.
    """
    return _existing(await queries.find(tx, partner_id), caller).to_response()


async def list_partners(
    tx: TenantTx,
    caller: Caller,
    *,
    state: PartnerState | None = None,
    external_id: str | None = None,
    before: UUID | None = None,
    limit: int,
) -> list[contract.Partner]:
    """Return partners that meet all conditions given, the newest first; who acts for one sees that one."""
    found = await queries.list_page(
        tx,
        limit=limit,
        before=before,
        state=None if state is None else state.value,
        external_id=external_id,
        only=caller.partner_id,
    )
    return [each.to_response() for each in found]


# The bank's part.


async def create(
    tx: TenantTx, caller: Caller, body: CreatePartner, *, known: Mapping[str, str], unlimited: bool = False
) -> contract.Partner:
    """Create a partner.

    Args:
        tx: The tenant's transaction.
        caller: Who wants it.
        body: What it is.
        known: All scopes that there are.
        unlimited: Whether the caller may give what they haven't themselves, as at the server's machine.

    Raises:
        errors.PermissionDenied: The caller acts for a partner.
        errors.PartnerInvalid: There is a scope among those of its clients that no partner gets.
        errors.InsufficientScope: Its clients would be allowed what the caller isn't.
        errors.PartnerExternalIdTaken: Another one has the external id.
    """
    _of_bank(caller)
    scopes = sorted(set(body.client_scopes))
    _check_given(caller, scopes, known, unlimited=unlimited)
    now = await tenant_now(tx)
    new = Partner(
        id=ids.uuid7(),
        name=body.name,
        external_id=body.external_id,
        state=PartnerState.ACTIVE.value,
        client_scopes=scopes,
        version=1,
        created_at=now,
        updated_at=now,
    )
    try:
        await queries.insert(tx, new)
    except asyncpg.UniqueViolationError as error:
        raise _taken() from error
    await _tell(tx, caller, events.PARTNER_CREATED, new, facts={"client_scopes": scopes})
    return new.to_response()


async def update(
    tx: TenantTx,
    caller: Caller,
    partner_id: UUID,
    body: UpdatePartner,
    *,
    known: Mapping[str, str],
    check_version: CheckVersion,
    real_now: datetime,
    unlimited: bool = False,
) -> contract.Partner:
    """Change a partner. What its clients may have no more they lose within a second.

    Raises:
        errors.NotFound: There is none.
        errors.PreconditionFailed: It has changed since the caller read it.
        errors.PermissionDenied: The caller acts for a partner.
        errors.PartnerInvalid: There is a scope among those of its clients that no partner gets.
        errors.InsufficientScope: Its clients would be allowed what the caller isn't.
        errors.PartnerExternalIdTaken: Another one has the external id.
    """
    partner = _existing(await queries.lock(tx, partner_id), caller)
    _of_bank(caller)
    check_version(partner.version)
    changes = rules.changes_of(partner, body)
    if not changes:
        return partner.to_response()
    if "client_scopes" in changes:
        added = set(body.client_scopes or ()) - set(partner.client_scopes)
        _check_given(caller, added, known, unlimited=unlimited)
    return (await _write(tx, caller, partner, changes, events.PARTNER_UPDATED, real_now)).to_response()


async def set_state(
    tx: TenantTx, caller: Caller, partner_id: UUID, state: PartnerState, *, real_now: datetime
) -> contract.Partner:
    """Keep a partner's members and API clients out, or let them in again. Whoever is so already stays so.

    Raises:
        errors.NotFound: There is none.
        errors.PermissionDenied: The caller acts for a partner.
    """
    partner = _existing(await queries.lock(tx, partner_id), caller)
    _of_bank(caller)
    if partner.state == state.value:
        return partner.to_response()
    what = events.PARTNER_SUSPENDED if state is PartnerState.SUSPENDED else events.PARTNER_RESUMED
    return (await _write(tx, caller, partner, {"state": state.value}, what, real_now)).to_response()


async def remove(
    tx: TenantTx, caller: Caller, partner_id: UUID, *, check_version: CheckVersion, real_now: datetime
) -> None:
    """Remove a suspended partner of which nothing is left but what history names. Its disabled clients go with it.

    Raises:
        errors.NotFound: There is none.
        errors.PermissionDenied: The caller acts for a partner.
        errors.PreconditionFailed: It has changed since the caller read it.
        errors.PartnerStateRefuses: It isn't suspended.
        errors.PartnerInUse: Something of it is left.
    """
    partner = _existing(await queries.lock(tx, partner_id), caller)
    _of_bank(caller)
    check_version(partner.version)
    if partner.state != PartnerState.SUSPENDED:
        raise errors.PartnerStateRefuses("only a suspended partner can be removed", state=partner.state)
    # A kind that no room counts fails here, instead of being left behind.
    left: dict[str, Any] = {what: await _COUNTS[what](tx, partner.id) for what in rules.LEAVING}
    if (why := rules.why_in_use(left)) is not None:
        raise errors.PartnerInUse(why, **left)
    now = await tenant_now(tx)
    gone = msgspec.structs.replace(
        partner, external_id=None, version=partner.version + 1, updated_at=now, removed_at=now
    )
    await queries.update(tx, gone)
    await _follow(tx, caller, partner, gone, real_now)
    # Nobody is shown the partner any more, so what it was called stands here.
    facts = {"name": partner.name}
    if partner.external_id is not None:
        facts["external_id"] = partner.external_id
    await _tell(tx, caller, events.PARTNER_REMOVED, gone, facts=facts)


def _of_bank(caller: Caller) -> None:
    if caller.partner_id is not None:
        raise errors.PermissionDenied("only the bank does this with partners")


def _check_given(caller: Caller, scopes: Iterable[str], known: Mapping[str, str], *, unlimited: bool = False) -> None:
    """Refuse scopes that no partner gets, or that whoever gives them hasn't."""
    scopes = set(scopes)
    refused = rules.never_given(scopes, known)
    if refused:
        # What is no scope of ours is whatever somebody has written, and isn't repeated.
        named = refused[0] if refused[0] in known else "that"
        raise errors.PartnerInvalid(f"{named} is nothing that a partner is given", param="client_scopes")
    beyond = sorted(scopes - caller.scopes)
    if beyond and not unlimited:
        raise errors.InsufficientScope(
            f"who gives a partner something must have it themselves, such as {beyond[0]}", scope=beyond[0]
        )


def _taken() -> errors.PartnerExternalIdTaken:
    return errors.PartnerExternalIdTaken("another partner has this external id", param="external_id")


async def _write(  # noqa: PLR0917 - what is written, and what is told of it
    tx: TenantTx,
    caller: Caller,
    partner: Partner,
    changes: Mapping[str, object],
    what: EventType[PartnerEventData],
    real_now: datetime,
) -> Partner:
    more: dict[str, Any] = {**changes, "version": partner.version + 1, "updated_at": await tenant_now(tx)}
    changed = msgspec.structs.replace(partner, **more)
    try:
        await queries.update(tx, changed)
    except asyncpg.UniqueViolationError as error:
        raise _taken() from error
    await _follow(tx, caller, partner, changed, real_now)
    facts = {"client_scopes": changed.client_scopes} if "client_scopes" in changes else {}
    await _tell(tx, caller, what, changed, facts=facts, changed=sorted(changes))
    return changed


async def _follow(tx: TenantTx, caller: Caller, former: Partner, partner: Partner, real_now: datetime) -> None:
    for follow in _FOLLOWERS:
        await follow(tx, caller, former, partner, real_now)


async def _tell(
    tx: TenantTx,
    caller: Caller,
    what: EventType[PartnerEventData],
    partner: Partner,
    *,
    facts: Mapping[str, object],
    changed: Sequence[str] = (),
) -> None:
    known = {**facts, "changed": list(changed)} if changed else facts
    await audit.record(tx, audit.new_record(caller, what.name, partner.wire_id, facts=known))
    data = PartnerEventData(
        id=partner.wire_id, state=PartnerState(partner.state), version=partner.version, changed=list(changed)
    )
    await outbox.emit(tx, outbox.new_event(what, partner.wire_id, data, await tenant_now(tx)))


# Members, who are users of a login realm of their own.


async def create_member(
    realm: people.Realm, tx: TenantTx, caller: Caller, partner_id: UUID, body: CreatePartnerMember
) -> User:
    """Create a member of a partner, who can sign in once they have enrolled.

    Raises:
        errors.NotFound: There is no such partner.
        errors.UserInvalid: The name can't be a login name.
        errors.LoginNameTaken: The name is taken, be it by a member of another partner.
    """
    partner = _existing(await queries.hold(tx, partner_id), caller)
    return await people.create_member(realm, tx, caller, partner.id, body)


async def invite_member(
    realm: people.Realm, tx: TenantTx, caller: Caller, partner_id: UUID, user_id: UUID
) -> EnrolmentCode:
    """Let a member enrol, or enrol anew; what they had before holds until they have done so.

    Raises:
        errors.NotFound: There is no such member of this partner.
        errors.UserStateRefuses: They are disabled.
    """
    await get_member(realm, tx, caller, partner_id, user_id)
    return await people.new_enrolment_code(realm, tx, caller, user_id)


async def get_member(realm: people.Realm, tx: TenantTx, caller: Caller, partner_id: UUID, user_id: UUID) -> User:
    """Return a member of a partner.

    Raises:
        errors.NotFound: There is no such member of this partner.
    """
    partner = _existing(await queries.find(tx, partner_id), caller)
    return await people.get_member(realm, tx, partner.id, user_id)


async def list_members(
    realm: people.Realm, tx: TenantTx, caller: Caller, partner_id: UUID, *, before: UUID | None = None, limit: int
) -> list[User]:
    """Return the members of a partner, the newest first.

    Raises:
        errors.NotFound: There is no such partner.
    """
    partner = _existing(await queries.find(tx, partner_id), caller)
    return await people.list_members(realm, tx, partner.id, before=before, limit=limit)


async def set_member_role(  # noqa: PLR0917 - who, whose and what
    realm: people.Realm, tx: TenantTx, caller: Caller, partner_id: UUID, user_id: UUID, role: PartnerRole
) -> User:
    """Change what a member of a partner does, from the next request on.

    Raises:
        errors.NotFound: There is no such member of this partner.
        errors.PermissionDenied: They are whoever asks.
    """
    partner = _existing(await queries.find(tx, partner_id), caller)
    return await people.set_member_role(realm, tx, caller, partner.id, user_id, role)


async def remove_member(realm: people.Realm, tx: TenantTx, caller: Caller, partner_id: UUID, user_id: UUID) -> None:
    """Sign a member of a partner out for good, and forget who they are.

    Raises:
        errors.NotFound: There is no such member of this partner.
        errors.PermissionDenied: They are whoever asks.
    """
    partner = _existing(await queries.find(tx, partner_id), caller)
    await people.remove_member(realm, tx, caller, partner.id, user_id)
