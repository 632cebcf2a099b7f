"""Finished HTTP answers."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from billfold import errors
from billfold_server.http import problems

if TYPE_CHECKING:
    from litestar.types import Receive, Scope, Send

__all__ = ["Answer", "Header", "on_the_wire", "problem_answer"]

_NO_CONTENT: Final = 204

Header = tuple[bytes, bytes]
"""A header as it goes over the wire: its name in lower case, and its value."""


class Answer:
    """A finished HTTP answer; an ASGI application that sends itself.

    Args:
        status: The HTTP status.
        body: The body, to the byte.
        headers: Its headers, but for its length.
    """

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, body: bytes, headers: list[Header]) -> None:
        self.status = status
        self.body = body
        self.headers = headers
        # No Content has no length either (RFC 9110, section 8.6).
        if status != _NO_CONTENT:
            headers.append((b"content-length", b"%d" % len(body)))

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:  # noqa: ARG002 - as ASGI calls it
        """Send the answer."""
        start: Any = {"type": "http.response.start", "status": self.status, "headers": self.headers}
        await send(start)
        await send({"type": "http.response.body", "body": self.body, "more_body": False})


def problem_answer(error: errors.ProblemError, request_id: str) -> Answer:
    """Return the answer that an error makes."""
    headers = {"Content-Type": problems.MEDIA_TYPE, "Cache-Control": "no-store", **problems.problem_headers(error)}
    return Answer(problems.status_of(type(error)), problems.encode_problem(error, request_id), on_the_wire(headers))


def on_the_wire(headers: Mapping[str, str]) -> list[Header]:
    """Return headers as they go over the wire."""
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
