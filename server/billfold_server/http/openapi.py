"""The OpenAPI document, made of the operations as the rooms have declared them.

Nothing in it is written twice: paths, parameters, bodies and answers come from the handlers' signatures, constraints
from msgspec, refusals from the registry of errors. ``python -m billfold_server.http.openapi`` exports it, and a test
holds the committed file to the code.

Litestar could make a document too, but it loses constraints on optional values and list items, doesn't say that
objects are closed, and knows no links; what would remain of it are the paths.
"""

import argparse
import importlib
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from billfold import errors
from billfold.contract.common import Problem
from billfold.contract.oauth import OAuthError
from billfold.contract.versions import HEADER, LATEST
from billfold_server.http import contract_page, problems, webhook_document
from billfold_server.http.etags import IF_MATCH_PATTERN
from billfold_server.http.expansion import PARAMETER
from billfold_server.http.oauth_document import build_oauth_document
from billfold_server.http.routing import Operation, Routes
from billfold_server.http.schemas import Schemas, example_of
from billfold_server.open_banking.edge.document import build_open_banking_document

__all__ = ["build_document", "build_operation", "dump_yaml", "implied_errors", "main", "refusals_of"]

TENANT_SERVER: Final = "/t/{slug}"
OPEN_BANKING: Final = "open-banking.yaml"
"""The file beside ours that holds the operations of open banking, whose words are another standard's."""
OAUTH: Final = "oauth.yaml"
"""The file beside ours that holds the authorization server's operations, whose words are RFCs'."""

KEY_PATTERN: Final = r'^("[!#-\[\]-~ ]{1,255}"|[!#-~][!-~]{0,254})$'
_EXPAND: Final = (
    "With what the answer is told together, in `expanded`, separated by commas. What it refers to by an id is told as "
    "a whole then, where there still is such a thing; its own read scope is needed."
)
_EXAMPLE_REQUEST_ID: Final = "req_01m7w9tnzcejq9b78b81gh4nmw"

_ABOUT: Final = """\
Wallets, and the ledger behind them.

**Money** is a whole number of minor units with an ISO 4217 currency: `{"amount_minor": 1250, "currency": "EUR"}`.
**Times** are RFC 3339 with an offset. **Ids** have a prefix that says what they name.
**Lists** are pages: pass `next_cursor` as `cursor` until it is null.
**References** are ids; many can be told as a whole, in `expanded`, to who asks for it by `expand`.
**Refusals** are problems (RFC 9457) with a stable `code`.
**Versions** are dates; within one, things are only added. A program keeps the version that was the newest when its
client was registered, or asks for another by the header `Billfold-Version`; each answer says which it is of.
**Repeating** a POST with the same `Idempotency-Key` within 30 days, unless the bank says otherwise, returns the first
answer.
Unknown query parameters and unknown members of a body are refused."""


def implied_errors(operation: Operation) -> list[type[errors.ProblemError]]:
    """Return what an operation may refuse because of what it is, whatever its handler does."""
    implied: list[type[errors.ProblemError]] = []

    def when(condition: bool, *classes: type[errors.ProblemError]) -> None:  # noqa: FBT001 - reads as a sentence
        if condition:
            implied.extend(classes)

    parameters = operation.signature.query_types
    when(operation.surface == "problem", errors.ValidationFailed)
    when(operation.surface == "problem" and operation.needs_token, errors.ApiVersionUnknown)
    when(operation.takes_body and not operation.takes_bytes, errors.MalformedBody)
    when("cursor" in parameters, errors.InvalidCursor)
    when(operation.idempotency == "required", errors.IdempotencyKeyMissing)
    when(operation.needs_token, errors.InvalidToken, errors.InsufficientScope, errors.RateLimited)
    when(operation.audience == "tenant" and not operation.customers, errors.PermissionDenied)
    when(operation.gives_authority, errors.PermissionDenied)
    when(operation.audience.startswith("tenant"), errors.TenantSuspended, errors.UnknownTenant, errors.TenantUnreadable)
    when(operation.idempotency != "none", errors.RequestInFlight, errors.IdempotencyKeyReused)
    when(operation.if_match, errors.PreconditionFailed)
    when(operation.approval is not None, errors.ApprovalRequired, errors.ApprovalRefused)
    when(operation.takes_body, errors.BodyTooSlow, errors.BodyTooLarge, errors.UnsupportedMediaType)
    when(operation.surface == "oauth", errors.RateLimited)
    leans_on_database = operation.audience != "host" and not operation.by_itself
    when(leans_on_database, errors.DatabaseUnavailable)
    # Whatever it is, it may have waited in its tenant's line for too long.
    when(operation.audience != "host", errors.Overloaded)
    when(leans_on_database, errors.Busy)
    when(operation.needs_token and operation.method != "GET", errors.OutcomeUnknown)
    return implied


