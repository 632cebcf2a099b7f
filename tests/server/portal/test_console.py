"""The reference's console over HTTP: who may try what as which program, and what comes of it."""

import html
import json
import re
from typing import Any

import httpx
import pytest

from billfold import ids
from billfold.ids import Prefix
from billfold_server.identity.service import set_client_state
from billfold_server.people.pages.forms import FIELD
from billfold_server.portal.pages import ROOT
from tests.live import Credentials, LiveServer
from tests.server.identity import clients_of
from tests.server.partners.worlds import World, member_of
from tests.server.people.persons import Browser, a_person, enrol
from tests.tenants import manifest

STRICT, EARNEST = "trystrict", "tryearnest"
OWN = ["clock:write", "events:read", "tenant:read"]
"""What a developer may, and so may have a program do."""

ANSWER = re.compile(r'<div id="answer" class="answer".*?</div>', re.DOTALL)
KEY = re.compile(r'id="header\.Idempotency-Key"[^>]* value="([^"]+)"')


@pytest.fixture(scope="module", autouse=True)
def tenants(live: LiveServer) -> None:
    """Serve a sandbox whose programs bind their tokens, and a tenant whose money is real, beside the plain sandbox."""
    live.add_tenant(manifest(STRICT, security_profile="fapi2"))
    live.add_tenant(manifest(EARNEST, sandbox=False))


def a_member(live: LiveServer, *roles: str, slug: str = "alpha") -> Browser:
    """Return a browser in which a member of staff has signed in."""
    person = a_person(live, slug, realm="staff", roles=roles)
    enrol(person, browser := person.browser())
    browser.base_url = httpx.URL(live.base(slug) + ROOT)
    return browser


@pytest.fixture(scope="module")
def developer(live: LiveServer) -> Browser:
    """A developer's browser."""
    return a_member(live, "developer")


@pytest.fixture(scope="module")
def operator(live: LiveServer) -> Browser:
    """The browser of somebody who is developer and operator at once."""
    return a_member(live, "developer", "operator")


@pytest.fixture(scope="module")
def program(live: LiveServer) -> Credentials:
    """A program that may everything."""
    return live.add_client("alpha")


def token_in(browser: httpx.Client) -> str:
    """Return a token by which a form of this visit is known."""
    found = re.search(rf'name="{FIELD}" value="([^"]+)"', browser.get("").text)
    assert found is not None
    return found.group(1)


def tried(browser: Browser, operation: str, client: str, **fields: Any) -> httpx.Response:
    """Send an operation's form as it is served, with what is filled in: ``path_…`` and ``query_…`` by name."""
    page = browser.get(f"/reference/{operation}")
    key = KEY.search(page.text)
    named = {name.replace("_", ".", 1) if "_" in name else name: value for name, value in fields.items()}
    if key is not None:
        named.setdefault("header.Idempotency-Key", key.group(1))
    return browser.post(f"/reference/{operation}", data={FIELD: token_in(browser), "client": client, **named})


def refused(page: httpx.Response) -> bool:
    """Tell whether the console itself has refused a form that is ours, and sent nothing."""
    return page.status_code == 403 and 'id="try"' in page.text and ANSWER.search(page.text) is None


def answer_of(page: httpx.Response) -> str:
    """Return what a page shows of an answer, as text."""
    (shown,) = ANSWER.findall(page.text)
    return html.unescape(re.sub(r"<[^>]+>", "", shown))


def body_of(page: httpx.Response) -> Any:
    """Return the body that a page shows."""
    (shown,) = ANSWER.findall(page.text)
    first, *_ = re.findall(r"<pre[^>]*><code>(.*?)</code>", shown, re.DOTALL)
    return json.loads(html.unescape(first))


