"""Who has access: what a customer sees of their consents, and how they take them back."""

import html
import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
import pytest

from billfold import ids
from billfold.contract.partners import CreatePartner
from billfold.ids import Prefix
from billfold_server.identity.authorization import dashboard
from billfold_server.identity.service import GIVEABLE_SCOPES
from billfold_server.partners import service as partners
from billfold_server.people import rules
from billfold_server.people.pages.words import date_text, text_of
from tests.callers import CALLER
from tests.live import LiveServer
from tests.server.identity.authorization.consents_of import Tpp, add_tpp, open_wallet, read_accounts
from tests.server.identity.flows import Person, add_person, answer_of, decide, stranger, tx_of

MORE = r'href="([^"]*[&;](uses_before|steps_after)=[^"]*)"'
PAGE = {"Accept": "text/html"}
SLUG = "sandbox"


@pytest.fixture(scope="module")
def tpp(profiled: LiveServer) -> Tpp:
    """A third party of the sandbox."""
    return add_tpp(profiled, SLUG)


@pytest.fixture
def customer(profiled: LiveServer) -> tuple[Person, str]:
    """A customer with a wallet."""
    person = add_person(profiled, SLUG)
    assert person.party_id is not None
    return person, open_wallet(profiled, SLUG, person.party_id, "Every day")


def allowed(tpp: Tpp, customer: tuple[Person, str]) -> str:
    """Let a customer allow a consent, and return its id."""
    person, wallet = customer
    consent, browser = tpp.ask_for(read_accounts()), person.browser()
    answer_of(tpp.app, tpp.answer(browser, tpp.page(browser, consent, "accounts"), wallet))
    return consent.wire_id


