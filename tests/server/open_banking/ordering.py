"""A third party that orders payments for a customer, over HTTP: what is the same for single and recurring ones."""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from uuid import UUID, uuid4

import httpx
import msgspec

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
from tests.server.identity.flows import add_person
from tests.server.open_banking.signing import sign_detached

__all__ = ["AT", "OPENED_MINOR", "SLUG", "Ordering", "agree_overdraft"]

AT = "/open-banking/v4.0/pisp"
OPENED_MINOR = 1_000_000
SLUG = "alpha"
_CLAIMS = "http://openbanking.org.uk/"


def agree_overdraft(live: LiveServer, wallet: str, limit_minor: int) -> None:
    """Let the bank agree to an overdraft of a wallet that has one currency."""
    with live.client(SLUG) as bank:
        (balance,) = bank.get(f"/v1/wallets/{wallet}/balances").json()["data"]
        changed = bank.patch(f"/v1/accounts/{balance['account_id']}", json={"overdraft_limit_minor": limit_minor})
        assert changed.status_code == 200, changed.text


@dataclass
class Ordering:
    """A third party, its customer, and the wallets of payer and payee.

    Attributes:
        workers: Servers of one deployment; the first one is where everything else is done.
    """

    workers: list[LiveServer]
    client: TestClient
    user_id: UUID
    party_id: UUID
    wallets: list[str]
    tokens: dict[UUID | None, str] = field(default_factory=dict)

    @classmethod
    def at(cls, workers: list[LiveServer]) -> Self:
        """Return one at the first tenant, whose customer has money."""
        live = workers[0]
        person = add_person(live, SLUG)
        assert person.party_id is not None
        client = clients_of.make(live, SLUG, alg="PS256", scopes=["payments"])
        pisp = cls(workers, client, person.user_id, person.party_id, [])
        with live.client(SLUG) as bank:
            for _ in range(2):
                body = {"party_id": ids.encode(Prefix.PARTY, person.party_id), "currencies": ["EUR"]}
                pisp.wallets.append(bank.post("/v1/wallets", json=body).json()["id"])
            top_up = {"wallet_id": pisp.wallets[0], "amount": {"amount_minor": OPENED_MINOR, "currency": "EUR"}}
            answer = bank.post("/v1/top-ups", json=top_up, headers={"Idempotency-Key": secrets.token_hex(16)})
            assert answer.status_code == 201, answer.text
        return pisp

    @property
    def client_id(self) -> UUID:
        """Return its id."""
        return self.client.client.id

    # Tokens.

    def token(self, consent_id: UUID | None = None) -> str:
        """Return its own token, or the one that it was given for a consent."""
        if consent_id not in self.tokens:
            self.tokens[consent_id] = self.workers[0].run(self._issue(consent_id))
        return self.tokens[consent_id]

    async def _issue(self, consent_id: UUID | None) -> str:
        services = self.workers[0].services
        tenant = await services.registry.get(SLUG)
        realm, now = services.identity.realm(tenant), services.clock.now()
        gid = None
        if consent_id is not None:
            async with services.database.tx(tenant) as tx:
                gid = ids.encode(
                    Prefix.GRANT,
                    await grants.open_grant(
                        tx,
                        client_id=self.client_id,
                        user_id=self.user_id,
                        scopes=["payments"],
                        auth_time=now,
                        now=now,
                        consent_id=consent_id,
                    ),
                )
        claims = Claims(
            iss=realm.issuer,
            sub=self.client.client_id if gid is None else ids.encode(Prefix.USER, self.user_id),
            client_id=self.client.client_id,
            aud=f"{realm.issuer}/open-banking",
            scope="payments",
            jti=secrets.token_urlsafe(16),
            iat=int(now.timestamp()),
            exp=int(now.timestamp()) + 600,
            gid=gid,
        )
        return await services.identity.signing.sign(realm, claims, typ=access_tokens.TYPE)

    # What the customer does.

    def authorise(self, consent_id: str) -> UUID:
        """Let the customer agree, with the first wallet; return the consent's id."""
        return self.workers[0].run(self._authorise(ids.decode(Prefix.CONSENT, consent_id)))  # type: ignore[no-any-return]

    async def _authorise(self, consent_id: UUID) -> UUID:
        services = self.workers[0].services
        tenant = await services.registry.get(SLUG)
        evidence = Evidence(shown=b"{}", text_version="1", language="en", shown_at=services.clock.now())
        sealed = await consents.seal_evidence(services, tenant, consent_id, self.party_id, evidence)
        async with services.database.tx(tenant) as tx:
            await consents.authorise(
                tx,
                consent_id,
                client_id=self.client_id,
                owner=Owner(user_id=self.user_id, party_id=self.party_id),
                wallet_ids=(ids.decode(Prefix.WALLET, self.wallets[0]),),
                sca_id=uuid4(),
                evidence=sealed,
                now=await tenant_now(tx),
            )
        return consent_id

    def block(self) -> None:
        """Let the bank keep the third party out."""
        with self.workers[0].client(SLUG) as bank:
            body = {"client_id": self.client.client_id, "reason": "test"}
            assert bank.post("/v1/blocked-third-parties", json=body).status_code == 201

    # Requests.

    def headers(self, body: bytes | None, token: str, key: str | None = None, **more: str) -> dict[str, str]:
        """Return the headers of a request: signed, and under a key."""
        said = {"Authorization": f"Bearer {token}", **more}
        if body is None:
            return said
        claims = {
            f"{_CLAIMS}iat": int(time.time()),
            f"{_CLAIMS}iss": self.client.client_id,
            f"{_CLAIMS}tan": "openbanking.org.uk",
        }
        key_of_client: Any = self.client.key
        signature = sign_detached(body, key_of_client, kid=self.client.kid, claims=claims)
        return {
            "Content-Type": "application/json",
            "x-jws-signature": signature,
            "x-idempotency-key": key or secrets.token_hex(16),
            **said,
        }

    def ask(
        self,
        method: str,
        path: str,
        said: Any = None,
        *,
        consent_id: UUID | None = None,
        key: str | None = None,
        worker: int = 0,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Send one request."""
        body = None if said is None else msgspec.json.encode(said)
        return httpx.request(
            method,
            f"{self.workers[worker].base(SLUG)}{AT}{path}",
            content=body,
            headers=self.headers(body, self.token(consent_id), key, **(headers or {})),
            timeout=30,
        )

    # What is said.

    @property
    def payee(self) -> dict[str, str]:
        """Return the payee's account."""
        return {"SchemeName": "UK.OBIE.Wallet", "Identification": self.wallets[1], "Name": "Grace Hopper"}
