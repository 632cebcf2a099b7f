"""What every backend does alike: wraps for one tenant and domain, rotates, retires, and destroys."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio

from billfold_server.keys.backends.vault.backend import VaultBackend
from billfold_server.keys.service import Backend, Keyring, KeyStore, LocalBackend, SealBroken, TenantKey, Wrapped
from tests.openbao import OpenBao
from tests.server.keys.vault.kit import approle, opened

PLAIN = bytes(range(32))
BOUND = b"an epoch"


@pytest.fixture(params=["local", "vault"])
def backend(request: pytest.FixtureRequest) -> Backend:
    """One backend after the other. Each has a fixture, ``<name>_backend``, which makes and closes it."""
    made: Backend = request.getfixturevalue(f"{request.param}_backend")
    return made


@pytest.fixture
def local_backend(keyring: Keyring, store: KeyStore) -> LocalBackend:
    """The backend of a keyring."""
    return LocalBackend(keyring, store)


@pytest_asyncio.fixture
async def vault_backend(openbao: OpenBao, tmp_path: Path) -> AsyncIterator[VaultBackend]:
    """The backend of a real OpenBao, as somebody who may rotate and destroy keys."""
    settings = approle(openbao, tmp_path, "billfold-operator")
    async with opened(openbao, tmp_path, **settings) as backend:
        yield backend


@pytest_asyncio.fixture
async def key(backend: Backend) -> TenantKey:
    """A tenant's key that is there."""
    made = TenantKey(uuid4(), "data")
    await backend.ensure(made)
    return made


def changed(wrapped: Wrapped) -> Wrapped:
    """Return something wrapped with one bit of its end another."""
    return Wrapped(wrapped.version, wrapped.data[:-1] + bytes([wrapped.data[-1] ^ 1]))


class TestABackend:
    async def test_unwraps_what_it_has_wrapped(self, backend: Backend, key: TenantKey) -> None:
        """What was wrapped comes back, is never the same twice, and shows nothing of itself."""
        first, second = await backend.wrap(key, PLAIN, BOUND), await backend.wrap(key, PLAIN, BOUND)
        assert first.version == 1
        assert first.data != second.data
        assert PLAIN not in first.data
        assert await backend.unwrap(key, first, BOUND) == await backend.unwrap(key, second, BOUND) == PLAIN

    async def test_unwraps_for_nobody_and_nothing_else(self, backend: Backend, key: TenantKey) -> None:
        """Another tenant, another domain, something else to be bound to, another version, or a changed bit: refused."""
        wrapped = await backend.wrap(key, PLAIN, BOUND)
        others = [TenantKey(uuid4(), "data"), TenantKey(key.tenant_id, "cards")]
        for other in others:
            await backend.ensure(other)
            with pytest.raises(SealBroken):
                await backend.unwrap(other, wrapped, BOUND)
        for bad, bound_to in [
            (wrapped, b"another epoch"),
            (changed(wrapped), BOUND),
            (Wrapped(2, wrapped.data), BOUND),
            (Wrapped(1, b""), BOUND),
        ]:
            with pytest.raises(SealBroken):
                await backend.unwrap(key, bad, bound_to)

    async def test_has_no_key_that_nobody_made(self, backend: Backend) -> None:
        """A tenant's key isn't made by the way."""
        missing = TenantKey(uuid4(), "data")
        for attempt in (
            backend.wrap(missing, PLAIN, BOUND),
            backend.unwrap(missing, Wrapped(1, bytes(60)), BOUND),
            backend.versions(missing),
            backend.rotate(missing),
        ):
            with pytest.raises(SealBroken):
                await attempt

    async def test_makes_a_key_once_though_many_ask(self, backend: Backend) -> None:
        """Of many that ensure a key at the same time, all have the same one."""
        key = TenantKey(uuid4(), "cards")
        await asyncio.gather(*(backend.ensure(key) for _ in range(8)))
        wrapped = await backend.wrap(key, PLAIN, BOUND)
        await backend.ensure(key)
        assert await backend.unwrap(key, wrapped, BOUND) == PLAIN
        assert (await backend.versions(key)).latest == 1

    async def test_rotates_and_still_opens_what_is_older(self, backend: Backend, key: TenantKey) -> None:
        """A new version wraps from then on; the former one unwraps."""
        old = await backend.wrap(key, PLAIN, BOUND)
        assert await backend.rotate(key) == 2
        new = await backend.wrap(key, PLAIN, BOUND)
        assert (old.version, new.version) == (1, 2)
        versions = await backend.versions(key)
        assert (versions.latest, versions.least) == (2, 1)
        assert await backend.unwrap(key, old, BOUND) == await backend.unwrap(key, new, BOUND) == PLAIN

    async def test_rewraps_in_order_what_older_versions_have_wrapped(self, backend: Backend, key: TenantKey) -> None:
        """Each comes back under the latest version, bound as before; one that doesn't open fails the whole."""
        bounds = [b"epoch %d" % number for number in range(3)]
        old = [await backend.wrap(key, b"%d" % number * 16, bound_to) for number, bound_to in enumerate(bounds)]
        await backend.rotate(key)
        new = await backend.rewrap(key, list(zip(old, bounds, strict=True)))
        assert [each.version for each in new] == [2, 2, 2]
        for number, (each, bound_to) in enumerate(zip(new, bounds, strict=True)):
            assert await backend.unwrap(key, each, bound_to) == b"%d" % number * 16
        with pytest.raises(SealBroken):
            await backend.rewrap(key, [(old[0], bounds[0]), (changed(old[1]), bounds[1])])

    async def test_opens_nothing_of_a_retired_version(self, backend: Backend, key: TenantKey) -> None:
        """What a retired version has wrapped is lost; what the latest has wrapped isn't."""
        old = await backend.wrap(key, PLAIN, BOUND)
        await backend.rotate(key)
        new = await backend.wrap(key, PLAIN, BOUND)
        await backend.retire(key, 2)
        assert (await backend.versions(key)).least == 2
        with pytest.raises(SealBroken):
            await backend.unwrap(key, old, BOUND)
        assert await backend.unwrap(key, new, BOUND) == PLAIN

    async def test_destroys_a_key_for_good(self, backend: Backend, key: TenantKey) -> None:
        """Afterwards nothing opens, not even when a key is made for the same tenant again; twice is once."""
        wrapped = await backend.wrap(key, PLAIN, BOUND)
        await backend.destroy(key)
        await backend.destroy(key)
        with pytest.raises(SealBroken):
            await backend.unwrap(key, wrapped, BOUND)
        await backend.ensure(key)
        with pytest.raises(SealBroken):
            await backend.unwrap(key, wrapped, BOUND)

    async def test_is_healthy(self, backend: Backend) -> None:
        """It says so while it answers."""
        assert (await backend.health()).ok
