"""The portal in Chromium: what axe-core says of its pages, on a phone and at a desk, and a first day by keyboard."""

import json
import time

import pytest
from selenium.webdriver import Chrome

from billfold_server.people.roles import allowed_scopes
from billfold_server.portal.pages import ROOT, SECTIONS
from billfold_server.portal.reading import GUIDES
from tests.live import LiveServer
from tests.server.partners.worlds import World, member_of
from tests.server.people.browser.pages import PATIENCE_S, SIZES, Screen
from tests.server.people.persons import Person, a_person, enrol
from tests.server.portal.waiting import opened, somebody

pytestmark = [pytest.mark.xdist_group("chromium"), pytest.mark.timeout(300)]

ROLES = ("developer", "operator")
"""Of the sandbox's own developer."""
ALIKE = """
for (const entry of document.querySelectorAll(".entry ~ .entry ~ .entry")) entry.remove();
for (const section of document.querySelectorAll("section ~ section ~ section")) section.remove();
"""
"""What a loop has made alike is looked at a few times, not a hundred."""
PROGRAM = "First program"


def sign_in(screen: Screen, person: Person) -> None:
    """Sign in by keyboard alone, from the portal's first page and back to it."""
    screen.open("")
    screen.tab_to("p.leave a")
    screen.press_enter()
    screen.wait_until_there("#password")
    screen.type_into("#name", person.name)
    screen.type_into("#password", person.password)
    screen.press_enter()
    screen.wait_until_there("#code")
    screen.type_into("#code", person.code())
    screen.press_enter()
    screen.wait_for("")


def let_in(screen: Screen, person: Person) -> None:
    """Give the browser the session of somebody who has signed in elsewhere."""
    for each in person.sign_in().cookies.jar:
        screen.driver.add_cookie({"name": each.name, "value": each.value, "path": each.path})


def wrong(screen: Screen, axe: str | None) -> list[object]:
    """Return what is wrong with a page: how wide it is, what it loads, what the console and axe-core say."""
    found: list[object] = [screen.overflows(), screen.strangers(), screen.complaints()]
    if axe is not None:
        screen.driver.execute_script(ALIKE)
        found.append(screen.violations(axe))
    return found


class TestEveryPage:
    def test_is_accessible_and_keeps_to_itself_to_strangers(
        self, chromium: Chrome, banks: LiveServer, axe: str
    ) -> None:
        """In one brand and at a desk, WCAG 2.2 AA holds for what strangers see; nothing comes from elsewhere."""
        screen = Screen(chromium, banks, "demo_bank", ROOT)
        screen.resize("wide")
        found = {}
        for path in ["", f"/guides/{GUIDES[0]}", "/status"]:
            screen.open(path)
            screen.picture(f"portal-public{path.replace('/', '-')}")
            if any(problems := wrong(screen, axe)):
                found[path] = problems
        assert found == {}

    def test_is_accessible_and_keeps_to_itself_on_a_phone(self, chromium: Chrome, banks: LiveServer, axe: str) -> None:
        """In the other brand and signed in, the same holds for all pages; 320 pixels are wide enough."""
        person = a_person(banks, "sandbox", realm="staff", roles=ROLES)
        enrol(person)
        screen = Screen(chromium, banks, "sandbox", ROOT)
        screen.resize("narrow")
        let_in(screen, person)
        allowed = allowed_scopes(ROLES)
        sections = [
            each.path for each in SECTIONS if each.scope is None or (each.scope in allowed and not each.of_partner)
        ]
        found = {}
        for path in [*sections, *(f"/guides/{name}" for name in GUIDES)]:
            screen.open(path)
            screen.picture(f"portal-phone{path.replace('/', '-')}")
            # Guides are one template, at which axe-core has looked in the other brand.
            if any(problems := wrong(screen, axe if path in sections else None)):
                found[path] = problems
        assert found == {}

    def test_of_a_partner_is_accessible_on_a_phone(self, chromium: Chrome, world: World, axe: str) -> None:
        """What a partner's admin sees of colleagues and sandboxes, and the forms for another one of each."""
        screen = Screen(chromium, world.live, "alpha", ROOT)
        let_in(screen, member_of(world, world.one))
        theirs = f"/v1/partners/{world.one.partner['id']}/sandboxes"
        sandbox = world.bank.post(theirs, json={"name": "checkout", "seeded": False}).json()["id"]
        pages = {"members": "/members", "member-new": "/members/new", "member": f"/members/{world.one.member['id']}"}
        pages |= {"sandboxes": "/sandboxes", "sandbox": f"/sandboxes/{sandbox}", "sandbox-new": "/sandboxes/new"}
        pages["sandbox-reset"] = f"/sandboxes/{sandbox}/reset"
        found = {}
        for name, path in pages.items():
            screen.open(path)
            for size in ("wide", "narrow"):
                screen.resize(size)
                screen.picture(f"portal-{name}-{size}")
            if any(problems := wrong(screen, axe)):
                found[name] = problems
        world.bank.delete(f"{theirs}/{sandbox}")
        assert found == {}

    def test_of_an_approval_is_accessible_and_used_by_keyboard(
        self, chromium: Chrome, live: LiveServer, axe: str
    ) -> None:
        """What waits, and what is asked for, at a desk and on a phone; then it is approved without a mouse."""
        with opened(live, "two_in_a_browser") as bank:
            before, approval_id = bank.balance(), bank.withdraw()
            screen, found = Screen(chromium, live, "two_in_a_browser", ROOT), {}
            let_in(screen, somebody(live, "two_in_a_browser", "approver"))
            for path in ("/approvals", f"/approvals/{approval_id}"):
                screen.open(path)
                for size in ("wide", "narrow"):
                    screen.resize(size)
                    screen.picture(f"portal{path[:10]}-{'one' if path[10:] else 'all'}-{size}".replace("/", "-"))
                if any(problems := wrong(screen, axe)):
                    found[path] = problems
            screen.type_into("#reason", "Seen the invoice")
            screen.tab_to("form button:not(.second):not(.plain)")
            screen.press_enter()
            screen.wait_until_there(".notice.fine")
            assert found == {}
            assert bank.balance() == before - 900


