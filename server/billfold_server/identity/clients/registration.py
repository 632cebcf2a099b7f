"""Clients that register themselves, and look after their own registration (RFC 7591; RFC 7592).

Who may do so, the tenant's manifest says: nobody, whoever has a software statement of a publisher that it names, or, in
a sandbox, anybody. Each gets a registration access token, of which only a keyed digest is kept, and which is good for
its own registration and nothing else. Each change brings a new one, which is made of the former: so whoever has never
got the answer of a change sends it once more, and isn't locked out of their own registration for good.
"""

import base64
import hmac
import re
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from billfold import errors, ids
from billfold.contract.clients import ClientMetadata
from billfold.ids import Prefix
from billfold_server.audit import service as audit
from billfold_server.consents import service as consents
from billfold_server.identity.clients import (
    client_secret,
    metadata,
    rows,
    service,
    signed_requests,
    software_statements,
    third_parties,
)
from billfold_server.identity.clients.metadata import MetadataRefused
from billfold_server.identity.clients.rows import Client, Registered
from billfold_server.identity.clients.software_statements import StatementRefused
from billfold_server.identity.realms import Realm
from billfold_server.identity.rules import OPENID_SCOPES, OAuthRefusal
from billfold_server.tenancy.context import Caller
from billfold_server.tenancy.manifest import Registration

if TYPE_CHECKING:
    from billfold_server.http.routing import Call

__all__ = ["RegistrationTokenInvalid", "deregister", "read_registration", "register", "update_registration"]

_KNOWN: Final = frozenset(ClientMetadata.__struct_fields__)
_BEARER: Final = re.compile(r"(?i:bearer) +(bfr_[A-Za-z0-9_-]{20,100})")
_NOTHING: Final = bytes(32)
_REPEATED_FOR: Final = timedelta(days=1)
"""How long a change may be sent once more by the token that was good before it."""


class RegistrationTokenInvalid(Exception):
    """The registration access token isn't that of the registration (RFC 7592, section 2; RFC 6750, section 3.1)."""


async def register(call: "Call", realm: Realm, said: dict[str, Any] | bytes) -> dict[str, Any]:
    """Register the client that asks for it, and return its client information response (RFC 7591, section 3.2.1).

    Args:
        call: The request.
        realm: Where.
        said: What is asked for; the same as a JWS, where the client has signed it.

    Raises:
        OAuthRefusal: By the codes of RFC 7591, section 3.2.2; ``access_denied`` where nobody may register.
    """
    services, now = call.services, call.services.clock.now()
    if isinstance(said, bytes):
        said = await _opened(call, realm, said, now)
    asked, registered_by = _asked(realm, said, now)
    token = f"bfr_{secrets.token_urlsafe(32)}"
    try:
        async with call.tx() as tx:
            client, secret = await service.register(
                tx,
                services.keyring,
                asked,
                realm.profile,
                now=now,
                caller=Caller(actor="client:itself", client_id=UUID(int=0), request_id=call.request_id),
                registered_by=registered_by,
                registration_token=token,
            )
            await _admitted(tx, client)
    except MetadataRefused as refusal:
        raise OAuthRefusal(refusal.error, str(refusal)) from None
    return _information(call, client) | _vouched(said) | {"registration_access_token": token} | _secret(secret)


async def read_registration(call: "Call", client_id: str) -> dict[str, Any]:
    """Return a client's own registration (RFC 7592, section 2.1).

    Raises:
        RegistrationTokenInvalid: The token isn't the registration's.
    """
    async with call.tx() as tx:
        found = await _own(call, tx, client_id)
    return _information(call, found.client)


