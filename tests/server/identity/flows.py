"""Authorization flows as an app and a browser go through them: push, sign-in, consent, code.

app = add_app(live, "alpha")
answer = app.push(scope="openid")
"""

import base64
import hashlib
import secrets
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import httpx
import msgspec
from joserfc import jws
from joserfc.jwk import KeySet

from billfold import ids
from billfold.ids import Prefix
from billfold_server.identity.clients.rows import Client, LoginRealm
from billfold_server.identity.jose import SigningKey as Key
from billfold_server.identity.profiles import ClientAuthentication, SigningAlgorithm
from tests.live import LiveServer
from tests.parties import create_party
from tests.server.identity.clients_of import TestClient, make
from tests.server.identity.tokens.proofs import Prover
from tests.server.people.persons import Browser

__all__ = [
    "App",
    "Key",
    "Person",
    "add_app",
    "add_person",
    "answer_of",
    "ask",
    "bring",
    "challenge_of",
    "code_of",
    "decide",
    "follow",
    "later",
    "proven",
    "redeem",
    "sign",
    "signed_answer",
    "stranger",
    "tokens_of",
    "tx_of",
]


def challenge_of(verifier: str) -> str:
    """Return a verifier's challenge by S256."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


class _Anything(jws.JWSRegistry):
    """Signs by whatever is asked for, without a word about it."""

    def get_alg(self, name: str) -> Any:
        """Return the algorithm."""
        return self.algorithms[name]


def sign(claims: dict[str, Any], key: Key, header: dict[str, Any]) -> str:
    """Return claims as a JWS, by whatever algorithm the header says."""
    return jws.serialize_compact(
        header, msgspec.json.encode(claims), key, registry=_Anything(strict_check_header=False)
    )


class App:
    """A client with everything that it needs to ask a person.

    Attributes:
        live: The server.
        slug: Whose client it is; None is the platform's.
        made: What is registered, and by what it proves who it is.
        verifier: Of its codes.
    """

    def __init__(self, live: LiveServer, slug: str | None, made: TestClient) -> None:
        self.live = live
        self.slug = slug
        self.made = made
        self.verifier = secrets.token_urlsafe(32)

    @property
    def base(self) -> str:
        """Return the realm's base URL, which is its issuer."""
        return self.live.base(self.slug)

    @property
    def client(self) -> Client:
        """Return what is registered."""
        return self.made.client

    @property
    def client_id(self) -> str:
        """Return its id on the wire."""
        return self.made.client_id

    def request(self, **changes: Any) -> dict[str, Any]:
        """Return the parameters of a request that is right; None takes one away."""
        said = {
            "client_id": self.client_id,
            "response_type": "code",
            "redirect_uri": self.client.redirect_uris[0],
            "scope": "openid",
            "state": "s-1",
            "code_challenge": challenge_of(self.verifier),
            "code_challenge_method": "S256",
            **changes,
        }
        return {name: value for name, value in said.items() if value is not None}

    def object(
        self, *, header: dict[str, Any] | None = None, key: Key | None = None, kid: str | None = None, **changes: Any
    ) -> str:
        """Return a signed request object that is right, but for the changes."""
        now, key = int(time.time()), key or self.made.key
        times = {"iss": self.client_id, "aud": self.base, "nbf": now, "exp": now + 300}
        alg = {"EC": "ES256", "OKP": "EdDSA", "RSA": "PS256"}[key.key_type]
        head = {"alg": alg, "kid": kid or self.made.kid, "typ": "oauth-authz-req+jwt", **(header or {})}
        claims = self.request(**{**times, **changes})
        return sign(claims, key, {name: value for name, value in head.items() if value is not None})

    def post(self, path: str, form: dict[str, Any] | bytes, **headers: str) -> httpx.Response:
        """Send a form, authenticated in the client's way."""
        headers = {"Content-Type": "application/x-www-form-urlencoded", **self.made.headers(), **headers}
        proof = self.made.form(self.base)
        if isinstance(form, bytes):
            content = form + b"".join(f"&{name}={value}".encode() for name, value in proof.items())
            return httpx.post(f"{self.base}{path}", content=content, headers=headers)
        return httpx.post(f"{self.base}{path}", data={**form, **proof}, headers=headers)

    def push(self, **changes: Any) -> httpx.Response:
        """Push a request that is right, but for the changes."""
        return self.post("/oauth/par", self.request(**changes))

    def push_signed(self, text: str | None = None, **beside: Any) -> httpx.Response:
        """Push a request object."""
        form = {"client_id": self.client_id, "request": text or self.object(), **beside}
        return self.post("/oauth/par", form)

    def uri(self, **changes: Any) -> str:
        """Push a request, signed where the profile wants it, and return its address."""
        signs = self.live.services.identity.realm(self.tenant).profile.request_object == "required"
        answer = self.push_signed(self.object(**changes)) if signs else self.push(**changes)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["request_uri"])

    @property
    def tenant(self) -> Any:
        """Return the tenant; None is the platform."""
        return None if self.slug is None else self.live.run(self.live.services.registry.get(self.slug))


