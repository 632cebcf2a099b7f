"""What the committed contract says of each operation, and what a request says, in the same words."""

import functools
import json
import re
import urllib.parse
from pathlib import Path
from typing import Any, Final

import yaml

__all__ = ["NOT_FOR_CLIENTS", "OPENAPI", "documented", "load", "said_by_client", "said_by_document"]

OPENAPI: Final = Path(__file__).parents[2] / "openapi" / "billfold.yaml"

NOT_FOR_CLIENTS: Final = re.compile(r"^(?!/v1/|/platform/v1/)")
"""Health, metrics, documents, and the authorization server (``oauth.yaml``), whose client is `billfold.auth`."""


@functools.cache
def load() -> dict[str, Any]:
    """Read the contract."""
    read: dict[str, Any] = yaml.load(OPENAPI.read_text(encoding="utf-8"), yaml.CSafeLoader)
    return read


def documented(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the document's operations for clients, by method and path."""
    return {
        f"{method.upper()} {path}": operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in {"get", "post", "patch", "put", "delete"} and not NOT_FOR_CLIENTS.match(path)
    }


def resolved(document: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """Return what a reference leads to."""
    while "$ref" in node:
        target = document
        for name in node["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        node = target
    return node


def said_by_document(document: dict[str, Any], operation: dict[str, Any]) -> dict[str, set[str]]:
    """Return what an operation takes: its parameters and headers, and the members of its body."""
    parameters = [resolved(document, each) for each in operation.get("parameters", [])]
    content = resolved(document, operation.get("requestBody", {})).get("content", {})
    schema = resolved(document, content.get("application/json", {}).get("schema", {}))
    return {
        "query": {each["name"] for each in parameters if each["in"] == "query"},
        "headers": {each["name"].lower() for each in parameters if each["in"] == "header"},
        "body": set(schema.get("properties", {})),
    }


def said_by_client(request: tuple[str, str, dict[str, str], bytes | None]) -> dict[str, set[str]]:
    """Return what a request has of these."""
    _, url, headers, body = request
    is_json = headers.get("content-type") == "application/json"
    return {
        "query": set(dict(urllib.parse.parse_qsl(url.partition("?")[2]))),
        "headers": {"idempotency-key", "if-match"} & set(headers),
        "body": set(json.loads(body or b"{}")) if is_json else set(),
    }
