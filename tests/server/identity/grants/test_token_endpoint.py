"""The token endpoint: each grant, and everything that must not get a token."""

import asyncio
import secrets
import time
from collections import Counter
from typing import Any

import httpx
import pytest

from billfold import ids
from billfold.ids import Prefix
from billfold_server.identity.grants.client_credentials import ClientCredentials
from billfold_server.identity.grants.frame import Frame
from billfold_server.identity.grants.service import revoke_grant
from billfold_server.identity.tokens.id_tokens import half_hash
from tests.live import LiveServer
from tests.server.identity.flows import tx_of
from tests.server.identity.grants.asking import Asker, claims_of, new_asker
from tests.server.identity.tokens.proofs import Prover
from tests.soak import many
from tests.tenants import manifest

MANY = many(250, 1_000)


@pytest.fixture(scope="module")
def asker(profiled: LiveServer) -> Asker:
    """An app of a tenant under FAPI 2.0."""
    return new_asker(profiled, "fapi2")


@pytest.fixture(scope="module")
def other(profiled: LiveServer) -> Asker:
    """Another one of the same tenant."""
    return new_asker(profiled, "fapi2")


def refused(answer: httpx.Response) -> str:
    """Return the error of a refusal, which has the form of RFC 6749, section 5.2."""
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    return str(answer.json()["error"])


class TestClientCredentials:
    def test_bring_a_token_that_is_bound_to_the_proofs_key(self, asker) -> None:
        """The answer says DPoP, the token holds the key's thumbprint, and neither user nor refresh token is there."""
        answer = asker.token()
        assert answer.status_code == 200
        token = answer.json()
        claims = claims_of(token["access_token"])
        assert set(token) == {"access_token", "token_type", "expires_in", "scope"}
        assert (token["token_type"], token["scope"]) == ("DPoP", "tenant:read wallets:read")
        assert claims["cnf"] == {"jkt": asker.prover.jkt}
        assert claims["sub"] == claims["client_id"] == asker.app.client_id
        assert claims["aud"] == f"{asker.app.base}/v1"
        assert asker.get(token["access_token"]).status_code == 200

    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            ({"grant_type": None}, "invalid_request"),
            ({"grant_type": "password"}, "unsupported_grant_type"),
            ({"grant_type": "urn:openid:params:grant-type:ciba"}, "unsupported_grant_type"),
            ({"scope": "wallets:write"}, "invalid_scope"),
            ({"scope": "openid"}, "invalid_scope"),
            ({"resource": "https://elsewhere.example"}, "invalid_target"),
            ({"authorization_details": "[]"}, "invalid_authorization_details"),
        ],
        ids=str,
    )
    def test_are_refused_by_the_codes_of_their_rfcs(self, asker, changes, error) -> None:
        """What is missing, unknown, not the client's or not the tenant's."""
        assert refused(asker.token(**changes)) == error

    def test_are_for_clients_that_are_registered_for_them(self, profiled) -> None:
        """A client that only asks people gets none on its own behalf."""
        asker = new_asker(profiled, "fapi2", grant_types=["authorization_code"])
        assert refused(asker.token()) == "unauthorized_client"

    def test_bring_nothing_unbound_but_in_a_sandbox(self, profiled, asker) -> None:
        """Without a key there is no token under FAPI; a sandbox gives a bearer's."""
        form = {"grant_type": "client_credentials"}
        assert refused(asker.app.post("/oauth/token", form)) == "invalid_request"
        answer = new_asker(profiled, "sandbox").app.post("/oauth/token", form)
        assert (answer.status_code, answer.json()["token_type"]) == (200, "Bearer")


