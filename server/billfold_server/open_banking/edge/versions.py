"""Names of an older version of the standard, for clients that ask for them while they migrate.

Statuses of consents and payments have codes of four characters since version 4; before, they had words. Source: Open
Banking Read/Write API Specification 3.1.11 and 4.0, statuses of consents and of payments.
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


def in_version_3(body: bytes, *, consent: bool) -> bytes:
    """Return an answer whose status has the name that version 3 had for it."""
    said: Any = msgspec.json.decode(body)
    data = said.get("Data", {})
    names = _CONSENTS if consent else _PAYMENTS
    if isinstance(data, dict) and data.get("Status") in names:
        data["Status"] = names[data["Status"]]
        return msgspec.json.encode(said)
    return body
