"""Tenants' keys that follow from the deployment's keyring, for development, tests and trials on one's own machines.

A version of a tenant's key is derived from the keyring's secret and 32 random bytes of its own, which lie in the key
store. Neither opens anything without the other: a copy of the key store lacks the keyring, and a destroyed version
lacks its random bytes, whoever has the keyring. Workers on several machines need nothing in common but these two.
"""

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from billfold import errors
from billfold_server.keys import queries, rules
from billfold_server.keys.backends import Health, TenantKey, Versions, Wrapped
from billfold_server.keys.rules import SealBroken

if TYPE_CHECKING:
    from billfold_server.keys.keyring import Keyring
    from billfold_server.keys.store import KeyStore

__all__ = ["LocalBackend"]

_SALT_BYTES = 32


class LocalBackend:
    """Derives tenants' keys from the keyring.

    Args:
        keyring: Whose secret they follow from.
        store: Where each version's random bytes lie.
    """

    name: Literal["local"] = "local"

    def __init__(self, keyring: "Keyring", store: "KeyStore") -> None:
        self._secret = keyring.derive("tenant keys")
        self._store = store

    async def ensure(self, key: TenantKey) -> None:
        """Make a key where it isn't there."""
        await self._store.execute(queries.INSERT_FIRST_LOCAL_KEY, key.tenant_id, key.domain, _salt())

    async def wrap(self, key: TenantKey, plain: bytes, bound_to: bytes) -> Wrapped:
        """Wrap something by the key's latest version."""
        version, salt = max((await self._salts(key)).items())
        sealed = rules.seal(self._key(key, version, salt), plain, bound_to, nonce=secrets.token_bytes(12))
        return Wrapped(version, sealed)

    async def unwrap(self, key: TenantKey, wrapped: Wrapped, bound_to: bytes) -> bytes:
        """Return what was wrapped."""
        salt = (await self._salts(key)).get(wrapped.version)
        if salt is None:
            raise SealBroken
        return rules.unseal(self._key(key, wrapped.version, salt), wrapped.data, bound_to)

    async def rewrap(self, key: TenantKey, wrapped: Sequence[tuple[Wrapped, bytes]]) -> list[Wrapped]:
        """Wrap anew, by the latest version, what older ones have wrapped."""
        return [await self.wrap(key, await self.unwrap(key, each, bound_to), bound_to) for each, bound_to in wrapped]

    async def rotate(self, key: TenantKey) -> int:
        """Give the key a new version, and return it."""
        made = await self._store.fetch(queries.INSERT_NEXT_LOCAL_KEY, key.tenant_id, key.domain, _salt())
        if not made:
            # Somebody else has made it at the same moment, unless there is no such key; then this raises.
            return (await self.versions(key)).latest
        return int(made[0]["version"])

    async def versions(self, key: TenantKey) -> Versions:
        """Return which versions there are."""
        salts = await self._salts(key)
        return Versions(latest=max(salts), least=min(salts))

    async def retire(self, key: TenantKey, below: int) -> None:
        """Destroy the versions below one, but never the latest."""
        await self._store.execute(queries.DELETE_LOCAL_KEYS_BELOW, key.tenant_id, key.domain, below)

    async def destroy(self, key: TenantKey) -> None:
        """Destroy the key with all of its versions."""
        await self._store.execute(queries.DELETE_LOCAL_KEYS, key.tenant_id, key.domain)

    async def health(self) -> Health:
        """Tell whether the key store answers."""
        try:
            await self._store.fetch(queries.HEAD)
        except errors.KeysUnavailable:
            return Health(ok=False, reason="key_store_unreachable")
        return Health(ok=True)

    async def close(self) -> None:
        """Do nothing: the key store isn't ours to close."""

    async def _salts(self, key: TenantKey) -> dict[int, bytes]:
        found = await self._store.fetch(queries.LOCAL_KEYS, key.tenant_id, key.domain)
        if not found:
            raise SealBroken
        return {row["version"]: row["salt"] for row in found}

    def _key(self, key: TenantKey, version: int, salt: bytes) -> bytes:
        return rules.derive(self._secret, f"tenant key {key.tenant_id} {key.domain} {version}", salt=salt)


def _salt() -> bytes:
    return secrets.token_bytes(_SALT_BYTES)
