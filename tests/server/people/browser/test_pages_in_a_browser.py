"""The hosted pages in Chromium: enrolment and sign-in, passkeys, the keyboard alone, and what axe-core says."""

import contextlib
import re

import pytest
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome

from tests.live import LiveServer
from tests.server.people.browser.conftest import BRANDS
from tests.server.people.browser.pages import SIZES, Screen
from tests.server.people.paying import Payments
from tests.server.people.persons import Person, a_person, enrol

pytestmark = [pytest.mark.xdist_group("chromium"), pytest.mark.timeout(180)]


PRESSED_TWICE = """
const button = document.querySelector("form[action$='/sign-in/code'] button");
button.click();
setTimeout(() => button.click(), 400);
"""


SENT_IN_VAIN = """
document.querySelector("form[action$='/sign-in'] button").click();
window.stop();
"""
BACK = "dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}));"


def enrol_with_app(screen: Screen, person: Person) -> None:
    """Enrol with password and authenticator app, by the mouse."""
    screen.open(f"/enrol?code={person.enrolment}")
    screen.click("main button")
    screen.wait_until_there("#password")
    screen.fill(password=person.password, again=person.password)
    screen.click("main button")
    screen.wait_until_there("a[href$='by=app']")
    screen.click("a[href$='by=app']")
    screen.wait_until_there("#code")
    person.secret = screen.text("details code").replace(" ", "")
    screen.fill(code=person.code())
    screen.click("form[action$='/enrol/app'] button")
    screen.wait_until_there(".codes")
    person.codes = re.findall(r"[0-9a-z]{4}(?:-[0-9a-z]{4}){3}", screen.text(".codes"))
    assert len(person.codes) == 10


class TestAPersonWithoutPasskeys:
    def test_enrols_and_signs_in_by_keyboard_alone(self, chromium: Chrome, banks: LiveServer) -> None:
        """Every step can be reached by Tab and taken by Enter, with the focus in sight."""
        person = a_person(banks, "sandbox")
        screen = Screen(chromium, banks, "sandbox")
        screen.open(f"/enrol?code={person.enrolment}")
        screen.tab_to("main button")
        screen.press_enter()
        screen.wait_until_there("#password")
        screen.type_into("#password", person.password)
        screen.type_into("#again", person.password)
        screen.press_enter()
        screen.wait_until_there("a[href$='by=app']")
        screen.tab_to("a[href$='by=app']")
        screen.press_enter()
        screen.wait_until_there("#code")
        person.secret = screen.text("details code").replace(" ", "")
        screen.type_into("#code", person.code())
        screen.press_enter()
        screen.wait_until_there(".codes")
        screen.tab_to("a.button")
        screen.press_enter()
        screen.wait_for("/account")
        screen.tab_to(".leave button")
        screen.press_enter()
        screen.wait_for("/signed-out")
        screen.tab_to("a.button")
        screen.press_enter()
        screen.wait_for("/sign-in")
        screen.type_into("#name", person.name)
        screen.type_into("#password", person.password)
        screen.press_enter()
        screen.wait_until_there("#code")
        screen.type_into("#code", person.code())
        screen.press_enter()
        screen.wait_for("/account")
        assert screen.complaints() == []

    def test_is_let_in_however_often_they_press(self, chromium: Chrome, banks: LiveServer) -> None:
        """Where an answer takes its time, a button that is pressed again doesn't spend the code in vain."""
        person = a_person(banks, "sandbox")
        enrol(person)
        screen = Screen(chromium, banks, "sandbox")
        screen.open("/sign-in")
        screen.fill(name=person.name, password=person.password)
        screen.click("form[action$='/sign-in'] button")
        screen.wait_until_there("#code")
        screen.fill(code=person.code())
        usual = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        chromium.execute_cdp_cmd("Network.emulateNetworkConditions", usual | {"latency": 1500})
        chromium.execute_script(PRESSED_TWICE)
        screen.wait_for("/account")
        chromium.execute_cdp_cmd("Network.emulateNetworkConditions", usual)

    def test_sends_a_form_anew_that_they_come_back_to(self, chromium: Chrome, banks: LiveServer) -> None:
        """At once, where the browser shows the page again as it was left, with all that its script knew."""
        person = a_person(banks, "sandbox")
        enrol(person)
        screen = Screen(chromium, banks, "sandbox")
        screen.open("/sign-in")
        screen.fill(name=person.name, password=person.password)
        # This browser keeps no page that may ask for passkeys, so one is kept from going, and told what a kept one is.
        chromium.execute_script(SENT_IN_VAIN)
        chromium.execute_script(BACK)
        screen.click("form[action$='/sign-in'] button")
        screen.wait_until_there("#code")


