"""The command that moves an entry out of suspense: to a wallet, to an account, or to what was ordered here. Pure."""

from collections.abc import Hashable
from typing import Final
from uuid import UUID

import msgspec

from billfold import errors
from billfold.contract import events
from billfold.contract.events import StatementEntryEventData
from billfold.contract.statements import EntryOutcome
from billfold.ids import Prefix, encode
from billfold_server.ledger.service import (
    AccountRow,
    Books,
    CodeKey,
    Draft,
    Keys,
    Kind,
    Reply,
    ReversalRow,
    WalletKey,
)
from billfold_server.reconciliation import rules
from billfold_server.reconciliation.kinds import SUSPENSE
from billfold_server.reconciliation.ordered import (
    Ordered,
    assign,
    assign_to_ordered,
    find_shown,
    give_back,
    shown_keys,
)
from billfold_server.reconciliation.rows import StatementEntryRow
from billfold_server.reconciliation.undoing import is_undone
from billfold_server.wallets.service import WalletRow, wallet_account

__all__ = ["ASSIGN_ENTRY", "Assignment"]

_OK = 200
_TOLD: Final = ("withdrawal_id", "top_up_id", "account_id", "wallet_id")
"""By what the audit trail tells where an entry went: the first of these that it has."""


class Assignment(msgspec.Struct, frozen=True):
    """An order to move an entry from suspense to a wallet, an account of the general ledger, or what it shows.

    Attributes:
        wallet_id: The wallet, where it isn't an account.
        texts_before: What the entry says, sealed as it was found, where that is to be under another key.
        texts: The same under the key of the party whose wallet it is, or the tenant's own.
        account_id: The account, where it isn't a wallet.
        withdrawal_id: The withdrawal that it shows, where it is neither.
        top_up_id: The top-up that it shows, where it is none of these.
    """

    entry_id: UUID
    wallet_id: UUID | None
    texts_before: bytes | None = None
    texts: bytes | None = None
    account_id: UUID | None = None
    withdrawal_id: UUID | None = None
    top_up_id: UUID | None = None

    @property
    def ordered(self) -> Ordered | None:
        """What it shows that was ordered here, where that is named."""
        if self.withdrawal_id is not None:
            return Ordered("withdrawal", self.withdrawal_id)
        return None if self.top_up_id is None else Ordered("top_up", self.top_up_id)


def _assign_keys(books: Books, body: Assignment) -> Keys:
    shown = [] if body.ordered is None else [body.ordered]
    wanted: dict[type, list[Hashable]] = {key: [*each] for key, each in shown_keys(books, shown).items()}
    wanted[StatementEntryRow] = [body.entry_id]
    if body.wallet_id is not None:
        wanted[WalletRow] = [body.wallet_id]
    row: StatementEntryRow | None = books.rows.get(StatementEntryRow, {}).get(body.entry_id)
    if row is not None:
        to: Hashable = body.account_id if body.wallet_id is None else WalletKey(body.wallet_id, row.currency)
        accounts = [CodeKey(SUSPENSE, row.currency)] if to is None else [to, CodeKey(SUSPENSE, row.currency)]
        wanted.setdefault(AccountRow, []).extend(accounts)
        entries = (row.journal_entry_id, row.assigning_journal_entry_id)
        wanted.setdefault(ReversalRow, []).extend(each for each in entries if each is not None)
    return wanted


def _waits(draft: Draft, row: StatementEntryRow) -> bool:
    """Tell whether an entry's money is in suspense: it hasn't left, or has come back from the wrong wallet whole."""
    if row.journal_entry_id is None or draft.find(ReversalRow, row.journal_entry_id) is not None:
        return False
    if row.assigning_journal_entry_id is None:
        return row.outcome is EntryOutcome.SUSPENSE
    # Of what was undone since the notes of it are kept, the entry says itself that it waits.
    return is_undone(draft, row.assigning_journal_entry_id)


def _not_waiting(draft: Draft, row: StatementEntryRow) -> str | None:
    if row.taken_back:
        return "Its import was taken back as a whole."
    if row.journal_entry_id is not None and draft.find(ReversalRow, row.journal_entry_id) is not None:
        return "What had brought its money into suspense was undone by hand."
    return None


def _destination(draft: Draft, body: Assignment, currency: str) -> AccountRow:
    """Return the account that an entry's money goes to.

    Raises:
        NotFound: There is no such wallet or account.
        CurrencyNotEnabled: The wallet has none in this currency, and the tenant doesn't use it.
        AccountNotUsable: What is on the account is told by wallets or statements.
    """
    if body.wallet_id is not None:
        return wallet_account(draft, body.wallet_id, currency, "wallet_id")
    assert body.account_id is not None
    account = draft.get_account(body.account_id, "account_id")
    if account.wallet_id is not None:
        detail = f"The account is a wallet's: name {encode(Prefix.WALLET, account.wallet_id)} as wallet_id."
    elif account.code == SUSPENSE:
        detail = "On the account itself entries wait to be assigned."
    elif rules.is_cash_code(account.code):
        detail = "The account is a bank account's cash account, which moves by that one's own statements."
    else:
        return account
    raise errors.AccountNotUsable(detail, param="account_id", account_id=account.wire_id)


def _assign(draft: Draft, body: Assignment) -> Reply:
    row = draft.find(StatementEntryRow, body.entry_id)
    if row is None:
        detail = "There is no such statement entry."
        raise errors.NotFound(detail)
    if not _waits(draft, row):
        raise errors.StatementEntryNotInSuspense(_not_waiting(draft, row), statement_entry_id=row.wire_id)
    if body.ordered is None:
        to = _destination(draft, body, row.currency)
        row = assign(draft, _retold(row, body), to, wallet_id=body.wallet_id)
    else:
        ordered = find_shown(draft, body.ordered, row, whole=False)
        give_back(draft, ordered, row.amount_minor)
        row = assign_to_ordered(draft, _retold(row, body), ordered)
    _tell(draft, row)
    return Reply(_OK, row.to_sealed())


def _retold(row: StatementEntryRow, body: Assignment) -> StatementEntryRow:
    """Return the entry with what it says under the key of whose it is now, unless somebody was forgotten since."""
    same = body.wallet_id is not None and row.wallet_id == body.wallet_id
    return msgspec.structs.replace(
        row,
        matched_by=row.matched_by if same else None,
        sealed_texts=body.texts if row.sealed_texts == body.texts_before else row.sealed_texts,
    )


def _tell(draft: Draft, row: StatementEntryRow) -> None:
    shown = row.to_response(None)
    assert shown.assigning_journal_entry_id is not None, "it was assigned just now"
    assigned = StatementEntryEventData(
        id=row.wire_id,
        wallet_id=shown.wallet_id,
        account_id=shown.account_id,
        withdrawal_id=shown.withdrawal_id or msgspec.UNSET,
        top_up_id=shown.top_up_id or msgspec.UNSET,
        amount_minor=row.amount_minor,
        currency=row.currency,
        journal_entry_id=shown.assigning_journal_entry_id,
    )
    draft.event(events.STATEMENT_ENTRY_ASSIGNED, row.wire_id, assigned)
    named = next(name for name in _TOLD if getattr(row, name) is not None)
    draft.audit("statement_entry.assigned", row.wire_id, facts={named: getattr(shown, named)})


ASSIGN_ENTRY: Kind[Assignment] = Kind("statement_entry.assign", _assign_keys, _assign)
