"""Third parties for tests: registered with a key, with tokens of their own and of customers, and requests they sign.

tpp = ThirdParty.register(live, "alpha")
consent = tpp.post("/aisp/account-access-consents", {...}).json()["Data"]["ConsentId"]
token = tpp.authorise(consent, owner, wallet_ids)
"""

import secrets
import time
from typing import Any, Final
from uuid import UUID

import httpx
import msgspec
from joserfc.jwk import RSAKey

from billfold import ids
from billfold.ids import Prefix
from billfold_server.consents import service as consents
from billfold_server.consents.service import Evidence, Owner
from billfold_server.identity.service import open_grant
from billfold_server.identity.tokens import access_tokens
from billfold_server.identity.tokens.access_tokens import Claims
from billfold_server.open_banking.edge.interface import VERSION
from billfold_server.tenancy.clock import tenant_now
from tests.live import LiveServer
from tests.server.identity.clients_of import TestClient, make
from tests.server.open_banking.signing import header_of, signature_of

__all__ = ["SCOPES", "ThirdParty"]

SCOPES: Final = ("accounts", "payments", "fundsconfirmations")
_TOKEN_S: Final = 120
_SCOPE_OF: Final = {
    "account_access": "accounts",
    "funds_confirmation": "fundsconfirmations",
    "domestic_payment": "payments",
    "domestic_vrp": "payments",
}


class ThirdParty(msgspec.Struct, kw_only=True):
    """A third party at one tenant.

    Attributes:
        live: The server.
        slug: The tenant.
        made: Its registration, with its key.
        scopes: What its own tokens are for.
    """

    live: LiveServer
    slug: str
    made: TestClient
    scopes: tuple[str, ...]
    issued: tuple[float, str] = (0.0, "")

    @classmethod
    def register(cls, live: LiveServer, slug: str, scopes: tuple[str, ...] = SCOPES) -> "ThirdParty":
        """Return a new one with a token of its own."""
        made = make(live, slug, "client_secret_basic", alg="PS256", scopes=list(scopes))
        return cls(live=live, slug=slug, made=made, scopes=scopes)

    @property
    def token(self) -> str:
        """Return an access token of its own, which is asked for anew before it ends."""
        if time.monotonic() - self.issued[0] > _TOKEN_S:
            form = {"grant_type": "client_credentials", "scope": " ".join(self.scopes)}
            answer = httpx.post(f"{self.live.base(self.slug)}/oauth/token", data=form, headers=self.made.headers())
            assert answer.status_code == 200, answer.text
            self.issued = (time.monotonic(), answer.json()["access_token"])
        return self.issued[1]

    @property
    def client_id(self) -> UUID:
        """Return the row's id."""
        return self.made.client.id

    @property
    def key(self) -> RSAKey:
        """Return its private key."""
        assert isinstance(self.made.key, RSAKey)
        return self.made.key

    def signature(self, body: bytes, **changes: Any) -> str:
        """Return its signature of a body, with changes to the header."""
        return signature_of(body, self.key, header_of(self.made.kid, self.made.client_id, **changes))

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        key: str | None = None,
        signed: bool = True,
        headers: dict[str, str | None] | None = None,
        params: dict[str, str] | None = None,
    ) -> httpx.Response:
        """Send a request as a third party does: signed, under a key, with its own token unless another is given.

        Args:
            method: The method.
            path: The path below ``/open-banking/v4.0``.
            body: The body, as JSON value or bytes.
            token: The access token.
            key: The idempotency key; a new one unless given.
            signed: Whether to sign.
            headers: Further headers; None takes one away.
            params: The query.
        """
        sent: dict[str, str | None] = {"authorization": f"Bearer {token or self.token}", "accept": "application/json"}
        content = None
        if body is not None:
            content = body if isinstance(body, bytes) else msgspec.json.encode(body)
            sent |= {"content-type": "application/json", "x-idempotency-key": key or secrets.token_hex(16)}
            if signed:
                sent["x-jws-signature"] = self.signature(content)
        sent |= headers or {}
        present = {name: value for name, value in sent.items() if value is not None}
        address = f"{self.live.base(self.slug)}{VERSION}{path}"
        return httpx.request(method, address, content=content, headers=present, params=params, timeout=30)

    def get(self, path: str, **how: Any) -> httpx.Response:
        """Send a GET."""
        return self.request("GET", path, **how)

    def post(self, path: str, body: Any, **how: Any) -> httpx.Response:
        """Send a POST."""
        return self.request("POST", path, body, **how)

    def authorise(self, consent: str, owner: Owner, wallet_ids: tuple[UUID, ...]) -> str:
        """Return an access token of a consent, once its customer has authorised it as the consent page would have."""
        token = self.live.run(self._authorise(ids.decode(Prefix.CONSENT, consent), owner, wallet_ids))
        assert isinstance(token, str)
        return token

    async def _authorise(self, consent_id: UUID, owner: Owner, wallet_ids: tuple[UUID, ...]) -> str:
        services = self.live.services
        tenant = await services.registry.get(self.slug)
        realm, now = services.identity.realm(tenant), services.clock.now()
        shown = Evidence(shown=b'{"title":"Allow it?"}', text_version="test", language="en", shown_at=now)
        evidence = await consents.seal_evidence(services, tenant, consent_id, owner.party_id, shown)
        async with services.database.tx(tenant) as tx:
            consent = await consents.authorise(
                tx,
                consent_id,
                client_id=self.client_id,
                owner=owner,
                wallet_ids=wallet_ids,
                sca_id=ids.uuid7(),
                evidence=evidence,
                now=await tenant_now(tx),
            )
            scope = _SCOPE_OF[consent.kind]
            grant_id = await open_grant(
                tx,
                client_id=self.client_id,
                user_id=owner.user_id,
                scopes=[scope],
                resources=[f"{realm.issuer}/open-banking"],
                auth_time=now,
                now=now,
                consent_id=consent_id,
            )
        claims = Claims(
            iss=realm.issuer,
            sub=ids.encode(Prefix.USER, owner.user_id),
            client_id=self.made.client_id,
            aud=f"{realm.issuer}/open-banking",
            scope=scope,
            jti=secrets.token_urlsafe(16),
            iat=int(time.time()),
            exp=int(time.time()) + 4 * 3600,
            gid=ids.encode(Prefix.GRANT, grant_id),
            auth_time=int(now.timestamp()),
        )
        return await services.identity.signing.sign(realm, claims, typ=access_tokens.TYPE)
