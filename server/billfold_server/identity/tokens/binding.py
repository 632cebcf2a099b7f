"""To which key a token is to be bound, as the request shows it (RFC 9449, section 5; RFC 8705, section 3)."""

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec

from billfold_server.identity.clients.rows import Client
from billfold_server.identity.realms import Realm
from billfold_server.identity.rules import OAuthRefusal
from billfold_server.identity.tokens.access_tokens import Confirmation
from billfold_server.identity.tokens.certificate_binding import thumbprint
from billfold_server.identity.tokens.dpop import Nonces, ProofRefused, check_proof, normalised

if TYPE_CHECKING:
    from billfold_server.http.routing import Call

__all__ = ["PURPOSE", "Addresses", "Binding", "Shown", "check_nonce", "confirmation", "prove", "show"]

PURPOSE: Final = "dpop"
"""Under which proofs are remembered."""


class Binding(msgspec.Struct, frozen=True, kw_only=True):
    """Which keys a request has shown that the client holds.

    Attributes:
        jkt: The thumbprint of its DPoP key.
        x5t: The thumbprint of its certificate.
        nonce: The nonce that its next proof should hold, where that is another one.
    """

    jkt: str | None = None
    x5t: str | None = None
    nonce: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """Return what the answer tells the client (RFC 9449, section 8.2)."""
        return {} if self.nonce is None else {"DPoP-Nonce": self.nonce}


class Addresses:
    """Under which addresses a realm is reached: the canonical one, its hosts', and where certificates are asked for.

    Args:
        base_url: How the world reaches the server.
        mtls_base_url: How clients with certificates reach it, where that is another address.
    """

    def __init__(self, base_url: str, mtls_base_url: str | None) -> None:
        parts = urlsplit(base_url)
        self._roots = [normalised(base_url).rstrip("/")]
        if mtls_base_url is not None:
            self._roots.append(normalised(mtls_base_url).rstrip("/"))
        self._scheme, self._port = parts.scheme, f":{parts.port}" if parts.port is not None else ""

    def of(self, realm: Realm, path: str) -> set[str]:
        """Return every address of a request, as ``normalised`` would spell it.

        Args:
            realm: Whose it is.
            path: The path below the tenant's base, or the platform's whole path, decoded.
        """
        if realm.tenant is None:
            return {f"{root}{path}" for root in self._roots}
        slug = realm.tenant.slug
        hosts = (normalised(f"{self._scheme}://{host}{self._port}").rstrip("/") for host in realm.tenant.manifest.hosts)
        return {f"{root}/t/{slug}{path}" for root in self._roots} | {f"{host}{path}" for host in hosts}


def check_nonce(nonces: Nonces, realm: Realm, nonce: str | None, now: datetime) -> None:
    """See that a proof holds one of the server's nonces, where the profile asks for one (RFC 9449, section 8).

    Raises:
        ProofRefused: ``use_dpop_nonce``.
    """
    if nonce is None and not realm.profile.dpop_nonce:
        return
    if nonce is None or not nonces.is_valid(nonce, realm.owner, now):
        raise ProofRefused("use_dpop_nonce", "the proof must hold the nonce that comes with this answer")


class Shown(msgspec.Struct, frozen=True):
    """Which keys a request has shown, if its proof is new.

    Attributes:
        binding: The keys.
        used: Will tell whether the proof is new; None where there is none.
        refusal: What was wrong with it.
    """

    binding: Binding = Binding()
    used: "asyncio.Future[bool] | None" = None
    refusal: OAuthRefusal | None = None

    async def finish(self) -> Binding:
        """Return the keys.

        Raises:
            OAuthRefusal: ``invalid_dpop_proof`` or ``use_dpop_nonce`` (RFC 9449, sections 5 and 8).
        """
        if self.refusal is not None:
            raise self.refusal
        if self.used is not None and not await self.used:
            raise OAuthRefusal("invalid_dpop_proof", "the proof was shown before")
        return self.binding


async def prove(call: "Call", realm: Realm) -> Binding:
    """Return which keys a request to an endpoint of the authorization server has shown.

    Called once the client has authenticated: strangers then can neither have their signatures verified nor fill the
    memory of what was shown.

    Args:
        call: The request.
        realm: Whose endpoint it is.

    Raises:
        OAuthRefusal: ``invalid_dpop_proof`` or ``use_dpop_nonce`` (RFC 9449, sections 5 and 8).
    """
    return await show(call, realm).finish()


def show(call: "Call", realm: Realm) -> Shown:
    """Look at the keys of a request of a client that has authenticated, or has at most shown a copy of its assertion.

    What there is to tell of them waits in what is returned, so that it is told once that of the client is known.
    """
    try:
        return _show(call, realm)
    except OAuthRefusal as refusal:
        return Shown(refusal=refusal)


def _show(call: "Call", realm: Realm) -> Shown:
    x5t = None if call.certificate is None else thumbprint(call.certificate)
    header = call.headers.get("dpop")
    if header is None:
        return Shown(Binding(x5t=x5t))
    identity, now = call.services.identity, call.services.clock.now()
    current = identity.nonces.current(realm.owner, now)
    if not realm.profile.dpop:
        raise OAuthRefusal("invalid_dpop_proof", "tokens are bound to certificates here, not by DPoP")
    try:
        proof = check_proof(
            header,
            keys=identity.proof_keys,
            method=call.method,
            urls=identity.addresses.of(realm, call.path),
            algorithms=realm.profile.algorithms,
            now=now,
        )
        check_nonce(identity.nonces, realm, proof.nonce, now)
    except ProofRefused as refusal:
        headers = {"DPoP-Nonce": current}
        raise OAuthRefusal(refusal.error, refusal.description, headers=headers) from None
    binding = Binding(jkt=proof.jkt, x5t=x5t, nonce=None if proof.nonce == current else current)
    return Shown(binding, identity.replay.use(realm, PURPOSE, proof.jkt, proof.jti, proof.expires_at))


def confirmation(realm: Realm, client: Client, binding: Binding) -> Confirmation | None:
    """Return to what a client's token is bound; None where the profile lets it go unbound.

    Raises:
        OAuthRefusal: The request shows no key to which it could be bound.
    """
    profile = realm.profile
    with_certificate = client.certificate_bound or client.authentication in _BY_CERTIFICATE
    wants_certificate = client.certificate_bound or (
        binding.jkt is None and not client.dpop_bound and (with_certificate or not profile.bearer)
    )
    if client.dpop_bound and binding.jkt is None:
        raise OAuthRefusal("invalid_dpop_proof", "this client's tokens are bound by DPoP, and there is no proof")
    if client.certificate_bound and binding.x5t is None:
        raise OAuthRefusal("invalid_request", "this client's tokens are bound to its certificate, which it didn't show")
    x5t = binding.x5t if wants_certificate else None
    if binding.jkt is None and x5t is None:
        if profile.bearer:
            return None
        raise OAuthRefusal("invalid_request", "a DPoP proof or a client certificate is required")
    return Confirmation(jkt=binding.jkt, x5t=x5t)


_BY_CERTIFICATE: Final = frozenset({"tls_client_auth", "self_signed_tls_client_auth"})
