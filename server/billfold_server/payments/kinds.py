"""The commands of the payments room: ordering a payment, and hearing what a rail says of it. All pure.

Money moves here and nowhere else. Inside it goes from wallet to wallet at once. What leaves goes to a clearing account
first, and stays there for as long as nobody knows: a word of the rail takes it on or brings it back, once.
"""

from collections.abc import Callable, Hashable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from billfold import errors, ids
from billfold.contract import events
from billfold.contract.payments import PaymentBreak, PaymentOutcome
from billfold.contract.wallets import AliasScheme
from billfold.ids import Prefix
from billfold.money import Money
from billfold_server.connectors.service import Notice, Report
from billfold_server.consents.service import Consent, ConsentKind, ConsentRow, UseRow, lasts, usable
from billfold_server.ledger.service import (
    AccountRow,
    Books,
    CodeKey,
    Draft,
    Keys,
    Kind,
    Line,
    Presumed,
    Reply,
    Row,
    WalletKey,
    entry_keys,
)
from billfold_server.payments import rules
from billfold_server.payments.moving import (
    CLEARING,
    MOVES,
    RAIL,
    SUSPENSE,
    UNCLAIMED,
    give_back,
    give_back_whole,
    is_undone,
    own_account,
    settle,
    step,
    tell,
)
from billfold_server.payments.rows import PaymentRow, TextsRow
from billfold_server.tenancy.context import Caller
from billfold_server.wallets.service import (
    AliasKey,
    AliasRow,
    BritishRow,
    Movement,
    WalletRow,
    check_limit,
    is_given_out,
    move,
    names_alike,
    wallet_account,
    wallet_meant,
)

__all__ = [
    "ASK_JOB",
    "CLEARING",
    "HEAR",
    "SUSPENSE",
    "UNCLAIMED",
    "Check",
    "Heard",
    "Initiated",
    "MoreKeys",
    "Order",
    "Payer",
    "Resolution",
    "begin",
    "creditor_of",
    "initiation",
    "order_keys",
    "planned_turn",
    "resolve",
]

_OK, _CREATED = 200, 201
ASK_JOB: Final = "payments.ask"
"""A turn at the rail: giving it the order, or asking what has become of it."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An order for a payment.

    Attributes:
        payment_id: What its id will be.
        consent_id: Under which consent; None where a client of the bank's own gives it.
        wallet_id: Out of which wallet, where no consent says it.
        digest: Keyed digest of what the order must repeat of its consent.
        amount: How much.
        creditor: The wallet that it names, or the alias by which it may be a wallet's; None where it can't be.
        rail: By which rail it leaves where it isn't a wallet's; None where it can't leave.
        sealed_texts: Its ``Texts``.
        description: What the journal says of it.
        facts: What the check of this kind of consent needs beside that.
    """

    payment_id: UUID
    consent_id: UUID | None = None
    wallet_id: UUID | None = None
    digest: bytes = b""
    amount: Money
    creditor: UUID | AliasKey | None
    rail: str | None
    sealed_texts: bytes
    description: str | None = None
    facts: Any = None


class Payer(NamedTuple):
    """Whose order it is, by which the payment is known ever after.

    Attributes:
        kind: Of which kind the payment is.
        consent_id: Under which consent it is ordered, if under one.
        client_id: Who orders it.
        party_id: Whose wallet pays.
        wallet_id: The wallet.
    """

    kind: str
    consent_id: UUID | None
    client_id: UUID
    party_id: UUID
    wallet_id: UUID


class Initiated(msgspec.Struct, frozen=True, kw_only=True):
    """What hearing of a payment answers: which one it is. Of ``Placed``, it is what still holds at any later time."""

    payment_id: str


Check = Callable[[Draft, Consent, Order], Sequence[Row]]
"""Decides whether a consent of one kind allows an order now, and returns the rows that change by it: the consent's own,
where it is used up, and what its kind counts. Pure; it raises the ``ProblemError`` that refuses the order.

That the consent stands, is of this kind, is the caller's and is about the wallet, is looked at before.
"""

MoreKeys = Callable[[Books, Order], Keys]
"""Names further rows that a check needs."""


# Ordering.


