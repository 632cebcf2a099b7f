"""Clients that show a shared secret: by HTTP Basic or in the form (RFC 6749, section 2.3.1). For sandboxes only."""

import base64
import binascii
import hmac
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final
from urllib.parse import unquote_plus
from uuid import UUID

import msgspec

from billfold_server.identity.clients.rows import MOST_EARLIER, Kept
from billfold_server.identity.rules import OAuthRefusal
from billfold_server.keys.service import Keyring

__all__ = ["Shown", "digest", "matches", "read_basic"]

_BASIC = re.compile(r"(?i:basic) +([A-Za-z0-9+/]+={0,2})")
_NOTHING: Final = bytes(32)


class Shown(msgspec.Struct, frozen=True):
    """An id and a secret.

    Attributes:
        client_id: Who the client says that it is.
        secret: By what it wants to be believed.
    """

    client_id: str
    secret: str

    def __repr__(self) -> str:
        return f"Shown(client_id={self.client_id!r})"


def read_basic(authorization: str, form: Mapping[str, str]) -> Shown:
    """Return what an ``Authorization`` header shows, whose parts are form-encoded before they are joined.

    Raises:
        OAuthRefusal: ``invalid_client``: it isn't HTTP Basic, or the form names another client.
    """
    # The challenge answers the scheme that was tried (RFC 6749, section 5.2); by another one nobody has tried Basic.
    tried = authorization.partition(" ")[0].lower() == "basic"
    refusal = OAuthRefusal("invalid_client", "the Authorization header isn't HTTP Basic", basic=tried)
    if (match := _BASIC.fullmatch(authorization)) is None:
        raise refusal
    try:
        pair = base64.b64decode(match.group(1), validate=True).decode("utf-8")
        client_id, colon, secret = pair.partition(":")
        shown = Shown(unquote_plus(client_id, errors="strict"), unquote_plus(secret, errors="strict"))
    except (binascii.Error, ValueError):
        raise refusal from None
    if not colon or form.get("client_id", shown.client_id) != shown.client_id:
        raise refusal
    return shown


def digest(keyring: Keyring, client_id: UUID, secret: str) -> bytes:
    """Return what is kept of a secret. It has 256 random bits, so a keyed digest is as good as a slow one."""
    return hmac.digest(keyring.derive("client secrets"), client_id.bytes + secret.encode(), "sha256")


def matches(shown: bytes, kept: Kept, now: datetime) -> bool:
    """Tell whether a secret's digest is one that is kept, at the same effort whatever is kept.

    Args:
        shown: The digest of what was shown.
        kept: What is kept of the client; of one that doesn't exist, nothing.
        now: The real time, at which a former secret may have ended.
    """
    taken = [kept.secret_digest or _NOTHING, *(each for each, until in kept.ending() if now < until)]
    taken += [_NOTHING] * (MOST_EARLIER + 2 - len(taken))
    return sum(hmac.compare_digest(shown, each) for each in taken) > 0
