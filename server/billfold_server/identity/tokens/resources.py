"""For which resource a token is: one of the realm's own, and only one (RFC 8707)."""

from collections.abc import Collection
from typing import Final

from billfold_server.identity.realms import Realm
from billfold_server.identity.rules import OAuthRefusal

__all__ = ["APIS", "chosen", "resources_of"]

APIS: Final = ("/v1",)
"""What a realm's tokens can open, below its issuer; the first is meant where nothing is asked for."""


def resources_of(realm: Realm) -> list[str]:
    """Return the resources of a realm, the one that is meant where none is named first."""
    return [f"{realm.issuer}{api}" for api in APIS]


def chosen(realm: Realm, asked: str | None, allowed: Collection[str] = ()) -> str:
    """Return for which resource a token is to be.

    One token opens one resource: one that leaks there, or that a dishonest resource keeps, opens no other. A client
    that needs several asks for a token for each.

    Args:
        realm: Who issues it.
        asked: The ``resource`` parameter of the token request.
        allowed: What was asked for when the user allowed it; all of the realm's where empty.

    Raises:
        OAuthRefusal: ``invalid_target`` (section 2): it is none of those.
    """
    own = resources_of(realm)
    allowed = [each for each in own if each in allowed] if allowed else own
    if asked is None and allowed:
        return allowed[0]
    if asked not in allowed:
        raise OAuthRefusal("invalid_target", "the resource is none that this token could be for")
    return asked
