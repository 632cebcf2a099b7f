"""The transports that come with Billfold, both on httpx.

They use httpx's transports and not its clients: what a client adds (redirects, cookies, authentication, a log line with
the whole address) is either unwanted here or done by our own core. httpx is imported when the first request is sent, so
that importing Billfold stays cheap.
"""

import asyncio
import ssl
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from billfold import errors
from billfold.client import _forking as forking
from billfold.client._message import Request, Response

if TYPE_CHECKING:
    import httpx

__all__ = ["AsyncHttpxTransport", "HttpxTransport"]

MAX_RESPONSE_BYTES: Final = 64 * 1024 * 1024
"""More than any answer of Billfold has; what is larger comes from something else and shall not fill the memory."""

_MAX_CONNECTIONS: Final = 100
_KEEPALIVE_S: Final = 30.0


class _Pooled:
    """What both transports need to make a pool of connections.

    Args:
        proxy: Address of an HTTP proxy. Without it, ``HTTPS_PROXY``, ``HTTP_PROXY`` and ``NO_PROXY`` are heeded.
        verify: How the server's certificate is checked, and which client certificate is shown; the default trusts
            what httpx trusts.
        max_connections: How many connections are open at a time at most.
    """

    def __init__(
        self,
        *,
        proxy: str | None = None,
        verify: ssl.SSLContext | None = None,
        max_connections: int = _MAX_CONNECTIONS,
    ) -> None:
        self._proxy = proxy
        self._verify = verify
        self._max_connections = max_connections

    def _options(self, url: str) -> dict[str, Any]:
        import httpx  # noqa: PLC0415  # It takes longer to import than the rest of the SDK together.

        limits = httpx.Limits(
            max_connections=self._max_connections,
            max_keepalive_connections=self._max_connections,
            keepalive_expiry=_KEEPALIVE_S,
        )
        verify: Any = True if self._verify is None else self._verify
        return {"limits": limits, "verify": verify, "proxy": self._proxy or _proxy_from_environment(url)}


def _proxy_from_environment(url: str) -> str | None:
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415  # Only needed once per pool, and slow to import.

    parts = urlsplit(url)
    if proxy_bypass(parts.hostname or ""):
        return None
    proxies = getproxies()
    return proxies.get(parts.scheme) or proxies.get("all")


def _to_httpx(request: Request) -> "httpx.Request":
    import httpx  # noqa: PLC0415

    timeout = {
        "connect": request.connect_s,
        "pool": request.connect_s,
        "read": request.read_s,
        "write": request.read_s,
    }
    return httpx.Request(
        request.method,
        request.url,
        headers=request.headers,
        content=request.body,
        extensions={"timeout": timeout},
    )


def _translated(error: "httpx.TransportError") -> errors.TransportError:
    """Return our error for httpx's. Only the name is told on, since a message may hold an address with a secret."""
    import httpx  # noqa: PLC0415

    name = type(error).__name__
    if isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout):
        return errors.TimedOut(f"no connection in time ({name})", sent=False)
    if isinstance(error, httpx.TimeoutException):
        return errors.TimedOut(f"no answer in time ({name})")
    if isinstance(error, httpx.ConnectError | httpx.ProxyError | httpx.UnsupportedProtocol | httpx.LocalProtocolError):
        return errors.ConnectionFailed(f"no connection could be made ({name})", sent=False)
    return errors.ConnectionFailed(f"the connection broke before the answer was complete ({name})")


def _too_large() -> errors.MalformedAnswer:
    return errors.MalformedAnswer(f"the answer is larger than {MAX_RESPONSE_BYTES} bytes")


