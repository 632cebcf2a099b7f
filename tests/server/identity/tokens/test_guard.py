"""What opens a resource: a token of the realm, for it, bound to the key that the request shows, and not ended."""

import secrets
import time
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from billfold import errors
from billfold_server.identity.grants.service import revoke_grant
from billfold_server.identity.tokens import access_tokens
from billfold_server.identity.tokens.access_tokens import Claims, Confirmation
from billfold_server.identity.tokens.certificate_binding import thumbprint
from tests.live import LiveServer, serve
from tests.server.identity.flows import add_person, tx_of
from tests.server.identity.grants.asking import Asker, claims_of, new_asker
from tests.server.identity.tokens.proofs import Prover, ath_of


@pytest.fixture(scope="module")
def asker(profiled: LiveServer) -> Asker:
    """An app of a tenant under FAPI 2.0."""
    return new_asker(profiled, "fapi2")


@pytest.fixture
def token(asker: Asker) -> str:
    """A fresh token of the app's own."""
    return str(asker.token().json()["access_token"])


def refused(answer: httpx.Response, error: str = "invalid_token") -> str:
    """Return the challenges of a refusal, which name the error."""
    assert answer.status_code == 401, answer.text
    challenge = answer.headers["www-authenticate"]
    assert f'error="{error}"' in challenge
    return str(challenge)


class TestABoundToken:
    def test_opens_its_resource_with_a_fresh_proof_each_time(self, asker, token) -> None:
        """Again and again, each time with a proof of its own; the scheme's case doesn't matter."""
        for scheme in ("DPoP", "dpop", "DPOP"):
            assert asker.get(token, scheme=scheme).status_code == 200

    def test_is_nobodys_as_a_bearers(self, asker, token) -> None:
        """Without the scheme, with or without a proof, it is refused (RFC 9449, section 7.2)."""
        assert 'DPoP algs="PS256 ES256 EdDSA"' in refused(asker.get(token, scheme="Bearer"))
        refused(asker.get(token, scheme="Bearer", proof=None))

    def test_is_refused_in_its_own_scheme(self, asker, token) -> None:
        """What is wrong with a token is said in the challenge of the scheme that was used (RFC 9449, section 7.1)."""
        challenge = refused(asker.get(token[:-4] + "AAAA"))
        assert challenge.startswith('DPoP algs="PS256 ES256 EdDSA", error="invalid_token"')
        assert "Bearer" not in challenge

    def test_is_nobodys_without_a_proof(self, asker, token) -> None:
        """Who has stolen the token alone gets nothing, by a key of its own either."""
        refused(asker.get(token, proof=None), "invalid_dpop_proof")
        thief = Asker(asker.app, Prover())
        thief.prover.nonce = asker.prover.nonce
        refused(thief.get(token), "invalid_dpop_proof")

    @pytest.mark.parametrize(
        "changes",
        [
            {"htm": "POST"},
            {"htu": "https://elsewhere.example/v1/tenant"},
            {"ath": ath_of("another token")},
            {"ath": None},
            {"iat": 1},
            {"exp": 1},
            {"jti": None},
            {"header": {"typ": "at+jwt"}},
        ],
        ids=str,
    )
    def test_needs_a_proof_for_this_very_request(self, asker, token, changes) -> None:
        """Another method, address, token or time, no id, or another kind of JWT: refused."""
        asker.get(token)
        proof = asker.prover.proof("GET", f"{asker.app.base}/v1/tenant", **{"token": token, **changes})
        refused(asker.get(token, proof=proof), "invalid_dpop_proof")

    def test_needs_the_servers_nonce(self, asker, token) -> None:
        """The refusal brings the nonce (RFC 9449, section 9)."""
        for nonce in (None, "made-up"):
            proof = asker.prover.proof("GET", f"{asker.app.base}/v1/tenant", token=token, nonce=nonce)
            answer = asker.get(token, proof=proof)
            refused(answer, "use_dpop_nonce")
            assert answer.headers["dpop-nonce"]

    def test_is_asked_for_once_with_each_proof(self, asker, token) -> None:
        """A proof that was taken from the wire is worth nothing, at another worker and after a restart either."""
        asker.get(token)
        proof = asker.prover.proof("GET", f"{asker.app.base}/v1/tenant", token=token)
        assert asker.get(token, proof=proof).status_code == 200
        refused(asker.get(token, proof=proof), "invalid_dpop_proof")
        # A server that has just begun, with the same database and keyring, is another worker as well as a restart.
        settings = msgspec.structs.replace(asker.live.settings, public_url=asker.live.url)
        with serve(settings) as again:
            address, headers = f"{again.url}/t/fapi2/v1/tenant", {"Authorization": f"DPoP {token}"}
            refused(httpx.get(address, headers={**headers, "DPoP": proof}), "invalid_dpop_proof")
            fresh = asker.prover.proof("GET", f"{asker.app.base}/v1/tenant", token=token)
            assert httpx.get(address, headers={**headers, "DPoP": fresh}).status_code == 200
            refused(asker.get(token, proof=fresh), "invalid_dpop_proof")


