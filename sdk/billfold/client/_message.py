"""What passes between the client and a transport: a request, a response, and the two protocols of transports."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

__all__ = ["AsyncTransport", "Hooks", "Request", "Response", "Transport"]


class Request:
    """One HTTP request, whole.

    Attributes:
        method: ``GET``, ``POST``, ``PATCH`` or ``DELETE``.
        url: Absolute.
        headers: By name in lower case.
        body: As it goes over the wire, or None.
        connect_s: How long making a connection may take.
        read_s: How long the server may stay silent.
        total_s: How long the whole exchange may take.
    """

    __slots__ = ("body", "connect_s", "headers", "method", "read_s", "total_s", "url")

    def __init__(
        self,
        method: str,
        url: str,
        *,
        headers: dict[str, str],
        body: bytes | None,
        connect_s: float,
        read_s: float,
        total_s: float,
    ) -> None:
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.connect_s = connect_s
        self.read_s = read_s
        self.total_s = total_s

    def __repr__(self) -> str:
        # Neither secrets nor what a body holds belong in a log.
        return f"Request({self.method} {self.url})"


class Response:
    """One HTTP response, whole.

    Attributes:
        status: The status code.
        headers: By name; looked up in lower case, so a plain dictionary needs names in lower case.
        body: Decoded from its transfer and content codings.
    """

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def __repr__(self) -> str:
        return f"Response({self.status}, {len(self.body)} bytes)"


class Transport(Protocol):
    """Carries requests for ``Billfold``. The one place to plug another HTTP library, a proxy or a recording.

    It follows no redirects, since a redirect would carry the access token elsewhere, and it never retries.
    """

    def send(self, request: Request) -> Response:
        """Send a request and return the whole answer, whatever its status.

        Raises:
            billfold.errors.TransportError: No whole answer came; ``sent=False`` where it is certain that the request
                never reached the server.
        """
        ...

    def close(self) -> None:
        """Give back connections."""
        ...


class AsyncTransport(Protocol):
    """Carries requests for ``AsyncBillfold``; the same as ``Transport``, awaited."""

    async def send(self, request: Request) -> Response:
        """Send a request and return the whole answer, whatever its status.

        Raises:
            billfold.errors.TransportError: No whole answer came; ``sent=False`` where it is certain that the request
                never reached the server.
        """
        ...

    async def aclose(self) -> None:
        """Give back connections."""
        ...


class Hooks:
    """Functions to call around every exchange, each retry included.

    They never see a secret: the access token is added after the one and taken away before the other, and what goes to
    the token endpoint isn't shown at all.

    Args:
        on_request: Called before a request is sent. It may add headers, for example of a trace.
        on_response: Called with every response, and how many seconds it took.
    """

    __slots__ = ("on_request", "on_response")

    def __init__(
        self,
        *,
        on_request: Callable[[Request], Any] | None = None,
        on_response: Callable[[Request, Response, float], Any] | None = None,
    ) -> None:
        self.on_request = on_request
        self.on_response = on_response
