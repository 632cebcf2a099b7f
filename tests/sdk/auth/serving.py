"""Puts the small authorization server on sockets: plain ones, or TLS with a second port that asks for certificates."""

import base64
import contextlib
import hashlib
import ssl
import threading
from collections.abc import Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from billfold_server.serving.tls.authority import Authority
from tests.sdk.auth.issuing import PATH, Asked, AuthorizationServer

__all__ = ["serving", "serving_tls"]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        issuer: AuthorizationServer = self.server.issuer
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, path, headers, body, self._thumbprint(), self.server.base, query)
        status, answer_headers, answer_body = issuer.answer(asked)
        self.send_response_only(status)
        # Told by its own clock, which may be wrong.
        self.send_header("Date", formatdate(issuer.now, usegmt=True))
        for name, value in answer_headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer_body)))
        self.end_headers()
        self.wfile.write(answer_body)

    do_POST = do_GET  # noqa: N815  # As http.server looks it up.

    def _thumbprint(self) -> str | None:
        der = self.connection.getpeercert(binary_form=True) if isinstance(self.connection, ssl.SSLSocket) else None
        return None if der is None else base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()

    def log_message(self, *_: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, issuer: AuthorizationServer, context: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.issuer = issuer
        self.base = f"{'http' if context is None else 'https'}://127.0.0.1:{self.server_port}{PATH}"
        self._context = context

    def get_request(self) -> Any:
        connection, address = super().get_request()
        if self._context is not None:
            connection = self._context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def handle_error(self, *_: Any) -> None:
        """Say nothing of clients that hang up, which some tests make them do."""


@contextlib.contextmanager
def _running(server: _Server) -> Iterator[str]:
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server.base
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def serving() -> Iterator[AuthorizationServer]:
    """Serve over plain HTTP until the block ends."""
    issuer = AuthorizationServer()
    with _running(_Server(issuer, None)) as base:
        issuer.base = issuer.mtls_base = base
        yield issuer


@contextlib.contextmanager
def serving_tls(folder: Path) -> Iterator[tuple[AuthorizationServer, Authority]]:
    """Serve over TLS until the block ends, with certificates of a development authority."""
    authority, issuer = Authority(folder), AuthorizationServer()
    own, root = authority.ensure_server(), authority.ensure()
    plain, asking = (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) for _ in range(2))
    for context in (plain, asking):
        context.load_cert_chain(own.certificate, own.key)
    asking.verify_mode = ssl.CERT_REQUIRED
    asking.load_verify_locations(root.certificate)
    with _running(_Server(issuer, plain)) as base, _running(_Server(issuer, asking)) as mtls_base:
        issuer.base, issuer.mtls_base = base, mtls_base
        yield issuer, authority
