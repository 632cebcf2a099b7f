"""Partner organisations and their members over HTTP."""

import functools
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from billfold import errors, ids
from billfold.contract.common import Page, PartnerId, UserId
from billfold.contract.parties import ExternalId
from billfold.contract.partners import (
    CreatePartner,
    CreatePartnerMember,
    Partner,
    PartnerState,
    SetPartnerRole,
    UpdatePartner,
)
from billfold.contract.users import EnrolmentCode, User
from billfold.ids import Prefix
from billfold_server.http import idempotency
from billfold_server.http.etags import check_if_match
from billfold_server.http.pagination import DEFAULT_LIMIT, Cursor, Limit
from billfold_server.http.routing import Call, Link, NeedsApproval, Reply, Routes
from billfold_server.identity.service import GIVEABLE_SCOPES
from billfold_server.keys.service import TENANT_SUBJECT
from billfold_server.partners import service
from billfold_server.people import service as people

__all__ = ["routes"]

routes = Routes(
    tag="Partners",
    description="Organisations that embed the platform, each with members, API clients and endpoints of its own.",
)

_PARTNERS = "partners"
_MEMBERS = "partner members"
_LED_TO = tuple(
    Link(operation_id=name, parameters={"partner_id": "$response.body#/id"})
    for name in ("getPartner", "updatePartner", "suspendPartner", "resumePartner", "listPartnerMembers")
)
_MEMBER_LED_TO = tuple(
    Link(
        operation_id=name,
        parameters={"partner_id": "$response.body#/partner_id", "user_id": "$response.body#/id"},
    )
    for name in ("getPartnerMember", "setPartnerMemberRole", "createPartnerMemberEnrolmentCode")
)


def _id(partner_id: str) -> UUID:
    return ids.decode(Prefix.PARTNER, partner_id)


def _user(user_id: str) -> UUID:
    return ids.decode(Prefix.USER, user_id)


def _realm(call: Call) -> people.Realm:
    return people.Realm.of(call.services, call.tenant)


# Who could hand out access to themselves under another name needs a second person, as with staff.


async def _hands_out(call: Call, _values: Mapping[str, Any]) -> bool:
    return "roles" in call.tenant.manifest.approvals.always


async def _begins_anew(call: Call, values: Mapping[str, Any]) -> bool:
    manifest = call.tenant.manifest
    if manifest.sandbox and not {"roles", "re_enrolment"} & set(manifest.approvals.always):
        return False
    try:
        async with call.tx() as tx:
            member = await service.get_member(
                _realm(call), tx, call.caller, _id(values["partner_id"]), _user(values["user_id"])
            )
    except errors.NotFound:
        # The handler refuses it, with a reason.
        return False
    return bool(member.factors)


_HANDS_OUT = NeedsApproval("roles", _hands_out)
_BEGINS_ANEW = NeedsApproval("re_enrolment", _begins_anew, by_maker=True)


@routes.post(
    "/v1/partners",
    scope="partners:write",
    idempotency="optional",
    etag=True,
    location="/v1/partners/{id}",
    errors=(errors.PartnerExternalIdTaken, errors.PartnerInvalid),
    links=_LED_TO,
    examples={"request": {"name": "Example Shop Ltd", "client_scopes": ["transfers:write", "wallets:read"]}},
)
async def create_partner(call: Call, body: CreatePartner) -> Reply[Partner]:
    """Create a partner organisation.

    ``external_id`` is yours; no two partners have the same one.
    """
    return await idempotency.once(
        call, lambda tx: service.create(tx, call.caller, body, known=GIVEABLE_SCOPES), status=201
    )


