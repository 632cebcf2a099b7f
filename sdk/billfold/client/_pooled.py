"""What both transports that come with Billfold share: how httpx is used, and what its errors mean.

They use httpx's transports and not its clients: what a client adds (redirects, cookies, authentication, a log line with
the whole address) is either unwanted here or done by our own core. httpx is imported when the first request is sent, so
that importing Billfold stays cheap.
"""

import socket
import ssl
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from billfold import errors
from billfold.client._message import Request

if TYPE_CHECKING:
    import httpx

__all__ = ["LATE", "MAX_CONNECTIONS", "MAX_RESPONSE_BYTES", "Pooled", "ended", "to_httpx", "too_large", "translated"]

MAX_RESPONSE_BYTES: Final = 64 * 1024 * 1024
"""More than any answer of Billfold has; what is larger comes from something else and shall not fill the memory."""

LATE: Final = "the time was over before what another call is waiting for, such as an access token, had come"

MAX_CONNECTIONS: Final = 100
_KEEPALIVE_S: Final = 30.0
_PROXY_SCHEMES: Final = ("http://", "https://", "socks5://", "socks5h://")

_PLAIN: Final = frozenset({"HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE", "WRONG_VERSION_NUMBER"})
"""What OpenSSL says of an answer in clear text, by its version."""

_NO_TLS: Final = "the server speaks no TLS at this port; is its address http:// in place of https://?"
_UNTRUSTED: Final = (
    "the server's certificate is not trusted; name the PEM file of its authority in SSL_CERT_FILE, to the SDK by "
    "HttpxTransport(verify=ssl.create_default_context(cafile=...)) or ClientCertificate(ca=...), "
    "or to the command line by billfold login --ca"
)
_OF_CERTIFICATES: Final = {
    9: "the server's certificate is not valid yet, or this machine's clock is wrong",
    10: "the server's certificate has expired, or this machine's clock is wrong",
    62: "the server's certificate is for another host",
    64: "the server's certificate is for another address",
}
"""What is wrong with a certificate by OpenSSL's ``X509_V_ERR_…``; with any other number it isn't trusted."""


class Pooled:
    """What both transports need to make a pool of connections.

    Args:
        proxy: Address of an HTTP proxy. Without it, ``HTTPS_PROXY``, ``HTTP_PROXY`` and ``NO_PROXY`` are heeded, but
            for servers on this machine.
        verify: How the server's certificate is checked, and which client certificate is shown, or what makes
            that for each pool; the default trusts what httpx trusts.
        max_connections: How many connections are open at a time at most.
    """

    def __init__(
        self,
        *,
        proxy: str | None = None,
        verify: ssl.SSLContext | Callable[[], ssl.SSLContext] | None = None,
        max_connections: int = MAX_CONNECTIONS,
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
        if callable(verify):
            verify = verify()
        proxy = self._proxy or _proxy_from_environment(url)
        return {"limits": limits, "verify": verify, "proxy": _proxy(proxy) if proxy else None}


def _proxy(address: str) -> str:
    """Return a proxy's address with its scheme; many write host and port alone, as curl takes it.

    Raises:
        ValueError: It is of another scheme. The address isn't told, since it may hold a password.
    """
    if "://" not in address:
        return f"http://{address}"
    if not address.lower().startswith(_PROXY_SCHEMES):
        raise ValueError("a proxy's address begins with http://, https:// or socks5://")
    return address


def _proxy_from_environment(url: str) -> str | None:
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415  # Only needed once per pool, and slow to import.

    parts = urlsplit(url)
    host = parts.hostname or ""
    # Another machine's proxy couldn't reach this one by such an address; who means it names it by ``proxy``.
    if _is_loopback(host) or proxy_bypass(host):
        return None
    proxies = getproxies()
    return proxies.get(parts.scheme) or proxies.get("all")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def to_httpx(request: Request) -> "httpx.Request":
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


def translated(error: "httpx.TransportError") -> errors.TransportError:
    """Return our error for httpx's. Only the name is told on, since a message may hold an address with a secret."""
    import httpx  # noqa: PLC0415

    name = type(error).__name__
    if isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout):
        return errors.TimedOut(f"no connection in time ({name})", sent=False)
    if isinstance(error, httpx.TimeoutException):
        return errors.TimedOut(f"no answer in time ({name})")
    if isinstance(error, httpx.ConnectError | httpx.ProxyError | httpx.UnsupportedProtocol | httpx.LocalProtocolError):
        return errors.ConnectionFailed(f"no connection could be made ({_why(error) or name})", sent=False)
    return errors.ConnectionFailed(f"the connection broke before the answer was complete ({name})")


def _why(error: BaseException) -> str | None:
    """Return why there is no connection, in words of our own: those of the causes hold addresses."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _OF_CERTIFICATES.get(cause.verify_code, _UNTRUSTED)
        if isinstance(cause, ssl.SSLError):
            return (
                _NO_TLS
                if cause.reason in _PLAIN
                else f"no TLS could be agreed on: {cause.reason or type(cause).__name__}"
            )
        if isinstance(cause, socket.gaierror):
            return "the host's name is not known"
        if isinstance(cause, ConnectionRefusedError):
            return "the connection was refused; does a server listen at this port?"
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield what led to an error, down to what the system says: below that may be what our caller handles."""
    following: list[BaseException] = [error]
    while following:
        each = following.pop(0)
        yield each
        # A name with several addresses fails once for each.
        following += each.exceptions if isinstance(each, BaseExceptionGroup) else ()
        below = each.__cause__ or (None if isinstance(each, OSError | BaseExceptionGroup) else each.__context__)
        following += [] if below is None else [below]


def ended() -> errors.ConnectionFailed:
    # With TLS 1.3 a server refuses a client's certificate after the first request has been written, when httpx no
    # longer expects an error of TLS.
    return errors.ConnectionFailed("the server ended the TLS connection, perhaps because of the client's certificate")


def too_large() -> errors.MalformedAnswer:
    return errors.MalformedAnswer(f"the answer is larger than {MAX_RESPONSE_BYTES} bytes")
