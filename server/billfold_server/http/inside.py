"""A request that the server makes of itself, on the very way that requests from outside take.

It enters at the edge, as if it had come over the wire: tenant, token, limits, idempotency, audit and logs are what they
always are, and no check knows that it is from inside. Only two things are told instead of found out: under which id it
is known, and from which address whoever causes it has come. They stand in the connection's scope, which no request can
reach.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import msgspec
from litestar.types import ASGIApp

from billfold_server.http.context import trace_headers

__all__ = ["ROOM", "Answered", "Inside", "Origin", "origin_in"]

ROOM: Final = "inside"
"""Under which name ``build_app`` keeps the way in, in ``Services.rooms``."""

_KEY: Final = "billfold.inside"


class Origin(msgspec.Struct, frozen=True):
    """From where a request of the server's own comes.

    Attributes:
        request_id: Under which id logs and audit know it.
        peer: The address of whoever has caused it.
    """

    request_id: str
    peer: str


class Answered(msgspec.Struct, frozen=True):
    """What came back.

    Attributes:
        status: The HTTP status.
        headers: By lower-case name; of two with one name the last.
        body: Whole.
    """

    status: int
    headers: dict[str, str]
    body: bytes


def origin_in(scope: Mapping[str, Any]) -> Origin | None:
    """Return from where a request of the server's own comes; None where it came over the wire."""
    origin = scope.get(_KEY)
    return origin if isinstance(origin, Origin) else None


class Inside:
    """The way in.

    Args:
        app: The application, to which requests from outside come.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._running: set[asyncio.Task[None]] = set()

    async def ask(
        self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes, *, origin: Origin
    ) -> Answered:
        """Make a request and return the answer.

        Args:
            method: Its method.
            path: The whole path, decoded.
            query: The query string, encoded.
            headers: Its headers by lower-case name.
            body: Its body.
            origin: From where it comes.
        """
        said = {**trace_headers(), **headers}
        scope: Any = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": quote(path).encode(),
            "root_path": "",
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in said.items()],
            "client": None,
            "server": None,
            "state": {},
            _KEY: origin,
        }
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        async def run() -> None:
            await self._app(scope, receive, send)

        # In a task of its own: logs of the request that waits here keep their own id, and where nobody waits any more
        # it is carried out nevertheless, as when somebody hangs up.
        task = asyncio.create_task(run())
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        await asyncio.shield(task)
        start = sent[0]
        return Answered(
            start["status"],
            {name.decode("latin-1"): value.decode("latin-1") for name, value in start["headers"]},
            b"".join(message.get("body", b"") for message in sent[1:]),
        )
