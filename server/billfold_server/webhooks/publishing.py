"""Turns events of the tenant's stream into deliveries, each once."""

from collections.abc import Sequence

from billfold import ids
from billfold.contract.events import WEBHOOK_ENDPOINT_TESTED
from billfold.contract.platform import Event
from billfold.contract.sandbox import SimulationKind
from billfold.ids import Prefix
from billfold_server.db import jobs
from billfold_server.sandbox import service as sandbox
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.context import TenantRef
from billfold_server.tenancy.transaction import Database
from billfold_server.webhooks import delivery_queries, rules
from billfold_server.webhooks.delivering import delivery_job
from billfold_server.webhooks.delivery_rows import NewDelivery

__all__ = ["Publisher"]


class Publisher:
    """Tells a tenant's endpoints of what they want to know.

    What it is told it may be told again; an event that is on its way to an endpoint doesn't go there a second time.

    Args:
        database: The door to the tenants' tables.
    """

    name = "webhooks"
    question = delivery_queries.FILTERS

    def __init__(self, database: Database) -> None:
        self._database = database

    def wanted(self, _: TenantRef, filters: list[list[str] | None] | None) -> Sequence[str] | None:
        """Return the types of events that any endpoint wants; each is told of its own tests."""
        return rules.wanted_types([*filters, (WEBHOOK_ENDPOINT_TESTED.name,)] if filters else [])

    async def publish(self, tenant: TenantRef, events: Sequence[Event]) -> None:
        """Write what is to be delivered where, and have it done.

        An endpoint stays as it is until that is written: what was paused meanwhile is kept and not tried, and whoever
        delivers either sees what is new or leaves the job to be written here.
        """
        async with self._database.tx(tenant) as tx:
            listening = await delivery_queries.hold_listening(tx)
            # In the stream's order, whatever came together: so the same ones are late, or arrive twice, however soon
            # they are told of.
            pairs = [(row, event) for event in events for row in listening if rules.is_told(row, event)]
            if not pairs:
                return
            now = await tenant_now(tx)
            event_ids = [ids.decode(Prefix.EVENT, event.id) for _, event in pairs]
            # It is late, and arrives more than once, only where that is simulated.
            delays = await sandbox.take_for_each(tx, SimulationKind.WEBHOOK_DELAY, event_ids, now=now)
            repeated = await sandbox.take_for_each(tx, SimulationKind.WEBHOOK_DUPLICATE, event_ids, now=now)
            new = [
                NewDelivery(
                    id=ids.uuid7(),
                    endpoint_id=row.id,
                    event_id=event_id,
                    sequence=event.sequence,
                    event_type=event.type,
                    due=rules.is_due(row),
                    wait_s=0 if delay is None else delay.facts["delay_s"],
                    copies=1 if repeats is None else repeats.facts["copies"],
                )
                for (row, event), event_id, delay, repeats in zip(pairs, event_ids, delays, repeated, strict=True)
            ]
            await delivery_queries.add(tx, new, now)
            due = dict.fromkeys(each.endpoint_id for each in new if each.due)
            await jobs.enqueue_or_hasten(tx, *(delivery_job(endpoint_id, now) for endpoint_id in due))
