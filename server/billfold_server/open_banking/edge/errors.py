"""How refusals look on this interface: ``OBErrorResponse1`` with a code of four characters, or nothing at all.

An unknown id is 400, since 404 means an endpoint that isn't offered; what belongs to somebody else is 403. Without a
body are 401, 404, 405, 406, 415 and 429. ``Path`` is the member's JSON path; for U006 and U007 it is the header's name,
for U016 and U017 the claim's in the signature's header, and other codes of signatures have none.

Source: Open Banking Read/Write API Profile 4.0, HTTP status codes and errors; codes of ``OBExternalStatusReason1Code``.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from billfold import errors
from billfold.contract.common import Violation
from billfold.contract.open_banking.common import OBError1, OBErrorResponse1
from billfold_server.http.answers import Answer, on_the_wire
from billfold_server.http.problems import problem_headers, status_of
from billfold_server.open_banking.edge.headers import IDEMPOTENCY_KEY, JSON_MEDIA

__all__ = [
    "CODES",
    "CONSENT_MISMATCH",
    "CONSENT_STATUS",
    "DATE_INVALID",
    "FIELD_EXPECTED",
    "FIELD_INVALID",
    "FIELD_UNEXPECTED",
    "UNSUPPORTED_ACCOUNT",
    "UNSUPPORTED_CURRENCY",
    "UNSUPPORTED_INSTRUMENT",
    "UNSUPPORTED_SCHEME",
    "Refusal",
    "answer_of",
    "field_error",
    "plain_refusal",
    "refusal_of",
    "register",
]

_CODE: Final = "open_banking_code"

# What the codes are called in the standard.
FIELD_EXPECTED: Final = "U001"
FIELD_INVALID: Final = "U002"
DATE_INVALID: Final = "U003"
FIELD_MISSING: Final = "U004"
FIELD_UNEXPECTED: Final = "U005"
HEADER_INVALID: Final = "U006"
HEADER_MISSING: Final = "U007"
CONSENT_MISMATCH: Final = "U008"
CONSENT_STATUS: Final = "U009"
FORMAT_INVALID: Final = "U010"
NOT_FOUND: Final = "U011"
UNSUPPORTED_ACCOUNT: Final = "U021"
UNSUPPORTED_CURRENCY: Final = "U023"
EVENT_TYPE: Final = "U024"
UNSUPPORTED_INSTRUMENT: Final = "U026"
UNSUPPORTED_SCHEME: Final = "U027"
REAUTHENTICATE: Final = "U028"
UNEXPECTED: Final = "U000"

_SIGNATURES: Final = {
    "invalid": "U015",
    "claim_invalid": "U016",
    "claim_missing": "U017",
    "malformed": "U018",
    "missing": "U019",
}
_OF_CLAIMS: Final = frozenset({"claim_invalid", "claim_missing"})

CODES: Final[dict[type[errors.ProblemError], str]] = {
    errors.ProblemError: UNEXPECTED,
    errors.InvalidRequest: FIELD_INVALID,
    errors.MalformedBody: FORMAT_INVALID,
    errors.BodyTooLarge: FORMAT_INVALID,
    errors.BodyTooSlow: FORMAT_INVALID,
    errors.InvalidCursor: FIELD_INVALID,
    errors.IdempotencyKeyMissing: HEADER_MISSING,
    errors.IdempotencyKeyReused: HEADER_INVALID,
    errors.RequestInFlight: HEADER_INVALID,
    errors.NotFound: NOT_FOUND,
    errors.PermissionDenied: CONSENT_MISMATCH,
    errors.InsufficientScope: HEADER_INVALID,
    errors.TokenOfAnotherKind: HEADER_INVALID,
    errors.ConsentNotFound: NOT_FOUND,
    errors.EventSubscriptionNotFound: NOT_FOUND,
    errors.ConsentNotUsable: CONSENT_STATUS,
    errors.ConsentTransitionRefused: CONSENT_STATUS,
    errors.ReauthenticationRequired: REAUTHENTICATE,
    errors.Conflict: CONSENT_STATUS,
    errors.Unprocessable: FIELD_INVALID,
    errors.InternalError: UNEXPECTED,
    errors.Unavailable: UNEXPECTED,
}
"""The code of each class of errors, or of the nearest class above it."""

_STATUSES: Final[dict[type[errors.ProblemError], int]] = {
    errors.UnknownTenant: 404,
    errors.EndpointNotOffered: 404,
    errors.NotFound: 400,
    errors.ConsentNotUsable: 400,
    errors.BodyTooLarge: 400,
    errors.BodyTooSlow: 400,
    errors.IdempotencyKeyReused: 400,
    errors.RequestInFlight: 400,
    errors.Unprocessable: 400,
}
"""Which classes have another status here than elsewhere."""

_CONFLICT: Final = 409
_EMPTY: Final = frozenset({401, 404, 405, 406, 415, 429})


def register(error: type[errors.ProblemError], code: str, *, status: int | None = None) -> None:
    """Say how a room's own class of errors looks here.

    Args:
        error: The class.
        code: Its code of four characters.
        status: Its status, where it isn't that of its family.
    """
    CODES[error] = code
    if status is not None:
        _STATUSES[error] = status


def field_error(path: str, code: str, message: str) -> errors.ValidationFailed:
    """Return the error that blames one member of the body, by a code of the standard.

    Args:
        path: Where it is, such as ``Data.Initiation.InstructedAmount.Currency``.
        code: The code, such as ``U001``.
        message: Why, in words of ours: nothing of what was sent.
    """
    error = errors.ValidationFailed(f"{path}: {message}", param=path)
    error.__dict__["violations"] = [Violation(param=path, reason=message)]
    error.__dict__[_CODE] = code
    return error


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A refusal as it is answered.

    Attributes:
        status: The HTTP status.
        body: The body; None where there is none.
        headers: Headers of its own.
    """

    status: int
    body: OBErrorResponse1 | None
    headers: Mapping[str, str]


