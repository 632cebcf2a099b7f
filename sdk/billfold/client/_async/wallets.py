"""Wallets and the aliases by which money finds them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

from msgspec import UNSET, UnsetType

from billfold.client import _encoding as encoding
from billfold.client import _operations as operations
from billfold.client._async.resource import AsyncPages, AsyncResource
from billfold.client._async.session import AsyncSession
from billfold.contract.ledger import Balance, StatementLine
from billfold.contract.wallets import Alias, AliasScheme, Wallet, WalletStatus

__all__ = ["AsyncAliases", "AsyncWallets"]

_Expand = Literal["party"]
_Status = WalletStatus | Literal["active", "frozen", "closed"]
_Scheme = AliasScheme | Literal["iban", "reference", "name", "sort_code_account_number"]


class AsyncAliases(AsyncResource):
    """Names by which money finds a wallet: ``billfold.wallets.aliases``."""

    __slots__ = ()

    async def create(self, wallet_id: str, *, scheme: _Scheme, value: str, idempotency_key: str | None = None) -> Alias:
        """Give a wallet another name by which money finds it.

        Args:
            wallet_id: Whose name it becomes.
            scheme: ``iban``, ``sort_code_account_number``, ``reference`` or ``name`` (of a counterparty).
            value: The name itself.
            idempotency_key: The caller's own key; otherwise one is made, and kept over retries.

        Raises:
            errors.AliasTaken: Another wallet has it.
        """
        body = encoding.fields(scheme=scheme, value=value)
        return await self._order(operations.CREATE_ALIAS, wallet_id, body=body, idempotency_key=idempotency_key)

    async def delete(self, wallet_id: str, alias_id: str) -> None:
        """Take a name away from a wallet.

        Raises:
            errors.NotFound: The wallet has no such alias.
        """
        await self._change(operations.DELETE_ALIAS, wallet_id, alias_id)

    def list(self, wallet_id: str, *, limit: int | None = None, cursor: str | None = None) -> AsyncPages[Alias]:
        """List the aliases of a wallet.

        Args:
            wallet_id: Which wallet.
            limit: How many a page has, 1 to 100.
            cursor: Where to begin: ``next_cursor`` of a page.
        """
        return self._list(operations.LIST_ALIASES, wallet_id, query=encoding.query(limit=limit, cursor=cursor))


class AsyncWallets(AsyncResource):
    """Wallets of parties, with a balance per currency: ``billfold.wallets``."""

    __slots__ = ("aliases",)

    def __init__(self, session: AsyncSession) -> None:
        super().__init__(session)
        self.aliases = AsyncAliases(session)

    async def create(
        self,
        *,
        party_id: str,
        label: str | None = None,
        currencies: Sequence[str] | None = None,
        metadata: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> Wallet:
        """Open a wallet for a party.

        Args:
            party_id: Who owns it.
            label: What its owner calls it.
            currencies: Which balances to open at once; others are opened by the first money that arrives.
            metadata: The caller's own keys and values.
            idempotency_key: The caller's own key; otherwise one is made, and kept over retries.

        Raises:
            errors.CurrencyNotEnabled: The tenant doesn't use one of the currencies.
        """
        body = encoding.fields(party_id=party_id, label=label, currencies=currencies, metadata=metadata)
        return await self._order(operations.CREATE_WALLET, body=body, idempotency_key=idempotency_key)

    async def get(self, wallet_id: str, *, expand: Sequence[_Expand] = ()) -> Wallet:
        """Return a wallet with its balances.

        Args:
            wallet_id: Which one.
            expand: What to tell as a whole in ``expanded``: ``party``.

        Raises:
            errors.NotFound: There is none with this id.
        """
        return await self._ask(operations.GET_WALLET, wallet_id, query=encoding.query(expand=expand))

    async def update(
        self,
        wallet_id: str,
        *,
        label: str | UnsetType | None = UNSET,
        metadata: Mapping[str, str] | UnsetType = UNSET,
        if_match: int | str | None = None,
    ) -> Wallet:
        """Change a wallet's label or metadata. What isn't given stays, None clears.

        Args:
            wallet_id: Which one.
            label: What its owner calls it.
            metadata: The caller's own keys and values, replaced as a whole.
            if_match: The ``version`` that the caller has read; without it, the change is made whatever was changed
                since.

        Raises:
            errors.PreconditionFailed: The wallet has changed since that version.
        """
        body = encoding.changes(label=label, metadata=metadata)
        return await self._change(operations.UPDATE_WALLET, wallet_id, body=body, if_match=if_match)

    async def freeze(self, wallet_id: str, *, reason: str, idempotency_key: str | None = None) -> Wallet:
        """Freeze a wallet, so that nothing leaves or enters it.

        Args:
            wallet_id: Which one.
            reason: Why; it is kept in the audit.
            idempotency_key: The caller's own key; otherwise one is made, and kept over retries.

        Raises:
            errors.WalletClosed: It is closed.
        """
        body = encoding.fields(reason=reason)
        return await self._order(operations.FREEZE_WALLET, wallet_id, body=body, idempotency_key=idempotency_key)

    async def unfreeze(self, wallet_id: str, *, reason: str, idempotency_key: str | None = None) -> Wallet:
        """Let money move in a frozen wallet again.

        Args:
            wallet_id: Which one.
            reason: Why; it is kept in the audit.
            idempotency_key: The caller's own key; otherwise one is made, and kept over retries.

        Raises:
            errors.WalletNotFrozen: It isn't frozen.
        """
        body = encoding.fields(reason=reason)
        return await self._order(operations.UNFREEZE_WALLET, wallet_id, body=body, idempotency_key=idempotency_key)

    async def close(self, wallet_id: str, *, reason: str, idempotency_key: str | None = None) -> Wallet:
        """Close an empty wallet for good.

        Args:
            wallet_id: Which one.
            reason: Why; it is kept in the audit.
            idempotency_key: The caller's own key; otherwise one is made, and kept over retries.

        Raises:
            errors.WalletNotEmpty: There is a balance, a hold or a pending amount in it.
        """
        body = encoding.fields(reason=reason)
        return await self._order(operations.CLOSE_WALLET, wallet_id, body=body, idempotency_key=idempotency_key)

    def balances(
        self,
        wallet_id: str,
        *,
        effective_at: datetime | None = None,
        recorded_at: datetime | None = None,
    ) -> AsyncPages[Balance]:
        """List a wallet's balances, one per currency, now or as of any time.

        Args:
            wallet_id: Which one.
            effective_at: Count only what had happened by then.
            recorded_at: Count only what had been written by then.
        """
        query = encoding.query(effective_at=effective_at, recorded_at=recorded_at)
        return self._list(operations.LIST_WALLET_BALANCES, wallet_id, query=query)

    def statement(
        self,
        wallet_id: str,
        *,
        currency: str | None = None,
        from_: datetime | None = None,
        to: datetime | None = None,
        kind: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> AsyncPages[StatementLine]:
        """List what moved in a wallet, line by line.

        Args:
            wallet_id: Which one.
            currency: Only this currency.
            from_: Only what happened at this instant or later.
            to: Only what happened before this instant.
            kind: Only lines of this kind of journal entry, such as ``transfer``.
            limit: How many a page has, 1 to 100.
            cursor: Where to begin: ``next_cursor`` of a page.
        """
        query = encoding.query(currency=currency, from_=from_, to=to, kind=kind, limit=limit, cursor=cursor)
        return self._list(operations.LIST_WALLET_STATEMENT, wallet_id, query=query)

    def list(
        self,
        *,
        party_id: str | None = None,
        status: _Status | None = None,
        alias: str | None = None,
        expand: Sequence[_Expand] = (),
        limit: int | None = None,
        cursor: str | None = None,
    ) -> AsyncPages[Wallet]:
        """List wallets.

        Args:
            party_id: Only those of this party.
            status: Only ``active``, ``frozen`` or ``closed`` ones.
            alias: Only the wallet with this alias.
            expand: What to tell as a whole in ``expanded``: ``party``.
            limit: How many a page has, 1 to 100.
            cursor: Where to begin: ``next_cursor`` of a page.
        """
        query = encoding.query(party_id=party_id, status=status, alias=alias, expand=expand, limit=limit, cursor=cursor)
        return self._list(operations.LIST_WALLETS, query=query)
