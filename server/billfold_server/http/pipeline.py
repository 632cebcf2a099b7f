"""Runs one operation: from the request as it came in to the answer, in the one order that every operation has.

Who is asking comes first (401), then what it may do (403), how often (429), and only then what it sent: parameters
and headers (400), content type (415), size (413), body (400). So a stranger learns nothing about the form of requests,
and an unpaid megabyte is never parsed. Only whether a proof is new may be seen last, where a command remembers it; it
is told before what else is wrong all the same (ADR 55).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

import msgspec
import structlog
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, Receive, Scope, Send

from billfold import errors, ids
from billfold.ids import Prefix
from billfold_server.http import card_numbers, etags, idempotency, problems, reading
from billfold_server.http.answers import Answer, Header, on_the_wire
from billfold_server.http.assembly import PathHandler
from billfold_server.http.context import RequestContext, context_of
from billfold_server.http.expansion import PARAMETER
from billfold_server.http.receiving import ClientGoneError
from billfold_server.http.routing import Call, Operation, Reply, StoredRequest
from billfold_server.http.services import Services
from billfold_server.http.surfaces import refusal_on
from billfold_server.http.versions import version_header, version_of
from billfold_server.settings import Settings
from billfold_server.tenancy.context import Caller, IdempotencyRef

__all__ = ["INTERNAL_ROOT", "Hot", "Pipeline", "allowed_methods", "internal_path", "path_handler", "takes_pages"]

_log = structlog.stdlib.get_logger("billfold.http")

NOBODY: Final = Caller(actor="nobody", client_id=UUID(int=0))

_OAUTH: Final = "/oauth/"
"""What stands in each address of the authorization server's, where programs come as well as browsers."""

_SANDBOX: Final = "/v1/sandbox/"
"""What is said about a sandbox itself comes in time, so that a simulation can be ended."""

INTERNAL_ROOT: Final = "/tenant"
"""Under which the router knows what lives below a tenant. No address from outside begins with it."""


