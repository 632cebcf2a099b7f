"""The outermost layer: what every request passes before the router and every answer after it.

Here a request gets its id, its peer and its tenant, and every answer is counted, logged and given the headers that
all answers have. Addresses below ``/t/{slug}`` and at a tenant's own host name are the same to the router: the tenant
is taken off the address before the router sees it.
"""

import asyncio
import ipaddress
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from billfold import errors, ids
from billfold.ids import Prefix
from billfold_server.http.answers import problem_answer
from billfold_server.http.context import RequestContext
from billfold_server.http.metrics import Metrics
from billfold_server.http.peers import origin_of, read_address, within
from billfold_server.http.pipeline import INTERNAL_ROOT
from billfold_server.http.services import Services
from billfold_server.tenancy.context import TenantRef

__all__ = ["Edge"]

_log = structlog.stdlib.get_logger("billfold.http")

_SLUG = re.compile(r"/t/([a-z][a-z0-9_-]{0,38}[a-z0-9])(/.*|)", re.DOTALL)
_INBOUND_ID = re.compile(r"[A-Za-z0-9_.:-]{8,64}")
_HOST = re.compile(r"([a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
_AT_HOST: Final = ("/health/", "/metrics", "/platform/", "/.well-known/oauth-authorization-server")
"""What lives at the host itself, outside of every tenant."""

_INSERTED_METADATA = re.compile(r"/\.well-known/oauth-authorization-server/t/([a-z0-9_-]+)")


class Edge:
    """The ASGI application around the router.

    Args:
        router: The application that it leads to.
        services: Registry and settings.
        metrics: Where answers are counted.
    """

    def __init__(self, router: ASGIApp, services: Services, metrics: Metrics) -> None:
        self._router = router
        self._services = services
        self._metrics = metrics
        self._proxies = [ipaddress.ip_network(each) for each in services.settings.trusted_proxies]
        self._own_host = urlsplit(services.settings.base_url).hostname
        settings = services.settings
        self._in_clear = settings.production and settings.tls_certificate is None and bool(self._proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        kind: str = scope["type"]
        if kind == "http":
            await self._http(scope, receive, send)
        elif kind == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "no such endpoint"})
        else:
            await self._router(scope, receive, send)

    async def _http(self, scope: Any, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        context = self._context(scope)
        receiving = _Receiving(scope, receive)
        answer = _Answering(send, context, receiving, head=scope["method"] == "HEAD")
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=context.request_id)
        self._metrics.in_flight.inc()
        try:
            self._admit(scope)
            await self._route(scope, context, receiving, answer)
        except errors.ProblemError as error:
            context.problem = error
            await self._refuse(error, context, scope, receiving, answer)
        except Exception:  # noqa: BLE001 - nothing may leave here but an answer
            # The last resort: whatever went wrong, the caller gets a problem and the operators a traceback.
            _log.exception("request failed")
            await self._refuse(errors.InternalError(), context, scope, receiving, answer)
        finally:
            self._metrics.in_flight.dec()
            self._account(scope, context, answer, time.perf_counter() - started)

    def _context(self, scope: Any) -> RequestContext:
        connected = scope["client"][0] if scope.get("client") else ""
        peer = read_address(connected)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        behind_proxy = peer is not None and within(peer, self._proxies)
        request_id = ids.new(Prefix.REQUEST)
        inbound = headers.get("x-request-id", "")
        inbound = inbound if _INBOUND_ID.fullmatch(inbound) else ""
        if behind_proxy and inbound:
            # Only who stands before this server may say under which id the logs and the audit know a request.
            request_id, inbound = inbound, ""
        return RequestContext(
            request_id=request_id,
            path=scope["path"],
            peer=connected if peer is None else str(origin_of(peer, _forwarded_for(scope), self._proxies)),
            host=headers.get("host", "").lower(),
            client_request_id=inbound or None,
        )

    def _admit(self, scope: Any) -> None:
        """Refuse what must get no further, whatever it asks for.

        Two hosts may be two tenants, one for the proxy and another for us (RFC 9112, section 3.2). And where a proxy
        ends TLS, whoever comes past it comes in clear text, with tokens that everybody in between can read.

        Raises:
            errors.InvalidRequest: It names several hosts.
            errors.ProxyRequired: It didn't come through the proxy.
        """
        if sum(name == b"host" for name, _ in scope["headers"]) > 1:
            raise errors.InvalidRequest("a request has one Host header", param="Host")
        if self._in_clear and scope.get("client") and not scope["path"].startswith("/health/"):
            peer = read_address(scope["client"][0])
            if peer is None or not (peer.is_loopback or within(peer, self._proxies)):
                raise errors.ProxyRequired

    async def _route(self, scope: Any, context: RequestContext, receive: Receive, send: Send) -> None:
        """Take the tenant off the address, and hand the request to the router."""
        path = await self._take_tenant(scope["path"], context)
        inner = dict(scope, path=path, raw_path=path.encode(), method=_routed_method(scope["method"]))
        inner["state"] = dict(scope.get("state") or {})
        context.attach(inner)
        await self._router(inner, receive, send)  # type: ignore[arg-type]

    async def _take_tenant(self, path: str, context: RequestContext) -> str:
        """Return the router's path, and note the tenant that the address names.

        Raises:
            errors.UnknownTenant: It names none.
            errors.TenantSuspended: It isn't served at the moment.
        """
        base_url = self._services.settings.base_url
        if (inserted := _INSERTED_METADATA.fullmatch(path)) is not None:
            # RFC 8414, section 3.1 puts the well-known part before the issuer's path.
            path = f"/t/{inserted.group(1)}/.well-known/oauth-authorization-server"
        if (below := _SLUG.fullmatch(path)) is not None:
            tenant = await self._services.registry.find(below.group(1))
            context.path = below.group(2) or "/"
        else:
            tenant = await self._tenant_of_host(context.host)
            if tenant is None or path.startswith("/health/"):
                context.base_url = f"{base_url}/platform" if path.startswith("/platform/") else base_url
                if path.startswith(_AT_HOST):
                    return path
                if path.startswith("/t/"):
                    raise errors.UnknownTenant
                raise errors.NotFound("there is nothing at this address; a tenant's base is /t/{slug}")
        if tenant is None:
            raise errors.UnknownTenant
        return self._enter(tenant, base_url, context)

    def _enter(self, tenant: TenantRef, base_url: str, context: RequestContext) -> str:
        context.tenant = tenant
        context.base_url = f"{base_url}/t/{tenant.slug}"
        structlog.contextvars.bind_contextvars(tenant=tenant.slug)
        if tenant.state == "suspended":
            raise errors.TenantSuspended
        if tenant.state != "active":
            raise errors.UnknownTenant
        return INTERNAL_ROOT + context.path

    async def _tenant_of_host(self, host: str) -> TenantRef | None:
        match = _HOST.fullmatch(host)
        # The deployment's own host is no tenant's, whatever a manifest says: the operators would be locked out.
        if match is None or match.group(1) == self._own_host:
            return None
        return await self._services.registry.find_by_host(match.group(1))

    async def _refuse(
        self, error: errors.ProblemError, context: RequestContext, scope: Scope, receive: Receive, answer: "_Answering"
    ) -> None:
        if not answer.started:
            await problem_answer(error, context.request_id)(scope, receive, answer)

    def _account(self, scope: Any, context: RequestContext, answer: "_Answering", took_s: float) -> None:
        operation = context.operation
        route = operation.path if operation is not None else "unmatched"
        self._metrics.observe(
            scope["method"], route, answer.status, took_s, context.problem.code if context.problem is not None else None
        )
        quiet = route.startswith(("/health", "/metrics"))
        # The query string may hold names and references of people, so the log keeps the path alone.
        facts = {
            "method": scope["method"],
            "path": scope["path"][:300],
            "operation": operation.operation_id if operation is not None else None,
            "status": answer.status,
            "took_ms": round(took_s * 1000, 2),
            "client": context.client,
            "peer": context.peer,
            "client_request_id": context.client_request_id,
            "code": context.problem.code if context.problem is not None else None,
        }
        log = _log.debug if quiet else _log.info
        log("request", **{name: value for name, value in facts.items() if value is not None})


