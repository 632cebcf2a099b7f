"""Signing in with password and authenticator app, over HTTP: what it takes, and what attackers get."""

import re
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billfold_server.people import rules
from billfold_server.people.factors import matching_step
from tests.live import LiveServer
from tests.server.people.persons import Browser, Person, a_person, a_psu, an_operator, enrol


def shown(page: httpx.Response) -> str:
    """Return what a page shows, without what is made anew each time, and without the name that was typed."""
    return re.sub(r'(value|data-options)="[^"]*"', "", page.text)


def try_password(person: Person, name: str, password: str, browser: Browser | None = None) -> httpx.Response:
    """Type a name and a password."""
    browser = browser or person.browser()
    return browser.submit(browser.get("/sign-in"), "/sign-in", name=name, password=password)


def fail_often(person: Person, name: str, times: int = 6) -> httpx.Response:
    """Type a wrong password some times, and return the last answer."""
    return [try_password(person, name, "not the right one") for _ in range(times)][-1]


@pytest.fixture(scope="module")
def ada(live: LiveServer) -> Person:
    """A payment service user of alpha."""
    return a_psu(live, "alpha")


class TestSigningIn:
    @pytest.mark.parametrize("realm", ["psu", "staff", "operator"])
    def test_takes_password_and_code_in_every_realm(self, live: LiveServer, realm: str) -> None:
        """Whoever has enrolled signs in with both, sees the account's page, and is out once they have signed out."""
        person = an_operator(live) if realm == "operator" else a_person(live, "alpha", realm=realm)
        browser = enrol(person)
        assert browser.get("/account").status_code == 200
        browser = person.sign_in()
        page = browser.get("/account")
        assert ("Grace Hopper" if realm == "operator" else "Ada Lovelace") in page.text
        kept = dict(browser.cookies)
        assert browser.submit(page, "/sign-out").headers["location"].endswith("/signed-out")
        assert not any("session" in name for name in browser.cookies)
        # Who has kept the cookie has nothing.
        browser.cookies.update(kept)
        assert browser.get("/account").headers["location"].endswith("/sign-in")

    def test_takes_the_name_in_any_case(self, ada: Person) -> None:
        """Names that look alike are alike."""
        assert try_password(ada, f" {ada.name.upper()} ", ada.password).status_code == 200

    def test_leads_back_to_the_clients_request(self, ada: Person) -> None:
        """An interaction is carried through both steps; what isn't one is dropped."""
        browser = ada.browser()
        page = ada.give_password(browser, interaction="abc-DEF_123")
        answer = browser.submit(page, "/sign-in/code", code=ada.code())
        assert answer.headers["location"] == "/t/alpha/oauth/authorize/resume?interaction=abc-DEF_123"
        assert "evil" not in ada.browser().get("/sign-in", params={"interaction": "//evil.example"}).text

    @pytest.mark.parametrize("name", ["x" * 255, "", "a b", "\u202ex", "x' OR 1=1 --", "<script>alert(1)</script>"])
    def test_takes_any_text_for_a_name(self, ada: Person, name: str) -> None:
        """What can't be a name is a name that nobody has, and is shown as text."""
        answer = try_password(ada, name, ada.password)
        assert answer.status_code == 422
        assert "<script>alert" not in answer.text

    def test_changes_the_session_each_time(self, ada: Person) -> None:
        """A cookie that was there before opens nothing afterwards (session fixation)."""
        browser = ada.sign_in()
        before = browser.cookies["billfold-session-psu"]
        page = browser.get("/sign-in", params={"interaction": "again"})
        page = browser.submit(page, "/sign-in", name=ada.name, password=ada.password)
        assert browser.submit(page, "/sign-in/code", code=ada.code()).status_code == 303
        assert browser.cookies["billfold-session-psu"] != before
        thief = ada.browser()
        thief.cookies.set("billfold-session-psu", before)
        assert thief.get("/account").status_code == 303


