"""Requests that are carried out once per ``x-idempotency-key``, and whose copies are told what has become of it.

What is kept is the id of what was made, never an answer: so a copy is answered with its present status, and nothing
personal lies with the key. A refused request leaves nothing, not even its key. Keys are kept for a day at least.

Source: Open Banking Read/Write API Profile 4.0, idempotency.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec

from billfold import errors
from billfold_server.http import idempotency
from billfold_server.http.routing import Call, Reply
from billfold_server.tenancy.transaction import TenantTx

__all__ = ["accepted", "once"]

T = TypeVar("T")


class _Made(msgspec.Struct, frozen=True):
    """What a request has made."""

    id: str


_MADE = msgspec.json.Decoder(_Made)


async def once(call: Call, work: Callable[[TenantTx], Awaitable[str]], show: Callable[[str], Awaitable[T]]) -> T:
    """Carry a request out in a transaction of the tenant, once per key, and show what it has made.

    Args:
        call: The request.
        work: Does what was asked for, and returns the id of what it has made.
        show: Reads by that id what is answered, in a transaction of its own; for a copy as well as for the first one.

    Raises:
        errors.RequestInFlight: A copy is still being carried out.
        errors.IdempotencyKeyReused: The key belongs to a request with another body.
        ProblemError: What the work refuses; nothing of the request is left then.
    """
    ref = call.idempotency
    assert ref is not None, "the interface asks for a key"

    async def made(tx: TenantTx) -> _Made:
        return _Made(await work(tx))

    async with call.tx() as tx:
        kept: Any = await idempotency.carry_out(
            tx, ref, made, status=201, request_id=call.request_id, now=call.services.clock.now()
        )
        if kept.error is not None:
            # Leaving the transaction by it takes back the key, too.
            raise kept.error
    return await show(_MADE.decode(kept.body).id)


_FIRST_REFUSAL = 400


def accepted(reply: Reply[Any]) -> bytes:
    """Return what a command of the ledger's engine has answered, now or before.

    The engine keeps what depends on state, refusals too; a copy of a refused request is refused again, as this
    interface says it.

    Raises:
        ProblemError: The same request was refused before under its key.
    """
    body = reply.body
    assert isinstance(body, bytes), "the engine answers what is kept"
    if reply.status is None or reply.status < _FIRST_REFUSAL:
        return body
    kept = msgspec.json.decode(body, type=dict[str, Any])
    error = errors.ERRORS.get(kept["code"], errors.Conflict)
    raise error(kept.get("detail"), param=kept.get("param"), **kept.get("facts", {}))
