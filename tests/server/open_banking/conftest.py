"""Fixtures of open banking: a third party at each of two tenants of one server."""

import pytest

from tests.live import LiveServer
from tests.server.open_banking.scene import Scene
from tests.server.open_banking.third_parties import ThirdParty
from tests.tenants import manifest

UNLIMITED = {"rate_limit_per_s": 100_000, "rate_limit_burst": 1_000_000, "security_profile": "sandbox"}


@pytest.fixture(scope="session")
def bank(live: LiveServer) -> str:
    """A tenant that third parties connect to."""
    live.add_tenant(manifest("openbank", **UNLIMITED))
    return "openbank"


@pytest.fixture(scope="session")
def tpp(live: LiveServer, bank: str) -> ThirdParty:
    """A third party of that tenant."""
    return ThirdParty.register(live, bank)


@pytest.fixture(scope="session")
def scene(live: LiveServer) -> Scene:
    """A bank with a customer of whom everything is there, and a third party of it."""
    live.add_tenant(manifest("scene", **UNLIMITED, limits={"backdate_days": 3660}))
    return Scene.open(live, "scene")
