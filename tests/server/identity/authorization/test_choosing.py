"""A customer with more accounts than a page shows chooses among all of them."""

import html
import re
from dataclasses import dataclass

import httpx
import pytest

from billfold import ids
from billfold.ids import Prefix
from billfold_server.identity.authorization import choosing
from billfold_server.people.pages.words import text_of
from tests.live import LiveServer
from tests.server.identity.authorization.consents_of import Tpp, add_tpp, name, open_wallet, payment, read_accounts
from tests.server.identity.flows import Person, add_person, answer_of, ask, decide, follow, redeem
from tests.server.people.persons import Browser

SLUG = "sandbox"
LABELS = ("Every day", "Savings", "Ärzte", "Garden 100%", "")
IBAN = "DE89370400440532013000"


@dataclass
class Owner:
    """A customer with five wallets, the oldest first."""

    person: Person
    wallets: list[str]


@pytest.fixture(scope="module")
def tpp(profiled: LiveServer) -> Tpp:
    """A third party of the sandbox."""
    return add_tpp(profiled, SLUG)


@pytest.fixture(scope="module")
def owner(profiled: LiveServer) -> Owner:
    """A customer with more wallets than a page shows."""
    person = add_person(profiled, SLUG)
    assert person.party_id is not None
    made = [open_wallet(profiled, SLUG, person.party_id, label or None) for label in LABELS]
    name(profiled, SLUG, made[1], "iban", IBAN)
    return Owner(person, made)


@pytest.fixture(autouse=True)
def _short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "_PAGE", 2)


def offered(page: httpx.Response) -> list[str]:
    """Return among which wallets a page lets its reader choose."""
    return re.findall(r'type="(?:checkbox|radio)" id="(wal_\w+)"', page.text)


def kept(page: httpx.Response) -> list[str]:
    """Return which wallets a page says were chosen."""
    return re.findall(r'name="drop" value="(wal_\w+)"', page.text)


def press(browser: Browser, page: httpx.Response, *ticked: str, **fields: str) -> httpx.Response:
    """Press a button of the page, with these wallets ticked on it."""
    answer = browser.submit(page, "/oauth/authorize/decision", **{f"wallet.{each}": each for each in ticked}, **fields)
    assert answer.status_code in {200, 422}, answer.text
    return answer


