"""The backends that a deployment has: one for what is new, and any others from which it is still moving."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from uuid import UUID

from billfold import errors
from billfold_server.keys.backends import Backend, BackendName, Health, TenantKey, Versions, Wrapped

__all__ = ["Backends", "Guard"]

Guard = Callable[[UUID], Awaitable[None]]
"""Is asked before a tenant's keys are; raises ``errors.KeysUnavailable`` where the backend isn't to answer."""


class Backends:
    """The backends of a deployment.

    Args:
        current: The one that wraps new epochs.
        others: Those that still unwrap old ones.
    """

    def __init__(self, current: Backend, *others: Backend) -> None:
        self.current = current
        self._by_name: Mapping[str, Backend] = {each.name: each for each in (*others, current)}

    def guard(self, guard: Guard) -> None:
        """Let somebody see that a backend answers for a tenant, before each question that concerns one."""
        current = self.current.name
        self._by_name = {name: _Guarded(backend, guard) for name, backend in self._by_name.items()}
        self.current = self._by_name[current]

    def named(self, name: str) -> Backend:
        """Return a backend by its name in the key store.

        Raises:
            errors.KeysUnavailable: This deployment isn't told how to reach it.
        """
        try:
            return self._by_name[name]
        except KeyError:
            msg = "the keys are not available at the moment"
            raise errors.KeysUnavailable(msg, reason="not_configured", retry_after_s=60) from None

    def names(self) -> list[BackendName]:
        """Return the names of those that are configured."""
        return [each.name for each in self._by_name.values()]

    async def close(self) -> None:
        """Close them all."""
        for each in self._by_name.values():
            await each.close()


class _Guarded:
    """A backend before which somebody stands."""

    def __init__(self, backend: Backend, guard: Guard) -> None:
        self._backend = backend
        self._guard = guard

    @property
    def name(self) -> BackendName:
        return self._backend.name

    async def ensure(self, key: TenantKey) -> None:
        await self._guard(key.tenant_id)
        await self._backend.ensure(key)

    async def wrap(self, key: TenantKey, plain: bytes, bound_to: bytes) -> Wrapped:
        await self._guard(key.tenant_id)
        return await self._backend.wrap(key, plain, bound_to)

    async def unwrap(self, key: TenantKey, wrapped: Wrapped, bound_to: bytes) -> bytes:
        await self._guard(key.tenant_id)
        return await self._backend.unwrap(key, wrapped, bound_to)

    async def rewrap(self, key: TenantKey, wrapped: Sequence[tuple[Wrapped, bytes]]) -> list[Wrapped]:
        await self._guard(key.tenant_id)
        return await self._backend.rewrap(key, wrapped)

    async def rotate(self, key: TenantKey) -> int:
        await self._guard(key.tenant_id)
        return await self._backend.rotate(key)

    async def versions(self, key: TenantKey) -> Versions:
        await self._guard(key.tenant_id)
        return await self._backend.versions(key)

    async def retire(self, key: TenantKey, below: int) -> None:
        await self._guard(key.tenant_id)
        await self._backend.retire(key, below)

    async def destroy(self, key: TenantKey) -> None:
        # Whoever deletes a tenant may do so while it is simulated that nothing answers.
        await self._backend.destroy(key)

    async def health(self) -> Health:
        return await self._backend.health()

    async def close(self) -> None:
        await self._backend.close()
