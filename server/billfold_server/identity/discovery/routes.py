"""What the authorization server says about itself, at each address where clients look for it."""

import msgspec

from billfold import errors
from billfold.contract.oauth import ServerMetadata
from billfold_server.http.routing import Call, Reply, Routes
from billfold_server.identity.authorization import details
from billfold_server.identity.authorization.intents import OPEN_BANKING_CONSENT
from billfold_server.identity.discovery import documents
from billfold_server.identity.discovery.documents import Deployment
from billfold_server.identity.grants.issuing import FRAME
from billfold_server.open_banking.edge.routes import RESOURCE as OPEN_BANKING

__all__ = ["SERVED", "platform_routes", "routes"]

routes = Routes(tag="Identity", description="What an authorization server says about itself.", audience="tenant-public")
platform_routes = Routes(
    tag="Identity",
    description="What the platform's authorization server says about itself.",
    audience="platform-public",
)

SERVED = "served"
"""Under which the process keeps the paths of all operations."""

_MAX_AGE_S = 300


def _deployment(call: Call) -> Deployment:
    services, tenant = call.services, call.tenant_or_none
    settings = services.settings
    # Operators have no wallets and give no consents.
    types = [] if tenant is None else [*details.kinds()]
    open_banking = tenant is not None and tenant.manifest.open_banking.enabled
    return Deployment(
        served=services.rooms[SERVED],
        mtls_base_url=settings.mtls_base_url,
        certificates=settings.takes_certificates,
        grant_types=FRAME.grant_types,
        details_types=[each for each in types if open_banking or each != OPEN_BANKING_CONSENT.name],
        languages=["en", "de"],
        registration=tenant is not None and tenant.manifest.registration.mode != "closed",
        open_banking=open_banking,
    )


def _metadata(call: Call) -> Reply[ServerMetadata]:
    document = documents.metadata(call.services.identity.realm(call.tenant_or_none), _deployment(call))
    return Reply(body=document, headers={"Cache-Control": f"public, max-age={_MAX_AGE_S}"})


async def get_resource_metadata(call: Call) -> Reply[bytes]:
    """Show what the protected resource is, and who issues tokens for it (RFC 9728)."""
    document = documents.resource_metadata(call.services.identity.realm(call.tenant_or_none), _deployment(call))
    return Reply(body=msgspec.json.encode(document), headers={"Cache-Control": f"public, max-age={_MAX_AGE_S}"})


@routes.get(f"/.well-known/oauth-protected-resource{OPEN_BANKING}", in_document=False, by_itself=True)
async def get_open_banking_resource_metadata(call: Call) -> Reply[bytes]:
    """Show what third parties' resource is, and who issues tokens for it (RFC 9728)."""
    if not call.tenant.manifest.open_banking.enabled:
        raise errors.NotFound("the bank doesn't take third parties")
    realm = call.services.identity.realm(call.tenant)
    document = documents.resource_metadata(realm, _deployment(call), OPEN_BANKING)
    return Reply(body=msgspec.json.encode(document), headers={"Cache-Control": f"public, max-age={_MAX_AGE_S}"})


for _room, _place, _name in (
    (routes, "", "getResourceMetadata"),
    (platform_routes, "/platform", "getPlatformResourceMetadata"),
):
    _room.get(f"{_place}/.well-known/oauth-protected-resource", in_document=False, by_itself=True, operation_id=_name)(
        get_resource_metadata
    )


@routes.get("/.well-known/oauth-authorization-server")
async def get_server_metadata(call: Call) -> Reply[ServerMetadata]:
    """Show what this tenant's authorization server can do (RFC 8414)."""
    return _metadata(call)


@routes.get("/.well-known/openid-configuration")
async def get_openid_configuration(call: Call) -> Reply[ServerMetadata]:
    """Show the same as OpenID Connect clients look for it."""
    return _metadata(call)


@platform_routes.get("/platform/.well-known/oauth-authorization-server", by_itself=True)
async def get_platform_server_metadata(call: Call) -> Reply[ServerMetadata]:
    """Show what the platform's authorization server can do (RFC 8414)."""
    return _metadata(call)


@platform_routes.get("/platform/.well-known/openid-configuration", by_itself=True)
async def get_platform_openid_configuration(call: Call) -> Reply[ServerMetadata]:
    """Show the same as OpenID Connect clients look for it."""
    return _metadata(call)
