"""The token endpoint (RFC 6749, section 3.2), from an authenticated client to the signed answer."""

import secrets
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

from billfold import ids
from billfold.contract.oauth import TokenResponse
from billfold.ids import Prefix
from billfold_server.identity.clients.rows import Client
from billfold_server.identity.grants.authorization_code import AuthorizationCode
from billfold_server.identity.grants.client_credentials import ClientCredentials
from billfold_server.identity.grants.frame import Asking, Decision, Frame, GrantType
from billfold_server.identity.grants.refresh_token import RefreshTokens
from billfold_server.identity.realms import Realm
from billfold_server.identity.rules import OAuthRefusal
from billfold_server.identity.tokens import access_tokens, id_tokens
from billfold_server.identity.tokens.access_tokens import Claims, Confirmation
from billfold_server.identity.tokens.binding import Shown, confirmation

if TYPE_CHECKING:
    from billfold_server.http.routing import Call
    from billfold_server.identity.service import Identity

__all__ = ["FRAME", "issue"]

FRAME: Final = Frame(ClientCredentials(), AuthorizationCode(), RefreshTokens())
"""The grants that there are; whoever brings another one adds it."""


async def issue(
    call: "Call", realm: Realm, client: Client, form: Mapping[str, str], shown: Shown
) -> tuple[TokenResponse, dict[str, str]]:
    """Return the tokens that a client gets, and what the answer's headers tell it.

    Args:
        call: The request.
        realm: Whose endpoint it came to.
        client: The client, which has authenticated.
        form: The request's parameters.
        shown: Which keys the request has shown.

    Raises:
        OAuthRefusal: It gets none.
        errors.RateLimited: It asks too often.
        errors.KeysUnavailable: Nothing can be signed now. What the client has shown is as good as before.
    """
    services = call.services
    services.limits.take_token(call.tenant_or_none, client.id)
    # What is wrong with the proof is told before a code is claimed, so that the client can try again with it.
    binding = await shown.finish()
    cnf = confirmation(realm, client, binding)
    asking = Asking(realm=realm, client=client, form=form, binding=binding, now=services.clock.now())
    kind = FRAME.kind_of(asking)
    if kind.in_transaction:
        # Whoever is asked to try again later shows the same code, and mustn't be taken for a thief by that.
        await services.identity.signing.ready(
            realm, None, *([client.id_token_alg] if "openid" in client.scopes else ())
        )
        decision = await _decide(services.database.tx_of(realm.tenant), asking, kind)
    else:
        decision = FRAME.decide(asking)
    return await _signed(services.identity, asking, decision, cnf), binding.headers


async def _decide(transaction: AbstractAsyncContextManager[Any], asking: Asking, kind: GrantType) -> Decision:
    """Claim, decide and write in one transaction, which commits also where it is refused: what was used stays used."""
    decision: Decision | None = None
    refusal: OAuthRefusal | None = None
    async with transaction as tx:
        await kind.load(tx, asking)
        try:
            decision = FRAME.decide(asking)
        except OAuthRefusal as refused:
            refusal = refused
        else:
            await kind.write(tx, asking, decision)
    if decision is None:
        assert refusal is not None
        raise refusal
    return decision


async def _signed(identity: "Identity", asking: Asking, decision: Decision, cnf: Confirmation | None) -> TokenResponse:
    """Sign what was decided. The transaction has ended, since a key may be in a service of its own."""
    realm, client, grant = asking.realm, asking.client.client, decision.grant
    now_s = int(asking.now.timestamp())
    ends_s = int(asking.bounded(asking.now + timedelta(seconds=identity.token_ttl_s)).timestamp())
    claims = Claims(
        iss=realm.issuer,
        sub=client.client_id if grant is None else ids.encode(Prefix.USER, grant.user_id),
        client_id=client.client_id,
        aud=decision.resource,
        scope=" ".join(decision.scopes),
        jti=secrets.token_urlsafe(16),
        iat=now_s,
        exp=ends_s,
        cnf=cnf,
        gid=None if grant is None else ids.encode(Prefix.GRANT, grant.id),
        auth_time=None if grant is None else int(grant.auth_time.timestamp()),
        acr=None if grant is None else grant.acr,
        amr=None if grant is None else grant.amr,
        authorization_details=decision.details or None,
    )
    access_token = await identity.signing.sign(realm, claims, typ=access_tokens.TYPE)
    scheme: Literal["Bearer", "DPoP"] = "DPoP" if cnf is not None and cnf.jkt is not None else "Bearer"
    identity.guard.remember(realm, scheme, access_token, claims)
    id_token = None
    if grant is not None and decision.id_token:
        algorithm = client.id_token_alg or "ES256"
        said = id_tokens.claims_of(
            realm,
            client,
            grant,
            access_token=access_token,
            algorithm=algorithm,
            nonce=decision.nonce,
            state_hash=decision.state_hash,
            now_s=now_s,
        )
        id_token = await identity.signing.sign(realm, said, typ=id_tokens.TYPE, alg=algorithm)
    return TokenResponse(
        access_token=access_token,
        token_type=scheme,
        expires_in=ends_s - now_s,
        scope=claims.scope,
        refresh_token=decision.refresh_token,
        id_token=id_token,
        authorization_details=decision.details or None,
    )
