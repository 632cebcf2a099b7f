"""A process that serves transfers without a ledger behind them: ``python -m tests.benchmarks.edging CASE DESCRIPTOR``.

What it costs is what HTTP costs. Settings come on standard input, as one line. The cases:

- ``uvicorn``: its own protocol, and an application that has its answer ready
- ``protocol``: ours, and the same
- ``edge``: everything but the ledger, whose answers are ready, for all that was asked in one turn of the event loop
- ``router``: the same, with the router instead of the edge for hot operations
- ``logged``: ``edge`` with a log line for each request
"""

import asyncio
import contextlib
import os
import socket
import sys
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from billfold_server.app import build_app
from billfold_server.http.edge import Edge
from billfold_server.http.logs import configure_logs
from billfold_server.http.pipeline import Hot
from billfold_server.http.receiving import exchange_of
from billfold_server.http.shares import ROOM as SHARES
from billfold_server.ledger.service import Answer
from billfold_server.serving.orders import Orders, settings_of
from billfold_server.serving.worker import Server, server_config
from billfold_server.settings import Settings

__all__ = ["CASES", "TRANSFER", "Ready"]

CASES = ("uvicorn", "protocol", "router", "edge", "logged")
TRANSFER = (Path(__file__).parents[1] / "sdk" / "wire" / "0.1" / "Transfer.json").read_bytes().strip()
_HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(TRANSFER)).encode())]


class Ready:
    """Stands where the ledger's engine does, and has every answer ready."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[Answer]] = []

    async def submit(self, *_: Any, **__: Any) -> Answer:
        """Answer at the end of the turn, with all others who asked in it."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._settle)
        future: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append(future)
        return await future

    def _settle(self) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.set_result(Answer(status=201, body=TRANSFER))

    async def close(self) -> None:
        """Close nothing."""


async def _ready(_scope: Any, receive: Any, send: Any) -> None:
    """Answer with the same bytes, in the way that costs least."""
    exchange = exchange_of(receive, send)
    if exchange is not None and exchange.body_at_hand() is not None and exchange.answer(201, _HEADERS, TRANSFER):
        return
    await receive()
    await send({"type": "http.response.start", "status": 201, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": TRANSFER})


def _config(case: str, settings: Settings) -> uvicorn.Config:
    if case in {"uvicorn", "protocol"}:
        config = server_config(_ready, settings)
        config.lifespan = "off"
        if case == "uvicorn":
            config.http = HttpToolsProtocol
        return config
    app: Any = build_app(settings)
    app.state.services.engine = Ready()
    if case == "router":
        app.asgi_handler = Edge(app.asgi_handler.router, app.state.services, Hot([]))
    return server_config(app, settings, app.state.services.rooms[SHARES])


def main() -> None:
    """Serve until the process is ended."""
    case, descriptor = sys.argv[1], int(sys.argv[2])
    settings = settings_of(msgspec.json.decode(sys.stdin.readline(), type=Orders))
    if case == "logged":
        settings = msgspec.structs.replace(settings, access_log="all", log_level="info", log_format="json")
    # Lines are written, but nobody need read them.
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, contextlib.redirect_stderr(nowhere):
        configure_logs(settings)
        server = Server(_config(case, settings))
        with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
            runner.run(server.serve(sockets=[socket.socket(fileno=descriptor)]))


if __name__ == "__main__":
    main()
