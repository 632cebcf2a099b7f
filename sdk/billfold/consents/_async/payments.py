"""Domestic payments: consents for one, the payment, and following it to its end."""

from typing import Any, Final, TypeVar

from msgspec import UNSET

from billfold.client._async.backend import sleep
from billfold.consents._async.asking import AsyncAsking
from billfold.consents.asking import Order, new_key, path_of
from billfold.consents.orders import risk as ordinary_risk
from billfold.consents.refusals import PaymentUnfinished
from billfold.contract.open_banking.common import OBRisk1
from billfold.contract.open_banking.payments import (
    OBSCASupportData1,
    OBWriteDomestic2,
    OBWriteDomestic2Data,
    OBWriteDomestic2Initiation,
    OBWriteDomesticConsent4,
    OBWriteDomesticConsent4Authorisation,
    OBWriteDomesticConsent4Data,
    OBWriteDomesticConsentResponse5,
    OBWriteDomesticResponse5,
    OBWriteFundsConfirmationResponse1,
    OBWritePaymentDetailsResponse1,
)

__all__ = ["AsyncDomesticPaymentConsents", "AsyncDomesticPayments", "follow"]

T = TypeVar("T")

ENDS: Final = frozenset({"ACSC", "ACCC", "RJCT", "CANC", "BLCK"})
"""Statuses of ISO 20022 after which a payment moves no more, or only from settled to credited."""

_FIRST_S: Final = 0.2
_LONGEST_S: Final = 5.0


class AsyncDomesticPaymentConsents:
    """Consents for one payment: ``third_party.domestic_payment_consents``.

    Args:
        asking: What carries orders out.
    """

    def __init__(self, asking: AsyncAsking) -> None:
        self._asking = asking

    async def create(
        self,
        initiation: OBWriteDomestic2Initiation,
        risk: OBRisk1 | None = None,
        *,
        authorisation: OBWriteDomesticConsent4Authorisation | None = None,
        sca_support_data: OBSCASupportData1 | None = None,
        read_refund_account: bool = False,
        idempotency_key: str | None = None,
    ) -> OBWriteDomesticConsentResponse5:
        """Make a consent for one payment, for which a customer is then asked.

        Args:
            initiation: What is to be paid: ``domestic_payment(("12.50", "GBP"), account(…))``.
            risk: What the bank is told for judging the risk; an ordinary transfer where absent.
            authorisation: How it is to be agreed to, and until when.
            sca_support_data: Which exemption is asked for.
            read_refund_account: Whether the payer's account shall be told, for refunds.
            idempotency_key: Names the order; a new one where absent.

        Raises:
            RequestRefused: The bank doesn't take it so.
        """
        data = OBWriteDomesticConsent4Data(
            initiation=initiation,
            authorisation=authorisation or UNSET,
            sca_support_data=sca_support_data or UNSET,
            read_refund_account="Yes" if read_refund_account else UNSET,
        )
        body = OBWriteDomesticConsent4(data=data, risk=risk or ordinary_risk())
        return await self._asking.ask(
            Order(
                "POST",
                "pisp",
                "/domestic-payment-consents",
                OBWriteDomesticConsentResponse5,
                body=body,
                key=new_key(idempotency_key),
                signed=True,
                answer_signed=True,
            )
        )

    async def get(self, consent_id: str) -> OBWriteDomesticConsentResponse5:
        """Return a consent as it stands.

        Raises:
            RequestRefused: There is none.
            Forbidden: It is another party's.
        """
        path = path_of("domestic-payment-consents", consent_id)
        return await self._asking.ask(Order("GET", "pisp", path, OBWriteDomesticConsentResponse5, answer_signed=True))

    async def confirm_funds(self, consent_id: str) -> OBWriteFundsConfirmationResponse1:
        """Ask whether there is enough for the payment; needs the customer's tokens.

        Raises:
            Forbidden: The consent isn't good for it.
        """
        path = path_of("domestic-payment-consents", consent_id, "funds-confirmation")
        return await self._asking.ask(Order("GET", "pisp", path, OBWriteFundsConfirmationResponse1, answer_signed=True))


class AsyncDomesticPayments:
    """Payments: ``third_party.domestic_payments``, and for making them ``third_party.as_user(tokens)``.

    Args:
        asking: What carries orders out.
    """

    def __init__(self, asking: AsyncAsking) -> None:
        self._asking = asking

    async def create(
        self, consent: OBWriteDomesticConsentResponse5, *, idempotency_key: str | None = None
    ) -> OBWriteDomesticResponse5:
        """Pay what a customer has agreed to; needs their tokens.

        Sent again under its key, it is the same payment. Where no key is given, one is made for this call alone: give
        one to be able to call again after a crash.

        Args:
            consent: As the bank has answered it; what is paid is what it says, to the letter.
            idempotency_key: Names the order; a new one where absent.

        Raises:
            Forbidden: The consent isn't good for it.
            RequestRefused: The bank doesn't take it so.
            UnderWay: It is still being carried out; ask again under the same key.
        """
        data = OBWriteDomestic2Data(consent_id=consent.data.consent_id, initiation=consent.data.initiation)
        return await self._asking.ask(
            Order(
                "POST",
                "pisp",
                "/domestic-payments",
                OBWriteDomesticResponse5,
                body=OBWriteDomestic2(data=data, risk=consent.risk),
                key=new_key(idempotency_key),
                signed=True,
                answer_signed=True,
            )
        )

    async def get(self, payment_id: str) -> OBWriteDomesticResponse5:
        """Return a payment as it stands; needs the client's own token.

        Raises:
            RequestRefused: There is none.
            Forbidden: It is another party's.
        """
        path = path_of("domestic-payments", payment_id)
        return await self._asking.ask(Order("GET", "pisp", path, OBWriteDomesticResponse5, answer_signed=True))

    async def details(self, payment_id: str) -> OBWritePaymentDetailsResponse1:
        """Return how a payment has come to where it stands.

        Raises:
            RequestRefused: There is none.
            Forbidden: It is another party's.
        """
        path = path_of("domestic-payments", payment_id, "payment-details")
        return await self._asking.ask(Order("GET", "pisp", path, OBWritePaymentDetailsResponse1, answer_signed=True))

    async def follow(self, payment_id: str, *, timeout_s: float = 60.0) -> OBWriteDomesticResponse5:
        """Ask for a payment until it has come to an end, and return it then.

        Args:
            payment_id: Which one.
            timeout_s: How long to go on.

        Raises:
            PaymentUnfinished: It hasn't come to one in that time.
        """
        path = path_of("domestic-payments", payment_id)
        order = Order("GET", "pisp", path, OBWriteDomesticResponse5, answer_signed=True)
        return await follow(self._asking, order, timeout_s=timeout_s)


async def follow(asking: AsyncAsking, order: Order[T], *, timeout_s: float) -> T:
    """Ask for a payment, ever less often, until it has come to an end."""
    monotonic = asking.session.kit.monotonic
    deadline, wait_s = monotonic() + timeout_s, _FIRST_S
    while True:
        last: Any = await asking.ask(order)
        if last.data.status in ENDS:
            found: T = last
            return found
        if monotonic() + wait_s > deadline:
            raise PaymentUnfinished(last)
        await sleep(wait_s)
        wait_s = min(wait_s * 1.5, _LONGEST_S)