class Pipeline:
    """One operation as it is run, whoever has found that a request is for it: the router, or the edge itself.

    Args:
        operation: What was declared.
        services: What it works with.
    """

    def __init__(self, operation: Operation, services: Services) -> None:
        self.operation = operation
        self._services = services
        self._headers: list[Header] = [(b"content-type", operation.response_media_type.encode())]
        if operation.needs_token:
            self._headers.append(_NO_STORE)
        self._deprecated = () if operation.deprecated is None else tuple(on_the_wire(operation.deprecated.headers))
        self._versioned = operation.needs_token and operation.surface == "problem"
        self._describes = operation.etag or operation.location is not None
        self._place, _, self._place_end = (operation.location or "").partition("{id}")
        # An address without parameters is nearly always the one that was declared.
        self._prints = idempotency.Fingerprints(services.idempotency_key, operation.method, operation.path)
        self._may_be_late = operation.needs_token and not operation.path.startswith(_SANDBOX)
        self._takes_cards_nowhere = _takes_cards_nowhere(operation)
        self._has_parameters = bool(operation.signature.path_types or operation.signature.query_types)

    async def run(self, context: RequestContext, path: Mapping[str, str], query: bytes) -> Answer | None:
        """Carry the operation out, and return the answer, or None where nobody waits for one any more.

        Args:
            context: The request.
            path: The parameters that stand in its path, as text.
            query: Its query string.
        """
        operation = context.operation = self.operation
        dialect = operation.dialect
        context.about = self._deprecated
        try:
            if dialect is not None:
                dialect.enter(context)
            call = await self._call(context)
            if dialect is not None:
                dialect.read(call)
            call.about = self._about(path)
            values = self._read_parameters(path, query, call) if self._has_parameters or query else {}
            self._read_idempotency(call)
            if operation.takes_body:
                values["body"] = await self._read_body(call, context)
            self._refuse_card_numbers(call, path, query)
            self._fingerprint(call, values.get("body"))
            if operation.approval is not None and (known := await self._admit(call, path, query, values)) is not None:
                return self._answer(call, known)
            told = await operation.handler(call, **values)
            await self._settle(call)
            answer = self._answer(call, await self._expanded(call, told) if call.expand else told)
            return answer if dialect is None else await dialect.finish(call, answer)
        except errors.ProblemError as error:
            context.problem = error
        except ClientGoneError:
            await self._settle_refused(context)
            return None
        except Exception:  # noqa: BLE001 - nothing may leave here but an answer
            _log.exception("request failed")
            context.problem = errors.InternalError()
        await self._settle_refused(context)
        return await self._refuse(context, context.problem)

    async def _settle(self, call: Call) -> None:
        """See that the request's proof is new where no command has done so, before anything else comes of it."""
        if (shown := call.caller.shown) is not None and not shown.taken:
            await self._services.identity.guard.settle(call.tenant_or_none, shown)

    async def _settle_refused(self, context: RequestContext) -> None:
        """Remember the proof of a request that is refused; where it isn't new, nothing else is told.

        With a command that has come to nothing it may or may not have been remembered, so then nothing follows of that.
        """
        shown = context.shown
        if shown is None or shown.settled:
            return
        tells = not shown.taken
        try:
            await self._services.identity.guard.settle(context.tenant, shown)
        except errors.ProblemError as error:
            context.problem = error if tells else context.problem
        except Exception:  # noqa: BLE001 - nothing may leave here but an answer
            _log.exception("what a request has shown couldn't be remembered")
            context.problem = errors.InternalError()

    async def _refuse(self, context: RequestContext, problem: errors.ProblemError) -> Answer:
        """Return the answer that an error makes on the operation's surface."""
        operation, services = self.operation, self._services
        if operation.needs_token and type(problem) is errors.InvalidToken:
            # Its grant or its consent has ended since the token was looked at.
            problem = context.problem = services.identity.guard.refusal(context, operation.resource, problem)
        if operation.dialect is not None:
            return await operation.dialect.refuse(context, problem, services)
        accept = context.headers.get("accept", "*/*")
        if operation.surface == "page" and takes_pages(accept, by_name=_OAUTH in operation.path):
            page: Answer = services.rooms["pages"].refusal(context, problem)
            return page
        return refusal_on(operation.surface, problem, context.request_id)

    async def again(self, call: Call, path: Mapping[str, str], query: bytes) -> Answer:
        """Carry out a request that has waited for approval, and return its answer.

        Args:
            call: The request, as who asked for it.
            path: The parameters that stood in its path.
            query: Its query string.

        Raises:
            errors.RequestInFlight: A copy of it is being carried out, whose answer is its own.
        """
        operation = self.operation
        call.about = self._about(path)
        try:
            values = self._read_parameters(path, query, call)
            if operation.takes_body:
                values["body"] = (
                    call.body if operation.takes_bytes else reading.decode_json(call.body, operation.decoder)
                )
            return self._answer(call, await operation.handler(call, **values))
        except errors.RequestInFlight:
            raise
        except errors.ProblemError as error:
            return refusal_on(operation.surface, error, call.request_id)

    async def ask(self, call: Call, path: Mapping[str, str], body: bytes) -> Any:
        """Carry the operation out for a person who asks by a page, and return what its handler does.

        What holds for a request holds here: scope, form, and that a second person agrees where one must. Who they are,
        and that they meant it, the page has seen to; it has no idempotency key.

        Args:
            call: The page's request, in the person's name.
            path: The parameters in the operation's address.
            body: What a request would send.

        Raises:
            errors.InsufficientScope: They may not do it.
            errors.ApprovalRequired: It waits for a second person from now on, or did already.
            ProblemError: What the operation refuses.
        """
        operation = self.operation
        if operation.scope not in call.caller.scopes:
            raise errors.InsufficientScope(f"the operation needs the scope {operation.scope}", scope=operation.scope)
        asked = msgspec.structs.replace(
            call,
            method=operation.method,
            path=re.sub(r"\{([a-z_]+)\}", lambda place: path[place[1]], operation.path),
            body=body,
            idempotency_key=None,
            idempotency=None,
            if_match=None,
            personal=operation.personal,
            about=self._about(path),
        )
        values = self._read_parameters(path, b"", asked)
        if operation.takes_body:
            values["body"] = reading.decode_json(body, operation.decoder)
        self._refuse_card_numbers(asked, path, b"")
        if (known := await self._admit(asked, path, b"", values)) is not None:
            return known
        return await operation.handler(asked, **values)

    async def _admit(
        self, call: Call, path: Mapping[str, str], query: bytes, values: Mapping[str, Any]
    ) -> Reply[Any] | None:
        """See that a second person has agreed where one must, and return the answer if it is known by then."""
        rule = self.operation.approval
        if rule is None:
            return None
        needed = await rule.when(call, values)
        if not needed and (rule.by_maker or not await self._services.approvals.knows(call)):
            return None
        if isinstance(needed, str):
            rule = replace(rule, kind=needed)
        await self._settle(call)
        request = StoredRequest(
            operation_id=self.operation.operation_id,
            path=dict(path),
            query=query,
            body=call.body,
            if_match=call.if_match,
        )
        known: Reply[Any] | None = await self._services.approvals.admit(call, rule, request)
        return known

    async def _call(self, context: RequestContext) -> Call:
        """Establish who is asking and that it may."""
        operation, services, headers, caller = self.operation, self._services, context.headers, NOBODY
        if operation.needs_token:
            late = operation.one_command
            caller = await services.identity.guard.admit(context, operation.resource, operation.method, late=late)
            context.client, context.client_id, context.shown = _program_of(caller), caller.client_id, caller.shown
            if operation.scope not in caller.scopes and not caller.scopes.intersection(operation.other_scopes):
                raise _lacks(operation.scope, headers)
            if caller.own is not None and not operation.customers:
                raise errors.PermissionDenied("a client may not ask this in a customer's name")
            context.rate_limit = services.limits.take(context.tenant, caller.client_id)
            if context.nonce is not None:
                context.rate_limit = (*context.rate_limit, (b"dpop-nonce", context.nonce.encode()))
            if services.slow_down is not None and self._may_be_late and context.tenant is not None:
                await services.slow_down(context.tenant)
            if self._versioned:
                version = version_of(headers, caller.api_version)
                context.about = (version_header(version), *self._deprecated)
        return Call(
            services=services,
            caller=caller,
            request_id=context.request_id,
            method=operation.method,
            path=context.path,
            headers=headers,
            base_url=context.base_url,
            mount=context.mount,
            peer=context.peer,
            certificate=context.certificate,
            certificate_verified=context.certificate_verified,
            tenant_or_none=context.tenant,
            personal=operation.personal,
            if_match=headers.get("if-match") if operation.if_match else None,
        )

    def _about(self, path: Mapping[str, str]) -> tuple[str, ...] | None:
        return tuple(path.values()) if self.operation.gives_authority else None

    def _read_parameters(self, path: Mapping[str, str], query: bytes, call: Call) -> dict[str, Any]:
        operation = self.operation
        values = operation.path_parameters.read(path)
        sent = reading.split_query(query)
        if operation.expansion is not None and (named := sent.pop(PARAMETER, None)) is not None:
            call.expand = operation.expansion.read(named)
            if (scope := operation.expansion.lacks(call, call.expand)) is not None:
                raise _lacks(scope, call.headers)
        if operation.open_query:
            sent = {name: value for name, value in sent.items() if name in operation.signature.query_types}
        given = operation.query_parameters.read(sent)
        for name, python_name in operation.signature.python_names.items():
            values[python_name] = given.get(name, operation.signature.query_defaults[name])
        return values

    async def _expanded(self, call: Call, told: Any) -> Any:
        """Return what a handler has returned, together with what it refers to, as far as that is asked for."""
        assert self.operation.expansion is not None
        if isinstance(told, Reply):
            body = await self.operation.expansion.tell(call, told.body, call.expand)
            return msgspec.structs.replace(told, body=body)
        return await self.operation.expansion.tell(call, told, call.expand)

    def _read_idempotency(self, call: Call) -> None:
        """Check the idempotency key's form. The fingerprint waits for the body."""
        if self.operation.idempotency == "none":
            return
        header = call.headers.get("idempotency-key")
        if header is not None:
            call.idempotency_key = idempotency.read_key(header)
        elif self.operation.idempotency == "required":
            raise errors.IdempotencyKeyMissing(param=idempotency.HEADER)

    async def _read_body(self, call: Call, context: RequestContext) -> Any:
        operation, settings = self.operation, self._services.settings
        content_type = call.headers.get("content-type")
        signed = bool(operation.signed_media_types) and reading.media_type(content_type) in operation.signed_media_types
        if not signed:
            reading.check_content_type(content_type, operation.body_media_type)
        if call.headers.get("content-encoding", "identity").lower() != "identity":
            raise errors.UnsupportedMediaType("a compressed body isn't taken", param="Content-Encoding")
        context.body = call.body = await reading.read_body(
            context.receiving,
            call.headers.get("content-length"),
            _limit_bytes(operation, settings),
            settings.upload_timeout_s if operation.takes_upload else settings.body_timeout_s,
        )
        if operation.dialect is not None:
            await operation.dialect.admit(call)
        if signed:
            return {}
        if operation.takes_bytes:
            return call.body
        body, call.said = reading.read_json(call.body, operation.decoder)
        if operation.dialect is not None:
            operation.dialect.check(call, body)
        return body

    def _refuse_card_numbers(self, call: Call, path: Mapping[str, str], query: bytes) -> None:
        """See that nothing that would be kept, logged or told in plain is a card's number.

        Raises:
            errors.ValidationFailed: It looks like one; its place is told, and nothing of it is kept.
        """
        if not self._takes_cards_nowhere:
            return
        place = card_numbers.place_in_texts(path) if path else None
        if place is None and query and card_numbers.stands_in(query):
            place = "query"
        if place is None and call.body and not self.operation.takes_bytes:
            place = card_numbers.place_in_json(call.body)
        if place is not None:
            raise reading.validation_failed(place, card_numbers.REASON)

    def _fingerprint(self, call: Call, body: Any) -> None:
        if call.idempotency_key is None:
            return
        prints = self._prints
        if call.path != self.operation.path:
            prints = idempotency.Fingerprints(self._services.idempotency_key, call.method, call.path)
        said = call.body if body is None or self.operation.takes_bytes else call.said or idempotency.canonical(body)
        call.idempotency = IdempotencyRef(
            client_id=call.caller.client_id,
            key=call.idempotency_key,
            fingerprint=prints.of(said),
        )

    def _answer(self, call: Call, result: Any) -> Answer:
        """Return the answer of a handler that succeeded."""
        reply: Reply[Any] = result if isinstance(result, Reply) else Reply(body=result)
        content = reply.body
        body = b"" if content is None else content if isinstance(content, bytes) else msgspec.json.encode(content)
        status = reply.status or self.operation.status
        # An answer that was stored may be a refusal.
        succeeded = status < 400  # noqa: PLR2004 - The first status of a refusal.
        headers = self._plain(reply, succeeded=succeeded, empty=not body)
        if succeeded and self._describes:
            self._describe(call, reply, body, headers)
        if reply.replayed:
            headers.append(_REPLAYED)
        headers += [(b"set-cookie", cookie.encode("latin-1")) for cookie in reply.cookies]
        return Answer(status, body, headers)

    def _plain(self, reply: Reply[Any], *, succeeded: bool, empty: bool) -> list[Header]:
        """Return what the handler says itself, and what any answer of the operation has."""
        if succeeded and not reply.headers and not empty:
            return self._headers.copy()
        headers = dict(reply.headers)
        if not empty:
            media_type = self.operation.response_media_type if succeeded else problems.MEDIA_TYPE
            headers.setdefault("Content-Type", media_type)
        if self.operation.needs_token:
            headers.setdefault("Cache-Control", "no-store")
        return on_the_wire(headers)

    def _describe(self, call: Call, reply: Reply[Any], body: bytes, headers: list[Header]) -> None:
        """Add the headers that repeat what the body says of the resource: its version and its place."""
        operation = self.operation
        stored = _STORED.decode(body) if isinstance(reply.body, bytes) else reply.body
        version = reply.version if reply.version is not None else getattr(stored, "version", None)
        if operation.etag and version is not None:
            headers.append((b"etag", etags.etag(version).encode()))
        if operation.location is not None:
            place = f"{call.reached_at}{self._place}{getattr(stored, 'id', '')}{self._place_end}"
            headers.append((b"location", place.encode("latin-1")))


