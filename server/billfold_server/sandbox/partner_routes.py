"""Sandboxes of partner organisations over HTTP."""

from typing import Final
from uuid import UUID

from billfold import errors, ids
from billfold.contract.common import Page, PartnerId, PartnerSandboxId
from billfold.contract.partner_sandboxes import (
    CreatePartnerSandbox,
    PartnerSandbox,
    PartnerSandboxCredentials,
    ResetPartnerSandbox,
)
from billfold.ids import Prefix
from billfold_server.http import idempotency
from billfold_server.http.pagination import DEFAULT_LIMIT, Cursor, Limit
from billfold_server.http.routing import Call, Link, Reply, Routes
from billfold_server.sandbox import owned
from billfold_server.sandbox.owned_rows import OwnedSandbox
from billfold_server.tenancy.transaction import TenantTx

__all__ = ["routes"]

routes = Routes(
    tag="Partner sandboxes",
    description="Sandboxes of a partner organisation's own: each a tenant by itself, under the bank's brand, with a "
    "clock, customers and simulations of its own, and without anybody's data.",
)

_READ: Final = "partner_sandboxes:read"
_WRITE: Final = "partner_sandboxes:write"
_KIND: Final = "partner sandboxes"
_PATH: Final = "/v1/partners/{partner_id}/sandboxes"
_ONE: Final = _PATH + "/{sandbox_id}"
_LED_TO: Final = tuple(
    Link(
        operation_id=name,
        parameters={"partner_id": "$response.body#/partner_id", "sandbox_id": "$response.body#/id"},
    )
    for name in ("getPartnerSandbox", "resetPartnerSandbox", "createPartnerSandboxCredentials")
)


def _partner(partner_id: str) -> UUID:
    return ids.decode(Prefix.PARTNER, partner_id)


def _id(sandbox_id: str) -> UUID:
    return ids.decode(Prefix.PARTNER_SANDBOX, sandbox_id)


def _shown(call: Call, row: OwnedSandbox) -> PartnerSandbox:
    return row.to_response(owned.address(call.services, call.tenant, row.id))


@routes.post(
    _PATH,
    scope=_WRITE,
    idempotency="optional",
    status=201,
    errors=(
        errors.FeatureDisabled,
        errors.NotFound,
        errors.PartnerSandboxLimitReached,
        errors.PartnerSandboxNameTaken,
    ),
    links=_LED_TO,
    examples={"request": {"name": "checkout", "seed": 7}},
)
async def create_partner_sandbox(
    call: Call, partner_id: PartnerId, body: CreatePartnerSandbox
) -> Reply[PartnerSandbox]:
    """Create a sandbox of a partner organisation.

    It is made in the moments after the answer: read it again until its state is ``ready``, then ask for credentials.
    The bank says how many a partner may have.
    """
    most, key = owned.check_offered(call.services, call.tenant), _partner(partner_id)

    async def work(tx: TenantTx) -> PartnerSandbox:
        return _shown(call, await owned.create(tx, call.caller, key, body, most=most))

    return await idempotency.once(call, work, status=201)


@routes.get(_PATH, scope=_READ, errors=(errors.NotFound,))
async def list_partner_sandboxes(
    call: Call, partner_id: PartnerId, *, limit: Limit = DEFAULT_LIMIT, cursor: Cursor | None = None
) -> Page[PartnerSandbox]:
    """List the sandboxes of a partner organisation.

    The newest comes first.
    """
    place = call.cursors.decode(_KIND, cursor)
    before = UUID(str(place[0])) if place else None
    async with call.tx() as tx:
        found = await owned.list_sandboxes(tx, call.caller, _partner(partner_id), before=before, limit=limit + 1)
    return call.page(_KIND, [_shown(call, row) for row in found], limit, key=lambda each: [str(_id(each.id))])


@routes.get(_ONE, scope=_READ, errors=(errors.NotFound,), links=_LED_TO[1:])
async def get_partner_sandbox(call: Call, partner_id: PartnerId, sandbox_id: PartnerSandboxId) -> PartnerSandbox:
    """Show a sandbox of a partner organisation, with how far it is."""
    async with call.tx() as tx:
        return _shown(call, await owned.get(tx, call.caller, _partner(partner_id), _id(sandbox_id)))


@routes.post(
    f"{_ONE}/reset",
    scope=_WRITE,
    status=200,
    idempotency="optional",
    errors=(errors.NotFound, errors.PartnerSandboxStateRefuses),
    examples={"request": {"seed": 7}},
)
async def reset_partner_sandbox(
    call: Call, partner_id: PartnerId, sandbox_id: PartnerSandboxId, body: ResetPartnerSandbox
) -> Reply[PartnerSandbox]:
    """Bring a sandbox of a partner organisation back to its beginning, in the moments after the answer.

    Everything that has happened in it is gone; its API clients and webhook endpoints stay. What isn't said is as
    before.
    """
    partner, key = _partner(partner_id), _id(sandbox_id)
    await _check_not_held(call, partner, key)

    async def work(tx: TenantTx) -> PartnerSandbox:
        return _shown(call, await owned.reset(tx, call.caller, partner, key, body))

    return await idempotency.once(call, work)


@routes.post(
    f"{_ONE}/credentials",
    scope=_WRITE,
    status=201,
    errors=(errors.NotFound, errors.PartnerSandboxStateRefuses),
)
async def create_partner_sandbox_credentials(
    call: Call, partner_id: PartnerId, sandbox_id: PartnerSandboxId
) -> PartnerSandboxCredentials:
    """Make an API client of a sandbox that may do everything in it.

    Its secret is in this answer and nowhere else; so there is no idempotency key, by which answers are kept. Asking
    again makes another one. Those from before stay, until they are disabled in the sandbox, or it is removed; but of
    those that were made here 20 are active at most, and with the next one the oldest is disabled.
    """
    async with call.tx() as tx:
        row = await owned.get_ready(tx, call.caller, _partner(partner_id), _id(sandbox_id))
    return await owned.make_credentials(call, row)


@routes.delete(_ONE, scope=_WRITE, errors=(errors.NotFound, errors.PartnerSandboxStateRefuses))
async def remove_partner_sandbox(call: Call, partner_id: PartnerId, sandbox_id: PartnerSandboxId) -> None:
    """Remove a sandbox of a partner organisation with everything in it, for good, in the moments after the answer.

    One that is still being made can be removed, too; one that operators have suspended can't.
    """
    partner, key = _partner(partner_id), _id(sandbox_id)
    await _check_not_held(call, partner, key)
    async with call.tx() as tx:
        await owned.remove(tx, call.caller, partner, key)


async def _check_not_held(call: Call, partner: UUID, key: UUID) -> None:
    async with call.tx() as tx:
        # Whoever may not see a sandbox isn't told that it is suspended.
        row = await owned.get(tx, call.caller, partner, key)
    await owned.check_not_held(call.services, call.tenant, row)
