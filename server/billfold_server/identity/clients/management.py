"""What a tenant's own programs do with its clients: register, change, stop, and give new keys.

Nobody hands out more than it has: whoever manages a client must itself be allowed everything that the client may,
before and after the change. Otherwise ``clients:write`` alone would open everything. What licensed third parties may is
held to that where a client comes to have it; so who looks after clients can stop one that a directory has let in.
"""

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from billfold import errors, ids
from billfold.contract import clients as contract
from billfold.contract.clients import CreateClient, SetClientKeys, UpdateClient
from billfold.ids import Prefix
from billfold_server.audit import service as audit
from billfold_server.identity.clients import client_secret, metadata, rows, service
from billfold_server.identity.clients.metadata import MetadataRefused
from billfold_server.identity.clients.rows import Client, Kept, Registered
from billfold_server.identity.profiles import Profile
from billfold_server.identity.rules import OPEN_BANKING_SCOPES, OPENID_SCOPES, TENANT_SCOPES
from billfold_server.keys.service import Keyring
from billfold_server.partners import service as partners
from billfold_server.partners.service import Partner
from billfold_server.tenancy.context import Caller
from billfold_server.tenancy.transaction import TenantTx, Tx

__all__ = [
    "check_given",
    "create_client",
    "get_client",
    "list_clients",
    "rotate_keys",
    "rotate_secret",
    "set_state",
    "update_client",
]

_BY_HAND: Final = UUID(int=0)
"""What stands in a caller in place of an API client where a person acts without one."""

CheckVersion = Callable[[int], None]
"""Refuses a change to what is no longer what the caller read."""


async def create_client(
    tx: Tx, keyring: Keyring, profile: Profile, caller: Caller, body: CreateClient, *, now: datetime
) -> contract.ClientCreated:
    """Register a client.

    Raises:
        errors.ClientMetadataRefused: It can't be registered so.
        errors.InsufficientScope: It would be allowed what the caller isn't.
        errors.NotFound: There is no such partner.
    """
    scopes = [] if body.scope is None else body.scope.split(" ")
    partner = await _partner(tx, caller, body.partner_id)
    _check_within(caller, scopes, partner)
    _check_new(caller, scopes, partner)
    if partner is not None and body.login_realm != "psu":
        raise errors.ClientMetadataRefused("a partner's client asks no staff to sign in", param="login_realm")
    partner_id = None if partner is None else partner.id
    try:
        client, secret = await service.register(
            tx, keyring, body, profile, now=now, caller=caller, login_realm=body.login_realm, partner_id=partner_id
        )
    except MetadataRefused as refusal:
        raise _refused(refusal) from None
    return contract.ClientCreated(**msgspec.structs.asdict(metadata.shown(client)), client_secret=secret)


async def get_client(tx: Tx, caller: Caller, client_id: UUID) -> contract.Client:
    """Return a client.

    Raises:
        errors.NotFound: There is no such client, or it is none of the caller's partner.
    """
    return metadata.shown(_existing(await service.find(tx, client_id), caller))


async def list_clients(
    tx: Tx, caller: Caller, *, partner_id: UUID | None = None, after: UUID | None, limit: int
) -> Sequence[contract.Client]:
    """Return clients, the oldest first: those of a partner, or all that are there for the caller.

    Raises:
        errors.NotFound: The caller acts for another partner.
    """
    chosen = partners.narrowed(caller, partner_id)
    return [metadata.shown(each) for each in await rows.list_clients(tx, after=after, limit=limit, partner_id=chosen)]


async def update_client(
    tx: Tx,
    profile: Profile,
    caller: Caller,
    client_id: UUID,
    body: UpdateClient,
    *,
    now: datetime,
    check_version: CheckVersion,
) -> contract.Client:
    """Change what is registered of a client.

    Raises:
        errors.NotFound: There is no such client.
        errors.PreconditionFailed: It was changed since the caller read it.
        errors.ClientMetadataRefused: It can't be registered so.
        errors.InsufficientScope: It is or would be allowed what the caller isn't.
    """
    found = await _lock(tx, caller, client_id)
    check_version(found.client.version)
    changes = {name: value for name, value in msgspec.structs.asdict(body).items() if value is not msgspec.UNSET}
    if "grant_types" in changes:
        changes["response_types"] = None
    changed = await _replace(tx, found, changes, profile, caller, now=now, action="client.changed")
    return metadata.shown(changed)


async def rotate_keys(
    tx: Tx, profile: Profile, caller: Caller, client_id: UUID, body: SetClientKeys, *, now: datetime
) -> contract.Client:
    """Replace the keys, or the certificate's name, by which a client proves who it is.

    Raises:
        errors.NotFound: There is no such client.
        errors.ClientMetadataRefused: It can't be registered so.
        errors.InsufficientScope: It is allowed what the caller isn't.
    """
    found = await _lock(tx, caller, client_id)
    given = msgspec.structs.asdict(body)
    names = {name: value for name, value in given.items() if name != "jwks"}
    changes = {} if body.jwks is None else {"jwks": body.jwks}
    if any(value is not None for value in names.values()):
        changes |= names
    if not changes:
        raise errors.ClientMetadataRefused("there are no keys in it", param="jwks")
    return metadata.shown(await _replace(tx, found, changes, profile, caller, now=now, action="client.keys_rotated"))


