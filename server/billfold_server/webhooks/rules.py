"""What an endpoint is told."""

from collections.abc import Sequence

from msgspec import UNSET

from billfold.contract.webhooks import UpdateWebhookEndpoint, WebhookEndpointReason, WebhookEndpointState
from billfold_server.webhooks.rows import EndpointRow

__all__ = ["changes_of", "wants"]

_ALL_BELOW = ".*"


def wants(event_types: Sequence[str] | None, event_type: str) -> bool:
    """Tell whether a filter lets a type of event pass. No filter lets all pass."""
    return event_types is None or any(
        event_type == each or (each.endswith(_ALL_BELOW) and event_type.startswith(each[:-1])) for each in event_types
    )


def changes_of(row: EndpointRow, body: UpdateWebhookEndpoint) -> dict[str, object]:
    """Return what a change changes, by the names of the columns."""
    asked: dict[str, object] = {"url": body.url, "description": body.description, "event_types": body.event_types}
    if isinstance(body.event_types, list):
        asked["event_types"] = tuple(dict.fromkeys(body.event_types))
    changed = {name: value for name, value in asked.items() if value is not UNSET and value != getattr(row, name)}
    if body.state is not UNSET and body.state is not row.state:
        enabled = body.state is WebhookEndpointState.ENABLED
        changed |= {"state": body.state, "state_reason": None if enabled else WebhookEndpointReason.REQUESTED}
    return changed