class TestAProofAtTheTokenEndpoint:
    def test_needs_the_servers_nonce_under_fapi(self, profiled) -> None:
        """The refusal brings the nonce, and the same request with it succeeds (RFC 9449, section 8)."""
        asker = new_asker(profiled, "fapi2")
        url = f"{asker.app.base}/oauth/token"
        answer = asker.post("/oauth/token", {"grant_type": "client_credentials"}, proof=asker.prover.proof("POST", url))
        assert refused(answer) == "use_dpop_nonce"
        asker.prover.nonce = answer.headers["dpop-nonce"]
        assert asker.token().status_code == 200
        asker.prover.nonce = "made-up"
        proof = asker.prover.proof("POST", url)
        answer = asker.post("/oauth/token", {"grant_type": "client_credentials"}, proof=proof)
        assert refused(answer) == "use_dpop_nonce"

    def test_is_good_once(self, profiled) -> None:
        """The same proof again is refused, though everything else is new."""
        asker = new_asker(profiled, "sandbox")
        proof = asker.prover.proof("POST", f"{asker.app.base}/oauth/token")
        form = {"grant_type": "client_credentials"}
        assert asker.post("/oauth/token", form, proof=proof).status_code == 200
        assert refused(asker.post("/oauth/token", form, proof=proof)) == "invalid_dpop_proof"

    @pytest.mark.parametrize("changes", [{"htm": "GET"}, {"htu": "https://elsewhere.example/oauth/token"}, {"iat": 1}])
    def test_that_doesnt_hold_is_refused(self, profiled, changes) -> None:
        """Another method, address or time: nothing is issued."""
        asker = new_asker(profiled, "sandbox")
        proof = asker.prover.proof("POST", f"{asker.app.base}/oauth/token", **changes)
        form = {"grant_type": "client_credentials"}
        assert refused(asker.post("/oauth/token", form, proof=proof)) == "invalid_dpop_proof"

    def test_doesnt_count_where_tokens_are_bound_to_certificates(self, profiled) -> None:
        """FAPI 1.0 binds by mTLS alone."""
        asker = new_asker(profiled, "fapi1-advanced")
        assert refused(asker.token()) == "invalid_dpop_proof"