class Day:
    """A developer who has no mouse, and everything that is wrong with the pages on the way.

    Args:
        screen: The browser.
        axe: What looks at the pages.
    """

    def __init__(self, screen: Screen, axe: str) -> None:
        self.screen, self._axe = screen, axe
        self.found: dict[str, list[object]] = {}

    def follow(self, selector: str, shown: str, *, look: str | None = None) -> None:
        """Reach something by Tab, press Enter on it, wait for what it leads to, and look at it where it has a name."""
        self.screen.tab_to(selector)
        self.screen.leave(self.screen.press_enter)
        self.screen.wait_until_there(shown)
        if look is not None:
            self.look(look)

    def look(self, name: str) -> None:
        """Look at a page in each size."""
        self.found[name] = [self.screen.violations(self._axe), self.screen.strangers(), self.screen.complaints()]
        for size in SIZES:
            self.screen.resize(size)
            self.found[name].append(self.screen.overflows())
            self.screen.picture(f"portal-{name}-{size}")

    def go(self, section: str) -> None:
        """Go to a section by the navigation."""
        path = f"{ROOT}{section}"
        self.follow(f"nav.beside a[href$='{path}']", f"nav.beside a[href$='{path}'][aria-current]")

    def wait_for(self, text: str) -> None:
        """Load the page again until it says something, as people do."""
        deadline = time.monotonic() + PATIENCE_S
        while text not in self.screen.text("main"):
            assert time.monotonic() < deadline, f"the page doesn't say {text}"
            self.screen.driver.refresh()


class TestAFirstDay:
    def test_takes_no_mouse_and_no_help(self, chromium: Chrome, banks: LiveServer, axe: str) -> None:
        """From signing in, by a first program, its first call and a first webhook, to the reason of a refusal."""
        person = a_person(banks, "sandbox", realm="staff", roles=ROLES)
        enrol(person)
        screen = Screen(chromium, banks, "sandbox", ROOT)
        screen.resize("wide")
        day = Day(screen, axe)
        sign_in(screen, person)
        assert banks.base("sandbox") in screen.text("#say-who-you-are ~ pre")
        self.connect(day)
        request_id = self.call(day)
        self.hear(day)
        self.look_up(day, request_id)
        assert {name: each for name, each in day.found.items() if any(each)} == {}

    def connect(self, day: Day) -> None:
        """Register a program that may make parties, and keep its secret."""
        screen = day.screen
        day.go("/clients")
        day.follow("main .actions a.button", "#client_name", look="client-new")
        screen.type_into("#client_name", PROGRAM)
        screen.press_enter()
        screen.wait_until_there(".notice.alarm")
        screen.tab_to("#scope-parties-write")
        screen.press_space()
        day.follow("main form .actions button", "#secret", look="client-secret")
        assert screen.text("#secret").startswith("bfs_")
        day.follow("main .actions a", "#overlap_s", look="client")
        assert "parties:write" in screen.text("main .facts")

    def call(self, day: Day) -> str:
        """Make a party in the console, as that program, and return the request's id."""
        day.go("/reference")
        day.screen.open("/reference?part=parties")
        day.follow("#createParty a", ".try button")
        day.screen.choose("#client", PROGRAM)
        day.follow(".try button", "#answer")
        assert PROGRAM in day.screen.text("#answer")
        assert json.loads(day.screen.text("#answer pre"))["id"].startswith("par_")
        return day.screen.text("#answer a code")

    def hear(self, day: Day) -> None:
        """Add an endpoint, keep its secret, send a test event, look at its delivery and have it sent again."""
        screen = day.screen
        day.go("/webhooks")
        day.follow("main .actions a", "#url")
        screen.type_into("#url", "http://partner.example/hooks")
        screen.press_enter()
        screen.wait_until_there(".notice.alarm")
        day.look("webhook-refused")
        screen.fill(url="https://partner.example/hooks")
        screen.tab_to("#family-transfer")
        screen.press_space()
        day.follow("main form .actions button", "#secret", look="webhook-secret")
        assert screen.text("#secret").startswith("whsec_")
        day.follow("main .actions a", "#after")
        day.follow("form[action$='/test'] button", ".notice.fine")
        day.wait_for("webhook_endpoint.tested")
        day.look("webhook")
        day.follow("main .list a", "form[action$='/replay'] button", look="webhook-delivery")
        assert "webhook_endpoint.tested" in screen.text("h1")
        day.follow("form[action$='/replay'] button", ".notice.fine")

    def look_up(self, day: Day, request_id: str) -> None:
        """Find the request of before, and what a refusal means."""
        screen = day.screen
        day.go("/requests")
        screen.type_into("#request_id", request_id)
        day.follow("form.filters button", "main .list a, main p")
        day.wait_for("createParty")
        day.look("requests-some")
        day.follow("main .list a", "main pre", look="request")
        assert request_id in screen.text("main .facts")
        day.go("/errors")
        screen.type_into("#code", "urn:billfold:problem:insufficient_funds")
        screen.press_enter()
        screen.wait_until_there("#insufficient_funds:target")
        assert "available_minor" in screen.text("#insufficient_funds")
