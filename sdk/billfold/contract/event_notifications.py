"""What third parties are told of their consents and payments, and what has become of it, as the bank sees it."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from billfold.contract.common import ClientId, EventId, Instant, Response

__all__ = ["EventNotification", "EventNotificationState", "EventNotificationWay"]


class EventNotificationState(StrEnum):
    """How far a notification has come."""

    UNREAD = "unread"
    DEAD = "dead"
    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"


class EventNotificationWay(StrEnum):
    """How a third party has got a notification."""

    PUSH = "push"
    POLL = "poll"


class EventNotification(Response, frozen=True, kw_only=True):
    """Something that a third party is told, and what has become of it; not the token that tells it."""

    jti: Annotated[
        str,
        Meta(
            description="The id of the token by which it is told, as the third party knows it.",
            examples=["01931c3e-0000-7000-8000-000000000000"],
        ),
    ]
    client_id: ClientId
    event_id: Annotated[EventId, Meta(description="The event of which it tells.")]
    object_id: Annotated[
        str,
        Meta(description="The consent or payment that it is about.", examples=["con_01m7w9tnzcejq9b78b81gh4nmw"]),
    ]
    event_types: Annotated[
        list[str],
        Meta(description="As what it is told.", examples=[["urn:uk:org:openbanking:events:resource-update"]]),
    ]
    state: Annotated[
        EventNotificationState,
        Meta(
            description="`unread`: to be pushed, or to be polled. `dead`: pushed in vain for some three days; it can "
            "still be polled. `acknowledged`: the third party has it. `refused`: it has said that it can't read it.",
            examples=["refused"],
        ),
    ]
    occurred_at: Annotated[Instant, Meta(description="When it happened.")]
    created_at: Annotated[Instant, Meta(description="When it was written for the third party.")]
    attempts: Annotated[int, Meta(description="How often it was pushed.")]
    next_attempt_at: Annotated[Instant | None, Meta(description="When it is pushed next, if it is.")]
    last_attempt_at: Instant | None
    last_result: Annotated[
        str | None,
        Meta(
            description="The status of the last answer to a push that failed, or why there was none.",
            examples=["503"],
        ),
    ]
    ended_at: Annotated[Instant | None, Meta(description="When the third party has acknowledged or refused it.")]
    ended_by: Annotated[EventNotificationWay | None, Meta(description="How it had got it.")]
    error: Annotated[
        str | None,
        Meta(
            description="The code by which the third party has refused it: for good (`setErrs` of a poll), or in its "
            "answer to the last push (RFC 8935, section 2.3).",
            examples=["invalid_issuer"],
        ),
    ]
    error_description: Annotated[
        str | None,
        Meta(
            description="What it has said of that, with a mark for each character that can't be seen.",
            examples=["The issuer isn't known."],
        ),
    ]
