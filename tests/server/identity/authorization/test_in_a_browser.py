"""The pages of consent and sign-out in Chromium: both brands, wide and narrow, by keyboard, seen by axe-core."""

import re
from collections.abc import Callable

import httpx
import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.support.ui import WebDriverWait

from tests.live import LiveServer
from tests.server.identity.flows import App, Person, add_app, add_person, code_of
from tests.server.people.browser.conftest import BRANDS, axe, banks, chromium
from tests.server.people.browser.pages import PATIENCE_S, SIZES, Screen

__all__ = ["axe", "banks", "chromium"]

pytestmark = [pytest.mark.xdist_group("chromium"), pytest.mark.timeout(180)]


def signed_in(chromium: Chrome, person: Person) -> Screen:
    """Return a screen in whose browser somebody is signed in."""
    assert person.slug is not None
    screen = Screen(chromium, person.live, person.slug, "")
    jar = person.browser().cookies.jar
    for each in jar:
        chromium.add_cookie({"name": each.name, "value": each.value or "", "path": each.path})
    return screen


def address(app: App, **changes: str) -> str:
    """Push a request, and return where the browser goes with it, below the tenant's base."""
    return "/oauth/authorize?" + str(httpx.QueryParams({"client_id": app.client_id, "request_uri": app.uri(**changes)}))


def an_app(live: LiveServer, slug: str) -> App:
    """Register an app that says much about itself."""
    return add_app(
        live,
        slug,
        client_name="Pocket Ledger",
        organisation="Pocket Ledger Financial Technologies Europe SE",
        policy_uri="https://app.example/privacy",
        tos_uri="https://app.example/terms",
        post_logout_redirect_uris=["https://app.example/bye"],
    )


class TestThePages:
    """The pages."""

    @pytest.mark.parametrize("slug", BRANDS)
    def test_are_accessible_and_keep_to_themselves(self, chromium: Chrome, banks: LiveServer, axe: str, slug) -> None:
        """No violation of WCAG 2.2 AA, no scrolling sideways, nothing from elsewhere, no complaint of the browser's."""
        app, person = an_app(banks, slug), add_person(banks, slug)
        code_of(app, person, scope="openid profile offline_access")
        screen = signed_in(chromium, person)
        places: dict[str, Callable[[], str]] = {
            "consent": lambda: address(app, scope="openid profile offline_access"),
            "apps": lambda: "/oauth/apps",
            "end-session": lambda: f"/oauth/end-session?client_id={app.client_id}",
        }
        for size in SIZES:
            screen.resize(size)
            for name, path in places.items():
                screen.open(path())
                assert screen.text("h1")
                assert screen.violations(axe) == [], (name, size)
                assert screen.strangers() == [], (name, size)
                assert not screen.overflows(), (name, size)
                screen.picture(f"{slug}-{name}-{size}")
        assert screen.complaints() == []
        screen.open("/oauth/authorize?client_id=x&request_uri=y")
        assert screen.violations(axe) == []
        screen.picture(f"{slug}-unusable-link")

    @pytest.mark.parametrize(("button", "answer"), [("approve", "code="), ("refuse", "error=access_denied")])
    def test_are_answered_by_keyboard_alone(self, chromium: Chrome, banks: LiveServer, button, answer) -> None:
        """Both buttons are reached by Tab and pressed by Enter, and the browser goes to the app."""
        app, person = an_app(banks, "sandbox"), add_person(banks, "sandbox")
        screen = signed_in(chromium, person)
        screen.resize("wide")
        screen.open(address(app))
        screen.tab_to(f"button[value={button}]")
        screen.press_enter()
        WebDriverWait(chromium, PATIENCE_S).until(
            lambda driver: driver.current_url.startswith("https://app.example/cb?")
        )
        assert re.search(rf"[?&]({answer}|response=)", str(chromium.current_url))
