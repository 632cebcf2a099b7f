"""A running server with one sandbox tenant, for tests that are outside of it: the SDK's and the examples'."""

import contextlib
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.live import LiveServer, serve, settings_for
from tests.postgres import execute, in_own_loop
from tests.tenants import in_database, manifest

__all__ = ["database", "live", "options", "sandbox"]


@contextlib.contextmanager
def database(dsn: str) -> Iterator[str]:
    """Have a database of one's own until the block ends, and yield its administrator's DSN."""
    name = f"sandbox_{secrets.token_hex(4)}"
    in_own_loop(execute(dsn, f"CREATE DATABASE {name}"))
    yield in_database(dsn, name)
    in_own_loop(execute(dsn, f"DROP DATABASE {name} WITH (FORCE)"))


@contextlib.contextmanager
def sandbox(postgres_dsn: str, folder: Path) -> Iterator[LiveServer]:
    """Serve one tenant, ``alpha``, until the block ends."""
    with database(postgres_dsn) as dsn, serve(settings_for(folder, dsn)) as server:
        server.add_tenant(manifest("alpha", rate_limit_per_s=100_000, rate_limit_burst=1_000_000))
        yield server


@pytest.fixture(scope="module")
def live(postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """Serve one tenant, ``alpha``."""
    with sandbox(postgres_dsn, tmp_path_factory.mktemp("live")) as server:
        yield server


def options(live: LiveServer, slug: str | None = "alpha", scopes: Sequence[str] | None = None) -> dict[str, Any]:
    """Return by what a client of a tenant, or (None) of the platform, is made."""
    credentials = live.add_client(slug, scopes)
    base_url = live.url if slug is None else live.base(slug)
    return {"base_url": base_url, "client_id": credentials.client_id, "client_secret": credentials.secret}
