"""Ways in which a server and its document can part, to see that the contract tests notice each.

Some change the server: an application around it alters what it is asked or what it answers. Others change the document.
"""

import copy
import json
from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["DEVIATIONS", "Deviating", "Deviation", "Exchange", "only"]


class Exchange:
    """One request and its answer, as an application around the server sees them."""

    def __init__(self, scope: dict[str, Any]) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: bytes = scope["query_string"]
        self.headers: list[tuple[bytes, bytes]] = list(scope["headers"])
        self.status = 0
        self.answer_headers: list[tuple[bytes, bytes]] = []
        self.body = b""

    def header(self, name: bytes) -> bytes | None:
        """Return a header of the request."""
        return next((value for each, value in self.headers if each == name), None)

    @property
    def value(self) -> Any:
        """Return the answer's JSON."""
        return json.loads(self.body)

    @value.setter
    def value(self, value: Any) -> None:
        self.body = json.dumps(value).encode()


Change = Callable[[Exchange], None]


class Deviating:
    """An application around the server that can be told to deviate.

    Attributes:
        asked: Alters requests.
        answered: Alters answers.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self.asked: Change | None = None
        self.answered: Change | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Handle one connection."""
        if scope["type"] != "http" or (self.asked is None and self.answered is None):
            await self._app(scope, receive, send)
            return
        exchange = Exchange(scope)
        if self.asked is not None:
            self.asked(exchange)

        async def collect(message: Any) -> None:
            if message["type"] == "http.response.start":
                exchange.status, exchange.answer_headers = message["status"], list(message["headers"])
            else:
                exchange.body += message.get("body", b"")

        inner = {**scope, "query_string": exchange.query, "headers": exchange.headers}
        await self._app(inner, receive, collect)
        if self.answered is not None:
            self.answered(exchange)
        headers = [each for each in exchange.answer_headers if each[0] != b"content-length"]
        if exchange.status != 204:
            headers.append((b"content-length", str(len(exchange.body)).encode()))
        await send({"type": "http.response.start", "status": exchange.status, "headers": headers})
        await send({"type": "http.response.body", "body": exchange.body})


class Deviation(NamedTuple):
    """One deviation.

    Attributes:
        name: What it is.
        operation_id: At which operation it shows.
        asked: Alters requests, where it is the server that deviates.
        answered: Alters answers, where it is the server that deviates.
        documented: Alters the operation's part of the document, where it is the document that deviates.
    """

    name: str
    operation_id: str
    asked: Change | None = None
    answered: Change | None = None
    documented: Callable[[dict[str, Any]], None] | None = None


def only(document: dict[str, Any], operation_id: str) -> dict[str, Any]:
    """Return a document with one operation and its neighbours, which have the same path."""
    part = {key: value for key, value in document.items() if key != "paths"}
    part["paths"] = {
        path: copy.deepcopy(item)
        for path, item in document["paths"].items()
        if any(operation["operationId"] == operation_id for operation in item.values())
    }
    for item in part["paths"].values():
        for operation in item.values():
            for response in operation["responses"].values():
                response.pop("links", None)
    return part


def _in_success(change: Callable[[dict[str, Any]], None]) -> Change:
    def answered(exchange: Exchange) -> None:
        if exchange.status < 300 and exchange.body:
            value = exchange.value
            change(value)
            exchange.value = value

    return answered


def _member(name: str, value: Any) -> Change:
    return _in_success(lambda body: body.__setitem__(name, value))


def _without_header(name: bytes) -> Change:
    def answered(exchange: Exchange) -> None:
        exchange.answer_headers = [each for each in exchange.answer_headers if each[0] != name]

    return answered


def _status(before: int, after: int) -> Change:
    def answered(exchange: Exchange) -> None:
        exchange.status = after if exchange.status == before else exchange.status

    return answered


def _content_type(exchange: Exchange) -> None:
    exchange.answer_headers = [
        (name, b"text/html" if name == b"content-type" else value) for name, value in exchange.answer_headers
    ]


def _code(exchange: Exchange) -> None:
    if exchange.status == 400:
        exchange.value = {**exchange.value, "code": "something_else"}


def _no_query(exchange: Exchange) -> None:
    exchange.query = b""


