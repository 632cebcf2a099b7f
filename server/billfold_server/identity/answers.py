"""How the OAuth endpoints refuse (RFC 6749, section 5.2)."""

from typing import Any

import msgspec

from billfold.contract.oauth import OAuthError
from billfold_server.http.routing import Reply
from billfold_server.identity.rules import OAuthRefusal

__all__ = ["refused"]


def refused(refusal: OAuthRefusal) -> Reply[Any]:
    """Return a refusal as an answer to an API client."""
    headers = {"Cache-Control": "no-store", "Content-Type": "application/json", **refusal.headers}
    if refusal.status == 401:  # noqa: PLR2004 - Unauthorized always comes with a challenge (RFC 9110, section 11.6.1).
        headers["WWW-Authenticate"] = 'Basic realm="billfold", charset="UTF-8"'
    body = OAuthError(error=refusal.error, error_description=refusal.description)
    return Reply(body=msgspec.json.encode(body), status=refusal.status, headers=headers)
