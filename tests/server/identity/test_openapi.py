"""The document of the authorization server: complete, valid, and what the server does."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema_rs import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

import billfold_server.identity
from billfold_server.http.oauth_document import build_oauth_document, is_told
from billfold_server.http.openapi import OAUTH, dump_yaml
from billfold_server.identity.discovery.documents import Deployment, metadata
from billfold_server.identity.realms import realm_of
from billfold_server.rooms import ROOMS, operations
from tests.live import LiveServer
from tests.server.http.test_openapi import EXPORTED

ROOM = Path(billfold_server.identity.__file__).parent
CODE = re.compile(r'(?:OAuthRefusal\(|ProofRefused\(|_not_ours\(call,)\s*"([a-z_]+)"')
BETWEEN_OUR_PAGES = {
    f"{prefix}/oauth/{name}"
    for prefix in ("", "/platform")
    for name in (
        "apps",
        "apps/end",
        "authorize/decision",
        "authorize/resume",
        "consents",
        "consents/end",
        "consents/one",
        "end-session/decision",
    )
}
"""What no app and no client calls: forms and links of the hosted pages."""


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The document that the code makes."""
    return build_oauth_document(ROOMS)


def refusals(document: dict[str, Any]) -> dict[str, set[str]]:
    """Return the codes that each operation may refuse with."""
    found: dict[str, set[str]] = {}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            for response in operation.get("responses", {}).values() if method != "servers" else ():
                schema = response.get("content", {}).get("application/json", {}).get("schema", {})
                if "properties" in schema and "$ref" in schema:
                    found.setdefault(f"{method} {path}", set()).update(schema["properties"]["error"]["enum"])
    return found


def token_of(live: LiveServer) -> str:
    """Return a token without the scope ``openid``."""
    return live.token("alpha", live.add_client("alpha", ["wallets:read"]))


class TestTheDocument:
    def test_is_the_committed_one(self, document: dict[str, Any]) -> None:
        """It lies beside the contract, as the code says it."""
        assert EXPORTED.with_name(OAUTH).read_text(encoding="utf-8") == dump_yaml(document)

    def test_is_valid(self, document: dict[str, Any]) -> None:
        """It keeps to OpenAPI 3.1."""
        OpenAPIV31SpecValidator(document).validate()

    def test_has_every_operation_of_the_protocols(self, document: dict[str, Any]) -> None:
        """All that the server serves for clients and apps, at tenants and the platform, and all that it advertises."""
        served = [each for each in operations() if "/oauth/" in each.path or "/.well-known/" in each.path]
        assert {each.path for each in served if not is_told(each)} <= BETWEEN_OUR_PAGES
        told = {f"{each.method.lower()} {each.path}" for each in served if is_told(each)}
        assert told == {
            f"{method} {path}" for path, item in document["paths"].items() for method in item if method != "servers"
        }
        deployment = Deployment(
            served={each.path for each in served},
            mtls_base_url=None,
            certificates=True,
            grant_types=[],
            details_types=[],
            languages=[],
            registration=True,
            open_banking=True,
        )
        said = metadata(realm_of("https://bank.example", None), deployment)
        for name in said.__struct_fields__:
            if name.endswith("_endpoint") and isinstance(address := getattr(said, name), str):
                assert address.removeprefix("https://bank.example") in document["paths"], name

    def test_has_every_code_by_which_something_is_refused(self, document: dict[str, Any]) -> None:
        """Those of the source are those of the document, but for what the frame of the token endpoint decides."""
        codes = {code for file in ROOM.rglob("*.py") for code in CODE.findall(file.read_text(encoding="utf-8"))}
        assert len(codes) > 10
        told = set().union(*refusals(document).values())
        assert codes <= told
        assert told - codes == {
            "invalid_grant",
            "invalid_redirect_uri",
            "invalid_token",
            "temporarily_unavailable",
            "unsupported_grant_type",
        }