async def update_registration(call: "Call", realm: Realm, client_id: str, said: dict[str, Any]) -> dict[str, Any]:
    """Replace a client's registration by what it sends, with a new token for it (RFC 7592, section 2.2).

    Sent once more by the former token, because the answer got lost, it brings the same new one.

    Raises:
        RegistrationTokenInvalid: The token isn't the registration's.
        OAuthRefusal: By the codes of RFC 7591, section 3.2.2.
    """
    now = call.services.clock.now()
    async with call.tx() as tx:
        found = await _own(call, tx, client_id, lock=True, again=True)
        if said.get("client_id") != client_id or any(
            name in said
            for name in ("registration_access_token", "registration_client_uri", "client_secret_expires_at")
        ):
            raise OAuthRefusal("invalid_request", "the client must name itself, and not what the server alone decides")
        asked, registered_by = _asked(realm, said, now)
        client = _replaced(found.client, asked, realm, registered_by)
        if (client.authentication in metadata.WITH_SECRET) is not (found.kept.secret_digest is not None):
            raise OAuthRefusal(
                "invalid_client_metadata", "token_endpoint_auth_method can't begin or end to be a secret"
            )
        token = _following(call, client.id, _shown(call))
        digest = client_secret.digest(call.services.keyring, client.id, token)
        changed = msgspec.structs.replace(client, version=client.version + 1, updated_at=now)
        kept = msgspec.structs.replace(found.kept, registration_digest=digest)
        await rows.update_client(tx, Registered(changed, kept))
        await _admitted(tx, changed)
        await audit.record(tx, audit.new_record(_itself(call, client), "client.changed", client_id))
    return _information(call, changed) | _vouched(said) | {"registration_access_token": token}


async def deregister(call: "Call", client_id: str) -> None:
    """End a client's registration; its tokens are worth nothing within a second (RFC 7592, section 2.3).

    Raises:
        RegistrationTokenInvalid: The token isn't the registration's.
    """
    now = call.services.clock.now()
    async with call.tx() as tx:
        found = await _own(call, tx, client_id, lock=True)
        version = found.client.version + 1
        client = msgspec.structs.replace(found.client, state="deleted", version=version, updated_at=now)
        kept = msgspec.structs.replace(found.kept, registration_digest=None)
        await rows.update_client(tx, Registered(client, kept))
        await audit.record(tx, audit.new_record(_itself(call, client), "client.deleted", client_id))
        await service.end_consents(tx, client.id)


async def _opened(call: "Call", realm: Realm, text: bytes, now: datetime) -> dict[str, Any]:
    """Return what a signed request says, shown for the first time."""
    try:
        request = signed_requests.read(text, _rules(realm).publishers, realm.profile, now, audience=realm.issuer)
    except StatementRefused as refusal:
        raise OAuthRefusal(refusal.error, refusal.reason) from None
    replay = call.services.identity.replay
    if not await replay.first_use(realm, "registration", request.software_id, request.jti, request.expires_at):
        raise OAuthRefusal("invalid_client_metadata", "the signed request was sent before")
    return request.said


def _asked(realm: Realm, said: dict[str, Any], now: datetime) -> tuple[ClientMetadata, str]:
    """Return what is asked for, what a statement says of it before what the client says, and who vouches for it."""
    rules = _rules(realm)
    statement = said.get("software_statement")
    # Who isn't vouched for has no role, and none of its scopes.
    registered_by, scopes = "open", third_parties.scopes_of({}, rules.scopes)
    if statement is not None:
        if not isinstance(statement, str):
            raise OAuthRefusal("invalid_software_statement", "the software statement isn't a text")
        try:
            believed = software_statements.read(statement, rules.publishers, realm.profile, now)
            said = third_parties.with_statement(said, believed.metadata)
            scopes = third_parties.scopes_of(believed.metadata, rules.scopes)
        except StatementRefused as refusal:
            raise OAuthRefusal(refusal.error, refusal.reason) from None
        registered_by = believed.issuer
    elif rules.mode == "statement":
        raise OAuthRefusal("invalid_software_statement", "a software statement is needed")
    return _metadata(said, scopes), registered_by


def _rules(realm: Realm) -> Registration:
    """Return who may register at a realm. Without a tenant, or where it is closed, nobody may."""
    rules = Registration() if realm.tenant is None else realm.tenant.manifest.registration
    if rules.mode == "closed":
        raise OAuthRefusal("access_denied", "clients don't register themselves here")
    return rules


def _metadata(said: dict[str, Any], scopes: Sequence[str]) -> ClientMetadata:
    if "jwks_uri" in said:
        raise OAuthRefusal(
            "invalid_client_metadata", "jwks_uri can't be taken, because no address is asked from here; send jwks"
        )
    # What the server doesn't understand it must ignore (RFC 7591, section 2), and null counts as absent.
    known = {name: value for name, value in said.items() if name in _KNOWN and value is not None}
    known.setdefault("scope", " ".join(sorted(scopes)))
    try:
        asked = msgspec.convert(known, ClientMetadata)
    except msgspec.ValidationError as error:
        raise OAuthRefusal(_error_of(str(error)), f"the metadata isn't of its form: {error}") from None
    beyond = sorted(set((asked.scope or "").split()) - set(scopes) - OPENID_SCOPES.keys())
    if beyond:
        raise OAuthRefusal("invalid_client_metadata", f"scope has {beyond[0]!r}, which this client doesn't get here")
    return asked


