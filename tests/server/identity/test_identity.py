"""Identity: tokens by client credentials, and their check at the tenant that issued them."""

import base64
import hmac
import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from billfold import ids
from billfold.clock import ManualClock
from billfold.ids import Prefix
from billfold_server.app import build_app
from billfold_server.identity.realms import Realm
from billfold_server.identity.service import set_client_state
from tests.live import Credentials, LiveServer
from tests.server.identity import clients_of
from tests.tenants import manifest


@pytest.fixture(scope="module")
def credentials(live: LiveServer) -> Credentials:
    """A client of alpha with two scopes."""
    return live.add_client("alpha", ["tenant:read", "wallets:read"])


def ask(live: LiveServer, form: dict[str, str] | bytes, auth: Any = None, slug: str | None = "alpha", **headers: str):
    """Send a token request."""
    content = form if isinstance(form, bytes) else None
    data = None if isinstance(form, bytes) else form
    headers = {"Content-Type": "application/x-www-form-urlencoded", **headers}
    return httpx.post(f"{live.base(slug)}/oauth/token", data=data, content=content, auth=auth, headers=headers)


GRANT = {"grant_type": "client_credentials"}


class TestATokenRequest:
    def test_is_answered_with_a_token_for_either_way_to_authenticate(self, live, credentials) -> None:
        """HTTP Basic or the form, as registered (RFC 6749, section 2.3.1); the answer isn't cached."""
        other = clients_of.make(live, "alpha", "client_secret_post", scopes=["tenant:read", "wallets:read"])
        by_form = {**GRANT, **other.form(live.base("alpha"))}
        for answer in (ask(live, GRANT, (credentials.client_id, credentials.secret)), ask(live, by_form)):
            assert answer.status_code == 200
            assert answer.headers["cache-control"] == "no-store"
            token = answer.json()
            assert (token["token_type"], token["scope"], token["expires_in"]) == (
                "Bearer",
                "tenant:read wallets:read",
                600,
            )

    def test_gets_the_scopes_that_it_asks_for(self, live, credentials) -> None:
        """A part of what the client may can be asked for."""
        answer = ask(live, {**GRANT, "scope": "tenant:read"}, (credentials.client_id, credentials.secret))
        assert answer.json()["scope"] == "tenant:read"

    @pytest.mark.parametrize(
        ("form", "error", "status"),
        [
            ({}, "invalid_request", 400),
            ({"grant_type": ""}, "invalid_request", 400),
            ({"grant_type": "password"}, "unsupported_grant_type", 400),
            ({**GRANT, "scope": "wallets:write"}, "invalid_scope", 400),
            ({**GRANT, "scope": "tenant:read  wallets:read"}, "invalid_scope", 400),
            ({**GRANT, "scope": 'x"y'}, "invalid_scope", 400),
            ({**GRANT, "client_secret": "x"}, "invalid_request", 400),
            ({**GRANT, "client_id": "cli_other"}, "invalid_client", 401),
            (b"grant_type=client_credentials&grant_type=client_credentials", "invalid_request", 400),
            (b"grant_type=client_credentials&scope=%ff", "invalid_request", 400),
            (b"\xff\xfe", "invalid_request", 400),
        ],
    )
    def test_is_refused_by_the_codes_of_the_rfc(self, live, credentials, form, error, status) -> None:
        """RFC 6749, section 5.2 names each refusal."""
        answer = ask(live, form, (credentials.client_id, credentials.secret))
        assert (answer.status_code, answer.json()["error"]) == (status, error)
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["cache-control"] == "no-store"

    def test_doesnt_tell_whether_a_client_exists(self, live, credentials) -> None:
        """Unknown client, wrong secret, no client id at all: the same answer, challenged where Basic was used."""
        strangers = [
            (credentials.client_id, "wrong"),
            (credentials.client_id, ""),
            (ids.new(Prefix.CLIENT), credentials.secret),
            ("nobody", "x"),
            ("", ""),
        ]
        answers = [ask(live, GRANT, pair) for pair in strangers]
        assert {(answer.status_code, answer.text) for answer in answers} == {(401, answers[0].text)}
        assert all(answer.headers["www-authenticate"].startswith("Basic ") for answer in answers)

    def test_of_many_parameters_is_refused_unread(self, live) -> None:
        """Taking a megabyte of parameters apart would cost everybody half a second, and strangers may send it."""
        form = b"grant_type=client_credentials&" + b"&".join(b"%x=1" % number for number in range(10_000))
        answer = ask(live, form)
        assert (answer.status_code, answer.json()["error"]) == (413, "invalid_request")
        assert ask(live, form[: form.index(b"&ff=")]).status_code == 401

    @pytest.mark.parametrize(
        "header", ["Bearer x", "Basic", "Basic !!!", "Basic eA==", "Basic " + "A" * 5000, "Basic /////w=="]
    )
    def test_with_another_authorization_is_refused(self, live, header) -> None:
        """What isn't HTTP Basic is an unauthenticated client."""
        answer = ask(live, GRANT, Authorization=header)
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")

    def test_needs_a_form(self, live) -> None:
        """JSON isn't a form: 415, in the surface's own words."""
        answer = httpx.post(f"{live.base('alpha')}/oauth/token", json=GRANT)
        assert (answer.status_code, answer.json()["error"]) == (415, "invalid_request")