class TestTheServer:
    def test_answers_as_the_document_says(self, live: LiveServer) -> None:
        """Whoever brings nothing, or nonsense, gets a documented status, in the documented form, at every operation."""
        served = httpx.get(f"{live.base('alpha')}/oauth.json").json()
        assert served["servers"] == [{"url": live.base("alpha")}]
        assert not any(path.startswith("/platform") for path in served["paths"])
        parts = {"schemas": served["components"]["schemas"]}
        bodies = {"application/json": b"{}", "application/x-www-form-urlencoded": b"grant_type=x&token=y&client_id=z"}
        for path, item in served["paths"].items():
            for method, operation in item.items():
                content = operation.get("requestBody", {}).get("content", {})
                media_type = next(iter(content), None)
                answer = httpx.request(
                    method,
                    live.base("alpha") + path.replace("{client_id}", "cli_x"),
                    content=bodies[media_type] if media_type else None,
                    headers={"Content-Type": media_type} if media_type else {},
                )
                where = (method, path, answer.status_code, answer.text[:200])
                assert str(answer.status_code) in operation["responses"], where
                documented = operation["responses"][str(answer.status_code)].get("content", {})
                given = answer.headers.get("content-type", "").partition(";")[0]
                if given == "application/json":
                    schema = {**documented[given]["schema"], "components": parts}
                    assert Draft202012Validator(schema).is_valid(answer.json()), where

    def test_refuses_as_the_document_says(self, live: LiveServer) -> None:
        """What is too large or of another type, tokens that are none, and addresses that nobody pushed are in it."""
        served = httpx.get(f"{live.base('alpha')}/oauth.json").json()
        cases: list[tuple[str, str, int, dict[str, Any]]] = [
            ("/oauth/userinfo", "get", 401, {}),
            ("/oauth/userinfo", "post", 401, {"headers": {"Authorization": "Bearer x"}}),
            ("/oauth/userinfo", "get", 403, {"headers": {"Authorization": f"Bearer {token_of(live)}"}}),
            ("/oauth/authorize", "get", 400, {"params": {"client_id": "x", "request_uri": "x"}}),
            ("/oauth/authorize", "post", 400, {"data": {"client_id": "x", "request_uri": "\0"}}),
        ]
        for path, item in served["paths"].items():
            for method in item:
                if (body := item[method].get("requestBody")) is not None:
                    known = {"Content-Type": next(iter(body["content"]))}
                    cases.append((path, method, 413, {"content": b"x" * 2_000_000, "headers": known}))
                    cases.append((path, method, 415, {"content": b"{}", "headers": {"Content-Type": "text/plain"}}))
        for path, method, status, request in cases:
            answer = httpx.request(method, live.base("alpha") + path.replace("{client_id}", "cli_x"), **request)
            where = (method, path, answer.status_code, answer.text[:200])
            assert answer.status_code == status, where
            documented = served["paths"][path][method]["responses"][str(status)]["content"]
            given = answer.headers["content-type"].partition(";")[0]
            schema = {**documented[given]["schema"], "components": {"schemas": served["components"]["schemas"]}}
            assert Draft202012Validator(schema).is_valid(answer.json()), where

    def test_leads_on_as_the_document_says(self, live: LiveServer, document: dict[str, Any]) -> None:
        """Where a browser goes on may be told from the root of the host, without its name."""
        answer = httpx.get(f"{live.base('alpha')}/oauth/end-session")
        assert (answer.status_code, answer.headers["location"][0]) == (303, "/")
        told = document["paths"]["/oauth/end-session"]["get"]["responses"]["303"]["headers"]["Location"]
        assert told["schema"] == {"type": "string", "format": "uri-reference"}

    def test_serves_no_other_tenants_address(self, document: dict[str, Any]) -> None:
        """A tenant's own document has its own address and none of the platform's."""
        own = build_oauth_document(ROOMS, base_url="https://bank.example/t/demo")
        assert own["servers"] == [{"url": "https://bank.example/t/demo"}]
        assert set(own["paths"]) == {path for path in document["paths"] if not path.startswith("/platform")}
