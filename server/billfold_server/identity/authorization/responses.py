"""The authorization response: plain or signed, always with who it is from.

Sources: RFC 6749, sections 4.1.2 and 4.1.2.1; RFC 9207 (``iss``); JARM, sections 2.1 and 2.3.1; RFC 9700, section 4.12
(303, so that no browser sends what was posted on to the client).
"""

from datetime import datetime, timedelta
from typing import Any, Final

from billfold_server.http.routing import Reply
from billfold_server.identity.authorization import redirects
from billfold_server.identity.authorization.parameters import AuthorizationRequest

__all__ = ["ANSWER_TTL", "claims_of", "go", "location_of", "parameters_of", "refusal_parameters"]

ANSWER_TTL: Final = timedelta(minutes=2)
"""How long a signed answer is good (JARM, section 2.1: ten minutes at most). Its code lives no longer than one."""

_HEADERS: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}
"""No cache learns a code that stands in an address; no third party does, for every answer forbids referrers."""


def parameters_of(request: AuthorizationRequest, *, code: str) -> dict[str, str]:
    """Return the parameters of a success, but for who it is from."""
    return {"code": code} | _state(request)


def refusal_parameters(request: AuthorizationRequest, error: str, description: str) -> dict[str, str]:
    """Return the parameters of a refusal, but for who it is from."""
    return {"error": error, "error_description": description} | _state(request)


def _state(request: AuthorizationRequest) -> dict[str, str]:
    return {} if request.state is None else {"state": request.state}


def claims_of(parameters: dict[str, str], *, issuer: str, client_id: str, now: datetime) -> dict[str, Any]:
    """Return what a signed answer says."""
    return {"iss": issuer, "aud": client_id, "exp": int((now + ANSWER_TTL).timestamp()), **parameters}


def location_of(
    request: AuthorizationRequest, parameters: dict[str, str], *, issuer: str, signed: str | None = None
) -> str:
    """Return the address to which the browser goes.

    Args:
        request: What was asked, with a redirect URI that was checked.
        parameters: The answer.
        issuer: Who answers.
        signed: The answer as a JWT, where it is to be signed; it says itself who it is from.
    """
    said = {**parameters, "iss": issuer} if signed is None else {"response": signed}
    return redirects.with_parameters(request.redirect_uri, said)


def go(location: str, *, cookies: tuple[str, ...] = ()) -> Reply[bytes]:
    """Send the browser on by 303, so that it never sends what was posted on to another (RFC 9700, section 4.12)."""
    return Reply(status=303, headers={**_HEADERS, "Location": location}, cookies=cookies)
