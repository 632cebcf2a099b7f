# Generated from billfold/client/_async/ledger.py by tests/sdk/generate_sync.py. Change that one instead.

"""The ledger itself: accounts of the tenant's own, and journal entries."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

from msgspec import UNSET, UnsetType

from billfold.client import _encoding as encoding
from billfold.client import _operations as operations
from billfold.client._sync.resource import Pages, Resource
from billfold.contract.ledger import (
    Account,
    AccountType,
    Balance,
    JournalEntry,
    JournalEntryProof,
    LedgerHead,
    NewPosting,
    StatementLine,
)

__all__ = ["Accounts", "JournalEntries", "Ledger"]

_Type = AccountType | Literal["asset", "liability", "equity", "income", "expense"]


class Accounts(Resource):
    """The chart of accounts: ``billfold.accounts``."""

    __slots__ = ()

    def create(
        self,
        *,
        code: str,
        type: _Type,
        currency: str,
        name: str | None = None,
        overdraft_limit_minor: int | None = None,
        metadata: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> Account:
        """Open an account in the chart of accounts.

        Args:
            code: Its name there, unique with its currency, such as ``fees``.
            type: ``asset``, ``liability``, ``equity``, ``income`` or ``expense``.
            currency: The one currency that it is kept in.
            name: What people call it.
            overdraft_limit_minor: How far its balance may fall below zero, in minor units; without limit where absent.
            metadata: The caller's own keys and values.
            idempotency_key: The caller's own key; otherwise one is made, and kept over retries.

        Raises:
            errors.AccountCodeTaken: There is an account with this code and currency.
            errors.CurrencyNotEnabled: The tenant doesn't use the currency.
        """
        body = encoding.fields(
            code=code,
            type=type,
            currency=currency,
            name=name,
            overdraft_limit_minor=overdraft_limit_minor,
            metadata=metadata,
        )
        return self._order(operations.CREATE_ACCOUNT, body=body, idempotency_key=idempotency_key)

    def get(self, account_id: str) -> Account:
        """Return an account with its balance.

        Raises:
            errors.NotFound: There is none with this id.
        """
        return self._ask(operations.GET_ACCOUNT, account_id)

    def update(
        self,
        account_id: str,
        *,
        name: str | UnsetType | None = UNSET,
        overdraft_limit_minor: int | UnsetType | None = UNSET,
        metadata: Mapping[str, str] | UnsetType = UNSET,
        if_match: int | str | None = None,
    ) -> Account:
        """Change an account. What isn't given stays, None clears.

        Args:
            account_id: Which one.
            name: What people call it.
            overdraft_limit_minor: How far its balance may fall below zero, in minor units; None for no limit.
            metadata: The caller's own keys and values, replaced as a whole.
            if_match: The ``version`` that the caller has read; without it, the change is made whatever was changed
                since.

        Raises:
            errors.PreconditionFailed: The account has changed since that version.
            errors.ApprovalRequired: Another person must approve the overdraft limit first.
        """
        body = encoding.changes(name=name, overdraft_limit_minor=overdraft_limit_minor, metadata=metadata)
        return self._change(operations.UPDATE_ACCOUNT, account_id, body=body, if_match=if_match)

    def balance(
        self, account_id: str, *, effective_at: datetime | None = None, recorded_at: datetime | None = None
    ) -> Balance:
        """Return an account's balance on its normal side, now or as of any time.

        Args:
            account_id: Which one.
            effective_at: Count only what had happened by then.
            recorded_at: Count only what had been written by then.

        Raises:
            errors.NotFound: There is no account with this id.
        """
        query = encoding.query(effective_at=effective_at, recorded_at=recorded_at)
        return self._ask(operations.GET_ACCOUNT_BALANCE, account_id, query=query)

    def statement(
        self,
        account_id: str,
        *,
        from_: datetime | None = None,
        to: datetime | None = None,
        kind: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Pages[StatementLine]:
        """List what moved on an account, line by line.

        Args:
            account_id: Which one.
            from_: Only what happened at this instant or later.
            to: Only what happened before this instant.
            kind: Only lines of this kind of journal entry, such as ``transfer``.
            limit: How many a page has, 1 to 100.
            cursor: Where to begin: ``next_cursor`` of a page.
        """
        query = encoding.query(from_=from_, to=to, kind=kind, limit=limit, cursor=cursor)
        return self._list(operations.LIST_ACCOUNT_STATEMENT, account_id, query=query)

    def list(
        self,
        *,
        code: str | None = None,
        type: _Type | None = None,
        currency: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Pages[Account]:
        """List accounts.

        Args:
            code: Only those with this code.
            type: Only those of this type.
            currency: Only those in this currency.
            limit: How many a page has, 1 to 100.
            cursor: Where to begin: ``next_cursor`` of a page.
        """
        query = encoding.query(code=code, type=type, currency=currency, limit=limit, cursor=cursor)
        return self._list(operations.LIST_ACCOUNTS, query=query)


class JournalEntries(Resource):
    """Balanced, immutable sets of postings: ``billfold.journal_entries``."""

    __slots__ = ()

    def create(
        self,
        *,
        postings: Sequence[NewPosting],
        description: str | None = None,
        effective_at: datetime | None = None,
        metadata: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> JournalEntry:
        """Post a journal entry.

        Args:
            postings: Two or more, made by ``debit(account_id, amount)`` and ``credit(account_id, amount)``, which
                balance in each currency.
            description: Reference that travels with the money, up to 140 characters.
            effective_at: When it happened, if not now.
            metadata: The caller's own keys and values.
            idempotency_key: The caller's own key; otherwise one is made, and kept over retries.

        Raises:
            errors.UnbalancedEntry: The postings don't sum to zero in one of the currencies.
            errors.InsufficientFunds: An account's available balance doesn't cover its posting.
        """
        body = encoding.fields(postings=postings, description=description, effective_at=effective_at, metadata=metadata)
        return self._order(operations.CREATE_JOURNAL_ENTRY, body=body, idempotency_key=idempotency_key)

    def get(self, journal_entry_id: str) -> JournalEntry:
        """Return a journal entry.

        Raises:
            errors.NotFound: There is none with this id.
        """
        return self._ask(operations.GET_JOURNAL_ENTRY, journal_entry_id)

    def proof(self, journal_entry_id: str) -> JournalEntryProof:
        """Return what shows that a journal entry is in the ledger; ``billfold.proofs.verify_proof`` verifies it.

        Raises:
            errors.NotFound: There is none with this id.
        """
        return self._ask(operations.GET_JOURNAL_ENTRY_PROOF, journal_entry_id)

    def reverse(
        self,
        journal_entry_id: str,
        *,
        amount_minor: int | None = None,
        reason: str | None = None,
        metadata: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> JournalEntry:
        """Undo a journal entry and return the reversing entry.

        Args:
            journal_entry_id: Which one.
            amount_minor: How much, in minor units, of one that has two postings; the whole where absent.
            reason: Why.
            metadata: The caller's own keys and values.
            idempotency_key: The caller's own key; otherwise one is made, and kept over retries.

        Raises:
            errors.ReversalExceedsEntry: Less than that remains to be undone.
            errors.EntryNotReversible: It is a reversing entry, or can only be undone as a whole.
        """
        body = encoding.fields(amount_minor=amount_minor, reason=reason, metadata=metadata)
        return self._order(
            operations.REVERSE_JOURNAL_ENTRY, journal_entry_id, body=body, idempotency_key=idempotency_key
        )

    def list(
        self,
        *,
        account_id: str | None = None,
        kind: str | None = None,
        from_: datetime | None = None,
        to: datetime | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Pages[JournalEntry]:
        """List journal entries.

        Args:
            account_id: Only those with a posting on this account.
            kind: Only those of this kind, such as ``transfer``.
            from_: Only what happened at this instant or later.
            to: Only what happened before this instant.
            limit: How many a page has, 1 to 100.
            cursor: Where to begin: ``next_cursor`` of a page.
        """
        query = encoding.query(account_id=account_id, kind=kind, from_=from_, to=to, limit=limit, cursor=cursor)
        return self._list(operations.LIST_JOURNAL_ENTRIES, query=query)


class Ledger(Resource):
    """The ledger as a whole: ``billfold.ledger``."""

    __slots__ = ()

    def head(self) -> LedgerHead:
        """Return the signed head of the ledger's hash chain, which stands for everything posted so far.

        Whoever keeps it notices books that are changed later; ``billfold.proofs.verify_head`` verifies it.
        """
        return self._ask(operations.GET_LEDGER_HEAD)
