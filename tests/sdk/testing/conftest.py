"""The plugin's fixtures, as an environment with Billfold in it has them."""

import uuid
from collections.abc import Iterator

import pytest

from billfold.testing.plugin import _wallet_tenant, async_wallet_sandbox, wallet_sandbox
from billfold.testing.sandboxes import Sandboxes, open_sandboxes
from tests.announcing import announce
from tests.postgres import binaries

__all__ = ["_wallet_tenant", "async_wallet_sandbox", "run_name", "wallet_sandbox", "wallet_sandboxes"]


@pytest.fixture(scope="session")
def run_name() -> str:
    """What the processes of a run have in common."""
    return uuid.uuid4().hex


@pytest.fixture(scope="session")
def wallet_sandboxes(run_name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandboxes]:
    """The plugin's own fixture, where the server is announced as by an installation."""
    binaries(18)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(announce(tmp_path_factory.mktemp("site"))))
        with open_sandboxes(run=run_name) as sandboxes:
            yield sandboxes
