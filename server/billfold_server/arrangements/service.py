"""Arrangements and products as other rooms and the HTTP edge know them.

What is arranged is sealed before the transaction that writes it, and opened after the one that reads it.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from billfold import errors, ids
from billfold.contract import events
from billfold.contract.arrangements import (
    Arrangement,
    ArrangementKind,
    ArrangementStatus,
    CreateArrangement,
    CreateProduct,
    Product,
    ProductAssignment,
    UpdateArrangement,
    UpdateProduct,
)
from billfold.contract.events import ArrangementEventData, EventType
from billfold.ids import Prefix
from billfold_server.arrangements import queries, rules
from billfold_server.arrangements.rows import KINDS, TERMS, ArrangementRow, ProductRow, Terms
from billfold_server.audit import service as audit
from billfold_server.db import outbox
from billfold_server.db.outbox import emit, new_event
from billfold_server.db.sets import Write, write_all
from billfold_server.db.wakeups import Work
from billfold_server.keys.service import Keys, Opener, Place, Sealer
from billfold_server.parties import service as parties
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.context import Caller, TenantRef
from billfold_server.tenancy.transaction import TenantTx
from billfold_server.wallets import service as wallets

__all__ = [
    "KINDS",
    "ArrangementRow",
    "Draft",
    "Opened",
    "ProductRow",
    "Terms",
    "assign_product",
    "create_arrangement",
    "create_arrangements",
    "create_product",
    "delete_of_wallets",
    "draft_arrangement",
    "get_arrangement",
    "get_product",
    "list_arrangements",
    "list_behind",
    "list_of_wallets",
    "list_products",
    "open_arrangements",
    "open_terms",
    "products_of_wallets",
    "update_arrangement",
    "update_product",
]


_ROUNDS: Final = 5

Transaction = Callable[[], AbstractAsyncContextManager[TenantTx]]


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """An arrangement that is ready to be written.

    Attributes:
        party_id: Who owns the wallet.
        sealed_terms: What is arranged, under that party's key.
        terms: The same, in plain, for the answer.
    """

    id: UUID
    wallet_id: UUID
    party_id: UUID
    kind: ArrangementKind
    terms: Terms
    sealed_terms: bytes

    def __repr__(self) -> str:
        return f"Draft({self.id})"


class Opened(msgspec.Struct, frozen=True):
    """An arrangement with what it says."""

    row: ArrangementRow
    terms: Terms

    def __repr__(self) -> str:
        return f"Opened({self.row.id})"


# Creating.


async def draft_arrangement(transaction: Transaction, keys: Keys, tenant: TenantRef, body: CreateArrangement) -> Draft:
    """Check a new arrangement, and seal what it says, outside of any transaction.

    Raises:
        errors.ArrangementInvalid: It isn't what its kind names.
        errors.NotFound: There is no such wallet.
        errors.SubjectForgotten: Its owner was forgotten.
        errors.KeysUnavailable: It can't be sealed now.
    """
    terms = rules.terms_of(body)
    wallet_id = ids.decode(Prefix.WALLET, body.wallet_id)
    async with transaction() as tx:
        wallet = await wallets.get_wallet(tx, wallet_id)
    sealer = await keys.sealer(tenant, wallet.party_id)
    new_id = ids.uuid7()
    return Draft(
        id=new_id,
        wallet_id=wallet_id,
        party_id=wallet.party_id,
        kind=body.kind,
        terms=terms,
        sealed_terms=_seal(sealer, new_id, terms),
    )


async def create_arrangement(tx: TenantTx, caller: Caller, draft: Draft) -> Arrangement:
    """Write an arrangement, with its event and its audit record.

    Raises:
        errors.SubjectForgotten: The wallet's owner was forgotten meanwhile.
    """
    (arrangement,) = await create_arrangements(tx, caller, [draft])
    return arrangement


async def create_arrangements(tx: TenantTx, caller: Caller, drafts: Sequence[Draft]) -> list[Arrangement]:
    """Write arrangements, with their events and audit records, by one statement for each table.

    Raises:
        errors.SubjectForgotten: An owner of the wallets was forgotten meanwhile.
    """
    owners = {draft.party_id for draft in drafts}
    if await parties.hold_parties(tx, sorted(owners)) != owners:
        raise errors.SubjectForgotten
    now = await tenant_now(tx)
    rows = [
        ArrangementRow(
            id=draft.id,
            wallet_id=draft.wallet_id,
            kind=draft.kind,
            status=ArrangementStatus.ACTIVE,
            sealed_terms=draft.sealed_terms,
            version=1,
            created_at=now,
            updated_at=now,
        )
        for draft in drafts
    ]
    await queries.insert(tx, rows)
    await _tell(tx, caller, events.ARRANGEMENT_CREATED, rows)
    return [row.to_response(draft.terms) for row, draft in zip(rows, drafts, strict=True)]


# Reading.


async def get_arrangement(tx: TenantTx, arrangement_id: UUID) -> ArrangementRow:
    """Return an arrangement as it lies; ``open_arrangements`` opens it.

    Raises:
        errors.NotFound: There is none.
    """
    return _existing(await queries.find(tx, arrangement_id))


async def list_arrangements(
    tx: TenantTx,
    *,
    limit: int,
    before: UUID | None = None,
    wallet_id: UUID | None = None,
    kind: str | None = None,
    status: str | None = None,
) -> list[ArrangementRow]:
    """Return arrangements that meet all conditions given, newest first, as they lie."""
    return await queries.list_page(tx, limit=limit, before=before, wallet_id=wallet_id, kind=kind, status=status)


async def list_of_wallets(
    tx: TenantTx,
    wallet_ids: Sequence[UUID],
    kind: ArrangementKind,
    *,
    statuses: Sequence[ArrangementStatus] = tuple(ArrangementStatus),
    limit: int,
    after: UUID | None = None,
    backwards: bool = False,
) -> list[ArrangementRow]:
    """Return arrangements of one kind of some wallets, in the order in which they were made, as they lie.

    Args:
        tx: The tenant's transaction.
        wallet_ids: Whose.
        kind: Of which kind.
        statuses: In which states.
        limit: How many at most.
        after: The arrangement behind which to go on.
        backwards: Whether to go on before it instead, the nearest first.
    """
    return await queries.list_of_wallets(
        tx,
        wallet_ids,
        kind.value,
        statuses=[status.value for status in statuses],
        limit=limit,
        after=after,
        backwards=backwards,
    )


async def list_behind(tx: TenantTx, wallet_ids: Sequence[UUID], after: UUID | None, limit: int) -> list[ArrangementRow]:
    """Return arrangements of some wallets behind a place, in the order of ids, as they lie."""
    return await queries.list_behind(tx, wallet_ids, after, limit)


async def open_terms(keys: Keys, tenant: TenantRef, rows: Sequence[ArrangementRow]) -> list[Opened]:
    """Return arrangements with what they say, by one query for all keys, outside of any transaction.

    What belonged to somebody who was forgotten meanwhile is left out.

    Raises:
        errors.KeysUnavailable: They can't be opened now.
    """
    if not rows:
        return []
    opener = await keys.opener(tenant, [row.sealed_terms for row in rows])
    opened = [(row, _open(opener, row)) for row in rows]
    return [Opened(row, terms) for row, terms in opened if terms is not None]


async def open_arrangements(keys: Keys, tenant: TenantRef, rows: Sequence[ArrangementRow]) -> list[Arrangement]:
    """Return arrangements as the API shows them; as ``open_terms``."""
    return [each.row.to_response(each.terms) for each in await open_terms(keys, tenant, rows)]


# Changing.


async def update_arrangement(
    transaction: Transaction,
    keys: Keys,
    tenant: TenantRef,
    arrangement_id: UUID,
    body: UpdateArrangement,
    *,
    caller: Caller,
    check_version: Callable[[int], None],
) -> Arrangement:
    """Change an arrangement, with its event and its audit record. What changes nothing leaves no trace.

    Args:
        transaction: Opens the tenant's transaction.
        keys: What opens and seals.
        tenant: Whose arrangement.
        arrangement_id: Which one.
        body: What to change.
        caller: Who changes it.
        check_version: Raises if the version isn't the one that the caller has read.

    Raises:
        errors.NotFound: There is none, or its owner was forgotten.
        errors.ArrangementInvalid: What it is to say is of another kind.
        errors.PreconditionFailed: It has changed since the caller read it.
        errors.Busy: Others change it all the time.
    """
    for _ in range(_ROUNDS):
        async with transaction() as tx:
            row = await get_arrangement(tx, arrangement_id)
            wallet = await wallets.get_wallet(tx, row.wallet_id)
        check_version(row.version)
        terms = rules.changed_terms(row.kind, body)
        opened = await open_terms(keys, tenant, [row])
        if not opened:
            raise _missing()
        present = opened[0].terms
        wanted = present if terms is None else terms
        status = row.status if body.status is None else body.status
        if wanted == present and status is row.status:
            return row.to_response(present)
        sealed = row.sealed_terms
        if wanted != present:
            sealed = _seal(await keys.sealer(tenant, wallet.party_id), row.id, wanted)
        async with transaction() as tx:
            now = max(await tenant_now(tx), row.updated_at)
            changed = msgspec.structs.replace(
                row, status=status, sealed_terms=sealed, version=row.version + 1, updated_at=now
            )
            if await parties.hold_party(tx, wallet.party_id) and await queries.update(tx, changed):
                await _tell(tx, caller, events.ARRANGEMENT_UPDATED, [changed])
                return changed.to_response(wanted)
    raise errors.Busy("others change the arrangement all the time", retry_after_s=1)


async def delete_of_wallets(tx: TenantTx, wallet_ids: Sequence[UUID]) -> str:
    """Delete what has been arranged for wallets whose owner is forgotten, and return the command's tag."""
    return await tx.execute(queries.DELETE_OF_WALLETS, list(wallet_ids))


