"""API clients over HTTP, for a tenant's own programs."""

import functools
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from billfold import errors, ids
from billfold.contract.clients import (
    Client,
    ClientCreated,
    ClientSecret,
    CreateClient,
    RotateClientSecret,
    SetClientKeys,
    UpdateClient,
)
from billfold.contract.common import ClientId, Page, PartnerId
from billfold.ids import Prefix
from billfold_server.http.etags import check_if_match
from billfold_server.http.pagination import DEFAULT_LIMIT, Cursor, Limit
from billfold_server.http.routing import Call, Link, NeedsApproval, Routes
from billfold_server.identity.clients import management
from billfold_server.identity.profiles import Profile

__all__ = ["routes"]

routes = Routes(
    tag="API clients",
    description=("Who may ask for access tokens, how each proves who it is, and what each may."),
)

_KIND = "clients"
_KEYS = {
    "keys": [
        {"kty": "OKP", "crv": "Ed25519", "kid": "2026-11", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
    ],
}
_BY_KEY = {"token_endpoint_auth_method": "private_key_jwt"}
_LED_TO = tuple(
    Link(operation_id=name, parameters={"client_id": "$response.body#/id"})
    for name in ("getClient", "updateClient", "rotateClientKeys", "rotateClientSecret", "disableClient", "enableClient")
)


async def _keys_need_two(call: Call, _values: Mapping[str, Any]) -> bool:
    return "client_keys" in call.tenant.manifest.approvals.always


# Who replaces keys must have the client's scopes themselves, and a secret is theirs alone.
_TWO = NeedsApproval("client_keys", _keys_need_two, by_maker=True)


def _id(client_id: str) -> UUID:
    return ids.decode(Prefix.CLIENT, client_id)


def _profile(call: Call) -> Profile:
    return call.services.identity.realm(call.tenant).profile


@routes.post(
    "/v1/clients",
    scope="clients:write",
    etag=True,
    location="/v1/clients/{id}",
    errors=(errors.ClientMetadataRefused, errors.NotFound),
    links=_LED_TO,
    examples={"request": {"client_name": "Payouts", "scope": "transfers:write wallets:read", "jwks": _KEYS, **_BY_KEY}},
)
async def create_client(call: Call, body: CreateClient) -> ClientCreated:
    """Register an API client.

    Its secret, where it has one, is in this answer and nowhere else; so there is no idempotency key, by which answers
    are kept. Clients with keys or certificates have none. It belongs to a partner organisation where that is named, or
    where the caller acts for one; then it may be allowed what that may, and no more.
    """
    services = call.services
    async with call.tx() as tx:
        return await management.create_client(
            tx, services.keyring, _profile(call), call.caller, body, now=services.clock.now()
        )


@routes.get("/v1/clients", scope="clients:read", errors=(errors.NotFound,))
async def list_clients(
    call: Call, *, partner_id: PartnerId | None = None, limit: Limit = DEFAULT_LIMIT, cursor: Cursor | None = None
) -> Page[Client]:
    """List API clients.

    The oldest comes first. Who acts for a partner organisation sees its own.
    """
    place = call.cursors.decode(_KIND, cursor)
    async with call.tx() as tx:
        clients = await management.list_clients(
            tx,
            call.caller,
            partner_id=None if partner_id is None else ids.decode(Prefix.PARTNER, partner_id),
            after=UUID(str(place[0])) if place else None,
            limit=limit + 1,
        )
    return call.page(_KIND, clients, limit, key=lambda client: [str(_id(client.id))])


@routes.get("/v1/clients/{client_id}", scope="clients:read", etag=True, errors=(errors.NotFound,))
async def get_client(call: Call, client_id: ClientId) -> Client:
    """Show an API client."""
    async with call.tx() as tx:
        return await management.get_client(tx, call.caller, _id(client_id))


@routes.patch(
    "/v1/clients/{client_id}",
    scope="clients:write",
    if_match=True,
    etag=True,
    errors=(errors.NotFound, errors.ClientMetadataRefused),
    examples={"request": {"client_name": "Payouts"}},
)
async def update_client(call: Call, client_id: ClientId, body: UpdateClient) -> Client:
    """Change what is registered of an API client.

    What is absent stays, and null clears what may be empty. With ``If-Match`` it is changed only if nobody has changed
    it since you read it.
    """
    check = functools.partial(check_if_match, call.if_match)
    now = call.services.clock.now()
    async with call.tx() as tx:
        return await management.update_client(
            tx, _profile(call), call.caller, _id(client_id), body, now=now, check_version=check
        )


@routes.post(
    "/v1/clients/{client_id}/rotate-keys",
    scope="clients:write",
    status=200,
    approval=_TWO,
    etag=True,
    errors=(errors.NotFound, errors.ClientMetadataRefused),
    examples={"request": {"jwks": _KEYS}},
)
async def rotate_client_keys(call: Call, client_id: ClientId, body: SetClientKeys) -> Client:
    """Replace the keys, or the certificate's name, by which an API client proves who it is.

    What was registered before is worth nothing from then on. To change keys without a pause, set the old and the new
    ones together first.
    """
    now = call.services.clock.now()
    async with call.tx() as tx:
        return await management.rotate_keys(tx, _profile(call), call.caller, _id(client_id), body, now=now)


@routes.post(
    "/v1/clients/{client_id}/rotate-secret",
    scope="clients:write",
    status=200,
    approval=_TWO,
    errors=(errors.NotFound, errors.ClientMetadataRefused),
)
async def rotate_client_secret(call: Call, client_id: ClientId, body: RotateClientSecret) -> ClientSecret:
    """Give an API client another secret.

    The former one is taken as well for as long as you say, so that nothing stands still; so are those before it whose
    time isn't over, but no longer than that. The new one is in this answer and nowhere else; so there is no idempotency
    key, by which answers are kept: if the answer is lost, ask again.
    """
    services = call.services
    async with call.tx() as tx:
        return await management.rotate_secret(
            tx, services.keyring, call.caller, _id(client_id), overlap_s=body.overlap_s, now=services.clock.now()
        )


@routes.post(
    "/v1/clients/{client_id}/disable",
    scope="clients:write",
    status=200,
    etag=True,
    errors=(errors.NotFound,),
)
async def disable_client(call: Call, client_id: ClientId) -> Client:
    """Keep an API client out: within a second its tokens open nothing any more."""
    now = call.services.clock.now()
    async with call.tx() as tx:
        return await management.set_state(tx, call.caller, _id(client_id), enabled=False, now=now)


@routes.post(
    "/v1/clients/{client_id}/enable",
    scope="clients:write",
    status=200,
    etag=True,
    errors=(errors.NotFound,),
)
async def enable_client(call: Call, client_id: ClientId) -> Client:
    """Let a disabled API client in again."""
    now = call.services.clock.now()
    async with call.tx() as tx:
        return await management.set_state(tx, call.caller, _id(client_id), enabled=True, now=now)
