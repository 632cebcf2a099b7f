"""What both transports say of a connection that can't be made."""

import asyncio
import contextlib
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from cryptography import x509

from billfold import AsyncBillfold, AsyncHttpxTransport, Billfold, HttpxTransport, errors
from tests.server.certificates import SERVER, issue

HERE = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))


def refused(mode: str, base_url: str, **transport: Any) -> str:
    """Return with what a request in a mode fails."""

    async def ask() -> None:
        made = AsyncHttpxTransport(**transport)
        async with AsyncBillfold(
            base_url=base_url, client_id="c", client_secret="s", transport=made, max_retries=0
        ) as billfold:
            await billfold.tenant.get()

    with pytest.raises(errors.ConnectionFailed) as caught:
        if mode == "async":
            asyncio.run(ask())
        else:
            made = HttpxTransport(**transport)
            with Billfold(
                base_url=base_url, client_id="c", client_secret="s", transport=made, max_retries=0
            ) as billfold:
                billfold.tenant.get()
    assert not caught.value.sent
    words = str(caught.value)
    assert "127.0.0.1" not in words
    assert ".invalid" not in words
    return words


@contextlib.contextmanager
def listening(take: Callable[[socket.socket], None]) -> Iterator[int]:
    """Listen at a port of this machine, and do something with each connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ended = threading.Event()

        def serve() -> None:
            while not ended.is_set():
                with contextlib.suppress(OSError), listener.accept()[0] as connection:
                    connection.settimeout(5)
                    take(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        port = listener.getsockname()[1]
        try:
            yield port
        finally:
            ended.set()
            socket.create_connection(("127.0.0.1", port)).close()
            thread.join()


def speaking_tls(folder: Path, **certificate: Any) -> "contextlib.AbstractContextManager[int]":
    """Listen with a certificate that nobody knows."""
    pair = issue(purposes=[SERVER], **{"names": [HERE], **certificate})
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair.write(folder, "server"))

    def take(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as wrapped:
            wrapped.recv(1)

    return listening(take)


def answer_plainly(connection: socket.socket) -> None:
    """Answer as an HTTP server does that is spoken to in TLS."""
    connection.recv(1)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
    connection.recv(4096)


@pytest.mark.parametrize("mode", ["sync", "async"])
class TestAConnectionThatFails:
    def test_says_how_to_trust_an_authority(self, mode: str, tmp_path: Path):
        """Who isn't trusted may be trusted in three ways, and all are named."""
        with speaking_tls(tmp_path) as port:
            words = refused(mode, f"https://127.0.0.1:{port}/t/sandbox")
        assert "not trusted" in words
        for way in ("verify=", "--ca", "SSL_CERT_FILE"):
            assert way in words

    def test_does_not_blame_the_authority_of_a_certificate_for_another_address(self, mode: str, tmp_path: Path):
        """Trusting another authority wouldn't help."""
        with speaking_tls(tmp_path, names=[x509.DNSName("another.example")]) as port:
            trusting = ssl.create_default_context(cafile=str(tmp_path / "server.pem"))
            assert "another address" in refused(mode, f"https://127.0.0.1:{port}/t/sandbox", verify=trusting)

    def test_says_that_a_certificate_has_expired(self, mode: str, tmp_path: Path):
        """Nor would it with one that is too old."""
        with speaking_tls(tmp_path, ends=datetime.now(UTC) - timedelta(hours=1)) as port:
            trusting = ssl.create_default_context(cafile=str(tmp_path / "server.pem"))
            assert "expired" in refused(mode, f"https://127.0.0.1:{port}/t/sandbox", verify=trusting)

    def test_says_that_nobody_listens(self, mode: str):
        """A port that refuses is told apart, also where a name has several addresses."""
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            for host in ("127.0.0.1", "localhost"):
                assert "refused" in refused(mode, f"http://{host}:{unused.getsockname()[1]}/t/sandbox")

    def test_says_that_a_name_is_unknown(self, mode: str, monkeypatch: pytest.MonkeyPatch):
        """No machine has a name below .invalid (RFC 6761)."""

        def look_up(*_: object, **__: object) -> None:
            # What every resolver says, and a network that loses a packet says seconds later.
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        assert "name is not known" in refused(mode, "http://wallet.invalid/t/sandbox")

    def test_says_that_the_server_speaks_no_tls(self, mode: str):
        """An address with https:// in place of http:// is recognised."""
        with listening(answer_plainly) as port:
            words = refused(mode, f"https://127.0.0.1:{port}/t/sandbox")
        assert "no TLS" in words
        assert "http://" in words

    def test_is_not_explained_by_what_its_caller_handles(self, mode: str):
        """An exception during whose handling a request is made isn't the request's own."""
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            base_url = f"http://127.0.0.1:{unused.getsockname()[1]}/t/sandbox"
            try:
                ssl.create_default_context(cadata="no certificate")
            except ssl.SSLError:
                assert "refused" in refused(mode, base_url)


class TestOneOfSeveralAddresses:
    async def test_tells_why_for_all(self, monkeypatch: pytest.MonkeyPatch):
        """A name with two addresses fails with a group of errors, of which one says why."""

        async def connect(*_args: Any, **_given: Any) -> None:
            raise OSError("All connection attempts failed") from ExceptionGroup(
                "two", [OSError(101, "unreachable"), ConnectionRefusedError(111, "refused")]
            )

        monkeypatch.setattr(anyio, "connect_tcp", connect)
        with pytest.raises(errors.ConnectionFailed, match="refused"):
            async with AsyncBillfold(
                base_url="http://localhost:1/t/x", client_id="c", client_secret="s", max_retries=0
            ) as billfold:
                await billfold.tenant.get()
