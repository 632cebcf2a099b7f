"""Sign-out that an app begins: the person is asked, and goes nowhere but where the app has registered."""

import re
import time
from typing import Any

import httpx
import pytest

from billfold import ids
from billfold.ids import Prefix
from billfold_server.identity import jose
from tests.live import LiveServer
from tests.server.identity import clients_of
from tests.server.identity.flows import App, Person, add_app, ask, stranger
from tests.server.people.persons import Browser

PAGE = {"Accept": "text/html"}
AFTER = "https://app.example/bye?kept=1"


@pytest.fixture(scope="module")
def leaver(profiled: LiveServer) -> App:
    """An app that ends sessions."""
    return add_app(profiled, "sandbox", post_logout_redirect_uris=[AFTER, "https://app.example/bye"])


def hint(app: App, **changes: Any) -> str:
    """Return an ID token as the realm signs it, which has expired."""
    identity = app.live.services.identity
    claims = {"iss": app.base, "aud": app.client_id, "sub": "usr_x", "exp": int(time.time()) - 3600, **changes}
    token = app.live.run(identity.signing.sign(identity.realm(app.tenant), claims, typ="JWT"))
    assert isinstance(token, str)
    return token


def leave(browser: Browser, **query: str) -> httpx.Response:
    """Come to the endpoint, as an app sends browsers."""
    return browser.get("/oauth/end-session", params=query, headers=PAGE)


def is_in(app: App, browser: Browser) -> bool:
    """Tell whether somebody is signed in in a browser."""
    return 'name="decision" value="approve"' in ask(browser, app).text


