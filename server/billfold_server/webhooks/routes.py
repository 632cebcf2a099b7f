"""Shows a tenant's clients what happened, and lets them say where they want to be told of it."""

import functools
from typing import Annotated, Final
from uuid import UUID

from msgspec import Meta

from billfold import errors, ids
from billfold.contract.common import EventId, Page, PartnerId, WebhookDeliveryId, WebhookEndpointId
from billfold.contract.platform import Event
from billfold.contract.webhooks import (
    CreateWebhookEndpoint,
    ReplayWebhookEvents,
    RotateWebhookSecret,
    UpdateWebhookEndpoint,
    WebhookDelivery,
    WebhookDeliveryRecord,
    WebhookDeliveryState,
    WebhookEndpoint,
    WebhookEndpointCreated,
    WebhookReplay,
    WebhookSecret,
    WebhookTest,
)
from billfold.ids import Prefix
from billfold_server.http.etags import check_if_match
from billfold_server.http.pagination import DEFAULT_LIMIT, Cursor, Limit
from billfold_server.http.routing import Call, Link, Routes
from billfold_server.webhooks import deliveries, endpoints, service

__all__ = ["endpoint_routes", "routes"]

routes = Routes(tag="Events", description="What happened, in one stream per tenant, numbered without gaps.")

_KIND = "events"
_LARGEST = 2**63 - 1
EventType = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=1000,
        pattern=r"^(\*|[a-z0-9_.]+(\.\*)?)(,(\*|[a-z0-9_.]+(\.\*)?)){0,19}$(?!\n)",
        description="Only these types, with commas between them, at most 20; `transfer.*` is all that begin so, "
        "`*` is all. Types that there aren't are refused.",
        examples=["party.created"],
    ),
]
ObjectId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=100,
        pattern=r"^[!-~]+$(?!\n)",
        description="Only what has happened to this object, by its id.",
        examples=["wal_01kj2w9ma1e2s8w3xk3cfg4v7n"],
    ),
]
Sequence = Annotated[
    int, Meta(ge=0, le=_LARGEST, description="Only what comes after this place in the stream.", examples=[0])
]


@routes.get("/v1/events", scope="events:read", errors=(errors.EventTypeUnknown, errors.EventPlaceAhead))
async def list_events(
    call: Call,
    *,
    type_: EventType | None = None,
    object_id: ObjectId | None = None,
    after: Sequence = 0,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor | None = None,
) -> Page[Event]:
    """List events.

    They come in the order of their sequence, which has no gaps: whoever goes on with ``after`` the last one seen misses
    nothing. A change's events appear shortly after the change itself. After the last one there is an empty page.
    What is older than the tenant keeps events for is gone, and so is what was there before a sandbox was reset: who
    sees all events, and asks for all, knows it by a first one that isn't the next after their last. A place ahead of
    the newest event is refused: there is one where the bank's database was restored to an earlier time.
    """
    place = call.cursors.decode(_KIND, cursor)
    begin = after if place is None else max(after, int(str(place[0])))
    async with call.tx() as tx:
        events = await service.list_events(
            tx, call.caller, after=begin, limit=limit + 1, types=type_, object_id=object_id
        )
    return call.page(_KIND, events, limit, key=lambda event: [event.sequence])


endpoint_routes = Routes(
    tag="Webhooks",
    description="Where events are delivered as they happen, signed as Standard Webhooks has it.",
)

_ENDPOINTS: Final = "webhook endpoints"
_DELIVERIES: Final = "webhook deliveries"
_LED_TO: Final = tuple(
    Link(operation_id=name, parameters={"webhook_endpoint_id": "$response.body#/id"})
    for name in ("getWebhookEndpoint", "updateWebhookEndpoint", "rotateWebhookSecret", "deleteWebhookEndpoint")
)


def _endpoint(webhook_endpoint_id: str) -> UUID:
    return ids.decode(Prefix.WEBHOOK_ENDPOINT, webhook_endpoint_id)


