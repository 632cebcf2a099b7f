"""The account: factors come and go behind a fresh second factor, two always remain, and sessions end when told to."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billfold import ids
from billfold.ids import Prefix
from billfold_server.people import rules
from billfold_server.people.desk import Desk
from billfold_server.people.passwords import Passwords
from billfold_server.people.rules import Held
from tests.live import LiveServer
from tests.server.people.persons import Browser, Person, a_person, a_psu, enrol

HELD = st.builds(Held, password=st.booleans(), totp=st.integers(0, 3), passkeys=st.integers(0, 3))
NEW = "eleven brass doors ajar"


async def _in_tenant(live: LiveServer, sql: str, *arguments: Any) -> None:
    tenant = await live.services.registry.get("alpha")
    async with live.services.database.tx(tenant) as tx:
        await tx.execute(sql, *arguments)


def age(person: Person, column: str, minutes: float) -> None:
    """Let a time of a person's sessions lie back."""
    sql = f"UPDATE sessions SET {column} = {column} - $2 * interval '1 minute' WHERE user_id = $1"  # noqa: S608
    person.live.run(_in_tenant(person.live, sql, ids.decode(Prefix.USER, person.user_id), minutes))


def went(answer: httpx.Response) -> str:
    """Return where an answer leads, below the realm's root."""
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"]).removeprefix("/t/alpha/auth")


class TestTwoFactors:
    @given(HELD, st.sampled_from(["totp", "passkey"]))
    def test_always_remain(self, held: Held, kind: Any) -> None:
        """What may be removed leaves at least two, by which SCA is reached."""
        if rules.can_remove(held, kind):
            left = Held(held.password, held.totp - (kind == "totp"), held.passkeys - (kind == "passkey"))
            assert left.number >= 2
            assert left.passkeys > 0 or (left.password and left.totp > 0)

    @given(st.lists(st.sampled_from(["pwd", "otp", "hwk", "swk", "recovery"]), min_size=1, max_size=3, unique=True))
    def test_make_strong_authentication(self, methods: Any) -> None:
        """Password and app, or a passkey; a recovery code never stands for the second."""
        strong = {"pwd", "otp"} <= set(methods) or {"hwk", "swk"} & set(methods)
        assert (rules.acr_of(methods) == rules.ACR_SCA) is bool(strong)


