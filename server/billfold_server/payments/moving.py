"""Where the money of payments waits, and how it moves on from there. Pure; the commands of the room are made of it."""

from collections.abc import Callable
from typing import Final

import msgspec

from billfold import errors
from billfold.contract import events
from billfold.contract.ledger import AccountType
from billfold.contract.payments import PaymentBreak, PaymentStatus
from billfold_server.connectors.service import Notice
from billfold_server.ledger.service import (
    AccountRow,
    CodeKey,
    Draft,
    EntryRow,
    JournalKind,
    Line,
    ReversalRow,
    WalletKey,
    opened_as,
    reverse,
)
from billfold_server.payments import rules
from billfold_server.payments.rows import PaymentRow, StepRow

__all__ = [
    "CLEARING",
    "MOVES",
    "RAIL",
    "SUSPENSE",
    "UNCLAIMED",
    "give_back",
    "give_back_whole",
    "is_undone",
    "is_untouched",
    "leave",
    "own_account",
    "settle",
    "step",
    "tell",
    "unclaimed_account",
]

CLEARING: Final = "payments_clearing"
"""The code of the accounts with the money of payments under way."""
SUSPENSE: Final = "payments_suspense"
"""Where money waits that came back and can't be given back, or that a rail has blocked."""
UNCLAIMED: Final = "payments_unclaimed"
"""Where money is owed to the holders of wallets that can't take it: closed ones, once somebody has said that it came
back, and frozen ones, too, where a bank has sent it back."""
RAIL: Final = "rail:"
"""With what the codes of the accounts begin that stand for what rails have taken."""
opened_as(dict.fromkeys((CLEARING, SUSPENSE, UNCLAIMED, RAIL), AccountType.LIABILITY))


def own_account(draft: Draft, code: str, currency: str, name: str) -> AccountRow:
    """Return an account of this room's own, opened where there is none.

    Clearing and suspense never give more than they were given: their limit is nothing at all.
    """
    account = draft.find_account(CodeKey(code, currency))
    if account is not None:
        return account
    limit = None if code.startswith(RAIL) else 0
    return draft.open_account(
        type=AccountType.LIABILITY, currency=currency, code=code, name=name, overdraft_limit_minor=limit
    )


def is_untouched(draft: Draft, row: PaymentRow) -> bool:
    """Tell whether nobody has undone the payment's entry by hand, so that its money is where this room has put it."""
    undone = draft.find(ReversalRow, row.journal_entry_id)
    return undone is None or undone.reversed_minor == 0


def is_undone(draft: Draft, row: PaymentRow) -> bool:
    """Tell whether somebody has undone all of the entry of a payment whose money hasn't moved on."""
    undone = draft.find(ReversalRow, row.journal_entry_id)
    back = undone is not None and undone.reversed_minor == undone.amount_minor
    return back and row.money == rules.UNDER_WAY


def settle(draft: Draft, row: PaymentRow) -> PaymentRow:
    """Take the money to where it is owed to the rail."""
    if not is_untouched(draft, row):
        return msgspec.structs.replace(row, needs=PaymentBreak.REVERSED_BY_HAND)
    gone = own_account(draft, f"{RAIL}{row.rail}", row.currency, "Owed to the rail")
    return _close(draft, row, gone, "payment.settled", "settled")


def give_back_whole(draft: Draft, row: PaymentRow) -> PaymentRow:
    """Give the money back by a reversing entry; where the wallet can't take it, it waits for somebody."""
    if not is_untouched(draft, row):
        return msgspec.structs.replace(row, needs=PaymentBreak.REVERSED_BY_HAND)
    account = draft.get_account(WalletKey(row.wallet_id, row.currency))
    if account.status != "active":
        return msgspec.structs.replace(park(draft, row), needs=PaymentBreak.NOT_RETURNED)
    if draft.find(EntryRow, row.journal_entry_id) is None:
        # Its month was detached meanwhile, so there is nothing any more that an entry could reverse.
        return _close(draft, row, account, "payment.returned", "returned")
    entry = reverse(draft, row.journal_entry_id, amount_minor=None, reason=row.reason)
    return msgspec.structs.replace(row, money="returned", closing_entry_id=entry.id)