def add_app(
    live: LiveServer,
    slug: str | None,
    method: ClientAuthentication = "private_key_jwt",
    *,
    alg: SigningAlgorithm = "ES256",
    login_realm: LoginRealm = "psu",
    **metadata: Any,
) -> App:
    """Register a client that asks people.

    Args:
        live: The server.
        slug: The tenant; None is the platform.
        method: How the client authenticates.
        alg: By what its key signs.
        login_realm: Whom it asks to sign in, at a tenant.
        metadata: Further metadata, as ``clients_of.make`` takes it.
    """
    said: dict[str, Any] = {
        "scopes": [
            "openid",
            "profile",
            "offline_access",
            *(["wallets:read", "holds:read"] if slug else ["platform:tenants:read"]),
        ],
        "redirect_uris": ["https://app.example/cb", "https://app.example/cb?kept=1"],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        **metadata,
    }
    return App(live, slug, make(live, slug, method, alg=alg, login_realm=login_realm, **said))


class Person:
    """Somebody who can be asked.

    Attributes:
        live: The server.
        slug: Whose customer, or (None) an operator of the platform.
        user_id: The row's id.
        party_id: As whom a customer owns wallets.
        login_realm: Whose sign-in they have.
    """

    def __init__(
        self,
        live: LiveServer,
        slug: str | None,
        user_id: UUID,
        party_id: UUID | None,
        login_realm: LoginRealm = "psu",
    ) -> None:
        self.live = live
        self.slug = slug
        self.user_id = user_id
        self.party_id = party_id
        self.login_realm = login_realm

    def browser(self, *, ago_s: float = 1, acr: str = "urn:openbanking:psd2:sca") -> Browser:
        """Return a browser in which they have signed in so long ago."""
        browser = stranger(self.live, self.slug)
        self.sign_in(browser, ago_s=ago_s, acr=acr)
        return browser

    def sign_in(self, browser: Browser, *, ago_s: float = 0, acr: str = "urn:openbanking:psd2:sca") -> None:
        """Sign in, as the pages do it, without their factors, which cost a test more than all the rest."""
        cookie, now = secrets.token_urlsafe(32), self.live.services.clock.now()
        then = now - timedelta(seconds=ago_s)

        async def insert() -> None:
            async with tx_of(self.live, self.slug) as tx:
                await tx.execute(
                    "INSERT INTO sessions (id, digest, user_id, stage, amr, acr, factor_ids, auth_time, confirmed_at,"
                    " last_seen_at, ends_at, device, created_at)"
                    " VALUES ($1, $2, $3, 'signed_in', $4, $5, '{}', $6, $6, $7, $8, '?', $6)",
                    ids.uuid7(), hashlib.sha256(cookie.encode()).digest(), self.user_id, ["pwd", "otp", "mfa"], acr,
                    then, now, now + timedelta(hours=1),
                )  # fmt: skip

        self.live.run(insert())
        name = f"billfold-session-{self.login_realm}"
        browser.cookies.set(name, cookie, domain="127.0.0.1", path=urlsplit(self.live.base(self.slug)).path)


def stranger(live: LiveServer, slug: str | None) -> Browser:
    """Return a browser in which nobody has signed in. Its addresses begin at the realm's base."""
    return Browser(live, slug, "")


@asynccontextmanager
async def tx_of(live: LiveServer, slug: str | None) -> AsyncIterator[Any]:
    """Open a transaction of a tenant, or (None) of the platform; for ``live.run``."""
    database = live.services.database
    scope = database.platform_tx() if slug is None else database.tx(await live.services.registry.get(slug))
    async with scope as tx:
        yield tx


def add_person(live: LiveServer, slug: str | None, *, roles: Sequence[str] = ()) -> Person:
    """Make a customer of a tenant, a member of its staff where there are roles, or an operator of the platform."""
    user_id, name = ids.uuid7(), secrets.token_hex(10)
    login_realm: LoginRealm = "operator" if slug is None else "staff" if roles else "psu"

    async def insert() -> UUID | None:
        now, party_id = live.services.clock.now(), None
        if login_realm == "psu" and slug is not None:
            party = await create_party(live.services, await live.services.registry.get(slug), "Ada")
            party_id = ids.decode(Prefix.PARTY, party.id)
        async with tx_of(live, slug) as tx:
            await tx.execute(
                "INSERT INTO users (id, login_realm, login_name, display_name, party_id, roles, state, handle, version,"
                " created_at, updated_at) VALUES ($1, $2, $3, 'Ada', $4, $7, 'active', $5, 1, $6, $6)",
                user_id, login_realm, name, party_id, secrets.token_bytes(32), now, list(roles),
            )  # fmt: skip
        return party_id

    return Person(live, slug, user_id, live.run(insert()), login_realm)