class TestTheConsole:
    def test_sends_a_request_and_shows_what_came_back(
        self, live: LiveServer, operator: Browser, program: Credentials
    ) -> None:
        """What is asked for is done as the program; status, body and request id are shown, and no token is."""
        page = tried(operator, "createParty", program.client_id, body='{"kind": "person", "name": "Ada <b>Byron</b>"}')
        assert page.status_code == 200
        made = body_of(page)
        assert made["name"] == "Ada <b>Byron</b>"
        shown = answer_of(page)
        assert "Answer 201" in shown.replace("\n", " ")
        assert "$BILLFOLD_TOKEN" in shown
        assert not re.search(r"eyJ[\w-]{20}|DPoP ", page.text)
        (request_id,) = set(re.findall(r"/requests/(req_\w+)", page.text))
        with live.client("alpha") as client:
            assert client.get(f"/v1/parties/{made['id']}").json() == made
            records = client.get("/v1/audit-records", params={"object_id": made["id"]}).json()["data"]
        assert [(each["actor"], each["request_id"]) for each in records] == [(program.client_id, request_id)]

    def test_names_the_person_in_the_audit(self, live: LiveServer, operator: Browser, program: Credentials) -> None:
        """Under the id of the request the audit says who has asked for it, what, and as which program."""
        page = tried(operator, "getTenant", program.client_id)
        (request_id,) = set(re.findall(r"/requests/(req_\w+)", page.text))
        with live.client("alpha") as client:
            records = client.get("/v1/audit-records", params={"object_id": program.client_id}).json()["data"]
        (told,) = [each for each in records if each["request_id"] == request_id]
        assert told["action"] == "client.used_in_console"
        assert told["actor"].startswith("usr_")
        assert told["facts"]["operation"] == "getTenant"

    def test_fills_path_query_and_headers(self, operator: Browser, program: Credentials) -> None:
        """Fields become the parameters that they are named after."""
        party = body_of(tried(operator, "createParty", program.client_id, body='{"kind": "person", "name": "Ada"}'))
        shown = body_of(tried(operator, "getParty", program.client_id, path_party_id=party["id"]))
        assert shown == party
        found = body_of(tried(operator, "listParties", program.client_id, query_limit="1", query_kind="person"))
        assert len(found["data"]) == 1
        changed = tried(
            operator,
            "updateParty",
            program.client_id,
            path_party_id=party["id"],
            body='{"name": "Ada B."}',
            **{"header_If-Match": '"7"'},
        )
        assert body_of(changed)["code"] == "precondition_failed"
        assert f'{ROOT}/errors#precondition_failed"' in changed.text

    def test_repeats_nothing_under_the_same_key(self, operator: Browser, program: Credentials) -> None:
        """Loading the answer again sends the same key again, and gets the first answer; a fresh form has a new key."""
        body = '{"kind": "person", "name": "Once"}'
        first = tried(operator, "createParty", program.client_id, body=body, **{"header_Idempotency-Key": "try-1"})
        again = tried(operator, "createParty", program.client_id, body=body, **{"header_Idempotency-Key": "try-1"})
        assert body_of(first) == body_of(again)
        assert "idempotent-replayed: true" in answer_of(again)
        assert KEY.search(again.text) is not None
        assert "try-1" not in KEY.findall(again.text)

    def test_works_where_tokens_are_bound(self, live: LiveServer) -> None:
        """In a sandbox of FAPI 2.0, where nobody's bearer token counts, the request is let in by a proof of its own."""
        made = clients_of.make(live, STRICT, "private_key_jwt", scopes=OWN)
        page = tried(a_member(live, "developer", slug=STRICT), "getTenant", made.client_id)
        assert body_of(page)["slug"] == STRICT

    def test_shows_what_the_pipeline_refuses(self, developer: Browser, program: Credentials) -> None:
        """A body that the operation refuses is refused as ever, with the problem's code linked."""
        page = tried(developer, "advanceClock", program.client_id, body='{"to": 7}')
        assert body_of(page)["code"] == "validation_failed"

    def test_says_what_is_missing_before_anything_is_sent(self, operator: Browser, program: Credentials) -> None:
        """What must be filled in and isn't, or can't stand in an address, is told beside its field."""
        for value in ("", "../../oauth/token", "a/b", "x?y", "%2e%2e"):
            page = tried(operator, "getParty", program.client_id, path_party_id=value)
            assert page.status_code == 422
            assert 'aria-invalid="true"' in page.text
            assert ANSWER.search(page.text) is None

    def test_says_of_files_how_large_they_are(self, developer: Browser) -> None:
        """What takes a file isn't offered, and says by what it is sent instead."""
        page = developer.get("/reference/createStatementImport")
        assert "Use the SDK" in page.text
        assert f'action="/t/alpha{ROOT}/reference' not in page.text


class TestAPartner:
    def test_uses_its_own_programs_alone(self, world: World) -> None:
        """A partner's developer has its programs do whatever those may; nobody else's are there."""
        person = member_of(world, world.one, "developer")
        person.sign_in(browser := person.browser())
        browser.base_url = httpx.URL(world.live.base("alpha") + ROOT)
        own = tried(browser, "listWallets", world.one.client["id"])
        # Wallets are the tenant's, whoever made them.
        assert "data" in body_of(own)
        shown = body_of(tried(browser, "listWebhookEndpoints", world.one.client["id"]))
        assert [each["id"] for each in shown["data"]] == [world.one.endpoint["id"]]
        for side in (world.other, world.own):
            assert side.client["id"] not in own.text
            assert refused(tried(browser, "listWallets", side.client["id"]))

    def test_is_nobody_whom_the_bank_acts_as(self, world: World, operator: Browser) -> None:
        """Staff uses the tenant's own programs, however much it may."""
        assert tried(operator, "listWallets", world.own.client["id"]).status_code == 200
        assert refused(tried(operator, "listWallets", world.one.client["id"]))


