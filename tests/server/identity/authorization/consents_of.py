"""Consents of open banking at a server that runs: asked for as a third party does, and looked at as other rooms do."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx

from billfold import ids
from billfold.contract.consents import ConsentRecord
from billfold.contract.wallets import AliasScheme, CreateAlias, CreateTopUp, CreateWallet
from billfold.ids import Prefix
from billfold.money import Money
from billfold_server.consents import service, staff
from billfold_server.consents.service import Consent, NewConsent
from billfold_server.http.routing import Call
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.context import Caller
from billfold_server.wallets.routes import create_alias, create_top_up, create_wallet
from tests.callers import CALLER
from tests.live import LiveServer
from tests.server.identity import flows
from tests.server.identity.flows import App, add_app, answer_of, ask, decide, redeem, tx_of
from tests.server.people.persons import Browser, Person

__all__ = [
    "PAYEE",
    "Tpp",
    "add_tpp",
    "allow",
    "claims_of",
    "fund",
    "funds",
    "name",
    "open_wallet",
    "party_of",
    "payment",
    "read_accounts",
    "recurring",
]

SCOPES = ["openid", "profile", "offline_access", "accounts", "payments", "fundsconfirmations"]
PAYEE = {"SchemeName": "UK.OBIE.IBAN", "Identification": "GB33BUKB20201555555555", "Name": "Books & Co"}
SAVINGS = {**PAYEE, "Identification": "GB29NWBK60161331926819"}


def claims_of(consent: Consent, *, where: str = "id_token") -> str:
    """Return the ``claims`` parameter that names a consent."""
    return json.dumps({where: {"openbanking_intent_id": {"value": consent.wire_id, "essential": True}}})


def read_accounts(*permissions: str) -> dict[str, Any]:
    """Return what is asked to read accounts."""
    asked = list(permissions) or ["ReadAccountsDetail", "ReadBalances", "ReadTransactionsBasic"]
    return {
        "kind": "account_access",
        "permissions": frozenset(asked),
        "expires_at": datetime.now(UTC) + timedelta(days=30),
        "transactions_from": datetime(2026, 1, 1, tzinfo=UTC),
        "request": {"Data": {"Permissions": asked}, "Risk": {}},
    }


def payment(amount: str = "1234.56", currency: str = "GBP", debtor: str | None = None) -> dict[str, Any]:
    """Return what is asked for one payment."""
    initiation: dict[str, Any] = {
        "InstructionIdentification": "i-1",
        "EndToEndIdentification": "e-1",
        "InstructedAmount": {"Amount": amount, "Currency": currency},
        "CreditorAccount": PAYEE,
        "RemittanceInformation": {"Unstructured": ["Invoice 7"]},
    }
    if debtor is not None:
        initiation["DebtorAccount"] = {"SchemeName": "UK.OBIE.Wallet", "Identification": debtor}
    return {
        "kind": "domestic_payment",
        "amount_minor": int(amount.replace(".", "")),
        "currency": currency,
        "request": {"Data": {"Initiation": initiation}, "Risk": {}},
    }


def funds(debtor: str) -> dict[str, Any]:
    """Return what is asked to know whether there is enough money."""
    account = {"SchemeName": "UK.OBIE.Wallet", "Identification": debtor}
    return {"kind": "funds_confirmation", "request": {"Data": {"DebtorAccount": account}}}


def recurring(payee: dict[str, str] | None = None) -> dict[str, Any]:
    """Return what is asked for recurring payments, which last for a year; to an account elsewhere, if to none else."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    last_day = today + timedelta(days=365)
    limits = {
        "ValidFromDateTime": today.isoformat(),
        "ValidToDateTime": last_day.isoformat(),
        "MaximumIndividualAmount": {"Amount": "100.00", "Currency": "GBP"},
        "PeriodicLimits": [
            {"PeriodType": "Month", "PeriodAlignment": "Calendar", "Amount": "250.00", "Currency": "GBP"}
        ],
        "VRPType": ["UK.OBIE.VRPType.Sweeping"],
        "PSUAuthenticationMethods": ["UK.OBIE.SCA"],
    }
    initiation = {"CreditorAccount": payee or SAVINGS, "RemittanceInformation": {"Unstructured": ["Savings"]}}
    data = {"ControlParameters": limits, "Initiation": initiation}
    return {"kind": "domestic_vrp", "expires_at": last_day + timedelta(days=1), "request": {"Data": data, "Risk": {}}}


