"""Sends requests that are ready, each once, on connections that stay open; a program that reads ``Presigned``."""

import asyncio
import sys
import time
from collections import Counter

import msgspec
import uvloop

__all__ = ["Outcome", "Presigned"]


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
    """

    elapsed_s: float
    statuses: dict[int, int]
    mean_ms: float
    p95_ms: float


async def send(order: Presigned) -> Outcome:
    """Send them all."""
    statuses: Counter[int] = Counter()
    took: list[float] = []
    left = iter(order.requests)

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", order.port)
        for request in left:
            began = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
            took.append(time.perf_counter() - began)
            statuses[int(head[9:12])] += 1
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(connection() for _ in range(order.connections)))
    elapsed_s = time.perf_counter() - began
    took.sort()
    return Outcome(elapsed_s, dict(statuses), sum(took) / len(took) * 1e3, took[int(len(took) * 0.95)] * 1e3)


if __name__ == "__main__":
    sent = msgspec.json.decode(sys.stdin.buffer.read(), type=Presigned)
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(send(sent))))
