"""What all rooms together keep of people, what is known of one of them, and how somebody is forgotten.

Forgetting is one transaction of all rooms: what lies plain is removed or blanked, a tombstone stays, and a job is
written that destroys the person's keys. The keys are destroyed right after; if they can't be, the job does it.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
import structlog

from billfold import errors, ids
from billfold.clock import SystemClock
from billfold.contract.events import PARTY_ERASED, PartyErasedEventData
from billfold.contract.privacy import DataColumn, DataInventory, EraseParty, Erasure, ExportedData
from billfold.ids import Prefix
from billfold_server.audit import service as audit
from billfold_server.db.jobs import NewJob, enqueue
from billfold_server.db.outbox import emit, new_event
from billfold_server.db.personal import Erasing, Exported, Inventory, Subject, SubjectProvider
from billfold_server.http import idempotency
from billfold_server.http.routing import Call, Reply
from billfold_server.ledger import service as ledger
from billfold_server.parties import service as parties
from billfold_server.payments import service as payments
from billfold_server.people import service as people
from billfold_server.privacy import queries
from billfold_server.reconciliation import service as reconciliation
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.manifest import Retention
from billfold_server.tenancy.transaction import TenantTx
from billfold_server.wallets import service as wallets

__all__ = ["SHRED_JOB", "Place", "Privacy", "Shred", "check_erasable", "data_inventory", "erase", "export"]

SHRED_JOB: Final = "privacy.shred"
ERASED: Final = PARTY_ERASED.name
EXPORTED: Final = "party.exported"

_PATIENTLY: Final = "SET LOCAL statement_timeout TO '600s'"
"""Somebody may have made millions of transfers, and has a right to be forgotten all the same."""

Place = tuple[int, int, UUID | None]
"""How far an export has come: at which room, at which kind of it, and behind which key."""

_log = structlog.stdlib.get_logger("billfold.privacy")


class Privacy:
    """What the room keeps for the life of the process, in ``Services.rooms["privacy"]``.

    Args:
        inventories: What every room keeps.
        subjects: What every room does for one person.
    """

    def __init__(self, inventories: Sequence[Inventory], subjects: Sequence[SubjectProvider]) -> None:
        self.inventories = tuple(inventories)
        self.subjects = tuple(subjects)


def _privacy(call: Call) -> Privacy:
    privacy: Privacy = call.services.rooms["privacy"]
    return privacy


# Where data lies.


async def data_inventory(tx: TenantTx, inventories: Sequence[Inventory]) -> DataInventory:
    """Return where personal and card data lies in a tenant, with how much of it there is.

    Args:
        tx: The tenant's transaction.
        inventories: What every room keeps, as ``Privacy`` has it.
    """
    tables: dict[str, list[str]] = defaultdict(list)
    for inventory in inventories:
        for each in inventory.personal:
            tables[each.table].append(each.column)
    counts = await queries.count_columns(tx, tables)
    retention = tx.tenant.manifest.retention
    return DataInventory(
        columns=[
            DataColumn(
                room=inventory.room,
                table=each.table,
                column=each.column,
                category=each.category,
                owner=each.owner,
                key_domain=each.domain,
                blind_index=each.index,
                plain_because=each.plain_because,
                kept=each.kept,
                kept_days=_days(retention, each.kept),
                records=counts[each.table, each.column][0],
                estimated=counts[each.table, each.column][1],
            )
            for inventory in inventories
            for each in inventory.personal
        ],
        plain_columns=sum(len(inventory.classified()) - len(inventory.personal) for inventory in inventories),
        counted_at=SystemClock().now(),
    )


def _days(retention: Retention, kept: str) -> int | None:
    days: int | None = getattr(retention, kept, None)
    return days


# What is known of one person.


async def _subject(tx: TenantTx, party_id: UUID) -> Subject:
    return Subject(
        party_id=party_id,
        wallet_ids=await wallets.list_wallets_of(tx, party_id),
        user_ids=await people.list_users_of(tx, party_id),
    )


async def export(
    call: Call, party_id: UUID, *, reason: str, place: Place | None, limit: int
) -> tuple[list[ExportedData], Place | None]:
    """Return some of what all rooms know of a person, and where to go on if there is more.

    That it was asked for is recorded before anything is read.

    Args:
        call: The request.
        party_id: Whose data.
        reason: Why.
        place: Where the page before ended.
        limit: How many at most.

    Raises:
        errors.NotFound: The tenant has no such party.
        errors.KeysUnavailable: What is sealed can't be opened now.
    """
    at, kind, after = place or (0, 0, None)
    async with call.tx() as tx:
        row = await parties.get_party(tx, party_id)
        subject = await _subject(tx, party_id)
        facts = {"continued": place is not None}
        await audit.record(tx, audit.new_record(call.caller, EXPORTED, row.wire_id, reason=reason, facts=facts))
    shown: list[ExportedData] = []
    subjects = _privacy(call).subjects
    while at < len(subjects):
        room = subjects[at]
        if kind >= len(room.export):
            at, kind, after = at + 1, 0, None
            continue
        left = limit - len(shown)
        found: Sequence[Exported] = await room.export[kind](call, subject, after, left) if left else ()
        shown += [ExportedData(room=room.room, kind=each.kind, data=dict(each.data)) for each in found]
        if left == 0 or len(found) >= left:
            # There may be no more; then the next page is empty.
            return shown, (at, kind, found[-1].key if found else after)
        kind, after = kind + 1, None
    return shown, None


# Forgetting.


class Shred(msgspec.Struct, frozen=True):
    """Whose keys are to be destroyed."""

    party_id: UUID


async def check_erasable(tx: TenantTx, party_id: UUID) -> None:
    """See that nothing keeps a party from being forgotten.

    Raises:
        errors.NotFound: The tenant has no such party.
        errors.PartyForgotten: It was forgotten before.
        errors.PartyHasWallets: A wallet of its isn't closed, so that money is there or may come.
        errors.PartyHasPayments: Money of a payment may come back, and it would be nobody's; or it has come for a
            wallet that couldn't take it, and who has sent it is known by what is kept of the party alone.
        errors.PartyStillKept: The law wants it to be known for some time yet.
    """
    row = await parties.get_party(tx, party_id)
    if row.forgotten_at is not None:
        raise errors.PartyForgotten("the party was forgotten before", param="party_id")
    unclosed, closed_at = await wallets.standing_of(tx, party_id)
    if unclosed:
        raise errors.PartyHasWallets("the party has wallets that aren't closed", open_wallets=unclosed)
    wallet_ids = await wallets.list_wallets_of(tx, party_id)
    if waiting := await reconciliation.count_waiting(tx, wallet_ids):
        raise errors.PartyHasPayments("money of the party's waits in suspense; assign it first", open_payments=waiting)
    under_way = await payments.count_open(tx, wallet_ids)
    if under_way:
        raise errors.PartyHasPayments("the money of payments of the party may come back", open_payments=under_way)
    kept_until = _kept_until(closed_at, tx.tenant.manifest.retention)
    if kept_until is not None and await tenant_now(tx) < kept_until:
        raise errors.PartyStillKept("the party must still be known", kept_until=kept_until.isoformat())


def _kept_until(closed_at: datetime | None, retention: Retention) -> datetime | None:
    """Return until when somebody must be known; who never had a wallet had no business with the bank."""
    return None if closed_at is None else closed_at + timedelta(days=retention.customer_days)


async def erase(call: Call, party_id: UUID, body: EraseParty) -> Reply[Any]:
    """Forget a party: in all rooms at once, and then by destroying its keys.

    Raises:
        errors.NotFound: The tenant has no such party.
        errors.Conflict: Something keeps it from being forgotten, see ``check_erasable``.
    """

    async def work(tx: TenantTx) -> Erasure:
        await check_erasable(tx, party_id)
        erased = await _begin(call, tx, party_id, body.reason)
        # Wallets are opened and closed by whoever has the books, so from here on they stand still.
        await ledger.take_books(tx)
        # And nobody gives the party a user whom this wouldn't find.
        await parties.lock_party(tx, party_id)
        await check_erasable(tx, party_id)
        return await _erase(call, tx, party_id, body.reason, erased)

    reply = await idempotency.once(call, work)
    if not reply.replayed:
        await _shred_at_once(call, party_id)
    return reply


async def _begin(call: Call, tx: TenantTx, party_id: UUID, reason: str) -> Counter[str]:
    """Forget what there may be very much of, and what nobody changes any more, while others' money moves on."""
    await tx.execute(_PATIENTLY)
    erasing, erased = await _erasing(call, tx, party_id, reason), Counter[str]()
    for room in _privacy(call).subjects:
        if room.begin is not None:
            erased.update(await room.begin(tx, erasing))
    return erased


