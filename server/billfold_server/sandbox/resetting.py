"""Brings a sandbox back to its beginning: what has happened in it is gone, and who may call it stays.

Kept are the tenant's settings, API clients, webhook endpoints, partners and staff, the tenant's own keys, and what has
been audited. The keys of whoever was a party are destroyed, as they are when a party is erased. Events go on with the
number after the last one, so that whoever follows them misses none of what is new.

Rows of the ledger may be deleted by their owner alone, so this needs the administrator's hands.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID, uuid4

import asyncpg
import msgspec

from billfold import errors, ids
from billfold.contract.sandbox import ResetSandbox, SandboxReset
from billfold_server.audit import service as audit
from billfold_server.connectors.service import RailSilent, SimulatedRail
from billfold_server.db import jobs
from billfold_server.db.jobs import NewJob
from billfold_server.db.sets import write_all
from billfold_server.db.wakeups import Work
from billfold_server.http.services import Services
from billfold_server.keys.service import Keys
from billfold_server.payments import service as payments
from billfold_server.privacy import service as privacy
from billfold_server.sandbox import owned, seeding, service
from billfold_server.sandbox.owned_rules import NEEDED
from billfold_server.sandbox.rules import is_seeded
from billfold_server.sandbox.seeding import DEFAULT_SEED
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.context import Caller, TenantRef
from billfold_server.tenancy.service import detached_months, newer_migrations
from billfold_server.tenancy.transaction import Tx

__all__ = ["KEPT", "SEEDING", "SHRED_JOB", "Seed", "Shred", "reset", "shred"]

Seed = Callable[[Services, TenantRef, int | None], Awaitable[None]]
"""Makes a sandbox's customers with all that they have, from a seed; from the usual one where there is None."""

SEEDING: Final = "seeding"
"""Under which name ``build_app`` keeps the ``Seed`` in ``Services.rooms``."""

KEPT: Final = frozenset(
    {
        "api_clients",
        "audit_head",
        "audit_records",
        "consent_evidence_head",
        "encryption_keys",
        "event_subscriptions",
        "job_schedules",
        "ledger_head",
        "migration",
        "partner_sandboxes",
        "partners",
        "publisher_cursors",
        "relay_head",
        "revoked_tokens",
        "seen_tokens",
        "signing_keys",
        "tenant_clock",
        "webhook_endpoints",
    }
)
"""The tables that stay as they are, or whose only row begins anew."""

_OF_USERS: Final = ("factors", "recovery_codes", "sessions", "enrolment_codes", "sca_challenges")
"""What belongs to who signs in, of whom staff stays."""

_SEEDED: Final = "SELECT EXISTS (SELECT FROM parties WHERE external_id LIKE 'sandbox-%')"
_TABLES: Final = """
SELECT c.relname AS name FROM pg_catalog.pg_class c
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
ORDER BY c.relname
"""
_ANEW: Final = (
    # Links hold who ordered transfers that are gone, so the trail is sealed again from its beginning.
    # A server of a version that didn't know the head yet has emptied its table, where it reset the sandbox last.
    """
    INSERT INTO audit_head (id, number, hash, skips, sealed_at)
    VALUES (1, 0, decode(repeat('00', 32), 'hex'), '', now())
    ON CONFLICT (id) DO UPDATE SET number = 0, hash = EXCLUDED.hash, skips = '', ordered_to = NULL
    """,
    "UPDATE audit_records SET link = NULL, salt = NULL WHERE link IS NOT NULL",
    "UPDATE consent_evidence_head SET number = 0, digest = decode(repeat('00', 32), 'hex')",
    """
    UPDATE tenant_clock SET offset_us = 0, frozen_at = NULL, advancing_to = NULL, advancing_freeze = NULL,
        driver = NULL, driver_until = NULL
    """,
    # What was far ahead on a clock that had gone far would never come.
    "UPDATE job_schedules SET next_at = least(next_at, now())",
)
_LEDGER_ANEW: Final = """
UPDATE ledger_head SET sequence = 0, revision = revision + 1, fence = $1, effective_high = '1000-01-01T00:00:00Z',
    link = 0, hash = decode(repeat('00', 32), 'hex'), skips = '', era = 2
"""
_PAYLOADS: Final = "SELECT payload::text AS payload FROM jobs WHERE kind = $1"
SHRED_JOB: Final = "sandbox.shred"
_SHREDDED: Final = 500
"""Of how many parties one job destroys the keys."""
_TRIES: Final = 6
_PAUSE_S: Final = 0.2


class Shred(msgspec.Struct, frozen=True):
    """Whose keys are to be destroyed."""

    party_ids: list[UUID]


async def shred(keys: Keys, tenant: TenantRef, payload: Shred) -> None:
    """Destroy the keys of parties that went with a reset; doing it twice changes nothing.

    Raises:
        errors.KeysUnavailable: The key store is away, and nothing was done.
    """
    await keys.forget(tenant, payload.party_ids, reason=SHRED_JOB)


async def reset(services: Services, tenant: TenantRef, caller: Caller, body: ResetSandbox) -> SandboxReset:
    """Bring a sandbox back to its beginning.

    Args:
        services: The process's parts, with an administrator.
        tenant: Which sandbox.
        caller: Who wants it.
        body: Whether its customers are made anew, and from which seed; as before where it doesn't say.

    Raises:
        errors.SandboxOnly: The tenant is no sandbox.
        errors.FeatureDisabled: This process has no administrator's hands.
        errors.Busy: Something goes on in it all the time; nothing has changed.
        errors.TenantUnreadable: A newer version has migrated its schema; nothing has changed.
    """
    service.require_sandbox(tenant)
    # Two at once, each from a seed of its own, would take turns at emptying and filling it.
    async with services.tenants.exclusively(f"sandbox {tenant.id}"):
        return await _reset(services, tenant, caller, body)


