"""Shares: places of tenants in a worker, between a server and real connections."""

import asyncio
import contextlib
import math
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest
from uvicorn.server import ServerState

from billfold_server.http.protocol import BoundedProtocol
from billfold_server.http.receiving import exchange_of
from billfold_server.http.shares import ROOM, Lines, Names, Rules, Shares, size_of, waited_in
from billfold_server.serving.worker import Config
from tests.live import LiveServer
from tests.pace import until
from tests.server.http.resetting import abort


class Known:
    """The tenants that there are: some, of which one has a host name, and would have the deployment's, too."""

    def knows(self, slug: str) -> bool:
        """Tell whether there is one with this slug."""
        return slug in {"alpha", "beta"}

    def known_at(self, host: str) -> str | None:
        """Return the one with this host name."""
        return "beta" if host in {"wallet.beta.example", "own.example"} else None


NAMES = Names(Known(), {"own.example"})


class TestARequest:
    @pytest.mark.parametrize(
        ("path", "host", "expected"),
        [
            ("/t/alpha/v1/transfers", "here", "alpha"),
            ("/t/alpha", "wallet.beta.example", "alpha"),
            ("/v1/transfers", "wallet.beta.example", "beta"),
            ("/v1/transfers", "Wallet.Beta.example:8443", "beta"),
            ("/platform/v1/tenants", "here", "/platform/"),
            ("/platform/v1/tenants", "wallet.beta.example", "beta"),
            ("/platform/v1/tenants", "own.example", "/platform/"),
            ("/health/ready", "wallet.beta.example", None),
            ("/health/live", "", None),
            ("/metrics", "here", None),
            ("/t/gamma/v1/transfers", "here", "/"),
            ("/t/alphas", "here", "/"),
            ("/t//v1", "here", "/"),
            ("/.well-known/oauth-protected-resource/t/alpha/v1", "here", "alpha"),
            ("/.well-known/oauth-authorization-server/t/gamma", "wallet.beta.example", "/"),
            ("/.well-known/openid-configuration", "wallet.beta.example", "beta"),
            ("/v1/transfers", "made.up.example", "/"),
            ("/health/made-up", "here", "/"),
            ("*", "", "/"),
        ],
    )
    def test_stands_in_the_line_of_its_tenant(self, path: str, host: str, expected: str | None) -> None:
        """What names none that is known stands in one line, and what tells whether the server lives in none."""
        headers = [(b"accept", b"*/*"), (b"host", host.encode())] if host else []
        assert NAMES.of({"path": path, "headers": headers}) == expected

    def test_takes_places_by_the_size_of_its_body(self) -> None:
        """One in pieces of unknown size takes several; a length that can't be takes no more."""
        for value, expected in ((b"0", 1), (b"8191", 1), (b"8192", 2), (b"200000", 25), (b"9" * 4000, 4), (b"-1", 4)):
            assert size_of([(b"host", b"here"), (b"content-length", value)]) == expected
        assert size_of([(b"transfer-encoding", b"chunked")]) == 4
        assert size_of([(b"host", b"here")]) == 1


ASKED = ContextVar("ASKED", default="")
GET = "GET /t/{} HTTP/1.1\r\nHost: here\r\n\r\n"


