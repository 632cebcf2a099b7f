"""The OpenAPI document of the authorization server, made of its operations as the rooms have declared them.

It is a document of its own, beside that of ``/v1``, because its words are other standards': members that nobody knows
are ignored, refusals have the codes of RFCs, and browsers come to some of it. What the rooms declare (paths,
parameters, forms, answers) comes from their handlers; what the RFCs say of an operation stands here, once for tenant
and platform. The SDK's client of all this is ``billfold.auth``, so no method of ``billfold.client`` has its operations.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from billfold.contract.clients import ClientMetadata
from billfold.contract.common import Problem
from billfold.contract.oauth import Introspection, OAuthError, UserInfo
from billfold_server.http.routing import Operation, Routes
from billfold_server.http.schemas import Schemas, example_of

__all__ = ["SAID", "Said", "build_oauth_document", "is_told"]

_PROOF: Final = ("invalid_dpop_proof", "use_dpop_nonce")
_PAGE: Final = "text/html"


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What the RFCs say of an operation.

    Attributes:
        source: Which ones.
        refusals: The codes by which it refuses, but for those of a client that isn't authenticated.
        client: Whether a client authenticates: as it is registered.
        bearer: What token is shown in the ``Authorization`` header, where one is.
        answer: What it answers, where the handler doesn't say it.
        statuses: How it answers: success first.
        form: Parameters in the query that may come as a form as well.
        browser: Whether browsers come here, and not the client itself.
        brought: The codes of the refusals that a browser brings the client.
        always_401: Whether that is the answer to every client that isn't authenticated.
    """

    source: str
    refusals: tuple[str, ...] = ()
    client: bool = False
    bearer: str | None = None
    answer: Any = None
    statuses: tuple[int, ...] = (200,)
    form: tuple[str, ...] = ()
    browser: bool = False
    brought: tuple[str, ...] = ()
    always_401: bool = False


_REGISTERED: Final = "Registered"
_RESOURCE: Final = "Resource"
_METADATA_REFUSED: Final = (
    "invalid_redirect_uri",
    "invalid_client_metadata",
    "invalid_software_statement",
    "unapproved_software_statement",
    "access_denied",
    "invalid_request",
)
_AUTHORIZE: Final = Said(
    source="RFC 6749, section 4.1; RFC 9126, section 4; OpenID Connect Core, section 3.1.2; OpenID Connect Core Error"
    " Code unmet_authentication_requirements",
    form=("client_id", "request_uri"),
    refusals=("invalid_request_uri",),
    browser=True,
    brought=("access_denied", "consent_required", "login_required", "unmet_authentication_requirements"),
    statuses=(303,),
)
_END: Final = Said(
    source="OpenID Connect RP-Initiated Logout, section 2",
    form=("id_token_hint", "client_id", "post_logout_redirect_uri", "state"),
    browser=True,
    statuses=(200, 303),
)
_USERINFO: Final = Said(
    source="OpenID Connect Core, section 5.3", bearer="An access token with the scope `openid`.", answer=UserInfo
)
_TOKEN: Final = Said(
    source="RFC 6749, sections 4.1.3, 4.4.2, 5 and 6; RFC 7523; RFC 8705; RFC 8707; RFC 9396; RFC 9449",
    client=True,
    refusals=(
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
        "invalid_target",
        "invalid_authorization_details",
        *_PROOF,
    ),
)
_PAR: Final = Said(
    source="RFC 9126, section 2; RFC 7636; RFC 9101; RFC 9396",
    client=True,
    statuses=(201,),
    refusals=(
        "unauthorized_client",
        "invalid_scope",
        "invalid_target",
        "invalid_authorization_details",
        "invalid_request_object",
        "request_not_supported",
        *_PROOF,
    ),
)
_INTROSPECTION: Final = Said(source="RFC 7662, section 2; RFC 9701", client=True, answer=Introspection, always_401=True)
_REVOCATION: Final = Said(source="RFC 7009, section 2", client=True)
_KEYS: Final = Said(source="RFC 7517, section 5")
_METADATA: Final = Said(source="RFC 8414, section 3; OpenID Connect Discovery, section 4")
_OF_RESOURCE: Final = Said(source="RFC 9728, section 3", answer=_RESOURCE)
_OWN: Final = "The registration's own access token."

