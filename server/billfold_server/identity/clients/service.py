"""Registered clients: made, found, changed, and believed where they prove who they are."""

import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from billfold import errors, ids
from billfold.contract.clients import ClientMetadata
from billfold.ids import Prefix
from billfold_server.audit import service as audit
from billfold_server.consents import service as consents
from billfold_server.identity.clients import authentication, client_secret, metadata, rows
from billfold_server.identity.clients.authentication import Attempt, Evidence
from billfold_server.identity.clients.metadata import MetadataRefused
from billfold_server.identity.clients.rows import Client, Kept, LoginRealm, Registered, client_in, client_sql
from billfold_server.identity.profiles import PROFILES, Profile
from billfold_server.identity.realms import Realm
from billfold_server.identity.rules import OPENID_SCOPES, OAuthRefusal
from billfold_server.keys.service import Keyring
from billfold_server.partners import service as partners
from billfold_server.tenancy.context import SYSTEM, Caller
from billfold_server.tenancy.transaction import TenantTx, Tx

if TYPE_CHECKING:
    from billfold_server.http.routing import Call
    from billfold_server.http.services import Services

__all__ = [
    "Client",
    "authenticate",
    "begin",
    "client_in",
    "client_sql",
    "count_active",
    "create_client",
    "delete_clients",
    "end_consents",
    "find",
    "finish",
    "knows_secret",
    "list_clients",
    "make_room",
    "narrow_clients",
    "register",
    "set_client_state",
]


async def authenticate(services: "Services", realm: Realm, call: "Call", form: Mapping[str, str]) -> Client:
    """Return the client that makes a request, once it has proven who it is.

    What could be guessing is counted by the address that it comes from, and slowed down.

    Args:
        services: The process's parts.
        realm: Whose client it must be.
        call: The request.
        form: Its parameters.

    Raises:
        OAuthRefusal: ``invalid_client``: it is none, or proves nothing; whether the client exists can't be told from
            answer or effort. ``invalid_request``: it authenticates in two ways at once.
        errors.RateLimited: Too many failed from there.
    """
    return await finish(services, call, await begin(services, realm, call, form))


async def begin(services: "Services", realm: Realm, call: "Call", form: Mapping[str, str]) -> Attempt:
    """Return who makes a request, which stands once ``finish`` has returned it: what it has shown may be a copy.

    So what else the request shows can be looked at meanwhile. Arguments and errors are those of ``authenticate``.
    """
    services.limits.check_address(call.peer)
    evidence = Evidence(
        form=form,
        authorization=call.headers.get("authorization"),
        certificate=call.certificate,
        certificate_verified=call.certificate_verified,
    )
    try:
        return await authentication.begin(services, realm, evidence)
    except OAuthRefusal as refusal:
        # Only what could be guessing is counted; a mistake in the form isn't.
        if refusal.error == "invalid_client":
            services.limits.count_failure(call.peer)
        raise


async def finish(services: "Services", call: "Call", attempt: Attempt) -> Client:
    """Return the client that an attempt has proven.

    Raises:
        OAuthRefusal: ``invalid_client``: what it has shown was shown before.
    """
    try:
        return await attempt.finish()
    except OAuthRefusal:
        services.limits.count_failure(call.peer)
        raise


async def knows_secret(services: "Services", realm: Realm, client_id: str, secret: str) -> bool:
    """Tell whether a client would be let in by this secret."""
    try:
        key = ids.decode(Prefix.CLIENT, client_id)
    except ids.InvalidIdError:
        return False
    async with services.database.tx_of(realm.tenant) as tx:
        found = await rows.find_client(tx, key)
    if found is None or not found.client.is_let_in:
        return False
    digest = client_secret.digest(services.keyring, key, secret)
    return client_secret.matches(digest, found.kept, services.clock.now())


async def find(tx: Tx, client_id: UUID) -> Client | None:
    """Return a client, whatever its state, or None."""
    found = await rows.find_client(tx, client_id)
    return None if found is None else found.client


