"""Turns an answer that says no into the error that says it in Python."""

import functools
from typing import Final

from billfold import errors
from billfold.client._message import Response
from billfold.client._open import Decode, decoder
from billfold.contract.common import Problem
from billfold.contract.oauth import OAuthError

__all__ = ["as_error", "error_of", "token_error_of"]

_FAMILIES: Final[dict[int, type[errors.ProblemError]]] = {
    401: errors.AuthenticationFailed,
    403: errors.PermissionDenied,
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    408: errors.BodyTooSlow,
    409: errors.Conflict,
    410: errors.NotFound,
    412: errors.PreconditionFailed,
    413: errors.BodyTooLarge,
    415: errors.UnsupportedMediaType,
    422: errors.Unprocessable,
    429: errors.RateLimited,
    502: errors.Unavailable,
    503: errors.Unavailable,
    504: errors.Unavailable,
}
"""What a status means where no code says it better: a newer server's code, or a proxy's page."""


def _family(status: int) -> type[errors.ProblemError]:
    return _FAMILIES.get(status) or (errors.InternalError if status >= 500 else errors.InvalidRequest)  # noqa: PLR2004


def error_of(response: Response, asked_s: float | None = None) -> errors.BillfoldError:
    """Return the error for a response that isn't a success.

    A code that this SDK doesn't know gives the family of its status, with ``code`` and ``title`` as they were sent.

    Args:
        response: What came.
        asked_s: What it asks to be left alone for, where it does; becomes ``retry_after_s``.
    """
    if response.status < 400:  # noqa: PLR2004  # Redirects aren't followed, since they would carry the token elsewhere.
        return errors.MalformedAnswer(f"the server answered with status {response.status}, which Billfold never does")
    problem = _read(response)
    error = _foreign(response) if problem is None else _known(problem, response.status)
    error.status = response.status
    error.request_id = error.request_id or response.headers.get("x-request-id")
    if asked_s is not None:
        error.facts.setdefault("retry_after_s", round(asked_s))
    return error


def _read(response: Response) -> Problem | None:
    try:
        problem: Problem = _reader()(response.body)
    except errors.MalformedAnswer:
        return None
    return problem


@functools.cache
def _reader() -> Decode:
    # Made when the first error comes, since most programs see none while they start.
    return decoder(Problem)


def _foreign(response: Response) -> errors.ProblemError:
    """Return the error for an answer that isn't Billfold's, most likely a proxy's."""
    error = _family(response.status)(f"something answered with status {response.status}, not in Billfold's words")
    error.is_foreign = True
    return error


def as_error(problem: Problem) -> errors.ProblemError:
    """Return the error that a problem within an answer stands for, such as that of one item of a bulk.

    ``raise as_error(verdict.problem)`` is what the item would have raised alone.
    """
    error = _known(problem, problem.status)
    error.status = problem.status
    return error


def _known(problem: Problem, status: int) -> errors.ProblemError:
    cls = errors.ERRORS.get(problem.code)
    if cls is not None:
        error = cls(problem.detail, param=problem.param)
    else:
        error = _family(status)(problem.detail, param=problem.param)
        error.__dict__.update(code=problem.code, title=problem.title)
    error.facts.update(problem.facts)
    error.request_id = problem.request_id
    error.violations = tuple(problem.violations)
    return error


def token_error_of(response: Response, asked_s: float | None = None) -> errors.BillfoldError:
    """Return the error for a refusal of the token endpoint, with OAuth's own name for it as ``oauth_error``.

    Source: RFC 6749, section 5.2.
    """
    try:
        refusal: OAuthError = decoder(OAuthError)(response.body)
    except errors.MalformedAnswer:
        return error_of(response, asked_s)
    cls = _family(response.status)
    if cls is errors.InvalidRequest:
        cls = errors.PermissionDenied if refusal.error == "invalid_scope" else errors.AuthenticationFailed
    error = cls(refusal.error_description or f"the token endpoint answered {refusal.error}", oauth_error=refusal.error)
    error.status, error.request_id = response.status, response.headers.get("x-request-id")
    if asked_s is not None:
        error.facts.setdefault("retry_after_s", round(asked_s))
    return error
