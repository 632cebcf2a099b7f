"""The portal's pages of API clients: who sees which, what is made and changed on them, and what waits for two."""

import html
import json
import re

import httpx
import pytest

from billfold.keys import PemKey
from billfold_server.portal.pages import ROOT
from tests.live import LiveServer
from tests.server.partners.worlds import World, member_of
from tests.server.people.persons import Browser, Person, a_person, enrol
from tests.server.portal.visits import agree, at, token_of
from tests.tenants import manifest

SECRET = re.compile(r'<code id="secret">(bfs_[A-Za-z0-9_-]+)</code>')
ID = re.compile(r'<code id="client-id">(cli_[a-z0-9]+)</code>')
OFFERED = re.compile(r'name="scope\.([a-z:_]+)"')
NEW = f"{ROOT}/clients/new"
TWO = "two_for_keys"


def staff(live: LiveServer, slug: str, *roles: str) -> Person:
    """Return somebody of the bank who has enrolled."""
    person = a_person(live, slug, realm="staff", roles=roles)
    enrol(person)
    return person


@pytest.fixture(scope="module")
def member(world: World) -> Person:
    """A partner's developer."""
    return member_of(world, world.one, "developer")


@pytest.fixture(scope="module")
def browser(member: Person) -> Browser:
    """Their browser, signed in."""
    return at(member)


@pytest.fixture(scope="module")
def two(live: LiveServer) -> tuple[Person, Browser, Person]:
    """A tenant that takes keys alone and lets nobody replace them alone: who asks, their browser, and who agrees."""
    changes = {"security_profile": "fapi2", "approvals": {"always": ["client_keys"]}}
    live.add_tenant(manifest(TWO, **changes))
    owner = staff(live, TWO, "owner")
    return owner, at(owner), a_person(live, TWO, realm="staff", roles=("approver",))


def make(browser: Browser, *scopes: str, **form: str) -> httpx.Response:
    """Send the form of a new client."""
    chosen = {f"scope.{each}": "on" for each in scopes}
    return browser.submit(browser.get(NEW), NEW, client_name="Payouts", **chosen, **form)


def press(browser: Browser, client_id: str, what: str, **form: str) -> httpx.Response:
    """Send one of the forms of a client: of its own page, or of one that asks once more."""
    path = f"{ROOT}/clients/{client_id}"
    page = browser.get(f"{path}/{what}" if what in {"keys", "disable"} else path)
    return browser.submit(page, f"{path}/{what}", **form)


def actions(world: World, client_id: str) -> list[tuple[str, str]]:
    """Return what was done to a client and by whom, the last thing first."""
    found = world.bank.get("/v1/audit-records", params={"object_id": client_id}).json()["data"]
    return [(each["action"], each["actor"]) for each in found]


def lets_in(live: LiveServer, client_id: str, secret: str) -> bool:
    """Tell whether a client gets a token by a secret."""
    form = {"grant_type": "client_credentials"}
    return httpx.post(f"{live.base('alpha')}/oauth/token", data=form, auth=(client_id, secret)).status_code == 200


