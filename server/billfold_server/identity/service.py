"""Access tokens of clients, and the check of those on every request.

A realm is who issues and accepts tokens: each tenant is one, and the platform is one. A token is good in its realm
alone: realms share neither keys nor issuer nor audience.
"""

import hashlib
import re
import secrets
import time
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec
import structlog
from joserfc.jwk import ECKey

from billfold import errors, ids
from billfold.clock import Clock
from billfold.contract.oauth import JwkSet, TokenResponse
from billfold.ids import Prefix
from billfold_server.identity import rules
from billfold_server.identity.caching import Bounded, Once
from billfold_server.identity.clients import service as clients
from billfold_server.identity.clients.service import (
    Client,
    authenticate,
    create_client,
    knows_secret,
    list_clients,
    set_client_state,
)
from billfold_server.identity.realms import Realm, realm_of
from billfold_server.identity.rules import OAuthRefusal
from billfold_server.identity.signing.service import Signing
from billfold_server.identity.tokens import access_tokens as tokens
from billfold_server.identity.tokens.access_tokens import Claims
from billfold_server.identity.tokens.replay import Replay
from billfold_server.keys.service import Keyring
from billfold_server.tenancy.context import Caller, TenantRef

if TYPE_CHECKING:
    from billfold_server.tenancy.transaction import Database

__all__ = [
    "Client",
    "Identity",
    "Realm",
    "authenticate",
    "create_client",
    "knows_secret",
    "list_clients",
    "realm_of",
    "set_client_state",
]

_log = structlog.stdlib.get_logger("billfold.identity")


class _Standing(msgspec.Struct, frozen=True):
    """What a client may do, as it was read at a moment."""

    active: bool
    scopes: frozenset[str]
    read_at: float


class _Known(msgspec.Struct):
    """A token that was found to be good, and what came of it.

    Attributes:
        claims: What it says.
        client_id: Whose it is.
        scopes: What it asks for.
        standing: What its client could do when it was last shown.
        allowed: What of its scopes that left.
    """

    claims: Claims
    client_id: UUID
    scopes: frozenset[str]
    standing: _Standing | None = None
    allowed: frozenset[str] = frozenset()


_BEARER = re.compile(r"(?i:bearer) +([A-Za-z0-9._~+/-]+=*)")
_STANDING_S: Final = 0.7
"""How long a client's standing is believed. With the query itself, a disabled client is out within a second."""


