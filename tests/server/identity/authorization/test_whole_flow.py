"""The whole flow, through the real pages of sign-in, for each security profile."""

from typing import Any

import pytest

from tests.live import LiveServer
from tests.server.identity.flows import add_app, answer_of, bring, decide, follow, stranger
from tests.server.people import persons


class TestAFlow:
    """A flow."""

    @pytest.mark.parametrize("profile", ["sandbox", "fapi2", "fapi2-message-signing", "fapi1-advanced"])
    def test_goes_through_sign_in_with_two_factors(self, profiled: LiveServer, profile: str) -> None:
        """Push, sign-in with password and app, consent, answer: signed where the profile wants it."""
        app, person = add_app(profiled, profile), persons.a_psu(profiled, profile)
        browser = stranger(profiled, profile)
        page = follow(browser, bring(browser, app))
        assert page.url.path.endswith("/auth/sign-in")
        pages = person.browser()
        pages.cookies = browser.cookies
        second = pages.submit(page, "/sign-in", name=person.name, password=person.password)
        back = pages.submit(second, "/sign-in/code", code=person.code())
        browser.cookies = pages.cookies
        answer = decide(browser, follow(browser, back))
        said: dict[str, Any] = answer_of(app, answer)
        assert set(said) == {"code", "state"}
        assert ("response=" in answer.headers["location"]) is ("message" in profile or "advanced" in profile)
