"""What can go wrong between a third party and a bank.

::

    BillfoldError
    ├── ProblemError
    │   └── OpenBankingRefusal        the bank says no: ``code`` and ``path`` of the first, and all in ``errors``
    │       ├── RequestRefused        the request itself is wrong, or what it is about isn't there (400)
    │       ├── NotAuthenticated      the token isn't good, and so the consent may be over (401)
    │       ├── Forbidden             the consent doesn't allow it, or is another's (403)
    │       ├── NotOffered            the bank doesn't offer this (404, 405)
    │       ├── Contradicted          it contradicts what is there (409)
    │       ├── UnderWay              a copy of it is still being carried out
    │       ├── Unworkable            it can't be taken: a key reused with another body (422)
    │       ├── Busy                  too much was asked for (429)
    │       └── BankAway              the bank can't at the moment (5xx)
    │           └── BankUnsure        it doesn't know what has become of the order
    ├── TransportError
    │   └── MalformedAnswer
    │       └── AnswerNotSigned       the answer isn't signed by the bank, so nothing in it counts
    ├── SecurityEventInvalid              a security event token isn't the bank's, or not for us
    └── PaymentUnfinished             a payment has come to no end in the time that was given

Each of the bank's refusals is of the family, too, that the rest of the SDK has for its status: ``Forbidden`` is a
``PermissionDenied``, ``Busy`` a ``RateLimited``.
"""

from typing import Any, Final

import msgspec

from billfold import errors
from billfold._remaking import Remade
from billfold.client._message import Response
from billfold.contract.open_banking.common import OBError1

__all__ = [
    "AnswerNotSigned",
    "BankAway",
    "BankUnsure",
    "Busy",
    "Contradicted",
    "Forbidden",
    "NotAuthenticated",
    "NotOffered",
    "OpenBankingRefusal",
    "PaymentUnfinished",
    "RequestRefused",
    "SecurityEventInvalid",
    "UnderWay",
    "Unworkable",
    "refusal_of",
]

INTERACTION: Final = "x-fapi-interaction-id"


class OpenBankingRefusal(errors.ProblemError):
    """The bank says no.

    Attributes:
        code: The first of the four-character codes that it gives, or the name of the family where it gives none.
        path: The field that is to blame, where it names one.
        errors: All that it gives, each with ``error_code``, ``message``, ``path`` and ``url``.
        status: The HTTP status.
        interaction_id: By which the bank finds the request in its records.
    """

    errors: tuple[OBError1, ...] = ()
    path: str | None = None
    interaction_id: str | None = None

    def has(self, code: str) -> bool:
        """Tell whether a code is among those that the bank gives."""
        return any(each.error_code == code for each in self.errors)


class RequestRefused(OpenBankingRefusal, errors.InvalidRequest):
    """The request isn't of its form, or names what isn't there."""


class NotAuthenticated(OpenBankingRefusal, errors.AuthenticationFailed):
    """The access token isn't good. A user's may have ended with the consent: begin again."""


class Forbidden(OpenBankingRefusal, errors.PermissionDenied):
    """The consent doesn't allow it, isn't ours, or the party is blocked."""


class NotOffered(OpenBankingRefusal, errors.NotFound):
    """The bank doesn't offer this."""


class Contradicted(OpenBankingRefusal, errors.Conflict):
    """It contradicts what is there."""


class Unworkable(OpenBankingRefusal, errors.Unprocessable):
    """It can't be worked on as it is."""


class Busy(OpenBankingRefusal, errors.RateLimited):
    """Too much was asked for; the SDK has waited and tried again already."""


class BankAway(OpenBankingRefusal, errors.Unavailable):
    """The bank can't at the moment."""


