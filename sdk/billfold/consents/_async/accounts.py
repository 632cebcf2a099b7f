"""Account information: consents to see accounts, and what they let be seen."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from msgspec import UNSET

from billfold.consents._async.asking import AsyncAsking
from billfold.consents._async.pages import AsyncEntries
from billfold.consents.asking import Order, path_of, query_of
from billfold.contract.open_banking.accounts import (
    OBAccount6,
    OBParty2,
    OBReadAccount6,
    OBReadBalance1,
    OBReadBalance1Balance,
    OBReadConsent1,
    OBReadConsent1Data,
    OBReadConsent1Permissions,
    OBReadConsentResponse1,
    OBReadParty2,
    OBReadParty3,
    OBRisk2,
)
from billfold.contract.open_banking.products import OBReadProduct2, ProductProduct
from billfold.contract.open_banking.records import (
    OBBeneficiary5,
    OBReadBeneficiary5,
    OBReadDirectDebit2,
    OBReadDirectDebit2DirectDebit,
    OBReadOffer1,
    OBReadOffer1Offer,
    OBReadScheduledPayment3,
    OBReadStandingOrder6,
    OBScheduledPayment3,
    OBStandingOrder6,
)
from billfold.contract.open_banking.statements import OBReadStatement2, OBStatement2
from billfold.contract.open_banking.transactions import OBReadTransaction6, OBTransaction6

__all__ = ["AsyncAccountAccessConsents", "AsyncAccounts"]


class AsyncAccountAccessConsents:
    """Consents to see accounts: ``third_party.account_access_consents``.

    Args:
        asking: What carries orders out.
    """

    def __init__(self, asking: AsyncAsking) -> None:
        self._asking = asking

    async def create(
        self,
        permissions: Sequence[OBReadConsent1Permissions],
        *,
        expires_at: datetime | None = None,
        transactions_from: datetime | None = None,
        transactions_to: datetime | None = None,
    ) -> OBReadConsentResponse1:
        """Make a consent, for which a customer is then asked. It isn't repeated when its answer is lost.

        Args:
            permissions: What shall be seen.
            expires_at: Until when; without end where absent, as far as the bank allows.
            transactions_from: The first transactions that shall be seen.
            transactions_to: The last.

        Raises:
            RequestRefused: The bank doesn't take it so.
        """
        data = OBReadConsent1Data(
            permissions=list(permissions),
            expiration_date_time=expires_at or UNSET,
            transaction_from_date_time=transactions_from or UNSET,
            transaction_to_date_time=transactions_to or UNSET,
        )
        body = OBReadConsent1(data=data, risk=OBRisk2())
        return await self._asking.ask(
            Order("POST", "aisp", "/account-access-consents", OBReadConsentResponse1, body=body)
        )

    async def get(self, consent_id: str) -> OBReadConsentResponse1:
        """Return a consent as it stands.

        Raises:
            RequestRefused: There is none.
            Forbidden: It is another party's.
        """
        path = path_of("account-access-consents", consent_id)
        return await self._asking.ask(Order("GET", "aisp", path, OBReadConsentResponse1))

    async def delete(self, consent_id: str) -> None:
        """End a consent: what the customer has allowed by it is over.

        Raises:
            RequestRefused: There is none.
            Forbidden: It is another party's.
        """
        path = path_of("account-access-consents", consent_id)
        await self._asking.fetch(Order("DELETE", "aisp", path, OBReadConsentResponse1))


class AsyncAccounts:
    """What a customer lets be seen: ``third_party.as_user(tokens).accounts``.

    Args:
        asking: What carries orders out.
    """

    def __init__(self, asking: AsyncAsking) -> None:
        self._asking = asking

    def list(self) -> "AsyncEntries[OBAccount6]":
        """Go through the accounts that the customer has chosen."""
        return self._list("/accounts", OBReadAccount6, "account")

    async def get(self, account_id: str) -> OBAccount6:
        """Return one account.

        Raises:
            Forbidden: The consent isn't for this account.
        """
        answer = await self._asking.ask(Order("GET", "aisp", path_of("accounts", account_id), OBReadAccount6))
        (found,) = answer.data.account or [OBAccount6(account_id=account_id)]
        return found

    def balances(self, account_id: str | None = None) -> "AsyncEntries[OBReadBalance1Balance]":
        """Go through the balances of an account, or of all of them."""
        return self._list(_below(account_id, "balances"), OBReadBalance1, "balance")

    def transactions(
        self,
        account_id: str | None = None,
        *,
        booked_from: datetime | None = None,
        booked_to: datetime | None = None,
    ) -> "AsyncEntries[OBTransaction6]":
        """Go through the transactions of an account, or of all of them, page by page.

        Args:
            account_id: Of which account.
            booked_from: Those that were booked then and later.
            booked_to: Those that were booked until then.
        """
        query = query_of(fromBookingDateTime=booked_from, toBookingDateTime=booked_to)
        return self._list(_below(account_id, "transactions"), OBReadTransaction6, "transaction", query)

    def beneficiaries(self, account_id: str | None = None) -> "AsyncEntries[OBBeneficiary5]":
        """Go through the beneficiaries of an account, or of all of them."""
        return self._list(_below(account_id, "beneficiaries"), OBReadBeneficiary5, "beneficiary")

    def direct_debits(self, account_id: str | None = None) -> "AsyncEntries[OBReadDirectDebit2DirectDebit]":
        """Go through the direct debits of an account, or of all of them."""
        return self._list(_below(account_id, "direct-debits"), OBReadDirectDebit2, "direct_debit")

    def standing_orders(self, account_id: str | None = None) -> "AsyncEntries[OBStandingOrder6]":
        """Go through the standing orders of an account, or of all of them."""
        return self._list(_below(account_id, "standing-orders"), OBReadStandingOrder6, "standing_order")

    def scheduled_payments(self, account_id: str | None = None) -> "AsyncEntries[OBScheduledPayment3]":
        """Go through the scheduled payments of an account, or of all of them."""
        return self._list(_below(account_id, "scheduled-payments"), OBReadScheduledPayment3, "scheduled_payment")

    def offers(self, account_id: str | None = None) -> "AsyncEntries[OBReadOffer1Offer]":
        """Go through the offers for an account, or for all of them."""
        return self._list(_below(account_id, "offers"), OBReadOffer1, "offer")

    def products(self, account_id: str | None = None) -> "AsyncEntries[ProductProduct]":
        """Go through the products of an account, or of all of them."""
        path = "/products" if account_id is None else path_of("accounts", account_id, "product")
        return self._list(path, OBReadProduct2, "product")

    def parties(self, account_id: str) -> "AsyncEntries[OBParty2]":
        """Go through the parties of an account."""
        return self._list(path_of("accounts", account_id, "parties"), OBReadParty3, "party")

    async def party(self, account_id: str | None = None) -> OBParty2 | None:
        """Return the owner of an account, or (without one) the customer; None where the bank says nobody."""
        answer = await self._asking.ask(Order("GET", "aisp", _below(account_id, "party"), OBReadParty2))
        return answer.data.party or None

    def statements(
        self,
        account_id: str | None = None,
        *,
        from_: datetime | None = None,
        to: datetime | None = None,
    ) -> "AsyncEntries[OBStatement2]":
        """Go through the statements of an account, or of all of them.

        Args:
            account_id: Of which account.
            from_: Those that begin then or later.
            to: Those that end until then.
        """
        query = query_of(fromStatementDateTime=from_, toStatementDateTime=to)
        return self._list(_below(account_id, "statements"), OBReadStatement2, "statement", query)

    async def statement(self, account_id: str, statement_id: str) -> OBReadStatement2:
        """Return one statement."""
        path = path_of("accounts", account_id, "statements", statement_id)
        return await self._asking.ask(Order("GET", "aisp", path, OBReadStatement2))

    async def statement_file(self, account_id: str, statement_id: str, *, media_type: str = "*/*") -> bytes:
        """Return a statement as a file.

        Args:
            account_id: Of which account.
            statement_id: Which one.
            media_type: In what form.
        """
        path = path_of("accounts", account_id, "statements", statement_id, "file")
        response = await self._asking.fetch(Order("GET", "aisp", path, OBReadStatement2, accept=media_type))
        return response.body

    def statement_transactions(self, account_id: str, statement_id: str) -> "AsyncEntries[OBTransaction6]":
        """Go through the transactions of a statement."""
        path = path_of("accounts", account_id, "statements", statement_id, "transactions")
        return self._list(path, OBReadTransaction6, "transaction")

    def _list(
        self, path: str, answer: type[Any], member: str, query: dict[str, str] | None = None
    ) -> "AsyncEntries[Any]":
        return AsyncEntries(self._asking, Order("GET", "aisp", path, answer, query=query), member)


def _below(account_id: str | None, name: str) -> str:
    return path_of(name) if account_id is None else path_of("accounts", account_id, name)
