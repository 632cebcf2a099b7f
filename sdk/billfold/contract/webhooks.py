"""Webhook endpoints: where a tenant's programs are told what happened, as it happens.

Deliveries are signed as Standard Webhooks has it, version 1: by a secret that both sides know (``v1``), and by a key of
which the receiver has the public half alone (``v1a``). ``billfold.webhooks.verify`` checks either.
"""

from enum import StrEnum
from typing import Annotated, Final

from msgspec import UNSET, Meta, UnsetType

from billfold.contract.common import (
    EventId,
    Instant,
    PartnerId,
    Request,
    Response,
    Text,
    WebhookDeliveryId,
    WebhookEndpointId,
)
from billfold.contract.platform import Event

__all__ = [
    "MOST_ENDPOINTS",
    "MOST_REPLAYED",
    "CreateWebhookEndpoint",
    "ReplayWebhookEvents",
    "RotateWebhookSecret",
    "UpdateWebhookEndpoint",
    "WebhookAttempt",
    "WebhookDelivery",
    "WebhookDeliveryRecord",
    "WebhookDeliveryState",
    "WebhookEndpoint",
    "WebhookEndpointCreated",
    "WebhookEndpointReason",
    "WebhookEndpointState",
    "WebhookReplay",
    "WebhookRequest",
    "WebhookResponse",
    "WebhookSecret",
    "WebhookTest",
]

MOST_ENDPOINTS: Final = 20
"""How many endpoints a tenant may have of its own, and each partner organisation of it."""

MOST_REPLAYED: Final = 1_000
"""How many events are looked at by one request to have them delivered again."""


class WebhookEndpointState(StrEnum):
    """What an endpoint is sent."""

    ENABLED = "enabled"
    PAUSED = "paused"
    DISABLED = "disabled"


class WebhookEndpointReason(StrEnum):
    """Why an endpoint is sent nothing."""

    REQUESTED = "requested"
    UNRESPONSIVE = "unresponsive"
    GONE = "gone"


class WebhookDeliveryState(StrEnum):
    """How far a delivery has come."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    DEAD = "dead"
    CANCELLED = "cancelled"


Url = Annotated[
    str,
    Meta(
        min_length=9,
        max_length=2000,
        pattern=r"^https?://[\x21-\x7e]+$(?!\n)",
        description="An https address without user or fragment that is reachable by everybody. In a sandbox whose "
        "manifest allows it, the machine itself may be called, by http too.",
        examples=["https://partner.example/webhooks"],
    ),
]
EventFilter = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=100,
        pattern=r"^(\*|[a-z0-9_]+(\.[a-z0-9_]+)*(\.\*)?)$(?!\n)",
        description="A type of event, or the beginning of several: `payment.*`. Types that there aren't are refused.",
        examples=["payment.*"],
    ),
]
EventFilters = Annotated[
    list[EventFilter],
    Meta(
        min_length=1,
        max_length=50,
        description="Which types of events are delivered; null is all of them, and so is `*`.",
    ),
]
State = Annotated[
    WebhookEndpointState,
    Meta(
        description="`enabled`: events are delivered as they happen. `paused`: they are kept, and delivered once the "
        "endpoint is enabled again. `disabled`: what happens meanwhile isn't kept for it."
    ),
]
PublicKey = Annotated[
    str,
    Meta(
        description="By which the signatures `v1a` are verified: `whpk_` and an Ed25519 key.",
        examples=["whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="],
    ),
]
Secret = Annotated[
    str,
    Meta(
        description="By which the signatures `v1` are verified: `whsec_` and 32 random bytes. It is shown this once.",
        examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="],
    ),
]


class CreateWebhookEndpoint(Request, frozen=True, kw_only=True):
    """A new webhook endpoint."""

    url: Url
    description: Annotated[Text, Meta(description="For people, such as what receives it.")] | None = None
    event_types: EventFilters | None = None
    partner_id: Annotated[
        PartnerId | None,
        Meta(description="The partner organisation to which it belongs, for good; absent, whose client asks for it."),
    ] = None


class UpdateWebhookEndpoint(Request, frozen=True, kw_only=True):
    """Changes to a webhook endpoint. What is absent stays; null clears what may be empty."""

    url: Url | UnsetType = UNSET
    description: Text | UnsetType | None = UNSET
    event_types: EventFilters | UnsetType | None = UNSET
    state: State | UnsetType = UNSET


class RotateWebhookSecret(Request, frozen=True, kw_only=True):
    """How an endpoint's secret is replaced."""

    overlap_s: Annotated[
        int, Meta(ge=0, le=7 * 86_400, description="Seconds for which deliveries are signed by the former one as well.")
    ] = 86_400


_Place = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class ReplayWebhookEvents(Request, frozen=True, kw_only=True):
    """Which events an endpoint is to be told again, by their places in the tenant's stream."""

    after: Annotated[_Place, Meta(description="Only what comes after this place.")] = 0
    up_to: (
        Annotated[
            _Place,
            Meta(
                description="Only what comes up to this place, with its own event; null is to the end. The place of "
                "`after` is a range with nothing in it, of which nothing is told; a place before that is refused."
            ),
        ]
        | None
    ) = None


