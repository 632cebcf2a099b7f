"""Where a tenant's bank statements come in."""

from collections.abc import AsyncIterator

import pytest_asyncio

from billfold_server.keys.service import Keys
from tests.server.reconciliation.desk import Desk
from tests.tenants import Tenancy


@pytest_asyncio.fixture
async def desk(tenancy: Tenancy, tenant_keys: Keys) -> AsyncIterator[Desk]:
    """Return where a tenant's bank statements come in."""
    made = Desk(tenancy.database, tenant_keys, tenancy.tenant)
    yield made
    await made.engine.close()
