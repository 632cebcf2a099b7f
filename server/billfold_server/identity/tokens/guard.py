"""The resource server's check of access tokens, at every request of every route.

A token that was found to be good is remembered by the digest of its header, so that its signature is verified once per
worker, and not at all by the one that has made it. What can change is looked at each time: the end of its life, the
standing of its client and its grant, and, of a bound token, the key that this very request shows. Sources: RFC 6750,
RFC 8705, section 3; RFC 9068, section 4; RFC 9449, section 7.
"""

import asyncio
import hashlib
import hmac
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol
from uuid import UUID

import msgspec

from billfold import errors, ids
from billfold.clock import Clock
from billfold.contract.versions import LATEST
from billfold.ids import Prefix
from billfold_server.identity.caching import Bounded, Once
from billfold_server.identity.realms import Realm
from billfold_server.identity.rules import OPENID_SCOPES
from billfold_server.identity.signing.service import Signing
from billfold_server.identity.together import Together
from billfold_server.identity.tokens import access_tokens
from billfold_server.identity.tokens.access_tokens import Claims, digest_of
from billfold_server.identity.tokens.binding import PURPOSE, Addresses, check_nonce
from billfold_server.identity.tokens.certificate_binding import is_bound_to
from billfold_server.identity.tokens.dpop import Keys, Nonces, Proof, ProofRefused, ath_of, check_proof
from billfold_server.identity.tokens.refusals import TokenRefused, challenges_of
from billfold_server.identity.tokens.replay import Replay
from billfold_server.identity.tokens.resources import OPEN_BANKING
from billfold_server.identity.tokens.standings import (
    STANDING_S,
    GrantKey,
    GrantStanding,
    Standing,
    narrowed,
    read_grants,
    read_standing,
)
from billfold_server.tenancy.context import Caller, OneUse, TenantRef

if TYPE_CHECKING:
    from billfold_server.tenancy.transaction import Database

__all__ = ["Guard", "Request"]

_FORM = re.compile(r"(?i:(bearer|dpop)) +([A-Za-z0-9._~+/-]+=*)")
_OF_ANYBODY: Final = frozenset(OPENID_SCOPES)
_TOLD: Final = "the access token isn't valid here and now"
_SHOWN_BEFORE: Final = ProofRefused("invalid_dpop_proof", "the proof was shown before")
_NOT_NEW: Final = ProofRefused("invalid_dpop_proof", "the proof was shown before, or its request took too long")


class Request(Protocol):
    """A request, as far as its token is concerned; ``http.context.RequestContext`` is one."""

    headers: Mapping[str, str]
    path: str
    tenant: TenantRef | None
    certificate: bytes | None
    request_id: str
    nonce: str | None


class _Known(msgspec.Struct, eq=False):
    """A token that was found to be good, and what came of it.

    Attributes:
        ath: The token's digest, for which proofs must be made.
        claims: What it says.
        kid: By which key it was signed.
        resource: What it opens, below the issuer.
        digest: Under which it would be revoked.
        client_id: Whose it is.
        user_id: For whom it acts.
        grant_id: By which grant.
        scopes: What it asks for.
        standing: What its client could do when it was last shown.
        allowed: What of its scopes that left; None where it was revoked.
    """

    ath: str
    claims: Claims
    kid: str
    resource: str
    digest: bytes
    client_id: UUID
    user_id: UUID | None
    grant_id: UUID | None
    scopes: frozenset[str]
    standing: Standing | None = None
    allowed: frozenset[str] | None = None


_Looked = GrantStanding | asyncio.Future[GrantStanding | None] | None
"""How a grant stands, or what will have it; None where there is no grant."""


