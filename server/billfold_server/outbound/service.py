"""Sends requests to endpoints of strangers, so that neither we nor others come to harm by it.

A request goes to an address that was resolved and judged just before, over a connection of its own to that very number;
the name is only what TLS and ``Host`` say. So a name that leads elsewhere a moment later changes nothing. Redirects
aren't followed, nothing is taken from the environment, an answer is read up to a few kilobytes and as it came, and
the whole takes a bounded time, however slowly it drips; and little of ours, however fast it floods.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import ip_address
from typing import Any, Final, Self
from uuid import UUID
from weakref import WeakValueDictionary

import httpcore
import msgspec
import structlog

from billfold_server.http.context import trace_headers
from billfold_server.outbound.answers import Answer, Cause, Failure
from billfold_server.outbound.retrying import send_again_at
from billfold_server.outbound.rules import (
    AT_ONCE,
    Address,
    Policy,
    Reason,
    Target,
    UrlRefused,
    judge,
    read_url,
)
from billfold_server.outbound.sending import RETRIES, Sending
from billfold_server.tenancy.context import TenantRef

__all__ = [
    "RETRIES",
    "Answer",
    "Cause",
    "Failure",
    "Outbound",
    "Policy",
    "Reason",
    "Resolve",
    "Sending",
    "UrlRefused",
    "send_again_at",
]

log = structlog.get_logger(__name__)

Resolve = Callable[[str, int], Sequence[Address]]
"""Looks a name up, in a thread; raises OSError."""

TIMEOUT_S: Final = 15.0
_CONNECT_S: Final = 5.0
_BODY_S: Final = 2.0
_BODY_BYTES: Final = 16 * 1024
_ANSWER_BYTES: Final = 64 * 1024
_AT_A_TIME_BYTES: Final = 8 * 1024
_LOOKUPS: Final = 32
_LOOKUPS_AT_ONCE: Final = 4
_TRIED: Final = 3
_AGENT: Final = "Billfold"


class _Unresolved(Exception):
    """A name leads nowhere."""


def resolve(host: str, port: int) -> Sequence[Address]:
    """Return what a name leads to, as the machine's resolver says.

    Raises:
        OSError: It leads nowhere.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    # A scope (`fe80::1%eth0`) stays in the text, so that what has one is refused.
    return [ip_address(str(each[4][0])) for each in found]


