"""The reference of events, made of the contract's registry: each type with what it says, and an example."""

import functools
from typing import Any, Final

import msgspec

from billfold.contract.events import EVENTS, EventType
from billfold.contract.platform import Event
from billfold.ids import Prefix
from billfold_server.http.routing import Call, Reply
from billfold_server.http.schemas import Schemas, example_of
from billfold_server.http.webhook_document import TYPES
from billfold_server.portal.pages import page, render
from billfold_server.portal.viewers import guest

__all__ = ["Entry", "entries"]

_SEQUENCE: Final = 4711
_TENANT: Final = f"{Prefix.TENANT.value}_01m7w9tnzcejq9b78b81gh4nmw"
_DATA_OF_ITS_OWN: Final = "EventData"
"""What only events say has members for each occasion; an example shows those that all of them have."""

_SAID: Final[dict[str, Any]] = {
    "bank_account": "DE89370400440532013000",
    "because": None,
    "caller": "cli_01m7w9tnzcejq9b78b81gh4nmw",
    "changed": "name",
    "code": "insufficient_funds",
    "currency": "EUR",
    "description": "Invoice 4711",
    "exemption": None,
    "hold_id": None,
    "journal_entry_ids": "jrn_01m7w9tnzcejq9b78b81gh4nmw",
    "kind": "transfers",
    "label": "Everyday",
    "name": "Everyday wallet",
    "purpose": "charge",
    "reverses": None,
    "statement_id": "2026-11-20/1",
    "to_account_id": None,
    "to_wallet_id": "wal_01m7w9tnzcejq9b78b81gh4nmx",
    "verdict": "closes: 1 booked entry leads from 0.00 EUR to 12.50 EUR",
    "wallet_id": "wal_01m7w9tnzcejq9b78b81gh4nmw",
}
"""What stands where a type says no more than that it is a text."""

_OBJECTS: Final = ("id", "client_id", "caller")
"""Which member of what an event says is the object that it happened to; it is the tenant where there is none."""

_STATES: Final[dict[str, dict[str, Any]]] = {
    "consent.created": {"status": "AWAU"},
    "consent.refused": {"status": "RJCT"},
    "consent.consumed": {"status": "COND"},
    "consent.revoked": {"status": "CANC"},
    "consent.lapsed": {"status": "EXPD"},
    "consent.expired": {"status": "EXPD"},
    "hold.created": {"status": "open", "captured_minor": 0},
    "hold.released": {"status": "released", "captured_minor": 0},
    "hold.expired": {"status": "expired", "captured_minor": 0},
    "wallet.frozen": {"status": "frozen", "status_reason": "An authority has asked for it"},
    "wallet.closed": {"status": "closed", "status_reason": "The customer has left"},
    "webhook_endpoint.paused": {"state": "paused", "state_reason": "unresponsive"},
    "webhook_endpoint.disabled": {"state": "disabled", "state_reason": "gone"},
}
"""What an object is by then, where that isn't what it mostly is."""


class Entry(msgspec.Struct, frozen=True):
    """A type of event as the page shows it.

    Attributes:
        name: Its name, which is its anchor as well.
        constant: What the SDK calls it.
        about: What has happened.
        version: Of what it says.
        data: The type of what it says.
        example: A whole event, as JSON.
    """

    name: str
    constant: str
    about: str
    version: int
    data: str
    example: str


@functools.cache
def entries() -> tuple[Entry, ...]:
    """Return every type of event, by name."""
    schemas = Schemas(TYPES)
    return tuple(_entry(EVENTS[name], schemas) for name in sorted(EVENTS))


def _entry(kind: EventType[Any], schemas: Schemas) -> Entry:
    whole = not kind.data.__name__.endswith(_DATA_OF_ITS_OWN)
    data = _believable(example_of(schemas, schemas.of(kind.data), whole=whole)) | _STATES.get(kind.name, {})
    event = example_of(schemas, schemas.of(Event), whole=True) | {"sequence": _SEQUENCE}
    event |= {"type": kind.name, "version": kind.version, "data": data}
    event["object_id"] = next((data[name] for name in _OBJECTS if name in data), _TENANT)
    shown = msgspec.json.format(msgspec.json.encode(event), indent=2).decode()
    constant = kind.name.replace(".", "_").upper()
    return Entry(kind.name, constant, kind.about, kind.version, kind.data.__name__, shown)


def _believable(value: Any, name: str = "") -> Any:
    """Return an example in which texts say something, and nothing has been ended for a reason."""
    if isinstance(value, dict):
        return {each: _believable(part, each) for each, part in value.items()}
    if isinstance(value, list):
        return [_believable(each, name) for each in value]
    if name in {"state_reason", "status_reason"}:
        return None
    if name == "state":
        return "enabled" if value == "disabled" else value
    return _SAID.get(name, value) if value == "text" else value


@page("GET", "/events")
async def show_events(call: Call, *, ui_locales: str | None = None) -> Reply[bytes]:
    """Show what can be heard of."""
    by_object: dict[str, list[Entry]] = {}
    for each in entries():
        by_object.setdefault(each.name.partition(".")[0], []).append(each)
    view = {"by_object": by_object, "count": len(entries())}
    return render(call, "events.html", view, section="events", viewer=await guest(call), ui_locales=ui_locales)
