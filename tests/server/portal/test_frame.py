"""The portal's frame: who sees what, where who isn't signed in is sent, and what holds for every page."""

import re
from typing import Any
from uuid import UUID

import httpx
import pytest

from billfold import ids
from billfold.contract.roles import StaffRole
from billfold.ids import Prefix
from billfold_server.http.routing import Call, Reply
from billfold_server.people.onwards import ACCOUNT, onward
from billfold_server.people.pages import words
from billfold_server.people.pages.kit import Instead
from billfold_server.people.roles import ROLES
from billfold_server.portal.pages import ROOT, SECTIONS, admit
from billfold_server.portal.viewers import Viewer, guest
from billfold_server.rooms import operations
from tests.callers import CALLER
from tests.live import LiveServer
from tests.server.people.persons import Browser, Person, a_person, enrol

# The same in every process, for tests are told apart by them.
CLIENT, ENDPOINT = (
    ids.encode(each, UUID(int=(7 << 76) | (2 << 62) | 1)) for each in (Prefix.CLIENT, Prefix.WEBHOOK_ENDPOINT)
)
PUBLIC = [each for each in SECTIONS if each.scope is None]
OWN = [each for each in SECTIONS if each.scope is not None]
NAVIGATION = re.compile(r'<nav class="beside".*?</nav>', re.DOTALL)
LINK = re.compile(r'<a href="([^"]*)"(?: aria-current="page")?>')


def navigation_of(page: httpx.Response) -> list[str]:
    """Return where a page's navigation leads, below the portal's own address."""
    (navigation,) = NAVIGATION.findall(page.text)
    return [href.removeprefix(f"/t/alpha{ROOT}") for href in LINK.findall(navigation)]


async def at_the_door(live: LiveServer, cookie: str, scope: str, **said: str) -> Viewer | Reply[bytes]:
    """Ask for a page that needs a scope, with a browser's cookies."""
    call = Call(
        services=live.services,
        caller=CALLER,
        request_id="req_1",
        method=said.get("method", "GET"),
        path=said.get("path", f"{ROOT}/clients"),
        headers={"cookie": cookie},
        base_url=live.base("alpha"),
        mount="/t/alpha",
        tenant_or_none=await live.services.registry.get("alpha"),
        memo={},
    )
    found: Viewer | Reply[bytes]
    try:
        found = await admit(call, scope)
    except Instead as instead:
        found = instead.reply
    assert isinstance(found, Viewer) is (await guest(call) is not None and scope in (await _scopes(call)))
    return found


async def _scopes(call: Call) -> frozenset[str]:
    seen = await guest(call)
    return frozenset() if seen is None else seen.scopes


def cookie_of(browser: Browser) -> str:
    """Return the header that a browser sends."""
    return "; ".join(f"{each.name}={each.value}" for each in browser.cookies.jar)


def place_of(answer: Any) -> tuple[str, str | None]:
    """Return to where an answer sends a browser, and from where it would come back."""
    assert answer.status == 303
    place = httpx.URL(answer.headers["Location"])
    return place.path, place.params.get("to")


class TestEverySection:
    @pytest.mark.parametrize("section", SECTIONS, ids=lambda each: each.name)
    def test_has_a_page_and_a_name_in_every_language(self, section) -> None:
        """What the navigation leads to is there."""
        assert ("GET", ROOT + section.path) in {(each.method, each.path) for each in operations()}
        assert all(words.text_of(language, section.words) for language in words.LANGUAGES)

    def test_is_told_from_the_others(self) -> None:
        """No two have a name or a path in common."""
        assert len({each.name for each in SECTIONS}) == len({each.path for each in SECTIONS}) == len(SECTIONS)

    @pytest.mark.parametrize("section", PUBLIC, ids=lambda each: each.name)
    def test_that_is_for_everybody_needs_no_sign_in(self, live: LiveServer, section) -> None:
        """Public pages are shown to strangers, at every tenant, in both languages, and say where one is."""
        for slug, language in (("alpha", "en"), ("beta", "de")):
            page = httpx.get(f"{live.base(slug)}{ROOT}{section.path}", params={"ui_locales": language})
            assert (page.status_code, page.headers["content-language"]) == (200, language)
            assert f'<a href="/t/{slug}{ROOT}{section.path}" aria-current="page">' in page.text

    def test_that_belongs_to_somebody_sends_strangers_to_sign_in(self, live: LiveServer) -> None:
        """They come back by themselves once they have signed in."""
        answers = {each.path: httpx.get(f"{live.base('alpha')}{ROOT}{each.path}") for each in OWN}
        assert {path: answer.status_code for path, answer in answers.items()} == {each.path: 303 for each in OWN}
        back = {path: httpx.URL(answer.headers["location"]).params["to"] for path, answer in answers.items()}
        assert back == {each.path: ROOT + each.path for each in OWN}

    def test_is_seen_by_whose_roles_have_its_scope(self, browser: Browser) -> None:
        """The navigation shows what may be opened; what may not be is refused with a page."""
        allowed = ROLES[StaffRole.DEVELOPER]
        pages = {each.path: browser.get(ROOT + each.path) for each in SECTIONS}
        own = [each for each in SECTIONS if each.scope in allowed and not each.of_partner]
        seen = [each.path for each in [*PUBLIC, *own]]
        assert all(navigation_of(page) == seen for page in pages.values())
        assert {path for path, page in pages.items() if page.status_code == 200} == set(seen)
        assert {page.status_code for path, page in pages.items() if path not in seen} <= {403}


