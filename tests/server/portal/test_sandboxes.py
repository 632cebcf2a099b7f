"""The portal's pages of a partner's sandboxes: what is asked for on them, by whom, and what is shown once."""

import re
import secrets
import time

import httpx
import pytest

from billfold_server.portal.pages import ROOT
from tests.server.partners.worlds import World, member_of
from tests.server.people.persons import Browser, a_person, enrol
from tests.server.portal.visits import at, token_of

HERE = f"{ROOT}/sandboxes"
NEW = f"{HERE}/new"
SECRET = re.compile(r'<code id="secret">(bfs_[^<]+)</code>')
PATIENCE_S = 60


@pytest.fixture(scope="module")
def browser(world: World) -> Browser:
    """The browser of a partner's developer, signed in."""
    return at(member_of(world, world.one, "developer"))


def ask(browser: Browser, name: str, **more: str) -> httpx.Response:
    """Send the form of a new sandbox."""
    return browser.submit(browser.get(NEW), NEW, name=name, **more)


def until(browser: Browser, path: str, text: str) -> str:
    """Load a page again until it says something, as people do."""
    deadline = time.monotonic() + PATIENCE_S
    while text not in (found := browser.get(path).text):
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


class TestADeveloper:
    def test_makes_gets_into_resets_and_removes_a_sandbox(self, world: World, browser: Browser) -> None:
        """Each page says how far it is; the secret is on one page, which nothing keeps, and opens the sandbox."""
        name = f"checkout {secrets.token_hex(4)}"
        asked = ask(browser, name)
        assert asked.status_code == 303
        path = asked.headers["location"].removeprefix("/t/alpha").partition("?")[0]
        assert "is being made" in browser.get(f"{path}?notice=created").text
        page = until(browser, path, "Make credentials")
        shown = browser.get(path)
        made = browser.submit(shown, f"{path}/credentials")
        assert (made.status_code, made.headers["cache-control"]) == (200, "no-store")
        assert browser.submit(shown, f"{path}/credentials").status_code == 409, "the same button makes one client"
        (secret,) = SECRET.findall(made.text)
        (client_id,) = re.findall(r'<code id="client-id">([^<]+)</code>', made.text)
        (base,) = re.findall(r"<code>(http[^<]+)</code>", made.text)
        form = {"grant_type": "client_credentials"}
        assert httpx.post(f"{base}/oauth/token", data=form, auth=(client_id, secret)).status_code == 200
        assert secret not in page + browser.get(path).text
        again = browser.submit(browser.get(f"{path}/reset"), f"{path}/reset")
        assert again.headers["location"] == f"/t/alpha{path}?notice=reset"
        until(browser, path, "Make credentials")
        gone = browser.submit(browser.get(f"{path}/remove"), f"{path}/remove")
        assert gone.headers["location"] == f"/t/alpha{HERE}?notice=removed"
        until(browser, HERE, "There are no sandboxes yet.")
        sandboxes = world.bank.get(f"/v1/partners/{world.one.partner['id']}/sandboxes").json()["data"]
        assert sandboxes == []

    def test_is_asked_again_for_what_cannot_be(self, browser: Browser) -> None:
        """A name that is missing, and a seed that is no number, come back with what was typed."""
        wrong = ask(browser, "x", seeded="yes", seed="seven")
        assert (wrong.status_code, 'value="seven"' in wrong.text) == (422, True)
        assert ask(browser, "").status_code == 422


class TestWhoMayNot:
    def test_only_looks(self, world: World) -> None:
        """A viewer sees what there is; neither they nor the bank's people change it here."""
        viewer = at(member_of(world, world.one, "viewer"))
        page = viewer.get(HERE)
        assert (page.status_code, f'href="/t/alpha{NEW}"' in page.text) == (200, False)
        assert viewer.post(NEW, data={"csrf": token_of(viewer), "name": "x"}).status_code == 403
        person = a_person(world.live, "alpha", realm="staff", roles=("developer",))
        enrol(person)
        assert at(person).get(HERE).status_code == 403

    def test_finds_nobody_elses(self, world: World, browser: Browser) -> None:
        """Another partner's sandbox isn't there; a form of another visit does nothing."""
        theirs = f"/v1/partners/{world.other.partner['id']}/sandboxes"
        made = world.bank.post(theirs, json={"name": "theirs", "seeded": False}).json()
        path, token = f"{HERE}/{made['id']}", token_of(browser)
        for what in ("credentials", "reset", "remove"):
            assert browser.post(f"{path}/{what}", data={"csrf": token}).status_code == 404, what
        assert browser.get(path).status_code == 404
        assert browser.post(NEW, data={"csrf": "", "name": "x"}).status_code == 403
        world.bank.delete(f"{theirs}/{made['id']}")
