"""The outermost layer: what every request passes before the router and every answer after it.

Here a request gets its id, its peer and its tenant, and every answer is counted, logged and given the headers that
all answers have. Addresses below ``/t/{slug}`` and at a tenant's own host name are the same to the router: the tenant
is taken off the address before the router sees it.
"""

import asyncio
import ipaddress
import math
import re
import time
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import structlog
from litestar.types import ASGIApp, Receive, Scope, Send

from billfold import errors, ids
from billfold.ids import Prefix
from billfold_server.http.answers import Answer, Header
from billfold_server.http.card_numbers import holds_card_number
from billfold_server.http.certificates import ClientCertificates
from billfold_server.http.context import PLATFORM, RequestContext, read_headers
from billfold_server.http.inside import origin_in
from billfold_server.http.logs import note_request
from billfold_server.http.peers import Address, origin_of, read_address, within
from billfold_server.http.pipeline import INTERNAL_ROOT, Hot
from billfold_server.http.receiving import Exchange, Receiving, exchange_of
from billfold_server.http.rotation import Rotation
from billfold_server.http.services import REQUEST_LOG, Services
from billfold_server.http.shares import waited_in
from billfold_server.http.surfaces import OPEN_BANKING, refusal_on, surface_at
from billfold_server.open_banking.edge.headers import INTERACTION_ID, interaction_id
from billfold_server.tenancy.context import TenantRef

__all__ = ["Edge"]

_log = structlog.stdlib.get_logger("billfold.http")