class TestAMemberOfAPartner:
    def test_makes_a_client_that_works_and_sees_its_secret_once(
        self, world: World, member: Person, browser: Browser
    ) -> None:
        """It is the partner's, has what was chosen of what the partner has, and was made in the person's name."""
        offered = OFFERED.findall(browser.get(NEW).text)
        assert offered == sorted({*world.one.partner["client_scopes"]} - {"members:write"})
        answer = make(browser, "wallets:read", "events:read")
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
        (client_id,), (secret,) = ID.findall(answer.text), SECRET.findall(answer.text)
        assert lets_in(world.live, client_id, secret)
        shown = world.bank.get(f"/v1/clients/{client_id}").json()
        assert (shown["scope"], shown["partner_id"]) == ("events:read wallets:read", world.one.partner["id"])
        assert actions(world, client_id) == [("client.created", member.user_id)]
        page = browser.get(f"{ROOT}/clients/{client_id}").text
        assert "Payouts" in page
        assert secret not in page + browser.get(f"{ROOT}/clients").text

    def test_rotates_disables_and_enables_it(self, world: World, browser: Browser) -> None:
        """Each is what the API's operation does, at once."""
        made = make(browser, "wallets:read")
        (client_id,), (first,) = ID.findall(made.text), SECRET.findall(made.text)
        (second,) = SECRET.findall(press(browser, client_id, "rotate-secret", overlap_s="0").text)
        assert (lets_in(world.live, client_id, first), lets_in(world.live, client_id, second)) == (False, True)
        place = f"/t/alpha{ROOT}/clients/{client_id}?notice="
        assert press(browser, client_id, "disable").headers["location"] == f"{place}disabled"
        assert world.bank.get(f"/v1/clients/{client_id}").json()["state"] == "disabled"
        assert press(browser, client_id, "enable").headers["location"] == f"{place}enabled"
        assert "let in again" in browser.get(f"{ROOT}/clients/{client_id}", params={"notice": "enabled"}).text
        done = [action for action, _ in actions(world, client_id)]
        assert done == ["client.enabled", "client.disabled", "client.secret_rotated", "client.created"]

    def test_rotates_no_second_time_by_the_same_form(self, world: World, browser: Browser) -> None:
        """A reload of the page that shows the new secret doesn't end the one that programs still have."""
        made = make(browser, "wallets:read")
        (client_id,), (first,) = ID.findall(made.text), SECRET.findall(made.text)
        path = f"{ROOT}/clients/{client_id}"
        page = browser.get(path)
        (second,) = SECRET.findall(browser.submit(page, f"{path}/rotate-secret", overlap_s="86400").text)
        again = browser.submit(page, f"{path}/rotate-secret", overlap_s="86400")
        assert (again.status_code, "Nothing was changed" in again.text, SECRET.findall(again.text)) == (409, True, [])
        assert lets_in(world.live, client_id, first)
        assert lets_in(world.live, client_id, second)

    def test_makes_one_client_by_a_form_that_comes_twice(self, browser: Browser) -> None:
        """The second one's secret would be seen, and the first one's by nobody."""
        page = browser.get(NEW)
        named = {"client_name": "Twice", "scope.wallets:read": "on"}
        answers = [browser.submit(page, NEW, **named) for _ in range(2)]
        assert [(each.status_code, len(SECRET.findall(each.text))) for each in answers] == [(200, 1), (409, 0)]
        assert browser.get(f"{ROOT}/clients").text.count(">Twice<") == 1

    def test_connects_a_program_by_its_key_and_gives_it_another(self, world: World, browser: Browser) -> None:
        """A JWK Set is taken, and the one key as well; the page names keys by their ids."""
        keys = [PemKey.generate().public_jwk for _ in range(2)]
        made = make(browser, "wallets:read", method="private_key_jwt", jwks=json.dumps(keys[0]))
        client_id = made.headers["location"].rpartition("/")[2]
        assert str(keys[0]["kid"]) in browser.get(f"{ROOT}/clients/{client_id}").text
        both = json.dumps({"keys": keys})
        assert press(browser, client_id, "keys", jwks=both).headers["location"].endswith("?notice=rekeyed")
        assert world.bank.get(f"/v1/clients/{client_id}").json()["jwks"] == {"keys": keys}

    def test_is_asked_again_for_what_cannot_be(self, browser: Browser) -> None:
        """The form comes back with what was chosen and what is wrong; a private key is shown to nobody."""
        private = {"kty": "OKP", "crv": "Ed25519", "kid": "1", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
        wrong = {
            "at least one scope": make(browser),
            "only such as you": make(browser, "wallets:read", "ledger:write"),
            "": make(browser, "members:write"),
            "be a JWK Set": make(browser, "wallets:read", method="private_key_jwt", jwks="{"),
            "without its private": make(
                browser, "wallets:read", method="private_key_jwt", jwks=json.dumps({**private, "d": "canary"})
            ),
        }
        for said, answer in wrong.items():
            assert (answer.status_code, said in html.unescape(answer.text)) == (422, True), said
            assert 'value="Payouts"' in answer.text
            assert "canary" not in answer.text

    def test_comes_to_no_rights_over_people_by_a_program(self, world: World, browser: Browser) -> None:
        """A developer can't get at a client that may change who has which role; an admin can."""
        made = world.one.credentials
        refused = press(browser, made.client_id, "rotate-secret", overlap_s="0")
        assert (refused.status_code, SECRET.findall(refused.text)) == (403, [])
        assert lets_in(world.live, made.client_id, made.secret)
        offered = OFFERED.findall(at(member_of(world, world.one, "admin")).get(NEW).text)
        assert "members:write" in offered

    def test_finds_nobody_elses(self, world: World, browser: Browser) -> None:
        """A client of another partner, or of the bank itself, isn't there: not to see, and for no form."""
        token = token_of(browser)
        listed = browser.get(f"{ROOT}/clients").text
        assert world.one.client["id"] in listed
        for side in (world.other, world.own):
            before = actions(world, side.client["id"])
            path = f"{ROOT}/clients/{side.client['id']}"
            assert side.client["id"] not in listed
            answers = [browser.get(f"{path}{each}") for each in ("", "/keys", "/disable")]
            answers += [
                browser.post(f"{path}/{each}", data={"csrf": token, "jwks": '{"keys": []}'})
                for each in ("rotate-secret", "keys", "disable", "enable")
            ]
            assert [each.status_code for each in answers] == [404] * 7
            assert actions(world, side.client["id"]) == before

    def test_does_nothing_by_a_form_of_another_visit_or_role(self, world: World, browser: Browser) -> None:
        """Without the form's token, the session or the scope, nothing is made or changed."""
        path = f"{ROOT}/clients/{world.one.client['id']}"
        viewer = at(member_of(world, world.one, "viewer"))
        page = viewer.get(path)
        assert (page.status_code, "/rotate-secret" in page.text) == (200, False)
        token = token_of(viewer)
        before = actions(world, world.one.client["id"])
        for each in (NEW, *(f"{path}/{what}" for what in ("rotate-secret", "keys", "disable", "enable"))):
            assert browser.post(each, data={"client_name": "x"}).status_code == 403, each
            assert viewer.post(each, data={"client_name": "x", "csrf": token}).status_code == 403, each
            assert httpx.post(f"{world.live.base('alpha')}{each}", data={"csrf": token}).status_code in {303, 403}
        assert actions(world, world.one.client["id"]) == before


class TestTheBanksStaff:
    def test_sees_every_client_and_manages_no_stronger_one(self, world: World) -> None:
        """Partners' clients are listed with the bank's own; one that may more than they do isn't theirs to rotate."""
        developer = at(staff(world.live, "alpha", "developer"))
        path = f"{ROOT}/clients/{world.one.client['id']}"
        assert world.one.partner["id"] in developer.get(path).text
        refused = press(developer, world.one.client["id"], "rotate-secret")
        assert refused.status_code == 403
        assert "yours to manage" in refused.text
        assert not SECRET.findall(refused.text)
        listed = ""
        more = [f"{ROOT}/clients"]
        while more:
            page = developer.get(html.unescape(more[0])).text
            listed += page
            more = re.findall(rf'href="/t/alpha({ROOT}/clients\?[^"]*)" rel="next"', page)
        assert all(side.client["id"] in listed for side in (world.one, world.other, world.own))


class TestWhatTakesTwoPeople:
    def test_waits_and_is_done_when_its_maker_asks_again(
        self, live: LiveServer, two: tuple[Person, Browser, Person]
    ) -> None:
        """Keys are replaced once, after another person has agreed over the API; before, nothing happens."""
        _, browser, approver = two
        keys = [PemKey.generate().public_jwk for _ in range(2)]
        page = browser.get(NEW)
        assert 'name="method"' not in page.text
        made = browser.submit(page, NEW, client_name="Keys", jwks=json.dumps(keys[0]), **{"scope.clients:read": "on"})
        client_id = made.headers["location"].rpartition("/")[2]
        path = f"{ROOT}/clients/{client_id}/keys"
        waits = press(browser, client_id, "keys", jwks=json.dumps({"keys": keys[1:]}))
        assert waits.status_code == 202
        (approval_id,) = re.findall(r'<code id="approval">(apr_[a-z0-9]+)</code>', waits.text)
        again = browser.submit(waits, path)
        assert (again.status_code, approval_id in again.text) == (202, True)
        assert str(keys[0]["kid"]) in browser.get(f"{ROOT}/clients/{client_id}").text
        live.run(agree(live, approver, approval_id))
        assert browser.submit(again, path).headers["location"].endswith("?notice=rekeyed")
        shown = browser.get(f"{ROOT}/clients/{client_id}").text
        assert (str(keys[0]["kid"]) in shown, str(keys[1]["kid"]) in shown) == (False, True)
        assert browser.submit(again, path).status_code == 202
