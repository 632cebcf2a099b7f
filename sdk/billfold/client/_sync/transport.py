"""The synchronous transport on httpx. Both modes' transports are written by hand."""

import ssl
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from billfold import errors
from billfold.client import _forking as forking
from billfold.client._message import Request, Response
from billfold.client._pooled import MAX_CONNECTIONS, MAX_RESPONSE_BYTES, Pooled, ended, to_httpx, too_large, translated

if TYPE_CHECKING:
    import httpx

__all__ = ["HttpxTransport"]


class HttpxTransport(Pooled):
    """Carries requests over a pool of connections that threads share, and that a forked process makes anew."""

    def __init__(
        self,
        *,
        proxy: str | None = None,
        verify: ssl.SSLContext | Callable[[], ssl.SSLContext] | None = None,
        max_connections: int = MAX_CONNECTIONS,
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
            response = pool.handle_request(to_httpx(request))
            try:
                body = self._read(response, deadline)
            finally:
                response.close()
        except httpx.TransportError as error:
            raise translated(error) from error
        except ssl.SSLError as error:
            raise ended() from error
        except httpx.DecodingError as error:
            raise errors.MalformedAnswer("the answer's content coding is broken") from error
        return Response(response.status_code, response.headers, body)

    def _read(self, response: "httpx.Response", deadline: float) -> bytes:
        chunks: list[bytes] = []
        size = 0
        for chunk in response.iter_bytes():
            size += len(chunk)
            if size > MAX_RESPONSE_BYTES:
                raise too_large()
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
