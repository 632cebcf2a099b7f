"""A server on the loopback that misbehaves as it is told: it drops, truncates, drips, stays silent or says no.

It speaks raw HTTP/1.1, because no HTTP server can be made to send a broken answer. It runs in a thread with an event
loop of its own, so that both modes of the client can talk to it.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

Behaviour = Callable[[asyncio.StreamWriter], Awaitable[None]]


def whole(status: int, body: bytes = b"", **headers: str) -> bytes:
    """Return an answer as it goes over the wire."""
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}", "content-type: application/json"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def says(status: int, body: bytes = b"", **headers: str) -> Behaviour:
    """Answer as a server should."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write(whole(status, body, **headers))
        await writer.drain()

    return behave


async def drops(writer: asyncio.StreamWriter) -> None:
    """Close the connection without a word."""
    writer.close()


async def truncates(writer: asyncio.StreamWriter) -> None:
    """Announce more than comes."""
    writer.write(whole(200, b'{"slug":"sandbox","name":')[:-5])
    writer.close()


async def is_silent(writer: asyncio.StreamWriter) -> None:
    """Take the request and say nothing, even once the client has gone, until the server ends."""
    await writer.wait_closed()


async def drips(writer: asyncio.StreamWriter) -> None:
    """Send a byte every few milliseconds, for ever."""
    writer.write(b"HTTP/1.1 200 X\r\ncontent-length: 1000000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.005)


async def floods(writer: asyncio.StreamWriter) -> None:
    """Send without end, as fast as it is taken."""
    writer.write(b"HTTP/1.1 200 X\r\n\r\n")
    while not writer.is_closing():
        writer.write(b" " * 1_000_000)
        await writer.drain()


async def babbles(writer: asyncio.StreamWriter) -> None:
    """Speak something that isn't HTTP."""
    writer.write(b"220 mail.example.com ESMTP\r\n")
    writer.close()


@dataclass
class Server:
    """What the server is to do, and what it has seen.

    Attributes:
        base_url: Where it listens.
        behaviours: What to do with each request in turn; the last is for all that follow.
        requests: The request lines, without those for tokens.
        headers: The headers of these, by lower-case name.
        bodies: The bodies of these.
        tokens: How many token requests came.
        connections: How many connections were made.
        token_behaviours: What to do with token requests before they are answered as they should.
        tasks: One for each connection that is served. A loop holds its tasks weakly, and nothing else holds one that
            waits for its own connection once the client has gone: the garbage collector would end it.
    """

    base_url: str = ""
    behaviours: list[Behaviour] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    tokens: int = 0
    connections: int = 0
    token_behaviours: list[Behaviour] = field(default_factory=list)
    tasks: set[asyncio.Task[None] | None] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until either side closes it."""
        self.connections += 1
        self.tasks.add(asyncio.current_task())
        try:
            while not writer.is_closing():
                await self._behaviour(*await _read(reader))(writer)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass  # The client has gone, or the test is over.
        finally:
            writer.close()
            self.tasks.discard(asyncio.current_task())

    def _behaviour(self, line: str, headers: dict[str, str], body: bytes) -> Behaviour:
        if " /t/sandbox/oauth/token " in line:
            self.tokens += 1
            if self.token_behaviours:
                return self.token_behaviours.pop(0)
            return says(
                200, b'{"access_token":"at-%d","token_type":"Bearer","expires_in":600,"scope":"x"}' % self.tokens
            )
        self.requests.append(line)
        self.headers.append(headers)
        self.bodies.append(body)
        return self.behaviours.pop(0) if len(self.behaviours) > 1 else self.behaviours[0]


async def _read(reader: asyncio.StreamReader) -> tuple[str, dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *rest = head.rstrip("\r\n").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in rest)}
    return line, headers, await reader.readexactly(int(headers.get("content-length", "0")))


@contextmanager
def misbehaving(*behaviours: Behaviour) -> Iterator[Server]:
    """Run such a server for a while."""
    server = Server(behaviours=list(behaviours))
    ready = threading.Event()
    loop = asyncio.new_event_loop()

    async def run(stop: asyncio.Event) -> None:
        listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, limit=2**20)
        server.base_url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/t/sandbox"
        ready.set()
        await stop.wait()
        listener.close()
        # A connection that was taken just now has its task a turn of the loop later.
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0)

    stop = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(run(stop),))
    thread.start()
    assert ready.wait(30)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
