"""What is refused of banks' statements and their entries."""

from billfold.errors._families import Conflict, Unprocessable

__all__ = [
    "StatementEntryNotInSuspense",
    "StatementImportNotReversible",
    "StatementUnreadable",
    "TopUpDiffers",
    "WithdrawalDiffers",
]


class StatementUnreadable(Unprocessable):
    """The file can't be read as a bank statement. ``line`` and ``reason`` say where and why; nothing was changed."""

    code, title = "statement_unreadable", "The statement file can't be read"
    line: int | None
    reason: str


class StatementEntryNotInSuspense(Conflict):
    """Only an entry that lies in suspense can be assigned."""

    code, title = "statement_entry_not_in_suspense", "The statement entry is not in suspense"
    statement_entry_id: str


class StatementImportNotReversible(Conflict):
    """The import can't be taken back as a whole; nothing was changed.

    ``reason`` says why: ``already_reversed``; ``later_import``, where ``later_statement_import_id`` has to be taken
    back before; ``gave_back``, where the entry has given a withdrawal back to its wallet, or taken a top-up back from
    it; ``unknown_opening``, where it was imported by a version that kept no note of what it had posted besides entries;
    and otherwise the code of what refuses to undo ``journal_entry_id``. ``statement_entry_id`` is the entry in the way.
    """

    code, title = "statement_import_not_reversible", "The statement import can't be taken back"
    statement_import_id: str
    reason: str
    later_statement_import_id: str | None
    statement_entry_id: str | None
    journal_entry_id: str | None


class TopUpDiffers(Conflict):
    """The statement entry can't be of the top-up: by its currency or amount, or what was shown of it before."""

    code, title = "top_up_differs", "The statement entry is not of this top-up"
    top_up_id: str
    currency: str
    remaining_minor: int


class WithdrawalDiffers(Conflict):
    """The statement entry can't be of the withdrawal: by its currency or amount, or what was shown of it before."""

    code, title = "withdrawal_differs", "The statement entry is not of this withdrawal"
    withdrawal_id: str
    currency: str
    remaining_minor: int
