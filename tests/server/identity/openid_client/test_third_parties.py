"""openid-client as a third party and Chromium as its customer: consents from the request to their end.

The third party is a client that nobody here wrote, and the customer is a browser that follows what it is sent, types
and clicks. Both meet only at the server.
"""

import re
from typing import Any

import pytest
from selenium.webdriver import Chrome

from billfold_server.consents.service import Consent
from tests.live import LiveServer
from tests.server.identity.authorization.consents_of import (
    Tpp,
    add_tpp,
    claims_of,
    open_wallet,
    party_of,
    payment,
    read_accounts,
    recurring,
)
from tests.server.identity.authorization.test_consents_in_a_browser import back_at
from tests.server.identity.openid_client.test_openid_client import CALLBACK, Driver, driver, folder, key_of
from tests.server.people.browser.conftest import banks, chromium
from tests.server.people.browser.pages import Screen
from tests.server.people.persons import Person, a_psu

__all__ = ["banks", "chromium", "driver", "folder"]

pytestmark = [pytest.mark.xdist_group("chromium"), pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def bank(request: pytest.FixtureRequest, banks: LiveServer) -> "Bank":
    """A tenant, of the sandbox's profile or of FAPI 2.0's, with a third party and a customer."""
    return Bank(banks, request.param)


SANDBOX = pytest.mark.parametrize("bank", ["sandbox"], indirect=True)
FAPI_2 = pytest.mark.parametrize("bank", ["demo_bank"], indirect=True)


class Bank:
    """A tenant with a third party and a customer.

    Attributes:
        tpp: The third party.
        person: The customer.
        wallet: Their wallet.
        jarm: Whether the third party wants signed answers, which the profile of the sandbox lets it.
    """

    def __init__(self, live: LiveServer, slug: str) -> None:
        self.live, self.slug, self.jarm = live, slug, slug == "sandbox"
        bound = {"dpop_bound_access_tokens": True}
        self.tpp: Tpp = add_tpp(live, slug, redirect_uris=[CALLBACK], **bound)
        self.person: Person = a_psu(live, slug)
        self.wallet = open_wallet(live, slug, party_of(self.person), "Every day")
        self.screen: Screen | None = None

    def begin(self, driver: Driver, consent: Consent, scope: str) -> str:
        """Let the third party find the bank and push its request, and return where it sends the browser."""
        app = self.tpp.app
        driver.do(
            "configure",
            issuer=app.base,
            clientId=app.client_id,
            jwk=key_of(app),
            tls={},
            mtls=False,
            useDpop=True,
            jarm=self.jarm,
            metadata={"id_token_signed_response_alg": "ES256", "authorization_signed_response_alg": "ES256"},
        )
        said = {"redirect_uri": CALLBACK, "scope": scope, "claims": claims_of(consent)}
        return str(driver.do("begin", parameters=said, jarKey=key_of(app))["url"])

    def sign_in(self, screen: Screen) -> None:
        """Type name, password and the app's code."""
        screen.wait_until_there("#name")
        screen.fill(name=self.person.name, password=self.person.password)
        screen.click("form[action$='/sign-in'] button")
        screen.wait_until_there("#code")
        screen.fill(code=self.person.code())
        screen.click("form[action$='/sign-in/code'] button")

    def go(self, chromium: Chrome, url: str) -> Screen:
        """Go where the third party sends the browser, and sign in there the first time; that holds for five minutes."""
        first, screen = self.screen is None, self.screen or Screen(chromium, self.live, self.slug, "")
        chromium.get(url.replace("127.0.0.1", "localhost"))
        if first:
            self.sign_in(screen)
        screen.wait_until_there("button[value=refuse]")
        self.screen = screen
        return screen

    def approve(self, screen: Screen) -> None:
        """Type the app's code on the page of approval."""
        screen.wait_for("/auth/approve")
        screen.fill(code=self.person.code())
        screen.click("form[action$='/approve'] button")


def finished(driver: Driver, chromium: Chrome) -> dict[str, Any]:
    """Let the third party take the answer with which its customer has come back."""
    return driver.do("finish", callback=back_at(chromium))


class TestAThirdParty:
    """A third party."""

    @SANDBOX
    def test_reads_accounts_until_the_customer_takes_that_back(
        self, bank: Bank, driver: Driver, chromium: Chrome
    ) -> None:
        """Sign-in, the one account that there is, tokens that name the consent, and their end by the customer."""
        consent = bank.tpp.ask_for(read_accounts())
        screen = bank.go(chromium, bank.begin(driver, consent, "openid accounts"))
        assert "Pocket Ledger" in screen.text("h1")
        screen.click("button[value=approve]")
        tokens = finished(driver, chromium)
        assert tokens["claims"]["openbanking_intent_id"] == consent.wire_id
        assert tokens["claims"]["acr"] == "urn:openbanking:psd2:sca"
        assert driver.do("userinfo")["userinfo"]["openbanking_intent_id"] == consent.wire_id
        assert driver.do("refresh")["changed"]
        accounts = f"{bank.tpp.app.base}/open-banking/v4.0/aisp/accounts"
        found = driver.do("resource", url=accounts)
        assert [each["AccountId"] for each in found["body"]["Data"]["Account"]] == [bank.wallet]
        screen.open("/oauth/consents")
        screen.click(f"a[href*='end?consent={consent.wire_id}']")
        screen.wait_for("/oauth/consents/end")
        screen.click("form[action$='/oauth/consents/end'] button")
        screen.wait_for("/oauth/consents/one")
        assert bank.tpp.find(consent).status == "CANC"
        assert driver.tell("resource", url=accounts)["error"]["status"] == 401
        assert driver.tell("refresh")["error"]["oauth"] == "invalid_grant"

    @SANDBOX
    def test_is_told_that_the_customer_has_refused(self, bank: Bank, driver: Driver, chromium: Chrome) -> None:
        """The answer says so and who it is from, and the consent is rejected."""
        consent = bank.tpp.ask_for(read_accounts())
        screen = bank.go(chromium, bank.begin(driver, consent, "openid accounts"))
        screen.click("button[value=refuse]")
        refused = driver.tell("finish", callback=back_at(chromium))["error"]
        assert refused["oauth"] == "access_denied"
        assert bank.tpp.find(consent).status == "RJCT"

    @pytest.mark.parametrize(("bank", "asked"), [("sandbox", recurring), ("demo_bank", payment)], indirect=["bank"])
    def test_gets_payments_approved_for_what_they_are(
        self, bank: Bank, driver: Driver, chromium: Chrome, asked: Any
    ) -> None:
        """One payment, or limits for many: shown, confirmed by a second factor, and then there are tokens."""
        consent = bank.tpp.ask_for(asked())
        screen = bank.go(chromium, bank.begin(driver, consent, "openid payments"))
        screen.click("button[value=approve]")
        bank.approve(screen)
        assert finished(driver, chromium)["claims"]["openbanking_intent_id"] == consent.wire_id
        authorised = bank.tpp.find(consent)
        assert (authorised.status, authorised.sca_id is None) == ("AUTH", False)
        bank.tpp.revoke(consent)
        assert driver.tell("refresh")["error"]["oauth"] == "invalid_grant"

    @SANDBOX
    def test_finds_its_access_over_when_time_is_up(self, bank: Bank, driver: Driver, chromium: Chrome) -> None:
        """Once the consent has expired nothing more is issued, and what was issued says nothing any more."""
        consent = bank.tpp.ask_for(read_accounts())
        screen = bank.go(chromium, bank.begin(driver, consent, "openid accounts"))
        screen.click("button[value=approve]")
        finished(driver, chromium)
        bank.tpp.change(consent, "ends_at = now()")
        assert driver.tell("refresh")["error"]["oauth"] == "invalid_grant"
        assert driver.tell("introspect")["ok"]["introspection"]["active"] is False

    @FAPI_2
    def test_ends_the_consent_by_giving_its_access_back(self, bank: Bank, driver: Driver, chromium: Chrome) -> None:
        """Its refresh token is revoked, and the consent is cancelled by that."""
        consent = bank.tpp.ask_for(read_accounts())
        screen = bank.go(chromium, bank.begin(driver, consent, "openid accounts"))
        screen.click("button[value=approve]")
        finished(driver, chromium)
        driver.do("revoke")
        ended = bank.tpp.find(consent)
        assert (ended.status, ended.ended_by) == ("CANC", "token")

    @FAPI_2
    def test_gets_tokens_for_itself_to_ask_for_consents(self, bank: Bank, driver: Driver) -> None:
        """By client credentials it gets its scopes, for what third parties use."""
        bank.begin(driver, bank.tpp.ask_for(read_accounts()), "openid accounts")
        issued = driver.do("forItself", parameters={"scope": "accounts"})
        assert (issued["tokenType"], issued["scope"]) == ("dpop", "accounts")
        assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+", issued["token"])
