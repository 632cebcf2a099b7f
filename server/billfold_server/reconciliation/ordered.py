"""Withdrawals and top-ups that were ordered here, and that a bank's statement shows. All pure.

What was ordered here has moved its wallet already, against a cash account where it is on its way. An entry that names
it takes it on from there to the bank account, and moves no wallet once more; one by which it comes back undoes it.
"""

import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from billfold import errors, ids
from billfold.contract import events
from billfold.contract.events import EventType
from billfold.contract.ledger import ReverseJournalEntry
from billfold.contract.statements import EntryOutcome
from billfold.ids import InvalidIdError, Prefix
from billfold_server.ledger.service import (
    AccountRow,
    Books,
    CodeKey,
    Draft,
    Keys,
    Line,
    Reversal,
    ReversalRow,
    check_funds,
    reversal_keys,
    reverse_by_hand,
)
from billfold_server.reconciliation import rules
from billfold_server.reconciliation.model import StatementEntry
from billfold_server.reconciliation.rows import OrderedKind, ShownRow, StatementEntryRow
from billfold_server.wallets.service import TransferRow

__all__ = [
    "REVERSED",
    "SUSPENSE",
    "Ordered",
    "Shown",
    "assign",
    "assign_to_ordered",
    "check_cash",
    "check_uncounted",
    "comes_back",
    "find_shown",
    "give_back",
    "ordered_named",
    "shown_keys",
    "uncount",
    "wallet_of",
]

_NAMED: Final = re.compile(r"(?<![a-z0-9])(wdr|top)[^a-z0-9]?([0-7][0-9a-hjkmnp-tv-z]{25})(?![a-z0-9])", re.IGNORECASE)
"""SEPA's characters have no underscore, so banks leave it out, or put another one in its place."""
_KINDS: Final[Mapping[str, OrderedKind]] = {Prefix.WITHDRAWAL.value: "withdrawal", Prefix.TOP_UP.value: "top_up"}
_CALLED: Final[Mapping[OrderedKind, str]] = {"withdrawal": "withdrawal", "top_up": "top-up"}
REVERSED: Final[Mapping[OrderedKind, EventType[Any]]] = {
    "withdrawal": events.WITHDRAWAL_REVERSED,
    "top_up": events.TOP_UP_REVERSED,
}
"""What tells that one was undone."""
_MOST_NAMED: Final = 2
SUSPENSE: Final = "suspense"
"""Where the money of entries waits that no wallet could take or bear."""


class Ordered(NamedTuple):
    """A withdrawal or top-up by its name, whether there is one or not."""

    kind: OrderedKind
    id: UUID

    @property
    def param(self) -> str:
        """Under which name a request names it."""
        return f"{self.kind}_id"


def ordered_named(entry: StatementEntry) -> tuple[Ordered, ...]:
    """Return the withdrawals and top-ups that an entry names in a reference or in its text, each once; two at most.

    Whether there are such is not looked at. What names two is nobody's to guess.
    """
    return tuple(dict.fromkeys(_named([*entry.references, entry.end_to_end_id or "", entry.remittance or ""])))[
        :_MOST_NAMED
    ]


def _named(texts: Iterable[str]) -> Iterable[Ordered]:
    for text in texts:
        for found in _NAMED.finditer(text):
            prefix = Prefix(found[1].lower())
            try:
                yield Ordered(_KINDS[prefix], ids.decode(prefix, f"{prefix}_{found[2].lower()}"))
            except InvalidIdError:
                continue


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A withdrawal or top-up, and what statements have shown of it. It is told of as a withdrawal is.

    A top-up is the same the other way round: it comes in where a withdrawal leaves, and what comes back of it leaves.

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


def _as_withdrawn(kind: OrderedKind, amount_minor: int) -> int:
    """Return an entry's amount as ``Shown`` has it: below zero goes as it was ordered, above zero comes back."""
    return amount_minor if kind == "withdrawal" else -amount_minor


