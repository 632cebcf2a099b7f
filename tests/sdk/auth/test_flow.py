"""Signing users in (billfold.auth.AuthorizationFlow), at a small authorization server that is strict."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest

from billfold import errors
from billfold.auth import (
    AccessDenied,
    AuthorizationFlow,
    AuthorizationRefused,
    CallbackInvalid,
    ClientCredentials,
    DiscoveryFailed,
    GrantInvalid,
    IdTokenInvalid,
    InteractionRequired,
    IssuerMismatch,
    MutualTLS,
    Pending,
    PrivateKeyJWT,
    ResponseInvalid,
    ServerAway,
    SignInExpired,
    StateMismatch,
    UserTokens,
)
from billfold.keys import PemKey
from tests.sdk.auth.issuing import AuthorizationServer, Client, in_json
from tests.sdk.auth.serving import serving, serving_tls
from tests.sdk.auth.signing_in import CALLBACK, KEY, Driver, known

DETAILS = [{"type": "wallet_access", "wallets": ["wal_1"]}]


@pytest.fixture
def issuer() -> Iterator[AuthorizationServer]:
    """A server that knows the client."""
    with serving() as server:
        yield known(server)


@pytest.fixture(params=["sync", "async"])
def mode(request: pytest.FixtureRequest) -> str:
    """Both modes of the client."""
    return str(request.param)


@pytest.fixture
def driver(mode: str, issuer: AuthorizationServer) -> Iterator[Driver]:
    """A flow with DPoP, in either mode."""
    made = Driver(mode, issuer)
    yield made
    made.close()


def changed(url: str, **changes: str | None) -> str:
    """Return an address with some parameters changed, or (None) taken away."""
    head, _, query = url.partition("?")
    fields = {**dict(parse_qsl(query)), **changes}
    return f"{head}?{urlencode({name: value for name, value in fields.items() if value is not None})}"


def updating(changes: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    """Return what changes claims before they are signed."""
    return lambda claims: claims.update(changes)


class TestAUser:
    @pytest.mark.parametrize("dpop", [False, True], ids=["bearer", "DPoP"])
    @pytest.mark.parametrize(
        "options", [{}, {"response_mode": "jwt"}, {"response_mode": "jwt", "signed_request": True}]
    )
    def test_is_signed_in(self, mode: str, dpop: bool, options: dict[str, Any], issuer: AuthorizationServer):  # noqa: FBT001
        """Plain, with JARM, and with JAR and JARM; tokens bound or not."""
        driver = Driver(mode, issuer, dpop=dpop, **options)
        tokens = driver.sign_in(scope="openid wallets:read", authorization_details=DETAILS, resource=["https://api"])
        assert (tokens.subject, tokens.claims["acr"], tokens.scopes) == ("user-1", "urn:strong", ("x",))
        assert tokens.authorization_details == tuple(DETAILS)
        assert tokens.dpop_jkt == (KEY.kid if dpop else None)
        assert driver.run(driver.client.as_user(tokens).tenant.get).slug == "sandbox"
        driver.close()

    @pytest.mark.parametrize("options", [{}, {"response_mode": "jwt", "signed_request": True}])
    def test_is_signed_in_by_certificate(self, mode: str, options: dict[str, Any], tmp_path: Path):
        """With mutual TLS all requests but discovery go to the addresses that ask for it."""
        with serving_tls(tmp_path) as (issuer, authority):
            issued, root = authority.ensure_client("acme"), authority.ensure()
            issuer.clients["cli_1"] = Client("cli_1", [KEY.public_jwk], thumbprint=issued.thumbprint)
            auth = MutualTLS("cli_1", issued.certificate, issued.key, ca=root.certificate, request_key=KEY)
            driver = Driver(mode, issuer, auth=auth, **options)
            tokens = driver.sign_in()
            assert driver.run(driver.client.as_user(tokens).tenant.get).slug == "sandbox"
            assert driver.userinfo(tokens)["name"] == "Ada"
            driver.close()
            bases = {each.path.rpartition("/")[2]: each.base for each in issuer.asked}
            on_plain = {name for name, base in bases.items() if base == issuer.base}
            assert on_plain == {"openid-configuration", "jwks.json"}

    def test_is_sent_away_with_two_parameters_alone(self, driver: Driver):
        """Everything else was pushed, so that neither the browser nor its history knows it."""
        url, pending = driver.begin(scope="openid wallets:read", extra={"prompt": "login"})
        assert set(parse_qs(urlsplit(url).query)) == {"client_id", "request_uri"}
        (asked,) = driver.issuer.pushed.values()
        assert asked["redirect_uri"] == pending.redirect_uri == CALLBACK
        assert (asked["dpop_jkt"], asked["prompt"]) == (KEY.kid, "login")
        assert asked["code_challenge"] != pending.code_verifier

    def test_may_come_back_through_any_framework(self, driver: Driver):
        """As an address, as its query, as a mapping, and as a mapping of lists."""
        for form in (
            lambda url: url,
            lambda url: urlsplit(url).query,
            lambda url: dict(parse_qsl(urlsplit(url).query)),
            lambda url: parse_qs(urlsplit(url).query),
        ):
            url, pending = driver.begin(scope="openid")
            assert driver.complete(pending, form(driver.issuer.approve(url))).subject == "user-1"

    def test_may_be_known_by_other_scopes_alone(self, driver: Driver):
        """Without ``openid`` there is no ID token, and nobody to name."""
        tokens = driver.sign_in(scope="wallets:read")
        assert (tokens.subject, tokens.id_token, tokens.claims) == (None, None, {})

    def test_is_kept_as_text_meanwhile_and_after(self, driver: Driver):
        """Both what is pending and the tokens survive a session, and show nothing when they are printed."""
        url, pending = driver.begin(scope="openid")
        again = Pending.load(pending.dump())
        assert again == pending
        tokens = driver.complete(again, driver.issuer.approve(url))
        assert UserTokens.load(tokens.dump()) == tokens
        secrets = [pending.state, pending.code_verifier, str(pending.nonce), tokens.access_token, tokens.refresh_token]
        assert [each for each in secrets if each in f"{pending!r}{tokens!r}{driver.flow!r}"] == []


class TestAnAnswer:
    @pytest.mark.parametrize("signed", [False, True], ids=["plain", "JARM"])
    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({"state": "of another"}, StateMismatch),
            ({"state": None}, StateMismatch),
            ({"state": ""}, StateMismatch),
            ({"iss": "https://evil.example"}, IssuerMismatch),
            ({"iss": None}, IssuerMismatch),
            ({"code": None}, ResponseInvalid),
            ({"code": ""}, ResponseInvalid),
        ],
    )
    def test_that_does_not_belong_is_refused(
        self,
        mode: str,
        signed: bool,  # noqa: FBT001
        changes: dict[str, Any],
        expected: type[CallbackInvalid],
        issuer: AuthorizationServer,
    ):
        """Before anything is sent anywhere: another browser's, another server's (a mix-up), and half an answer."""
        driver = Driver(mode, issuer, response_mode="jwt" if signed else "query")
        url, pending = driver.begin(scope="openid")

        def twist(claims: dict[str, Any]) -> None:
            claims.update(changes)
            for name in [name for name, value in claims.items() if value is None]:
                del claims[name]

        issuer.twist_response = twist
        back = issuer.approve(url)
        with pytest.raises(expected) as caught:
            driver.complete(pending, back)
        assert caught.value.code == expected.code
        assert issuer.paths("/oauth/token") == []
        driver.close()

    @pytest.mark.parametrize(
        ("oauth_error", "expected"),
        [
            ("access_denied", AccessDenied),
            ("unmet_authentication_requirements", AccessDenied),
            ("login_required", InteractionRequired),
            ("consent_required", InteractionRequired),
            ("temporarily_unavailable", ServerAway),
            ("server_error", ServerAway),
            ("invalid_scope", AuthorizationRefused),
            ("of_tomorrow", AuthorizationRefused),
        ],
    )
    def test_that_says_no_is_typed(self, driver: Driver, oauth_error: str, expected: type[AuthorizationRefused]):
        """OAuth's and OpenID Connect's codes, and any that this SDK doesn't know."""
        url, pending = driver.begin(scope="openid")
        back = driver.issuer.approve(url, error=oauth_error, error_description="a\nforged line")
        with pytest.raises(AuthorizationRefused) as caught:
            driver.complete(pending, back)
        assert type(caught.value) is expected
        assert (caught.value.oauth_error, caught.value.description) == (oauth_error, "a?forged line")

    def test_that_says_no_to_another_browser_is_no_answer(self, driver: Driver):
        """An error is believed no more than a code: it needs the state."""
        url, pending = driver.begin(scope="openid")
        back = driver.issuer.approve(url, error="access_denied")
        with pytest.raises(StateMismatch):
            driver.complete(pending, changed(back, state="x"))

    @pytest.mark.parametrize("name", ["code", "state", "iss"])
    def test_that_says_something_twice_is_refused(self, driver: Driver, name: str):
        """Which of the two is meant is a matter of taste, and so an attack."""
        url, pending = driver.begin(scope="openid")
        back = driver.issuer.approve(url)
        for form in (f"{back}&{name}=x", {**parse_qs(urlsplit(back).query), name: ["a", "b"]}):
            with pytest.raises(ResponseInvalid):
                driver.complete(pending, form)

    def test_in_another_mode_than_asked_for_is_refused(self, mode: str, issuer: AuthorizationServer):
        """A plain answer where a signed one was asked for is a downgrade, and the other way round."""
        plain, signed = Driver(mode, issuer), Driver(mode, issuer, response_mode="jwt")
        for one, other in ((plain, signed), (signed, plain)):
            url, _ = one.begin(scope="openid")
            _, pending = other.begin(scope="openid")
            with pytest.raises(ResponseInvalid):
                other.complete(pending, issuer.approve(url))
        plain.close()
        signed.close()

    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({"aud": "cli_2"}, ResponseInvalid),
            ({"aud": ["cli_1", "cli_2"]}, ResponseInvalid),
            ({"exp": 1}, ResponseInvalid),
            ({"exp": "soon"}, ResponseInvalid),
            ({"exp": True}, ResponseInvalid),
            ({"iss": "https://evil.example"}, IssuerMismatch),
        ],
    )
    def test_that_is_signed_for_others_is_refused(
        self, mode: str, changes: dict[str, Any], expected: type[CallbackInvalid], issuer: AuthorizationServer
    ):
        """Audience, end and issuer of the signed answer count."""
        driver = Driver(mode, issuer, response_mode="jwt")
        url, pending = driver.begin(scope="openid")
        issuer.twist_response = lambda claims: claims.update(changes)
        with pytest.raises(expected):
            driver.complete(pending, issuer.approve(url))
        driver.close()

    def test_that_comes_too_late_is_refused(self, mode: str, issuer: AuthorizationServer):
        """The user may take as long as the flow says."""
        driver = Driver(mode, issuer, lifetime_s=0)
        url, pending = driver.begin(scope="openid")
        with pytest.raises(SignInExpired):
            driver.complete(pending, issuer.approve(url))
        driver.close()

    def test_is_good_once(self, driver: Driver):
        """A code that was used is refused by the server, typed, and nothing is repeated."""
        url, pending = driver.begin(scope="openid")
        back = driver.issuer.approve(url)
        driver.complete(pending, back)
        with pytest.raises(GrantInvalid) as caught:
            driver.complete(pending, back)
        assert (caught.value.oauth_error, caught.value.status) == ("invalid_grant", 400)
        assert len(driver.issuer.paths("/oauth/token")) == 2

    def test_is_redeemed_once_although_its_answer_was_lost(self, driver: Driver):
        """In doubt a code isn't sent again, since its reuse would end what it has begun."""
        url, pending = driver.begin(scope="openid")
        driver.issuer.faults["/oauth/token"] = [in_json({}, 502), in_json({}, 502)]
        with pytest.raises(errors.Unavailable):
            driver.complete(pending, driver.issuer.approve(url))
        assert len(driver.issuer.paths("/oauth/token")) == 1

    def test_needs_the_key_that_the_sign_in_began_with(self, mode: str, issuer: AuthorizationServer):
        """Another DPoP key, another client and another issuer are noticed before the code is shown."""
        with_key, without = Driver(mode, issuer), Driver(mode, issuer, dpop=False)
        url, pending = with_key.begin(scope="openid")
        with pytest.raises(ResponseInvalid):
            without.complete(pending, issuer.approve(url))
        assert issuer.paths("/oauth/token") == []
        with_key.close()
        without.close()

    def test_leaves_no_secret_in_logs_and_errors(self, driver: Driver, caplog: pytest.LogCaptureFixture):
        """Neither code, state, verifier, tokens nor proofs; not in what is logged, and not in what is raised."""
        with caplog.at_level(logging.DEBUG, logger="billfold"):
            url, pending = driver.begin(scope="openid")
            back = driver.issuer.approve(url)
            tokens = driver.complete(pending, back)
            with pytest.raises(GrantInvalid) as first:
                driver.complete(pending, back)
            with pytest.raises(StateMismatch) as second:
                driver.complete(pending, changed(back, state="forged-state"))
        secret = [pending.state, pending.code_verifier, pending.nonce, tokens.access_token, tokens.id_token]
        secret += [tokens.refresh_token, dict(parse_qsl(urlsplit(back).query))["code"], "forged-state"]
        secret += [each.headers["dpop"] for each in driver.issuer.asked if "dpop" in each.headers]
        text = "\n".join([*caplog.messages, repr(first.value), repr(second.value), repr(vars(first.value))])
        assert [each for each in secret if each in text] == []


