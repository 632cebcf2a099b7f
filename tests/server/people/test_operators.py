"""Operators over HTTP: whoever lets another one in needs a second one who agrees."""

import secrets
from collections.abc import Callable, Iterator

import httpx
import pytest

from billfold import BillfoldPlatform, errors, ids
from billfold.ids import Prefix
from billfold_server.people import operator_queries
from tests.live import LiveServer
from tests.pace import until
from tests.server.identity.flows import App, add_app, add_person, tokens_of, tx_of
from tests.server.people.persons import Person, enrol

SCOPE = "platform:users:read platform:users:write"


@pytest.fixture(scope="module")
def app(live: LiveServer) -> App:
    """A program that operators use."""
    return add_app(live, None, "client_secret_basic", scopes=[*SCOPE.split(), "openid", "profile"])


class Operator:
    """An operator who is signed in."""

    def __init__(self, live: LiveServer, app: App) -> None:
        self.person = add_person(live, None)
        self.id = ids.encode(Prefix.USER, self.person.user_id)
        self.token = tokens_of(app, self.person, scope=SCOPE)["access_token"]
        self._base = live.base(None)

    def get(self, path: str) -> httpx.Response:
        """Look at something."""
        return httpx.get(self._base + path, headers={"Authorization": f"Bearer {self.token}"})

    def post(self, path: str, body: dict[str, str] | None = None) -> httpx.Response:
        """Ask for something."""
        return httpx.post(self._base + path, headers={"Authorization": f"Bearer {self.token}"}, json=body)


@pytest.fixture(scope="module")
def make(live: LiveServer, app: App) -> Callable[[], Operator]:
    """Make operators."""
    return lambda: Operator(live, app)


@pytest.fixture(scope="module")
def ada(make: Callable[[], Operator]) -> Operator:
    """An operator."""
    return make()


@pytest.fixture(scope="module")
def grace(make: Callable[[], Operator]) -> Operator:
    """Another one."""
    return make()


@pytest.fixture(scope="module")
def program(live: LiveServer) -> Iterator[httpx.Client]:
    """A program with every scope, and nobody behind it."""
    with live.client(None) as client:
        yield client


def create(by: Operator) -> str:
    """Create an operator, and return their id."""
    made = by.post("/v1/users", {"login_name": f"o.{secrets.token_hex(6)}", "display_name": "Mary"})
    assert made.status_code == 201, made.text
    assert made.headers["location"].endswith(f"/platform/v1/users/{made.json()['id']}")
    return str(made.json()["id"])


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """Return how something was refused."""
    return answer.status_code, answer.json()["code"]


def half_of(answer: httpx.Response, *, complete: bool) -> str:
    """Return the half of a code that somebody was given."""
    assert (answer.status_code, answer.json().get("complete")) == (201, complete), answer.text
    return str(answer.json()["half"])