class TestTheToken:
    def test_is_good_for_one_request_alone(self, live: LiveServer, program: Credentials) -> None:
        """Token and proof open one address once: no other, not a second time, and the token opens nothing by itself."""

        async def made(path: str) -> dict[str, str]:
            services = live.services
            tenant = await services.registry.get("alpha")
            client = await services.identity.client_of(tenant, ids.decode(Prefix.CLIENT, program.client_id))
            assert client is not None
            now = services.clock.now()
            return await services.identity.headers_for_one_call(
                tenant, client, scope="tenant:read", resource="/v1", method="GET", path=path, now=now
            )

        def status(path: str, headers: dict[str, str]) -> int:
            return httpx.get(f"{live.base('alpha')}{path}", headers=headers).status_code

        headers = live.run(made("/v1/tenant"))
        token = headers["authorization"].removeprefix("DPoP ")
        assert status("/v1/clock", headers) == 401
        assert status("/v1/tenant", {"authorization": f"Bearer {token}"}) == 401
        assert status("/v1/tenant", {"authorization": f"DPoP {token}"}) == 401
        assert [status("/v1/tenant", headers) for _ in range(2)] == [200, 401]
        assert status("/v1/parties", live.run(made("/v1/parties"))) == 403


class TestNobody:
    def test_is_let_in_without_a_session(self, live: LiveServer, program: Credentials) -> None:
        """A form without a session isn't ours; a page without one offers to sign in."""
        with httpx.Client(base_url=live.base("alpha") + ROOT) as stranger:
            page = stranger.get("/reference/getTenant")
            assert "sign-in?to=%2Fportal%2Freference%2FgetTenant" in page.text
            assert tried_plainly(stranger, program).status_code == 403

    def test_is_let_in_by_a_form_of_another_visit(self, developer: Browser, program: Credentials) -> None:
        """A session without the form's token, or with one that was made up, changes nothing."""
        assert tried_plainly(developer, program).status_code == 403
        assert tried_plainly(developer, program, **{FIELD: "made-up"}).status_code == 403

    def test_gains_scopes_by_a_program(self, developer: Browser, program: Credentials) -> None:
        """A developer can't have a program do what they may not themselves, whatever the program may."""
        assert "There is no program" in developer.get("/reference/createParty").text
        csrf = token_in(developer)
        assert refused(developer.post("/reference/listParties", data={FIELD: csrf, "client": program.client_id}))

    def test_gets_further_than_the_program(self, live: LiveServer, operator: Browser) -> None:
        """Who may more than a program can't have it do that."""
        small = live.add_client("alpha", OWN)
        csrf = token_in(operator)
        assert refused(operator.post("/reference/listParties", data={FIELD: csrf, "client": small.client_id}))

    def test_uses_a_program_that_is_disabled_or_unknown(self, live: LiveServer, developer: Browser) -> None:
        """One that isn't let in, one that there isn't and one of another tenant are refused alike."""
        disabled, elsewhere = live.add_client("alpha", OWN), live.add_client("beta", OWN)

        async def disable() -> None:
            tenant = await live.services.registry.get("alpha")
            async with live.services.database.tx(tenant) as tx:
                await set_client_state(tx, disabled.client_id, enabled=False, now=live.services.clock.now())

        live.run(disable())
        strangers = (disabled.client_id, elsewhere.client_id, ids.new(Prefix.CLIENT), "")
        for each in strangers:
            assert refused(tried(developer, "getTenant", each))

    def test_uses_a_program_that_acts_for_people_alone(self, live: LiveServer, developer: Browser) -> None:
        """A program that asks for tokens by people's consent only has no right of its own that could be lent."""
        made = clients_of.make(
            live,
            "alpha",
            "private_key_jwt",
            scopes=OWN,
            grant_types=["authorization_code"],
            redirect_uris=["https://app.example/back"],
        )
        assert refused(tried(developer, "getTenant", made.client_id))

    def test_tries_anything_without_the_role(self, live: LiveServer, program: Credentials) -> None:
        """Who doesn't look after programs reads the reference, and is told why they can't try it."""
        support = a_member(live, "support")
        assert "Your roles don" in support.get("/reference/getTenant").text
        csrf = token_in(support)
        answer = support.post("/reference/getTenant", data={FIELD: csrf, "client": program.client_id})
        assert answer.status_code == 403

    def test_tries_anything_where_money_is_real(self, live: LiveServer) -> None:
        """In a tenant that is no sandbox the page says so, and the form is refused."""
        browser, own = a_member(live, "developer", slug=EARNEST), live.add_client(EARNEST, OWN)
        assert "Here money is real" in browser.get("/reference/getTenant").text
        console = f'href="/t/{EARNEST}{ROOT}/console"'
        assert console not in browser.get("").text
        assert "Here money is real" in browser.get("/console").text
        assert refused(browser.post("/reference/getTenant", data={FIELD: token_in(browser), "client": own.client_id}))

    def test_does_as_a_program_what_a_person_must(self, live: LiveServer, program: Credentials) -> None:
        """Who may do what is decided by people in their own names; who decides on approvals asks for none."""
        both = a_member(live, "developer", "approver", "owner", "operator")
        csrf = token_in(both)
        for each in ("createUser", "createClient", "approveApproval", "shredSubject", "createWithdrawal"):
            form = {FIELD: csrf, "client": program.client_id, "body": "{}", "path.approval_id": "apr_1"}
            assert refused(both.post(f"/reference/{each}", data=form)), each


def tried_plainly(browser: httpx.Client, program: Credentials, **fields: str) -> httpx.Response:
    """Send a form that no page has shown."""
    return browser.post("/reference/getTenant", data={"client": program.client_id, **fields})
