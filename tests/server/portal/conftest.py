"""The browser of the hosted pages' tests, which looks at the portal as well, and the partners whose portal it is."""

from tests.server.partners.conftest import world
from tests.server.people.browser.conftest import axe, banks, chromium

__all__ = ["axe", "banks", "chromium", "world"]
