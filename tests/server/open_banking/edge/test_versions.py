"""What a status is called in each version of the standard, without a server."""

from datetime import UTC, datetime
from typing import Any, cast, get_args
from uuid import UUID

import msgspec
import pytest

from billfold.contract.open_banking.common import Links, Meta
from billfold.contract.open_banking.payments import (
    OBWriteDomestic2Initiation,
    OBWriteDomesticResponse5Status,
    OBWritePaymentDetails1Status,
)
from billfold.contract.open_banking.vrp import OBDomesticVRPResponseStatus
from billfold.contract.payments import PaymentStatus
from billfold_server.consents.service import Status
from billfold_server.open_banking.edge.versions import in_version_3
from billfold_server.open_banking.payments.answers import details_response, payment_response
from billfold_server.payments.service import PaymentRow, StepRow

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
ID = UUID(int=1)
LINKS = Links(self_="https://bank.example")

OF_PAYMENTS_IN_3 = {
    "Pending",
    "Rejected",
    "AcceptedSettlementInProcess",
    "AcceptedSettlementCompleted",
    "AcceptedWithoutPosting",
    "AcceptedCreditSettlementCompleted",
}
OF_STEPS_IN_3 = OF_PAYMENTS_IN_3 | {
    "AcceptedCustomerProfile",
    "AcceptedFundsChecked",
    "AcceptedTechnicalValidation",
    "AcceptedWithChange",
    "Cancelled",
    "PartiallyAcceptedTechnicalCorrect",
    "Received",
}
OF_CONSENTS_IN_3 = {"AwaitingAuthorisation", "Authorised", "Rejected", "Consumed", "Revoked", "Expired"}
NOTHING = {"RJCT", "CANC", "BLCK"}


def in_3(status: str, *, consent: bool) -> str:
    """Return what a status is called in version 3."""
    body = msgspec.json.encode({"Data": {"Status": status}})
    return cast("str", msgspec.json.decode(in_version_3(body, consent=consent))["Data"]["Status"])


def payment(status: PaymentStatus) -> PaymentRow:
    """Return a payment that stands there."""
    return PaymentRow(
        id=ID, kind="domestic_payment", consent_id=ID, client_id=ID, party_id=ID, wallet_id=ID, to_wallet_id=None,
        rail="scripted", amount_minor=1, currency="EUR", status=status, money="under_way", journal_entry_id=ID,
        created_at=NOW, updated_at=NOW,
    )  # fmt: skip


@pytest.mark.parametrize("status", PaymentStatus)
class TestAStatusOfAPayment:
    def test_has_a_name_in_version_3(self, status: PaymentStatus) -> None:
        """One of the six that there were; what came to nothing was rejected, and nothing else was."""
        assert in_3(status.value, consent=False) in OF_PAYMENTS_IN_3
        assert (in_3(status.value, consent=False) == "Rejected") is (status.value in NOTHING)

    def test_has_a_name_in_a_history_of_version_3(self, status: PaymentStatus) -> None:
        """There were more of them: what is known of a payment from outside and what is told of each step."""
        step = {"Status": status.value, "StatusDetail": {"Status": status.value, "StatusReason": "AC04"}}
        body = msgspec.json.encode({"Data": {"PaymentStatus": [step]}})
        (shown,) = msgspec.json.decode(in_version_3(body, consent=False))["Data"]["PaymentStatus"]
        assert shown["Status"] in OF_STEPS_IN_3
        reason = "ProprietaryRejection" if shown["Status"] == "Rejected" else "Proprietary"
        detail = {"Status": shown["Status"], "StatusReason": reason, "StatusReasonDescription": "AC04"}
        assert shown["StatusDetail"] == detail

    def test_has_a_code_in_version_4(self, status: PaymentStatus) -> None:
        """The standard's own, of a payment, of its history, and of a recurring one."""
        shown = payment_response(payment(status), cast("OBWriteDomestic2Initiation", None), None, LINKS, Meta())
        assert shown.data.status in get_args(OBWriteDomesticResponse5Status)
        assert status.value in get_args(OBDomesticVRPResponseStatus)
        step: Any = StepRow(
            payment_id=ID, number=1, notice_id=None, word="x", effect="moves", status=status, reason=None,
            said_at=None, recorded_at=NOW,
        )  # fmt: skip
        history = details_response(payment(status), [step], None, LINKS, Meta()).data.payment_status
        assert isinstance(history, list)
        assert {each.status for each in history} <= set(get_args(OBWritePaymentDetails1Status))
        assert len(history) == (status is not PaymentStatus.RECEIVED)


class TestAStatusOfAConsent:
    @pytest.mark.parametrize("status", get_args(Status))
    def test_has_a_name_in_version_3(self, status: str) -> None:
        """Each has its own, and nobody was told a reason."""
        assert in_3(status, consent=True) in OF_CONSENTS_IN_3
        body = msgspec.json.encode({"Data": {"Status": status, "StatusReason": [{"StatusReasonCode": "U036"}]}})
        assert msgspec.json.decode(in_version_3(body, consent=True))["Data"].keys() == {"Status"}
