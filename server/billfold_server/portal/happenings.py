"""The reference of events, made of the contract's registry: each type with what it says, and an example."""

import functools
from typing import Any, Final

import msgspec

from billfold.contract.events import EVENTS, EventType
from billfold.contract.platform import Event
from billfold_server.http.routing import Call, Reply
from billfold_server.http.schemas import Schemas, example_of
from billfold_server.http.webhook_document import TYPES
from billfold_server.portal.pages import page, render
from billfold_server.portal.viewers import guest

__all__ = ["Entry", "entries"]

_UNUSUAL: Final = {"sequence": 4711}


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
    data = example_of(schemas, schemas.of(kind.data), whole=True)
    event = example_of(schemas, schemas.of(Event), whole=True) | _UNUSUAL
    event |= {"type": kind.name, "version": kind.version, "data": data}
    event["object_id"] = data.get("id", event["object_id"])
    shown = msgspec.json.format(msgspec.json.encode(event), indent=2).decode()
    constant = kind.name.replace(".", "_").upper()
    return Entry(kind.name, constant, kind.about, kind.version, kind.data.__name__, shown)


@page("GET", "/events")
async def show_events(call: Call, *, ui_locales: str | None = None) -> Reply[bytes]:
    """Show what can be heard of."""
    by_object: dict[str, list[Entry]] = {}
    for each in entries():
        by_object.setdefault(each.name.partition(".")[0], []).append(each)
    view = {"by_object": by_object, "count": len(entries())}
    return render(call, "events.html", view, section="events", viewer=await guest(call), ui_locales=ui_locales)
