"""The exported document, cut into what lives below a tenant and what lives at the deployment itself."""

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema_rs
import yaml

__all__ = [
    "EXPORTED",
    "Operation",
    "about",
    "collections",
    "deployment_part",
    "judging",
    "operations",
    "read_document",
    "reset_part",
    "sandboxes_part",
    "tenant_part",
    "told_otherwise",
]

EXPORTED = Path(__file__).parents[2] / "openapi" / "billfold.yaml"
RESET = "/v1/sandbox/reset"
SANDBOXES = "/v1/partners/{partner_id}/sandboxes"
METHODS = ("get", "post", "put", "patch", "delete")
_WHOLE = "urn:billfold:document"
"""By what schemas that are read apart from the document refer to it."""


class Operation(NamedTuple):
    """One operation of a document."""

    operation_id: str
    method: str
    path: str
    definition: dict[str, Any]
    at_deployment: bool

    @property
    def statuses(self) -> list[int]:
        """Return the statuses that the document lists."""
        return sorted(int(status) for status in self.definition["responses"])

    @property
    def success(self) -> int:
        """Return the status of success."""
        return self.statuses[0]

    @property
    def media_type(self) -> str | None:
        """Return the media type of the body, if there is one."""
        body = self.definition.get("requestBody")
        return None if body is None else str(next(iter(body["content"])))

    @property
    def needs_token(self) -> bool:
        """Tell whether the operation asks for an access token."""
        return any(name.endswith("OAuth") for each in self.definition["security"] for name in each)


@functools.cache
def read_document() -> dict[str, Any]:
    """Read the exported document."""
    document: dict[str, Any] = yaml.load(EXPORTED.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    return document


def _part(document: dict[str, Any], *, deployment: bool, server: str) -> dict[str, Any]:
    paths = {path: item for path, item in document["paths"].items() if ("servers" in item) == deployment}
    # schemathesis checks that nobody ignores authentication where a scheme says how a credential is sent. OAuth 2 only
    # says where one comes from, so the bearer tokens that it gives are named here.
    schemes = {
        name: {"type": "http", "scheme": "bearer"} if scheme["type"] == "oauth2" else scheme
        for name, scheme in document["components"]["securitySchemes"].items()
    }
    # Copied as far as parts differ: there are hundreds of them, and a document takes half a second to copy.
    return {
        **document,
        "paths": {path: {key: each for key, each in item.items() if key != "servers"} for path, item in paths.items()},
        "servers": [{"url": server}],
        "components": {**document["components"], "securitySchemes": schemes},
    }


def tenant_part(document: dict[str, Any], base_url: str) -> dict[str, Any]:
    """Return what lives below a tenant."""
    part = _part(document, deployment=False, server=base_url)
    paths = {path: item for path, item in part["paths"].items() if path != RESET and not path.startswith(SANDBOXES)}
    return {**part, "paths": paths}


def sandboxes_part(document: dict[str, Any], base_url: str) -> dict[str, Any]:
    """Return what makes tenants, and so takes too long to be asked hundreds of times."""
    part = _part(document, deployment=False, server=base_url)
    return {**part, "paths": {path: item for path, item in part["paths"].items() if path.startswith(SANDBOXES)}}


def reset_part(document: dict[str, Any], base_url: str) -> dict[str, Any]:
    """Return what would take away all that the other operations need, and so is asked of a tenant of its own."""
    part = _part(document, deployment=False, server=base_url)
    return {**part, "paths": {RESET: part["paths"][RESET]}}


def deployment_part(document: dict[str, Any], base_url: str) -> dict[str, Any]:
    """Return what lives at the deployment itself."""
    return _part(document, deployment=True, server=base_url)


def collections(document: dict[str, Any]) -> list[str]:
    """Return by what a document's paths begin: the collections that they are about, such as ``/v1/wallets``."""
    return sorted({_collection(path) for path in document["paths"]})


def about(document: dict[str, Any], collection: str) -> dict[str, Any]:
    """Return the part of a document that is about a collection."""
    paths = {path: item for path, item in document["paths"].items() if _collection(path) == collection}
    return {**document, "paths": paths}


def _collection(path: str) -> str:
    _, first, *rest = path.split("/")
    return f"/{first}/{rest[0]}" if rest else f"/{first}"


def operations(document: dict[str, Any]) -> Iterator[Operation]:
    """Return every operation of a document."""
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield Operation(item[method]["operationId"], method.upper(), path, item[method], "servers" in item)


def judging(schema: dict[str, Any]) -> Any:
    """Return the validator of a schema that stands in the exported document, or refers into it, formats included."""
    return _judging(json.dumps(schema))


@functools.cache
def _judging(schema: str) -> Any:
    # Read with each schema, the whole document would take longer than whatever is judged by it.
    referring = json.loads(schema.replace('"#/', f'"{_WHOLE}#/'))
    return jsonschema_rs.validator_for(referring, registry=_registry(), validate_formats=True)


@functools.cache
def _registry() -> jsonschema_rs.Registry:
    parts = {key: read_document()[key] for key in ("webhooks", "components")}
    return jsonschema_rs.Registry([(_WHOLE, parts)], draft=jsonschema_rs.Draft202012)


def told_otherwise(event: dict[str, Any]) -> list[str]:
    """Return where an event isn't what the document's webhook of its type says."""
    if event["type"] not in read_document()["webhooks"]:
        return [f"there is no webhook {event['type']}"]
    at = f"#/webhooks/{event['type']}/post/requestBody/content/application~1json/schema"
    return [each.message for each in judging({"$ref": at}).iter_errors(event)]
