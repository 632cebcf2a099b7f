"""What partners ask of sandboxes of their own. It is written down here, and done by a job that may (``making``).

A request runs with the rights of one tenant, and a sandbox is another one. So what is written here is a wish and how
far it is; whose a sandbox is stands with the platform, which no tenant's request can write to (ADR 43).
"""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from billfold import errors, ids
from billfold.contract import events
from billfold.contract.events import EventType, PartnerSandboxEventData
from billfold.contract.partner_sandboxes import (
    CreatePartnerSandbox,
    PartnerSandboxCredentials,
    PartnerSandboxState,
    PartnerSandboxStep,
    ResetPartnerSandbox,
)
from billfold.contract.platform import TenantState
from billfold_server.audit import service as audit
from billfold_server.db import jobs, outbox
from billfold_server.db.jobs import NewJob
from billfold_server.http.routing import Call
from billfold_server.http.services import Services
from billfold_server.identity.service import TENANT_SCOPES, create_client, make_room
from billfold_server.partners import service as partners
from billfold_server.partners.service import Partner
from billfold_server.sandbox import owned_queries as queries
from billfold_server.sandbox import owned_rules as rules
from billfold_server.sandbox.owned_rows import OwnedSandbox
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.context import Caller, TenantRef
from billfold_server.tenancy.transaction import TenantTx, Tx

__all__ = [
    "FOLLOW_JOB",
    "MOST_CREDENTIALS",
    "WORK_JOB",
    "FollowPartner",
    "WorkOn",
    "address",
    "check_not_held",
    "check_offered",
    "create",
    "get",
    "get_ready",
    "list_sandboxes",
    "make_credentials",
    "offered",
    "remove",
    "reset",
    "still_to_do",
    "tell",
    "tell_removed",
    "unfinished",
]

WORK_JOB: Final = "partner_sandbox.work"
FOLLOW_JOB: Final = "partner_sandbox.follow"
_FEATURE: Final = "partner_sandboxes"
_DEVELOPER: Final = "sandbox developer"
MOST_CREDENTIALS: Final = 20
"""So many API clients of a sandbox that were made here are active at most."""
_MADE_BY: Final = "partner"

_BECAME: Final[dict[PartnerSandboxState, EventType[PartnerSandboxEventData]]] = {
    PartnerSandboxState.PREPARING: events.PARTNER_SANDBOX_CREATED,
    PartnerSandboxState.RESETTING: events.PARTNER_SANDBOX_RESETTING,
    PartnerSandboxState.REMOVING: events.PARTNER_SANDBOX_REMOVING,
    PartnerSandboxState.READY: events.PARTNER_SANDBOX_READY,
}


class WorkOn(msgspec.Struct, frozen=True):
    """On which sandbox something is to be done."""

    sandbox_id: UUID


class FollowPartner(msgspec.Struct, frozen=True):
    """After which partner its sandboxes are to be closed or opened."""

    partner_id: UUID


def address(services: Services, tenant: TenantRef, sandbox_id: UUID) -> str:
    """Return a sandbox's base URL."""
    return f"{services.settings.base_url}/t/{rules.slug_of(tenant.slug, sandbox_id)}"


def offered(services: Services, tenant: TenantRef) -> int:
    """Return how many sandboxes each partner may have; none in production, where nothing outside is simulated."""
    return 0 if services.settings.production else tenant.manifest.partners.sandboxes


def check_offered(services: Services, tenant: TenantRef) -> int:
    """Return how many sandboxes each partner may have.

    Raises:
        errors.FeatureDisabled: None.
    """
    most = offered(services, tenant)
    if most < 1:
        msg = "the bank gives partners no sandboxes here"
        raise errors.FeatureDisabled(msg, feature=_FEATURE)
    return most


async def create(
    tx: TenantTx, caller: Caller, partner_id: UUID, body: CreatePartnerSandbox, *, most: int
) -> OwnedSandbox:
    """Write down that a partner wants a sandbox.

    Args:
        tx: The tenant's transaction.
        caller: Who wants it.
        partner_id: For which partner.
        body: What it is to be.
        most: How many the partner may have.

    Raises:
        errors.NotFound: There is no such partner, or the caller acts for another.
        errors.PartnerSandboxLimitReached: It has all of them.
        errors.PartnerSandboxNameTaken: It has one of this name.
    """
    # Whoever else wants one for the same partner waits, so that nobody counts past the bound.
    partner = await partners.hold_alone(tx, caller, partner_id)
    if await queries.count(tx, partner.id) >= most:
        msg = "the partner has as many sandboxes as it may have"
        raise errors.PartnerSandboxLimitReached(msg, most=most)
    now = await tenant_now(tx)
    new = OwnedSandbox(
        id=ids.uuid7(),
        partner_id=partner.id,
        name=body.name,
        state=PartnerSandboxState.PREPARING,
        step=PartnerSandboxStep.QUEUED,
        seeded=body.seeded,
        seed=body.seed,
        version=1,
        created_at=now,
        updated_at=now,
    )
    try:
        await queries.insert(tx, new)
    except asyncpg.UniqueViolationError as error:
        msg = "another sandbox of the partner has this name"
        raise errors.PartnerSandboxNameTaken(msg, param="name") from error
    await _ask(tx, caller, new, "partner_sandbox.created")
    await tell(tx, new)
    return new


