"""What a token is worth, told to its client (RFC 7662), signed where that is wanted (RFC 9701).

A client is told of its own tokens alone: resources here look for themselves. Whatever isn't a good token of its own is
inactive, and nothing else is said of it (RFC 7662, section 2.2).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from billfold import ids
from billfold.ids import Prefix
from billfold_server.http.routing import Reply
from billfold_server.identity.clients.rows import Client
from billfold_server.identity.grants import consented, refresh_tokens
from billfold_server.identity.realms import Realm
from billfold_server.identity.rules import OAuthRefusal

if TYPE_CHECKING:
    from billfold_server.http.routing import Call

__all__ = ["MEDIA_TYPE", "TYPE", "introspect"]

MEDIA_TYPE: Final = "application/token-introspection+jwt"
TYPE: Final = "token-introspection+jwt"
_INACTIVE: Final = {"active": False}


async def introspect(call: "Call", realm: Realm, client: Client, form: Mapping[str, str]) -> Reply[Any]:
    """Return what a token is worth.

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
    said = await _access_token(call, realm, client, token) or await _refresh_token(call, realm, client, token)
    headers = {"Cache-Control": "no-store"}
    if not _wants_signature(call, realm, client):
        return Reply(body=msgspec.json.encode(said or _INACTIVE), headers=headers)
    claims = {
        "iss": realm.issuer,
        "aud": client.client_id,
        "iat": int(call.services.clock.now().timestamp()),
        "token_introspection": said or _INACTIVE,
    }
    signed = await call.services.identity.signing.sign(realm, claims, typ=TYPE, alg=client.introspection_alg)
    return Reply(body=signed.encode(), headers={**headers, "Content-Type": MEDIA_TYPE})


def _wants_signature(call: "Call", realm: Realm, client: Client) -> bool:
    """Tell whether the answer is signed: as the client is registered, or as it asks for where the profile lets it."""
    if client.introspection_alg is not None:
        return True
    accepted = {each.partition(";")[0].strip().lower() for each in call.headers.get("accept", "").split(",")}
    return realm.profile.signed_introspection and MEDIA_TYPE in accepted


async def _access_token(call: "Call", realm: Realm, client: Client, token: str) -> dict[str, Any] | None:
    claims = await call.services.identity.guard.inspect(realm, token)
    if claims is None or claims.client_id != client.client_id:
        return None
    said: dict[str, Any] = msgspec.to_builtins(claims)
    # The grant's id is between us and our own checks.
    said.pop("gid", None)
    bound = claims.cnf is not None and claims.cnf.jkt is not None
    return {"active": True, "token_type": "DPoP" if bound else "Bearer", **said}


async def _refresh_token(call: "Call", realm: Realm, client: Client, token: str) -> dict[str, Any] | None:
    now = call.services.clock.now()
    async with call.services.database.tx_of(realm.tenant) as tx:
        row = await refresh_tokens.find(tx, token)
        if row is None or row.client_id != client.id or row.rotated_at is not None or row.expires_at <= now:
            return None
        usable = await consented.usable(tx, row.grant_id, now)
    if usable is None:
        return None
    grant, until = usable
    return {
        "active": True,
        "iss": realm.issuer,
        "sub": ids.encode(Prefix.USER, grant.user_id),
        "client_id": client.client_id,
        "scope": " ".join(row.scopes),
        "iat": int(row.created_at.timestamp()),
        "exp": int((row.expires_at if until is None else min(row.expires_at, until)).timestamp()),
    }
