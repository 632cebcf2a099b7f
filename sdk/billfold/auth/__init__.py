"""The client side of OAuth 2: how a partner's program proves who it is."""

from billfold.auth.credentials import AccessToken, ClientCredentials, TokenStore

__all__ = ["AccessToken", "ClientCredentials", "TokenStore"]