def initiation(kind: ConsentKind, check: Check, more_keys: MoreKeys = lambda _books, _order: {}) -> Kind[Order]:
    """Return the command that orders a payment under one kind of consent.

    Args:
        kind: The kind.
        check: Decides whether the consent allows it.
        more_keys: Names what the check needs beside the consent, the wallets and their accounts.
    """
    # That a consent was used up says its own row.
    counted = lasts(kind)

    def keys(books: Books, order: Order) -> Keys:
        wanted = dict(order_keys(books, order))
        for row_type, further in more_keys(books, order).items():
            wanted[row_type] = [*wanted.get(row_type, ()), *further]
        return wanted

    def decide(draft: Draft, order: Order) -> Reply:
        assert order.consent_id is not None, "it is given under one"
        consent = usable(draft.find(ConsentRow, order.consent_id), kind, draft.caller, draft.now)
        for row in check(draft, consent, order):
            draft.put(row)
        assert consent.party_id is not None, "it is authorised"
        payer = Payer(consent.kind, consent.id, consent.client_id, consent.party_id, consent.wallet_ids[0])
        payment = begin(draft, payer, order)
        if counted:
            draft.put(UseRow(payment.id, consent.id, kind, draft.now))
        return Reply(_CREATED, payment.placed())

    return Kind(f"payment.{kind}", keys, decide, sees_grant=True, presumes=_presumed)


def _presumed(caller: Caller, order: Order) -> Presumed:
    """Return the consent as it stood when the caller was let in."""
    seen: Consent | None = None if caller.agreed is None else caller.agreed.seen
    return () if seen is None or seen.id != order.consent_id else (ConsentRow(consent=seen, blocked=False),)


def order_keys(books: Books, order: Order) -> Keys:
    """Name the rows that any order needs: its consent where it has one, the wallets, and their accounts."""
    currency = order.amount.currency
    wanted: dict[type, Sequence[Hashable]] = {}
    wallets = [] if order.wallet_id is None else [order.wallet_id]
    if order.consent_id is not None:
        wanted[ConsentRow] = [order.consent_id]
        found: ConsentRow | None = books.rows.get(ConsentRow, {}).get(order.consent_id)
        wallets += [] if found is None else found.consent.wallet_ids[:1]
    if isinstance(order.creditor, AliasKey):
        known = books.rows.get(AliasRow, {})
        number = order.creditor.normal_value
        if order.creditor.scheme is AliasScheme.SORT_CODE_ACCOUNT_NUMBER:
            wanted[BritishRow] = [number]
        names = _names(books.rows.get(BritishRow, {}).get(number), order.creditor)
        wanted[AliasRow] = names
        wallets += [known[name].wallet_id for name in names if known.get(name) is not None]
    elif order.creditor is not None:
        wallets.append(order.creditor)
    accounts: list[Hashable] = [WalletKey(wallet, currency) for wallet in wallets]
    if not isinstance(order.creditor, UUID):
        accounts.append(CodeKey(CLEARING, currency))
    return {**wanted, WalletRow: wallets, AccountRow: accounts}


def _names(british: BritishRow | None, key: AliasKey) -> tuple[AliasKey, ...]:
    """Return by which names the account of a name may be a wallet's."""
    return names_alike(key, () if british is None else british.ibans)


def creditor_of(draft: Draft, order: Order) -> UUID | None:
    """Return the wallet to which an order goes, or None where it leaves.

    Raises:
        errors.CreditorUnknown: It names a wallet that isn't there, or by a number that only a wallet could have.
    """
    if isinstance(order.creditor, UUID):
        if draft.find(WalletRow, order.creditor) is None:
            raise errors.CreditorUnknown
        return order.creditor
    if order.creditor is None:
        return None
    numbered = order.creditor.scheme is AliasScheme.SORT_CODE_ACCOUNT_NUMBER
    british = draft.find(BritishRow, order.creditor.normal_value) if numbered else None
    aliases = (draft.find(AliasRow, name) for name in _names(british, order.creditor))
    found = wallet_meant(alias.wallet_id for alias in aliases if alias is not None and not alias.deleted)
    own = draft.manifest.numbering
    if found is None and is_given_out(order.creditor, own.sort_codes, own.iban_prefixes):
        raise errors.CreditorUnknown
    return found


