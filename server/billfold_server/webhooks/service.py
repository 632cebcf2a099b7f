"""The tenant's stream of events, where and how it is delivered, and how far its endpoints are behind."""

from datetime import datetime, timedelta
from typing import Final

from billfold.contract.platform import Event
from billfold_server.db import outbox
from billfold_server.tenancy.transaction import TenantTx
from billfold_server.webhooks import deliveries, endpoints, queries
from billfold_server.webhooks.publishing import Publisher

__all__ = [
    "create_endpoint",
    "delete_endpoint",
    "delivery_lag",
    "get_delivery",
    "get_endpoint",
    "list_deliveries",
    "list_endpoints",
    "list_events",
    "replay",
    "replay_events",
    "rotate_endpoint",
    "test_endpoint",
    "update_endpoint",
]

create_endpoint: Final = endpoints.create
delete_endpoint: Final = endpoints.delete
get_endpoint: Final = endpoints.get
list_endpoints: Final = endpoints.list_endpoints
rotate_endpoint: Final = endpoints.rotate
test_endpoint: Final = endpoints.test
update_endpoint: Final = endpoints.update
get_delivery: Final = deliveries.get
list_deliveries: Final = deliveries.list_deliveries
replay: Final = deliveries.replay
replay_events: Final = deliveries.replay_events


async def list_events(tx: TenantTx, *, after: int, limit: int, event_type: str | None = None) -> list[Event]:
    """Return events behind a place in the stream, in order."""
    return await outbox.list_events(tx, after=after, limit=limit, event_type=event_type)


async def delivery_lag(tx: TenantTx, now: datetime) -> timedelta:
    """Return for how long what enabled endpoints should have been told has waited for us; zero where nothing has.

    Args:
        tx: The tenant's transaction.
        now: The tenant's time.
    """
    since = await queries.waiting_since(tx, Publisher.name)
    return timedelta() if since is None else max(timedelta(), now - since)
