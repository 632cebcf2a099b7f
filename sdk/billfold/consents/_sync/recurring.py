# Generated from billfold/consents/_async/recurring.py by tests/sdk/generate_sync.py. Change that one instead.

"""Variable recurring payments: a consent with limits, and payments within them."""

from collections.abc import Sequence
from typing import Literal

from msgspec import UNSET

from billfold.consents._sync.asking import Asking
from billfold.consents._sync.payments import follow
from billfold.consents.asking import Order, new_key, path_of
from billfold.consents.orders import Amount, recurring_amount
from billfold.consents.orders import risk as ordinary_risk
from billfold.contract.open_banking.common import OBRisk1
from billfold.contract.open_banking.vrp import (
    OBDomesticVRPConsentRequest,
    OBDomesticVRPConsentRequestData,
    OBDomesticVRPConsentResponse,
    OBDomesticVRPControlParameters,
    OBDomesticVRPDetails,
    OBDomesticVRPInitiation,
    OBDomesticVRPInstruction,
    OBDomesticVRPRequest,
    OBDomesticVRPRequestData,
    OBDomesticVRPResponse,
    OBVRPFundsConfirmationRequest,
    OBVRPFundsConfirmationRequestData,
    OBVRPFundsConfirmationResponse,
)

__all__ = ["DomesticVRPConsents", "DomesticVRPs"]


class DomesticVRPConsents:
    """Consents for payments within limits: ``third_party.domestic_vrp_consents``.

    Args:
        asking: What carries orders out.
    """

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    def create(
        self,
        control_parameters: OBDomesticVRPControlParameters,
        initiation: OBDomesticVRPInitiation,
        risk: OBRisk1 | None = None,
        *,
        read_refund_account: bool = False,
        idempotency_key: str | None = None,
    ) -> OBDomesticVRPConsentResponse:
        """Make a consent for recurring payments, for which a customer is then asked.

        Args:
            control_parameters: What they have to keep to: ``control_parameters(("100", "GBP"), [Limit(…)])``.
            initiation: What they have in common: ``recurring_payments(to=account(…))``.
            risk: What the bank is told for judging the risk; an ordinary transfer where absent.
            read_refund_account: Whether the payer's account shall be told, for refunds.
            idempotency_key: Names the order; a new one where absent.

        Raises:
            RequestRefused: The bank doesn't take it so.
        """
        body = _request(control_parameters, initiation, risk, read_refund_account=read_refund_account)
        return self._write("POST", "/domestic-vrp-consents", body, idempotency_key)

    def replace(
        self,
        consent_id: str,
        control_parameters: OBDomesticVRPControlParameters,
        initiation: OBDomesticVRPInitiation,
        risk: OBRisk1 | None = None,
        *,
        read_refund_account: bool = False,
        idempotency_key: str | None = None,
    ) -> OBDomesticVRPConsentResponse:
        """Replace what a consent says; the arguments are those of ``create``.

        Raises:
            RequestRefused: The bank doesn't take it so.
            Forbidden: It is another party's.
        """
        body = _request(control_parameters, initiation, risk, read_refund_account=read_refund_account)
        return self._write("PUT", path_of("domestic-vrp-consents", consent_id), body, idempotency_key)

    def change(
        self,
        consent_id: str,
        control_parameters: OBDomesticVRPControlParameters,
        initiation: OBDomesticVRPInitiation,
        risk: OBRisk1 | None = None,
        *,
        read_refund_account: bool = False,
        idempotency_key: str | None = None,
    ) -> OBDomesticVRPConsentResponse:
        """Change what a consent says, where the bank doesn't replace it whole; the arguments are those of ``create``.

        Raises:
            RequestRefused: The bank doesn't take it so.
            Forbidden: It is another party's.
        """
        body = _request(control_parameters, initiation, risk, read_refund_account=read_refund_account)
        return self._write("PATCH", path_of("domestic-vrp-consents", consent_id), body, idempotency_key)

    def get(self, consent_id: str) -> OBDomesticVRPConsentResponse:
        """Return a consent as it stands.

        Raises:
            RequestRefused: There is none.
            Forbidden: It is another party's.
        """
        path = path_of("domestic-vrp-consents", consent_id)
        return self._asking.ask(Order("GET", "pisp", path, OBDomesticVRPConsentResponse, answer_signed=True))

    def delete(self, consent_id: str) -> None:
        """End a consent.

        Raises:
            RequestRefused: There is none.
            Forbidden: It is another party's.
        """
        path = path_of("domestic-vrp-consents", consent_id)
        self._asking.fetch(Order("DELETE", "pisp", path, OBDomesticVRPConsentResponse))

    def confirm_funds(
        self, consent_id: str, amount: Amount, *, reference: str | None = None
    ) -> OBVRPFundsConfirmationResponse:
        """Ask whether there is enough for a payment; needs the customer's tokens.

        Args:
            consent_id: By which consent.
            amount: How much.
            reference: Our name for the question.

        Raises:
            Forbidden: The consent isn't good for it.
        """
        data = OBVRPFundsConfirmationRequestData(
            consent_id=consent_id, instructed_amount=recurring_amount(amount), reference=reference or UNSET
        )
        return self._asking.ask(
            Order(
                "POST",
                "pisp",
                path_of("domestic-vrp-consents", consent_id, "funds-confirmation"),
                OBVRPFundsConfirmationResponse,
                body=OBVRPFundsConfirmationRequest(data=data),
                signed=True,
                answer_signed=True,
            )
        )

    def _write(
        self,
        method: Literal["POST", "PUT", "PATCH"],
        path: str,
        body: OBDomesticVRPConsentRequest,
        idempotency_key: str | None,
    ) -> OBDomesticVRPConsentResponse:
        return self._asking.ask(
            Order(
                method,
                "pisp",
                path,
                OBDomesticVRPConsentResponse,
                body=body,
                key=new_key(idempotency_key),
                signed=True,
                answer_signed=True,
            )
        )


