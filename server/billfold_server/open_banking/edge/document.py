"""The OpenAPI document of this interface, made of its operations as the rooms have declared them.

It is a document of its own, beside that of ``/v1``: in another standard's words, which generators of clients find as
they were published. What the rooms declare (parameters, bodies, answers) comes from their handlers, what the standard
says of an operation from ``interface``; nothing is copied from the official documents, which a test compares it with.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

from billfold.contract.open_banking.base import wire_name
from billfold.contract.open_banking.common import OBErrorResponse1
from billfold_server.http.routing import Operation, Routes
from billfold_server.http.schemas import Schemas
from billfold_server.open_banking.edge.dialect import OpenBankingDialect
from billfold_server.open_banking.edge.interface import Area, Declared
from billfold_server.open_banking.edge.routes import HIDDEN

__all__ = ["build_open_banking_document", "official_path"]

_TEXT: Final[dict[str, Any]] = {"type": "string"}
_ERRORS: Final = {400, 403, 409, 500}
_BEFORE_REFUSALS: Final = 400
_MEDIA: Final[dict[Area, tuple[str, ...]]] = {
    "aisp": ("application/json; charset=utf-8", "application/json"),
    "pisp": ("application/json; charset=utf-8", "application/json"),
    "cbpii": ("application/json; charset=utf-8", "application/json"),
    "events": ("application/json; charset=utf-8",),
}
_DATE_PATTERN: Final = (
    r"^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{2} (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) "
    r"\d{4} \d{2}:\d{2}:\d{2} (GMT|UTC)$"
)
_ALWAYS: Final[tuple[dict[str, Any], ...]] = (
    {"name": "x-fapi-auth-date", "description": "When the customer last signed in with the third party.",
     "schema": {"type": "string", "pattern": _DATE_PATTERN}},
    {"name": "x-fapi-customer-ip-address", "description": "The customer's address, where they are there.",
     "schema": _TEXT},
    {"name": "x-fapi-interaction-id", "description": "A UUID for both sides' logs, which the answer repeats.",
     "schema": _TEXT},
    {"name": "Authorization", "description": "The access token.", "required": True, "schema": _TEXT},
    {"name": "x-customer-user-agent", "description": "With what the customer uses the third party.", "schema": _TEXT},
)  # fmt: skip
_KEY: Final[dict[str, Any]] = {
    "name": "x-idempotency-key",
    "description": "Makes it safe to send the request again within 24 hours.",
    "required": True,
    "schema": {"type": "string", "maxLength": 40, "pattern": r"^(?!\s)(.*)(\S)$"},
}
_SIGNATURE: Final[dict[str, Any]] = {
    "name": "x-jws-signature",
    "description": "The client's detached signature of the body.",
    "required": True,
    "schema": _TEXT,
}
_VERSION: Final[dict[str, Any]] = {
    "name": "payload-version",
    "description": "By the names of which version to answer.",
    "schema": _TEXT,
}
_HEADERS: Final = {
    "x-fapi-interaction-id": ("The request's id, or a new one.", {"type": "string"}),
    "x-jws-signature": ("The bank's detached signature of the body.", {"type": "string"}),
    "Retry-After": ("Seconds after which to come back.", {"type": "integer"}),
    "payload-version": ("By the names of which version it is answered.", {"type": "string"}),
}
_SCOPES: Final = {
    "accounts": "Read accounts, by consents of customers",
    "payments": "Initiate payments, by consents of customers",
    "fundsconfirmations": "Ask whether there are funds, by consents of customers",
}


def build_open_banking_document(
    rooms: Sequence[Routes], *, base_url: str | None = None, title: str = "Billfold: UK open banking"
) -> dict[str, Any]:
    """Return the document of this interface's operations among those of some rooms.

    Args:
        rooms: The server's.
        base_url: A tenant's base URL; the document is the tenant's own then. Where absent, the tenant is a variable.
        title: The document's title.
    """
    shown = [each for room in rooms for each in room.operations if isinstance(each.dialect, OpenBankingDialect)]
    schemas = Schemas([OBErrorResponse1, *(each for operation in shown for each in _types(operation))])
    paths: dict[str, Any] = {}
    for operation in shown:
        paths.setdefault(official_path(operation.path), {})[operation.method.lower()] = _operation(operation, schemas)
    tags = {room.tag: room.description for room in rooms if any(each in shown for each in room.operations)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "version": "4.0",
            "description": "The operations of the UK's Open Banking Read/Write API v4.0 that are served.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [
            {
                "url": "/t/{slug}",
                "description": "A tenant's base.",
                "variables": {"slug": {"default": "sandbox", "description": "The tenant's name in addresses."}},
            }
            if base_url is None
            else {"url": base_url}
        ],
        "tags": [{"name": name, "description": text} for name, text in tags.items()],
        "paths": paths,
        "components": {"schemas": schemas.components, "securitySchemes": _security_schemes(base_url or "/t/sandbox")},
    }


def official_path(path: str) -> str:
    """Return a path whose parameters have their official names."""
    return re.sub(r"\{(\w+)\}", lambda match: f"{{{wire_name(match.group(1))}}}", path)


def declared_of(operation: Operation) -> Declared:
    """Return what the standard says of an operation."""
    assert isinstance(operation.dialect, OpenBankingDialect)
    return operation.dialect.declared


def _types(operation: Operation) -> list[Any]:
    signature = operation.signature
    types = [*signature.path_types.values(), *signature.query_types.values(), signature.response]
    return [each for each in (*types, signature.body_type) if each not in {None, bytes}]


def _operation(operation: Operation, schemas: Schemas) -> dict[str, Any]:
    declared = declared_of(operation)
    written: dict[str, Any] = {
        "operationId": operation.operation_id,
        "summary": operation.summary,
        "description": operation.description,
        "tags": [operation.tag],
        "parameters": _parameters(operation, declared, schemas),
        "requestBody": _request(operation, declared, schemas),
        "responses": {
            str(status): _response(operation, declared, status, schemas) for status in sorted(declared.statuses)
        },
        "security": [{f"{declared.security}OAuth2Security": list(declared.scopes)}],
    }
    return {key: value for key, value in written.items() if value}


def _parameters(operation: Operation, declared: Declared, schemas: Schemas) -> list[dict[str, Any]]:
    signature = operation.signature
    optional = [_KEY] if declared.keyed else []
    optional += [_SIGNATURE] if declared.signed else []
    optional += [_VERSION] if declared.version_in else []
    return [
        *(
            {"name": wire_name(name), "in": "path", "required": True, "schema": schemas.of(kind)}
            for name, kind in signature.path_types.items()
        ),
        *(
            {"name": name, "in": "query", "schema": _without_null(schemas.of(kind))}
            for name, kind in signature.query_types.items()
            if name not in HIDDEN
        ),
        *({**each, "in": "header"} for each in (*_ALWAYS, *optional)),
    ]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    present = [each for each in schema.get("anyOf", [schema]) if each != {"type": "null"}]
    assert len(present) == 1, "a parameter has one type"
    return dict(present[0])


def _request(operation: Operation, declared: Declared, schemas: Schemas) -> dict[str, Any] | None:
    if not operation.takes_body:
        return None
    if operation.takes_bytes:
        return {"required": True, "content": {operation.body_media_type: {"schema": _TEXT}}}
    media = ("application/json",) if declared.area == "cbpii" else _MEDIA[declared.area]
    schema = schemas.of(operation.signature.body_type)
    return {"required": True, "content": {each: {"schema": schema} for each in media}}


def _response(operation: Operation, declared: Declared, status: int, schemas: Schemas) -> dict[str, Any]:
    has_body = status not in declared.empty
    written: dict[str, Any] = {
        "description": _DESCRIPTIONS[status],
        "headers": {
            name: {"description": _HEADERS[name][0], "required": required, "schema": _HEADERS[name][1]}
            for name, required in _headers(declared, status, has_body=has_body).items()
        },
    }
    if has_body:
        type_ = OBErrorResponse1 if status in _ERRORS else operation.signature.response
        # Of a file, the standard says nothing but that it is some JSON where JSON is accepted.
        schema = {"type": "object"} if type_ is bytes else schemas.of(type_)
        written["content"] = {each: {"schema": schema} for each in _MEDIA[declared.area]}
    return {key: value for key, value in written.items() if value}


def _headers(declared: Declared, status: int, *, has_body: bool) -> dict[str, bool]:
    """Return the headers that are documented of an answer, and whether they are required."""
    headers: dict[str, bool] = {}
    # The document of recurring payments says nothing of the headers of what was deleted.
    if not (declared.path.startswith("/domestic-vrp") and status == 204):  # noqa: PLR2004
        optional = declared.area == "events" or (declared.area != "pisp" and status == 429)  # noqa: PLR2004
        headers["x-fapi-interaction-id"] = not optional
    if declared.answers_signed and has_body and (declared.area == "pisp" or status < _BEFORE_REFUSALS):
        headers["x-jws-signature"] = declared.area == "pisp"
    if status == 429:  # noqa: PLR2004
        headers["Retry-After"] = False
    if declared.version_out and status < _BEFORE_REFUSALS:
        headers["payload-version"] = False
    return headers


_DESCRIPTIONS: Final = {
    200: "As asked.",
    201: "Created.",
    204: "Done; there is nothing to say.",
    400: "The request isn't good.",
    401: "There is no access token, or none that counts.",
    403: "The access token or the consent doesn't allow this.",
    404: "The bank doesn't offer this.",
    405: "There is no such method here.",
    406: "No media type is accepted that could be answered.",
    409: "The present state refuses it.",
    415: "The body is of a media type that isn't taken.",
    429: "Too many requests.",
    500: "The bank has failed.",
}


def _security_schemes(base: str) -> dict[str, Any]:
    token_url = f"{base}/oauth/token"
    return {
        "TPPOAuth2Security": {
            "type": "oauth2",
            "description": "The third party for itself.",
            "flows": {"clientCredentials": {"tokenUrl": token_url, "scopes": _SCOPES}},
        },
        "PSUOAuth2Security": {
            "type": "oauth2",
            "description": "The third party for a customer who has authorised a consent.",
            "flows": {
                "authorizationCode": {
                    "authorizationUrl": f"{base}/oauth/authorize",
                    "tokenUrl": token_url,
                    "scopes": _SCOPES,
                }
            },
        },
    }
