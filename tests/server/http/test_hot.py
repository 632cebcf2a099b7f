"""Hot operations: what the edge runs by itself is answered just as the router would have it answered."""

import re
import secrets
import socket
import struct
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from billfold_server.http.pipeline import Hot, Pipeline
from billfold_server.identity import jose
from billfold_server.rooms import operations
from tests.live import LiveServer
from tests.server.http.both_ways import LIMIT_BYTES, Way, alike, send, serve_both
from tests.tenants import manifest

PATH = "/t/alpha/v1/transfers"
HOT = ("POST", "/tenant/v1/transfers")


@pytest.fixture(scope="module")
def ways(live: LiveServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Way, Way]]:
    """Serve in both ways."""
    live.add_tenant(manifest("slow", rate_limit_per_s=1, rate_limit_burst=1))
    with serve_both(live, tmp_path_factory.mktemp("ways")) as both:
        yield both


Sent = Callable[[Way], list[bytes]]


def request(body: bytes | None = None, *, method: str = "POST", path: str = PATH, **changes: Any) -> Sent:
    """Return what makes a request: a good one, but for the changes.

    Args:
        body: The body; a transfer between the way's wallets where absent.
        method: The method.
        path: The address.
        changes: ``order`` changes the transfer, ``headers`` are set in place of the usual ones (None leaves one out),
            ``more`` are added, ``raw`` is the body as it goes over the wire, and ``authorize`` makes the token.
    """

    def pieces(way: Way) -> list[bytes]:
        content = way.transfer(**changes.get("order", {})) if body is None else body
        headers: dict[str, str | None] = {
            "Host": "here",
            "Authorization": f"Bearer {changes.get('authorize', lambda each: each.token)(way)}",
            "Content-Type": "application/json",
            "Content-Length": str(len(content)),
            "Idempotency-Key": secrets.token_hex(16),
            "Connection": "close",
        }
        headers |= changes.get("headers", {})
        lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
        head = "\r\n".join([f"{method} {path} HTTP/1.1", *lines, *changes.get("more", []), "", ""]).encode("latin-1")
        return [head + changes.get("raw", content)]

    return pieces


def twice(**changes: Any) -> Sent:
    """Return a request that is sent twice on one connection, without waiting for the first answer."""

    def pieces(way: Way) -> list[bytes]:
        key = {"Idempotency-Key": secrets.token_hex(16)}
        first = request(**changes, headers=key | {"Connection": "keep-alive"})(way)
        return [first[0] + request(**changes, headers=key)(way)[0]]

    return pieces


def expecting(**changes: Any) -> Sent:
    """Return a request whose body waits until it is asked for."""

    def pieces(way: Way) -> list[bytes]:
        (whole,) = request(**changes, more=["Expect: 100-continue"])(way)
        head, blank, body = whole.partition(b"\r\n\r\n")
        return [head + blank, body]

    return pieces


def expired(way: Way) -> str:
    """Return a token of the way's client that was good until a moment ago."""

    async def sign() -> str:
        services = way.live.services
        realm = services.identity.realm(await services.registry.get("alpha"))
        claims = jose.read(way.token).claims | {"iat": int(time.time()) - 600, "exp": int(time.time()) - 1}
        return await services.identity.signing.sign(realm, claims, typ="at+jwt")

    return str(way.live.run(sign()))


def stranger(way: Way) -> str:
    """Return a token of another tenant's client."""
    return way.live.token("beta", way.live.add_client("beta"))


def too_often(way: Way) -> list[bytes]:
    """Return two requests of a client that may ask once a second."""
    token = way.live.token("slow", way.live.add_client("slow"))
    return twice(path="/t/slow/v1/transfers", authorize=lambda _: token)(way)


_YESTERDAY = (datetime.now(UTC) - timedelta(days=1)).isoformat()
CHUNKED = {"Content-Length": None, "Transfer-Encoding": "chunked"}