def decoded(segment: str) -> dict[str, Any]:
    """Return a segment of a JWT."""
    value: dict[str, Any] = json.loads(base64.urlsafe_b64decode(segment + "==="))
    return value


def encoded(value: dict[str, Any]) -> str:
    """Return a segment of a JWT."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def mac_by(key: bytes, head: dict[str, Any], body: dict[str, Any]) -> str:
    """Return a token under a MAC whose key is a public key, which joserfc itself won't make."""
    signed = f"{encoded(head)}.{encoded(body)}"
    tag = hmac.digest(key, signed.encode(), "sha256")
    return f"{signed}.{base64.urlsafe_b64encode(tag).decode().rstrip('=')}"


class TestAnAccessToken:
    def test_is_a_jwt_of_rfc_9068(self, live, credentials) -> None:
        """Its header has type, algorithm and key; its claims name issuer, audience, client, scope and a short life."""
        token = live.token("alpha", credentials)
        header, claims = (decoded(part) for part in token.split(".")[:2])
        base = live.base("alpha")
        assert (header["typ"], header["alg"]) == ("at+jwt", "ES256")
        assert (claims["iss"], claims["aud"]) == (base, f"{base}/v1")
        assert claims["sub"] == claims["client_id"] == credentials.client_id
        assert 0 < claims["exp"] - claims["iat"] <= 600
        assert claims["scope"] == "tenant:read wallets:read"
        assert len(claims["jti"]) >= 22

    def test_verifies_by_the_published_keys(self, live, credentials) -> None:
        """The metadata leads to the keys, and these verify the token; nothing private is in them."""
        metadata = httpx.get(f"{live.base('alpha')}/.well-known/oauth-authorization-server").json()
        inserted = httpx.get(f"{live.url}/.well-known/oauth-authorization-server/t/alpha").json()
        assert metadata == inserted
        assert metadata["issuer"] == live.base("alpha")
        keys = httpx.get(metadata["jwks_uri"]).json()
        assert all("d" not in key for key in keys["keys"])
        token = live.token("alpha", credentials)
        assert (
            jwt.decode(token, KeySet.import_key_set(keys), algorithms=["ES256"]).claims["sub"] == credentials.client_id
        )


