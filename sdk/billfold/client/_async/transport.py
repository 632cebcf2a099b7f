"""The asynchronous transport on httpx. Both modes' transports are written by hand."""

import asyncio
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from billfold import errors
from billfold.client import _forking as forking
from billfold.client._message import Request, Response
from billfold.client._pooled import MAX_CONNECTIONS, MAX_RESPONSE_BYTES, Pooled, ended, to_httpx, too_large, translated

if TYPE_CHECKING:
    import httpx

__all__ = ["AsyncHttpxTransport"]


class AsyncHttpxTransport(Pooled):
    """Carries requests over a pool of connections that the tasks of an event loop share; each loop has its own.

    Args:
        app: An ASGI application to call instead of the network.
        proxy: Address of an HTTP proxy. Without it, ``HTTPS_PROXY``, ``HTTP_PROXY`` and ``NO_PROXY`` are heeded, but
            for servers on this machine.
        verify: How the server's certificate is checked, and which client certificate is shown.
        max_connections: How many connections are open at a time at most.
    """

    def __init__(
        self,
        *,
        app: Any = None,
        proxy: str | None = None,
        verify: ssl.SSLContext | Callable[[], ssl.SSLContext] | None = None,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        super().__init__(proxy=proxy, verify=verify, max_connections=max_connections)
        self._app = app
        self._pools: dict[asyncio.AbstractEventLoop, httpx.AsyncBaseTransport] = {}
        forking.watch(self)

    async def send(self, request: Request) -> Response:
        """Send a request and return the whole answer."""
        import httpx  # noqa: PLC0415

        # Connections belong to a loop. A program may run one after the other, or several at once in its threads.
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop) or self._open(loop, request.url)
        try:
            async with asyncio.timeout(request.total_s):
                response = await pool.handle_async_request(to_httpx(request))
                try:
                    body = await self._read(response)
                finally:
                    await response.aclose()
        except TimeoutError as error:
            raise errors.TimedOut("the answer wasn't complete in time") from error
        except httpx.TransportError as error:
            raise translated(error) from error
        except ssl.SSLError as error:
            raise ended() from error
        except httpx.DecodingError as error:
            raise errors.MalformedAnswer("the answer's content coding is broken") from error
        return Response(response.status_code, response.headers, body)

    async def _read(self, response: "httpx.Response") -> bytes:
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.aiter_bytes():
            size += len(chunk)
            if size > MAX_RESPONSE_BYTES:
                raise too_large()
            chunks.append(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _open(self, loop: asyncio.AbstractEventLoop, url: str) -> "httpx.AsyncBaseTransport":
        import httpx  # noqa: PLC0415

        pool = (
            httpx.AsyncHTTPTransport(**self._options(url))
            if self._app is None
            else httpx.ASGITransport(self._app, raise_app_exceptions=False)
        )
        self._forget_closed()
        self._pools[loop] = pool
        return pool

    def _forget_closed(self) -> None:
        """Let go of the pools of loops that are over; a program that runs many would keep them all."""
        for loop in [each for each in list(self._pools) if each.is_closed()]:
            self._pools.pop(loop, None)

    async def aclose(self) -> None:
        """Close all connections of the running loop. The next request opens new ones."""
        self._forget_closed()
        pool = self._pools.pop(asyncio.get_running_loop(), None)
        if pool is not None:
            await pool.aclose()

    def after_fork(self) -> None:
        """Forget the pools, whose connections belong to the parent process."""
        self._pools = {}