@endpoint_routes.post(
    "/v1/webhook-endpoints",
    scope="webhooks:write",
    etag=True,
    location="/v1/webhook-endpoints/{id}",
    errors=(errors.NotFound, errors.EventTypeUnknown, errors.WebhookUrlRefused, errors.WebhookEndpointLimitReached),
    links=_LED_TO,
    examples={"request": {"url": "https://partner.example/webhooks", "event_types": ["payment.*"]}},
)
async def create_webhook_endpoint(call: Call, body: CreateWebhookEndpoint) -> WebhookEndpointCreated:
    """Register a webhook endpoint.

    It is told of what happens from then on. Its secret is in this answer and nowhere else; so there is no idempotency
    key, by which answers are kept. A tenant has at most 20 of its own, and each partner
    organisation 20 of its own.
    """
    return await endpoints.create(call, body)


@endpoint_routes.get("/v1/webhook-endpoints", scope="webhooks:read", errors=(errors.NotFound,))
async def list_webhook_endpoints(
    call: Call, *, partner_id: PartnerId | None = None, limit: Limit = DEFAULT_LIMIT, cursor: Cursor | None = None
) -> Page[WebhookEndpoint]:
    """List webhook endpoints, the oldest first.

    Who acts for a partner organisation sees its own.
    """
    place = call.cursors.decode(_ENDPOINTS, cursor)
    async with call.tx() as tx:
        rows = await endpoints.list_endpoints(
            tx,
            call.caller,
            after=UUID(str(place[0])) if place else None,
            limit=limit + 1,
            partner_id=None if partner_id is None else ids.decode(Prefix.PARTNER, partner_id),
        )
    now = call.services.clock.now()
    shown = [row.to_response(now) for row in rows]
    return call.page(_ENDPOINTS, shown, limit, key=lambda each: [str(_endpoint(each.id))])


@endpoint_routes.get(
    "/v1/webhook-endpoints/{webhook_endpoint_id}", scope="webhooks:read", etag=True, errors=(errors.NotFound,)
)
async def get_webhook_endpoint(call: Call, webhook_endpoint_id: WebhookEndpointId) -> WebhookEndpoint:
    """Show a webhook endpoint, with the keys by which its deliveries are verified."""
    async with call.tx() as tx:
        row = await endpoints.get(tx, call.caller, _endpoint(webhook_endpoint_id))
    return row.to_response(call.services.clock.now())


@endpoint_routes.patch(
    "/v1/webhook-endpoints/{webhook_endpoint_id}",
    scope="webhooks:write",
    if_match=True,
    etag=True,
    errors=(errors.NotFound, errors.EventTypeUnknown, errors.WebhookUrlRefused),
    examples={"request": {"description": "The shop's back office"}},
)
async def update_webhook_endpoint(
    call: Call, webhook_endpoint_id: WebhookEndpointId, body: UpdateWebhookEndpoint
) -> WebhookEndpoint:
    """Change a webhook endpoint.

    What is absent stays, and null clears what may be empty. What waited while it was paused is delivered once it is
    enabled again, and what failed at one address is delivered at once where it has another. With ``If-Match`` it is
    changed only if nobody has changed it since you read it.
    """
    check = functools.partial(check_if_match, call.if_match)
    return await endpoints.update(call, _endpoint(webhook_endpoint_id), body, check)


@endpoint_routes.delete(
    "/v1/webhook-endpoints/{webhook_endpoint_id}", scope="webhooks:write", errors=(errors.NotFound,)
)
async def delete_webhook_endpoint(call: Call, webhook_endpoint_id: WebhookEndpointId) -> None:
    """Delete a webhook endpoint. What wasn't delivered by then never is."""
    async with call.tx() as tx:
        await endpoints.delete(tx, call.caller, _endpoint(webhook_endpoint_id))