class Guard:
    """Lets in who shows a token that counts, for all realms of one process.

    Args:
        realm: Knows the realm of a tenant, or of the platform.
        signing: Knows their keys.
        database: Where standings are read.
        clock: The real clock.
        replay: Remembers proofs.
        nonces: Those of the server.
        addresses: Under which requests come.
        proof_keys: Keys of proofs that are known already.
    """

    def __init__(
        self,
        *,
        realm: Callable[[TenantRef | None], Realm],
        signing: Signing,
        database: "Database",
        clock: Clock,
        replay: Replay,
        nonces: Nonces,
        addresses: Addresses,
        proof_keys: Keys,
    ) -> None:
        self._realm = realm
        self._signing = signing
        self._database = database
        self._clock = clock
        self._replay = replay
        self._nonces = nonces
        self._addresses = addresses
        self._proof_keys = proof_keys
        self._verified: Bounded[tuple[str, bytes], _Known] = Bounded(20_000)
        self._standings: Bounded[tuple[str, UUID], Standing] = Bounded(20_000)
        self._grants: Bounded[tuple[str, UUID], GrantStanding] = Bounded(20_000)
        self._once = Once()
        self._read_grants: Together[GrantKey, GrantStanding] = Together(database, read_grants)

    async def admit(self, request: Request, resource: str, method: str, *, late: bool = False) -> Caller:
        """Return the caller whom a request's token names.

        Args:
            request: The request.
            resource: What it asks for, below the issuer, such as ``/v1``; empty is what any token of the realm opens.
            method: Its method.
            late: Whether its proof is remembered later than this: with the request's one command, or by ``settle``.

        Raises:
            TokenRefused: There is no token, or none that counts here, now and for who shows it.
        """
        realm = self._realm(request.tenant)
        header = request.headers.get("authorization")
        if header is None:
            raise TokenRefused("an access token is required", challenges_of(realm, resource), absent=True)
        key, now = _key_of(realm, header), self._clock.now()
        try:
            known = self._verified.get(key)
            if known is None:
                known = await self._verify(realm, header, now)
                self._verified.put(key, known)
            await self._check_client(realm, known, now)
            # It is looked up while the proof is verified, of which is told only once the token itself is good.
            looked = self._look(realm, known)
            proof = self._proof(realm, known, request, method, now)
            allowed, grant = await self._allowed(realm, known, looked, resource)
        except errors.InvalidToken as error:
            raise self.refusal(request, resource, error) from None
        if resource != known.resource and resource:
            raise self.refusal(request, resource, errors.InvalidToken(_TOLD))
        shown = None
        if known.claims.cnf is not None:
            shown = await self._check_binding(realm, known, request, proof, now, late=late)
        elif not realm.profile.bearer:
            raise TokenRefused("the access token isn't bound", challenges_of(realm, resource, error="invalid_token"))
        return Caller(
            actor=_actor_of(known.claims, grant),
            client_id=known.client_id,
            request_id=request.request_id,
            scopes=allowed,
            user_id=known.user_id,
            grant_id=known.grant_id,
            token_digest=known.digest,
            consent_id=None if grant is None else grant.consent_id,
            agreed=None if grant is None else grant.agreed,
            own=None if grant is None else narrowed(grant.own, known.claims.authorization_details or ()),
            partner_id=_partner_of(known, grant),
            api_version=LATEST if known.standing is None else known.standing.api_version,
            shown=shown,
        )

    async def settle(self, tenant: TenantRef | None, shown: OneUse) -> None:
        """Remember the proof of a request whose command hasn't done so.

        Raises:
            TokenRefused: It was shown before, or too long ago.
            ProblemError: The database didn't answer.
        """
        await self._replay.settle(self._realm(tenant), shown)

    def refusal(self, request: Request, resource: str, error: errors.InvalidToken) -> TokenRefused:
        """Return the refusal of a token, with the challenges of its realm, by the scheme that it came by.

        Args:
            request: The request.
            resource: What it asks for, below the issuer.
            error: What was found, here or in the request's own transaction.
        """
        realm = self._realm(request.tenant)
        by_dpop = realm.profile.dpop and request.headers.get("authorization", "")[:5].lower() == "dpop "
        challenges = challenges_of(realm, resource, error="invalid_token", scheme="DPoP" if by_dpop else "Bearer")
        return TokenRefused(str(error), challenges)

    async def inspect(self, realm: Realm, token: str) -> Claims | None:
        """Return what a token of the realm says if it is good at this moment, whoever holds it, or None."""
        try:
            known = await self._read(realm, token, self._clock.now())
            await self._check_client(realm, known, self._clock.now())
            await self._allowed(realm, known, self._look(realm, known), "")
        except errors.InvalidToken:
            return None
        return known.claims

    async def issued(self, realm: Realm, token: str) -> Claims | None:
        """Return what a token of the realm says that hasn't run out, also where it opens nothing for now; or None."""
        try:
            return (await self._read(realm, token, self._clock.now())).claims
        except errors.InvalidToken:
            return None

    def remember(self, realm: Realm, scheme: str, token: str, claims: Claims) -> None:
        """Remember a token that this process has just signed, for its first request comes soon, and may come here.

        Args:
            realm: Whose key has signed it.
            scheme: By which it will be shown: ``Bearer`` or ``DPoP``.
            token: The token.
            claims: What it says.
        """
        # One of a form that no worker takes isn't taken here either.
        with suppress(errors.InvalidToken):
            known = _known(realm, token, access_tokens.key_id_of(token), claims)
            self._verified.put(_key_of(realm, f"{scheme} {token}"), known)

    async def _verify(self, realm: Realm, header: str, now: datetime) -> _Known:
        """Check a token that wasn't shown to this worker before, and that its scheme fits."""
        if (match := _FORM.fullmatch(header)) is None:
            raise errors.InvalidToken("the Authorization header isn't of the form <scheme> <token>")
        known = await self._read(realm, match[2], now)
        bound = known.claims.cnf is not None and known.claims.cnf.jkt is not None
        # A bound token isn't taken as a bearer's (RFC 9449, section 7.2), nor the reverse.
        if bound is not (match[1].lower() == "dpop"):
            raise errors.InvalidToken("the access token isn't of this scheme")
        return known

    async def _read(self, realm: Realm, token: str, now: datetime) -> _Known:
        public = await self._signing.public_key(realm, access_tokens.key_id_of(token))
        if public is None or public.purpose != "tokens":
            raise errors.InvalidToken(_TOLD)
        claims = access_tokens.verify(
            token, public.key, alg=public.algorithm, issuer=realm.issuer, now_s=int(now.timestamp())
        )
        if not claims.aud.startswith(realm.issuer + "/"):
            raise errors.InvalidToken(_TOLD)
        return _known(realm, token, public.kid, claims)

    # What can have changed since it was issued.

    async def _check_client(self, realm: Realm, known: _Known, now: datetime) -> None:
        """Learn what a token's client may do now.

        Raises:
            errors.InvalidToken: The token has ended or was revoked, or its client doesn't stand.
        """
        if now.timestamp() >= known.claims.exp:
            raise errors.InvalidToken(_TOLD)
        standing = self._standings.get((realm.owner, known.client_id))
        if standing is None or time.monotonic() - standing.read_at >= STANDING_S:
            work = self._read_standing(realm, known.client_id, standing)
            standing = await self._once.do(("standing", realm.owner, known.client_id), work)
        if known.standing is not standing:
            # A key may have been withdrawn since; then nothing that it has signed counts.
            key_stands = await self._signing.public_key(realm, known.kid) is not None
            stands = key_stands and standing.active and known.digest not in standing.revoked
            known.standing, known.allowed = standing, known.scopes & standing.scopes if stands else None
        if known.allowed is None:
            raise errors.InvalidToken(_TOLD)

    def _look(self, realm: Realm, known: _Known) -> _Looked:
        """Return how a token's grant stands, or what will have it, or None where it has none."""
        if known.grant_id is None:
            return None
        standing = self._grants.get((realm.owner, known.grant_id))
        if standing is not None and not _is_old(standing):
            return standing
        return self._read_grants.begin(realm, (known.grant_id, known.client_id))

    async def _allowed(
        self, realm: Realm, known: _Known, looked: _Looked, resource: str
    ) -> tuple[frozenset[str], GrantStanding | None]:
        """Return what a token still allows, and what was allowed to its client.

        What is asked of open banking reads its consent in its own transaction, and says what is wrong with it.

        Raises:
            errors.InvalidToken: Its grant doesn't stand.
        """
        grant = self._remembered(realm, known, await looked) if isinstance(looked, asyncio.Future) else looked
        standing, allowed = known.standing, known.allowed
        if standing is None or allowed is None:
            raise errors.InvalidToken(_TOLD)
        if grant is None:
            return allowed, None
        if not grant.stands:
            raise errors.InvalidToken(_TOLD)
        if None not in (of_client := standing.partner_id, grant.partner_id) and of_client != grant.partner_id:
            # A partner's client has nothing from a member of another.
            raise errors.InvalidToken(_TOLD)
        if not grant.consent_stands and resource != OPEN_BANKING:
            raise errors.InvalidToken(_TOLD)
        return allowed if grant.scopes is None else allowed & (grant.scopes | _OF_ANYBODY), grant

    def _remembered(self, realm: Realm, known: _Known, standing: GrantStanding | None) -> GrantStanding:
        assert known.grant_id is not None
        assert standing is not None, "of each it is told whether it stands"
        self._grants.put((realm.owner, known.grant_id), standing)
        # Each has its consent with it, so those that would be read anew aren't kept.
        self._grants.trim(_is_old)
        return standing

    async def _read_standing(self, realm: Realm, client_id: UUID, former: Standing | None) -> Standing:
        async with self._database.tx_of(realm.tenant) as tx:
            standing = await read_standing(tx, client_id, former, self._clock.now())
        self._standings.put((realm.owner, client_id), standing)
        return standing

    # Who holds the key.

    async def _check_binding(
        self,
        realm: Realm,
        known: _Known,
        request: Request,
        proof: Proof | ProofRefused | None,
        now: datetime,
        *,
        late: bool,
    ) -> OneUse | None:
        """See that the request shows every key to which its token is bound; return what is left to be remembered."""
        cnf = known.claims.cnf
        assert cnf is not None
        if cnf.x5t is not None and not is_bound_to(cnf.x5t, request.certificate):
            raise TokenRefused(
                "the access token is bound to another certificate",
                challenges_of(realm, known.resource, error="invalid_token"),
            )
        if proof is None:
            return None
        if isinstance(proof, ProofRefused):
            raise self._proof_refused(realm, known.resource, proof, now)
        current = self._nonces.current(realm.owner, now)
        request.nonce = None if proof.nonce == current else current
        what = (realm, PURPOSE, proof.jkt, proof.jti, proof.expires_at)
        if late:
            # The answer has the next nonce already, where the proof has an older one.
            refuse = partial(self._proof_refused, realm, known.resource, _NOT_NEW, now, told=request.nonce is not None)
            shown = self._replay.later(*what, refusal=refuse)
            if shown is None:
                raise self._proof_refused(realm, known.resource, _SHOWN_BEFORE, now)
            return shown
        if not await self._replay.first_use(*what):
            raise self._proof_refused(realm, known.resource, _SHOWN_BEFORE, now)
        return None

    def _proof_refused(
        self, realm: Realm, resource: str, refusal: ProofRefused, now: datetime, *, told: bool = False
    ) -> TokenRefused:
        challenges = challenges_of(realm, resource, error=refusal.error, scheme="DPoP")
        nonce = None if told else self._nonces.current(realm.owner, now)
        return TokenRefused(refusal.description, challenges, nonce=nonce)

    def _proof(
        self, realm: Realm, known: _Known, request: Request, method: str, now: datetime
    ) -> Proof | ProofRefused | None:
        """Return the request's proof, but for its being new, or what is wrong with it; None where it needs none."""
        if known.claims.cnf is None or known.claims.cnf.jkt is None:
            return None
        try:
            return self._check_proof(realm, known, request, method, now)
        except ProofRefused as refusal:
            return refusal

    def _check_proof(self, realm: Realm, known: _Known, request: Request, method: str, now: datetime) -> Proof:
        header = request.headers.get("dpop")
        if header is None:
            raise ProofRefused("invalid_dpop_proof", "the access token is bound to a key, and there is no proof of it")
        proof = check_proof(
            header,
            keys=self._proof_keys,
            method=method,
            urls=self._addresses.of(realm, request.path),
            algorithms=realm.profile.algorithms,
            now=now,
            ath=known.ath,
        )
        cnf = known.claims.cnf
        if cnf is None or cnf.jkt is None or not hmac.compare_digest(cnf.jkt, proof.jkt):
            raise ProofRefused("invalid_dpop_proof", "the access token is bound to another key")
        check_nonce(self._nonces, realm, proof.nonce, now)
        return proof


