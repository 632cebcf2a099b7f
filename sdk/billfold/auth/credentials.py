"""Client credentials: an id and a secret, exchanged for short-lived access tokens (RFC 6749, section 4.4)."""

import base64
import urllib.parse
from collections.abc import Sequence
from typing import Final

from billfold import errors
from billfold.client._open import decoder
from billfold.contract.oauth import TokenResponse

__all__ = ["AccessToken", "ClientCredentials", "TokenStore"]

_EARLY_S: Final = 60.0
_EARLY_SHARE: Final = 0.1


class AccessToken:
    """An access token and how long it is used.

    Attributes:
        value: What is sent to the server. A secret, so it isn't shown.
        refresh_at: When it is replaced, on the monotonic clock: shortly before it expires, so that none expires on
            its way.
    """

    __slots__ = ("refresh_at", "value")

    def __init__(self, value: str, refresh_at: float) -> None:
        self.value = value
        self.refresh_at = refresh_at

    def __repr__(self) -> str:
        return "AccessToken(…)"


class ClientCredentials:
    """An API client's id and secret.

    Args:
        client_id: ``cli_…``.
        client_secret: What came with it. It isn't shown, and it is sent to the token endpoint only.
        scopes: What the access token shall allow; everything that the client may where absent.
    """

    __slots__ = ("_client_secret", "client_id", "scopes")

    def __init__(self, client_id: str, client_secret: str, *, scopes: Sequence[str] | None = None) -> None:
        self.client_id = client_id
        self._client_secret = client_secret
        self.scopes = None if scopes is None else tuple(scopes)

    def __repr__(self) -> str:
        return f"ClientCredentials({self.client_id!r}, …)"

    def headers(self) -> dict[str, str]:
        """Return what proves the client's identity (RFC 6749, section 2.3.1)."""
        pair = f"{urllib.parse.quote_plus(self.client_id)}:{urllib.parse.quote_plus(self._client_secret)}"
        return {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}

    def form(self) -> bytes:
        """Return the body of a token request (RFC 6749, section 4.4.2)."""
        fields = {"grant_type": "client_credentials"}
        if self.scopes is not None:
            fields["scope"] = " ".join(self.scopes)
        return urllib.parse.urlencode(fields).encode()

    def read(self, body: bytes, now: float) -> AccessToken:
        """Read the answer of the token endpoint.

        Args:
            body: What came.
            now: The monotonic clock when the request was sent, so that a slow answer makes no token live longer.

        Raises:
            errors.MalformedAnswer: It isn't the answer of a token endpoint, or the token is of another type.
        """
        answer: TokenResponse = decoder(TokenResponse)(body)
        if answer.token_type.lower() != "bearer" or not answer.access_token.isascii():
            raise errors.MalformedAnswer("the token endpoint issued a token of another type")
        lifetime_s = max(0, answer.expires_in)
        return AccessToken(answer.access_token, now + lifetime_s - min(_EARLY_S, lifetime_s * _EARLY_SHARE))


class TokenStore:
    """The access token that all calls of a client share, and what became of the last try to replace it.

    It makes no request and takes no lock. Its user takes one around ``current``, the request and ``keep`` or ``fail``,
    so that one request serves all who wait; ``turn``, read before the lock is taken, tells a waiter whether a request
    was made meanwhile whose failure is its own too. Otherwise a hundred waiters would ask a dead server one after the
    other.
    """

    __slots__ = ("_error", "_token", "turn")

    def __init__(self) -> None:
        self._token: AccessToken | None = None
        self._error: errors.BillfoldError | None = None
        self.turn = 0

    def current(self, refused: str | None, now: float) -> str | None:
        """Return the token in store if it can be used.

        Args:
            refused: A token that the server no longer takes.
            now: The monotonic clock.
        """
        token = self._token
        if token is None or token.value == refused or now >= token.refresh_at:
            return None
        return token.value

    def failure_since(self, turn: int) -> errors.BillfoldError | None:
        """Return how the request ended that was made since a turn, if it failed."""
        return self._error if self.turn != turn else None

    def keep(self, token: AccessToken) -> str:
        """Store a fresh token and return its text."""
        self._token, self._error = token, None
        self.turn += 1
        return token.value

    def fail(self, error: errors.BillfoldError) -> None:
        """Remember that no token was to be had."""
        self._error = error
        self.turn += 1
