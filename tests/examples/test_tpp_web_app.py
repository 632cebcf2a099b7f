"""The third party's web app runs as it stands, at a bank that believes the development directory."""

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

from billfold_server.serving.directory.directory import Directory
from billfold_server.serving.directory.setting_up import believing
from billfold_server.tenancy.manifest import load_manifest
from billfold_server.tenancy.shipped import find_folder
from tests.live import LiveServer
from tests.ports import held
from tests.sdk.consents.customers import Customer
from tests.server.people.browser.conftest import chromium
from tests.server.upping import environment

__all__ = ["chromium"]

pytestmark = [pytest.mark.xdist_group("chromium"), pytest.mark.timeout(180)]

ROOT = Path(__file__).parents[2]
SLUG = "sandbox"
PICTURES = os.environ.get("BILLFOLD_SCREENSHOTS")
"""Where pictures of every page are put, where somebody wants to look at them."""


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a directory."""
    made = tmp_path_factory.mktemp("bank")
    Directory(made).ensure()
    return made


@contextlib.contextmanager
def running(live: LiveServer, data_dir: Path, software: str) -> Iterator[str]:
    """Run the app until the block ends, and yield its address."""
    with held(1) as (port,), _running(live, data_dir, software, port) as address:
        yield address


@contextlib.contextmanager
def _running(live: LiveServer, data_dir: Path, software: str, port: int) -> Iterator[str]:
    statement = data_dir / f"{port}.jwt"
    callback = f"http://127.0.0.1:{port}/callback"
    statement.write_text(Directory(data_dir).statement(software, redirect_uris=[callback]), encoding="utf-8")
    command = [sys.executable, str(ROOT / "examples" / "tpp_web_app" / "app.py"), f"--data-dir={data_dir}"]
    command += [f"--bank={live.base(SLUG)}", f"--software={software}", f"--port={port}", f"--statement={statement}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment())
    try:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(2)]
        assert re.fullmatch(r"[A-Z][a-z]+ [A-Z][a-z]+ is known at the bank as cli_\w{26}\n", lines[0])
        assert lines[1] == f"open http://127.0.0.1:{port}\n"
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture(scope="module")
def bank(live: LiveServer, data_dir: Path) -> LiveServer:
    """The sandbox as it is shipped, which believes the directory as `billfold up` lets it."""
    shipped = msgspec.structs.replace(load_manifest(find_folder(SLUG)), isolation="role")
    live.add_tenant(believing(shipped, Directory(data_dir).publisher()))
    return live


class Person:
    """Somebody at the browser, who reads headings and types into what is labelled."""

    def __init__(self, driver: Chrome, customer: Customer) -> None:
        self.driver, self.customer = driver, customer
        self._pictures = 0

    def wait_for(self, heading: str) -> str:
        """Wait for a page with a heading, take its picture where somebody wants it, and return what it says."""
        WebDriverWait(self.driver, 60).until(lambda _: heading in self._said()[0], heading)
        if PICTURES:
            self._pictures += 1
            for name, width in (("wide", 1280), ("narrow", 390)):
                self.driver.set_window_size(width, 900)
                self.driver.save_screenshot(f"{PICTURES}/tpp-{self._pictures:02}-{name}.png")
        return self._said()[1]

    def _said(self) -> tuple[str, str]:
        """Return the page's heading and text, in one look: a page may go while it is looked at."""
        script = "return ['h1', 'main'].map((each) => document.querySelector(each)?.innerText ?? '')"
        heading, text = self.driver.execute_script(script)
        return heading, text

    def find(self, selector: str) -> WebElement:
        """Return something on the page."""
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def fill(self, form: str, **fields: str) -> None:
        """Fill a form in and send it."""
        for name, value in fields.items():
            field = self.find(f"{form} [name={name}]")
            if field.tag_name == "select":
                Select(field).select_by_value(value)
            else:
                field.clear()
                field.send_keys(value)
        self.find(f"{form} button:not(.second)").click()

    def sign_in(self) -> None:
        """Sign in at the bank with password and app."""
        WebDriverWait(self.driver, 60).until(lambda driver: driver.find_elements(By.ID, "password"))
        self.fill("form[action$='/sign-in']", name=self.customer.person.name, password=self.customer.person.password)
        WebDriverWait(self.driver, 60).until(lambda driver: driver.find_elements(By.ID, "code"))
        self.fill("form[action$='/code']", code=self.customer.person.code())

    def agree(self, *, approves: bool) -> None:
        """Choose the first wallet on the bank's page, agree, and show the factors where that is asked for."""
        chosen = f"input[value='{self.customer.wallet}']"
        WebDriverWait(self.driver, 60).until(lambda driver: driver.find_elements(By.CSS_SELECTOR, chosen))
        if not self.find(chosen).is_selected():
            self.find(chosen).click()
        self.find("button[value=approve]").click()
        if approves:
            WebDriverWait(self.driver, 60).until(lambda driver: driver.find_elements(By.ID, "code"))
            self.fill("form[action$='/approve']", code=self.customer.person.code())


