"""Access tokens of clients, and the check of those on every request.

A realm is who issues and accepts tokens: each tenant is one, and the platform is one. A token is good in its realm
alone: realms share neither keys nor issuer nor audience.
"""

import asyncio
import hashlib
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Coroutine, Hashable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar
from uuid import UUID

import msgspec
import structlog
from joserfc.jwk import ECKey

from billfold import errors, ids
from billfold.clock import Clock
from billfold.contract.oauth import Jwk, JwkSet, TokenResponse
from billfold.ids import Prefix
from billfold_server.audit import service as audit
from billfold_server.identity import queries, rules
from billfold_server.identity.clients import service as clients
from billfold_server.identity.clients.service import (
    Client,
    authenticate,
    create_client,
    knows_secret,
    list_clients,
    set_client_state,
)
from billfold_server.identity.queries import KeyRow
from billfold_server.identity.realms import Realm, realm_of
from billfold_server.identity.rules import OAuthRefusal
from billfold_server.identity.tokens import access_tokens as tokens
from billfold_server.identity.tokens.access_tokens import Claims
from billfold_server.identity.tokens.replay import Replay
from billfold_server.keys.service import Keyring, SealBroken
from billfold_server.tenancy.context import SYSTEM, Caller, TenantRef

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

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


def _public_jwk(key: ECKey, kid: str) -> Jwk:
    """Return the public half of a key, as others are shown it."""
    point = key.as_dict(private=False)
    return Jwk(kty="EC", crv="P-256", x=str(point["x"]), y=str(point["y"]), kid=kid, use="sig", alg="ES256")


class _Bounded(Generic[K, V]):
    """A cache that forgets what wasn't asked for longest."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        if (value := self._entries.get(key)) is not None:
            self._entries.move_to_end(key)
        return value

    def put(self, key: K, value: V) -> None:
        self._entries[key] = value
        self._entries.move_to_end(key)
        while len(self._entries) > self._size:
            self._entries.popitem(last=False)

    def drop(self, key: K) -> None:
        self._entries.pop(key, None)

    def __len__(self) -> int:
        return len(self._entries)


class _Keys(msgspec.Struct, frozen=True):
    """A realm's signing keys, as one worker knows them."""

    signing: KeyRow
    public: dict[str, ECKey]
    jwks: JwkSet
    read_at: float


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