class TestATokenThatThisWorkerHasMade:
    """It was signed a moment ago, so its signature isn't looked at."""

    def test_opens_without_its_signature_being_verified(self, asker, monkeypatch) -> None:
        """All else is looked at as ever: its end, its client, who shows it. Another worker verifies it."""
        token = str(asker.token().json()["access_token"])
        settings = msgspec.structs.replace(asker.live.settings, public_url=asker.live.url)
        with serve(settings) as again, monkeypatch.context() as patched:
            verify, verified = access_tokens.verify, []

            def watched(text: str, *arguments: Any, **named: Any) -> Claims:
                verified.append(text)
                return verify(text, *arguments, **named)

            patched.setattr(access_tokens, "verify", watched)
            assert asker.get(token).status_code == 200
            assert verified == []
            fresh = asker.prover.proof("GET", f"{asker.app.base}/v1/tenant", token=token)
            headers = {"Authorization": f"DPoP {token}", "DPoP": fresh}
            assert httpx.get(f"{again.url}/t/fapi2/v1/tenant", headers=headers).status_code == 200
            assert verified == [token]

    def test_is_refused_by_another_scheme_and_once_revoked(self, asker) -> None:
        """Remembered is what was given out, in the form in which it must be shown."""
        token = str(asker.token().json()["access_token"])
        refused(asker.get(token, scheme="Bearer"))
        revoked = str(asker.token().json()["access_token"])
        asker.post("/oauth/revoke", {"token": revoked})
        time.sleep(1)
        refused(asker.get(revoked))


class TestATokenBoundToACertificate:
    def test_opens_with_that_certificate_alone(self, profiled) -> None:
        """RFC 8705, section 3: on a connection with another one, or with none, it is refused."""
        asker = new_asker(profiled, "fapi2", method="self_signed_tls_client_auth")
        guard, der = profiled.services.identity.guard, asker.app.made.certificate_der
        realm = profiled.services.identity.realm(asker.app.tenant)

        class Request:
            def __init__(self, token: str, certificate: bytes | None) -> None:
                self.headers = {"authorization": f"Bearer {token}"}
                self.path, self.tenant, self.certificate = "/v1/tenant", realm.tenant, certificate
                self.request_id, self.nonce = "req_1", None

        async def opens(token: str, certificate: bytes | None) -> bool:
            try:
                await guard.admit(Request(token, certificate), "/v1", "GET")
            except errors.InvalidToken:
                return False
            return True

        now = int(time.time())
        claims = Claims(
            iss=realm.issuer,
            sub=asker.app.client_id,
            client_id=asker.app.client_id,
            aud=realm.audience,
            scope="tenant:read",
            jti=secrets.token_urlsafe(16),
            iat=now,
            exp=now + 60,
            cnf=Confirmation(x5t=thumbprint(der or b"")),
        )
        token = profiled.run(profiled.services.identity.signing.sign(realm, claims, typ="at+jwt"))
        assert [profiled.run(opens(token, each)) for each in (der, None, b"another", (der or b"") + b"\0")] == [
            True,
            False,
            False,
            False,
        ]


