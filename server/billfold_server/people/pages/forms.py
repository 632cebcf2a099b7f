"""Forms as browsers send them, and the token by which a form is known to be one of ours.

The token is a keyed digest over the browser's cookie, the session and the time, so that no page elsewhere can make a
person's browser send a form that counts (OWASP, signed double-submit cookie). It needs no memory on this side.
"""

import base64
import binascii
import hmac
from typing import Final
from urllib.parse import unquote_plus

from billfold import errors

__all__ = ["FIELD", "ONCE", "TTL_S", "read", "stands", "token"]

FIELD: Final = "csrf"
ONCE: Final = "once"
"""By what a form is told from all others, where what it asks for is done once, however often its button is pressed."""
TTL_S: Final = 2 * 3600
_FIELDS: Final = 64
_MAC_BYTES: Final = 32
_TIME_BYTES: Final = 5


def read(body: bytes) -> dict[str, str]:
    """Return the fields of a form, each of which may occur once.

    Raises:
        errors.MalformedBody: It is no form in UTF-8, has a field twice, or holds NUL.
    """
    fields: dict[str, str] = {}
    parts = [part for part in body.split(b"&") if part]
    if len(parts) > _FIELDS:
        raise errors.MalformedBody("the form has too many fields", param="body")
    try:
        for part in parts:
            name, _, value = (unquote_plus(each, errors="strict") for each in part.decode("ascii").partition("="))
            if name in fields:
                raise errors.MalformedBody("the form has a field twice", param="body")
            if "\0" in value:
                raise errors.MalformedBody("the form holds a NUL character", param="body")
            fields[name] = value
    except UnicodeDecodeError:
        raise errors.MalformedBody("the form isn't valid", param="body") from None
    return fields


def token(key: bytes, *bound_to: str, now_s: int) -> str:
    """Return the token for a form.

    Args:
        key: The deployment's key for this purpose.
        bound_to: Realm, browser and session.
        now_s: Seconds since the Unix epoch.
    """
    time = (now_s + TTL_S).to_bytes(_TIME_BYTES, "big")
    return base64.urlsafe_b64encode(time + _mac(key, time, bound_to)).decode().rstrip("=")


def stands(key: bytes, given: str, *bound_to: str, now_s: int) -> bool:
    """Tell whether a form's token was made for this realm, browser and session, and still is good."""
    try:
        raw = base64.b64decode(given + "=" * (-len(given) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return False
    time, mac = raw[:_TIME_BYTES], raw[_TIME_BYTES:]
    genuine = hmac.compare_digest(mac, _mac(key, time, bound_to))
    return genuine and len(raw) == _TIME_BYTES + _MAC_BYTES and now_s < int.from_bytes(time, "big")


def _mac(key: bytes, time: bytes, bound_to: tuple[str, ...]) -> bytes:
    parts = [time, *(each.encode() for each in bound_to)]
    return hmac.digest(key, b"".join(len(part).to_bytes(4, "big") + part for part in parts), "sha256")
