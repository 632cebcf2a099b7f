"""Fixtures of account information: one bank with a customer, of whom everything is there to be shown."""

import pytest

from tests.live import LiveServer
from tests.server.open_banking.accounts.banking import Bank, Reader
from tests.tenants import manifest


@pytest.fixture(scope="session")
def shown_bank(live: LiveServer) -> Bank:
    """A tenant of open banking."""
    limits = {"rate_limit_per_s": 100_000, "rate_limit_burst": 1_000_000, "limits": {"backdate_days": 3660}}
    live.add_tenant(manifest("shownbank", **limits))
    return Bank.open(live, "shownbank")


@pytest.fixture(scope="session")
def reader(shown_bank: Bank) -> Reader:
    """A third party that may read everything."""
    return shown_bank.reader()
