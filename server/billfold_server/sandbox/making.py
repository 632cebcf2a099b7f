"""Makes, empties and removes the tenants that partners' sandboxes are, and closes those of partners that are suspended.

It works with the platform's rights, on what a tenant's own tables ask for. Of what they say it believes nothing that
leads to another tenant: whose job it is tells the owner, the slug follows from that and the sandbox's id, and only a
tenant that the platform's table names as this very sandbox is touched (ADR 43). Each step may be done again, so what is
cut short is gone on with.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final
from uuid import UUID

import msgspec

from billfold import errors
from billfold.contract.partner_sandboxes import PartnerSandboxState, PartnerSandboxStep
from billfold.contract.partners import PartnerState
from billfold.contract.platform import TenantState
from billfold.contract.sandbox import ResetSandbox
from billfold_server.audit import service as audit
from billfold_server.db import agenda
from billfold_server.http.services import Services
from billfold_server.partners import service as partners
from billfold_server.sandbox import owned
from billfold_server.sandbox import owned_queries as queries
from billfold_server.sandbox import owned_rules as rules
from billfold_server.sandbox.owned_rows import OwnedSandbox
from billfold_server.sandbox.resetting import SEEDING, reset
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.context import Caller, TenantRef
from billfold_server.tenancy.manifest import load_manifest
from billfold_server.tenancy.service import CACHE_S, Owner, Record
from billfold_server.tenancy.shipped import shipped_tenants
from billfold_server.tenancy.transaction import TenantTx

__all__ = ["carry_out", "follow_partner", "follow_resumed"]

_CALLER: Final = Caller(actor="job:partner_sandbox.work", client_id=UUID(int=0))
_TEMPLATE: Final = "sandbox"
_KNOWN_S: Final = CACHE_S + 0.25
"""After this time every worker knows of a tenant that was made, or is no longer served."""

Work = Callable[[Services, TenantRef, OwnedSandbox], Awaitable[bool]]
"""Does what is asked of a sandbox; tells whether it did, or has left it alone because operators have suspended it."""

Finish = Callable[[TenantTx], Awaitable[None]]
"""Finishes the job, in the transaction that says that all is done."""


async def carry_out(services: Services, tenant: TenantRef, sandbox_id: UUID, finish: Finish | None = None) -> None:
    """Do what is asked of a sandbox, and what is asked of it meanwhile.

    Args:
        services: The process's parts, with an administrator.
        tenant: At which the partner is.
        sandbox_id: Which sandbox.
        finish: Finishes the job, where there is one.

    Raises:
        errors.FeatureDisabled: This process has no administrator's hands.
        errors.Busy: Something still uses the sandbox's tables.
    """
    async with services.tenants.exclusively(f"partner sandbox {sandbox_id}"):
        while True:
            async with services.database.tx(tenant) as tx:
                row = await queries.lock(tx, sandbox_id)
                if row is None or row.state not in rules.UNFINISHED:
                    # Whoever asks for something now waits for the row, and writes a job of its own.
                    await _end(tx, finish)
                    return
            worked = await _WORK[row.state](services, tenant, row)
            async with services.database.tx(tenant) as tx:
                if await _settle(tx, row, worked=worked):
                    await _end(tx, finish)
                    return


async def _end(tx: TenantTx, finish: Finish | None) -> None:
    if finish is not None:
        await finish(tx)


async def _settle(tx: TenantTx, done: OwnedSandbox, *, worked: bool) -> bool:
    """Write down that it is done, or was left alone; tell whether that is still what was asked for."""
    row = await queries.lock(tx, done.id)
    if row is None or row.version != done.version:
        return False
    if worked and row.state is PartnerSandboxState.REMOVING:
        await queries.delete(tx, row.id)
        await audit.record(tx, audit.new_record(_CALLER, "partner_sandbox.removed", row.wire_id))
        await owned.tell_removed(tx, row)
        return True
    ready = msgspec.structs.replace(
        row, state=PartnerSandboxState.READY, step=PartnerSandboxStep.DONE, updated_at=await tenant_now(tx)
    )
    await queries.change(tx, ready)
    action = "partner_sandbox.ready" if worked else "partner_sandbox.left_alone"
    await audit.record(tx, audit.new_record(_CALLER, action, row.wire_id, facts={"asked": row.state.value}))
    await owned.tell(tx, ready)
    return True


async def _tell(services: Services, tenant: TenantRef, row: OwnedSandbox, step: PartnerSandboxStep) -> None:
    async with services.database.tx(tenant) as tx:
        await queries.set_step(tx, row.id, step)


async def _make(services: Services, tenant: TenantRef, row: OwnedSandbox) -> bool:
    """Make the tenant and its customers, or finish with them."""
    found = await services.tenants.sandbox_of(tenant.id, row.id)
    if found is not None and found.is_held:
        return False
    sandbox = await _applied(services, tenant, row)
    # From here on other workers may still take it for unknown, or for closed; making it may have taken any time.
    since = time.monotonic()
    if row.seeded:
        await _tell(services, tenant, row, PartnerSandboxStep.CUSTOMERS)
        await services.rooms[SEEDING](services, sandbox, row.seed)
    await _open(services, tenant, row, sandbox)
    await asyncio.sleep(max(0.0, _KNOWN_S - (time.monotonic() - since)))
    return True


async def _empty(services: Services, tenant: TenantRef, row: OwnedSandbox) -> bool:
    """Bring the sandbox back to its beginning; one that isn't there any more is made anew."""
    found = await services.tenants.sandbox_of(tenant.id, row.id)
    if found is None:
        return await _make(services, tenant, row)
    if found.is_held:
        return False
    sandbox = await _applied(services, tenant, row)
    await _tell(services, tenant, row, PartnerSandboxStep.CUSTOMERS)
    await reset(services, sandbox, _CALLER, ResetSandbox(seeded=row.seeded, seed=row.seed))
    await _open(services, tenant, row, sandbox)
    return True


