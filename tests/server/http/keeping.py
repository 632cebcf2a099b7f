"""An application that keeps what it is sent, served by the protocol, and requests to send it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from billfold_server.http.protocol import BoundedProtocol
from billfold_server.http.receiving import exchange_of

__all__ = ["ANSWER", "POST", "REFUSAL", "START", "UPGRADE", "Keeping", "send", "serving"]

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
REFUSAL = rb"HTTP/1\.1 400 Bad Request\r\n(?:[^\r]+\r\n)*connection: close\r\n(?:[^\r]+\r\n)*\r\n"
START = b"GET /health/live HTTP/1.1\r\nHost: here\r\n"
POST = b"POST /t/alpha/v1/parties HTTP/1.1\r\nHost: here\r\n"
UPGRADE = b"Connection: upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"


@contextlib.asynccontextmanager
async def serving(app: Any, **options: Any) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Serve an application by the protocol, in this event loop, and connect to it."""
    config = uvicorn.Config(app, http=BoundedProtocol, lifespan="off", log_config=None, ws="none", **options)
    config.load()
    state = ServerState()
    server = await asyncio.get_running_loop().create_server(lambda: BoundedProtocol(config, state, {}), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        yield reader, writer
    finally:
        writer.close()
        server.close()
        await server.wait_closed()


async def send(writer: asyncio.StreamWriter, came: bytes, pieces: int) -> None:
    """Send something in as many pieces."""
    size = -(-len(came) // pieces)
    for place in range(0, len(came), size):
        writer.write(came[place : place + size])
        await writer.drain()
        await asyncio.sleep(0.001)


class Keeping:
    """An application that takes in what it is sent, and answers once it may.

    Attributes:
        asked: Which messages each request received, in the order of the requests.
        headers: Their headers.
        bodies: Their bodies, as far as they have come.
        begun: Set when the first request begins.
        may_answer: Set by who lets it answer.
        answered: Set when a request is over.
    """

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.headers: list[list[tuple[bytes, bytes]]] = []
        self.bodies: list[bytes] = []
        self.begun, self.may_answer, self.answered = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Receive a request, and answer it."""
        messages: list[str] = []
        self.asked.append(messages)
        self.headers.append(scope["headers"])
        self.bodies.append(b"")
        self.begun.set()
        more = True
        while more:
            message = await receive()
            messages.append(message["type"])
            self.bodies[-1] += message.get("body", b"")
            more = message.get("more_body", False)
        await self.may_answer.wait()
        exchange = exchange_of(receive, send)
        assert exchange is not None
        assert exchange.answer(200, [(b"content-length", b"2")], b"ok")
        self.answered.set()