class TestACode:
    def test_brings_what_was_allowed(self, asker) -> None:
        """An access token of the user's, a refresh token, and an ID token that tells how they had signed in."""
        details = [{"type": "wallet_access", "wallets": ["wal_1"]}]
        answer = asker.redeem(asker.code(details=details))
        assert answer.status_code == 200, answer.text
        token = answer.json()
        assert (token["token_type"], token["scope"]) == ("DPoP", "offline_access openid tenant:read wallets:read")
        assert token["authorization_details"] == details
        claims, said = claims_of(token["access_token"]), claims_of(token["id_token"])
        sub = ids.encode(Prefix.USER, asker.user_id)
        assert (claims["sub"], claims["client_id"], claims["acr"]) == (
            sub,
            asker.app.client_id,
            "urn:openbanking:psd2:sca",
        )
        assert (said["iss"], said["aud"], said["sub"], said["nonce"]) == (
            asker.app.base,
            asker.app.client_id,
            sub,
            "n-1",
        )
        assert said["at_hash"] == half_hash(token["access_token"], "ES256")
        assert "s_hash" not in said
        assert (said["acr"], said["amr"]) == ("urn:openbanking:psd2:sca", ["pwd", "otp"])
        assert said["auth_time"] <= said["iat"] < said["exp"]

    @pytest.mark.parametrize("alg", ["PS256", "EdDSA"])
    def test_brings_an_id_token_by_the_clients_algorithm(self, profiled, alg) -> None:
        """What a client is registered for signs its ID tokens, and hashes what they hold."""
        asker = new_asker(profiled, "fapi2", id_token_signed_response_alg=alg)
        token = asker.redeem(asker.code()).json()
        assert claims_of(token["id_token"])["at_hash"] == half_hash(token["access_token"], alg)

    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            ({"code": None}, "invalid_request"),
            ({"code": "made-up"}, "invalid_grant"),
            ({"code_verifier": None}, "invalid_grant"),
            ({"code_verifier": "x"}, "invalid_grant"),
            ({"code_verifier": "x" * 43}, "invalid_grant"),
            ({"code_verifier": "é" * 43}, "invalid_grant"),
            ({"redirect_uri": None}, "invalid_grant"),
            ({"redirect_uri": "https://elsewhere.example/cb"}, "invalid_grant"),
            ({"scope": "tenant:read wallets:write"}, "invalid_scope"),
            ({"resource": "https://elsewhere.example"}, "invalid_target"),
            ({"authorization_details": '[{"type": "wallet_access"}]'}, "invalid_authorization_details"),
            ({"authorization_details": "{"}, "invalid_authorization_details"),
        ],
        ids=str,
    )
    def test_is_refused_where_something_doesnt_fit(self, asker, changes, error) -> None:
        """Without its verifier, its address or for more than was allowed it brings nothing, and is used up by that."""
        code = asker.code()
        assert refused(asker.redeem(code, **changes)) == error
        if "code" not in changes:
            assert refused(asker.redeem(code)) == "invalid_grant"

    def test_can_be_narrowed(self, asker) -> None:
        """The access token gets less, the refresh token everything that was allowed."""
        one, two = {"type": "wallet_access", "wallets": ["wal_1"]}, {"type": "wallet_access", "wallets": ["wal_2"]}
        code = asker.code(details=[one, two])
        narrowed = asker.redeem(
            code,
            scope="wallets:read",
            resource=f"{asker.app.base}/v1",
            authorization_details='[{"type": "wallet_access", "wallets": ["wal_2"]}]',
        ).json()
        assert (narrowed["scope"], narrowed["authorization_details"]) == ("wallets:read", [two])
        again = asker.refresh(narrowed["refresh_token"]).json()
        assert (again["scope"], again["authorization_details"]) == (
            "offline_access openid tenant:read wallets:read",
            [one, two],
        )

    def test_of_another_client_brings_nothing_and_stays_good(self, asker, other) -> None:
        """Who finds a code can't use it, nor take it from its client."""
        code = asker.code()
        form = {"redirect_uri": asker.app.client.redirect_uris[0], "code_verifier": asker.app.verifier}
        assert refused(other.redeem(code, **form)) == "invalid_grant"
        assert asker.redeem(code).status_code == 200

    def test_that_was_asked_for_by_a_key_needs_that_key(self, asker) -> None:
        """RFC 9449, section 10: a proof of another key redeems nothing."""
        assert refused(asker.redeem(asker.code(dpop_jkt=Prover().jkt))) == "invalid_grant"
        assert asker.redeem(asker.code(dpop_jkt=asker.prover.jkt)).status_code == 200

    def test_that_has_expired_brings_nothing(self, asker) -> None:
        """It lives for a minute; after that its client gets nothing by it."""
        assert refused(asker.redeem(asker.code(made_s_ago=61))) == "invalid_grant"

    def test_isnt_used_up_by_a_request_without_its_proof(self, asker) -> None:
        """What is wrong with the proof is told before the code is claimed, so that the client can try again."""
        code = asker.code()
        assert asker.app.post("/oauth/token", {"grant_type": "authorization_code", "code": code}).status_code == 400
        assert refused(asker.post("/oauth/token", {"code": code}, proof="x")) == "invalid_dpop_proof"
        assert asker.redeem(code).status_code == 200

    def test_brings_nothing_once_its_grant_has_ended(self, asker) -> None:
        """What the user has taken back in between counts."""
        code = asker.code()

        async def end() -> None:
            async with tx_of(asker.live, asker.app.slug) as tx:
                await revoke_grant(tx, asker.grant_id, "taken back", now=asker.live.services.clock.now())

        asker.live.run(end())
        assert refused(asker.redeem(code)) == "invalid_grant"

    def test_that_is_shown_again_ends_everything_that_it_brought(self, asker) -> None:
        """Access and refresh token die (RFC 6749, section 4.1.2)."""
        code = asker.code()
        token = asker.redeem(code).json()
        assert asker.get(token["access_token"], "/oauth/userinfo").status_code == 200
        assert refused(asker.redeem(code)) == "invalid_grant"
        assert refused(asker.refresh(token["refresh_token"])) == "invalid_grant"
        # What a worker has read of the grant is believed for most of a second.
        until = time.monotonic() + 60
        said = {"active": True}
        while said["active"] and time.monotonic() < until:
            said = asker.post("/oauth/introspect", {"token": token["access_token"]}).json()
        assert said == {"active": False}

    def test_is_won_once_by_many_at_a_time(self, profiled) -> None:
        """One of hundreds of redemptions at the same time gets a token, and loses it to the others' reuse."""
        asker = new_asker(profiled, "sandbox", method="client_secret_post")
        app, code = asker.app, asker.code()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": app.client.redirect_uris[0],
            "code_verifier": app.verifier,
            **app.made.form(app.base),
        }

        async def all_at_once() -> list[httpx.Response]:
            async with httpx.AsyncClient(limits=httpx.Limits(max_connections=100), timeout=60) as client:
                return await asyncio.gather(*(client.post(f"{app.base}/oauth/token", data=form) for _ in range(MANY)))

        answers = asyncio.run(all_at_once())
        counts = Counter((answer.status_code, answer.json().get("error")) for answer in answers)
        assert counts.pop((200, None)) == 1
        # Who found every connection taken was told so; nobody else learned anything but that it is used.
        assert set(counts) <= {(400, "invalid_grant"), (503, "temporarily_unavailable")}
        assert counts[400, "invalid_grant"] > 0