async def _applied(services: Services, tenant: TenantRef, row: OwnedSandbox) -> TenantRef:
    """Return the tenant, made as this sandbox or brought to the bank's present brand."""
    await _tell(services, tenant, row, PartnerSandboxStep.TENANT)
    template = load_manifest(shipped_tenants() / _TEMPLATE)
    manifest = rules.manifest_of(template, tenant.manifest, rules.slug_of(tenant.slug, row.id), row.name)
    owner = Owner(tenant_id=tenant.id, partner_id=row.partner_id, sandbox_id=row.id)
    applied = await services.tenants.apply(manifest, owner=owner, caller=_CALLER)
    return applied.tenant.ref(await services.database.deployment())


async def _open(services: Services, tenant: TenantRef, row: OwnedSandbox, sandbox: TenantRef) -> None:
    """Have the sandbox's own jobs done, and see that it is closed where its partner was suspended meanwhile."""
    async with services.database.platform_tx() as tx:
        await agenda.plan(tx, sandbox.id, services.clock.now())
    await follow_partner(services, tenant, row.partner_id)


async def _remove(services: Services, tenant: TenantRef, row: OwnedSandbox) -> bool:
    """Delete the tenant that the platform knows as this sandbox, if there is one."""
    found = await services.tenants.sandbox_of(tenant.id, row.id)
    if found is None:
        return True
    if found.state is TenantState.ACTIVE:
        found = await services.tenants.stop_sandbox(found, caller=_CALLER)
        await asyncio.sleep(_KNOWN_S)
    if found.is_held:
        return False
    await services.rooms["background"].leave(found.id)
    await services.tenants.remove_sandbox(found, caller=_CALLER)
    return True


_WORK: Final[dict[PartnerSandboxState, Work]] = {
    PartnerSandboxState.PREPARING: _make,
    PartnerSandboxState.RESETTING: _empty,
    PartnerSandboxState.REMOVING: _remove,
}


async def follow_partner(services: Services, tenant: TenantRef, partner_id: UUID) -> None:
    """Close the sandboxes of a partner that is suspended, and open those that were closed for that."""
    version = None
    while True:
        try:
            async with services.database.tx(tenant) as tx:
                partner = await partners.hold(tx, partner_id)
        except errors.NotFound:
            # It was removed meanwhile, and before that each of its sandboxes.
            return
        if partner.version == version:
            return
        version, closed = partner.version, partner.state == PartnerState.SUSPENDED.value
        after = ""
        while sandboxes := await services.tenants.sandboxes_of(tenant.id, partner_id, after=after):
            after = sandboxes[-1].slug
            for sandbox in sandboxes:
                await _follow(services, sandbox, closed=closed)


async def follow_resumed(services: Services, sandbox: Record) -> None:
    """Close a sandbox again that operators have resumed, where its partner is suspended: it opens with that one.

    The partner's own suspension found it held, and has left it alone.
    """
    if sandbox.owner is None or sandbox.owner_slug is None:
        return
    try:
        bank = await services.tenants.opened(sandbox.owner_slug)
    except (errors.UnknownTenant, errors.TenantStateRefuses, errors.TenantUnreadable):
        # The sandbox goes with a bank that is deleted, and isn't served beside one that isn't.
        return
    await follow_partner(services, bank, sandbox.owner.partner_id)


async def _follow(services: Services, sandbox: Record, *, closed: bool) -> None:
    try:
        await services.tenants.close_sandbox(sandbox, closed=closed, caller=_CALLER)
    except (errors.TenantStateRefuses, errors.UnknownTenant):
        # It is being removed, or its keys are destroyed: closed for good.
        return