@endpoint_routes.post(
    "/v1/webhook-endpoints/{webhook_endpoint_id}/rotate-secret",
    scope="webhooks:write",
    status=200,
    errors=(errors.NotFound,),
)
async def rotate_webhook_secret(
    call: Call, webhook_endpoint_id: WebhookEndpointId, body: RotateWebhookSecret
) -> WebhookSecret:
    """Give a webhook endpoint another secret and another key.

    Deliveries are signed by the former ones as well for as long as you say, so that nothing is lost while the receiver
    changes over. The secret is in this answer and nowhere else; so there is no idempotency key.
    """
    return await endpoints.rotate(call, _endpoint(webhook_endpoint_id), body.overlap_s)


@endpoint_routes.post(
    "/v1/webhook-endpoints/{webhook_endpoint_id}/test",
    scope="webhooks:write",
    status=200,
    errors=(errors.NotFound,),
)
async def test_webhook_endpoint(call: Call, webhook_endpoint_id: WebhookEndpointId) -> WebhookTest:
    """Try a webhook endpoint out.

    It alone is told of an event ``webhook_endpoint.tested``, whatever types it wants. A paused one is told once it is
    enabled, a disabled one never.
    """
    async with call.tx() as tx:
        return await endpoints.test(tx, call.caller, _endpoint(webhook_endpoint_id))


@endpoint_routes.get("/v1/webhook-deliveries", scope="webhooks:read")
async def list_webhook_deliveries(
    call: Call,
    *,
    webhook_endpoint_id: WebhookEndpointId | None = None,
    event_id: EventId | None = None,
    state: WebhookDeliveryState | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor | None = None,
) -> Page[WebhookDelivery]:
    """List deliveries, the newest first.

    They are kept as long as events are.
    """
    place = call.cursors.decode(_DELIVERIES, cursor)
    async with call.tx() as tx:
        rows = await deliveries.list_deliveries(
            tx,
            call.caller,
            limit=limit + 1,
            before=UUID(str(place[0])) if place else None,
            endpoint_id=None if webhook_endpoint_id is None else _endpoint(webhook_endpoint_id),
            event_id=None if event_id is None else ids.decode(Prefix.EVENT, event_id),
            state=None if state is None else state.value,
        )
    page = call.page(_DELIVERIES, rows, limit, key=lambda row: [str(row.id)])
    return Page(data=[row.to_response() for row in page.data], next_cursor=page.next_cursor)


@endpoint_routes.get("/v1/webhook-deliveries/{webhook_delivery_id}", scope="webhooks:read", errors=(errors.NotFound,))
async def get_webhook_delivery(call: Call, webhook_delivery_id: WebhookDeliveryId) -> WebhookDeliveryRecord:
    """Show a delivery, with what was sent and what came back."""
    return await deliveries.get(call, ids.decode(Prefix.WEBHOOK_DELIVERY, webhook_delivery_id))


@endpoint_routes.post(
    "/v1/webhook-deliveries/{webhook_delivery_id}/replay",
    scope="webhooks:write",
    status=200,
    errors=(errors.NotFound, errors.WebhookEndpointDeleted),
)
async def replay_webhook_delivery(call: Call, webhook_delivery_id: WebhookDeliveryId) -> WebhookDelivery:
    """Deliver an event again, with the same id.

    It has all its attempts again. To an endpoint that isn't enabled it goes once that is.
    """
    async with call.tx() as tx:
        return await deliveries.replay(tx, call.caller, ids.decode(Prefix.WEBHOOK_DELIVERY, webhook_delivery_id))


@endpoint_routes.post(
    "/v1/webhook-endpoints/{webhook_endpoint_id}/replay",
    scope="webhooks:write",
    status=200,
    errors=(errors.NotFound, errors.EventRangeInvalid),
    examples={"request": {}},
)
async def replay_webhook_events(
    call: Call, webhook_endpoint_id: WebhookEndpointId, body: ReplayWebhookEvents
) -> WebhookReplay:
    """Tell a webhook endpoint again of what it wants among a range of events, each with the same id.

    It may have been told of them before or not, and they may be older than the endpoint. A range with nothing in it is
    told as such, as the stream tells those who have seen all of it; one that ends before it begins is refused.
    """
    async with call.tx() as tx:
        return await deliveries.replay_events(tx, call.caller, _endpoint(webhook_endpoint_id), body)
