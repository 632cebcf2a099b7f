"""What the ledger allows: pure decisions on accounts, postings, holds and reversals."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

from billfold import errors, ids
from billfold.contract.ledger import AccountType, HoldStatus, NormalSide
from billfold.ids import Prefix

if TYPE_CHECKING:
    from billfold_server.ledger.rows import AccountRow, EntryRow, Line, PostingRow

__all__ = [
    "HOLD_STATES",
    "LATEST",
    "MAX_BALANCE_MINOR",
    "NORMAL_SIDES",
    "check_balanced",
    "check_currencies",
    "check_effective",
    "check_funds",
    "check_hold_open",
    "check_usable",
    "late_class",
    "on_normal_side",
    "reversal_lines",
]

MAX_BALANCE_MINOR: Final = 10**18
"""How far a balance may go on either side, so that sums of balances still fit PostgreSQL's bigint."""

LATEST: Final = 35
"""The last class of late entries, from 2^35 seconds on; PostgreSQL's instants don't reach much further back."""

NORMAL_SIDES: Final[Mapping[AccountType, NormalSide]] = {
    AccountType.ASSET: NormalSide.DEBIT,
    AccountType.EXPENSE: NormalSide.DEBIT,
    AccountType.LIABILITY: NormalSide.CREDIT,
    AccountType.EQUITY: NormalSide.CREDIT,
    AccountType.INCOME: NormalSide.CREDIT,
}

MOST_CAPTURES: Final = 1_000
"""Of one hold, the last of which ends it: each is answered and told with the entries of all before it."""

HOLD_STATES: Final[Mapping[tuple[HoldStatus, str], HoldStatus]] = {
    (HoldStatus.OPEN, "capture_part"): HoldStatus.OPEN,
    (HoldStatus.OPEN, "capture"): HoldStatus.CAPTURED,
    (HoldStatus.OPEN, "release"): HoldStatus.RELEASED,
    (HoldStatus.OPEN, "expire"): HoldStatus.EXPIRED,
}
"""The life of a hold. What isn't listed is refused. How much of it was captured, its amounts tell, not its state."""


_PAIR: Final = 2
"""A debit and a credit."""
# A member is looked up at some cost (Python 3.11), and this is asked five times for each transfer.
_DEBIT: Final = NormalSide.DEBIT


def on_normal_side(signed_minor: int, side: NormalSide) -> int:
    """Return a signed amount (positive is debit) as the account's normal side shows it."""
    return signed_minor if side is _DEBIT else -signed_minor


def check_effective(effective_at: datetime, now: datetime, backdate_days: int | None) -> None:
    """Refuse an effective time in the future, or further back than policy allows.

    Args:
        effective_at: When it is said to have happened.
        now: The tenant's present.
        backdate_days: How many days back are allowed; None is any number.

    Raises:
        EffectiveDateNotAllowed: It lies outside.
    """
    if effective_at > now:
        detail = "The effective time lies in the tenant's future."
        raise errors.EffectiveDateNotAllowed(detail, param="effective_at")
    if backdate_days is not None and effective_at < now - timedelta(days=backdate_days):
        detail = f"The effective time lies more than {backdate_days} days back."
        raise errors.EffectiveDateNotAllowed(detail, param="effective_at")


def late_class(effective_at: datetime, effective_high: datetime) -> int | None:
    """Return by how much an entry takes effect before the latest so far, as the binary logarithm of seconds.

    What is late by less than a second counts as one, and what is late by more than a thousand years as that. Absent
    where it isn't late.
    """
    if effective_at >= effective_high:
        return None
    return min(LATEST, max(1, int((effective_high - effective_at).total_seconds())).bit_length() - 1)


def check_usable(accounts: Iterable["AccountRow"]) -> None:
    """Refuse to move money on the account of a closed or frozen wallet.

    Raises:
        WalletClosed: One belongs to a closed wallet.
        WalletFrozen: One belongs to a frozen wallet.
    """
    unusable = [account for account in accounts if account.status != "active"]
    if not unusable:
        return
    for status, error in (("closed", errors.WalletClosed), ("frozen", errors.WalletFrozen)):
        for account in unusable:
            if account.status == status and account.wallet_id is not None:
                raise error(wallet_id=ids.encode(Prefix.WALLET, account.wallet_id))


