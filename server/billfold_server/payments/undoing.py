"""What of a payment's journal entries may be undone by hand. Pure.

Money of many payments waits on one account. So an entry is undone only as long as its own money is there: what has
moved on would be taken from the others, which then couldn't be settled or given back.
"""

from uuid import UUID

from billfold import errors, ids
from billfold.ids import Prefix
from billfold_server.ledger.service import Books, Draft, Keys
from billfold_server.payments import rules
from billfold_server.payments.rows import OfEntryRow, PaymentRow

__all__ = ["check_undoing", "undoing_keys"]


def undoing_keys(books: Books, journal_entry_id: UUID) -> Keys:
    """Name the rows that tell where the money of an entry's payment is."""
    found: OfEntryRow | None = books.rows.get(OfEntryRow, {}).get(journal_entry_id)
    return {OfEntryRow: [journal_entry_id], PaymentRow: [] if found is None else [found.payment_id]}


def check_undoing(draft: Draft, journal_entry_id: UUID) -> None:
    """Refuse to undo what has taken a payment on, or what has begun one that was taken on.

    Raises:
        errors.EntryNotReversible: The money is elsewhere.
    """
    found = draft.find(OfEntryRow, journal_entry_id)
    payment = None if found is None else draft.find(PaymentRow, found.payment_id)
    if payment is None or payment.money not in {rules.UNDER_WAY, rules.BY_HAND}:
        detail = "The payment's money has moved on; a journal entry between the accounts that have it puts it right."
        wire_id = ids.encode(Prefix.JOURNAL_ENTRY, journal_entry_id)
        raise errors.EntryNotReversible(detail, journal_entry_id=wire_id)
