"""Forgets a party for good: its keys are destroyed in every domain, so what lies under them is noise everywhere."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable
from typing import TYPE_CHECKING, Final
from uuid import UUID

import msgspec
import structlog

from billfold import errors, ids
from billfold.contract.data_keys import ForgottenSubject
from billfold.contract.events import DATA_KEYS_SHREDDED, DataKeysShreddedEventData
from billfold.ids import Prefix
from billfold_server.audit import service as audit
from billfold_server.db.jobs import NewJob, enqueue
from billfold_server.db.outbox import emit, new_event
from billfold_server.keys import upkeep_queries
from billfold_server.keys.hierarchy import Keys
from billfold_server.keys.standing import list_forgotten
from billfold_server.keys.store import KeyStore
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.context import TenantRef
from billfold_server.tenancy.transaction import Database, TenantTx

if TYPE_CHECKING:
    # The decryptor has keys and serves no HTTP.
    from billfold_server.http.routing import Call, Reply

__all__ = ["FORGETS", "FORGOTTEN_JOB", "SHREDDED", "Forgotten", "forgotten_by_tenants", "shred", "tidy"]

SHREDDED: Final = DATA_KEYS_SHREDDED.name
"""The event, and the action in the audit, by which a restored key store knows whom to forget again."""

FORGETS: Final = (SHREDDED, "party.erased")
"""What the audit says of those whose keys were destroyed."""

FORGOTTEN_JOB: Final = "keys.forgotten"
"""The job by which a room lets go of what says that it has values which nobody can open any more."""

_FORGOTTEN: Final = "SELECT DISTINCT object_id FROM audit_records WHERE action = ANY($1::text[])"

_log = structlog.stdlib.get_logger("billfold.keys")


class Forgotten(msgspec.Struct, frozen=True):
    """Whose keys were destroyed."""

    party_id: UUID


async def shred(call: "Call", keys: Keys, party_id: UUID, reason: str) -> "Reply[ForgottenSubject]":
    """Destroy a party's keys, which two people have agreed to, and record it.

    The keys go first: what happens twice is to forget somebody who is forgotten already, which changes nothing, while a
    record of what didn't happen would be a lie.

    Args:
        call: The request, as who has asked for it.
        keys: The key store.
        party_id: Whose keys.
        reason: Why.

    Raises:
        errors.KeysUnavailable: The key store is away, and nothing was done.
    """
    from billfold_server.http import idempotency  # noqa: PLC0415 - The decryptor has keys and serves no HTTP.

    await keys.forget(call.tenant, [party_id], reason=reason)
    (forgotten,) = await list_forgotten(keys.store, call.tenant.id, only=party_id, limit=1)

    async def write(tx: TenantTx) -> ForgottenSubject:
        wire_id, facts = ids.encode(Prefix.PARTY, party_id), {"keys": forgotten.keys_destroyed}
        data = DataKeysShreddedEventData(id=wire_id, keys=forgotten.keys_destroyed)
        now = await tenant_now(tx)
        await emit(tx, new_event(DATA_KEYS_SHREDDED, wire_id, data, now))
        payload = msgspec.json.encode(Forgotten(party_id))
        job = NewJob(id=ids.uuid7(), kind=FORGOTTEN_JOB, due_at=now, payload=payload, dedup_key=wire_id)
        await enqueue(tx, job)
        await audit.record(tx, audit.new_record(call.caller, SHREDDED, wire_id, reason=reason, facts=facts))
        return forgotten

    reply: Reply[ForgottenSubject] = await idempotency.once(call, write)
    _tidying.add(task := asyncio.create_task(tidy(keys.store)))
    task.add_done_callback(_tidying.discard)
    return reply


_tidying: Final[set[asyncio.Task[bool]]] = set()
"""What is under way; the event loop itself holds tasks weakly."""


async def forgotten_by_tenants(
    database: Database, tenants: Iterable[TenantRef]
) -> AsyncIterator[tuple[UUID, Collection[UUID], str]]:
    """Yield whom tenants' audits say to be forgotten, whatever the key store knows of it: the tenant, who, and why."""
    for tenant in tenants:
        async with database.tx(tenant, statement_timeout_ms=600_000) as tx:
            rows = await tx.fetch(_FORGOTTEN, list(FORGETS))
        subjects = {ids.decode(Prefix.PARTY, row["object_id"]) for row in rows}
        if subjects:
            yield tenant.id, subjects, "forgotten before the key store was brought back"


async def tidy(store: KeyStore) -> bool:
    """Have the rows of destroyed keys taken out of the key store's table, and tell whether that was done.

    A row that was changed stays in the table's file as a dead one until it is vacuumed, as the text of a wrapped key.
    PostgreSQL does that by itself some time; this does it now. From version 17 the server's login may.
    """
    try:
        async with store.long() as connection:
            await connection.execute(upkeep_queries.UPKEEP)
    except errors.KeysUnavailable:
        _log.warning("the key store couldn't be vacuumed; PostgreSQL does it later by itself")
        return False
    return True
