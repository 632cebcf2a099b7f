"""Two servers on one database: one runs its hot operations at the edge, the other has its router do it.

What they answer is compared to the byte, once what can't be the same is named alike: ids, instants and the server's
own date.
"""

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from billfold_server.http.edge import Edge
from billfold_server.http.pipeline import Hot
from tests.live import LiveServer, serve

__all__ = ["LIMIT_BYTES", "Way", "alike", "send", "serve_both"]

LIMIT_BYTES = 64 * 1024
"""How large a body may be: little enough that one that is too large still comes in whole, and hears why."""

_ID = re.compile(rb"\b[a-z]{3}_[0-7][0-9a-hjkmnp-tv-z]{25}\b")
_INSTANT = re.compile(rb"\d{4}-\d\d-\d\dT[0-9:.]+Z")
_DATE = re.compile(rb"(?<=\r\ndate: )[^\r]*")


class Way(msgspec.Struct):
    """One of the two servers.

    Attributes:
        live: The server.
        routed: The addresses that its router was asked for.
        token: An access token of a client of its own, with every scope.
        poor: One without the scope that transfers need.
        wallets: Two wallets of its own, by the part that they take; the one that pays has money.
    """

    live: LiveServer
    routed: list[tuple[str, str]]
    token: str
    poor: str
    wallets: dict[str, str]

    def transfer(self, **changes: Any) -> bytes:
        """Return the body of a transfer between its wallets."""
        order = {
            "from_wallet_id": self.wallets["payer"],
            "to_wallet_id": self.wallets["payee"],
            "amount": {"amount_minor": 100, "currency": "EUR"},
        }
        return msgspec.json.encode(order | changes)


@contextmanager
def serve_both(live: LiveServer, folder: Path) -> Iterator[tuple[Way, Way]]:
    """Serve in both ways; tokens of the tenants of ``live`` are good at both.

    Args:
        live: A server whose database and keyring they share.
        folder: For what each keeps by itself.
    """
    settings = msgspec.structs.replace(
        live.settings,
        public_url=live.url,
        keyring_file=str(Path(live.settings.data_dir) / "keyring.json"),
        body_limit_bytes=LIMIT_BYTES,
    )
    with (
        serve(msgspec.structs.replace(settings, data_dir=str(folder / "hot"))) as hot,
        serve(msgspec.structs.replace(settings, data_dir=str(folder / "routed")), wrap=_without_hot) as routed,
    ):
        yield _way(live, hot), _way(live, routed)


def _without_hot(app: Any) -> Any:
    app.asgi_handler = Edge(app.asgi_handler.router, app.state.services, Hot([]))
    return app


def _way(live: LiveServer, server: LiveServer) -> Way:
    edge = server.app.asgi_handler
    routed: list[tuple[str, str]] = []
    router = edge.router

    async def noting(scope: Any, receive: Any, send: Any) -> None:
        routed.append((scope["method"], scope["path"]))
        await router(scope, receive, send)

    edge.router = noting
    token = live.token("alpha", live.add_client("alpha"))
    poor = live.token("alpha", live.add_client("alpha", ["wallets:read"]))
    return Way(server, routed, token, poor, _wallets(live))


def _wallets(live: LiveServer) -> dict[str, str]:
    with live.client("alpha") as client:
        party = client.post("/v1/parties", json={"kind": "person", "name": "Ada"}).json()["id"]
        wallets = {
            part: client.post("/v1/wallets", json={"party_id": party, "currencies": ["EUR"]}).json()["id"]
            for part in ("payer", "payee")
        }
        order = {"wallet_id": wallets["payer"], "amount": {"amount_minor": 100_000, "currency": "EUR"}}
        done = client.post("/v1/top-ups", json=order, headers={"Idempotency-Key": wallets["payer"]})
        assert done.status_code == 201, done.text
    return wallets


def send(way: Way, *pieces: bytes) -> bytes:
    """Send a request in pieces, the next one whenever something was answered, and return all that is answered."""
    parts = urlsplit(way.live.url)
    received = b""
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as connection:
        for piece in pieces[:-1]:
            connection.sendall(piece)
            received += connection.recv(65_536)
        connection.sendall(pieces[-1])
        while data := connection.recv(65_536):
            received += data
    return received


def alike(answer: bytes) -> bytes:
    """Return an answer in which ids and instants are named by their order."""
    names: dict[bytes, bytes] = {}
    answer = _ID.sub(lambda match: names.setdefault(match[0], b"%s_%d" % (match[0][:3], len(names))), answer)
    return _DATE.sub(b"today", _INSTANT.sub(b"then", answer))