def begin(draft: Draft, payer: Payer, order: Order) -> PaymentRow:
    """Move the money, and write down the payment as far as that brings it.

    Raises:
        ProblemError: The narrower class says what refuses it.
    """
    to_wallet_id = creditor_of(draft, order)
    if to_wallet_id is None and order.rail is None:
        raise errors.RailMissing
    wallet_id = payer.wallet_id
    entry_id = (
        _move_inside(draft, order, wallet_id, to_wallet_id) if to_wallet_id else _set_aside(draft, order, wallet_id)
    )
    opening = rules.OPENING[to_wallet_id is not None]
    _, status = opening[-1]
    row = PaymentRow(
        id=order.payment_id,
        kind=payer.kind,
        consent_id=payer.consent_id,
        client_id=payer.client_id,
        party_id=payer.party_id,
        wallet_id=wallet_id,
        to_wallet_id=to_wallet_id,
        rail=None if to_wallet_id else order.rail,
        amount_minor=order.amount.amount_minor,
        currency=order.amount.currency,
        status=status,
        money="inside" if to_wallet_id else rules.UNDER_WAY,
        journal_entry_id=entry_id,
        steps=len(opening),
        created_at=draft.now,
        updated_at=draft.now,
    )
    if row.rail is not None:
        _ask(draft, row, draft.now)
    draft.put(TextsRow(row.id, order.sealed_texts))
    draft.put(row)
    draft.told_event(events.PAYMENT_CREATED, row.wire_id)
    draft.audit(events.PAYMENT_CREATED.name, row.wire_id, facts={"status": row.status.value})
    return row


def _move_inside(draft: Draft, order: Order, wallet_id: UUID, to_wallet_id: UUID) -> UUID:
    movement = Movement(
        kind="transfer",
        from_wallet_id=wallet_id,
        to_wallet_id=to_wallet_id,
        cash=None,
        amount=order.amount,
        description=order.description,
        effective_at=None,
        metadata={},
    )
    return move(draft, movement).id


def _set_aside(draft: Draft, order: Order, wallet_id: UUID) -> UUID:
    """Take the money out of the wallet, to where it waits for the rail's word."""
    amount = order.amount
    limits = draft.manifest.limits.transfer_max_minor
    check_limit("transfer_max_minor", limits, amount.amount_minor, amount.currency)
    account = wallet_account(draft, wallet_id, amount.currency)
    clearing = own_account(draft, CLEARING, amount.currency, "Payments under way")
    lines = [
        Line(account.id, amount.amount_minor, amount.currency),
        Line(clearing.id, -amount.amount_minor, amount.currency),
    ]
    return draft.post("payment", lines, description=order.description).id


