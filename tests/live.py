"""A server for tests: real uvicorn on loopback, real PostgreSQL, an authenticated client.

``live`` starts the application in a thread of the test's process, so that a test can look inside; what a test does over
HTTP goes through sockets, parsers and the whole application all the same.
"""

import asyncio
import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import httpx
import msgspec
import uvicorn
import uvloop

from billfold_server.app import build_app, database_secret
from billfold_server.http.logs import leave_logs_to_the_program
from billfold_server.http.protocol import BoundedProtocol
from billfold_server.http.services import Services
from billfold_server.http.shares import ROOM as SHARES
from billfold_server.identity.rules import PLATFORM_SCOPES, TENANT_SCOPES
from billfold_server.identity.service import create_client
from billfold_server.keys.service import open_keyring, prepare_store
from billfold_server.payments import service as payments
from billfold_server.serving.on_demand import OnDemand
from billfold_server.serving.supervisor import SIMULATOR
from billfold_server.serving.tls.contexts import asking_context, following_context, kept_side
from billfold_server.serving.tls.setting_up import with_certificates
from billfold_server.serving.worker import KEEP_ALIVE_S, Config, Server, server_config
from billfold_server.settings import Secret, Settings
from billfold_server.tenancy.manifest import Manifest
from billfold_server.tenancy.provisioning import Administrator

__all__ = ["Credentials", "LiveServer", "SharingServer", "serve", "serve_tls"]


_TOKEN_S = 300.0
"""After half of a token's life there is a new one."""


class Credentials(msgspec.Struct):
    """By what a client gets its tokens."""

    client_id: str
    secret: str


class LiveServer:
    """A server that is up.

    Attributes:
        url: Its base URL.
        services: Its parts, which live in its own thread's event loop.
        settings: Its settings.
        app: The application.
        outermost: What was put around it, or the application itself.
        mtls_url: Its base URL for clients that show a certificate, where it speaks TLS.
        trust: By what a client knows it, for ``httpx``'s ``verify``.
    """

    mtls_url: str | None = None
    trust: ssl.SSLContext | bool = True

    def __init__(
        self, app: Any, url: str, settings: Settings, loop: asyncio.AbstractEventLoop, outermost: Any = None
    ) -> None:
        self.app = app
        self.outermost = app if outermost is None else outermost
        self.url = url
        self.settings = settings
        self.services: Services = app.state.services
        self._loop = loop

    def run(self, work: Any) -> Any:
        """Run a coroutine in the server's own event loop."""
        return self.begin(work).result(60)

    def begin(self, work: Any) -> "Future[Any]":
        """Begin a coroutine in the server's own event loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def add_tenant(self, manifest: Manifest) -> None:
        """Provision a tenant."""
        self.run(self.services.tenants.apply(manifest))

    def add_client(self, slug: str | None, scopes: Sequence[str] | None = None) -> Credentials:
        """Register an API client of a tenant, or (None) of the platform, with all scopes unless some are named."""

        async def create() -> Credentials:
            services, platform = self.services, slug is None
            scopes_ = scopes if scopes is not None else list(PLATFORM_SCOPES if platform else TENANT_SCOPES)
            scope = (
                services.database.platform_tx()
                if slug is None
                else services.database.tx(await services.registry.get(slug))
            )
            async with scope as tx:
                client, secret = await create_client(
                    tx, services.keyring, name="test", scopes=scopes_, now=services.clock.now(), platform=platform
                )
            return Credentials(client.client_id, secret)

        credentials = self.run(create())
        assert isinstance(credentials, Credentials)
        return credentials

    def base(self, slug: str | None) -> str:
        """Return the base URL of a tenant, or (None) of the platform."""
        return f"{self.url}/platform" if slug is None else f"{self.url}/t/{slug}"

    def token(self, slug: str | None, credentials: Credentials, scope: str | None = None) -> str:
        """Return an access token."""
        form = {"grant_type": "client_credentials"} | ({} if scope is None else {"scope": scope})
        answer = httpx.post(
            f"{self.base(slug)}/oauth/token",
            data=form,
            auth=(credentials.client_id, credentials.secret),
            verify=self.trust,
        )
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    def client(self, slug: str | None, scopes: Sequence[str] | None = None) -> httpx.Client:
        """Return an HTTP client that is authenticated at a tenant, with relative addresses below its base."""
        return self.client_of(slug, self.add_client(slug, scopes))

    def client_of(self, slug: str | None, credentials: Credentials) -> httpx.Client:
        """Return an HTTP client that is authenticated as an API client, for longer than a token lives."""
        renewed_at = time.monotonic()

        def renew(request: httpx.Request) -> None:
            nonlocal renewed_at
            mine = request.headers.get("Authorization") == client.headers["Authorization"]
            if mine and time.monotonic() - renewed_at > _TOKEN_S:
                renewed_at = time.monotonic()
                client.headers["Authorization"] = f"Bearer {self.token(slug, credentials)}"
                request.headers["Authorization"] = client.headers["Authorization"]

        headers = {"Authorization": f"Bearer {self.token(slug, credentials)}"}
        hooks = {"request": [renew]}
        client = httpx.Client(
            base_url=self.base(slug), headers=headers, timeout=30, verify=self.trust, event_hooks=hooks
        )
        return client


def settings_for(folder: Path, admin_dsn: str, **changes: Any) -> Settings:
    """Return settings with a keyring of its own and a database that is set up for them."""
    settings = Settings(
        data_dir=str(folder), admin_database_url=Secret(admin_dsn), port=0, log_level="warning", **changes
    )

    async def bootstrap() -> tuple[Secret, Secret]:
        keyring = open_keyring(settings)
        ready = await Administrator(admin_dsn, deployment_secret=database_secret(keyring)).bootstrap()
        # In the same database, as production refuses it to be, so that it goes when that goes.
        return Secret(ready.runtime_dsn), Secret(await prepare_store(admin_dsn, keyring))

    database_url, key_store_url = asyncio.run(bootstrap())
    return msgspec.structs.replace(settings, database_url=database_url, key_store_url=key_store_url)


class SharingServer(Server):
    """A worker's server in a process that has other things to do."""

    def settle(self) -> None:
        """Leave the garbage collector as it is."""


