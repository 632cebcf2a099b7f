"""Users over HTTP, and what all pages load."""

from uuid import UUID

from billfold import errors, ids
from billfold.contract.common import Page, PartyId, UserId
from billfold.contract.users import (
    CreateUser,
    EnrolmentCode,
    LoginName,
    LoginRealm,
    SetUserRoles,
    SignedOut,
    User,
    UserState,
)
from billfold.ids import Prefix
from billfold_server.http import idempotency
from billfold_server.http.pagination import DEFAULT_LIMIT, Cursor, Limit
from billfold_server.http.routing import Call, Link, Reply, Routes
from billfold_server.keys.service import TENANT_SUBJECT
from billfold_server.people import account, agreeing, enrolling, seconds, service, signing_in
from billfold_server.people.hosting import platform_routes, routes
from billfold_server.people.pages import brand
from billfold_server.people.pages.kit import pages_of

__all__ = ["STEPS", "platform_routes", "routes", "user_routes"]

user_routes = Routes(
    tag="Users",
    description="The people who sign in at the tenant's pages: customers, who are parties, and the bank's staff.",
)

STEPS = (signing_in, enrolling, account, agreeing)
"""The modules whose pages these are; importing them has declared them."""

_FOR_GOOD = "public, max-age=604800, immutable"
"""Addresses of assets change with what is there."""

_PICTURE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
"""A logo is a bank's own file; opened by itself it can run nothing either."""