class TestADoor:
    def test_lets_in_whose_roles_allow_it_now(self, live: LiveServer, browser: Browser, developer: Person) -> None:
        """The viewer has their name, and acts under it."""
        found = live.run(at_the_door(live, cookie_of(browser), "clients:read"))
        assert isinstance(found, Viewer)
        assert (found.name, found.actor, found.scopes) == (
            "Ada Lovelace",
            developer.user_id,
            ROLES[StaffRole.DEVELOPER],
        )

    def test_sends_who_isnt_signed_in_to_sign_in(self, live: LiveServer) -> None:
        """And back to the page, or to the portal's first where it was a form."""
        answer = live.run(at_the_door(live, "", "clients:read"))
        assert place_of(answer) == ("/t/alpha/auth/staff/sign-in", "/portal/clients")
        answer = live.run(at_the_door(live, "billfold-session-staff=stale", "clients:read", method="POST"))
        assert place_of(answer) == ("/t/alpha/auth/staff/sign-in", "/portal")

    def test_refuses_whose_roles_dont_allow_it(self, live: LiveServer, browser: Browser) -> None:
        """With a page, from which everything that they may see can be reached."""
        answer = live.run(at_the_door(live, cookie_of(browser), "users:write"))
        assert answer.status == 403
        assert b'class="beside"' in answer.body

    def test_follows_roles_from_the_next_request_on(self, live: LiveServer) -> None:
        """Who has lost a role has lost its pages, signed in or not."""
        person = a_person(live, "alpha", realm="staff", roles=("developer",))
        enrol(person)
        cookie = cookie_of(person.sign_in())
        assert isinstance(live.run(at_the_door(live, cookie, "webhooks:write")), Viewer)
        with live.client("alpha") as client:
            assert client.post(f"/v1/users/{person.user_id}/roles", json={"roles": ["support"]}).status_code == 200
        assert live.run(at_the_door(live, cookie, "webhooks:write")).status == 403

    def test_leads_who_came_by_a_recovery_code_to_restore_access(self, live: LiveServer) -> None:
        """They do nothing else before."""
        person = a_person(live, "alpha", realm="staff", roles=("developer",))
        enrol(person)
        browser = person.browser()
        answer = browser.submit(person.give_password(browser), "/sign-in/code", code=person.codes[0])
        assert answer.status_code == 303
        answer = live.run(at_the_door(live, cookie_of(browser), "clients:read"))
        assert place_of(answer)[0] == "/t/alpha/auth/staff/account"


class TestAViewer:
    def test_acts_as_themselves(self) -> None:
        """What they do is told of them, and not of a program."""
        user_id = UUID(int=7)
        call = Call(
            services=None,  # type: ignore[arg-type]
            caller=CALLER,
            request_id="req_7",
            method="POST",
            path=ROOT,
            headers={},
            base_url="",
        )
        caller = Viewer(user_id=user_id, session_id=UUID(int=8), name="x", scopes=frozenset({"a"})).caller(call)
        assert (caller.user_id, caller.request_id, caller.scopes) == (user_id, "req_7", frozenset({"a"}))
        assert caller.actor.startswith("usr_")