def _request(
    control_parameters: OBDomesticVRPControlParameters,
    initiation: OBDomesticVRPInitiation,
    risk: OBRisk1 | None,
    *,
    read_refund_account: bool,
) -> OBDomesticVRPConsentRequest:
    data = OBDomesticVRPConsentRequestData(
        control_parameters=control_parameters,
        initiation=initiation,
        read_refund_account="Yes" if read_refund_account else UNSET,
    )
    return OBDomesticVRPConsentRequest(data=data, risk=risk or ordinary_risk())


class DomesticVRPs:
    """Payments within limits: ``third_party.domestic_vrps``, and for making them ``third_party.as_user(tokens)``.

    Args:
        asking: What carries orders out.
    """

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    def create(
        self,
        consent: OBDomesticVRPConsentResponse,
        instruction: OBDomesticVRPInstruction,
        *,
        vrp_type: str | None = None,
        authentication_method: str | None = None,
        interaction_type: Literal["InSession", "OffSession"] | None = None,
        idempotency_key: str | None = None,
    ) -> OBDomesticVRPResponse:
        """Pay within a consent's limits; needs the customer's tokens.

        Args:
            consent: As the bank has answered it.
            instruction: What is paid: ``instruction(("12.50", "GBP"), account(…))``.
            vrp_type: For what, where the consent allows several.
            authentication_method: How the customer was asked, where it allows several.
            interaction_type: Whether the customer is there.
            idempotency_key: Names the order; a new one where absent.

        Raises:
            Forbidden: The consent isn't good for it.
            RequestRefused: It is beyond a limit, or the bank doesn't take it so.
            UnderWay: It is still being carried out; ask again under the same key.
        """
        limits = consent.data.control_parameters
        data = OBDomesticVRPRequestData(
            consent_id=consent.data.consent_id,
            psu_authentication_method=authentication_method or _only(limits.psu_authentication_methods),
            psu_interaction_type=interaction_type or UNSET,
            vrp_type=vrp_type or _only(limits.vrp_type),
            initiation=consent.data.initiation,
            instruction=instruction,
        )
        return self._asking.ask(
            Order(
                "POST",
                "pisp",
                "/domestic-vrps",
                OBDomesticVRPResponse,
                body=OBDomesticVRPRequest(data=data, risk=consent.risk),
                key=new_key(idempotency_key),
                signed=True,
                answer_signed=True,
            )
        )

    def get(self, payment_id: str) -> OBDomesticVRPResponse:
        """Return a payment as it stands; needs the client's own token.

        Raises:
            RequestRefused: There is none.
            Forbidden: It is another party's.
        """
        path = path_of("domestic-vrps", payment_id)
        return self._asking.ask(Order("GET", "pisp", path, OBDomesticVRPResponse, answer_signed=True))

    def details(self, payment_id: str) -> OBDomesticVRPDetails:
        """Return how a payment has come to where it stands.

        Raises:
            RequestRefused: There is none.
            Forbidden: It is another party's.
        """
        path = path_of("domestic-vrps", payment_id, "payment-details")
        return self._asking.ask(Order("GET", "pisp", path, OBDomesticVRPDetails, answer_signed=True))

    def follow(self, payment_id: str, *, timeout_s: float = 60.0) -> OBDomesticVRPResponse:
        """Ask for a payment until it has come to an end, and return it then.

        Args:
            payment_id: Which one.
            timeout_s: How long to go on.

        Raises:
            PaymentUnfinished: It hasn't come to one in that time.
        """
        path = path_of("domestic-vrps", payment_id)
        order = Order("GET", "pisp", path, OBDomesticVRPResponse, answer_signed=True)
        return follow(self._asking, order, timeout_s=timeout_s)


def _only(values: Sequence[str]) -> str:
    if len(values) != 1:
        raise ValueError(f"the consent allows {', '.join(values)}: say which is meant")
    return values[0]
