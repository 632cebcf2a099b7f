"""Fixtures of the HTTP edge: a running server with two tenants."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from billfold_server.keys.service import Keys
from tests.keystores import StoreUrls, key_store_urls
from tests.live import LiveServer, serve, settings_for
from tests.parties import open_tenant_keys
from tests.postgres import execute
from tests.tenants import Tenancy, in_database, manifest

__all__ = ["key_store_urls"]


@pytest.fixture(scope="session")
def live(postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """Serve two tenants, ``alpha`` and ``beta``; ``beta`` has a host name of its own."""
    name = f"live_{secrets.token_hex(4)}"
    asyncio.run(execute(postgres_dsn, f"CREATE DATABASE {name}"))
    # All tests come from one address, and many of them fail on purpose.
    folder = Path(tmp_path_factory.mktemp("live"))
    settings = settings_for(folder, in_database(postgres_dsn, name), token_rate_limit_per_min=100_000)
    with serve(settings) as server:
        server.add_tenant(manifest("alpha", rate_limit_per_s=100_000, rate_limit_burst=1_000_000))
        server.add_tenant(manifest("beta", hosts=["wallet.beta.example"]))
        yield server
    asyncio.run(execute(postgres_dsn, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest_asyncio.fixture
async def tenant_keys(tenancy: Tenancy, key_store_urls: StoreUrls) -> AsyncIterator[Keys]:
    """Return the keys of a test's tenant, which has none yet."""
    keys = open_tenant_keys(key_store_urls.own)
    # The tenants of all tests are copies of one, and so have the same id.
    await keys.forget_tenant(tenancy.tenant)
    yield keys
    await keys.close()
