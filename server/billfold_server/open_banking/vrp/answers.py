"""Consents and payments as this interface shows them."""

from collections.abc import Sequence

from msgspec import UNSET

from billfold import ids
from billfold.contract.open_banking.common import OBStatusReason
from billfold.contract.open_banking.vrp import (
    LinksVrp,
    OBCashAccountDebtorWithName,
    OBDomesticVRPConsentRequest,
    OBDomesticVRPConsentResponse,
    OBDomesticVRPConsentResponseData,
    OBDomesticVRPDetails,
    OBDomesticVRPDetailsData,
    OBDomesticVRPDetailsPaymentStatus,
    OBDomesticVRPDetailsStatusDetail,
    OBDomesticVRPRequest,
    OBDomesticVRPResponse,
    OBDomesticVRPResponseData,
)
from billfold.ids import Prefix
from billfold_server.consents.service import Consent
from billfold_server.open_banking.consents.answers import status_reasons
from billfold_server.payments.service import PaymentRow, Placed, StepRow

__all__ = ["consent_response", "details_response", "payment_response"]


def consent_response(
    consent: Consent,
    asked: OBDomesticVRPConsentRequest,
    debtor: OBCashAccountDebtorWithName | None,
    address: str,
) -> OBDomesticVRPConsentResponse:
    """Return a consent.

    Args:
        consent: As it stands.
        asked: What was asked for.
        debtor: The account that its customer has chosen.
        address: The consent's own.
    """
    assert consent.status != "COND", "a consent for recurring payments isn't used up"
    return OBDomesticVRPConsentResponse(
        data=OBDomesticVRPConsentResponseData(
            read_refund_account=asked.data.read_refund_account,
            consent_id=consent.wire_id,
            creation_date_time=consent.created_at,
            status=consent.status,
            status_reason=status_reasons(consent),
            status_update_date_time=consent.status_updated_at,
            control_parameters=asked.data.control_parameters,
            initiation=asked.data.initiation,
            debtor_account=UNSET if debtor is None else debtor,
        ),
        risk=asked.risk,
        links=LinksVrp(self_=address),
        meta={},
    )


def payment_response(
    row: PaymentRow | Placed,
    said: OBDomesticVRPRequest,
    debtor: OBCashAccountDebtorWithName,
    refund: OBCashAccountDebtorWithName | None,
    address: str,
) -> OBDomesticVRPResponse:
    """Return a payment.

    Args:
        row: As it stands.
        said: How it was ordered.
        debtor: The account that it leaves.
        refund: The account to which it can be given back, where the consent asks for that.
        address: The payment's own.
    """
    assert row.consent_id is not None, "a third party has ordered it"
    return OBDomesticVRPResponse(
        data=OBDomesticVRPResponseData(
            domestic_vrp_id=row.wire_id,
            consent_id=ids.encode(Prefix.CONSENT, row.consent_id),
            creation_date_time=row.created_at,
            status=row.status.value,
            status_reason=UNSET if row.reason is None else [OBStatusReason(status_reason_code=row.reason[:4])],
            status_update_date_time=row.updated_at,
            refund=UNSET if refund is None else refund,
            initiation=said.data.initiation,
            instruction=said.data.instruction,
            debtor_account=debtor,
        ),
        risk=said.risk,
        links=LinksVrp(self_=address),
        meta={},
    )


def details_response(row: PaymentRow, steps: Sequence[StepRow], instrument: str | None) -> OBDomesticVRPDetails:
    """Return every status that a payment has had, in order.

    Args:
        row: The payment.
        steps: What was heard of it and done with it.
        instrument: By which means it was to be sent, where its order says so.
    """
    moved = [step for step in steps if step.effect == "moves"]
    name = row.rail_reference or row.wire_id
    return OBDomesticVRPDetails(
        data=OBDomesticVRPDetailsData(payment_status=[_status(name, step, instrument) for step in moved])
    )


def _status(name: str, step: StepRow, instrument: str | None) -> OBDomesticVRPDetailsPaymentStatus:
    return OBDomesticVRPDetailsPaymentStatus(
        payment_transaction_id=name,
        status=step.status.value,
        status_update_date_time=step.recorded_at,
        status_detail=OBDomesticVRPDetailsStatusDetail(
            local_instrument=UNSET if instrument is None else instrument,
            status=step.status.value,
            status_reason=UNSET if step.reason is None else step.reason,
        ),
    )
