"""Whether an ID token may be believed, once its signature is verified.

Source: OpenID Connect Core, sections 3.1.3.7 and 12.2.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, Final

from billfold.auth._jwt import is_time
from billfold.auth.refusals import IdTokenInvalid
from billfold.auth.sign_in import INTENT, LEEWAY_S, Pending, UserTokens

__all__ = ["check", "check_refreshed", "half_hash"]

_MAX_SUBJECT: Final = 255
_OLDEST_S: Final = 600
"""How long ago an ID token may have been issued that has just come from the token endpoint."""


def check(
    claims: Mapping[str, Any],
    pending: Pending,
    now: float,
    *,
    algorithm: str,
    access_token: str,
    code: str,
) -> None:
    """See that an ID token is the answer to a sign-in that was begun.

    Args:
        claims: What it says.
        pending: What was begun.
        now: The server's time.
        algorithm: By which it is signed.
        access_token: What came with it, which ``at_hash`` binds where it is there.
        code: What it was given for, which ``c_hash`` binds where it is there.

    Raises:
        IdTokenInvalid: It isn't; ``claim`` says why.
    """
    _check_party(claims, pending.issuer, pending.client_id)
    _check_times(claims, now)
    nonce = claims.get("nonce")
    if pending.nonce is None or not isinstance(nonce, str) or not _same(nonce, pending.nonce):
        raise IdTokenInvalid("nonce")
    for name, text in (("at_hash", access_token), ("c_hash", code), ("s_hash", pending.state)):
        if name in claims and not _same(str(claims[name]), half_hash(text, algorithm)):
            raise IdTokenInvalid(name)
    if pending.max_age_s is not None:
        signed_in_at = claims.get("auth_time")
        if not is_time(signed_in_at) or now - float(str(signed_in_at)) > pending.max_age_s + LEEWAY_S:
            raise IdTokenInvalid("auth_time")
    if pending.acr_values and claims.get("acr") not in pending.acr_values:
        raise IdTokenInvalid("acr")
    if pending.intent_id is not None and claims.get(INTENT) != pending.intent_id:
        # The user has allowed something else than what was asked for.
        raise IdTokenInvalid(INTENT)


def check_refreshed(claims: Mapping[str, Any], tokens: UserTokens, now: float) -> None:
    """See that an ID token that came with a refreshed access token is of the same sign-in (section 12.2).

    Raises:
        IdTokenInvalid: It isn't; ``claim`` says why.
    """
    _check_party(claims, tokens.issuer, tokens.client_id)
    _check_times(claims, now)
    before = tokens.claims
    if claims.get("sub") != before.get("sub", claims.get("sub")):
        raise IdTokenInvalid("sub")
    for name in ("auth_time", "azp"):
        if name in claims and name in before and claims[name] != before[name]:
            raise IdTokenInvalid(name)


def half_hash(text: str, algorithm: str) -> str:
    """Return the left half of a text's hash, by which one token names another (OpenID Connect Core, section 3.3.2.11).

    The hash is the signature's own: SHA-512 within Ed25519 (RFC 8032), SHA-256 otherwise.
    """
    digest = (hashlib.sha512 if algorithm == "EdDSA" else hashlib.sha256)(text.encode()).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode("ascii")


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _check_party(claims: Mapping[str, Any], issuer: str, client_id: str) -> None:
    """See who issued it, to whom, about whom. An audience beside us isn't trusted, since we know of none."""
    if claims.get("iss") != issuer:
        raise IdTokenInvalid("iss")
    if claims.get("aud") not in (client_id, [client_id]):
        raise IdTokenInvalid("aud")
    if claims.get("azp", client_id) != client_id:
        raise IdTokenInvalid("azp")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= _MAX_SUBJECT:
        raise IdTokenInvalid("sub")


def _check_times(claims: Mapping[str, Any], now: float) -> None:
    ends_at, issued_at, begins_at = claims.get("exp"), claims.get("iat"), claims.get("nbf", 0)
    if not is_time(ends_at) or now >= float(str(ends_at)) + LEEWAY_S:
        raise IdTokenInvalid("exp")
    if not is_time(issued_at) or not -LEEWAY_S <= now - float(str(issued_at)) <= _OLDEST_S:
        raise IdTokenInvalid("iat")
    if not is_time(begins_at) or now < float(str(begins_at)) - LEEWAY_S:
        raise IdTokenInvalid("nbf")