@routes.get("/v1/partners", scope="partners:read")
async def list_partners(
    call: Call,
    *,
    state: PartnerState | None = None,
    external_id: ExternalId | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor | None = None,
) -> Page[Partner]:
    """List partner organisations.

    The newest comes first. Conditions narrow the list together. Who acts for a partner sees that one.
    """
    place = call.cursors.decode(_PARTNERS, cursor)
    async with call.tx() as tx:
        found = await service.list_partners(
            tx,
            call.caller,
            state=state,
            external_id=external_id,
            before=UUID(str(place[0])) if place else None,
            limit=limit + 1,
        )
    return call.page(_PARTNERS, found, limit, key=lambda each: [str(_id(each.id))])


@routes.get("/v1/partners/{partner_id}", scope="partners:read", etag=True, errors=(errors.NotFound,))
async def get_partner(call: Call, partner_id: PartnerId) -> Partner:
    """Show a partner organisation."""
    async with call.tx() as tx:
        return await service.get(tx, call.caller, _id(partner_id))


@routes.patch(
    "/v1/partners/{partner_id}",
    scope="partners:write",
    if_match=True,
    etag=True,
    errors=(errors.NotFound, errors.PartnerExternalIdTaken, errors.PartnerInvalid),
    examples={"request": {"name": "Example Shops plc"}},
)
async def update_partner(call: Call, partner_id: PartnerId, body: UpdatePartner) -> Partner:
    """Change a partner organisation.

    What is absent stays, and null clears what may be empty. What it is given no more, its API clients lose within a
    second. With ``If-Match`` it is changed only if nobody has changed it since you read it.
    """
    check = functools.partial(check_if_match, call.if_match)
    async with call.tx() as tx:
        return await service.update(
            tx,
            call.caller,
            _id(partner_id),
            body,
            known=GIVEABLE_SCOPES,
            check_version=check,
            real_now=call.services.clock.now(),
        )


async def _set_state(call: Call, partner_id: str, state: PartnerState) -> Partner:
    async with call.tx() as tx:
        return await service.set_state(tx, call.caller, _id(partner_id), state, real_now=call.services.clock.now())


@routes.post(
    "/v1/partners/{partner_id}/suspend",
    scope="partners:write",
    status=200,
    etag=True,
    errors=(errors.NotFound,),
)
async def suspend_partner(call: Call, partner_id: PartnerId) -> Partner:
    """Keep a partner out: its members' sessions and its API clients' tokens open nothing any more within a second.

    Its webhook endpoints are told nothing meanwhile; that is kept for them. Whatever is suspended already stays so, so
    it may be sent again.
    """
    return await _set_state(call, partner_id, PartnerState.SUSPENDED)


@routes.post(
    "/v1/partners/{partner_id}/resume",
    scope="partners:write",
    status=200,
    etag=True,
    errors=(errors.NotFound,),
)
async def resume_partner(call: Call, partner_id: PartnerId) -> Partner:
    """Let a suspended partner in again."""
    return await _set_state(call, partner_id, PartnerState.ACTIVE)


@routes.delete(
    "/v1/partners/{partner_id}",
    scope="partners:write",
    if_match=True,
    errors=(errors.NotFound, errors.PartnerInUse, errors.PartnerStateRefuses),
)
async def remove_partner(call: Call, partner_id: PartnerId) -> None:
    """Remove a suspended partner organisation of which nothing is left, for good.

    Its API clients must be disabled, and are deleted with it; its members, webhook endpoints and sandboxes must be gone
    before, and what is left is counted in the refusal. Records and events go on naming it by its id, and the record of
    the removal has its name; its external id is free again. With ``If-Match`` it is removed only if nobody has changed
    it since you read it.
    """
    check = functools.partial(check_if_match, call.if_match)
    async with call.tx() as tx:
        await service.remove(tx, call.caller, _id(partner_id), check_version=check, real_now=call.services.clock.now())