class Worker:
    """The protocol and an application that answers a request when it is let, with connections to them.

    Attributes:
        begun: The paths of requests, in the order in which they were begun.
        contexts: Of which request each of them has found the context.
        late: Those that had waited too long.
        answers: Lets a request be answered, by its path; those that aren't named are answered at once.
    """

    def __init__(self, rules: Rules) -> None:
        self.shares = Shares(NAMES, rules)
        self.begun: list[str] = []
        self.contexts: list[str] = []
        self.late: list[str] = []
        self.answers: dict[str, asyncio.Event] = {}
        self._connections: list[asyncio.StreamWriter] = []
        self._address: tuple[str, int] = ("", 0)
        self.state = ServerState()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Handle a request."""
        path = scope["path"]
        self.begun.append(path)
        self.contexts.append(ASKED.get())
        ASKED.set(path)
        if (waited := waited_in(scope)) is not None and waited.is_late:
            self.late.append(path)
        if path.endswith("/sends"):
            await receive()
        if path in self.answers:
            await self.answers[path].wait()
        if path.endswith("/asks"):
            await self.answer(await self.send("alpha/asked"))
        exchange = exchange_of(receive, send)
        assert exchange is not None
        assert exchange.answer(200, [(b"content-length", b"2")], b"ok")

    def hold(self, *names: str) -> None:
        """Have requests answered only when they are let."""
        self.answers |= {f"/t/{name}": asyncio.Event() for name in names}

    def let(self, name: str) -> None:
        """Have a request answered."""
        self.answers[f"/t/{name}"].set()

    async def send(self, *names: str) -> asyncio.StreamReader:
        """Send requests on a connection of their own, and return where they are answered."""
        reader, writer = await asyncio.open_connection(*self._address)
        self._connections.append(writer)
        writer.write("".join(GET.format(name) for name in names).encode())
        return reader

    @staticmethod
    async def answer(reader: asyncio.StreamReader) -> bytes:
        """Return the next answer on a connection."""
        async with asyncio.timeout(20):
            head = await reader.readuntil(b"\r\n\r\n")
            return head + await reader.readexactly(2)

    async def waits(self, number: int) -> None:
        """Wait until so many requests wait."""
        await self.until(lambda: self.shares.waiting == number)

    async def until(self, true: Callable[[], object]) -> None:
        """Wait until something holds."""
        async with asyncio.timeout(20):
            while not true():
                await asyncio.sleep(0.005)

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator["Worker"]:
        """Serve until the block ends."""
        config = Config(self, http=BoundedProtocol, lifespan="off", log_config=None, ws="none")
        config.load()
        config.shares = self.shares
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: BoundedProtocol(config, self.state, {}), "127.0.0.1", 0)
        self._address = server.sockets[0].getsockname()
        try:
            yield self
        finally:
            for each in self._connections:
                each.close()
            server.close()
            await server.wait_closed()


BROKEN = b"POST /t/alpha/broken HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\nno size\r\n"

STRICT = Rules(most=1, least=1, company_s=60.0, lease_s=60.0, patience_s=60.0)
"""One at a time, so that it can be told who waits for whom."""


class TestAWorker:
    async def test_lets_the_others_pass_a_tenant_that_waits(self) -> None:
        """Its own go on in order, one for each that is answered, and know nothing of it."""
        worker = Worker(STRICT)
        worker.hold("alpha/1", "alpha/2")
        async with worker.serving():
            await worker.answer(await worker.send("beta/1"))
            readers = []
            for waiting, number in enumerate((1, 2, 3)):
                readers.append(await worker.send(f"alpha/{number}"))
                await worker.waits(waiting)
            await worker.answer(await worker.send("beta/2"))
            assert worker.begun == ["/t/beta/1", "/t/alpha/1", "/t/beta/2"]
            worker.let("alpha/1")
            await worker.answer(readers[0])
            await worker.until(lambda: worker.begun[-1] == "/t/alpha/2")
            worker.let("alpha/2")
            await worker.answer(readers[2])
        assert worker.begun[3:] == ["/t/alpha/2", "/t/alpha/3"]
        assert worker.contexts == [""] * 5
        assert worker.shares.waiting == 0

    async def test_forgets_who_hangs_up_while_waiting(self) -> None:
        """Nothing of such a request is ever begun, and those behind it move up."""
        worker = Worker(STRICT)
        worker.hold("alpha/1")
        async with worker.serving():
            await worker.answer(await worker.send("beta/1"))
            first = await worker.send("alpha/1")
            await worker.until(lambda: "/t/alpha/1" in worker.begun)
            await worker.send("alpha/2")
            await worker.waits(1)
            worker._connections[-1].close()
            await worker.waits(0)
            third = await worker.send("alpha/3")
            await worker.waits(1)
            worker.let("alpha/1")
            await worker.answer(first)
            await worker.answer(third)
        assert worker.begun == ["/t/beta/1", "/t/alpha/1", "/t/alpha/3"]

    async def test_takes_requests_that_came_at_once_on_one_connection_one_by_one(self) -> None:
        """Each of them asks for a place of its own when it is its turn on the connection."""
        worker = Worker(STRICT)
        worker.hold("alpha/1")
        async with worker.serving():
            await worker.answer(await worker.send("beta/1"))
            first = await worker.send("alpha/1")
            await worker.until(lambda: "/t/alpha/1" in worker.begun)
            piped = await worker.send("beta/2", "alpha/2", "alpha/3", "beta/3")
            await worker.answer(piped)
            await worker.waits(1)
            worker.let("alpha/1")
            await worker.answer(first)
            for _ in range(3):
                await worker.answer(piped)
        assert worker.begun[2:] == ["/t/beta/2", "/t/alpha/2", "/t/alpha/3", "/t/beta/3"]

    async def test_gives_a_place_back_of_who_is_gone_when_it_is_over(self) -> None:
        """It is under way until then, whether or not anybody waits for its answer."""
        worker = Worker(STRICT)
        worker.hold("alpha/1")
        async with worker.serving():
            await worker.answer(await worker.send("beta/1"))
            await worker.send("alpha/1")
            await worker.until(lambda: "/t/alpha/1" in worker.begun)
            abort(worker._connections[-1])
            await worker.until(lambda: len(worker.state.connections) == 1)
            second = await worker.send("alpha/2")
            await worker.waits(1)
            worker.let("alpha/1")
            await worker.answer(second)

    @pytest.mark.parametrize("waits", [False, True])
    async def test_gives_a_place_back_of_what_is_refused_before_it_begins(self, *, waits: bool) -> None:
        """Its body came broken in one piece with its head, so nothing of it is ever carried out."""
        worker = Worker(STRICT)
        worker.hold("alpha/1")
        async with worker.serving():
            await worker.answer(await worker.send("beta/1"))
            if waits:
                first = await worker.send("alpha/1")
                await worker.until(lambda: "/t/alpha/1" in worker.begun)
            broken = await worker.send()
            worker._connections[-1].write(BROKEN)
            async with asyncio.timeout(20):
                assert (await broken.read()).startswith(b"HTTP/1.1 400 ")
            if not waits:
                first = await worker.send("alpha/1")
            second = await worker.send("alpha/2")
            await worker.waits(1)
            worker.let("alpha/1")
            await worker.answer(first)
            await worker.answer(second)
        assert worker.begun == ["/t/beta/1", "/t/alpha/1", "/t/alpha/2"]

    async def test_takes_the_place_back_of_who_waits_for_its_body(self) -> None:
        """Others of its tenant begin meanwhile; when it has come it is one too many, and the next wait for it, too."""
        worker = Worker(STRICT)
        worker.hold("alpha/sends", "alpha/1")
        async with worker.serving():
            await worker.answer(await worker.send("beta/1"))
            slow = await worker.send()
            worker._connections[-1].write(b"POST /t/alpha/sends HTTP/1.1\r\nHost: here\r\nContent-Length: 2\r\n\r\n")
            await worker.until(lambda: "/t/alpha/sends" in worker.begun)
            first = await worker.send("alpha/1")
            await worker.until(lambda: "/t/alpha/1" in worker.begun)
            worker._connections[-2].write(b"ab")
            await worker.until(lambda: worker.shares.lines._lines["alpha"].held == 2)
            second = await worker.send("alpha/2")
            await worker.waits(1)
            worker.let("alpha/1")
            await worker.answer(first)
            assert worker.shares.waiting
            worker.let("alpha/sends")
            for reader in (slow, second):
                await worker.answer(reader)
        assert worker.begun == ["/t/beta/1", "/t/alpha/sends", "/t/alpha/1", "/t/alpha/2"]

    async def test_lets_a_request_ask_the_same_worker_again(self) -> None:
        """The one that it asks for waits for its place, and gets it although it isn't given back."""
        worker = Worker(STRICT._replace(lease_s=0.1))
        async with worker.serving():
            await worker.answer(await worker.send("beta/1"))
            await worker.answer(await worker.send("alpha/asks"))
        assert worker.begun == ["/t/beta/1", "/t/alpha/asks", "/t/alpha/asked"]

    async def test_begins_who_has_waited_too_long_to_tell_them_so(self) -> None:
        """They hold no place, and who holds one keeps it."""
        worker = Worker(STRICT._replace(patience_s=0.1))
        worker.hold("alpha/1")
        async with worker.serving():
            await worker.answer(await worker.send("beta/1"))
            first = await worker.send("alpha/1")
            await worker.until(lambda: "/t/alpha/1" in worker.begun)
            await worker.answer(await worker.send("alpha/2"))
            assert worker.late == ["/t/alpha/2"]
            worker.let("alpha/1")
            await worker.answer(first)
        assert worker.late == ["/t/alpha/2"]

    async def test_answers_who_waits_before_it_ends(self) -> None:
        """When it is told to end, it hangs up on those who ask for nothing, and on the others after their answer."""
        worker = Worker(STRICT)
        worker.hold("alpha/1")
        async with worker.serving():
            idle = await worker.send("beta/1")
            await worker.answer(idle)
            first = await worker.send("alpha/1")
            await worker.until(lambda: "/t/alpha/1" in worker.begun)
            second = await worker.send("alpha/2")
            await worker.waits(1)
            for connection in list(worker.state.connections):
                connection.shutdown()
            assert await asyncio.wait_for(idle.read(), 20) == b""
            worker.let("alpha/1")
            for reader in (first, second):
                assert b"connection: close" in await worker.answer(reader)
                assert await asyncio.wait_for(reader.read(), 20) == b""
        assert worker.begun == ["/t/beta/1", "/t/alpha/1", "/t/alpha/2"]