async def find_clients(tx: Tx, client_ids: Collection[UUID]) -> dict[UUID, Client]:
    """Return clients by their ids, by one query, whatever state they are in; one that there isn't is left out."""
    return {found.client.id: found.client for found in await rows.find_clients(tx, list(client_ids))}


async def find_names(tx: Tx, client_ids: Collection[UUID]) -> dict[UUID, str]:
    """Return what clients are called, by one query; one that there isn't is left out."""
    return {found.client.id: found.client.name for found in await rows.find_clients(tx, list(client_ids))}


async def register(
    tx: Tx,
    keyring: Keyring,
    asked: ClientMetadata,
    profile: Profile,
    *,
    now: datetime,
    platform: bool = False,
    caller: Caller = SYSTEM,
    registered_by: str = "operator",
    login_realm: LoginRealm = "psu",
    registration_token: str | None = None,
    partner_id: UUID | None = None,
) -> tuple[Client, str | None]:
    """Register a client, and return it with its secret where it has one, which is shown this once.

    Args:
        tx: An open transaction of the realm.
        keyring: Keys the digests that are kept.
        asked: What is asked for.
        profile: What the realm asks of its clients.
        now: The real time.
        platform: Whether it is an operator's client of the platform.
        caller: Who asks for it.
        registered_by: Who let it in.
        login_realm: Whom it asks to sign in, at a tenant.
        registration_token: By what it may be managed later (RFC 7592), where it registers itself.
        partner_id: The partner to which it belongs; whoever says so has seen what that may.

    Raises:
        MetadataRefused: Something of it is wrong.
    """
    client_id = ids.uuid7()
    client = metadata.make_client(
        asked,
        profile,
        client_id=client_id,
        now=now,
        platform=platform,
        registered_by=registered_by,
        login_realm=login_realm,
    )
    client = msgspec.structs.replace(client, partner_id=partner_id)
    secret = f"bfs_{secrets.token_urlsafe(32)}" if client.authentication in metadata.WITH_SECRET else None
    kept = Kept(
        secret_digest=None if secret is None else client_secret.digest(keyring, client_id, secret),
        registration_digest=(
            None if registration_token is None else client_secret.digest(keyring, client_id, registration_token)
        ),
    )
    await rows.insert_client(tx, Registered(client, kept))
    facts = {
        "scopes": client.scopes,
        "authentication": client.authentication,
        "grant_types": client.grant_types,
        "registered_by": registered_by,
        **({} if partner_id is None else {"partner_id": ids.encode(Prefix.PARTNER, partner_id)}),
    }
    await audit.record(tx, audit.new_record(caller, "client.created", client.client_id, facts=facts))
    return client, secret


async def create_client(
    tx: Any,
    keyring: Keyring,
    *,
    name: str,
    scopes: Sequence[str],
    now: datetime,
    platform: bool = False,
    caller: Caller = SYSTEM,
    registered_by: str = "operator",
) -> tuple[Client, str]:
    """Register a client of a sandbox that shows a secret by HTTP Basic and asks for tokens on its own behalf.

    Args:
        tx: An open transaction of the tenant, or of the platform.
        keyring: Keys the digest that is kept.
        name: For people.
        scopes: What it may ask for.
        now: The real time.
        platform: Whether it is an operator of the platform.
        caller: Who asks for it.
        registered_by: Who lets it in.

    Raises:
        errors.ValidationFailed: There is no scope, or one that nothing asks for.
    """
    asked = ClientMetadata(
        client_name=name,
        token_endpoint_auth_method="client_secret_basic",  # noqa: S106 - a method
        scope=" ".join(scopes),
    )
    profile = PROFILES["sandbox" if platform else tx.tenant.manifest.security_profile]
    try:
        client, secret = await register(
            tx, keyring, asked, profile, now=now, platform=platform, caller=caller, registered_by=registered_by
        )
    except MetadataRefused as refusal:
        raise errors.ValidationFailed(str(refusal), param=refusal.param) from None
    assert secret is not None
    return client, secret