def _forwarded_for(scope: Any) -> str:
    """Return all that proxies have said of where a request came from; each may have added a header of its own."""
    return ",".join(value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for")


def _routed_method(method: str) -> str:
    """Return the method that the router looks for: HEAD is GET without the body (RFC 9110, section 9.3.2)."""
    return "GET" if method == "HEAD" else method


_SECURITY_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
)


_DRAINED_BYTES: Final = 256 * 1024
_DRAINED_S: Final = 0.5


class _Receiving:
    """Receives a request's body, and knows whether all of it has come in."""

    def __init__(self, scope: Any, receive: Receive) -> None:
        self._receive = receive
        self._complete = not any(name in {b"content-length", b"transfer-encoding"} for name, _ in scope["headers"])

    async def __call__(self) -> Any:
        """Receive one message."""
        message = await self._receive()
        self._complete = not message.get("more_body", False)
        return message

    async def drain(self) -> None:
        """Take in what is left of a body that nobody wants, within reason.

        Whoever is still sending when the connection shuts loses the answer that says why (RFC 9112, section 9.6).
        """
        size = 0
        try:
            async with asyncio.timeout(_DRAINED_S):
                while not self._complete and size <= _DRAINED_BYTES:
                    size += len((await self()).get("body", b""))
        except TimeoutError:
            pass


class _Answering:
    """Sends an answer on, with the headers that every answer has."""

    def __init__(
        self, send: Callable[[Message], Awaitable[None]], context: RequestContext, receiving: _Receiving, *, head: bool
    ) -> None:
        self._send = send
        self._context = context
        self._receiving = receiving
        self._head = head
        self.status = 499
        self.started = False

    async def __call__(self, message: Message) -> None:
        """Send one message."""
        if message["type"] == "http.response.start":
            await self._receiving.drain()
            self.started = True
            self.status = message["status"]
            headers = [*message["headers"], *_SECURITY_HEADERS]
            headers.append((b"x-request-id", self._context.request_id.encode()))
            for name, value in (self._context.rate_limit or {}).items():
                headers.append((name.lower().encode(), value.encode()))
            message = {**message, "headers": headers}
        elif message["type"] == "http.response.body" and self._head:
            message = {**message, "body": b""}
        await self._send(message)
