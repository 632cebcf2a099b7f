"""How a room declares its routes: one decorated function per operation, from which all else comes.

A room's ``routes.py`` makes one ``Routes`` and decorates functions with it::

    routes = Routes(tag="Wallets", description="…")

    @routes.get("/v1/wallets/{wallet_id}", scope="wallets:read", etag=True, errors=(errors.NotFound,))
    async def get_wallet(call: Call, wallet_id: WalletId) -> Wallet:
        \"\"\"Show a wallet.\"\"\"
        async with call.tx() as tx:
            return await service.get_wallet(tx, wallet_id)

The signature is the contract. The first parameter is the ``Call``. A name that occurs in the path is a path parameter,
``body`` is the request body, and every other parameter is a query parameter: keyword-only, with its default. The
docstring is the operation's summary and description. Before the function runs, the caller is authenticated, its scope
and rate limit are checked, and everything that it sent is read (``pipeline``). What it raises of ``billfold.errors``
becomes a problem.
"""

import inspect
import re
import typing
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeVar, Unpack

import msgspec

from billfold.contract.common import Page
from billfold.errors import ProblemError
from billfold_server.http import entering
from billfold_server.http.expansion import Expansion
from billfold_server.http.pagination import Cursors
from billfold_server.http.reading import JSON, Parameters
from billfold_server.http.versions import Deprecation
from billfold_server.tenancy.context import IdempotencyRef

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from billfold_server.http.answers import Answer
    from billfold_server.http.context import RequestContext
    from billfold_server.http.services import Services
    from billfold_server.tenancy.context import Caller, TenantRef
    from billfold_server.tenancy.manifest import ApprovalKind, RequiredKind
    from billfold_server.tenancy.transaction import PlatformTx, TenantTx

__all__ = [
    "Audience",
    "Call",
    "Dialect",
    "IdempotencyRef",
    "Link",
    "Need",
    "NeedsApproval",
    "Operation",
    "Options",
    "Reply",
    "Routes",
    "Signature",
    "StoredRequest",
    "Surface",
]

T = TypeVar("T")
Row = TypeVar("Row")
Handler = Callable[..., Awaitable[Any]]
H = TypeVar("H", bound=Handler)
Method = Literal["GET", "POST", "PATCH", "PUT", "DELETE"]
Audience = Literal["tenant", "platform", "tenant-public", "platform-public", "host"]
"""Where an operation lives: below a tenant, below the platform (each with a token or open), or at the host itself."""

Surface = Literal["problem", "oauth", "page", "open_banking"]
"""How refusals look: RFC 9457; RFC 6749, section 5.2; a page for people; or as the UK's open banking has them."""

Need = Literal["none", "optional", "required"]
"""Whether an operation takes an ``Idempotency-Key``."""


class Reply(msgspec.Struct, Generic[T], frozen=True, kw_only=True, eq=False):
    """An answer that says more than its body.

    Attributes:
        body: The answer as a Struct, or as JSON that the ledger's engine or the idempotency store kept; None is empty.
        status: Where it isn't the operation's own.
        version: Makes the ``ETag``; where absent, the body's ``version`` does.
        replayed: Whether this is the stored answer to an earlier copy of the request.
        headers: Further headers.
        cookies: A ``Set-Cookie`` header each.
    """

    body: T | bytes | None = None
    status: int | None = None
    version: int | None = None
    replayed: bool = False
    headers: Mapping[str, str] = {}
    cookies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What an answer's values lead to: an operation, and where each of its parameters comes from.

    Attributes:
        operation_id: The operation that can follow.
        parameters: Its parameters by name, each as a runtime expression such as ``$response.body#/id`` (OpenAPI 3.1,
            section 4.8.20.3).
        body: Members of its request body, by name, as runtime expressions.
    """

    operation_id: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, str] = field(default_factory=dict)


class StoredRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it waits for a second person, to be carried out later.

    Attributes:
        operation_id: What is asked for.
        path: The parameters in the address, as text.
        query: The query string.
        body: The body as it came.
        if_match: The ``If-Match`` header.
    """

    operation_id: str
    path: dict[str, str]
    query: bytes
    body: bytes
    if_match: str | None


