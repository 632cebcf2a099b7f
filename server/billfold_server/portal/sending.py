"""Makes a request of the reference's console: as a program, by a token for this one request, and on the usual way.

Whoever has asked is in the audit before anything is sent, under the id that the request will have; so what it does, and
is recorded as the program's, is found with their name beside it. (ADR 38.)
"""

import asyncio
from typing import Final

import msgspec

from billfold import ids
from billfold.ids import Prefix
from billfold_server.audit import service as audit
from billfold_server.http.inside import ROOM, Answered, Inside, Origin
from billfold_server.http.routing import Call, Operation
from billfold_server.identity.service import Client, list_clients
from billfold_server.portal.trying import Asked, may_use
from billfold_server.portal.viewers import Viewer
from billfold_server.tenancy.transaction import TenantTx

__all__ = ["PATIENCE_S", "SCOPE", "note", "own", "send", "usable"]

SCOPE: Final = "clients:write"
"""What it takes to use programs: whoever looks after them could as well give one another secret, and use that."""

PATIENCE_S: Final = 40
"""How long an answer is waited for; a clock that is moved takes half a minute."""

_GRANT: Final = "client_credentials"
_ACTION: Final = "client.used_in_console"
_MOST: Final = 200
"""How many programs are looked at; whoever has more sends requests with the SDK."""


async def own(tx: TenantTx, viewer: Viewer) -> list[tuple[Client, list[str]]]:
    """Return the programs as which somebody may try operations, each with what it may be used for.

    They are let in, and act for themselves: a program that only ever acts for people who sign in has nothing of its own
    that could be lent.

    Args:
        tx: The tenant's transaction.
        viewer: Who.
    """
    found = [
        (client, [scope for scope in client.scopes if _may_use(viewer, client, scope)])
        for client in await list_clients(tx, partner_id=viewer.partner_id, limit=_MOST)
        if client.is_let_in and _GRANT in client.grant_types
    ]
    return [(client, scopes) for client, scopes in found if scopes]


async def usable(tx: TenantTx, viewer: Viewer, operation: Operation) -> list[Client]:
    """Return the programs as which somebody may try one operation."""
    return [client for client, scopes in await own(tx, viewer) if operation.scope in scopes]


def _may_use(viewer: Viewer, client: Client, scope: str) -> bool:
    return may_use(
        scope,
        scopes=viewer.scopes,
        partner_id=viewer.partner_id,
        client_scopes=client.scopes,
        client_partner_id=client.partner_id,
    )


async def note(call: Call, tx: TenantTx, viewer: Viewer, client: Client, operation: Operation) -> str:
    """Record who asks for what as which program, and return the id that the request will have.

    Raises:
        errors.RateLimited: The program asks too often.
    """
    call.services.limits.take_token(call.tenant, client.id)
    request_id = ids.new(Prefix.REQUEST)
    caller = msgspec.structs.replace(viewer.caller(call), request_id=request_id)
    facts = {"operation": operation.operation_id, "scope": operation.scope, "page_request_id": call.request_id}
    await audit.record(tx, audit.new_record(caller, _ACTION, client.client_id, facts=facts))
    return request_id


async def send(call: Call, client: Client, operation: Operation, asked: Asked, request_id: str) -> Answered | None:
    """Make the request and return the answer, or None where none came in time. Not inside of a transaction.

    Args:
        call: The request for the page.
        client: As which program; ``note`` has recorded it.
        operation: Which operation.
        asked: What is asked.
        request_id: As ``note`` returned it.
    """
    services = call.services
    inside: Inside = services.rooms[ROOM]
    token = await services.identity.headers_for_one_call(
        call.tenant,
        client,
        scope=operation.scope or "",
        resource=operation.resource,
        method=operation.method,
        path=asked.path,
        now=services.clock.now(),
    )
    headers = {"host": call.headers.get("host", ""), "accept": "*/*", **asked.headers, **token}
    if asked.body:
        headers["content-length"] = str(len(asked.body))
    path = f"/t/{call.tenant.slug}{asked.path}"
    origin = Origin(request_id, call.peer)
    try:
        return await asyncio.wait_for(
            inside.ask(operation.method, path, asked.query, headers, asked.body, origin=origin), PATIENCE_S
        )
    except TimeoutError:
        return None
