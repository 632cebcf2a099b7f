"""Problems: how a refusal looks over HTTP (RFC 9457).

Errors know nothing of HTTP. Here, and only here, each code gets its status: by its family, unless it is named in
``_NARROWER``. A problem says what is wrong and where, but never repeats what was sent, so that neither logs nor pages
that show it can be made to carry someone else's text.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from billfold import errors
from billfold.contract.common import Problem, Violation

__all__ = ["MEDIA_TYPE", "encode_problem", "problem_headers", "problem_of", "problem_type", "status_of"]

MEDIA_TYPE: Final = "application/problem+json"

_FAMILIES: Final[dict[type[errors.ProblemError], int]] = {
    errors.InvalidRequest: 400,
    errors.AuthenticationFailed: 401,
    errors.PermissionDenied: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.PreconditionFailed: 412,
    errors.Unprocessable: 422,
    errors.RateLimited: 429,
    errors.InternalError: 500,
    errors.Unavailable: 503,
}
"""Each family of errors with its status."""

_NARROWER: Final[dict[type[errors.ProblemError], int]] = {
    errors.MethodNotAllowed: 405,
    errors.NotAcceptable: 406,
    errors.BodyTooSlow: 408,
    errors.HistoryDetached: 410,
    errors.TokenForgotten: 410,
    errors.SubjectForgotten: 410,
    errors.BodyTooLarge: 413,
    errors.UnsupportedMediaType: 415,
}
"""What HTTP has a status of its own for."""


def status_of(error: type[errors.ProblemError]) -> int:
    """Return the HTTP status of a class of errors.

    Raises:
        LookupError: The class belongs to no family, which a test over the whole registry excludes.
    """
    for ancestor in error.__mro__:
        if ancestor in _NARROWER:
            return _NARROWER[ancestor]
        if ancestor in _FAMILIES:
            return _FAMILIES[ancestor]
    msg = f"{error.__name__} belongs to no family of errors"
    raise LookupError(msg)


def problem_type(code: str) -> str:
    """Return the URI that names a kind of problem (RFC 9457, section 3.1.1): a name, not an address."""
    return f"urn:billfold:problem:{code}"


def problem_of(error: errors.ProblemError, request_id: str) -> Problem:
    """Return the problem document of an error."""
    violations: Iterable[Violation] = error.__dict__.get("violations", ())
    return Problem(
        type=problem_type(error.code),
        title=error.title,
        status=status_of(type(error)),
        code=error.code,
        detail=error.detail,
        request_id=request_id,
        param=error.param,
        facts=dict(error.facts),
        violations=list(violations),
    )


def encode_problem(error: errors.ProblemError, request_id: str) -> bytes:
    """Return the problem document of an error as JSON."""
    return msgspec.json.encode(problem_of(error, request_id))


_CHALLENGES: Final = {
    errors.InvalidToken: 'error="invalid_token"',
    errors.InsufficientScope: 'error="insufficient_scope"',
}


def problem_headers(error: errors.ProblemError) -> dict[str, str]:
    """Return the headers that belong to an error.

    ``Retry-After`` where the error knows when to come back (RFC 9110, section 10.2.3), ``Allow`` where the method was
    wrong (section 10.2.1), and a challenge where the token was (RFC 6750, section 3).
    """
    headers: dict[str, str] = {}
    retry_after_s = error.facts.get("retry_after_s")
    if retry_after_s is not None:
        headers["Retry-After"] = str(retry_after_s)
    elif isinstance(error, errors.Unavailable):
        headers["Retry-After"] = "1"
    if isinstance(error, errors.BodyTooSlow):
        # What is left of the body would keep the connection for as long as it comes (RFC 9110, section 15.5.9).
        headers["Connection"] = "close"
    if isinstance(error, errors.MethodNotAllowed):
        headers["Allow"] = str(error.facts.get("allowed", ""))
    if isinstance(error, errors.AuthenticationFailed | errors.InsufficientScope):
        # Who refuses a token knows which schemes there are.
        headers["WWW-Authenticate"] = ", ".join(error.__dict__.get("challenges", ())) or _challenge(error)
    if (nonce := error.__dict__.get("nonce")) is not None:
        headers["DPoP-Nonce"] = nonce
    return headers


def _challenge(error: errors.ProblemError) -> str:
    """Return the challenge of RFC 6750: bare where no token came (section 3.1), with the reason where one did."""
    parts = ['Bearer realm="billfold"']
    reason = _CHALLENGES.get(type(error))
    if reason is not None and not error.facts.get("absent"):
        parts.append(reason)
    if isinstance(error, errors.InsufficientScope):
        parts.append(f'scope="{error.scope}"')
    return ", ".join(parts)