class TestTheCheckOfATokenHere:
    def test_lets_it_in_where_it_was_issued(self, live, credentials) -> None:
        """The token opens its tenant, whatever the scheme's case."""
        token = live.token("alpha", credentials)
        for scheme in ("Bearer", "bearer", "BEARER"):
            assert (
                httpx.get(f"{live.base('alpha')}/v1/tenant", headers={"Authorization": f"{scheme} {token}"}).status_code
                == 200
            )

    def test_keeps_it_out_elsewhere(self, live) -> None:
        """A token of one tenant is worth nothing at another one or at the platform, and the reverse."""
        tokens = {slug: live.token(slug, live.add_client(slug)) for slug in ("alpha", "beta", None)}
        for owner, token in tokens.items():
            for slug in ("alpha", "beta"):
                answer = httpx.get(f"{live.base(slug)}/v1/tenant", headers={"Authorization": f"Bearer {token}"})
                assert answer.status_code == (200 if slug == owner else 401)

    def test_refuses_what_is_no_token(self, live, credentials) -> None:
        """Without a token there is a bare challenge; with a bad one, its error (RFC 6750, section 3.1)."""
        address = f"{live.base('alpha')}/v1/tenant"
        bare = httpx.get(address)
        where = f'resource_metadata="{live.url}/.well-known/oauth-protected-resource/t/alpha/v1"'
        assert (bare.status_code, bare.headers["www-authenticate"]) == (401, f'Bearer realm="billfold", {where}')
        token = live.token("alpha", credentials)
        for header in (
            "Bearer",
            "Bearer\tx",
            "Basic eDp5",
            "Bearer a b",
            "Bearer ..",
            f"Bearer {token}, Bearer {token}",
            "Bearer " + "a" * 9000,
        ):
            answer = httpx.get(address, headers={"Authorization": header})
            assert answer.status_code == 401
            assert 'error="invalid_token"' in answer.headers["www-authenticate"]

    def test_refuses_every_forgery(self, live, credentials) -> None:
        """Changed claims, headers, signatures, algorithms and keys: none gets in, and none makes the server fail."""
        token = live.token("alpha", credentials)
        header, claims, signature = token.split(".")
        head, body = decoded(header), decoded(claims)
        keys = httpx.get(f"{live.base('alpha')}/.well-known/jwks.json").json()["keys"]
        public = next(key for key in keys if key["kid"] == head["kid"])
        own = ECKey.generate_key("P-256")
        forged = [
            f"{header}.{claims}.",
            f"{header}.{claims}.{signature[:-4]}AAAA",
            f"{header}.{encoded(body | {'scope': 'wallets:write'})}.{signature}",
            *(f"{encoded(head | change)}.{claims}.{signature}" for change in HEADERS),
            f"{encoded({'alg': 'none', 'typ': 'at+jwt'})}.{claims}.",
            jwt.encode(head, body, own, algorithms=["ES256"]),
            jwt.encode(head | {"jwk": own.as_dict(private=False)}, body, own, algorithms=["ES256"]),
            mac_by(ECKey.import_key(public).as_pem(), head | {"alg": "HS256"}, body),
        ]
        for attempt in forged:
            answer = httpx.get(f"{live.base('alpha')}/v1/tenant", headers={"Authorization": f"Bearer {attempt}"})
            assert (answer.status_code, attempt) == (401, attempt)

    def test_refuses_signed_claims_that_are_wrong(self, live, credentials) -> None:
        """Even under the right key, another issuer, audience, type or time is refused."""
        identity = live.services.identity
        realm = identity.realm(live.run(live.services.registry.get("alpha")))
        token = live.token("alpha", credentials)
        head, body = (decoded(part) for part in token.split(".")[:2])
        private = signing_key(live, realm)
        now = int(time.time())
        changes = [
            {"iss": live.base("beta")},
            {"aud": f"{live.base('beta')}/v1"},
            {"aud": [f"{live.base('alpha')}/v1"]},
            {"sub": ids.new(Prefix.CLIENT)},
            {"exp": now - 1},
            {"exp": "9999999999"},
            {"iat": now + 60},
            {"extra": 1},
        ]
        for change in changes:
            attempt = jwt.encode(head, body | change, private, algorithms=["ES256"])
            answer = httpx.get(f"{live.base('alpha')}/v1/tenant", headers={"Authorization": f"Bearer {attempt}"})
            assert (answer.status_code, change) == (401, change)
        good = jwt.encode(head, body, private, algorithms=["ES256"])
        assert (
            httpx.get(f"{live.base('alpha')}/v1/tenant", headers={"Authorization": f"Bearer {good}"}).status_code == 200
        )

    def test_asks_for_the_scope(self, live) -> None:
        """A token without the operation's scope is 403, and the challenge names it."""
        with live.client("alpha", ["wallets:read"]) as client:
            answer = client.get("/v1/tenant")
        assert (answer.status_code, answer.json()["code"], answer.json()["facts"]) == (
            403,
            "insufficient_scope",
            {"scope": "tenant:read"},
        )
        assert 'scope="tenant:read"' in answer.headers["www-authenticate"]

    def test_follows_a_disabled_client_within_a_second(self, live) -> None:
        """Once a client is disabled, its token dies within a second and no new one is issued; enabling reverses it."""
        credentials = live.add_client("alpha", ["tenant:read"])
        token = live.token("alpha", credentials)

        def status() -> int:
            return httpx.get(
                f"{live.base('alpha')}/v1/tenant", headers={"Authorization": f"Bearer {token}"}
            ).status_code

        async def switch(*, enabled: bool) -> None:
            services = live.services
            async with services.database.tx(await services.registry.get("alpha")) as tx:
                await set_client_state(tx, credentials.client_id, enabled=enabled, now=services.clock.now())

        def took_s(*, enabled: bool) -> float:
            live.run(switch(enabled=enabled))
            switched = time.monotonic()
            while status() != (200 if enabled else 401):
                assert time.monotonic() - switched < 60
            return time.monotonic() - switched

        assert status() == 200
        off_s = on_s = float("inf")
        # On a machine that is busy with other things a single round may wait for its turn; the cache doesn't.
        for _ in range(8):
            off_s = min(off_s, took_s(enabled=False))
            assert ask(live, GRANT, (credentials.client_id, credentials.secret)).status_code == 401
            on_s = min(on_s, took_s(enabled=True))
            if max(off_s, on_s) < 1.0:
                break
        assert max(off_s, on_s) < 1.0

    def test_expires_to_the_second(self, live, credentials, monkeypatch) -> None:
        """A token that was let in a moment ago isn't let in past its end, though it is in the cache."""
        identity = live.services.identity
        realm = identity.realm(live.run(live.services.registry.get("alpha")))
        head, body = (decoded(part) for part in live.token("alpha", credentials).split(".")[:2])
        ends = int(time.time()) + 60
        token = jwt.encode(head, body | {"exp": ends}, signing_key(live, realm), algorithms=["ES256"])
        end, seen = datetime.fromtimestamp(ends, UTC), []
        for at in (end - timedelta(milliseconds=1), end):
            monkeypatch.setattr(identity.guard, "_clock", ManualClock(at))
            answer = httpx.get(f"{live.base('alpha')}/v1/tenant", headers={"Authorization": f"Bearer {token}"})
            seen.append(answer.status_code)
        assert seen == [200, 401]


