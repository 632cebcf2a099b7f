"""The command that takes in what a bank sends back of a payment (payment return, pacs.004). Pure.

A return can't be sent back once more, so what the payer's wallet can't take is kept for its holder.
"""

from collections.abc import Hashable, Sequence
from typing import Final
from uuid import UUID

import msgspec

from billfold import errors, ids
from billfold.ids import Prefix
from billfold.money import Money
from billfold_server.ledger.service import AccountRow, Books, CodeKey, Draft, Keys, Kind, Line, Reply, WalletKey
from billfold_server.payments import kinds, moving, rules
from billfold_server.payments.rows import PaymentRow, ReturnRow
from billfold_server.wallets.service import CASH, Movement, cash_account, move, tell_moved

__all__ = ["RETURNS", "RETURN_REASON", "TAKE_BACK", "Return", "Unclaimed"]

_CREATED: Final = 201
RETURNS: Final = "returns"
"""Under which name a top-up says whose money it has brought back: a payment's, by its id on the wire."""
RETURN_REASON: Final = "return_reason"
_WITHOUT_WORDS: Final[Sequence[str]] = ("rail", RETURNS, RETURN_REASON)


class Return(msgspec.Struct, frozen=True, kw_only=True):
    """Money that a rail brings back.

    Attributes:
        payment_id: Of which payment.
        rail: Which rail brings it.
        amount: How much.
        reason: Why, as a code of ISO 20022.
        description: What the journal says of it.
        metadata: What the top-up, or the entry in place of one, says of it.
    """

    payment_id: UUID
    rail: str
    amount: Money
    reason: str
    description: str | None
    metadata: dict[str, str]


class Unclaimed(msgspec.Struct, frozen=True, kw_only=True):
    """What is answered where the payer's wallet couldn't take it."""

    journal_entry_id: str


def _keys(books: Books, body: Return) -> Keys:
    heard = kinds.Heard(payment_id=body.payment_id, turn=None, report=None)
    wanted: dict[type, Sequence[Hashable]] = dict(kinds.HEAR.keys(books, heard))
    if AccountRow in wanted:
        wanted[AccountRow] = [*wanted[AccountRow], CodeKey(CASH, body.amount.currency)]
    return wanted


def _take_back(draft: Draft, body: Return) -> Reply:
    before = draft.find(PaymentRow, body.payment_id)
    if before is None or before.rail != body.rail:
        raise errors.CreditorUnknown
    account = draft.get_account(WalletKey(before.wallet_id, before.currency))
    _check(draft, before, body, account)
    row = before if before.money == "settled" else moving.leave(draft, before)
    amount_minor = body.amount.amount_minor
    reply, entry_id = _credit(draft, row, body) if account.status == "active" else _keep(draft, body)
    draft.put(ReturnRow(entry_id, row.id, amount_minor))
    row = msgspec.structs.replace(row, returned_minor=row.returned_minor + amount_minor, updated_at=draft.now)
    moving.tell(draft, moving.step(draft, row, "return", "moves", reason=body.reason))
    return reply


def _check(draft: Draft, row: PaymentRow, body: Return, account: AccountRow) -> None:
    """Refuse what can't be this payment's money.

    Raises:
        errors.PaymentNotReturnable: It hasn't left, or is back, whole or by somebody's hand.
        errors.CurrencyMismatch: It is in another currency than was paid.
        errors.ReturnExceedsPayment: It is more than is still outside.
    """
    remaining_minor = row.amount_minor - row.returned_minor
    if not (rules.may_come_back(row.status, row.money) and moving.is_untouched(draft, row) and remaining_minor):
        raise errors.PaymentNotReturnable
    if body.amount.currency != row.currency:
        raise errors.CurrencyMismatch(account_id=account.wire_id, currency=row.currency)
    if not rules.is_outside(body.amount.amount_minor, paid_minor=row.amount_minor, returned_minor=row.returned_minor):
        raise errors.ReturnExceedsPayment(payment_id=row.wire_id, remaining_minor=remaining_minor)


def _credit(draft: Draft, row: PaymentRow, body: Return) -> tuple[Reply, UUID]:
    movement = Movement(
        kind="top_up",
        from_wallet_id=None,
        to_wallet_id=row.wallet_id,
        cash=CodeKey(CASH, body.amount.currency),
        amount=body.amount,
        description=body.description,
        effective_at=None,
        metadata=body.metadata,
        limited=False,
    )
    moved = move(draft, movement)
    tell_moved(draft, moved)
    return Reply(_CREATED, moved.to_response()), moved.id


def _keep(draft: Draft, body: Return) -> tuple[Reply, UUID]:
    """Owe it to the holder of a wallet that is frozen or closed, from where the bank pays it out by hand."""
    currency, amount_minor = body.amount.currency, body.amount.amount_minor
    cash = cash_account(draft, CodeKey(CASH, currency), currency)
    # What the sender has written may be about somebody who was forgotten, and isn't on an account of theirs.
    metadata = {name: body.metadata[name] for name in _WITHOUT_WORDS if name in body.metadata}
    owed = moving.unclaimed_account(draft, currency)
    lines = [Line(cash.id, amount_minor, currency), Line(owed.id, -amount_minor, currency)]
    entry = draft.post("payment.unclaimed", lines, metadata=metadata)
    return Reply(_CREATED, Unclaimed(journal_entry_id=ids.encode(Prefix.JOURNAL_ENTRY, entry.id))), entry.id


TAKE_BACK: Final[Kind[Return]] = Kind("payment.return", _keys, _take_back)
"""Takes in money of a payment that a bank sends back; all returns of one together never bring more than was paid."""
