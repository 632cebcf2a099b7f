"""What an endpoint is told, and what is shown of what it says."""

import difflib
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import UNSET

from billfold import ids
from billfold.contract.events import EVENTS, WEBHOOK_ENDPOINT_TESTED
from billfold.contract.platform import Event
from billfold.contract.webhooks import UpdateWebhookEndpoint, WebhookEndpointReason, WebhookEndpointState
from billfold.ids import Prefix
from billfold_server.db.outbox import OF_SOMEBODY
from billfold_server.webhooks.rows import EndpointRow

__all__ = [
    "ALL",
    "SHOWN_BYTES",
    "asked_types",
    "changes_of",
    "concerns",
    "is_away",
    "is_due",
    "is_told",
    "is_wanted",
    "shown_body",
    "shown_headers",
    "types_of",
    "unheard_of",
    "wanted_types",
    "wants",
    "why_unheard_of",
]

SHOWN_BYTES: Final = 4096
"""How much of an answer's body is kept."""

ALL: Final = "*"
"""What many ask for who want to be told of everything."""

_ALL_BELOW: Final = ".*"
_HEADERS: Final = 20
_NAME: Final = 60
_VALUE: Final = 300


def asked_types(event_types: Sequence[str] | None) -> tuple[str, ...] | None:
    """Return which types an endpoint is asked to be told of, each once; None is all, which ``*`` asks for as well."""
    return None if event_types is None or ALL in event_types else tuple(dict.fromkeys(event_types))


def types_of(filters: Sequence[str]) -> list[str] | None:
    """Return the types that filters let pass by which the stream is asked for; None is all, which ``*`` is as well."""
    return None if ALL in filters else sorted(known for known in EVENTS if wants(filters, known))


def unheard_of(event_types: Sequence[str]) -> int | None:
    """Return the place of the first filter that lets no type pass that there is: nothing would ever come of it."""
    unheard = (
        place
        for place, each in enumerate(event_types)
        if each != ALL and not any(wants([each], known) for known in EVENTS)
    )
    return next(unheard, None)


def why_unheard_of(asked: str) -> str:
    """Return why a filter is refused that lets nothing pass, with the nearest that does."""
    families = {f"{known.partition('.')[0]}{_ALL_BELOW}" for known in EVENTS}
    near = difflib.get_close_matches(asked, sorted({*EVENTS, *families}), n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"there are no events of such a type; {hint}* stands for all, and transfer.* for all of transfers"


def wants(event_types: Sequence[str] | None, event_type: str) -> bool:
    """Tell whether a filter lets a type of event pass. No filter lets all pass."""
    return event_types is None or any(
        event_type == each or (each.endswith(_ALL_BELOW) and event_type.startswith(each[:-1])) for each in event_types
    )


def wanted_types(filters: Collection[Sequence[str] | None]) -> list[str] | None:
    """Return the types that some filters let pass, where they name them; None is that they can't be told one by one."""
    if any(each is None or any(name.endswith(_ALL_BELOW) for name in each) for each in filters):
        return None
    return sorted({name for each in filters if each is not None for name in each})


def concerns(partner_id: UUID | None, event: Event) -> bool:
    """Tell whether a partner's programs hear of an event; the tenant's own (None) hear of all.

    What is about people, partners and endpoints is told to those alone whose they are.
    """
    if partner_id is None or event.type.partition(".")[0] not in OF_SOMEBODY:
        return True
    own = ids.encode(Prefix.PARTNER, partner_id)
    return own in {event.object_id, event.data.get("partner_id")}


def is_told(row: EndpointRow, event: Event) -> bool:
    """Tell whether an endpoint that isn't disabled is told of an event. Of a test it is told that asked for it."""
    if event.type == WEBHOOK_ENDPOINT_TESTED.name:
        return event.object_id == row.wire_id
    return event.sequence > row.begins_after and is_wanted(row, event)


def is_wanted(row: EndpointRow, event: Event) -> bool:
    """Tell whether an endpoint wants an event, whenever that happened. Others' tests aren't there for it."""
    own = event.type != WEBHOOK_ENDPOINT_TESTED.name or event.object_id == row.wire_id
    return own and wants(row.event_types, event.type) and concerns(row.partner_id, event)


def is_due(row: EndpointRow) -> bool:
    """Tell whether an endpoint is told at once; where it isn't, what it is to be told is kept."""
    return row.state is WebhookEndpointState.ENABLED and not row.suspended


def is_away(row: EndpointRow, given_up: Collection[datetime]) -> bool:
    """Tell whether an endpoint is away: it has taken nothing since something began that is given up now.

    One that has taken something else meanwhile doesn't like this one.
    """
    return any(row.taken_at is None or row.taken_at < begun_at for begun_at in given_up)


def shown_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of an answer, as far as they are kept."""
    return {name[:_NAME]: value[:_VALUE] for name, value in list(headers.items())[:_HEADERS]}


def shown_body(body: bytes) -> str:
    """Return the beginning of an answer's body, as text."""
    return body[:SHOWN_BYTES].decode("utf-8", "replace")


def changes_of(row: EndpointRow, body: UpdateWebhookEndpoint) -> dict[str, object]:
    """Return what a change changes, by the names of the columns."""
    asked: dict[str, object] = {"url": body.url, "description": body.description, "event_types": body.event_types}
    if isinstance(body.event_types, list):
        asked["event_types"] = asked_types(body.event_types)
    changed = {name: value for name, value in asked.items() if value is not UNSET and value != getattr(row, name)}
    if body.state is not UNSET and body.state is not row.state:
        enabled = body.state is WebhookEndpointState.ENABLED
        changed |= {"state": body.state, "state_reason": None if enabled else WebhookEndpointReason.REQUESTED}
    return changed
