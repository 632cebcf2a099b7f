"""A server whose tenants have a vault."""

import asyncio
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.live import LiveServer, serve, settings_for
from tests.postgres import execute
from tests.server.tokens.banks import TOKENIZATION, Bank
from tests.server.tokens.faults import Watched
from tests.tenants import in_database, manifest

ENOUGH_S = 20
"""How long before the end of an hour no test is begun any more that counts what was asked for in it."""


@pytest.fixture(scope="session")
def live(postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """Serve two tenants with a vault, ``alpha`` and ``beta``."""
    name = f"vault_{secrets.token_hex(4)}"
    asyncio.run(execute(postgres_dsn, f"CREATE DATABASE {name}"))
    settings = settings_for(Path(tmp_path_factory.mktemp("vault")), in_database(postgres_dsn, name))
    unlimited = {"rate_limit_per_s": 100_000, "rate_limit_burst": 1_000_000}
    with serve(settings) as server:
        server.services.decryptor = Watched(server.services.decryptor)
        for slug in ("alpha", "beta"):
            server.add_tenant(manifest(slug, tokenization=TOKENIZATION, **unlimited))
        yield server
    asyncio.run(execute(postgres_dsn, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(scope="session")
def client(live: LiveServer) -> Iterator[httpx.Client]:
    """A client of ``alpha`` with every scope."""
    with live.client("alpha") as client:
        yield client


@pytest.fixture
def bank(live: LiveServer, client: httpx.Client) -> Bank:
    """What that client does, with a key pair of its own."""
    live.services.decryptor.asked.clear()
    return Bank(live, client, live.services.decryptor)


@pytest.fixture
def stranger(live: LiveServer) -> Iterator[httpx.Client]:
    """A client of ``beta``."""
    with live.client("beta") as client:
        yield client


@pytest.fixture
def within_an_hour() -> None:
    """See that the hour, by which the real clock counts what is asked for, doesn't end while a test goes on."""
    left_s = 3_600 - time.time() % 3_600
    if left_s < ENOUGH_S:
        time.sleep(left_s + 0.1)
