"""A person at a browser: types, presses keys, and looks at pages as axe-core does."""

import base64
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.common.virtual_authenticator import VirtualAuthenticatorOptions
from selenium.webdriver.support.expected_conditions import staleness_of
from selenium.webdriver.support.ui import WebDriverWait

from tests.live import LiveServer

__all__ = ["PATIENCE_S", "SIZES", "Screen"]

SIZES = {"narrow": (320, 740), "wide": (1280, 900)}
_AXE = """
const done = arguments[arguments.length - 1];
const rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
axe.run(document, {runOnly: rules, resultTypes: ["violations"]})
  .then((found) => done(found.violations.map((each) => [each.id, each.nodes.map((node) => node.html)])));
"""


_OUTLINE = """
const focus = document.activeElement, style = getComputedStyle(focus);
return focus.matches(arguments[0]) ? style.outlineStyle + style.outlineWidth : null;
"""
"""How the focus is shown, where it is on what is looked for."""
_CHOSEN = "return arguments[0].selectedOptions[0].text"
PATIENCE_S = 60
"""How long a page may take to come, however busy the machine is."""
_TAB = {"key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9}


class Screen:
    """A browser at one tenant.

    Args:
        driver: Chromium.
        live: The server.
        slug: The tenant.
        root: Below which the pages lie.
    """

    def __init__(self, driver: Chrome, live: LiveServer, slug: str, root: str = "/auth") -> None:
        self.driver, self.live = driver, live
        # Passkeys need a host with a name.
        tenant = live.base(slug).replace("127.0.0.1", "localhost")
        self.base = tenant + root
        # Only so that cookies can be set. For beside what isn't there a browser asks for an icon, which isn't there
        # either, and complains of that some time later.
        driver.get(f"{tenant}/auth/assets/logo")
        driver.delete_all_cookies()
        # Of whoever had the browser before.
        self.complaints()

    def open(self, path: str) -> None:
        """Go to a page."""
        self.driver.get(self.base + path)

    @property
    def path(self) -> str:
        """Return where the browser is, below the root."""
        return str(self.driver.current_url).removeprefix(self.base)

    def wait_for(self, path: str) -> None:
        """Wait until the browser is at a page."""
        WebDriverWait(self.driver, PATIENCE_S).until(lambda _: self.path.partition("?")[0] == path)

    def wait_until_there(self, selector: str) -> None:
        """Wait until something is shown."""
        # What is found may go with its page before it is looked at.
        WebDriverWait(self.driver, PATIENCE_S, ignored_exceptions=[StaleElementReferenceException]).until(
            lambda driver: any(each.is_displayed() for each in driver.find_elements(By.CSS_SELECTOR, selector))
        )

    def leave(self, press: Callable[[], None]) -> None:
        """Press what leads to another page, and wait until this one is gone: it may have what the next one shows."""
        page = self.driver.find_element(By.TAG_NAME, "html")
        press()
        WebDriverWait(self.driver, PATIENCE_S).until(staleness_of(page))

    def fill(self, **fields: str) -> None:
        """Type into fields by their ids."""
        for name, text in fields.items():
            field = self.driver.find_element(By.ID, name)
            field.clear()
            field.send_keys(text)

    def click(self, selector: str) -> None:
        """Click what is shown of something."""
        next(each for each in self.driver.find_elements(By.CSS_SELECTOR, selector) if each.is_displayed()).click()

    def text(self, selector: str) -> str:
        """Return what something says."""
        return str(self.driver.find_element(By.CSS_SELECTOR, selector).get_attribute("textContent")).strip()

    # By keyboard alone.

    def tab_to(self, selector: str) -> None:
        """Press Tab until something has the focus, which then must be visible."""
        for _ in range(40):
            outline = self.driver.execute_script(_OUTLINE, selector)
            if outline is not None:
                assert outline == "solid3px", f"the focus on {selector} can't be seen: {outline}"
                return
            # As the keyboard's driver tells of it, which asks nothing of the page before.
            self.driver.execute_cdp_cmd("Input.dispatchKeyEvent", {"type": "rawKeyDown", **_TAB})
            self.driver.execute_cdp_cmd("Input.dispatchKeyEvent", {"type": "keyUp", **_TAB})
        msg = f"Tab doesn't lead to {selector}"
        raise AssertionError(msg)

    def type_into(self, selector: str, text: str) -> None:
        """Reach a field by Tab, and type."""
        self.tab_to(selector)
        self.driver.switch_to.active_element.send_keys(text)

    def choose(self, selector: str, text: str) -> None:
        """Reach a list by Tab, and type how what is wanted begins."""
        self.tab_to(selector)
        found = self.driver.switch_to.active_element

        def chosen(_: object) -> bool:
            found.send_keys(text)
            return str(self.driver.execute_script(_CHOSEN, found)).startswith(text)

        # A pause of a second between two letters is the beginning of another word to the browser.
        WebDriverWait(self.driver, PATIENCE_S, poll_frequency=1.5).until(chosen)

    def press_enter(self) -> None:
        """Press Enter on what has the focus."""
        self.driver.switch_to.active_element.send_keys(Keys.ENTER)

    def press_space(self) -> None:
        """Press the space bar on what has the focus."""
        self.driver.switch_to.active_element.send_keys(Keys.SPACE)

    # What others see.

    def give_authenticator(self) -> None:
        """Let the device keep passkeys and know its owner."""
        options = VirtualAuthenticatorOptions()
        options.protocol = VirtualAuthenticatorOptions.Protocol.CTAP2
        options.transport = VirtualAuthenticatorOptions.Transport.INTERNAL
        options.has_resident_key = True
        options.has_user_verification = True
        options.is_user_verified = True
        self.driver.add_virtual_authenticator(options)

    def violations(self, axe: str) -> list[Any]:
        """Return what axe-core finds against WCAG 2.2 AA, and its best practices."""
        # A page keeps it from one size to the next.
        if not self.driver.execute_script("return 'axe' in window"):
            self.driver.execute_script(axe)
        found: list[Any] = self.driver.execute_async_script(_AXE)
        return found

    def strangers(self) -> list[str]:
        """Return what the page has loaded from elsewhere."""
        loaded = self.driver.execute_script("return performance.getEntriesByType('resource').map((each) => each.name)")
        own = urlsplit(self.base).netloc
        return [each for each in loaded if urlsplit(each).netloc != own]

    def complaints(self) -> list[str]:
        """Return what the browser's console says of mistakes, such as breaches of the page's policy."""
        entries = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [
            each["message"]
            for each in entries
            if each["level"] in {"SEVERE", "WARNING"} and "422" not in each["message"]
        ]

    def overflows(self) -> bool:
        """Tell whether the page must be scrolled sideways."""
        return bool(self.driver.execute_script("return document.documentElement.scrollWidth > innerWidth"))

    def resize(self, size: str) -> None:
        """Make the page as wide as a phone or a desk's screen."""
        width, height = SIZES[size]
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == "narrow"}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def picture(self, name: str) -> None:
        """Keep a picture of the page in the folder that ``BILLFOLD_SCREENSHOTS`` names, if it does."""
        if folder := os.environ.get("BILLFOLD_SCREENSHOTS"):
            shot = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
            Path(folder, f"{name}.png").write_bytes(base64.b64decode(shot["data"]))