class TestAPersonWithAPasskey:
    def test_enrols_and_signs_in_by_it(self, chromium: Chrome, banks: LiveServer) -> None:
        """A passkey is made in the second step of enrolment, and signs in without a name."""
        person = a_person(banks, "demo_bank", realm="staff")
        screen = Screen(chromium, banks, "demo_bank", "/auth/staff")
        screen.give_authenticator()
        try:
            screen.open(f"/enrol?code={person.enrolment}")
            screen.click("main button")
            screen.wait_until_there("#password")
            screen.fill(password=person.password, again=person.password)
            screen.click("main button")
            screen.wait_until_there("form[data-passkey=create] button")
            screen.fill(label="My key")
            screen.click("form[data-passkey=create] button")
            screen.wait_until_there(".codes")
            screen.click("a.button")
            screen.wait_for("/account")
            assert "My key" in screen.text("main")
            screen.click(".leave button")
            screen.wait_for("/signed-out")
            screen.open("/sign-in")
            # Where a browser offers passkeys by itself, the one there is may be chosen already, or just now.
            with contextlib.suppress(StopIteration, StaleElementReferenceException):
                screen.click("form[data-passkey=get] button")
            screen.wait_for("/account")
            assert screen.complaints() == []
        finally:
            chromium.remove_virtual_authenticator()


@pytest.mark.parametrize("slug", BRANDS)
class TestEveryPage:
    def test_is_accessible_and_keeps_to_itself_on_any_screen(
        self, chromium: Chrome, banks: LiveServer, axe: str, slug: str
    ) -> None:
        """WCAG 2.2 AA holds in each brand, narrow and wide; nothing comes from elsewhere or overflows."""
        person = a_person(banks, slug, name=f"ada.{slug}")
        screen = Screen(chromium, banks, slug)
        found: dict[str, object] = {}

        def look(name: str) -> None:
            for size in SIZES:
                screen.resize(size)
                wrong = [screen.violations(axe), screen.strangers(), screen.complaints(), screen.overflows()]
                if any(wrong):
                    found[f"{name}, {size}"] = wrong
                screen.picture(f"{slug}-{name}-{size}")

        visit_everything(screen, person, look)
        assert found == {}


def visit_everything(screen: Screen, person: Person, look) -> None:
    """Walk through all pages, and look at each."""
    screen.open(f"/enrol?code={person.enrolment}")
    look("enrol")
    screen.click("main button")
    screen.wait_until_there("#password")
    look("password")
    screen.fill(password="password12345", again="password12345")
    screen.click("main button")
    screen.wait_until_there(".alarm")
    look("password-refused")
    screen.fill(password=person.password, again=person.password)
    screen.click("main button")
    screen.wait_until_there("a[href$='by=app']")
    look("passkey")
    screen.click("a[href$='by=app']")
    screen.wait_until_there("#code")
    look("app")
    person.secret = screen.text("details code").replace(" ", "")
    screen.fill(code=person.code())
    screen.click("form[action$='/enrol/app'] button")
    screen.wait_until_there(".codes")
    look("codes")
    screen.click("a.button")
    screen.wait_for("/account")
    look("account")
    visit_the_rest(screen, person, look)


def visit_the_rest(screen: Screen, person: Person, look) -> None:
    """Walk through the pages of somebody who has enrolled."""
    screen.open(f"/approve?challenge={Payments(screen.live, person).begin().id}")
    look("approve")
    screen.open("/confirm?to=password")
    look("confirm")
    screen.open("/account/password")
    look("new-password")
    screen.open("/account/recovery-codes")
    look("new-codes")
    screen.click(".leave button")
    screen.wait_for("/signed-out")
    look("signed-out")
    screen.open("/sign-in?ui_locales=de")
    look("sign-in-german")
    screen.open("/sign-in?ui_locales=en")
    look("sign-in")
    screen.fill(name=person.name, password="not the right one")
    screen.click("form[action$='/sign-in'] button")
    screen.wait_until_there("#code")
    screen.fill(code="000000")
    screen.click("form[action$='/sign-in/code'] button")
    screen.wait_until_there(".alarm")
    look("sign-in-refused")
    screen.fill(name=person.name, password=person.password)
    screen.click("form[action$='/sign-in'] button")
    screen.wait_until_there("#code")
    look("second-factor")