class TestAnIdToken:
    @pytest.mark.parametrize(
        ("changes", "claim"),
        [
            ({"iss": "https://evil.example"}, "iss"),
            ({"aud": "cli_2"}, "aud"),
            ({"aud": ["cli_1", "cli_2"]}, "aud"),
            ({"azp": "cli_2"}, "azp"),
            ({"nonce": "of another"}, "nonce"),
            ({"nonce": None}, "nonce"),
            ({"exp": 1}, "exp"),
            ({"exp": "later"}, "exp"),
            ({"iat": 1}, "iat"),
            ({"iat": 2**40}, "iat"),
            ({"nbf": 2**40}, "nbf"),
            ({"sub": ""}, "sub"),
            ({"sub": None}, "sub"),
            ({"sub": 7}, "sub"),
            ({"at_hash": "x"}, "at_hash"),
            ({"s_hash": "x"}, "s_hash"),
            ({"c_hash": "x"}, "c_hash"),
            ({"auth_time": 1}, "auth_time"),
            ({"auth_time": None}, "auth_time"),
            ({"acr": "urn:weak"}, "acr"),
            ({"acr": None}, "acr"),
        ],
    )
    def test_is_checked_claim_by_claim(self, driver: Driver, changes: dict[str, Any], claim: str):
        """Each of them alone spoils it, and the error says which."""

        def twist(claims: dict[str, Any]) -> None:
            claims.update(changes)
            for name in [name for name, value in claims.items() if value is None]:
                del claims[name]

        driver.issuer.twist_id_token = twist
        with pytest.raises(IdTokenInvalid) as caught:
            driver.sign_in(max_age_s=60, acr_values=["urn:strong"])
        assert caught.value.claim == claim

    def test_must_be_there(self, driver: Driver):
        """Who asked who the user is gets no user without an answer."""
        answer = in_json({"access_token": "t", "token_type": "DPoP", "expires_in": 60})
        driver.issuer.faults["/oauth/token"] = [answer]
        with pytest.raises(IdTokenInvalid) as caught:
            driver.sign_in()
        assert caught.value.claim == "absence"

    def test_of_a_new_key_leads_to_another_look(self, driver: Driver):
        """Keys are read once, and again when one is named that isn't among them."""
        driver.sign_in()
        server = driver.issuer
        server.key = type(server.key).generate_key("P-256", {"kid": "key-2"})
        server.published = [*server.published, server.key]
        driver.flow._authority._keys.asked_at -= 60
        assert driver.sign_in().subject == "user-1"
        assert len(server.paths("/jwks.json")) == 2

    def test_of_unknown_keys_is_no_way_to_make_us_ask(self, driver: Driver):
        """However many come, the keys are read again once in a while only."""
        driver.sign_in()
        driver.issuer.key = type(driver.issuer.key).generate_key("P-256", {"kid": "nobody's"})
        for _ in range(5):
            with pytest.raises(IdTokenInvalid) as caught:
                driver.sign_in()
            assert caught.value.claim == "signature"
        assert len(driver.issuer.paths("/jwks.json")) == 1