def refusal_of(
    error: errors.ProblemError,
    request_id: str,
    *,
    statuses: tuple[int, ...] = (),
    empty: frozenset[int] = frozenset(),
    names: Mapping[str, str] = MappingProxyType({}),
) -> Refusal:
    """Return how an error looks here.

    Args:
        error: The error.
        request_id: The request, by which the bank's staff finds it.
        statuses: What the operation documents, where one was found: a conflict is 400 where 409 isn't among them.
        empty: Which of them have no body, beyond those that never have one.
        names: What the operation's request calls what we call otherwise.
    """
    status = _status(type(error))
    if status == _CONFLICT and status not in statuses:
        status = 400
    headers = problem_headers(error)
    if status in _EMPTY or status in empty:
        return Refusal(status=status, body=None, headers=headers)
    violations = error.__dict__.get("violations", ()) or [Violation(param=error.param or "", reason=error.detail)]
    body = OBErrorResponse1(
        id=request_id[:40],
        code=f"{status} {error.code}"[:40],
        message=error.title[:500],
        errors=[_one(error, each, names) for each in violations],
    )
    return Refusal(status=status, body=body, headers=headers)


def _status(error: type[errors.ProblemError]) -> int:
    narrower = next((_STATUSES[ancestor] for ancestor in error.__mro__ if ancestor in _STATUSES), None)
    return status_of(error) if narrower is None else narrower


def _one(error: errors.ProblemError, violation: Violation, names: Mapping[str, str]) -> OBError1:
    # What a signature is refused for is a parameter of its own header, which has its name from outside (RFC 7515).
    is_claim = isinstance(error, errors.MessageSignatureInvalid) and error.fault in _OF_CLAIMS
    path = violation.param if is_claim else _path_of(violation.param, names)
    more = {"path": path[:500]} if path else {}
    return OBError1(error_code=_code(error, violation), message=violation.reason[:500], **more)


_PATHS: Final = {"Idempotency-Key": IDEMPOTENCY_KEY, "consent_id": "ConsentId", "cursor": "page"}
"""What this interface calls what we call otherwise."""

_OWN: Final = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*(?:[.\[].*)?", re.DOTALL)
_SAID: Final = frozenset({"ack", "body", "page", "query"})


def _path_of(param: str, names: Mapping[str, str]) -> str:
    """Return how this interface calls a value; nothing where it has no name for it, since ours says nobody anything."""
    path = names.get(param) or _PATHS.get(param, param)
    said = path in _SAID or path.startswith("ack[") or _HEADER.match(path)
    return "" if _OWN.fullmatch(path) and not said else path


_HEADER: Final = re.compile(r"(?i)(x-|authorization|accept|content-|payload-version)")


def _code(error: errors.ProblemError, violation: Violation) -> str:
    said = error.__dict__.get(_CODE)
    if isinstance(said, str):
        return said
    if isinstance(error, errors.MessageSignatureInvalid):
        return _SIGNATURES[error.fault]
    if isinstance(error, errors.ValidationFailed):
        return _code_of_value(violation)
    return next(CODES[ancestor] for ancestor in type(error).__mro__ if ancestor in CODES)


def _code_of_value(violation: Violation) -> str:
    missing = violation.reason == "is required"
    if _HEADER.match(violation.param):
        return HEADER_MISSING if missing else HEADER_INVALID
    if missing:
        return FIELD_MISSING
    if violation.reason.startswith("unknown field"):
        return FIELD_UNEXPECTED
    return DATE_INVALID if violation.param.endswith("DateTime") else FIELD_INVALID


def answer_of(refusal: Refusal) -> Answer:
    """Return a refusal as an answer, unsigned."""
    body = b"" if refusal.body is None else msgspec.json.encode(refusal.body)
    media = {} if refusal.body is None else {"Content-Type": JSON_MEDIA}
    return Answer(refusal.status, body, on_the_wire({**media, "Cache-Control": "no-store", **refusal.headers}))


def plain_refusal(error: errors.ProblemError, request_id: str) -> Answer:
    """Return the answer to what no operation was found for, or what failed before one was."""
    # Here nothing is an id that nobody knows: there is no such address.
    if type(error) is errors.NotFound:
        error = errors.EndpointNotOffered()
    return answer_of(refusal_of(error, request_id))
