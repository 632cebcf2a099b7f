"""For which resource a token is: one of the realm's own, and only one (RFC 8707)."""

from collections.abc import Collection
from typing import Final

from billfold_server.identity.realms import Realm
from billfold_server.identity.rules import OPEN_BANKING_SCOPES, OPENID_SCOPES, OAuthRefusal

__all__ = ["API", "OPEN_BANKING", "chosen", "open_banking_of", "resources_of"]

API: Final = "/v1"
"""A realm's own API, below its issuer."""

OPEN_BANKING: Final = "/open-banking"
"""What licensed third parties use, at every version of every standard."""


def open_banking_of(realm: Realm) -> str:
    """Return what third parties' tokens of a tenant open."""
    return f"{realm.issuer}{OPEN_BANKING}"


def resources_of(realm: Realm) -> list[str]:
    """Return the resources of a realm."""
    return [f"{realm.issuer}{API}", *(() if realm.platform else (open_banking_of(realm),))]


def _meant(realm: Realm, scopes: Collection[str]) -> list[str]:
    """Return the resources of a realm, the one first that is meant where none is named: what the scopes are about."""
    about = set(scopes) - OPENID_SCOPES.keys()
    own = resources_of(realm)
    return own[::-1] if about and about <= OPEN_BANKING_SCOPES.keys() else own


def chosen(realm: Realm, asked: str | None, allowed: Collection[str] = (), *, scopes: Collection[str] = ()) -> str:
    """Return for which resource a token is to be.

    One token opens one resource: one that leaks there, or that a dishonest resource keeps, opens no other. A client
    that needs several asks for a token for each.

    Args:
        realm: Who issues it.
        asked: The ``resource`` parameter of the token request.
        allowed: What was asked for when the user allowed it; all of the realm's where empty.
        scopes: What the token is to allow, which says what is meant where nothing is asked for.

    Raises:
        OAuthRefusal: ``invalid_target`` (section 2): it is none of those.
    """
    own = _meant(realm, scopes)
    allowed = [each for each in own if each in allowed] if allowed else own
    if asked is None and allowed:
        return allowed[0]
    if asked not in allowed:
        raise OAuthRefusal("invalid_target", "the resource is none that this token could be for")
    return asked
