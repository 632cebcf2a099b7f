"""A bank with a customer who has everything that account information shows, and consents for third parties."""

import base64
import secrets
import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import httpx
import msgspec

from billfold import ids
from billfold.ids import Prefix
from billfold.money import Money
from billfold_server.account_statements import service as statements
from billfold_server.connectors.service import Account, Credit, Notice, Report
from billfold_server.consents import service as consents
from billfold_server.consents.service import Consent, Evidence, NewConsent, Owner
from billfold_server.identity.service import open_grant
from billfold_server.identity.tokens import access_tokens
from billfold_server.identity.tokens.access_tokens import Claims
from billfold_server.payments import service as payments
from billfold_server.payments.service import Collected, Heard, Texts
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.context import SYSTEM, Caller
from tests.live import LiveServer
from tests.server.identity.clients_of import TestClient, make
from tests.server.identity.flows import Person, add_person

__all__ = ["ALL", "IBAN", "Bank", "Reader"]

ALL: Final = frozenset(
    {
        "ReadAccountsDetail", "ReadBalances", "ReadBeneficiariesDetail", "ReadDirectDebits", "ReadOffers", "ReadPAN",
        "ReadParty", "ReadPartyPSU", "ReadProducts", "ReadScheduledPaymentsDetail", "ReadStandingOrdersDetail",
        "ReadStatementsDetail", "ReadTransactionsCredits", "ReadTransactionsDebits", "ReadTransactionsDetail",
    }
)  # fmt: skip
"""Everything that a customer may allow."""

IBAN: Final = "GB33BUKB20201555555555"
_CREDITOR: Final = {"scheme": "sort_code_account_number", "identification": "20201555779911", "name": "Grace"}
_SOON: Final = "2027-01-01T00:00:00Z"
_POUNDS: Final = {"amount_minor": 85_000, "currency": "EUR"}
ARRANGED: Final[dict[str, dict[str, Any]]] = {
    "beneficiary": {"creditor": {**_CREDITOR, "bic": "BUKBGB22"}, "trusted": True, "reference": "Rent"},
    "direct_debit": {
        "name": "City Energy", "mandate_id": "CE-1", "frequency": "MNTH", "classification": "variable",
        "category_purpose": "SUPP", "previous_payment": {"at": "2026-10-01T00:00:00Z", "amount": _POUNDS},
        "next_payment_at": _SOON, "reason": "Power",
    },
    "standing_order": {
        "creditor": _CREDITOR, "frequency": "MNTH", "point_in_time": "01", "reference": "Rent", "mandate_id": "SO-1",
        "first_payment": {"at": "2026-01-01T00:00:00Z", "amount": _POUNDS}, "next_payment": {"at": _SOON},
        "number_of_payments": 12,
    },
    "scheduled_payment": {"scheduled_at": _SOON, "amount": _POUNDS, "creditor": _CREDITOR, "reference": "Gift"},
    "offer": {"type": "promotional_rate", "description": "More", "rate": "1.25", "fee": _POUNDS, "value": 2},
}  # fmt: skip
"""What is arranged for the customer's first wallet."""