SAID: Final[Mapping[str, Said]] = {
    "/oauth/authorize": _AUTHORIZE,
    "/oauth/par": _PAR,
    "/oauth/token": _TOKEN,
    "/oauth/introspect": _INTROSPECTION,
    "/oauth/revoke": _REVOCATION,
    "/oauth/userinfo": _USERINFO,
    "/oauth/end-session": _END,
    "POST /oauth/register": Said(
        source="RFC 7591, section 3", refusals=_METADATA_REFUSED, answer=_REGISTERED, statuses=(201,)
    ),
    "GET /oauth/register/{client_id}": Said(source="RFC 7592, section 2.1", bearer=_OWN, answer=_REGISTERED),
    "PUT /oauth/register/{client_id}": Said(
        source="RFC 7592, section 2.2", bearer=_OWN, refusals=_METADATA_REFUSED, answer=_REGISTERED
    ),
    "DELETE /oauth/register/{client_id}": Said(source="RFC 7592, section 2.3", bearer=_OWN, statuses=(204,)),
    "/.well-known/jwks.json": _KEYS,
    "/.well-known/oauth-authorization-server": _METADATA,
    "/.well-known/openid-configuration": _METADATA,
    "/.well-known/oauth-protected-resource": _OF_RESOURCE,
    "/.well-known/oauth-protected-resource/open-banking": _OF_RESOURCE,
}
"""By path below the issuer, or by method and path where methods differ. Other addresses are between our own pages."""


def is_told(operation: Operation) -> bool:
    """Tell whether an operation has its place in this document."""
    return _said(operation) is not None


def _said(operation: Operation) -> Said | None:
    path = operation.path.removeprefix("/platform")
    return SAID.get(f"{operation.method} {path}", SAID.get(path))


def build_oauth_document(
    rooms: Sequence[Routes], *, base_url: str | None = None, title: str = "Billfold: authorization server"
) -> dict[str, Any]:
    """Return the document of the authorization server's operations among those of some rooms.

    Args:
        rooms: The server's.
        base_url: A tenant's base URL; the document is the tenant's own then, without the platform's. Where absent, the
            tenant is a variable.
        title: The document's title.
    """
    shown = [
        (operation, said)
        for room in rooms
        for operation in room.operations
        if (said := _said(operation)) is not None and (base_url is None or not operation.path.startswith("/platform"))
    ]
    schemas = Schemas(
        [OAuthError, ClientMetadata, *(each for operation, said in shown for each in _types(operation, said))]
    )
    paths: dict[str, Any] = {}
    for operation, said in shown:
        item = paths.setdefault(operation.path, {})
        if operation.path.startswith("/platform"):
            item["servers"] = [{"url": "/", "description": "The deployment itself."}]
        item[operation.method.lower()] = _written(operation, said, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": "1.0", "description": _ABOUT, "license": _LICENSE},
        "servers": [_server(base_url)],
        "paths": paths,
        "components": {
            "schemas": {**_opened(schemas.components), **_OWN_SCHEMAS},
            "securitySchemes": _SECURITY,
        },
    }


_LICENSE: Final = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
_ABOUT: Final = """\
OAuth 2, OpenID Connect and FAPI, as each tenant's authorization server and the platform's speak them. Which methods of
client authentication, algorithms and response modes a tenant takes is said by its metadata, for it follows from the
tenant's security profile. Parameters and members that nobody knows are ignored, as the RFCs want it."""
_OWN_SCHEMAS: Final[dict[str, Any]] = {
    _REGISTERED: {
        "description": "What is registered of a client, and where it looks after that (RFC 7591, section 3.2.1).",
        "allOf": [
            {"$ref": "#/components/schemas/ClientMetadata"},
            {
                "type": "object",
                "properties": {
                    "client_id": {"type": "string"},
                    "client_id_issued_at": {"type": "integer"},
                    "client_secret": {"type": "string"},
                    "client_secret_expires_at": {"const": 0},
                    "registration_client_uri": {"type": "string", "format": "uri"},
                    "registration_access_token": {"type": "string"},
                },
                "required": ["client_id", "client_id_issued_at", "registration_client_uri"],
            },
        ],
    },
    _RESOURCE: {
        "description": "What a resource says about itself (RFC 9728, section 2).",
        "type": "object",
        "properties": {
            "resource": {"type": "string", "format": "uri"},
            "authorization_servers": {"type": "array", "items": {"type": "string", "format": "uri"}},
            "scopes_supported": {"type": "array", "items": {"type": "string"}},
            "bearer_methods_supported": {"type": "array", "items": {"const": "header"}},
            "resource_documentation": {"type": "string", "format": "uri"},
            "tls_client_certificate_bound_access_tokens": {"type": "boolean"},
            "dpop_signing_alg_values_supported": {"type": "array", "items": {"type": "string"}},
            "dpop_bound_access_tokens_required": {"type": "boolean"},
        },
        "required": ["resource", "authorization_servers", "scopes_supported"],
    },
}
_SECURITY: Final[dict[str, Any]] = {
    "clientBasic": {
        "type": "http",
        "scheme": "basic",
        "description": "The client's id and secret (RFC 6749, section 2.3.1), where the profile takes secrets.",
    },
    "clientCertificate": {"type": "mutualTLS", "description": "The client's certificate (RFC 8705, section 2)."},
    "bearer": {"type": "http", "scheme": "bearer", "description": "An access token (RFC 6750; RFC 9449 with `DPoP`)."},
}


