"""The protocol: what a connection may send and how long it may take before it is a request."""

import contextlib
import re
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import msgspec
import pytest

from billfold_server.http.protocol import HEAD_LIMIT_BYTES, HEADERS_LIMIT, BoundedProtocol
from tests.live import LiveServer

START = b"GET /health/live HTTP/1.1\r\nHost: here\r\n"

_FAR_TOO_MUCH = 64 * 1024 * 1024
"""More than the kernel keeps for a reader who has gone."""


@contextlib.contextmanager
def connected(live: LiveServer) -> Iterator[socket.socket]:
    """Connect to the server."""
    parts = urlsplit(live.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
        yield connection


def statuses(connection: socket.socket) -> list[int]:
    """Return the statuses of what the server answers until it closes the connection."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while data := connection.recv(65_536):
            received += data
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3})", received)]


class TestAHead:
    @pytest.mark.parametrize(
        "endless",
        [b"X-Filler: ", b"X-", b"X-Filler: a\r\n", b"GET /", b"\r\n"],
        ids=["value", "name", "many", "line", "empty"],
    )
    def test_that_never_ends_is_refused(self, live: LiveServer, endless: bytes) -> None:
        """After a few kilobytes the connection is closed, whichever part goes on and on."""
        repeated = endless if endless.endswith(b"\n") else b"a"
        with connected(live) as connection:
            connection.sendall((b"" if endless in {b"GET /", b"\r\n"} else START) + endless)
            with pytest.raises(ConnectionError):
                for _ in range(_FAR_TOO_MUCH // 4096):
                    connection.sendall(repeated * (4096 // len(repeated)))
            assert set(statuses(connection)) <= {400, 431}

    def test_with_too_many_headers_is_refused(self, live: LiveServer) -> None:
        """Also if it comes at once, and its body doesn't get anywhere either."""
        for headers, status in ((HEADERS_LIMIT - 3, 200), (HEADERS_LIMIT + 1, 431)):
            with connected(live) as connection:
                lines = b"".join(b"X-%d: a\r\n" % number for number in range(headers))
                connection.sendall(START + lines + b"Content-Length: 5\r\nConnection: close\r\n\r\n12345")
                assert statuses(connection) == [status]

    def test_that_is_long_but_not_too_long_is_read(self, live: LiveServer) -> None:
        """Request after request on one connection, each with its own bound, and bodies don't count."""
        head = START + b"X-Filler: " + b"a" * (HEAD_LIMIT_BYTES // 2)
        with connected(live) as connection:
            for _ in range(4):
                connection.sendall(head + b"\r\nContent-Length: 100000\r\n\r\n" + b"a" * 100_000)
            connection.sendall(head + b"\r\nConnection: close\r\n\r\n")
            assert statuses(connection) == [200] * 5

    @pytest.mark.parametrize("begun", [b"", b"\r\n", b"GET /health/live HTT", START])
    def test_that_does_not_come_is_not_waited_for(
        self, live: LiveServer, monkeypatch: pytest.MonkeyPatch, begun: bytes
    ) -> None:
        """Neither after connecting nor in the middle, also when a byte comes now and then."""
        monkeypatch.setattr(BoundedProtocol, "patience_s", 0.3)
        with connected(live) as connection:
            began = time.monotonic()
            connection.sendall(begun)
            assert set(statuses(connection)) <= {400, 408}
            assert 0.2 < time.monotonic() - began < 5


class TestABody:
    @pytest.mark.parametrize(
        ("path", "content_type"),
        [
            ("/t/alpha/v1/parties", "application/json"),
            ("/t/alpha/v1/statement-imports", "application/octet-stream"),
            ("/t/alpha/oauth/token", "application/x-www-form-urlencoded"),
        ],
    )
    def test_that_drips_is_not_waited_for(
        self, live: LiveServer, monkeypatch: pytest.MonkeyPatch, path: str, content_type: str
    ) -> None:
        """Its time is for all of it, so bytes that come now and then buy none, and the connection ends with it."""
        with live.client("alpha") as client:
            token = client.headers["Authorization"]
        hasty = msgspec.structs.replace(live.services.settings, body_timeout_s=1, upload_timeout_s=1)
        monkeypatch.setattr(live.services, "settings", hasty)
        head = (
            f"POST {path} HTTP/1.1\r\nHost: here\r\nAuthorization: {token}\r\nIdempotency-Key: {path}\r\n"
            f"Content-Type: {content_type}\r\nContent-Length: 1000\r\n\r\n"
        )
        with connected(live) as connection:
            began = time.monotonic()
            connection.sendall(head.encode())
            assert [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3})", drip(connection))] == [408]
            assert 0.9 < time.monotonic() - began < 10


def drip(connection: socket.socket) -> bytes:
    """Send a byte whenever there is nothing to read, and return what the server says until it ends the connection."""
    received = b""
    connection.settimeout(0.1)
    with contextlib.suppress(ConnectionError):
        for _ in range(200):
            try:
                data = connection.recv(65_536)
            except TimeoutError:
                connection.sendall(b" ")
                continue
            if not data:
                return received
            received += data
        pytest.fail("the server keeps the connection")
    return received
