"""Signs a user in at the small authorization server, in both modes of the client."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from billfold import AsyncBillfold, Billfold
from billfold.auth import AsyncAuthorizationFlow, AuthorizationFlow, PrivateKeyJWT
from billfold.keys import PemKey
from tests.sdk.auth.issuing import AuthorizationServer, Client

__all__ = ["CALLBACK", "KEY", "Driver", "known"]

CALLBACK = "https://shop.example/callback"
KEY = PemKey.generate("ES256")


def known(issuer: AuthorizationServer) -> AuthorizationServer:
    """Register the client that signs users in."""
    issuer.clients["cli_1"] = Client("cli_1", [KEY.public_jwk])
    return issuer


class Driver:
    """One client and one flow in one of the modes, driven alike.

    Attributes:
        calls: Runs a method of the flow, or of any other object of the client's.
    """

    def __init__(self, mode: str, issuer: AuthorizationServer, *, dpop: bool = True, auth: Any = None, **options: Any):
        self.mode = mode
        self.issuer = issuer
        auth = auth or PrivateKeyJWT("cli_1", KEY, dpop=KEY if dpop else None)
        self.client: Any
        self.flow: Any
        if mode == "sync":
            self.client = Billfold(base_url=issuer.base, auth=auth)
            self.flow = AuthorizationFlow(self.client, redirect_uri=CALLBACK, **options)
        else:
            self.client = AsyncBillfold(base_url=issuer.base, auth=auth)
            self.flow = AsyncAuthorizationFlow(self.client, redirect_uri=CALLBACK, **options)
        self._loop = asyncio.new_event_loop()

    def run(self, call: Callable[[], Any]) -> Any:
        """Call something of the client's, and wait for it where that has to be waited for."""
        outcome = call()
        return self._loop.run_until_complete(outcome) if isinstance(outcome, Awaitable) else outcome

    def __getattr__(self, name: str) -> Any:
        """Return a method of the flow that needs no waiting for."""
        return lambda *args, **kwargs: self.run(lambda: getattr(self.flow, name)(*args, **kwargs))

    def sign_in(self, **asked: Any) -> Any:
        """Begin, let the user approve, and complete."""
        url, pending = self.begin(**{"scope": "openid", **asked})
        return self.complete(pending, self.issuer.approve(url))

    def close(self) -> None:
        """Give everything back."""
        self.run(self.client.close if self.mode == "sync" else self.client.aclose)
        self._loop.close()
