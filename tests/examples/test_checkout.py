"""The checkout runs as it stands: a customer in Chromium types a card at the bank's page, and the shop is paid."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from billfold import Billfold, Money
from tests.examples.conftest import ROOT
from tests.live import LiveServer
from tests.sandbox import options
from tests.server.people.browser.conftest import chromium

__all__ = ["chromium"]

pytestmark = [pytest.mark.xdist_group("chromium"), pytest.mark.timeout(180)]

EXPECTED = (Path(__file__).parent / "checkout.txt").read_text(encoding="utf-8")


@pytest.fixture
def shop(live: LiveServer) -> Iterator["subprocess.Popen[str]"]:
    """The example, running."""
    variables = {f"BILLFOLD_{name.upper()}": value for name, value in options(live).items()}
    with subprocess.Popen(
        [sys.executable, str(ROOT / "examples" / "checkout" / "shop.py")],
        env={**os.environ, **variables, "PYTHONPATH": str(ROOT / "sdk")},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.terminate()


def wait_for(chromium: Chrome, selector: str, text: str = "") -> None:
    """Wait until something is on the page, and says something."""

    def is_there(driver: Chrome) -> bool:
        script = "return document.querySelector(arguments[0])?.innerText ?? null"
        found = driver.execute_script(script, selector)
        return found is not None and text in found

    WebDriverWait(chromium, 60).until(is_there, f"{selector}: {text}")


def press(chromium: Chrome, selector: str = "button") -> None:
    """Press a button."""
    chromium.find_element(By.CSS_SELECTOR, selector).click()


class TestTheShop:
    def test_has_one_till_and_one_customer(self, live: LiveServer):
        """Whoever replaces its client, or starts it again after its keys have gone, finds what the shop has earned."""
        spec = importlib.util.spec_from_file_location("checkout_shop", ROOT / "examples" / "checkout" / "shop.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        with Billfold(**options(live)) as before, Billfold(**options(live)) as after:
            first, second = (module.Shop(billfold, "http://127.0.0.1") for billfold in (before, after))
            assert (first.till.id, first.wallet.id) == (second.till.id, second.wallet.id)
            (balance,) = after.wallets.balances(first.wallet.id)
        assert balance.posted_minor == 5000


class TestTheCheckout:
    def test_is_paid_by_a_card_that_the_shop_never_sees(
        self, live: LiveServer, shop: "subprocess.Popen[str]", chromium: Chrome
    ):
        """Who comes back without a card has paid nothing; a card is a token to the shop, which holds and captures."""
        assert shop.stdout is not None
        url = shop.stdout.readline().removeprefix("open ").strip()
        chromium.get(url)
        press(chromium)
        wait_for(chromium, "#number")
        with Billfold(**options(live)) as billfold:
            (session_id,) = [each for each in chromium.current_url.split("/") if each.startswith("cse_")]
            back = billfold.card_sessions.get(session_id).return_url
            assert back is not None
            chromium.get(back)
            wait_for(chromium, "h1", "No card yet")
            press(chromium)
            wait_for(chromium, "#number")
            for selector, text in (("#number", "5555555555554444"), ("#expiry", "12/31"), ("#cvc", "737")):
                chromium.find_element(By.CSS_SELECTOR, selector).send_keys(text)
            wait_for(chromium, "form:has(#number) button:enabled")
            press(chromium, "form:has(#number) button")
            wait_for(chromium, "h1", "Thank you")
            press(chromium)
            wait_for(chromium, "p", "Your book is on its way")
            chromium.refresh()
            wait_for(chromium, "h1", "Paid")
            till = next(each for each in billfold.wallets.list() if each.label == "Book shop")
            (balance,) = billfold.wallets.balances(till.id)
            assert Money(balance.available_minor, balance.currency) == Money(1250, "EUR")
        shop.terminate()
        assert shop.stdout.read() == EXPECTED
