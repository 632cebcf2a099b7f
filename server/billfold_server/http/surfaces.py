"""How refusals look on each surface: problems on ours (RFC 9457), the codes of RFC 6749 on OAuth's endpoints."""

from collections.abc import Callable
from typing import Final

import msgspec

from billfold import errors
from billfold.contract.oauth import OAuthError
from billfold_server.http import problems
from billfold_server.http.answers import Answer, on_the_wire, problem_answer
from billfold_server.http.routing import Surface
from billfold_server.open_banking.edge.errors import plain_refusal

__all__ = ["OPEN_BANKING", "oauth_answer", "refusal_on", "surface_at"]

OPEN_BANKING: Final = "/open-banking/v"
"""What stands in every address of the interfaces of open banking, and in no other."""

_OAUTH_CODES: Final = {429: "temporarily_unavailable", 500: "server_error", 503: "temporarily_unavailable"}


def oauth_answer(error: errors.ProblemError, _request_id: str) -> Answer:
    """Return the answer of an OAuth endpoint to what any operation may refuse.

    RFC 6749, section 5.2 has no code for an overloaded or failing server at the token endpoint; section 4.1.2.1 has.
    """
    status = problems.status_of(type(error))
    body = OAuthError(error=_OAUTH_CODES.get(status, "invalid_request"), error_description=error.detail)
    headers = {
        "Content-Type": "application/json",
        "Cache-Control": "no-store",
        **problems.problem_headers(error),
    }
    return Answer(status, msgspec.json.encode(body), on_the_wire(headers))


_BY_SURFACE: Final[dict[Surface, Callable[[errors.ProblemError, str], Answer]]] = {
    "problem": problem_answer,
    "oauth": oauth_answer,
    # Where a page can't be shown; pages are for signing in, so refusals look as they do there.
    "page": oauth_answer,
    "open_banking": plain_refusal,
}


def surface_at(path: str) -> Surface:
    """Return how refusals look at an address where no operation was found, or before one is looked for."""
    return "open_banking" if OPEN_BANKING in path else "problem"


def refusal_on(surface: Surface, error: errors.ProblemError, request_id: str) -> Answer:
    """Return the answer that an error makes on a surface."""
    return _BY_SURFACE[surface](error, request_id)
