"""Withdrawals that a bank's statement shows: that their money has left, or has come back. All pure.

A withdrawal that was ordered here has left its wallet already, for a cash account where it is on its way. An entry that
names it takes it on from there to the bank account, and nothing from the wallet; one by which it comes back undoes it.
"""

import re
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import msgspec

from billfold import errors, ids
from billfold.contract import events
from billfold.contract.statements import EntryOutcome
from billfold.ids import InvalidIdError, Prefix
from billfold_server.ledger.service import (
    AccountRow,
    Books,
    CodeKey,
    Draft,
    Keys,
    Line,
    ReversalRow,
    check_funds,
    entry_keys,
    reverse,
)
from billfold_server.reconciliation import rules
from billfold_server.reconciliation.model import StatementEntry
from billfold_server.reconciliation.rows import ShownRow, StatementEntryRow
from billfold_server.wallets.service import TransferRow

__all__ = [
    "SUSPENSE",
    "Shown",
    "assign",
    "assign_to_withdrawal",
    "check_cash",
    "check_uncounted",
    "find_shown",
    "give_back",
    "shown_keys",
    "uncount",
    "withdrawals_named",
]

_NAMED: Final = re.compile(r"(?<![a-z0-9])wdr[^a-z0-9]?([0-7][0-9a-hjkmnp-tv-z]{25})(?![a-z0-9])", re.IGNORECASE)
"""SEPA's characters have no underscore, so banks leave it out, or put another one in its place."""
_MOST_NAMED: Final = 2
SUSPENSE: Final = "suspense"
"""Where the money of entries waits that no wallet could take or bear."""


def withdrawals_named(entry: StatementEntry) -> tuple[UUID, ...]:
    """Return the withdrawals that an entry names in a reference or in its text, each once; no more than two of them.

    Whether there are such withdrawals isn't looked at. What names two is nobody's to guess.
    """
    return tuple(dict.fromkeys(_named([*entry.references, entry.end_to_end_id or "", entry.remittance or ""])))[
        :_MOST_NAMED
    ]


def _named(texts: Iterable[str]) -> Iterable[UUID]:
    for text in texts:
        for found in _NAMED.finditer(text):
            try:
                yield ids.decode(Prefix.WITHDRAWAL, f"{Prefix.WITHDRAWAL}_{found[1].lower()}")
            except InvalidIdError:
                continue


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A withdrawal, and what statements have shown of it.

    Attributes:
        amount_minor: How much was withdrawn.
        reversed_minor: How much of that was given back to the wallet.
        out_minor: How much statements have shown to leave.
        back_minor: How much of that they have shown to come back.
    """

    amount_minor: int
    reversed_minor: int = 0
    out_minor: int = 0
    back_minor: int = 0

    @property
    def gone_minor(self) -> int:
        """How much is outside, as statements have shown it."""
        return self.out_minor - self.back_minor

    @property
    def open_minor(self) -> int:
        """How much is on its way out; below zero, on its way back: the wallet has it, and no statement has shown it."""
        return self.amount_minor - self.reversed_minor - self.gone_minor

    def takes(self, entry_minor: int, *, whole: bool) -> bool:
        """Tell whether an entry can be of this withdrawal.

        A bank may keep its charges of what it sends back, and send it in parts; together never more than had left.

        Args:
            entry_minor: What the entry moves; below zero is money that leaves.
            whole: Whether money that leaves must be all that is on its way, as where nobody looks at it.
        """
        if entry_minor > 0:
            return entry_minor <= self.gone_minor
        return -entry_minor == self.open_minor if whole else 0 < -entry_minor <= self.open_minor

    def reverses(self, entry_minor: int) -> int:
        """Return how much of the withdrawal is undone by money that comes back: not what somebody has undone before."""
        return max(0, entry_minor + min(0, self.open_minor))


def shown_keys(books: Books, withdrawal_ids: Sequence[UUID]) -> Keys:
    """Name the rows that tell whether withdrawals can be what entries show."""
    wanted: dict[type, list[Hashable]] = {TransferRow: [*withdrawal_ids], ShownRow: [*withdrawal_ids]}
    known = books.rows.get(TransferRow, {})
    for withdrawal_id in withdrawal_ids:
        row: TransferRow | None = known.get(withdrawal_id)
        if row is None or row.kind != "withdrawal":
            continue
        for row_type, further in entry_keys(books, withdrawal_id).items():
            wanted.setdefault(row_type, []).extend(further)
        wanted.setdefault(AccountRow, []).append(row.cash_account_id)
    return wanted


def find_shown(draft: Draft, withdrawal_id: UUID, row: StatementEntryRow, *, whole: bool) -> TransferRow:
    """Return the withdrawal that an entry shows.

    Raises:
        NotFound: There is no such withdrawal, or its month was detached.
        AccountNotUsable: It was booked on a bank account's cash account itself, which follows the statements.
        WithdrawalDiffers: It isn't this entry: by its currency, its amount, or what was shown or undone of it before.
    """
    found = draft.find(TransferRow, withdrawal_id)
    if found is None or found.kind != "withdrawal" or found.cash_account_id is None:
        detail = "There is no such withdrawal."
        raise errors.NotFound(detail, param="withdrawal_id")
    cash = draft.get_account(found.cash_account_id)
    if rules.is_cash_code(cash.code):
        detail = (
            "The withdrawal was booked on a bank account's cash account, where the statement has shown it as a break."
        )
        raise errors.AccountNotUsable(detail, param="withdrawal_id", account_id=cash.wire_id)
    shown = _shown(draft, found)
    if found.currency != row.currency or not shown.takes(row.amount_minor, whole=whole):
        open_minor = shown.gone_minor if row.amount_minor > 0 else max(0, shown.open_minor)
        raise errors.WithdrawalDiffers(
            param="withdrawal_id", withdrawal_id=found.wire_id, currency=found.currency, remaining_minor=open_minor
        )
    return found


def _shown(draft: Draft, withdrawal: TransferRow) -> Shown:
    known = draft.find(ShownRow, withdrawal.id)
    undone = draft.find(ReversalRow, withdrawal.id)
    return Shown(
        amount_minor=withdrawal.amount_minor,
        reversed_minor=0 if undone is None else undone.reversed_minor,
        out_minor=0 if known is None else known.out_minor,
        back_minor=0 if known is None else known.back_minor,
    )


def _reverses(draft: Draft, withdrawal: TransferRow, amount_minor: int) -> int:
    return _shown(draft, withdrawal).reverses(amount_minor) if amount_minor > 0 else 0


def give_back(draft: Draft, withdrawal: TransferRow, amount_minor: int) -> None:
    """Undo as much of a withdrawal as an entry brings back, before that is noted; nothing of one that takes it out.

    Raises:
        ProblemError: The wallet can't take it.
    """
    reverses_minor = _reverses(draft, withdrawal, amount_minor)
    if reverses_minor:
        entry = reverse(draft, withdrawal.id, amount_minor=reverses_minor, reason="The bank's statement shows it")
        draft.event(events.WITHDRAWAL_REVERSED, withdrawal.wire_id, entry.to_response())


def check_cash(draft: Draft, withdrawal: TransferRow, amount_minor: int) -> None:
    """Refuse an entry that the account can't bear where its withdrawal is on its way, after what it gives back.

    Raises:
        InsufficientFunds: The account has an overdraft limit of its own, and less than the entry takes from it.
        BalanceOutOfRange: It is more than the ledger counts.
    """
    assert withdrawal.cash_account_id is not None, "a withdrawal has one"
    cash = draft.get_account(withdrawal.cash_account_id)
    moved_minor = _reverses(draft, withdrawal, amount_minor) - amount_minor
    check_funds(msgspec.structs.replace(cash, posted_minor=cash.posted_minor + moved_minor), before=cash)


def assign(
    draft: Draft, row: StatementEntryRow, to: AccountRow, *, wallet_id: UUID | None, withdrawal_id: UUID | None = None
) -> StatementEntryRow:
    """Move an entry's money from suspense to an account, and keep word of it."""
    suspense = draft.get_account(CodeKey(SUSPENSE, row.currency))
    lines = [Line(suspense.id, row.amount_minor, row.currency), Line(to.id, -row.amount_minor, row.currency)]
    # For a wallet it is as if the entry had named it: it counts from the day on which the bank booked it.
    entry = draft.post("statement_assignment", lines, effective_at=row.effective_at, backdate=True)
    row = msgspec.structs.replace(
        row,
        outcome=EntryOutcome.ASSIGNED,
        wallet_id=wallet_id,
        account_id=to.id if wallet_id is None else None,
        withdrawal_id=withdrawal_id,
        assigning_journal_entry_id=entry.id,
    )
    draft.put(row)
    return row


