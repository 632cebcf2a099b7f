"""Which client it is that asks: the one way by which it is registered, and no other (RFC 6749, section 2.3).

The answer is the same whether a client doesn't exist, is disabled, is registered for another way or shows something
wrong; and so is the effort.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

import msgspec
from cryptography import x509

from billfold import ids
from billfold.ids import Prefix
from billfold_server.identity.clients import (
    client_secret,
    private_key_jwt,
    self_signed_tls_client_auth,
    tls_client_auth,
)
from billfold_server.identity.clients.rows import Client, Kept, Registered
from billfold_server.identity.profiles import ClientAuthentication
from billfold_server.identity.realms import Realm
from billfold_server.identity.rules import OAuthRefusal

if TYPE_CHECKING:
    from billfold_server.http.services import Services

__all__ = ["Attempt", "Evidence", "begin"]

_NOBODY: Final = UUID(int=0)
_BY_CERTIFICATE: Final[frozenset[ClientAuthentication]] = frozenset({"tls_client_auth", "self_signed_tls_client_auth"})


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What a request brings by which a client can prove who it is.

    Attributes:
        form: Its parameters.
        authorization: Its ``Authorization`` header.
        certificate: The client's TLS certificate as DER, where there is one.
        certificate_verified: Whether an authority that the deployment names has issued it.
    """

    form: Mapping[str, str]
    authorization: str | None = None
    certificate: bytes | None = None
    certificate_verified: bool = False


class _Claim(msgspec.Struct, frozen=True):
    """Who a request says that it is from, and the ways in which that could be proven.

    Attributes:
        client_id: The client's id.
        ways: The methods whose evidence there is.
        secret: The secret that was shown.
        assertion: The assertion that was shown.
        certificate: The certificate that was shown.
        verified: Whether its chain was verified.
    """

    client_id: str
    ways: frozenset[ClientAuthentication]
    secret: str = ""
    assertion: private_key_jwt.Assertion | None = None
    certificate: x509.Certificate | None = None
    verified: bool = False


class Attempt(msgspec.Struct, frozen=True):
    """A client that has proven who it is, unless what it has shown was shown before.

    Attributes:
        client: The client.
        used: Will tell whether its assertion is new; None where it has shown what may be shown often.
    """

    client: Client
    used: "asyncio.Future[bool] | None" = None

    async def finish(self) -> Client:
        """Return the client.

        Raises:
            OAuthRefusal: ``invalid_client``: its assertion was shown before.
        """
        if self.used is not None and not await self.used:
            raise _refusal()
        return self.client


async def begin(services: "Services", realm: Realm, evidence: Evidence) -> Attempt:
    """Return the client that the evidence proves, if it is new.

    Raises:
        OAuthRefusal: ``invalid_client``: none is proven. ``invalid_request``: two ways at once.
    """
    claim = _read(evidence)
    try:
        client_id = ids.decode(Prefix.CLIENT, claim.client_id)
    except ids.InvalidIdError:
        client_id = _NOBODY
    found = await services.identity.lookups.find(realm, client_id)
    client = None if found is None else found.client
    # Everything is calculated before anything is decided, so that neither answer nor effort tells what was wrong.
    proven = _prove(services, realm, claim, client_id, found)
    usable = (
        client is not None
        and client.is_let_in
        and client.authentication in claim.ways & realm.profile.client_authentication
    )
    if client is None or not usable or proven is None:
        raise _refusal(basic="client_secret_basic" in claim.ways)
    if proven.assertion is None:
        return Attempt(client)
    replay = services.identity.replay
    return Attempt(client, replay.use(realm, "client assertion", client.client_id, *proven.assertion))


def _refusal(*, basic: bool = False) -> OAuthRefusal:
    return OAuthRefusal("invalid_client", "the client isn't authenticated", basic=basic)


def _read(evidence: Evidence) -> _Claim:
    """Return what a request shows, which must be one thing (RFC 6749, section 2.3)."""
    form = evidence.form
    shown = [
        evidence.authorization is not None,
        "client_secret" in form,
        "client_assertion" in form or "client_assertion_type" in form,
    ]
    if sum(shown) > 1:
        raise OAuthRefusal("invalid_request", "the client authenticates in two ways at once")
    if evidence.authorization is not None:
        basic = client_secret.read_basic(evidence.authorization, form)
        return _Claim(basic.client_id, frozenset({"client_secret_basic"}), secret=basic.secret)
    if shown[2]:
        assertion = private_key_jwt.read(form)
        return _Claim(assertion.client_id, frozenset({"private_key_jwt"}), assertion=assertion)
    if "client_id" not in form:
        raise OAuthRefusal("invalid_client", "the client must authenticate")
    if shown[1]:
        return _Claim(form["client_id"], frozenset({"client_secret_post"}), secret=form["client_secret"])
    if evidence.certificate is None:
        raise OAuthRefusal("invalid_client", "the client must authenticate")
    try:
        certificate = x509.load_der_x509_certificate(evidence.certificate)
    except ValueError:
        raise _refusal() from None
    return _Claim(form["client_id"], _BY_CERTIFICATE, certificate=certificate, verified=evidence.certificate_verified)


class _Proven(msgspec.Struct, frozen=True):
    """That the evidence is good.

    Attributes:
        assertion: The id and the end of an assertion, which is good once.
    """

    assertion: tuple[str, datetime] | None = None


def _prove(
    services: "Services",
    realm: Realm,
    claim: _Claim,
    client_id: UUID,
    found: Registered | None,
) -> _Proven | None:
    """Return what the evidence proves; None is nothing."""
    client, now = None if found is None else found.client, services.clock.now()
    if claim.assertion is not None:
        used = private_key_jwt.check(
            claim.assertion, client, issuer=realm.issuer, algorithms=realm.profile.algorithms, now=now
        )
        return None if used is None else _Proven(used)
    if claim.certificate is not None:
        if client is not None and client.authentication == "self_signed_tls_client_auth":
            matches = self_signed_tls_client_auth.matches(claim.certificate, client)
        else:
            matches = tls_client_auth.matches(claim.certificate, client, verified=claim.verified)
    else:
        shown = client_secret.digest(services.keyring, client_id, claim.secret)
        matches = client_secret.matches(shown, Kept() if found is None else found.kept, now)
    return _Proven() if matches else None
