"""What is refused of webhook endpoints."""

from billfold.errors._families import Conflict, Unprocessable

__all__ = [
    "EventPlaceAhead",
    "EventRangeInvalid",
    "EventTypeUnknown",
    "WebhookEndpointDeleted",
    "WebhookEndpointLimitReached",
    "WebhookUrlRefused",
]


class WebhookUrlRefused(Unprocessable):
    """Nothing can be delivered to the address. ``reason`` says why, such as ``scheme``, ``address`` or ``policy``."""

    code, title = "webhook_url_refused", "The address can't be called"
    reason: str


class EventTypeUnknown(Unprocessable):
    """A filter names a type of events that there is none of, so nothing would ever pass it."""

    code, title = "event_type_unknown", "There are no events of such a type"


class EventPlaceAhead(Conflict):
    """The place lies ahead of the newest event, whose is ``newest_sequence``; nobody has seen one there.

    Where it was an event's, the bank's database was restored to an earlier time: what came since is undone, and its
    numbers are given again. Go on behind the newest, and read anew what you have learned since.
    """

    code, title = "event_place_ahead", "No event has got as far as this place"
    newest_sequence: int


class EventRangeInvalid(Unprocessable):
    """A range of events ends at a place before the one behind which it begins, so nothing can lie in it."""

    code, title = "event_range_invalid", "The range of events ends before it begins"


class WebhookEndpointLimitReached(Conflict):
    """The tenant has as many webhook endpoints as it may have: ``limit``."""

    code, title = "webhook_endpoint_limit_reached", "There are as many webhook endpoints as there may be"
    limit: int


class WebhookEndpointDeleted(Conflict):
    """The endpoint is no more, so nothing can be delivered to it again."""

    code, title = "webhook_endpoint_deleted", "The webhook endpoint was deleted"