class TestAToken:
    def test_of_one_realm_opens_no_other(self, profiled) -> None:
        """Every realm's token at every other realm: none is let in, bound or not."""
        askers = {slug: new_asker(profiled, slug) for slug in ("sandbox", "fapi2", "alpha", "beta")}
        operators = new_asker(profiled, None)
        for slug, asker in [*askers.items(), (None, operators)]:
            token = asker.token().json()["access_token"]
            for other in askers.values():
                at_other = Asker(other.app, asker.prover)
                assert at_other.get(token).status_code == (200 if other is asker else 401), (slug, other.app.slug)
            answer = Asker(operators.app, asker.prover).get(token, "/v1/tenants")
            assert answer.status_code == (200 if slug is None else 401)

    def test_that_this_realms_key_has_signed_for_something_else_opens_nothing(self, asker, token) -> None:
        """ID tokens, JARM answers, signed introspection: another type, whoever has signed it. So with other claims."""
        services = asker.live.services
        realm = services.identity.realm(asker.app.tenant)
        said = claims_of(token)
        wrong: list[tuple[dict[str, Any], str]] = [
            (said, "JWT"),
            (said, "oauth-authz-resp+jwt"),
            (said, "token-introspection+jwt"),
            (said, "AT+JWT"),
            (said | {"aud": realm.issuer}, "at+jwt"),
            (said | {"aud": f"{realm.issuer}/open-banking"}, "at+jwt"),
            (said | {"aud": [f"{realm.issuer}/v1"]}, "at+jwt"),
            (said | {"iss": realm.issuer + "/"}, "at+jwt"),
            (said | {"sub": "usr_1"}, "at+jwt"),
            (said | {"cnf": {"jkt": asker.prover.jkt, "jwk": {}}}, "at+jwt"),
            (said | {"cnf": {}}, "at+jwt"),
            ({name: value for name, value in said.items() if name != "cnf"}, "at+jwt"),
        ]
        for claims, typ in wrong:
            forged = asker.live.run(services.identity.signing.sign(realm, claims, typ=typ))
            assert asker.get(forged).status_code == 401, (claims, typ)
            assert asker.get(forged, scheme="Bearer").status_code == 401, (claims, typ)
        records = asker.live.run(services.identity.signing.sign(realm, said, typ="at+jwt", purpose="records"))
        assert asker.get(records).status_code == 401

    def test_that_somebody_else_has_signed_opens_nothing(self, asker, token) -> None:
        """By its own key under our key's id, or with its key, address or certificate in the header."""
        own = ECKey.generate_key("P-256")
        kid = jwt.decode(token, _published(asker), algorithms=["ES256"]).header["kid"]
        for header in (
            {"kid": kid},
            {"kid": kid, "jwk": own.as_dict(private=False)},
            {"kid": kid, "jku": "https://attacker.example/jwks"},
            {"kid": kid, "x5u": "https://attacker.example/cert"},
            {"kid": "' OR 1=1 --"},
            {"kid": "../../../dev/null"},
        ):
            forged = jwt.encode({"alg": "ES256", "typ": "at+jwt", **header}, claims_of(token), own)
            assert asker.get(forged).status_code == 401, header

    def test_of_a_user_opens_only_what_is_meant_for_users(self, asker) -> None:
        """A client can't do on a user's behalf what it may do itself, unless the operation says so."""
        token = asker.redeem(asker.code()).json()["access_token"]
        answer = asker.get(token, "/v1/clock")
        assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")

    def test_without_the_scope_is_told_so_in_its_scheme(self, asker) -> None:
        """403 with a DPoP challenge that names the scope."""
        token = asker.token(scope="wallets:read").json()["access_token"]
        answer = asker.get(token)
        assert answer.status_code == 403
        assert answer.headers["www-authenticate"] == 'DPoP error="insufficient_scope", scope="tenant:read"'