class TestWhoHasMoreAccountsThanAPageShows:
    def test_finds_each_of_them(self, tpp: Tpp, owner: Owner) -> None:
        """By a part of its name or number, or by what stands beside it; the newest are there, and older ones follow."""
        browser, made = owner.person.browser(), owner.wallets
        page = tpp.page(browser, tpp.ask_for(read_accounts()), "accounts")
        assert offered(page) == [made[4], made[3]]
        page = press(browser, page, decision="older")
        assert offered(page) == [made[2], made[1]]
        page = press(browser, page, decision="older")
        assert (offered(page), 'value="older"' in page.text) == ([made[0]], False)
        for typed, found in {
            "every": 0,
            " SAVING": 1,
            "3704-0044 0532": 1,
            "ärz": 2,
            "100%": 3,
            made[4][-6:]: 4,
            f"…{made[0][-6:]}": 0,
        }.items():
            page = press(browser, page, decision="look", find=typed)
            assert offered(page) == [made[found]], typed
            assert f'value="{html.escape(typed.strip())}"' in page.text.replace(
                f'value="{typed}"', f'value="{typed.strip()}"'
            )
        page = press(browser, page, decision="look", find="%")
        assert offered(page) == [made[3]]
        page = press(browser, page, decision="look", find="nothing <b>")
        assert (offered(page), "“nothing &lt;b&gt;”" in page.text) == ([], True)

    def test_allows_what_was_chosen_on_all_pages(self, tpp: Tpp, owner: Owner) -> None:
        """Each page lists it anew; what was taken out again isn't in it, nor is what is only found."""
        consent, browser, made = tpp.ask_for(read_accounts()), owner.person.browser(), owner.wallets
        page = tpp.page(browser, consent, "accounts")
        page = press(browser, page, made[4], made[3], decision="look", find="savings")
        assert (kept(page), offered(page)) == ([made[4], made[3]], [made[1]])
        assert f'value="{made[1]}" checked' not in page.text
        page = press(browser, page, made[1], drop=made[3])
        assert (kept(page), sorted(offered(page))) == ([made[4], made[1]], [made[3]])
        page = press(browser, page, decision="look", find="every")
        answer = decide(browser, page, **{f"wallet.{made[0]}": "on"})
        assert redeem(tpp.app, answer_of(tpp.app, answer)["code"]).status_code == 200
        chosen = [ids.encode(Prefix.WALLET, each) for each in tpp.find(consent).wallet_ids]
        assert sorted(chosen) == sorted([made[4], made[1], made[0]])
        (evidence,) = tpp.record(consent).evidence
        shown = evidence.shown or {}
        assert [each["id"] for each in shown["accounts"]] == [made[4], made[1], made[0]]

    def test_needs_one_of_them(self, tpp: Tpp, owner: Owner) -> None:
        """What is only shown isn't chosen, also where it is the only one that was found."""
        consent, browser = tpp.ask_for(read_accounts()), owner.person.browser()
        page = press(browser, tpp.page(browser, consent, "accounts"), decision="look", find="savings")
        again = decide(browser, page)
        assert again.status_code == 422
        assert text_of("en", "open_banking.choose_some") in again.text
        assert offered(again) == [owner.wallets[1]]
        assert tpp.find(consent).status == "AWAU"

    def test_isnt_shown_anybody_elses(self, tpp: Tpp, owner: Owner) -> None:
        """Whatever a form says that was chosen or offered."""
        other = add_person(tpp.live, SLUG)
        assert other.party_id is not None
        strange, browser = open_wallet(tpp.live, SLUG, other.party_id, "Every day"), owner.person.browser()
        consent = tpp.ask_for(read_accounts())
        page = press(browser, tpp.page(browser, consent, "accounts"), decision="look", find="every")
        assert strange not in page.text
        page = press(browser, page, decision="look", find="every", kept=strange, offered=strange)
        assert (kept(page), offered(page)) == ([], [owner.wallets[0]])
        assert decide(browser, page, kept=strange, offered=strange).status_code in {303, 422}
        assert tpp.find(consent).status == "AWAU"

    def test_is_told_where_it_is_too_many(self, tpp: Tpp, owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
        """A form holds so many; those that weren't added can be chosen instead of others."""
        monkeypatch.setattr(choosing, "MOST", 1)
        browser = owner.person.browser()
        page = tpp.page(browser, tpp.ask_for(read_accounts()), "accounts")
        page = press(browser, page, *offered(page), decision="look")
        assert (page.status_code, len(kept(page))) == (422, 1)
        assert "No more than 1 account" in page.text

    def test_pays_from_one_that_was_looked_for(self, tpp: Tpp, owner: Owner) -> None:
        """And what was found is still there for who comes back from the page of approval without having approved."""
        consent, browser = tpp.ask_for(payment()), owner.person.browser()
        page = press(browser, tpp.page(browser, consent, "payments"), decision="look", find="ärz")
        assert offered(page) == [owner.wallets[2]]
        answer = decide(browser, page, wallet=owner.wallets[2])
        assert "/auth/approve?challenge=" in answer.headers["location"]
        back = follow(browser, browser.get(browser.base_url.join(answer.headers["location"])))
        assert f"…{owner.wallets[2][-6:]}" in back.text
        resumed = re.findall(r'href="([^"]*/oauth/authorize/resume[^"]*)"', back.text)
        page = browser.get(browser.base_url.join(html.unescape(resumed[0])), headers={"Accept": "text/html"})
        assert (offered(page), 'name="find" value=""' in page.text) == ([owner.wallets[2]], True)


class TestARequestWithoutAConsent:
    def test_isnt_answered_by_looking_for_accounts(self, tpp: Tpp, owner: Owner) -> None:
        """There are none to choose: whatever isn't to allow it is to refuse it."""
        browser = owner.person.browser()
        page = ask(browser, tpp.app, scope="openid profile")
        assert answer_of(tpp.app, decide(browser, page, "look", drop=""))["error"] == "access_denied"
