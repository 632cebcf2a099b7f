"""Tokens that end before their time, because their client says so (RFC 7009).

A refresh token ends its whole grant, with every token that was issued by it (section 2.1), and the consent of open
banking by which it was given; an access token ends alone.
Every worker knows it within a second: see ``standings``. What isn't a good token of the client's is no error
(section 2.2), so nobody finds out by this what there is.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from billfold_server.audit import service as audit
from billfold_server.http.routing import Reply
from billfold_server.identity.clients.rows import Client
from billfold_server.identity.grants import consented, refresh_tokens
from billfold_server.identity.realms import Realm
from billfold_server.identity.rules import OAuthRefusal
from billfold_server.identity.tokens.access_tokens import digest_of
from billfold_server.tenancy.context import Caller

if TYPE_CHECKING:
    from billfold_server.http.routing import Call

__all__ = ["REASON", "revoke"]

REASON: Final = "the client has revoked it"

_REVOKE: Final = """
INSERT INTO revoked_tokens (digest, client_id, revoked_at, expires_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING
"""
_SWEEP: Final = """
DELETE FROM revoked_tokens WHERE digest IN (
    SELECT digest FROM revoked_tokens WHERE expires_at < $1 ORDER BY expires_at LIMIT 10 FOR UPDATE SKIP LOCKED
)
"""


async def revoke(call: "Call", realm: Realm, client: Client, form: Mapping[str, str]) -> Reply[Any]:
    """End a token of the client's.

    Args:
        call: The request.
        realm: Whose token it would be.
        client: Who asks, authenticated.
        form: ``token``; a hint about its kind isn't needed.

    Raises:
        OAuthRefusal: ``invalid_request``: there is no token.
    """
    token = form.get("token")
    if token is None:
        raise OAuthRefusal("invalid_request", "token is required")
    identity, now = call.services.identity, call.services.clock.now()
    caller = Caller(actor=client.client_id, client_id=client.id, request_id=call.request_id)
    # One that opens nothing for now, because its client is blocked or its consent rests, may do so again by itself.
    claims = await identity.guard.issued(realm, token)
    async with call.services.database.tx_of(realm.tenant) as tx:
        if claims is None:
            row = await refresh_tokens.find(tx, token)
            if row is not None and row.client_id == client.id:
                await consented.revoke(tx, row.grant_id, REASON, by="token", now=now, caller=caller)
        elif claims.client_id == client.client_id:
            # Whoever adds a row takes away what nobody would believe any more, so they stay few.
            await tx.execute(_SWEEP, now)
            ends = datetime.fromtimestamp(claims.exp, UTC)
            await tx.execute(_REVOKE, digest_of(claims.jti), client.id, now, ends)
            await audit.record(tx, audit.new_record(caller, "access_token.revoked", client.client_id))
    return Reply(status=200, headers={"Cache-Control": "no-store"})
