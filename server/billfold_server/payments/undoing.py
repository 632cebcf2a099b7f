"""What of a payment's journal entries may be undone by hand, and what becomes of the payment then. Pure.

Money of many payments waits on one account. So an entry is undone only as long as its own money is there: what has
moved on would be taken from the others, which then couldn't be settled or given back. What a bank has sent back to the
payer's wallet is there as any top-up is; undone, it is outside again.
"""

from uuid import UUID

import msgspec

from billfold import errors, ids
from billfold.ids import Prefix
from billfold_server.ledger.service import Books, Draft, Keys
from billfold_server.payments import moving, rules
from billfold_server.payments.rows import OfEntryRow, PaymentRow, ReturnRow

__all__ = ["check_undoing", "count_no_more", "return_keys", "undoing_keys"]


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


def return_keys(books: Books, journal_entry_id: UUID) -> Keys:
    """Name the rows that tell whether a top-up has brought back a payment's money, and of which."""
    found: ReturnRow | None = books.rows.get(ReturnRow, {}).get(journal_entry_id)
    return {ReturnRow: [journal_entry_id], PaymentRow: [] if found is None else [found.payment_id]}


def count_no_more(draft: Draft, journal_entry_id: UUID, amount_minor: int) -> None:
    """Note that money of a payment is outside again, which a bank had sent back by what is undone now.

    So the right return can come after one that was booked by mistake, and bring it all.
    """
    found = draft.find(ReturnRow, journal_entry_id)
    payment = None if found is None else draft.find(PaymentRow, found.payment_id)
    if payment is None:
        return
    left_minor = payment.returned_minor - amount_minor
    row = msgspec.structs.replace(payment, returned_minor=left_minor, updated_at=draft.now)
    moving.tell(draft, moving.step(draft, row, "return_undone", "moves"))