def refusals_of(operation: Operation) -> dict[int, list[type[errors.ProblemError]]]:
    """Return everything that an operation may refuse, by status."""
    by_status: dict[int, list[type[errors.ProblemError]]] = defaultdict(list)
    for error in dict.fromkeys([*implied_errors(operation), *operation.errors]):
        by_status[problems.status_of(error)].append(error)
    return dict(sorted(by_status.items()))


def build_document(
    rooms: Sequence[Routes],
    *,
    base_url: str | None = None,
    title: str = "Billfold",
    audiences: Sequence[str] = ("tenant", "tenant-public", "platform", "platform-public", "host"),
) -> dict[str, Any]:
    """Return the document of some rooms.

    Args:
        rooms: Whose operations.
        base_url: The tenant's base URL; the document is the tenant's own then. Where absent, the tenant is a variable.
        title: The document's title.
        audiences: Which operations are shown.
    """
    shown = [
        operation
        for room in rooms
        for operation in room.operations
        if operation.in_document and operation.audience in audiences
    ]
    # Tenants' endpoints are told of events; the platform has no stream.
    tells = "tenant" in audiences
    schemas = Schemas([*_types(shown), *(webhook_document.TYPES if tells else ())])
    server = (
        {"url": base_url}
        if base_url is not None
        else {
            "url": TENANT_SERVER,
            "description": "A tenant's base.",
            "variables": {"slug": {"default": "sandbox", "description": "The tenant's name in addresses."}},
        }
    )
    tags = {room.tag: room.description for room in reversed(rooms) if any(each in shown for each in room.operations)}
    writer = _Writer(shown, schemas)
    paths = writer.paths()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "version": LATEST,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [server],
        "tags": [{"name": name, "description": text} for name, text in reversed(tags.items())],
        "paths": paths,
        **({"webhooks": webhook_document.build_webhooks(schemas)} if tells else {}),
        "components": {
            "schemas": schemas.components,
            **({"parameters": webhook_document.PARAMETERS, "responses": webhook_document.RESPONSES} if tells else {}),
            "examples": dict(sorted(writer.examples.items())),
            "headers": _HEADERS,
            "securitySchemes": _security_schemes(shown, base_url),
        },
    }