def _asset(body: bytes, media_type: str, policy: str = "default-src 'none'") -> Reply[bytes]:
    headers = {
        "Content-Type": media_type,
        "Cache-Control": _FOR_GOOD,
        "Content-Security-Policy": policy,
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    return Reply(body=body, headers=headers)


async def get_page_style(call: Call, *, v: str | None = None) -> Reply[bytes]:
    """Show the style sheet of the pages, in the tenant's colours."""
    del v  # It is there so that browsers keep each version apart.
    return _asset(pages_of(call).style(call.tenant_or_none), "text/css; charset=utf-8")


async def get_portal_style(call: Call, *, v: str | None = None) -> Reply[bytes]:
    """Show the style sheet of the developer portal."""
    del v
    return _asset(pages_of(call).sheet("portal.css"), "text/css; charset=utf-8")


async def get_page_script(call: Call, *, v: str | None = None) -> Reply[bytes]:
    """Show the script by which pages use passkeys."""
    del v
    return _asset(pages_of(call).script("passkeys.js"), "text/javascript; charset=utf-8")


async def get_card_script(call: Call, *, v: str | None = None) -> Reply[bytes]:
    """Show the script by which a page encrypts a card."""
    del v
    return _asset(pages_of(call).script("card.js"), "text/javascript; charset=utf-8")


async def get_page_logo(call: Call, *, v: str | None = None) -> Reply[bytes]:
    """Show the logo."""
    del v
    tenant = call.tenant_or_none
    looks = brand.brand_of(tenant)
    logo = brand.logo_of(None if tenant is None else tenant.slug, looks.logo, looks)
    return _asset(logo.content, logo.media_type, _PICTURE_POLICY)


for _name, _handler, _media_type in (
    ("kit.css", get_page_style, "text/css; charset=utf-8"),
    ("portal.css", get_portal_style, "text/css; charset=utf-8"),
    ("passkeys.js", get_page_script, "text/javascript; charset=utf-8"),
    ("card.js", get_card_script, "text/javascript; charset=utf-8"),
    ("logo", get_page_logo, "image/svg+xml"),
):
    routes.get(
        f"/auth/assets/{_name}", in_document=False, by_itself=True, response_media_type=_media_type, surface="page"
    )(_handler)
    platform_routes.get(
        f"/platform/auth/assets/{_name}",
        in_document=False,
        by_itself=True,
        response_media_type=_media_type,
        surface="page",
        operation_id=f"getPlatform{_handler.__name__.removeprefix('get_').title().replace('_', '')}",
    )(_handler)


_KIND = "users"
_LED_TO = tuple(
    Link(operation_id=name, parameters={"user_id": "$response.body#/id"})
    for name in ("getUser", "createEnrolmentCode", "disableUser", "enableUser", "unlockUser", "signUserOut")
)


def _id(user_id: str) -> UUID:
    return ids.decode(Prefix.USER, user_id)


def _realm(call: Call) -> service.Realm:
    return service.Realm.of(call.services, call.tenant)


@user_routes.post(
    "/v1/users",
    scope="users:write",
    idempotency="optional",
    personal=True,
    location="/v1/users/{id}",
    approval=seconds.NEW_USER,
    errors=(errors.LoginNameTaken, errors.NotFound, errors.UserInvalid, errors.SubjectForgotten),
    links=_LED_TO,
    examples={
        "request": {
            "login_realm": "staff",
            "login_name": "grace.hopper",
            "display_name": "Grace Hopper",
            "roles": ["operator"],
        }
    },
)
async def create_user(call: Call, body: CreateUser) -> Reply[User]:
    """Create a user.

    A payment service user (``psu``) is a party; staff has roles. Whoever was created signs in once they have enrolled,
    by an enrolment code.
    """
    realm = _realm(call)
    party_id = body.party_id if body.login_realm is LoginRealm.PSU else None
    return await idempotency.once(
        call,
        lambda tx: service.create_user(realm, tx, call.caller, body),
        status=201,
        subject=TENANT_SUBJECT if party_id is None else ids.decode(Prefix.PARTY, party_id),
    )


@user_routes.get("/v1/users", scope="users:read")
async def list_users(
    call: Call,
    *,
    login_realm: LoginRealm | None = None,
    login_name: LoginName | None = None,
    party_id: PartyId | None = None,
    state: UserState | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor | None = None,
) -> Page[User]:
    """List users.

    The newest comes first. Conditions narrow the list together.
    """
    after = call.cursors.decode(_KIND, cursor)
    async with call.tx() as tx:
        users = await service.list_users(
            _realm(call),
            tx,
            login_realm=login_realm,
            state=state,
            party_id=None if party_id is None else ids.decode(Prefix.PARTY, party_id),
            login_name=login_name,
            before=UUID(str(after[0])) if after else None,
            limit=limit + 1,
        )
    return call.page(_KIND, users, limit, key=lambda user: [str(_id(user.id))])


@user_routes.get("/v1/users/{user_id}", scope="users:read", errors=(errors.NotFound,))
async def get_user(call: Call, user_id: UserId) -> User:
    """Show a user."""
    async with call.tx() as tx:
        return await service.get_user(_realm(call), tx, _id(user_id))


@user_routes.post(
    "/v1/users/{user_id}/enrolment-codes",
    scope="users:write",
    status=201,
    approval=seconds.RE_ENROLMENT,
    errors=(errors.NotFound, errors.UserStateRefuses),
)
async def create_enrolment_code(call: Call, user_id: UserId) -> EnrolmentCode:
    """Make a one-time code by which a user enrols.

    It is good for seven days, and earlier ones end. Who has enrolled before begins anew by it: the factors and sessions
    of before end once they have finished. The code is a secret that isn't kept, so there is no idempotency key; asking
    again makes another. Where a second person must agree, as for staff who have enrolled, send the same again once they
    have.
    """
    async with call.tx() as tx:
        return await service.new_enrolment_code(_realm(call), tx, call.caller, _id(user_id))


async def _set_state(call: Call, user_id: str, *, enabled: bool) -> User:
    realm, key = _realm(call), _id(user_id)
    async with call.tx() as tx:
        await service.set_user_state(realm, tx, call.caller, key, enabled=enabled)
        return await service.get_user(realm, tx, key)


@user_routes.post("/v1/users/{user_id}/disable", scope="users:write", errors=(errors.NotFound, errors.PermissionDenied))
async def disable_user(call: Call, user_id: UserId) -> User:
    """Disable a user, who is signed out everywhere from the next request on.

    Whoever is disabled already stays so, so it may be sent again. Nobody disables themselves, and of two who
    disable each other at once, one does.
    """
    return await _set_state(call, user_id, enabled=False)


@user_routes.post("/v1/users/{user_id}/enable", scope="users:write", errors=(errors.NotFound,))
async def enable_user(call: Call, user_id: UserId) -> User:
    """Let a disabled user in again, unless they were forgotten."""
    return await _set_state(call, user_id, enabled=True)


@user_routes.post(
    "/v1/users/{user_id}/roles",
    scope="users:write",
    idempotency="optional",
    personal=True,
    approval=seconds.ROLES,
    errors=(errors.NotFound, errors.UserInvalid, errors.PermissionDenied),
)
async def set_user_roles(call: Call, user_id: UserId, body: SetUserRoles) -> Reply[User]:
    """Change what a member of staff does, from the next request on.

    Nobody changes roles of their own.
    """
    realm, key = _realm(call), _id(user_id)
    return await idempotency.once(call, lambda tx: service.set_roles(realm, tx, call.caller, key, body.roles))


@user_routes.post("/v1/users/{user_id}/unlock", scope="users:write", errors=(errors.NotFound,))
async def unlock_user(call: Call, user_id: UserId) -> User:
    """Take attempts to sign in again, where too many have failed."""
    realm, key = _realm(call), _id(user_id)
    async with call.tx() as tx:
        await service.unlock_user(realm, tx, call.caller, key)
        return await service.get_user(realm, tx, key)


@user_routes.post("/v1/users/{user_id}/sign-out", scope="users:write", errors=(errors.NotFound,))
async def sign_user_out(call: Call, user_id: UserId) -> SignedOut:
    """Sign a user out everywhere, from the next request on."""
    async with call.tx() as tx:
        return await service.sign_out_everywhere(_realm(call), tx, call.caller, _id(user_id))