CASES: dict[str, tuple[int | tuple[int, ...], Sent]] = {
    "good": (201, request()),
    "with all it may have": (
        201,
        request(order={"description": "1: a", "metadata": {"a:b": "c"}, "effective_at": _YESTERDAY}),
    ),
    "again under its key": ((201, 201), twice()),
    "without money": (409, request(order={"amount": {"amount_minor": 10**12, "currency": "EUR"}})),
    "without money, again": ((409, 409), twice(order={"amount": {"amount_minor": 10**12, "currency": "EUR"}})),
    "to itself": (409, lambda way: request(order={"to_wallet_id": way.wallets["payer"]})(way)),
    "to nobody": (404, request(order={"to_wallet_id": "wal_01m7w9tnzcejq9b78b81gh4nmw"})),
    "bad JSON": (400, request(b'{"from_wallet_id":')),
    "no JSON": (400, request(b"")),
    "two members of one name": (400, request(b'{"amount": 1, "amount": 2}')),
    "deep": (400, request(b"[" * 40 + b"]" * 40)),
    "NUL": (400, request(b'{"description": "\\u0000"}')),
    "not UTF-8": (400, request(b'{"description": "\xff"}')),
    "byte order mark": (400, request(b"\xef\xbb\xbf{}")),
    "unknown member": (400, request(order={"tip": 1})),
    "wrong type": (400, request(order={"amount": {"amount_minor": "1", "currency": "EUR"}})),
    "large number": (400, request(b'{"amount": {"amount_minor": 1e999, "currency": "EUR"}}')),
    "wrong content type": (415, request(headers={"Content-Type": "text/plain"})),
    "no content type": (415, request(headers={"Content-Type": None})),
    "content type with charset": (201, request(headers={"Content-Type": "Application/JSON; charset=utf-8"})),
    "wrong charset": (415, request(headers={"Content-Type": "application/json; charset=latin-1"})),
    "compressed": (415, request(headers={"Content-Encoding": "gzip"})),
    "no token": (401, request(headers={"Authorization": None})),
    "empty token": (401, request(headers={"Authorization": "Bearer "})),
    "other scheme": (401, request(headers={"Authorization": "Basic YTpi"})),
    "nonsense for a token": (401, request(headers={"Authorization": "Bearer a.b.c"})),
    "two tokens": (401, request(more=["Authorization: Bearer a.b.c"])),
    "expired token": (401, request(authorize=expired)),
    "another tenant's token": (401, request(authorize=stranger)),
    "wrong scope": (403, request(authorize=lambda way: way.poor)),
    "too often": ((404, 429), too_often),
    "unknown tenant": (404, request(path="/t/nobody/v1/transfers")),
    "no tenant": (404, request(path="/v1/transfers")),
    "slash at the end": (201, request(path=f"{PATH}/")),
    "slashes within": (201, request(path="/t/alpha//v1/transfers")),
    "encoded": (201, request(path="/t/alpha/v1/%74ransfers")),
    "encoded slash": (201, request(path="/t/alpha/v1%2Ftransfers")),
    "fragment": (201, request(path=f"{PATH}#there")),
    "absolute": (201, request(path=f"http://here{PATH}")),
    "query": (400, request(path=f"{PATH}?dry_run=true")),
    "empty query": (201, request(path=f"{PATH}?")),
    "broken query": (400, request(path=f"{PATH}?a=%")),
    "missing key": (400, request(headers={"Idempotency-Key": None})),
    "empty key": (400, request(headers={"Idempotency-Key": ""})),
    "bad key": (400, request(headers={"Idempotency-Key": '"a'})),
    "two keys": (400, request(more=["Idempotency-Key: another"])),
    "quoted key": (201, request(headers={"Idempotency-Key": '"8e03"'})),
    "too large by its own word": (413, request(headers={"Content-Length": "2000000"}, raw=b" " * 99)),
    "too large": (413, request(b"{" + b" " * LIMIT_BYTES)),
    "as large as it may be": (400, request(b" " * LIMIT_BYTES)),
    "too large in pieces": (
        413,
        request(headers=CHUNKED, raw=b"%x\r\n" % LIMIT_BYTES + b" " * LIMIT_BYTES + b"\r\n1\r\n \r\n"),
    ),
    "expecting": ((100, 201), expecting()),
    "expecting too much": (
        413,
        request(headers={"Content-Length": "2000000"}, more=["Expect: 100-continue"], raw=b""),
    ),
    "two hosts": (400, request(more=["Host: there"])),
    "bad host": (400, request(headers={"Host": "a b"})),
    "no host": (400, request(headers={"Host": None})),
    "HTTP/1.0": (201, lambda way: [request(headers={"Connection": None})(way)[0].replace(b"HTTP/1.1", b"HTTP/1.0")]),
    "request id": (201, request(more=["X-Request-Id: my-own-request-1"])),
    "HEAD": (401, request(b"", method="HEAD", headers={"Authorization": None})),
    "GET": (200, request(b"", method="GET")),
    "OPTIONS": (204, request(b"", method="OPTIONS")),
    "PUT": (405, request(method="PUT")),
    "PURGE": (405, request(method="PURGE")),
}


