"""Names of an older version of the standard, for clients that ask for them while they migrate.

Statuses of consents and payments have codes of four characters since version 4; before, they had words, of which a
payment's history has more than the payment. Reasons of a status came with version 4. Source: Open Banking Read/Write
API Specification 3.1.11 and 4.0, statuses of consents and of payments, and payment details.
"""

from typing import Any, Final

import msgspec

__all__ = ["in_version_3"]

_CONSENTS: Final = {
    "AWAU": "AwaitingAuthorisation",
    "AUTH": "Authorised",
    "RJCT": "Rejected",
    "COND": "Consumed",
    "CANC": "Revoked",
    "EXPD": "Expired",
}
_PAYMENTS: Final = {
    "RCVD": "Pending",
    "PDNG": "Pending",
    "ACTC": "Pending",
    "PATC": "Pending",
    "ACCP": "Pending",
    "ACFC": "Pending",
    "ACSP": "AcceptedSettlementInProcess",
    "ACWC": "AcceptedSettlementInProcess",
    "ACSC": "AcceptedSettlementCompleted",
    "ACWP": "AcceptedWithoutPosting",
    "ACCC": "AcceptedCreditSettlementCompleted",
    "BLCK": "Rejected",
    "RJCT": "Rejected",
    # Of a payment that was called off, version 3 knew only that it had come to nothing.
    "CANC": "Rejected",
}
_STEPS: Final = _PAYMENTS | {
    "RCVD": "Received",
    "ACTC": "AcceptedTechnicalValidation",
    "PATC": "PartiallyAcceptedTechnicalCorrect",
    "ACCP": "AcceptedCustomerProfile",
    "ACFC": "AcceptedFundsChecked",
    "ACWC": "AcceptedWithChange",
    "CANC": "Cancelled",
}


def in_version_3(body: bytes, *, consent: bool) -> bytes:
    """Return an answer whose statuses have the names that version 3 had for them, without what it didn't have."""
    said: Any = msgspec.json.decode(body)
    data = said.get("Data")
    if not isinstance(data, dict):
        return body
    data.pop("StatusReason", None)
    _rename(data, _CONSENTS if consent else _PAYMENTS)
    for step in data.get("PaymentStatus", ()):
        _rename(step, _STEPS)
        detail = step.get("StatusDetail", {})
        _rename(detail, _STEPS)
        if "StatusReason" in detail:
            # Version 3 had no code for a reason but that it is somebody's own, and room for its words.
            detail["StatusReasonDescription"] = detail["StatusReason"]
            rejected = detail.get("Status") == _STEPS["RJCT"]
            detail["StatusReason"] = "ProprietaryRejection" if rejected else "Proprietary"
    return msgspec.json.encode(said)


def _rename(said: dict[str, Any], names: dict[str, str]) -> None:
    if "Status" in said:
        said["Status"] = names.get(said["Status"], said["Status"])
