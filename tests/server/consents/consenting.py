"""Consents for tests: asked for, authorised and looked at as other rooms do it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from secrets import token_bytes, token_hex
from typing import Any, cast
from uuid import UUID, uuid4

import msgspec

from billfold import ids
from billfold.ids import Prefix
from billfold_server.consents import queries, service, tasks
from billfold_server.consents.service import Consent, Evidence, NewConsent, Owner
from billfold_server.db.jobs import JobKinds
from billfold_server.db.runner import JobRunner
from billfold_server.http.services import Services
from billfold_server.keys.service import Keyring, Keys
from billfold_server.tenancy.clock import request_advance, tenant_now
from billfold_server.tenancy.context import Caller
from billfold_server.tenancy.transaction import Database, TenantTx
from tests.live import LiveServer
from tests.parties import add_party
from tests.server.identity.flows import add_person
from tests.tenants import Tenancy

__all__ = ["EVIDENCE", "Bank", "ask_live", "caller_of", "give_live", "with_user"]

EVIDENCE = Evidence(
    shown=b'{"title":"Allow it?"}', text_version="2026-11", language="en", shown_at=datetime(2026, 11, 20, tzinfo=UTC)
)


@dataclass
class _Parts:
    """What the room asks of the process."""

    keys: Keys
    keyring: Keyring
    database: Database


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
        parts = cast("Services", _Parts(keys, Keyring(b"k" * 32), tenancy.database))
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

    async def travel(self, *, days: float = 0, hours: float = 0) -> datetime:
        """Move the tenant's clock, doing on the way what falls due, and let it stand there."""
        async with self.tx() as tx:
            to = await tenant_now(tx) + timedelta(days=days, hours=hours)
            await request_advance(tx, to, freeze=True)
        await self.work()
        return to

    async def pass_time(self, *, days: float = 0, hours: float = 0) -> datetime:
        """Move the tenant's clock, as if whoever does jobs were late."""
        async with self.tx() as tx:
            to = await tenant_now(tx) + timedelta(days=days, hours=hours)
        moved = f"UPDATE tenant_clock SET frozen_at = '{to.isoformat()}' WHERE id = 1"  # noqa: S608 - a time
        await self.tenancy.as_owner(self.tenancy.tenant, moved)
        return to

    async def work(self) -> None:
        """Do the room's jobs that are due."""
        kinds = JobKinds()
        tasks.register(kinds)
        runner = JobRunner(self.tenancy.database, kinds)
        await runner.run(self.tenancy.tenant)
        await runner.settle()

    async def history(self, consent: Consent) -> list[tuple[str, str | None]]:
        """Return what has happened to a consent, and where each step led."""
        async with self.tx() as tx:
            steps = await queries.list_history(tx, consent.id, after=None, limit=100)
        return [(step.event, step.to_status) for step in steps]

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


def ask_live(live: LiveServer, slug: str, client_id: UUID | None = None) -> str:
    """Ask for a consent at a server that runs, and return its id."""
    return live.run(_asked(live, slug, client_id or ids.uuid7())).wire_id  # type: ignore[no-any-return]


def give_live(live: LiveServer, slug: str, client_id: UUID | None = None) -> str:
    """Ask for a consent at a server that runs, let a customer allow it, and return its id."""
    person = add_person(live, slug)
    assert person.party_id is not None
    owner = Owner(user_id=person.user_id, party_id=person.party_id)

    async def give() -> Consent:
        consent = await _asked(live, slug, client_id or ids.uuid7())
        tenant = await live.services.registry.get(slug)
        evidence = await service.seal_evidence(live.services, tenant, consent.id, owner.party_id, EVIDENCE)
        async with live.services.database.tx(tenant) as tx:
            return await service.authorise(
                tx,
                consent.id,
                client_id=consent.client_id,
                owner=owner,
                wallet_ids=(ids.uuid7(),),
                sca_id=None,
                evidence=evidence,
                now=await tenant_now(tx),
            )

    return live.run(give()).wire_id  # type: ignore[no-any-return]


async def _asked(live: LiveServer, slug: str, client_id: UUID) -> Consent:
    tenant = await live.services.registry.get(slug)
    new = NewConsent(
        kind="account_access",
        client_id=client_id,
        permissions=frozenset({"ReadAccountsBasic", "ReadBalances"}),
        request=b'{"Data":{"Permissions":["ReadAccountsBasic","ReadBalances"]},"Risk":{}}',
    )
    prepared = await service.prepare(live.services, tenant, new)
    async with live.services.database.tx(tenant) as tx:
        return await service.create(tx, caller_of(client_id), prepared, await tenant_now(tx))


async def with_user(bank: Bank) -> UUID:
    """Let the bank's customer sign in."""
    user_id = uuid4()
    async with bank.tx() as tx:
        await tx.execute(
            "INSERT INTO users (id, login_realm, login_name, display_name, party_id, roles, state, handle, version,"
            " created_at, updated_at) VALUES ($1, 'psu', $2, 'Ada', $3, '{}', 'active', $4, 1, now(), now())",
            user_id, token_hex(10), bank.owner.party_id, token_bytes(32),
        )  # fmt: skip
    return user_id
