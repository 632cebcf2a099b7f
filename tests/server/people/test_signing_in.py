"""Signing in with password and authenticator app, over HTTP: what it takes, and what attackers get."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billfold import ids
from billfold.ids import Prefix
from billfold_server.http.routing import Call
from billfold_server.people import attempts, queries, rules
from billfold_server.people.desk import Desk
from billfold_server.people.factors import matching_step
from billfold_server.people.service import Realm, unlock_user
from tests.callers import CALLER
from tests.keystores import out_of_reach, urls_of
from tests.live import LiveServer
from tests.server.identity.flows import later
from tests.server.people.authenticator import options_of
from tests.server.people.persons import Browser, Person, a_person, a_psu, an_operator, enrol


def shown(page: httpx.Response) -> str:
    """Return what a page shows, without what is made anew each time, and without the name that was typed."""
    return re.sub(r'(value|data-options)="[^"]*"', "", page.text)


def try_password(person: Person, name: str, password: str, browser: Browser | None = None) -> httpx.Response:
    """Type a name and a password."""
    browser = browser or person.browser()
    return browser.submit(browser.get("/sign-in"), "/sign-in", name=name, password=password)


def try_both(person: Person, name: str, password: str, code: str, browser: Browser | None = None) -> httpx.Response:
    """Type a name, a password and a code, whatever came of the password."""
    browser = browser or person.browser()
    return browser.submit(try_password(person, name, password, browser), "/sign-in/code", code=code)


def fail_often(person: Person, name: str, times: int = 6) -> httpx.Response:
    """Type a wrong password some times, and return the last answer."""
    return [try_password(person, name, "not the right one") for _ in range(times)][-1]


@pytest.fixture(scope="module")
def enrolled(live: LiveServer) -> Person:
    """A payment service user of alpha."""
    return a_psu(live, "alpha")


@pytest.fixture
def ada(enrolled: Person) -> Person:
    """The same one each time, with whose account nobody has failed so far."""
    enrolled.live.run(_forget_failures(enrolled))
    return enrolled


async def _forget_failures(person: Person) -> None:
    tenant = await person.live.services.registry.get("alpha")
    home = Realm.of(person.live.services, tenant)
    async with person.live.services.database.tx(tenant) as tx:
        await unlock_user(home, tx, CALLER, ids.decode(Prefix.USER, person.user_id))


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

    def test_is_over_in_every_tab(self, ada: Person) -> None:
        """Who signs out in a second tab as well, or after their time is over, is told that they are out."""
        browser = ada.sign_in()
        first, second = browser.get("/account"), browser.get("/account")
        browser.headers["Sec-Fetch-Site"] = "same-origin"
        for tab in (first, second):
            assert browser.submit(tab, "/sign-out").headers["location"].endswith("/signed-out")
        assert not any("session" in name for name in browser.cookies)
        # Of a session that stands, no form but its own is taken.
        other = ada.sign_in()
        other.headers["Sec-Fetch-Site"] = "same-origin"
        assert other.submit(first, "/sign-out").status_code == 403
        assert other.get("/account").status_code == 200

    def test_takes_the_name_in_any_case(self, ada: Person) -> None:
        """Names that look alike are alike."""
        assert try_both(ada, f" {ada.name.upper()} ", ada.password, ada.code()).status_code == 303

    def test_leads_back_to_the_clients_request(self, ada: Person) -> None:
        """An interaction is carried through both steps; what isn't one is dropped."""
        browser = ada.browser()
        page = ada.give_password(browser, interaction="abc-DEF_123")
        answer = browser.submit(page, "/sign-in/code", code=ada.code())
        assert answer.headers["location"] == "/t/alpha/oauth/authorize/resume?interaction=abc-DEF_123"
        assert "evil" not in ada.browser().get("/sign-in", params={"interaction": "//evil.example"}).text

    def test_leads_back_there_also_where_the_code_comes_too_late(self, ada: Person) -> None:
        """Whoever looks for their phone for five minutes types the password again, and loses no request by that."""
        browser = ada.browser()
        page = ada.give_password(browser, interaction="abc-DEF_123")
        with later(ada.live, 301):
            page = browser.submit(page, "/sign-in/code", code=ada.code())
        assert page.status_code == 422
        page = browser.submit(page, "/sign-in", name=ada.name, password=ada.password)
        answer = browser.submit(page, "/sign-in/code", code=ada.code())
        assert answer.headers["location"] == "/t/alpha/oauth/authorize/resume?interaction=abc-DEF_123"

    @pytest.mark.parametrize("name", ["x" * 255, "", "a b", "\u202ex", "x' OR 1=1 --", "<script>alert(1)</script>"])
    def test_takes_any_text_for_a_name(self, ada: Person, name: str) -> None:
        """What can't be a name is a name that nobody has, and is shown as text."""
        answer = try_both(ada, name, ada.password, "000000")
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

    async def test_counts_for_nobody_while_the_keys_are_away(self, ada: Person) -> None:
        """However often nobody can judge it, right or wrong, no failure stays; with the keys whoever it is gets in."""
        browser, keys = ada.browser(), ada.live.services.keys

        async def forget() -> None:
            keys.evict_all()

        async with out_of_reach(urls_of(ada.live.settings)):
            ada.live.run(forget())
            for password in (ada.password, "not the right one") * 4:
                page = try_password(ada, ada.name, password, browser)
                assert browser.submit(page, "/sign-in/code", code=ada.code()).status_code == 503
                # A ticket gives back once, and is good for nothing then.
                assert browser.submit(page, "/sign-in/code", code=ada.code()).status_code == 503
                assert ada.live.run(_strangers_failures(ada)) == 0
        assert browser.submit(page, "/sign-in/code", code=ada.code()).status_code == 422
        assert try_both(ada, ada.name, ada.password, ada.code(), browser).status_code == 303

    def test_that_nobody_could_judge_ends_the_blocks_it_began(self, live: LiveServer) -> None:
        """What was given back was neither the last of a place nor the last of all places."""
        victim = a_psu(live)
        assert live.run(_given_back(victim, rules.bound(own_device=False))) == ["stopped", "counted"]
        assert live.run(_strangers_failures(victim)) == rules.bound(own_device=False)

    def test_of_another_apps_secret_is_no_code(self, live: LiveServer) -> None:
        """A sealed secret that was copied into another person's row opens nothing there."""
        eve, victim = a_psu(live), a_psu(live)

        async def copy() -> None:
            tenant = await live.services.registry.get("alpha")
            mine, theirs = (ids.decode(Prefix.USER, each.user_id) for each in (victim, eve))
            async with live.services.database.tx(tenant) as tx:
                sealed = await tx.fetchval("SELECT sealed_secret FROM factors WHERE user_id = $1", theirs)
                await tx.execute("UPDATE factors SET sealed_secret = $2 WHERE user_id = $1", mine, sealed)

        live.run(copy())
        for code in (victim.code(), eve.code()):
            browser = victim.browser()
            assert browser.submit(victim.give_password(browser), "/sign-in/code", code=code).status_code == 422

    def test_needs_the_password_before(self, live: LiveServer, ada: Person) -> None:
        """A ticket is good in one browser only, and for the tenant and realm that made it."""
        browser = ada.browser()
        page = ada.give_password(browser)
        # The first is the passkey's.
        ticket = re.findall(r'name="ticket" value="([^"]+)"', page.text)[-1]
        for other in (ada.browser(), Browser(live, "beta"), Browser(live, "alpha", "/auth/staff")):
            csrf, *_ = re.findall(r'name="csrf" value="([^"]+)"', other.get("/sign-in").text)
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
    def test_restores_access_and_nothing_else(self, live: LiveServer) -> None:
        """Nothing changes by it, and what is enrolled by it waits for a day, in which its owner can take it away."""
        person = a_psu(live)
        thief, owner = person.browser(), person.sign_in()
        answer = thief.submit(person.give_password(thief, interaction="abc"), "/sign-in/code", code=person.codes[0])
        # No client gets anything of it, and it isn't a device that is known from now on.
        assert answer.headers["location"] == "/t/alpha/auth/account?notice=recovered"
        assert not any("device" in name for name in thief.cookies)
        for path in ("/account/password", "/account/recovery-codes"):
            assert thief.get(path).headers["location"].endswith("/account?notice=limited")
        page = thief.get("/confirm", params={"to": "password"})
        assert thief.submit(page, "/confirm", code=person.codes[1]).status_code == 422
        page = thief.get("/account/app")
        (spaced,) = re.findall(r"<code>([A-Z2-7 ]{20,})</code>", page.text)
        new = Person(live, "alpha", "/auth", user_id=person.user_id, name=person.name, enrolment="")
        new.secret = spaced.replace(" ", "")
        answer = thief.submit(page, "/account/app", code=new.code())
        assert answer.headers["location"].endswith("/account?notice=waits")
        # It signs nobody in yet, steps nothing up and approves nothing; the bank and the owner see it.
        assert try_both(new, person.name, person.password, new.code()).status_code == 422
        confirm = thief.get("/confirm", params={"to": "password"})
        assert "action" in confirm.text
        assert thief.submit(confirm, "/confirm", code=new.code()).status_code == 422
        with live.client("alpha", ["audit:read", "users:read"]) as client:
            query = {"object_id": person.user_id, "action": "user.factor_enrolled"}
            records = client.get("/v1/audit-records", params=query).json()["data"]
            assert client.get(f"/v1/users/{person.user_id}").json()["factors"] == ["password", "totp"]
        assert ["good_from" in each["facts"] for each in records].count(True) == 1
        page = owner.get("/account")
        assert "good from" in page.text
        assert "If it wasn" in page.text
        live.run(_wait_is_over(person))
        assert try_both(new, person.name, person.password, new.code()).status_code == 303

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


