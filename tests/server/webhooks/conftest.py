"""Fixtures of webhooks: a tenant that tells its own programs what happens."""

from collections.abc import AsyncIterator

import pytest_asyncio

from billfold_server.keys.service import Keys
from tests.server.webhooks.sending import Sender
from tests.tenants import Tenancy


@pytest_asyncio.fixture
async def sender(tenancy: Tenancy, tenant_keys: Keys) -> AsyncIterator[Sender]:
    """Return a tenant that may call this machine."""
    sender = Sender(tenancy.database, tenancy.tenant, tenant_keys)
    yield sender
    await sender.close()
