"""The command of the reconciliation room that imports a statement file. All pure.

A file is decided whole in one command, so it is imported whole or not at all, and a second copy finds the first.
"""

from collections.abc import Hashable, Iterable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from billfold import errors, money
from billfold.contract import events
from billfold.contract.ledger import AccountType
from billfold.contract.statements import EntryOutcome, EntryReason, StatementFormat
from billfold.money import MAX_AMOUNT_MINOR, Money
from billfold_server.ledger.service import (
    AccountRow,
    Books,
    CodeKey,
    Draft,
    JournalKind,
    Keys,
    Kind,
    Line,
    Reply,
    WalletKey,
    opened_as,
)
from billfold_server.reconciliation import rules
from billfold_server.reconciliation.model import Statement, StatementEntry
from billfold_server.reconciliation.ordered import (
    SUSPENSE,
    Ordered,
    assign_to_ordered,
    check_cash,
    find_shown,
    give_back,
    shown_keys,
    wallet_of,
)
from billfold_server.reconciliation.rows import (
    BankAccountKey,
    BankAccountRow,
    HistoryRow,
    ImportRow,
    KnownStatementRow,
    SeenEntryRow,
    StatementEntryRow,
    StatementRow,
)
from billfold_server.wallets.service import (
    AliasKey,
    AliasRow,
    Movement,
    TransferRow,
    WalletRow,
    cash_account,
    move,
    tell_moved,
)

__all__ = ["IMPORT_STATEMENTS", "SUSPENSE", "PreparedEntry", "PreparedStatement", "StatementFile"]

_CREATED = 201

EQUITY: Final = "equity"
"""Against which the first opening balance of a bank account goes."""
BREAKS: Final = "breaks"
"""Where differences show that no entry tells of."""

_CHART: Final = {
    EQUITY: (AccountType.EQUITY, "Equity"),
    SUSPENSE: (AccountType.LIABILITY, "Suspense: statement entries without a wallet"),
    BREAKS: (AccountType.LIABILITY, "Breaks: differences between books and bank statements"),
}
opened_as({code: type_ for code, (type_, _) in _CHART.items()} | {rules.CASH_CODES: AccountType.ASSET})

_NOT_BORNE: Final = (
    errors.InsufficientFunds,
    errors.WalletFrozen,
    errors.WalletClosed,
    errors.BalanceOutOfRange,
)
"""What keeps a wallet from taking part in what the bank has done already; the money then waits in suspense."""


_NOT_SHOWN: Final = (errors.NotFound, errors.AccountNotUsable, errors.WithdrawalDiffers, errors.TopUpDiffers)
"""What keeps an entry from being what it names that was ordered here; its money then waits in suspense, too."""


_DIFFERS: Final = {"withdrawal": EntryReason.WITHDRAWAL_DIFFERS, "top_up": EntryReason.TOP_UP_DIFFERS}


class PreparedEntry(msgspec.Struct, frozen=True):
    """An entry, the aliases that could name its wallet as far as there were such aliases, and what it says, sealed.

    Attributes:
        ordered: The withdrawals and top-ups that it names, whether there are any or not.
    """

    entry: StatementEntry
    levels: rules.AliasLevels
    ordered: tuple[Ordered, ...] = ()
    sealed_texts: bytes | None = None

    @property
    def dedup_key(self) -> bytes:
        """The key by which the entry is known again."""
        return bytes.fromhex(self.entry.dedup_key)


class PreparedStatement(msgspec.Struct, frozen=True):
    """A statement with its entries prepared."""

    statement: Statement
    entries: tuple[PreparedEntry, ...]

    @property
    def currencies(self) -> set[str]:
        """The statement's currency, and others that its booked entries are in."""
        return {self.statement.currency, *(one.entry.currency for one in self.entries if one.entry.booked)}


class StatementFile(msgspec.Struct, frozen=True):
    """An order to import a file.

    Attributes:
        aliases: Every alias that an entry of the file could mean, as far as there were such aliases.
    """

    format: StatementFormat
    statements: tuple[PreparedStatement, ...]
    aliases: tuple[AliasKey, ...]


# The import of a file.