@routes.post(
    "/v1/partners/{partner_id}/members",
    scope="members:write",
    idempotency="optional",
    personal=True,
    status=201,
    approval=_HANDS_OUT,
    errors=(errors.LoginNameTaken, errors.NotFound, errors.UserInvalid),
    links=_MEMBER_LED_TO,
    examples={"request": {"login_name": "grace@partner.example", "display_name": "Grace Hopper", "role": "developer"}},
)
async def create_partner_member(call: Call, partner_id: PartnerId, body: CreatePartnerMember) -> Reply[User]:
    """Create a member of a partner organisation.

    They sign in once they have enrolled, by an enrolment code. Their login name is unique among all partners' members.
    """
    realm, key = _realm(call), _id(partner_id)
    return await idempotency.once(
        call,
        lambda tx: service.create_member(realm, tx, call.caller, key, body),
        status=201,
        subject=TENANT_SUBJECT,
    )


@routes.get("/v1/partners/{partner_id}/members", scope="members:read", errors=(errors.NotFound,))
async def list_partner_members(
    call: Call, partner_id: PartnerId, *, limit: Limit = DEFAULT_LIMIT, cursor: Cursor | None = None
) -> Page[User]:
    """List the members of a partner organisation.

    The newest comes first.
    """
    place = call.cursors.decode(_MEMBERS, cursor)
    async with call.tx() as tx:
        found = await service.list_members(
            _realm(call),
            tx,
            call.caller,
            _id(partner_id),
            before=UUID(str(place[0])) if place else None,
            limit=limit + 1,
        )
    return call.page(_MEMBERS, found, limit, key=lambda each: [str(_user(each.id))])


@routes.get("/v1/partners/{partner_id}/members/{user_id}", scope="members:read", errors=(errors.NotFound,))
async def get_partner_member(call: Call, partner_id: PartnerId, user_id: UserId) -> User:
    """Show a member of a partner organisation."""
    async with call.tx() as tx:
        return await service.get_member(_realm(call), tx, call.caller, _id(partner_id), _user(user_id))


@routes.post(
    "/v1/partners/{partner_id}/members/{user_id}/enrolment-codes",
    scope="members:write",
    status=201,
    approval=_BEGINS_ANEW,
    errors=(errors.NotFound, errors.UserStateRefuses),
)
async def create_partner_member_enrolment_code(call: Call, partner_id: PartnerId, user_id: UserId) -> EnrolmentCode:
    """Make a one-time code by which a member enrols.

    It is good for seven days, and earlier ones end. The code is a secret that isn't kept, so there is no idempotency
    key; asking again makes another. Where a second person must agree, as for members who have enrolled, send the same
    again once they have.
    """
    async with call.tx() as tx:
        return await service.invite_member(_realm(call), tx, call.caller, _id(partner_id), _user(user_id))


@routes.post(
    "/v1/partners/{partner_id}/members/{user_id}/role",
    scope="members:write",
    idempotency="optional",
    personal=True,
    approval=_HANDS_OUT,
    errors=(errors.NotFound, errors.PermissionDenied),
    examples={"request": {"role": "viewer"}},
)
async def set_partner_member_role(
    call: Call, partner_id: PartnerId, user_id: UserId, body: SetPartnerRole
) -> Reply[User]:
    """Change what a member of a partner organisation does, from the next request on.

    Nobody changes roles of their own.
    """
    realm, partner, user = _realm(call), _id(partner_id), _user(user_id)
    return await idempotency.once(
        call, lambda tx: service.set_member_role(realm, tx, call.caller, partner, user, body.role)
    )


@routes.delete(
    "/v1/partners/{partner_id}/members/{user_id}",
    scope="members:write",
    errors=(errors.NotFound, errors.PermissionDenied),
)
async def remove_partner_member(call: Call, partner_id: PartnerId, user_id: UserId) -> None:
    """Remove a member of a partner organisation, who is signed out for good.

    Who they were is forgotten with that; the audit knows them by their id. Nobody removes themselves.
    """
    async with call.tx() as tx:
        await service.remove_member(_realm(call), tx, call.caller, _id(partner_id), _user(user_id))
