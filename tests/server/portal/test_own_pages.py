"""The portal's pages of requests and webhooks: what is looked up, made, changed and delivered again on them."""

import html
import re
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from billfold import errors
from billfold_server.people.pages import forms
from billfold_server.portal.pages import ROOT, once
from tests.live import LiveServer
from tests.server.people.persons import Browser, Person, a_person, enrol
from tests.server.portal.visits import call_of

URL = "https://partner.example/portal"
SECRET = re.compile(r'<code id="secret">(whsec_[A-Za-z0-9+/=]+)</code>')
DELIVERY = re.compile(r'href="/t/alpha(/portal/webhooks/deliveries/whd_[a-z0-9]+)"')


@pytest.fixture(scope="module")
def client(live: LiveServer) -> Iterator[httpx.Client]:
    """A program's client."""
    with live.client("alpha", ["parties:write", "parties:read", "audit:read", "webhooks:read"]) as client:
        yield client


def make(browser: Browser, **form: str) -> tuple[str, str]:
    """Add an endpoint by its form, and return the path of its page and its secret."""
    new = f"{ROOT}/webhooks/new"
    made = browser.submit(browser.get(new), new, url=URL, **form)
    assert made.status_code == 200, made.text
    (secret,) = SECRET.findall(made.text)
    (path,) = re.findall(r'href="/t/alpha(/portal/webhooks/whe_[a-z0-9]+)"', made.text)
    return path, secret


def press(browser: Browser, path: str, what: str, **form: str) -> httpx.Response:
    """Send one of the forms of an endpoint's page."""
    return browser.submit(browser.get(path), f"{path}/{what}", **form)


def delivery_of(browser: Browser, path: str) -> str:
    """Send an endpoint a test event, and return the path of its delivery's page."""
    press(browser, path, "test")
    deadline = time.monotonic() + 60
    while not (found := DELIVERY.findall(browser.get(path).text)):
        assert time.monotonic() < deadline, "it was told of nothing"
    return str(found[0])


def actions(client: httpx.Client, path: str) -> list[tuple[str, str]]:
    """Return what was done to an endpoint and by whom, the last thing first."""
    params = {"object_id": path.rsplit("/", 1)[1]}
    return [(each["action"], each["actor"]) for each in client.get("/v1/audit-records", params=params).json()["data"]]


class TestRequests:
    def test_are_found_by_their_id(self, browser: Browser, client: httpx.Client):
        """Whoever has the id of an answer sees what was asked, and nothing of what people are called."""
        answer = client.post("/v1/parties", json={"kind": "person", "name": "Zoë Canary"})
        request_id = answer.headers["x-request-id"]
        found = browser.get(f"{ROOT}/requests", params={"request_id": request_id, "method": "", "operation": ""})
        assert found.status_code == 200
        assert f'href="/t/alpha{ROOT}/requests/{request_id}"' in found.text
        shown = html.unescape(browser.get(f"{ROOT}/requests/{request_id}").text)
        assert '"kind": "person"' in shown
        assert '"name": "[withheld]"' in shown
        assert answer.json()["id"] in shown
        assert "Canary" not in shown

    def test_are_looked_for_by_what_is_known_of_them(self, browser: Browser, client: httpx.Client):
        """Filters of all kinds meet; what can't be one of its kind finds nothing, and breaks nothing."""
        refused = client.post("/v1/parties", json={}).headers["x-request-id"]
        fine = client.get("/v1/parties").headers["x-request-id"]
        page = browser.get(f"{ROOT}/requests", params={"status_class": "4xx", "operation": "createParty"}).text
        assert (refused in page, fine in page) == (True, False)
        for wrong in ({"client_id": "nobody"}, {"status_class": "9xx"}, {"operation": "<x>"}, {"request_id": "?"}):
            found = browser.get(f"{ROOT}/requests", params=wrong)
            assert found.status_code == 200
            assert fine not in found.text

    def test_go_on_page_by_page(self, browser: Browser, client: httpx.Client):
        """Older ones are behind a link, and keep what was asked for."""
        asked = [client.get("/v1/parties", params={"limit": 1}).headers["x-request-id"] for _ in range(30)]
        first = browser.get(f"{ROOT}/requests", params={"operation": "listParties"})
        (older,) = re.findall(rf'href="/t/alpha({ROOT}/requests\?[^"]*)" rel="next"', first.text)
        second = browser.get(html.unescape(older))
        assert all((each in first.text) is not (each in second.text) for each in asked)

    def test_of_others_or_of_nobody_are_not_there(self, browser: Browser, live: LiveServer):
        """What another tenant was asked isn't found here, and neither is what never was."""
        with live.client("beta", ["parties:read"]) as elsewhere:
            request_id = elsewhere.get("/v1/parties").headers["x-request-id"]
        assert browser.get(f"{ROOT}/requests/{request_id}").status_code == 404
        assert browser.get(f"{ROOT}/requests/req_that_never_was").status_code == 404


