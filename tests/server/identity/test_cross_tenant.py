"""Whatever one tenant has made is worth nothing at another: every kind of artefact, shown at every other place.

The places have everything else in common: the same server and keyring, and the same apps with the same ids, keys and
secrets, so that nothing but the tenant is left by which an artefact could be told. Each is shown where it is at home at
last, where it is good: a test that shows something broken would show nothing.
"""

import re
import secrets
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest
from joserfc import jws

from billfold import ids
from billfold.ids import Prefix
from billfold_server.identity.clients.private_key_jwt import TYPE
from billfold_server.identity.tokens.id_tokens import half_hash
from billfold_server.people.pages.words import text_of
from tests.live import LiveServer
from tests.server.identity.flows import (
    App,
    Person,
    add_app,
    add_person,
    bring,
    code_of,
    redeem,
    stranger,
    tokens_of,
    tx_of,
)
from tests.server.identity.tokens.proofs import Prover
from tests.server.people.persons import Browser, a_person, a_psu
from tests.tenants import manifest

PLACES = ("cross_a", "cross_b", "cross_c")
SCOPES = ["openid", "offline_access", "tenant:read", "users:write", "approvals:read"]
LEAVING = "https://app.example/left"
PAGE = {"Accept": "text/html"}


class World:
    """Three tenants with the same apps.

    Attributes:
        live: The server.
        secret: An app that authenticates by a secret, as it was registered at the first tenant.
        keyed: One that signs assertions.
        people: A customer of each tenant.
    """

    def __init__(self, live: LiveServer) -> None:
        self.live = live
        approvals = {"always": ["roles"]}
        registration = {"mode": "open", "scopes": ["tenant:read"]}
        for slug in PLACES:
            live.add_tenant(
                manifest(
                    slug,
                    approvals=approvals,
                    registration=registration,
                    rate_limit_per_s=100_000,
                    rate_limit_burst=1_000_000,
                )
            )
        first = PLACES[0]
        programs = ["authorization_code", "refresh_token", "client_credentials"]
        asked: dict[str, Any] = {
            "scopes": SCOPES,
            "grant_types": programs,
            "post_logout_redirect_uris": [LEAVING],
        }
        self.secret = add_app(live, first, "client_secret_basic", **asked)
        self.keyed = add_app(live, first, "private_key_jwt", **asked)
        for slug in PLACES[1:]:
            for app in (self.secret, self.keyed):
                live.run(_copy(live, first, slug, app))
        self.people = {slug: add_person(live, slug) for slug in PLACES}

    def app(self, slug: str, *, keyed: bool = False) -> App:
        """Return an app as it is at a tenant: the same everywhere."""
        original = self.keyed if keyed else self.secret
        app = App(self.live, slug, original.made)
        app.verifier = original.verifier
        return app

    def person(self, slug: str) -> Person:
        """Return a tenant's customer."""
        return self.people[slug]


async def _copy(live: LiveServer, home: str, away: str, app: App) -> None:
    """Register an app at another tenant to the byte as it is at the first."""
    async with tx_of(live, home) as tx:
        row = await tx.fetchval("SELECT to_jsonb(c)::text FROM api_clients c WHERE id = $1", app.client.id)
    async with tx_of(live, away) as tx:
        await tx.execute(
            "INSERT INTO api_clients SELECT * FROM jsonb_populate_record(NULL::api_clients, $1::jsonb)", row
        )


class Artefact(msgspec.Struct, frozen=True):
    """A kind of thing that a tenant makes.

    Attributes:
        name: What it is called.
        make: Makes one at a tenant.
        show: Shows it at one, and tells whether it was accepted.
    """

    name: str
    make: Callable[[World, str], Any]
    show: Callable[[World, str, Any], bool]


def _tokens(world: World, home: str) -> dict[str, Any]:
    return tokens_of(world.app(home), world.person(home), scope="openid offline_access tenant:read")


def _post(world: World, place: str, form: dict[str, str], **headers: str) -> httpx.Response:
    """Ask the token endpoint, as the app that has a secret."""
    return world.app(place).post("/oauth/token", form, **headers)


def _bearer(world: World, place: str, token: str, path: str = "/v1/tenant") -> int:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.get(f"{world.live.base(place)}{path}", headers=headers).status_code


def _introspected(world: World, place: str, token: str) -> bool:
    answer = world.app(place).post("/oauth/introspect", {"token": token})
    assert answer.status_code == 200, answer.text
    return bool(answer.json()["active"])


def _left(world: World, place: str, hint: str) -> bool:
    query = {"id_token_hint": hint, "post_logout_redirect_uri": LEAVING}
    answer = stranger(world.live, place).get("/oauth/end-session", params=query, headers=PAGE)
    return answer.status_code == 303 and answer.headers["location"].startswith(LEAVING)


