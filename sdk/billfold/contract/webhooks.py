"""Webhook endpoints: where a tenant's programs are told what happened, as it happens.

Deliveries are signed as Standard Webhooks has it, version 1: by a secret that both sides know (``v1``), and by a key of
which the receiver has the public half alone (``v1a``). ``billfold.webhooks.verify`` checks either.
"""

from enum import StrEnum
from typing import Annotated, Final

from msgspec import UNSET, Meta, UnsetType

from billfold.contract.common import Instant, Request, Response, Text, WebhookEndpointId

__all__ = [
    "MOST_ENDPOINTS",
    "CreateWebhookEndpoint",
    "RotateWebhookSecret",
    "UpdateWebhookEndpoint",
    "WebhookEndpoint",
    "WebhookEndpointCreated",
    "WebhookEndpointReason",
    "WebhookEndpointState",
    "WebhookSecret",
]

MOST_ENDPOINTS: Final = 20
"""How many endpoints a tenant may have."""


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
        pattern=r"^[a-z0-9_]+(\.[a-z0-9_]+)*(\.\*)?$(?!\n)",
        description="A type of event, or the beginning of several: `payment.*`.",
        examples=["payment.*"],
    ),
]
EventFilters = Annotated[
    list[EventFilter],
    Meta(min_length=1, max_length=50, description="Which types of events are delivered; null is all of them."),
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


class WebhookEndpointCreated(WebhookEndpoint, frozen=True, kw_only=True):
    """A new webhook endpoint, with its secret."""

    secret: Secret


class WebhookSecret(Response, frozen=True, kw_only=True):
    """A new secret of a webhook endpoint."""

    webhook_endpoint_id: WebhookEndpointId
    secret: Secret
    public_key: PublicKey
    former_secret_until: Annotated[
        Instant, Meta(description="Until when deliveries are signed by the former secret and key as well.")
    ]