def _lacks(scope: str | None, headers: Mapping[str, str]) -> errors.InsufficientScope:
    """Return the refusal of a token without the operation's scope, with a challenge of the scheme that it came by."""
    error = errors.InsufficientScope(f"the operation needs the scope {scope}", scope=scope)
    if headers["authorization"][:4].lower() == "dpop":
        error.__dict__["challenges"] = (f'DPoP error="insufficient_scope", scope="{scope}"',)
    return error


def _takes_cards_nowhere(operation: Operation) -> bool:
    """Tell whether a card's number is refused wherever it stands in a request of an operation.

    Open banking's texts are sealed where they are kept, and the vault's operations look for themselves. Of pages it is
    what addresses hold that a page may show again; what clients of OAuth make up, such as a ``state``, is none.
    """
    if operation.surface == "page":
        return operation.method == "GET" and not operation.path.startswith(("/oauth/", "/platform/oauth/"))
    if operation.surface == "open_banking" or errors.CardDataNotAllowed in operation.errors:
        return False
    return operation.needs_token or not operation.takes_bytes


_NO_STORE: Final = (b"cache-control", b"no-store")
_REPLAYED: Final = (b"idempotent-replayed", b"true")


class _Stored(msgspec.Struct):
    """What of an answer's body goes into its headers as well."""

    id: str | None = None
    version: int | None = None