def _asserted(world: World, place: str, assertion: str) -> bool:
    form = {"grant_type": "client_credentials", "client_assertion_type": TYPE, "client_assertion": assertion}
    return httpx.post(f"{world.live.base(place)}/oauth/token", data=form).status_code == 200


def _proof(world: World, home: str) -> str:
    return Prover().proof("POST", f"{world.live.base(home)}/oauth/token")


def _proven(world: World, place: str, proof: str) -> bool:
    return _post(world, place, {"grant_type": "client_credentials"}, DPoP=proof).status_code == 200


def _nonce(world: World, home: str) -> str:
    prover = Prover()
    prover.nonce = "wrong"
    proof = prover.proof("POST", f"{world.live.base(home)}/oauth/token")
    return str(_post(world, home, {"grant_type": "client_credentials"}, DPoP=proof).headers["dpop-nonce"])


def _proven_with(world: World, place: str, nonce: str) -> bool:
    prover = Prover()
    prover.nonce = nonce
    return _proven(world, place, prover.proof("POST", f"{world.live.base(place)}/oauth/token"))


def _cookie(browser: httpx.Client, name: str) -> str:
    return next(cookie.value or "" for cookie in browser.cookies.jar if cookie.name == name)


def _with_cookies(world: World, place: str, cookies: dict[str, str]) -> Browser:
    browser = stranger(world.live, place)
    for name, value in cookies.items():
        browser.cookies.set(name, value, domain="127.0.0.1", path=f"/t/{place}")
    return browser


def _session(world: World, home: str) -> dict[str, str]:
    return {"billfold-session-psu": _cookie(world.person(home).browser(), "billfold-session-psu")}


def _remembered(world: World, place: str, session: dict[str, str]) -> bool:
    return _with_cookies(world, place, session).get("/auth/account").status_code == 200


def _ticket(world: World, home: str) -> tuple[str, str, str]:
    """Type a right password at home, and return the ticket, the browser's cookie and a code that is right."""
    person = a_psu(world.live, home)
    browser = person.browser()
    ticket = re.findall(r'name="ticket" value="([^"]+)"', person.give_password(browser).text)[-1]
    return ticket, _cookie(browser, "billfold-browser"), person.code()


def _finished(world: World, place: str, ticket: tuple[str, str, str]) -> bool:
    browser = _with_cookies(world, place, {"billfold-browser": ticket[1]})
    csrf, *_ = re.findall(r'name="csrf" value="([^"]+)"', browser.get("/auth/sign-in").text)
    answer = browser.post("/auth/sign-in/code", data={"csrf": csrf, "ticket": ticket[0], "code": ticket[2]})
    assert answer.status_code == 303 or text_of("en", "sign_in.wrong_late") in answer.text
    return answer.status_code == 303


def _form_token(world: World, home: str) -> tuple[str, str]:
    browser = stranger(world.live, home)
    csrf, *_ = re.findall(r'name="csrf" value="([^"]+)"', browser.get("/auth/sign-in").text)
    return csrf, _cookie(browser, "billfold-browser")


def _sent(world: World, place: str, token: tuple[str, str]) -> bool:
    browser = _with_cookies(world, place, {"billfold-browser": token[1]})
    data = {"csrf": token[0], "name": "nobody.at.all", "password": "x"}
    return browser.post("/auth/sign-in", data=data).status_code == 200


def _interaction(world: World, home: str) -> tuple[str, dict[str, str]]:
    browser = world.person(home).browser()
    answer = bring(browser, world.app(home))
    cookies = {cookie.name: cookie.value or "" for cookie in browser.cookies.jar}
    return answer.headers["location"].partition("interaction=")[2], cookies


def _resumed(world: World, place: str, interaction: tuple[str, dict[str, str]]) -> bool:
    browser = _with_cookies(world, place, interaction[1])
    path = f"/oauth/authorize/resume?interaction={interaction[0]}"
    return browser.get(path, headers=PAGE).status_code == 200


def _approval(world: World, home: str) -> str:
    body = {"login_realm": "staff", "login_name": f"x.{secrets.token_hex(6)}", "display_name": "X"}
    with world.live.client(home) as client:
        return str(client.post("/v1/users", json=body).json()["facts"]["approval_id"])


def _shown(world: World, place: str, approval_id: str) -> bool:
    with world.live.client(place) as client:
        return client.get(f"/v1/approvals/{approval_id}").status_code == 200


def _registration(world: World, home: str) -> tuple[str, str]:
    made = httpx.post(f"{world.live.base(home)}/oauth/register", json={"client_name": "x", "scope": "tenant:read"})
    assert made.status_code == 201, made.text
    return made.json()["client_id"], made.json()["registration_access_token"]


def _managed(world: World, place: str, registration: tuple[str, str]) -> bool:
    headers = {"Authorization": f"Bearer {registration[1]}"}
    address = f"{world.live.base(place)}/oauth/register/{registration[0]}"
    return httpx.get(address, headers=headers).status_code == 200