def wallet_of(ordered: TransferRow) -> UUID:
    """Return the wallet of a withdrawal or top-up."""
    wallet_id = ordered.from_wallet_id or ordered.to_wallet_id
    assert wallet_id is not None, "it has one"
    return wallet_id


def shown_keys(books: Books, named: Sequence[Ordered]) -> Keys:
    """Name the rows that tell whether what was ordered here can be what entries show."""
    keys = [each.id for each in named]
    wanted: dict[type, list[Hashable]] = {TransferRow: [*keys], ShownRow: [*keys]}
    known = books.rows.get(TransferRow, {})
    for kind, key in named:
        row: TransferRow | None = known.get(key)
        if row is None or row.kind != kind:
            continue
        for row_type, further in reversal_keys(books, _reversal(key, None)).items():
            wanted.setdefault(row_type, []).extend(further)
        wanted.setdefault(AccountRow, []).append(row.cash_account_id)
    return wanted


def _reversal(key: UUID, amount_minor: int | None) -> Reversal:
    return Reversal(key, ReverseJournalEntry(amount_minor=amount_minor, reason="The bank's statement shows it"))


def find_shown(draft: Draft, named: Ordered, row: StatementEntryRow, *, whole: bool) -> TransferRow:
    """Return the withdrawal or top-up that an entry shows.

    Raises:
        NotFound: There is no such one.
        AccountNotUsable: It was booked on a bank account's cash account itself, which follows the statements.
        WithdrawalDiffers: It isn't this entry: by its currency, its amount, or what was shown or undone of it before.
        TopUpDiffers: The same of a top-up.
    """
    found = draft.find(TransferRow, named.id)
    called = _CALLED[named.kind]
    if found is None or found.kind != named.kind or found.cash_account_id is None:
        detail = f"There is no such {called}."
        raise errors.NotFound(detail, param=named.param)
    cash = draft.get_account(found.cash_account_id)
    if rules.is_cash_code(cash.code):
        detail = (
            f"The {called} was booked on a bank account's cash account, where the statement has shown it as a break."
        )
        raise errors.AccountNotUsable(detail, param=named.param, account_id=cash.wire_id)
    shown, amount_minor = _shown(draft, found), _as_withdrawn(named.kind, row.amount_minor)
    if found.currency == row.currency and shown.takes(amount_minor, whole=whole):
        return found
    open_minor = shown.gone_minor if amount_minor > 0 else max(0, shown.open_minor)
    told: dict[str, Any] = {"param": named.param, "currency": found.currency, "remaining_minor": open_minor}
    if named.kind == "withdrawal":
        raise errors.WithdrawalDiffers(withdrawal_id=found.wire_id, **told)
    raise errors.TopUpDiffers(top_up_id=found.wire_id, **told)


def _shown(draft: Draft, ordered: TransferRow) -> Shown:
    known = draft.find(ShownRow, ordered.id)
    undone = draft.find(ReversalRow, ordered.id)
    return Shown(
        amount_minor=ordered.amount_minor,
        reversed_minor=0 if undone is None else undone.reversed_minor,
        out_minor=0 if known is None else known.out_minor,
        back_minor=0 if known is None else known.back_minor,
    )


def _reverses(draft: Draft, ordered: TransferRow, amount_minor: int) -> int:
    amount_minor = _as_withdrawn(_kind_of(ordered), amount_minor)
    return _shown(draft, ordered).reverses(amount_minor) if amount_minor > 0 else 0


def _kind_of(ordered: TransferRow) -> OrderedKind:
    return _KINDS[ordered.prefix]


