"""Pushed authorization requests (RFC 9126; FAPI 2.0 Security Profile, section 5.3.2.2).

A client sends its whole request here, authenticated, and gets an address for it, which its user's browser then brings
to the authorize endpoint. The address is 256 random bits of which a digest is kept; it belongs to its client, expires,
and is good until the person has answered.
"""

import secrets
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from billfold.contract.oauth import PushedAuthorizationResponse
from billfold_server.identity import rules
from billfold_server.identity.authorization import intents, parameters, request_objects
from billfold_server.identity.authorization.codes import KEPT_FOR, digest_of
from billfold_server.identity.authorization.parameters import AuthorizationRequest
from billfold_server.identity.clients.rows import Client
from billfold_server.identity.clients.service import authenticate
from billfold_server.identity.realms import Realm
from billfold_server.identity.rules import OAuthRefusal
from billfold_server.identity.tokens.binding import prove
from billfold_server.identity.tokens.resources import open_banking_of, resources_of
from billfold_server.tenancy.transaction import TenantTx, Tx

if TYPE_CHECKING:
    from billfold_server.http.routing import Call

__all__ = ["Pushed", "complete", "digest_of_uri", "find", "push", "read_form"]

_PREFIX: Final = "urn:ietf:params:oauth:request_uri:"
_BYTES: Final = 32
_URI_LENGTH: Final = len(_PREFIX) + 43


class Pushed(msgspec.Struct, frozen=True, kw_only=True):
    """A request that was pushed, and what has become of it.

    Attributes:
        digest: Of its address.
        client_id: Whose it is.
        request: What is asked.
        expires_at: Until when a browser may come with it.
        completed_at: When the person answered.
    """

    digest: bytes
    client_id: UUID
    request: AuthorizationRequest
    expires_at: datetime
    completed_at: datetime | None


def read_form(body: bytes) -> tuple[dict[str, str], list[str]]:
    """Return a form's parameters and, apart, the values of ``resource``, which alone may occur often (RFC 8707).

    Raises:
        OAuthRefusal: ``invalid_request``: it is no form, or another parameter is repeated.
    """
    parts = body.split(b"&")
    resources = [rules.read_form(part).get("resource", "") for part in parts if part.startswith(b"resource=")]
    form = rules.read_form(b"&".join(part for part in parts if not part.startswith(b"resource=")))
    # A name may also be spelled with percent signs.
    return form, [each for each in (*resources, form.pop("resource", "")) if each]


async def push(call: "Call", body: bytes) -> tuple[PushedAuthorizationResponse, dict[str, str]]:
    """Check a client's request, keep it, and return the address under which its browser finds it, and headers.

    A proof of possession binds the code that is to come to its key (RFC 9449, section 10.1).

    Raises:
        OAuthRefusal: By the codes that the RFCs name.
        errors.RateLimited: The client asks too often.
    """
    services = call.services
    realm = services.identity.realm(call.tenant_or_none)
    form, resources = read_form(body)
    client = await authenticate(services, realm, call, form)
    services.limits.take(call.tenant_or_none, client.id)
    if "request_uri" in form:
        raise OAuthRefusal("invalid_request", "request_uri can't be pushed")
    binding = await prove(call, realm)
    request = await _read(call, realm, client, form, resources)
    if binding.jkt is not None:
        if request.dpop_jkt not in {None, binding.jkt}:
            raise OAuthRefusal("invalid_request", "dpop_jkt isn't the key that the request proves")
        request = msgspec.structs.replace(request, dpop_jkt=binding.jkt)
    uri, now, ttl_s = _PREFIX + secrets.token_urlsafe(_BYTES), services.clock.now(), realm.profile.request_uri_ttl_s
    async with services.database.tx_of(realm.tenant) as tx:
        if request.consent_id is not None:
            if not isinstance(tx, TenantTx):
                raise OAuthRefusal("invalid_request", "nobody gives consents here")
            request = await intents.check(tx, request, client, resource=open_banking_of(realm))
        await tx.execute(
            "INSERT INTO pushed_requests (digest, client_id, request, created_at, expires_at)"
            " VALUES ($1, $2, $3, $4, $5)",
            digest_of(uri), client.id, msgspec.json.encode(request).decode(), now, now + timedelta(seconds=ttl_s),
        )  # fmt: skip
        await _sweep(services.rooms.setdefault("authorization swept", {}), realm, tx, now)
    return PushedAuthorizationResponse(request_uri=uri, expires_in=ttl_s), binding.headers