async def list_clients(tx: Tx, *, partner_id: UUID | None = None, limit: int | None = None) -> Sequence[Client]:
    """Return the realm's clients, or those of a partner, the oldest first; no more than a limit, where there is one."""
    return await rows.list_clients(tx, partner_id=partner_id, limit=limit)


async def narrow_clients(
    tx: TenantTx, caller: Caller, partner_id: UUID, scopes: Collection[str], now: datetime
) -> None:
    """Take from a partner's clients what the partner has lost; their tokens follow within a second.

    Args:
        tx: The tenant's transaction, which holds the partner.
        caller: Who has taken it from the partner.
        partner_id: Whose clients.
        scopes: What they may still have.
        now: The real time.
    """
    kept = {*scopes, *OPENID_SCOPES}
    facts = {"changed": ["scope"]}
    changed = [ids.encode(Prefix.CLIENT, each) for each in await rows.narrow_clients(tx, partner_id, kept, now)]
    await audit.record(tx, *(audit.new_record(caller, "client.changed", each, facts=facts) for each in changed))


async def count_active(tx: TenantTx, partner_id: UUID) -> int:
    """Return how many clients a partner has that aren't disabled."""
    return await rows.count_active(tx, partner_id)


async def delete_clients(tx: TenantTx, caller: Caller, partner_id: UUID, now: datetime) -> None:
    """Delete the clients of a partner that is removed; they stay as rows, because audit and consents name them.

    Args:
        tx: The tenant's transaction, which holds the partner.
        caller: Who has removed the partner.
        partner_id: Whose clients. What customers have allowed them has ended when they were disabled.
        now: The real time.
    """
    deleted = [ids.encode(Prefix.CLIENT, each) for each in await rows.delete_clients(tx, partner_id, now)]
    await audit.record(tx, *(audit.new_record(caller, "client.deleted", each) for each in deleted))


async def set_client_state(tx: Tx, client_id: str, *, enabled: bool, now: datetime, caller: Caller = SYSTEM) -> None:
    """Enable or disable a client. Its tokens stop or begin to work within a second, on every worker.

    Raises:
        errors.NotFound: There is no such client.
    """
    found = await _lock(tx, client_id)
    client = msgspec.structs.replace(
        found.client,
        state="active" if enabled else "disabled",
        version=found.client.version + 1,
        updated_at=now,
    )
    await rows.update_client(tx, Registered(client, found.kept))
    await audit.record(tx, audit.new_record(caller, f"client.{'enabled' if enabled else 'disabled'}", client_id))
    if not enabled:
        await end_consents(tx, client.id)


async def make_room(tx: TenantTx, registered_by: str, most: int, *, now: datetime, caller: Caller) -> str | None:
    """Disable the oldest active client that somebody has let in, where there are as many as may be, and return its id.

    Until the transaction ends others wait who would make room for the same.

    Args:
        tx: The tenant's transaction, in which another client is made then.
        registered_by: Who has let them in.
        most: How many may be active, with the one that is made then.
        now: The real time.
        caller: Who asks for it.
    """
    oldest = await rows.find_surplus(tx, registered_by, most - 1)
    if oldest is None:
        return None
    client_id = ids.encode(Prefix.CLIENT, oldest)
    await set_client_state(tx, client_id, enabled=False, now=now, caller=caller)
    return client_id


async def end_consents(tx: Tx, client_id: UUID) -> None:
    """See to it that what customers have allowed a client ends, for it was disabled or deleted."""
    if isinstance(tx, TenantTx):
        await consents.client_ended(tx, client_id)


async def _lock(tx: Tx, client_id: str) -> Registered:
    try:
        key = ids.decode(Prefix.CLIENT, client_id)
    except ids.InvalidIdError:
        raise errors.NotFound("there is no such client") from None
    client = await find(tx, key)
    if client is not None and client.partner_id is not None and isinstance(tx, TenantTx):
        # The partner comes before the client, as where it changes: what is removed has no client that is enabled.
        await partners.hold(tx, client.partner_id)
    found = await rows.lock_client(tx, key)
    if found is None or found.client.state == "deleted":
        raise errors.NotFound("there is no such client")
    return found
