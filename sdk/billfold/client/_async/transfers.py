"""Money that moves: from wallet to wallet, into one from outside, and out of one."""

import itertools
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, Literal

from billfold.client import _encoding as encoding
from billfold.client import _operations as operations
from billfold.client._async.resource import AsyncPages, AsyncResource
from billfold.client._encoding import Amount
from billfold.contract.ledger import JournalEntry
from billfold.contract.wallets import (
    BulkMode,
    KeyedTransfer,
    TopUp,
    Transfer,
    TransferVerdict,
    TransferVerdicts,
    Withdrawal,
)

__all__ = ["AsyncTopUps", "AsyncTransfers", "AsyncWithdrawals"]

_TransferExpand = Literal["from_wallet", "to_wallet", "journal_entry"]
_EntryExpand = Literal["wallet", "journal_entry"]
_MOST_AT_ONCE: Final = 1000
"""How many items one request may hold."""


class AsyncTransfers(AsyncResource):
    """Money from wallet to wallet: ``billfold.transfers``."""

    __slots__ = ()

    async def create(
        self,
        *,
        from_wallet_id: str,
        to_wallet_id: str,
        amount: Amount,
        description: str | None = None,
        effective_at: datetime | None = None,
        metadata: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> Transfer:
        """Move money from one wallet to another.

        Sent again by itself when the answer is lost, under the same key, so it is booked once at most.

        Args:
            from_wallet_id: Where it leaves.
            to_wallet_id: Where it arrives.
            amount: ``Money(1250, "EUR")`` in minor units, or ``("12.50", "EUR")``.
            description: Reference that travels with the money, up to 140 characters.
            effective_at: When it happened, if not now.
            metadata: The caller's own keys and values.
            idempotency_key: The caller's own key, such as the order's number; otherwise one is made, and kept over
                retries. Give one where the program itself may be ended and begin again.

        Raises:
            errors.InsufficientFunds: The source's available balance doesn't cover it.
            errors.WalletFrozen: One of the wallets is frozen.
            errors.LimitExceeded: A limit of the tenant refuses it.
        """
        body = encoding.fields(
            from_wallet_id=from_wallet_id,
            to_wallet_id=to_wallet_id,
            amount=encoding.money(amount),
            description=description,
            effective_at=effective_at,
            metadata=metadata,
        )
        return await self._order(operations.CREATE_TRANSFER, body=body, idempotency_key=idempotency_key)

    async def bulk(
        self, transfers: Iterable[KeyedTransfer], *, mode: BulkMode | Literal["each", "atomic"] = "each"
    ) -> TransferVerdicts:
        """Make up to 1,000 transfers in one request, and return the verdict on each.

        ``billfold.order(…)`` makes the items, each with a key of its own, so sending them again books none twice. A
        refused item raises nothing: its verdict has a ``problem``, and ``billfold.as_error`` makes an error of that.

        Args:
            transfers: The orders, 1 to 1,000.
            mode: ``each`` carries them out one after the other, whatever becomes of the others; ``atomic`` carries out
                all or none.

        Raises:
            errors.ValidationFailed: An item isn't of the documented form, and nothing was carried out.
        """
        body = encoding.fields(mode=mode, transfers=list(transfers))
        return await self._change(operations.BULK_TRANSFER, body=body, repeatable=True)

    async def bulk_each(
        self, transfers: Iterable[KeyedTransfer], *, at_once: int = _MOST_AT_ONCE
    ) -> AsyncIterator[TransferVerdict]:
        """Make any number of transfers, many per request, and go through the verdicts as they come.

        The items stand for themselves. Whoever stops, or is stopped by an error, may begin again with the same items:
        those that were carried out are answered as they were.

        Args:
            transfers: The orders; they are asked for as the requests go out, so they needn't fit into memory.
            at_once: How many go out in one request, 1 to 1,000; fewer where each has much metadata.

        Raises:
            errors.ValidationFailed: An item isn't of the documented form, and nothing of its request was carried out.
            errors.BodyTooLarge: So many don't fit into one request, and nothing of it was carried out.
            ValueError: ``at_once`` is out of range.
        """
        # None at once would end without a transfer and without a word.
        if at_once not in range(1, _MOST_AT_ONCE + 1):
            raise ValueError(f"at_once is 1 to {_MOST_AT_ONCE}")
        rest = iter(transfers)
        while chunk := list(itertools.islice(rest, at_once)):
            verdicts = await self.bulk(chunk)
            for verdict in verdicts.results:
                yield verdict

    async def get(self, transfer_id: str, *, expand: Sequence[_TransferExpand] = ()) -> Transfer:
        """Return a transfer.

        Args:
            transfer_id: Which one.
            expand: What to tell as a whole in ``expanded``: ``from_wallet``, ``to_wallet`` and ``journal_entry``.

        Raises:
            errors.NotFound: There is none with this id.
        """
        return await self._ask(operations.GET_TRANSFER, transfer_id, query=encoding.query(expand=expand))

    async def reverse(
        self,
        transfer_id: str,
        *,
        amount_minor: int | None = None,
        reason: str | None = None,
        idempotency_key: str | None = None,
    ) -> JournalEntry:
        """Undo a transfer, whole or in part, and return the reversing entry.

        Args:
            transfer_id: Which one.
            amount_minor: How much of it, in minor units; all that remains where absent.
            reason: Why.
            idempotency_key: The caller's own key; otherwise one is made, and kept over retries.

        Raises:
            errors.ReversalExceedsEntry: Less than that remains to be undone.
            errors.InsufficientFunds: The money isn't there any more.
        """
        body = encoding.fields(amount_minor=amount_minor, reason=reason)
        return await self._order(operations.REVERSE_TRANSFER, transfer_id, body=body, idempotency_key=idempotency_key)

    def list(
        self,
        *,
        wallet_id: str | None = None,
        expand: Sequence[_TransferExpand] = (),
        limit: int | None = None,
        cursor: str | None = None,
    ) -> AsyncPages[Transfer]:
        """List transfers.

        Args:
            wallet_id: Only those of this wallet.
            expand: What to tell as a whole in ``expanded``: ``from_wallet``, ``to_wallet`` and ``journal_entry``.
            limit: How many a page has, 1 to 100.
            cursor: Where to begin: ``next_cursor`` of a page.
        """
        query = encoding.query(wallet_id=wallet_id, expand=expand, limit=limit, cursor=cursor)
        return self._list(operations.LIST_TRANSFERS, query=query)


class AsyncTopUps(AsyncResource):
    """Money that comes into wallets from outside: ``billfold.top_ups``."""

    __slots__ = ()

    async def create(
        self,
        *,
        wallet_id: str,
        amount: Amount,
        cash_account_id: str | None = None,
        description: str | None = None,
        effective_at: datetime | None = None,
        metadata: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> TopUp:
        """Book money that came in from outside to a wallet.

        Sent again by itself when the answer is lost, under the same key, so it is booked once at most.

        Args:
            wallet_id: Which wallet.
            amount: ``Money(1250, "EUR")`` in minor units, or ``("12.50", "EUR")``.
            cash_account_id: The account where the money arrived; the tenant's default where absent.
            description: Reference that travels with the money, up to 140 characters.
            effective_at: When it happened, if not now.
            metadata: The caller's own keys and values.
            idempotency_key: The caller's own key, such as the order's number; otherwise one is made, and kept over
                retries. Give one where the program itself may be ended and begin again.

        Raises:
            errors.WalletFrozen: The wallet is frozen.
            errors.LimitExceeded: A limit of the tenant refuses it.
        """
        body = encoding.fields(
            wallet_id=wallet_id,
            amount=encoding.money(amount),
            cash_account_id=cash_account_id,
            description=description,
            effective_at=effective_at,
            metadata=metadata,
        )
        return await self._order(operations.CREATE_TOP_UP, body=body, idempotency_key=idempotency_key)

    async def get(self, top_up_id: str, *, expand: Sequence[_EntryExpand] = ()) -> TopUp:
        """Return a top-up.

        Args:
            top_up_id: Which one.
            expand: What to tell as a whole in ``expanded``: ``wallet`` and ``journal_entry``.

        Raises:
            errors.NotFound: There is none with this id.
        """
        return await self._ask(operations.GET_TOP_UP, top_up_id, query=encoding.query(expand=expand))

    async def reverse(
        self,
        top_up_id: str,
        *,
        amount_minor: int | None = None,
        reason: str | None = None,
        idempotency_key: str | None = None,
    ) -> JournalEntry:
        """Undo a top-up, whole or in part, and return the reversing entry.

        Args:
            top_up_id: Which one.
            amount_minor: How much of it, in minor units; all that remains where absent.
            reason: Why.
            idempotency_key: The caller's own key; otherwise one is made, and kept over retries.

        Raises:
            errors.ReversalExceedsEntry: Less than that remains to be undone.
            errors.InsufficientFunds: The money isn't there any more.
        """
        body = encoding.fields(amount_minor=amount_minor, reason=reason)
        return await self._order(operations.REVERSE_TOP_UP, top_up_id, body=body, idempotency_key=idempotency_key)

    def list(
        self,
        *,
        wallet_id: str | None = None,
        expand: Sequence[_EntryExpand] = (),
        limit: int | None = None,
        cursor: str | None = None,
    ) -> AsyncPages[TopUp]:
        """List top-ups.

        Args:
            wallet_id: Only those of this wallet.
            expand: What to tell as a whole in ``expanded``: ``wallet`` and ``journal_entry``.
            limit: How many a page has, 1 to 100.
            cursor: Where to begin: ``next_cursor`` of a page.
        """
        query = encoding.query(wallet_id=wallet_id, expand=expand, limit=limit, cursor=cursor)
        return self._list(operations.LIST_TOP_UPS, query=query)


class AsyncWithdrawals(AsyncResource):
    """Money that leaves wallets for the outside: ``billfold.withdrawals``."""

    __slots__ = ()

    async def create(
        self,
        *,
        wallet_id: str,
        amount: Amount,
        cash_account_id: str | None = None,
        description: str | None = None,
        effective_at: datetime | None = None,
        metadata: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> Withdrawal:
        """Book money that leaves a wallet for the outside.

        Sent again by itself when the answer is lost, under the same key, so it is booked once at most.

        Args:
            wallet_id: Which wallet.
            amount: ``Money(1250, "EUR")`` in minor units, or ``("12.50", "EUR")``.
            cash_account_id: The account that the money leaves from; the tenant's default where absent.
            description: Reference that travels with the money, up to 140 characters.
            effective_at: When it happened, if not now.
            metadata: The caller's own keys and values.
            idempotency_key: The caller's own key, such as the order's number; otherwise one is made, and kept over
                retries. Give one where the program itself may be ended and begin again.

        Raises:
            errors.InsufficientFunds: The wallet's available balance doesn't cover it.
            errors.WalletFrozen: The wallet is frozen.
            errors.LimitExceeded: A limit of the tenant refuses it.
        """
        body = encoding.fields(
            wallet_id=wallet_id,
            amount=encoding.money(amount),
            cash_account_id=cash_account_id,
            description=description,
            effective_at=effective_at,
            metadata=metadata,
        )
        return await self._order(operations.CREATE_WITHDRAWAL, body=body, idempotency_key=idempotency_key)

    async def get(self, withdrawal_id: str, *, expand: Sequence[_EntryExpand] = ()) -> Withdrawal:
        """Return a withdrawal.

        Args:
            withdrawal_id: Which one.
            expand: What to tell as a whole in ``expanded``: ``wallet`` and ``journal_entry``.

        Raises:
            errors.NotFound: There is none with this id.
        """
        return await self._ask(operations.GET_WITHDRAWAL, withdrawal_id, query=encoding.query(expand=expand))

    async def reverse(
        self,
        withdrawal_id: str,
        *,
        amount_minor: int | None = None,
        reason: str | None = None,
        idempotency_key: str | None = None,
    ) -> JournalEntry:
        """Undo a withdrawal, whole or in part, and return the reversing entry.

        Args:
            withdrawal_id: Which one.
            amount_minor: How much of it, in minor units; all that remains where absent.
            reason: Why.
            idempotency_key: The caller's own key; otherwise one is made, and kept over retries.

        Raises:
            errors.ReversalExceedsEntry: Less than that remains to be undone.
            errors.InsufficientFunds: The money isn't there any more.
        """
        body = encoding.fields(amount_minor=amount_minor, reason=reason)
        return await self._order(
            operations.REVERSE_WITHDRAWAL, withdrawal_id, body=body, idempotency_key=idempotency_key
        )

    def list(
        self,
        *,
        wallet_id: str | None = None,
        expand: Sequence[_EntryExpand] = (),
        limit: int | None = None,
        cursor: str | None = None,
    ) -> AsyncPages[Withdrawal]:
        """List withdrawals.

        Args:
            wallet_id: Only those of this wallet.
            expand: What to tell as a whole in ``expanded``: ``wallet`` and ``journal_entry``.
            limit: How many a page has, 1 to 100.
            cursor: Where to begin: ``next_cursor`` of a page.
        """
        query = encoding.query(wallet_id=wallet_id, expand=expand, limit=limit, cursor=cursor)
        return self._list(operations.LIST_WITHDRAWALS, query=query)
