"""What a tenant says about itself to its clients, and what operators do with tenants."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta

from billfold import errors, ids
from billfold.contract.common import JobId, Page
from billfold.contract.platform import ApplyTenant, ChangeTenantState, DeadJob, Slug, Tenant, TenantInfo
from billfold.ids import Prefix
from billfold_server.http.routing import Call, Routes
from billfold_server.tenancy import dead_jobs
from billfold_server.tenancy.manifest import Brand, parse_manifest
from billfold_server.tenancy.service import Tenants

__all__ = ["platform_routes", "routes"]

routes = Routes(tag="Tenant", description="The tenant itself: its brand, its currencies and what is turned on.")


@routes.get("/v1/tenant", scope="tenant:read", customers=True)
async def get_tenant(call: Call) -> TenantInfo:
    """Show the tenant.

    Its brand, the currencies in which it keeps accounts, the features that are turned on, and whether it is a sandbox.
    """
    manifest = call.tenant.manifest
    return TenantInfo(
        slug=manifest.slug,
        name=manifest.name,
        brand=_shown(manifest.brand),
        currencies=[str(currency) for currency in manifest.currencies],
        features=[str(feature) for feature in manifest.features],
        sandbox=manifest.sandbox,
    )


def _shown(brand: Brand) -> dict[str, Any]:
    """Return a brand without the picture itself, which the hosted pages show."""
    members: dict[str, Any] = msgspec.to_builtins(brand)
    return {name: value for name, value in members.items() if name != "logo_image"}


platform_routes = Routes(
    tag="Tenants", description="The tenants of this deployment, as its operators see them.", audience="platform"
)
_EXAMPLE = {
    "slug": "demo_bank",
    "name": "Demo Bank",
    "brand": {"display_name": "Demo Bank"},
    "currencies": ["EUR", "USD"],
    "isolation": "role",
}
_READ = "platform:tenants:read"
_WRITE = "platform:tenants:write"
_Limit = Annotated[int, Meta(ge=1, le=100, description="How many to return at most.")]


@platform_routes.get("/platform/v1/tenants", scope=_READ, errors=(errors.InvalidCursor,))
async def list_tenants(call: Call, *, limit: _Limit = 25, cursor: str | None = None) -> Page[Tenant]:
    """List the tenants, in order of their slugs."""
    position = call.cursors.decode("tenants", cursor)
    after = "" if position is None else str(position[0])
    records = await _tenants(call).list_tenants(after=after, limit=limit + 1)
    return call.page("tenants", [record.view() for record in records], limit, key=lambda tenant: (tenant.slug,))


@platform_routes.post(
    "/platform/v1/tenants",
    scope=_WRITE,
    errors=(errors.ManifestInvalid, errors.TenantExists, errors.TenantStateRefuses, errors.FeatureDisabled),
    examples={"request": {"slug": "demo_bank", "manifest": _EXAMPLE}},
)
async def apply_tenant(call: Call, body: ApplyTenant) -> Tenant:
    """Create a tenant, or change it to what the manifest says.

    Applying the same manifest again changes nothing. If it is cut short, applying again goes on from there. A tenant
    that was made as a sandbox stays one, and one that wasn't never becomes one.
    """
    manifest = parse_manifest(body.manifest, file="manifest")
    if manifest.slug != body.slug:
        msg = "the manifest's slug isn't the one of the request"
        raise errors.ManifestInvalid(msg, param="slug", file="manifest", key="slug", reason=msg)
    return (await _tenants(call).apply(manifest, caller=call.caller)).tenant.view()


@platform_routes.get("/platform/v1/tenants/{slug}", scope=_READ, errors=(errors.UnknownTenant,))
async def get_tenant_record(call: Call, slug: Slug) -> Tenant:
    """Show a tenant."""
    return (await _tenants(call).get(slug)).view()


@platform_routes.delete(
    "/platform/v1/tenants/{slug}",
    scope=_WRITE,
    errors=(errors.UnknownTenant, errors.TenantStateRefuses, errors.FeatureDisabled),
)
async def delete_tenant(call: Call, slug: Slug, *, confirm: str = "") -> None:
    """Delete a tenant with all of its data and its partners' sandboxes, for good.

    It must be suspended first, and `confirm` must repeat its slug. From the answer on nobody brings it back. It is
    deleted in the moments after: until then it is shown in state `deleting`, and then it isn't there any more.
    """
    reason = f"deleted by {call.caller.actor}"
    await _tenants(call).ask_to_delete(slug, confirm=confirm, reason=reason, caller=call.caller)


@platform_routes.post(
    "/platform/v1/tenants/{slug}/suspend", scope=_WRITE, errors=(errors.UnknownTenant, errors.TenantStateRefuses)
)
async def suspend_tenant(call: Call, slug: Slug, body: ChangeTenantState) -> Tenant:
    """Stop serving a tenant. Its data stays as it is."""
    return (await _tenants(call).suspend(slug, reason=body.reason, caller=call.caller)).view()


@platform_routes.post(
    "/platform/v1/tenants/{slug}/resume", scope=_WRITE, errors=(errors.UnknownTenant, errors.TenantStateRefuses)
)
async def resume_tenant(call: Call, slug: Slug, body: ChangeTenantState) -> Tenant:
    """Serve a suspended tenant again.

    A partner's sandbox stays closed while its partner is suspended, and is served once that is let in.
    """
    return (await _tenants(call).resume(slug, reason=body.reason, caller=call.caller)).view()


@platform_routes.post(
    "/platform/v1/tenants/{slug}/migrate",
    scope=_WRITE,
    errors=(errors.UnknownTenant, errors.TenantStateRefuses, errors.FeatureDisabled),
)
async def migrate_tenant(call: Call, slug: Slug) -> Tenant:
    """Bring a tenant's schema up to date."""
    return (await _tenants(call).migrate_tenant(slug, caller=call.caller)).view()


_OPENED = (errors.UnknownTenant, errors.TenantStateRefuses, errors.TenantUnreadable)


@platform_routes.get("/platform/v1/tenants/{slug}/dead-jobs", scope=_READ, errors=(*_OPENED, errors.InvalidCursor))
async def list_dead_jobs(call: Call, slug: Slug, *, limit: _Limit = 25, cursor: str | None = None) -> Page[DeadJob]:
    """List a tenant's jobs that failed as often as they may.

    The oldest comes first. They are kept for the manifest's `dead_jobs_days`, and nobody tries them again by itself.
    """
    position = call.cursors.decode("dead_jobs", cursor)
    async with _tenants(call).tx(slug) as tx:
        after = None if position is None else UUID(str(position[0]))
        found = await dead_jobs.list_page(tx, after=after, limit=limit + 1)
    return call.page("dead_jobs", found, limit, key=lambda each: [str(ids.decode(Prefix.JOB, each.id))])


@platform_routes.post(
    "/platform/v1/tenants/{slug}/dead-jobs/{job_id}/retry",
    scope=_WRITE,
    errors=(*_OPENED, errors.NotFound, errors.JobStateRefuses),
)
async def retry_dead_job(call: Call, slug: Slug, job_id: JobId) -> None:
    """Have a dead job tried again at once, with all its attempts.

    Where the tenant is suspended, that waits until it is served again. It stands in the tenant's own audit trail.
    """
    async with _tenants(call).tx(slug) as tx:
        await dead_jobs.retry(tx, ids.decode(Prefix.JOB, job_id), caller=call.caller)


def _tenants(call: Call) -> Tenants:
    return call.services.tenants