# Hearing.


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a turn at the rail.

    Attributes:
        payment_id: Of which payment.
        turn: Which turn; what comes of one that was recorded already says nothing new of it. None is that nobody has
            asked: the rail speaks by itself.
        report: What the rail says; None is that it says nothing.
    """

    payment_id: UUID
    turn: int | None
    report: Report | None


def _heard_keys(books: Books, heard: Heard) -> Keys:
    row: PaymentRow | None = books.rows.get(PaymentRow, {}).get(heard.payment_id)
    if row is None:
        return {PaymentRow: [heard.payment_id]}
    wanted = entry_keys(books, row.journal_entry_id)
    codes: list[Hashable] = [
        CodeKey(code, row.currency)
        for code in (CLEARING, SUSPENSE, UNCLAIMED, f"{RAIL}{row.rail}")
        if row.rail is not None
    ]
    accounts = [*wanted.get(AccountRow, ()), *codes, WalletKey(row.wallet_id, row.currency)]
    return {**wanted, PaymentRow: [heard.payment_id], WalletRow: [row.wallet_id], AccountRow: accounts}


def _hear(draft: Draft, heard: Heard) -> Reply:
    """Record what a rail says, each notice once; the first that tells the end moves the money."""
    before = draft.find(PaymentRow, heard.payment_id)
    if before is None:
        detail = "There is no such payment."
        raise errors.NotFound(detail)
    is_new_turn = heard.turn is not None and heard.turn == before.turn
    notices = () if heard.report is None else heard.report.notices
    row = before
    for notice in notices:
        if notice.id not in row.notices:
            row = _take(draft, row, notice)
    if heard.report is not None and heard.report.reference is not None:
        row = msgspec.structs.replace(row, rail_reference=heard.report.reference)
    if is_new_turn:
        row = _end_turn(draft, row, has_moved=row.status is not before.status)
    if row == before:
        return Reply(_OK, Initiated(payment_id=row.wire_id))
    has_changed = (row.status, row.needs) != (before.status, before.needs)
    if has_changed:
        tell(draft, row)
    else:
        draft.put(row)
    return Reply(_OK, Initiated(payment_id=row.wire_id))


def _take(draft: Draft, row: PaymentRow, notice: Notice) -> PaymentRow:
    """Record one notice, and do what it asks for, if that is anything."""
    effect = rules.effect_of(row.status, notice.word)
    if effect == "moves":
        row = msgspec.structs.replace(
            row,
            status=rules.next_status(row.status, _EVENTS[notice.word]),
            reason=notice.reason,
            needs=None if row.needs is PaymentBreak.SILENCE else row.needs,
            updated_at=draft.now,
        )
        if row.money == rules.UNDER_WAY and (doing := rules.MONEY.get(row.status)) is not None:
            row = MOVES[doing](draft, row)
    elif effect == "contradicts":
        row = msgspec.structs.replace(row, needs=row.needs or PaymentBreak.CONTRADICTION)
    row = msgspec.structs.replace(row, notices=(*row.notices, notice.id))
    return step(draft, row, notice.word, effect, notice)


_EVENTS: Final[dict[str, rules.Event]] = {
    "accept": "accept",
    "change": "change",
    "settle": "settle",
    "credit": "credit",
    "reject": "reject",
    "cancel": "cancel",
    "block": "block",
}


def _end_turn(draft: Draft, row: PaymentRow, *, has_moved: bool) -> PaymentRow:
    """Count the turn, and plan the next one: the longer the silence, the later. A long one needs somebody."""
    row = msgspec.structs.replace(row, turn=row.turn + 1, silences=0 if has_moved else row.silences + 1)
    if row.status not in rules.HEARD:
        # It is asked about once more when its end has been told, and that is all.
        if has_moved:
            _ask(draft, row, draft.now + rules.AFTERCARE)
        return row
    _ask(draft, row, draft.now + rules.wait_after(row.silences))
    if row.needs is None and rules.is_silent(row.silences):
        return step(draft, msgspec.structs.replace(row, needs=PaymentBreak.SILENCE), "silence", "nothing")
    return row


HEAR: Final[Kind[Heard]] = Kind("payment.hear", _heard_keys, _hear)


# Resolving.


class Resolution(msgspec.Struct, frozen=True, kw_only=True):
    """What a member of staff has found out of a payment that needs attention.

    Attributes:
        payment_id: Of which payment.
        outcome: What has become of it.
        reason: How that is known.
    """

    payment_id: UUID
    outcome: PaymentOutcome
    reason: str


def resolve(draft: Draft, said: Resolution) -> PaymentRow:
    """Take a payment's money where somebody says that it belongs, and need nobody any more.

    Raises:
        errors.NotFound: There is no such payment.
        errors.PaymentNotResolvable: It needs nobody, or its money isn't where this says.
    """
    before = draft.find(PaymentRow, said.payment_id)
    if before is None:
        detail = "There is no such payment."
        raise errors.NotFound(detail)
    undone = is_undone(draft, before)
    if not rules.may_resolve(before.status, before.money, before.needs, said.outcome, undone=undone):
        raise errors.PaymentNotResolvable
    status = rules.resolved_status(before.status, said.outcome)
    # Why it was blocked is no reason for its having left after all, and third parties would read it as that.
    reason = None if said.outcome is PaymentOutcome.SETTLED else before.reason
    row = msgspec.structs.replace(before, status=status, reason=reason, needs=None, updated_at=draft.now)
    if undone:
        row = msgspec.structs.replace(row, money=rules.BY_HAND)
    elif said.outcome is PaymentOutcome.SETTLED:
        row = settle(draft, row)
    elif said.outcome is PaymentOutcome.RETURNED:
        row = give_back_whole(draft, row) if before.money == rules.UNDER_WAY else row
        row = give_back(draft, row) if row.money == "suspense" else row
    if row.needs is not None:
        # The entry was undone by hand meanwhile, or the wallet can't take the money: it stays where it is.
        raise errors.PaymentNotResolvable
    row = step(draft, row, f"resolved: {said.outcome.value}", "moves" if row.status is not before.status else "nothing")
    needed = "" if before.needs is None else before.needs.value
    draft.audit(
        "payment.resolved", row.wire_id, reason=said.reason, facts={"outcome": said.outcome.value, "needed": needed}
    )
    return tell(draft, row)


# What all say of it.


def _ask(draft: Draft, row: PaymentRow, due_at: datetime) -> None:
    payload, key = planned_turn(row.id, row.turn)
    draft.job(ASK_JOB, due_at, payload, dedup_key=key)


def planned_turn(payment_id: UUID, turn: int) -> tuple[dict[str, Any], str]:
    """Return what the job of a turn is told, and the key under which no second one is planned."""
    wire_id = ids.encode(Prefix.PAYMENT, payment_id)
    return {"payment_id": wire_id, "turn": turn}, f"{wire_id}/{turn}"