def assign_to_withdrawal(draft: Draft, row: StatementEntryRow, withdrawal: TransferRow) -> StatementEntryRow:
    """Take an entry to where a withdrawal is on its way; ``find_shown`` and ``give_back`` were asked before."""
    assert withdrawal.cash_account_id is not None, "a withdrawal has one"
    _count(draft, withdrawal, row.amount_minor)
    cash = draft.get_account(withdrawal.cash_account_id)
    return assign(draft, row, cash, wallet_id=withdrawal.from_wallet_id, withdrawal_id=withdrawal.id)


def _count(draft: Draft, withdrawal: TransferRow, amount_minor: int) -> None:
    """Count what an entry shows of a withdrawal."""
    known = draft.find(ShownRow, withdrawal.id) or ShownRow(withdrawal.id, withdrawal.amount_minor)
    draft.put(_counting(known, amount_minor, 1))


def uncount(draft: Draft, withdrawal_id: UUID, amount_minor: int) -> None:
    """Count it no more, because the entry waits in suspense again."""
    known = draft.find(ShownRow, withdrawal_id)
    assert known is not None, "the entry was counted"
    draft.put(_counting(known, amount_minor, -1))


def check_uncounted(draft: Draft, withdrawal_id: UUID, row: StatementEntryRow) -> None:
    """Refuse to undo that a withdrawal has left while other entries show that it came back.

    Raises:
        EntryNotReversible: They do.
    """
    known = draft.find(ShownRow, withdrawal_id)
    if known is None or row.amount_minor > 0 or known.out_minor + row.amount_minor >= known.back_minor:
        return
    assert row.assigning_journal_entry_id is not None, "it is assigned"
    detail = "Other entries show that the withdrawal's money came back; their assignments are undone first."
    wire_id = ids.encode(Prefix.JOURNAL_ENTRY, row.assigning_journal_entry_id)
    raise errors.EntryNotReversible(detail, journal_entry_id=wire_id)


def _counting(known: ShownRow, amount_minor: int, times: int) -> ShownRow:
    if amount_minor < 0:
        return msgspec.structs.replace(known, out_minor=known.out_minor - times * amount_minor)
    return msgspec.structs.replace(known, back_minor=known.back_minor + times * amount_minor)
