"""Runs one operation: from the request as it came in to the answer, in the one order that every operation has.

Who is asking comes first (401), then what it may do (403), how often (429), and only then what it sent: parameters
and headers (400), content type (415), size (413), body (400). So a stranger learns nothing about the form of requests,
and an unpaid megabyte is never parsed.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from billfold import errors
from billfold_server.http import etags, idempotency, problems, reading
from billfold_server.http.answers import Answer
from billfold_server.http.context import RequestContext, context_of
from billfold_server.http.routing import Call, Operation, Reply
from billfold_server.http.services import Services
from billfold_server.http.surfaces import refusal_on
from billfold_server.settings import Settings
from billfold_server.tenancy.context import Caller, IdempotencyRef

__all__ = ["INTERNAL_ROOT", "allowed_methods", "internal_path", "options_handler", "route_handler"]

NOBODY: Final = Caller(actor="nobody", client_id=UUID(int=0))

INTERNAL_ROOT: Final = "/tenant"
"""Under which the router knows what lives below a tenant. No address from outside begins with it."""


def internal_path(operation: Operation) -> str:
    """Return the path at which the router knows an operation, once the tenant has been taken off the address."""
    path = re.sub(r"\{([a-z_]+)\}", r"{\1:str}", operation.path)
    return (INTERNAL_ROOT if operation.audience.startswith("tenant") else "") + path


def route_handler(operation: Operation, services: Services) -> HTTPRouteHandler:
    """Return Litestar's handler for an operation."""

    async def handle(request: Request[Any, Any, Any]) -> ASGIApp:
        context = context_of(request.scope)
        context.operation = operation
        try:
            call = await _read_call(operation, services, request, context)
            values = _read_parameters(operation, request)
            _read_idempotency(operation, call)
            if operation.takes_body:
                values["body"] = await _read_body(operation, services, call, request)
            _fingerprint(operation, services, call, values.get("body"))
            answer: ASGIApp = _answer(operation, call, await operation.handler(call, **values))
        except errors.ProblemError as error:
            context.problem = error
            answer = refusal_on(operation.surface, error, context.request_id)
        return answer

    return HTTPRouteHandler(
        internal_path(operation),
        http_method=[operation.method],
        name=operation.operation_id,
        include_in_schema=False,
        status_code=200,
    )(handle)


def options_handler(path: str, operations: Sequence[Operation]) -> HTTPRouteHandler:
    """Return the handler that tells which methods there are at a path; it needs no token (RFC 9110, section 9.3.7)."""
    allow = allowed_methods(operation.method for operation in operations)

    async def handle(request: Request[Any, Any, Any]) -> ASGIApp:
        context_of(request.scope).operation = operations[0]
        answer: ASGIApp = Answer(204, b"", {"Allow": allow})
        return answer

    return HTTPRouteHandler(
        path, http_method=["OPTIONS"], name=f"options {path}", include_in_schema=False, status_code=200
    )(handle)


def allowed_methods(methods: Iterable[str]) -> str:
    """Return the ``Allow`` header of a resource that has these methods of its own."""
    own = set(methods) | {"OPTIONS"}
    return ", ".join(sorted(own | {"HEAD"} if "GET" in own else own))


async def _read_call(
    operation: Operation, services: Services, request: Request[Any, Any, Any], context: RequestContext
) -> Call:
    """Establish who is asking and that it may."""
    headers = _headers(request)
    caller = NOBODY
    if operation.needs_token:
        caller = await services.identity.authenticate(context.tenant, headers.get("authorization"), context.request_id)
        context.client = caller.actor
        if operation.scope not in caller.scopes:
            raise errors.InsufficientScope(f"the operation needs the scope {operation.scope}", scope=operation.scope)
        context.rate_limit = services.limits.take(context.tenant, caller.client_id)
    return Call(
        services=services,
        caller=caller,
        request_id=context.request_id,
        method=operation.method,
        path=context.path,
        headers=headers,
        base_url=context.base_url,
        peer=context.peer,
        tenant_or_none=context.tenant,
        if_match=headers.get("if-match") if operation.if_match else None,
    )


