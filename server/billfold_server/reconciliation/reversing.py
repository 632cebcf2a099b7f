"""The command that takes back the import of a statement file as a whole. All pure.

Only the latest import of each of its bank accounts is taken back, newest posting first, so each step meets the books as
the import had left them, but for what others have done since. What these make impossible refuses the whole.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec

from billfold import errors, ids
from billfold.contract import events
from billfold.contract.ledger import ReverseJournalEntry
from billfold.contract.statements import EntryOutcome
from billfold.ids import Prefix
from billfold_server.ledger.service import (
    Books,
    Draft,
    Keys,
    Kind,
    Reply,
    Reversal,
    reversal_keys,
    reverse_by_hand,
)
from billfold_server.reconciliation import rules
from billfold_server.reconciliation.ordered import REVERSED, comes_back
from billfold_server.reconciliation.rows import (
    BankAccountKey,
    BankAccountRow,
    ContentsRow,
    HistoryRow,
    ImportRow,
    KnownStatementRow,
    OrderedKind,
    SeenEntryRow,
    ShownRow,
    StatementEntryRow,
    StatementRow,
    ToldStatement,
)
from billfold_server.reconciliation.undoing import is_undone, put_back

__all__ = ["REVERSE_IMPORT", "ImportReversal"]

_OK = 200
_REASON: Final = "The import of the statement was taken back"
R = TypeVar("R")
_NOT_BOOKED: Final = {EntryOutcome.DUPLICATE, EntryOutcome.NOT_BOOKED}


class ImportReversal(msgspec.Struct, frozen=True):
    """An order to take an import back.

    Attributes:
        reason: Why, for the audit trail.
    """

    import_id: UUID
    reason: str | None = None


def _keys(books: Books, body: ImportReversal) -> Keys:
    """Name the import and its contents; then where its bank accounts stand, and all that undoing each posting needs."""
    wanted: dict[type, list[Hashable]] = {ImportRow: [body.import_id], ContentsRow: [body.import_id]}
    contents: ContentsRow | None = books.rows.get(ContentsRow, {}).get(body.import_id)
    if contents is None:
        return wanted
    wanted[HistoryRow] = list({one.bank_account for one in contents.statements})
    wanted[BankAccountRow] = list({_account_of(one) for one in contents.statements})
    wanted[StatementEntryRow] = list(contents.entry_ids)
    for posted in (*contents.journal_entry_ids, *_beside_entries(contents.statements)):
        for row_type, keys in reversal_keys(books, _reversal(posted)).items():
            wanted.setdefault(row_type, []).extend(keys)
    known = books.rows.get(StatementEntryRow, {})
    entries: list[StatementEntryRow] = [row for each in contents.entry_ids if (row := known.get(each)) is not None]
    wanted.setdefault(ShownRow, []).extend(row.ordered_id for row in entries if row.ordered_id is not None)
    return wanted


def _account_of(statement: StatementRow) -> BankAccountKey:
    return BankAccountKey(statement.bank_account, statement.currency)


def _beside_entries(statements: Iterable[StatementRow]) -> Iterator[UUID]:
    """Yield what statements have posted besides their entries."""
    for one in statements:
        yield from (each for each in (one.opening_entry_id, one.break_entry_id) if each is not None)


def _reversal(journal_entry_id: UUID) -> Reversal:
    return Reversal(journal_entry_id, ReverseJournalEntry(reason=_REASON))


def _reverse(draft: Draft, body: ImportReversal) -> Reply:
    row, contents = draft.find(ImportRow, body.import_id), draft.find(ContentsRow, body.import_id)
    if row is None or contents is None:
        detail = "There is no such statement import."
        raise errors.NotFound(detail)
    if row.reversed_at is not None:
        raise _refused(row, "already_reversed", "It was taken back before.")
    row = _TakingBack(draft, row, contents).take_back()
    response = row.to_response(list(contents.statements))
    draft.event(events.STATEMENT_IMPORT_REVERSED, row.wire_id, response)
    facts = {"statements": len(contents.statements), "entries": len(contents.entry_ids)}
    draft.audit("statement_import.reversed", row.wire_id, reason=body.reason, facts=facts)
    return Reply(_OK, response)


class _TakingBack:
    """The taking back of one import, step by step."""

    def __init__(self, draft: Draft, row: ImportRow, contents: ContentsRow) -> None:
        self.draft = draft
        self.row = row
        self.statements = contents.statements
        self.entries = [_found(draft.find(StatementEntryRow, each)) for each in contents.entry_ids]

    def take_back(self) -> ImportRow:
        """Undo what was posted, and leave word of all of it as if it hadn't been imported.

        Raises:
            StatementImportNotReversible: The facts say why.
        """
        self.check_latest()
        self.check_openings()
        for posted, entry in sorted(self.posted(), key=lambda one: one[0], reverse=True):
            self.undo(posted, entry)
        for entry in self.entries:
            self.forget(entry)
        for account in {one.bank_account for one in self.statements}:
            self.wind_back(account)
        row = msgspec.structs.replace(self.row, reversed_at=self.draft.now)
        self.draft.put(row)
        return row

    # What refuses it.

    def check_latest(self) -> None:
        """Refuse an import after which another one of its bank accounts came: that has built on it."""
        for one in self.statements:
            latest = self.history(one.bank_account).latest_import_id
            if latest != self.row.id and latest is not None:
                later = ids.encode(Prefix.STATEMENT_IMPORT, latest)
                detail = f"A later import has continued a bank account of it: {later} is taken back before."
                raise _refused(self.row, "later_import", detail, later_statement_import_id=later)

    def check_openings(self) -> None:
        """Refuse an import of a version that kept no note of what it had posted besides its entries."""
        moved = Counter[tuple[UUID, str]]()
        for each in self.entries:
            if each.outcome not in _NOT_BOOKED:
                moved[each.statement_id, each.currency] += each.amount_minor
        for one in self.statements:
            opened_and_moved = one.cash_after_minor - one.cash_before_minor - one.break_minor
            opening_minor = opened_and_moved - moved[one.id, one.currency]
            is_noted = (one.opening_entry_id is not None or not opening_minor) and (
                one.break_entry_id is not None or not one.break_minor
            )
            if not is_noted:
                detail = (
                    "An earlier version has imported it, and kept no note of what it had posted besides the entries."
                )
                raise _refused(self.row, "unknown_opening", detail)

    # What undoes it.

    def posted(self) -> Iterator[tuple[UUID, StatementEntryRow | None]]:
        """Yield the journal entries of the import, each with the statement entry that it has booked or assigned."""
        for entry in self.entries:
            for each in (entry.journal_entry_id, entry.assigning_journal_entry_id):
                if each is not None:
                    yield each, entry
        yield from ((each, None) for each in _beside_entries(self.statements))

    def undo(self, posted: UUID, entry: StatementEntryRow | None) -> None:
        """Undo what is left of a journal entry; nothing where somebody has undone all of it before."""
        if entry is not None and posted == entry.assigning_journal_entry_id and comes_back(entry):
            detail = (
                "An entry of it has given a withdrawal back to its wallet, or taken a top-up back. Its assignment is "
                "undone by hand before, and what else was ordered is put right."
            )
            raise self.blocked("gave_back", detail, posted, entry)
        if is_undone(self.draft, posted):
            return
        try:
            reversing = reverse_by_hand(self.draft, _reversal(posted))
        except errors.Conflict as error:
            raise self.blocked(error.code, error.detail, posted, entry) from error
        if entry is not None and entry.movement_id == posted:
            kind: OrderedKind = "top_up" if entry.amount_minor > 0 else "withdrawal"
            moved = ids.encode(Prefix.TOP_UP if kind == "top_up" else Prefix.WITHDRAWAL, posted)
            self.draft.event(REVERSED[kind], moved, reversing.to_response())

    def blocked(
        self, reason: str, detail: str, posted: UUID, entry: StatementEntryRow | None
    ) -> errors.StatementImportNotReversible:
        """Return the error that names what is in the way."""
        return _refused(
            self.row,
            reason,
            detail,
            statement_entry_id=None if entry is None else entry.wire_id,
            journal_entry_id=ids.encode(Prefix.JOURNAL_ENTRY, posted),
        )

    def forget(self, entry: StatementEntryRow) -> None:
        """Note that an entry isn't known any more, so that it is new where it comes again."""
        if entry.assigning_journal_entry_id is not None:
            # One that was undone by hand before that was noted still says that it is assigned.
            put_back(self.draft, entry.assigning_journal_entry_id, 0)
        entry = _found(self.draft.find(StatementEntryRow, entry.id))
        # What was undone by hand while it waited is told so, and kept as what waits.
        outcome = EntryOutcome.SUSPENSE if entry.outcome is EntryOutcome.REVERSED else entry.outcome
        self.draft.put(msgspec.structs.replace(entry, outcome=outcome, taken_back=True))
        if entry.duplicate_of is None:
            self.draft.put(SeenEntryRow(entry.dedup_key, None))

    def history(self, bank_account: str) -> HistoryRow:
        """Return what statements of a bank account have said."""
        return _found(self.draft.find(HistoryRow, bank_account))

    def wind_back(self, bank_account: str) -> None:
        """Take a bank account back to where the statements before have led it."""
        draft = self.draft
        left = [one for one in self.history(bank_account).statements if one.statement_import_id != self.row.id]
        latest = left[-1].statement_import_id if left else None
        draft.put(HistoryRow(bank_account=bank_account, latest_import_id=latest, statements=tuple(left)))
        mine = [one for one in self.statements if one.bank_account == bank_account]
        said = {one.statement_key: one for one in left}
        for one in mine:
            draft.put(_known(one.statement_key, said.get(one.statement_key)))
        for account in {_account_of(one) for one in mine}:
            stands = _found(draft.find(BankAccountRow, account))
            draft.put(
                msgspec.structs.replace(
                    stands, **_ends([one for one in left if one.currency == account.currency]), updated_at=draft.now
                )
            )


