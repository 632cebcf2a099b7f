"""What is known of a request while it is on its way through the server."""

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from billfold import errors

if TYPE_CHECKING:
    from billfold_server.http.routing import Operation
    from billfold_server.tenancy.context import TenantRef

__all__ = ["RequestContext", "context_of"]

_KEY = "billfold.request"


@dataclass(slots=True, kw_only=True)
class RequestContext:
    """One request, for those who handle, log and count it.

    Attributes:
        request_id: ``req_…``, or what the caller chose.
        path: The path below the tenant's base, as the caller sent it.
        peer: The address from which it came, as far as trusted proxies tell.
        host: The host and port that it was sent to.
        client_request_id: What a stranger would like it to be called; goes into the log, nowhere else.
        base_url: The canonical base URL of the tenant or of the platform.
        tenant: The tenant that the address names.
        operation: What the router found.
        client: How logs name the authenticated caller.
        problem: What was refused.
        rate_limit: Headers that tell the caller how much it may still ask.
    """

    request_id: str
    path: str
    peer: str = ""
    host: str = ""
    client_request_id: str | None = None
    base_url: str = ""
    tenant: "TenantRef | None" = None
    operation: "Operation | None" = None
    client: str | None = None
    problem: errors.ProblemError | None = None
    rate_limit: dict[str, str] | None = None

    def attach(self, scope: MutableMapping[str, Any]) -> None:
        """Put the context into the connection's scope."""
        scope.setdefault("state", {})[_KEY] = self


def context_of(scope: Any) -> RequestContext:
    """Return the context that the edge attached to the connection's scope."""
    context = scope["state"][_KEY]
    assert isinstance(context, RequestContext)
    return context
