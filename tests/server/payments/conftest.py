"""Fixtures of payments: a bank at which they are ordered."""

from collections.abc import AsyncIterator

import pytest_asyncio

from billfold_server.keys.service import Keys
from tests.server.payments.desk import Desk
from tests.tenants import Tenancy


@pytest_asyncio.fixture
async def desk(tenancy: Tenancy, tenant_keys: Keys) -> AsyncIterator[Desk]:
    """A bank with a payer, a payee and a rail."""
    desk = await Desk.open(tenancy, tenant_keys)
    yield desk
    await desk.bench.engine.close()