_SLUG = re.compile(r"/t/([a-z][a-z0-9_-]{0,38}[a-z0-9])(/.*|)", re.DOTALL)
_INBOUND_ID = re.compile(r"[A-Za-z0-9_.:-]{8,64}")
_HOST_CHARACTERS = re.compile(r"[0-9A-Za-z!$&'()*+,;=\-._~:\[\]@%]*")
_HOST = re.compile(r"([a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
_AT_HOST: Final = ("/health/", "/metrics", "/platform/", "/.well-known/oauth-authorization-server")
"""What lives at the host itself, outside of every tenant."""

_INSERTED_METADATA = re.compile(
    r"/\.well-known/(oauth-authorization-server(?=/t/[^/]+$)|oauth-protected-resource(?=/t/[^/]+/(?:v1|open-banking)$))"
    r"/t/([a-z0-9_-]+)(?:/v1|(/open-banking))?"
)
_INSERTED_AT_PLATFORM: Final = {
    "/.well-known/oauth-authorization-server/platform": "/platform/.well-known/oauth-authorization-server",
    "/.well-known/oauth-protected-resource/platform/v1": "/platform/.well-known/oauth-protected-resource",
}
_SHOWN: Final = frozenset({"active", "suspended"})
"""The states in which it is told that there is a tenant."""

_PEERS: Final = 4096
_FIRST_FAILURE: Final = 500
_INTERACTION_ID: Final = INTERACTION_ID.encode()


class _Peer(NamedTuple):
    """Who has connected: the text of its address, the address, and whether it is one of the proxies."""

    text: str
    address: Address | None
    is_proxy: bool


class Edge:
    """The ASGI application around the router.

    Args:
        router: The application that it leads to.
        services: Registry, settings, and where answers are counted.
        hot: Operations that it runs by itself; every other is the router's.
    """

    def __init__(self, router: ASGIApp, services: Services, hot: Hot) -> None:
        self.router = router
        self._services = services
        self._metrics = services.metrics
        self._hot = hot
        settings = services.settings
        self._base_url = settings.base_url
        self._proxies = [ipaddress.ip_network(each) for each in settings.trusted_proxies]
        self._own_hosts = settings.own_hosts
        rotation = services.rooms.setdefault("rotation", Rotation(services.metrics))
        self._certificates = ClientCertificates(settings, rotation)
        # No browser should remember what is only tried out: it would ask everything else on `localhost` for TLS, too.
        self._pins_tls = settings.production and settings.tls_certificate is not None
        self._in_clear = settings.production and settings.tls_certificate is None and bool(self._proxies)
        # Made by who puts the server together, where requests are to be logged at all.
        self._request_log = services.rooms.get(REQUEST_LOG)
        self._logs_all = settings.access_log == "all" or settings.log_level == "debug"
        self._peers: dict[str, _Peer] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        kind: str = scope["type"]
        if kind == "http":
            await self._http(scope, receive, send)
        elif kind == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "no such endpoint"})
        else:
            await self.router(scope, receive, send)

    async def _http(self, scope: Any, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        if (waited := waited_in(scope)) is not None:
            started -= waited.waited_s
        exchange = exchange_of(receive, send)
        context = self._context(scope, receive, exchange)
        common = _OVER_TLS if self._pins_tls and scope["scheme"] == "https" else _SECURITY_HEADERS
        answering = _Answering(send, context, exchange, common, head=scope["method"] == "HEAD")
        note_request(context)
        self._metrics.begin()
        try:
            self._admit(scope, context)
            await self._route(scope, context, answering)
        except errors.ProblemError as error:
            context.problem = error
            await self._refuse(context.problem, context, answering)
        except Exception:  # noqa: BLE001 - nothing may leave here but an answer
            # The last resort: whatever went wrong, the caller gets a problem and the operators a traceback.
            _log.exception("request failed")
            await self._refuse(errors.InternalError(), context, answering)
        except asyncio.CancelledError:
            # A stop has lost patience with it. What it has begun may be carried out all the same, and whoever was told
            # anything else would ask for it anew.
            if exchange is None:
                raise
            # Nobody is above this task but uvicorn, which would log the end of it as a fault of ours.
            context.problem = errors.OutcomeUnknown("the server ended before the answer", retry_after_s=1)
            await self._refuse(context.problem, context, answering)
        finally:
            self._account(scope, context, answering, time.perf_counter() - started)

    def _context(self, scope: Any, receive: Receive, exchange: Exchange | None) -> RequestContext:
        headers = read_headers(scope["headers"])
        peer = self._peer(scope)
        text = peer.text
        if peer.is_proxy and peer.address is not None:
            text = str(origin_of(peer.address, headers.get("x-forwarded-for", ""), self._proxies))
        inbound = headers.get("x-request-id")
        if inbound is not None and (not _INBOUND_ID.fullmatch(inbound) or holds_card_number(inbound)):
            inbound = None
        origin = origin_in(scope)
        if origin is not None:
            request_id, text = origin.request_id, origin.peer
        elif inbound is not None and peer.is_proxy:
            # Only who stands before this server may say under which id the logs and the audit know a request.
            request_id, inbound = inbound, None
        else:
            request_id = ids.new(Prefix.REQUEST)
        has_body = "content-length" in headers or "transfer-encoding" in headers
        return RequestContext(
            request_id=request_id,
            path=scope["path"],
            receiving=Receiving(receive, exchange, has_body=has_body),
            headers=headers,
            peer=text,
            client_request_id=inbound,
        )

    def _peer(self, scope: Any) -> _Peer:
        connected = scope["client"][0] if scope.get("client") else ""
        peer = self._peers.get(connected)
        if peer is None:
            address = read_address(connected)
            is_proxy = address is not None and within(address, self._proxies)
            peer = _Peer(connected if address is None else str(address), address, is_proxy)
            if len(self._peers) >= _PEERS:
                self._peers.clear()
            self._peers[connected] = peer
        return peer

    def _admit(self, scope: Any, context: RequestContext) -> None:
        """Refuse what must get no further, whatever it asks for.

        Two hosts may be two tenants, one for the proxy and another for us (RFC 9112, section 3.2). And where a proxy
        ends TLS, whoever comes past it comes in clear text, with tokens that everybody in between can read.

        Raises:
            errors.InvalidRequest: It names no host, several, or an impossible one; or its certificate can't be read.
            errors.ProxyRequired: It didn't come through the proxy.
        """
        host = context.headers.get("host", "")
        # Only HTTP/1.0 needs none, and there is no address without an authority here (RFC 9110, section 4.2.1).
        if not host and scope["http_version"] == "1.1" and origin_in(scope) is None:
            raise errors.InvalidRequest("a request names the host that it is for", param="Host")
        if "," in host and sum(name == b"host" for name, _ in scope["headers"]) > 1:
            raise errors.InvalidRequest("a request has one Host header", param="Host")
        if not _HOST_CHARACTERS.fullmatch(host):
            raise errors.InvalidRequest("the Host header holds what no host's name has", param="Host")
        if self._in_clear and scope.get("client") and not scope["path"].startswith("/health/"):
            peer = self._peer(scope)
            if peer.address is None or not (peer.address.is_loopback or peer.is_proxy):
                raise errors.ProxyRequired
        self._certificates.introduce(scope, context, by_proxy=bool(self._proxies) and self._peer(scope).is_proxy)

    async def _route(self, scope: Any, context: RequestContext, answering: "_Answering") -> None:
        """Take the tenant off the address, and run the operation, or hand the request to the router."""
        path = await self._take_tenant(scope["path"], context)
        if (waited := waited_in(scope)) is not None and waited.is_late:
            # As long as it has waited so far: that is how its line goes.
            raise errors.Overloaded("too many requests wait already", retry_after_s=math.ceil(waited.waited_s))
        method = scope["method"]
        if (found := self._hot.find(method, path)) is not None:
            pipeline, parameters = found
            answer = await pipeline.run(context, parameters, scope["query_string"])
            if answer is not None:
                await answering.finish(answer.status, answer.headers, answer.body)
            return
        # HEAD is GET without the body (RFC 9110, section 9.3.2).
        inner = dict(scope, path=path, raw_path=path.encode(), method="GET" if method == "HEAD" else method)
        inner["state"] = dict(scope.get("state") or {})
        context.attach(inner)
        await self.router(inner, context.receiving, answering)  # type: ignore[arg-type]

    async def _take_tenant(self, path: str, context: RequestContext) -> str:
        """Return the router's path, and note the tenant that the address names.

        Raises:
            errors.UnknownTenant: It names none.
            errors.TenantSuspended: It isn't served at the moment.
            errors.TenantUnreadable: This version can't read what it is.
        """
        base_url = self._base_url
        below = _SLUG.fullmatch(path)
        if below is None and (inserted := _INSERTED_METADATA.fullmatch(path)) is not None:
            # RFC 8414 and RFC 9728, both in section 3.1, put the well-known part before the path of issuer or resource.
            below = _SLUG.fullmatch(f"/t/{inserted[2]}/.well-known/{inserted[1]}{inserted[3] or ''}")
        path = _INSERTED_AT_PLATFORM.get(path, path)
        if below is not None:
            slug = below.group(1)
            context.path = below.group(2) or "/"
            context.mount = f"/t/{slug}"
            tenant = self._services.registry.at_hand(slug) or await self._services.registry.find(slug)
        else:
            tenant = await self._tenant_of_host(context.host)
            if tenant is None or path.startswith("/health/"):
                if path.startswith("/platform/"):
                    context.base_url, context.mount = f"{base_url}{PLATFORM}", PLATFORM
                else:
                    context.base_url = base_url
                if path.startswith(_AT_HOST):
                    return path
                if path.startswith("/t/"):
                    raise errors.UnknownTenant
                raise errors.NotFound("there is nothing at this address; a tenant's base is /t/{slug}")
        if tenant is None:
            if below is not None:
                self._services.registry.refuse_unreadable(below.group(1))
            raise errors.UnknownTenant
        return self._enter(tenant, base_url, context)

    def _enter(self, tenant: TenantRef, base_url: str, context: RequestContext) -> str:
        context.tenant = tenant
        context.base_url = f"{base_url}/t/{tenant.slug}"
        note_request(context)
        if tenant.state == "suspended":
            raise errors.TenantSuspended
        if tenant.state != "active":
            raise errors.UnknownTenant
        return INTERNAL_ROOT + context.path

    async def _tenant_of_host(self, host: str) -> TenantRef | None:
        match = _HOST.fullmatch(host)
        # The deployment's own host is no tenant's, whatever a manifest says: the operators would be locked out.
        if match is None or match.group(1) in self._own_hosts:
            return None
        return await self._services.registry.find_by_host(match.group(1))

    async def _refuse(self, error: errors.ProblemError, context: RequestContext, answering: "_Answering") -> None:
        if not answering.started:
            page = self._page(error, context)
            answer = refusal_on(surface_at(context.path), error, context.request_id) if page is None else page
            await answering.finish(answer.status, answer.headers, answer.body)

    def _page(self, error: errors.ProblemError, context: RequestContext) -> Answer | None:
        """Return the page, a tenant's or the operators', that tells a person what no operation could, or None.

        Where the database is away nobody knows how the tenant is now; how it looked a while ago does for a page.
        """
        if not self._hot.tells_by_page(context.below, context.headers.get("accept", "")):
            return None
        if not context.is_platforms:
            tenant = context.tenant or self._last_seen(context)
            if tenant is None or tenant.state not in _SHOWN:
                return None
            context.tenant = tenant
        page: Answer = self._services.rooms["pages"].refusal(context, error)
        return page

    def _last_seen(self, context: RequestContext) -> TenantRef | None:
        """Return the tenant that an address names, as it was when it was last looked, or None."""
        registry, slug = self._services.registry, context.mount.removeprefix("/t/")
        if not slug:
            match = _HOST.fullmatch(context.host)
            # As where it is looked for: the deployment's own host is no tenant's.
            host = None if match is None or match.group(1) in self._own_hosts else match.group(1)
            slug = (None if host is None else registry.known_at(host)) or ""
        return registry.last_seen(slug)

    def _account(self, scope: Any, context: RequestContext, answering: "_Answering", took_s: float) -> None:
        operation = context.operation
        route = operation.path if operation is not None else "unmatched"
        code = context.problem.code if context.problem is not None else None
        self._metrics.observe(scope["method"], route, answering.status, took_s, code)
        tenant = context.tenant
        if tenant is not None and tenant.manifest.logs_requests and self._request_log is not None:
            answer = (answering.status, answering.headers, answering.body)
            self._request_log.note(context, scope["method"], scope["query_string"], answer, took_s)
        if not self._logs_all and answering.status < _FIRST_FAILURE:
            return
        quiet = route.startswith(("/health", "/metrics"))
        # The query string may hold names and references of people, so the log keeps the path alone.
        facts = {
            "method": scope["method"],
            "path": _shown(scope["path"])[:300],
            "operation": operation.operation_id if operation is not None else None,
            "status": answering.status,
            "took_ms": round(took_s * 1000, 2),
            "client": context.client,
            "peer": context.peer,
            "client_request_id": context.client_request_id,
            "code": code,
        }
        log = _log.debug if quiet else _log.info
        log("request", **{name: value for name, value in facts.items() if value is not None})


def _shown(path: str) -> str:
    """Return a path as the log shows it: whole, but where it holds what looks like a card's number."""
    return "(withheld)" if holds_card_number(path[:_LOOKED_AT]) else path


_LOOKED_AT: Final = 340
"""How many characters of a path are looked at: those that are shown, and the rest of a number that begins there."""


_SECURITY_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
)
_OVER_TLS: Final = (*_SECURITY_HEADERS, (b"strict-transport-security", b"max-age=63072000"))
"""Browsers never come without TLS again (RFC 6797, section 7.1); subdomains are the bank's own matter."""