class AnswerNotSigned(Remade, errors.MalformedAnswer):
    """The answer isn't signed by the bank, or another one was signed. What became of the request isn't known.

    Attributes:
        reason: Why it isn't believed.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"the answer isn't believed: {reason}")
        self.reason = reason


class UnderWay(OpenBankingRefusal, errors.RequestInFlight):
    """An order under the same key is still being carried out; the SDK has waited and asked again already.

    Nothing was refused by this. Given again under its ``idempotency_key``, the order is answered when it is done.
    """


class BankUnsure(BankAway, errors.OutcomeUnknown):
    """The bank doesn't know what has become of the order. Given again under the same key, it is done once."""


class SecurityEventInvalid(Remade, errors.BillfoldError):
    """A security event token isn't the bank's, isn't meant for us, or can't be read.

    Attributes:
        reason: Why it isn't believed.
        err: The same as one of the registered codes (RFC 8935, section 2.4), by which the bank is told of it.
    """

    def __init__(self, reason: str, *, err: str = "invalid_request") -> None:
        super().__init__(f"the security event token isn't believed: {reason}")
        self.reason = reason
        self.err = err

    def body(self) -> bytes:
        """Return what to answer to a bank that has pushed the token, with 400 and as ``application/json``."""
        return msgspec.json.encode({"err": self.err, "description": self.reason})


class PaymentUnfinished(Remade, errors.BillfoldError):
    """A payment has come to no end in the time that was given; it may do so later.

    Attributes:
        last: The bank's last answer about it.
    """

    def __init__(self, last: Any) -> None:
        super().__init__(f"the payment stands at {last.data.status}")
        self.last = last


_BY_STATUS: Final[dict[int, type[OpenBankingRefusal]]] = {
    401: NotAuthenticated,
    403: Forbidden,
    404: NotOffered,
    405: NotOffered,
    409: Contradicted,
    422: Unworkable,
    429: Busy,
}


_BY_CODE: Final[dict[str, type[OpenBankingRefusal]]] = {
    errors.RequestInFlight.code: UnderWay,
    errors.OutcomeUnknown.code: BankUnsure,
}
"""What the standard has no word for, so that Billfold says it by its own; who took it for a refusal might pay twice."""


class _Read(msgspec.Struct):
    errors: list[Any] = msgspec.field(name="Errors", default_factory=list)


class _Coded(msgspec.Struct):
    code: str = msgspec.field(name="Code", default="")


def refusal_of(response: Response, asked_s: float | None = None) -> OpenBankingRefusal:
    """Return the error that an answer of the bank is, whatever is in its body."""
    status = response.status
    cls = _BY_CODE.get(_code(response.body)) or _BY_STATUS.get(status, BankAway if status >= 500 else RequestRefused)  # noqa: PLR2004
    found = _errors(response.body)
    first = found[0] if found else None
    told = first.message if first is not None and isinstance(first.message, str) else None
    path = first.path if first is not None and isinstance(first.path, str) else None
    refusal = cls(told or f"the bank answered with status {status}", param=path)
    refusal.status, refusal.errors, refusal.path = status, found, path
    refusal.interaction_id = response.headers.get(INTERACTION)
    refusal.request_id = response.headers.get("x-request-id") or refusal.interaction_id
    if first is not None:
        refusal.__dict__["code"] = first.error_code
    if asked_s is not None:
        refusal.facts["retry_after_s"] = round(asked_s)
    return refusal


def _code(body: bytes) -> str:
    """Return Billfold's own name of a refusal, which follows the status there, as in ``400 request_in_flight``."""
    try:
        return msgspec.json.decode(body, type=_Coded).code.partition(" ")[2]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""


def _errors(body: bytes) -> tuple[OBError1, ...]:
    """Return what a body gives as errors. Banks' bodies vary, so each is read by itself, and leniently."""
    try:
        listed = msgspec.json.decode(body, type=_Read).errors
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ()
    return tuple(_error(each) for each in listed if isinstance(each, dict) and isinstance(each.get("ErrorCode"), str))


def _error(given: dict[str, Any]) -> OBError1:
    texts = {name: text for name in ("Message", "Path", "Url") if isinstance(text := given.get(name), str)}
    return OBError1(
        error_code=given["ErrorCode"],
        **{name.lower(): text for name, text in texts.items()},
    )
