"""What has been arranged for wallets, the products that they are of, and their statements."""

from collections.abc import Sequence
from typing import Literal

from msgspec import UNSET, UnsetType

from billfold.client import _encoding as encoding
from billfold.client import _operations as operations
from billfold.client._async.resource import AsyncPages, AsyncResource
from billfold.client._encoding import Amount
from billfold.contract.account_statements import AccountStatement
from billfold.contract.arrangements import (
    Arrangement,
    ArrangementKind,
    ArrangementStatus,
    Beneficiary,
    DirectDebit,
    Offer,
    Product,
    ProductAssignment,
    ProductType,
    ScheduledPayment,
    StandingOrder,
)

__all__ = ["AsyncAccountStatements", "AsyncArrangements", "AsyncProducts"]

_Expand = Literal["wallet"]
_Kind = ArrangementKind | Literal["beneficiary", "direct_debit", "standing_order", "scheduled_payment", "offer"]
_Status = ArrangementStatus | Literal["active", "suspended", "cancelled", "expired"]
_Type = ProductType | Literal["personal_current_account", "business_current_account", "other"]


class AsyncArrangements(AsyncResource):
    """What has been arranged for wallets beside their money: ``billfold.arrangements``.

    They are records, which open banking shows: nothing is paid by them. Whoever wants to pay later, or again and again,
    orders each payment when it is due, under a key that follows from the day, such as ``rent-4711-2026-12``.

    ::

        from billfold.contract.arrangements import AccountScheme, CounterpartyAccount, Frequency, StandingOrder

        landlord = CounterpartyAccount(scheme=AccountScheme.IBAN, identification="GB33BUKB20201555555555")
        rent = StandingOrder(creditor=landlord, frequency=Frequency.MONTHLY)
        await billfold.arrangements.create(wallet_id=wallet.id, standing_order=rent)
    """

    __slots__ = ()

    async def create(
        self,
        *,
        wallet_id: str,
        beneficiary: Beneficiary | None = None,
        direct_debit: DirectDebit | None = None,
        standing_order: StandingOrder | None = None,
        scheduled_payment: ScheduledPayment | None = None,
        offer: Offer | None = None,
        idempotency_key: str | None = None,
    ) -> Arrangement:
        """Record what has been arranged for a wallet; one of the five is given. Nothing here moves money.

        Args:
            wallet_id: Which wallet.
            beneficiary: Whom its owner pays more than once.
            direct_debit: A mandate by which somebody collects from it.
            standing_order: What its owner pays again and again.
            scheduled_payment: A payment of the future.
            offer: What the bank offers for it.
            idempotency_key: The caller's own key; otherwise one is made, and kept over retries.

        Raises:
            errors.NotFound: There is no such wallet.
            errors.ArrangementInvalid: Not exactly one of the five is given.
        """
        members = {
            "beneficiary": beneficiary,
            "direct_debit": direct_debit,
            "standing_order": standing_order,
            "scheduled_payment": scheduled_payment,
            "offer": offer,
        }
        kind = next((name for name, member in members.items() if member is not None), None)
        body = encoding.fields(wallet_id=wallet_id, kind=kind, **members)
        return await self._order(operations.CREATE_ARRANGEMENT, body=body, idempotency_key=idempotency_key)

    async def get(self, arrangement_id: str, *, expand: Sequence[_Expand] = ()) -> Arrangement:
        """Return an arrangement.

        Args:
            arrangement_id: Which one.
            expand: What to tell as a whole in ``expanded``: ``wallet``.

        Raises:
            errors.NotFound: There is none with this id.
        """
        return await self._ask(operations.GET_ARRANGEMENT, arrangement_id, query=encoding.query(expand=expand))

    async def update(
        self,
        arrangement_id: str,
        *,
        status: _Status | None = None,
        beneficiary: Beneficiary | None = None,
        direct_debit: DirectDebit | None = None,
        standing_order: StandingOrder | None = None,
        scheduled_payment: ScheduledPayment | None = None,
        offer: Offer | None = None,
        if_match: int | str | None = None,
    ) -> Arrangement:
        """Change an arrangement. What isn't given stays; what it says is replaced as a whole.

        Args:
            arrangement_id: Which one.
            status: Whether it holds.
            beneficiary: What it says, where it is a beneficiary.
            direct_debit: What it says, where it is a direct debit.
            standing_order: What it says, where it is a standing order.
            scheduled_payment: What it says, where it is a scheduled payment.
            offer: What it says, where it is an offer.
            if_match: The ``version`` that the caller has read; without it, the change is made whatever was changed
                since.

        Raises:
            errors.PreconditionFailed: It has changed since that version.
            errors.ArrangementInvalid: It is of another kind.
        """
        body = encoding.fields(
            status=status,
            beneficiary=beneficiary,
            direct_debit=direct_debit,
            standing_order=standing_order,
            scheduled_payment=scheduled_payment,
            offer=offer,
        )
        return await self._change(operations.UPDATE_ARRANGEMENT, arrangement_id, body=body, if_match=if_match)

    def list(
        self,
        *,
        wallet_id: str | None = None,
        kind: _Kind | None = None,
        status: _Status | None = None,
        expand: Sequence[_Expand] = (),
        limit: int | None = None,
        cursor: str | None = None,
    ) -> AsyncPages[Arrangement]:
        """List arrangements, newest first.

        Args:
            wallet_id: Only those of this wallet.
            kind: Only those of this kind.
            status: Only those in this state.
            expand: What to tell as a whole in ``expanded``: ``wallet``.
            limit: How many a page has, 1 to 100.
            cursor: Where to begin: ``next_cursor`` of a page.
        """
        query = encoding.query(wallet_id=wallet_id, kind=kind, status=status, expand=expand, limit=limit, cursor=cursor)
        return self._list(operations.LIST_ARRANGEMENTS, query=query)