def _server(base_url: str | None) -> dict[str, Any]:
    if base_url is not None:
        return {"url": base_url}
    slug = {"default": "sandbox", "description": "The tenant's name in addresses."}
    return {"url": "/t/{slug}", "description": "A tenant's base.", "variables": {"slug": slug}}


def _opened(components: Mapping[str, Any]) -> dict[str, Any]:
    """Return schemas that let members be that nobody knows."""
    opened = copy.deepcopy(dict(components))
    for each in opened.values():
        each.pop("additionalProperties", None)
    return opened


def _types(operation: Operation, said: Said) -> list[Any]:
    signature = operation.signature
    types = [*signature.path_types.values(), *signature.query_types.values(), operation.body_schema]
    types += [signature.response, None if isinstance(said.answer, str) else said.answer]
    types += [Problem] if operation.needs_token else []
    return [each for each in types if each not in {None, bytes}]


def _written(operation: Operation, said: Said, schemas: Schemas) -> dict[str, Any]:
    written: dict[str, Any] = {
        "operationId": operation.operation_id,
        "summary": operation.summary,
        "description": "\n\n".join(filter(None, (operation.description, f"Source: {said.source}."))),
        "tags": [operation.tag],
        "parameters": _parameters(operation, said, schemas),
        "requestBody": _request(operation, said, schemas),
        "responses": _responses(operation, said, schemas),
    }
    written = {key: value for key, value in written.items() if value}
    if said.client:
        # An assertion, or the id and secret, may lie in the form, so none of the headers need be there.
        return {**written, "security": [{"clientBasic": []}, {"clientCertificate": []}, {}]}
    return {**written, "security": [{"bearer": []}] if said.bearer is not None else []}


def _parameters(operation: Operation, said: Said, schemas: Schemas) -> list[dict[str, Any]]:
    found = [
        {"name": name, "in": "path", "required": True, "schema": schemas.of(kind)}
        for name, kind in operation.signature.path_types.items()
    ]
    if operation.method == "GET":
        found += [{"name": name, "in": "query", "schema": {"type": "string"}} for name in said.form]
    if said.client and "use_dpop_nonce" in said.refusals:
        text = "A proof of possession of the key to which tokens are to be bound (RFC 9449, section 4)."
        found.append({"name": "DPoP", "in": "header", "description": text, "schema": {"type": "string"}})
    return found


def _request(operation: Operation, said: Said, schemas: Schemas) -> dict[str, Any] | None:
    if not operation.takes_body:
        return None
    if said.answer == _REGISTERED:
        content: dict[str, Any] = {"application/json": {"schema": {"$ref": "#/components/schemas/ClientMetadata"}}}
        content |= {each: {"schema": {"type": "string"}} for each in operation.signed_media_types}
    elif operation.body_schema is not None:
        schema = schemas.of(operation.body_schema)
        example = operation.examples.get("request", example_of(schemas, schema, whole=False))
        content = {operation.body_media_type: {"schema": schema, "example": example}}
    else:
        fields = {"type": "object", "properties": {name: {"type": "string"} for name in said.form}}
        content = {operation.body_media_type: {"schema": fields}}
    return {"required": True, "content": content}


