"""What HTTP costs a worker: microseconds of processor time for a transfer, without the ledger behind it.

Processor time, unlike rates, says something on a machine on which other things run as well; but these get in the way of
its caches. So the least of several rounds is the figure, and each case has its turn in each round.
"""

import socket
import statistics
import subprocess
import sys
import time
import timeit
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from billfold.ids import Prefix, new
from billfold_server.app import build_app
from billfold_server.http import context as contexts
from billfold_server.http import logs, reading
from billfold_server.http.edge import _Answering
from billfold_server.http.receiving import Exchange
from billfold_server.serving.orders import Orders, settings_sent
from billfold_server.settings import Settings
from tests.benchmarks.edging import CASES, TRANSFER
from tests.benchmarks.extent import Extent
from tests.benchmarks.ground import processor_s
from tests.benchmarks.loading import PROGRAM, Found, Group, Load
from tests.live import LiveServer
from tests.sandbox import live
from tests.server.upping import environment
from tests.tenants import manifest

__all__ = ["live"]

pytestmark = pytest.mark.timeout(0)

_WALLETS = ["wal_01m7w9tnzcejq9b78b81gh4nmw", "wal_01m7w9tnzcejq9b78b81gh4nmx"]
_CREATED = {201}
_TENANT = "bank"
_PATH = f"/t/{_TENANT}/v1/transfers"


class Serving:
    """A process of ``edging``."""

    def __init__(self, case: str, settings: Settings) -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
            self.port = listener.getsockname()[1]
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.benchmarks.edging", case, str(listener.fileno())],
                stdin=subprocess.PIPE,
                pass_fds=[listener.fileno()],
                env=environment(),
            )
        assert self._process.stdin is not None
        orders = Orders({**settings_sent(settings), "port": self.port}, owns_database=False)
        self._process.stdin.write(msgspec.json.encode(orders) + b"\n")
        self._process.stdin.close()

    def microseconds(self, token: str, extent: Extent) -> float:
        """Send load for a while, and return the processor time of one answer."""
        group = Group(base=f"/t/{_TENANT}", token=token, wallets=_WALLETS, connections=extent.callers)
        load = Load(port=self.port, groups=[group], seconds=extent.seconds / 4, warm_up_s=0.0)
        before = processor_s(self._process.pid)
        done = subprocess.run(PROGRAM, input=msgspec.json.encode(load), capture_output=True, check=True)
        used_s = processor_s(self._process.pid) - before
        found = msgspec.json.decode(done.stdout, type=Found)
        assert set(found.statuses) == _CREATED, found.refused
        return used_s / sum(found.statuses.values()) * 1e6

    def wait(self) -> None:
        """Wait until it answers."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                httpx.post(f"http://127.0.0.1:{self.port}{_PATH}", timeout=60)
            except httpx.TransportError:
                continue
            return
        pytest.fail("it doesn't serve")

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.wait()


@pytest.fixture(scope="module")
def settings(live: LiveServer, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of further servers on the same database, where the same tokens are good."""
    return msgspec.structs.replace(
        live.settings,
        public_url=live.url,
        keyring_file=str(Path(live.settings.data_dir) / "keyring.json"),
        data_dir=str(tmp_path_factory.mktemp("edging")),
    )


@pytest.fixture(scope="module")
def token(live: LiveServer) -> str:
    """An access token of a tenant whose requests no developer reads, as that of the other blocks."""
    live.add_tenant(manifest(_TENANT, sandbox=False, rate_limit_per_s=100_000, rate_limit_burst=1_000_000))
    return live.token(_TENANT, live.add_client(_TENANT))


@pytest.fixture
def servings(settings: Settings) -> Iterator[dict[str, Serving]]:
    """All cases, each in a process of its own; those that have no load cost nothing."""
    started = {case: Serving(case, settings) for case in CASES}
    try:
        for each in started.values():
            each.wait()
        yield started
    finally:
        for each in started.values():
            each.close()


