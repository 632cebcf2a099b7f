"""The ledger's pure rules."""

from datetime import UTC, datetime, timedelta
from itertools import product
from uuid import UUID

import pytest

from billfold import errors
from billfold.contract.ledger import AccountType, HoldStatus, NormalSide
from billfold_server.ledger import rules
from billfold_server.ledger.rows import EntryRow, Line, PostingRow

pytestmark = pytest.mark.any_postgres

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
STEPS = ("capture_part", "capture", "release", "expire")


def entry(*amounts: int, reverses: UUID | None = None) -> EntryRow:
    """Return a journal entry with these amounts, each on an account of its own."""
    return EntryRow(
        id=UUID(int=1),
        sequence=1,
        kind="test",
        description=None,
        reverses=reverses,
        hold_id=None,
        effective_at=NOW,
        effective_high=NOW,
        recorded_at=NOW,
        metadata={},
        postings=tuple(
            PostingRow(
                line=line,
                account_id=UUID(int=line),
                normal_side=NormalSide.DEBIT,
                amount_minor=amount,
                currency="EUR",
                posted_after_minor=amount,
            )
            for line, amount in enumerate(amounts)
        ),
    )


class TestTheStatesOfAHold:
    """The states of a hold."""

    @pytest.mark.parametrize(("status", "step"), list(product(HoldStatus, STEPS)))
    def test_allow_steps_from_open_alone(self, status: HoldStatus, step: str) -> None:
        """Every pair of state and step is either in the table or refused, and only an open hold goes on."""
        assert ((status, step) in rules.HOLD_STATES) == (status is HoldStatus.OPEN)

    def test_end_when_time_has_run_out(self) -> None:
        """A hold past its time isn't open, though no job has expired it yet."""
        with pytest.raises(errors.HoldNotOpen) as refused:
            rules.check_hold_open(UUID(int=1), HoldStatus.OPEN, NOW, NOW)
        assert refused.value.status_of_hold == "expired"


class TestEveryAccountType:
    """Every account type."""

    @pytest.mark.parametrize("type_", AccountType)
    def test_has_a_normal_side(self, type_: AccountType) -> None:
        """Assets and expenses are debit-normal, the rest credit-normal."""
        debit = type_ in {AccountType.ASSET, AccountType.EXPENSE}
        assert (rules.NORMAL_SIDES[type_] is NormalSide.DEBIT) == debit


class TestAnEntry:
    """An entry."""

    def test_must_balance_in_each_currency(self) -> None:
        """Sums that only cancel across currencies are refused, with the currency and the difference."""
        lines = [Line(UUID(int=1), 5, "EUR"), Line(UUID(int=2), -5, "USD")]
        with pytest.raises(errors.UnbalancedEntry) as refused:
            rules.check_balanced(lines)
        assert (refused.value.currency, refused.value.difference_minor) == ("EUR", 5)

    @pytest.mark.parametrize(("days", "allowed"), [(0, True), (30, True), (31, False), (-1, False)])
    def test_takes_effect_within_policy(self, days: int, *, allowed: bool) -> None:
        """Neither the future nor more than the tenant's days back is taken."""
        try:
            rules.check_effective(NOW - timedelta(days=days), NOW, 30)
        except errors.EffectiveDateNotAllowed:
            assert not allowed
        else:
            assert allowed


class TestAReversal:
    """A reversal."""

    def test_undoes_each_posting(self) -> None:
        """As a whole it has the same accounts with the other sign."""
        amount, lines = rules.reversal_lines(entry(7, -3, -4), None, 0)
        assert (amount, [signed for _, signed in lines]) == (7, [-7, 3, 4])

    def test_undoes_a_part_of_two_postings(self) -> None:
        """A part keeps the signs of the whole."""
        amount, lines = rules.reversal_lines(entry(10, -10), 4, 5)
        assert (amount, [signed for _, signed in lines]) == (4, [-4, 4])

    @pytest.mark.parametrize(("amount", "before"), [(6, 5), (11, 0), (None, 10)])
    def test_never_exceeds_the_original(self, amount: int | None, before: int) -> None:
        """What was reversed before counts, and nothing is left to reverse twice."""
        with pytest.raises(errors.ReversalExceedsEntry) as refused:
            rules.reversal_lines(entry(10, -10), amount, before)
        assert refused.value.remaining_minor == 10 - before

    def test_splits_no_entry_of_many_postings(self) -> None:
        """Nobody could say which part of which posting."""
        with pytest.raises(errors.EntryNotReversible):
            rules.reversal_lines(entry(7, -3, -4), 3, 0)

    def test_isnt_reversed_itself(self) -> None:
        """A reversing entry can't be reversed."""
        with pytest.raises(errors.EntryNotReversible):
            rules.reversal_lines(entry(7, -7, reverses=UUID(int=9)), None, 0)
