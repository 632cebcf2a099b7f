"""Where tenants' keys lie, and what is asked of it: the same of a keyring on this machine and of a Vault.

A tenant has one key per domain. It wraps the keys of epochs and nothing else, so a backend is asked when a tenant is
new, when a process sees an epoch for the first time, and when keys are rotated; hardly ever, in other words.

Whatever keeps a backend from answering is ``errors.KeysUnavailable``, with the ``reason`` and when to come back. What
it can't open is ``SealBroken``: wrapped by another key, for another epoch, or by a version that is there no longer.
"""

from collections.abc import Callable, Sequence
from typing import Literal, Protocol
from uuid import UUID

import msgspec

from billfold_server.keys.rules import Domain

__all__ = ["Backend", "BackendName", "Health", "Observe", "Reason", "TenantKey", "Versions", "Wrapped"]

BackendName = Literal["local", "vault"]

Reason = Literal[
    "sealed", "standby", "unreachable", "slow", "forbidden", "failing", "key_store_unreachable", "not_configured"
]
"""Why no key is to be had."""


Observe = Callable[[str, str, float], None]
"""Is told of each call: what was asked, how it went (``ok``, ``refused``, ``given_up`` or a reason), its seconds."""


class TenantKey(msgspec.Struct, frozen=True):
    """Which key: a tenant's, for one domain."""

    tenant_id: UUID
    domain: Domain


class Wrapped(msgspec.Struct, frozen=True):
    """What a tenant's key has wrapped.

    Attributes:
        version: Of the tenant's key.
        data: What the backend made of it.
    """

    version: int
    data: bytes


class Versions(msgspec.Struct, frozen=True):
    """Which versions a tenant's key has.

    Attributes:
        latest: The one that wraps.
        least: The oldest that still unwraps.
    """

    latest: int
    least: int


class Health(msgspec.Struct, frozen=True):
    """Whether a backend answers, and why it doesn't."""

    ok: bool
    reason: Reason | None = None


class Backend(Protocol):
    """Keeps tenants' keys. Every method may raise ``errors.KeysUnavailable``."""

    @property
    def name(self) -> BackendName:
        """What it is called in the key store."""

    async def ensure(self, key: TenantKey) -> None:
        """Make a key where it isn't there."""

    async def wrap(self, key: TenantKey, plain: bytes, bound_to: bytes) -> Wrapped:
        """Wrap something by the key's latest version, bound to what it belongs to.

        Raises:
            SealBroken: There is no such key.
        """

    async def unwrap(self, key: TenantKey, wrapped: Wrapped, bound_to: bytes) -> bytes:
        """Return what was wrapped.

        Raises:
            SealBroken: By another key, or a version that is there no longer; for something else; or it was changed.
        """

    async def rewrap(self, key: TenantKey, wrapped: Sequence[tuple[Wrapped, bytes]]) -> list[Wrapped]:
        """Wrap anew, by the latest version, what older ones have wrapped; each comes with what it is bound to.

        Raises:
            SealBroken: One of them doesn't open.
        """

    async def rotate(self, key: TenantKey) -> int:
        """Give the key a new version, and return it. What older ones have wrapped still opens."""

    async def versions(self, key: TenantKey) -> Versions:
        """Return which versions there are.

        Raises:
            SealBroken: There is no such key.
        """

    async def retire(self, key: TenantKey, below: int) -> None:
        """Destroy the versions below one; what they have wrapped never opens again."""

    async def destroy(self, key: TenantKey) -> None:
        """Destroy the key with all of its versions, if it is there. Whoever asks has been approved by two people."""

    async def health(self) -> Health:
        """Tell whether it answers. This raises nothing."""

    async def close(self) -> None:
        """Give back what it holds."""
