"""The keys by which anybody can verify what a realm has signed.

A tenant and the platform are served by the same functions; the address says whose keys are meant.
"""

from billfold.contract.oauth import JwkSet
from billfold_server.http.routing import Call, Reply, Routes

__all__ = ["platform_routes", "routes"]

routes = Routes(
    tag="Identity",
    description="Access tokens (RFC 6749, RFC 9068), bound to the client's key (RFC 9449, RFC 8705) by most profiles.",
    audience="tenant-public",
)
platform_routes = Routes(
    tag="Identity",
    description="Access tokens of platform operators, by an issuer of their own.",
    audience="platform-public",
)

_KEYS_MAX_AGE_S = 300


async def _keys(call: Call) -> Reply[JwkSet]:
    identity = call.services.identity
    keys = await identity.jwks(identity.realm(call.tenant_or_none))
    return Reply(body=keys, headers={"Cache-Control": f"public, max-age={_KEYS_MAX_AGE_S}"})


@routes.get("/.well-known/jwks.json")
async def get_jwks(call: Call) -> Reply[JwkSet]:
    """Show the public keys by which this tenant's access tokens can be verified."""
    return await _keys(call)


@platform_routes.get("/platform/.well-known/jwks.json")
async def get_platform_jwks(call: Call) -> Reply[JwkSet]:
    """Show the public keys by which operators' access tokens can be verified."""
    return await _keys(call)
