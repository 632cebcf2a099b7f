"""Signing in with password and authenticator app, over HTTP."""

import pytest

from tests.live import LiveServer
from tests.server.people.persons import Person, a_person, a_psu, an_operator, enrol


@pytest.fixture(scope="module")
def ada(live: LiveServer) -> Person:
    """A payment service user of alpha."""
    return a_psu(live, "alpha")


class TestSigningIn:
    @pytest.mark.parametrize("realm", ["psu", "staff", "operator"])
    def test_takes_password_and_code_in_every_realm(self, live: LiveServer, realm: str) -> None:
        """Whoever has enrolled signs in with both, and sees the account's page."""
        person = an_operator(live) if realm == "operator" else a_person(live, "alpha", realm=realm)
        browser = enrol(person)
        assert browser.get("/account").status_code == 200
        browser = person.sign_in()
        assert "Ada Lovelace" in browser.get("/account").text or realm == "operator"
        assert browser.submit(browser.get("/account"), "/sign-out").headers["location"].endswith("/signed-out")
        assert browser.get("/account").headers["location"].endswith("/sign-in")