class Outbound:
    """Calls endpoints, for all tenants of one process.

    Args:
        production: Whether the deployment serves real money; if so, no tenant may call this machine.
        trust: By what certificates are judged; the machine's authorities, unless a test has one of its own.
        resolve: Looks names up.
    """

    def __init__(
        self, *, production: bool = False, trust: ssl.SSLContext | None = None, resolve: Resolve = resolve
    ) -> None:
        self._production = production
        self._trust = trust
        self._resolve = resolve
        # Lookups that hang, because a name's owner wants it so, have threads of their own to hang in.
        self._lookups = ThreadPoolExecutor(_LOOKUPS, thread_name_prefix="lookups")
        self._looking: dict[tuple[UUID, str, int], asyncio.Future[Sequence[Address]]] = {}
        self._places: WeakValueDictionary[tuple[object, ...], asyncio.Semaphore] = WeakValueDictionary()

    def close(self) -> None:
        """Let go of the threads."""
        self._lookups.shutdown(wait=False, cancel_futures=True)

    def policy(self, tenant: TenantRef) -> Policy:
        """Return where a tenant's requests may go."""
        egress = tenant.manifest.egress
        here = egress.loopback and tenant.manifest.sandbox and not self._production
        return Policy(hosts=tuple(egress.hosts), loopback=here)

    def check(self, tenant: TenantRef, url: str) -> None:
        """Let pass an address that somebody registers. What its name leads to is judged when it is called.

        Raises:
            UrlRefused: It could never be called.
        """
        read_url(url, self.policy(tenant))

    async def post(
        self,
        tenant: TenantRef,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes,
        timeout_s: float = TIMEOUT_S,
        lane: UUID | None = None,
    ) -> Answer | Failure:
        """Send a request, and return what came of it; no more than a few go to one endpoint at once.

        Args:
            tenant: In whose name.
            url: Where to.
            headers: What is said beside the body.
            body: What is said.
            timeout_s: How long the whole may take, once it is its turn.
            lane: With what it waits for its turn, where that isn't all that goes to the same host and port: two of
                whom one is slow may well be at one host.
        """
        try:
            target = read_url(url, self.policy(tenant))
        except UrlRefused as refused:
            return Failure(cause="refused", took_s=0.0, reason=refused.reason)
        place = (target.host, target.port) if lane is None else (lane,)
        async with self._place(AT_ONCE, tenant.id, *place):
            begun = time.monotonic()
            answer = await self._attempt(tenant, target, headers, body, timeout_s)
        took_s = round(time.monotonic() - begun, 3)
        # The path may be somebody's secret, and so may the name's first label.
        log.debug("outbound", tenant=tenant.slug, result=answer.result, took_s=took_s)
        return msgspec.structs.replace(answer, took_s=took_s)

    def _place(self, number: int, *key: object) -> asyncio.Semaphore:
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = asyncio.Semaphore(number)
        return place

    async def _attempt(
        self, tenant: TenantRef, target: Target, headers: Mapping[str, str], body: bytes, timeout_s: float
    ) -> Answer | Failure:
        cause: Cause
        try:
            async with asyncio.timeout(timeout_s):
                addresses = await self._addresses(tenant, target)
                judge(addresses, self.policy(tenant))
                return await self._exchange(target, addresses, headers, body)
        except UrlRefused as refused:
            return Failure(cause="refused", took_s=0.0, reason=refused.reason)
        except (TimeoutError, httpcore.TimeoutException):
            cause = "timeout"
        except _Unresolved:
            cause = "unresolved"
        except httpcore.ConnectError as error:
            cause = "tls" if _is_tls(error) else "unconnected"
        except httpcore.ProtocolError:
            cause = "protocol"
        except (httpcore.NetworkError, ssl.SSLError, OSError):
            cause = "broken"
        return Failure(cause=cause, took_s=0.0)

    async def _addresses(self, tenant: TenantRef, target: Target) -> Sequence[Address]:
        """Return what a target's name leads to now.

        Raises:
            _Unresolved: It leads nowhere.
        """
        if target.literal is not None:
            return [target.literal]
        try:
            return await asyncio.shield(await self._lookup(tenant, target))
        except (OSError, UnicodeError, ValueError):
            raise _Unresolved from None

    async def _lookup(self, tenant: TenantRef, target: Target) -> "asyncio.Future[Sequence[Address]]":
        """Return the lookup of a name, which all share who want to know of it at once.

        A tenant has few places for lookups. So a name that isn't answered takes one of them, not those of all the
        names that are.
        """
        key = (tenant.id, target.host, target.port)
        if (under_way := self._looking.get(key)) is not None:
            return under_way
        place = self._place(_LOOKUPS_AT_ONCE, "lookups", tenant.id)
        await place.acquire()
        if (begun_meanwhile := self._looking.get(key)) is not None:
            place.release()
            return begun_meanwhile
        looking = asyncio.get_running_loop().run_in_executor(
            self._lookups, partial(self._resolve, target.host, target.port)
        )
        self._looking[key] = looking

        def leave(ended: "asyncio.Future[Sequence[Address]]") -> None:
            place.release()
            del self._looking[key]
            if not ended.cancelled():
                # Nobody may be waiting for it any more, and then nobody else would have looked at its error.
                ended.exception()

        # A lookup goes on in its thread when nobody waits for it any more, and keeps its place as long.
        looking.add_done_callback(leave)
        return looking

    async def _exchange(
        self, target: Target, addresses: Sequence[Address], headers: Mapping[str, str], body: bytes
    ) -> Answer:
        origin = httpcore.Origin(target.scheme.encode(), target.host.encode(), target.port)
        sockets = _Pinned(addresses[:_TRIED])
        connection = httpcore.AsyncHTTPConnection(
            origin, ssl_context=self._context() if target.scheme == "https" else None, network_backend=sockets
        )
        said = {
            "Host": target.authority,
            "User-Agent": _AGENT,
            "Accept-Encoding": "identity",
            "Connection": "close",
            **trace_headers(),
            **headers,
            "Content-Length": str(len(body)),
        }
        request = httpcore.Request(
            "POST",
            httpcore.URL(scheme=origin.scheme, host=origin.host, port=origin.port, target=target.path.encode()),
            headers=[(name.encode("ascii"), value.encode("ascii")) for name, value in said.items()],
            content=body,
            extensions={"timeout": {"connect": _CONNECT_S}},
        )
        async with sockets, connection:
            response = await connection.handle_async_request(request)
            found = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
            content, whole = await _beginning(response)
            return Answer(status=response.status, headers=found, body=content, whole=whole, took_s=0.0)

    def _context(self) -> ssl.SSLContext:
        if self._trust is None:
            # It reads some hundred certificates, so it is made once, and only where somebody is called.
            self._trust = ssl.create_default_context()
        return self._trust


