"""The portal's pages of a partner's members: who is let in, changed and removed on them, and by whom."""

import html
import re
import secrets

import httpx
import pytest

from billfold_server.portal.pages import ROOT
from tests.live import LiveServer
from tests.server.partners.worlds import World, member_of
from tests.server.people.persons import Browser, Person, a_person, enrol
from tests.server.portal.visits import agree, at, token_of
from tests.tenants import manifest

NEW = f"{ROOT}/members/new"
TWO = "two_for_roles"
APPROVAL = re.compile(r'<code id="approval">(apr_[a-z0-9]+)</code>')
LINK = re.compile(r'<code id="link">([^<]+)</code>')


@pytest.fixture(scope="module")
def admin(world: World) -> Person:
    """Who lets people in at a partner."""
    return member_of(world, world.one)


@pytest.fixture(scope="module")
def browser(admin: Person) -> Browser:
    """Their browser, signed in."""
    return at(admin)


def invite(browser: Browser, name: str, role: str = "developer") -> httpx.Response:
    """Send the form of a new member."""
    return browser.submit(browser.get(NEW), NEW, login_name=name, display_name="Grace Hopper", role=role)


class TestAnAdmin:
    def test_lets_somebody_in_by_a_link_that_is_shown_once(self, world: World, admin: Person, browser: Browser) -> None:
        """The link lets them enrol; a change of role and the removal are the API's, under the admin's name."""
        name = f"grace.{secrets.token_hex(4)}@partner.example"
        answer = invite(browser, name)
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
        (link,) = LINK.findall(answer.text)
        assert httpx.get(html.unescape(link)).status_code == 200
        (user_id,) = re.findall(rf'href="/t/alpha{ROOT}/members/(usr_[a-z0-9]+)"', answer.text)
        path = f"{ROOT}/members/{user_id}"
        listed = browser.get(f"{ROOT}/members").text
        assert name in listed
        assert link not in listed + browser.get(path).text
        changed = browser.submit(browser.get(path), f"{path}/role", role="viewer")
        assert changed.headers["location"] == f"/t/alpha{path}?notice=changed"
        (again,) = LINK.findall(browser.submit(browser.get(path), f"{path}/invite").text)
        assert again != link
        shown = world.bank.get(f"/v1/partners/{world.one.partner['id']}/members/{user_id}").json()
        assert (shown["partner_role"], shown["login_name"]) == ("viewer", name)
        gone = browser.submit(browser.get(f"{path}/remove"), f"{path}/remove")
        assert gone.headers["location"] == f"/t/alpha{ROOT}/members?notice=removed"
        assert browser.get(path).status_code == 404
        found = world.bank.get("/v1/audit-records", params={"object_id": user_id}).json()["data"]
        assert {each["actor"] for each in found} == {admin.user_id}

    def test_lets_nobody_in_twice_by_a_form_that_comes_twice(self, browser: Browser) -> None:
        """Nor says that the name is taken, which was free."""
        page = browser.get(NEW)
        who = {"login_name": f"grace.{secrets.token_hex(4)}", "display_name": "Grace Hopper", "role": "viewer"}
        answers = [browser.submit(page, NEW, **who) for _ in range(2)]
        assert [each.status_code for each in answers] == [200, 409]
        assert "was sent before" in answers[1].text

    def test_is_asked_again_for_who_cannot_be(self, world: World, browser: Browser) -> None:
        """A name that is taken, or none, comes back with what was typed."""
        taken = invite(browser, world.one.member["login_name"])
        assert (taken.status_code, "has this login name" in taken.text) == (422, True)
        assert world.one.member["login_name"] in taken.text
        assert invite(browser, "", role="emperor").status_code == 422

    def test_finds_nobody_elses_and_does_nothing_without_the_forms_token(self, world: World, browser: Browser) -> None:
        """Another partner's member isn't there; a form of another visit does nothing."""
        token = token_of(browser)
        for side, csrf, status in ((world.other, token, 404), (world.one, "", 403)):
            path = f"{ROOT}/members/{side.member['id']}"
            for what in ("role", "invite", "remove"):
                answer = browser.post(f"{path}/{what}", data={"csrf": csrf, "role": "admin"})
                assert answer.status_code == status, what
        assert browser.get(f"{ROOT}/members/{world.other.member['id']}").status_code == 404
        assert world.other.member["login_name"] not in browser.get(f"{ROOT}/members").text


class TestWhoIsNoAdmin:
    def test_only_looks(self, world: World) -> None:
        """A developer of the partner sees colleagues; neither they nor the bank's people change them here."""
        developer = at(member_of(world, world.one, "developer"))
        path = f"{ROOT}/members/{world.one.member['id']}"
        page = developer.get(path)
        assert (page.status_code, f"{path}/invite" in page.text) == (200, False)
        token = token_of(developer)
        for each in (NEW, f"{path}/role", f"{path}/invite", f"{path}/remove"):
            assert developer.post(each, data={"csrf": token, "role": "admin"}).status_code == 403, each
        person = a_person(world.live, "alpha", realm="staff", roles=("owner",))
        enrol(person)
        bank = at(person)
        assert bank.get(f"{ROOT}/members").status_code == 403
        assert f'{ROOT}/members"' not in bank.get(ROOT).text


class TestWhatTakesTwoPeople:
    def test_waits_and_is_done_once_another_agrees(self, live: LiveServer) -> None:
        """A member is let in by the second person's word, and by none before; a new link, when its maker asks again."""
        live.add_tenant(manifest(TWO, approvals={"always": ["roles", "re_enrolment"]}))
        approver = a_person(live, TWO, realm="staff", roles=("approver",))
        with live.client(TWO) as bank:
            partner = bank.post("/v1/partners", json={"name": "Example Shop Ltd", "client_scopes": []}).json()["id"]
            members = f"/v1/partners/{partner}/members"
            body = {"login_name": "ada@partner.example", "display_name": "Ada Lovelace", "role": "admin"}
            asked = bank.post(members, json=body, headers={"Idempotency-Key": "ada"})
            live.run(agree(live, approver, asked.json()["facts"]["approval_id"]))
            (ada,) = bank.get(members).json()["data"]
            code = bank.post(f"{members}/{ada['id']}/enrolment-codes").json()["code"]
            person = Person(live, TWO, "/auth/partner", user_id=ada["id"], name=ada["login_name"], enrolment=code)
            enrol(person)
            browser = at(person)
            waiting = invite(browser, "grace@partner.example")
            assert waiting.status_code == 202
            pressed_again = invite(browser, "grace@partner.example")
            assert APPROVAL.findall(pressed_again.text) == APPROVAL.findall(waiting.text)
            assert not LINK.findall(waiting.text)
            assert len(bank.get(members).json()["data"]) == 1
            live.run(agree(live, approver, APPROVAL.findall(waiting.text)[0]))
            grace, _ = bank.get(members).json()["data"]
            assert (grace["login_name"], grace["partner_role"]) == ("grace@partner.example", "developer")
            path = f"{ROOT}/members/{grace['id']}"
            waiting = browser.submit(browser.get(path), f"{path}/role", role="admin")
            assert waiting.status_code == 202
            assert bank.get(f"{members}/{grace['id']}").json()["partner_role"] == "developer"
            path = f"{ROOT}/members/{ada['id']}"
            waiting = browser.post(f"{path}/invite", data={"csrf": token_of(browser)})
            assert waiting.status_code == 202
            live.run(agree(live, approver, APPROVAL.findall(waiting.text)[0]))
            assert LINK.findall(browser.submit(waiting, f"{path}/invite").text)