class WebhookReplay(Response, frozen=True, kw_only=True):
    """What is delivered again."""

    webhook_endpoint_id: WebhookEndpointId
    replayed: Annotated[int, Meta(description="How many events the endpoint is told again.")]
    next_after: Annotated[
        int | None, Meta(description="Where to go on: 1,000 events are looked at by a request. Null at the end.")
    ]


class WebhookEndpoint(Response, frozen=True, kw_only=True):
    """Where events are delivered, without anything that is secret."""

    id: WebhookEndpointId
    url: str
    description: str | None
    event_types: list[str] | None
    state: State
    state_reason: Annotated[
        WebhookEndpointReason | None,
        Meta(
            description="Why nothing is delivered: somebody wanted it so (`requested`), it has taken nothing for days "
            "(`unresponsive`), or it has said that it is gone for good (`gone`). Null while it is enabled."
        ),
    ]
    public_key: PublicKey
    former_public_key: PublicKey | None
    former_secret_until: Annotated[
        Instant | None, Meta(description="Until when deliveries are signed by the former secret and key as well.")
    ]
    last_delivered_at: Annotated[Instant | None, Meta(description="When it last took something.")]
    version: Annotated[int, Meta(description="Counts up at each change; the ETag is made of it.")]
    created_at: Instant
    updated_at: Instant
    partner_id: Annotated[
        PartnerId | None, Meta(description="The partner organisation to which it belongs; null is the tenant itself.")
    ] = None


class WebhookEndpointCreated(WebhookEndpoint, frozen=True, kw_only=True):
    """A new webhook endpoint, with its secret."""

    _secrets = frozenset({"secret"})

    secret: Secret


class WebhookSecret(Response, frozen=True, kw_only=True):
    """A new secret of a webhook endpoint."""

    _secrets = frozenset({"secret"})

    webhook_endpoint_id: WebhookEndpointId
    secret: Secret
    public_key: PublicKey
    former_secret_until: Annotated[
        Instant, Meta(description="Until when deliveries are signed by the former secret and key as well.")
    ]


class WebhookTest(Response, frozen=True, kw_only=True):
    """An event that a webhook endpoint is told of to try it out."""

    webhook_endpoint_id: WebhookEndpointId
    event_id: Annotated[EventId, Meta(description="The event, under whose id its delivery is found in a moment.")]


class WebhookDelivery(Response, frozen=True, kw_only=True):
    """One event on its way to one endpoint."""

    id: WebhookDeliveryId
    webhook_endpoint_id: WebhookEndpointId
    event_id: Annotated[EventId, Meta(description="The event. It is the delivery's `webhook-id`, however often sent.")]
    event_type: str
    sequence: Annotated[int, Meta(description="The event's place in the tenant's stream.")]
    state: Annotated[
        WebhookDeliveryState,
        Meta(
            description="`waiting`: to be tried, or kept while the endpoint is paused or disabled. `delivered`: the "
            "endpoint has answered with a status of 2xx. `dead`: given up after ten attempts in some three days. "
            "`cancelled`: the endpoint was deleted."
        ),
    ]
    attempts: Annotated[int, Meta(description="How often it was tried since it began, or was asked for again.")]
    next_attempt_at: Annotated[Instant | None, Meta(description="When it is tried next, if it is.")]
    last_attempt_at: Instant | None
    last_result: Annotated[
        str | None,
        Meta(
            description="The status of the last answer, or why there is none: `refused` (it may not be called), "
            "`unresolved`, `unconnected`, `tls`, `timeout`, `protocol`, `broken`, `expired` (the event was deleted) or "
            "`error` (a fault of ours).",
            examples=["200"],
        ),
    ]
    created_at: Instant


class WebhookRequest(Response, frozen=True, kw_only=True):
    """What was sent. Its body is the delivery's event."""

    url: str
    headers: dict[str, str]


class WebhookResponse(Response, frozen=True, kw_only=True):
    """What the endpoint said, as far as it is kept: 20 headers and the first 4,096 bytes of the body."""

    status: int
    headers: dict[str, str]
    body: str
    whole: Annotated[bool, Meta(description="Whether that is all of the body.")]


class WebhookAttempt(Response, frozen=True, kw_only=True):
    """One attempt at a delivery."""

    attempted_at: Annotated[Instant, Meta(description="When, on the tenant's clock.")]
    took_ms: int
    result: str
    request: WebhookRequest
    response: Annotated[WebhookResponse | None, Meta(description="Null where none came.")]


class WebhookDeliveryRecord(WebhookDelivery, frozen=True, kw_only=True):
    """A delivery with what was sent and what came back."""

    event: Annotated[Event | None, Meta(description="Null once it was deleted, as old events are.")]
    last_attempts: Annotated[list[WebhookAttempt], Meta(description="The last twenty, the last one first.")]
