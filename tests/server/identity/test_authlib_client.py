"""Authlib's own client at the product's authorization server: another client that nobody here wrote."""

import time
import warnings
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from authlib.common.security import generate_token

from tests.live import LiveServer
from tests.server.identity.flows import add_app, add_person, bring, challenge_of, decide, follow

with warnings.catch_warnings():
    # It still signs by a module of its own that Authlib has deprecated.
    warnings.simplefilter("ignore")
    from authlib.integrations.httpx_client import OAuth2Client
    from authlib.oauth2.rfc7523 import PrivateKeyJWT


class _Assertions(PrivateKeyJWT):  # type: ignore[misc]  # It carries no types.
    """Authlib's assertions, for a server that takes each once, for its issuer alone and for minutes.

    By itself it writes ``jti`` into the claims that it was given, and so sends the same one again.
    """

    def __init__(self, issuer: str, kid: str) -> None:
        super().__init__(headers={"kid": kid}, alg="PS256")
        self.issuer = issuer

    def sign(self, auth: Any, token_endpoint: str) -> Any:
        """Sign a fresh one."""
        self.claims = {"aud": self.issuer, "exp": int(time.time()) + 60}
        return super().sign(auth, token_endpoint)


pytestmark = pytest.mark.filterwarnings("ignore::authlib.deprecate.AuthlibDeprecationWarning")


class TestAuthlibsClient:
    """Authlib's client."""

    def test_signs_in_uses_its_tokens_and_gives_them_back(self, profiled: LiveServer) -> None:
        """By private_key_jwt: pushed request, code, tokens, the API, refresh and revocation."""
        app = add_app(profiled, "sandbox", "private_key_jwt", alg="PS256")
        base, verifier = app.base, generate_token(48)
        token_endpoint = f"{base}/oauth/token"
        method = _Assertions(base, app.made.kid)
        with OAuth2Client(
            app.client_id,
            app.made.key.as_pem(private=True).decode(),
            token_endpoint_auth_method="private_key_jwt",
            token_endpoint=token_endpoint,
            revocation_endpoint_auth_method="private_key_jwt",
            redirect_uri=app.client.redirect_uris[0],
            scope="openid offline_access wallets:read",
        ) as client:
            client.register_client_auth_method(method)
            address, state = client.create_authorization_url(
                f"{base}/oauth/authorize", code_challenge=challenge_of(verifier), code_challenge_method="S256"
            )
            query = address.partition("?")[2]
            # It knows no PAR; its way to authenticate is asked for the form.
            _, headers, body = method(client.client_auth("private_key_jwt"), "POST", f"{base}/oauth/par", {}, query)
            headers = {**headers, "Content-Type": "application/x-www-form-urlencoded"}
            pushed = httpx.post(f"{base}/oauth/par", content=body, headers=headers)
            assert pushed.status_code == 201, pushed.text
            browser = add_person(profiled, "sandbox").browser()
            page = follow(browser, bring(browser, app, pushed.json()["request_uri"]))
            callback = decide(browser, page).headers["location"]
            token = client.fetch_token(
                token_endpoint, authorization_response=callback, state=state, code_verifier=verifier
            )
            assert client.get(f"{base}/v1/wallets").status_code == 200
            renewed = client.refresh_token(token_endpoint, refresh_token=token["refresh_token"])
            assert renewed["access_token"] != token["access_token"]
            answer = client.revoke_token(f"{base}/oauth/revoke", token=renewed["refresh_token"])
            assert answer.status_code == 200
            assert urlencode({"state": state}) in callback