class HttpxTransport(_Pooled):
    """Carries requests over a pool of connections that threads share, and that a forked process makes anew."""

    def __init__(
        self,
        *,
        proxy: str | None = None,
        verify: ssl.SSLContext | None = None,
        max_connections: int = _MAX_CONNECTIONS,
    ) -> None:
        super().__init__(proxy=proxy, verify=verify, max_connections=max_connections)
        self._lock = threading.Lock()
        self._pool: httpx.HTTPTransport | None = None
        forking.watch(self)

    def send(self, request: Request) -> Response:
        """Send a request and return the whole answer."""
        import httpx  # noqa: PLC0415

        deadline = time.monotonic() + request.total_s
        pool = self._pool or self._open(request.url)
        try:
            response = pool.handle_request(_to_httpx(request))
            try:
                body = self._read(response, deadline)
            finally:
                response.close()
        except httpx.TransportError as error:
            raise _translated(error) from error
        except httpx.DecodingError as error:
            raise errors.MalformedAnswer("the answer's content coding is broken") from error
        return Response(response.status_code, response.headers, body)

    def _read(self, response: "httpx.Response", deadline: float) -> bytes:
        chunks: list[bytes] = []
        size = 0
        for chunk in response.iter_bytes():
            size += len(chunk)
            if size > MAX_RESPONSE_BYTES:
                raise _too_large()
            # httpx limits each silence, but not their sum: an answer that drips has to be ended from here.
            if time.monotonic() > deadline:
                raise errors.TimedOut("the answer wasn't complete in time")
            chunks.append(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _open(self, url: str) -> "httpx.HTTPTransport":
        import httpx  # noqa: PLC0415

        with self._lock:
            if self._pool is None:
                self._pool = httpx.HTTPTransport(**self._options(url))
            return self._pool

    def close(self) -> None:
        """Close all connections. The next request opens new ones."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def after_fork(self) -> None:
        """Forget the pool, whose connections belong to the parent process."""
        self._lock = threading.Lock()
        self._pool = None


class AsyncHttpxTransport(_Pooled):
    """Carries requests over a pool of connections that the tasks of one event loop share.

    Args:
        app: An ASGI application to call instead of the network.
        proxy: Address of an HTTP proxy. Without it, ``HTTPS_PROXY``, ``HTTP_PROXY`` and ``NO_PROXY`` are heeded.
        verify: How the server's certificate is checked, and which client certificate is shown.
        max_connections: How many connections are open at a time at most.
    """

    def __init__(
        self,
        *,
        app: Any = None,
        proxy: str | None = None,
        verify: ssl.SSLContext | None = None,
        max_connections: int = _MAX_CONNECTIONS,
    ) -> None:
        super().__init__(proxy=proxy, verify=verify, max_connections=max_connections)
        self._app = app
        self._pool: httpx.AsyncBaseTransport | None = None
        self._loop: weakref.ref[asyncio.AbstractEventLoop] | None = None
        forking.watch(self)

    async def send(self, request: Request) -> Response:
        """Send a request and return the whole answer."""
        import httpx  # noqa: PLC0415

        pool = self._pool
        # Connections belong to a loop. A program that runs one loop after the other gets new ones for each.
        if pool is None or self._loop is None or self._loop() is not asyncio.get_running_loop():
            pool = self._open(request.url)
        try:
            async with asyncio.timeout(request.total_s):
                response = await pool.handle_async_request(_to_httpx(request))
                try:
                    body = await self._read(response)
                finally:
                    await response.aclose()
        except TimeoutError as error:
            raise errors.TimedOut("the answer wasn't complete in time") from error
        except httpx.TransportError as error:
            raise _translated(error) from error
        except httpx.DecodingError as error:
            raise errors.MalformedAnswer("the answer's content coding is broken") from error
        return Response(response.status_code, response.headers, body)

    async def _read(self, response: "httpx.Response") -> bytes:
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.aiter_bytes():
            size += len(chunk)
            if size > MAX_RESPONSE_BYTES:
                raise _too_large()
            chunks.append(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _open(self, url: str) -> "httpx.AsyncBaseTransport":
        import httpx  # noqa: PLC0415

        self._loop = weakref.ref(asyncio.get_running_loop())
        self._pool = (
            httpx.AsyncHTTPTransport(**self._options(url))
            if self._app is None
            else httpx.ASGITransport(self._app, raise_app_exceptions=False)
        )
        return self._pool

    async def aclose(self) -> None:
        """Close all connections. The next request opens new ones."""
        pool, self._pool = self._pool, None
        if pool is not None and self._loop is not None and self._loop() is asyncio.get_running_loop():
            await pool.aclose()

    def after_fork(self) -> None:
        """Forget the pool, whose connections belong to the parent process."""
        self._pool = None
