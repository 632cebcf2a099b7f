"""How a client proves who it is, and the access tokens that it gets for that (RFC 6749, section 4.4).

What is here describes; what is asked of the server, and when, is the business of ``billfold.client``.
"""

import base64
import urllib.parse
from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, ClassVar, Final

import msgspec

from billfold import errors
from billfold.auth.certificates import ClientCertificate
from billfold.keys.signer import thumbprint

if TYPE_CHECKING:
    from billfold.keys.signer import Signer

__all__ = ["AccessToken", "ClientAuthentication", "ClientCredentials", "MutualTLS", "PrivateKeyJWT", "TokenStore"]

_EARLY_S: Final = 60.0
_EARLY_SHARE: Final = 0.1
_LIFETIME_S: Final = 300
"""How long a token is taken to live whose lifetime the server doesn't tell."""

_LONGEST_S: Final = 366 * 24 * 3600


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


class TokenAnswer(msgspec.Struct):
    """What a token endpoint answers (RFC 6749, section 5.1), and what OpenID Connect and RFC 9396 add to it."""

    access_token: str
    token_type: str
    expires_in: int | None = None
    scope: str | None = None
    refresh_token: str | None = None
    id_token: str | None = None
    authorization_details: list[dict[str, object]] | None = None

    def __repr__(self) -> str:
        return "TokenAnswer(…)"

    @property
    def lifetime_s(self) -> int:
        """How many seconds the access token lives."""
        told = _LIFETIME_S if self.expires_in is None else self.expires_in
        return max(0, min(told, _LONGEST_S))


class ClientAuthentication:
    """What all ways have in common by which a client proves who it is: the ``auth`` of ``Billfold``.

    Use one of the classes below it. It holds no state of a session, so it may be shared by clients, threads and
    processes.

    Attributes:
        client_id: ``cli_…``.
        scopes: What the access token shall allow; everything that the client may where absent.
        issuer: The authorization server's name for itself; the client's ``base_url`` where absent.
        dpop: The key that access tokens are bound to (RFC 9449), or None.
        certificate: The certificate that connections are made with, and that tokens are bound to (RFC 8705), or None.
        key: The key that signs client assertions and request objects, or None.
    """

    method: ClassVar[str]
    """The name of the way (RFC 7591, section 2; RFC 8705, section 2)."""

    def __init__(
        self,
        client_id: str,
        *,
        scopes: Sequence[str] | None = None,
        issuer: str | None = None,
        dpop: "Signer | None" = None,
        certificate: ClientCertificate | None = None,
        key: "Signer | None" = None,
    ) -> None:
        self.client_id = client_id
        # A text, which is a sequence too, names them as OAuth writes them.
        self.scopes = None if scopes is None else tuple(scopes.split() if isinstance(scopes, str) else scopes)
        self.issuer = issuer
        self.dpop = dpop
        self.certificate = certificate
        self.key = key

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.client_id!r}, …)"

    @property
    def scheme(self) -> str:
        """How an access token is shown to the API: ``DPoP``, or ``Bearer``, which goes for mTLS too."""
        return "Bearer" if self.dpop is None else "DPoP"

    @property
    def discovers(self) -> bool:
        """Whether the authorization server is asked what it is before anything else."""
        return self.key is not None or self.certificate is not None

    @property
    def dpop_jkt(self) -> str | None:
        """The thumbprint of the key that access tokens are bound to, whatever its name, or None."""
        return None if self.dpop is None else thumbprint(self.dpop.public_jwk)

    def headers(self) -> dict[str, str]:
        """Return the headers that prove the client's identity."""
        return {}

    def fields(self) -> dict[str, str]:
        """Return the parameters of a form that do, but for what is made anew each time."""
        return {"client_id": self.client_id}

    def form(self) -> dict[str, str]:
        """Return what a token is asked for with (RFC 6749, section 4.4.2)."""
        fields = {"grant_type": "client_credentials"}
        if self.scopes is not None:
            fields["scope"] = " ".join(self.scopes)
        return fields

    def read(self, body: bytes, now: float) -> AccessToken:
        """Read the answer of the token endpoint.

        Args:
            body: What came.
            now: The monotonic clock when the request was sent, so that a slow answer makes no token live longer.

        Raises:
            errors.MalformedAnswer: It isn't the answer of a token endpoint, or the token is of another type.
        """
        answer = self.read_answer(body)
        lifetime_s = answer.lifetime_s
        return AccessToken(answer.access_token, now + lifetime_s - min(_EARLY_S, lifetime_s * _EARLY_SHARE))

    def read_answer(self, body: bytes) -> TokenAnswer:
        """Read all that the token endpoint answers.

        Raises:
            errors.MalformedAnswer: It isn't the answer of a token endpoint, or the token isn't bound as it should be.
        """
        try:
            answer = msgspec.json.decode(body, type=TokenAnswer)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise errors.MalformedAnswer("the answer isn't one of a token endpoint") from None
        text = answer.access_token
        # A token that was to be bound and isn't would be good for whoever steals it (RFC 9449, section 5).
        if answer.token_type.lower() != self.scheme.lower() or not text.isascii() or not text.isprintable():
            raise errors.MalformedAnswer("the token endpoint issued a token of another type")
        return answer


