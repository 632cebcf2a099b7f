"""Consents for tests: asked for, authorised and looked at as other rooms do it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID, uuid4

import msgspec

from billfold import ids
from billfold.ids import Prefix
from billfold_server.consents import service
from billfold_server.consents.service import Consent, Evidence, NewConsent, Owner
from billfold_server.http.services import Services
from billfold_server.keys.service import Keyring, Keys
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.context import Caller
from billfold_server.tenancy.transaction import TenantTx
from tests.parties import add_party
from tests.tenants import Tenancy

__all__ = ["EVIDENCE", "Bank", "caller_of"]

EVIDENCE = Evidence(
    shown=b'{"title":"Allow it?"}', text_version="2026-11", language="en", shown_at=datetime(2026, 11, 20, tzinfo=UTC)
)


@dataclass
class _Parts:
    """What the room asks of the process."""

    keys: Keys
    keyring: Keyring


def caller_of(client_id: UUID, consent_id: UUID | None = None) -> Caller:
    """Return a third party, with a token of a consent's or without."""
    actor = ids.encode(Prefix.CLIENT, client_id)
    return Caller(actor=actor, client_id=client_id, request_id=ids.new(Prefix.REQUEST), consent_id=consent_id)


@dataclass
class Bank:
    """A tenant whose customer is asked for consents."""

    tenancy: Tenancy
    services: Services
    owner: Owner
    wallet_ids: tuple[UUID, ...]

    @classmethod
    async def open(cls, tenancy: Tenancy, keys: Keys) -> "Bank":
        """Return the bank of a test's tenant, with a customer."""
        async with tenancy.database.tx(tenancy.tenant) as tx:
            party_id = await add_party(tx)
        parts = cast("Services", _Parts(keys, Keyring(b"k" * 32)))
        return cls(tenancy, parts, Owner(user_id=uuid4(), party_id=party_id), (ids.uuid7(), ids.uuid7()))

    @asynccontextmanager
    async def tx(self) -> AsyncIterator[TenantTx]:
        """Open a transaction of the tenant."""
        async with self.tenancy.database.tx(self.tenancy.tenant) as tx:
            yield tx

    async def now(self) -> datetime:
        """Return the tenant's time."""
        async with self.tx() as tx:
            return await tenant_now(tx)

    async def ask(self, client_id: UUID, **facts: Any) -> Consent:
        """Ask for a consent; to read accounts, unless something else is said."""
        asked: dict[str, Any] = {"kind": "account_access", "request": b'{"Data":{"Permissions":["ReadBalances"]}}'}
        if facts.get("kind", "account_access") == "account_access":
            asked["permissions"] = frozenset({"ReadAccountsBasic", "ReadBalances"})
        new = NewConsent(client_id=client_id, **asked | facts)
        prepared = await service.prepare(self.services, self.tenancy.tenant, new)
        async with self.tx() as tx:
            return await service.create(tx, caller_of(client_id), prepared, await tenant_now(tx))

    async def authorise(self, consent: Consent, owner: Owner | None = None) -> Consent:
        """Let the customer allow it, with all wallets."""
        who = owner or self.owner
        evidence = await service.seal_evidence(self.services, self.tenancy.tenant, consent.id, who.party_id, EVIDENCE)
        async with self.tx() as tx:
            return await service.authorise(
                tx,
                consent.id,
                client_id=consent.client_id,
                owner=who,
                wallet_ids=self.wallet_ids,
                sca_id=uuid4(),
                evidence=evidence,
                now=await tenant_now(tx),
            )

    async def use(self, consent: Consent, **facts: Any) -> Consent:
        """Use a consent as its third party does with the consent's own token."""
        async with self.tx() as tx:
            asked = {"kind": consent.kind, **facts}
            return await service.use(tx, caller_of(consent.client_id, consent.id), **asked)

    async def revoke(self, consent: Consent, by: service.By = "psu") -> Consent:
        """End a consent."""
        async with self.tx() as tx:
            return await service.revoke(tx, consent.id, actor=caller_of(consent.client_id), by=by, reason="no more")

    async def find(self, consent: Consent) -> Consent:
        """Return a consent as it stands."""
        async with self.tx() as tx:
            return await service.get(tx, consent.id, client_id=consent.client_id)

    async def pass_time(self, *, days: float = 0, hours: float = 0) -> datetime:
        """Move the tenant's clock, standing, without the jobs that would follow."""
        async with self.tx() as tx:
            now = await tenant_now(tx) + timedelta(days=days, hours=hours)
        moved = f"UPDATE tenant_clock SET frozen_at = '{now.isoformat()}' WHERE id = 1"  # noqa: S608 - a time
        await self.tenancy.as_owner(self.tenancy.tenant, moved)
        return now

    async def events(self) -> list[str]:
        """Return what the stream says, in order."""
        async with self.tx() as tx:
            return [row["type"] for row in await tx.fetch("SELECT type FROM outbox_events ORDER BY sequence")]

    def with_policy(self, **changes: Any) -> "Bank":
        """Return the bank with another policy on open banking."""
        manifest = self.tenancy.tenant.manifest
        policy = msgspec.structs.replace(manifest.open_banking, **changes)
        tenant = msgspec.structs.replace(
            self.tenancy.tenant, manifest=msgspec.structs.replace(manifest, open_banking=policy)
        )
        tenancy = msgspec.structs.replace(self.tenancy, tenant=tenant)
        return Bank(tenancy, self.services, self.owner, self.wallet_ids)