async def _wait_is_over(person: Person) -> None:
    tenant = await person.live.services.registry.get("alpha")
    async with person.live.services.database.tx(tenant) as tx:
        sql = "UPDATE factors SET good_from = created_at WHERE user_id = $1"
        await tx.execute(sql, ids.decode(Prefix.USER, person.user_id))


class TestWhoeverGuesses:
    def test_isnt_told_whether_there_is_such_a_person(self, live: LiveServer, ada: Person) -> None:
        """Unknown, not yet enrolled, disabled, a wrong password or a wrong code: the same pages, and the same words."""
        invited, disabled = a_person(live, "alpha"), a_psu(live, "alpha")
        with live.client("alpha", ["users:write"]) as client:
            assert client.post(f"/v1/users/{disabled.user_id}/disable").status_code == 200
        attempts = {
            "known": (ada.name, "not the right one"),
            "unknown": ("nobody.at.all", ada.password),
            "invited": (invited.name, ada.password),
            "disabled": (disabled.name, ada.password),
            "right, but for the code": (ada.name, ada.password),
        }
        browsers = {who: ada.browser() for who in attempts}
        seconds = {who: try_password(ada, *typed, browsers[who]) for who, typed in attempts.items()}
        assert {answer.status_code for answer in seconds.values()} == {200}
        assert len({shown(answer) for answer in seconds.values()}) == 1
        assert len({len(answer.text) for answer in seconds.values()}) == 1
        answers = {who: browsers[who].submit(page, "/sign-in/code", code="000000") for who, page in seconds.items()}
        assert {answer.status_code for answer in answers.values()} == {422}
        assert len({shown(answer) for answer in answers.values()}) == 1

    def test_isnt_told_which_of_two_was_wrong_by_passkeys_either(self, ada: Person) -> None:
        """Which passkeys are asked for says nothing, and a right code without the password is worth nothing."""
        for password in (ada.password, "not the right one"):
            browser = ada.browser()
            browser.base_url = str(browser.base_url).replace("127.0.0.1", "localhost")
            assert not options_of(try_password(ada, ada.name, password, browser)).get("allowCredentials")
        assert try_both(ada, ada.name, "not the right one", ada.code()).status_code == 422
        assert try_both(ada, ada.name, "not the right one", ada.codes[0]).status_code == 422

    def test_needs_the_password_again_for_each_code(self, ada: Person) -> None:
        """What a right password has opened takes one code, so codes are counted with passwords."""
        browser = ada.browser()
        page = ada.give_password(browser)
        assert browser.submit(page, "/sign-in/code", code="000000").status_code == 422
        assert browser.submit(page, "/sign-in/code", code=ada.code()).status_code == 422
        assert not any("session" in name for name in browser.cookies)

    def test_learns_nothing_from_the_time(self, live: LiveServer) -> None:
        """A name that nobody has, a wrong password and a right one take as long: as much is done for each."""

        def took(person: Person, name: str, password: str) -> float:
            browser = person.browser()
            page = browser.get("/sign-in")
            started = time.perf_counter()
            browser.submit(page, "/sign-in", name=name, password=password)
            return time.perf_counter() - started

        ada, eve = a_psu(live), a_psu(live)
        wrong = right = unknown = float("inf")
        # One after the other, and the quickest of each: what else the machine does makes them longer, never shorter.
        # Where it has much to do, the quickest of four may still be; what takes longer by itself stays so.
        for number in range(16):
            if number % 4 == 0:
                for person in (ada, eve):
                    live.run(_forget_failures(person))
            wrong = min(wrong, took(ada, ada.name, "not the right one"))
            right = min(right, took(eve, eve.name, eve.password))
            unknown = min(unknown, took(ada, f"nobody.{number}", "not the right one"))
            if number >= 3 and 0.4 < wrong / unknown < 2.5 and 0.4 < wrong / right < 2.5:
                break
        assert 0.4 < wrong / unknown < 2.5
        assert 0.4 < wrong / right < 2.5

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
        assert try_password(victim, victim.name, victim.password, own).status_code == 200
        with live.client("alpha", ["users:read", "users:write", "audit:read"]) as client:
            assert client.get(f"/v1/users/{victim.user_id}").json()["locked_until"] is not None
            assert client.post(f"/v1/users/{victim.user_id}/unlock").json()["locked_until"] is None
            records = client.get("/v1/audit-records", params={"object_id": victim.user_id}).json()["data"]
        assert {"user.locked", "user.unlocked", "user.sign_in_failed"} <= {each["action"] for each in records}
        assert victim.name not in str(records)
        assert try_password(victim, victim.name, victim.password).status_code == 200

    def test_is_stopped_before_a_hundred_failures(self, live: LiveServer) -> None:
        """Strangers' share ends, wherever they come from; the owner's own devices have the rest, and renew both."""
        victim = a_psu(live)
        own = victim.sign_in()
        answers = live.run(_guesses_from_everywhere(victim, 80))
        assert answers == ["counted"] * rules.bound(own_device=False) + ["stopped"] * 10
        assert rules.bound(own_device=False) + rules.bound(own_device=True) == 100
        # Nobody gets in from elsewhere, not even with everything right.
        stopped = try_password(victim, victim.name, victim.password)
        assert (stopped.status_code, stopped.headers.get("retry-after")) == (429, None)
        with live.client("alpha", ["users:read"]) as client:
            assert client.get(f"/v1/users/{victim.user_id}").json()["locked_until"].startswith("9999-12-31")
        own.submit(own.get("/account"), "/sign-out")
        assert try_both(victim, victim.name, victim.password, victim.code(), own).status_code == 303
        assert try_both(victim, victim.name, victim.password, victim.code()).status_code == 303

    def test_is_stopped_for_good_and_counted_for_a_year(self, live: LiveServer) -> None:
        """No sweep ends what is for good; other sums end after a year without a failure, and not before."""
        stopped, guessed = a_psu(live), a_psu(live)
        live.run(_guesses_from_everywhere(stopped, rules.bound(own_device=False)))
        live.run(_guesses_from_everywhere(guessed, 3))
        for days, left in ((364, 3), (366, 0)):
            live.run(_sweep_later(stopped, days))
            assert live.run(_guesses_from_everywhere(stopped, 1)) == ["stopped"]
            assert live.run(_strangers_failures(guessed)) == left

    def test_doesnt_begin_anew_by_another_spelling_of_a_cookie(self, live: LiveServer) -> None:
        """A known device is known by what its cookie says: no other form of it has a share of its own."""
        victim = a_psu(live)
        own = victim.sign_in()
        name = next(name for name in own.cookies if "device" in name)
        cookie = own.cookies[name]
        for other in (f"{cookie}=", cookie.replace("-", "+").replace("_", "/") + "==", cookie[:-1]):
            thief = victim.browser()
            thief.cookies.set(name, other)
            victim.give_password(thief)
        # They have been counted as strangers' attempts, three of them.
        assert live.run(_strangers_failures(victim)) == 3

    @given(failures=st.integers(1, 10_000))
    def test_waits_longer_each_time_at_one_place(self, failures: int) -> None:
        """The wait never shrinks with further failures, and is a quarter of an hour at most."""
        now, then = (rules.blocked_for(failures + more) for more in (0, 1))
        assert (now is None) is (failures < 5)
        if now is not None:
            assert then is not None
            assert now <= then
            assert then.total_seconds() <= 900