class TestACode:
    def test_is_good_once_among_many(self, ada: Person) -> None:
        """Of four who use one code at the same time, one gets in (RFC 6238, section 5.2)."""
        pages = [(browser, ada.give_password(browser)) for browser in (ada.browser() for _ in range(4))]
        code = ada.code()
        with ThreadPoolExecutor(4) as threads:
            answers = list(threads.map(lambda each: each[0].submit(each[1], "/sign-in/code", code=code), pages))
        assert sorted(answer.status_code for answer in answers) == [303, 422, 422, 422]

    def test_needs_the_password_before(self, live: LiveServer, ada: Person) -> None:
        """A ticket is good in one browser only, and for the tenant and realm that made it."""
        browser = ada.browser()
        page = ada.give_password(browser)
        (ticket,) = re.findall(r'name="ticket" value="([^"]+)"', page.text)
        for other in (ada.browser(), Browser(live, "beta"), Browser(live, "alpha", "/auth/staff")):
            (csrf,) = set(re.findall(r'name="csrf" value="([^"]+)"', other.get("/sign-in").text))
            answer = other.post("/sign-in/code", data={"csrf": csrf, "ticket": ticket, "code": ada.code()})
            assert answer.status_code == 422
            assert not any("session" in name for name in other.cookies)

    @given(st.integers(10**9, 2**40), st.integers(-3, 3))
    def test_is_taken_within_one_step(self, now_s: int, off: int) -> None:
        """The window is one step to either side, and no wider."""
        secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
        step = now_s // 30 + off
        found = matching_step(secret, pyotp.TOTP(secret).generate_otp(step), now_s)
        assert (found == step) is (abs(off) <= 1) or found in range(now_s // 30 - 1, now_s // 30 + 2)


class TestARecoveryCode:
    def test_signs_in_once_and_is_no_strong_authentication(self, live: LiveServer) -> None:
        """It works once, however it is typed, and the session says that it was no SCA."""
        person = a_psu(live)
        browser = person.browser()
        typed = person.codes[0].replace("-", " ").upper()
        answer = browser.submit(person.give_password(browser), "/sign-in/code", code=typed)
        assert (answer.status_code, answer.headers["location"]) == (303, "/t/alpha/auth/account?notice=recovered")
        again = person.browser()
        assert again.submit(person.give_password(again), "/sign-in/code", code=typed).status_code == 422
        with live.client("alpha", ["audit:read"]) as client:
            query = {"object_id": person.user_id, "action": "user.signed_in"}
            (record,) = client.get("/v1/audit-records", params=query).json()["data"]
        assert record["facts"]["acr"] == rules.ACR_CA
        assert record["facts"]["amr"] == ["pwd", "recovery", "mfa"]
        assert person.name not in str(record)


class TestWhoeverGuesses:
    def test_isnt_told_whether_there_is_such_a_person(self, live: LiveServer, ada: Person) -> None:
        """Unknown, not yet enrolled, disabled, or a wrong password: the same page."""
        invited, disabled = a_person(live, "alpha"), a_psu(live, "alpha")
        with live.client("alpha", ["users:write"]) as client:
            assert client.post(f"/v1/users/{disabled.user_id}/disable").status_code == 200
        attempts = {
            "known": (ada.name, "not the right one"),
            "unknown": ("nobody.at.all", ada.password),
            "invited": (invited.name, ada.password),
            "disabled": (disabled.name, ada.password),
        }
        answers = {who: try_password(ada, *typed) for who, typed in attempts.items()}
        assert {answer.status_code for answer in answers.values()} == {422}
        assert len({shown(answer) for answer in answers.values()}) == 1

    def test_learns_nothing_from_the_time(self, ada: Person) -> None:
        """A name that nobody has takes as long as one that somebody has: the hash is made all the same."""

        def took(name: str) -> float:
            browser = ada.browser()
            page = browser.get("/sign-in")
            started = time.perf_counter()
            browser.submit(page, "/sign-in", name=name, password="not the right one")
            return time.perf_counter() - started

        known = statistics.median(took(ada.name) for _ in range(4))
        unknown = statistics.median(took(f"nobody.{number}") for number in range(4))
        assert 0.4 < known / unknown < 2.5

    def test_is_slowed_down_whoever_it_is_at(self, live: LiveServer, ada: Person) -> None:
        """After five failures from one place no more are taken for a while, at names of nobody just the same."""
        victim = a_psu(live)
        answers = [fail_often(ada, name) for name in (victim.name, "nobody.else")]
        assert [answer.status_code for answer in answers] == [429, 429]
        assert all(int(answer.headers["retry-after"]) > 0 for answer in answers)
        assert shown(answers[0]) == shown(answers[1])
        # Not even the right password, from there.
        assert try_password(ada, victim.name, victim.password).status_code == 429

    def test_doesnt_lock_the_owner_out(self, live: LiveServer) -> None:
        """On a device on which they have signed in before, the owner still gets in; the bank can unlock the rest."""
        victim = a_psu(live)
        own = victim.sign_in()
        own.submit(own.get("/account"), "/sign-out")
        assert fail_often(victim, victim.name).status_code == 429
        assert own.submit(victim.give_password(own), "/sign-in/code", code=victim.code()).status_code == 303
        with live.client("alpha", ["users:read", "users:write", "audit:read"]) as client:
            assert client.get(f"/v1/users/{victim.user_id}").json()["locked_until"] is not None
            assert client.post(f"/v1/users/{victim.user_id}/unlock").json()["locked_until"] is None
            records = client.get("/v1/audit-records", params={"object_id": victim.user_id}).json()["data"]
        assert {"user.locked", "user.unlocked", "user.sign_in_failed"} <= {each["action"] for each in records}
        assert victim.name not in str(records)
        assert try_password(victim, victim.name, victim.password).status_code == 200

    @pytest.mark.parametrize("anywhere", [True, False])
    @given(failures=st.integers(1, 10_000))
    def test_waits_longer_each_time_but_never_for_good(self, failures: int, *, anywhere: bool) -> None:
        """The wait never shrinks with further failures, and is a quarter of an hour at most."""
        now, then = (rules.blocked_for(failures + more, anywhere=anywhere) for more in (0, 1))
        assert (now is None) is (failures < (100 if anywhere else 5))
        if now is not None:
            assert then is not None
            assert now <= then
            assert then.total_seconds() <= 900


class TestAForm:
    @pytest.mark.parametrize("path", ["/sign-in", "/sign-in/code", "/sign-in/passkey", "/enrol", "/sign-out"])
    def test_of_another_site_is_refused(self, ada: Person, path: str) -> None:
        """Without the token, with another browser's, or as another site's, nothing happens."""
        mine, other = ada.browser(), ada.browser()
        (csrf,) = set(re.findall(r'name="csrf" value="([^"]+)"', other.get("/sign-in").text))
        mine.get("/sign-in")
        (own,) = set(re.findall(r'name="csrf" value="([^"]+)"', mine.get("/sign-in").text))
        for fields, headers in (
            ({}, {}),
            ({"csrf": csrf}, {}),
            ({"csrf": own}, {"Sec-Fetch-Site": "cross-site"}),
            ({"csrf": own}, {"Sec-Fetch-Site": "same-site"}),
        ):
            answer = mine.post(path, data={"name": "x", **fields}, headers=headers)
            assert answer.status_code == 403
            assert "This form has expired" in answer.text

    def test_that_is_none_is_refused_with_a_page(self, ada: Person) -> None:
        """JSON, doubled fields, NUL and broken text get a page, not a problem document."""
        browser = ada.browser()
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        answers = [
            browser.post("/sign-in", json={}),
            browser.post("/sign-in", content=b"a=1&a=2", headers=form),
            browser.post("/sign-in", content=b"a=%00", headers=form),
            browser.post("/sign-in", content=b"a=%ff", headers=form),
            browser.post("/sign-in", content=b"a=1&" * 20_000, headers=form),
        ]
        assert [answer.status_code for answer in answers] == [415, 400, 400, 400, 413]
        assert all(answer.headers["content-type"].startswith("text/html") for answer in answers)