def _published(asker: Asker) -> KeySet:
    keys = httpx.get(f"{asker.app.base}/.well-known/jwks.json").json()["keys"]
    return KeySet.import_key_set({"keys": [key for key in keys if key["alg"] == "ES256"]})


def until(answer: Callable[[], bool]) -> float:
    """Wait until something holds, and return how long it took."""
    began = time.monotonic()
    while not answer():
        assert time.monotonic() - began < 60
    return time.monotonic() - began


def challenged_by(answer: httpx.Response) -> str | None:
    """Return the scheme by which somebody is told to come, if any."""
    challenge = answer.headers.get("www-authenticate")
    return None if challenge is None else challenge.partition(" ")[0]


class TestARevokedToken:
    def test_opens_nothing_after_a_second(self, asker) -> None:
        """Revoked at one worker, it is out at another that has let it in a moment ago; the client's others stay in."""
        token, stays = (asker.token().json()["access_token"] for _ in range(2))
        took_s = float("inf")
        # On a machine that is busy with other things a single round may wait for its turn.
        for _ in range(8):
            token = asker.token().json()["access_token"]
            assert asker.get(token).status_code == 200
            answer = asker.post("/oauth/revoke", {"token": token, "token_type_hint": "refresh_token"})
            assert (answer.status_code, answer.content) == (200, b"")
            took_s = min(took_s, until(lambda each=token: asker.get(each).status_code == 401))  # type: ignore[misc]
            if took_s < 1.0:
                break
        assert took_s < 1.0
        assert asker.get(stays).status_code == 200

    def test_takes_its_grant_along_if_it_is_a_refresh_token(self, asker) -> None:
        """Access and refresh tokens of the grant end; so does what is read in the request's own transaction."""
        token = asker.redeem(asker.code()).json()
        assert asker.post("/oauth/introspect", {"token": token["access_token"]}).json()["active"]
        assert asker.post("/oauth/revoke", {"token": token["refresh_token"]}).status_code == 200
        assert asker.refresh(token["refresh_token"]).json()["error"] == "invalid_grant"
        until(lambda: not asker.post("/oauth/introspect", {"token": token["access_token"]}).json()["active"])

    def test_is_its_clients_own(self, profiled, asker) -> None:
        """Another client's token, an unknown one and an expired one are answered alike, and nothing ends."""
        other = new_asker(profiled, "fapi2")
        mine = asker.redeem(asker.code()).json()
        for each in (mine["access_token"], mine["refresh_token"], "unknown", "a.b.c"):
            answer = other.post("/oauth/revoke", {"token": each})
            assert (answer.status_code, answer.content) == (200, b"")
        assert asker.refresh(mine["refresh_token"]).status_code == 200
        assert asker.post("/oauth/revoke", {}).json()["error"] == "invalid_request"

    @pytest.mark.parametrize(("slug", "status"), [("fapi2", 400), ("sandbox", 401)])
    def test_needs_a_client(self, profiled, slug: str, status: int) -> None:
        """As at the token endpoint (RFC 7009, section 2.2.1): 401 is for naming a scheme of HTTP that would help."""
        answer = httpx.post(f"{profiled.base(slug)}/oauth/revoke", data={"token": "x"})
        assert (answer.status_code, answer.json()["error"]) == (status, "invalid_client")
        assert challenged_by(answer) == ("Basic" if status == 401 else None)