def _enrolled(world: World, place: str, code: str) -> bool:
    browser = Browser(world.live, place)
    return browser.submit(browser.get("/enrol", params={"code": code}), "/enrol").status_code == 303


ARTEFACTS = (
    Artefact(
        "authorization code",
        lambda world, home: code_of(world.app(home), world.person(home)),
        lambda world, place, code: redeem(world.app(place), code).status_code == 200,
    ),
    Artefact(
        "request_uri",
        lambda world, home: world.app(home).uri(),
        lambda world, place, uri: bring(stranger(world.live, place), world.app(place), uri).status_code == 303,
    ),
    Artefact(
        "refresh token",
        lambda world, home: _tokens(world, home)["refresh_token"],
        lambda world, place, token: (
            _post(world, place, {"grant_type": "refresh_token", "refresh_token": token}).status_code == 200
        ),
    ),
    Artefact(
        "access token",
        lambda world, home: _tokens(world, home)["access_token"],
        lambda world, place, token: _bearer(world, place, token) == 200,
    ),
    Artefact(
        "access token at userinfo",
        lambda world, home: _tokens(world, home)["access_token"],
        lambda world, place, token: _bearer(world, place, token, "/oauth/userinfo") == 200,
    ),
    Artefact("access token at introspection", lambda world, home: _tokens(world, home)["access_token"], _introspected),
    Artefact("ID token hint", lambda world, home: _tokens(world, home)["id_token"], _left),
    Artefact(
        "client assertion",
        lambda world, home: world.app(home, keyed=True).made.assertion(world.live.base(home)),
        _asserted,
    ),
    Artefact("DPoP proof", _proof, _proven),
    Artefact("DPoP nonce", _nonce, _proven_with),
    Artefact("session cookie", _session, _remembered),
    Artefact("sign-in ticket", _ticket, _finished),
    Artefact("form token", _form_token, _sent),
    Artefact("interaction", _interaction, _resumed),
    Artefact("approval", _approval, _shown),
    Artefact("registration access token", _registration, _managed),
    Artefact("enrolment code", lambda world, home: a_person(world.live, home).enrolment, _enrolled),
)


@pytest.fixture(scope="module")
def world(live: LiveServer) -> World:
    """Three tenants with the same apps."""
    return World(live)


class TestWhatATenantHasMade:
    """What a tenant has made."""

    @pytest.mark.parametrize("home", PLACES)
    @pytest.mark.parametrize("artefact", ARTEFACTS, ids=lambda artefact: artefact.name)
    def test_is_accepted_there_alone(self, world: World, artefact: Artefact, home: str) -> None:
        """At every other tenant it is refused, and then at home it is good."""
        made = artefact.make(world, home)
        accepted = [place for place in PLACES if place != home and artefact.show(world, place, made)]
        assert accepted == []
        assert artefact.show(world, home, made)

    def test_says_to_which_request_it_answers(self, world: World) -> None:
        """An ID token holds half of the hash of the request's state, where there was one (FAPI 1.0 Advanced, 5.1.1)."""
        home = PLACES[0]
        token = _tokens(world, home)["id_token"]
        claims = jws.extract_compact(token.encode()).payload
        assert msgspec.json.decode(claims)["s_hash"] == half_hash("s-1", "ES256")

    @pytest.mark.parametrize("home", PLACES)
    def test_opens_nothing_at_the_platform(self, world: World, home: str) -> None:
        """Neither a token nor a session of a tenant's counts for operators, nor an app of its."""
        base = world.live.base(None)
        token = _tokens(world, home)["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        assert httpx.get(f"{world.live.url}/platform/v1/tenants", headers=headers).status_code == 401
        assertion = world.app(home, keyed=True).made.assertion(base)
        form = {"grant_type": "client_credentials", "client_assertion_type": TYPE, "client_assertion": assertion}
        assert httpx.post(f"{base}/oauth/token", data=form).json()["error"] == "invalid_client"
        browser = stranger(world.live, None)
        value = _session(world, home)["billfold-session-psu"]
        browser.cookies.set("billfold-session-operator", value, domain="127.0.0.1", path="/platform")
        assert browser.get("/auth/account").status_code == 303

    def test_is_ended_there_alone(self, world: World) -> None:
        """Revoking a token at another tenant, by the same app, leaves it as it is."""
        home, *others = PLACES
        tokens = _tokens(world, home)
        for place in others:
            for token in (tokens["access_token"], tokens["refresh_token"]):
                assert world.app(place).post("/oauth/revoke", {"token": token}).status_code == 200
        assert _introspected(world, home, tokens["access_token"])
        assert ids.encode(Prefix.CLIENT, world.secret.client.id) == world.app(home).client_id
