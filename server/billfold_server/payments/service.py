"""Payments as other rooms and the HTTP edge know them.

Whoever takes orders in a dialect of its own (``open_banking``) reads them, has them sealed here, and gives the engine
the command that is made for its kind of consent; clients of the bank's own order under none (``own``). A turn at a rail
is a job: outside of any transaction the rail is given the order or asked about it, and what it says is given to the
engine as a second command.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from billfold import errors, ids
from billfold.contract import events
from billfold.contract.common import Response
from billfold.contract.payments import Payment, PaymentStatus
from billfold.ids import Prefix
from billfold.money import Money
from billfold_server.connectors.service import Account, Instruction, RailConnector, Rails, RailSilent, Report
from billfold_server.db import outbox
from billfold_server.db.jobs import NewJob, enqueue
from billfold_server.http.card_numbers import masked
from billfold_server.http.services import Services
from billfold_server.keys.service import Keys, Opener, Place
from billfold_server.ledger.service import Engine, undone_by_hand
from billfold_server.payments import queries, rules
from billfold_server.payments.collecting import COLLECTOR, Collected, collect
from billfold_server.payments.control_parameters import Amount as AgreedAmount
from billfold_server.payments.control_parameters import (
    ControlParameters,
    PeriodicLimit,
    day_of,
    periods_on,
    read_terms,
    write_terms,
)
from billfold_server.payments.control_parameters import Order as RecurringOrder
from billfold_server.payments.domestic import INITIATE_PAYMENT, check_same
from billfold_server.payments.kinds import (
    ASK_JOB,
    CLEARING,
    SUSPENSE,
    Check,
    Heard,
    Initiated,
    MoreKeys,
    Order,
    Resolution,
    initiation,
    planned_turn,
)
from billfold_server.payments.own import ORDER_PAYMENT, read_creditor, texts_of
from billfold_server.payments.recurring import HEAR, INITIATE_RECURRING, RESOLVE, agreed
from billfold_server.payments.returning import RETURNS
from billfold_server.payments.rows import PaymentRow, Placed, StepRow, Texts
from billfold_server.payments.spending import check_maximum
from billfold_server.payments.stores import STORES
from billfold_server.payments.undoing import check_undoing, count_no_more, return_keys, undoing_keys
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.context import Caller, TenantRef
from billfold_server.tenancy.transaction import TenantTx
from billfold_server.wallets import service as wallets
from billfold_server.wallets.service import AliasKey

__all__ = [
    "ASK_JOB",
    "CLEARING",
    "HEAR",
    "INITIATE_PAYMENT",
    "INITIATE_RECURRING",
    "ORDER_PAYMENT",
    "RESOLVE",
    "ROOM",
    "STORES",
    "SUSPENSE",
    "AgreedAmount",
    "Check",
    "Collected",
    "ControlParameters",
    "Heard",
    "Initiated",
    "MoreKeys",
    "Order",
    "PaymentRow",
    "PeriodicLimit",
    "Placed",
    "RecurringOrder",
    "Resolution",
    "StepRow",
    "Texts",
    "agreed",
    "check_maximum",
    "check_same",
    "collect",
    "count_open",
    "day_of",
    "find_payment",
    "find_payments_of",
    "find_payments_returned_by",
    "get_payment",
    "hear",
    "initiated",
    "initiation",
    "instruction_of",
    "list_payments",
    "list_steps",
    "open_texts",
    "order",
    "ordered",
    "periods_on",
    "placed",
    "plan_missing_turns",
    "rail_of",
    "read_creditor",
    "read_terms",
    "show",
    "take_turn",
    "texts_of",
    "write_terms",
]

ROOM: Final = "rails"
"""Under which name ``Services.rooms`` has the ``Rails``."""


# Ordering.


def rail_of(services: Services, tenant: TenantRef) -> RailConnector | None:
    """Return the rail by which a tenant's payments leave, or None where none does."""
    rails: Rails = services.rooms[ROOM]
    return rails.of(tenant)


