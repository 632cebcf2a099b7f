"""Less than what was allowed: a token request may ask for a part of the authorization details (RFC 9396, section 6)."""

from collections.abc import Sequence
from typing import Any

import msgspec

from billfold_server.identity.rules import OAuthRefusal

__all__ = ["narrowed_details"]


def narrowed_details(asked: str | None, allowed: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the authorization details that a token gets: those that were asked for, or all.

    What is asked for must be one of those that were allowed, to the letter: whether one thing is a part of another only
    its type could tell.

    Raises:
        OAuthRefusal: ``invalid_authorization_details`` (section 5): more is asked for, or it can't be read.
    """
    if asked is None:
        return list(allowed)
    try:
        wanted = msgspec.json.decode(asked, type=list[dict[str, Any]])
    except (msgspec.MsgspecError, RecursionError):
        wanted = []
    if not wanted or any(each not in allowed for each in wanted):
        raise OAuthRefusal("invalid_authorization_details", "authorization_details asks for more than was allowed")
    return wanted