def park(draft: Draft, row: PaymentRow) -> PaymentRow:
    """Let the money wait for somebody."""
    if not is_untouched(draft, row):
        return msgspec.structs.replace(row, needs=PaymentBreak.REVERSED_BY_HAND)
    suspense = own_account(draft, SUSPENSE, row.currency, "Payments that came back")
    row = _close(draft, row, suspense, "payment.suspense", "suspense")
    return msgspec.structs.replace(row, needs=PaymentBreak.BLOCKED)


MOVES: Final[dict[rules.Money, Callable[[Draft, PaymentRow], PaymentRow]]] = {
    "settle": settle,
    "return": give_back_whole,
    "park": park,
}
"""What is done with money that is under way, by what ``rules.MONEY`` says."""


def leave(draft: Draft, row: PaymentRow) -> PaymentRow:
    """Take the money to the rail because that has brought some back: so it had left, whatever had been said of it.

    Where it stayed, a rejection that comes later, or somebody who resolves a block, would give it back once more.
    """
    needs = row.needs if row.needs is PaymentBreak.CONTRADICTION else None
    return settle(draft, msgspec.structs.replace(row, status=PaymentStatus.SETTLED, reason=None, needs=needs))


def unclaimed_account(draft: Draft, currency: str) -> AccountRow:
    """Return the account with what is owed to the holders of wallets that can't take it."""
    return own_account(draft, UNCLAIMED, currency, "Owed to holders of closed wallets")


def _close(draft: Draft, row: PaymentRow, to: AccountRow, kind: JournalKind, where: rules.Where) -> PaymentRow:
    """Take the money from where it waits to where it stays."""
    waits = draft.get_account(CodeKey(SUSPENSE if row.money == "suspense" else CLEARING, row.currency))
    lines = [Line(waits.id, row.amount_minor, row.currency), Line(to.id, -row.amount_minor, row.currency)]
    entry = draft.post(kind, lines)
    return msgspec.structs.replace(row, money=where, closing_entry_id=entry.id)


def give_back(draft: Draft, row: PaymentRow) -> PaymentRow:
    """Give the wallet what has waited in suspense; one that is closed for good will never take it, but it is owed."""
    account = draft.get_account(WalletKey(row.wallet_id, row.currency))
    if account.status == "closed":
        account = unclaimed_account(draft, row.currency)
    elif account.status != "active":
        raise errors.PaymentNotResolvable
    return msgspec.structs.replace(_close(draft, row, account, "payment.returned", "returned"), needs=None)


# What all say of it.


def step(
    draft: Draft,
    row: PaymentRow,
    word: str,
    effect: rules.Effect,
    notice: Notice | None = None,
    *,
    reason: str | None = None,
) -> PaymentRow:
    """Write down what was heard of a payment, or done with it, and return the payment with one step more."""
    row = msgspec.structs.replace(row, steps=row.steps + 1)
    draft.put(
        StepRow(
            payment_id=row.id,
            number=row.steps,
            notice_id=None if notice is None else notice.id,
            word=word,
            effect=effect,
            status=row.status,
            reason=reason if notice is None else notice.reason,
            said_at=None if notice is None else notice.at,
            recorded_at=draft.now,
        )
    )
    return row


def tell(draft: Draft, row: PaymentRow) -> PaymentRow:
    """Keep a payment as it stands now, and tell of it."""
    draft.put(row)
    draft.event(events.PAYMENT_UPDATED, row.wire_id, row.event_data())
    draft.audit(events.PAYMENT_UPDATED.name, row.wire_id, facts={"status": row.status.value})
    return row
