"""Consents and payments as this interface shows them."""

from collections.abc import Sequence
from typing import Any, Final

from msgspec import UNSET

from billfold import errors, ids
from billfold.contract.open_banking.common import Links, Meta, OBStatusReason
from billfold.contract.open_banking.payments import (
    OBWriteDomestic2Initiation,
    OBWriteDomesticConsent4,
    OBWriteDomesticConsentResponse5,
    OBWriteDomesticConsentResponse5Data,
    OBWriteDomesticResponse5,
    OBWriteDomesticResponse5Account,
    OBWriteDomesticResponse5Data,
    OBWriteDomesticResponse5Refund,
    OBWritePaymentDetails1,
    OBWritePaymentDetails1StatusDetail,
    OBWritePaymentDetailsResponse1,
    OBWritePaymentDetailsResponse1Data,
)
from billfold.contract.payments import PaymentStatus
from billfold.ids import Prefix
from billfold_server.consents import service as consents
from billfold_server.consents.service import Consent, ConsentKind
from billfold_server.http.routing import Call
from billfold_server.open_banking.consents.answers import status_reasons
from billfold_server.open_banking.payments.accounts import Owned
from billfold_server.payments import service as payments
from billfold_server.payments.service import PaymentRow, Placed, StepRow

__all__ = ["consent_response", "details_response", "own_payment", "payment_response"]

_NOT_ON_THE_WIRE: Final = {PaymentStatus.CANCELLED: PaymentStatus.REJECTED}
"""The standard has no word for a payment that was called off; what has become of its money is the same."""


async def own_payment(call: Call, payment_id: str, kind: ConsentKind, *, param: str) -> PaymentRow:
    """Return a payment of the caller's own.

    Args:
        call: The request.
        payment_id: Which one it names.
        kind: Of which kind its consent must be.
        param: The parameter by which it is named.

    Raises:
        errors.NotFound: There is none.
        errors.ConsentOfAnother: Another third party has ordered it.
        errors.ThirdPartyBlocked: The bank has blocked the caller.
    """
    try:
        wanted = ids.decode(Prefix.PAYMENT, payment_id)
    except ids.InvalidIdError:
        raise errors.NotFound("there is no such payment", param=param) from None
    async with call.tx() as tx:
        await consents.check_admitted(tx, call.caller.client_id)
        row = await payments.find_payment(tx, wanted)
    if row is None or row.kind != kind:
        raise errors.NotFound("there is no such payment", param=param)
    if row.client_id != call.caller.client_id:
        raise errors.ConsentOfAnother("the payment is another third party's")
    return row


def consent_response(
    consent: Consent, asked: OBWriteDomesticConsent4, links: Links, meta: Meta
) -> OBWriteDomesticConsentResponse5:
    """Return a consent.

    Args:
        consent: As it stands.
        asked: What was asked for.
        links: Where it is.
        meta: What stands beside it.
    """
    status: Any = consent.status
    return OBWriteDomesticConsentResponse5(
        data=OBWriteDomesticConsentResponse5Data(
            consent_id=consent.wire_id,
            creation_date_time=consent.created_at,
            status=status,
            status_reason=status_reasons(consent),
            status_update_date_time=consent.status_updated_at,
            read_refund_account=asked.data.read_refund_account,
            initiation=asked.data.initiation,
            authorisation=asked.data.authorisation,
            sca_support_data=asked.data.sca_support_data,
        ),
        risk=asked.risk,
        links=links,
        meta=meta,
    )


def payment_response(
    row: PaymentRow | Placed, initiation: OBWriteDomestic2Initiation, refund: Owned | None, links: Links, meta: Meta
) -> OBWriteDomesticResponse5:
    """Return a payment.

    Args:
        row: As it stands.
        initiation: How it was ordered.
        refund: The account to which it can be given back, where the consent asks for that.
        links: Where it is.
        meta: What stands beside it.
    """
    assert row.consent_id is not None, "a third party has ordered it"
    account = None if refund is None else OBWriteDomesticResponse5Account(**refund._asdict())
    return OBWriteDomesticResponse5(
        data=OBWriteDomesticResponse5Data(
            domestic_payment_id=row.wire_id,
            consent_id=ids.encode(Prefix.CONSENT, row.consent_id),
            creation_date_time=row.created_at,
            status=_status(row.status),
            status_update_date_time=row.updated_at,
            status_reason=UNSET if row.reason is None else [OBStatusReason(status_reason_code=row.reason[:4])],
            refund=UNSET if account is None else OBWriteDomesticResponse5Refund(account=account),
            initiation=initiation,
        ),
        links=links,
        meta=meta,
    )


def _status(status: PaymentStatus) -> Any:
    return _NOT_ON_THE_WIRE.get(status, status).value


def details_response(
    row: PaymentRow, steps: Sequence[StepRow], instrument: str | None, links: Links, meta: Meta
) -> OBWritePaymentDetailsResponse1:
    """Return every status that a payment has had since it was received, in order.

    Args:
        row: The payment.
        steps: What was heard of it and done with it.
        instrument: By which means it was to be sent, where its order says so.
        links: Where it is.
        meta: What stands beside it.
    """
    moved = [step for step in steps if step.effect == "moves" and step.status is not PaymentStatus.RECEIVED]
    return OBWritePaymentDetailsResponse1(
        data=OBWritePaymentDetailsResponse1Data(payment_status=[_detail(row, step, instrument) for step in moved]),
        links=links,
        meta=meta,
    )


def _detail(row: PaymentRow, step: StepRow, instrument: str | None) -> OBWritePaymentDetails1:
    return OBWritePaymentDetails1(
        payment_transaction_id=row.rail_reference or row.wire_id,
        status=_status(step.status),
        status_update_date_time=step.recorded_at,
        status_detail=OBWritePaymentDetails1StatusDetail(
            local_instrument=UNSET if instrument is None else instrument,
            status=_status(step.status),
            status_reason=UNSET if step.reason is None else step.reason[:4],
        ),
    )
