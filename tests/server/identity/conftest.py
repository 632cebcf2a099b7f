"""Fixtures of identity: the same server with a tenant of each security profile."""

import pytest

from tests.live import LiveServer
from tests.server.identity.flows import App, Person, add_app, add_person
from tests.tenants import manifest

PROFILES = ("sandbox", "fapi2", "fapi2-message-signing", "fapi1-advanced")


@pytest.fixture(scope="session")
def profiled(live: LiveServer) -> LiveServer:
    """A tenant of each profile, named after it."""
    for profile in PROFILES:
        live.add_tenant(
            manifest(profile, security_profile=profile, rate_limit_per_s=100_000, rate_limit_burst=1_000_000)
        )
    return live


@pytest.fixture(scope="session")
def app(profiled: LiveServer) -> App:
    """A client of the sandbox, which authenticates by a secret and signs by a key."""
    return add_app(profiled, "sandbox", "client_secret_basic")


@pytest.fixture(scope="session")
def rival(profiled: LiveServer) -> App:
    """Another client of the sandbox, whose redirect URIs are its own."""
    return add_app(profiled, "sandbox", "client_secret_basic", redirect_uris=["https://rival.example/cb"])


@pytest.fixture(scope="session")
def person(profiled: LiveServer) -> Person:
    """A customer of the sandbox."""
    return add_person(profiled, "sandbox")
