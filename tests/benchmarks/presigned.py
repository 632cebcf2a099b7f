"""Sends requests that are ready, each once, on connections that stay open; a program that reads ``Presigned``."""

import asyncio
import subprocess
import sys
import time
from collections import Counter
from typing import cast

import msgspec
import uvloop

from tests.benchmarks.receiving import Receiver

__all__ = ["Outcome", "Presigned", "sent"]


class Presigned(msgspec.Struct):
    """What to send.

    Attributes:
        port: Where to, on this machine.
        connections: On how many connections.
        requests: Each to the byte.
    """

    port: int
    connections: int
    requests: list[bytes]


class Outcome(msgspec.Struct):
    """What became of it.

    Attributes:
        elapsed_s: From the first request to the last answer.
        statuses: How often each came.
        mean_ms, p95_ms: How long each took.
        processor_s: What this process has taken of the processors.
    """

    elapsed_s: float
    statuses: dict[int, int]
    mean_ms: float
    p95_ms: float
    processor_s: float


class _Run:
    """What all connections share."""

    def __init__(self, requests: list[bytes]) -> None:
        self.left = iter(requests)
        self.statuses: Counter[int] = Counter()
        self.took: list[float] = []


class _Connection(asyncio.Protocol):
    """One keep-alive connection with one request under way."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._receiver = Receiver()
        self._began = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def next(self) -> None:
        """Send the next request, if there is one left."""
        if (request := next(self._run.left, None)) is None:
            self.done.set_result(None)
            self._transport.close()
            return
        self._began = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if (answer := self._receiver.whole(data)) is not None:
            self._run.took.append(time.perf_counter() - self._began)
            self._run.statuses[int(answer[9:12])] += 1
            self.next()

    def connection_lost(self, _exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionError("the server has closed a connection"))


def sent(order: Presigned) -> Outcome:
    """Send them all from a process of its own, and return what became of it."""
    program = [sys.executable, "-m", "tests.benchmarks.presigned"]
    done = subprocess.run(program, input=msgspec.json.encode(order), stdout=subprocess.PIPE, check=True)
    return msgspec.json.decode(done.stdout, type=Outcome)


async def send(order: Presigned) -> Outcome:
    """Send them all."""
    loop, run = asyncio.get_running_loop(), _Run(order.requests)
    opened = [
        await loop.create_connection(lambda: _Connection(run), "127.0.0.1", order.port)
        for _ in range(order.connections)
    ]
    began = time.perf_counter()
    for _, connection in opened:
        connection.next()
    await asyncio.gather(*(connection.done for _, connection in opened))
    elapsed_s, took = time.perf_counter() - began, sorted(run.took)
    mean_ms, p95_ms = sum(took) / len(took) * 1e3, took[int(len(took) * 0.95)] * 1e3
    return Outcome(elapsed_s, dict(run.statuses), mean_ms, p95_ms, time.process_time())


if __name__ == "__main__":
    given = msgspec.json.decode(sys.stdin.buffer.read(), type=Presigned)
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(send(given))))
