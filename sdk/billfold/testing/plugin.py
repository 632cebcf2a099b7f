"""The pytest plugin. Every run of an environment with Billfold in it loads this module, so it loads nothing else."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from billfold.testing._async.sandbox import AsyncSandbox
    from billfold.testing._sync.sandbox import Sandbox
    from billfold.testing.sandboxes import Sandboxes, Tenant

__all__ = ["async_wallet_sandbox", "pytest_addoption", "wallet_sandbox", "wallet_sandboxes"]

_TENANT = "billfold_tenant"
_RUN = "PYTEST_XDIST_TESTRUNUID"


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Add a setting, and spare programs that import Billfold what pytest does to the packages of plugins.

    It would compile all modules of the SDK and of the server anew, with assertions rewritten, which takes seconds where
    its results can't be kept.
    """
    parser.addini(_TENANT, "Folder of the tenant whose manifest the sandboxes of billfold.testing have.", default="")
    marked = getattr(getattr(pluginmanager, "rewrite_hook", None), "_must_rewrite", None)
    if isinstance(marked, set):
        marked -= {"billfold", "billfold_server"}


@pytest.fixture(scope="session")
def wallet_sandboxes(pytestconfig: pytest.Config) -> "Iterator[Sandboxes]":
    """Make sandboxes in fixtures of any scope: ``with wallet_sandboxes.fresh() as …``."""
    from billfold import errors  # noqa: PLC0415  # Only runs that use it pay for it.
    from billfold.testing.sandboxes import open_sandboxes  # noqa: PLC0415

    folder = pytestconfig.getini(_TENANT)
    opening = open_sandboxes(run=os.environ.get(_RUN), tenant=str(pytestconfig.rootpath / folder) if folder else None)
    try:
        sandboxes = opening.__enter__()
    except (ImportError, errors.BillfoldError) as error:
        # It is a sentence that says what to do; where it was raised helps nobody.
        pytest.fail(str(error), pytrace=False)
    yield sandboxes
    opening.__exit__(None, None, None)


@pytest.fixture
def _wallet_tenant(wallet_sandboxes: "Sandboxes") -> "Iterator[Tenant]":
    with wallet_sandboxes.tenant() as tenant:
        yield tenant


@pytest.fixture
def wallet_sandbox(_wallet_tenant: "Tenant") -> "Sandbox":
    """Give a test a Billfold tenant of its own: its client, test clock, events, and helpers that make wallets."""
    return _wallet_tenant.sandbox()


@pytest.fixture
def async_wallet_sandbox(_wallet_tenant: "Tenant") -> "AsyncSandbox":
    """Give the same for asyncio, under whichever plugin runs the test; together with the other, in the same tenant."""
    return _wallet_tenant.async_sandbox()
