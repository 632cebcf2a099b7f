"""Puts a card's number into every place of every operation where somebody might put one by mistake, or on purpose.

The operations are those that the server declares: those of the OpenAPI documents, and the pages, forms and OAuth
endpoints that it hosts. The examples of the documents make requests that would succeed, so that a number gets as far
as it can.
"""

import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote, quote_plus

import yaml
from msgspec import inspect

from billfold_server.http.routing import Operation
from billfold_server.rooms import operations
from tests.contract.places import numbers_in, replaced, strings_in

__all__ = ["Request", "Way", "ways"]

_DOCUMENTS: Final = ("billfold.yaml", "open-banking.yaml")
_OPENAPI: Final = Path(__file__).parents[2] / "openapi"
_FORM: Final = "application/x-www-form-urlencoded"
_FIELDS: Final = (
    *("body", "client_id", "code", "code_challenge", "csrf", "id_token_hint", "jwe", "label", "login_hint"),
    *("login_name", "name", "nonce", "password", "redirect_uri", "request", "scope", "state", "token", "url"),
)
"""What forms and queries of pages have, or may seem to have."""

_HEADERS: Final = (
    *("Accept", "Accept-Language", "Authorization", "Billfold-Version", "Content-Encoding", "Content-Type", "Cookie"),
    *("DPoP", "Forwarded", "Host", "Idempotency-Key", "If-Match", "If-None-Match", "Origin", "Range", "Referer"),
    *("Traceparent", "User-Agent", "X-Client-Cert", "X-Forwarded-For", "X-Request-Id", "x-fapi-auth-date"),
    *("x-fapi-customer-ip-address", "x-fapi-interaction-id", "x-idempotency-key", "x-jws-signature"),
)

_ENDS_ALL: Final = frozenset(
    {
        *("advanceClock", "resetSandbox", "simulateOutage", "simulateSlowAnswers", "simulateVaultSeal"),
        *("applyTenant", "deleteTenant", "resumeTenant", "suspendTenant"),
    }
)
"""Operations that would end the singing if they were carried out, so that only what can't be is asked of them."""


