"""The books as one batch of commands sees them: rows as loaded, and as the items before have left them.

Everything here is pure. The engine loads rows into ``Books``; each command is decided on a ``Draft`` over them. A draft
that is accepted is merged, so the next command sees its effects; one that is refused is dropped without a trace.
"""

from collections.abc import Callable, Hashable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar, cast
from uuid import UUID

import msgspec

from billfold import errors
from billfold.contract.ledger import AccountType
from billfold_server.audit.service import NewAuditRecord
from billfold_server.db.jobs import NewJob
from billfold_server.db.outbox import NewEvent
from billfold_server.ledger import rules
from billfold_server.ledger.rows import AccountRow, CodeKey, EntryRow, Line, PostingRow, Row, WalletKey
from billfold_server.tenancy.context import Caller
from billfold_server.tenancy.manifest import Manifest

__all__ = ["Books", "Draft"]

R = TypeVar("R", bound=Row)


class Books:
    """What a batch has loaded, and what its accepted items have changed since."""

    def __init__(self, *, sequence: int, recorded_at: datetime) -> None:
        self.sequence = sequence
        self.recorded_at = recorded_at
        self.rows: dict[type, dict[Hashable, Any]] = {}
        self.account_keys: dict[WalletKey | CodeKey, UUID | None] = {}
        self.changed: dict[type, dict[Hashable, Any]] = {}
        self.entries: list[EntryRow] = []
        self.events: list[NewEvent] = []
        self.audit_records: list[NewAuditRecord] = []
        self.jobs: list[NewJob] = []

    def has(self, row_type: type, key: Hashable) -> bool:
        """Tell whether the key has been looked up, found or not."""
        if row_type is AccountRow and isinstance(key, WalletKey | CodeKey):
            return key in self.account_keys
        return key in self.rows.get(row_type, {})

    def loaded(self, row_type: type, found: dict[Any, Any], keys: Sequence[Hashable]) -> None:
        """Take in what a look-up of ``keys`` has found; the others are known to be absent."""
        known = self.rows.setdefault(row_type, {})
        for key in keys:
            row = found.get(key)
            if row_type is AccountRow and isinstance(key, WalletKey | CodeKey):
                self.account_keys[key] = row.id if row is not None else None
                if row is not None:
                    known.setdefault(row.id, row)
            else:
                known.setdefault(key, row)

    def merge(self, draft: "Draft") -> None:
        """Make an accepted draft's changes visible to the items after it."""
        for row_type, rows in draft.changed.items():
            self.rows.setdefault(row_type, {}).update(rows)
            self.changed.setdefault(row_type, {}).update(rows)
        self.account_keys.update(draft.account_keys)
        self.entries.extend(draft.entries)
        self.events.extend(draft.events)
        self.audit_records.extend(draft.audit_records)
        self.jobs.extend(draft.jobs)
        self.sequence, self.recorded_at = draft.sequence, draft.recorded_at


