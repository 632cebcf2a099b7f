"""The browser of the hosted pages' tests, which looks at the portal as well."""

from tests.server.people.browser.conftest import axe, banks, chromium

__all__ = ["axe", "banks", "chromium"]
