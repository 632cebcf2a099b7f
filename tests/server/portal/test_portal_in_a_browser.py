"""The portal in Chromium: what axe-core says of each page, on a phone and at a desk, and where pages load from."""

import pytest
from selenium.webdriver import Chrome

from billfold_server.portal.pages import ROOT, SECTIONS
from tests.live import LiveServer
from tests.server.people.browser.conftest import BRANDS
from tests.server.people.browser.pages import SIZES, Screen
from tests.server.people.persons import Person, a_person, enrol

pytestmark = pytest.mark.xdist_group("chromium")


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


@pytest.mark.parametrize("slug", BRANDS)
class TestEveryPage:
    def test_is_accessible_and_keeps_to_itself_on_any_screen(
        self, chromium: Chrome, banks: LiveServer, axe: str, slug: str
    ) -> None:
        """WCAG 2.2 AA holds in each brand, narrow and wide; nothing comes from elsewhere or overflows."""
        person = a_person(banks, slug, realm="staff", roles=("developer",))
        enrol(person)
        screen = Screen(chromium, banks, slug, ROOT)
        found: dict[str, object] = {}

        def look(name: str) -> None:
            for size in SIZES:
                screen.resize(size)
                wrong = [screen.violations(axe), screen.strangers(), screen.complaints(), screen.overflows()]
                if any(wrong):
                    found[f"{name}, {size}"] = wrong
                screen.picture(f"portal-{slug}-{name}-{size}")

        for each in SECTIONS:
            if each.scope is None:
                screen.open(each.path)
                look(each.name)
        sign_in(screen, person)
        for each in SECTIONS:
            screen.open(each.path)
            look(f"own-{each.name}")
        assert found == {}