def build_operation(operation: Operation) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what the document says of one operation, and the schemas to which that refers.

    It is the document's own part, made alone: in a few milliseconds, where the whole takes most of a second.
    """
    schemas = Schemas(_types([operation]))
    return _Writer([operation], schemas).operation(operation), schemas.components


def _types(shown: Iterable[Operation]) -> list[Any]:
    types: list[Any] = [Problem, OAuthError, str]
    for operation in shown:
        signature = operation.signature
        types += [*signature.path_types.values(), *signature.query_types.values()]
        types += [each for each in (_body_type(operation), signature.response) if each not in {None, bytes}]
    return types


def _body_type(operation: Operation) -> Any:
    if operation.body_schema is not None:
        return operation.body_schema
    return operation.signature.body_type


def _security_schemes(shown: Iterable[Operation], base_url: str | None) -> dict[str, Any]:
    """Return one scheme per realm, with the scopes that its operations ask for."""
    scopes: dict[str, set[str]] = defaultdict(set)
    for operation in shown:
        if operation.needs_token and operation.scope is not None:
            scopes[operation.audience].add(operation.scope)
    token_urls = {
        "tenant": f"{base_url if base_url is not None else '/t/sandbox'}/oauth/token",
        "platform": "/platform/oauth/token",
    }
    schemes: dict[str, Any] = {
        f"{realm}OAuth": {
            "type": "oauth2",
            "description": "Client credentials (RFC 6749, section 4.4); the token is a bearer token (RFC 6750).",
            "flows": {
                "clientCredentials": {
                    "tokenUrl": token_urls[realm],
                    "scopes": {scope: _scope_text(scope) for scope in sorted(each)},
                }
            },
        }
        for realm, each in sorted(scopes.items())
    }
    if any(operation.surface == "oauth" for operation in shown):
        schemes["clientBasic"] = {
            "type": "http",
            "scheme": "basic",
            "description": "The client's id and secret (RFC 6749, section 2.3.1).",
        }
    return schemes


def _scope_text(scope: str) -> str:
    *what, verb = scope.split(":")
    return f"{'Change' if verb == 'write' else verb.capitalize()} {' '.join(what)}"


_HEADERS: Final[dict[str, Any]] = {
    "X-Request-Id": {
        "description": "The request's id; name it when you ask for help.",
        "required": True,
        "schema": {"type": "string", "examples": [_EXAMPLE_REQUEST_ID]},
    },
    "ETag": {
        "description": "The version of what was answered, for `If-Match` (RFC 9110, section 8.8.3).",
        "required": True,
        "schema": {"type": "string", "pattern": '^"[0-9]+"$', "examples": ['"1"']},
    },
    "Location": {
        "description": "Where what was created is.",
        "required": True,
        "schema": {"type": "string", "format": "uri"},
    },
    "Idempotent-Replayed": {
        "description": "There, and `true`, when this is the stored answer to an earlier copy of the request.",
        "schema": {"type": "string", "const": "true"},
    },
    "Retry-After": {
        "description": "Seconds after which to come back (RFC 9110, section 10.2.3).",
        "required": True,
        "schema": {"type": "integer", "minimum": 0},
    },
    "WWW-Authenticate": {
        "description": "How to authenticate (RFC 6750, section 3; RFC 7617).",
        "required": True,
        "schema": {"type": "string", "examples": ['Bearer realm="billfold", error="invalid_token"']},
    },
    HEADER: {
        "description": "The version of the contract by which this is answered.",
        "required": True,
        "schema": {"type": "string", "format": "date", "examples": [LATEST]},
    },
    "Deprecation": {
        "description": "Since when programs should no longer use the operation (RFC 9745).",
        "required": True,
        "schema": {"type": "string", "pattern": "^@[0-9]+$", "examples": ["@1795132800"]},
    },
    "Sunset": {
        "description": "From when on the operation may no longer be there (RFC 8594).",
        "required": True,
        "schema": {"type": "string", "examples": ["Sat, 20 Nov 2027 00:00:00 GMT"]},
    },
    "Link": {
        "description": "Where it is said what to use in place of a deprecated operation (RFC 8288).",
        "required": True,
        "schema": {"type": "string", "examples": ['<https://bank.example/docs/changes>; rel="deprecation"']},
    },
    "RateLimit": {
        "description": "How much may still be asked (draft-ietf-httpapi-ratelimit-headers).",
        "schema": {"type": "string", "examples": ['"client";r=199;t=1']},
    },
    "RateLimit-Policy": {
        "description": "How much may be asked at all (draft-ietf-httpapi-ratelimit-headers).",
        "schema": {"type": "string", "examples": ['"client";q=200;w=2']},
    },
}


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Request-Id", *names)}


class _Writer:
    """Writes the paths of a document.

    Attributes:
        examples: What refusals look like, by code. Operations refer to them, for there are dozens of each.
    """

    def __init__(self, shown: Sequence[Operation], schemas: Schemas) -> None:
        self._shown = shown
        self._schemas = schemas
        self._ids = {operation.operation_id for operation in shown}
        self.examples: dict[str, Any] = {}

    def paths(self) -> dict[str, Any]:
        """Return every path with its operations."""
        paths: dict[str, Any] = {}
        for operation in self._shown:
            item = paths.setdefault(operation.path, {})
            if not operation.audience.startswith("tenant"):
                item["servers"] = [{"url": "/", "description": "The deployment itself."}]
            item[operation.method.lower()] = self.operation(operation)
        return paths

    def operation(self, operation: Operation) -> dict[str, Any]:
        """Return one operation."""
        written: dict[str, Any] = {
            "operationId": operation.operation_id,
            "summary": operation.summary,
            "description": operation.description,
            "tags": [operation.tag],
            "parameters": self._parameters(operation),
            "requestBody": self._request(operation) if operation.takes_body else None,
            "responses": self._responses(operation),
        }
        written = {key: value for key, value in written.items() if value}
        written["security"] = _security(operation)
        if operation.deprecated is not None:
            written["deprecated"] = True
        return written

    def _parameters(self, operation: Operation) -> list[dict[str, Any]]:
        signature = operation.signature
        parameters = [
            {"name": name, "in": "path", "required": True, **_described(self._schemas.of(kind))}
            for name, kind in signature.path_types.items()
        ]
        for name, kind in signature.query_types.items():
            schema = _without_null(self._schemas.of(kind))
            if (default := signature.query_defaults[name]) is not None:
                schema = {**schema, "default": msgspec.to_builtins(default)}
            parameters.append({"name": name, "in": "query", **_described(schema)})
        if (expansion := operation.expansion) is not None:
            parameters.append(
                {
                    "name": PARAMETER,
                    "in": "query",
                    "description": _EXPAND,
                    "style": "form",
                    "explode": False,
                    "schema": expansion.schema,
                }
            )
        if operation.idempotency != "none":
            parameters.append(
                {
                    "name": "Idempotency-Key",
                    "in": "header",
                    "required": operation.idempotency == "required",
                    "description": "Makes it safe to send the request again: the first answer is kept for 30 days, "
                    "unless the bank says otherwise.",
                    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": KEY_PATTERN},
                    "example": "8e03978e-40d5-43dd-bc93-6894a57f9324",
                }
            )
        if operation.if_match:
            parameters.append(
                {
                    "name": "If-Match",
                    "in": "header",
                    "description": "The `ETag` that was read; the change is refused if it isn't the present one.",
                    "schema": {"type": "string", "pattern": IF_MATCH_PATTERN},
                    "example": "*",
                }
            )
        return parameters

    def _request(self, operation: Operation) -> dict[str, Any]:
        if _body_type(operation) is bytes:
            content: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
            if "request" in operation.examples:
                content["example"] = operation.examples["request"]
        else:
            schema = self._schemas.of(_body_type(operation))
            example = operation.examples.get("request", example_of(self._schemas, schema, whole=False))
            content = {"schema": schema, "example": example}
        return {"required": True, "content": {operation.body_media_type: content}}

    def _responses(self, operation: Operation) -> dict[str, Any]:
        responses = {str(operation.status): self._success(operation)}
        by_status = refusals_of(operation)
        for status, classes in by_status.items():
            responses[str(status)] = self._refusal(operation, status, classes)
        if operation.surface == "oauth":
            for status, code in ((400, "invalid_request"), (401, "invalid_client")):
                responses[str(status)] = self._oauth_refusal(status, code)
        return dict(sorted(responses.items()))

    def _success(self, operation: Operation) -> dict[str, Any]:
        names = [
            *(["ETag"] if operation.etag else []),
            *(["Location"] if operation.location is not None else []),
            *(["Idempotent-Replayed"] if operation.idempotency != "none" else []),
            *(["RateLimit", "RateLimit-Policy"] if operation.needs_token else []),
            *([HEADER] if operation.needs_token and operation.surface == "problem" else []),
            *(operation.deprecated.headers if operation.deprecated is not None else []),
        ]
        written: dict[str, Any] = {"description": _SUCCESS[operation.status], "headers": _headers(*names)}
        if operation.signature.response is not None:
            schema = self._schemas.of(operation.signature.response)
            example = operation.examples.get("response", example_of(self._schemas, schema, whole=True))
            written["content"] = {operation.response_media_type: {"schema": schema, "example": example}}
        links = {link.operation_id: _link(link) for link in operation.links if link.operation_id in self._ids}
        return written | ({"links": links} if links else {})

    def _refusal(
        self, operation: Operation, status: int, classes: Sequence[type[errors.ProblemError]]
    ) -> dict[str, Any]:
        # What the edge refuses is a problem on every surface, because it happens before anyone knows which.
        at_edge = [each for each in classes if issubclass(each, _AT_EDGE)]
        content: dict[str, Any] = {}
        if operation.surface == "problem" or at_edge:
            content |= self._problem_content(status, classes if operation.surface == "problem" else at_edge)
        if operation.surface == "oauth" and not all(issubclass(each, _ONLY_AT_EDGE) for each in classes):
            content |= self._oauth_content("temporarily_unavailable" if status in {429, 503} else "invalid_request")
        return {
            "description": "; ".join(each.title for each in classes) + ".",
            "headers": _headers(*_REFUSAL_HEADERS.get(status, ())),
            "content": content,
        }

    def _problem_content(self, status: int, classes: Sequence[type[errors.ProblemError]]) -> dict[str, Any]:
        codes = sorted(each.code for each in classes)
        # Beside the reference and not in an `allOf` with it: those who generate clients would make a class of each, or
        # leave the answer out, and validators take both to mean the same (JSON Schema 2020-12, section 8.2.3.1).
        schema = {
            "$ref": "#/components/schemas/Problem",
            "properties": {"code": {"enum": codes}, "status": {"const": status}},
        }
        self.examples |= {each.code: _problem_example(each) for each in classes if each.code not in self.examples}
        examples = {each.code: {"$ref": f"#/components/examples/{each.code}"} for each in classes}
        return {problems.MEDIA_TYPE: {"schema": schema, "examples": examples}}

    @staticmethod
    def _oauth_content(code: str) -> dict[str, Any]:
        return {"application/json": {"schema": {"$ref": "#/components/schemas/OAuthError"}, "example": {"error": code}}}

    @classmethod
    def _oauth_refusal(cls, status: int, code: str) -> dict[str, Any]:
        return {
            "description": "A refusal of RFC 6749, section 5.2.",
            "headers": _headers(*_REFUSAL_HEADERS.get(status, ())),
            "content": cls._oauth_content(code),
        }


_ONLY_AT_EDGE: Final = (errors.TenantSuspended, errors.UnknownTenant, errors.TenantUnreadable)
_AT_EDGE: Final = (*_ONLY_AT_EDGE, errors.DatabaseUnavailable, errors.Overloaded, errors.Busy)


_SUCCESS: Final = {200: "As asked.", 201: "Created.", 202: "Accepted.", 204: "Done; there is nothing to say."}
_REFUSAL_HEADERS: Final[dict[int, tuple[str, ...]]] = {
    401: ("WWW-Authenticate",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}


def _security(operation: Operation) -> list[dict[str, list[str]]]:
    if operation.needs_token:
        return [{f"{operation.audience}OAuth": [operation.scope or ""]}]
    # A client authenticates by HTTP Basic or in the form, so the header may be absent.
    return [{"clientBasic": []}, {}] if operation.surface == "oauth" else []


def _described(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a parameter's schema, its description and its example in the places where a parameter has them."""
    inner = dict(schema)
    described: dict[str, Any] = {}
    if "description" in inner:
        described["description"] = inner.pop("description")
    if inner.get("examples"):
        described["example"] = inner.pop("examples")[0]
    return {**described, "schema": inner}


