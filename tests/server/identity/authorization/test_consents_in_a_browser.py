"""The pages of consents in Chromium: both brands, wide and narrow, by keyboard, without scripts, seen by axe-core."""

import os
import re
from collections.abc import Callable

import httpx
import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.support.ui import WebDriverWait

from billfold import ids
from billfold.ids import Prefix
from billfold_server.consents.service import Consent
from billfold_server.identity.authorization import choosing
from tests.live import LiveServer
from tests.server.identity.authorization.consents_of import (
    Tpp,
    add_tpp,
    claims_of,
    fund,
    funds,
    open_wallet,
    party_of,
    payment,
    read_accounts,
    recurring,
)
from tests.server.people.browser.conftest import BRANDS, axe, banks, chromium
from tests.server.people.browser.pages import PATIENCE_S, SIZES, Screen
from tests.server.people.persons import Person, a_psu

__all__ = ["axe", "banks", "chromium"]

pytestmark = [pytest.mark.xdist_group("chromium"), pytest.mark.timeout(180)]

PICTURED = "BILLFOLD_SCREENSHOTS" in os.environ
"""Whether pictures are taken: of everything, in both brands and sizes. Else a phone's screen tells as much."""

SEEN = {"access-nothing-chosen", "recurring", "recurring-approval", "who-has-access", "one-access", "end-access"}
"""What is looked at without pictures; each template in its fullest state."""

LOOK = (
    "ReadAccountsDetail",
    "ReadBalances",
    "ReadTransactionsDetail",
    "ReadTransactionsCredits",
    "ReadTransactionsDebits",
    "ReadBeneficiariesDetail",
    "ReadStandingOrdersDetail",
    "ReadDirectDebits",
    "ReadStatementsBasic",
    "ReadParty",
)


def signed_in(chromium: Chrome, person: Person) -> Screen:
    """Return a screen in whose browser somebody is signed in with password and app."""
    assert person.slug is not None
    screen = Screen(chromium, person.live, person.slug, "")
    for each in person.sign_in().cookies.jar:
        chromium.add_cookie({"name": each.name, "value": each.value or "", "path": each.path})
    return screen


def address(tpp: Tpp, consent: Consent, scope: str, **changes: str) -> str:
    """Push a request that names a consent, and return where the browser goes with it."""
    uri = tpp.app.uri(scope=scope, claims=claims_of(consent), **changes)
    return "/oauth/authorize?" + str(httpx.QueryParams({"client_id": tpp.app.client_id, "request_uri": uri}))


def a_customer(live: LiveServer, slug: str) -> tuple[Person, list[str]]:
    """Return somebody who has enrolled, with two wallets that have money."""
    person = a_psu(live, slug)
    party = party_of(person)
    wallets = [open_wallet(live, slug, party, label) for label in ("Every day", "Holidays in Italy, and what is left")]
    for wallet, amount in zip(wallets, (152_340, 420_000), strict=True):
        fund(live, slug, wallet, amount)
    return person, wallets


def back_at(chromium: Chrome) -> str:
    """Wait until the browser is back at the third party, and return where."""
    WebDriverWait(chromium, PATIENCE_S).until(lambda driver: driver.current_url.startswith("https://app.example/cb?"))
    return str(chromium.current_url)


def a_tpp(live: LiveServer, slug: str) -> Tpp:
    """Register a third party that says much about itself."""
    about = {"policy_uri": "https://app.example/privacy", "tos_uri": "https://app.example/terms"}
    organisation = "Pocket Ledger Financial Technologies Europe SE"
    return add_tpp(live, slug, organisation=organisation, **about)