class TestThePageOfWhoHasAccess:
    """The page of who has access."""

    def test_shows_each_third_party_with_its_consents(self, tpp: Tpp, customer: tuple[Person, str]) -> None:
        """Name and company, what is allowed and until when, and a page for each with accounts, uses and history."""
        browser = customer[0].browser()
        assert text_of("en", "open_banking.board_none") in browser.get("/oauth/consents", headers=PAGE).text
        ids = [allowed(tpp, customer) for _ in range(2)]
        page = browser.get("/oauth/consents", headers=PAGE)
        assert page.text.count("<h2><bdi>Pocket Ledger</bdi></h2>") == 1
        assert re.findall(r"one\?consent=(con_\w+)", page.text) == ids[::-1]
        one = browser.get("/oauth/consents/one", params={"consent": ids[0]}, headers=PAGE)
        for key in ("perm_ReadBalances", "event_create", "event_authorise", "board_no_uses"):
            assert text_of("en", f"open_banking.{key}") in one.text
        assert "Every day" in one.text

    def test_shows_one_software_once_however_often_it_is_registered(
        self, profiled: LiveServer, customer: tuple[Person, str]
    ) -> None:
        """Registrations of one software stand below one heading; another that only has its name is marked."""
        same = [add_tpp(profiled, SLUG, software_id="pocket", organisation_id="PSD-1") for _ in range(2)]
        for each in (*same, add_tpp(profiled, SLUG), same[0]):
            allowed(each, customer)
        page = customer[0].browser().get("/oauth/consents", headers=PAGE)
        headings = re.findall(r"<h2><bdi>Pocket Ledger</bdi> <span class=\"quiet\">…(\w{6})</span></h2>", page.text)
        assert len(headings) == len(set(headings)) == page.text.count("<h2>") == 2
        first, second = page.text.split("<h2>")[1:]
        assert [len(re.findall(r"one\?consent=", each)) for each in (first, second)] == [3, 1]

    def test_shows_no_partners_program_below_anothers_heading(
        self, profiled: LiveServer, customer: tuple[Person, str]
    ) -> None:
        """Partners register their programs themselves, so which software these are is their own word."""
        named = {"software_id": "purse", "organisation_id": "PSD-2"}
        of_partners = [profiled.run(_made_partner(profiled)) for _ in range(2)]
        same = [add_tpp(profiled, SLUG, partner_id=each, **named) for each in (None, *of_partners)]
        for each in same:
            allowed(each, customer)
        page = customer[0].browser().get("/oauth/consents", headers=PAGE)
        marks = re.findall(r"<h2><bdi>Pocket Ledger</bdi> <span class=\"quiet\">…(\w{6})</span></h2>", page.text)
        assert [len(re.findall(r"one\?consent=", each)) for each in page.text.split("<h2>")[1:]] == [1, 1, 1]
        assert {each.app.client_id[-6:] for each in same} == {*marks}

    def test_names_the_last_day_as_the_customer_was_told_it(self, tpp: Tpp, customer: tuple[Person, str]) -> None:
        """What ends as a day begins isn't good on that day, neither where it is asked for nor among what is allowed."""
        person, wallet = customer
        midnight = (datetime.now(UTC) + timedelta(days=30)).replace(hour=0, minute=0, second=0, microsecond=0)
        consent, browser = tpp.ask_for({**read_accounts(), "expires_at": midnight}), person.browser()
        asked = tpp.page(browser, consent, "accounts")
        answer_of(tpp.app, tpp.answer(browser, asked, wallet))
        last, next_day = (date_text(midnight - timedelta(days=days), "en") for days in (1, 0))
        for page in (asked, browser.get("/oauth/consents", headers=PAGE)):
            assert (last in page.text, next_day in page.text) == (True, False)

    def test_names_the_same_end_as_the_page_that_asked(self, tpp: Tpp, customer: tuple[Person, str]) -> None:
        """Of what was asked for without an end, that is the day on which the bank lets it end."""
        person, wallet = customer
        consent, browser = tpp.ask_for({**read_accounts(), "expires_at": None}), person.browser()
        asked = tpp.page(browser, consent, "accounts")
        answer_of(tpp.app, tpp.answer(browser, asked, wallet))
        one = browser.get("/oauth/consents/one", params={"consent": consent.wire_id}, headers=PAGE)
        last = date_text(tpp.find(consent).ends_at, "en")
        assert [page.text.count(last) for page in (asked, one)] == [1, 2]

    def test_says_that_something_was_not_allowed_again(self, tpp: Tpp, customer: tuple[Person, str]) -> None:
        """Who refuses what they had allowed before ends nothing by that; the history has it."""
        (person, wallet), consent = customer, tpp.ask_for(read_accounts())
        browser = person.browser()
        answer_of(tpp.app, tpp.answer(browser, tpp.page(browser, consent, "accounts"), wallet))
        tpp.change(consent, "reauthenticate_by = now() - interval '1 second'")
        answer_of(tpp.app, decide(browser, tpp.page(browser, consent, "accounts"), "refuse"))
        one = browser.get("/oauth/consents/one", params={"consent": consent.wire_id}, headers=PAGE)
        for key in ("event_not_again", "status_again"):
            assert text_of("en", f"open_banking.{key}") in one.text
        assert tpp.find(consent).status == "AUTH"

    def test_shows_all_that_was_used_and_has_happened(
        self, tpp: Tpp, customer: tuple[Person, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What doesn't fit on one page is on the next, and an address that was made up shows the first one."""
        (person, wallet), consent = customer, tpp.ask_for(read_accounts())
        browser = person.browser()
        answer_of(tpp.app, tpp.answer(browser, tpp.page(browser, consent, "accounts"), wallet))
        for permission in ("ReadAccountsBasic", "ReadBalances"):
            tpp.use(consent, permission, 1)
        monkeypatch.setattr(dashboard, "_MOST", 1)

        def told(address: str) -> tuple[str, list[bool]]:
            page = browser.get(browser.base_url.join(address), headers=PAGE).text
            _, _, lists = page.partition(f"<h2>{text_of('en', 'open_banking.board_uses')}</h2>")
            keys = ("use_ReadBalances", "use_ReadAccounts", "event_create", "event_authorise")
            return page, [text_of("en", f"open_banking.{key}") in lists for key in keys]

        first, shown = told(here := f"{tpp.app.base}/oauth/consents/one?consent={consent.wire_id}")
        assert shown == [True, False, True, False]
        further = {name: told(html.unescape(address)) for address, name in re.findall(MORE, first)}
        assert further["uses_before"][1] == [False, True, True, False]
        assert further["steps_after"][1] == [True, False, False, True]
        assert not any(name in page for name, (page, _) in further.items())
        for made_up in ("uses_before=x/y", "uses_before=9999999999999999/y", "steps_after=x"):
            assert told(f"{here}&{made_up}")[1] == shown

    def test_takes_one_back_after_a_question(self, tpp: Tpp, customer: tuple[Person, str]) -> None:
        """The link leads to a page that says what follows; its button ends the consent, and the page says so."""
        browser, consent = customer[0].browser(), allowed(tpp, customer)
        page = browser.get("/oauth/consents/end", params={"consent": consent}, headers=PAGE)
        assert text_of("en", "open_banking.end_title", client="Pocket Ledger") in page.text
        done = browser.submit(page, "/oauth/consents/end")
        assert done.status_code == 303
        after = browser.get(browser.base_url.join(done.headers["location"]), headers=PAGE)
        assert text_of("en", "open_banking.end_done") in after.text
        assert text_of("en", "open_banking.status_CANC") in after.text
        again = browser.submit(page, "/oauth/consents/end")
        assert again.status_code == 303

    def test_is_the_customers_own(self, tpp: Tpp, customer: tuple[Person, str]) -> None:
        """Nobody sees or ends somebody else's, and nobody at all without signing in, or by another site's form."""
        consent, other = allowed(tpp, customer), (add_person(tpp.live, SLUG), "")
        assert other[0].party_id is not None
        own = allowed(tpp, (other[0], open_wallet(tpp.live, SLUG, other[0].party_id)))
        browser = other[0].browser()
        for place in ("one", "end"):
            assert browser.get(f"/oauth/consents/{place}", params={"consent": consent}, headers=PAGE).status_code == 404
        page = browser.get("/oauth/consents/end", params={"consent": own}, headers=PAGE)
        assert browser.submit(page, "/oauth/consents/end", consent=consent).status_code == 303
        assert browser.submit(page, "/oauth/consents/end", csrf="").status_code == 403
        shown = customer[0].browser().get("/oauth/consents", headers=PAGE).text
        assert text_of("en", "open_banking.status_AUTH") in shown

    def test_is_where_a_sign_in_leads_back_to(self, tpp: Tpp, customer: tuple[Person, str]) -> None:
        """Whoever is sent to sign in from here comes back; who is signed in without a right to it isn't sent around."""
        consent, browser = allowed(tpp, customer), stranger(tpp.live, SLUG)
        base = tpp.app.base.removeprefix(tpp.live.url)
        for asked in (f"/oauth/consents/one?consent={consent}", "/oauth/consents", "/oauth/apps"):
            asks = httpx.URL(browser.get(asked, headers=PAGE).headers["location"])
            assert (asks.path, asks.params["to"]) == (f"{base}/auth/sign-in", asked)
            back = customer[0].browser().get("/auth/sign-in", params=asks.params, headers=PAGE)
            assert back.headers["location"] == f"{base}{asked}"
        recovered = customer[0].browser(acr=rules.ACR_CA)
        assert recovered.get("/oauth/consents", headers=PAGE).headers["location"] == f"{base}/auth/account"


async def _made_partner(live: LiveServer) -> UUID:
    """Make a partner organisation whose programs may be third parties."""
    async with tx_of(live, SLUG) as tx:
        asked = CreatePartner(name="Example Shop Ltd", client_scopes=["accounts"])
        made = await partners.create(tx, CALLER, asked, known=GIVEABLE_SCOPES, unlimited=True)
    return ids.decode(Prefix.PARTNER, made.id)
