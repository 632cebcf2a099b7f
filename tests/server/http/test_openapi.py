"""The OpenAPI document: complete, valid, the code's own, and served by each tenant."""

import html.parser
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from jsonschema_rs import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from billfold import errors
from billfold.contract.versions import VERSIONS
from billfold_server.http import openapi, problems
from billfold_server.http.docs import render_page
from billfold_server.http.schemas import Schemas, example_of
from billfold_server.identity.rules import OPEN_BANKING_SCOPES, OPENID_SCOPES, PLATFORM_SCOPES, TENANT_SCOPES
from billfold_server.open_banking.edge.document import build_open_banking_document
from billfold_server.rooms import ROOMS, operations
from tests.live import LiveServer
from tests.tenants import manifest

EXPORTED = Path(__file__).parents[3] / "openapi" / "billfold.yaml"
SHOWN = [operation for operation in operations() if operation.in_document]


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """Return the document that the code makes."""
    return openapi.build_document(ROOMS)


def responses(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Return every response of the document, with its operation and status."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method != "servers":
                for status, response in operation["responses"].items():
                    yield f"{method} {path}", status, response


class TestTheCommittedDocument:
    def test_is_what_the_code_says(self) -> None:
        """Whoever changes an operation exports the document anew."""
        assert EXPORTED.read_text(encoding="utf-8") == openapi.dump_yaml(openapi.build_document(ROOMS))


class TestTheDocument:
    def test_is_valid_openapi(self, document: dict[str, Any]) -> None:
        """It is valid by OpenAPI 3.1's own schema."""
        OpenAPIV31SpecValidator(yaml.load(openapi.dump_yaml(document), yaml.CSafeLoader)).validate()

    def test_has_every_operation_once(self, document: dict[str, Any]) -> None:
        """Each declared operation is there under its own id."""
        ids = [
            op["operationId"] for item in document["paths"].values() for name, op in item.items() if name != "servers"
        ]
        assert sorted(ids) == sorted(each.operation_id for each in SHOWN)
        assert len(set(ids)) == len(ids)

    def test_documents_what_each_operation_refuses(self, document: dict[str, Any]) -> None:
        """Declared errors and those that follow from what an operation is have their status, code and example."""
        for operation in SHOWN:
            if operation.surface == "problem":
                written = document["paths"][operation.path][operation.method.lower()]["responses"]
                for error in [*operation.errors, *openapi.implied_errors(operation)]:
                    content = written[str(problems.status_of(error))]["content"][problems.MEDIA_TYPE]
                    assert error.code in content["examples"]
                    assert error.code in content["schema"]["properties"]["code"]["enum"]

    def test_has_one_class_of_problem_for_those_who_generate_clients(self, document: dict[str, Any]) -> None:
        """Each answer that is a problem refers to it, and an `allOf` would be a class for each operation and status."""
        for _, _, response in responses(document):
            if content := response.get("content", {}).get(problems.MEDIA_TYPE):
                assert content["schema"]["$ref"] == "#/components/schemas/Problem"
                assert "allOf" not in content["schema"]

    def test_has_examples_of_its_own_schemas(self, document: dict[str, Any]) -> None:
        """Every example of a body, an answer or a refusal is valid by the schema beside it."""
        shown, examples = defaultdict[str, dict[str, Any]](dict), document["components"]["examples"]
        for _, _, response in responses(document):
            for content in response.get("content", {}).values():
                named = content.get("examples", {})
                assert all(each == {"$ref": f"#/components/examples/{code}"} for code, each in named.items())
                values = [examples[code]["value"] for code in named]
                values += [content["example"]] if "example" in content else []
                # Many operations have the same.
                shown[json.dumps(content["schema"])] |= {json.dumps(each): each for each in values}
        assert sum(map(len, shown.values())) > 100
        for schema, each_once in shown.items():
            parts = {"schemas": document["components"]["schemas"]}
            validator = Draft202012Validator({**json.loads(schema), "components": parts})
            for value in each_once.values():
                assert validator.is_valid(value), (schema, next(iter(validator.iter_errors(value))))

    def test_has_closed_objects_only(self, document: dict[str, Any]) -> None:
        """Whoever misspells a member is told so: no schema of the contract is open."""
        objects = {name: each for name, each in document["components"]["schemas"].items() if "properties" in each}
        assert {name for name, each in objects.items() if each.get("additionalProperties") is not False} == set()

    def test_links_to_operations_that_are_there(self, document: dict[str, Any]) -> None:
        """Each link leads to an operation, and feeds parameters that it has."""
        by_id = {each.operation_id: each for each in SHOWN}
        links = [(where, link) for where, _, each in responses(document) for link in each.get("links", {}).values()]
        for where, link in links:
            target = by_id[link["operationId"]].signature
            assert set(link.get("parameters", {})) <= set(target.path_types) | set(target.query_types), where
        declared = {link.operation_id for each in SHOWN for link in each.links}
        assert declared <= set(by_id)
        assert len(links) > 10

    def test_names_the_scopes_that_there_are(self) -> None:
        """Every operation's scope can be given to a client, and every scope opens some operation."""
        for audience, known in (("tenant", TENANT_SCOPES), ("platform", PLATFORM_SCOPES)):
            asked = {each.scope for each in operations() if each.audience == audience}
            assert asked - OPENID_SCOPES.keys() - OPEN_BANKING_SCOPES.keys() == set(known)

    def test_shows_constraints_of_optional_values_and_list_items(self, document: dict[str, Any]) -> None:
        """What Litestar's own document loses is there."""
        schemas = document["components"]["schemas"]
        label = schemas["CreateWallet"]["properties"]["label"]["anyOf"][0]
        assert (label["minLength"], label["maxLength"]) == (1, 200)
        assert "pattern" in schemas["CreateWallet"]["properties"]["currencies"]["items"]


class TestAnExample:
    def test_is_made_for_every_kind_of_schema(self) -> None:
        """An example is the schema's own, or made of its parts, down to required members only for requests."""
        schemas = Schemas([])
        whole = {
            "type": "object",
            "required": ["a"],
            "properties": {
                "a": {"type": "array", "minItems": 2, "items": {"type": "integer", "minimum": 3}},
                "b": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]},
                "c": {"enum": ["x", "y"]},
                "d": {"const": 7},
                "e": {"type": "boolean", "default": False},
            },
        }
        assert example_of(schemas, whole, whole=False) == {"a": [3, 3]}
        assert example_of(schemas, whole, whole=True) == {"a": [3, 3], "b": "2026-11-20", "c": "x", "d": 7, "e": False}