async def _guesses_from_everywhere(person: Person, times: int) -> list[str]:
    """Count attempts at a person's account, each from an address of its own, and tell what came of them."""
    found = []
    for outcome in await _guess_from_everywhere(person, times):
        if isinstance(outcome, attempts.Attempt):
            found.append("counted")
        else:
            found.append("stopped" if outcome.wait is None else "slowed down")
    return found


async def _guess_from_everywhere(person: Person, times: int) -> list[attempts.Attempt | attempts.Blocked]:
    services = person.live.services
    tenant = await services.registry.get("alpha")
    found: list[attempts.Attempt | attempts.Blocked] = []
    for number in range(times):
        call = Call(
            services=services,
            caller=CALLER,
            request_id="req_x",
            method="POST",
            path="/auth/sign-in",
            headers={},
            base_url=person.live.base("alpha"),
            mount="/t/alpha",
            peer=f"192.0.2.{number}",
            tenant_or_none=tenant,
        )
        desk = Desk(call, "psu")
        try:
            async with desk.tx() as tx:
                found.append(await attempts.begin(desk, tx, desk.account("password", person.name), None))
        except attempts.Blocked as blocked:
            found.append(blocked)
    return found


async def _given_back(person: Person, times: int) -> list[str]:
    """Use up all attempts from everywhere, and tell what one more gets before and after the last was given back."""
    *_, last = await _guess_from_everywhere(person, times)
    assert isinstance(last, attempts.Attempt)
    found = await _guesses_from_everywhere(person, 1)
    tenant = await person.live.services.registry.get("alpha")
    async with person.live.services.database.tx(tenant) as tx:
        await attempts.give_back(tx, last)
    return found + await _guesses_from_everywhere(person, 1)