def chunked(way: Way) -> list[bytes]:
    """Return a request whose body has no length beforehand."""
    body = way.transfer()
    raw = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (body[:20], body[20:], b""))
    return request(b"", headers=CHUNKED, raw=raw)(way)


def trailing(way: Way) -> list[bytes]:
    """Return a request with more behind its body than it has said."""
    body = way.transfer()
    return request(body, raw=body + b"garbage")(way)


CASES |= {"chunked": (201, chunked), "trailing data": (201, trailing)}


class TestARequestForAHotOperation:
    @pytest.mark.parametrize("case", CASES)
    def test_is_answered_as_the_router_would_have_it(self, ways: tuple[Way, Way], case: str) -> None:
        """Status, headers in their order, and body are the same to the byte, whatever is right or wrong with it."""
        expected, sent = CASES[case]
        # Who may ask once a second may ask twice where that is how long a busy machine takes for one request.
        for _ in range(8 if case == "too often" else 1):
            at_the_edge, by_the_router = (alike(send(way, *sent(way))) for way in ways)
            statuses = tuple(int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", at_the_edge))
            if at_the_edge == by_the_router and statuses == expected:
                break
        assert at_the_edge == by_the_router
        assert statuses == (expected if isinstance(expected, tuple) else (expected,)), at_the_edge

    def test_is_run_by_the_edge(self, ways: tuple[Way, Way]) -> None:
        """The one server's router never sees it, the other one's does: the comparison is one of two things."""
        hot, routed = ways
        for way in ways:
            way.routed.clear()
            send(way, *request()(way))
        assert (hot.routed, routed.routed) == ([], [HOT])

    def test_may_be_given_up(self, ways: tuple[Way, Way]) -> None:
        """Who goes away in the middle of a body leaves nothing behind; the same connection limit serves the next."""
        for way in ways:
            before = answered(way, 499)
            parts = urlsplit(way.live.url)
            connection = socket.create_connection((parts.hostname, parts.port), timeout=20)
            # It resets the connection instead of ending it in an orderly way.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.sendall(request(raw=b"{")(way)[0])
            connection.close()
            deadline = time.monotonic() + 30
            while answered(way, 499) == before and time.monotonic() < deadline:
                assert send(way, *request()(way)).startswith(b"HTTP/1.1 201 ")
            assert answered(way, 499) == before + 1


def answered(way: Way, status: int) -> float:
    """Return how many transfers were answered with a status."""
    text = way.live.services.metrics.exposition().decode()
    start = f'billfold_http_requests_total{{method="POST",route="/v1/transfers",status="{status}"}} '
    return sum(float(line.removeprefix(start)) for line in text.splitlines() if line.startswith(start))


class TestAHotOperation:
    def test_is_found_by_what_was_declared(self, live: LiveServer) -> None:
        """Every operation that says so, at its own method and address, and no other."""
        pipelines = [Pipeline(each, live.services) for each in operations()]
        hot = Hot(pipelines)
        for each in pipelines:
            operation = each.operation
            path = ("/tenant" if operation.audience.startswith("tenant") else "") + operation.path
            found = hot.find(operation.method, path)
            assert (found is not None) == operation.hot, operation.operation_id
        assert hot.find(*HOT) is not None
        assert hot.find("GET", HOT[1]) is None
        assert hot.find("POST", "/v1/transfers") is None

    def test_may_have_parameters_in_its_path(self, live: LiveServer) -> None:
        """They are given as text, and a fixed address that isn't hot is never taken for a value of theirs."""
        by_id = {each.operation_id: each for each in operations()}
        capture = by_id["captureHold"]
        object.__setattr__(capture, "hot", True)
        try:
            hot = Hot([Pipeline(each, live.services) for each in by_id.values()])
        finally:
            object.__setattr__(capture, "hot", False)
        found = hot.find("POST", "/tenant/v1/holds/hld_1/capture")
        assert found is not None
        assert (found[0].operation, found[1]) == (capture, {"hold_id": "hld_1"})
        assert hot.find("POST", "/tenant/v1/holds/a/b/capture") is None
        assert hot.find("POST", "/tenant/v1/holds//capture") is None
        assert hot.find("POST", "/tenant/v1/holds") is None