_STORED = msgspec.json.Decoder(_Stored)

_FORM_LIMIT_BYTES: Final = 16 * 1024
"""Several times what a token request can need.

Forms come from strangers, and taking a megabyte of parameters apart costs half a second, in which nobody is served.
"""

_STRANGERS_LIMIT_BYTES: Final = 40 * 1024
"""The same for their JSON, by which clients register themselves: a software statement has 16 KiB at most.

Looking through a megabyte for numbers of cards takes as long.
"""


def _program_of(caller: Caller) -> str:
    """Return which API client the logs name, whoever acts through it."""
    return caller.actor if caller.user_id is None else ids.encode(Prefix.CLIENT, caller.client_id)


def _limit_bytes(operation: Operation, settings: Settings) -> int:
    if operation.takes_upload:
        return settings.upload_limit_bytes
    most = settings.body_limit_bytes
    if operation.takes_bytes:
        return min(most, _FORM_LIMIT_BYTES)
    return most if operation.needs_token else min(most, _STRANGERS_LIMIT_BYTES)


class Hot:
    """Finds the operations that are declared ``hot``, which then need no router.

    What it doesn't find goes to the router, which knows every operation; so there is nothing that is refused here, and
    an address that is spelled in an unusual way is only slower.

    Args:
        pipelines: Every operation of the server.
    """

    def __init__(self, pipelines: Sequence[Pipeline]) -> None:
        self._fixed: dict[tuple[str, str], Pipeline | None] = {}
        self._patterns: list[tuple[str, re.Pattern[str], Pipeline]] = []
        of_pages = {_rooted(each.operation) for each in pipelines if each.operation.surface == "page"}
        self._pages = [_pattern(path) for path in of_pages]
        self._others = [_pattern(path) for path in {_rooted(each.operation) for each in pipelines} - of_pages]
        for each in pipelines:
            operation = each.operation
            path = _rooted(operation)
            if "{" not in path:
                # A fixed address that isn't hot is no value of a hot one's parameter either.
                self._fixed[operation.method, path] = each if operation.hot else None
            elif operation.hot:
                self._patterns.append((operation.method, _pattern(path), each))

    def find(self, method: str, path: str) -> tuple[Pipeline, dict[str, str]] | None:
        """Return the hot operation at an address, with the parameters in its path.

        Args:
            method: The request's method.
            path: Its address, as the router would see it.
        """
        try:
            found = self._fixed[method, path]
        except KeyError:
            for of_method, pattern, pipeline in self._patterns:
                if of_method == method and (match := pattern.fullmatch(path)) is not None:
                    return pipeline, match.groupdict()
            return None
        return None if found is None else (found, {})

    def tells_by_page(self, path: str, accept: str) -> bool:
        """Tell whether whoever asks is told by a page what no operation tells; it may be asked by what is slow.

        Args:
            path: The address below a tenant's base.
            accept: The ``Accept`` header.
        """
        if not _FOR_PEOPLE.fullmatch(path) or not takes_pages(accept, by_name=True):
            return False
        # There are programs that name HTML because their library does so unless it is told otherwise. And what is
        # declared as a page may look like the parameter of something else.
        rooted = INTERNAL_ROOT + path
        return _fits(self._pages, rooted) or not _fits(self._others, rooted)