class Tpp:
    """A third party at one tenant: its client, and the consents that it asks for."""

    def __init__(self, app: App) -> None:
        assert app.slug is not None
        self.app, self.live, self.slug = app, app.live, app.slug

    def ask_for(self, asked: dict[str, Any]) -> Consent:
        """Ask for a consent, as the endpoints of the standard do."""

        async def create() -> Consent:
            services = self.live.services
            tenant = await services.registry.get(self.slug)
            facts = {**asked, "request": json.dumps(asked["request"]).encode()}
            new = NewConsent(client_id=self.app.client.id, **facts)
            prepared = await service.prepare(services, tenant, new)
            caller = Caller(actor=self.app.client_id, client_id=self.app.client.id)
            async with tx_of(self.live, self.slug) as tx:
                return await service.create(tx, caller, prepared, await tenant_now(tx))

        made = self.live.run(create())
        assert isinstance(made, Consent)
        return made

    def find(self, consent: Consent) -> Consent:
        """Return a consent as it stands."""

        async def work() -> Consent | None:
            async with tx_of(self.live, self.slug) as tx:
                return await service.find(tx, consent.id)

        found = self.live.run(work())
        assert isinstance(found, Consent)
        return found

    def record(self, consent: Consent) -> ConsentRecord:
        """Return everything that the bank keeps of a consent."""

        async def work() -> ConsentRecord:
            tenant = await self.live.services.registry.get(self.slug)
            async with tx_of(self.live, self.slug) as tx:
                kept = await staff.load(tx, consent.id)
            return await staff.record(self.live.services, tenant, kept)

        kept = self.live.run(work())
        assert isinstance(kept, ConsentRecord)
        return kept

    def revoke(self, consent: Consent, by: service.By = "tpp") -> None:
        """End a consent."""

        async def work() -> None:
            caller = Caller(actor=self.app.client_id, client_id=self.app.client.id)
            async with tx_of(self.live, self.slug) as tx:
                await service.revoke(tx, consent.id, actor=caller, by=by, reason="no more")

        self.live.run(work())

    def block(self) -> None:
        """Have the bank keep the third party out."""

        async def work() -> None:
            async with tx_of(self.live, self.slug) as tx:
                await staff.keep_out(tx, CALLER, self.app.client.id, "it was in the news")

        self.live.run(work())

    def unblock(self) -> None:
        """Have the bank let the third party in again."""

        async def work() -> None:
            async with tx_of(self.live, self.slug) as tx:
                await staff.unblock(tx, CALLER, self.app.client.id)

        self.live.run(work())

    def use(self, consent: Consent, permission: str, times: int) -> None:
        """Use a consent as its token's holder does."""

        async def work() -> None:
            caller = Caller(actor=self.app.client_id, client_id=self.app.client.id, consent_id=consent.id)
            async with tx_of(self.live, self.slug) as tx:
                for _ in range(times):
                    await service.use(tx, caller, kind=consent.kind, permission=permission)

        self.live.run(work())

    def change(self, consent: Consent, sql: str) -> None:
        """Change a consent's row, such as time would."""

        async def work() -> None:
            async with tx_of(self.live, self.slug) as tx:
                await tx.execute(f"UPDATE consents SET {sql} WHERE id = $1", consent.id)  # noqa: S608 - a test's own

        self.live.run(work())

    def page(self, browser: Browser, consent: Consent, scope: str, **changes: Any) -> httpx.Response:
        """Push a request that names a consent, and return the page that the browser comes to."""
        return ask(browser, self.app, scope=scope, claims=claims_of(consent), **changes)

    def answer(self, browser: Browser, page: httpx.Response, *wallets: str, **fields: str) -> httpx.Response:
        """Press the page's first button, with these wallets chosen."""
        several = 'type="checkbox"' in page.text
        chosen = {f"wallet.{each}" if several else "wallet": each for each in wallets}
        return decide(browser, page, **chosen, **fields)


def add_tpp(live: LiveServer, slug: str, method: Any = "private_key_jwt", **metadata: Any) -> Tpp:
    """Register a third party."""
    said = {"scopes": SCOPES, "client_name": "Pocket Ledger", "organisation": "Pocket Ledger Ltd", **metadata}
    said["grant_types"] = ["authorization_code", "refresh_token", "client_credentials"]
    return Tpp(add_app(live, slug, method, **said))


async def _order(live: LiveServer, slug: str, handler: Any, body: Any, *path: str) -> dict[str, Any]:
    """Have an order carried out, whatever clients the tenant has."""
    call = Call(
        services=live.services,
        caller=CALLER,
        request_id=CALLER.request_id or "",
        method="POST",
        path="/v1/wallets",
        headers={},
        base_url=live.base(slug),
        tenant_or_none=await live.services.registry.get(slug),
    )
    answer = await handler(call, *path, body)
    assert answer.status in {None, 201}, answer.body
    return dict(json.loads(answer.body))


def open_wallet(live: LiveServer, slug: str, party_id: UUID | str, label: str | None = None) -> str:
    """Open a wallet for a customer, and return its id."""
    party = party_id if isinstance(party_id, str) else ids.encode(Prefix.PARTY, party_id)
    made = live.run(_order(live, slug, create_wallet, CreateWallet(party_id=party, label=label)))
    return str(made["id"])


def fund(live: LiveServer, slug: str, wallet: str, amount_minor: int, currency: str = "GBP") -> None:
    """Put money into a wallet."""
    amount = Money(amount_minor=amount_minor, currency=currency)
    live.run(_order(live, slug, create_top_up, CreateTopUp(wallet_id=wallet, amount=amount)))


def name(live: LiveServer, slug: str, wallet: str, scheme: str, value: str) -> None:
    """Give a wallet another name."""
    body = CreateAlias(scheme=AliasScheme(scheme), value=value)
    live.run(_order(live, slug, create_alias, body, wallet))


def allow(tpp: Tpp, person: flows.Person, wallet: str, **changes: Any) -> tuple[Consent, dict[str, Any]]:
    """Let somebody allow a consent, and return it with the tokens."""
    consent, browser = tpp.ask_for(read_accounts()), person.browser()
    page = tpp.page(browser, consent, "openid accounts", nonce="n-1", **changes)
    code = answer_of(tpp.app, tpp.answer(browser, page, wallet))["code"]
    answer = redeem(tpp.app, code)
    assert answer.status_code == 200, answer.text
    return tpp.find(consent), answer.json()


def party_of(person: Person) -> str:
    """Return the party that somebody is."""

    async def read() -> str:
        async with tx_of(person.live, person.slug) as tx:
            found = await tx.fetchval(
                "SELECT party_id FROM users WHERE id = $1", ids.decode(Prefix.USER, person.user_id)
            )
        return ids.encode(Prefix.PARTY, found)

    return str(person.live.run(read()))