def tokens_of(app: App, person: Person, **changes: Any) -> dict[str, Any]:
    """Let a person allow what an app asks, and return what the token endpoint gives it for the code."""
    browser = person.browser()
    said = answer_of(app, decide(browser, ask(browser, app, **changes)))
    form = {"grant_type": "authorization_code", "code": said["code"], "code_verifier": app.verifier}
    answer = app.post("/oauth/token", {**form, "redirect_uri": app.client.redirect_uris[0]})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


class _Later:
    """The real clock, so many seconds ahead."""

    def __init__(self, by_s: float) -> None:
        self._by = timedelta(seconds=by_s)

    def now(self) -> datetime:
        """Return the time."""
        return datetime.now(UTC) + self._by


@contextmanager
def later(live: LiveServer, by_s: float) -> Iterator[None]:
    """Let it be later for what looks at the clock by way of the request."""
    before = live.services.clock
    live.services.clock = _Later(by_s)
    try:
        yield
    finally:
        live.services.clock = before


_PAGE = {"Accept": "text/html"}


def bring(browser: Browser, app: App, uri: str | None = None, **beside: str) -> httpx.Response:
    """Bring a pushed request to the authorize endpoint, and return its first answer."""
    query = {"client_id": app.client_id, "request_uri": uri or app.uri(), **beside}
    return browser.get("/oauth/authorize", params=query, headers=_PAGE)


def follow(browser: Browser, answer: httpx.Response) -> httpx.Response:
    """Follow redirects as long as they stay at the server."""
    while answer.status_code == 303 and not answer.headers["location"].startswith("https://"):
        answer = browser.get(browser.base_url.join(answer.headers["location"]), headers=_PAGE)
    return answer


def ask(browser: Browser, app: App, **changes: Any) -> httpx.Response:
    """Push a request and bring it, as far as it goes without the person: to the consent page, or to sign-in."""
    return follow(browser, bring(browser, app, app.uri(**changes)))


def decide(browser: Browser, page: httpx.Response, decision: str = "approve", **fields: str) -> httpx.Response:
    """Press a button of the consent page, and return the redirect to the client."""
    assert page.status_code == 200, page.text
    return browser.submit(page, "/oauth/authorize/decision", decision=decision, **fields)


def answer_of(app: App, answer: httpx.Response) -> dict[str, str]:
    """Return what a redirect tells the client, once everything has been checked that holds for any answer."""
    assert answer.status_code == 303, answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    parts = urlsplit(answer.headers["location"])
    said = dict(parse_qsl(parts.query, strict_parsing=True))
    to = parts._replace(query="kept=1" if "kept" in said else "").geturl()
    assert to in app.client.redirect_uris
    said.pop("kept", None)
    if "response" in said:
        assert set(said) == {"response"}
        said = signed_answer(app, said["response"])
    assert said.pop("iss") == app.base
    return said


def signed_answer(app: App, text: str) -> dict[str, Any]:
    """Return what a signed answer says (JARM, section 2.4), with its issuer, once it was checked."""
    keys = KeySet.import_key_set(httpx.get(f"{app.base}/.well-known/jwks.json").json())
    registry = _Anything(strict_check_header=False)
    read = jws.deserialize_compact(text, keys, registry=registry)
    assert read.protected["alg"] == (app.client.authorization_response_alg or "ES256")
    claims: dict[str, Any] = msgspec.json.decode(read.payload)
    assert claims.pop("aud") == app.client_id
    assert time.time() < claims.pop("exp") <= time.time() + 600
    return claims


def proven(app: App, prover: Prover, method: str, path: str, send: Any, **claims: Any) -> httpx.Response:
    """Send a request with a proof of possession, and once more where the server wants its nonce in it.

    Args:
        app: Whose realm it goes to.
        prover: The key.
        method: HTTP.
        path: Below the realm's base.
        send: Sends it, given the header's value.
        claims: Of the proof, where they are to be others.
    """
    for _ in range(2):
        answer: httpx.Response = send(prover.proof(method, app.base + path, **claims))
        prover.nonce = answer.headers.get("DPoP-Nonce", prover.nonce)
        if "use_dpop_nonce" not in answer.text + answer.headers.get("WWW-Authenticate", ""):
            break
    return answer


def redeem(app: App, code: str, prover: Prover | None = None, **changes: Any) -> httpx.Response:
    """Redeem a code, with a proof of possession where a key is given; None takes a parameter away."""
    said = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": app.client.redirect_uris[0],
        "code_verifier": app.verifier,
        **changes,
    }
    form = {name: value for name, value in said.items() if value is not None}
    if prover is None:
        return app.post("/oauth/token", form)
    return proven(app, prover, "POST", "/oauth/token", lambda proof: app.post("/oauth/token", form, DPoP=proof))


def code_of(app: App, person: Person, **changes: Any) -> str:
    """Go through the whole flow, and return the code."""
    browser = person.browser()
    said = answer_of(app, decide(browser, ask(browser, app, **changes)))
    return said["code"]
