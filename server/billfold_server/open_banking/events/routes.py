"""Event subscriptions and polling, as the standard has them; and what was told, as the bank's staff see it."""

from typing import Final
from uuid import UUID

from msgspec import UNSET

from billfold import errors, ids
from billfold.contract.common import ClientId, Page
from billfold.contract.event_notifications import EventNotification, EventNotificationState
from billfold.contract.open_banking.events import (
    OBEventPolling1,
    OBEventPollingResponse1,
    OBEventSubscription1,
    OBEventSubscription1Data,
    OBEventSubscriptionResponse1,
    OBEventSubscriptionResponse1Data,
    OBEventSubscriptionsResponse1,
    OBEventSubscriptionsResponse1Data,
)
from billfold.ids import Prefix
from billfold_server.http.pagination import DEFAULT_LIMIT, Cursor, Limit
from billfold_server.http.routing import Call, Reply, Routes
from billfold_server.open_banking.edge.answers import links_of, meta_of
from billfold_server.open_banking.edge.errors import FIELD_INVALID, field_error
from billfold_server.open_banking.edge.routes import OpenBankingRoutes
from billfold_server.open_banking.events import service, staff
from billfold_server.open_banking.events.rows import Subscription
from billfold_server.open_banking.events.service import Wanted

__all__ = ["routes", "staff_routes"]

routes = OpenBankingRoutes(
    "events", tag="Open banking: events", description="What third parties are told of their consents and payments."
)

_OK = 200


@routes.post("/event-subscriptions", errors=(errors.EventSubscriptionExists,))
async def create_event_subscriptions(call: Call, body: OBEventSubscription1) -> OBEventSubscriptionResponse1:
    """Subscribe to events. A third party has one subscription."""
    made = await service.create(call, _wanted(body.data))
    return OBEventSubscriptionResponse1(
        data=_shown(made), links=links_of(call, below=f"/{made.wire_id}"), meta=meta_of(total_pages=None)
    )


@routes.get("/event-subscriptions")
async def get_event_subscriptions(call: Call) -> OBEventSubscriptionsResponse1:
    """Show the subscription, if there is one."""
    found = await service.find(call)
    return OBEventSubscriptionsResponse1(
        data=OBEventSubscriptionsResponse1Data(event_subscription=[] if found is None else [_shown(found)]),
        links=links_of(call),
        meta=meta_of(),
    )


@routes.put(
    "/event-subscriptions/{EventSubscriptionId}",
    errors=(errors.EventSubscriptionNotFound, errors.EventSubscriptionOfAnother),
)
async def change_event_subscriptions(
    call: Call, event_subscription_id: str, body: OBEventSubscriptionResponse1
) -> OBEventSubscriptionResponse1:
    """Change the subscription. Pushing that was paused goes on."""
    subscription_id = _read_id(event_subscription_id)
    if body.data.event_subscription_id != event_subscription_id:
        raise field_error("Data.EventSubscriptionId", FIELD_INVALID, "another one is in the address")
    changed = await service.change(call, subscription_id, _wanted(body.data))
    return OBEventSubscriptionResponse1(data=_shown(changed), links=links_of(call), meta=meta_of(total_pages=None))


@routes.delete(
    "/event-subscriptions/{EventSubscriptionId}",
    errors=(errors.EventSubscriptionNotFound, errors.EventSubscriptionOfAnother),
)
async def delete_event_subscriptions(call: Call, event_subscription_id: str) -> None:
    """End the subscription."""
    await service.delete(call, _read_id(event_subscription_id))


@routes.post("/events")
async def create_events(call: Call, body: OBEventPolling1) -> Reply[OBEventPollingResponse1]:
    """Acknowledge events and read those that come next."""
    if body.max_events is not UNSET and body.max_events < 0:
        raise field_error("maxEvents", FIELD_INVALID, "there can't be fewer than none")
    said = body.set_errs or {}
    polled = await service.poll(
        call,
        taken=body.ack or (),
        refused={jti: (each.err, each.description) for jti, each in said.items()},
        most=None if body.max_events is UNSET else body.max_events,
        wait=body.return_immediately is False,
    )
    return Reply(body=OBEventPollingResponse1(more_available=polled.more, sets=dict(polled.sets)), status=_OK)


def _wanted(data: OBEventSubscription1Data | OBEventSubscriptionResponse1Data) -> Wanted:
    return Wanted(
        callback_url=None if data.callback_url is UNSET else data.callback_url,
        version=data.version,
        event_types=None if data.event_types is UNSET else tuple(data.event_types),
    )


def _shown(subscription: Subscription) -> OBEventSubscriptionResponse1Data:
    return OBEventSubscriptionResponse1Data(
        event_subscription_id=subscription.wire_id,
        callback_url=UNSET if subscription.callback_url is None else subscription.callback_url,
        version=subscription.version,
        event_types=UNSET if subscription.event_types is None else list(subscription.event_types),
    )


def _read_id(text: str) -> UUID:
    try:
        return ids.decode(Prefix.EVENT_SUBSCRIPTION, text)
    except ids.InvalidIdError:
        raise errors.EventSubscriptionNotFound from None


staff_routes = Routes(
    tag="Event notifications",
    description="What licensed third parties are told of their consents and payments, and what they have reported.",
)

_TOLD: Final = "event notifications"


@staff_routes.get("/v1/event-notifications", scope="consents:read")
async def list_event_notifications(
    call: Call,
    *,
    client_id: ClientId | None = None,
    state: EventNotificationState | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor | None = None,
) -> Page[EventNotification]:
    """List what third parties were told, the newest first.

    What one of them couldn't read is `refused`, with what it has reported. They are kept as long as events are.
    """
    place = call.cursors.decode(_TOLD, cursor)
    async with call.tx() as tx:
        found = await staff.list_notifications(
            tx,
            client_id=None if client_id is None else ids.decode(Prefix.CLIENT, client_id),
            state=state,
            before=UUID(str(place[0])) if place else None,
            limit=limit + 1,
        )
    page = call.page(_TOLD, found, limit, key=lambda each: [str(each.id)])
    return Page(data=[staff.shown(each) for each in page.data], next_cursor=page.next_cursor)