class TestAChange:
    @pytest.mark.parametrize("page", ["password", "app", "passkey", "recovery-codes"])
    def test_needs_a_fresh_second_factor(self, live: LiveServer, page: str) -> None:
        """After five minutes it is asked for again, and the session gets another cookie."""
        person = a_psu(live)
        browser = person.sign_in()
        form = browser.get(f"/account/{page}")
        assert form.status_code == 200
        age(person, "confirmed_at", 6)
        to = {"recovery-codes": "codes"}.get(page, page)
        assert went(browser.get(f"/account/{page}")) == f"/confirm?to={to}"
        # The form that was opened before doesn't help.
        if page != "passkey":
            path = f"/account/{page}"
            assert went(browser.submit(form, path, password=NEW, again=NEW, code="000000")) == f"/confirm?to={to}"
        confirm = browser.get("/confirm", params={"to": to})
        assert browser.submit(confirm, "/confirm", code="000000").status_code == 422
        before = browser.cookies["billfold-session-psu"]
        assert went(browser.submit(confirm, "/confirm", code=person.code())) == f"/account/{page}"
        assert browser.cookies["billfold-session-psu"] != before
        assert browser.get(f"/account/{page}").status_code == 200

    def test_leads_nowhere_else(self, live: LiveServer) -> None:
        """A step-up returns to pages of the account, whatever its address or form says."""
        person = a_psu(live)
        browser = person.sign_in()
        page = browser.get("/confirm", params={"to": "https://evil.example"})
        assert went(browser.submit(page, "/confirm", code=person.code())) == "/account"

    def test_of_the_password_ends_other_sessions(self, live: LiveServer) -> None:
        """Whoever else was signed in isn't any longer; the new password is good, the old one isn't."""
        person = a_psu(live)
        other, browser = person.sign_in(), person.sign_in()
        page = browser.get("/account/password")
        weak = browser.submit(page, "/account/password", password=f"{person.name}123", again=f"{person.name}123")
        assert weak.status_code == 422
        assert browser.submit(page, "/account/password", password=NEW, again="x" * 12).status_code == 422
        assert went(browser.submit(page, "/account/password", password=NEW, again=NEW)) == "/account?notice=password"
        assert went(other.get("/account")) == "/sign-in"
        assert browser.get("/account").status_code == 200
        thief = person.browser()
        assert thief.submit(person.give_password(thief), "/sign-in/code", code=person.code()).status_code == 422
        person.password = NEW
        person.sign_in()

    @pytest.mark.parametrize("page", ["password", "app"])
    def test_comes_too_late_once_the_session_has_ended(
        self, live: LiveServer, monkeypatch: pytest.MonkeyPatch, page: str
    ) -> None:
        """Whoever is signed out while a password is hashed or a key fetched has changed nothing, and gets no way in."""
        person = a_psu(live)
        browser = person.sign_in()
        thief = Person(live, "alpha", "/auth", user_id=person.user_id, name=person.name, enrolment="")
        form = browser.get(f"/account/{page}")
        place = Passwords if page == "password" else Desk
        name = "hash" if page == "password" else "have_secrets"
        work = getattr(place, name)

        async def slowly(*arguments: Any, **named: Any) -> Any:
            ended = "UPDATE sessions SET ended_at = now(), end_reason = 'test' WHERE user_id = $1"
            await _in_tenant(live, ended, ids.decode(Prefix.USER, person.user_id))
            return await work(*arguments, **named)

        monkeypatch.setattr(place, name, slowly)
        code = ""
        for secret in re.findall(r"<code>([A-Z2-7 ]{20,})</code>", form.text):
            thief.secret = secret.replace(" ", "")
            code = thief.code()
        answer = browser.submit(form, f"/account/{page}", password=NEW, again=NEW, code=code)
        monkeypatch.undo()
        assert went(answer) == "/sign-in"
        assert len(live.run(_factor_ids(person))) == 1
        person.sign_in()

    def test_removes_no_factor_that_is_needed(self, live: LiveServer) -> None:
        """The only app stays; with a second one, one of them goes."""
        person = a_psu(live)
        browser = person.sign_in()
        page = browser.get("/account")
        assert "account/remove" not in page.text
        csrf, *_ = re.findall(r'name="csrf" value="([^"]+)"', page.text)
        first = person.live.run(_factor_ids(person))
        answer = browser.post("/account/remove", data={"csrf": csrf, "factor": first[0]})
        assert went(answer) == "/account?notice=needed"
        page = browser.get("/account/app")
        (spaced,) = re.findall(r"<code>([A-Z2-7 ]{20,})</code>", page.text)
        second = Person(live, "alpha", "/auth", user_id=person.user_id, name=person.name, enrolment="")
        second.secret = spaced.replace(" ", "")
        assert went(browser.submit(page, "/account/app", code=second.code())) == "/account?notice=app"
        page = browser.get("/account")
        assert went(browser.submit(page, "/account/remove", factor=first[0])) == "/account?notice=removed"
        # What was begun with it has ended with it, this session too.
        assert went(browser.get("/account")) == "/sign-in"
        # What is gone signs nobody in.
        thief = person.browser()
        assert thief.submit(person.give_password(thief), "/sign-in/code", code=person.code()).status_code == 422
        stranger = a_psu(live)
        theirs = live.run(_factor_ids(stranger))[0]
        browser = second.sign_in()
        csrf, *_ = re.findall(r'name="csrf" value="([^"]+)"', browser.get("/account").text)
        assert went(browser.post("/account/remove", data={"csrf": csrf, "factor": theirs})) == "/account"
        assert live.run(_factor_ids(stranger)) == [theirs]

    def test_makes_new_recovery_codes(self, live: LiveServer) -> None:
        """Ten new ones, and the old ones are gone."""
        person = a_psu(live)
        browser = person.sign_in()
        page = browser.submit(browser.get("/account/recovery-codes"), "/account/recovery-codes")
        assert len(re.findall(r"<li><code>", page.text)) == 10
        thief = person.browser()
        assert thief.submit(person.give_password(thief), "/sign-in/code", code=person.codes[0]).status_code == 422


