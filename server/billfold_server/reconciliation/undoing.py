"""What of the journal entries of statement entries may be undone by hand, and what becomes of these. Pure.

Money of many statement entries waits on one account. So what has brought one there is undone only as long as it is
there: what was assigned would be taken from the others.
"""

from uuid import UUID

import msgspec

from billfold import errors, ids
from billfold.contract.statements import EntryOutcome
from billfold.ids import Prefix
from billfold_server.ledger.service import Books, Draft, Keys, ReversalRow
from billfold_server.reconciliation.ordered import check_uncounted, uncount
from billfold_server.reconciliation.rows import OfJournalEntryRow, ShownRow, StatementEntryRow

__all__ = ["check_assignment", "check_in_suspense", "is_undone", "put_back", "undoing_keys"]


def undoing_keys(books: Books, journal_entry_id: UUID) -> Keys:
    """Name the statement entry that a journal entry has brought into suspense, or has assigned."""
    found: OfJournalEntryRow | None = books.rows.get(OfJournalEntryRow, {}).get(journal_entry_id)
    wanted = [] if found is None else [found.statement_entry_id]
    row: StatementEntryRow | None = books.rows.get(StatementEntryRow, {}).get(wanted[0]) if wanted else None
    assigning = [] if row is None or row.assigning_journal_entry_id is None else [row.assigning_journal_entry_id]
    shown = [] if row is None or row.ordered_id is None else [row.ordered_id]
    return {
        ShownRow: shown,
        OfJournalEntryRow: [journal_entry_id],
        StatementEntryRow: wanted,
        ReversalRow: [journal_entry_id, *assigning],
    }


def check_in_suspense(draft: Draft, journal_entry_id: UUID) -> None:
    """Refuse to undo what has brought an entry's money into suspense once it was assigned.

    Raises:
        errors.EntryNotReversible: The money is elsewhere.
    """
    row = _entry_of(draft, journal_entry_id)
    if row is None or row.assigning_journal_entry_id is None or is_undone(draft, row.assigning_journal_entry_id):
        return
    assigning = ids.encode(Prefix.JOURNAL_ENTRY, row.assigning_journal_entry_id)
    detail = f"The money was assigned since; that is undone first, by reversing {assigning} whole."
    raise errors.EntryNotReversible(detail, journal_entry_id=ids.encode(Prefix.JOURNAL_ENTRY, journal_entry_id))


def check_assignment(draft: Draft, journal_entry_id: UUID) -> None:
    """Refuse to undo that an entry shows something ordered here where others show that this one's money came back.

    Raises:
        errors.EntryNotReversible: They do.
    """
    row = _entry_of(draft, journal_entry_id)
    if row is not None and row.assigning_journal_entry_id == journal_entry_id:
        check_uncounted(draft, row)


def put_back(draft: Draft, journal_entry_id: UUID, _amount_minor: int) -> None:
    """Note that an entry waits in suspense again, once its assignment was undone whole."""
    row = _entry_of(draft, journal_entry_id)
    if row is None or row.assigning_journal_entry_id != journal_entry_id or not is_undone(draft, journal_entry_id):
        return
    uncount(draft, row)
    draft.put(
        msgspec.structs.replace(
            row,
            outcome=EntryOutcome.SUSPENSE,
            matched_by=None,
            wallet_id=None,
            account_id=None,
            withdrawal_id=None,
            top_up_id=None,
            assigning_journal_entry_id=None,
        )
    )


def is_undone(draft: Draft, journal_entry_id: UUID) -> bool:
    """Tell whether all of a journal entry was reversed."""
    undone = draft.find(ReversalRow, journal_entry_id)
    return undone is not None and undone.reversed_minor == undone.amount_minor


def _entry_of(draft: Draft, journal_entry_id: UUID) -> StatementEntryRow | None:
    found = draft.find(OfJournalEntryRow, journal_entry_id)
    return None if found is None else draft.find(StatementEntryRow, found.statement_entry_id)