class ClientCredentials(ClientAuthentication):
    """An API client's id and secret, which tenants of the profile ``sandbox`` take.

    Args:
        client_id: ``cli_…``.
        client_secret: What came with it. It isn't shown, and it is sent to the authorization server only.
        scopes: What the access token shall allow; everything that the client may where absent.
        dpop: A key that access tokens are bound to.
        issuer: The authorization server's name for itself; the client's ``base_url`` where absent.
    """

    method = "client_secret_basic"

    def __init__(
        self,
        client_id: str,
        client_secret: str,
        *,
        scopes: Sequence[str] | None = None,
        dpop: "Signer | None" = None,
        issuer: str | None = None,
    ) -> None:
        super().__init__(client_id, scopes=scopes, issuer=issuer, dpop=dpop)
        self._client_secret = client_secret

    def headers(self) -> dict[str, str]:
        """Return what proves the client's identity (RFC 6749, section 2.3.1)."""
        pair = f"{urllib.parse.quote_plus(self.client_id)}:{urllib.parse.quote_plus(self._client_secret)}"
        return {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}

    def fields(self) -> dict[str, str]:
        """Return nothing: the header says who it is."""
        return {}


class PrivateKeyJWT(ClientAuthentication):
    """A client that signs who it is, with a key whose public half is registered (OpenID Connect Core, section 9).

    Args:
        client_id: ``cli_…``.
        key: What signs: a ``PemKey``, a ``VaultTransitKey``, or another ``Signer``.
        scopes: What the access token shall allow; everything that the client may where absent.
        dpop: A key that access tokens are bound to. It may be another than the first, and need not be registered.
        certificate: A certificate that they are bound to instead (RFC 8705, section 3).
        issuer: The authorization server's name for itself; the client's ``base_url`` where absent.

    Raises:
        ValueError: Tokens are to be bound to a key and to a certificate at once.
    """

    method = "private_key_jwt"

    def __init__(
        self,
        client_id: str,
        key: "Signer",
        *,
        scopes: Sequence[str] | None = None,
        dpop: "Signer | None" = None,
        certificate: ClientCertificate | None = None,
        issuer: str | None = None,
    ) -> None:
        if dpop is not None and certificate is not None:
            raise ValueError("tokens are bound to dpop or to certificate, not to both")
        super().__init__(client_id, scopes=scopes, issuer=issuer, dpop=dpop, certificate=certificate, key=key)


class MutualTLS(ClientAuthentication):
    """A client whose TLS certificate says who it is (RFC 8705, section 2), issued by a CA or registered itself.

    Access tokens are bound to the certificate, or to a key where ``dpop`` is given. The files are read when connections
    are opened: after they were renewed, close the client, whose next call opens new ones.

    Args:
        client_id: ``cli_…``.
        certificate: The certificate with its chain, as a file in PEM; or a ``ClientCertificate``.
        key: Its private key, as a file in PEM; in the certificate's file where absent.
        passphrase: What the key is encrypted with, if it is.
        ca: Which authorities to trust for the server, as a file in PEM; the usual ones where absent.
        scopes: What the access token shall allow; everything that the client may where absent.
        dpop: A key that access tokens are bound to.
        request_key: What signs request objects (RFC 9101), where the server asks for them.
        issuer: The authorization server's name for itself; the client's ``base_url`` where absent.
    """

    method = "tls_client_auth"

    def __init__(
        self,
        client_id: str,
        certificate: str | PathLike[str] | ClientCertificate,
        key: str | PathLike[str] | None = None,
        *,
        passphrase: str | None = None,
        ca: str | PathLike[str] | None = None,
        scopes: Sequence[str] | None = None,
        dpop: "Signer | None" = None,
        request_key: "Signer | None" = None,
        issuer: str | None = None,
    ) -> None:
        if not isinstance(certificate, ClientCertificate):
            certificate = ClientCertificate(certificate, key, passphrase=passphrase, ca=ca)
        elif key is not None or passphrase is not None or ca is not None:
            raise ValueError("the ClientCertificate has its key, passphrase and ca already")
        super().__init__(client_id, scopes=scopes, issuer=issuer, dpop=dpop, certificate=certificate, key=request_key)


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
