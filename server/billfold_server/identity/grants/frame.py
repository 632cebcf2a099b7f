"""Authlib's authorization server as the frame of the token endpoint, between what is loaded and what is written.

Authlib is synchronous and knows nothing of tenants. So everything that a grant looks at is loaded before, and whatever
it decides is written after, by our own code; in between, Authlib runs on what is in the request, without a bridge to
the database. Its ``generate_token`` and ``save_token`` therefore make no token: they note what one is to be.
What Authlib leaves weak is made strict by the grants: see there. Adding a grant is registering a ``GrantType``.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Final, Protocol

import msgspec
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import AuthorizationServer, OAuth2Request, UnsupportedGrantTypeError
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload

from billfold_server.identity.clients.rows import Client
from billfold_server.identity.grants.service import Grant
from billfold_server.identity.realms import Realm
from billfold_server.identity.rules import OAuthRefusal
from billfold_server.identity.tokens.binding import Binding
from billfold_server.tenancy.transaction import Tx

__all__ = ["Asking", "Decision", "Frame", "GrantType", "OAuthClient"]


class OAuthClient:
    """A registered client, as Authlib asks about it."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def check_grant_type(self, grant_type: str) -> bool:
        """Tell whether the client is registered for a grant."""
        return grant_type in self.client.grant_types


class Decision(msgspec.Struct, kw_only=True):
    """What is to be issued.

    Attributes:
        scopes: What the token allows.
        resource: What it opens.
        details: What it allows in particular.
        grant: By which grant of a user; None where the client acts for itself.
        refresh: Whether a refresh token is issued beside it.
        refresh_token: That token, once it was made.
        nonce: What the ID token holds of the authorization request.
        state_hash: The same, of its ``state``.
        id_token: Whether there is an ID token.
    """

    scopes: list[str]
    resource: str
    details: list[dict[str, Any]] = []
    grant: Grant | None = None
    refresh: bool = False
    refresh_token: str | None = None
    nonce: str | None = None
    state_hash: str | None = None
    id_token: bool = False


class Asking(OAuth2Request):
    """A token request: its parameters, its client, which has authenticated, and what was loaded for its grant.

    Args:
        realm: Whose endpoint it came to.
        client: The client.
        form: The parameters.
        binding: Which keys it has shown.
        now: The real time.

    Attributes:
        until: When what is issued must end at the latest, where it was allowed by a consent that ends.
    """

    def __init__(
        self, *, realm: Realm, client: Client, form: Mapping[str, str], binding: Binding, now: datetime
    ) -> None:
        # The edge has looked at how the request travelled, before any of this.
        super().__init__("POST", "https://localhost/")
        self.payload = BasicOAuth2Payload(form)
        self.realm = realm
        self.client = OAuthClient(client)
        self.binding = binding
        self.now = now
        self.loaded: Any = None
        self.grant: Grant | None = None
        self.until: datetime | None = None
        self.decision: Decision | None = None

    def bounded(self, expires_at: datetime) -> datetime:
        """Return when something that is issued ends: as it would, or with the consent that has allowed it."""
        return expires_at if self.until is None else min(expires_at, self.until)

    @property
    def form(self) -> Mapping[str, str]:
        """The parameters."""
        return self.payload.data  # type: ignore[no-any-return]


class GrantType(Protocol):
    """A way to ask for tokens.

    Attributes:
        grant: Authlib's class, made strict.
        extensions: Authlib's extensions of it.
        in_transaction: Whether anything is loaded or written.
    """

    grant: ClassVar[type[Any]]
    extensions: ClassVar[tuple[Any, ...]]
    in_transaction: ClassVar[bool]

    async def load(self, tx: Tx, asking: Asking) -> None:
        """Load, and claim, what the grant looks at."""
        ...

    async def write(self, tx: Tx, asking: Asking, decision: Decision) -> None:
        """Write what was decided, in the same transaction."""
        ...


_SAID: Final = {
    "invalid_request": "a parameter is missing or isn't of its form",
    "invalid_grant": "what the client shows doesn't stand, or isn't its own",
    "invalid_scope": "the client isn't allowed a scope that it asks for",
    "unauthorized_client": "the client isn't registered for this grant",
    "unsupported_grant_type": "the grant type isn't supported",
}
"""What is said to developers. Authlib's own words may repeat what the client has sent."""


class Frame(AuthorizationServer):
    """The token endpoint's rules, for all realms.

    Args:
        kinds: The grants.
    """

    def __init__(self, *kinds: GrantType) -> None:
        super().__init__()
        self._kinds: dict[str, GrantType] = {}
        for kind in kinds:
            self.add(kind)

    def add(self, kind: GrantType) -> None:
        """Register a further way to ask for tokens."""
        self._kinds[kind.grant.GRANT_TYPE] = kind
        self.register_grant(kind.grant, list(kind.extensions))

    @property
    def grant_types(self) -> list[str]:
        """Return the ``grant_type`` of each."""
        return sorted(self._kinds)

    def kind_of(self, asking: Asking) -> GrantType:
        """Return the grant that a request names.

        Raises:
            OAuthRefusal: It names none, or none that there is here.
        """
        name = asking.payload.grant_type
        if name is None:
            raise OAuthRefusal("invalid_request", "grant_type is required")
        if name not in self._kinds:
            raise _refusal(UnsupportedGrantTypeError(""))
        return self._kinds[name]

    def decide(self, asking: Asking) -> Decision:
        """Return what is to be issued.

        Raises:
            OAuthRefusal: Nothing is, by the codes of RFC 6749, section 5.2.
        """
        self.create_token_response(asking)
        assert asking.decision is not None
        return asking.decision

    # What Authlib asks of who uses it.

    def create_oauth2_request(self, request: Asking) -> Asking:
        """Return the request, which is one already."""
        return request

    def authenticate_client(self, request: Asking, methods: object, endpoint: str = "token") -> OAuthClient:  # noqa: ARG002 - Authlib's
        """Return the client, which has authenticated before, by the one method that it is registered for."""
        return request.client

    def generate_token(self, *, scope: Any = None, include_refresh_token: bool = True, **_: Any) -> dict[str, Any]:
        """Note what the token is to be."""
        return {"scope": scope, "refresh": include_refresh_token}

    def save_token(self, token: dict[str, Any], request: Asking) -> None:
        """Note that this was decided."""
        assert request.decision is not None
        request.decision.refresh = token["refresh"]

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Tell nobody."""

    def handle_response(self, status: int, body: Any, headers: Any) -> None:
        """Answer nothing yet: the tokens are made and signed afterwards."""

    def handle_error_response(self, request: Asking, error: OAuth2Error) -> None:  # noqa: ARG002 - Authlib's
        """Refuse in our own words."""
        raise _refusal(error) from None


def _refusal(error: OAuth2Error) -> OAuthRefusal:
    return OAuthRefusal(error.error, _SAID.get(error.error, "the request is refused"))
