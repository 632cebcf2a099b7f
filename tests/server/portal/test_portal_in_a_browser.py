"""The portal in Chromium: what axe-core says of each page, on a phone and at a desk, and where pages load from."""

import time

import pytest
from selenium.webdriver import Chrome

from billfold_server.portal.pages import ROOT, SECTIONS
from billfold_server.portal.reading import GUIDES
from tests.live import LiveServer
from tests.server.people.browser.pages import SIZES, Screen
from tests.server.people.persons import Person, a_person, enrol

pytestmark = pytest.mark.xdist_group("chromium")

PUBLIC = [each.path for each in SECTIONS if each.scope is None] + [f"/guides/{GUIDES[0]}"]
ALIKE = """
for (const entry of document.querySelectorAll(".entry ~ .entry ~ .entry")) entry.remove();
for (const section of document.querySelectorAll("section ~ section ~ section")) section.remove();
"""
"""What a loop has made alike is looked at a few times, not a hundred."""


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


def wrong(screen: Screen, axe: str) -> list[object]:
    """Return what is wrong with a page: how wide it is, what it loads, what the console and axe-core say."""
    found: list[object] = [screen.overflows(), screen.strangers(), screen.complaints()]
    screen.driver.execute_script(ALIKE)
    return [*found, screen.violations(axe)]


class TestEveryPage:
    def test_is_accessible_and_keeps_to_itself_to_strangers(
        self, chromium: Chrome, banks: LiveServer, axe: str
    ) -> None:
        """In one brand and at a desk, WCAG 2.2 AA holds for what is public; nothing comes from elsewhere."""
        screen = Screen(chromium, banks, "demo_bank", ROOT)
        screen.resize("wide")
        found = {}
        for path in PUBLIC:
            screen.open(path)
            screen.picture(f"portal-public{path.replace('/', '-')}")
            if any(problems := wrong(screen, axe)):
                found[path] = problems
        assert found == {}

    def test_is_accessible_and_keeps_to_itself_on_a_phone(self, chromium: Chrome, banks: LiveServer, axe: str) -> None:
        """In the other brand and signed in, the same holds for all pages; 320 pixels are wide enough."""
        person = a_person(banks, "sandbox", realm="staff", roles=("developer",))
        enrol(person)
        screen = Screen(chromium, banks, "sandbox", ROOT)
        screen.resize("narrow")
        sign_in(screen, person)
        found = {}
        for path in [each.path for each in SECTIONS] + [f"/guides/{name}" for name in GUIDES]:
            screen.open(path)
            screen.picture(f"portal-phone{path.replace('/', '-')}")
            if any(problems := wrong(screen, axe)):
                found[path] = problems
        assert found == {}


class TestADayOfADevelopers:
    """What somebody does who connects a program."""

    def test_with_webhooks_and_requests_needs_no_mouse(self, chromium: Chrome, banks: LiveServer, axe: str) -> None:
        """They add an endpoint, keep its secret, try it out, and look up what was delivered and what was asked."""
        person = a_person(banks, "sandbox", realm="staff", roles=("developer",))
        enrol(person)
        screen = Screen(chromium, banks, "sandbox", ROOT)
        sign_in(screen, person)
        found: dict[str, list[object]] = {}

        def look(name: str) -> None:
            found[name] = [screen.violations(axe), screen.strangers(), screen.complaints()]
            for size in SIZES:
                screen.resize(size)
                found[name].append(screen.overflows())
                screen.picture(f"portal-{name}-{size}")

        def go_by_keyboard(selector: str, shown: str) -> None:
            screen.tab_to(selector)
            screen.press_enter()
            screen.wait_until_there(shown)

        screen.open("/webhooks/new")
        screen.type_into("#url", "http://partner.example/hooks")
        screen.press_enter()
        screen.wait_until_there(".notice.alarm")
        look("webhook-refused")
        screen.fill(url="https://partner.example/hooks")
        screen.tab_to("#family-transfer")
        screen.press_space()
        go_by_keyboard("main .actions button", "#secret")
        assert screen.text("#secret").startswith("whsec_")
        look("webhook-secret")
        go_by_keyboard("main .actions a", "#after")
        go_by_keyboard("form[action$='/test'] button", ".notice.fine")
        deadline = time.monotonic() + 60
        while "webhook_endpoint.tested" not in screen.text("main") and time.monotonic() < deadline:
            screen.driver.refresh()
        look("webhook")
        go_by_keyboard("main .list a", "main h2")
        look("webhook-delivery")
        with banks.client("sandbox", ["parties:read"]) as program:
            refused = program.get("/v1/parties", params={"limit": 0})
        screen.open("/requests")
        look("requests-some")
        screen.type_into("#request_id", refused.headers["x-request-id"])
        screen.press_enter()
        screen.wait_until_there("main .list a")
        go_by_keyboard("main .list a", "main pre")
        assert "validation_failed" in screen.text("main")
        look("request")
        assert {name: wrong for name, wrong in found.items() if any(wrong)} == {}
