"""How a connection becomes requests: uvicorn's protocol, with bounds on what comes before a request is one.

Between the first byte and the end of the headers nothing of ours runs, and the parser takes whatever comes, for as long
as it comes: a header without end fills the memory, and costs the square of its length; a header that comes byte by byte
keeps its connection for ever. Nobody needs a token for that.
"""

import asyncio
from http import HTTPStatus
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

__all__ = ["HEADERS_LIMIT", "HEAD_LIMIT_BYTES", "HEAD_PATIENCE_S", "BoundedProtocol"]

HEAD_LIMIT_BYTES: Final = 32 * 1024
"""How long request line and headers may be together; what proxies and browsers take, too."""

HEADERS_LIMIT: Final = 100
"""How many headers there may be."""

HEAD_PATIENCE_S: Final = 20.0
"""How long a request's head may take, from the connection or from its first byte on."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    patience_s: float = HEAD_PATIENCE_S

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_body = False
        self._heads = self._head_bytes = 0
        self._too_large = self._refused = False
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read what has come, and refuse a head that is too long.

        What comes in one read with the end of a head or a body before isn't counted, so the bound is kept to within
        that one read.
        """
        if self._refused:
            return
        in_head, heads = not self._in_body, self._heads
        if in_head:
            self._wait()
        super().data_received(data)
        if in_head and heads == self._heads:
            self._head_bytes += len(data)
        if self._too_large or self._head_bytes > HEAD_LIMIT_BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_headers_complete(self) -> None:
        """Take the request, if its head is within bounds."""
        self._stop_waiting()
        self._in_body, self._head_bytes, self._heads = True, 0, self._heads + 1
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if len(self.headers) > HEADERS_LIMIT or size > HEAD_LIMIT_BYTES:
            self._too_large = True
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        if not self._too_large:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Note that what comes next is another request's head."""
        self._in_body = False
        if not self._too_large:
            super().on_message_complete()

    def _wait(self) -> None:
        if self._patience is None:
            self._patience = self.loop.call_later(self.patience_s, self._lose_patience)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _lose_patience(self) -> None:
        self._patience = None
        if self._answering():
            # The head of a next request may have to wait for that.
            self._wait()
        else:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)

    def _answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _refuse(self, status: HTTPStatus) -> None:
        """Say why, unless that would end up in the middle of another answer, and close."""
        self._refused = True
        self._stop_waiting()
        if self.transport.is_closing():
            return
        if not self._answering():
            line = f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            self.transport.write(line.encode())
        self.transport.close()
