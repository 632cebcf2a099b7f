"""An engine with a few wallets, on a database of the test's own."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.server.ledger.books import Bench, open_engine
from tests.tenants import Tenancy


@pytest_asyncio.fixture
async def bench(tenancy: Tenancy) -> AsyncIterator[Bench]:
    """Return an engine with four wallets."""
    made = Bench(open_engine(tenancy.database), tenancy.database, tenancy.tenant)
    await made.add_wallets(4)
    yield made
    await made.engine.close()