def signing_key(live: LiveServer, realm: Realm) -> Any:
    """Return the private key by which a realm signs access tokens."""
    signing = live.services.identity.signing
    keys = live.run(signing._keys(realm, ("tokens", "ES256")))
    return live.run(signing._open(realm, keys.series["tokens", "ES256"][-1]))


HEADERS: list[dict[str, Any]] = [
    {"alg": "none"},
    {"alg": "HS256"},
    {"alg": "ES384"},
    {"typ": "JWT"},
    {"kid": "key_other"},
    {"kid": "../../etc/passwd"},
    {"kid": None},
    {"jku": "https://attacker.example/jwks"},
    {"x5u": "https://attacker.example/cert"},
    {"crit": ["exp"]},
    {"b64": False},
]


class TestASigningKey:
    @pytest.mark.parametrize("vouched_by", ["nobody", "the key that signs", "another tenant"])
    async def test_that_was_written_past_the_keyring_verifies_nothing(self, live, credentials, vouched_by) -> None:
        """Who can write rows, but hasn't the keyring, can't make a key of the tenant's: its tokens are refused."""
        services = live.services
        mine, key_id = ECKey.generate_key("P-256"), ids.uuid7()
        kid = ids.encode(Prefix.SIGNING_KEY, key_id)
        public = {**mine.as_dict(private=False), "kid": kid, "use": "sig", "alg": "ES256"}

        async def write() -> None:
            rows = {}
            for slug in ("alpha", "beta"):
                realm = services.identity.realm(await services.registry.get(slug))
                keys = await services.identity.signing._keys(realm, ("tokens", "ES256"))
                rows[slug] = keys.series["tokens", "ES256"][-1]
            copied = {"the key that signs": rows["alpha"], "another tenant": rows["beta"]}.get(vouched_by)
            private, voucher = (bytes(60), bytes(32)) if copied is None else (copied.sealed_private, copied.voucher)
            async with services.database.tx(await services.registry.get("alpha")) as tx:
                await tx.execute(
                    "INSERT INTO signing_keys (id, purpose, algorithm, generation, public_jwk, sealed_private, "
                    "voucher, signs_from, created_at) VALUES ($1, 'tokens', 'ES256', $4, $2, $3, $5, now(), now())",
                    key_id,
                    json.dumps(public),
                    private,
                    100 + len(vouched_by),
                    voucher,
                )

        live.run(write())
        # A worker that starts now has read no keys before.
        app: Any = build_app(msgspec.structs.replace(live.settings, public_url=live.url))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=live.base("alpha")) as client:
            good = live.token("alpha", credentials)
            head, body = (decoded(part) for part in good.split(".")[:2])
            forged = jwt.encode(head | {"kid": kid}, body, mine, algorithms=["ES256"])
            for token, status in ((good, 200), (forged, 401)):
                answer = await client.get("/v1/tenant", headers={"Authorization": f"Bearer {token}"})
                assert answer.status_code == status
            assert kid not in {key["kid"] for key in (await client.get("/.well-known/jwks.json")).json()["keys"]}
        await app.state.services.engine.close()
        await app.state.services.keys.close()
        await app.state.services.database.close()

    async def test_is_never_changed_by_those_who_serve(self, live) -> None:
        """Neither keys, nor what a client may and by which secret, can be changed by the roles that serve requests."""
        changes = [
            "UPDATE signing_keys SET public_jwk = '{}'",
            "UPDATE signing_keys SET signs_from = now()",
            "UPDATE signing_keys SET generation = 7",
            "DELETE FROM signing_keys",
            "UPDATE api_clients SET id = gen_random_uuid()",
            "UPDATE api_clients SET registered_by = 'operator'",
            "DELETE FROM api_clients",
        ]

        async def change(sql: str, *, platform: bool) -> None:
            services = live.services
            scope = (
                services.database.platform_tx()
                if platform
                else services.database.tx(await services.registry.get("alpha"))
            )
            async with scope as tx:
                await tx.execute(sql)

        for sql in changes:
            for platform in (False, True):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    live.run(change(sql, platform=platform))


class TestTheFirstKeyOfARealm:
    def test_is_one_for_all_who_ask_at_once(self, live) -> None:
        """Many first requests at a new tenant agree on one signing key."""
        live.add_tenant(manifest("gamma"))
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: httpx.get(f"{live.base('gamma')}/.well-known/jwks.json").text, range(16)))
        assert len(set(answers)) == 1
        assert len(json.loads(answers[0])["keys"]) == 1
