"""The tenant's stream of events."""

from billfold.contract.platform import Event
from billfold_server.db import outbox
from billfold_server.tenancy.transaction import TenantTx

__all__ = ["list_events"]


async def list_events(tx: TenantTx, *, after: int, limit: int, event_type: str | None = None) -> list[Event]:
    """Return events behind a place in the stream, in order."""
    return await outbox.list_events(tx, after=after, limit=limit, event_type=event_type)