async def list_sandboxes(
    tx: TenantTx, caller: Caller, partner_id: UUID, *, before: UUID | None = None, limit: int
) -> list[OwnedSandbox]:
    """Return a partner's sandboxes, the newest first.

    Raises:
        errors.NotFound: There is no such partner, or the caller acts for another.
    """
    await partners.get(tx, caller, partner_id)
    return await queries.list_page(tx, partner_id, before=before, limit=limit)


async def get(tx: TenantTx, caller: Caller, partner_id: UUID, sandbox_id: UUID) -> OwnedSandbox:
    """Return a sandbox.

    Raises:
        errors.NotFound: The partner has none with this id, or the caller acts for another partner.
    """
    await partners.get(tx, caller, partner_id)
    return _existing(await queries.find(tx, sandbox_id), partner_id)


async def reset(
    tx: TenantTx, caller: Caller, partner_id: UUID, sandbox_id: UUID, body: ResetPartnerSandbox
) -> OwnedSandbox:
    """Write down that a sandbox is to be as it was at its beginning.

    Raises:
        errors.NotFound: The partner has none with this id, or the caller acts for another partner.
        errors.PartnerSandboxStateRefuses: Something else is under way.
    """
    await partners.get(tx, caller, partner_id)
    row = _existing(await queries.lock(tx, sandbox_id), partner_id)
    seeded = body.seeded if body.seeded is not None else row.seeded or body.seed is not None
    seed = (row.seed if body.seed is None else body.seed) if seeded else None
    return await _change(tx, caller, row, "reset", seeded=seeded, seed=seed)


async def remove(tx: TenantTx, caller: Caller, partner_id: UUID, sandbox_id: UUID) -> None:
    """Write down that a sandbox is to be gone. One that is going already goes on.

    Raises:
        errors.NotFound: The partner has none with this id, or the caller acts for another partner.
    """
    await partners.get(tx, caller, partner_id)
    row = _existing(await queries.lock(tx, sandbox_id), partner_id)
    await _change(tx, caller, row, "remove")


def _existing(row: OwnedSandbox | None, partner_id: UUID) -> OwnedSandbox:
    if row is None or row.partner_id != partner_id:
        raise errors.NotFound("there is no such sandbox", param="sandbox_id")
    return row


async def _change(tx: TenantTx, caller: Caller, row: OwnedSandbox, asked: rules.Asked, **more: Any) -> OwnedSandbox:
    state = rules.TRANSITIONS.get((row.state, asked))
    if state is None:
        raise _refused(row.state.value)
    changed = msgspec.structs.replace(
        row,
        **more,
        state=state,
        step=PartnerSandboxStep.QUEUED,
        version=row.version + 1,
        updated_at=await tenant_now(tx),
    )
    await queries.change(tx, changed)
    await _ask(tx, caller, changed, f"partner_sandbox.{asked}")
    if changed.state is not row.state:
        await tell(tx, changed)
    return changed


def _refused(state: str) -> errors.PartnerSandboxStateRefuses:
    return errors.PartnerSandboxStateRefuses("the sandbox isn't ready", state=state)


async def _ask(tx: TenantTx, caller: Caller, row: OwnedSandbox, action: str) -> None:
    facts = {"partner_id": ids.encode(ids.Prefix.PARTNER, row.partner_id), "seeded": row.seeded}
    await audit.record(tx, audit.new_record(caller, action, row.wire_id, facts=facts))
    await _enqueue(tx, [row.id])


async def tell(tx: TenantTx, row: OwnedSandbox) -> None:
    """Write the event of what a sandbox has become, for the bank and the partner, in the transaction of the change."""
    await _emit(tx, _BECAME[row.state], row, row.state, row.updated_at)


async def tell_removed(tx: TenantTx, row: OwnedSandbox) -> None:
    """Write the event that a sandbox is gone, in the transaction in which it is forgotten."""
    await _emit(tx, events.PARTNER_SANDBOX_REMOVED, row, None, await tenant_now(tx))


async def _emit(
    tx: TenantTx,
    what: EventType[PartnerSandboxEventData],
    row: OwnedSandbox,
    state: PartnerSandboxState | None,
    at: datetime,
) -> None:
    partner_id = ids.encode(ids.Prefix.PARTNER, row.partner_id)
    data = PartnerSandboxEventData(id=row.wire_id, partner_id=partner_id, state=state)
    await outbox.emit(tx, outbox.new_event(what, row.wire_id, data, at))