async def order(
    services: Services,
    tenant: TenantRef,
    *,
    consent_id: UUID | None = None,
    wallet_id: UUID | None = None,
    party_id: UUID,
    digest: bytes = b"",
    amount: Money,
    creditor: UUID | AliasKey | None,
    leaves: bool,
    texts: Texts,
    facts: Any = None,
) -> Order:
    """Return an order with what it says of people sealed under the payer's key, outside of any transaction.

    Args:
        services: The process's parts.
        tenant: Whose.
        consent_id: Under which consent, if under one.
        wallet_id: Out of which wallet, where no consent says it.
        party_id: Whose wallet pays.
        digest: Of an order under a consent, what ``consents.service.digest`` makes of what the order must repeat.
        amount: How much.
        creditor: The wallet that it names, or the alias by which it may be a wallet's; None where it can't be.
        leaves: Whether it may leave where it isn't a wallet's.
        texts: What it says of people.
        facts: What the check of this kind of consent needs beside that.

    Raises:
        errors.SubjectForgotten: The payer was forgotten.
        errors.KeysUnavailable: It can't be sealed now.
    """
    payment_id = ids.uuid7()
    sealer = await services.keys.sealer(tenant, party_id)
    rail = rail_of(services, tenant) if leaves else None
    return Order(
        payment_id=payment_id,
        consent_id=consent_id,
        wallet_id=wallet_id,
        digest=digest,
        amount=amount,
        creditor=creditor,
        rail=None if rail is None else rail.name,
        sealed_texts=sealer.seal(_place(payment_id), msgspec.json.encode(texts)),
        # The books lie open. The whole reference is sealed with the payment's other texts.
        description=None if texts.remittance is None else masked(texts.remittance),
        facts=facts,
    )


def ordered(body: bytes, texts: Texts) -> Payment:
    """Return what a client of the bank's own is answered to an order: what the command has, with what the order says.

    Args:
        body: What the command has answered, now or to an earlier copy of the order.
        texts: What the order says of people, which every copy of it says alike.
    """
    return msgspec.structs.replace(_ORDERED.decode(body), **texts.shown)


def initiated(body: bytes) -> UUID:
    """Return the id of the payment that the command to order it has answered, now or before."""
    return ids.decode(Prefix.PAYMENT, _INITIATED.decode(body).payment_id)


def placed(body: bytes) -> Placed:
    """Return what the command to order a payment has answered just now; of a copy only its id still holds."""
    return _PLACED.decode(body)


_INITIATED: Final = msgspec.json.Decoder(Initiated)
_ORDERED: Final = msgspec.json.Decoder(Payment)
_PLACED: Final = msgspec.json.Decoder(Placed)


def _place(payment_id: UUID) -> Place:
    return Place("payment_texts", str(payment_id), "sealed")


# What events tell from rows.


async def tell_created(tx: TenantTx, object_ids: Sequence[str]) -> dict[str, Response]:
    """Return what events say of payments that were just ordered, by their wire ids."""
    rows = await queries.find_payments(tx, [ids.decode(Prefix.PAYMENT, each) for each in object_ids])
    return {row.wire_id: row.as_ordered.event_data() for row in rows}


async def tell_consumed(tx: TenantTx, object_ids: Sequence[str]) -> dict[str, Response]:
    """Return what events say of consents that a payment has used up, by their wire ids.

    Payments stay when their consents have gone.
    """
    rows = await queries.find_consuming(tx, [ids.decode(Prefix.CONSENT, each) for each in object_ids])
    return {data.id: data for data in (row.consumed_data() for row in rows)}


outbox.told_by(tell_created, events.PAYMENT_CREATED)
outbox.told_by(tell_consumed, events.CONSENT_CONSUMED)
undone_by_hand(
    "payment",
    "payment.settled",
    "payment.suspense",
    "payment.returned",
    "payment.unclaimed",
    keys=undoing_keys,
    check=check_undoing,
)
undone_by_hand("top_up", keys=return_keys, note=count_no_more)


# Turns at a rail.


