"""A new version of a tenant's key, and a new epoch under it: what is made from then on lies under these.

What lies under earlier ones stays as it is, and opens; ``rewrapping`` brings it along. So a rotation is over at once,
however many keys there are.
"""

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final
from uuid import UUID

import msgspec

from billfold import errors, ids
from billfold.contract.data_keys import DataKeyStatus, KeyBackend, KeyDomain, RotateDataKeys
from billfold.contract.events import DATA_KEYS_ROTATED, DataKeysRotatedEventData
from billfold.ids import Prefix
from billfold_server.audit import service as audit
from billfold_server.db.engine import ENGINE
from billfold_server.db.outbox import emit, new_event
from billfold_server.keys import queries, rules, upkeep_queries
from billfold_server.keys.backends import BackendName, TenantKey
from billfold_server.keys.backends.registry import Backends
from billfold_server.keys.hierarchy import Keys
from billfold_server.keys.rules import KEY_BYTES, Domain, SealBroken
from billfold_server.keys.standing import standing
from billfold_server.keys.store import KeyStore, tell
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.context import Caller
from billfold_server.tenancy.transaction import TenantTx

if TYPE_CHECKING:
    # The decryptor has keys and serves no HTTP.
    from billfold_server.http.routing import Call

__all__ = [
    "FORBIDDEN",
    "Rotated",
    "RotatedFingerprints",
    "backend_of",
    "purposes_of",
    "rotate",
    "rotate_as_asked",
    "tell_rotated",
    "tell_rotated_fingerprints",
]


_ROUNDS: Final = 5
_FINGERPRINTS_ROTATED: Final = "data_keys.fingerprints_rotated"
FORBIDDEN: Final = "forbidden"
"""The reason of a backend that doesn't let this process do something."""


class Rotated(msgspec.Struct, frozen=True, kw_only=True):
    """A new epoch.

    Attributes:
        domain: Whose keys lie under it.
        number: Its number.
        backend: What keeps the tenant key that wraps it.
        tenant_key_version: That key's new version.
    """

    domain: Domain
    number: int
    backend: BackendName
    tenant_key_version: int


class RotatedFingerprints(msgspec.Struct, frozen=True, kw_only=True):
    """A new key of fingerprints.

    Attributes:
        domain: In which domain it is.
        purpose: For what fingerprints are made by it.
        version: Its number; those before it are for looking up.
    """

    domain: Domain
    purpose: str
    version: int


async def rotate(
    store: KeyStore,
    backends: Backends,
    tenant_id: UUID,
    domain: Domain,
    *,
    to: BackendName | None = None,
    as_far_as_allowed: bool = False,
    has_keys: bool = False,
) -> Rotated:
    """Give a tenant a new version of its key and a new epoch, which all processes use within seconds.

    Args:
        store: Where epochs lie.
        backends: What keeps tenants' keys.
        tenant_id: Whose.
        domain: In which domain.
        to: In which backend; where the tenant's newest epoch is, unless it is said.
        as_far_as_allowed: Whether the epoch alone will do where the backend lets only its operators rotate keys, as
            Vault does by the policies that we name.
        has_keys: Whether the tenant had keys when somebody looked; where it has none by now it was deleted, or they
            were destroyed, and it gets none.

    Raises:
        errors.KeysUnavailable: The key store or the backend is away.
        SealBroken: The tenant has no keys any more.
    """
    ENGINE.refuse_nesting()
    key = TenantKey(tenant_id, domain)
    for _ in range(_ROUNDS):
        if has_keys and not await store.fetch(queries.CURRENT_EPOCH, tenant_id, domain):
            raise SealBroken
        backend = backends.named(to or await backend_of(store, backends, tenant_id, domain))
        if not has_keys:
            await backend.ensure(key)
        try:
            await backend.rotate(key)
        except errors.KeysUnavailable as error:
            if not as_far_as_allowed or error.reason != FORBIDDEN:
                raise
        epoch_id = ids.uuid7()
        bound_to = rules.bound_epoch(tenant_id, domain, epoch_id)
        wrapped = await backend.wrap(key, secrets.token_bytes(KEY_BYTES), bound_to)
        async with store.tx() as connection:
            await connection.execute(upkeep_queries.LOCK_HIERARCHY, str(tenant_id), domain)
            number = await connection.fetchval(
                upkeep_queries.INSERT_EPOCH_AFTER,
                tenant_id, epoch_id, domain, backend.name, wrapped.version, wrapped.data, int(has_keys),
            )  # fmt: skip
            if number is not None:
                await tell(connection, tenant_id, [None])
        if number is not None:
            return Rotated(domain=domain, number=number, backend=backend.name, tenant_key_version=wrapped.version)
        # Somebody else has rotated at the same moment, and by a newer version of the tenant's key.
    msg = "the tenant's keys are being rotated by others"
    raise errors.Busy(msg, retry_after_s=1)