async def _erasing(call: Call, tx: TenantTx, party_id: UUID, reason: str) -> Erasing:
    return Erasing(
        subject=await _subject(tx, party_id),
        caller=call.caller,
        reason=reason,
        now=await tenant_now(tx),
        real_now=call.services.clock.now(),
    )


async def _erase(call: Call, tx: TenantTx, party_id: UUID, reason: str, begun: Counter[str]) -> Erasure:
    erasing, erased = await _erasing(call, tx, party_id, reason), begun
    now = erasing.now
    for room in _privacy(call).subjects:
        if room.hold is not None:
            await room.hold(tx, erasing)
    for room in _privacy(call).subjects:
        if room.erase is not None:
            erased.update(await room.erase(tx, erasing))
    counts = {table: number for table, number in erased.items() if number}
    wire_id = ids.encode(Prefix.PARTY, party_id)
    payload = msgspec.json.encode(Shred(party_id))
    job = NewJob(id=ids.uuid7(), kind=SHRED_JOB, due_at=now, payload=payload, dedup_key=wire_id)
    await enqueue(tx, job)
    await audit.record(tx, audit.new_record(call.caller, ERASED, wire_id, reason=reason, facts={"erased": counts}))
    await emit(tx, new_event(PARTY_ERASED, wire_id, PartyErasedEventData(id=wire_id), now))
    return Erasure(party_id=wire_id, forgotten_at=now, erased=counts)


async def _shred_at_once(call: Call, party_id: UUID) -> None:
    """Destroy the keys of who was forgotten, unless that can't be done now; then the job does."""
    try:
        await call.services.keys.forget(call.tenant, [party_id], reason=ERASED)
    except errors.KeysUnavailable:
        _log.warning("the keys of a forgotten party are destroyed later", tenant=call.tenant.slug)
