"""Fixtures of events: a bank that tells third parties, and signs quickly."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from joserfc.jwk import RSAKey

from billfold_server.identity.signing import service as signing
from billfold_server.keys.service import Keys
from tests.server.consents.consenting import Bank
from tests.server.open_banking.events.telling import Teller
from tests.tenants import Tenancy


@pytest.fixture(scope="session")
def a_key() -> RSAKey:
    """Return a key of the smallest size that may sign; making the usual ones takes seconds."""
    return RSAKey.generate_key(2048)


@pytest_asyncio.fixture
async def teller(
    tenancy: Tenancy, tenant_keys: Keys, a_key: RSAKey, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Teller]:
    """Return a bank that may call this machine."""
    monkeypatch.setitem(signing._GENERATE, "PS256", lambda: a_key)
    teller = Teller(await Bank.open(tenancy, tenant_keys), tenant_keys)
    yield teller
    await teller.close()
