"""A key store for tests: one database per process of a run; each test has tenants and a keyring of its own."""

import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest
import pytest_asyncio

from billfold_server.db.embedded import EmbeddedPostgres
from billfold_server.keys.service import (
    Backend,
    Backends,
    Domain,
    Keyring,
    Keys,
    KeyStore,
    Limits,
    LocalBackend,
    prepare_store,
)
from tests.postgres import create_database, drop_database, in_own_loop

__all__ = ["Owner", "StoreUrls", "key_store_urls", "keyring", "move", "new_keys", "owner", "store"]


class StoreUrls(msgspec.Struct, frozen=True):
    """How a key store is reached: as the administrator, and as the server."""

    admin: str
    own: str


class Owner(msgspec.Struct, frozen=True):
    """Whose keys, as far as keys care."""

    id: UUID


@pytest.fixture(scope="session")
def key_store_urls(postgres: EmbeddedPostgres) -> Iterator[StoreUrls]:
    """A key store that all tests of this process share; their tenants keep them apart."""
    admin = create_database(postgres)
    yield StoreUrls(admin, in_own_loop(prepare_store(admin, Keyring(b"k" * 32))))
    drop_database(postgres, admin)


@pytest_asyncio.fixture
async def store(key_store_urls: StoreUrls) -> AsyncIterator[KeyStore]:
    """The key store as one process has it, but that it waits longer, so that a slow machine isn't a test's finding."""
    opened = KeyStore(key_store_urls.own, timeout_s=20)
    yield opened
    await opened.close()


@pytest.fixture
def keyring() -> Keyring:
    """The keyring of a deployment of the test's own."""
    return Keyring(secrets.token_bytes(32))


@pytest.fixture
def owner() -> Owner:
    """A tenant that has no keys yet."""
    return Owner(uuid4())


@pytest_asyncio.fixture
async def new_keys(key_store_urls: StoreUrls, keyring: Keyring) -> AsyncIterator[Callable[..., Keys]]:
    """Make what a further process would have: ``new_keys(domain="cards", limits=…)``."""
    made: list[Keys] = []

    def make(
        *,
        domain: Domain = "data",
        limits: Limits | None = None,
        backend: Callable[[KeyStore], Backend] | None = None,
        **options: Any,
    ) -> Keys:
        own = KeyStore(key_store_urls.own)
        wraps = LocalBackend(keyring, own) if backend is None else backend(own)
        made.append(Keys(own, Backends(wraps), domain=domain, limits=limits, **options))
        return made[-1]

    yield make
    for each in made:
        await each.close()


async def as_administrator(urls: StoreUrls, sql: str, *arguments: object) -> list[asyncpg.Record]:
    """Run a statement on the key store's tables as their owner."""
    connection = await asyncpg.connect(urls.admin, server_settings={"search_path": "billfold_keys"})
    try:
        return await connection.fetch(sql, *arguments)
    finally:
        await connection.close()


async def move(keys: Keys, dsn: str) -> None:
    """Let a process's key store be somewhere else from now on; nowhere is an outage, and back again its end."""
    # Who looks in the background would open it anew where it was, and say afterwards that nothing is to be forgotten.
    async with keys.evictions._looking:
        keys.store._dsn = dsn
        await keys.store.close()
        keys.evict_all()
        keys.evictions._looked_at = float("-inf")
