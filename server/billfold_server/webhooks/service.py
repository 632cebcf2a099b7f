"""The tenant's stream of events, where and how it is delivered, and how far its endpoints are behind."""

from datetime import datetime, timedelta
from typing import Final

from billfold import errors, ids
from billfold.contract.platform import Event
from billfold.ids import Prefix
from billfold_server.db import outbox
from billfold_server.partners import service as partners
from billfold_server.partners.service import Partner
from billfold_server.tenancy.context import Caller
from billfold_server.tenancy.transaction import TenantTx
from billfold_server.webhooks import deliveries, endpoints, queries, rules
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


async def list_events(
    tx: TenantTx, caller: Caller, *, after: int, limit: int, types: str | None = None, object_id: str | None = None
) -> list[Event]:
    """Return events behind a place in the stream, in order, as far as they are there for the caller.

    A type that there is none of is refused, for whoever has misspelt one would take silence for an answer. So is a
    place that no event has: whoever has read one there would hear of nothing until the numbers have passed it.

    Args:
        tx: The tenant's transaction.
        caller: Who asks.
        after: The number of the last event that is known already.
        limit: How many at most.
        types: Only these types, as the contract has them: ``transfer.*,hold.created``.
        object_id: Only what has happened to this object.

    Raises:
        errors.EventTypeUnknown: A filter names a type that there is none of.
        errors.EventPlaceAhead: The place lies ahead of the newest event's.
    """
    of_partner = None if caller.partner_id is None else ids.encode(Prefix.PARTNER, caller.partner_id)
    filters = [rules.ALL] if types is None else types.split(",")
    if (place := rules.unheard_of(filters)) is not None:
        raise errors.EventTypeUnknown(rules.why_unheard_of(filters[place]), param="type")
    each_type = rules.types_of(filters)
    found = await outbox.list_events(
        tx, after=after, limit=limit, each_type=each_type, of_partner=of_partner, object_id=object_id
    )
    if not found and after > (newest := await outbox.last_sequence(tx)):
        raise errors.EventPlaceAhead(f"the newest event is {newest}", param="after", newest_sequence=newest)
    return found


async def delivery_lag(tx: TenantTx, now: datetime) -> timedelta:
    """Return for how long what enabled endpoints should have been told has waited for us; zero where nothing has.

    Args:
        tx: The tenant's transaction.
        now: The tenant's time.
    """
    since = await queries.waiting_since(tx, Publisher.name)
    return timedelta() if since is None else max(timedelta(), now - since)


async def _follow(tx: TenantTx, caller: Caller, former: Partner, partner: Partner, now: datetime) -> None:
    del caller, now
    if former.state != partner.state:
        await endpoints.arm_all_of(tx, partner.id)


partners.when_changed(_follow)
partners.kept_by("webhook_endpoints", queries.count)