def _ends(statements: Sequence[ToldStatement]) -> dict[str, Any]:
    """Return how far a bank account has come by some statements, as their imports have left it."""
    first: rules.Span | None = None
    last: rules.Span | None = None
    break_minor, break_at = 0, None
    known: dict[str, tuple[int | None, ...]] = {}
    for one in statements:
        says = (one.opening_minor, one.closing_minor, one.reached_minor)
        is_repeated = not one.is_new and known.get(one.statement_key) == says
        known[one.statement_key] = says
        if is_repeated or one.opening_minor is None or one.reached_minor is None:
            continue
        span = rules.Span(
            statement_key=one.statement_key,
            opening_date=one.opening_date,
            closing_date=one.closing_date,
            opening_minor=one.opening_minor,
            reached_minor=one.reached_minor,
        )
        first, last = rules.ends(span, first=first, last=last)
        break_minor += one.break_minor
        if one.break_minor:
            break_at = rules.break_at(span, last, break_at, one.imported_at)
    return {"first": first, "last": last, "break_minor": break_minor, "break_at": break_at}


def _known(statement_key: str, said: ToldStatement | None) -> KnownStatementRow:
    return KnownStatementRow(
        statement_key=statement_key,
        opening_minor=None if said is None else said.opening_minor,
        closing_minor=None if said is None else said.closing_minor,
        reached_minor=None if said is None else said.reached_minor,
        stands=said is not None,
    )


def _found(row: R | None) -> R:
    assert row is not None, "what an import has put there is never taken away"
    return row


def _refused(row: ImportRow, reason: str, detail: str, **facts: str | None) -> errors.StatementImportNotReversible:
    named = ("later_statement_import_id", "statement_entry_id", "journal_entry_id")
    return errors.StatementImportNotReversible(
        detail, statement_import_id=row.wire_id, reason=reason, **{name: facts.get(name) for name in named}
    )


REVERSE_IMPORT: Kind[ImportReversal] = Kind("statement_import.reverse", _keys, _reverse, long=True)