_NOT_AUTHENTICATED: Final = (
    "The client isn't authenticated, and could be by HTTP Basic; where secrets aren't accepted, that is 400."
)


def _responses(operation: Operation, said: Said, schemas: Schemas) -> dict[str, Any]:
    answers = {str(status): _answer(operation, said, status, schemas) for status in said.statuses}
    if operation.needs_token:
        return answers | _problems(said, schemas)
    refusals = _own_refusals(said)
    if operation.takes_body:
        refusals |= {status: _refusal(text, ("invalid_request",)) for status, text in _OF_BODIES.items()}
    if operation.surface == "oauth":
        refusals["429"] = _refusal(_TOO_MANY, ("temporarily_unavailable",))
    if operation.surface in {"oauth", "page"}:
        refusals["503"] = _refusal(_NOT_NOW, ("temporarily_unavailable",))
    if said.browser:
        # A page for people, and JSON for whoever doesn't ask for one.
        for each in refusals.values():
            each["content"] = {_PAGE: {"schema": {"type": "string"}}, **each["content"]}
    return dict(sorted((answers | refusals).items()))


_OF_BODIES: Final = {
    "408": "The body took too long to come.",
    "413": "The body is too large.",
    "415": "The body's media type isn't one that is taken here.",
}
_TOO_MANY: Final = "There were too many requests."
_NOT_NOW: Final = "It can't be answered now."


def _own_refusals(said: Said) -> dict[str, Any]:
    """Return the refusals that an operation of the protocols has because of what it is."""
    if said.browser:
        text = "What is wrong is said to the browser; nobody is sent anywhere with it."
        return {"400": _refusal(text, ("invalid_request", *said.refusals))}
    refusals = {}
    if said.always_401:
        codes, unauthenticated = ("invalid_request", *said.refusals), "The client isn't authenticated."
    elif said.client:
        codes, unauthenticated = ("invalid_request", "invalid_client", *said.refusals), _NOT_AUTHENTICATED
    else:
        codes, unauthenticated = said.refusals, None
    if codes:
        refusals["400"] = _refusal("It is refused by one of these codes.", codes)
    if unauthenticated is not None:
        refusals["401"] = _refusal(unauthenticated, ("invalid_client",))
    elif said.bearer is not None:
        refusals["401"] = _refusal(f"The token isn't this: {said.bearer}", ("invalid_token",))
    return refusals


def _problems(said: Said, schemas: Schemas) -> dict[str, Any]:
    """Return the refusals of an operation that takes access tokens, as everything behind these refuses."""
    texts = {
        "400": "A parameter isn't known.",
        "401": f"The token isn't this: {said.bearer}",
        "403": "The token lacks the scope.",
        "429": _TOO_MANY,
        "503": _NOT_NOW,
    }
    content = {"application/problem+json": {"schema": schemas.of(Problem)}}
    return {status: {"description": text, "content": content} for status, text in texts.items()}


def _answer(operation: Operation, said: Said, status: int, schemas: Schemas) -> dict[str, Any]:
    if status == 303:  # noqa: PLR2004 - See Other
        location = {
            "description": "Where the browser goes on.",
            "schema": {"type": "string", "format": "uri-reference"},
        }
        text = "The browser goes on."
        if said.brought:
            text += f" It brings the client an answer in the end, or an `error`: {_listed(said.brought)}."
        return {"description": text, "headers": {"Location": location}}
    if said.browser:
        return {"description": "A page asks.", "content": {_PAGE: {"schema": {"type": "string"}}}}
    kind = said.answer or operation.signature.response
    if kind in {None, bytes}:
        return {"description": "Done; there is nothing to say."}
    schema = {"$ref": f"#/components/schemas/{kind}"} if isinstance(kind, str) else schemas.of(kind)
    content = {"application/json": {"schema": schema}}
    if kind is Introspection:
        content["application/token-introspection+jwt"] = {"schema": {"type": "string"}}
    return {"description": "As asked.", "content": content}


def _listed(codes: Sequence[str]) -> str:
    return ", ".join(f"`{each}`" for each in codes)


def _refusal(description: str, codes: Sequence[str]) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/OAuthError", "properties": {"error": {"enum": sorted({*codes})}}}
    return {"description": description, "content": {"application/json": {"schema": schema}}}