def _key_of(realm: Realm, header: str) -> tuple[str, bytes]:
    """Return under what a token is remembered: a digest, so that the cache holds nothing that opens anything."""
    return realm.owner, hashlib.sha256(header.encode()).digest()


def _known(realm: Realm, token: str, kid: str, claims: Claims) -> _Known:
    return _Known(
        ath="" if claims.cnf is None else ath_of(token),
        claims=claims,
        kid=kid,
        resource=claims.aud.removeprefix(realm.issuer),
        digest=digest_of(claims.jti),
        client_id=ids.decode(Prefix.CLIENT, claims.client_id),
        user_id=None if claims.gid is None else ids.decode(Prefix.USER, claims.sub),
        grant_id=None if claims.gid is None else ids.decode(Prefix.GRANT, claims.gid),
        scopes=frozenset(claims.scope.split(" ")),
    )


def _is_old(standing: GrantStanding) -> bool:
    return time.monotonic() - standing.read_at >= STANDING_S


def _actor_of(claims: Claims, grant: GrantStanding | None) -> str:
    """Return how the audit names who acts: the person who works here, be it for the bank, a partner or the platform.

    What an app does in a customer's name it does by the customer's leave, so there it is the app.
    """
    return claims.client_id if grant is None or grant.own is not None else claims.sub


def _partner_of(known: _Known, grant: GrantStanding | None) -> UUID | None:
    """Return the partner for which a token acts: its client's, or else its user's."""
    if known.standing is not None and known.standing.partner_id is not None:
        return known.standing.partner_id
    return None if grant is None else grant.partner_id
