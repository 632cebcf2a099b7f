"""Realms, and what issues and checks tokens for all of them.

A realm is who issues and accepts tokens: each tenant is one, and the platform is one. A token is good in its realm
alone: realms share neither keys nor issuer nor audience.
"""

import time
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from billfold import ids
from billfold.clock import Clock
from billfold.contract.oauth import JwkSet
from billfold.ids import Prefix
from billfold_server.audit import service as audit
from billfold_server.consents import service as consents
from billfold_server.identity.askers import hold
from billfold_server.identity.caching import Bounded
from billfold_server.identity.clients.lookups import Lookups
from billfold_server.identity.clients.management import get_client
from billfold_server.identity.clients.management import list_clients as show_clients
from billfold_server.identity.clients.service import (
    Client,
    authenticate,
    count_active,
    create_client,
    delete_clients,
    knows_secret,
    list_clients,
    make_room,
    narrow_clients,
    set_client_state,
)
from billfold_server.identity.clients.service import (
    find as find_client,
)
from billfold_server.identity.detached import DetachedRefused, read_detached
from billfold_server.identity.grants.service import (
    Grant,
    find_grant,
    list_grants,
    open_grant,
    revoke_grant,
    revoke_grants,
)
from billfold_server.identity.realms import Realm, realm_of
from billfold_server.identity.rules import OPEN_BANKING_SCOPES, TENANT_SCOPES
from billfold_server.identity.signing.service import Begun, Signing
from billfold_server.identity.tokens.binding import Addresses
from billfold_server.identity.tokens.dpop import Keys, Nonces
from billfold_server.identity.tokens.guard import Guard
from billfold_server.identity.tokens.one_call import headers_for_one_call
from billfold_server.identity.tokens.replay import ONE_USES, Replay
from billfold_server.identity.tokens.standings import STANDING_S
from billfold_server.keys.service import Keyring
from billfold_server.keys.service import Keys as TenantKeys
from billfold_server.partners import service as partners
from billfold_server.partners.service import Partner
from billfold_server.people import service as people
from billfold_server.tenancy.context import COMMAND_LINE, Caller, TenantRef
from billfold_server.tenancy.transaction import TenantTx, Tx

if TYPE_CHECKING:
    from billfold_server.tenancy.transaction import Database

__all__ = [
    "GIVEABLE_SCOPES",
    "ONE_USES",
    "TENANT_SCOPES",
    "Client",
    "DetachedRefused",
    "Grant",
    "Identity",
    "Realm",
    "authenticate",
    "could_be",
    "create_client",
    "find_client",
    "find_grant",
    "get_client",
    "knows_secret",
    "list_clients",
    "list_grants",
    "make_room",
    "may_still",
    "open_grant",
    "partner_of",
    "read_detached",
    "realm_of",
    "revoke_grant",
    "revoke_grants",
    "set_client_state",
    "show_clients",
]

# A consent that ends takes with it what was given by it.
consents.ends_with_consents(revoke_grants)


async def _follow(tx: TenantTx, caller: Caller, former: Partner, partner: Partner, now: datetime) -> None:
    """Let a partner's clients lose what it has lost, and let none be left of a partner that is gone."""
    if partner.removed_at is not None:
        await delete_clients(tx, caller, partner.id, now)
    elif not set(former.client_scopes) <= set(partner.client_scopes):
        await narrow_clients(tx, caller, partner.id, partner.client_scopes, now)


partners.when_changed(_follow)
partners.kept_by("clients", count_active)

GIVEABLE_SCOPES: Final = {**TENANT_SCOPES, **OPEN_BANKING_SCOPES}
"""What an API client of a tenant may have, but for what it asks of people who sign in."""

_COMMAND_LINE: Final = COMMAND_LINE.client_id


async def may_still(tx: Tx, client_id: UUID, user_id: UUID | None, scope: str) -> bool:
    """Tell whether a client, or a person by way of it, may at this moment do what asks for a scope.

    Args:
        tx: The realm's transaction.
        client_id: The client; the nil UUID is the command line, which always may.
        user_id: The person, where the client acts in their name.
        scope: What it takes.
    """
    if client_id != _COMMAND_LINE:
        client = await find_client(tx, client_id)
        if client is None or not client.is_let_in or scope not in client.scopes:
            return False
    if user_id is None:
        return True
    user = await people.standing_of(tx, user_id)
    return user is not None and user.active and (user.scopes is None or scope in user.scopes)


_GIVING_KEYS: Final = ("client.created", "client.keys_rotated", "client.secret_rotated")


async def could_be(tx: TenantTx, client_id: UUID, user_id: UUID) -> bool:
    """Tell whether a person may have what a client proves itself by.

    They have made it or given it keys, be it by another client of which that is so.
    """
    client, user = ids.encode(Prefix.CLIENT, client_id), ids.encode(Prefix.USER, user_id)
    return await audit.is_behind(tx, user, client, _GIVING_KEYS)


