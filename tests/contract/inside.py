"""The server's application, called inside this process: without sockets, and in the event loop that it lives in."""

import asyncio
from typing import Any

from tests.live import LiveServer

__all__ = ["Inside"]


class Inside:
    """An application that hands each request to a server's own, and its answer back.

    Whoever calls it has another event loop than the server, whose connections to the database belong to its own.

    Args:
        live: The server.
    """

    def __init__(self, live: LiveServer) -> None:
        self._live = live

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Handle one request; the server has begun already, and ends by itself."""
        if scope["type"] == "lifespan":
            for kind in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{kind}.complete"})
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        for message in await asyncio.wrap_future(self._live.begin(self._answered(scope, body))):
            await send(message)

    async def _answered(self, scope: Any, body: bytes) -> list[Any]:
        messages: list[Any] = []
        coming = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Any:
            return coming.pop() if coming else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            messages.append(message)

        await self._live.app({**scope, "client": ("127.0.0.1", 1)}, receive, send)
        return messages
