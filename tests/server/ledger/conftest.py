"""An engine with a few wallets, on a database of the test's own."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.locks import wait_for_locks
from tests.server.ledger.books import Bench, open_engine
from tests.tenants import Tenancy


@pytest_asyncio.fixture
async def bench(tenancy: Tenancy) -> AsyncIterator[Bench]:
    """Return an engine with four wallets."""
    made = Bench(open_engine(tenancy.database), tenancy.database, tenancy.tenant)
    await made.add_wallets(4)
    yield made
    await made.engine.close()


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let whoever waits for a lock wait for longer than the product does, which gives up after two seconds.

    Tests stop batches by locks, and go on once they have seen them stand there, however long a busy machine takes. It
    is less than the time after which a connection that ends a transaction is given up.
    """
    wait_for_locks(monkeypatch, ms=8_000)