@dataclass(frozen=True, slots=True)
class NeedsApproval:
    """When an operation is only carried out once a second person has agreed to it.

    Attributes:
        kind: The name that the approval has for it, and the manifest where it is the manifest's to ask for it.
        when: Tells of a request, by what was read from it, whether it needs that here and now; or, where that is for
            the sake of another kind, of which.
        by_maker: Whether who has asked sends it again once it is approved, and it is carried out then, once: where the
            answer is a secret that is theirs alone, or what they may themselves decides what they can do.
    """

    kind: "ApprovalKind | RequiredKind"
    when: "Callable[[Call, Mapping[str, Any]], Awaitable[bool | ApprovalKind]]"
    by_maker: bool = False


class Call(msgspec.Struct, kw_only=True, eq=False):
    """One request, as far as a handler needs to know of it.

    Attributes:
        services: What ``build_app`` has put together.
        caller: Who is asking. On open operations it is nobody: the nil UUID without scopes.
        request_id: ``req_…``, in logs, audit and the answer.
        method: Upper-case HTTP method.
        path: The path below the tenant's base.
        headers: The request's headers by lower-case name; a header that came twice has its values joined by a comma.
        peer: The address from which it came.
        certificate: The client's TLS certificate as DER, where it has shown one that counts. It is proven that the
            client has the private key, not who the client is.
        certificate_verified: Whether the certificate was issued for clients by an authority that the settings name, and
            is valid now. A self-signed one never is.
        body: The body as it came in.
        said: What it says, in the one way of writing it, where that was found out when it was read.
        idempotency_key: The key that it gave, if it did.
        idempotency: Under which key, and with which fingerprint, the request may be repeated.
        personal: Whether its answer tells of people, as its operation declares.
        if_match: The ``If-Match`` header, for ``etags.check_if_match``.
        expand: What the answer is to be told together with.
        base_url: The tenant's or the platform's canonical base URL.
        mount: What stands before the path in the address by which the request came: ``/t/{slug}``, nothing at a
            tenant's own host, or ``/platform``.
        memo: What one part of the handling of this request leaves for another.
        stands: Sees in a transaction that who has asked by a page may still do what they could when the page looked.
        about: The ids in the address of what gives or takes authority; None where nothing does.
    """

    services: "Services"
    caller: "Caller"
    request_id: str
    method: str
    path: str
    headers: Mapping[str, str]
    base_url: str
    mount: str = ""
    peer: str = ""
    certificate: bytes | None = None
    certificate_verified: bool = False
    body: bytes = b""
    said: bytes | None = None
    idempotency_key: str | None = None
    idempotency: IdempotencyRef | None = None
    personal: bool = False
    if_match: str | None = None
    expand: tuple[str, ...] = ()
    tenant_or_none: "TenantRef | None" = None
    memo: dict[str, Any] = {}
    stands: "Callable[[TenantTx], Awaitable[None]] | None" = None
    about: tuple[str, ...] | None = None

    @property
    def tenant(self) -> "TenantRef":
        """Return the tenant that the address names; every operation below a tenant has one."""
        assert self.tenant_or_none is not None, "the operation isn't below a tenant"
        return self.tenant_or_none

    @property
    def reached_at(self) -> str:
        """Return the base URL of links: the canonical one, or the one for certificates to whoever has shown theirs."""
        settings = self.services.settings
        if self.certificate is None or settings.mtls_base_url is None:
            return self.base_url
        # Below both are the same paths, and a token that is bound to a certificate opens nothing elsewhere.
        return settings.mtls_base_url + self.base_url.removeprefix(settings.base_url)

    def tx(self, *, begin_sql: str = "") -> "AbstractAsyncContextManager[TenantTx]":
        """Open the tenant's transaction, the only door to its tables.

        What a user has allowed is looked at in it: a grant that has ended by then opens nothing, however fresh the
        token is that names it, and neither does a token that was revoked alone. So is what a person may who has asked
        by a page. Where authority is given or taken, who asks is held until it is done: see ``http.entering``.

        Args:
            begin_sql: SQL without parameters that travels in the same round trip as BEGIN.

        Raises:
            errors.InvalidToken: It has ended; raised when the transaction is entered.
            errors.PermissionDenied: Who asks may less than they did when that was looked at; the same.
        """
        return entering.of_tenant(self, begin_sql)

    def platform_tx(self) -> "AbstractAsyncContextManager[PlatformTx]":
        """Open a transaction on the platform's own tables, as ``tx`` does on a tenant's.

        Raises:
            errors.InvalidToken: As of ``tx``.
            errors.PermissionDenied: As of ``tx``.
        """
        return entering.of_platform(self)

    @property
    def cursors(self) -> Cursors:
        """Return what makes and reads the cursors of this tenant's lists."""
        owner = self.tenant_or_none.slug if self.tenant_or_none is not None else ""
        return Cursors(self.services.cursor_key, owner)

    def page(
        self,
        kind: str,
        rows: Sequence[Row],
        limit: int,
        *,
        key: Callable[[Row], Sequence[str | int | None]],
        further: Sequence[str | int | None] | None = None,
    ) -> Page[Row]:
        """Cut a page from ``limit + 1`` rows; the one too many tells that there is a next page.

        Args:
            kind: The list's name, under which its cursors are valid.
            rows: What the query found, at most ``limit + 1`` rows.
            limit: How many the caller asked for.
            key: Gives a row's sort key, which the next page's cursor holds.
            further: The sort key behind which to look for more where not so many rows were found, but enough was
                looked at for one page.
        """
        shown = list(rows[:limit])
        place = key(shown[-1]) if len(rows) > limit else further
        return Page(data=shown, next_cursor=None if place is None else self.cursors.encode(kind, place))


