"""The client side of OAuth 2 and FAPI 2.0: how a partner's program proves who it is, and signs users in.

Programs of their own (client credentials)::

    from billfold import Billfold
    from billfold.auth import MutualTLS, PrivateKeyJWT
    from billfold.keys import PemKey

    key = PemKey("client.pem")
    billfold = Billfold(base_url="https://bank.example/t/bank", auth=PrivateKeyJWT("cli_…", key, dpop=key))
    billfold = Billfold(base_url="https://bank.example/t/bank", auth=MutualTLS("cli_…", "client.crt", "client.key"))

Programs that act for users who sign in (authorization code) use ``AuthorizationFlow`` or ``AsyncAuthorizationFlow``,
and then ``billfold.as_user(tokens)``. Programs that register themselves (RFC 7591) use ``Registrations``. What can go
wrong is drawn in ``billfold.auth.refusals``.
"""

from typing import TYPE_CHECKING

from billfold._lazy import lazy

if TYPE_CHECKING:
    from billfold.auth._async.flow import AsyncAuthorizationFlow
    from billfold.auth._async.registration import AsyncRegistrations
    from billfold.auth._sync.flow import AuthorizationFlow
    from billfold.auth._sync.registration import Registrations
    from billfold.auth.certificates import ClientCertificate
    from billfold.auth.credentials import (
        AccessToken,
        ClientAuthentication,
        ClientCredentials,
        MutualTLS,
        PrivateKeyJWT,
        TokenStore,
    )
    from billfold.auth.discovery import AuthorizationServer
    from billfold.auth.refusals import (
        AccessDenied,
        AuthorizationFailed,
        AuthorizationRefused,
        CallbackInvalid,
        DiscoveryFailed,
        GrantInvalid,
        IdTokenInvalid,
        InteractionRequired,
        IssuerMismatch,
        ResponseInvalid,
        ServerAway,
        SignInExpired,
        StateMismatch,
    )
    from billfold.auth.registered import Registered
    from billfold.auth.sealing import Sealer
    from billfold.auth.sign_in import AuthorizationRequest, Pending, UserTokens

__all__ = [
    "AccessDenied",
    "AccessToken",
    "AsyncAuthorizationFlow",
    "AsyncRegistrations",
    "AuthorizationFailed",
    "AuthorizationFlow",
    "AuthorizationRefused",
    "AuthorizationRequest",
    "AuthorizationServer",
    "CallbackInvalid",
    "ClientAuthentication",
    "ClientCertificate",
    "ClientCredentials",
    "DiscoveryFailed",
    "GrantInvalid",
    "IdTokenInvalid",
    "InteractionRequired",
    "IssuerMismatch",
    "MutualTLS",
    "Pending",
    "PrivateKeyJWT",
    "Registered",
    "Registrations",
    "ResponseInvalid",
    "Sealer",
    "ServerAway",
    "SignInExpired",
    "StateMismatch",
    "TokenStore",
    "UserTokens",
]

_HOMES = {
    "AsyncAuthorizationFlow": "_async.flow",
    "AuthorizationFlow": "_sync.flow",
    "AsyncRegistrations": "_async.registration",
    "Registrations": "_sync.registration",
    "Registered": "registered",
    "AuthorizationServer": "discovery",
    "Sealer": "sealing",
    **dict.fromkeys(("AuthorizationRequest", "Pending", "UserTokens"), "sign_in"),
    "ClientCertificate": "certificates",
    **dict.fromkeys(
        (
            "AccessToken",
            "ClientAuthentication",
            "ClientCredentials",
            "MutualTLS",
            "PrivateKeyJWT",
            "TokenStore",
        ),
        "credentials",
    ),
}

__getattr__, __dir__ = lazy(globals(), {name: f"billfold.auth.{_HOMES.get(name, 'refusals')}" for name in __all__})