class Bank(msgspec.Struct, kw_only=True):
    """A tenant with a customer.

    Attributes:
        live: The server.
        slug: The tenant.
        token: The bank's own access to it, with every scope.
        person: The customer.
        wallets: Their wallets.
        other: A wallet of somebody else.
        statement: A statement of the first wallet.
    """

    live: LiveServer
    slug: str
    token: str
    person: Person
    wallets: tuple[str, ...] = ()
    other: str = ""
    statement: str = ""

    @classmethod
    def empty(cls, live: LiveServer, slug: str) -> "Bank":
        """Return the bank of a tenant that is there, with a customer who has nothing yet."""
        token = live.token(slug, live.add_client(slug))
        return cls(live=live, slug=slug, token=token, person=add_person(live, slug))

    @property
    def party(self) -> str:
        """Return the customer's party."""
        assert self.person.party_id is not None
        return ids.encode(Prefix.PARTY, self.person.party_id)

    @classmethod
    def open(cls, live: LiveServer, slug: str) -> "Bank":
        """Return the bank of a tenant that is there, with everything that can be shown."""
        bank = cls.empty(live, slug)
        stranger = bank.post("/v1/parties", {"kind": "company", "name": "Shop"})["id"]
        bank.wallets = tuple(
            bank.post("/v1/wallets", {"party_id": bank.party, "label": name})["id"] for name in ("a", "b")
        )
        bank.other = bank.post("/v1/wallets", {"party_id": stranger})["id"]
        bank.post(f"/v1/wallets/{bank.wallets[0]}/aliases", {"scheme": "iban", "value": IBAN})
        bank.book()
        for kind, terms in ARRANGED.items():
            bank.post("/v1/arrangements", {"wallet_id": bank.wallets[0], "kind": kind, kind: terms})
        body = {"name": "Everyday", "type": "other", "description": "x", "interest_rate": "1.25", "notes": ["y"]}
        product = bank.post("/v1/products", {**body, "monthly_fee_cap": _POUNDS})["id"]
        bank.post(f"/v1/products/{product}/wallets", {"wallet_ids": [bank.wallets[0]]})
        bank.statement = live.run(bank._make_statements())
        return bank

    def book(self) -> None:
        """Let money come in and go out, in the months before this one."""
        first = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        days = [first - timedelta(days=back) for back in (50, 40, 20, 10)]
        first_wallet, second = self.wallets
        self.top_up(first_wallet, 100_000, days[0], "Salary")
        self.transfer(first_wallet, self.other, 2_500, days[1], merchant_name="Shop", merchant_category_code="5411")
        self.transfer(first_wallet, second, 1_000, days[2])
        self.top_up(second, 300, days[3], "Gift")

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Order something of the bank."""
        headers = {"Idempotency-Key": secrets.token_hex(16), "Authorization": f"Bearer {self.token}"}
        answer = httpx.post(f"{self.live.base(self.slug)}{path}", json=body, headers=headers, timeout=30)
        assert answer.status_code in {200, 201}, answer.text
        return answer.json()

    def top_up(self, wallet: str, minor: int, at: datetime, text: str) -> None:
        """Let money come in."""
        amount = {"amount_minor": minor, "currency": "EUR"}
        self.post(
            "/v1/top-ups",
            {"wallet_id": wallet, "amount": amount, "effective_at": at.isoformat(), "description": text},
        )

    def transfer(self, source: str, target: str, minor: int, at: datetime, **metadata: str) -> None:
        """Move money."""
        order = {"from_wallet_id": source, "to_wallet_id": target, "metadata": metadata}
        amount = {"amount_minor": minor, "currency": "EUR"}
        self.post("/v1/transfers", {**order, "amount": amount, "effective_at": at.isoformat(), "description": "Bread"})

    async def _make_statements(self) -> str:
        database, tenant = self.live.services.database, await self.live.services.registry.get(self.slug)
        await statements.make_due(lambda: database.tx(tenant), SYSTEM)
        async with database.tx(tenant) as tx:
            wallet_id = ids.decode(Prefix.WALLET, self.wallets[0])
            return (await statements.list_statements(tx, limit=1, wallet_id=wallet_id))[0].wire_id

    def reader(
        self,
        permissions: frozenset[str] = ALL,
        *,
        wallets: tuple[str, ...] | None = None,
        client: TestClient | None = None,
        **dates: Any,
    ) -> "Reader":
        """Return a third party whom the customer has allowed this."""
        third_party = client or make(self.live, self.slug, "client_secret_basic", scopes=["accounts"])
        chosen = tuple(ids.decode(Prefix.WALLET, each) for each in (self.wallets if wallets is None else wallets))
        consent_id, token = self.live.run(self._allow(third_party, permissions, chosen, dates))
        return Reader(self, consent_id, f"{self.live.base(self.slug)}/open-banking/v4.0/aisp", token)

    async def _allow(
        self,
        third_party: TestClient,
        permissions: frozenset[str],
        wallets: tuple[UUID, ...],
        dates: dict[str, Any],
    ) -> tuple[UUID, str]:
        services = self.live.services
        tenant = await services.registry.get(self.slug)
        realm, now = services.identity.realm(tenant), services.clock.now()
        new = NewConsent(kind="account_access", client_id=third_party.client.id, permissions=permissions, **dates)
        consent, owner = await self._agree(new, wallets), self._owner
        async with services.database.tx(tenant) as tx:
            grant_id = await open_grant(
                tx, client_id=consent.client_id, user_id=owner.user_id, scopes=["accounts"],
                resources=[f"{realm.issuer}/open-banking"], auth_time=now, now=now, consent_id=consent.id,
            )  # fmt: skip
        claims = Claims(
            iss=realm.issuer, sub=ids.encode(Prefix.USER, owner.user_id), client_id=third_party.client_id,
            aud=f"{realm.issuer}/open-banking", scope="accounts", jti=secrets.token_urlsafe(16), iat=int(time.time()),
            exp=int(time.time()) + 600, gid=ids.encode(Prefix.GRANT, grant_id), auth_time=int(now.timestamp()),
        )  # fmt: skip
        return consent.id, await services.identity.signing.sign(realm, claims, typ=access_tokens.TYPE)

    @property
    def _owner(self) -> Owner:
        assert self.person.party_id is not None
        return Owner(user_id=self.person.user_id, party_id=self.person.party_id)

    async def _agree(self, new: NewConsent, wallets: tuple[UUID, ...]) -> Consent:
        """Let the customer agree to what is asked for."""
        services, owner = self.live.services, self._owner
        tenant = await services.registry.get(self.slug)
        prepared = await consents.prepare(services, tenant, new)
        shown = Evidence(shown=b"{}", text_version="test", language="en", shown_at=services.clock.now())
        evidence = await consents.seal_evidence(services, tenant, prepared.id, owner.party_id, shown)
        async with services.database.tx(tenant) as tx:
            now = await tenant_now(tx)
            consent = await consents.create(tx, Caller(actor="test", client_id=new.client_id), prepared, now)
            return await consents.authorise(
                tx, consent.id, client_id=consent.client_id, owner=owner, wallet_ids=wallets, sca_id=ids.uuid7(),
                evidence=evidence, now=now,
            )  # fmt: skip

    def pay(self, wallet: str, minor: int, texts: Texts) -> UUID:
        """Pay somebody at another bank, by a rail that isn't there and so says nothing; return the payment's id."""
        return self.live.run(self._pay(ids.decode(Prefix.WALLET, wallet), minor, texts))  # type: ignore[no-any-return]

    async def _pay(self, wallet_id: UUID, minor: int, texts: Texts) -> UUID:
        services = self.live.services
        tenant = await services.registry.get(self.slug)
        client_id = ids.uuid7()
        new = NewConsent(
            kind="domestic_payment", client_id=client_id, amount_minor=minor, currency="EUR", repeated=b"x"
        )
        consent = await self._agree(new, (wallet_id,))
        order = await payments.order(
            services, tenant, consent_id=consent.id, party_id=self._owner.party_id,
            digest=consents.digest(services, tenant, b"x"), amount=Money(minor, "EUR"), creditor=None, leaves=True,
            texts=texts,
        )  # fmt: skip
        caller = Caller(actor="test", client_id=client_id, consent_id=consent.id)
        order = msgspec.structs.replace(order, rail="elsewhere")
        answer = await services.engine.submit(tenant, caller, payments.INITIATE_PAYMENT, order)
        assert answer.error is None, answer.error
        return payments.initiated(answer.body)

    def let_come_back(self, payment_id: UUID) -> None:
        """Let the rail reject a payment."""
        self.live.run(self._hear(payment_id, Report(notices=(Notice(id="1", word="reject", reason="AC04"),))))

    def bring_back(self, payment_id: UUID, wallet: str, amount_minor: int) -> None:
        """Let a rail bring back what had left, as what it has of others comes."""
        credit = Credit(
            key=f"return_{payment_id}",
            amount=Money(amount_minor, "EUR"),
            debtor=Account(scheme="iban", identification=IBAN),
            creditor=Account(scheme="wallet", identification=wallet),
            end_to_end_id="e2e",
            returns=ids.encode(Prefix.PAYMENT, payment_id),
            reason="AC01",
        )
        told = self.live.run(self._collect(_Receiving(credit)))
        assert told.top_up_id is not None, told

    async def _collect(self, rail: "_Receiving") -> Collected:
        tenant = await self.live.services.registry.get(self.slug)
        return await payments.collect(self.live.services, tenant, rail, "elsewhere", rail.credit.key)

    async def _hear(self, payment_id: UUID, report: Report) -> None:
        tenant = await self.live.services.registry.get(self.slug)
        await payments.hear(self.live.services, tenant, Heard(payment_id=payment_id, turn=None, report=report))


class _Receiving(msgspec.Struct):
    """A rail that has some money for us."""

    credit: Credit

    async def find_credit(self, key: str) -> Credit | None:
        """Return it by its name."""
        return self.credit if key == self.credit.key else None

    async def answer(self, key: str, *, taken: bool) -> None:
        """Hear that it was booked."""
        assert (key, taken) == (self.credit.key, True)


class Reader(msgspec.Struct):
    """A third party with a token of a consent.

    Attributes:
        bank: The bank.
        consent_id: The consent.
        base: Where accounts are read.
        token: The token.
    """

    bank: Bank
    consent_id: UUID
    base: str
    token: str

    @property
    def token_id(self) -> str:
        """The token's ``jti``."""
        body = self.token.split(".")[1]
        return str(msgspec.json.decode(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))["jti"])

    def get(self, path: str, *, accept: str = "application/json", **query: str) -> httpx.Response:
        """Ask for something, by its path or by an address that was answered."""
        headers = {"Authorization": f"Bearer {self.token}", "Accept": accept}
        address = path if path.startswith("http") else self.base + path
        return httpx.get(address, params=query or None, headers=headers, timeout=30)

    def data(self, path: str, **query: str) -> Any:
        """Return the only member of an answer's data."""
        answer = self.get(path, **query)
        assert answer.status_code == 200, answer.text
        (data,) = answer.json()["Data"].values()
        return data