def _import_keys(books: Books, body: StatementFile) -> Keys:
    """Name the rows that a file needs; once the aliases are known, the wallets that they name."""
    pairs = {(one.statement.bank_account, currency) for one in body.statements for currency in one.currencies}
    currencies = {currency for _, currency in pairs}
    accounts: list[Hashable] = [CodeKey(rules.cash_code(account), currency) for account, currency in pairs]
    accounts += [CodeKey(code, currency) for code in _CHART for currency in currencies]
    wallets = set(_wallets(books.rows.get(AliasRow, {}).get(key) for key in body.aliases))
    accounts += [WalletKey(wallet, currency) for wallet in wallets for currency in currencies]
    named = dict.fromkeys(each for one in body.statements for entry in one.entries for each in entry.ordered)
    shown = shown_keys(books, list(named))
    return {
        **shown,
        BankAccountRow: [BankAccountKey(account, currency) for account, currency in pairs],
        KnownStatementRow: [one.statement.statement_id for one in body.statements],
        SeenEntryRow: [entry.dedup_key for one in body.statements for entry in one.entries],
        AliasRow: list(body.aliases),
        WalletRow: list(wallets),
        AccountRow: [*shown.get(AccountRow, ()), *accounts],
    }


def _wallets(found: Iterable[AliasRow | None]) -> Iterable[UUID]:
    return (alias.wallet_id for alias in found if alias is not None and not alias.deleted)


def _import(draft: Draft, body: StatementFile) -> Reply:
    found = {key: alias for key in body.aliases if (alias := draft.find(AliasRow, key)) and not alias.deleted}
    aliases = {key: alias.wallet_id for key, alias in found.items()}
    # By its id is told which import was the last.
    row = ImportRow(id=draft.id_in_order(), format=body.format, created_at=draft.now)
    draft.put(row)
    statements = [
        _Statement(draft, row.id, position, prepared, aliases).book()
        for position, prepared in enumerate(body.statements)
    ]
    response = row.to_response(statements)
    draft.event(events.STATEMENT_IMPORTED, row.wire_id, response)
    facts = {
        "statements": len(statements),
        "entries": sum(one.entries for one in statements),
        "duplicates": sum(one.duplicates for one in statements),
        "suspense": sum(one.suspense - one.matched for one in statements),
    }
    draft.audit("statement.imported", row.wire_id, facts=facts)
    return Reply(_CREATED, response)