class TestAnAppThatEndsASession:
    """An app that ends a session."""

    @pytest.mark.parametrize("state", ["a b&c", None])
    def test_has_the_person_asked_and_gets_its_browser_back(self, leaver: App, person: Person, state) -> None:
        """The session ends when the person says so, and the browser goes to the registered address with the state."""
        browser = person.browser()
        said = {"id_token_hint": hint(leaver), "post_logout_redirect_uri": AFTER, "client_id": leaver.client_id}
        page = leave(browser, **said, **({"state": state} if state else {}))
        assert page.status_code == 200
        assert is_in(leaver, browser)
        answer = browser.submit(page, "/oauth/end-session/decision", decision="leave")
        assert answer.status_code == 303
        assert answer.headers["location"] == AFTER + ("&state=a%20b%26c" if state else "")
        assert not is_in(leaver, browser)

    def test_finds_it_where_the_server_says(self, leaver: App) -> None:
        """The endpoint is in the server's metadata (section 2.1)."""
        said = httpx.get(f"{leaver.base}/.well-known/openid-configuration").json()
        assert said["end_session_endpoint"] == f"{leaver.base}/oauth/end-session"

    def test_may_post_a_form_or_say_nothing(self, leaver: App, person: Person) -> None:
        """Both ways are taken (section 2), and without an address the browser stays here."""
        browser = person.browser()
        page = browser.post("/oauth/end-session", data={"client_id": leaver.client_id}, headers=PAGE)
        answer = browser.submit(page, "/oauth/end-session/decision", decision="leave")
        assert answer.headers["location"].endswith("/auth/signed-out")
        assert leave(stranger(leaver.live, "sandbox")).headers["location"].endswith("/auth/signed-out")

    @pytest.mark.parametrize("by", ["id_token_hint", "both"])
    def test_is_heard_when_the_key_of_its_id_token_is_gone(self, leaver: App, person: Person, by: str) -> None:
        """People stay signed in for longer than a key that was replaced; what can't be verified names the app alone."""
        claims = {"iss": leaver.base, "aud": leaver.client_id, "sub": "usr_x", "exp": int(time.time()) - 86_400}
        gone = jose.sign(claims, clients_of.key_for("ES256"), alg="ES256", kid=ids.new(Prefix.SIGNING_KEY), typ="JWT")
        said, browser = (
            {"id_token_hint": gone} | ({} if by != "both" else {"client_id": leaver.client_id}),
            person.browser(),
        )
        page = leave(browser, **said, post_logout_redirect_uri=AFTER)
        answer = browser.submit(page, "/oauth/end-session/decision", decision="leave")
        assert (answer.status_code, answer.headers.get("location")) == (303, AFTER)
        assert not is_in(leaver, browser)
        told = leave(stranger(leaver.live, "sandbox"), **said, post_logout_redirect_uri="https://evil.example/")
        assert (told.status_code, "location" in told.headers) == (400, False)

    def test_ends_nothing_where_the_person_stays(self, leaver: App, person: Person) -> None:
        """Everything but the one button leaves the session as it is."""
        browser = person.browser()
        page = leave(browser, id_token_hint=hint(leaver), post_logout_redirect_uri=AFTER)
        answer = browser.submit(page, "/oauth/end-session/decision", decision="stay")
        assert answer.headers["location"].endswith("/auth/account")
        assert is_in(leaver, browser)

    def test_ends_nothing_by_a_form_of_another_site(self, leaver: App, person: Person) -> None:
        """Without the page's token nobody is signed out (CSRF)."""
        browser = person.browser()
        page = leave(browser, client_id=leaver.client_id)
        fields = dict(re.findall(r'name="([a-z_]+)" value="([^"]*)"', page.text))
        path = "/oauth/end-session/decision"
        assert browser.post(path, data={**fields, "csrf": "", "decision": "leave"}).status_code == 403
        assert stranger(leaver.live, "sandbox").post(path, data={**fields, "decision": "leave"}).status_code == 403
        assert is_in(leaver, browser)

    @pytest.mark.parametrize("who", ["somebody", "nobody"])
    def test_sends_browsers_nowhere_else(self, leaver: App, app: App, person: Person, who: str) -> None:
        """An address that isn't registered or isn't this app's, or an ID token that isn't ours: a page, and no more."""
        browser = person.browser() if who == "somebody" else stranger(leaver.live, "sandbox")
        good = hint(leaver)
        head, body, tag = good.split(".")
        wrong: list[dict[str, str]] = [
            {"post_logout_redirect_uri": AFTER},
            {"post_logout_redirect_uri": "https://evil.example/", "client_id": leaver.client_id},
            {"post_logout_redirect_uri": AFTER + "&more=1", "id_token_hint": good},
            {"post_logout_redirect_uri": AFTER, "client_id": app.client_id},
            {"post_logout_redirect_uri": AFTER, "client_id": app.client_id, "id_token_hint": good},
            {"post_logout_redirect_uri": AFTER, "client_id": "cli_nobody"},
            {"post_logout_redirect_uri": AFTER, "id_token_hint": "x"},
            {"post_logout_redirect_uri": AFTER, "id_token_hint": f"{head}.{body}.{tag[:-4]}AAAA"},
            {"post_logout_redirect_uri": AFTER, "id_token_hint": hint(leaver, iss="https://evil.example")},
            {"post_logout_redirect_uri": AFTER, "id_token_hint": leaver.object()},
            {"post_logout_redirect_uri": AFTER, "id_token_hint": good, "state": "s" * 5000},
        ]
        for each in wrong:
            answer = leave(browser, **each)
            assert (answer.status_code, "location" in answer.headers) == (400, False), each

    @pytest.mark.parametrize("who", ["somebody", "nobody"])
    def test_isnt_told_apart_from_one_that_there_isnt(self, leaver: App, person: Person, who: str) -> None:
        """A client's id alone gets the same answer, whether or not it is one."""
        browser = person.browser() if who == "somebody" else stranger(leaver.live, "sandbox")
        answers = [leave(browser, client_id=each) for each in (leaver.client_id, ids.new(Prefix.CLIENT), "x")]
        assert len({answer.status_code for answer in answers}) == 1
        assert len({answer.headers.get("location") for answer in answers}) == 1
        assert len({re.sub(r'value="[^"]*"', "", answer.text) for answer in answers}) == 1