class AsyncProducts(AsyncResource):
    """Products that wallets are of: ``billfold.products``."""

    __slots__ = ()

    async def create(
        self,
        *,
        name: str,
        type: _Type,
        description: str,
        secondary_id: str | None = None,
        monthly_fee_cap: Amount | None = None,
        interest_rate: str | None = None,
        notes: Sequence[str] | None = None,
        idempotency_key: str | None = None,
    ) -> Product:
        """Create a product.

        Args:
            name: What it is called.
            type: What kind of account it is; for good.
            description: What it is, in a sentence or two.
            secondary_id: The caller's own id for it.
            monthly_fee_cap: How much its fees come to in a month at most.
            interest_rate: What a credit balance earns, in per cent a year, such as ``1.25``.
            notes: What else is to be said of it.
            idempotency_key: The caller's own key; otherwise one is made, and kept over retries.
        """
        body = encoding.fields(
            name=name,
            type=type,
            description=description,
            secondary_id=secondary_id,
            monthly_fee_cap=None if monthly_fee_cap is None else encoding.money(monthly_fee_cap),
            interest_rate=interest_rate,
            notes=notes,
        )
        return await self._order(operations.CREATE_PRODUCT, body=body, idempotency_key=idempotency_key)

    async def get(self, product_id: str) -> Product:
        """Return a product.

        Raises:
            errors.NotFound: There is none with this id.
        """
        return await self._ask(operations.GET_PRODUCT, product_id)

    async def update(
        self,
        product_id: str,
        *,
        name: str | UnsetType = UNSET,
        description: str | UnsetType = UNSET,
        secondary_id: str | UnsetType | None = UNSET,
        monthly_fee_cap: Amount | UnsetType | None = UNSET,
        interest_rate: str | UnsetType | None = UNSET,
        notes: Sequence[str] | UnsetType = UNSET,
        if_match: int | str | None = None,
    ) -> Product:
        """Change a product. What isn't given stays, None clears.

        Args:
            product_id: Which one.
            name: What it is called.
            description: What it is, in a sentence or two.
            secondary_id: The caller's own id for it.
            monthly_fee_cap: How much its fees come to in a month at most.
            interest_rate: What a credit balance earns, in per cent a year.
            notes: What else is to be said of it, replaced as a whole.
            if_match: The ``version`` that the caller has read; without it, the change is made whatever was changed
                since.

        Raises:
            errors.PreconditionFailed: It has changed since that version.
        """
        cap = monthly_fee_cap
        body = encoding.changes(
            name=name,
            description=description,
            secondary_id=secondary_id,
            monthly_fee_cap=cap if cap is None or isinstance(cap, UnsetType) else encoding.money(cap),
            interest_rate=interest_rate,
            notes=notes,
        )
        return await self._change(operations.UPDATE_PRODUCT, product_id, body=body, if_match=if_match)

    async def assign(self, product_id: str, *, wallet_ids: Sequence[str]) -> ProductAssignment:
        """Let wallets be of a product, each of which is of no other from now on.

        Args:
            product_id: Which product.
            wallet_ids: Which wallets, up to 100.

        Raises:
            errors.NotFound: There is no such product, or no such wallet.
        """
        body = encoding.fields(wallet_ids=wallet_ids)
        return await self._change(operations.ASSIGN_PRODUCT, product_id, body=body, repeatable=True)

    def list(self, *, limit: int | None = None, cursor: str | None = None) -> AsyncPages[Product]:
        """List products, newest first.

        Args:
            limit: How many a page has, 1 to 100.
            cursor: Where to begin: ``next_cursor`` of a page.
        """
        return self._list(operations.LIST_PRODUCTS, query=encoding.query(limit=limit, cursor=cursor))


class AsyncAccountStatements(AsyncResource):
    """What was booked to wallets, month by month: ``billfold.account_statements``."""

    __slots__ = ()

    async def get(self, account_statement_id: str, *, expand: Sequence[_Expand] = ()) -> AccountStatement:
        """Return an account statement.

        Args:
            account_statement_id: Which one.
            expand: What to tell as a whole in ``expanded``: ``wallet``.

        Raises:
            errors.NotFound: There is none with this id.
        """
        return await self._ask(
            operations.GET_ACCOUNT_STATEMENT, account_statement_id, query=encoding.query(expand=expand)
        )

    async def csv(self, account_statement_id: str) -> bytes:
        """Return an account statement's entries as comma-separated values.

        Raises:
            errors.NotFound: There is none with this id, or it has more than 10,000 entries.
        """
        return await self._ask(operations.GET_ACCOUNT_STATEMENT_CSV, account_statement_id)

    async def pdf(self, account_statement_id: str) -> bytes:
        """Return an account statement as PDF.

        Raises:
            errors.NotFound: There is none with this id, or it has more than 10,000 entries.
        """
        return await self._ask(operations.GET_ACCOUNT_STATEMENT_PDF, account_statement_id)

    def list(
        self,
        *,
        wallet_id: str | None = None,
        expand: Sequence[_Expand] = (),
        limit: int | None = None,
        cursor: str | None = None,
    ) -> AsyncPages[AccountStatement]:
        """List account statements, newest first.

        Args:
            wallet_id: Only those of this wallet.
            expand: What to tell as a whole in ``expanded``: ``wallet``.
            limit: How many a page has, 1 to 100.
            cursor: Where to begin: ``next_cursor`` of a page.
        """
        query = encoding.query(wallet_id=wallet_id, expand=expand, limit=limit, cursor=cursor)
        return self._list(operations.LIST_ACCOUNT_STATEMENTS, query=query)