class _Answering:
    """Sends an answer on, with the headers that every answer has."""

    __slots__ = ("_common", "_context", "_exchange", "_head", "_send", "_start", "body", "headers", "started", "status")

    def __init__(
        self,
        send: Send,
        context: RequestContext,
        exchange: Exchange | None,
        common: Sequence[Header],
        *,
        head: bool,
    ) -> None:
        self._common = common
        self._send = send
        self._context = context
        self._exchange = exchange
        self._head = head
        self._start: Any = None
        self.status = 499
        self.headers: list[Header] = []
        self.body = b""
        self.started = False

    async def __call__(self, message: Any) -> None:
        """Take one message of the router's, all of whose answers are ready as a whole."""
        if message["type"] == "http.response.start":
            self._start = message
        elif message["type"] == "http.response.body":
            assert not message.get("more_body", False), "an answer has one body"
            await self.finish(self._start["status"], self._start["headers"], message.get("body", b""))

    async def finish(self, status: int, own: Sequence[Header], body: bytes) -> None:
        """Send a whole answer."""
        context = self._context
        if not context.receiving.complete:
            await context.receiving.drain()
        self.started = True
        self.status = status
        self.body = body
        self.headers = headers = [
            *own,
            *self._common,
            (b"x-request-id", context.request_id.encode()),
            *context.rate_limit,
            *context.about,
        ]
        if OPEN_BANKING in context.path:
            headers.append((_INTERACTION_ID, interaction_id(context.headers).encode()))
        if self._exchange is not None and self._exchange.answer(status, headers, body):
            return
        start: Any = {"type": "http.response.start", "status": status, "headers": headers}
        await self._send(start)
        await self._send({"type": "http.response.body", "body": b"" if self._head else body, "more_body": False})
