"""Fixtures of payments: a bank at which they are ordered."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from billfold_server.keys.service import Keys
from tests.server.payments.desk import Desk
from tests.tenants import Tenancy


@pytest.fixture(autouse=True)
def patience(patient_locks: None) -> None:
    """Let whoever waits for a lock wait for longer: orders, ends of consents and two workers are at the same rows."""


@pytest_asyncio.fixture
async def desk(tenancy: Tenancy, tenant_keys: Keys) -> AsyncIterator[Desk]:
    """A bank with a payer, a payee and a rail."""
    desk = await Desk.open(tenancy, tenant_keys)
    yield desk
    await desk.bench.engine.close()
