"""A bank that tells a third party what becomes of its consents, put together as the server does it."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID

import msgspec
from joserfc import jwt
from joserfc.jwk import KeySet

from billfold import ids
from billfold.clock import SystemClock
from billfold.ids import Prefix
from billfold_server.consents.service import Consent
from billfold_server.db import jobs
from billfold_server.db.jobs import JobKinds
from billfold_server.db.relay import Relay
from billfold_server.db.runner import JobRunner
from billfold_server.http.services import Services
from billfold_server.identity.service import Identity
from billfold_server.keys.service import Keyring, Keys
from billfold_server.open_banking.events import queries, tasks
from billfold_server.open_banking.events.publishing import Publisher
from billfold_server.open_banking.events.pushing import push_job
from billfold_server.open_banking.events.rows import Subscription
from billfold_server.open_banking.events.waiting import Waiting
from billfold_server.outbound.service import Outbound
from billfold_server.tenancy import clock
from billfold_server.tenancy.transaction import Database
from tests.server.consents.consenting import Bank
from tests.server.outbound.working import Working, calling_here

__all__ = ["BASE_URL", "Teller", "claims_in", "kinds_of", "services_of", "wire"]

BASE_URL = "https://bank.example"
SCOPES = ["accounts", "payments", "fundsconfirmations"]


@dataclass
class _Parts:
    """What the room asks of the process."""

    database: Database
    identity: Identity
    clock: SystemClock = field(default_factory=SystemClock)
    rooms: dict[str, Any] = field(default_factory=dict)


def services_of(database: Database, keys: Keys) -> Services:
    """Return as much of a process as the room asks for."""
    identity = Identity(
        database=database,
        keyring=Keyring(b"k" * 32),
        keys=keys,
        clock=SystemClock(),
        base_url=BASE_URL,
        token_ttl_s=300,
    )
    return cast("Services", _Parts(database, identity))


def kinds_of(services: Services, outbound: Outbound) -> JobKinds:
    """Return the room's kinds of jobs."""
    kinds = JobKinds()
    tasks.register(kinds, services, outbound)
    return kinds


def claims_in(token: bytes | str) -> dict[str, Any]:
    """Return what a token claims, unverified."""
    text = token.decode() if isinstance(token, bytes) else token
    segment = text.split(".")[1]
    claims: dict[str, Any] = msgspec.json.decode(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    return claims


class Teller(Working):
    """A tenant, a third party, and what tells it.

    Attributes:
        bank: Whose customer is asked for consents.
        client_id: The third party.
    """

    def __init__(self, bank: Bank, keys: Keys, *, outbound: Outbound | None = None) -> None:
        self.tenant = calling_here(bank.tenancy.tenant)
        self.bank = bank
        self.client_id = ids.uuid7()
        self.database = bank.tenancy.database
        self.services = services_of(self.database, keys)
        self.outbound = outbound or Outbound()
        self.publisher = Publisher(self.services, Waiting())
        self.relay = Relay(self.database, [self.publisher])
        self.runner = JobRunner(self.database, kinds_of(self.services, self.outbound), relay=self.relay)

    async def subscribe(
        self, callback_url: str | None, event_types: tuple[str, ...] | None = None, client_id: UUID | None = None
    ) -> Subscription:
        """Subscribe the third party."""
        async with self.database.tx(self.tenant) as tx:
            now = await clock.tenant_now(tx)
            new = Subscription(
                id=ids.uuid7(),
                client_id=client_id or self.client_id,
                callback_url=callback_url,
                version="4.0",
                event_types=event_types,
                paused_because=None,
                taken_at=None,
                created_at=now,
                updated_at=now,
            )
            assert await queries.insert(tx, new)
        return new

    async def revoked(self, **facts: Any) -> Consent:
        """Have a consent revoked by its customer."""
        consent = await self.bank.authorise(await self.bank.ask(self.client_id, **facts))
        return await self.bank.revoke(consent)

    async def publish(self) -> None:
        """Let the relay tell of what is new."""
        await self.relay.run(self.tenant)

    async def unread(self, scopes: Sequence[str] = SCOPES) -> list[dict[str, Any]]:
        """Return what polling would bring."""
        async with self.database.tx(self.tenant) as tx:
            found = await queries.list_unread(tx, self.client_id, scopes, 100)
        return [claims_in(each.token) for each in found]

    async def states(self) -> list[tuple[str, int, str | None]]:
        """Return state, attempts and last result of each notification, in order."""
        sql = "SELECT state, attempts, last_result FROM event_notifications ORDER BY sequence, id"
        async with self.database.tx(self.tenant) as tx:
            return [(each["state"], each["attempts"], each["last_result"]) for each in await tx.fetch(sql)]

    async def subscription(self) -> Subscription:
        """Return the third party's subscription."""
        async with self.database.tx(self.tenant) as tx:
            found = await queries.find_of_client(tx, self.client_id)
        assert found is not None
        return found

    async def verified(self, token: bytes) -> tuple[Mapping[str, Any], dict[str, Any]]:
        """Return header and claims of a token, as the tenant's JWKS lets anybody verify them."""
        identity = self.services.identity
        jwks = await identity.jwks(identity.realm(self.tenant))
        keys = KeySet.import_key_set(msgspec.to_builtins(jwks))
        found = jwt.decode(token.decode(), keys, algorithms=["PS256"])
        return found.header, found.claims

    async def hasten(self) -> None:
        """Have the third party's job done now, as if its lease had ended."""
        async with self.database.tx(self.tenant) as tx:
            await tx.execute("UPDATE jobs SET claimed_by = NULL, claimed_until = NULL")
            await jobs.enqueue_or_hasten(tx, push_job(self.client_id, await clock.tenant_now(tx)))


def wire(client_id: UUID) -> str:
    """Return a client's id on the wire."""
    return ids.encode(Prefix.CLIENT, client_id)
