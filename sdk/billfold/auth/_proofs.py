"""What proves a client's identity and its possession of a key, as claims to be signed; and the server's time.

Sources: RFC 7523, section 3, and OpenID Connect Core, section 9 (client assertions); RFC 9449, sections 4, 8 and 9
(DPoP proofs and their nonces).
"""

import base64
import hashlib
import json
import re
import secrets
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from billfold.client._message import Response

__all__ = ["Nonces", "ServerClock", "asks_for_nonce", "assertion", "htu", "origin", "proof"]

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_TTL_S: Final = 60
_PORTS: Final = {"http": 80, "https": 443}
_MAX_ORIGINS: Final = 32
_MAX_NONCE: Final = 512
_NONCE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
_TRUE_S: Final = 2.0
_MAX_OFF_S: Final = 24 * 3600.0
_LEARN_EVERY_S: Final = 30.0
_WORTH_S: Final = 10.0


def fresh() -> str:
    """Return text that nobody guesses and that never comes twice: 128 random bits."""
    return secrets.token_urlsafe(16)


def assertion(client_id: str, issuer: str, now: float) -> dict[str, Any]:
    """Return the claims of a client assertion, good for one request.

    The audience is the issuer alone, as text, so that no other server can use it (FAPI 2.0, section 5.3.3.1).
    """
    at = int(now)
    return {
        "iss": client_id,
        "sub": client_id,
        "aud": issuer,
        "jti": fresh(),
        "iat": at,
        "nbf": at,
        "exp": at + _ASSERTION_TTL_S,
    }


def htu(url: str) -> str:
    """Return an address as a proof names it: without query and fragment (RFC 9449, section 4.2)."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, parts.path or "/", "", ""))


def origin(url: str) -> str:
    """Return the origin of an address (RFC 6454): scheme, host and port, in one form."""
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    return f"{scheme}://{(parts.hostname or '').lower()}:{parts.port or _PORTS.get(scheme, 0)}"


def proof(method: str, url: str, now: float, *, token: str | None = None, nonce: str | None = None) -> dict[str, Any]:
    """Return the claims of a DPoP proof, good for one request (RFC 9449, section 4.2).

    Args:
        method: Of the request.
        url: Of the request, with or without its query.
        now: The server's time.
        token: The access token that goes with it, whose hash binds the two.
        nonce: What the server wants to find in it.
    """
    claims: dict[str, Any] = {"jti": fresh(), "htm": method, "htu": htu(url), "iat": int(now)}
    if token is not None:
        digest = hashlib.sha256(token.encode("ascii")).digest()
        claims["ath"] = base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")
    if nonce is not None:
        claims["nonce"] = nonce
    return claims


class Nonces:
    """The last nonce of each server, by its origin (RFC 9449, sections 8.2 and 9). Safe in threads."""

    __slots__ = ("_by_origin",)

    def __init__(self) -> None:
        self._by_origin: dict[str, str] = {}

    def get(self, url: str) -> str | None:
        """Return what the next proof for an address should hold."""
        return self._by_origin.get(origin(url))

    def learn(self, url: str, response: Response) -> None:
        """Keep the nonce that a response brings, if it brings one."""
        nonce = response.headers.get("dpop-nonce")
        if nonce is None or len(nonce) > _MAX_NONCE or not _NONCE.fullmatch(nonce):
            return
        known = self._by_origin
        where = origin(url)
        # A client talks to one or two servers; whatever makes it more shall not fill the memory.
        if where in known or len(known) < _MAX_ORIGINS:
            known[where] = nonce

    def __repr__(self) -> str:
        return f"Nonces({len(self._by_origin)} origins)"


def asks_for_nonce(response: Response) -> bool:
    """Tell whether a refusal says that the proof lacked a nonce, or had an old one, and brings another.

    At the token endpoint it is 400 with a body (RFC 9449, section 8), at the API 401 with a challenge (section 9).
    """
    if response.status not in {400, 401} or "dpop-nonce" not in response.headers:
        return False
    if "use_dpop_nonce" in response.headers.get("www-authenticate", ""):
        return True
    try:
        body = json.loads(response.body)
    except (ValueError, RecursionError):
        return False
    return isinstance(body, dict) and body.get("error") == "use_dpop_nonce"


class ServerClock:
    """How far this machine's clock is from the server's, learned from its answers' ``Date``.

    Proofs are good for seconds, and not every machine keeps time; the server's own clock is what they are held against.

    Attributes:
        off_s: What to add to this machine's time.
    """

    __slots__ = ("_learned_at", "off_s")

    def __init__(self) -> None:
        self.off_s = 0.0
        self._learned_at: float | None = None

    def now(self, here: datetime) -> float:
        """Return the server's time, in seconds since 1970."""
        return here.timestamp() + self.off_s

    def learn(self, response: Response, here: datetime) -> None:
        """Compare the clocks, now and then, and whenever a request was refused."""
        at = here.timestamp()
        due = self._learned_at is None or abs(at - self._learned_at) >= _LEARN_EVERY_S
        text = response.headers.get("date") if due or response.status in {400, 401} else None
        if text is None:
            return
        from email.utils import parsedate_to_datetime  # noqa: PLC0415  # Takes as long to import as half of the SDK.

        try:
            there = parsedate_to_datetime(text)
            age_s = float(response.headers.get("age", "0"))
            off_s = there.replace(tzinfo=there.tzinfo or UTC).timestamp() + age_s - at
        except (ValueError, TypeError, IndexError, OverflowError):
            return
        self._learned_at = at
        # A date has whole seconds and was on its way; and nobody's clock is a day off.
        self.off_s = off_s if _TRUE_S < abs(off_s) <= _MAX_OFF_S else 0.0

    def has_moved(self, off_s: float) -> bool:
        """Tell whether what was known when a proof was made was so wrong that another is worth a try."""
        return abs(self.off_s - off_s) > _WORTH_S