class TestAnOperator:
    def test_is_let_in_by_two_others(self, live: LiveServer, ada: Operator, grace: Operator) -> None:
        """Each gets half of the code, however often one asks alone; the new one types both, in any order."""
        for turned in (False, True):
            made = create(ada)
            codes = f"/v1/users/{made}/enrolment-codes"
            lost, first = half_of(ada.post(codes), complete=False), half_of(ada.post(codes), complete=False)
            answer = grace.post(codes)
            second = half_of(answer, complete=True)
            assert answer.json()["url"] == f"{live.base(None)}/auth/enrol"
            shown = ada.get(f"/v1/users/{made}").json()
            assert (shown["state"], shown["factors"]) == ("invited", [])
            mary = Person(live, None, "/auth", user_id=made, name="mary", enrolment="")
            for wrong in (first, second, first * 2, second * 2, lost + second):
                browser = mary.browser()
                assert browser.submit(browser.get("/enrol"), "/enrol", code=wrong).status_code == 422, "alone"
            # It was good for one code, and this is the first half of another one.
            half_of(grace.post(codes), complete=False)
            mary.enrolment = second + first if turned else first + second
            enrol(mary)
            assert ada.get(f"/v1/users/{made}").json()["state"] == "active"

    def test_begins_anew_by_two_others_alone(
        self, ada: Operator, grace: Operator, make: Callable[[], Operator]
    ) -> None:
        """Neither by themselves, nor with one who is no operator any more."""
        mary, gone = make(), make()
        codes = f"/v1/users/{mary.id}/enrolment-codes"
        assert refusal(mary.post(codes)) == (403, "permission_denied")
        half_of(gone.post(codes), complete=False)
        assert ada.post(f"/v1/users/{gone.id}/disable").status_code == 200
        half_of(ada.post(codes), complete=False)
        half_of(grace.post(codes), complete=True)

    def test_waits_three_days_for_the_second_one(self, live: LiveServer, ada: Operator, grace: Operator) -> None:
        """What was asked longer ago counts for nothing."""
        made = create(ada)
        codes = f"/v1/users/{made}/enrolment-codes"
        half_of(ada.post(codes), complete=False)

        async def pass_time() -> None:
            async with tx_of(live, None) as tx:
                await tx.execute(
                    "UPDATE operator_requests SET expires_at = asked_at WHERE user_id = $1",
                    ids.decode(Prefix.USER, made),
                )

        live.run(pass_time())
        half_of(grace.post(codes), complete=False)
        half_of(ada.post(codes), complete=True)

    def test_is_shut_out_by_one_and_returns_by_two(
        self, program: httpx.Client, ada: Operator, grace: Operator, make: Callable[[], Operator]
    ) -> None:
        """Disabling ends their tokens within a second; what was asked for them before is gone with it."""
        mary = make()
        ada.post(f"/v1/users/{mary.id}/enrolment-codes")
        assert refusal(mary.post(f"/v1/users/{mary.id}/disable")) == (403, "permission_denied")
        assert program.post(f"/v1/users/{mary.id}/disable").json()["state"] == "disabled"
        assert program.post(f"/v1/users/{mary.id}/disable").json()["state"] == "disabled"
        until(lambda: mary.get("/v1/users").status_code == 401)
        assert refusal(grace.post(f"/v1/users/{mary.id}/enrolment-codes")) == (409, "user_state_refuses")
        assert refusal(ada.post(f"/v1/users/{mary.id}/enable")) == (409, "second_operator_required")
        assert grace.post(f"/v1/users/{mary.id}/enable").json()["state"] == "invited"
        half_of(grace.post(f"/v1/users/{mary.id}/enrolment-codes"), complete=False)

    def test_who_is_disabled_leaves_nothing_that_counts_later(
        self, live: LiveServer, ada: Operator, grace: Operator, make: Callable[[], Operator]
    ) -> None:
        """Neither what they asked for others, nor their own code, nor what they ask until their token is refused."""
        mary = make()
        made = create(mary)
        half_of(mary.post(f"/v1/users/{made}/enrolment-codes"), complete=False)
        half_of(ada.post(f"/v1/users/{mary.id}/enrolment-codes"), complete=False)
        half_of(grace.post(f"/v1/users/{mary.id}/enrolment-codes"), complete=True)

        async def left(*, asks: bool) -> tuple[int, int, bool]:
            async with tx_of(live, None) as tx:
                key, other = ids.decode(Prefix.USER, mary.id), ids.decode(Prefix.USER, made)
                now = live.services.clock.now()
                asked = asks and await operator_queries.ask(tx, other, "enrolment", key, now=now, expires_at=now)
                return (
                    await tx.fetchval("SELECT count(*) FROM operator_requests WHERE asked_by = $1", key),
                    await tx.fetchval("SELECT count(*) FROM enrolment_codes WHERE user_id = $1", key),
                    asked,
                )

        assert live.run(left(asks=False)) == (1, 1, False)
        assert ada.post(f"/v1/users/{mary.id}/disable").status_code == 200
        assert live.run(left(asks=True)) == (0, 0, False)

    def test_is_told_who_they_are(self, live: LiveServer, app: App, ada: Operator) -> None:
        """At the platform's userinfo, as customers and staff are at a tenant's."""
        token = tokens_of(app, ada.person, scope="openid profile")["access_token"]
        told = httpx.get(f"{live.base(None)}/oauth/userinfo", headers={"Authorization": f"Bearer {token}"}).json()
        assert (told["sub"], told["name"]) == (ada.id, "Ada")


class TestAProgram:
    def test_lets_nobody_in(self, program: httpx.Client, ada: Operator) -> None:
        """Whatever its scopes; otherwise whoever has its key could become an operator, who may do everything."""
        made = create(ada)
        body = {"login_name": f"o.{secrets.token_hex(6)}", "display_name": "Mallory"}
        assert refusal(program.post("/v1/users", json=body)) == (403, "person_required")
        assert refusal(program.post(f"/v1/users/{made}/enrolment-codes")) == (403, "person_required")
        program.post(f"/v1/users/{made}/disable")
        assert refusal(program.post(f"/v1/users/{made}/enable")) == (403, "person_required")


class TestTheAuditTrail:
    def test_tells_who_asked_through_what_and_names_nobody(
        self, app: App, program: httpx.Client, ada: Operator, grace: Operator
    ) -> None:
        """Each step by its person and the program that they used, without names or codes."""
        made = create(ada)
        codes = [by.post(f"/v1/users/{made}/enrolment-codes").json()["half"] for by in (ada, grace)]
        records = program.get("/v1/audit-records", params={"object_id": made})
        told = [(each["actor"], each["action"]) for each in records.json()["data"]]
        assert sorted(told) == sorted(
            [(grace.id, "user.enrolment_offered"), (ada.id, "user.access_asked"), (ada.id, "user.created")]
        )
        assert {each["facts"]["through"] for each in records.json()["data"]} == {app.client_id}
        assert "Mary" not in records.text
        assert not any(half in records.text for half in codes)


class TestTheSdk:
    def test_manages_operators(self, live: LiveServer, ada: Operator, make: Callable[[], Operator]) -> None:
        """What a program may: list, look, disable, unlock, sign out; and it is told what needs a person."""
        mary = make()
        made = live.add_client(None)
        with BillfoldPlatform(base_url=live.url, client_id=made.client_id, client_secret=made.secret) as platform:
            assert {mary.id, ada.id} <= {each.id for each in platform.users.list(state="active")}
            assert platform.users.get(mary.id).display_name == "Ada"
            assert platform.users.unlock(mary.id).locked_until is None
            assert platform.users.sign_out(mary.id).sessions == 1
            assert platform.users.disable(mary.id).state == "disabled"
            with pytest.raises(errors.PersonRequired):
                platform.users.enable(mary.id)
            with pytest.raises(errors.PersonRequired):
                platform.users.create(login_name="mallory", display_name="M")
            with pytest.raises(errors.UserStateRefuses):
                platform.users.invite(mary.id)
