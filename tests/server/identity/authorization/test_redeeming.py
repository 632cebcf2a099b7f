"""From the consent to the token: whose code it is, and by which key it is redeemed, through the whole flow."""

import secrets
from typing import Any

import httpx
import pytest

from billfold_server.identity import jose
from billfold_server.identity.authorization.codes import digest_of
from tests.live import LiveServer
from tests.server.identity.clients_of import make
from tests.server.identity.flows import (
    App,
    Person,
    add_app,
    add_person,
    answer_of,
    bring,
    challenge_of,
    code_of,
    decide,
    follow,
    proven,
    redeem,
    tx_of,
)
from tests.server.identity.tokens.proofs import Prover


@pytest.fixture(scope="module")
def strict(profiled: LiveServer) -> App:
    """A client of a bank with the FAPI 2.0 profile, which authenticates by its key."""
    return add_app(profiled, "fapi2", scopes=["openid", "tenant:read", "wallets:read", "offline_access"])


@pytest.fixture(scope="module")
def customer(profiled: LiveServer) -> Person:
    """A customer of that bank."""
    return add_person(profiled, "fapi2")


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """Return status and code of a refusal."""
    return answer.status_code, answer.json()["error"]


def push_with(app: App, prover: Prover, **changes: Any) -> httpx.Response:
    """Push a request with a proof of possession."""
    request = app.request(**changes)
    return proven(app, prover, "POST", "/oauth/par", lambda proof: app.post("/oauth/par", request, DPoP=proof))


def code_from(app: App, person: Person, uri: str) -> str:
    """Have a person allow a request that was pushed."""
    browser = person.browser()
    return answer_of(app, decide(browser, follow(browser, bring(browser, app, uri))))["code"]


def ended(app: App, code: str) -> Any:
    """Return when the grant of a code ended; None where it stands."""
    find = "SELECT revoked_at FROM grants WHERE id = (SELECT grant_id FROM authorization_codes WHERE digest = $1)"

    async def work() -> Any:
        async with tx_of(app.live, app.slug) as tx:
            return await tx.fetchval(find, digest_of(code))

    return app.live.run(work())


class TestACodesKey:
    """A code's key."""

    @pytest.mark.parametrize("way", ["header", "parameter", "both"])
    def test_alone_redeems_it(self, strict: App, customer: Person, way: str) -> None:
        """A proof at PAR, ``dpop_jkt``, or both bind the code: no other key redeems it (RFC 9449, section 10)."""
        mine, theirs = Prover(), Prover()
        named = {} if way == "header" else {"dpop_jkt": mine.jkt}

        def pushed() -> str:
            answer = strict.push(**named) if way == "parameter" else push_with(strict, mine, **named)
            assert answer.status_code == 201, answer.text
            return str(answer.json()["request_uri"])

        assert refusal(redeem(strict, code_from(strict, customer, pushed()), theirs)) == (400, "invalid_grant")
        token = redeem(strict, code_from(strict, customer, pushed()), mine)
        assert (token.status_code, token.json()["token_type"]) == (200, "DPoP")

    def test_is_the_one_that_is_named_and_proven(self, strict: App) -> None:
        """A ``dpop_jkt`` of another key than the proof's is refused where it is pushed."""
        assert refusal(push_with(strict, Prover(), dpop_jkt=Prover().jkt)) == (400, "invalid_request")

    def test_is_proven_for_this_endpoint_and_once(self, strict: App) -> None:
        """A proof for another address or of another time, or one that was shown, is refused."""
        prover = Prover()
        assert push_with(strict, prover).status_code == 201
        path = "/oauth/par"

        def send(proof: str) -> httpx.Response:
            return strict.post(path, strict.request(), DPoP=proof)

        for wrong in ({"htu": f"{strict.base}/oauth/token"}, {"htm": "GET"}, {"iat": 1}):
            assert refusal(proven(strict, prover, "POST", path, send, **wrong)) == (400, "invalid_dpop_proof")
        proof = prover.proof("POST", strict.base + path)
        answers = [strict.post(path, strict.request(), DPoP=proof) for _ in range(2)]
        assert answers[0].status_code == 201
        assert refusal(answers[1]) == (400, "invalid_dpop_proof")