async def rotate_as_asked(call: "Call", keys: Keys, body: RotateDataKeys) -> DataKeyStatus:
    """Rotate the keys of this process's own domain for somebody who asks for it, and record it.

    The other domain's backend isn't this process's to use, whatever the role that it runs under would allow.

    Raises:
        errors.FeatureDisabled: The keys of the other domain were asked for.
        errors.KeysUnavailable: The key store or the backend is away.
    """
    tenant_id = call.tenant.id
    if body.domain is not None and body.domain.value != keys.domain:
        msg = (
            f"the keys of {body.domain.value} are out of the API's reach: an operator rotates them by "
            f"billfold keys rotate --domain {body.domain.value}"
        )
        raise errors.FeatureDisabled(msg, feature=f"{body.domain.value}_key_rotation")
    made = await rotate(keys.store, keys.backends, tenant_id, keys.domain, as_far_as_allowed=True)
    keys.evict(tenant_id, None)
    async with call.tx() as tx:
        await tell_rotated(tx, call.caller, [made], reason=body.reason)
    days = call.services.settings.key_rotation_days
    return await standing(keys.store, keys.backends, tenant_id, rotate_days=days)


async def tell_rotated(tx: TenantTx, caller: Caller, made: Sequence[Rotated], *, reason: str | None) -> None:
    """Record a rotation in the tenant's audit, and emit the event."""
    wire_id = ids.encode(Prefix.TENANT, tx.tenant.id)
    now = await tenant_now(tx)
    for each in made:
        facts = msgspec.to_builtins(each)
        data = DataKeysRotatedEventData(
            id=wire_id,
            domain=KeyDomain(each.domain),
            number=each.number,
            backend=KeyBackend(each.backend),
            tenant_key_version=each.tenant_key_version,
        )
        await emit(tx, new_event(DATA_KEYS_ROTATED, wire_id, data, now))
        await audit.record(tx, audit.new_record(caller, DATA_KEYS_ROTATED.name, wire_id, reason=reason, facts=facts))


async def purposes_of(store: KeyStore, tenant_id: UUID, *, purpose: str | None = None) -> list[tuple[Domain, str]]:
    """Return for what a tenant's fingerprints are made, with the domain of each; or one alone.

    Raises:
        errors.NotFound: None is made for this purpose, or none at all where no purpose was named.
        errors.KeysUnavailable: The key store is away.
    """
    rows = await store.fetch(upkeep_queries.PURPOSES, tenant_id)
    found = [(msgspec.convert(row["domain"], Domain), str(row["purpose"])) for row in rows]
    if chosen := [each for each in found if purpose in {None, each[1]}]:
        return chosen
    names = ", ".join(f'"{name}"' for _, name in found)
    msg = f"there are no fingerprints of {purpose!r}, but of {names}" if names else "the tenant has no fingerprints yet"
    raise errors.NotFound(msg)


async def tell_rotated_fingerprints(
    tx: TenantTx, caller: Caller, made: Sequence[RotatedFingerprints], *, reason: str | None
) -> None:
    """Record new keys of fingerprints in the tenant's audit."""
    wire_id = ids.encode(Prefix.TENANT, tx.tenant.id)
    every = [msgspec.to_builtins(each) for each in made]
    records = [audit.new_record(caller, _FINGERPRINTS_ROTATED, wire_id, reason=reason, facts=facts) for facts in every]
    await audit.record(tx, *records)


async def backend_of(store: KeyStore, backends: Backends, tenant_id: UUID, domain: Domain) -> BackendName:
    """Return in which backend a tenant's keys are: its newest epoch's, or the deployment's where there is none yet."""
    rows = await store.fetch(queries.CURRENT_EPOCH, tenant_id, domain)
    return msgspec.convert(rows[0]["backend"], BackendName) if rows else backends.current.name