class TestATransferOverHttp:
    def test_costs_by_case(self, servings: dict[str, Serving], token: str, extent: Extent) -> None:
        """Every answer is a transfer; what each case costs is printed."""
        measured: dict[str, list[float]] = {case: [] for case in CASES}
        for _ in range(extent.rounds * 4):
            for case, serving in servings.items():
                measured[case].append(serving.microseconds(token, extent))
        for case, taken in measured.items():
            print(f"\n{case:10} least {min(taken):5.1f} µs, median {statistics.median(taken):5.1f} µs", end="")
        assert all(min(taken) > 0 for taken in measured.values())

    async def test_costs_by_step(self, settings: Settings, token: str, extent: Extent) -> None:
        """Every step that a good request passes at the edge, by itself and over and over, so at its best."""
        logs.configure_logs(settings)
        app: Any = build_app(settings)
        steps = Steps(app, token)
        await steps.prepare()
        print()
        for name, step in steps.all().items():
            # What is remembered for a second must be fresh.
            await steps.prepare()
            repeats = 40 if extent.rounds > 1 else 2
            least_s = min(timeit.repeat(step, number=500, repeat=repeats)) / 500
            print(f"{name:40} {least_s * 1e6:5.2f} µs")
        await app.state.services.engine.close()
        await app.state.services.keys.close()
        await app.state.services.database.close()


class _Whole(Exchange):
    """An exchange whose body has come in, and whose answer goes nowhere."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def body_at_hand(self) -> bytes:
        """Return the body."""
        return self._body

    def answer(self, *_: object) -> bool:
        """Take the answer."""
        return True


class Steps:
    """What a good request for a transfer passes, step by step."""

    def __init__(self, app: Any, token: str) -> None:
        self.edge = app.asgi_handler
        self.services = app.state.services
        self.body = msgspec.json.encode(
            {
                "from_wallet_id": _WALLETS[0],
                "to_wallet_id": _WALLETS[1],
                "amount": {"amount_minor": 1250, "currency": "EUR"},
                "description": "Invoice 4711",
            }
        )
        self.headers = [
            (b"host", b"127.0.0.1:8000"),
            (b"accept", b"application/json"),
            (b"user-agent", b"billfold-python/0.1"),
            (b"authorization", f"Bearer {token}".encode()),
            (b"content-type", b"application/json"),
            (b"content-length", str(len(self.body)).encode()),
            (b"idempotency-key", b"0f9f3c2ab1d04d7e8f4b3a2c1d0e9f8a"),
        ]
        self.scope = {"headers": self.headers, "client": ("127.0.0.1", 4711), "path": _PATH}

    async def prepare(self) -> None:
        """Bring one request to where each step begins."""
        self.exchange = _Whole(self.body)
        self.context = self.edge._context(self.scope, _receive, self.exchange)
        await self.edge._take_tenant(self.scope["path"], self.context)
        self.pipeline, _ = self.edge._hot.find("POST", "/tenant/v1/transfers")
        self.call = await self.pipeline._call(self.context)
        self.pipeline._read_idempotency(self.call)
        self.order = await self.pipeline._read_body(self.call, self.context)

    def all(self) -> dict[str, Callable[[], object]]:
        """Return every step by its name; what belongs to another step is set in."""
        edge, pipeline, context, call = self.edge, self.pipeline, self.context, self.call
        answering = _Answering(_send, context, self.exchange, (), head=False)
        reply = pipeline._answer(call, TRANSFER)
        limits, client_id = self.services.limits, call.caller.client_id
        decoder = pipeline.operation.decoder
        return {
            "context": lambda: edge._context(self.scope, _receive, self.exchange),
            "  headers as text": lambda: contexts.read_headers(self.headers),
            "  request id": lambda: new(Prefix.REQUEST),
            "request noted for logs": lambda: logs.note_request(context),
            "host and proxy": lambda: edge._admit(self.scope, context),
            "tenant": _driven(lambda: edge._take_tenant(self.scope["path"], context)),
            "operation": lambda: edge._hot.find("POST", "/tenant/v1/transfers"),
            "who, what scope, how often": _driven(lambda: pipeline._call(context)),
            "  token": _driven(lambda: self.services.identity.guard.admit(context, "/v1", "POST")),
            "  rate limit": lambda: limits.take(call.tenant, client_id),
            "idempotency key": lambda: pipeline._read_idempotency(call),
            "body": _driven(lambda: pipeline._read_body(call, context)),
            "  JSON": lambda: reading.decode_json(self.body, decoder),
            "fingerprint": lambda: pipeline._fingerprint(call, self.order),
            "answer": lambda: pipeline._answer(call, TRANSFER),
            "answer sent, but for the socket": _driven(
                lambda: answering.finish(reply.status, reply.headers, reply.body)
            ),
        }


def _driven(work: Callable[[], Any]) -> Callable[[], object]:
    """Return a function that runs a coroutine which needn't wait; where it must for once, it is started anew."""

    def run() -> object:
        coroutine = work()
        try:
            coroutine.send(None)
        except StopIteration as ended:
            return ended.value
        coroutine.close()
        return None

    return run


async def _receive() -> Any:
    """Receive nothing."""


async def _send(message: Any) -> None:
    """Send nothing."""
