"""A bank with a customer, a third party that came by its statement, and the customer's way through the bank's pages."""

import secrets
from pathlib import Path
from typing import Any

import httpx

from billfold.auth import AsyncRegistrations, PrivateKeyJWT, Registered, Registrations
from billfold.auth.credentials import ClientAuthentication
from billfold.keys import PemKey
from billfold_server.serving.directory.directory import Directory
from billfold_server.serving.directory.setting_up import believing
from billfold_server.tenancy.manifest import Manifest
from tests.live import LiveServer
from tests.server.identity.flows import decide, follow, stranger
from tests.server.people import persons
from tests.tenants import manifest

__all__ = ["CALLBACK", "Customer", "ThirdPartysBank"]

CALLBACK = "https://tpp.test/callback"
_PAGE = {"Accept": "text/html"}


class ThirdPartysBank:
    """A bank of the sandbox's profile that believes a directory.

    Attributes:
        live: The server.
        slug: The tenant.
        base: Its base URL.
        directory: The directory.
        callback: Where it has customers sent back to.
        registered: What its software with all roles is known by.
    """

    def __init__(
        self, live: LiveServer, slug: str, folder: Path, *, like: Manifest | None = None, callback: str = CALLBACK
    ) -> None:
        self.live, self.slug, self.callback = live, slug, callback
        self.directory = Directory(folder)
        self.directory.ensure()
        like = like or manifest(slug, currencies=["GBP", "EUR"])
        live.add_tenant(believing(like, self.directory.publisher()))
        self.base = live.base(slug)
        self.registered = self._register()
        self.key = PemKey(self.directory.find("all").signing_key)
        self.dpop = PemKey.generate()

    def _register(self) -> Registered:
        with Registrations(self.base) as registrations:
            return registrations.register(
                software_statement=self.directory.statement("all", redirect_uris=[self.callback]),
                token_endpoint_auth_method="private_key_jwt",
                grant_types=["client_credentials", "authorization_code", "refresh_token"],
                redirect_uris=[self.callback],
                scope="openid offline_access accounts payments fundsconfirmations",
            )

    async def registered_again(self) -> Registered:
        """Return the registration as the asynchronous client reads it."""
        async with AsyncRegistrations(self.base) as registrations:
            return await registrations.read(self.registered)

    def auth(self) -> ClientAuthentication:
        """Return how the third party proves who it is."""
        return PrivateKeyJWT(self.registered.client_id, self.key, dpop=self.dpop)


class Customer:
    """Somebody with two wallets and a browser, who has enrolled a password and an app.

    Attributes:
        wallet: Theirs, with 100.00 GBP in it.
        savings: Theirs, with nothing.
    """

    def __init__(self, live: LiveServer, slug: str) -> None:
        with live.client(slug) as client:
            party = made(client, "/v1/parties", kind="person", name="Ada Lovelace")["id"]
            self.wallet, self.savings = (
                str(made(client, "/v1/wallets", party_id=party, label=label)["id"]) for label in ("Everyday", "Savings")
            )
            made(client, "/v1/top-ups", wallet_id=self.wallet, amount={"amount_minor": 10_000, "currency": "GBP"})
        self.person = persons.a_person(live, slug, party_id=party)
        persons.enrol(self.person)
        self._sign_in()

    @classmethod
    def of(cls, person: persons.Person, wallet: str) -> "Customer":
        """Return somebody who has enrolled before, with a wallet of theirs."""
        customer = cls.__new__(cls)
        customer.person, customer.wallet, customer.savings = person, wallet, ""
        customer._sign_in()
        return customer

    def _sign_in(self) -> None:
        self.pages = self.person.sign_in()
        self.browser = stranger(self.person.live, self.person.slug)
        self.browser.cookies = self.pages.cookies

    def agree(self, url: str, *wallets: str, decision: str = "approve") -> str:
        """Go where the third party has sent the browser, agree, and return where it is sent back to."""
        page = follow(self.browser, self.browser.get(url, headers=_PAGE))
        several = 'type="checkbox"' in page.text
        chosen = {f"wallet.{each}" if several else "wallet": each for each in wallets}
        answer = follow(self.browser, decide(self.browser, page, decision, **chosen))
        if answer.status_code == 200 and answer.url.path.endswith("/auth/approve"):
            self.pages.cookies = self.browser.cookies
            answer = self.pages.submit(answer, "/approve", code=self.person.code())
            self.browser.cookies = self.pages.cookies
            answer = follow(self.browser, answer)
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"])


def made(client: httpx.Client, path: str, **body: Any) -> dict[str, Any]:
    """Return what the bank has made of an order."""
    answer = client.post(path, json=body, headers={"Idempotency-Key": secrets.token_hex(16)})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found