class TestIntrospection:
    def test_tells_a_client_what_its_tokens_are_worth(self, profiled, asker) -> None:
        """Its access and refresh tokens are active, with what they say; anybody else's are not, and nothing is said."""
        token = asker.redeem(asker.code()).json()
        access = asker.post("/oauth/introspect", {"token": token["access_token"]}).json()
        assert (access["active"], access["token_type"], access["cnf"]) == (True, "DPoP", {"jkt": asker.prover.jkt})
        assert "gid" not in access
        refresh = asker.post("/oauth/introspect", {"token": token["refresh_token"]}).json()
        assert (refresh["active"], refresh["client_id"]) == (True, asker.app.client_id)
        other = new_asker(profiled, "fapi2")
        for each in (token["access_token"], token["refresh_token"], token["id_token"], "unknown"):
            assert other.post("/oauth/introspect", {"token": each}).json() == {"active": False}

    def test_is_signed_where_that_is_asked_for(self, profiled) -> None:
        """RFC 9701: by the Accept header where the profile lets it, for one client, as a type of its own."""
        media_type = "application/token-introspection+jwt"
        for slug, signed in (("fapi2-message-signing", True), ("sandbox", True), ("fapi2", False)):
            asker = new_asker(profiled, slug)
            answer = asker.post("/oauth/introspect", {"token": "unknown"}, Accept=media_type)
            assert (answer.headers["content-type"] == media_type) is signed
            if signed:
                read = jwt.decode(answer.text, _published(asker), algorithms=["ES256"])
                assert read.header["typ"] == "token-introspection+jwt"
                assert (read.claims["iss"], read.claims["aud"]) == (asker.app.base, asker.app.client_id)
                assert read.claims["token_introspection"] == {"active": False}

    @pytest.mark.parametrize("brought", [{}, {"client_id": "cli_x", "client_secret": "x"}, {"client_assertion": "a.b"}])
    def test_needs_a_client(self, asker, brought: dict[str, str]) -> None:
        """Nobody else is told anything: 401 (RFC 7662, section 2.3), by no scheme that wouldn't help."""
        answer = httpx.post(f"{asker.app.base}/oauth/introspect", data={"token": "x", **brought})
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
        assert answer.headers["www-authenticate"] == f'OAuth-Client realm="billfold", issuer="{asker.app.base}"'

    def test_names_basic_where_a_secret_is_accepted_or_was_tried(self, profiled, asker) -> None:
        """The scheme that would help; and the one that a client has come with (RFC 6749, section 5.2)."""
        accepted = httpx.post(f"{profiled.base('sandbox')}/oauth/introspect", data={"token": "x"})
        tried = httpx.post(f"{asker.app.base}/oauth/introspect", data={"token": "x"}, auth=("cli_x", "x"))
        for answer in (accepted, tried):
            assert (answer.status_code, challenged_by(answer)) == (401, "Basic")

    def test_needs_a_token(self, asker) -> None:
        """What is wrong with a client's request is 400 still."""
        answer = asker.post("/oauth/introspect", {})
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


class TestUserInfo:
    def test_tells_who_has_signed_in(self, profiled) -> None:
        """The same subject as the ID token's, and their name with the scope for it; ends with the grant."""
        person = add_person(profiled, "sandbox")
        app = new_asker(profiled, "sandbox")
        app.user_id = person.user_id
        token = app.redeem(app.code(scopes=["openid", "profile"])).json()
        answer = app.get(token["access_token"], "/oauth/userinfo")
        assert answer.status_code == 200
        assert (answer.json()["sub"], answer.json()["name"]) == (claims_of(token["id_token"])["sub"], "Ada")
        plain = app.redeem(app.code(scopes=["openid"])).json()
        assert set(app.get(plain["access_token"], "/oauth/userinfo").json()) == {"sub"}

        async def end() -> None:
            async with tx_of(profiled, "sandbox") as tx:
                await revoke_grant(tx, app.grant_id, "taken back", now=profiled.services.clock.now())

        profiled.run(end())
        until(lambda: app.get(plain["access_token"], "/oauth/userinfo").status_code == 401)
        # Its proof is looked at meanwhile, but what is wrong with it isn't told before what is wrong with the token.
        time.sleep(1)
        refused(app.get(plain["access_token"], "/oauth/userinfo", proof="no proof"))

    def test_needs_a_user_behind_the_token(self, asker, token) -> None:
        """A client's own token has no such scope."""
        assert asker.get(token, "/oauth/userinfo").status_code == 403