async def _read(
    call: "Call", realm: Realm, client: Client, form: dict[str, str], resources: Sequence[str]
) -> AuthorizationRequest:
    services, profile = call.services, realm.profile
    audiences = frozenset(resources_of(realm))
    if "request" not in form:
        if profile.request_object == "required":
            raise OAuthRefusal("invalid_request", "the request must be a signed request object")
        return parameters.read(form, resources, client, profile, audiences=audiences)
    if profile.request_object == "refused":
        raise OAuthRefusal("request_not_supported", "request objects aren't taken here")
    signed = request_objects.read(
        form["request"], client, algorithms=profile.algorithms, issuer=realm.issuer, now=services.clock.now()
    )
    # Nothing that stands beside the object counts (RFC 9101, section 6.3), but for the client's authentication.
    inside = signed.claims.get("resource", [])
    within = [inside] if isinstance(inside, str) else inside
    if not isinstance(within, list) or not all(isinstance(each, str) for each in within):
        raise OAuthRefusal("invalid_target", "resource must be a text or a list of texts")
    request = parameters.read(signed.claims, within, client, profile, audiences=audiences)
    if signed.jti is not None:
        fresh = services.identity.replay.first_use
        if not await fresh(realm, "request object", client.client_id, signed.jti, signed.expires_at):
            raise OAuthRefusal("invalid_request_object", "jti was used before")
    return request


def digest_of_uri(uri: str) -> bytes | None:
    """Return the digest of an address, or None where it isn't of our form."""
    return digest_of(uri) if uri.startswith(_PREFIX) and len(uri) == _URI_LENGTH and uri.isascii() else None


async def find(tx: Tx, digest: bytes) -> Pushed | None:
    """Return a pushed request, whatever has become of it, or None."""
    row = await tx.fetchrow(
        "SELECT digest, client_id, request, expires_at, completed_at FROM pushed_requests WHERE digest = $1", digest
    )
    return None if row is None else of_row(row)


def of_row(row: Any) -> Pushed:
    """Return the request that a row holds."""
    request = msgspec.json.decode(row["request"], type=AuthorizationRequest)
    return Pushed(**{**{name: row[name] for name in Pushed.__struct_fields__}, "request": request})


async def complete(tx: Tx, digest: bytes, now: datetime) -> bool:
    """Note that the person has answered, and tell whether it is the first answer; there is no second."""
    tag = await tx.execute(
        "UPDATE pushed_requests SET completed_at = $2 WHERE digest = $1 AND completed_at IS NULL", digest, now
    )
    return tag == "UPDATE 1"


_SWEEP_EVERY_S: Final = 5.0
_SWEEP_ROWS: Final = 500
_REQUESTS_KEPT_FOR: Final = timedelta(hours=1)
"""Longer than any browser's interaction with a request, which goes with it."""


async def _sweep(swept: dict[str, float], realm: Realm, tx: Tx, now: datetime) -> None:
    """Forget requests and codes that are long over: whoever adds rows takes some away, so they stay few."""
    if time.monotonic() - swept.get(realm.owner, 0.0) < _SWEEP_EVERY_S:
        return
    swept[realm.owner] = time.monotonic()
    for table, kept_for in (("pushed_requests", _REQUESTS_KEPT_FOR), ("authorization_codes", KEPT_FOR)):
        await tx.execute(
            f"DELETE FROM {table} WHERE digest IN (SELECT digest FROM {table}"  # noqa: S608 - constants
            " WHERE expires_at < $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
            now - kept_for, _SWEEP_ROWS,
        )  # fmt: skip