async def _enqueue(tx: TenantTx, sandbox_ids: list[UUID]) -> None:
    await jobs.enqueue(tx, *_work_on(sandbox_ids, await tenant_now(tx)))


def _work_on(sandbox_ids: list[UUID], now: datetime) -> list[NewJob]:
    return [
        NewJob(
            id=ids.uuid7(),
            kind=WORK_JOB,
            due_at=now,
            payload=msgspec.json.encode(WorkOn(sandbox_id)),
            # Whoever is at it looks, before it ends, whether something else was asked for meanwhile.
            dedup_key=str(sandbox_id),
        )
        for sandbox_id in sandbox_ids
    ]


def _follow_up(partner_id: UUID, now: datetime) -> NewJob:
    return NewJob(id=ids.uuid7(), kind=FOLLOW_JOB, due_at=now, payload=msgspec.json.encode(FollowPartner(partner_id)))


async def unfinished(tx: TenantTx) -> list[UUID]:
    """Return the sandboxes of which something is asked for that isn't done."""
    return [row.id for row in await queries.unfinished(tx)]


async def still_to_do(tx: Tx, now: datetime) -> list[NewJob]:
    """Return jobs in place of those that are gone: for what was asked for and isn't done, and for who was suspended."""
    asked = [row.id for row in await queries.unfinished(tx)]
    return [*_work_on(asked, now), *(_follow_up(each, now) for each in await queries.owning_partners(tx))]


async def get_ready(tx: TenantTx, caller: Caller, partner_id: UUID, sandbox_id: UUID) -> OwnedSandbox:
    """Return a sandbox that somebody can be let into.

    Raises:
        errors.NotFound: The partner has none with this id, or the caller acts for another partner.
        errors.PartnerSandboxStateRefuses: It isn't ready.
    """
    row = await get(tx, caller, partner_id, sandbox_id)
    if row.state is not PartnerSandboxState.READY:
        raise _refused(row.state.value)
    return row


async def check_not_held(services: Services, tenant: TenantRef, row: OwnedSandbox) -> None:
    """See that operators haven't suspended a sandbox: what they have isn't emptied, nor got round by another one.

    Not inside of a transaction.

    Raises:
        errors.PartnerSandboxStateRefuses: They have.
    """
    record = await services.tenants.sandbox_of(tenant.id, row.id)
    if record is not None and record.is_held:
        raise _refused(record.state.value)


async def make_credentials(call: Call, row: OwnedSandbox) -> PartnerSandboxCredentials:
    """Make a client of a sandbox that may do everything there, of which both audits tell. Not inside of a transaction.

    Nobody is told its secret before the bank's audit tells of it, nor who is shut out meanwhile. Which tenant that is
    says the platform alone, to which the tenant and the partner must agree.

    Beyond ``MOST_CREDENTIALS`` the oldest client that came this way is disabled: who has lost all their secrets can
    disable none inside, and is let in again.

    Raises:
        errors.PartnerSandboxStateRefuses: It isn't served, because operators or the bank have closed it.
        errors.PermissionDenied: Whoever asks may no longer do it; nobody knows the client's secret then.
    """
    services, tenant, caller = call.services, call.tenant, call.caller
    record = await services.tenants.sandbox_of(tenant.id, row.id)
    if record is None or record.owner is None or record.owner.partner_id != row.partner_id:
        raise _refused("missing")
    if record.state is not TenantState.ACTIVE:
        raise _refused(record.state.value)
    sandbox = record.ref(await services.database.deployment())
    async with services.database.tx(sandbox) as tx:
        now = services.clock.now()
        former = await make_room(tx, _MADE_BY, MOST_CREDENTIALS, now=now, caller=caller)
        client, secret = await create_client(
            tx,
            services.keyring,
            name=_DEVELOPER,
            scopes=sorted(TENANT_SCOPES),
            now=now,
            caller=caller,
            registered_by=_MADE_BY,
        )
    changes = [] if former is None else [("credentials_disabled", former)]
    changes.append(("credentials_created", client.client_id))
    async with call.tx() as tx:
        told = [
            audit.new_record(caller, f"partner_sandbox.{change}", row.wire_id, facts={"client_id": client_id})
            for change, client_id in changes
        ]
        await audit.record(tx, *told)
    return PartnerSandboxCredentials(
        base_url=address(services, tenant, row.id), client_id=client.client_id, client_secret=secret
    )


async def _follow(tx: TenantTx, caller: Caller, former: Partner, partner: Partner, now: datetime) -> None:
    """Have a partner's sandboxes closed with it, and opened again."""
    del caller, now
    if former.state != partner.state:
        await jobs.enqueue(tx, _follow_up(partner.id, await tenant_now(tx)))


partners.when_changed(_follow)
partners.kept_by("sandboxes", queries.count)
