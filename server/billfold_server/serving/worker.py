"""A process that serves: ``python -m billfold_server.serving.worker CHANNEL LISTENER...``.

It is started by a parent, which hands it open descriptors: its end of a channel, the socket to listen on, and where
clients are asked for certificates a second one. On the channel come the settings, as one line; back goes one line when
it serves or can't. When the channel ends, the parent is gone, however it went: the worker then finishes what it has
begun and ends too. That needs no polling, and can't be fooled by a process number that was given out again.

It imports the application before it asks for the settings, so that a parent may start it while it still prepares the
database.
"""

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import uvicorn

if __name__ == "__main__":
    # What is loaded now stays, and each look for garbage would go through it; ``Server.settle`` says how it goes on.
    gc.disable()

from billfold_server.app import build_app
from billfold_server.db.embedded import EmbeddedPostgres
from billfold_server.http.logs import configure_logs
from billfold_server.http.protocol import BoundedProtocol
from billfold_server.http.shares import ROOM as SHARES
from billfold_server.http.shares import Shares
from billfold_server.serving.ending import EndingServer
from billfold_server.serving.explaining import explain
from billfold_server.serving.failures import Exit
from billfold_server.serving.files import insist_on_keyring
from billfold_server.serving.instance import is_last_worker, join_workers
from billfold_server.serving.orders import Orders, Report, read_orders, report_failure, settings_of, take_sockets
from billfold_server.serving.pulse import beating
from billfold_server.serving.tls.asking import AskingContext, AskingProtocol
from billfold_server.serving.tls.contexts import asking_context, following_context, kept_side

if TYPE_CHECKING:
    from billfold_server.settings import Settings

__all__ = ["GARBAGE", "Server", "main", "server_config"]

_log = logging.getLogger("billfold.worker")

GARBAGE: Final = (10_000, 50, 50)

_SWITCH_S: Final = 0.0005
"""After how long a thread that waits for the interpreter is let in.

Signatures are made in a thread beside the event loop, and each needs the interpreter again when it is done. By Python's
own five milliseconds a batch of sixteen waits longer than it works; the same holds for the event loop, while a thread
makes a long file.
"""

KEEP_ALIVE_S = 75
"""Longer than proxies keep their idle connections (nginx: 60), so that none sends a request into one we just closed."""


HANDSHAKE_S = 20.0
"""How long a TLS handshake may take, which is as long as a request's head may (``protocol.HEAD_PATIENCE_S``)."""

CLOSING_S = 5.0
"""How long a client may take to say that it has heard the end of a TLS connection."""


class Server(EndingServer):
    """A worker's server: two ports, and the garbage collector out of its way.

    Args:
        config: How uvicorn serves.
        plain: The side of TLS on the first port, where it speaks TLS.
        asking: The one on the second port, where there is one.
        leave: Lets go of requests that only wait for something to happen, once the server is to end.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        plain: ssl.SSLContext | None = None,
        asking: AskingContext | None = None,
        *,
        leave: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(config)
        self._leave = leave
        self.serving = asyncio.Event()
        self._contexts = (plain, asking)

    def drain(self) -> None:
        """End as every server does, and don't wait for those who may as well wait at the next one."""
        super().drain()
        self._leave()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and let it be known."""
        await super().startup([])
        for listener, context in zip(sockets or [], self._contexts, strict=False):
            await self._listen(listener, context)
        self.settle()
        self.serving.set()

    def settle(self) -> None:
        """Let the garbage collector leave alone what has been loaded, which stays.

        And nearly all that a request leaves behind goes by itself: looking after every 700 objects finds little, and
        costs a tenth of it.
        """
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GARBAGE)
        gc.enable()

    async def _listen(self, listener: socket.socket, context: ssl.SSLContext | None) -> None:
        """Take the connections of one socket."""
        kind = AskingProtocol if isinstance(context, AskingContext) else BoundedProtocol
        loop = asyncio.get_running_loop()

        def protocol() -> BoundedProtocol:
            return kind(config=self.config, server_state=self.server_state, app_state=self.lifespan.state, _loop=loop)

        server = await loop.create_server(
            protocol,
            sock=listener,
            ssl=context,
            backlog=self.config.backlog,
            ssl_handshake_timeout=None if context is None else HANDSHAKE_S,
            ssl_shutdown_timeout=None if context is None else CLOSING_S,
        )
        self.servers.append(server)


class Config(uvicorn.Config):
    """How uvicorn serves an application.

    Attributes:
        shares: What its connections ask for places, where they need any.
    """

    shares: Shares | None = None


def server_config(app: Any, settings: "Settings", shares: Shares | None = None) -> Config:
    """Return how uvicorn serves an application."""
    config = Config(
        app,
        loop="uvloop",
        http=BoundedProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        # The edge decides whose forwarded headers count.
        proxy_headers=False,
        server_header=False,
        backlog=2048,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=settings.shutdown_timeout_s,
    )
    config.shares = shares
    return config


class Worker:
    """One worker's life."""

    def __init__(self, listeners: Sequence[socket.socket], channel: socket.socket, orders: Orders) -> None:
        self._listeners = list(listeners)
        self._channel = channel
        self._orders = orders
        self._settings = settings_of(orders)
        self._orphaned = False

    def run(self) -> None:
        """Serve until told to end."""
        place = join_workers(Path(self._settings.data_dir))
        server = self._server()
        with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
            runner.run(self._serve(server))
        if self._orphaned and self._orders.owns_database and is_last_worker(place):
            # Nobody else would stop it: the parent is dead, and a next one may never come. If one has come already, it
            # uses the database, which is then left alone.
            EmbeddedPostgres(Path(self._settings.data_dir)).stop()

    def _server(self) -> Server:
        settings = self._settings
        insist_on_keyring(settings)
        app = build_app(settings)
        rooms = app.state.services.rooms
        config = server_config(app, settings, rooms[SHARES])
        leave = rooms["event waiting"].end
        if settings.tls_certificate is None:
            return Server(config, leave=leave)
        kept = rooms["rotation"].keep(kept_side(settings))
        return Server(config, following_context(kept), asking_context(kept), leave=leave)

    async def _serve(self, server: Server) -> None:
        watching = asyncio.create_task(self._watch(server))
        try:
            await server.serve(sockets=self._listeners)
        finally:
            watching.cancel()

    async def _watch(self, server: Server) -> None:
        """Say when requests are served, and drain when the parent is gone."""
        reader, writer = await asyncio.open_connection(sock=self._channel)
        await server.serving.wait()
        writer.write(msgspec.json.encode(Report()) + b"\n")

        async def send(said: bytes) -> None:
            writer.write(said)
            await writer.drain()

        async with beating(send, self._settings.hung_timeout_s):
            # Nothing more is said after the orders, so what comes is the end.
            with contextlib.suppress(ConnectionError):
                await reader.read()
        _log.warning("the parent process is gone; finishing what is under way")
        self._orphaned = True
        server.drain()


def main() -> None:
    """Take the parent's orders and serve."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    sys.setswitchinterval(_SWITCH_S)
    channel, *listeners = take_sockets()
    try:
        orders = read_orders(channel)
        if orders is None:
            return
        worker = Worker(listeners, channel, orders)
        configure_logs(settings_of(orders))
        # What it says of its start and end is said by the parent, once for all workers.
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
        worker.run()
    except Exception as error:  # noqa: BLE001 - The last place where the parent can be told.
        failure = explain(error)
        report_failure(channel, failure)
        if failure.exit_code is Exit.INTERNAL:
            _log.exception("a worker ended by a mistake")
        sys.exit(failure.exit_code)


if __name__ == "__main__":
    main()
