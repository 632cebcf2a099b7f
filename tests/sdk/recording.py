"""Transports that answer from a list and note what they were asked, for both modes."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from billfold import AsyncBillfold, Billfold, Request, Response, errors

Answer = Response | BaseException | Callable[[Request], Response]

TOKEN = b'{"access_token":"at-%d","token_type":"Bearer","expires_in":600,"scope":"x"}'
CREDENTIALS: dict[str, Any] = {
    "base_url": "http://127.0.0.1:1/t/sandbox",
    "client_id": "cli_1",
    "client_secret": "s-e-c-r-e-t",
}


class Recorder:
    """Answers requests in order; the last answer is for all that follow.

    Attributes:
        requests: Everything that was asked but for tokens: method, address, headers and body.
        tokens: The token requests.
    """

    def __init__(self, answers: Iterable[Answer]) -> None:
        self.requests: list[tuple[str, str, dict[str, str], bytes | None]] = []
        self.tokens: list[tuple[str, str, dict[str, str], bytes | None]] = []
        self.closed = 0
        self._answers = list(answers)

    def answer(self, request: Request) -> Response:
        """Return or raise the next answer."""
        noted = (request.method, request.url, dict(request.headers), request.body)
        if request.url.endswith("/oauth/token"):
            self.tokens.append(noted)
            return Response(200, {}, TOKEN % len(self.tokens))
        self.requests.append(noted)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer if isinstance(answer, Response) else answer(request)


class Recording(Recorder):
    """The synchronous transport."""

    def send(self, request: Request) -> Response:
        """Answer a request."""
        return self.answer(request)

    def close(self) -> None:
        """Note that it was closed."""
        self.closed += 1


class AsyncRecording(Recorder):
    """The asynchronous transport."""

    async def send(self, request: Request) -> Response:
        """Answer a request, after others have had their turn."""
        await asyncio.sleep(0)
        return self.answer(request)

    async def aclose(self) -> None:
        """Note that it was closed."""
        self.closed += 1


def ok(body: bytes, status: int = 200) -> Response:
    """Return a success."""
    return Response(status, {"content-type": "application/json"}, body)


def client(*answers: Answer, **options: Any) -> tuple[Billfold, Recording]:
    """Return a synchronous client with the transport that it uses."""
    transport = Recording(answers or [errors.ConnectionFailed("nothing was to be asked")])
    return Billfold(**{**CREDENTIALS, "transport": transport, **options}), transport


def async_client(*answers: Answer, **options: Any) -> tuple[AsyncBillfold, AsyncRecording]:
    """Return an asynchronous client with the transport that it uses."""
    transport = AsyncRecording(answers or [errors.ConnectionFailed("nothing was to be asked")])
    return AsyncBillfold(**{**CREDENTIALS, "transport": transport, **options}), transport
