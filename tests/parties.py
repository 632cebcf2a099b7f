"""Parties for tests of other rooms, which need somebody to own a wallet and no more."""

from typing import Any
from uuid import UUID

from billfold import ids
from billfold.contract.parties import CreateParty, Party, PartyKind
from billfold_server.keys.service import Backends, Keyring, Keys, KeyStore, LocalBackend
from billfold_server.parties import service
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.context import TenantRef
from tests.callers import CALLER

__all__ = ["add_party", "create_party", "open_tenant_keys"]

_INSERT = """
INSERT INTO parties (id, kind, external_id, roles, version, created_at, updated_at)
VALUES ($1, 'person', $2, '{customer}', 1, $3, $3)
"""


async def add_party(tx: Any, external_id: str | None = None) -> UUID:
    """Add somebody of whom nothing is known but an id, as books have them that came without people."""
    party_id = ids.uuid7()
    await tx.execute(_INSERT, party_id, external_id, await tenant_now(tx))
    return party_id


async def create_party(
    services: Any, tenant: TenantRef, name: str = "Ada Lovelace", *, kind: PartyKind = PartyKind.PERSON
) -> Party:
    """Create a party as the server does."""
    draft = await service.draft_party(services.keys, tenant, CreateParty(kind=kind, name=name))
    async with services.database.tx(tenant) as tx:
        return await service.create_party(tx, CALLER, draft)


def open_tenant_keys(key_store_url: str) -> Keys:
    """Open the keys of tests' tenants, as each process of a test does, with the patience that its own has."""
    store = KeyStore(key_store_url, timeout_s=20.0)
    return Keys(store, Backends(LocalBackend(Keyring(b"k" * 32), store)))