async def take_turn(services: Services, tenant: TenantRef, payment_id: UUID, *, turn: int, attempt: int) -> None:
    """Give a payment to its rail, or ask what has become of it, and have recorded what comes of that.

    Nobody knows how far an attempt has come that didn't end, so a further one asks before it gives the order again. The
    rail carries out an order once under its key, and what it says is recorded once for each turn; so however often this
    is begun, money moves once.

    Args:
        services: The process's parts.
        tenant: Whose payment.
        payment_id: Which.
        turn: Which turn of it.
        attempt: How often the turn has been begun, this time included.
    """
    async with services.database.tx(tenant) as tx:
        row = await queries.find_payment(tx, payment_id)
        sealed = (await queries.list_texts(tx, [payment_id])).get(payment_id)
    if row is None or row.rail is None or row.turn != turn:
        return
    doing = rules.doing(row.status, turn=turn, attempt=attempt)
    rail = rail_of(services, tenant)
    texts = None if sealed is None else await _open_one(services.keys, tenant, payment_id, sealed)
    instruction = None if texts is None else instruction_of(row, texts)
    is_there = rail is not None and rail.name == row.rail and doing != "nothing"
    report = await _say(rail, row, instruction, doing) if rail is not None and is_there else None
    await hear(services, tenant, Heard(payment_id=payment_id, turn=turn, report=report))


async def _say(
    rail: RailConnector, row: PaymentRow, instruction: Instruction | None, doing: rules.Doing
) -> Report | None:
    """Return what the rail says, or None where it says nothing."""
    try:
        report = await rail.inquire(row.wire_id) if doing == "inquire" else None
        # An end was told of it once, so an order that isn't known any more isn't given again.
        if report is None and instruction is not None and row.status in rules.HEARD:
            report = await rail.submit(instruction)
    except RailSilent:
        return None
    return report


def instruction_of(row: PaymentRow, texts: Texts) -> Instruction:
    """Return a payment as its rail is told of it."""
    return Instruction(
        key=row.wire_id,
        amount=Money(row.amount_minor, row.currency),
        creditor=Account(
            scheme=texts.scheme,
            identification=texts.identification,
            name=texts.creditor_name,
            secondary=texts.secondary,
        ),
        end_to_end_id=texts.end_to_end_id,
        reference=texts.remittance,
        instrument=texts.instrument,
    )


async def hear(services: Services, tenant: TenantRef, heard: Heard) -> None:
    """Have recorded what a rail says, whether it was asked or not; each of its notices counts once."""
    if heard.report is not None:
        heard = msgspec.structs.replace(heard, report=rules.as_kept(heard.report))
    engine: Engine = services.engine
    caller = Caller(actor=f"job:{ASK_JOB}", client_id=UUID(int=0))
    answer = await engine.submit(tenant, caller, HEAR, heard)
    if answer.error is not None:
        raise answer.error


async def plan_missing_turns(tx: TenantTx, *, after: UUID | None = None) -> UUID | None:
    """Plan a turn for payments that wait for their rail and have none planned, and return where to go on.

    A turn is lost where its job has failed too often, or where the books have come from elsewhere without jobs.

    Args:
        tx: The tenant's transaction.
        after: The payment after which to go on.

    Returns:
        The last payment that was looked at; None where there are no more.
    """
    found = await queries.list_waiting(tx, after=after, limit=_AT_ONCE)
    now = await tenant_now(tx)
    # Where a turn is planned already, nothing is added.
    await enqueue(tx, *(ask_job(payment_id, turn, now) for payment_id, turn in found))
    return found[-1][0] if len(found) == _AT_ONCE else None


_AT_ONCE: Final = 500


def ask_job(payment_id: UUID, turn: int, due_at: datetime) -> NewJob:
    """Return the job that takes a payment's turn at its rail, as the commands plan it."""
    payload, key = planned_turn(payment_id, turn)
    return NewJob(id=ids.uuid7(), kind=ASK_JOB, due_at=due_at, payload=msgspec.json.encode(payload), dedup_key=key)


# Reading.


