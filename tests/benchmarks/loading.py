"""Load over HTTP, from a process of its own (``PROGRAM``): an order as JSON on its input, and what it found out.

A bare HTTP/1.1 client on sockets, because a comfortable one would take more of the processors than the server does.
Each connection has one request under way at a time. It depends on nothing of the product's.
"""

import asyncio
import os
import random
import ssl
import sys
import time
from array import array
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, cast
from uuid import uuid4

import msgspec
import uvloop

from tests.benchmarks.receiving import Receiver

__all__ = ["PROGRAM", "Found", "Group", "Load", "Shown"]

PROGRAM: Final = (sys.executable, "-m", "tests.benchmarks.loading")
"""By what it is started, in the checkout."""

_CREATED = 201


class Group(msgspec.Struct, kw_only=True):
    """Connections of one client.

    Attributes:
        base: The path of the tenant, such as ``/t/sandbox``.
        token: An access token.
        wallets: Between which money is moved; in the hot case the first is in every transfer.
        connections: How many.
        bulk: How many transfers one request carries; 0 is a single transfer.
        pause_s: How long each connection waits between an answer and its next request, at random around this.
    """

    base: str
    token: str
    wallets: list[str]
    connections: int
    hot: bool = False
    bulk: int = 0
    pause_s: float = 0.0


class Shown(msgspec.Struct):
    """Files by which both sides of TLS know each other: the server's authority, and a client's certificate and key."""

    authority: str
    certificate: str
    key: str

    def context(self) -> ssl.SSLContext:
        """Return the client's side of TLS."""
        context = ssl.create_default_context(cafile=self.authority)
        context.load_cert_chain(self.certificate, self.key)
        return context


class Load(msgspec.Struct, kw_only=True):
    """What to send.

    Attributes:
        seconds: How long answers count, after the warm-up.
        shown: What is shown on each connection, where they are TLS.
    """

    port: int
    groups: list[Group]
    seconds: float
    warm_up_s: float
    seed: int = 1
    shown: Shown | None = None


class Found(msgspec.Struct, kw_only=True):
    """What became of it.

    Attributes:
        statuses: How many answers had which status, in all; 0 is a connection that was lost.
        counted: How many answers came while they counted.
        made: How many transfers were made, in all.
        late_ms: How late this process was on average where it was to send after a pause. Where that is much, others had
            the processors, and what it has measured tells of them.
        refused: An example of an answer that wasn't a success.
    """

    statuses: dict[int, int]
    counted: int
    made: int
    mean_ms: float
    p95_ms: float
    processor_s: float
    late_ms: float = 0.0
    refused: str = ""