async def _sweep_later(person: Person, days: int) -> None:
    services = person.live.services
    tenant = await services.registry.get("alpha")
    later = services.clock.now() + timedelta(days=days)
    async with services.database.tx(tenant) as tx:
        await queries.sweep(
            tx,
            now=services.clock.now(),
            sessions_before=services.clock.now() - timedelta(days=10_000),
            failures_before=later - 2 * rules.FORGOTTEN,
            totals_before=later - rules.TOTALS_FORGOTTEN,
        )


async def _strangers_failures(person: Person) -> int:
    services = person.live.services
    tenant = await services.registry.get("alpha")
    account = Realm.of(services, tenant).people.digest(
        "attempts", ids.encode(Prefix.TENANT, tenant.id), "psu", "password", person.name
    )
    async with services.database.tx(tenant) as tx:
        sql = "SELECT failures FROM sign_in_failures WHERE account = $1 AND source = $2"
        return int(await tx.fetchval(sql, account, bytes(32)) or 0)


class TestAForm:
    @pytest.mark.parametrize("path", ["/sign-in", "/sign-in/code", "/sign-in/passkey", "/enrol", "/sign-out"])
    def test_of_another_site_is_refused(self, ada: Person, path: str) -> None:
        """Without the token, with another browser's, or as another site's, nothing happens."""
        mine, other = ada.browser(), ada.browser()
        csrf, *_ = re.findall(r'name="csrf" value="([^"]+)"', other.get("/sign-in").text)
        mine.get("/sign-in")
        own, *_ = re.findall(r'name="csrf" value="([^"]+)"', mine.get("/sign-in").text)
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
