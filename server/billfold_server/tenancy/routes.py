"""What a tenant says about itself to its clients."""

import msgspec

from billfold.contract.platform import TenantInfo
from billfold_server.http.routing import Call, Routes

__all__ = ["routes"]

routes = Routes(tag="Tenant", description="The tenant itself: its brand, its currencies and what is turned on.")


@routes.get("/v1/tenant", scope="tenant:read")
async def get_tenant(call: Call) -> TenantInfo:
    """Show the tenant.

    Its brand, the currencies in which it keeps accounts, the features that are turned on, and whether it is a sandbox.
    """
    manifest = call.tenant.manifest
    return TenantInfo(
        slug=manifest.slug,
        name=manifest.name,
        brand=msgspec.to_builtins(manifest.brand),
        currencies=[str(currency) for currency in manifest.currencies],
        features=[str(feature) for feature in manifest.features],
        sandbox=manifest.sandbox,
    )