async def get_payment(tx: TenantTx, payment_id: UUID) -> PaymentRow:
    """Return a payment as it lies; ``show`` shows it.

    Raises:
        NotFound: There is none.
    """
    found = await queries.find_payment(tx, payment_id)
    if found is None:
        detail = "There is no such payment."
        raise errors.NotFound(detail)
    return found


async def find_payment(tx: TenantTx, payment_id: UUID) -> PaymentRow | None:
    """Return a payment as it lies, or None."""
    return await queries.find_payment(tx, payment_id)


async def find_payments_of(tx: TenantTx, entry_ids: Sequence[UUID]) -> dict[UUID, PaymentRow]:
    """Return payments by the journal entries that took their money out of wallets, or brought it back."""
    return await queries.find_payments_of(tx, entry_ids)


async def find_payments_returned_by(tx: TenantTx, entry_ids: Sequence[UUID]) -> dict[UUID, PaymentRow]:
    """Return payments whose money a rail brought back after it had left, by the journal entries of these top-ups."""
    said = await wallets.list_said_of_top_ups(tx, entry_ids, RETURNS, actor=COLLECTOR.actor)
    if not said:
        return {}
    named = {entry_id: ids.decode(Prefix.PAYMENT, wire_id) for entry_id, wire_id in said.items()}
    rows = {row.id: row for row in await queries.find_payments(tx, list(set(named.values())))}
    return {entry_id: rows[payment_id] for entry_id, payment_id in named.items() if payment_id in rows}


async def count_open(tx: TenantTx, wallet_ids: Sequence[UUID]) -> int:
    """Return of how many payments out of wallets the money is under way, or waits for somebody to say where it goes."""
    return await queries.count_open(tx, wallet_ids)


async def list_payments(
    tx: TenantTx,
    *,
    limit: int,
    before: UUID | None = None,
    wallet_id: UUID | None = None,
    consent_id: UUID | None = None,
    client_id: UUID | None = None,
    status: PaymentStatus | None = None,
    needs_attention: bool | None = None,
) -> list[PaymentRow]:
    """Return payments as they lie, newest first."""
    return await queries.list_payments(
        tx,
        limit=limit,
        before=before,
        wallet_id=wallet_id,
        consent_id=consent_id,
        client_id=client_id,
        status=None if status is None else status.value,
        needs_attention=needs_attention,
    )


async def list_steps(tx: TenantTx, payment_id: UUID) -> list[StepRow]:
    """Return what was heard of a payment and done with it, in order."""
    return (await queries.list_steps(tx, [payment_id]))[payment_id]


async def show(services: Services, tenant: TenantRef, rows: Sequence[PaymentRow]) -> list[Payment]:
    """Return payments as the API shows them, by one query for the keys of all of them, outside of any transaction.

    Raises:
        errors.KeysUnavailable: They can't be opened now.
    """
    async with services.database.tx(tenant) as tx:
        steps = await queries.list_steps(tx, [row.id for row in rows])
    texts = await open_texts(services, tenant, [row.id for row in rows])
    return [row.to_response([step.to_response() for step in steps[row.id]], texts.get(row.id)) for row in rows]


async def open_texts(services: Services, tenant: TenantRef, payment_ids: Sequence[UUID]) -> Mapping[UUID, Texts]:
    """Return what payments' orders say of people, outside of any transaction; nothing where the payer was forgotten.

    Raises:
        errors.KeysUnavailable: They can't be opened now.
    """
    async with services.database.tx(tenant) as tx:
        sealed = await queries.list_texts(tx, payment_ids)
    opener = await services.keys.opener(tenant, sealed.values())
    opened = {payment_id: _open(opener, payment_id, each) for payment_id, each in sealed.items()}
    return {payment_id: texts for payment_id, texts in opened.items() if texts is not None}


async def _open_one(keys: Keys, tenant: TenantRef, payment_id: UUID, sealed: bytes) -> Texts | None:
    return _open(await keys.opener(tenant, [sealed]), payment_id, sealed)


def _open(opener: Opener, payment_id: UUID, sealed: bytes) -> Texts | None:
    try:
        return msgspec.json.decode(opener.open(_place(payment_id), sealed), type=Texts)
    except errors.SubjectForgotten:
        return None
