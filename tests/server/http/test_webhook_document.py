"""Events in the OpenAPI document: each type is a webhook, with what it says."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import billfold_server
from billfold.contract.events import EVENTS
from billfold_server.http.docs import render_page
from tests.contract.documents import read_document, told_otherwise

SERVER = Path(billfold_server.__file__).parent


def said_of(name: str) -> dict[str, Any]:
    """Return what the document says of an event, apart from what it says of all."""
    operation = read_document()["webhooks"][name]["post"]
    schema: dict[str, Any] = operation["requestBody"]["content"]["application/json"]["schema"]["allOf"][1]["properties"]
    return schema


def makers(folder: Path) -> Iterator[str]:
    """Return the modules that make events, by the name of the class."""
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
                if name == "NewEvent":
                    yield file.relative_to(folder).as_posix()


class TestTheDocument:
    def test_has_every_event_and_no_other(self):
        """Its webhooks are the registry's types, each with its version and the class of its data."""
        assert {
            name: (said_of(name)["version"]["const"], said_of(name)["data"]) for name in read_document()["webhooks"]
        } == {
            name: (kind.version, {"$ref": f"#/components/schemas/{kind.data.__name__}"})
            for name, kind in EVENTS.items()
        }

    def test_says_of_which_type_each_is(self):
        """No event passes for another's."""
        assert {name: said_of(name)["type"]["const"] for name in EVENTS} == {name: name for name in EVENTS}

    def test_is_what_events_are_held_to(self):
        """An event that says something else, or is of no type, is noticed."""
        event: dict[str, Any] = {
            "id": "evt_01m7w9tnzcejq9b78b81gh4nmw",
            "sequence": 1,
            "type": "party.erased",
            "version": 1,
            "object_id": "par_01m7w9tnzcejq9b78b81gh4nmw",
            "data": {"id": "par_01m7w9tnzcejq9b78b81gh4nmw"},
            "occurred_at": "2026-11-20T12:00:00Z",
        }
        assert told_otherwise(event) == []
        wrong: list[dict[str, Any]] = [
            {"data": {}},
            {"data": {"id": "par_1"}},
            {"version": 2},
            {"type": "user.erased"},
            {"y": 1},
        ]
        assert all(told_otherwise(event | each) for each in wrong)

    def test_is_shown_with_its_events(self):
        """The page has a row for each event, with a link to what it says."""
        page = render_page(read_document())
        assert all(f"<code>{name}</code>" in page for name in EVENTS)
        assert '<a href="#schema-UserEventData">' in page


class TestTheServer:
    def test_makes_events_of_the_registry_alone(self):
        """Nothing but the outbox and the ledger's books makes events; both take them from the registry, by type."""
        assert set(makers(SERVER)) == {"db/outbox.py", "ledger/books.py"}
