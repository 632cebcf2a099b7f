"""Asks the token endpoint, and resources by what it got, as an app with a key does."""

import json
import secrets
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
from joserfc import jws

from billfold_server.identity.authorization import codes
from billfold_server.identity.grants.service import open_grant
from tests.live import LiveServer
from tests.server.identity.flows import App, add_app, add_person, challenge_of, tx_of
from tests.server.identity.tokens.proofs import Prover

__all__ = ["Asker", "claims_of", "new_asker"]


class Asker:
    """An app with a DPoP key, which shows a fresh proof, with the server's latest nonce, in each request."""

    def __init__(self, app: App, prover: Prover | None = None) -> None:
        self.app = app
        self.prover = prover or Prover()
        self.user_id = add_person(app.live, app.slug).user_id

    @property
    def live(self) -> LiveServer:
        """Return the server."""
        return self.app.live

    def post(self, path: str, form: dict[str, Any], *, proof: str | None = None, **headers: str) -> httpx.Response:
        """Send a form with a proof, once more where the server asks for its nonce."""

        def send() -> httpx.Response:
            shown = proof or self.prover.proof("POST", f"{self.app.base}{path}")
            answer = self.app.post(path, form, DPoP=shown, **headers)
            self.prover.nonce = answer.headers.get("dpop-nonce", self.prover.nonce)
            return answer

        answer = send()
        again = proof is None and answer.status_code == 400 and answer.json().get("error") == "use_dpop_nonce"
        return send() if again else answer

    def token(self, form: dict[str, Any] | None = None, **changes: Any) -> httpx.Response:
        """Ask for a token; by client credentials, unless the form says otherwise."""
        asked = {**(form or {"grant_type": "client_credentials"}), **changes}
        return self.post("/oauth/token", {name: value for name, value in asked.items() if value is not None})

    def redeem(self, code: str, /, **changes: Any) -> httpx.Response:
        """Redeem a code."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.app.client.redirect_uris[0],
            "code_verifier": self.app.verifier,
        }
        return self.token(form, **changes)

    def refresh(self, token: str, /, **changes: Any) -> httpx.Response:
        """Ask by a refresh token."""
        return self.token({"grant_type": "refresh_token", "refresh_token": token}, **changes)

    def get(self, token: str, path: str = "/v1/tenant", **changes: Any) -> httpx.Response:
        """Ask a resource by a token; ``scheme`` and ``proof`` may be others, and a proof of None is left out."""
        for _ in range(2):
            shown = changes.get("proof", "") or self.prover.proof("GET", f"{self.app.base}{path}", token=token)
            headers = {"Authorization": f"{changes.get('scheme', 'DPoP')} {token}"}
            if "proof" not in changes or changes["proof"] is not None:
                headers["DPoP"] = shown
            answer = httpx.get(f"{self.app.base}{path}", headers=headers)
            self.prover.nonce = answer.headers.get("dpop-nonce", self.prover.nonce)
            if "use_dpop_nonce" not in answer.headers.get("www-authenticate", "") or "proof" in changes:
                break
        return answer

    def code(self, **changes: Any) -> str:
        """Return a code, as the authorize endpoint makes one once a person has approved."""
        return str(self.live.run(self._code(changes)))

    async def _code(self, changes: dict[str, Any]) -> str:
        now = self.live.services.clock.now() - timedelta(seconds=changes.pop("made_s_ago", 0))
        scopes = changes.pop("scopes", ["openid", "offline_access", "wallets:read", "tenant:read"])
        async with tx_of(self.live, self.app.slug) as tx:
            grant_id: UUID = await open_grant(
                tx,
                client_id=self.app.client.id,
                user_id=self.user_id,
                scopes=scopes,
                auth_time=now,
                now=now,
                acr="urn:openbanking:psd2:sca",
                amr=["pwd", "otp"],
                details=changes.pop("details", ()),
            )
            self.grant_id = grant_id
            said: dict[str, Any] = {
                "client_id": self.app.client.id,
                "redirect_uri": self.app.client.redirect_uris[0],
                "code_challenge": challenge_of(self.app.verifier),
                "nonce": "n-1",
                **changes,
            }
            return await codes.create(tx, grant_id=grant_id, scopes=scopes, now=now, **said)


def new_asker(live: LiveServer, slug: str | None, *, prover: Prover | None = None, **metadata: Any) -> Asker:
    """Register an app that may use every grant, and give it a key."""
    said: dict[str, Any] = {
        "scopes": ["openid", "profile", "offline_access", "wallets:read", "tenant:read"]
        if slug
        else ["openid", "platform:tenants:read", "platform:audit:read"],
        "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
        "redirect_uris": [f"https://{secrets.token_hex(4)}.example/cb"],
        **metadata,
    }
    return Asker(add_app(live, slug, said.pop("method", "private_key_jwt"), **said), prover)


def claims_of(token: str) -> dict[str, Any]:
    """Return what a JWT says, unverified."""
    return dict(json.loads(jws.extract_compact(token.encode()).payload))