@contextlib.contextmanager
def serve_tls(settings: Settings) -> Iterator[LiveServer]:
    """Serve the application by HTTPS until the block ends, with certificates for development and both ports.

    Args:
        settings: As ``settings_for`` makes them.
    """
    leave_logs_to_the_program()
    with contextlib.ExitStack() as stack:
        plain, asking = (stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2))
        port, mtls_port = (each.getsockname()[1] for each in (plain, asking))
        asked = msgspec.structs.replace(settings, tls=True, port=port, mtls_port=mtls_port)
        settings, files = with_certificates(asked)
        assert files is not None, "certificates for development were asked for"
        app = build_app(settings)
        kept = app.state.services.rooms["rotation"].keep(kept_side(settings))
        config = server_config(app, settings, app.state.services.rooms[SHARES])
        server = SharingServer(config, following_context(kept), asking_context(kept))
        for live in _run(server, app, [plain, asking], settings.base_url, settings):
            live.mtls_url = settings.mtls_base_url
            live.trust = ssl.create_default_context(cafile=files.ca_file)
            yield live


@contextlib.contextmanager
def serve(settings: Settings, *, wrap: Any = None) -> Iterator[LiveServer]:
    """Serve an application until the block ends.

    Args:
        settings: As ``settings_for`` makes them.
        wrap: Puts another ASGI application around it.
    """
    # What is served in the test's own process must not print between the lines of what the test looks at.
    leave_logs_to_the_program()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        app = build_app(msgspec.structs.replace(settings, public_url=settings.public_url or url))
        yield from _serve(app, app if wrap is None else wrap(app), listener, url, settings)


def _serve(app: Any, outermost: Any, listener: socket.socket, url: str, settings: Settings) -> Iterator[LiveServer]:
    config = Config(
        outermost,
        log_config=None,
        access_log=False,
        loop="uvloop",
        http=BoundedProtocol,
        ws="none",
        proxy_headers=False,
        # A server that ends connections as soon as clients do meets a request that is just on its way.
        timeout_keep_alive=KEEP_ALIVE_S,
    )
    config.shares = app.state.services.rooms[SHARES]
    yield from _run(uvicorn.Server(config), app, [listener], url, settings, outermost=outermost)


def _run(
    server: uvicorn.Server,
    app: Any,
    listeners: list[socket.socket],
    url: str,
    settings: Settings,
    *,
    outermost: Any = None,
) -> Iterator[LiveServer]:
    config = server.config
    loops: list[asyncio.AbstractEventLoop] = []
    started = threading.Event()

    async def run() -> None:
        loops.append(asyncio.get_running_loop())
        config.load()
        server.lifespan = config.lifespan_class(config)
        await server.startup(sockets=listeners)
        started.set()
        await server.main_loop()
        await server.shutdown(sockets=listeners)

    decryptor = OnDemand(settings)
    app.state.services.decryptor.client.wake = decryptor.wake
    simulator = OnDemand(settings, SIMULATOR)
    if (rail := app.state.services.rooms[payments.ROOM].simulated) is not None:
        rail.wake = simulator.wake
    thread = threading.Thread(target=lambda: uvloop.new_event_loop().run_until_complete(run()), daemon=True)
    thread.start()
    assert started.wait(60), "the server didn't start"
    try:
        yield LiveServer(app, url, settings, loops[0], outermost)
    finally:
        server.should_exit = True
        thread.join(60)
        decryptor.stop()
        simulator.stop()