class _Run:
    """What all connections share."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self.counts_from = self.ends = 0.0
        self.statuses: Counter[int] = Counter()
        self.made = 0
        self.took = array("d")
        self.late = array("d")
        self.refused = ""
        self.random = random.Random(load.seed)

    def begin(self) -> None:
        """Let the time begin."""
        self.counts_from = time.perf_counter() + self._load.warm_up_s
        self.ends = self.counts_from + self._load.seconds

    def answered(self, began: float, answer: bytes, *, bulk: int) -> None:
        now, status = time.perf_counter(), int(answer[9:12])
        self.statuses[status] += 1
        self.made += answer.count(b'"status":201') if bulk else status == _CREATED
        if status >= 400 and not self.refused:
            self.refused = answer.decode(errors="replace")
        if self.counts_from <= now <= self.ends:
            self.took.append(now - began)

    def found(self) -> Found:
        took = sorted(self.took)
        return Found(
            statuses=dict(self.statuses),
            counted=len(took),
            made=self.made,
            mean_ms=sum(took) / len(took) * 1000 if took else 0.0,
            p95_ms=took[int(len(took) * 0.95)] * 1000 if took else 0.0,
            processor_s=time.process_time(),
            late_ms=sum(self.late) / len(self.late) * 1000 if self.late else 0.0,
            refused=self.refused,
        )


class _Connection(asyncio.Protocol):
    """One keep-alive connection with one request under way."""

    def __init__(self, run: _Run, group: Group, request: Callable[[], bytes], done: "asyncio.Future[None]") -> None:
        self._run = run
        self._pause_s = group.pause_s
        self._bulk = group.bulk
        self._request = request
        self._done = done
        self._receiver = Receiver()
        self._began = self._due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def next(self) -> None:
        """Send a request, now or after a pause."""
        if self._pause_s:
            # At random, so that a hundred connections don't all come at the same moment again and again.
            pause_s = self._pause_s * self._run.random.uniform(0.5, 1.5)
            self._due = time.perf_counter() + pause_s
            asyncio.get_running_loop().call_later(pause_s, self._send)
        else:
            self._send()

    def _send(self) -> None:
        self._began = time.perf_counter()
        if self._began >= self._run.ends:
            self._finish()
            return
        if self._pause_s and self._began >= self._run.counts_from:
            self._run.late.append(self._began - self._due)
        self._transport.write(self._request())

    def data_received(self, data: bytes) -> None:
        if (answer := self._receiver.whole(data)) is not None:
            self._run.answered(self._began, answer, bulk=self._bulk)
            self.next()

    def connection_lost(self, _exc: Exception | None) -> None:
        if not self._done.done():
            self._run.statuses[0] += 1
            self._done.set_result(None)

    def _finish(self) -> None:
        if not self._done.done():
            self._done.set_result(None)
        self._transport.close()


def _requests(group: Group, port: int, random_: random.Random) -> Callable[[], bytes]:
    """Return what writes a group's requests, each with a key of its own."""
    wallets, hot = group.wallets, group.wallets[0]
    choose, key = random_.choice, uuid4
    path = f"{group.base}/v1/transfers{'/bulk' if group.bulk else ''}"
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {group.token}\r\n"
        "Content-Type: application/json\r\n"
    )

    def transfer(more: str = "") -> str:
        source, target = choose(wallets), choose(wallets)
        while source == target or (group.hot and hot in {source, target}):
            source, target = choose(wallets), choose(wallets)
        if group.hot:
            source, target = (source, hot) if random_.random() < 0.5 else (hot, target)
        return (
            f'{{{more}"from_wallet_id":"{source}","to_wallet_id":"{target}",'
            f'"amount":{{"amount_minor":1,"currency":"EUR"}},"metadata":{{"order":"A-4711"}}}}'
        )

    def single() -> bytes:
        body = transfer()
        return f"{head}Idempotency-Key: {key().hex}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()

    def bulk() -> bytes:
        items = ",".join(transfer(f'"idempotency_key":"{key().hex}",') for _ in range(group.bulk))
        body = f'{{"mode":"each","transfers":[{items}]}}'
        return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()

    return bulk if group.bulk else single


async def send(load: Load) -> Found:
    """Send a load, and return what became of it."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_end)
    context = None if load.shown is None else load.shown.context()
    run = _Run(load)
    ends, connections = [], []
    for group in load.groups:
        for _ in range(group.connections):
            done: asyncio.Future[None] = loop.create_future()
            ends.append(done)
            request = _requests(group, load.port, run.random)
            _, connection = await loop.create_connection(
                lambda group=group, request=request, done=done: _Connection(run, group, request, done),
                "127.0.0.1",
                load.port,
                ssl=context,
            )
            connections.append(connection)
    # They are kept alive: what it takes to open them is none of what a request takes.
    run.begin()
    for connection in connections:
        connection.next()
    await asyncio.gather(*ends)
    return run.found()


def _end(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """End at the first mistake in a callback, after which an answer might be waited for that never comes."""
    loop.default_exception_handler(context)
    os._exit(1)


if __name__ == "__main__":
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Load)
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(send(order))))
