"""How the OAuth endpoints refuse (RFC 6749, section 5.2)."""

from typing import Any, Final

import msgspec

from billfold.contract.oauth import OAuthError
from billfold_server.http.routing import Reply
from billfold_server.identity.profiles import ClientAuthentication
from billfold_server.identity.realms import Realm
from billfold_server.identity.rules import OAuthRefusal

__all__ = ["refused"]

_BASIC: Final[ClientAuthentication] = "client_secret_basic"


def refused(refusal: OAuthRefusal, realm: Realm, *, always_401: bool = False) -> Reply[Any]:
    """Return a refusal as an answer to an API client.

    A client that isn't authenticated is answered 401 where it could be, or has tried to be, by a scheme of HTTP, which
    the challenge then names (RFC 9110, section 11.6.1). Where secrets aren't accepted there is no such scheme, and the
    answer is 400, as RFC 6749 has it otherwise: its 401 is for telling which ones are supported. Revocation (RFC 7009,
    section 2.2.1) and pushed requests (RFC 9126, section 2.3) leave it at that.

    Introspection doesn't: there it is 401 whatever was tried (RFC 7662, section 2.3), and a 401 must hold a challenge.
    Naming Basic or Bearer would send a program for credentials that don't help. So the challenge has a scheme of its
    own, which programs pass over as they do with any that they don't know, and says whose metadata tell how clients
    authenticate.

    Args:
        refusal: What is refused, and why.
        realm: Whose endpoint refuses.
        always_401: Whether every client that isn't authenticated is answered 401.
    """
    headers = {"Cache-Control": "no-store", "Content-Type": "application/json", **refusal.headers}
    status = 400
    if refusal.error == "invalid_client":
        if refusal.basic or _BASIC in realm.profile.client_authentication:
            status, headers["WWW-Authenticate"] = 401, 'Basic realm="billfold", charset="UTF-8"'
        elif always_401:
            status, headers["WWW-Authenticate"] = 401, f'OAuth-Client realm="billfold", issuer="{realm.issuer}"'
    body = OAuthError(error=refusal.error, error_description=refusal.description)
    return Reply(body=msgspec.json.encode(body), status=status, headers=headers)
