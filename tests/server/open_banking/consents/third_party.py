"""A third party that reads accounts and asks for funds, with a customer who has money, over HTTP."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import httpx

from billfold import ids
from billfold.ids import Prefix
from billfold_server.consents import service as consents
from billfold_server.consents.service import Evidence, Owner
from billfold_server.identity.grants import service as grants
from billfold_server.identity.tokens import access_tokens
from billfold_server.identity.tokens.access_tokens import Claims
from billfold_server.tenancy.clock import tenant_now
from tests.live import LiveServer
from tests.server.identity import clients_of
from tests.server.identity.clients_of import TestClient
from tests.server.identity.flows import add_person, tx_of

__all__ = ["ThirdParty"]

SLUG = "alpha"
_AT = "/open-banking/v4.0"
_SCOPES = ["accounts", "fundsconfirmations"]


@dataclass
class ThirdParty:
    """A third party, its customer, and the customer's wallet."""

    live: LiveServer
    client: TestClient
    owner: Owner
    wallet: str

    @classmethod
    def at(cls, live: LiveServer) -> "ThirdParty":
        """Return one at the first tenant, whose customer has a hundred euros."""
        person = add_person(live, SLUG)
        assert person.party_id is not None
        client = clients_of.make(live, SLUG, alg="PS256", scopes=_SCOPES)
        with live.client(SLUG) as bank:
            body = {"party_id": ids.encode(Prefix.PARTY, person.party_id), "currencies": ["EUR"]}
            wallet = str(bank.post("/v1/wallets", json=body).json()["id"])
            top_up = {"wallet_id": wallet, "amount": {"amount_minor": 10_000, "currency": "EUR"}}
            bank.post("/v1/top-ups", json=top_up, headers={"Idempotency-Key": secrets.token_hex(16)})
        return cls(live, client, Owner(user_id=person.user_id, party_id=person.party_id), wallet)

    @property
    def client_id(self) -> UUID:
        """Return its id."""
        return self.client.client.id

    def token(self, consent_id: str | None = None) -> str:
        """Return a token of its own, or one that a customer has allowed for a consent."""
        return str(self.live.run(self._issue(consent_id)))

    async def _issue(self, consent_id: str | None) -> str:
        services = self.live.services
        realm, now = services.identity.realm(await services.registry.get(SLUG)), services.clock.now()
        sub, gid = self.client.client_id, None
        if consent_id is not None:
            async with tx_of(self.live, SLUG) as tx:
                grant_id = await grants.open_grant(
                    tx,
                    client_id=self.client_id,
                    user_id=self.owner.user_id,
                    scopes=_SCOPES,
                    auth_time=now,
                    now=now,
                    consent_id=ids.decode(Prefix.CONSENT, consent_id),
                )
            sub, gid = ids.encode(Prefix.USER, self.owner.user_id), ids.encode(Prefix.GRANT, grant_id)
        claims = Claims(
            iss=realm.issuer,
            sub=sub,
            client_id=self.client.client_id,
            aud=f"{realm.issuer}/open-banking",
            scope=" ".join(_SCOPES),
            jti=secrets.token_urlsafe(16),
            iat=int(now.timestamp()),
            exp=int(now.timestamp()) + 600,
            gid=gid,
        )
        return await services.identity.signing.sign(realm, claims, typ=access_tokens.TYPE)

    def authorise(self, consent_id: str) -> str:
        """Let the customer allow it, and return a token for it."""
        self.live.run(self._authorise(ids.decode(Prefix.CONSENT, consent_id)))
        return self.token(consent_id)

    async def _authorise(self, consent_id: UUID) -> None:
        services = self.live.services
        tenant = await services.registry.get(SLUG)
        evidence = Evidence(shown=b"{}", text_version="1", language="en", shown_at=services.clock.now())
        sealed = await consents.seal_evidence(services, tenant, consent_id, self.owner.party_id, evidence)
        async with services.database.tx(tenant) as tx:
            await consents.authorise(
                tx,
                consent_id,
                client_id=self.client_id,
                owner=self.owner,
                wallet_ids=(ids.decode(Prefix.WALLET, self.wallet),),
                sca_id=uuid4(),
                evidence=sealed,
                now=await tenant_now(tx),
            )

    def ask(
        self, method: str, path: str, said: Any = None, *, token: str, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Send one request, such as ``GET /aisp/account-access-consents/con_…``."""
        return httpx.request(
            method,
            f"{self.live.base(SLUG)}{_AT}{path}",
            json=said,
            headers={"Authorization": f"Bearer {token}", **(headers or {})},
            timeout=30,
        )
