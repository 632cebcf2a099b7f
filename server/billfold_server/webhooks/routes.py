"""Shows a tenant's clients what happened."""

from typing import Annotated

from msgspec import Meta

from billfold.contract.common import Page
from billfold.contract.platform import Event
from billfold_server.http.pagination import DEFAULT_LIMIT, Cursor, Limit
from billfold_server.http.routing import Call, Routes
from billfold_server.webhooks import service

__all__ = ["routes"]

routes = Routes(tag="Events", description="What happened, in one stream per tenant, numbered without gaps.")

_KIND = "events"
_LARGEST = 2**63 - 1
EventType = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=100,
        pattern=r"^[a-z0-9_.]+$(?!\n)",
        description="Only this type.",
        examples=["party.created"],
    ),
]
Sequence = Annotated[
    int, Meta(ge=0, le=_LARGEST, description="Only what comes after this place in the stream.", examples=[0])
]


@routes.get("/v1/events", scope="events:read")
async def list_events(
    call: Call,
    *,
    type_: EventType | None = None,
    after: Sequence = 0,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor | None = None,
) -> Page[Event]:
    """List events.

    They come in the order of their sequence, which has no gaps: whoever goes on with ``after`` the last one seen misses
    nothing. A change's events appear shortly after the change itself.
    """
    place = call.cursors.decode(_KIND, cursor)
    begin = after if place is None else max(after, int(str(place[0])))
    async with call.tx() as tx:
        events = await service.list_events(tx, after=begin, limit=limit + 1, event_type=type_)
    return call.page(_KIND, events, limit, key=lambda event: [event.sequence])