def _is_tls(error: BaseException) -> bool:
    """Tell whether a connection was there, and only TLS failed on it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError | ssl.CertificateError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


async def _beginning(response: httpcore.Response) -> tuple[bytes, bool]:
    """Return the beginning of an answer's body, and whether it is all; its status counts, however the rest goes."""
    content = bytearray()
    try:
        async with asyncio.timeout(_BODY_S):
            async for chunk in response.aiter_stream():
                content += chunk[: _BODY_BYTES - len(content)]
                if len(content) >= _BODY_BYTES:
                    return bytes(content), False
    except (TimeoutError, httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException):
        return bytes(content), False
    return bytes(content), True


class _Pinned(httpcore.AsyncNetworkBackend):
    """Connects to addresses that were judged, whatever a name leads to by now."""

    def __init__(self, addresses: Sequence[Address]) -> None:
        self._addresses = addresses
        self._backend = httpcore.AnyIOBackend()
        self._opened: list[httpcore.AsyncNetworkStream] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close what was opened: the library forgets a connection whose TLS handshake is cut short."""
        for stream in self._opened:
            await stream.aclose()

    async def connect_tcp(
        self,
        host: str,  # noqa: ARG002 - That it isn't looked up again is what this is for.
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address that takes it."""
        last: Exception = httpcore.ConnectError()
        for address in self._addresses:
            try:
                stream = await self._backend.connect_tcp(
                    str(address), port, timeout, local_address=local_address, socket_options=socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                last = error
            else:
                self._opened.append(stream)
                return _Bounded(stream)
        raise last


class _Bounded(httpcore.AsyncNetworkStream):
    """Reads what a stranger sends, up to a bound, and so little at a time that others have their turns meanwhile.

    There may be any number of interim answers (RFC 9110, section 15.2) before the answer, or of words beside the pieces
    of a body, and each has to be taken apart.
    """

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self._left = _ANSWER_BYTES

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what comes next.

        Raises:
            httpcore.RemoteProtocolError: Too much has come.
        """
        if self._left <= 0:
            raise httpcore.RemoteProtocolError("the answer is too long")
        data = await self._stream.read(min(max_bytes, _AT_A_TIME_BYTES), timeout)
        self._left -= len(data)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write to it."""
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        """Close it."""
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        """Begin TLS, under which as much may come."""
        return _Bounded(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        """Tell about it."""
        return self._stream.get_extra_info(info)