class TestACode:
    """A code."""

    @pytest.mark.parametrize(
        "verifier", [None, "", "wrong", "w" * 43, "challenge", "plain"], ids=lambda each: str(each)[:9]
    )
    def test_is_redeemed_by_its_verifier_alone(self, strict: App, customer: Person, verifier: str | None) -> None:
        """None, a wrong one, or the challenge itself isn't it: a code that was stolen or injected is worth nothing."""
        said = challenge_of(strict.verifier) if verifier in {"challenge", "plain"} else verifier
        more = {"code_challenge_method": "plain"} if verifier == "plain" else {}
        code = code_of(strict, customer)
        assert refusal(redeem(strict, code, Prover(), code_verifier=said, **more)) == (400, "invalid_grant")

    def test_of_another_session_isnt_this_ones(self, strict: App, customer: Person) -> None:
        """Whoever brings somebody else's code into their own session has another verifier there (code injection)."""
        stolen = code_of(strict, customer)
        assert refusal(redeem(strict, stolen, Prover(), code_verifier=secrets.token_urlsafe(32))) == (
            400,
            "invalid_grant",
        )

    def test_is_its_clients_alone(self, strict: App, customer: Person, profiled: LiveServer) -> None:
        """Another client can't redeem it, not even with its verifier, and doesn't use it up."""
        thief = add_app(profiled, "fapi2", scopes=["openid", "tenant:read"])
        code = code_of(strict, customer)
        stolen = redeem(thief, code, Prover(), code_verifier=strict.verifier)
        assert refusal(stolen) == (400, "invalid_grant")
        assert redeem(strict, code, Prover()).status_code == 200

    def test_is_its_tenants_alone(self, strict: App, customer: Person, app: App) -> None:
        """At another tenant it is unknown."""
        code = code_of(strict, customer)
        assert refusal(redeem(app, code, Prover(), code_verifier=strict.verifier)) == (400, "invalid_grant")

    def test_goes_with_the_address_that_it_was_sent_to(self, strict: App, customer: Person) -> None:
        """Another one of the client's own isn't it (RFC 6749, section 4.1.3)."""
        code, other = code_of(strict, customer), strict.client.redirect_uris[1]
        assert refusal(redeem(strict, code, Prover(), redirect_uri=other)) == (400, "invalid_grant")

    def test_ends_what_was_issued_when_it_comes_again(self, strict: App, customer: Person) -> None:
        """The second use is refused, and the grant ends with all that was issued by it (section 4.1.2)."""
        prover, code = Prover(), code_of(strict, customer)
        assert redeem(strict, code, prover).status_code == 200
        assert ended(strict, code) is None
        assert refusal(redeem(strict, code, prover)) == (400, "invalid_grant")
        assert ended(strict, code) is not None

    def test_takes_its_token_with_it_at_once(self, strict: App, customer: Person) -> None:
        """What is left of the token opens nothing, and is refused by the scheme that it came by (RFC 9449, 7.1)."""
        prover, code = Prover(), code_of(strict, customer, scope="openid wallets:read")
        token = redeem(strict, code, prover).json()["access_token"]

        def read() -> httpx.Response:
            def ask(proof: str) -> httpx.Response:
                headers = {"Authorization": f"DPoP {token}", "DPoP": proof}
                return httpx.get(f"{strict.base}/v1/wallets", headers=headers)

            return proven(strict, prover, "GET", "/v1/wallets", ask, token=token)

        assert read().status_code == 200
        redeem(strict, code, prover)
        refused = read()
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"].startswith('DPoP algs="PS256 ES256 EdDSA", error="invalid_token"')

    def test_is_worth_nothing_without_a_key(self, strict: App, customer: Person) -> None:
        """Where tokens are bound, a request that proves no key gets none (FAPI 2.0, section 5.3.2.1)."""
        assert refusal(redeem(strict, code_of(strict, customer))) == (400, "invalid_request")

    def test_gives_a_token_that_is_refreshed_by_the_same_key(self, strict: App, customer: Person) -> None:
        """With ``offline_access`` there is a refresh token; another key can't use it."""
        prover = Prover()
        code = code_of(strict, customer, scope="openid offline_access", prompt="consent")
        form = {"grant_type": "refresh_token", "refresh_token": redeem(strict, code, prover).json()["refresh_token"]}

        def refresh(by: Prover) -> httpx.Response:
            return proven(
                strict, by, "POST", "/oauth/token", lambda proof: strict.post("/oauth/token", form, DPoP=proof)
            )

        assert refresh(Prover()).status_code == 400
        assert refresh(prover).status_code == 200

    def test_gives_no_refresh_token_to_who_hasnt_asked_to_go_on(self, strict: App, customer: Person) -> None:
        """Without ``offline_access`` the person wasn't asked, so it ends with the access token (OpenID Connect, 11)."""
        asked, unasked = (code_of(strict, customer, scope=f"openid{more}") for more in (" offline_access", ""))
        assert "refresh_token" in redeem(strict, asked, Prover()).json()
        assert "refresh_token" not in redeem(strict, unasked, Prover()).json()

    def test_is_redeemed_whatever_the_client_wants_to_be_told(self, strict: App, customer: Person) -> None:
        """Identity claims may be asked for by name; what isn't known of a person is left out (OpenID Connect, 5.5)."""
        claims = '{"id_token":{"name":{"essential":true},"birthdate":null},"userinfo":{"email":null,"address":null}}'
        answer = redeem(strict, code_of(strict, customer, claims=claims), Prover())
        assert answer.status_code == 200
        assert answer.json()["id_token"]

    def test_tells_the_class_of_sign_in_that_is_essential(self, strict: App, customer: Person) -> None:
        """The ID token names the one that the request needs and the person has reached (OpenID Connect, 5.5.1.1)."""
        claims = '{"id_token":{"acr":{"essential":true,"values":["urn:openbanking:psd2:sca"]}}}'
        answer = redeem(strict, code_of(strict, customer, claims=claims), Prover())
        assert jose.read(answer.json()["id_token"]).claims["acr"] == "urn:openbanking:psd2:sca"


class TestATokensScheme:
    """A token's scheme."""

    @pytest.mark.parametrize("scheme", ["DPoP", "dpop", "DPOP", "dPoP"])
    def test_may_be_spelled_in_any_case(self, profiled: LiveServer, scheme: str) -> None:
        """Schemes are compared without regard to case (RFC 9110, section 11.1)."""
        machine = App(profiled, "fapi2", make(profiled, "fapi2", scopes=["tenant:read"]))
        prover, form = Prover(), {"grant_type": "client_credentials"}
        path = "/oauth/token"
        answer = proven(machine, prover, "POST", path, lambda proof: machine.post(path, form, DPoP=proof))
        token = answer.json()["access_token"]

        def read(proof: str) -> httpx.Response:
            headers = {"Authorization": f"{scheme} {token}", "DPoP": proof}
            return httpx.get(f"{machine.base}/v1/tenant", headers=headers)

        assert proven(machine, prover, "GET", "/v1/tenant", read, token=token).status_code == 200
