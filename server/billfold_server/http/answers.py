"""Finished HTTP answers."""

from collections.abc import Mapping

from litestar.types import Receive, Scope, Send

from billfold import errors
from billfold_server.http import problems

__all__ = ["Answer", "problem_answer"]

_NO_CONTENT = 204


class Answer:
    """A finished HTTP answer; an ASGI application that sends itself."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.status = status
        self.body = body
        self.headers = headers

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Send the answer."""
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in self.headers.items()]
        # No Content has no length either (RFC 9110, section 8.6).
        if self.status != _NO_CONTENT:
            headers.append((b"content-length", str(len(self.body)).encode()))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})


def problem_answer(error: errors.ProblemError, request_id: str) -> Answer:
    """Return the answer that an error makes."""
    headers = {"Content-Type": problems.MEDIA_TYPE, "Cache-Control": "no-store", **problems.problem_headers(error)}
    return Answer(problems.status_of(type(error)), problems.encode_problem(error, request_id), headers)
