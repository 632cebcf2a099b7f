"""The browser of the hosted pages' tests, which looks at the portal as well, and the people whose portal it is."""

import httpx
import pytest

from tests.live import LiveServer
from tests.server.partners.conftest import world
from tests.server.people.browser.conftest import axe, banks, chromium
from tests.server.people.persons import Browser, Person, a_person, enrol

__all__ = ["axe", "banks", "chromium", "world"]


@pytest.fixture(scope="module")
def developer(live: LiveServer) -> Person:
    """Somebody who connects programs, enrolled."""
    person = a_person(live, "alpha", realm="staff", roles=("developer",))
    enrol(person)
    return person


@pytest.fixture(scope="module")
def browser(developer: Person) -> Browser:
    """Their browser, signed in, with addresses of the whole tenant."""
    found = developer.sign_in()
    found.base_url = httpx.URL(developer.live.base("alpha"))
    return found