class TestATenant:
    def test_serves_its_own_document(self, live: LiveServer) -> None:
        """The document below a tenant speaks of that tenant's operations, at its address."""
        answer = httpx.get(f"{live.base('alpha')}/openapi.json")
        served = answer.json()
        assert answer.headers["content-type"] == "application/json"
        assert served["servers"] == [{"url": live.base("alpha")}]
        assert served["components"]["securitySchemes"]["tenantOAuth"]["flows"]["clientCredentials"]["tokenUrl"] == (
            f"{live.base('alpha')}/oauth/token"
        )
        assert not any(path.startswith("/platform") for path in served["paths"])
        assert all(
            path.startswith(("/platform", "/health"))
            for path in httpx.get(f"{live.url}/platform/openapi.json").json()["paths"]
        )

    def test_serves_its_own_document_of_open_banking(self, live: LiveServer) -> None:
        """It has the committed document's operations, at the tenant's address and under its name; or there is none."""
        base = live.base("alpha")
        served = httpx.get(f"{base}/open-banking.json").json()
        assert served["servers"] == [{"url": base}]
        assert served["info"]["title"].endswith(": UK open banking")
        flows = served["components"]["securitySchemes"]["PSUOAuth2Security"]["flows"]
        assert flows["authorizationCode"]["authorizationUrl"] == f"{base}/oauth/authorize"
        assert served["paths"] == build_open_banking_document(ROOMS)["paths"]
        live.add_tenant(manifest("no_third_parties", open_banking={"enabled": False}))
        without = live.base("no_third_parties")
        for address in ("open-banking.json", ".well-known/oauth-protected-resource/open-banking"):
            assert httpx.get(f"{without}/{address}").status_code == 404
        assert "open-banking" not in httpx.get(f"{without}/docs").text.partition("<nav")[0]

    def test_serves_a_page_that_needs_nothing_from_elsewhere(self, live: LiveServer) -> None:
        """The page and its style sheet come from the tenant, without a script, under a policy that allows no other."""
        page = httpx.get(f"{live.base('alpha')}/docs")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in page.headers["content-security-policy"]
        found = Collected(page.text)
        assert "script" not in found.tags
        assert not found.inline_styles
        assert {address for address in found.addresses if not address.startswith("#")} == {
            "docs/changes",
            "docs/style.css",
            "oauth.json",
            "openapi.json",
            "open-banking.json",
            "portal/reference",
        }
        for address in ("docs/style.css", "oauth.json", "openapi.json", "open-banking.json", "portal/reference"):
            assert httpx.get(f"{live.base('alpha')}/{address}").status_code == 200
        assert {address[1:] for address in found.addresses if address.startswith("#")} <= found.ids

    @pytest.mark.parametrize("place", ["t/alpha", "platform"])
    def test_serves_a_page_of_changes(self, place: str, live: LiveServer) -> None:
        """It tells of every version, and is linked from the page of the document, under the same policy."""
        page = httpx.get(f"{live.url}/{place}/docs/changes")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert all(f"<h2>{version}</h2>" in page.text for version in VERSIONS)

    def test_shows_every_operation_on_its_page(self, live: LiveServer) -> None:
        """Each operation below the tenant has its place on the page."""
        found = Collected(httpx.get(f"{live.base('alpha')}/docs").text)
        assert {each.operation_id for each in SHOWN if each.audience.startswith("tenant")} <= found.ids


class TestThePage:
    def test_escapes_what_the_document_says(self) -> None:
        """A tenant's name can't bring markup into the page."""
        hostile = "<img src=x onerror=alert(1)>"
        page = render_page(openapi.build_document(ROOMS, base_url='https://x/"><script>', title=hostile))
        found = Collected(page)
        assert "img" not in found.tags
        assert "script" not in found.tags


class Collected(html.parser.HTMLParser):
    """What a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: set[str] = set()
        self.ids: set[str] = set()
        self.inline_styles = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.add(tag)
        for name, value in attrs:
            self.addresses |= {str(value)} if name in {"href", "src"} else set()
            self.ids |= {str(value)} if name == "id" else set()
            self.inline_styles += name == "style"


class TestARefusal:
    def test_that_may_always_happen_is_documented_everywhere(self) -> None:
        """Every operation behind a token documents these: no token, no scope, too many requests, no database."""
        always = {errors.InvalidToken, errors.InsufficientScope, errors.RateLimited, errors.DatabaseUnavailable}
        for operation in SHOWN:
            if operation.needs_token:
                assert always <= set(openapi.implied_errors(operation))