# Products.


async def create_product(tx: TenantTx, caller: Caller, body: CreateProduct) -> Product:
    """Write a product, with its event and its audit record."""
    now = await tenant_now(tx)
    values = {**msgspec.structs.asdict(body), "monthly_fee_cap": body.monthly_fee_cap}
    row = ProductRow(id=ids.uuid7(), version=1, created_at=now, updated_at=now, **values)
    changed = {"changed": sorted(values)}
    await _tell_of_product(tx, caller, events.PRODUCT_CREATED, row, changed, queries.inserts_product(row), now=now)
    return row.to_response()


async def get_product(tx: TenantTx, product_id: UUID) -> ProductRow:
    """Return a product.

    Raises:
        errors.NotFound: There is none.
    """
    return _existing_product(await queries.find_product(tx, product_id))


async def list_products(tx: TenantTx, *, limit: int, before: UUID | None = None) -> list[ProductRow]:
    """Return products, newest first."""
    return await queries.list_products(tx, limit=limit, before=before)


async def update_product(
    tx: TenantTx,
    product_id: UUID,
    body: UpdateProduct,
    *,
    caller: Caller,
    check_version: Callable[[int], None],
) -> Product:
    """Change a product, with its event and its audit record. What changes nothing leaves no trace.

    Raises:
        errors.NotFound: There is none.
        errors.PreconditionFailed: It has changed since the caller read it.
    """
    row = _existing_product(await queries.lock_product(tx, product_id))
    check_version(row.version)
    changes = rules.product_changes({name: getattr(row, name) for name in body.__struct_fields__}, body)
    if changes:
        now = max(await tenant_now(tx), row.updated_at)
        row = msgspec.structs.replace(row, **changes, version=row.version + 1, updated_at=now)
        await queries.update_product(tx, row)
        await _tell_of_product(tx, caller, events.PRODUCT_UPDATED, row, {"changed": sorted(changes)}, now=now)
    return row.to_response()