FLOOD = 200
KEYS, ABOUT = "/.well-known/jwks.json", "/.well-known/openid-configuration"


def shares_of(live: LiveServer) -> Shares:
    """Return what a server's connections ask for places."""
    shares = live.services.rooms[ROOM]
    assert isinstance(shares, Shares)
    return shares


def connect(live: LiveServer) -> socket.socket:
    """Connect to a server."""
    parts = urlsplit(live.url)
    return socket.create_connection((parts.hostname, parts.port), timeout=30)


def request(slug: str, path: str) -> bytes:
    """Return a request after which the connection ends."""
    return f"GET /t/{slug}{path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n".encode()


def received(connection: socket.socket) -> bytes:
    """Return all that is answered on a connection."""
    return b"".join(iter(lambda: connection.recv(65_536), b""))


def ask_for(live: LiveServer, slug: str, path: str = KEYS) -> bytes:
    """Return a tenant's answer."""
    with connect(live) as connection:
        connection.sendall(request(slug, path))
        return received(connection)


async def take_all(live: LiveServer, slug: str) -> None:
    """Take the places that a tenant has, for as long as the rules let them be kept."""
    assert shares_of(live).lines.ask(slug, [], time.monotonic()) is not None


@contextlib.contextmanager
def begun_slowly(live: LiveServer, slug: str) -> Iterator[None]:
    """Have a request under way whose body doesn't come; that it is, the server says by asking for the body."""
    with connect(live) as connection:
        head = f"POST /t/{slug}/oauth/token HTTP/1.1\r\nHost: here\r\nExpect: 100-continue\r\nContent-Length: 9\r\n"
        connection.sendall(head.encode() + b"Content-Type: application/x-www-form-urlencoded\r\n\r\n")
        assert connection.recv(64).startswith(b"HTTP/1.1 100 ")
        yield


