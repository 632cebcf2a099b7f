"""The events in the OpenAPI document: each type as a webhook, made of the contract's registry."""

from typing import Any, Final

from billfold.contract.events import EVENTS, EventType
from billfold.contract.platform import Event
from billfold_server.http.schemas import Schemas

__all__ = ["PARAMETERS", "RESPONSES", "TYPES", "build_webhooks"]

TYPES: Final[list[Any]] = [Event, *dict.fromkeys(kind.data for kind in EVENTS.values())]
"""The types that the webhooks mention."""

PARAMETERS: Final[dict[str, Any]] = {
    "WebhookId": {
        "name": "webhook-id",
        "in": "header",
        "required": True,
        "description": "The event's id: the same each time it is sent, to whichever endpoint.",
        "schema": {"type": "string"},
        "example": "evt_01m7w9tnzcejq9b78b81gh4nmw",
    },
    "WebhookTimestamp": {
        "name": "webhook-timestamp",
        "in": "header",
        "required": True,
        "description": "When it is sent, in seconds since 1970. Refuse what is older than five minutes.",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
        "example": "1795176000",
    },
    "WebhookSignature": {
        "name": "webhook-signature",
        "in": "header",
        "required": True,
        "description": "Signatures of Standard Webhooks, a space between them: `v1` by the endpoint's secret "
        "(HMAC-SHA-256) and `v1a` by its key (Ed25519). While a secret is replaced there are the former one's as well.",
        "schema": {"type": "string"},
        "example": "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
    },
}
"""The headers of a delivery, for the document's components."""

RESPONSES: Final[dict[str, Any]] = {
    "WebhookTaken": {"description": "Taken."},
    "WebhookGone": {"description": "The endpoint is gone for good, and is told no more."},
    "WebhookNotTaken": {"description": "Not taken: it comes again, ten times in three days."},
}
"""What an endpoint may answer, for the document's components."""


def build_webhooks(schemas: Schemas) -> dict[str, Any]:
    """Return what a tenant's endpoints are told, by the types of events.

    Args:
        schemas: The document's schemas, those of ``TYPES`` among them.
    """
    return {name: {"post": _webhook(schemas, kind)} for name, kind in sorted(EVENTS.items())}


def _webhook(schemas: Schemas, kind: EventType[Any]) -> dict[str, Any]:
    said = {
        "type": {"const": kind.name},
        "version": {"const": kind.version},
        "data": schemas.of(kind.data),
    }
    schema = {"allOf": [schemas.of(Event), {"properties": said}]}
    answers = {"2XX": "WebhookTaken", "410": "WebhookGone", "default": "WebhookNotTaken"}
    return {
        "operationId": f"on_{kind.name.replace('.', '_')}",
        "summary": kind.about,
        "tags": ["Webhooks"],
        "parameters": [{"$ref": f"#/components/parameters/{name}"} for name in PARAMETERS],
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "responses": {status: {"$ref": f"#/components/responses/{name}"} for status, name in answers.items()},
        # It is known by its signature, and by nothing that a client has.
        "security": [],
    }