class _Statement:
    """The import of one statement, step by step."""

    def __init__(
        self, draft: Draft, import_id: UUID, position: int, prepared: PreparedStatement, aliases: dict[AliasKey, UUID]
    ) -> None:
        self.draft = draft
        self.id = draft.new_id()
        self.import_id = import_id
        self.position = position
        self.statement = prepared.statement
        self.entries = prepared.entries
        self.aliases = aliases
        self.rows: list[StatementEntryRow] = []
        self.opening_entry_id: UUID | None = None
        self.break_entry_id: UUID | None = None

    def book(self) -> StatementRow:
        """Book what is new in the statement, and take the cash account to where the statement leads."""
        statement = self.statement
        before = self.cash(statement.currency).posted_minor
        new, seen = self.split()
        reached = rules.reached_minor(statement)
        break_minor = 0
        repeated = self.is_repeated(reached, new)
        if reached is not None and not repeated:
            break_minor = self.continue_books(reached, new)
        for prepared, first in seen:
            self.keep_duplicate(prepared, first)
        for prepared in sorted(new, key=_in_order):
            self.take(prepared)
        row = self.to_row(before, reached, break_minor, repeated=repeated)
        self.draft.put(row)
        self.draft.put(
            KnownStatementRow(
                statement_key=row.statement_key,
                opening_minor=row.opening_minor,
                closing_minor=row.closing_minor,
                reached_minor=row.reached_minor,
            )
        )
        self.draft.put(HistoryRow(bank_account=row.bank_account, latest_import_id=row.statement_import_id))
        return row

    # What is new.

    def split(self) -> tuple[list[PreparedEntry], list[tuple[PreparedEntry, UUID]]]:
        """Tell new entries from those that were imported before, here or in another file."""
        new: list[PreparedEntry] = []
        seen: list[tuple[PreparedEntry, UUID]] = []
        for prepared in self.entries:
            first = self.draft.find(SeenEntryRow, prepared.dedup_key)
            if first is None or first.entry_id is None:
                new.append(prepared)
            else:
                seen.append((prepared, first.entry_id))
        return new, seen

    def is_repeated(self, reached: int | None, new: Sequence[PreparedEntry]) -> bool:
        """Tell whether the statement says just what it said when it was imported before."""
        known = self.draft.find(KnownStatementRow, self.statement.statement_id)
        says = (*_own_balances(self.statement), reached)
        if known is None or not known.stands or new:
            return False
        return says == (known.opening_minor, known.closing_minor, known.reached_minor)

    # Where the cash account stands.

    def cash(self, currency: str) -> AccountRow:
        """Return the bank account's cash account in a currency, opened where there is none."""
        bank_account = self.statement.bank_account
        key = CodeKey(rules.cash_code(bank_account), currency)
        if self.draft.find_account(key) is None:
            name = f"Cash at {bank_account}"
            self.draft.open_account(type=AccountType.ASSET, currency=currency, code=key.code, name=name)
        account = cash_account(self.draft, key, currency)
        if self.draft.find(BankAccountRow, BankAccountKey(bank_account, currency)) is None:
            self.draft.put(
                BankAccountRow(
                    bank_account=bank_account,
                    currency=currency,
                    cash_account_id=account.id,
                    created_at=self.draft.now,
                    updated_at=self.draft.now,
                )
            )
        return account

    def continue_books(self, reached: int, new: Sequence[PreparedEntry]) -> int:
        """Post what the statement's balances tell that no entry does, and note how far the account has come."""
        draft, statement = self.draft, self.statement
        cash, account = self.cash(statement.currency), self.bank_account()
        span = rules.Span(
            statement_key=statement.statement_id,
            opening_date=statement.opening.date,
            closing_date=statement.closing.date,
            opening_minor=statement.opening.amount_minor,
            reached_minor=reached,
        )
        moved = [one.entry for one in new if one.entry.booked and one.entry.currency == statement.currency]
        place = rules.place(
            span,
            first=account.first,
            last=account.last,
            cash_minor=cash.posted_minor,
            moved_minor=sum(entry.amount_minor for entry in moved),
        )
        opened_at = rules.opened_at(span.opening_date, draft.now)
        break_at = rules.break_at(span, place.last, account.break_at, draft.now)
        self.opening_entry_id = self.post("statement_opening", EQUITY, cash, place.opening_minor, opened_at)
        self.break_entry_id = self.post("statement_break", BREAKS, cash, place.break_minor, break_at)
        draft.put(
            msgspec.structs.replace(
                account,
                first=place.first,
                last=place.last,
                break_minor=account.break_minor + place.break_minor,
                break_at=break_at if place.break_minor else account.break_at,
                updated_at=draft.now,
            )
        )
        return place.break_minor

    def bank_account(self) -> BankAccountRow:
        """Return how far the bank account has come; ``cash`` has made sure that it is known."""
        found = self.draft.find(BankAccountRow, BankAccountKey(self.statement.bank_account, self.statement.currency))
        assert found is not None
        return found

    def post(
        self, kind: JournalKind, code: str, cash: AccountRow, amount_minor: int, effective_at: datetime
    ) -> UUID | None:
        """Move the cash account by an amount against an account of the chart; nothing where the amount is zero.

        Raises:
            AccountNotUsable: Somebody has given one of them an overdraft limit, which the bank doesn't keep to.
            BalanceOutOfRange: It is more than the ledger counts.
        """
        if amount_minor == 0:
            return None
        if abs(amount_minor) > MAX_AMOUNT_MINOR:
            raise errors.BalanceOutOfRange(account_id=cash.wire_id)
        other = _chart_account(self.draft, code, cash.currency)
        lines = [Line(cash.id, amount_minor, cash.currency), Line(other.id, -amount_minor, cash.currency)]
        try:
            return self.draft.post(kind, lines, effective_at=effective_at, backdate=True).id
        except errors.InsufficientFunds as error:
            # The other one has no limit.
            detail = "The bank account's cash account has an overdraft limit, and the statement leads below it."
            raise errors.AccountNotUsable(detail, account_id=cash.wire_id) from error

    # Entries.

    def take(self, prepared: PreparedEntry) -> None:
        """Book a new entry, or keep it without booking where it has moved no money."""
        entry = prepared.entry
        if not entry.booked:
            self.keep(self.to_entry(prepared, EntryOutcome.NOT_BOOKED, reason=EntryReason.BANK_HAS_NOT_BOOKED))
        elif entry.amount_minor == 0:
            self.keep(self.to_entry(prepared, EntryOutcome.NOT_BOOKED, reason=EntryReason.ZERO_AMOUNT))
        else:
            self.post_entry(prepared)

    def post_entry(self, prepared: PreparedEntry) -> None:
        """Move the wallet that an entry names; where none can be moved, the money waits in suspense."""
        draft, entry = self.draft, prepared.entry
        cash = self.cash(entry.currency)
        effective_at = rules.booked_at(entry.booking_date, draft.now)
        row = msgspec.structs.replace(
            self.to_entry(prepared, EntryOutcome.SUSPENSE),
            effective_at=effective_at,
            booked_ahead=entry.booking_date > draft.now.date(),
        )
        if prepared.ordered:
            self.show(row, prepared.ordered)
            return
        match = rules.match_levels(prepared.levels, self.aliases)
        if isinstance(match, rules.Unmatched):
            moved: TransferRow | EntryReason = EntryReason(match)
        else:
            row = msgspec.structs.replace(row, wallet_id=match.wallet_id, matched_by=match.scheme.value)
            moved = self.move(row)
        if isinstance(moved, TransferRow):
            row = msgspec.structs.replace(
                row,
                outcome=EntryOutcome.TOPPED_UP if entry.amount_minor > 0 else EntryOutcome.WITHDRAWN,
                movement_id=moved.id,
                journal_entry_id=moved.id,
            )
        else:
            posted = self.post("statement_suspense", SUSPENSE, cash, entry.amount_minor, effective_at)
            row = msgspec.structs.replace(row, reason=moved, journal_entry_id=posted)
        self.keep(row)

    def show(self, row: StatementEntryRow, named: Sequence[Ordered]) -> None:
        """Take an entry to what it names that was ordered here, and has moved its wallet; else it waits in suspense.

        No alias counts where one is named: by it, the wallet would be moved once more.
        """
        draft, found = self.draft, self.find_ordered(row, named)
        known = draft.find(TransferRow, named[0].id) if len(named) == 1 else None
        # Anybody can write a withdrawal's name with the id of a transfer, which was never one of its payer's.
        owner_id = wallet_of(known) if known is not None and known.kind == named[0].kind else None
        row = msgspec.structs.replace(row, wallet_id=owner_id)
        cash = self.cash(row.currency)
        assert row.effective_at is not None, "it is booked"
        posted = self.post("statement_suspense", SUSPENSE, cash, row.amount_minor, row.effective_at)
        row = msgspec.structs.replace(row, journal_entry_id=posted)
        if isinstance(found, TransferRow):
            self.keep(assign_to_ordered(draft, row, found))
        else:
            self.keep(msgspec.structs.replace(row, reason=found))

    def find_ordered(self, row: StatementEntryRow, named: Sequence[Ordered]) -> TransferRow | EntryReason:
        """Return what an entry shows that was ordered here, once what comes back of it is undone.

        Whatever keeps the entry from it is asked before anything moves, so that no other entry fails with this one.
        """
        draft = self.draft
        differs = _DIFFERS[named[0].kind]
        if len(named) > 1:
            return differs
        try:
            ordered = find_shown(draft, named[0], row, whole=True)
            check_cash(draft, ordered, row.amount_minor)
        except _NOT_SHOWN:
            return differs
        except errors.InsufficientFunds:
            return EntryReason.CASH_ACCOUNT_LIMIT
        except errors.BalanceOutOfRange:
            return EntryReason.BALANCE_OUT_OF_RANGE
        try:
            give_back(draft, ordered, row.amount_minor)
        except (*_NOT_BORNE, errors.HistoryDetached) as error:
            return EntryReason(error.code)
        return ordered

    def move(self, row: StatementEntryRow) -> TransferRow | EntryReason:
        """Top up the wallet that a row names, or withdraw from it; or return what keeps the wallet from it.

        The tenant's limits don't apply, since the bank has done it already. What the bank says of people stays in the
        entry: events and journal hold its id.
        """
        draft, wallet_id, comes_in = self.draft, row.wallet_id, row.amount_minor > 0
        assert wallet_id is not None
        if not comes_in and draft.find_account(WalletKey(wallet_id, row.currency)) is None:
            # A withdrawal that has to fail shall not open the currency in passing.
            return EntryReason.INSUFFICIENT_FUNDS
        order = Movement(
            kind="top_up" if comes_in else "withdrawal",
            from_wallet_id=None if comes_in else wallet_id,
            to_wallet_id=wallet_id if comes_in else None,
            cash=CodeKey(rules.cash_code(row.bank_account), row.currency),
            amount=Money(abs(row.amount_minor), row.currency),
            description=None,
            effective_at=row.effective_at,
            metadata={"statement_entry_id": row.wire_id},
            limited=False,
        )
        try:
            moved = move(draft, order)
        except _NOT_BORNE as error:
            return EntryReason(error.code)
        tell_moved(draft, moved)
        return moved

    def to_entry(
        self,
        prepared: PreparedEntry,
        outcome: EntryOutcome,
        *,
        reason: EntryReason | None = None,
    ) -> StatementEntryRow:
        """Return an entry's row, with what the bank says of it."""
        entry = prepared.entry
        return StatementEntryRow(
            id=self.draft.new_id(),
            statement_import_id=self.import_id,
            statement_id=self.id,
            position=entry.position,
            bank_account=self.statement.bank_account,
            dedup_key=prepared.dedup_key,
            booking_date=entry.booking_date,
            value_date=entry.value_date,
            amount_minor=entry.amount_minor,
            currency=entry.currency,
            status=entry.status,
            sealed_texts=prepared.sealed_texts,
            bank_transaction_code=entry.bank_transaction_code,
            outcome=outcome,
            reason=reason,
            created_at=self.draft.now,
        )

    def keep(self, row: StatementEntryRow) -> None:
        """Keep a new entry, so that it is known again."""
        self.rows.append(row)
        self.draft.put(row)
        self.draft.put(SeenEntryRow(row.dedup_key, row.id))

    def keep_duplicate(self, prepared: PreparedEntry, first: UUID) -> None:
        """Keep word of an entry that was imported before. Its texts are kept once, where it was first."""
        row = msgspec.structs.replace(
            self.to_entry(prepared, EntryOutcome.DUPLICATE),
            duplicate_of=first,
            sealed_texts=None,
            bank_transaction_code=None,
        )
        self.rows.append(row)
        self.draft.put(row)

    def to_row(self, before: int, reached: int | None, break_minor: int, *, repeated: bool) -> StatementRow:
        """Return what the statement's import did."""
        statement = self.statement
        cash = self.cash(statement.currency)
        opening, closing = _own_balances(statement)
        counts = {outcome: sum(row.outcome is outcome for row in self.rows) for outcome in EntryOutcome}
        return StatementRow(
            id=self.id,
            statement_import_id=self.import_id,
            position=self.position,
            bank_account=statement.bank_account,
            statement_key=statement.statement_id,
            currency=statement.currency,
            cash_account_id=cash.id,
            opening_date=statement.opening.date,
            closing_date=statement.closing.date,
            opening_minor=opening,
            closing_minor=closing,
            reached_minor=reached,
            entries=len(self.rows),
            topped_up=counts[EntryOutcome.TOPPED_UP],
            withdrawn=counts[EntryOutcome.WITHDRAWN],
            suspense=counts[EntryOutcome.SUSPENSE] + counts[EntryOutcome.ASSIGNED],
            matched=counts[EntryOutcome.ASSIGNED],
            duplicates=counts[EntryOutcome.DUPLICATE],
            not_booked=counts[EntryOutcome.NOT_BOOKED],
            difference_minor=statement.difference_minor,
            cash_before_minor=before,
            cash_after_minor=cash.posted_minor,
            break_minor=break_minor,
            verdict=_verdict(statement, break_minor, repeated=repeated),
            opening_entry_id=self.opening_entry_id,
            break_entry_id=self.break_entry_id,
        )