class TestAWebhook:
    def test_is_added_and_shows_its_secret_once(self, browser: Browser, client: httpx.Client, developer: Person):
        """It is the one that the API shows, made in the person's name; no other page has the secret."""
        path, secret = make(browser, description="Shop", types="wallet.created", **{"family.payment": "on"})
        shown = client.get(f"/v1/webhook-endpoints/{path.rsplit('/', 1)[1]}").json()
        assert (shown["url"], shown["description"]) == (URL, "Shop")
        assert shown["event_types"] == ["payment.*", "wallet.created"]
        assert actions(client, path) == [("webhook_endpoint.created", developer.user_id)]
        page = browser.get(path)
        assert secret not in page.text
        assert URL in browser.get(f"{ROOT}/webhooks").text
        browser.submit(browser.get(f"{path}/delete"), f"{path}/delete")

    @pytest.mark.parametrize(
        ("form", "said"),
        [
            ({"url": "http://partner.example/x"}, "Nothing can be delivered"),
            ({"url": "https://10.0.0.1/x"}, "billfold webhooks listen"),
            ({"url": "nowhere"}, "spelled as addresses are"),
            ({"url": URL, "types": "Not A Type!"}, "spelled as types of events"),
            ({"url": URL, "types": "nonsense.event"}, "spelled as types of events"),
        ],
    )
    def test_that_cannot_be_is_asked_for_again(self, browser: Browser, form: dict[str, str], said: str):
        """The form comes back with what was typed and what is wrong with it."""
        answer = browser.submit(browser.get(f"{ROOT}/webhooks/new"), f"{ROOT}/webhooks/new", **form)
        assert answer.status_code == 422
        assert said in answer.text
        assert html.escape(form["url"]) in answer.text

    def test_is_changed_paused_rotated_and_deleted(self, browser: Browser, client: httpx.Client):
        """Each is what the API's operation does, and is told on the page."""
        path, first = make(browser)
        api = f"/v1/webhook-endpoints/{path.rsplit('/', 1)[1]}"
        changed = browser.submit(browser.get(f"{path}/change"), f"{path}/change", url=f"{URL}/2", types="party.created")
        assert changed.headers["location"] == f"/t/alpha{path}?notice=changed"
        assert press(browser, path, "state", state="paused").status_code == 303
        shown = client.get(api).json()
        assert (shown["url"], shown["event_types"], shown["state"]) == (f"{URL}/2", ["party.created"], "paused")
        page = browser.get(path)
        (second,) = SECRET.findall(browser.submit(page, f"{path}/rotate").text)
        assert second != first
        # A reload doesn't take from receivers the secret that they still verify by.
        twice = browser.submit(page, f"{path}/rotate")
        assert twice.headers["location"] == f"/t/alpha{path}?notice=stale"
        assert "Nothing was changed" in browser.get(f"{path}?notice=stale").text
        assert press(browser, path, "state", state="enabled").status_code == 303
        assert client.get(api).json()["former_secret_until"] is not None
        assert "It is changed." in browser.get(f"{path}?notice=changed").text
        gone = browser.submit(browser.get(f"{path}/delete"), f"{path}/delete")
        assert gone.headers["location"] == f"/t/alpha{ROOT}/webhooks?notice=deleted"
        assert (client.get(api).status_code, browser.get(path).status_code) == (404, 404)

    def test_is_made_once_by_a_form_that_comes_twice(self, browser: Browser):
        """A button is pressed twice, or the page with the secret is loaded again: all events would come twice since."""
        new, url = f"{ROOT}/webhooks/new", f"{URL}/twice"
        form = browser.get(new)
        assert [browser.submit(form, new, url="http://partner.example/x").status_code for _ in range(2)] == [422, 422]
        answers = [browser.submit(form, new, url=url) for _ in range(2)]
        assert [each.status_code for each in answers] == [200, 409]
        assert (browser.get(f"{ROOT}/webhooks").text.count(url), "was sent before" in answers[1].text) == (1, True)
        assert browser.submit(browser.get(new), new, url=url).status_code == 200, "another form makes another one"

    def test_is_made_once_by_two_presses_at_the_same_moment(self, browser: Browser):
        """The second one doesn't wait until the first is done."""
        new, url = f"{ROOT}/webhooks/new", f"{URL}/at-once"
        form = browser.get(new)
        with ThreadPoolExecutor() as pool:
            answers = pool.map(lambda _: browser.submit(form, new, url=url).status_code, range(4))
            assert sorted(answers) == [200, 409, 409, 409]

    @pytest.mark.parametrize(
        ("error", "first"),
        [(errors.WebhookUrlRefused(), True), (errors.Busy(retry_after_s=1), True), (errors.OutcomeUnknown(), False)],
        ids=lambda each: getattr(each, "code", ""),
    )
    def test_may_come_again_only_where_it_was_certainly_not_made(
        self, live: LiveServer, developer: Person, error: errors.ProblemError, *, first: bool
    ):
        """Where the answer to a commit is lost, there may be one already, which the page's list shows."""
        form = {forms.ONCE: secrets.token_hex(6)}

        async def press() -> bool:
            call = await call_of(developer, f"{ROOT}/webhooks/new")
            with pytest.raises(type(error)):
                async with once(call, form):
                    raise error
            async with once(call, form) as counts:
                return counts

        assert live.run(press()) is first

    def test_is_tried_out_and_told_again(self, browser: Browser):
        """A test event reaches it whatever it wants; each delivery shows its attempts, and goes out again."""
        path, _ = make(browser, types="party.erased")
        assert press(browser, path, "test").headers["location"].endswith("?notice=tested")
        page = browser.get(path)
        deadline = time.monotonic() + 60
        while not (found := DELIVERY.findall(page.text)) and time.monotonic() < deadline:
            page = browser.get(path)
        (delivery,) = found
        assert "webhook_endpoint.tested" in page.text
        while "POST https://partner.example" not in browser.get(delivery).text and time.monotonic() < deadline:
            pass
        shown = browser.get(delivery).text
        assert "webhook-signature: " in shown
        assert (
            browser.submit(browser.get(delivery), f"{delivery}/replay").headers["location"].endswith("?notice=replayed")
        )
        again = press(browser, path, "replay", after="0", up_to="x")
        assert "notice=replayed&number=0" in again.headers["location"]
        assert "again: 0." in browser.get(again.headers["location"].removeprefix("/t/alpha")).text
        backwards = press(browser, path, "replay", after="7", up_to="6").headers["location"]
        assert "the one after which to begin" in browser.get(backwards.removeprefix("/t/alpha")).text
        assert browser.get(path, params={"state": "delivered"}).status_code == 200
        browser.submit(browser.get(f"{path}/delete"), f"{path}/delete")

    def test_is_only_looked_at_by_who_may_only_look(self, live: LiveServer, browser: Browser):
        """An auditor sees endpoints and deliveries, and no way to change them; forms are refused."""
        path, _ = make(browser)
        person = a_person(live, "alpha", realm="staff", roles=("auditor",))
        enrol(person)
        auditor = person.sign_in()
        auditor.base_url = httpx.URL(live.base("alpha"))
        page = auditor.get(path)
        assert (page.status_code, "/rotate" in page.text, "/delete" in page.text) == (200, False, False)
        assert auditor.get(f"{ROOT}/webhooks/new").status_code == 403
        own = auditor.get(f"{ROOT}/requests")
        token = re.findall(r'name="csrf" value="([^"]+)"', own.text)[0]
        for what in ("rotate", "state", "delete", "test", "replay", "change"):
            answer = auditor.post(f"{path}/{what}", data={"csrf": token, "url": URL})
            assert answer.status_code == 403, what
        browser.submit(browser.get(f"{path}/delete"), f"{path}/delete")

    def test_is_changed_by_forms_of_this_visit_alone(self, browser: Browser):
        """A form without its token does nothing."""
        path, _ = make(browser)
        for what in ("rotate", "state", "delete", "test", "replay", "change"):
            assert browser.post(f"{path}/{what}", data={"url": URL}).status_code == 403, what
        assert browser.post(f"{ROOT}/webhooks/new", data={"url": URL}).status_code == 403
        assert browser.get(path).status_code == 200
        browser.submit(browser.get(f"{path}/delete"), f"{path}/delete")