async def _factor_ids(person: Person) -> list[str]:
    tenant = await person.live.services.registry.get("alpha")
    async with person.live.services.database.tx(tenant) as tx:
        rows = await tx.fetch(
            "SELECT id FROM factors WHERE user_id = $1 ORDER BY id", ids.decode(Prefix.USER, person.user_id)
        )
    return [ids.encode(Prefix.FACTOR, row["id"]) for row in rows]


class TestASession:
    def test_ends_when_idle_and_in_any_case(self, live: LiveServer) -> None:
        """A customer's ends after five minutes without a request, and after twelve hours."""
        person = a_psu(live)
        for column, minutes in (("last_seen_at", 5.1), ("ends_at", 12 * 60)):
            browser = person.sign_in()
            assert browser.get("/account").status_code == 200
            age(person, column, minutes)
            assert went(browser.get("/account")) == "/sign-in"

    @given(st.sampled_from(["psu", "staff", "operator"]), st.integers(0, 50_000), st.integers(0, 50_000))
    def test_never_outlives_its_limits(self, realm: Any, age_s: int, idle_s: int) -> None:
        """Whatever was done meanwhile, it is over at its end, and once it was idle for too long."""
        now = datetime(2026, 11, 20, tzinfo=UTC)
        limits = rules.LIMITS[realm]
        begun = now - timedelta(seconds=age_s)
        seen = now - timedelta(seconds=idle_s)
        over = rules.is_over(realm, last_seen_at=seen, ends_at=begun + limits.whole, now=now)
        assert over is (timedelta(seconds=age_s) >= limits.whole or timedelta(seconds=idle_s) >= limits.idle)

    def test_is_ended_everywhere_at_once(self, live: LiveServer) -> None:
        """By its owner or by the bank, each with effect on the next request."""
        person = a_psu(live)
        browsers = [person.sign_in() for _ in range(3)]
        page = browsers[0].get("/account")
        assert page.text.count("account/end-session") == 3
        assert went(browsers[0].submit(page, "/account/end-session")) == "/account?notice=ended"
        assert [each.get("/account").status_code for each in browsers].count(303) == 1
        answer = browsers[0].submit(browsers[0].get("/account"), "/account/sign-out-everywhere")
        assert went(answer) == "/signed-out"
        assert [each.get("/account").status_code for each in browsers] == [303] * 3
        again = person.sign_in()
        with live.client("alpha", ["users:write"]) as client:
            assert client.post(f"/v1/users/{person.user_id}/sign-out").json() == {"sessions": 1}
        assert went(again.get("/account")) == "/sign-in"

    def test_is_of_one_tenant_and_one_realm(self, live: LiveServer) -> None:
        """A cookie of a customer opens nothing for staff, elsewhere, or at the platform."""
        person = a_psu(live)
        cookie = person.sign_in().cookies["billfold-session-psu"]
        for slug, root, realm in (
            ("alpha", "/auth/staff", "staff"),
            ("beta", "/auth", "psu"),
            (None, "/auth", "operator"),
        ):
            other = Browser(live, slug, root)
            other.cookies.set(f"billfold-session-{realm}", cookie)
            assert other.get("/account").status_code == 303

    def test_is_kept_as_a_digest(self, live: LiveServer) -> None:
        """What lies in the database opens nothing."""
        person = a_psu(live)
        cookie = person.sign_in().cookies["billfold-session-psu"]

        async def dump() -> str:
            tenant = await live.services.registry.get("alpha")
            async with live.services.database.tx(tenant) as tx:
                tables = ("users", "factors", "recovery_codes", "sessions", "enrolment_codes")
                return "".join([str(await tx.fetch(f"SELECT t::text FROM {table} t")) for table in tables])  # noqa: S608

        everything = live.run(dump())
        secrets = [cookie, person.secret, person.password, person.enrolment, *person.codes]
        assert [secret for secret in secrets if secret in everything] == []


