"""Confirmation of funds: whether there is enough, and nothing else."""

from datetime import datetime
from uuid import uuid4

from msgspec import UNSET

from billfold.consents._async.asking import AsyncAsking
from billfold.consents.asking import Order, path_of
from billfold.consents.orders import Account, Amount, funds_account, funds_amount
from billfold.contract.open_banking.funds import (
    OBFundsConfirmation1,
    OBFundsConfirmation1Data,
    OBFundsConfirmationConsent1,
    OBFundsConfirmationConsent1Data,
    OBFundsConfirmationConsentResponse1,
    OBFundsConfirmationResponse1,
)

__all__ = ["AsyncFundsConfirmationConsents", "AsyncFundsConfirmations"]


class AsyncFundsConfirmationConsents:
    """Consents to ask whether there is enough: ``third_party.funds_confirmation_consents``.

    Args:
        asking: What carries orders out.
    """

    def __init__(self, asking: AsyncAsking) -> None:
        self._asking = asking

    async def create(
        self, debtor_account: Account, *, expires_at: datetime | None = None
    ) -> OBFundsConfirmationConsentResponse1:
        """Make a consent, for which a customer is then asked. It isn't repeated when its answer is lost.

        Args:
            debtor_account: About which account.
            expires_at: Until when; without end where absent.

        Raises:
            RequestRefused: The bank doesn't take it so.
        """
        data = OBFundsConfirmationConsent1Data(
            debtor_account=funds_account(debtor_account), expiration_date_time=expires_at or UNSET
        )
        body = OBFundsConfirmationConsent1(data=data)
        return await self._asking.ask(
            Order("POST", "cbpii", "/funds-confirmation-consents", OBFundsConfirmationConsentResponse1, body=body)
        )

    async def get(self, consent_id: str) -> OBFundsConfirmationConsentResponse1:
        """Return a consent as it stands.

        Raises:
            RequestRefused: There is none.
            Forbidden: It is another party's.
        """
        path = path_of("funds-confirmation-consents", consent_id)
        return await self._asking.ask(Order("GET", "cbpii", path, OBFundsConfirmationConsentResponse1))

    async def delete(self, consent_id: str) -> None:
        """End a consent.

        Raises:
            RequestRefused: There is none.
            Forbidden: It is another party's.
        """
        path = path_of("funds-confirmation-consents", consent_id)
        await self._asking.fetch(Order("DELETE", "cbpii", path, OBFundsConfirmationConsentResponse1))


class AsyncFundsConfirmations:
    """Whether there is enough: ``third_party.as_user(tokens).funds_confirmations``.

    Args:
        asking: What carries orders out.
    """

    def __init__(self, asking: AsyncAsking) -> None:
        self._asking = asking

    async def create(
        self, consent_id: str, amount: Amount, *, reference: str | None = None
    ) -> OBFundsConfirmationResponse1:
        """Ask whether so much is there now.

        Args:
            consent_id: By which consent.
            amount: How much.
            reference: Our name for the question; a new one where absent.

        Raises:
            Forbidden: The consent isn't good for it.
        """
        data = OBFundsConfirmation1Data(
            consent_id=consent_id, reference=reference or uuid4().hex, instructed_amount=funds_amount(amount)
        )
        order = Order(
            "POST",
            "cbpii",
            "/funds-confirmations",
            OBFundsConfirmationResponse1,
            body=OBFundsConfirmation1(data=data),
        )
        return await self._asking.ask(order)