class TestAWayBack:
    @pytest.mark.parametrize(
        ("path", "query", "kept"),
        [
            ("/requests", "status_class=4xx&method=POST&operation=createTransfer", True),
            ("/requests", f"operation={'o' * 100}&client_id={CLIENT}&request_id={'r' * 64}&cursor={'c' * 90}", True),
            ("/requests", "operation=Grace%20Hopper&method=POST", False),
            ("/requests", "client_id=evil.example", False),
            ("/approvals", "which=all", True),
            ("/approvals", "which=grace", False),
            (f"/webhooks/{ENDPOINT}", "state=dead", True),
            (f"/webhooks/{ENDPOINT}", "state=grace", False),
        ],
    )
    def test_has_what_was_looked_for(self, live: LiveServer, path: str, query: str, *, kept: bool) -> None:
        """Words and ids of ours alone: what somebody typed that is neither stands in no further address."""
        answer = httpx.get(f"{live.base('alpha')}{ROOT}{path}?{query}&ui_locales=en")
        assert answer.status_code == 303
        back = httpx.URL(answer.headers["location"]).params["to"]
        assert back == (f"{ROOT}{path}?{query}" if kept else f"{ROOT}{path}")
        assert onward(None, back).to == back

    def test_is_taken_after_signing_in(self, developer: Person) -> None:
        """Through both steps, and at once for who is signed in already."""
        browser = developer.browser()
        page = browser.get("/sign-in", params={"to": "/portal/events?kind=wallet.created"})
        second = browser.submit(page, "/sign-in", name=developer.name, password=developer.password)
        answer = browser.submit(second, "/sign-in/code", code=developer.code())
        assert answer.headers["location"] == "/t/alpha/portal/events?kind=wallet.created"
        again = browser.get("/sign-in", params={"to": "/portal"})
        assert (again.status_code, again.headers["location"]) == (303, "/t/alpha/portal")

    @pytest.mark.parametrize(
        "text",
        [
            "https://evil.example/",
            "//evil.example",
            "/portal//evil.example",
            "/portal/../auth",
            "/portal\\..",
            "/portal/.hidden",
            "/portal/a/b/c/d/e/f/g",
            "/portal?to=/x",
            "/portal#x",
            "/portalx",
            "/v1/wallets",
            "/portal/a\n",
            "/oauth/authorize?client_id=x",
            "/oauth/consents/end?consent=con_x",
            "/oauth/consents/..",
        ],
    )
    def test_leads_nowhere_else(self, text: str) -> None:
        """What isn't a page of the portal leads to the account."""
        assert onward(None, text) == ACCOUNT

    def test_comes_after_a_clients_request(self) -> None:
        """A client's request that waits for the sign-in goes before."""
        assert onward("abc", "/portal").fields == {"interaction": "abc"}


class TestAPageThatIsntThere:
    def test_is_said_not_to_be_by_a_page(self, live: LiveServer) -> None:
        """Whoever has mistyped an address in a browser reads it; a program is told as everywhere."""
        for path in ("/portal/nothing", "/portal/guides/nothing", "/portal/errors/nothing"):
            page = httpx.get(live.base("alpha") + path, headers={"accept": "text/html"})
            assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
            assert httpx.get(live.base("alpha") + path, headers={"accept": "application/json"}).status_code == 404
            assert 'class="button second" href="/t/alpha/portal"' in page.text
        # A tenant that there isn't has no pages.
        gone = httpx.get(f"{live.url}/t/nobodys/portal", headers={"accept": "text/html"})
        assert (gone.status_code, gone.json()["code"]) == (404, "unknown_tenant")

    @pytest.mark.parametrize("path", ["/auth", "/auth/nothing", "/auth/staff/nothing", "/oauth/nothing"])
    def test_is_said_so_to_customers_as_well(self, live: LiveServer, path: str) -> None:
        """An address that was shortened, or an old link: with a way to go on."""
        page = httpx.get(live.base("alpha") + path, headers={"accept": "text/html,*/*;q=0.8"})
        assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
        start = "/t/alpha/auth/staff/account" if "staff" in path else "/t/alpha/auth/account"
        assert f'href="{start}"' in page.text
        assert httpx.get(live.base("alpha") + path).json()["code"] == "not_found"

    @pytest.mark.parametrize("path", ["/auth", "/auth/nothing", "/oauth/nothing"])
    def test_is_said_so_to_operators_as_well(self, live: LiveServer, path: str) -> None:
        """The platform's own people read a page, too, and are led to their account; their programs read a problem."""
        page = httpx.get(live.base(None) + path, headers={"accept": "text/html,*/*;q=0.8"})
        assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
        assert 'href="/platform/auth/account"' in page.text
        for address in (path, "/v1/nothing"):
            assert httpx.get(live.base(None) + address).json()["code"] == "not_found"
        programs = httpx.get(f"{live.base(None)}/v1/nothing", headers={"accept": "text/html"})
        assert programs.headers["content-type"] == "application/problem+json"

    @pytest.mark.parametrize("path", ["/auth/sign-out", "/oauth/authorize/decision"])
    def test_is_told_by_a_page_where_a_form_goes(self, live: LiveServer, path: str) -> None:
        """Whoever presses Enter at the address of a page that answers a form asks for it without the form."""
        page = httpx.get(live.base("alpha") + path, headers={"accept": "text/html"})
        assert (page.status_code, page.headers["content-type"]) == (405, "text/html; charset=utf-8")
        assert page.headers["allow"] == "OPTIONS, POST"
        assert 'href="/t/alpha/auth/account"' in page.text

    def test_is_no_page_where_programs_ask(self, live: LiveServer) -> None:
        """However their library says what it reads."""
        told = httpx.get(f"{live.base('alpha')}/oauth/token", headers={"accept": "text/html, */*"})
        assert (told.status_code, told.headers["content-type"]) == (405, "application/problem+json")


class TestTheAccountOfStaff:
    def test_leads_to_the_portal(self, browser: Browser) -> None:
        """Whoever has enrolled finds it there."""
        assert 'href="/t/alpha/portal"' in browser.get("/auth/staff/account").text
