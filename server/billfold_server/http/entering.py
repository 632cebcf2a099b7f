"""How a request's transaction begins: with a look at whether who asks may still do so.

Where authority is given or taken, a look isn't enough. Who asks might be shut out between the look and the commit, and
what they give would outlive their own; and of two who shut each other out neither would be left. So there they are
held, beside those whom it is about, until it is done (``identity.askers``; ADR 71).
"""

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from billfold.errors import InvalidToken

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from billfold_server.http.routing import Call
    from billfold_server.tenancy.transaction import PlatformTx, TenantTx

__all__ = ["GRANT_STANDS", "OVER_AUTHORITY", "of_platform", "of_tenant"]

OVER_AUTHORITY: Final = frozenset(
    {
        "approvals:decide",
        "clients:write",
        "consents:write",
        "members:write",
        "partner_sandboxes:write",
        "partners:write",
        "platform:users:write",
        "users:write",
        "webhooks:write",
    }
)
"""What it takes to say who may do, get or decide on what."""

GRANT_STANDS: Final = """
SELECT g.revoked_at IS NULL AND NOT EXISTS (SELECT FROM revoked_tokens AS r WHERE r.digest = {digest})
FROM grants AS g WHERE g.id = {grant}
"""
"""Whether a grant stands and the token of that digest wasn't revoked; nothing where there is no such grant."""
_STANDS: Final = GRANT_STANDS.format(grant="$1", digest="$2")


def of_tenant(call: "Call", begin_sql: str) -> "AbstractAsyncContextManager[TenantTx]":
    """Open the tenant's transaction of a request; ``Call.tx`` says more."""
    scope = call.services.database.tx(call.tenant, begin_sql=begin_sql)
    looks = call.about is not None or call.stands is not None or call.caller.grant_id is not None
    return _looked(call, scope) if looks else scope


def of_platform(call: "Call") -> "AbstractAsyncContextManager[PlatformTx]":
    """Open the platform's transaction of a request; ``Call.platform_tx`` says more."""
    return _looked(call, call.services.database.platform_tx())


@asynccontextmanager
async def _looked(call: "Call", scope: "AbstractAsyncContextManager[Any]") -> "AsyncIterator[Any]":
    async with scope as tx:
        if call.about is not None:
            await call.services.identity.hold(tx, call.caller, about=call.about)
        # A lock would let nobody end the grant before this commits; but it may as well end a moment after.
        elif call.caller.grant_id is not None and not await tx.fetchval(
            _STANDS, call.caller.grant_id, call.caller.token_digest
        ):
            raise InvalidToken("the access token isn't valid here and now")
        if call.stands is not None:
            await call.stands(tx)
        yield tx