class TestThePagesOfConsents:
    """The pages of consents."""

    @pytest.mark.parametrize("slug", BRANDS if PICTURED else ["sandbox"])
    def test_are_accessible_and_keep_to_themselves(self, chromium: Chrome, banks: LiveServer, axe: str, slug) -> None:
        """No violation of WCAG 2.2 AA, no scrolling sideways, nothing from elsewhere, no complaint of the browser's."""
        tpp, (person, wallets) = a_tpp(banks, slug), a_customer(banks, slug)
        screen = signed_in(chromium, person)

        def look(name: str) -> None:
            if not PICTURED and name not in SEEN:
                return
            for size in SIZES if PICTURED else ("narrow",):
                screen.resize(size)
                assert screen.text("h1")
                assert screen.violations(axe) == [], (name, size)
                assert screen.strangers() == [], (name, size)
                assert not screen.overflows(), (name, size)
                screen.picture(f"{slug}-{name}-{size}")

        visit_everything(screen, tpp, wallets, look)
        assert screen.complaints() == []

    def test_are_answered_by_keyboard_alone(self, chromium: Chrome, banks: LiveServer) -> None:
        """Accounts are ticked by the space bar, and the access is taken back again in the same way."""
        tpp, (person, wallets) = a_tpp(banks, "sandbox"), a_customer(banks, "sandbox")
        consent, screen = tpp.ask_for(read_accounts()), signed_in(chromium, person)
        screen.resize("narrow")
        screen.open(address(tpp, consent, "accounts"))
        screen.tab_to(f"#{wallets[0]}")
        screen.press_space()
        screen.tab_to("button[value=approve]")
        screen.press_enter()
        assert re.search(r"[?&](code=|response=)", back_at(chromium))
        assert [ids.encode(Prefix.WALLET, each) for each in tpp.find(consent).wallet_ids] == [wallets[0]]
        screen.open("/oauth/consents")
        screen.tab_to(f"a[href*='end?consent={consent.wire_id}']")
        screen.press_enter()
        screen.wait_for("/oauth/consents/end")
        screen.tab_to("form[action$='/oauth/consents/end'] button")
        screen.press_enter()
        screen.wait_for("/oauth/consents/one")
        assert tpp.find(consent).status == "CANC"

    def test_let_who_has_many_accounts_find_theirs_by_keyboard(
        self, chromium: Chrome, banks: LiveServer, axe: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """On a phone: Enter looks and allows nothing, what was chosen stays, and Tab goes on where the results are."""
        monkeypatch.setattr(choosing, "_PAGE", 2)
        tpp, (person, wallets) = a_tpp(banks, "sandbox"), a_customer(banks, "sandbox")
        newest = [open_wallet(banks, "sandbox", party_of(person), each) for each in ("Garden", "Rent " * 20)]
        consent, screen = tpp.ask_for(read_accounts()), signed_in(chromium, person)
        screen.resize("narrow")
        screen.open(address(tpp, consent, "accounts"))
        screen.tab_to(f"#{newest[1]}")
        screen.press_space()
        screen.type_into("#find", "holidays")
        screen.leave(screen.press_enter)
        assert tpp.find(consent).status == "AWAU"
        assert screen.driver.execute_script("return scrollY") > 0
        assert (screen.violations(axe), screen.overflows()) == ([], False)
        screen.picture("many-accounts")
        screen.tab_to(f"#{wallets[1]}")
        screen.press_space()
        screen.tab_to("button[value=approve]")
        screen.press_enter()
        back_at(chromium)
        chosen = {ids.encode(Prefix.WALLET, each) for each in tpp.find(consent).wallet_ids}
        assert (chosen, screen.complaints()) == ({newest[1], wallets[1]}, [])


NAMES = {"between": "X, 12-34-56 12345678", "hebrew": "מאפיית לחם 12-34-56", "turned": "St James \u202eLettings <b>"}
"""Names of payees: with a number in it, from right to left, and one that was taken before such were refused."""

ROWS = """
return [...document.querySelectorAll("dl.facts dt")].map((name) => {
  const value = name.nextElementSibling, range = document.createRange();
  range.selectNodeContents(value);
  const drawn = [...value.textContent].map((_, at) => {
    const walker = document.createTreeWalker(value, NodeFilter.SHOW_TEXT);
    let node = walker.nextNode(), before = 0;
    while (at - before >= node.length) { before += node.length; node = walker.nextNode(); }
    range.setStart(node, at - before); range.setEnd(node, at - before + 1);
    const place = range.getBoundingClientRect();
    return [place.top, place.left];
  });
  return [name.textContent, value.textContent, drawn];
});
"""
"""Each row of facts: its name, its text, and where each character is drawn."""


def rows_of(screen: Screen) -> dict[str, str]:
    """Return the facts of a page as they are read: each row's characters in the order in which they are drawn."""
    rows = {}
    for name, text, places in screen.driver.execute_script(ROWS):
        order = sorted(range(len(text)), key=lambda at: (places[at][0], places[at][1]))
        rows[name] = "".join(text[at] for at in order)
    return rows


class TestTheAccountOfAPayee:
    """The account of a payee."""

    @pytest.mark.parametrize("name", NAMES)
    def test_is_drawn_as_it_is_paid(self, chromium: Chrome, banks: LiveServer, name: str) -> None:
        """Whatever the payee is called, number, amount and reference are read on both pages as they are executed."""
        tpp, (person, wallets) = a_tpp(banks, "sandbox"), a_customer(banks, "sandbox")
        asked, screen = payment(), signed_in(chromium, person)
        initiation = asked["request"]["Data"]["Initiation"]
        initiation["CreditorAccount"] = {**initiation["CreditorAccount"], "Name": NAMES[name]}
        initiation["RemittanceInformation"]["Unstructured"] = ["Rent \u202e00.1", "7"]
        screen.resize("narrow")
        screen.open(address(tpp, tpp.ask_for(asked), "payments"))
        for page in ("consent", "approval"):
            screen.picture(f"payee-{name}-{page}")
            rows = rows_of(screen)
            assert rows["Account"] == "GB33 BUKB 2020 1555 5555 55"
            assert rows["Amount"] == "GBP\u00a01,234.56"
            assert rows["Payment reference"] == "Rent \ufffd00.1, 7"
            assert "GB33" not in rows["To"]
            if page == "consent":
                screen.click(f"label[for={wallets[0]}]")
                screen.click("button[value=approve]")
                screen.wait_for("/auth/approve")


def visit_everything(screen: Screen, tpp: Tpp, wallets: list[str], look: Callable[[str], None]) -> None:
    """Walk through the pages of all kinds, and then those of who has access."""
    consent = tpp.ask_for(read_accounts(*LOOK))
    screen.open(address(tpp, consent, "openid profile accounts"))
    look("access")
    screen.click("button[value=approve]")
    screen.wait_until_there(".alarm")
    look("access-nothing-chosen")
    screen.click(f"label[for={wallets[0]}]")
    screen.click("button[value=approve]")
    back_at(screen.driver)
    screen.open(address(tpp, consent, "accounts", ui_locales="de"))
    look("access-again-german")
    screen.open("/oauth/consents?ui_locales=en")
    for name, asked, scope in (("funds", funds(wallets[1]), "fundsconfirmations"), ("payment", payment(), "payments")):
        screen.open(address(tpp, tpp.ask_for(asked), scope))
        look(name)
    screen.open(address(tpp, tpp.ask_for(payment(debtor=ids.encode(Prefix.WALLET, ids.uuid7()))), "payments"))
    look("payment-from-nowhere")
    recurs = tpp.ask_for(recurring())
    screen.open(address(tpp, recurs, "payments"))
    look("recurring")
    screen.click(f"label[for={wallets[0]}]")
    screen.click("button[value=approve]")
    screen.wait_for("/auth/approve")
    look("recurring-approval")
    look_at_access(screen, tpp, consent, look)


def look_at_access(screen: Screen, tpp: Tpp, consent: Consent, look: Callable[[str], None]) -> None:
    """Walk through the pages of who has access."""
    tpp.use(consent, "ReadBalances", 3)
    tpp.use(consent, "ReadTransactionsDetail", 1)
    screen.open("/oauth/consents")
    look("who-has-access")
    screen.open(f"/oauth/consents/one?consent={consent.wire_id}")
    look("one-access")
    screen.open(f"/oauth/consents/end?consent={consent.wire_id}")
    look("end-access")
    screen.click("form[action$='/oauth/consents/end'] button")
    screen.wait_for("/oauth/consents/one")
    look("ended-access")
    screen.open("/oauth/consents?ui_locales=de")
    look("who-has-access-german")
