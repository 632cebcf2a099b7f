"""Security event tokens: what third parties are told, signed so that they can show it to others."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from billfold_server.http.services import Services
from billfold_server.tenancy.context import TenantRef

__all__ = ["MEDIA_TYPE", "event_types", "fresh", "sign"]

MEDIA_TYPE: Final = "application/jwt"
_TYPE: Final = "secevent+jwt"


class _Header(msgspec.Struct):
    kid: str


class _Claims(msgspec.Struct):
    events: dict[str, msgspec.Raw]


async def sign(services: Services, tenant: TenantRef, claims: Mapping[str, Any]) -> str:
    """Return claims as a token, by a key whose signatures stay good when it has been replaced (RFC 8417, section 2.3).

    Raises:
        errors.KeysUnavailable: The tenant's key can't be opened now.
    """
    identity = services.identity
    return await identity.signing.sign(identity.realm(tenant), claims, typ=_TYPE, alg="PS256", purpose="records")


async def fresh(services: Services, tenant: TenantRef, token: str) -> str:
    """Return a token as it may be shown now: signed anew, with the same claims, where its key was withdrawn since.

    Raises:
        errors.KeysUnavailable: The tenant's key can't be opened now.
    """
    head, claims, _ = token.split(".")
    kid = msgspec.json.decode(_raw(head), type=_Header).kid
    identity = services.identity
    if await identity.signing.public_key(identity.realm(tenant), kid) is not None:
        return token
    return await sign(services, tenant, msgspec.json.decode(_raw(claims)))


def event_types(token: str) -> Sequence[str]:
    """Return as what a token of ours tells something, and nothing else of it."""
    _, claims, _ = token.split(".")
    return list(msgspec.json.decode(_raw(claims), type=_Claims).events)


def _raw(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
