"""A tenant that tells its own programs what happens, put together as the server does it."""

from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID

from billfold import ids
from billfold.clock import SystemClock
from billfold.contract.sandbox import SimulationKind
from billfold.contract.webhooks import (
    CreateWebhookEndpoint,
    ReplayWebhookEvents,
    UpdateWebhookEndpoint,
    WebhookDeliveryRecord,
    WebhookEndpointCreated,
    WebhookReplay,
)
from billfold.ids import Prefix
from billfold_server.db.jobs import JobKinds
from billfold_server.db.outbox import NewEvent, emit
from billfold_server.db.relay import Relay
from billfold_server.db.runner import JobRunner
from billfold_server.http.routing import Call
from billfold_server.http.services import Services
from billfold_server.keys.service import Keys
from billfold_server.outbound.service import Outbound
from billfold_server.sandbox import service as sandbox
from billfold_server.tenancy import clock
from billfold_server.tenancy.context import TenantRef
from billfold_server.tenancy.transaction import Database
from billfold_server.webhooks import deliveries, delivery_queries, endpoints, queries, tasks
from billfold_server.webhooks.delivery_rows import DeliveryRow
from billfold_server.webhooks.publishing import Publisher
from billfold_server.webhooks.rows import EndpointRow
from tests.callers import CALLER
from tests.server.outbound.working import Working, calling_here

__all__ = ["Sender", "kinds_of", "services_of"]


@dataclass
class _Parts:
    """What the room asks of the process."""

    database: Database
    keys: Keys
    rooms: dict[str, Any]
    clock: SystemClock = field(default_factory=SystemClock)


def services_of(database: Database, keys: Keys, outbound: Outbound) -> Services:
    """Return as much of a process as the room asks for."""
    return cast("Services", _Parts(database, keys, {"outbound": outbound}))


def kinds_of(services: Services) -> JobKinds:
    """Return the room's kinds of jobs."""
    kinds = JobKinds()
    tasks.register(kinds, services, services.rooms["outbound"])
    return kinds


class Sender(Working):
    """A tenant and what tells its programs."""

    def __init__(self, database: Database, tenant: TenantRef, keys: Keys) -> None:
        self.tenant = calling_here(tenant)
        self.database = database
        self.outbound = Outbound()
        self.services = services_of(database, keys, self.outbound)
        self.publisher = Publisher(database)
        self.relay = Relay(database, [self.publisher])
        self.runner = JobRunner(database, kinds_of(self.services), relay=self.relay)

    def call(self) -> Call:
        """Return a request of the tenant's."""
        return Call(
            services=self.services,
            caller=CALLER,
            request_id="req_1",
            method="POST",
            path="/",
            headers={},
            base_url="https://bank.example",
            tenant_or_none=self.tenant,
        )

    async def listen(self, url: str, *event_types: str) -> WebhookEndpointCreated:
        """Register an endpoint; without a filter it is told of what the test makes happen, and not of itself."""
        body = CreateWebhookEndpoint(url=url, event_types=list(event_types) or ["hold.*"])
        return await endpoints.create(self.call(), body)

    async def change(self, endpoint_id: str, **changes: Any) -> None:
        """Change an endpoint."""
        body = UpdateWebhookEndpoint(**changes)
        await endpoints.update(self.call(), ids.decode(Prefix.WEBHOOK_ENDPOINT, endpoint_id), body, lambda _: None)

    async def delete(self, endpoint_id: str) -> None:
        """Delete an endpoint."""
        async with self.database.tx(self.tenant) as tx:
            await endpoints.delete(tx, CALLER, ids.decode(Prefix.WEBHOOK_ENDPOINT, endpoint_id))

    async def play(self, kind: SimulationKind, facts: dict[str, Any], *, times: int = 1) -> None:
        """Have something simulated, once or several times."""
        async with self.database.tx(self.tenant) as tx:
            await sandbox.simulate(tx, CALLER, kind, facts, times=times)

    async def happen(self, *types: str, of: str = "wal_1", told: bool = True) -> None:
        """Let something happen, which the relay tells of at once, or later."""
        async with self.database.tx(self.tenant) as tx:
            now = await clock.tenant_now(tx)
            events = [
                NewEvent(id=ids.uuid7(), type=type_, object_id=of, data=b'{"id":"wal_1"}', occurred_at=now)
                for type_ in types
            ]
            await emit(tx, *events)
        if told:
            await self.relay.run(self.tenant)

    async def sent(self, endpoint_id: str | None = None) -> list[DeliveryRow]:
        """Return the deliveries, in the order of their events."""
        only = None if endpoint_id is None else ids.decode(Prefix.WEBHOOK_ENDPOINT, endpoint_id)
        async with self.database.tx(self.tenant) as tx:
            found = await delivery_queries.list_page(tx, limit=1_000, endpoint_id=only)
        return sorted(found, key=lambda each: each.sequence)

    async def states(self, endpoint_id: str | None = None) -> list[tuple[str, int, str | None]]:
        """Return state, attempts and last result of each delivery, in order."""
        return [(each.state.value, each.attempts, each.last_result) for each in await self.sent(endpoint_id)]

    async def endpoint(self, endpoint_id: str) -> EndpointRow:
        """Return an endpoint."""
        async with self.database.tx(self.tenant) as tx:
            found = await queries.find(tx, ids.decode(Prefix.WEBHOOK_ENDPOINT, endpoint_id))
        assert found is not None
        return found

    async def record(self, delivery_id: UUID) -> WebhookDeliveryRecord:
        """Return a delivery as it is shown."""
        return await deliveries.get(self.call(), delivery_id)

    async def replay(self, delivery_id: UUID) -> None:
        """Have an event delivered again."""
        async with self.database.tx(self.tenant) as tx:
            await deliveries.replay(tx, CALLER, delivery_id)

    async def replay_events(self, endpoint_id: str, *, after: int, up_to: int | None = None) -> WebhookReplay:
        """Have a range of events delivered again."""
        body = ReplayWebhookEvents(after=after, up_to=up_to)
        async with self.database.tx(self.tenant) as tx:
            return await deliveries.replay_events(tx, CALLER, ids.decode(Prefix.WEBHOOK_ENDPOINT, endpoint_id), body)