class Dialect(typing.Protocol):
    """What the interface of a standard asks of its operations beyond what all operations have."""

    def enter(self, context: "RequestContext") -> None:
        """See that the operation is offered, before anybody is asked who they are."""

    def read(self, call: Call) -> None:
        """Read the headers, once it is known who is asking and that they may."""

    async def admit(self, call: Call) -> None:
        """See to the body as it came, before anything is read out of it."""

    def check(self, call: Call, body: typing.Any) -> None:
        """See to what was read out of the body."""

    async def finish(self, call: Call, answer: "Answer") -> "Answer":
        """Return the answer as the interface has it."""

    async def refuse(self, context: "RequestContext", error: ProblemError, services: "Services") -> "Answer":
        """Return the answer that an error makes."""


_PATH_PARAMETER: Final = re.compile(r"\{([a-z_]+)\}")
_WITH_TOKEN: Final = ("tenant", "platform")


class Options(typing.TypedDict, total=False):
    """What a route may declare beside its method and path.

    Attributes:
        scope: What the access token must allow. Every operation that needs a token names one.
        resource: For which of the realm's resources the token must be (RFC 8707), below its issuer; empty is any.
        customers: Whether it may be asked in a customer's name, which the handler holds to what is ``caller.own``.
        status: The status of success; 201 where ``location`` is given, 204 where nothing is returned, else 200.
        errors: What it refuses for reasons of its own, for the document. What any operation may refuse (token, scope,
            form, size, rate, database) is documented by itself.
        idempotency: Whether it takes an ``Idempotency-Key``; ``required`` where money moves.
        if_match: Whether it heeds ``If-Match``; the handler calls ``check_if_match(call.if_match, version)``.
        etag: Whether answers carry an ``ETag`` made of their ``version``.
        location: Path of what it creates, with ``{id}`` for the answer's id; becomes the ``Location`` header.
        links: What its answer leads to.
        examples: ``{"request": …}`` as JSON values, where the types' own examples don't make one.
        operation_id: The handler's name in camel case, unless given.
        body_media_type: ``application/octet-stream`` hands the handler the bytes.
        signed_media_types: In which other media types the same may come signed; the handler then finds it, as it came,
            in ``call.body``, and its own ``body`` is empty.
        body_schema: What the body is, for the document, where the handler is handed the bytes.
        response_media_type: Where it isn't JSON.
        surface: How refusals look.
        open_query: Whether parameters that it doesn't know are passed over, as OAuth wants it where browsers come from
            elsewhere (RFC 6749, section 3.1); else they are refused.
        audience: Where it isn't the room's.
        in_document: Whether the OpenAPI document shows it.
        by_itself: Whether it is answered without the database.
        hot: Whether the edge runs it by itself, without the router, which costs as much as everything else together.
            Nothing else changes by that.
        one_command: Whether all that it changes is changed by one command to the ledger, with which the proof of its
            token is remembered then, too.
        approval: When a second person must agree first.
        personal: Whether its answer tells of people, so that it is sealed where it is kept to be repeated.
        other_scopes: Any of these will do in place of the scope.
        dialect: What the interface of a standard asks beyond that.
        deprecated: That programs should no longer use it.
    """

    scope: str | None
    other_scopes: Sequence[str]
    dialect: Dialect | None
    resource: str
    customers: bool
    status: int
    errors: Sequence[type[ProblemError]]
    idempotency: Need
    if_match: bool
    etag: bool
    location: str | None
    links: Sequence[Link]
    examples: Mapping[str, Any]
    operation_id: str
    body_media_type: str
    signed_media_types: Sequence[str]
    body_schema: Any
    response_media_type: str
    surface: Surface
    audience: Audience
    open_query: bool
    in_document: bool
    by_itself: bool
    hot: bool
    one_command: bool
    approval: NeedsApproval | None
    personal: bool
    deprecated: Deprecation | None


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One operation, with everything that routing, checks and the OpenAPI document need to know.

    The fields are those of ``Options``, those that the decorator's handler says by its name, docstring and signature,
    and the readers made of that signature.
    """

    method: Method
    path: str
    operation_id: str
    tag: str
    audience: Audience
    summary: str
    description: str
    handler: Handler
    signature: "Signature"
    status: int
    scope: str | None = None
    resource: str = "/v1"
    customers: bool = False
    errors: Sequence[type[ProblemError]] = ()
    idempotency: Need = "none"
    if_match: bool = False
    etag: bool = False
    location: str | None = None
    links: Sequence[Link] = ()
    examples: Mapping[str, Any] = field(default_factory=dict)
    body_media_type: str = JSON
    signed_media_types: Sequence[str] = ()
    body_schema: Any = None
    response_media_type: str = JSON
    surface: Surface = "problem"
    open_query: bool = False
    in_document: bool = True
    by_itself: bool = False
    hot: bool = False
    one_command: bool = False
    approval: NeedsApproval | None = None
    personal: bool = False
    other_scopes: Sequence[str] = ()
    dialect: Dialect | None = None
    deprecated: Deprecation | None = None

    def __post_init__(self) -> None:
        """Refuse a declaration that forgets something."""
        if self.needs_token and self.scope is None:
            msg = f"{self.method} {self.path} needs a scope"
            raise TypeError(msg)
        again = self.idempotency != "none" or self.method != "POST"
        if self.approval is not None and not again and not self.approval.by_maker:
            msg = f"{self.method} {self.path} waits for approval, so carrying it out must be safe to repeat"
            raise TypeError(msg)
        if not self.summary:
            msg = f"{self.handler.__name__} needs a docstring: it is the operation's summary"
            raise TypeError(msg)

    @cached_property
    def needs_token(self) -> bool:
        """Tell whether the caller must show an access token."""
        return self.audience in _WITH_TOKEN

    @cached_property
    def gives_authority(self) -> bool:
        """Tell whether it gives or takes authority, so that who asks is held until it is done (ADR 71)."""
        return self.method != "GET" and self.scope in entering.OVER_AUTHORITY

    @cached_property
    def takes_body(self) -> bool:
        """Tell whether the operation reads a body."""
        return self.signature.body_type is not None

    @cached_property
    def takes_bytes(self) -> bool:
        """Tell whether the handler is handed the body as it came."""
        return self.body_media_type != JSON

    @cached_property
    def takes_upload(self) -> bool:
        """Tell whether the body is a file, which may be larger than a form or JSON."""
        return self.body_media_type == "application/octet-stream"

    @cached_property
    def path_parameters(self) -> Parameters:
        """Return what reads the parameters of the path."""
        return Parameters(self.signature.path_types)

    @cached_property
    def query_parameters(self) -> Parameters:
        """Return what reads the parameters of the query."""
        return Parameters(self.signature.query_types)

    @cached_property
    def expansion(self) -> Expansion | None:
        """Return what its answers may be told together with."""
        asks = self.method == "GET" and self.needs_token and self.response_media_type == JSON
        return Expansion.of(self.signature.response) if asks else None

    @cached_property
    def decoder(self) -> "msgspec.json.Decoder[Any]":
        """Return what reads the JSON body."""
        return msgspec.json.Decoder(self.signature.body_type)


class Routes:
    """The operations of one room.

    Args:
        tag: The heading under which the document shows them.
        description: What the room is about.
        audience: Where they live, see ``Audience``.
    """

    def __init__(self, *, tag: str, description: str, audience: Audience = "tenant") -> None:
        self.tag = tag
        self.description = description
        self.audience: Audience = audience
        self.operations: list[Operation] = []

    def operation(self, method: Method, path: str, **options: Unpack[Options]) -> Callable[[H], H]:
        """Declare an operation; ``Options`` says what can be declared."""

        def declare(handler: H) -> H:
            signature = Signature.of(handler, path)
            summary, _, description = inspect.cleandoc(handler.__doc__ or "").partition("\n\n")
            said: dict[str, Any] = {
                "operation_id": _camel_case(handler.__name__),
                "status": _success_status(signature.response, options.get("location")),
                "audience": self.audience,
                **options,
            }
            self.operations.append(
                Operation(
                    method=method,
                    path=path,
                    tag=self.tag,
                    summary=summary.rstrip("."),
                    description=description.strip(),
                    handler=handler,
                    signature=signature,
                    **said,
                )
            )
            return handler

        return declare

    def get(self, path: str, **options: Unpack[Options]) -> Callable[[H], H]:
        """Declare a GET."""
        return self.operation("GET", path, **options)

    def post(self, path: str, **options: Unpack[Options]) -> Callable[[H], H]:
        """Declare a POST."""
        return self.operation("POST", path, **options)

    def patch(self, path: str, **options: Unpack[Options]) -> Callable[[H], H]:
        """Declare a PATCH."""
        return self.operation("PATCH", path, **options)

    def delete(self, path: str, **options: Unpack[Options]) -> Callable[[H], H]:
        """Declare a DELETE."""
        return self.operation("DELETE", path, **options)


def _success_status(response: Any, location: str | None) -> int:
    if location is not None:
        return 201
    return 204 if response is None else 200


def _camel_case(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What a handler's signature says."""

    path_types: Mapping[str, Any]
    query_types: Mapping[str, Any]
    query_defaults: Mapping[str, Any]
    python_names: Mapping[str, str]
    body_type: Any
    response: Any

    @classmethod
    def of(cls, handler: Handler, path: str) -> "Signature":
        """Read a handler's signature against its path."""
        hints = typing.get_type_hints(handler, include_extras=True, localns={"Call": Call})
        names = list(inspect.signature(handler).parameters.values())[1:]
        in_path = set(_PATH_PARAMETER.findall(path))
        path_types: dict[str, Any] = {}
        query_types: dict[str, Any] = {}
        query_defaults: dict[str, Any] = {}
        python_names: dict[str, str] = {}
        body_type = None
        for parameter in names:
            if parameter.name in in_path:
                path_types[parameter.name] = hints[parameter.name]
            elif parameter.name == "body":
                body_type = hints["body"]
            elif parameter.kind is parameter.KEYWORD_ONLY and parameter.default is not parameter.empty:
                # `from_` and `type_` are `from` and `type` on the wire.
                name = parameter.name.removesuffix("_")
                python_names[name] = parameter.name
                query_types[name] = hints[parameter.name]
                query_defaults[name] = parameter.default
            else:
                msg = f"{handler.__name__}: {parameter.name} must be in the path, or keyword-only with a default"
                raise TypeError(msg)
        if missing := in_path - set(path_types):
            msg = f"{handler.__name__} doesn't take {sorted(missing)} of its path"
            raise TypeError(msg)
        response = hints["return"]
        if typing.get_origin(response) is Reply:
            (response,) = typing.get_args(response)
        return cls(
            path_types=path_types,
            query_types=query_types,
            query_defaults=query_defaults,
            python_names=python_names,
            body_type=body_type,
            response=None if response is type(None) else response,
        )