_FOR_PEOPLE: Final = re.compile(r"/(?:auth|oauth|portal)(?:/.*)?", re.DOTALL)
"""Where a tenant's pages are, below its base, beside what is for programs alone."""


def takes_pages(accept: str, *, by_name: bool = False) -> bool:
    """Tell whether whoever asks can show a page; a program that says what it reads gets no HTML.

    Args:
        accept: The ``Accept`` header.
        by_name: Whether HTML must be named, as browsers do, because programs may come there that say nothing.
    """
    return "text/html" in accept or ("*/*" in accept and not by_name)


def _pattern(path: str) -> re.Pattern[str]:
    """Return what an operation's path looks like once its parameters are in it."""
    return re.compile(re.sub(r"\\{([a-z_]+)\\}", r"(?P<\1>[^/]+)", re.escape(path)), re.DOTALL)


def _fits(patterns: Sequence[re.Pattern[str]], path: str) -> bool:
    return any(each.fullmatch(path) for each in patterns)


def internal_path(operation: Operation) -> str:
    """Return the path at which the router knows an operation, once the tenant has been taken off the address."""
    return re.sub(r"\{([a-z_]+)\}", r"{\1:str}", _rooted(operation))


def _rooted(operation: Operation) -> str:
    return (INTERNAL_ROOT if operation.audience.startswith("tenant") else "") + operation.path


