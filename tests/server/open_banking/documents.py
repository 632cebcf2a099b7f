"""The official documents, read for tests: operations with everything resolved."""

import functools
import json
from typing import Any, Final

import msgspec

from billfold_server.open_banking.edge.interface import Area
from tests.shared_files import shared_path

__all__ = ["AREAS", "FILES", "OfficialOperation", "OfficialResponse", "document", "official_operations", "resolved"]

AREAS: Final[tuple[Area, ...]] = ("aisp", "cbpii", "pisp", "events")
FILES: Final[dict[str, Area]] = {
    "account-info-openapi.json": "aisp",
    "confirmation-funds-openapi.json": "cbpii",
    "payment-initiation-openapi.json": "pisp",
    "vrp-openapi.json": "pisp",
    "events-openapi.json": "events",
}
"""The documents of what the bank serves. A sixth one is of what the third party serves."""

METHODS: Final = ("get", "post", "put", "patch", "delete")
_NOW: Final = ("/domestic-payment-consents", "/domestic-payments")
"""What of payment initiation is served; scheduled, standing-order, file and international payments are not yet."""


class OfficialResponse(msgspec.Struct, frozen=True):
    """One response.

    Attributes:
        headers: Its headers by name.
        media: The schema of each media type.
    """

    headers: dict[str, Any]
    media: dict[str, Any]


class OfficialOperation(msgspec.Struct, frozen=True, kw_only=True):
    """One operation.

    Attributes:
        file: Its document.
        server: The address of its document, below a tenant's base.
        method: Its method.
        path: Its path.
        operation_id: Its id.
        headers: Header parameters by lower-case name.
        others: Path and query parameters, by place and name.
        body: The schema of each media type that it takes.
        responses: By status.
        security: ``TPP`` or ``PSU``, and the scopes.
    """

    file: str
    server: str
    method: str
    path: str
    operation_id: str
    headers: dict[str, Any]
    others: dict[tuple[str, str], Any]
    body: dict[str, Any]
    responses: dict[int, OfficialResponse]
    security: tuple[str, tuple[str, ...]]

    @property
    def takes_body(self) -> bool:
        """Tell whether it takes a body."""
        return bool(self.body)


@functools.cache
def document(file: str) -> dict[str, Any]:
    """Return one of the documents."""
    read: dict[str, Any] = json.loads(shared_path("open-banking", "v4.0", file).read_text(encoding="utf-8"))
    return read


def resolved(file: str, part: Any) -> Any:
    """Return a part of a document, or what it refers to."""
    while isinstance(part, dict) and "$ref" in part:
        target: Any = document(file)
        for step in part["$ref"].removeprefix("#/").split("/"):
            target = target[step.replace("~1", "/").replace("~0", "~")]
        part = target
    return part


@functools.cache
def official_operations() -> dict[tuple[Area, str, str], OfficialOperation]:
    """Return every operation that is to be served, by area, method and path."""
    return {
        (area, method.upper(), path): _operation(file, method, path, item)
        for file, area in FILES.items()
        for path, item in document(file)["paths"].items()
        for method in METHODS
        if method in item and (file != "payment-initiation-openapi.json" or f"{path}/".startswith(_BELOW))
    }


_BELOW: Final = tuple(f"{path}/" for path in _NOW)


def _operation(file: str, method: str, path: str, item: dict[str, Any]) -> OfficialOperation:
    said = item[method]
    parameters = [resolved(file, each) for each in (*item.get("parameters", ()), *said.get("parameters", ()))]
    ((scheme, scopes),) = said["security"][0].items()
    return OfficialOperation(
        file=file,
        server=document(file)["servers"][0]["url"],
        method=method.upper(),
        path=path,
        operation_id=said["operationId"],
        headers={each["name"].lower(): each for each in parameters if each["in"] == "header"},
        others={(each["in"], each["name"]): each for each in parameters if each["in"] != "header"},
        body={media: each.get("schema") for media, each in _content(file, said.get("requestBody", {})).items()},
        responses={int(status): _response(file, each) for status, each in said["responses"].items()},
        security=(scheme.removesuffix("OAuth2Security"), tuple(scopes)),
    )


def _content(file: str, part: Any) -> dict[str, Any]:
    found: dict[str, Any] = resolved(file, part).get("content", {})
    return found


def _response(file: str, part: Any) -> OfficialResponse:
    response = resolved(file, part)
    headers = {name.lower(): resolved(file, each) for name, each in response.get("headers", {}).items()}
    return OfficialResponse(headers, {media: each.get("schema") for media, each in _content(file, part).items()})
