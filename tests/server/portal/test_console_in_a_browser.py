"""The reference and its console in Chromium: a request is sent by keyboard alone, and everybody can read what comes."""

import json

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.keys import Keys

from billfold_server.portal.pages import ROOT
from tests.live import LiveServer
from tests.server.people.browser.pages import SIZES, Screen
from tests.server.people.persons import a_person, enrol
from tests.server.portal.test_portal_in_a_browser import sign_in

pytestmark = [pytest.mark.xdist_group("chromium"), pytest.mark.timeout(180)]


class TestTheConsole:
    def test_is_used_by_keyboard_alone(self, chromium: Chrome, banks: LiveServer, axe: str) -> None:
        """From the reference to an operation, its form and its answer, which axe-core finds in order at every size."""
        person = a_person(banks, "sandbox", realm="staff", roles=("developer", "operator"))
        enrol(person)
        banks.add_client("sandbox", ["parties:write"])
        screen = Screen(chromium, banks, "sandbox", ROOT)
        sign_in(screen, person)
        screen.open("/reference?part=parties")
        screen.tab_to("#createParty a")
        screen.press_enter()
        screen.wait_for("/reference/createParty")
        screen.tab_to("#client")
        screen.tab_to("#body-text")
        body = json.dumps({"kind": "company", "name": "Hopper <Ltd>"})
        chromium.switch_to.active_element.send_keys(Keys.CONTROL, "a", Keys.NULL, body)
        screen.tab_to(".try button")
        screen.press_enter()
        screen.wait_until_there("#answer")
        assert json.loads(screen.text("#answer pre"))["name"] == "Hopper <Ltd>"
        for size in SIZES:
            screen.resize(size)
            assert [screen.violations(axe), screen.strangers(), screen.complaints(), screen.overflows()] == [
                [],
                [],
                [],
                False,
            ]
            screen.picture(f"console-answer-{size}")

    def test_can_be_read_on_a_phone(self, chromium: Chrome, banks: LiveServer, axe: str) -> None:
        """An operation's page is in order in another brand, without a session, in German and with all opened."""
        screen = Screen(chromium, banks, "demo_bank", ROOT)
        screen.resize("narrow")
        screen.open("/reference/createAlias?ui_locales=de")
        chromium.execute_script("document.querySelectorAll('details').forEach((each) => { each.open = true })")
        assert (screen.violations(axe), screen.overflows()) == ([], False)
        screen.picture("reference-demo_bank-narrow")