def check_currencies(lines: Sequence["Line"], accounts: Mapping[UUID, "AccountRow"]) -> None:
    """Refuse a posting in another currency than its account's.

    Raises:
        CurrencyMismatch: One differs.
    """
    for line in lines:
        account = accounts[line.account_id]
        if account.currency != line.currency:
            raise errors.CurrencyMismatch(account_id=account.wire_id, currency=account.currency)


def check_balanced(lines: Sequence["Line"]) -> None:
    """Refuse postings that don't sum to zero in each currency.

    Raises:
        UnbalancedEntry: In one currency they don't.
    """
    if (
        len(lines) == _PAIR
        and lines[0].currency == lines[1].currency
        and lines[0].amount_minor == -lines[1].amount_minor
    ):
        # Most entries are a debit and a credit of as much.
        return
    sums: dict[str, int] = {}
    for line in lines:
        sums[line.currency] = sums.get(line.currency, 0) + line.amount_minor
    for currency, difference in sorted(sums.items()):
        if difference:
            raise errors.UnbalancedEntry(currency=currency, difference_minor=difference)


def check_funds(account: "AccountRow", *, before: "AccountRow") -> None:
    """Refuse a balance out of range, or an available balance below the overdraft limit.

    Args:
        account: The account as it would be.
        before: The account as it is, whose available balance the refusal names.

    Raises:
        BalanceOutOfRange: The posted, pending or held balance would leave what the ledger counts.
        InsufficientFunds: The available balance would fall below the limit.
    """
    posted_minor, held_minor = account.posted_minor, account.held_minor
    if max(posted_minor, -posted_minor, account.pending_minor, held_minor) > MAX_BALANCE_MINOR:
        raise errors.BalanceOutOfRange(account_id=account.wire_id)
    limit = account.overdraft_limit_minor
    if limit is None:
        return
    available_minor = on_normal_side(posted_minor, account.normal_side) - held_minor
    if available_minor >= -limit:
        return
    if available_minor < before.available_minor:
        raise errors.InsufficientFunds(
            account_id=account.wire_id,
            currency=account.currency,
            available_minor=before.available_minor,
            required_minor=before.available_minor - available_minor,
        )


def check_hold_open(hold_id: UUID, status: HoldStatus, expires_at: datetime | None, now: datetime) -> None:
    """Refuse a step on a hold that has ended, or whose time has run out though no job has expired it yet.

    Raises:
        HoldNotOpen: It isn't open at ``now``.
    """
    effective = HoldStatus.EXPIRED if status is HoldStatus.OPEN and expires_at and expires_at <= now else status
    if effective is not HoldStatus.OPEN:
        raise errors.HoldNotOpen(hold_id=ids.encode(Prefix.HOLD, hold_id), status_of_hold=effective.value)


def reversal_lines(
    entry: "EntryRow", amount_minor: int | None, reversed_minor: int
) -> tuple[int, list[tuple["PostingRow", int]]]:
    """Work out the postings that undo a journal entry, whole or in part.

    Only an entry of two postings can be reversed in part: with more, nobody could say which part of which posting.

    Args:
        entry: The original.
        amount_minor: How much of it; all that remains where absent.
        reversed_minor: How much of it has been undone before.

    Returns:
        The amount, and each original posting with the signed amount that undoes it.

    Raises:
        EntryNotReversible: It is a reversing entry itself, or has more postings than a partial reversal can split.
        ReversalExceedsEntry: More is asked for than remains.
    """
    wire_id = ids.encode(Prefix.JOURNAL_ENTRY, entry.id)
    if entry.reverses is not None:
        detail = "A reversing entry can't be reversed; post the original again."
        raise errors.EntryNotReversible(detail, journal_entry_id=wire_id)
    total = entry_amount(entry)
    remaining = total - reversed_minor
    amount = remaining if amount_minor is None else amount_minor
    if amount > remaining or remaining == 0:
        raise errors.ReversalExceedsEntry(journal_entry_id=wire_id, remaining_minor=remaining)
    if amount == total:
        return amount, [(posting, -posting.amount_minor) for posting in entry.postings]
    if len(entry.postings) != _PAIR:
        detail = "A journal entry of more than two postings can only be reversed as a whole."
        raise errors.EntryNotReversible(detail, journal_entry_id=wire_id)
    return amount, [(posting, -amount if posting.amount_minor > 0 else amount) for posting in entry.postings]


def entry_amount(entry: "EntryRow") -> int:
    """Return the sum of an entry's debits: how much of it can be reversed, in minor units of all its currencies."""
    return sum(posting.amount_minor for posting in entry.postings if posting.amount_minor > 0)