class TestTheWebApp:
    def test_offers_what_its_software_is_licensed_for(self, bank: LiveServer, data_dir: Path):
        """An account reader's page has nothing to pay with; what it has registered is kept for its owner alone."""
        with running(bank, data_dir, "aisp") as url, httpx.Client(transport=httpx.HTTPTransport(retries=8)) as client:
            page = client.get(url)
            stranger = client.post(f"{url}/accounts", data={"csrf": "another"})
        assert "Link accounts" in page.text
        assert "Pay by bank" not in page.text
        assert (stranger.status_code, "out of date" in stranger.text) == (400, True)
        (kept,) = (data_dir / "tpp_web_app").glob("aisp-*.json")
        assert kept.stat().st_mode & 0o777 == 0o600

    def test_says_how_it_comes_to_another_port(self, bank: LiveServer, data_dir: Path):
        """The directory's statement names one port; the refusal of another says what to ask the directory for."""
        with held(1) as (port,):
            command = [sys.executable, str(ROOT / "examples" / "tpp_web_app" / "app.py"), f"--data-dir={data_dir}"]
            command += [f"--bank={bank.base(SLUG)}", f"--port={port}"]
            ended = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False, timeout=60)
        assert ended.returncode == 1
        asked = f"directory statement all --redirect-uri=http://127.0.0.1:{port}/callback > {port}.jwt"
        assert asked in ended.stderr
        assert f"--port={port} --statement={port}.jwt" in ended.stderr

    def test_goes_the_whole_way_in_a_browser(self, bank: LiveServer, data_dir: Path, chromium: Chrome):
        """Pay, link accounts, save automatically, and take it back: what the bank asks, the customer answers."""
        customer = Customer(bank, SLUG)
        payee = {"name": "Ada Lovelace", "scheme": "UK.OBIE.Wallet", "identification": customer.savings}
        with running(bank, data_dir, "all") as url:
            person = Person(chromium, customer)
            chromium.get(url)
            person.wait_for("Your money, in one place")
            person.fill("#pay", **payee, currency="GBP", amount="12.50", reference="Rent")
            person.sign_in()
            person.agree(approves=True)
            assert "12.50 GBP" in person.wait_for("Paid")
            self._link_accounts(person, url, bank)
            self._save_automatically(person, url, payee)

    @staticmethod
    def _link_accounts(person: Person, url: str, bank: LiveServer) -> None:
        """See the accounts that were chosen, and the payment on them; come back for it; then see nothing any longer."""
        person.driver.get(url)
        person.find("#link button").click()
        person.agree(approves=False)
        assert "87.50 GBP" in person.wait_for("Linked accounts")
        person.find("h2 a").click()
        assert "-12.50 GBP" in person.wait_for("Transactions")
        person.driver.back()
        person.wait_for("Linked accounts")
        with bank.client(SLUG) as staff:
            consent_id = person.driver.current_url.rpartition("/")[2]
            staff.post(f"/v1/consents/{consent_id}/require-reauthentication", json={"reason": "It looks like fraud."})
        person.driver.refresh()
        assert "U028" in person.wait_for("That was not done")
        person.find("form[action$='/again'] button").click()
        person.wait_for("go on seeing your accounts")
        person.find("button[value=approve]").click()
        person.wait_for("Linked accounts")
        person.find("form[action$='/revoke'] button").click()
        assert "Linked accounts" not in person.wait_for("Your money, in one place")

    @staticmethod
    def _save_automatically(person: Person, url: str, payee: dict[str, str]) -> None:
        """Allow recurring payments, make one, try one that is too large, and take it back."""
        person.driver.get(url)
        person.fill("#recurring", **payee, currency="GBP", amount="20.00", monthly="50.00")
        person.agree(approves=True)
        assert "at most 20.00 GBP" in person.wait_for("Recurring payments")
        person.fill("form[action$='/payments']", amount="7.00")
        assert "7.00 GBP" in person.wait_for("Paid")
        person.driver.back()
        person.wait_for("Recurring payments")
        person.fill("form[action$='/payments']", amount="21.00")
        assert "U014" in person.wait_for("That was not done")
        person.driver.back()
        person.wait_for("Recurring payments")
        person.find("form[action$='/revoke'] button").click()
        assert "Recurring payments" not in person.wait_for("Your money, in one place")