class TestTokensOfAUser:
    def test_are_refreshed_when_they_end(self, driver: Driver):
        """Once for all calls, with word to who keeps them, and with what the answer leaves out as it was."""
        driver.issuer.token_ttl_s = 0
        tokens = driver.sign_in()
        driver.issuer.token_ttl_s = 300
        kept: list[UserTokens] = []
        user = driver.client.as_user(tokens, on_refresh=kept.append)
        assert [driver.run(user.tenant.get).slug for _ in range(3)] == ["sandbox"] * 3
        (fresh,) = kept
        assert fresh.access_token != tokens.access_token
        assert (fresh.refresh_token, fresh.claims, fresh.id_token) == (
            tokens.refresh_token,
            tokens.claims,
            tokens.id_token,
        )
        assert len(driver.issuer.paths("/oauth/token")) == 2

    def test_are_refreshed_when_they_are_refused(self, driver: Driver):
        """A token that was revoked before its time."""
        tokens = driver.sign_in()
        driver.issuer.tokens.clear()
        assert driver.run(driver.client.as_user(tokens).tenant.get).slug == "sandbox"

    def test_end_when_the_grant_has_ended(self, driver: Driver):
        """The typed error says that the user has to sign in again."""
        tokens = driver.sign_in()
        driver.revoke(tokens)
        assert driver.introspect(tokens.refresh_token) == {"active": False}
        driver.issuer.tokens.clear()
        with pytest.raises(GrantInvalid):
            driver.run(driver.client.as_user(tokens).tenant.get)
        with pytest.raises(GrantInvalid):
            driver.refresh(tokens)

    def test_without_a_refresh_token_end_by_themselves(self, driver: Driver):
        """They are used to their last second, and then the user has to sign in again."""
        tokens = driver.sign_in()
        short = UserTokens.load(json.dumps({**json.loads(tokens.dump()), "refresh_token": None}))
        assert driver.run(driver.client.as_user(short).tenant.get).slug == "sandbox"
        ended = UserTokens.load(json.dumps({**json.loads(short.dump()), "expires_at": int(time.time()) - 1}))
        with pytest.raises(GrantInvalid):
            driver.run(driver.client.as_user(ended).tenant.get)

    def test_belong_to_their_client(self, driver: Driver):
        """Another issuer's, another client's, and those bound to another key aren't sent anywhere."""
        tokens = driver.sign_in()
        for changes in ({"issuer": "https://evil.example"}, {"client_id": "cli_2"}, {"dpop_jkt": "other"}):
            with pytest.raises(ValueError, match="issued"):
                driver.client.as_user(UserTokens.load(json.dumps({**json.loads(tokens.dump()), **changes})))

    @pytest.mark.parametrize(
        ("changes", "claim"), [({"sub": "user-2"}, "sub"), ({"auth_time": 7}, "auth_time"), ({"aud": "cli_2"}, "aud")]
    )
    def test_stay_one_persons(self, driver: Driver, changes: dict[str, Any], claim: str):
        """An ID token that comes with a refresh has to be of the same sign-in."""
        tokens = driver.sign_in()
        driver.issuer.renews_id_token = True
        driver.issuer.twist_id_token = lambda claims: claims.update(
            {"auth_time": tokens.claims["auth_time"], **changes}
        )
        with pytest.raises(IdTokenInvalid) as caught:
            driver.refresh(tokens)
        assert caught.value.claim == claim
        driver.issuer.twist_id_token = lambda claims: claims.update({"auth_time": tokens.claims["auth_time"]})
        assert driver.refresh(tokens).claims["sub"] == "user-1"

    def test_tell_about_their_user(self, driver: Driver):
        """Userinfo is the same user's, or an error."""
        tokens = driver.sign_in()
        assert driver.userinfo(tokens) == {"sub": "user-1", "name": "Ada"}
        driver.issuer.twist_response = lambda claims: claims.update(sub="user-2")
        with pytest.raises(ResponseInvalid):
            driver.userinfo(tokens)

    def test_are_told_about_by_the_server(self, driver: Driver):
        """Plainly, or signed; and a signed answer that is another's is refused."""
        tokens = driver.sign_in()
        for signed_answer in (False, True):
            told = driver.introspect(tokens.access_token, signed_answer=signed_answer)
            assert told == {"active": True, "sub": "user-1"}
        forged: list[dict[str, Any]] = [{"aud": "cli_2"}, {"iss": "https://evil.example"}, {"token_introspection": []}]
        for changes in forged:
            driver.issuer.twist_response = updating(changes)
            with pytest.raises(ResponseInvalid):
                driver.introspect(tokens.access_token, signed_answer=True)


