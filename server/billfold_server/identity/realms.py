"""Realms: who issues and accepts tokens. Each tenant is one, and the platform is one.

A token is good in its realm alone: realms share neither keys nor issuer nor audience.
"""

from typing import Final

import msgspec

from billfold import ids
from billfold.ids import Prefix
from billfold_server.identity.profiles import PROFILES, Profile
from billfold_server.tenancy.context import TenantRef

__all__ = ["Realm", "realm_of"]

_PLATFORM: Final = "platform"


class Realm(msgspec.Struct, frozen=True):
    """Who issues and accepts tokens.

    Attributes:
        owner: The tenant's id, or ``platform``; sealed keys are bound to it.
        issuer: The canonical base URL, which is the tokens' ``iss``.
        audience: The API's URL, which is their ``aud``.
        tenant: The tenant; None is the platform.
        profile: What it asks of its clients.
    """

    owner: str
    issuer: str
    audience: str
    tenant: TenantRef | None
    profile: Profile

    @property
    def platform(self) -> bool:
        """Tell whether these are the platform's own operators."""
        return self.tenant is None


def realm_of(base_url: str, tenant: TenantRef | None, *, production: bool = False) -> Realm:
    """Return the realm of a tenant, or of the platform.

    Args:
        base_url: How the world reaches the server.
        tenant: The tenant; None is the platform.
        production: Whether the deployment serves real money. If so, operators authenticate as strictly as any bank's
            clients; on a developer's machine a secret will do. A tenant's manifest says what it asks for.
    """
    if tenant is None:
        profile = PROFILES["fapi2" if production else "sandbox"]
        return Realm(_PLATFORM, f"{base_url}/platform", f"{base_url}/platform/v1", None, profile)
    issuer = f"{base_url}/t/{tenant.slug}"
    profile = PROFILES[tenant.manifest.security_profile]
    return Realm(ids.encode(Prefix.TENANT, tenant.id), issuer, f"{issuer}/v1", tenant, profile)