def check_cash(draft: Draft, ordered: TransferRow, amount_minor: int) -> None:
    """Refuse an entry that the account can't bear where what it shows is on its way, after what it gives back.

    Raises:
        InsufficientFunds: The account has an overdraft limit of its own, and less than the entry takes from it.
        BalanceOutOfRange: It is more than the ledger counts.
    """
    assert ordered.cash_account_id is not None, "it has one"
    cash = draft.get_account(ordered.cash_account_id)
    back_minor = _as_withdrawn(_kind_of(ordered), _reverses(draft, ordered, amount_minor))
    steps = [cash.posted_minor + back_minor, cash.posted_minor + back_minor - amount_minor]
    for posted_minor in steps:
        check_funds(msgspec.structs.replace(cash, posted_minor=posted_minor), before=cash)


def give_back(draft: Draft, ordered: TransferRow, amount_minor: int) -> None:
    """Undo as much of it as an entry brings back, before that is noted; nothing by one that shows it as ordered.

    Raises:
        HistoryDetached: Its month has left the ledger.
        ProblemError: The wallet can't take it, or has no longer got it.
    """
    reverses_minor = _reverses(draft, ordered, amount_minor)
    if reverses_minor:
        entry = reverse_by_hand(draft, _reversal(ordered.id, reverses_minor))
        draft.event(REVERSED[_kind_of(ordered)], ordered.wire_id, entry.to_response())


def assign(
    draft: Draft, row: StatementEntryRow, to: AccountRow, *, wallet_id: UUID | None, ordered: TransferRow | None = None
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
        withdrawal_id=ordered.id if ordered is not None and ordered.kind == "withdrawal" else None,
        top_up_id=ordered.id if ordered is not None and ordered.kind == "top_up" else None,
        assigning_journal_entry_id=entry.id,
    )
    draft.put(row)
    return row


def assign_to_ordered(draft: Draft, row: StatementEntryRow, ordered: TransferRow) -> StatementEntryRow:
    """Take an entry to where what it shows is on its way; ``find_shown`` and ``give_back`` were asked before."""
    assert ordered.cash_account_id is not None, "it has one"
    known = draft.find(ShownRow, ordered.id) or ShownRow(_kind_of(ordered), ordered.id, ordered.amount_minor)
    draft.put(_counting(known, row.amount_minor, 1))
    cash = draft.get_account(ordered.cash_account_id)
    return assign(draft, row, cash, wallet_id=wallet_of(ordered), ordered=ordered)


def comes_back(row: StatementEntryRow) -> bool:
    """Tell whether an entry shows that something ordered here came back, which may have undone it for its wallet."""
    if row.ordered_id is None:
        return False
    return _as_withdrawn("withdrawal" if row.withdrawal_id is not None else "top_up", row.amount_minor) > 0


def uncount(draft: Draft, row: StatementEntryRow) -> None:
    """Count no more what an entry shows, because it waits in suspense again; nothing where it shows none."""
    if row.ordered_id is None:
        return
    known = draft.find(ShownRow, row.ordered_id)
    assert known is not None, "the entry was counted"
    draft.put(_counting(known, row.amount_minor, -1))


def check_uncounted(draft: Draft, row: StatementEntryRow) -> None:
    """Refuse to undo that something ordered here has moved at the bank while other entries show that it came back.

    Raises:
        EntryNotReversible: They do.
    """
    known = None if row.ordered_id is None else draft.find(ShownRow, row.ordered_id)
    if known is None:
        return
    uncounted = _counting(known, row.amount_minor, -1)
    if uncounted.out_minor >= uncounted.back_minor:
        return
    assert row.assigning_journal_entry_id is not None, "it is assigned"
    detail = f"Other entries show that the {_CALLED[known.kind]}'s money came back; their assignments are undone first."
    wire_id = ids.encode(Prefix.JOURNAL_ENTRY, row.assigning_journal_entry_id)
    raise errors.EntryNotReversible(detail, journal_entry_id=wire_id)


def _counting(known: ShownRow, amount_minor: int, times: int) -> ShownRow:
    amount_minor = _as_withdrawn(known.kind, amount_minor)
    if amount_minor < 0:
        return msgspec.structs.replace(known, out_minor=known.out_minor - times * amount_minor)
    return msgspec.structs.replace(known, back_minor=known.back_minor + times * amount_minor)
