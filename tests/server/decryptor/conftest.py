"""A decryptor in the test's own process, with real keys, and what is encrypted to it."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from billfold.clock import SystemClock
from billfold_server.decryptor.cvcs import Cvcs
from billfold_server.decryptor.handling import Handling
from billfold_server.keys.service import Keys
from tests.keystores import Owner, key_store_urls, keyring, new_keys, owner, store
from tests.openbao import openbao
from tests.server.decryptor.sealing import Vault

__all__ = ["cvcs", "handling", "key_store_urls", "keyring", "new_keys", "openbao", "owner", "store", "vault"]


@pytest.fixture
def cvcs() -> Any:
    """Codes, kept as the process keeps them."""
    kept = Cvcs()
    yield kept
    kept.close()


@pytest_asyncio.fixture
async def handling(new_keys: Callable[..., Keys], cvcs: Cvcs) -> Handling:
    """What the decryptor does, without its process."""
    return Handling(new_keys(domain="cards"), SystemClock(), cvcs)


@pytest_asyncio.fixture
async def vault(handling: Handling, owner: Owner) -> AsyncIterator[Vault]:
    """A tenant with a key, and somebody who encrypts to it."""
    vault = Vault(handling, owner.id)
    await vault.make_key()
    yield vault
