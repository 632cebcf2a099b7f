"""Where a tenant's keys stand: backends, versions, epochs, subjects, and what a rewrap has still to do."""

from collections import defaultdict
from datetime import timedelta
from typing import Any
from uuid import UUID

from billfold import errors, ids
from billfold.contract.data_keys import DataKeyStatus, ForgottenSubject, KeyBackend, KeyDomain, KeyEpoch, KeysOfDomain
from billfold.ids import Prefix
from billfold_server.keys import upkeep_queries
from billfold_server.keys.backends import TenantKey, Versions
from billfold_server.keys.backends.registry import Backends
from billfold_server.keys.rules import DOMAINS, Domain, SealBroken
from billfold_server.keys.store import KeyStore

__all__ = ["list_forgotten", "standing"]


async def standing(
    store: KeyStore, backends: Backends, tenant_id: UUID, *, rotate_days: int | None = None
) -> DataKeyStatus:
    """Return where a tenant's keys stand. A backend that doesn't answer only keeps its versions to itself.

    Args:
        store: The key store.
        backends: What keeps tenants' keys.
        tenant_id: Whose.
        rotate_days: After how many days keys are replaced, where the tenant's manifest doesn't say.

    Raises:
        errors.KeysUnavailable: The key store is away.
    """
    epochs: dict[str, list[Any]] = defaultdict(list)
    # Counting the keys of a million subjects takes longer than who waits for a key may wait.
    async with store.long() as connection:
        for row in await connection.fetch(upkeep_queries.EPOCH_COUNTS, tenant_id):
            epochs[row["domain"]].append(row)
        counts = {row["domain"]: row for row in await connection.fetch(upkeep_queries.SUBJECT_COUNTS, tenant_id)}
        forgotten = await connection.fetchval(upkeep_queries.FORGOTTEN, tenant_id)
        said = await connection.fetchval(upkeep_queries.ROTATION_PERIOD, tenant_id)
    days = rotate_days if said is None else said
    domains = [
        _of_domain(
            epochs[domain], counts.get(domain), await _versions(backends, tenant_id, domain, epochs[domain]), days
        )
        for domain in DOMAINS
        if epochs[domain]
    ]
    return DataKeyStatus(domains=domains, forgotten_subjects=forgotten, rotate_days=days)


async def _versions(backends: Backends, tenant_id: UUID, domain: Domain, epochs: list[Any]) -> Versions | None:
    try:
        return await backends.named(epochs[-1]["backend"]).versions(TenantKey(tenant_id, domain))
    except (errors.KeysUnavailable, SealBroken):
        return None


def _of_domain(epochs: list[Any], counts: Any, versions: Versions | None, rotate_days: int | None) -> KeysOfDomain:
    newest = epochs[-1]
    waiting = sum(row["subject_keys"] + row["purpose_keys"] for row in epochs[:-1])
    if versions is not None and newest["key_version"] < versions.latest:
        # The epoch itself waits to be wrapped anew.
        waiting += 1
    return KeysOfDomain(
        domain=KeyDomain(newest["domain"]),
        backend=KeyBackend(newest["backend"]),
        tenant_key_latest=None if versions is None else versions.latest,
        tenant_key_least=None if versions is None else versions.least,
        epochs=[
            KeyEpoch(
                number=row["number"],
                current=row is newest,
                backend=KeyBackend(row["backend"]),
                tenant_key_version=row["key_version"],
                subject_keys=row["subject_keys"],
                created_at=row["created_at"],
            )
            for row in epochs
        ],
        subjects=0 if counts is None else counts["subjects"],
        subject_keys=0 if counts is None else counts["keys"],
        generations=0 if counts is None else counts["generations"],
        seals_reserved=0 if counts is None else counts["seals"],
        awaiting_rewrap=waiting,
        rotates_at=None if rotate_days is None else newest["created_at"] + timedelta(days=rotate_days),
    )


async def list_forgotten(
    store: KeyStore, tenant_id: UUID, *, after: UUID | None = None, only: UUID | None = None, limit: int
) -> list[ForgottenSubject]:
    """Return subjects whose keys were destroyed, in the order of their ids.

    Args:
        store: The key store.
        tenant_id: Whose subjects.
        after: The party after which to go on.
        only: The party that is asked for.
        limit: How many at most.
    """
    rows = await store.fetch(upkeep_queries.FORGOTTEN_PAGE, tenant_id, after, only, limit)
    return [
        ForgottenSubject(
            party_id=ids.encode(Prefix.PARTY, row["subject_id"]),
            keys_destroyed=row["keys"],
            reason=row["reason"],
            forgotten_at=row["forgotten_at"],
        )
        for row in rows
    ]