class _Token:
    """Remembers a token, and shows it for whoever has none."""

    def __init__(self) -> None:
        self.header: bytes | None = None

    def __call__(self, exchange: Exchange) -> None:
        """Put the token into a request without one."""
        given = exchange.header(b"authorization")
        if given is not None and self.header is None:
            self.header = given
        if self.header is not None:
            rest = [each for each in exchange.headers if each[0] != b"authorization"]
            exchange.headers = [*rest, (b"authorization", self.header)]


def _key_for_all(exchange: Exchange) -> None:
    if exchange.header(b"idempotency-key") is None:
        exchange.headers.append((b"idempotency-key", b"a-key-of-the-servers-own"))


def _refuses_large_pages(exchange: Exchange) -> None:
    # A limit that nobody documents: 60 and more become a mistake of the caller's.
    for part in exchange.query.split(b"&"):
        name, _, value = part.partition(b"=")
        if name == b"limit" and value.isdigit() and int(value) >= 60:
            exchange.query = b"limit=none"


def _parameter(operation: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in operation["parameters"] if each["name"] == name)
    return found


def _lower_maximum(operation: dict[str, Any]) -> None:
    _parameter(operation, "limit")["schema"]["maximum"] = 10


def _wider_kind(operation: dict[str, Any]) -> None:
    _parameter(operation, "kind")["schema"] = {"type": "string", "enum": ["robot", "ghost"]}


def _unknown_parameter(operation: dict[str, Any]) -> None:
    operation["parameters"].append({"name": "sort", "in": "query", "required": True, "schema": {"type": "boolean"}})


def _promised_header(operation: dict[str, Any]) -> None:
    operation["responses"]["200"]["headers"]["X-Promised"] = {"required": True, "schema": {"type": "string"}}


def _promised_member(operation: dict[str, Any]) -> None:
    content = operation["responses"]["200"]["content"]["application/json"]
    content["schema"] = {"allOf": [content["schema"], {"required": ["promised"]}]}


def _no_refusals(operation: dict[str, Any]) -> None:
    del operation["responses"]["400"]


def _other_success(operation: dict[str, Any]) -> None:
    operation["responses"]["202"] = operation["responses"].pop("201")


DEVIATIONS = [
    Deviation("answers with a member that isn't documented", "getTenant", answered=_member("secret", 1)),
    Deviation("leaves a member out", "getTenant", answered=_in_success(lambda body: body.pop("slug"))),
    Deviation("answers with another type", "getTenant", answered=_member("sandbox", "yes")),
    Deviation("answers with an unknown value of an enumeration", "createParty", answered=_member("kind", "robot")),
    Deviation("answers with something that is no date", "getClock", answered=_member("now", "yesterday")),
    Deviation("answers with an id of another form", "createParty", answered=_member("id", "42")),
    Deviation("answers with an undocumented status", "getTenant", answered=_status(200, 206)),
    Deviation("fails where it should refuse", "listParties", answered=_status(400, 500)),
    Deviation("answers with another content type", "getTenant", answered=_content_type),
    Deviation("leaves the request id out", "getTenant", answered=_without_header(b"x-request-id")),
    Deviation("leaves the entity tag out", "createParty", answered=_without_header(b"etag")),
    Deviation("leaves Allow out", "getTenant", answered=_without_header(b"allow")),
    Deviation("refuses with an undocumented code", "listParties", answered=_code),
    Deviation("overlooks parameters", "listParties", asked=_no_query),
    Deviation("lets everybody in", "getTenant", asked=_Token()),
    Deviation("doesn't ask for an idempotency key", "createJournalEntry", asked=_key_for_all),
    Deviation("refuses what is documented", "listParties", asked=_refuses_large_pages),
    Deviation("is documented with a lower maximum", "listParties", documented=_lower_maximum),
    Deviation("is documented with other values", "listParties", documented=_wider_kind),
    Deviation("is documented with a parameter that it lacks", "listParties", documented=_unknown_parameter),
    Deviation("is documented with a header that it lacks", "getTenant", documented=_promised_header),
    Deviation("is documented with a member that it lacks", "getTenant", documented=_promised_member),
    Deviation("is documented without its refusals", "listParties", documented=_no_refusals),
    Deviation("is documented with another success", "createParty", documented=_other_success),
]
"""What the contract tests must notice."""
