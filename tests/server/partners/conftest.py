"""The world of the partners' tests."""

from collections.abc import Iterator

import pytest

from tests.live import LiveServer
from tests.server.partners.worlds import World


@pytest.fixture(scope="session")
def world(live: LiveServer) -> Iterator[World]:
    """Return a tenant with two partners."""
    made = World(live)
    yield made
    made.bank.close()
    made.api.close()