async def _reset(services: Services, tenant: TenantRef, caller: Caller, body: ResetSandbox) -> SandboxReset:
    async with services.database.tx(tenant) as tx:
        begun = await seeding.find(tx)
        before = begun is not None or bool(await tx.fetchval(_SEEDED))
    seeded = body.seeded if body.seeded is not None else before or body.seed is not None
    seed = body.seed if body.seed is not None or begun is None else begun.seed
    wanted = (DEFAULT_SEED if seed is None else seed) if seeded and NEEDED in tenant.manifest.currencies else None
    for each in range(_TRIES):
        try:
            async with services.tenants.as_owner(tenant.slug) as owner:
                await _empty(owner, caller, wanted)
            break
        except (errors.Busy, asyncpg.DeadlockDetectedError) as error:
            if each == _TRIES - 1:
                raise errors.Busy("something goes on in the sandbox all the time", retry_after_s=1) from error
            await asyncio.sleep(_PAUSE_S)
    rail = payments.rail_of(services, tenant)
    if isinstance(rail, SimulatedRail):
        with contextlib.suppress(RailSilent):
            await rail.empty()
    if seeded:
        await services.rooms[SEEDING](services, tenant, seed)
    async with services.database.tx(tenant) as tx:
        # What is to be done waits since the beginning; the owner's transaction could wake nobody.
        tx.wake(Work.JOBS)
        begun = await seeding.find(tx)
        return SandboxReset(now=await tenant_now(tx), seeded=seeded, seed=None if begun is None else begun.seed)


async def _empty(owner: Tx, caller: Caller, seed: int | None) -> None:
    """Take everything out that isn't kept, in one transaction, and write down what is still to be done.

    Whoever dies after it is followed by another reset, or by the jobs.

    Args:
        owner: The owner's transaction.
        caller: Who wants it.
        seed: From what the customers will follow; None where there will be none.
    """
    await _refuse_newer()
    # Whoever writes to the ledger ends first, and knows afterwards that what it remembers holds no longer.
    await owner.execute("SELECT 1 FROM ledger_head FOR UPDATE")
    # Whoever seals the audit trail ends first, too.
    await owner.execute("SELECT 1 FROM audit_head FOR UPDATE")
    found = [row["name"] for row in await owner.fetch(_TABLES)]
    # Whoever is forgotten at this moment is still among the parties here, or among the jobs below.
    gone = await _parties(owner) | await _waiting_for(owner)
    apart = {"parties", "users", *_OF_USERS}
    names = ", ".join(f'"{name}"' for name in found if name not in KEPT | apart)
    await owner.execute(f"TRUNCATE {names}")
    # A ledger that begins anew may come to have the same months.
    if detached := [name for each in await detached_months(owner) for name in (each.journal_entries, each.postings)]:
        await owner.execute(f"DROP TABLE {', '.join(detached)}")
    customers = "SELECT id FROM users WHERE login_realm = 'psu'"
    # Those who follow from a seed are nobody, and come again under the same ids, which need keys then.
    shredded = sorted(each for each in gone | await _parties(owner) if not is_seeded(each))
    for table in _OF_USERS:
        await owner.execute(f"DELETE FROM {table} WHERE user_id IN ({customers})")  # noqa: S608 - constants
    await owner.execute("DELETE FROM users WHERE login_realm = 'psu'")
    await owner.execute("DELETE FROM parties")
    for statement in _ANEW:
        await owner.execute(statement)
    await owner.execute(_LEDGER_ANEW, uuid4())
    now = await owner.fetchval("SELECT clock_timestamp()")
    # The jobs of sandboxes of its partners are gone, and these aren't.
    await write_all(owner, jobs.writes([*_shredding(shredded, now), *await owned.still_to_do(owner, now)]))
    if seed is not None:
        await seeding.begin(owner, seed)
    await audit.record(owner, audit.new_record(caller, "sandbox.reset", "sandbox"))


async def _refuse_newer() -> None:
    """See that every table of the open transaction's schema is known here, as it isn't in the midst of an upgrade.

    What isn't known to be kept would be emptied.
    """
    if await newer_migrations("tenant"):
        msg = "the sandbox's schema is newer than this server, so that a server of that version has to reset it"
        raise errors.TenantUnreadable(msg, retry_after_s=5)


async def _parties(owner: Tx) -> set[UUID]:
    return {row["id"] for row in await owner.fetch("SELECT id FROM parties")}


async def _waiting_for(owner: Tx) -> set[UUID]:
    """Return whose keys are to be destroyed by jobs that aren't done, be it since an earlier reset."""
    of_reset = [msgspec.json.decode(row["payload"], type=Shred) for row in await owner.fetch(_PAYLOADS, SHRED_JOB)]
    erased = await owner.fetch(_PAYLOADS, privacy.SHRED_JOB)
    alone = {msgspec.json.decode(row["payload"], type=privacy.Shred).party_id for row in erased}
    return alone.union(*(each.party_ids for each in of_reset))


def _shredding(party_ids: Sequence[UUID], now: datetime) -> list[NewJob]:
    """Return the jobs that destroy parties' keys, each those of many."""
    return [
        NewJob(
            id=ids.uuid7(),
            kind=SHRED_JOB,
            due_at=now,
            payload=msgspec.json.encode(Shred(list(party_ids[first : first + _SHREDDED]))),
        )
        for first in range(0, len(party_ids), _SHREDDED)
    ]
