"""Why nobody is signed in: what can go wrong between a user, their browser, the authorization server and a client.

::

    BillfoldError
    ├── AuthorizationFailed           nobody was signed in
    │   ├── DiscoveryFailed           the authorization server isn't what it should be, or can't what is asked
    │   ├── CallbackInvalid           what came back doesn't belong to what was begun; treat it as an attack
    │   │   ├── StateMismatch         it belongs to another browser, or to nothing
    │   │   ├── IssuerMismatch        another authorization server has answered (a mix-up)
    │   │   └── ResponseInvalid       it isn't signed by the server, or doesn't say what it must
    │   ├── SignInExpired             the user took too long
    │   ├── AuthorizationRefused      the server says no: ``oauth_error`` says why
    │   │   ├── AccessDenied          the user, or the bank, doesn't allow it
    │   │   ├── InteractionRequired   it can't be done without the user (``prompt=none``)
    │   │   └── ServerAway            the server can't at the moment
    │   └── IdTokenInvalid            the ID token isn't accepted; ``claim`` says which part of it
    └── ProblemError
        └── AuthenticationFailed
            └── GrantInvalid          the code or the refresh token is no longer good: sign in again

None of them holds a code, a token or a key.
"""

from typing import ClassVar

from billfold import errors

__all__ = [
    "AccessDenied",
    "AuthorizationFailed",
    "AuthorizationRefused",
    "CallbackInvalid",
    "DiscoveryFailed",
    "GrantInvalid",
    "IdTokenInvalid",
    "InteractionRequired",
    "IssuerMismatch",
    "ResponseInvalid",
    "ServerAway",
    "SignInExpired",
    "StateMismatch",
    "refusal",
]


class AuthorizationFailed(errors.BillfoldError):
    """Nobody was signed in.

    Attributes:
        code: Stable name of what went wrong.
    """

    code: ClassVar[str] = "authorization_failed"


class DiscoveryFailed(AuthorizationFailed):
    """What the authorization server says about itself is wrong, or lacks what is asked of it."""

    code = "discovery_failed"


class CallbackInvalid(AuthorizationFailed):
    """What came to the callback doesn't belong to what was begun there. Most likely someone is trying something."""

    code = "callback_invalid"


class StateMismatch(CallbackInvalid):
    """The answer belongs to another browser's sign-in, or to none."""

    code = "state_mismatch"


class IssuerMismatch(CallbackInvalid):
    """Another authorization server has answered than the one that was asked (RFC 9207)."""

    code = "issuer_mismatch"


class ResponseInvalid(CallbackInvalid):
    """The answer lacks something, says something twice, or isn't signed as it should be (JARM)."""

    code = "response_invalid"


class SignInExpired(AuthorizationFailed):
    """The user came back too late; begin again."""

    code = "sign_in_expired"


class AuthorizationRefused(AuthorizationFailed):
    """The authorization server says no (RFC 6749, section 4.1.2.1).

    Attributes:
        oauth_error: The code that OAuth or OpenID Connect has for it.
        description: What the server says to the developer, if it does. Never show it to a user: a link could bring it.
    """

    code = "authorization_refused"

    def __init__(self, oauth_error: str, description: str | None = None) -> None:
        super().__init__(f"the authorization server answered {oauth_error}")
        self.oauth_error = oauth_error
        self.description = description

    def __reduce__(self) -> tuple[type["AuthorizationRefused"], tuple[str, str | None]]:
        """Let the error cross a process boundary."""
        return type(self), (self.oauth_error, self.description)


class AccessDenied(AuthorizationRefused):
    """The user, or the bank's policy, doesn't allow it.

    Where ``oauth_error`` is ``unmet_authentication_requirements``, nobody has refused: the user can't sign in as
    strongly as the request wants it.
    """

    code = "access_denied"


class InteractionRequired(AuthorizationRefused):
    """It can't be done without showing the user something, which the request forbade."""

    code = "interaction_required"


class ServerAway(AuthorizationRefused):
    """The authorization server failed, or can't at the moment."""

    code = "server_away"


class IdTokenInvalid(AuthorizationFailed):
    """The ID token isn't accepted (OpenID Connect Core, section 3.1.3.7).

    Attributes:
        claim: Which of its claims is wrong, or ``signature``.
    """

    code = "id_token_invalid"

    def __init__(self, claim: str) -> None:
        super().__init__(f"the ID token isn't accepted because of its {claim}")
        self.claim = claim

    def __reduce__(self) -> tuple[type["IdTokenInvalid"], tuple[str]]:
        """Let the error cross a process boundary."""
        return type(self), (self.claim,)


class GrantInvalid(errors.AuthenticationFailed):
    """The authorization code or the refresh token is no longer good. The user has to sign in again."""


_CLASSES: dict[str, type[AuthorizationRefused]] = {
    "access_denied": AccessDenied,
    "unmet_authentication_requirements": AccessDenied,
    "login_required": InteractionRequired,
    "interaction_required": InteractionRequired,
    "consent_required": InteractionRequired,
    "account_selection_required": InteractionRequired,
    "server_error": ServerAway,
    "temporarily_unavailable": ServerAway,
}


def refusal(oauth_error: str, description: str | None) -> AuthorizationRefused:
    """Return the error for the authorization server's own code."""
    return _CLASSES.get(oauth_error, AuthorizationRefused)(oauth_error, description)
