"""A token for one request that the server makes of itself in a client's name, worth nothing to anybody else.

It is a token like any other, and the guard checks it like any other: signed by the realm, narrowed to one scope, and
bound by DPoP (RFC 9449) to a key that is made here, signs one proof for one method and one address, and is forgotten.
So whoever sees the token, in whatever log, can do nothing with it, and the proof is spent by the request itself. It is
bound so in every profile, also where tokens of clients are bound to certificates or to nothing. (ADR 38.)
"""

import secrets
from datetime import datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import msgspec
from joserfc.jwk import ECKey

from billfold_server.identity import jose
from billfold_server.identity.clients.rows import Client
from billfold_server.identity.realms import Realm
from billfold_server.identity.tokens import access_tokens
from billfold_server.identity.tokens.access_tokens import Claims, Confirmation
from billfold_server.identity.tokens.dpop import ath_of

if TYPE_CHECKING:
    from billfold_server.identity.service import Identity

__all__ = ["TTL_S", "headers_for_one_call"]

TTL_S: Final = 30
"""How long the token lives. The request is made at once."""

_ALGORITHM: Final = "ES256"
"""Every profile takes it."""


async def headers_for_one_call(
    identity: "Identity",
    realm: Realm,
    client: Client,
    *,
    scope: str,
    resource: str,
    method: str,
    path: str,
    now: datetime,
) -> dict[str, str]:
    """Return the headers by which one request is let in, and no other.

    Args:
        identity: Signs for the realm.
        realm: Whose token it is.
        client: In whose name the request is made; who calls has seen that it is let in and has the scope.
        scope: All that the token allows.
        resource: What it opens, below the issuer.
        method: The request's method.
        path: Its path, below the tenant's base.
        now: The real time.

    Raises:
        errors.KeysUnavailable: The realm's key can't be opened now.
    """
    key, now_s = ECKey.generate_key("P-256", auto_kid=False), int(now.timestamp())
    claims = Claims(
        iss=realm.issuer,
        sub=client.client_id,
        client_id=client.client_id,
        aud=realm.issuer + resource,
        scope=scope,
        jti=secrets.token_urlsafe(16),
        iat=now_s,
        exp=now_s + TTL_S,
        cnf=Confirmation(jkt=key.thumbprint()),
    )
    token = await identity.signing.sign(realm, claims, typ=access_tokens.TYPE)
    proof = {
        "jti": secrets.token_urlsafe(16),
        "htm": method,
        "htu": realm.issuer + quote(path),
        "iat": now_s,
        "ath": ath_of(token),
        "nonce": identity.nonces.current(realm.owner, now),
    }
    header = {"typ": "dpop+jwt", "alg": _ALGORITHM, "jwk": key.as_dict(private=False)}
    parts = jose.signed_by(key, header, msgspec.json.encode(proof), alg=_ALGORITHM)
    return {"authorization": f"DPoP {token}", "dpop": b".".join(parts).decode()}