async def partner_of(tx: Tx, client_id: UUID, user_id: UUID | None) -> UUID | None:
    """Return the partner for which a client, or a person without one, acts; None is the tenant itself."""
    client = None if client_id == _COMMAND_LINE else await find_client(tx, client_id)
    if client is not None and client.partner_id is not None:
        return client.partner_id
    user = None if user_id is None else await people.standing_of(tx, user_id)
    return None if user is None else user.partner_id


class Identity:
    """Knows all realms of one process, and what each needs to issue and to check tokens.

    Attributes:
        signing: Signs for realms, and shows their keys.
        lookups: Finds clients, many at a time.
        replay: Remembers what may be shown once.
        nonces: What DPoP proofs must hold.
        proof_keys: Keys of DPoP proofs that are known already.
        addresses: Under which addresses realms are reached.
        guard: Lets in who shows a token that counts.
        token_ttl_s: How long an access token lives.

    Args:
        database: Where clients and keys are.
        keyring: Vouches for keys, and what it derives.
        keys: Seals and opens their private halves.
        clock: The real clock.
        base_url: How the world reaches the server.
        token_ttl_s: How long an access token lives.
        production: Whether the deployment serves real money.
        mtls_base_url: How clients with certificates reach it, where that is another address.
    """

    def __init__(
        self,
        *,
        database: "Database",
        keyring: Keyring,
        keys: TenantKeys,
        clock: Clock,
        base_url: str,
        token_ttl_s: int,
        production: bool = False,
        mtls_base_url: str | None = None,
    ) -> None:
        self._database = database
        self._base_url = base_url
        self._production = production
        self._realms: Bounded[str, Realm] = Bounded(2_000)
        self._clients: Bounded[tuple[str, UUID], tuple[float, Client | None]] = Bounded(2_000)
        self.token_ttl_s = token_ttl_s
        self.signing = Signing(database, keyring, keys, clock)
        self.lookups = Lookups(database)
        self.replay = Replay(database, clock)
        self.nonces = Nonces(keyring.derive("dpop nonces"))
        self.proof_keys = Keys()
        self.addresses = Addresses(base_url, mtls_base_url)
        self.guard = Guard(
            realm=self.realm,
            signing=self.signing,
            database=database,
            clock=clock,
            replay=self.replay,
            nonces=self.nonces,
            addresses=self.addresses,
            proof_keys=self.proof_keys,
        )

    def realm(self, tenant: TenantRef | None) -> Realm:
        """Return the realm of a tenant, or of the platform."""
        slug = "" if tenant is None else tenant.slug
        realm = self._realms.get(slug)
        if realm is None or realm.tenant is not tenant:
            realm = realm_of(self._base_url, tenant, production=self._production)
            self._realms.put(slug, realm)
        return realm

    async def hold(self, tx: Any, caller: Caller, *, about: Collection[str]) -> None:
        """Keep who asks for something that gives or takes authority as they are; ``askers.hold`` says more."""
        await hold(tx, caller, about=about)

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

    async def headers_for_one_call(
        self, tenant: TenantRef, client: Client, *, scope: str, resource: str, method: str, path: str, now: datetime
    ) -> dict[str, str]:
        """Return the headers by which one request of the server's own is let in, in a client's name, and no other.

        Args:
            tenant: The tenant.
            client: In whose name; who calls has seen that it is let in, and has the scope.
            scope: All that the request may.
            resource: What it asks for, below the issuer.
            method: Its method.
            path: Its path, below the tenant's base.
            now: The real time.

        Raises:
            errors.KeysUnavailable: The realm's key can't be opened now.
        """
        realm = self.realm(tenant)
        return await headers_for_one_call(
            self, realm, client, scope=scope, resource=resource, method=method, path=path, now=now
        )

    async def sign_detached(
        self, realm: Realm, body: bytes, claims: Mapping[str, Any], begun: Begun | None = None
    ) -> str:
        """Return a detached signature of a message, which stays verifiable by the realm's JWKS for years.

        Args:
            realm: Whose key signs.
            body: The message, to the byte.
            claims: What the signature's header says beside algorithm and key, all of it critical.
            begun: What was begun of it, which is taken if it is of this message and of the key that signs now.
        """
        return await self.signing.sign_detached(realm, body, claims, begun)

    def begin_detached(self, realm: Realm, body: bytes, claims: Mapping[str, Any]) -> Begun | None:
        """Begin to sign a message as ``sign_detached`` does; None where the key that signs isn't at hand."""
        return self.signing.begin_detached(realm, body, claims)

    async def client_of(self, tenant: TenantRef, client_id: UUID) -> Client | None:
        """Return a client of a tenant that is let in, as it was at most a second ago. Not inside of a transaction.

        Args:
            tenant: The tenant.
            client_id: The client.
        """
        realm = self.realm(tenant)
        key = (realm.owner, client_id)
        known = self._clients.get(key)
        if known is None or time.monotonic() - known[0] >= STANDING_S:
            read_at = time.monotonic()
            found = await self.lookups.find(realm, client_id)
            known = (read_at, None if found is None or not found.client.is_let_in else found.client)
            self._clients.put(key, known)
        return known[1]