def _in_order(prepared: PreparedEntry) -> tuple[object, ...]:
    """Sort entries by day; a bank gives a day no order, so what came in on it is there for what went out on it.

    But first what shows that a withdrawal has left: its money is no wallet's any more, and may be back on the same day.
    """
    comes_in = prepared.entry.amount_minor > 0
    leaves_first = not comes_in and any(each.kind == "withdrawal" for each in prepared.ordered)
    return (prepared.entry.booking_date, not leaves_first, not comes_in)


def _own_balances(statement: Statement) -> tuple[int | None, int | None]:
    """Return the opening and closing balance, as far as they are in the statement's own currency."""
    opening, closing = (
        balance.amount_minor if balance.currency == statement.currency else None
        for balance in (statement.opening, statement.closing)
    )
    return opening, closing


def _verdict(statement: Statement, break_minor: int, *, repeated: bool) -> str:
    if repeated:
        return f"{statement.verdict}; it was imported before and changed nothing"
    if break_minor:
        amount = f"{money.to_decimal(break_minor, statement.currency):+} {statement.currency}"
        return f"{statement.verdict}; the books were elsewhere: {amount} that no entry explains went to {BREAKS}"
    return statement.verdict


def _chart_account(draft: Draft, code: str, currency: str) -> AccountRow:
    """Return an account of the chart, opened where there is none.

    Raises:
        AccountNotUsable: Somebody has given it an overdraft limit, so it can't take whatever the bank says.
    """
    account = draft.find_account(CodeKey(code, currency))
    if account is None:
        type_, name = _CHART[code]
        return draft.open_account(type=type_, currency=currency, code=code, name=name)
    if account.overdraft_limit_minor is not None:
        detail = f"The account {code} must have no overdraft limit."
        raise errors.AccountNotUsable(detail, account_id=account.wire_id)
    return account


IMPORT_STATEMENTS: Kind[StatementFile] = Kind("statement.import", _import_keys, _import, long=True)