class TestARefreshToken:
    def test_brings_tokens_again_and_again_where_they_are_bound(self, asker) -> None:
        """FAPI 2.0, section 5.3.2.1: it isn't rotated; the new token is bound to the same key."""
        first = asker.redeem(asker.code()).json()
        for _ in range(2):
            again = asker.refresh(first["refresh_token"])
            assert again.status_code == 200, again.text
            assert "refresh_token" not in again.json()
            assert claims_of(again.json()["access_token"])["cnf"] == {"jkt": asker.prover.jkt}
            assert "nonce" not in claims_of(again.json()["id_token"])
        assert again.json()["access_token"] != first["access_token"]

    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            ({"refresh_token": None}, "invalid_request"),
            ({"refresh_token": "made-up"}, "invalid_grant"),
            ({"scope": "openid wallets:write"}, "invalid_scope"),
            ({"resource": "https://elsewhere.example"}, "invalid_target"),
        ],
        ids=str,
    )
    def test_brings_no_more_than_was_allowed(self, asker, changes, error) -> None:
        """Another scope or resource is refused, and the token stays good."""
        token = asker.redeem(asker.code()).json()["refresh_token"]
        assert refused(asker.refresh(token, **changes)) == error
        assert asker.refresh(token, scope="wallets:read").json()["scope"] == "wallets:read"

    def test_is_its_clients_and_its_keys_alone(self, asker, other) -> None:
        """Another client, or the same one by another key, gets nothing."""
        token = asker.redeem(asker.code()).json()["refresh_token"]
        assert refused(other.refresh(token)) == "invalid_grant"
        assert refused(Asker(asker.app, Prover()).refresh(token)) == "invalid_grant"
        assert refused(Asker(asker.app, Prover("EdDSA")).refresh(token)) == "invalid_grant"
        assert asker.refresh(token).status_code == 200

    def test_ends_for_good_however_often_it_is_used(self, asker) -> None:
        """Its life is counted from the user's decision."""
        token = asker.redeem(asker.code()).json()["refresh_token"]
        assert asker.refresh(token).status_code == 200

        async def life_days() -> int:
            async with tx_of(asker.live, asker.app.slug) as tx:
                sql = "SELECT expires_at - created_at AS life FROM refresh_tokens ORDER BY created_at DESC LIMIT 1"
                return int((await tx.fetchrow(sql))["life"].days)

        assert asker.live.run(life_days()) == 90

    def test_is_rotated_where_tokens_are_bearers(self, profiled) -> None:
        """In a sandbox each use makes a new one; the former one, shown again, ends them all."""
        app = new_asker(profiled, "sandbox")

        def ask(form: dict[str, Any]) -> httpx.Response:
            return app.app.post("/oauth/token", form)

        def refresh(token: str) -> httpx.Response:
            return ask({"grant_type": "refresh_token", "refresh_token": token})

        first = ask(
            {
                "grant_type": "authorization_code",
                "code": app.code(),
                "redirect_uri": app.app.client.redirect_uris[0],
                "code_verifier": app.app.verifier,
            }
        ).json()["refresh_token"]
        second = refresh(first).json()["refresh_token"]
        assert second != first
        assert refused(refresh(first)) == "invalid_grant"
        assert refused(refresh(second)) == "invalid_grant"

    def test_brings_nothing_that_the_client_has_lost(self, profiled) -> None:
        """A scope that was taken from the client isn't in the new token."""
        asker = new_asker(profiled, "fapi2")
        token = asker.redeem(asker.code()).json()["refresh_token"]

        async def take() -> None:
            async with tx_of(asker.live, asker.app.slug) as tx:
                await tx.execute(
                    "UPDATE api_clients SET scopes = $2 WHERE id = $1", asker.app.client.id, ["wallets:read"]
                )

        asker.live.run(take())
        assert asker.refresh(token).json()["scope"] == "wallets:read"


class TestAFurtherGrant:
    def test_is_there_once_it_is_added(self) -> None:
        """The registry is open: what comes later is added and found by its name."""

        class Later(ClientCredentials):
            grant = type("Grant", (ClientCredentials.grant,), {"GRANT_TYPE": "urn:later"})

        frame = Frame(ClientCredentials())
        frame.add(Later())
        assert frame.grant_types == ["client_credentials", "urn:later"]


def test_a_client_that_asks_too_often_is_told_to_wait(live) -> None:
    """Successful token requests are counted for each client as well."""
    slug = f"slow_{secrets.token_hex(3)}"
    live.add_tenant(manifest(slug, rate_limit_per_s=1, rate_limit_burst=2, security_profile="sandbox"))
    client = live.add_client(slug)
    form, auth = {"grant_type": "client_credentials"}, (client.client_id, client.secret)
    answers: list[httpx.Response] = []
    # A busy machine may take so long for one that another is let in; not for a hundred.
    while len(answers) < 100 and (not answers or answers[-1].status_code != 429):
        answers.append(httpx.post(f"{live.base(slug)}/oauth/token", data=form, auth=auth))
    assert [answer.status_code for answer in answers] == [200] * (len(answers) - 1) + [429]
    assert len(answers) > 2
    assert answers[-1].headers["retry-after"]