@contextlib.contextmanager
def stopped(live: LiveServer) -> Iterator[None]:
    """Have a server's event loop do nothing until the block ends."""
    stops, goes_on = threading.Event(), threading.Event()

    async def stop() -> None:
        stops.set()
        goes_on.wait(30)

    done = live.begin(stop())
    try:
        assert stops.wait(30)
        yield
    finally:
        goes_on.set()
        done.result(30)


class TestAServer:
    def test_answers_another_tenant_after_a_few_of_a_flood(
        self, live: LiveServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Though all of the flood came first: what counts isn't how fast the machine is, but whose turn it is."""
        for slug, path in (("alpha", KEYS), ("beta", ABOUT)):
            assert ask_for(live, slug, path).startswith(b"HTTP/1.1 200 ")
        metrics, order = live.services.metrics, list[str]()
        observe = metrics.observe

        def note(method: str, route: str, *others: Any) -> None:
            order.append(route)
            observe(method, route, *others)

        monkeypatch.setattr(metrics, "observe", note)
        with contextlib.ExitStack() as stack:
            connections = [stack.enter_context(connect(live)) for _ in range(FLOOD + 1)]
            for each in connections:
                # Once it has answered, it has taken the connection, and needn't go through them one after the other.
                each.sendall(b"GET /health/live HTTP/1.1\r\nHost: here\r\n\r\n")
                assert each.recv(4096).startswith(b"HTTP/1.1 200 ")
            order.clear()
            with stopped(live):
                for each in connections[:-1]:
                    each.sendall(request("alpha", KEYS))
                connections[-1].sendall(request("beta", ABOUT))
            assert all(received(each).startswith(b"HTTP/1.1 200 ") for each in connections)
        assert Counter(order) == {KEYS: FLOOD, ABOUT: 1}
        assert order.index(ABOUT) < FLOOD // 4

    def test_says_so_to_who_waits_too_long(self, live: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
        """503 with Retry-After, as the surface has it; health is told at once, and how many wait can be seen."""
        lines = Lines(STRICT)
        monkeypatch.setattr(shares_of(live), "lines", lines)
        ask_for(live, "alpha")
        ask_for(live, "beta")
        live.begin(take_all(live, "alpha")).result(30)
        with connect(live) as late:
            began = time.monotonic()
            late.sendall(request("alpha", "/v1/tenant"))
            until(lambda: shares_of(live).waiting == 1)
            assert httpx.get(f"{live.url}/health/live").status_code == 200
            assert "\nbillfold_http_requests_waiting 1.0\n" in httpx.get(f"{live.url}/metrics").text
            # Nobody may wait for longer than a second from here on.
            lines.rules = STRICT._replace(patience_s=1.0)
            head, _, body = received(late).partition(b"\r\n\r\n")
            took_s = time.monotonic() - began
        assert head.startswith(b"HTTP/1.1 503 ")
        (after_s,) = re.findall(rb"(?i)\r\nretry-after: (\d+)", head)
        assert 2 <= int(after_s) <= math.ceil(took_s)
        assert msgspec.json.decode(body)["code"] == "overloaded"

    def test_is_not_held_up_by_bodies_that_do_not_come(self, live: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
        """Anybody can begin such requests, without a token."""
        monkeypatch.setattr(shares_of(live), "lines", Lines(STRICT))
        ask_for(live, "alpha")
        ask_for(live, "beta")
        with begun_slowly(live, "alpha"), begun_slowly(live, "alpha"):
            assert ask_for(live, "alpha").startswith(b"HTTP/1.1 200 ")