class Identity:
    """Issues and checks access tokens, for all realms of one process.

    Args:
        database: Where clients and keys are.
        keyring: Opens the private keys.
        clock: The real clock.
        base_url: How the world reaches the server.
        token_ttl_s: How long an access token lives.
        production: Whether the deployment serves real money.
    """

    def __init__(
        self,
        *,
        database: "Database",
        keyring: Keyring,
        clock: Clock,
        base_url: str,
        token_ttl_s: int,
        production: bool = False,
    ) -> None:
        self._database = database
        self._clock = clock
        self._base_url = base_url
        self._production = production
        self._token_ttl_s = token_ttl_s
        self._realms: Bounded[str, Realm] = Bounded(2_000)
        self._verified: Bounded[tuple[str, bytes], _Known] = Bounded(20_000)
        self._standings: Bounded[tuple[str, str], _Standing] = Bounded(20_000)
        self._once = Once()
        self.signing = Signing(database, keyring, clock)
        self.replay = Replay(database, clock)

    def realm(self, tenant: TenantRef | None) -> Realm:
        """Return the realm of a tenant, or of the platform."""
        slug = "" if tenant is None else tenant.slug
        realm = self._realms.get(slug)
        if realm is None or realm.tenant is not tenant:
            realm = realm_of(self._base_url, tenant, production=self._production)
            self._realms.put(slug, realm)
        return realm

    # The resource server.

    async def authenticate(self, tenant: TenantRef | None, header: str | None, request_id: str) -> Caller:
        """Return the caller that an ``Authorization`` header names, at a tenant or (None) at the platform.

        Raises:
            errors.InvalidToken: There is no token, or none that is valid there and now.
        """
        if header is None:
            raise errors.InvalidToken("an access token is required", absent=True)
        realm = self.realm(tenant)
        # The key is a digest, so that the cache holds nothing that opens anything.
        key = (realm.owner, hashlib.sha256(header.encode()).digest())
        known = self._verified.get(key)
        now_s = int(self._clock.now().timestamp())
        if known is None:
            known = await self._verify(realm, header, now_s)
            self._verified.put(key, known)
        elif now_s >= known.claims.exp:
            self._verified.drop(key)
            raise errors.InvalidToken("the access token isn't valid here and now")
        standing = self._standings.get((realm.owner, known.claims.client_id))
        if standing is None or time.monotonic() - standing.read_at >= _STANDING_S:
            standing = await self._once.do(
                ("standing", realm.owner, known.client_id), self._read_standing(realm, known.client_id)
            )
        if not standing.active:
            raise errors.InvalidToken("the access token isn't valid here and now")
        if known.standing is not standing:
            known.standing, known.allowed = standing, known.scopes & standing.scopes
        return Caller(
            actor=known.claims.client_id, client_id=known.client_id, request_id=request_id, scopes=known.allowed
        )

    async def _verify(self, realm: Realm, header: str, now_s: int) -> _Known:
        if (match := _BEARER.fullmatch(header)) is None:
            raise errors.InvalidToken("the Authorization header isn't of the form Bearer <token>")
        token = match.group(1)
        public = await self._public_key(realm, tokens.key_id_of(token))
        claims = tokens.verify(token, public, issuer=realm.issuer, audience=realm.audience, now_s=now_s)
        return _Known(claims, ids.decode(Prefix.CLIENT, claims.client_id), frozenset(claims.scope.split(" ")))

    async def _public_key(self, realm: Realm, kid: str) -> ECKey:
        public = await self.signing.public_key(realm, kid)
        if public is None or public.purpose != "tokens" or not isinstance(public.key, ECKey):
            raise errors.InvalidToken("the access token isn't valid here and now")
        return public.key

    async def _read_standing(self, realm: Realm, client_id: UUID) -> _Standing:
        read_at = time.monotonic()
        async with self._tx(realm) as tx:
            client = await clients.find(tx, client_id)
        active = client is not None and client.state == "active"
        standing = _Standing(active, frozenset(client.scopes) if client is not None else frozenset(), read_at)
        self._standings.put((realm.owner, ids.encode(Prefix.CLIENT, client_id)), standing)
        return standing

    # The authorization server.

    async def issue(self, realm: Realm, client: Client, form: Mapping[str, str]) -> TokenResponse:
        """Return an access token to a client that has proven who it is (RFC 6749, section 4.4).

        Raises:
            OAuthRefusal: By the codes of section 5.2.
        """
        if "grant_type" not in form:
            raise OAuthRefusal("invalid_request", "grant_type is required")
        if form["grant_type"] != "client_credentials":
            raise OAuthRefusal("unsupported_grant_type", "the grant type isn't supported")
        scopes = rules.granted_scopes(form.get("scope"), client.scopes)
        now_s = int(self._clock.now().timestamp())
        claims = Claims(
            iss=realm.issuer,
            sub=client.client_id,
            client_id=client.client_id,
            aud=realm.audience,
            scope=" ".join(scopes),
            jti=secrets.token_urlsafe(16),
            iat=now_s,
            exp=now_s + self._token_ttl_s,
        )
        return TokenResponse(
            access_token=await self.signing.sign(realm, claims, typ="at+jwt"),
            token_type="Bearer",  # noqa: S106 - the kind of token
            expires_in=self._token_ttl_s,
            scope=claims.scope,
        )

    async def jwks(self, realm: Realm) -> JwkSet:
        """Return the realm's public keys."""
        return await self.signing.jwks(realm)

    async def attest(self, realm: Realm, type_: str, claims: msgspec.Struct) -> str:
        """Return claims as a compact JWS that stays verifiable by the realm's JWKS when its key was replaced.

        Args:
            realm: Whose key signs.
            type_: The header's ``typ``, by which readers tell it from access tokens and other things that are signed.
            claims: What is said.
        """
        return await self.signing.sign(realm, claims, typ=type_, purpose="records")

    def _tx(self, realm: Realm) -> AbstractAsyncContextManager[Any]:
        return self._database.platform_tx() if realm.tenant is None else self._database.tx(realm.tenant)