async def rotate_secret(
    tx: Tx, keyring: Keyring, caller: Caller, client_id: UUID, *, overlap_s: int, now: datetime
) -> contract.ClientSecret:
    """Give a client another secret. The former one is taken as well for a while.

    So are those before it, for as long as was said of them, but no longer than is said now.

    Raises:
        errors.NotFound: There is no such client.
        errors.ClientMetadataRefused: It has no secret.
        errors.InsufficientScope: It is allowed what the caller isn't.
    """
    found = await _lock(tx, caller, client_id)
    if found.kept.secret_digest is None:
        method = found.client.authentication
        raise errors.ClientMetadataRefused(f"the client authenticates by {method}", param="client_id")
    secret, until = f"bfs_{secrets.token_urlsafe(32)}", now + timedelta(seconds=overlap_s)
    kept = found.kept.replaced(client_secret.digest(keyring, client_id, secret), now=now, until=until)
    await _write(
        tx, found.client, kept, caller, now=now, action="client.secret_rotated", facts={"overlap_s": overlap_s}
    )
    return contract.ClientSecret(client_id=found.client.client_id, client_secret=secret, former_secret_until=until)


async def set_state(tx: Tx, caller: Caller, client_id: UUID, *, enabled: bool, now: datetime) -> contract.Client:
    """Let a client in, or keep it out, within a second on every worker.

    Raises:
        errors.NotFound: There is no such client.
        errors.InsufficientScope: It is allowed what the caller isn't.
    """
    found = await _lock(tx, caller, client_id)
    client = msgspec.structs.replace(found.client, state="active" if enabled else "disabled")
    action = "client.enabled" if enabled else "client.disabled"
    if not enabled:
        await service.end_consents(tx, client_id)
    return metadata.shown(await _write(tx, client, found.kept, caller, now=now, action=action))


async def _lock(tx: Tx, caller: Caller, client_id: UUID) -> Registered:
    # The partner comes before the client, as where it changes.
    partner = await _partner_of(tx, _existing(await service.find(tx, client_id), caller))
    found = await rows.lock_client(tx, client_id)
    _existing(None if found is None else found.client, caller)
    assert found is not None
    _check_within(caller, found.client.scopes, partner)
    return found


def _existing(client: Client | None, caller: Caller) -> Client:
    if client is None or client.state == "deleted" or not caller.is_of(client.partner_id):
        raise errors.NotFound("there is no such client")
    return client


async def _partner(tx: Tx, caller: Caller, asked: str | None) -> Partner | None:
    """Return the partner to which a new client belongs, and keep it as it is: as was asked, or the caller's own."""
    wanted = partners.narrowed(caller, None if asked is None else ids.decode(Prefix.PARTNER, asked))
    return None if wanted is None or not isinstance(tx, TenantTx) else await partners.hold(tx, wanted)


async def _partner_of(tx: Tx, client: Client) -> Partner | None:
    if client.partner_id is None or not isinstance(tx, TenantTx):
        return None
    return await partners.hold(tx, client.partner_id)


def check_given(partner: Partner, scopes: Iterable[str]) -> None:
    """Refuse a client of a partner more than the partner is given.

    Raises:
        errors.ClientMetadataRefused: There is more.
    """
    beyond = sorted(set(scopes) - set(partner.client_scopes) - OPENID_SCOPES.keys())
    if beyond:
        raise errors.ClientMetadataRefused(f"scope has {beyond[0]!r}, which the partner isn't given", param="scope")


def _check_within(caller: Caller, scopes: Iterable[str], partner: Partner | None) -> None:
    """Refuse to manage a client that is allowed more than the caller, or more than its partner.

    What there isn't is refused elsewhere. A member who acts by themselves hands out what the partner has, but for what
    rules over people: by a program of theirs a developer would be an admin.
    """
    wanted = set(scopes)
    if partner is not None:
        check_given(partner, wanted)
    by_hand = partner is not None and caller.partner_id == partner.id and caller.client_id == _BY_HAND
    _refuse_beyond(caller, wanted.intersection(partners.OVER_PEOPLE if by_hand else TENANT_SCOPES))


def _check_new(caller: Caller, scopes: Iterable[str], partner: Partner | None) -> None:
    """Refuse to make a client a third party of open banking by who isn't one; what a partner is given is its own.

    Raises:
        errors.InsufficientScope: They would.
    """
    if partner is None:
        _refuse_beyond(caller, set(scopes).intersection(OPEN_BANKING_SCOPES))


def _refuse_beyond(caller: Caller, scopes: set[str]) -> None:
    beyond = sorted(scopes - caller.scopes)
    if beyond:
        raise errors.InsufficientScope(
            f"who manages a client must have its scopes itself, such as {beyond[0]}", scope=beyond[0]
        )


async def _replace(
    tx: Tx,
    found: Registered,
    changes: dict[str, Any],
    profile: Profile,
    caller: Caller,
    *,
    now: datetime,
    action: str,
) -> Client:
    """Check a client with changes as if it were new, and write it."""
    wanted, partner = (changes.get("scope") or "").split(), await _partner_of(tx, found.client)
    _check_within(caller, wanted, partner)
    _check_new(caller, set(wanted) - {*found.client.scopes}, partner)
    try:
        client = metadata.change_client(found.client, changes, profile)
    except MetadataRefused as refusal:
        raise _refused(refusal) from None
    facts = {"changed": sorted(changes)}
    return await _write(tx, client, found.kept, caller, now=now, action=action, facts=facts)


async def _write(
    tx: Tx,
    client: Client,
    kept: Kept,
    caller: Caller,
    *,
    now: datetime,
    action: str,
    facts: Mapping[str, object] | None = None,
) -> Client:
    changed = msgspec.structs.replace(client, version=client.version + 1, updated_at=now)
    await rows.update_client(tx, Registered(changed, kept))
    await audit.record(tx, audit.new_record(caller, action, client.client_id, facts=facts))
    return changed


def _refused(refusal: MetadataRefused) -> errors.ClientMetadataRefused:
    return errors.ClientMetadataRefused(str(refusal), param=refusal.param)
