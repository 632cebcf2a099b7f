# Generated from billfold/client/_async/statements.py by tests/sdk/generate_sync.py. Change that one instead.

"""Bank statements: files that fund wallets, and the entries in them."""

from os import PathLike
from typing import BinaryIO, Literal

from billfold.client import _encoding as encoding
from billfold.client import _operations as operations
from billfold.client._sync.backend import read_file
from billfold.client._sync.resource import Pages, Resource
from billfold.contract.statements import EntryOutcome, StatementEntry, StatementImport

__all__ = ["StatementEntries", "Statements"]

_Outcome = (
    EntryOutcome | Literal["topped_up", "withdrawn", "suspense", "assigned", "reversed", "duplicate", "not_booked"]
)


class Statements(Resource):
    """Imports of bank statement files: ``billfold.statements``."""

    __slots__ = ()

    def import_file(
        self, source: str | PathLike[str] | bytes | BinaryIO, *, idempotency_key: str | None = None
    ) -> StatementImport:
        """Import a bank's statement file: camt.053 or MT940.

        Credits top up the wallets that they name, debits are withdrawals, and what fits no wallet waits in suspense. A
        file that was imported before changes nothing again. It may have 5,000 entries, in 1,000 statements, at most; a
        longer one comes in parts, by statement or by day.

        Args:
            source: A path, an open binary file, or the file's bytes.
            idempotency_key: The caller's own key; otherwise one is made, and kept over retries.

        Raises:
            OSError: The file can't be read.
            errors.StatementUnreadable: It is no statement; ``line`` and ``reason`` say where and why. Nothing changed.
        """
        body = read_file(source)
        return self._order(
            operations.IMPORT_STATEMENTS,
            body=body,
            idempotency_key=idempotency_key,
            content_type="application/octet-stream",
        )

    def get(self, statement_import_id: str) -> StatementImport:
        """Return what an import did.

        Raises:
            errors.NotFound: There is none with this id.
        """
        return self._ask(operations.GET_STATEMENT_IMPORT, statement_import_id)

    def reverse(
        self, statement_import_id: str, *, reason: str | None = None, idempotency_key: str | None = None
    ) -> StatementImport:
        """Take back the import of a wrong file as a whole, or not at all.

        The same file, or a corrected one, may be imported afterwards as if it hadn't come before.

        Args:
            statement_import_id: Which import.
            reason: Why, for the audit trail.
            idempotency_key: The caller's own key; otherwise one is made, and kept over retries.

        Raises:
            errors.ApprovalRequired: It moved so much money that another person must agree.
            errors.NotFound: There is none with this id.
            errors.StatementImportNotReversible: Something is in the way; ``reason`` and the ids beside it say what.
        """
        return self._order(
            operations.REVERSE_STATEMENT_IMPORT,
            statement_import_id,
            body=encoding.fields(reason=reason),
            idempotency_key=idempotency_key,
        )

    def list(self, *, limit: int | None = None, cursor: str | None = None) -> Pages[StatementImport]:
        """List imports.

        Args:
            limit: How many a page has, 1 to 100.
            cursor: Where to begin: ``next_cursor`` of a page.
        """
        return self._list(operations.LIST_STATEMENT_IMPORTS, query=encoding.query(limit=limit, cursor=cursor))


class StatementEntries(Resource):
    """Entries of imported statements: ``billfold.statement_entries``."""

    __slots__ = ()

    def get(self, statement_entry_id: str) -> StatementEntry:
        """Return a statement entry.

        Raises:
            errors.NotFound: There is none with this id.
        """
        return self._ask(operations.GET_STATEMENT_ENTRY, statement_entry_id)

    def assign(
        self,
        statement_entry_id: str,
        *,
        wallet_id: str | None = None,
        account_id: str | None = None,
        withdrawal_id: str | None = None,
        top_up_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> StatementEntry:
        """Move an entry from suspense to the wallet that it belongs to, to an account, or to what it shows.

        A bank's fees and interest belong to no wallet, nor does what goes on to another account of its own. Reversing
        ``assigning_journal_entry_id`` whole puts the entry back.

        Args:
            statement_entry_id: Which entry.
            wallet_id: Which wallet.
            account_id: Which account of the general ledger, in place of a wallet.
            withdrawal_id: Which withdrawal, where the entry shows that its money has left or has come back.
            top_up_id: Which top-up, where the entry shows that its money has come in or has gone back.
            idempotency_key: The caller's own key; otherwise one is made, and kept over retries.

        Raises:
            errors.AccountNotUsable: The account is a wallet's, suspense, or a bank account's cash account.
            errors.ApprovalRequired: It is so much money that another person must agree.
            errors.HistoryDetached: What it brings back was ordered in a month that has left the ledger.
            errors.StatementEntryNotInSuspense: It doesn't lie in suspense.
            errors.TopUpDiffers: It can't be of this top-up.
            errors.WithdrawalDiffers: It can't be of this withdrawal.
        """
        body = encoding.fields(
            wallet_id=wallet_id, account_id=account_id, withdrawal_id=withdrawal_id, top_up_id=top_up_id
        )
        return self._order(
            operations.ASSIGN_STATEMENT_ENTRY, statement_entry_id, body=body, idempotency_key=idempotency_key
        )

    def list(
        self,
        *,
        statement_import_id: str | None = None,
        outcome: _Outcome | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Pages[StatementEntry]:
        """List statement entries.

        Args:
            statement_import_id: Only those of this import.
            outcome: Only those that became this, such as ``suspense``.
            limit: How many a page has, 1 to 100.
            cursor: Where to begin: ``next_cursor`` of a page.
        """
        query = encoding.query(statement_import_id=statement_import_id, outcome=outcome, limit=limit, cursor=cursor)
        return self._list(operations.LIST_STATEMENT_ENTRIES, query=query)
