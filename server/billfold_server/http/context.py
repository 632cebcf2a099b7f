"""What is known of a request while it is on its way through the server."""

from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

import msgspec

from billfold import errors
from billfold_server.http.tracing import Trace, read_trace

if TYPE_CHECKING:
    from uuid import UUID

    from billfold_server.http.receiving import Receiving
    from billfold_server.http.routing import Operation
    from billfold_server.tenancy.context import OneUse, TenantRef

__all__ = ["PLATFORM", "REQUEST", "RequestContext", "context_of", "read_headers", "trace_headers"]

PLATFORM: Final = "/platform"
"""Where all is that is the operators'."""
_KEY = "billfold.request"


class RequestContext(msgspec.Struct, kw_only=True, eq=False):
    """One request, for those who handle, log and count it.

    Attributes:
        request_id: ``req_…``, or what the caller chose.
        path: The path below the tenant's base, as the caller sent it.
        receiving: Receives its body.
        headers: The request's headers by lower-case name; a header that came twice has its values joined by a comma.
        peer: The address from which it came, as far as trusted proxies tell.
        certificate: The client's TLS certificate as DER, where it has shown one that counts. It is proven that the
            client has the private key, not who the client is.
        certificate_verified: Whether the certificate was issued for clients by an authority that the settings name, and
            is valid now. A self-signed one never is.
        client_request_id: What a stranger would like it to be called; goes into the log, nowhere else.
        base_url: The canonical base URL of the tenant or of the platform.
        mount: What stands before the path in the address by which it came: ``/t/{slug}``, nothing at a tenant's own
            host, or ``/platform``.
        tenant: The tenant that the address names.
        operation: What the router found.
        client: How logs name the authenticated caller.
        client_id: The authenticated API client.
        body: What was read of its body.
        problem: What was refused.
        rate_limit: Headers that tell the caller how much it may still ask.
        about: Headers that tell of the operation: by which version it answers, and whether it will end.
        shown: What it has shown that counts once, where nobody had remembered it when it was let in.
        nonce: The nonce that its next DPoP proof should hold, where that is another one (RFC 9449, section 8.2).
    """

    request_id: str
    path: str
    receiving: "Receiving"
    headers: Mapping[str, str] = {}
    peer: str = ""
    certificate: bytes | None = None
    certificate_verified: bool = False
    client_request_id: str | None = None
    base_url: str = ""
    mount: str = ""
    tenant: "TenantRef | None" = None
    operation: "Operation | None" = None
    client: str | None = None
    client_id: "UUID | None" = None
    body: bytes = b""
    problem: errors.ProblemError | None = None
    rate_limit: tuple[tuple[bytes, bytes], ...] = ()
    about: tuple[tuple[bytes, bytes], ...] = ()
    nonce: str | None = None
    shown: "OneUse | None" = None
    _trace: Trace | None = None

    @property
    def trace(self) -> Trace:
        """Return its place in a trace. It is looked for when somebody logs or asks others, which most never do."""
        if self._trace is None:
            self._trace = read_trace(self.headers)
        return self._trace

    @property
    def is_platforms(self) -> bool:
        """Tell whether its address is one of the operators'."""
        return self.mount == PLATFORM

    @property
    def below(self) -> str:
        """Return the path below the mount; that of the operators' addresses is whole in ``path``."""
        return self.path.removeprefix(PLATFORM) if self.is_platforms else self.path

    @property
    def host(self) -> str:
        """Return the host and port that the request was sent to."""
        return self.headers.get("host", "").lower()

    def attach(self, scope: MutableMapping[str, Any]) -> None:
        """Put the context into the connection's scope."""
        scope.setdefault("state", {})[_KEY] = self


REQUEST: Final[ContextVar[RequestContext | None]] = ContextVar("billfold_request", default=None)
"""The request that is being handled, and all that it causes directly."""


def trace_headers() -> Mapping[str, str]:
    """Return what a request to others says of the trace that it belongs to; nothing where no request has caused it."""
    context = REQUEST.get()
    return {} if context is None else context.trace.headers


def context_of(scope: Any) -> RequestContext:
    """Return the context that the edge attached to the connection's scope."""
    context = scope["state"][_KEY]
    assert isinstance(context, RequestContext)
    return context


def read_headers(raw: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return headers by lower-case name; one that came several times has its values joined by commas, in their order.

    Source: RFC 9110, section 5.2.
    """
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in raw}
    if len(headers) < len(raw):
        headers = {}
        for raw_name, raw_value in raw:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
