"""The tenant's stream of events, and how far its endpoints are behind."""

from datetime import datetime, timedelta

from billfold.contract.platform import Event
from billfold_server.db import outbox
from billfold_server.tenancy.transaction import TenantTx
from billfold_server.webhooks import queries
from billfold_server.webhooks.publishing import Publisher

__all__ = ["delivery_lag", "list_events"]


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