async def assign_product(
    tx: TenantTx, caller: Caller, product_id: UUID, wallet_ids: Sequence[UUID]
) -> ProductAssignment:
    """Let wallets be of a product, with an event and an audit record of those that weren't before.

    Raises:
        errors.NotFound: There is no such product, or no such wallet.
    """
    row = await get_product(tx, product_id)
    wanted = list(dict.fromkeys(wallet_ids))
    if len(await wallets.find_wallets(tx, wanted)) < len(wanted):
        raise errors.NotFound("there is no such wallet", param="wallet_ids")
    now = await tenant_now(tx)
    assigned = await queries.assign_product(tx, product_id, wanted, now)
    named = {each: ids.encode(Prefix.WALLET, each) for each in wanted}
    if assigned:
        facts = {"wallet_ids": [name for each, name in named.items() if each in assigned]}
        await _tell_of_product(tx, caller, events.PRODUCT_ASSIGNED, row, facts, now=now)
    return ProductAssignment(product_id=row.wire_id, wallet_ids=list(named.values()))


async def products_of_wallets(tx: TenantTx, wallet_ids: Sequence[UUID]) -> Mapping[UUID, ProductRow]:
    """Return of which product each of these wallets is; one that is of none is absent."""
    return await queries.products_of_wallets(tx, wallet_ids)