_KEYS_S: Final = 30.0
_KEYS_AGAIN_S: Final = 1.0


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
        self._keyring = keyring
        self._clock = clock
        self._base_url = base_url
        self._production = production
        self._token_ttl_s = token_ttl_s
        self._realms: _Bounded[str, Realm] = _Bounded(2_000)
        self._verified: _Bounded[tuple[str, bytes], _Known] = _Bounded(20_000)
        self._standings: _Bounded[tuple[str, str], _Standing] = _Bounded(20_000)
        self._keys: _Bounded[str, _Keys] = _Bounded(2_000)
        self._private: _Bounded[tuple[str, UUID], ECKey] = _Bounded(2_000)
        self._under_way: dict[Hashable, asyncio.Task[Any]] = {}
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
            standing = await self._once(
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
        keys = await self._realm_keys(realm)
        # Another worker may have made a newer key; but whoever sends unknown ids can't make us look at each request.
        if kid not in keys.public and time.monotonic() - keys.read_at > _KEYS_AGAIN_S:
            keys = await self._realm_keys(realm, again=True)
        if kid not in keys.public:
            raise errors.InvalidToken("the access token isn't valid here and now")
        return keys.public[kid]

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
        keys = await self._realm_keys(realm)
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
        kid = ids.encode(Prefix.SIGNING_KEY, keys.signing.id)
        return TokenResponse(
            access_token=tokens.sign(claims, self._private_key(realm, keys.signing), kid),
            token_type="Bearer",  # noqa: S106 - the kind of token
            expires_in=self._token_ttl_s,
            scope=claims.scope,
        )

    async def jwks(self, realm: Realm) -> JwkSet:
        """Return the realm's public keys."""
        return (await self._realm_keys(realm)).jwks

    async def attest(self, realm: Realm, type_: str, claims: msgspec.Struct) -> str:
        """Return claims as a compact JWS, signed with the realm's key; anyone can verify it by the realm's JWKS.

        Args:
            realm: Whose key signs.
            type_: The header's ``typ``, by which readers tell it from access tokens and other things that are signed.
            claims: What is said.
        """
        keys = await self._realm_keys(realm)
        kid = ids.encode(Prefix.SIGNING_KEY, keys.signing.id)
        return tokens.sign(claims, self._private_key(realm, keys.signing), kid, type_=type_)

    def _private_key(self, realm: Realm, row: KeyRow) -> ECKey:
        known = self._private.get((realm.owner, row.id))
        if known is None:
            kid = ids.encode(Prefix.SIGNING_KEY, row.id)
            known = ECKey.import_key(self._keyring.unseal(row.sealed_private, owner=realm.owner, kid=kid))
            self._private.put((realm.owner, row.id), known)
        return known

    async def _realm_keys(self, realm: Realm, *, again: bool = False) -> _Keys:
        known = self._keys.get(realm.owner)
        if known is not None and not again and time.monotonic() - known.read_at < _KEYS_S:
            return known
        return await self._once(("keys", realm.owner), self._read_keys(realm))

    async def _read_keys(self, realm: Realm) -> _Keys:
        """Read the realm's keys, and make the first one where there is none."""
        read_at = time.monotonic()
        async with self._tx(realm) as tx:
            rows = await queries.list_keys(tx)
            if not any(row.state == "active" for row in rows):
                key = self._new_key(realm)
                if await queries.insert_key(tx, key):
                    kid = ids.encode(Prefix.SIGNING_KEY, key.id)
                    await audit.record(tx, audit.new_record(SYSTEM, "signing_key.created", kid))
                rows = await queries.list_keys(tx)
        ours = {row.id: jwk for row in rows if (jwk := self._vouched(realm, row)) is not None}
        signing = next((row for row in rows if row.state == "active" and row.id in ours), None)
        if signing is None:
            raise errors.InternalError("no signing key of this realm opens by the deployment's keyring")
        keys = _Keys(
            signing=signing,
            public={jwk.kid: ECKey.import_key(msgspec.to_builtins(jwk)) for jwk in ours.values()},
            jwks=JwkSet(keys=list(ours.values())),
            read_at=read_at,
        )
        self._keys.put(realm.owner, keys)
        return keys

    def _vouched(self, realm: Realm, row: KeyRow) -> Jwk | None:
        """Return the public half of a key that this deployment has made for this realm.

        A public half alone could be written by anybody who can write rows, by injected SQL or into a copy that is
        restored, and would verify the tokens that they then sign. The sealed private half can be made by nobody without
        the keyring, nor copied from another realm or key; so a public half is believed only if it belongs to that.
        """
        try:
            jwk = _public_jwk(self._private_key(realm, row), ids.encode(Prefix.SIGNING_KEY, row.id))
        except (SealBroken, ValueError):
            jwk = None
        if jwk is None or row.public_jwk != msgspec.json.encode(jwk).decode():
            _log.error("a signing key isn't this deployment's, and is passed over", key=str(row.id), realm=realm.owner)
            return None
        return jwk

    def _new_key(self, realm: Realm) -> KeyRow:
        key_id = ids.uuid7()
        kid = ids.encode(Prefix.SIGNING_KEY, key_id)
        key = ECKey.generate_key("P-256")
        return KeyRow(
            id=key_id,
            algorithm=tokens.ALGORITHM,
            public_jwk=msgspec.json.encode(_public_jwk(key, kid)).decode(),
            sealed_private=self._keyring.seal(key.as_pem(private=True), owner=realm.owner, kid=kid),
            state="active",
            created_at=self._clock.now(),
        )

    def _tx(self, realm: Realm) -> AbstractAsyncContextManager[Any]:
        return self._database.platform_tx() if realm.tenant is None else self._database.tx(realm.tenant)

    async def _once(self, key: Hashable, work: Coroutine[Any, Any, V]) -> V:
        """Do work that several requests wait for only once at a time."""
        task: asyncio.Task[V] | None = self._under_way.get(key)
        if task is None:
            task = asyncio.create_task(work)
            self._under_way[key] = task
            task.add_done_callback(lambda _: self._under_way.pop(key, None))
        else:
            work.close()
        # The one who asked first may go away; the others still wait for the answer.
        return await asyncio.shield(task)
