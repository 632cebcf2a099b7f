"""A TLS server in a thread: both ports as a worker opens them, and an application that tells what it sees."""

import asyncio
import base64
import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import uvloop
from cryptography import x509

from billfold_server.http.certificates import EXTENSION, Shown
from billfold_server.http.rotation import Kept
from billfold_server.serving.tls.contexts import ServerSide, asking_context, following_context, kept_side
from billfold_server.serving.worker import server_config
from billfold_server.settings import Settings
from tests.live import SharingServer
from tests.server.certificates import SERVER, Pair, authority, client_side, issue

TRUSTED = authority("Server's authority")


def server_pair(**options: Any) -> Pair:
    """Return a certificate for this machine's server."""
    names = [x509.DNSName("localhost")]
    return issue("localhost", TRUSTED, purposes=[SERVER], names=names, **options)


class Probe:
    """A server that is up.

    Attributes:
        port: Where nobody is asked for a certificate.
        asking_port: Where everybody is.
        folder: Where its files are.
        kept: What it shows.
        asked: How many requests have come to the application.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "trusted.pem").write_bytes(TRUSTED.pem())
        self.settings = self.write(server_pair())
        self.kept: Kept[ServerSide] = kept_side(self.settings)
        self.port = self.asking_port = 0
        self.asked = 0

    def write(self, pair: Pair) -> Settings:
        """Put a certificate and its key where the server's are, and return settings that name them."""
        certificate, key = pair.write(self.folder, "server")
        return Settings(tls_certificate=certificate, tls_key=key, mtls_port=0, data_dir=str(self.folder))

    def trusting(self, shown: Pair | None = None) -> ssl.SSLContext:
        """Return a client's side of TLS."""
        files = None if shown is None else shown.write(self.folder, "client")
        return client_side(str(self.folder / "trusted.pem"), files)

    def client(self, shown: Pair | None = None, *, asking: bool = True, **options: Any) -> httpx.Client:
        """Return an HTTP client at one of the ports."""
        port = "asking" if asking else "plain"
        return httpx.Client(
            base_url=f"https://localhost:{self.port_of(port)}", verify=self.trusting(shown), timeout=20, **options
        )

    def port_of(self, which: str) -> int:
        """Return the port that asks, or the plain one."""
        return {"asking": self.asking_port, "plain": self.port}[which]

    async def application(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer with what the scope says, or with so many bytes as the path asks for."""
        if scope["type"] == "lifespan":
            for kind in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{kind}.complete"})
            return
        self.asked += 1
        length, more = 0, True
        while more:
            message = await receive()
            length += len(message.get("body", b""))
            more = message.get("more_body", False)
        extensions = scope.get("extensions") or {}
        shown = extensions.get(EXTENSION)
        seen = {
            "asked": EXTENSION in extensions,
            "certificate": base64.b64encode(shown.certificate).decode() if isinstance(shown, Shown) else None,
            "chain": len(shown.chain) if isinstance(shown, Shown) else 0,
            "scheme": scope["scheme"],
            "received": length,
        }
        asked_for = scope["path"].removeprefix("/bytes/")
        body = bytes(int(asked_for)) if asked_for.isdigit() else json.dumps(seen).encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    @contextlib.contextmanager
    def serve(self) -> Iterator["Probe"]:
        """Serve until the block ends."""

        async def application(scope: Any, receive: Any, send: Any) -> None:
            await self.application(scope, receive, send)

        config = server_config(application, self.settings)
        server = SharingServer(config, following_context(self.kept), asking_context(self.kept))
        sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        self.port, self.asking_port = (each.getsockname()[1] for each in sockets)
        started = threading.Event()

        async def run() -> None:
            config.load()
            server.lifespan = config.lifespan_class(config)
            await server.startup(sockets)
            started.set()
            await server.main_loop()
            await server.shutdown(sockets)

        def live() -> None:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(run())

        thread = threading.Thread(target=live, daemon=True)
        thread.start()
        assert started.wait(20), "the server didn't start"
        try:
            yield self
        finally:
            server.should_exit = True
            thread.join(20)
