"""The portal in Chromium: what axe-core says of each page, on a phone and at a desk, and where pages load from."""

import pytest
from selenium.webdriver import Chrome

from billfold_server.portal.pages import ROOT, SECTIONS
from billfold_server.portal.reading import GUIDES
from tests.live import LiveServer
from tests.server.people.browser.pages import Screen
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