class Request(NamedTuple):
    """A request as it goes out.

    Attributes:
        target: The path with the query, below the deployment.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes | None


class Way(NamedTuple):
    """One way to bring a number in.

    Attributes:
        operation: To what, by its id.
        place: Where the number stands.
        request: Makes the request with a text that holds the number.
    """

    operation: str
    place: str
    request: Callable[[str], Request]


def ways(slug: str, tokens: Mapping[str, str], real: Callable[[Any], Any]) -> Iterator[Way]:
    """Yield every way into a tenant and its platform.

    Args:
        slug: The tenant.
        tokens: Access tokens by audience.
        real: Puts ids that name something into an example.
    """
    examples = _examples()
    for operation in operations():
        yield from _Singer(operation, slug, tokens.get(operation.audience), real, examples).ways()
    for place in ("/v1/{}", "/t/{}/v1/wallets", "/t/" + slug + "/v1/wallets/{}/no/such", "/{}", "/platform/v1/{}"):
        yield Way("none", place, _elsewhere(place))
    yield Way("none", "method", lambda text: Request(text.replace(" ", "-"), f"/t/{slug}/v1/wallets", {}, None))


def _elsewhere(place: str) -> Callable[[str], Request]:
    return lambda text: Request("GET", place.format(quote(text, safe="")), {}, None)


def _examples() -> dict[str, dict[str, Any]]:
    """Return the documents' operations by their ids."""
    found: dict[str, dict[str, Any]] = {}
    for name in _DOCUMENTS:
        document = yaml.load((_OPENAPI / name).read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
        for item in document["paths"].values():
            found |= {each["operationId"]: each for each in item.values() if isinstance(each, dict)}
    return found


class _Singer:
    """Makes requests of one operation."""

    def __init__(
        self,
        operation: Operation,
        slug: str,
        token: str | None,
        real: Callable[[Any], Any],
        examples: Mapping[str, dict[str, Any]],
    ) -> None:
        self.operation = operation
        self.token = token
        self.real = real
        self.told = examples.get(operation.operation_id, {})
        self.prefix = f"/t/{slug}" if operation.audience.startswith("tenant") else ""

    def ways(self) -> Iterator[Way]:
        """Yield every place of the operation."""
        operation = self.operation
        for name in operation.signature.path_types:
            yield self._way(f"path {name}", partial(self._in_path, name))
        for name in [*operation.signature.query_types, *(_FIELDS if operation.surface == "page" else ["unknown"])]:
            yield self._way(f"query {name}", partial(self._in_query, name))
        yield self._way("name in query", lambda text: self._made(query={text: "x"}))
        if operation.takes_body:
            yield from self._in_body()
        if operation.operation_id not in _ENDS_ALL:
            for name in _HEADERS:
                yield self._way(f"header {name}", partial(self._in_header, name))

    def _way(self, place: str, request: Callable[[str], Request]) -> Way:
        return Way(self.operation.operation_id, place, request)

    def _in_body(self) -> Iterator[Way]:
        yield self._way("bare body", lambda text: self._made(body=text.encode()))
        yield self._way("quoted body", lambda text: self._made(body=json.dumps(text).encode()))
        yield self._way("torn body", lambda text: self._made(body=b'{"number": "' + text.encode()))
        yield self._way("body that is no UTF-8", lambda text: self._made(body=text.encode() + b"\xff"))
        good = self.real(self._example())
        if self.operation.takes_bytes:
            fields: dict[str, Any] = good if isinstance(good, dict) else {}
            for name in dict.fromkeys([*fields, *_FIELDS]):
                yield self._way(f"form {name}", partial(self._in_form, fields, name))
            yield self._way("name in form", lambda text: self._form({text: "x"}))
            return
        for path, _ in strings_in(good):
            yield self._way(f"body {path}", partial(self._at, good, path, str))
            yield self._way(f"within {path}", partial(self._at, good, path, "Card {} please".format))
        for path in numbers_in(good):
            yield self._way(f"number {path}", partial(self._at, good, path, _number))
        if not isinstance(good, dict):
            return
        for name, value in _further(self.operation.signature.body_type):
            if name not in good:
                yield self._way(f"further {name}", partial(self._at, {**good, name: None}, (name,), value))
        yield self._way("unknown member", lambda text: self._json({**good, "unknown": text}))
        yield self._way("name of a member", lambda text: self._json({**good, text: 1}))
        yield self._way("escaped", lambda text: self._made(body=_escaped({**good, "unknown": text})))
        yield self._way("wrong content type", lambda text: self._made(body=text.encode(), content_type="text/plain"))

    def _in_path(self, name: str, text: str) -> Request:
        return self._made(path={name: text})

    def _in_query(self, name: str, text: str) -> Request:
        return self._made(query={name: text})

    def _in_header(self, name: str, text: str) -> Request:
        return self._made(headers=_header(name, text))

    def _in_form(self, fields: Mapping[str, Any], name: str, text: str) -> Request:
        return self._form({**fields, name: text})

    def _at(self, good: Any, path: tuple[Any, ...], made: Callable[[str], Any], text: str) -> Request:
        return self._json(replaced(good, path, made(text)))

    def _example(self) -> Any:
        content: dict[str, dict[str, Any]] = self.told.get("requestBody", {}).get("content", {})
        return next((each.get("example", {}) for each in content.values()), {})

    def _json(self, value: Any) -> Request:
        return self._made(body=json.dumps(value).encode())

    def _form(self, fields: Mapping[str, Any]) -> Request:
        body = "&".join(f"{quote_plus(name)}={quote_plus(str(value))}" for name, value in fields.items())
        return self._made(body=body.encode())

    def _made(
        self,
        *,
        path: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        content_type: str | None = None,
    ) -> Request:
        operation, target = self.operation, self.operation.path
        for each in self.told.get("parameters", []):
            if each["in"] == "path" and each["name"] not in (path or {}):
                target = target.replace(f"{{{each['name']}}}", quote(str(self.real(each.get("example", "nobody")))))
        for name in operation.signature.path_types:
            target = target.replace(f"{{{name}}}", quote((path or {}).get(name, "nobody"), safe=""))
        sent = {"Idempotency-Key": secrets.token_hex(16)}
        if self.token is not None:
            sent["Authorization"] = f"Bearer {self.token}"
        if operation.takes_body:
            sent["Content-Type"] = content_type or operation.body_media_type
            if body is None:
                body = b"" if operation.takes_bytes else json.dumps(self.real(self._example())).encode()
        if query:
            target += "?" + "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in query.items())
        return Request(operation.method, self.prefix + target, {**sent, **(headers or {})}, body)


def _header(name: str, text: str) -> dict[str, str]:
    return {name: {"Authorization": f"Bearer {text}", "Cookie": f"session={text}; a=b"}.get(name, text)}


def _number(text: str) -> int:
    return int("".join(each for each in text if each.isdigit()))


def _escaped(value: Any) -> bytes:
    """Return JSON in which digits are written by their numbers."""
    text = json.dumps(value)
    return "".join(f"\\u{ord(each):04x}" if each.isdigit() and _in_text(text, at) else each
                   for at, each in enumerate(text)).encode()  # fmt: skip


def _in_text(text: str, at: int) -> bool:
    return text.count('"', 0, at) % 2 == 1


def _further(body_type: Any) -> Iterator[tuple[str, Callable[[str], Any]]]:
    """Yield members that a body may have and its example may lack, with what makes their value of a text."""
    kind = inspect.type_info(body_type)
    if not isinstance(kind, inspect.StructType):
        return
    for field in kind.fields:
        for each in _kinds(field.type):
            if isinstance(each, inspect.StrType):
                yield field.encode_name, str
            elif isinstance(each, inspect.DictType):
                yield field.encode_name, lambda text: {"note": text}
                yield field.encode_name, lambda text: {text: "note"}
            elif isinstance(each, inspect.ListType):
                yield field.encode_name, lambda text: [text]


def _kinds(kind: inspect.Type) -> Iterator[inspect.Type]:
    if isinstance(kind, inspect.Metadata):
        yield from _kinds(kind.type)
    elif isinstance(kind, inspect.UnionType):
        for each in kind.types:
            yield from _kinds(each)
    else:
        yield kind