def path_handler(path: str, pipelines: Sequence[Pipeline]) -> HTTPRouteHandler:
    """Return Litestar's handler for all operations at a path, and for OPTIONS, which tells their methods.

    OPTIONS needs no token (RFC 9110, section 9.3.7). One handler for each path, because Litestar takes far longer to
    add a further handler to a path that it knows, and for OPTIONS it would add one of its own.
    """
    by_method: dict[str, Pipeline] = {each.operation.method: each for each in pipelines}
    allow = allowed_methods(by_method).encode()

    async def handle(request: Request[Any, Any, Any]) -> ASGIApp:
        scope = request.scope
        context = context_of(scope)
        pipeline = by_method.get(scope["method"])
        if pipeline is None:
            context.operation = pipelines[0].operation
            options: ASGIApp = Answer(204, b"", [(b"allow", allow)])
            return options
        answer: ASGIApp | None = await pipeline.run(context, scope["path_params"], scope["query_string"])
        return answer or _say_nothing

    return PathHandler(
        path,
        http_method=[*(each.operation.method for each in pipelines), "OPTIONS"],
        name=path,
        include_in_schema=False,
        status_code=200,
    )(handle)


async def _say_nothing(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """Answer nobody."""


def allowed_methods(methods: Iterable[str]) -> str:
    """Return the ``Allow`` header of a resource that has these methods of its own."""
    own = set(methods) | {"OPTIONS"}
    return ", ".join(sorted(own | {"HEAD"} if "GET" in own else own))
