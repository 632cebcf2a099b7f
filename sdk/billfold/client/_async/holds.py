"""Holds: money that is reserved now and taken later."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

from billfold.client import _encoding as encoding
from billfold.client import _operations as operations
from billfold.client._async.resource import AsyncPages, AsyncResource
from billfold.client._encoding import Amount
from billfold.contract.ledger import Hold, HoldStatus

__all__ = ["AsyncHolds"]

_Expand = Literal["wallet", "to_wallet"]
_Status = HoldStatus | Literal["open", "captured", "released", "expired"]


class AsyncHolds(AsyncResource):
    """Reservations of part of a wallet's balance: ``billfold.holds``.

    What was captured is given back by ``journal_entries.reverse`` of one of the hold's ``journal_entry_ids``, whole or
    in part, or by a transfer where the program may not write to the ledger.
    """

    __slots__ = ()

    async def create(
        self,
        *,
        wallet_id: str,
        amount: Amount,
        to_wallet_id: str | None = None,
        to_account_id: str | None = None,
        expires_at: datetime | None = None,
        description: str | None = None,
        metadata: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> Hold:
        """Reserve part of a wallet's balance.

        Args:
            wallet_id: Whose balance.
            amount: ``Money(1250, "EUR")`` in minor units, or ``("12.50", "EUR")``.
            to_wallet_id: The wallet that may take it.
            to_account_id: The account that may take it, instead of a wallet.
            expires_at: When it is given back by itself, on the tenant's clock. Where absent, never: it stays reserved
                until it is captured or released.
            description: Reference that travels with the money, up to 140 characters.
            metadata: The caller's own keys and values.
            idempotency_key: The caller's own key; otherwise one is made, and kept over retries.

        Raises:
            errors.InsufficientFunds: The available balance doesn't cover it.
            errors.WalletFrozen: The wallet is frozen.
        """
        body = encoding.fields(
            wallet_id=wallet_id,
            amount=encoding.money(amount),
            to_wallet_id=to_wallet_id,
            to_account_id=to_account_id,
            expires_at=expires_at,
            description=description,
            metadata=metadata,
        )
        return await self._order(operations.CREATE_HOLD, body=body, idempotency_key=idempotency_key)

    async def get(self, hold_id: str, *, expand: Sequence[_Expand] = ()) -> Hold:
        """Return a hold.

        Args:
            hold_id: Which one.
            expand: What to tell as a whole in ``expanded``: ``wallet`` and ``to_wallet``.

        Raises:
            errors.NotFound: There is none with this id.
        """
        return await self._ask(operations.GET_HOLD, hold_id, query=encoding.query(expand=expand))

    async def capture(
        self,
        hold_id: str,
        *,
        amount_minor: int | None = None,
        to_wallet_id: str | None = None,
        to_account_id: str | None = None,
        final: bool | None = None,
        idempotency_key: str | None = None,
    ) -> Hold:
        """Take what is held, whole or in part.

        Args:
            hold_id: Which one.
            amount_minor: How much, in minor units; all that remains where absent.
            to_wallet_id: Where it goes, if the hold doesn't say so.
            to_account_id: The same, for an account instead of a wallet.
            final: Whether what isn't captured is released, which it is where absent.
            idempotency_key: The caller's own key; otherwise one is made, and kept over retries.

        Raises:
            errors.HoldNotOpen: It has been captured or released, or has expired.
            errors.CaptureExceedsHold: Less than that is held.
            errors.HoldCapturesExhausted: It isn't final, and there were 999 before.
            errors.HoldHasNoDestination: Neither the hold nor the call says where the money goes.
        """
        body = encoding.fields(
            amount_minor=amount_minor, to_wallet_id=to_wallet_id, to_account_id=to_account_id, final=final
        )
        return await self._order(operations.CAPTURE_HOLD, hold_id, body=body, idempotency_key=idempotency_key)

    async def release(self, hold_id: str, *, idempotency_key: str | None = None) -> Hold:
        """Give back what is held.

        Args:
            hold_id: Which one.
            idempotency_key: The caller's own key; otherwise one is made, and kept over retries.

        Raises:
            errors.HoldNotOpen: It has been captured or released, or has expired.
        """
        return await self._order(operations.RELEASE_HOLD, hold_id, body=None, idempotency_key=idempotency_key)

    def list(
        self,
        *,
        wallet_id: str | None = None,
        status: _Status | None = None,
        expand: Sequence[_Expand] = (),
        limit: int | None = None,
        cursor: str | None = None,
    ) -> AsyncPages[Hold]:
        """List holds.

        Args:
            wallet_id: Only those on this wallet.
            status: Only ``open``, ``captured``, ``released`` or ``expired`` ones.
            expand: What to tell as a whole in ``expanded``: ``wallet`` and ``to_wallet``.
            limit: How many a page has, 1 to 100.
            cursor: Where to begin: ``next_cursor`` of a page.
        """
        query = encoding.query(wallet_id=wallet_id, status=status, expand=expand, limit=limit, cursor=cursor)
        return self._list(operations.LIST_HOLDS, query=query)
