"""What may be tried from the portal, by whom and as which program, and how a form becomes a request. Nothing is asked.

Two things hold whatever a form says. Nobody gets further by way of a program than they may go without it: a partner's
people use their partner's own programs, whose secrets they could as well replace, and staff the tenant's own, to which
it lends none of the scopes that it doesn't have itself. And what must be done by a person isn't done by a program for
them. (ADR 38.)
"""

import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from typing import Final, Literal
from urllib.parse import quote, urlencode
from uuid import UUID

import msgspec

from billfold_server.http.routing import Operation

__all__ = ["BODY", "Asked", "Complaint", "Obstacle", "asked", "curl", "may_use", "obstacle"]

BODY: Final = "body"
"""The name of the body's field."""

Obstacle = Literal["no_sandbox", "open", "file", "person", "decider"]
"""Why an operation can't be tried: the tenant's money is real; no token is needed; it takes a file; a person must do
it; it waits for a second person, which whoever asks would be themselves."""

Complaint = Literal["missing", "wrong"]

_OF_PERSONS: Final = frozenset(
    {"approvals:decide", "clients:write", "keys:write", "members:write", "partners:write", "users:write"}
)
"""What says who may do what, or lets somebody do it. Whoever does that is named, and has a page for it."""

_DECIDES: Final = "approvals:decide"
_IN_PATH: Final = re.compile(r"[^/\\?#%\x00-\x20\x7f-\uffff]{1,256}")
_IN_HEADER: Final = re.compile(r"[\x20-\x7e]{1,255}")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request as a form asks for it.

    Attributes:
        path: Below the tenant's base, decoded.
        query: The query string.
        headers: Those that the operation declares.
        body: The body.
        complaints: By field, what is wrong with it; then nothing is sent.
    """

    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    complaints: dict[str, Complaint]


def obstacle(operation: Operation, *, sandbox: bool, scopes: Collection[str]) -> Obstacle | None:
    """Return why somebody can't try an operation here, or None.

    Args:
        operation: Which one.
        sandbox: Whether the tenant is a sandbox.
        scopes: What they may themselves.
    """
    if not operation.needs_token:
        return "open"
    if operation.takes_bytes:
        return "file"
    if operation.scope in _OF_PERSONS:
        return "person"
    if not sandbox:
        return "no_sandbox"
    if operation.approval is not None and _DECIDES in scopes:
        return "decider"
    return None


def may_use(
    scope: str,
    *,
    scopes: Collection[str],
    partner_id: UUID | None,
    client_scopes: Collection[str],
    client_partner_id: UUID | None,
) -> bool:
    """Tell whether somebody may ask for something as a program.

    Args:
        scope: What it takes.
        scopes: What they may themselves.
        partner_id: For which partner they work; None is the tenant itself.
        client_scopes: What the program may.
        client_partner_id: Whose program it is; None is the tenant's own.
    """
    if scope not in client_scopes or scope in _OF_PERSONS:
        return False
    if client_partner_id != partner_id:
        return False
    return partner_id is not None or scope in scopes


def asked(operation: Operation, form: Mapping[str, str]) -> Asked:
    """Return the request that a form asks for.

    Empty fields are left out. What the values must be is the operation's own matter, and refused by it; here is only
    seen to it that they make one request to this operation's address, and no other.

    Args:
        operation: Which one.
        form: Fields ``path.…``, ``query.…`` and ``header.…`` by the parameters' names, and ``body``.
    """
    complaints: dict[str, Complaint] = {}
    path = operation.path
    for name in operation.signature.path_types:
        value = form.get(f"path.{name}", "").strip()
        if not value:
            complaints[f"path.{name}"] = "missing"
        elif not _IN_PATH.fullmatch(value) or value in {".", ".."}:
            complaints[f"path.{name}"] = "wrong"
        path = path.replace(f"{{{name}}}", value)
    names = operation.signature.query_types
    query = {name: value for name in names if (value := form.get(f"query.{name}", "").strip())}
    headers: dict[str, str] = {}
    for name in _headers(operation):
        if value := form.get(f"header.{name}", "").strip():
            if not _IN_HEADER.fullmatch(value):
                complaints[f"header.{name}"] = "wrong"
            headers[name.lower()] = value
        elif name == _KEY and operation.idempotency == "required":
            complaints[f"header.{name}"] = "missing"
    body = b""
    if operation.takes_body:
        body = form.get(BODY, "").replace("\r\n", "\n").strip().encode()
        headers["content-type"] = operation.body_media_type
        if not body:
            complaints[BODY] = "missing"
    return Asked(path=path, query=urlencode(query), headers=headers, body=body, complaints=complaints)


_KEY: Final = "Idempotency-Key"
_SPELLED: Final = {"idempotency-key": _KEY, "if-match": "If-Match", "content-type": "Content-Type"}


def _headers(operation: Operation) -> Sequence[str]:
    return [*([_KEY] if operation.idempotency != "none" else []), *(["If-Match"] if operation.if_match else [])]


def curl(method: str, base_url: str, request: Asked, *, with_token: bool = True) -> str:
    """Return the command that makes a request, with a variable in place of the token.

    Args:
        method: The request's method.
        base_url: The tenant's base.
        request: The request.
        with_token: Whether it shows a token.
    """
    query = f"?{request.query}" if request.query else ""
    address = f"{base_url}{quote(request.path, safe='/{}')}{query}"
    lines = [f"curl {'' if method == 'GET' else f'-X {method} '}{shlex.quote(address)}"]
    if with_token:
        lines.append('-H "Authorization: Bearer $BILLFOLD_TOKEN"')
    for name, value in request.headers.items():
        lines.append(f"-H {shlex.quote(f'{_SPELLED.get(name, name)}: {value}')}")
    if request.body:
        lines.append(f"--data {shlex.quote(request.body.decode())}")
    return " \\\n  ".join(lines)