class TestMakingAFlow:
    def test_needs_a_key_to_sign_requests(self, issuer: AuthorizationServer):
        """A client with a secret has none."""
        with pytest.raises(ValueError, match="key"):
            Driver("sync", issuer, auth=ClientCredentials("cli_1", "s"), signed_request=True)

    def test_needs_an_address_to_come_back_to(self, issuer: AuthorizationServer):
        """Neither the flow's nor the call's is an error before anything is sent."""
        driver = Driver("sync", issuer)
        with pytest.raises(ValueError, match="redirect_uri"):
            AuthorizationFlow(driver.client).begin(scope="openid")
        assert issuer.asked == []
        driver.close()

    @pytest.mark.parametrize("name", ["state", "nonce", "code_challenge", "redirect_uri", "request_uri", "scope"])
    def test_leaves_what_is_its_own_to_itself(self, driver: Driver, name: str):
        """Other parameters don't replace those that keep the user safe."""
        with pytest.raises(ValueError, match=name):
            driver.begin(scope="openid", extra={name: "x"})

    def test_finds_out_what_the_server_lacks(self, driver: Driver):
        """A server without a page for signing out says so in a typed error."""
        with pytest.raises(DiscoveryFailed):
            driver.sign_out_url(driver.sign_in())

    def test_binds_to_a_key_whatever_its_name(self, mode: str, issuer: AuthorizationServer, tmp_path: Path):
        """The thumbprint binds tokens, also of a key that a directory has named, under which it is registered."""
        key = PemKey(KEY.save(tmp_path / "key.pem"), kid="directory-7")
        issuer.clients["cli_1"] = Client("cli_1", [key.public_jwk])
        driver = Driver(mode, issuer, auth=PrivateKeyJWT("cli_1", key, dpop=key), signed_request=True)
        tokens = driver.sign_in()
        assert tokens.dpop_jkt == KEY.kid
        assert driver.run(driver.client.as_user(tokens).tenant.get).slug == "sandbox"
        driver.close()

    def test_takes_any_key(self, mode: str, issuer: AuthorizationServer):
        """Another key for DPoP than for the assertion, and one for each algorithm."""
        for algorithm in ("PS256", "EdDSA"):
            auth = PrivateKeyJWT("cli_1", KEY, dpop=PemKey.generate(algorithm))
            driver = Driver(mode, issuer, auth=auth)
            assert driver.sign_in().subject == "user-1"
            driver.close()