def _headers(request: Request[Any, Any, Any]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in request.scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _read_parameters(operation: Operation, request: Request[Any, Any, Any]) -> dict[str, Any]:
    values = operation.path_parameters.read(request.scope["path_params"])
    given = operation.query_parameters.read(reading.split_query(request.scope["query_string"]))
    for name, python_name in operation.signature.python_names.items():
        values[python_name] = given.get(name, operation.signature.query_defaults[name])
    return values


def _read_idempotency(operation: Operation, call: Call) -> None:
    """Check the idempotency key's form. The fingerprint waits for the body."""
    if operation.idempotency == "none":
        return
    header = call.headers.get("idempotency-key")
    if header is not None:
        call.idempotency_key = idempotency.read_key(header)
    elif operation.idempotency == "required":
        raise errors.IdempotencyKeyMissing(param=idempotency.HEADER)


async def _read_body(operation: Operation, services: Services, call: Call, request: Request[Any, Any, Any]) -> Any:
    reading.check_content_type(call.headers.get("content-type"), operation.body_media_type)
    if call.headers.get("content-encoding", "identity").lower() != "identity":
        raise errors.UnsupportedMediaType("a compressed body isn't taken", param="Content-Encoding")
    settings = services.settings
    call.body = await reading.read_body(
        request.stream(),
        call.headers.get("content-length"),
        _limit_bytes(operation, settings),
        settings.upload_timeout_s if operation.takes_upload else settings.body_timeout_s,
    )
    if operation.takes_bytes:
        return call.body
    return reading.decode_json(call.body, operation.decoder)


_FORM_LIMIT_BYTES: Final = 16 * 1024
"""Several times what a token request can need.

Forms come from strangers, and taking a megabyte of parameters apart costs half a second, in which nobody is served.
"""


def _limit_bytes(operation: Operation, settings: Settings) -> int:
    if operation.takes_upload:
        return settings.upload_limit_bytes
    return min(settings.body_limit_bytes, _FORM_LIMIT_BYTES) if operation.takes_bytes else settings.body_limit_bytes


def _fingerprint(operation: Operation, services: Services, call: Call, body: Any) -> None:
    if call.idempotency_key is None:
        return
    said = call.body if body is None or operation.takes_bytes else idempotency.canonical(body)
    call.idempotency = IdempotencyRef(
        client_id=call.caller.client_id,
        key=call.idempotency_key,
        fingerprint=idempotency.fingerprint(services.idempotency_key, call.method, call.path, said),
    )


class _Stored(msgspec.Struct):
    """What of an answer's body goes into its headers as well."""

    id: str | None = None
    version: int | None = None


_STORED = msgspec.json.Decoder(_Stored)


def _answer(operation: Operation, call: Call, result: Any) -> Answer:
    """Return the answer of a handler that succeeded."""
    reply: Reply[Any] = result if isinstance(result, Reply) else Reply(body=result)
    raw = isinstance(reply.body, bytes)
    body: bytes = b"" if reply.body is None else reply.body if raw else msgspec.json.encode(reply.body)
    headers = dict(reply.headers)
    status = reply.status or operation.status
    # An answer that was stored may be a refusal.
    succeeded = status < 400  # noqa: PLR2004 - The first status of a refusal.
    if body:
        headers.setdefault("Content-Type", operation.response_media_type if succeeded else problems.MEDIA_TYPE)
    if succeeded and (operation.etag or operation.location is not None):
        _describe(operation, call, reply, body, headers)
    if operation.needs_token:
        headers.setdefault("Cache-Control", "no-store")
    if reply.replayed:
        headers["Idempotent-Replayed"] = "true"
    return Answer(status, body, headers)


def _describe(operation: Operation, call: Call, reply: Reply[Any], body: bytes, headers: dict[str, str]) -> None:
    """Add the headers that repeat what the body says of the resource: its version and its place."""
    stored = _STORED.decode(body) if isinstance(reply.body, bytes) else reply.body
    version = reply.version if reply.version is not None else getattr(stored, "version", None)
    if operation.etag and version is not None:
        headers["ETag"] = etags.etag(version)
    if operation.location is not None:
        headers["Location"] = call.base_url + operation.location.replace("{id}", str(getattr(stored, "id", "")))
