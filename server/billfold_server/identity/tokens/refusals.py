"""How resources refuse tokens: with the challenge that tells the client what would do (RFC 6750, RFC 9449)."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from billfold import errors
from billfold_server.identity.realms import Realm

__all__ = ["TokenRefused", "challenges_of"]


class TokenRefused(errors.InvalidToken):
    """The request has no token that counts.

    Attributes:
        challenges: Values of ``WWW-Authenticate``, each a challenge of its own.
        nonce: The nonce that the next proof must hold, where that is what was missing.
    """

    challenges: tuple[str, ...]
    nonce: str | None

    def __init__(
        self, detail: str, challenges: Sequence[str], *, nonce: str | None = None, absent: bool = False
    ) -> None:
        facts: dict[str, Any] = {"absent": True} if absent else {}
        super().__init__(detail, **facts)
        self.challenges = tuple(challenges)
        self.nonce = nonce


def challenges_of(realm: Realm, resource: str, *, error: str | None = None, scheme: str = "Bearer") -> list[str]:
    """Return the challenges of a realm: which schemes it takes, and what was wrong with the one that was used.

    Each says where the resource tells who issues tokens for it (RFC 9728, section 5.1).

    Args:
        realm: Whose.
        resource: What was asked for, below the issuer; empty is what has nothing to tell.
        error: What was wrong with a token, by RFC 6750, section 3.1 or RFC 9449, section 7.1.
        scheme: The scheme that was used.
    """
    profile, where = realm.profile, f', resource_metadata="{_metadata_of(realm, resource)}"' if resource else ""
    reason = "" if error is None else f', error="{error}"'
    # A token that is bound to a certificate has the scheme of bearer tokens, too (RFC 8705, section 3).
    found = [f'Bearer realm="billfold"{reason if scheme == "Bearer" else ""}']
    if profile.dpop and (not profile.bearer or scheme == "DPoP"):
        dpop = f'DPoP algs="{" ".join(profile.algorithms)}"{reason if scheme == "DPoP" else ""}'
        found = [dpop] if scheme == "DPoP" else [*found, dpop] if error else [dpop, *found]
    return [each + where for each in found]


def _metadata_of(realm: Realm, resource: str) -> str:
    """Return where a resource's metadata is: between its host and its path (RFC 9728, section 3.1)."""
    issuer = urlsplit(realm.issuer)
    return f"{issuer.scheme}://{issuer.netloc}/.well-known/oauth-protected-resource{issuer.path}{resource}"
