"""Endpoints of strangers, on loopback: some behave, most don't."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import UUID

from billfold_server.tenancy.context import TenantRef
from tests.tenants import manifest

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Endpoint:
    """A server of somebody else's.

    Attributes:
        port: Where it listens.
        heads: The heads of the requests that it was sent.
        bodies: Their bodies.
        open: How many connections there are now.
        most: How many there were at most at once.
    """

    def __init__(self, behaviour: Behaviour, context: ssl.SSLContext | None = None) -> None:
        self._behaviour = behaviour
        self._context = context
        self.scheme = "http" if context is None else "https"
        self.port = 0
        self.heads: list[str] = []
        self.bodies: list[bytes] = []
        self.open = 0
        self.most = 0

    def url(self, path: str = "/hooks", host: str = "127.0.0.1") -> str:
        """Return its address."""
        return f"{self.scheme}://{host}:{self.port}{path}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            if self._context is not None:
                await writer.start_tls(self._context)
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            self.heads.append(head)
            length = int(head.lower().partition("content-length: ")[2].partition("\r\n")[0] or 0)
            self.bodies.append(await reader.readexactly(length))
            await self._behaviour(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            self.open -= 1
            writer.close()
            try:
                with contextlib.suppress(ConnectionError, TimeoutError, ssl.SSLError):
                    async with asyncio.timeout(0.2):
                        await writer.wait_closed()
            finally:
                writer.transport.abort()

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator["Endpoint"]:
        """Listen until the block ends."""
        tasks: set[asyncio.Task[None]] = set()

        async def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(self._serve(reader, writer))
            tasks.add(task)
            with contextlib.suppress(asyncio.CancelledError):
                await task

        server = await asyncio.start_server(begin, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            # What was broken off is closed when the loop comes by again.
            await asyncio.sleep(0)


def answering(status: str, *headers: str, body: bytes = b"") -> Behaviour:
    """Answer with a status and headers."""

    async def behave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
        writer.write("\r\n".join(lines).encode() + body)
        await writer.drain()

    return behave


def sending(*pieces: bytes, pause_s: float = 0.0) -> Behaviour:
    """Send pieces one after the other, whatever they are."""

    async def behave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)

    return behave


async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Say nothing for as long as the other side stays."""
    await reader.read()


def sandbox(slug: str = "sandbox", *, number: int = 1, **egress: object) -> TenantRef:
    """Return a tenant that may call this machine."""
    said = {"loopback": True, **egress}
    return TenantRef(
        id=UUID(int=number),
        slug=slug,
        schema=f"t_{slug}",
        runtime_role="r",
        owner_role="o",
        state="active",
        manifest=manifest(slug, egress=said),
        revision=1,
    )