class Draft:
    """One command's view of the books, and all that it would change.

    Attributes:
        now: The tenant's time, which ``effective_at`` and expiries follow.
        recorded_at: When this command is written: the real time, and later than every command before.
        caller: Who gave the command.
        manifest: The tenant as data: currencies and limits.
    """

    def __init__(
        self,
        books: Books,
        *,
        now: datetime,
        clock_now: datetime,
        caller: Caller,
        manifest: Manifest,
        new_id: Callable[[], UUID],
    ) -> None:
        self._books = books
        self.now = now
        self.recorded_at = max(clock_now, books.recorded_at + timedelta(microseconds=1))
        self.caller = caller
        self.manifest = manifest
        self.new_id = new_id
        self.sequence = books.sequence
        self.account_keys: dict[WalletKey | CodeKey, UUID | None] = {}
        self.changed: dict[type, dict[Hashable, Any]] = {}
        self.entries: list[EntryRow] = []
        self.events: list[NewEvent] = []
        self.audit_records: list[NewAuditRecord] = []
        self.jobs: list[NewJob] = []

    # Rows.

    def find(self, row_type: type[R], key: Hashable) -> R | None:
        """Return a row as it stands after the items before, or None where there is none."""
        changed = self.changed.get(row_type)
        if changed is not None and key in changed:
            return cast("R", changed[key])
        return cast("R | None", self._books.rows[row_type][key])

    def put(self, row: Row) -> None:
        """Insert or replace a row."""
        self.changed.setdefault(type(row), {})[row.key] = row

    def find_account(self, key: UUID | WalletKey | CodeKey) -> AccountRow | None:
        """Return an account by its id, by wallet and currency, or by code and currency."""
        if isinstance(key, UUID):
            return self.find(AccountRow, key)
        account_id = self.account_keys[key] if key in self.account_keys else self._books.account_keys[key]
        return None if account_id is None else self.find(AccountRow, account_id)

    def get_account(self, key: UUID | WalletKey | CodeKey, param: str | None = None) -> AccountRow:
        """Return an account.

        Raises:
            NotFound: There is none.
        """
        account = self.find_account(key)
        if account is None:
            detail = "There is no such account."
            raise errors.NotFound(detail, param=param)
        return account

    def require_currency(self, currency: str) -> None:
        """Refuse a currency that the tenant doesn't use.

        Raises:
            CurrencyNotEnabled: The tenant's manifest doesn't list it.
        """
        if currency not in self.manifest.currencies:
            raise errors.CurrencyNotEnabled(f"This tenant keeps no accounts in {currency}.", currency=currency)

    def open_account(
        self,
        *,
        type: AccountType,
        currency: str,
        code: str | None = None,
        wallet_id: UUID | None = None,
        name: str | None = None,
        overdraft_limit_minor: int | None = None,
        metadata: dict[str, str] | None = None,
    ) -> AccountRow:
        """Open an account, either of a wallet or under a code of the chart of accounts.

        Raises:
            CurrencyNotEnabled: The tenant doesn't use the currency.
        """
        self.require_currency(currency)
        row = AccountRow(
            id=self.new_id(),
            code=code,
            type=type,
            normal_side=rules.NORMAL_SIDES[type],
            currency=currency,
            wallet_id=wallet_id,
            name=name,
            overdraft_limit_minor=overdraft_limit_minor,
            metadata=metadata or {},
            created_at=self.now,
            updated_at=self.now,
        )
        self.put(row)
        if wallet_id is not None:
            self.account_keys[WalletKey(wallet_id, currency)] = row.id
        if code is not None:
            self.account_keys[CodeKey(code, currency)] = row.id
        return row

    # What moves money.

    def post(
        self,
        kind: str,
        lines: Sequence[Line],
        *,
        effective_at: datetime | None = None,
        description: str | None = None,
        metadata: dict[str, str] | None = None,
        reverses: UUID | None = None,
        hold_id: UUID | None = None,
        backdate: bool = False,
    ) -> EntryRow:
        """Post a journal entry on the accounts of the draft; a refusal leaves the draft as it was.

        The checks come in this order, and the first that fails is the answer: effective time, account exists, closed,
        frozen, currency, balance of the entry, range, funds.

        Args:
            kind: What kind of command makes it.
            lines: The postings; each account must have been loaded.
            effective_at: When it happened; the tenant's present where absent.
            description: Free text for people.
            metadata: The caller's own keys and values.
            reverses: The journal entry that this one undoes.
            hold_id: The hold that this one captures.
            backdate: Whether any past time is allowed, as for a bank's own statement.

        Raises:
            Conflict: The narrower class says what refuses it.
        """
        effective = self.now if effective_at is None else effective_at
        assert all(line.amount_minor for line in lines), "every line posts something"
        rules.check_effective(effective, self.now, None if backdate else self.manifest.limits.backdate_days)
        accounts, postings = self._apply(lines)
        for account in accounts.values():
            rules.check_funds(account, before=self.get_account(account.id))
        for account in accounts.values():
            self.put(account)
        if self.entries:
            self.recorded_at += timedelta(microseconds=1)
        self.sequence += 1
        entry = EntryRow(
            id=self.new_id(),
            sequence=self.sequence,
            kind=kind,
            description=description,
            reverses=reverses,
            hold_id=hold_id,
            effective_at=effective,
            recorded_at=self.recorded_at,
            metadata=metadata or {},
            postings=tuple(postings),
        )
        self.entries.append(entry)
        return entry

    def _apply(self, lines: Sequence[Line]) -> tuple[dict[UUID, AccountRow], list[PostingRow]]:
        """Return the accounts as the lines would leave them, and the postings with the balances after each."""
        accounts = {line.account_id: self.get_account(line.account_id) for line in lines}
        rules.check_usable(accounts.values())
        rules.check_currencies(lines, accounts)
        rules.check_balanced(lines)
        postings: list[PostingRow] = []
        for number, line in enumerate(lines):
            account = accounts[line.account_id]
            posted = account.posted_minor + line.amount_minor
            accounts[account.id] = msgspec.structs.replace(account, posted_minor=posted, updated_at=self.now)
            postings.append(
                PostingRow(
                    line=number,
                    account_id=account.id,
                    normal_side=account.normal_side,
                    amount_minor=line.amount_minor,
                    currency=line.currency,
                    posted_after_minor=posted,
                )
            )
        return accounts, postings

    # What is said about it.

    def event(self, kind: str, object_id: str, data: msgspec.Struct) -> None:
        """Emit an event about an object, in the same transaction as the change.

        Free text is left out, wherever it stands in the object: people write names into it, events are read by more
        clients than the object is, and what was told can't be taken back.
        """
        self.events.append(
            NewEvent(
                id=self.new_id(),
                type=kind,
                object_id=object_id,
                data=msgspec.json.encode(_without_free_text(msgspec.to_builtins(data))),
                occurred_at=self.now,
            )
        )

    def audit(
        self, action: str, object_id: str, *, reason: str | None = None, facts: dict[str, Any] | None = None
    ) -> None:
        """Record who did what, in the same transaction as the change."""
        self.audit_records.append(
            NewAuditRecord(
                id=self.new_id(),
                actor=self.caller.actor,
                action=action,
                object_id=object_id,
                reason=reason,
                request_id=self.caller.request_id,
                facts=msgspec.json.encode(facts or {}),
                recorded_at=self.recorded_at,
            )
        )

    def job(self, kind: str, due_at: datetime, payload: dict[str, Any], *, dedup_key: str | None = None) -> None:
        """Put a job into the same transaction as the change."""
        self.jobs.append(
            NewJob(
                id=self.new_id(),
                kind=kind,
                due_at=due_at,
                payload=msgspec.json.encode(payload),
                dedup_key=dedup_key,
            )
        )


_FREE_TEXT = frozenset(
    {
        "counterparty_iban",
        "counterparty_name",
        "description",
        "label",
        "metadata",
        "name",
        "reason",
        "references",
        "remittance",
        "status_reason",
    }
)
"""The members of the contract's objects in which people write what they like."""


def _without_free_text(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_free_text(each) for name, each in value.items() if name not in _FREE_TEXT}
    if isinstance(value, list):
        return [_without_free_text(each) for each in value]
    return value
