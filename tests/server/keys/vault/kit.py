"""What tests of the Vault backend have in common: backends that are logged in, and a Vault that is in a bad way."""

import asyncio
import contextlib
import secrets
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest

from billfold import errors
from billfold_server.keys.backends import TenantKey
from billfold_server.keys.backends.vault.answers import REASONS, Cause
from billfold_server.keys.backends.vault.backend import PATIENCE_S, VaultBackend, open_vault
from billfold_server.keys.backends.vault.policies import policies
from billfold_server.keys.rules import Domain
from billfold_server.settings import Settings
from tests.openbao import OpenBao

SEALING_KEY = b"k" * 32


def a_key(domain: Domain = "data") -> TenantKey:
    """Return the key of a new tenant."""
    return TenantKey(uuid4(), domain)


def set_up(openbao: OpenBao) -> None:
    """Write the policies that the product names."""
    for name, policy in policies("transit", "billfold").items():
        openbao.root.sys.create_or_update_policy(name, policy)


def approle(openbao: OpenBao, folder: Path, policy: str = "billfold-worker", **options: Any) -> dict[str, Any]:
    """Return settings that log in by an AppRole of its own."""
    set_up(openbao)
    role_id, secret_id = openbao.make_approle(f"role-{secrets.token_hex(4)}", [policy], **options)
    file = folder / f"secret-id-{secrets.token_hex(4)}"
    file.write_text(f"{secret_id}\n")
    return {"vault_login": "approle", "vault_role_id": role_id, "vault_secret_id_file": str(file)}


@asynccontextmanager
async def opened(
    openbao: OpenBao, folder: Path, *, domain: Domain = "data", address: str | None = None, **settings: Any
) -> AsyncIterator[VaultBackend]:
    """Open a backend until the block ends; without a login it gets an AppRole of least privilege.

    It waits for the tests' OpenBao for longer than the product does, and for what is at another address as long.
    """
    if "vault_login" not in settings:
        settings |= approle(openbao, folder)
    made = Settings(
        key_backend="vault", vault_address=address or openbao.url, data_dir=str(folder / "data"), **settings
    )
    backend = open_vault(made, domain, sealing_key=SEALING_KEY)
    if address is not None:
        backend._patience_s = PATIENCE_S
    try:
        yield backend
    finally:
        await backend.close()


async def works(backend: VaultBackend, domain: Domain = "data") -> None:
    """Take a key through its whole life, as far as a worker may."""
    key = a_key(domain)
    await backend.ensure(key)
    wrapped = await backend.wrap(key, b"p" * 32, b"epoch")
    assert await backend.unwrap(key, wrapped, b"epoch") == b"p" * 32


async def refused(call: Awaitable[object]) -> str:
    """Return why a call can't be answered; it is so within two seconds, and says nothing that is nobody's business."""
    loop, held_up_s = asyncio.get_running_loop(), 0.0

    async def watch() -> None:
        nonlocal held_up_s
        while True:
            before = loop.time()
            await asyncio.sleep(0.01)
            held_up_s += loop.time() - before - 0.01

    watching, began = asyncio.create_task(watch()), loop.time()
    with pytest.raises(errors.KeysUnavailable) as caught:
        await call
    error, took_s = caught.value, loop.time() - began
    # What this process itself wasn't given the processor for is nobody's fault.
    await asyncio.sleep(0)
    watching.cancel()
    assert took_s - held_up_s < 2
    assert (error.retry_after_s or 0) >= 1
    assert (error.__cause__, error.__context__) == (None, None)
    assert "http" not in f"{error!r}{error.facts}"
    return str(error.reason)


async def cause(backend: VaultBackend) -> str:
    """Return why a backend can't make a key, as it tells those who look after it."""
    told: list[str] = []

    def observe(operation: str, outcome: str, took_s: float) -> None:
        del took_s
        told.extend([outcome] if operation == "ensure" else [])

    backend._observe = observe
    reason = await refused(backend.ensure(a_key()))
    found = told[0] if told else str(backend._breaker.cause)
    assert REASONS[cast("Cause", found)] == reason
    return found


async def until(done: Callable[[], Awaitable[bool]], *, within_s: float = 10.0) -> None:
    """Wait until it is so."""
    async with asyncio.timeout(within_s):
        while not await done():
            await asyncio.sleep(0.05)


async def recovers(backend: VaultBackend) -> None:
    """See that a backend works again by itself, soon."""

    async def answers() -> bool:
        with contextlib.suppress(errors.KeysUnavailable):
            await backend.versions(key)
            return True
        return False

    key = a_key()
    await until(lambda: _made(backend, key))
    await until(answers)


async def _made(backend: VaultBackend, key: TenantKey) -> bool:
    with contextlib.suppress(errors.KeysUnavailable):
        await backend.ensure(key)
        return True
    return False


class Proxy:
    """A way to Vault that can be slow, silent or cut, byte by byte the same otherwise.

    Attributes:
        delay_s: How long each piece of an answer is held up.
        cut: Whether connections are ended as soon as something comes through them.
        address: Where it listens.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._tasks: set[asyncio.Task[None]] = set()
        self.delay_s = 0.0
        self.cut = False
        self.address = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hand on one connection."""
        back, forth = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._hand_on(reader, forth, 0.0))
                group.create_task(self._hand_on(back, writer, None))
        except* (ConnectionError, OSError):
            pass
        finally:
            forth.close()
            writer.close()

    async def _hand_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: float | None) -> None:
        while piece := await reader.read(65_536):
            if self.cut:
                raise ConnectionResetError
            await asyncio.sleep(self.delay_s if delay_s is None else delay_s)
            writer.write(piece)
            await writer.drain()
        writer.close()


@asynccontextmanager
async def proxied(openbao: OpenBao) -> AsyncIterator[Proxy]:
    """Put a proxy before Vault until the block ends."""
    proxy = Proxy(int(openbao.url.rpartition(":")[2]))
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()


class Answering(ThreadingHTTPServer):
    """What answers every request the same, as what stands in for Vault may.

    Attributes:
        answer: Status, headers and body.
        drop_s: How long it waits before each byte of a body, where it sends them one by one.
        seen: The headers of every request.
    """

    daemon_threads = True
    drop_s: float | None = None
    answer: tuple[int, dict[str, str], bytes] = (200, {}, b"{}")

    def __init__(self) -> None:
        self.seen: list[dict[str, str]] = []
        super().__init__(("127.0.0.1", 0), _Answer)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Answer(BaseHTTPRequestHandler):
    server: Answering

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append(dict(self.headers))
        status, headers, body = self.server.answer
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.server.drop_s is None:
            self.wfile.write(body)
            return
        with contextlib.suppress(ConnectionError):
            for byte in body:
                time.sleep(self.server.drop_s)
                self.wfile.write(bytes([byte]))

    do_GET = do_POST  # noqa: N815 - The same.

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def answering() -> Iterator[Answering]:
    """Run one until the block ends."""
    with Answering() as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
