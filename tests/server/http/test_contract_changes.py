"""What breaks programs between two documents is found, shown by one mutation of the contract after the other."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from billfold_server.http import contract_page
from billfold_server.http.contract_changes import Change, changes_between
from tests.contract.documents import read_document

RELEASED = Path(__file__).parents[3] / "openapi" / contract_page.RELEASED
Document = dict[str, Any]
Mutation = Callable[[Document], Any]


@pytest.fixture(scope="module")
def document() -> Document:
    """Return the contract without its prose."""
    return contract_page.bare(read_document())


def schema(document: Document, name: str) -> dict[str, Any]:
    """Return a component."""
    found: dict[str, Any] = document["components"]["schemas"][name]
    return found


def member(document: Document, name: str, of: str) -> dict[str, Any]:
    """Return a member of a component."""
    found: dict[str, Any] = schema(document, of)["properties"][name]
    return found


def operation(document: Document, method: str, path: str) -> dict[str, Any]:
    """Return an operation."""
    found: dict[str, Any] = document["paths"][path][method]
    return found


def without(values: list[Any], value: Any) -> None:
    """Take a value out of a list."""
    values.remove(value)


BREAKING: dict[str, Mutation] = {
    "an operation is removed": lambda d: d["paths"]["/v1/transfers"].pop("post"),
    "all of an address is removed": lambda d: d["paths"].pop("/v1/transfers"),
    "an operation is called otherwise": lambda d: operation(d, "get", "/v1/transfers").update(operationId="x"),
    "an operation needs another scope": lambda d: operation(d, "get", "/v1/transfers").update(
        security=[{"tenantOAuth": ["ledger:read"]}]
    ),
    "a parameter is removed": lambda d: operation(d, "get", "/v1/transfers")["parameters"].pop(),
    "a parameter is asked for": lambda d: operation(d, "get", "/v1/transfers")["parameters"].append(
        {"name": "x", "in": "query", "required": True, "schema": {"type": "string"}}
    ),
    "a parameter becomes required": lambda d: operation(d, "get", "/v1/transfers")["parameters"][0].update(
        required=True
    ),
    "a body is asked for": lambda d: operation(d, "get", "/v1/transfers").update(
        requestBody={"required": True, "content": {}}
    ),
    "a body is of another media type": lambda d: operation(d, "post", "/v1/transfers")["requestBody"].update(
        content={"text/plain": {"schema": {}}}
    ),
    "a success has another status": lambda d: operation(d, "post", "/v1/transfers")["responses"].update(
        {"202": operation(d, "post", "/v1/transfers")["responses"].pop("201")}
    ),
    "a header is no longer there": lambda d: operation(d, "get", "/v1/wallets/{wallet_id}")["responses"]["200"][
        "headers"
    ].pop("ETag"),
    "a member of a request is removed": lambda d: schema(d, "CreateTransfer")["properties"].pop("description"),
    "a member of a request becomes required": lambda d: schema(d, "CreateTransfer")["required"].append("description"),
    "a member of a request is asked for": lambda d: (
        schema(d, "CreateTransfer")["properties"].update(x={"type": "string"}),
        schema(d, "CreateTransfer")["required"].append("x"),
    ),
    "a text of a request may be less long": lambda d: schema(d, "CreateWebhookEndpoint")["properties"]["url"].update(
        maxLength=10
    ),
    "a text of a request has another form": lambda d: schema(d, "CreateWebhookEndpoint")["properties"]["url"].update(
        pattern="^x$"
    ),
    "a value of a request's enum is removed": lambda d: without(schema(d, "PartyKind")["enum"], "company"),
    "a member of an answer is removed": lambda d: schema(d, "Wallet")["properties"].pop("status"),
    "a member of an answer may be absent": lambda d: without(schema(d, "Wallet")["required"], "status"),
    "a member of an answer may be null": lambda d: schema(d, "Wallet")["properties"].update(
        status={"anyOf": [schema(d, "Wallet")["properties"]["status"], {"type": "null"}]}
    ),
    "a member of an answer is of another type": lambda d: member(d, "version", "Wallet").update(type="string"),
    "a member of an answer has another form": lambda d: member(d, "id", "Wallet").update(pattern="^x$"),
    "a value of an answer's enum is removed": lambda d: without(schema(d, "WalletStatus")["enum"], "closed"),
    "an event is removed": lambda d: d["webhooks"].pop("transfer.posted"),
    "an event says less": lambda d: schema(d, "ConsentEventData")["properties"].pop("by"),
    "an event is of another version": lambda d: d["webhooks"]["transfer.posted"]["post"]["requestBody"]["content"][
        "application/json"
    ]["schema"]["allOf"][1]["properties"]["version"].update(const=2),
}
HARMLESS: dict[str, Mutation] = {
    "an operation is added": lambda d: d["paths"].update({"/v1/x": {"get": operation(d, "get", "/v1/clock")}}),
    "an operation is deprecated": lambda d: operation(d, "get", "/v1/transfers").update(deprecated=True),
    "a parameter is added": lambda d: operation(d, "get", "/v1/transfers")["parameters"].append(
        {"name": "x", "in": "query", "schema": {"type": "string"}}
    ),
    "a refusal is added": lambda d: operation(d, "get", "/v1/clock")["responses"].update({"418": {}}),
    "a member of a request is added": lambda d: schema(d, "CreateTransfer")["properties"].update(x={"type": "string"}),
    "a member of a request is no longer required": lambda d: without(schema(d, "CreateTransfer")["required"], "amount"),
    "a text of a request may be longer": lambda d: schema(d, "CreateWebhookEndpoint")["properties"]["url"].update(
        maxLength=10_000
    ),
    "a member of an answer is added": lambda d: schema(d, "Wallet")["properties"].update(x={"type": "string"}),
    "an enum has another value": lambda d: schema(d, "WalletStatus")["enum"].append("x"),
    "an event is added": lambda d: d["webhooks"].update({"x.y": d["webhooks"]["transfer.posted"]}),
}


def mutated(document: Document, mutation: Mutation) -> list[Change]:
    """Return what is found to have changed by a mutation."""
    newer = copy.deepcopy(document)
    mutation(newer)
    return changes_between(document, newer)


class TestAChange:
    @pytest.mark.parametrize("name", BREAKING)
    def test_breaks_programs_where(self, name: str, document: Document) -> None:
        """Something that they ask for or read is gone, narrower or of another type."""
        assert [each for each in mutated(document, BREAKING[name]) if each.breaking]

    @pytest.mark.parametrize("name", HARMLESS)
    def test_breaks_nothing_where(self, name: str, document: Document) -> None:
        """Something is added, or more is let pass; it is told of all the same."""
        changes = mutated(document, HARMLESS[name])
        assert changes
        assert not [str(each) for each in changes if each.breaking]

    def test_is_told_of_once(self, document: Document) -> None:
        """What many operations share is told of by its own name."""
        assert mutated(document, BREAKING["a member of an answer is removed"]) == [
            Change("Wallet.status", "removed", breaking=True)
        ]

    def test_is_none_where_nothing_is_changed(self, document: Document) -> None:
        """A document compared with itself, or with its own copy on disk, has no changes."""
        assert changes_between(document, json.loads(json.dumps(document))) == []


class TestTheContract:
    def test_breaks_no_program_unless_it_is_declared(self, document: Document) -> None:
        """Since it was released last, the contract has changed by additions and by what is declared alone."""
        changes = changes_between(json.loads(RELEASED.read_bytes()), document)
        assert contract_page.refusals(changes, contract_page.read_declared(RELEASED.parent)) == []

    def test_is_refused_where_it_breaks_programs(self) -> None:
        """A change that breaks is refused until it is declared, and a declaration without a change as well."""
        removed, added = Change("Wallet.status", "removed", breaking=True), Change("Wallet.x", "added", breaking=False)
        assert len(contract_page.refusals([removed, added], {})) == 1
        assert contract_page.refusals([removed, added], {"Wallet.status: removed": "Why."}) == []
        assert len(contract_page.refusals([added], {"Wallet.status: removed": "Why."})) == 1


class TestThePage:
    PAGE = "# Changes\n\nProse.\n\n## 2026-11-20\n\nThe first.\n"
    CHANGES = (Change("GET /v1/x", "added", breaking=False), Change("Wallet.status", "removed", breaking=True))

    def test_tells_what_has_changed_above_what_was_released(self) -> None:
        """Breaking changes come first, with why they were made."""
        section = contract_page.new_section(self.CHANGES, {"Wallet.status: removed": "Why."})
        page = contract_page.page_of(section, self.PAGE)
        assert [line for line in page.splitlines() if line] == [
            "# Changes",
            "Prose.",
            "## Not released yet",
            "### Breaking",
            "- `Wallet.status`: removed. Why.",
            "### Additions and other changes",
            "- `GET /v1/x`: added",
            "## 2026-11-20",
            "The first.",
        ]

    def test_is_the_same_however_often_it_is_made(self) -> None:
        """What isn't released yet is told of once, and nothing of it remains where it is taken back."""
        section = contract_page.new_section(self.CHANGES, {})
        once = contract_page.page_of(section, self.PAGE)
        assert contract_page.page_of(section, once) == once
        assert contract_page.page_of("", once) == self.PAGE

    def test_becomes_a_versions_by_its_release(self, tmp_path: Path) -> None:
        """The released contract moves, declarations end, and the section has the version's name."""
        page = tmp_path / "changes.md"
        page.write_text(self.PAGE)
        older: Document = {"paths": {}, "components": {}}
        newer: Document = {"paths": {"/x": {"get": {"responses": {}}}}, "components": {}}
        (tmp_path / contract_page.RELEASED).write_text(json.dumps(older))
        assert contract_page.keep(newer, tmp_path, file=page, release="2027-01-01") == 0
        assert (
            "## 2027-01-01\n\n### Additions and other changes\n\n- `GET /x`: added\n\n## 2026-11-20" in page.read_text()
        )
        assert json.loads((tmp_path / contract_page.RELEASED).read_text()) == newer
        assert contract_page.keep(newer, tmp_path, file=page, check=True) == 0