# What all of these share.


def _place(arrangement_id: UUID) -> Place:
    return Place("arrangements", str(arrangement_id), "sealed_terms")


def _seal(sealer: Sealer, arrangement_id: UUID, terms: Terms) -> bytes:
    return sealer.seal(_place(arrangement_id), msgspec.json.encode(terms))


def _open(opener: Opener, row: ArrangementRow) -> Terms | None:
    try:
        plain = opener.open(_place(row.id), row.sealed_terms)
    except errors.SubjectForgotten:
        return None
    terms: Terms = msgspec.json.decode(plain, type=TERMS[row.kind])
    return terms


def _missing() -> errors.NotFound:
    return errors.NotFound("there is no such arrangement", param="arrangement_id")


def _existing(row: ArrangementRow | None) -> ArrangementRow:
    if row is None:
        raise _missing()
    return row


def _existing_product(row: ProductRow | None) -> ProductRow:
    if row is None:
        raise errors.NotFound("there is no such product", param="product_id")
    return row


async def _tell(
    tx: TenantTx, caller: Caller, what: EventType[ArrangementEventData], rows: Sequence[ArrangementRow]
) -> None:
    """Emit the events and record the audit of what happened to arrangements."""
    told, records = [], []
    for row in rows:
        wallet_id = ids.encode(Prefix.WALLET, row.wallet_id)
        data = ArrangementEventData(
            id=row.wire_id, wallet_id=wallet_id, kind=row.kind, status=row.status, version=row.version
        )
        told.append(new_event(what, row.wire_id, data, row.updated_at))
        facts = {"wallet_id": wallet_id, "kind": row.kind.value, "status": row.status.value}
        records.append(audit.new_record(caller, what.name, row.wire_id, facts=facts))
    await emit(tx, *told)
    await audit.record(tx, *records)


async def _tell_of_product(
    tx: TenantTx,
    caller: Caller,
    what: EventType[Any],
    row: ProductRow,
    facts: dict[str, Any],
    *changes: Write,
    now: datetime,
) -> None:
    """Write the event and the audit record, and the change itself where it is told, in one statement."""
    event = new_event(what, row.wire_id, what.data(id=row.wire_id, name=row.name, version=row.version, **facts), now)
    record = audit.new_record(caller, what.name, row.wire_id, facts=facts)
    await write_all(tx, [*changes, *audit.writes([record]), *outbox.writes([event])])
    tx.wake(Work.EVENTS)
