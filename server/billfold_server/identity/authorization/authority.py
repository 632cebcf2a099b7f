"""What a person may allow a client: no more than is theirs (RFC 6749, section 3.3; RFC 9396, section 7).

A client's registration says what it may ask for, and that isn't enough: the scopes of the API are about everything that
a tenant has, and one customer can't give away the wallets of all others. What a person can't allow is left out of the
grant, of which the token response tells the client.
"""

from typing import TYPE_CHECKING, Any, Final

from billfold_server.identity.authorization import details
from billfold_server.identity.authorization.details import Owner
from billfold_server.identity.authorization.parameters import AuthorizationRequest
from billfold_server.identity.rules import OPEN_BANKING_SCOPES, OPENID_SCOPES
from billfold_server.people.service import scopes_of

if TYPE_CHECKING:
    from billfold_server.people.service import Session

__all__ = ["allowed_scopes", "may_allow"]

_OF_ANYBODY: Final = frozenset(OPENID_SCOPES)


def allowed_scopes(request: AuthorizationRequest, session: "Session") -> list[str]:
    """Return which of the scopes that are asked for are this person's to allow."""
    theirs = scopes_of(session.login_realm, session.roles, session.partner_scopes or ())
    if theirs is not None and request.consent_id is not None and session.party_id is not None:
        # What a customer can allow nobody by a word alone, they can by a consent that says what exactly.
        theirs |= OPEN_BANKING_SCOPES.keys()
    return [scope for scope in request.scopes if theirs is None or scope in theirs or scope in _OF_ANYBODY]


async def may_allow(tx: Any, request: AuthorizationRequest, session: "Session") -> bool:
    """Tell whether there is something that this person may allow, and every detail is theirs.

    Args:
        tx: The realm's transaction.
        request: What is asked.
        session: Who is to be asked.
    """
    if request.consent_id is not None and session.party_id is None:
        return False
    owner = Owner(user_id=session.user_id, party_id=session.party_id)
    for each in request.details:
        # What moves money needs an approval that is linked to amount and payee, which customers alone can give.
        if details.payment_of(each) is not None and session.party_id is None:
            return False
        if not await details.is_theirs(tx, owner, each):
            return False
    return bool(request.details or allowed_scopes(request, session))
