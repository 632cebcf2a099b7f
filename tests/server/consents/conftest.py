"""Fixtures of consents: a bank with a customer."""

import pytest_asyncio

from billfold_server.keys.service import Keys
from tests.server.consents.consenting import Bank
from tests.tenants import Tenancy


@pytest_asyncio.fixture
async def bank(tenancy: Tenancy, tenant_keys: Keys) -> Bank:
    """A tenant whose customer is asked for consents."""
    return await Bank.open(tenancy, tenant_keys)
