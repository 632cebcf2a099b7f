"""A key store for tests: one database per process of a run; each test has tenants and a keyring of its own."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit
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
from billfold_server.keys.store import TIMEOUT_S
from billfold_server.settings import Settings
from billfold_server.tenancy.rules import quoted
from tests.postgres import create_database, drop_database, in_own_loop

__all__ = ["Owner", "StoreUrls", "key_store_urls", "keyring", "new_keys", "out_of_reach", "owner", "store", "urls_of"]


_PATIENT_S = 20.0


class StoreUrls(msgspec.Struct, frozen=True):
    """How a key store is reached: as the administrator, and as the server."""

    admin: str
    own: str


def urls_of(settings: Settings) -> StoreUrls:
    """Return how a server's key store is reached, which in tests lies in its database."""
    assert settings.key_store_url is not None
    assert settings.admin_database_url is not None
    return StoreUrls(settings.admin_database_url.reveal(), settings.key_store_url.reveal())


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
    opened = KeyStore(key_store_urls.own, timeout_s=_PATIENT_S)
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
    """Make what a further process would have: ``new_keys(domain="cards", limits=…)``; ``dsn`` leads it elsewhere.

    It waits for the key store for longer than the product does, unless it is told not to be ``patient``.
    """
    made: list[Keys] = []

    def make(
        *,
        domain: Domain = "data",
        limits: Limits | None = None,
        backend: Callable[[KeyStore], Backend] | None = None,
        dsn: str | None = None,
        patient: bool = True,
        **options: Any,
    ) -> Keys:
        url = key_store_urls.own if dsn is None else dsn
        own = KeyStore(url, timeout_s=_PATIENT_S if patient else TIMEOUT_S)
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


@asynccontextmanager
async def out_of_reach(urls: StoreUrls) -> AsyncIterator[None]:
    """Let PostgreSQL take no connection of the servers' own login to a key store until the block ends.

    Whoever is connected is thrown out. What a process knows already it still knows, until it is told to forget it.
    """
    login = str(urlsplit(urls.own).username)
    connection = await asyncpg.connect(urls.admin)
    try:
        limit = await connection.fetchval("SELECT rolconnlimit FROM pg_roles WHERE rolname = $1", login)
        await connection.execute(f"ALTER ROLE {quoted(login)} CONNECTION LIMIT 0")
        try:
            # A process that is told to end is there until it has.
            while await connection.fetch(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", login
            ):
                await asyncio.sleep(0.01)
            yield
        finally:
            await connection.execute(f"ALTER ROLE {quoted(login)} CONNECTION LIMIT {limit}")
    finally:
        await connection.close()