def _without_null(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a parameter that may be absent, which in a query is not the same as null."""
    present = [each for each in schema.get("anyOf", [schema]) if each != {"type": "null"}]
    assert len(present) == 1, "a parameter has one type"
    return {**present[0], **{key: value for key, value in schema.items() if key != "anyOf"}}


def _link(link: Any) -> dict[str, Any]:
    written: dict[str, Any] = {"operationId": link.operation_id}
    if link.parameters:
        written["parameters"] = dict(link.parameters)
    if link.body:
        written["requestBody"] = dict(link.body)
    return written


def _problem_example(error: type[errors.ProblemError]) -> dict[str, Any]:
    value: dict[str, Any] = msgspec.to_builtins(problems.problem_of(error(), _EXAMPLE_REQUEST_ID))
    return {"summary": error.title, "value": value}


class _Dumper(yaml.CSafeDumper):
    """Writes long texts as blocks and never refers back, so that a change shows where it is."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - yaml calls it so
        return True


def _text(dumper: yaml.CSafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def dump_yaml(document: Mapping[str, Any]) -> str:
    """Return a document as YAML, the same for the same code."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def main(arguments: Sequence[str] | None = None) -> int:
    """Export the document, and beside it those of open banking and of OAuth, or compare files with them."""
    parser = argparse.ArgumentParser(prog="python -m billfold_server.http.openapi", description=main.__doc__)
    parser.add_argument("file", nargs="?", type=Path, help="where the document is; standard output where absent")
    parser.add_argument("--check", action="store_true", help="compare, and change nothing")
    options = parser.parse_args(arguments)
    # Found by name, because this module is below the application that it describes.
    rooms = importlib.import_module("billfold_server.rooms").ROOMS
    document = build_document(rooms)
    text = dump_yaml(document)
    if options.file is None:
        sys.stdout.write(text)
        return 0
    files = {
        options.file: text,
        options.file.with_name(OPEN_BANKING): dump_yaml(build_open_banking_document(rooms)),
        options.file.with_name(OAUTH): dump_yaml(build_oauth_document(rooms)),
    }
    if not options.check:
        for file, content in files.items():
            file.write_text(content, encoding="utf-8")
        return _keep(document, options.file.parent, check=False)
    for file, content in files.items():
        if not file.is_file() or file.read_text(encoding="utf-8") != content:
            sys.stderr.write(f"{file} isn't what the code says; export it anew with nox -s openapi -- --write\n")
            return 1
    return _keep(document, options.file.parent, check=True)


def _keep(document: Mapping[str, Any], folder: Path, *, check: bool) -> int:
    """Hold the contract to the one that was released, where that lies beside it."""
    return contract_page.keep(document, folder, check=check) if (folder / contract_page.RELEASED).is_file() else 0


if __name__ == "__main__":
    sys.exit(main())