class TestAnEnrolment:
    def test_is_by_a_code_that_is_good_once(self, live: LiveServer) -> None:
        """Looking at the link spends nothing; beginning does, and another code ends the first."""
        person = a_person(live, "alpha")
        assert [person.browser().get("/enrol", params={"code": person.enrolment}).status_code for _ in "ab"] == [
            200
        ] * 2
        enrol(person)
        browser = person.browser()
        page = browser.get("/enrol", params={"code": person.enrolment})
        assert browser.submit(page, "/enrol").status_code == 422
        invited = a_person(live, "alpha")
        with live.client("alpha", ["users:write"]) as client:
            client.post(f"/v1/users/{invited.user_id}/enrolment-codes")
        page = browser.get("/enrol", params={"code": invited.enrolment})
        assert browser.submit(page, "/enrol").status_code == 422

    def test_is_of_one_realm(self, live: LiveServer) -> None:
        """A code of staff isn't taken where customers sign in, nor at another tenant."""
        person = a_person(live, "alpha", realm="staff")
        for other in (Browser(live, "alpha"), Browser(live, "beta", "/auth/staff")):
            page = other.get("/enrol", params={"code": person.enrolment})
            assert other.submit(page, "/enrol").status_code == 422

    def test_lets_nobody_in_halfway(self, live: LiveServer) -> None:
        """Before both factors are there, neither the account nor a factor without a password can be reached."""
        person = a_person(live, "alpha")
        browser = person.browser()
        browser.submit(browser.get("/enrol", params={"code": person.enrolment}), "/enrol")
        assert went(browser.get("/account")) == "/enrol/steps"
        page = browser.get("/enrol/steps", params={"by": "app"})
        csrf, *_ = re.findall(r'name="csrf" value="([^"]+)"', page.text)
        assert went(browser.post("/enrol/app", data={"csrf": csrf, "code": "000000"})) == "/enrol/steps"
        assert browser.submit(page, "/enrol/password", password="short", again="short").status_code == 422

    def test_anew_changes_nothing_until_it_is_finished(self, live: LiveServer) -> None:
        """A new password without a new factor is none: what was before holds, and another code ends the attempt."""
        person = a_psu(live)
        with live.client("alpha", ["users:write"]) as client:
            begun = client.post(f"/v1/users/{person.user_id}/enrolment-codes").json()
            browser = person.browser()
            browser.submit(browser.get("/enrol", params={"code": begun["code"]}), "/enrol")
            page = browser.get("/enrol/steps")
            assert went(browser.submit(page, "/enrol/password", password=NEW, again=NEW)) == "/enrol/steps"
            page = browser.get("/enrol/steps", params={"by": "app"})
            assert browser.submit(page, "/enrol/app", code="000000").status_code == 422
            person.sign_in()
            assert live.run(_factor_ids(person))
            client.post(f"/v1/users/{person.user_id}/enrolment-codes")
        (spaced,) = re.findall(r"<code>([A-Z2-7 ]{20,})</code>", page.text)
        person.secret, former = spaced.replace(" ", ""), person.secret
        assert went(browser.submit(page, "/enrol/app", code=person.code())) == "/sign-in"
        person.secret = former
        person.sign_in()

    def test_anew_replaces_everything(self, live: LiveServer) -> None:
        """Who lost everything begins anew by a code of the bank's; nothing of before is good any more."""
        person = a_psu(live)
        before = person.sign_in()
        secret, codes = person.secret, person.codes
        with live.client("alpha", ["users:write"]) as client:
            made = client.post(f"/v1/users/{person.user_id}/enrolment-codes").json()
        person.enrolment, person.password = made["code"], NEW
        assert made["url"].endswith(f"/t/alpha/auth/enrol?code={made['code']}")
        assert before.get("/account").status_code == 200
        enrol(person)
        assert went(before.get("/account")) == "/sign-in"
        assert person.secret != secret
        thief = person.browser()
        assert thief.submit(person.give_password(thief), "/sign-in/code", code=codes[0]).status_code == 422
        assert len(live.run(_factor_ids(person))) == 1