def _error_of(text: str) -> str:
    return "invalid_redirect_uri" if "`$.redirect_uris" in text else "invalid_client_metadata"


def _replaced(client: Client, asked: ClientMetadata, realm: Realm, registered_by: str) -> Client:
    if registered_by != client.registered_by:
        raise OAuthRefusal("unapproved_software_statement", "the registration was vouched for by somebody else")
    if registered_by != "open" and asked.software_id != client.software_id:
        raise OAuthRefusal("unapproved_software_statement", "the registration is that of other software")
    try:
        return metadata.change_client(client, msgspec.structs.asdict(asked), realm.profile)
    except MetadataRefused as refusal:
        raise OAuthRefusal(refusal.error, str(refusal)) from None


async def _admitted(tx: Any, client: Client) -> None:
    """Refuse what is written just now where the bank keeps out the third party for which a directory vouches.

    One who is blocked at the same moment comes to have a client, which is kept out as its others are.
    """
    if client.registered_by == "open":
        return
    try:
        await consents.check_admitted(tx, client.id)
    except errors.ThirdPartyBlocked:
        raise OAuthRefusal("unapproved_software_statement", "the bank keeps this third party out") from None


async def _own(call: "Call", tx: Any, client_id: str, *, lock: bool = False, again: bool = False) -> Registered:
    """Return the registration whose token is shown. Whether there is such a client can't be told from the answer.

    Args:
        call: The request.
        tx: The tenant's transaction.
        client_id: Whose registration.
        lock: Whether it is changed.
        again: Whether the token that was good before the last change is taken for a while, too.
    """
    token, keyring = _shown(call), call.services.keyring
    try:
        key = ids.decode(Prefix.CLIENT, client_id)
    except ids.InvalidIdError:
        key = UUID(int=0)
    found = await (rows.lock_client if lock else rows.find_client)(tx, key)
    kept = _NOTHING if found is None else found.kept.registration_digest or _NOTHING
    matches = hmac.compare_digest(client_secret.digest(keyring, key, token), kept)
    follows = hmac.compare_digest(client_secret.digest(keyring, key, _following(call, key, token)), kept)
    if not token or found is None or not found.client.is_let_in:
        raise RegistrationTokenInvalid
    lately = call.services.clock.now() < found.client.updated_at + _REPEATED_FOR
    if not (matches or (again and lately and follows)):
        raise RegistrationTokenInvalid
    return found


def _shown(call: "Call") -> str:
    """Return the token that a request shows; nothing where it shows none of ours."""
    match = _BEARER.fullmatch(call.headers.get("authorization", ""))
    return "" if match is None else match.group(1)


def _following(call: "Call", client_id: UUID, token: str) -> str:
    """Return the token that a change by another one brings: nobody else can make it, and it is always the same."""
    made = hmac.digest(call.services.keyring.derive("registration tokens"), client_id.bytes + token.encode(), "sha256")
    return f"bfr_{base64.urlsafe_b64encode(made).decode().rstrip('=')}"


def _itself(call: "Call", client: Client) -> Caller:
    return Caller(actor=client.client_id, client_id=client.id, request_id=call.request_id)


def _information(call: "Call", client: Client) -> dict[str, Any]:
    """Return all that is registered of a client, and where it looks after that (RFC 7591, section 3.2.1)."""
    registered = {name: value for name, value in metadata.described(client).items() if value is not None}
    return {
        "client_id": client.client_id,
        "client_id_issued_at": int(client.created_at.timestamp()),
        "registration_client_uri": f"{call.base_url}/oauth/register/{client.client_id}",
        **registered,
    }


def _vouched(said: dict[str, Any]) -> dict[str, Any]:
    """Return the statement by which a client was registered, as it came (RFC 7591, section 3.2.1)."""
    statement = said.get("software_statement")
    return {} if statement is None else {"software_statement": statement}


def _secret(secret: str | None) -> dict[str, Any]:
    # 0 says that it doesn't expire, and must be there where there is a secret.
    return {} if secret is None else {"client_secret": secret, "client_secret_expires_at": 0}
