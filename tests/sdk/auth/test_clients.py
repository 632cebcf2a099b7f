"""Programs that prove who they are, and bind their tokens: by keys (private_key_jwt, DPoP) and certificates (mTLS)."""

import asyncio
import json
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from billfold import AsyncBillfold, AsyncHttpxTransport, Billfold, HttpxTransport, errors
from billfold.auth import (
    ClientAuthentication,
    ClientCertificate,
    ClientCredentials,
    DiscoveryFailed,
    MutualTLS,
    PrivateKeyJWT,
)
from billfold.keys import KeyUnavailable, KeyUnusable, PemKey
from tests.sdk.auth.issuing import AuthorizationServer, Client, in_json
from tests.sdk.auth.serving import serving, serving_tls
from tests.sdk.keys.made import ALGORITHMS, KEYS
from tests.server.certificates import issue

KEY, OTHER = KEYS["ES256"], PemKey.generate("ES256")


@pytest.fixture
def issuer() -> Iterator[AuthorizationServer]:
    """A server, at which one client is registered by its key and by a secret."""
    with serving() as server:
        server.clients["cli_1"] = Client("cli_1", [KEY.public_jwk], secret="s-e-c-r-e-t")
        yield server


@pytest.fixture(params=["sync", "async"])
def mode(request: pytest.FixtureRequest) -> str:
    """Both modes of the client."""
    return str(request.param)


def get_tenant(
    mode: str, issuer: AuthorizationServer, auth: ClientAuthentication, times: int = 1, **options: Any
) -> Any:
    """Ask the API for the tenant, with a client of its own."""
    if mode == "sync":
        with Billfold(base_url=issuer.base, auth=auth, **options) as billfold:
            return [billfold.tenant.get().slug for _ in range(times)]

    async def ask() -> list[str]:
        async with AsyncBillfold(base_url=issuer.base, auth=auth, **options) as billfold:
            return [(await billfold.tenant.get()).slug for _ in range(times)]

    return asyncio.run(ask())


WAYS: dict[str, Any] = {
    "secret": lambda: ClientCredentials("cli_1", "s-e-c-r-e-t"),
    "secret and DPoP": lambda: ClientCredentials("cli_1", "s-e-c-r-e-t", dpop=OTHER),
    "key": lambda: PrivateKeyJWT("cli_1", KEY),
    "key and DPoP": lambda: PrivateKeyJWT("cli_1", KEY, dpop=OTHER),
    "one key for both": lambda: PrivateKeyJWT("cli_1", KEY, dpop=KEY),
}


class TestAClient:
    @pytest.mark.parametrize("way", WAYS)
    def test_gets_its_answer_in_each_way(self, mode: str, way: str, issuer: AuthorizationServer):
        """A strict server takes assertion, proof and token, and one token serves several calls."""
        assert get_tenant(mode, issuer, WAYS[way](), times=3) == ["sandbox"] * 3
        assert len(issuer.paths("/oauth/token")) == 1

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_signs_by_each_algorithm(self, mode: str, algorithm: str, issuer: AuthorizationServer):
        """Assertions and proofs by P-256, RSA and Ed25519."""
        key = KEYS[algorithm]
        issuer.clients["cli_1"] = Client("cli_1", [key.public_jwk])
        assert get_tenant(mode, issuer, PrivateKeyJWT("cli_1", key, dpop=key)) == ["sandbox"]

    def test_asks_once_what_the_server_is(self, mode: str, issuer: AuthorizationServer):
        """The metadata are read with the first token and kept."""
        issuer.token_ttl_s = 0
        assert get_tenant(mode, issuer, PrivateKeyJWT("cli_1", KEY), times=3) == ["sandbox"] * 3
        assert len(issuer.paths("/openid-configuration")) == 1
        assert len(issuer.paths("/oauth/token")) == 3

    def test_asks_for_its_scopes(self, mode: str, issuer: AuthorizationServer):
        """What ``scopes`` name is asked for, in a list or as OAuth writes them, and nothing where they are absent."""
        for scopes in (["a", "b"], "a b", "wallets:read", None):
            get_tenant(mode, issuer, PrivateKeyJWT("cli_1", KEY, scopes=scopes))
        asked = [each.form.get("scope") for each in issuer.paths("/oauth/token")]
        assert asked == ["a b", "a b", "wallets:read", None]

    def test_replaces_a_token_that_was_revoked(self, mode: str, issuer: AuthorizationServer):
        """A refused token is replaced once, with fresh proofs."""
        auth = PrivateKeyJWT("cli_1", KEY, dpop=KEY)
        issuer.faults["/v1/tenant"] = [in_json({}, 401, WWW_Authenticate='DPoP error="invalid_token"')]
        assert get_tenant(mode, issuer, auth) == ["sandbox"]
        assert len(issuer.paths("/oauth/token")) == 2

    def test_proves_itself_anew_on_each_try(self, mode: str, issuer: AuthorizationServer):
        """Retries of token and API requests have proofs of their own; the server would refuse a replay."""
        issuer.faults["/oauth/token"] = [in_json({}, 503), in_json({}, 503)]
        issuer.faults["/v1/tenant"] = [in_json({}, 503)]
        assert get_tenant(mode, issuer, PrivateKeyJWT("cli_1", KEY, dpop=KEY)) == ["sandbox"]
        assertions = [each.form["client_assertion"] for each in issuer.paths("/oauth/token")]
        proofs = [each.headers["dpop"] for each in issuer.asked if "dpop" in each.headers]
        assert (len(set(assertions)), len(set(proofs))) == (3, 5)

    def test_is_refused_with_a_key_that_is_not_registered(self, mode: str, issuer: AuthorizationServer):
        """The refusal is typed, and asked for once."""
        with pytest.raises(errors.AuthenticationFailed):
            get_tenant(mode, issuer, PrivateKeyJWT("cli_1", OTHER), max_retries=0)
        assert len(issuer.paths("/oauth/token")) == 1

    def test_takes_no_token_that_is_not_bound(self, mode: str, issuer: AuthorizationServer):
        """A bearer token in answer to a proof would be good for any thief."""
        issuer.faults["/oauth/token"] = [in_json({"access_token": "t", "token_type": "Bearer", "expires_in": 60})]
        with pytest.raises(errors.MalformedAnswer):
            get_tenant(mode, issuer, PrivateKeyJWT("cli_1", KEY, dpop=KEY))
        assert issuer.paths("/v1/tenant") == []

    def test_shows_no_secret_in_logs(self, mode: str, issuer: AuthorizationServer, caplog: pytest.LogCaptureFixture):
        """No assertion, proof, token or secret is in a log line or in what is printed."""
        with caplog.at_level(logging.DEBUG):
            get_tenant(mode, issuer, PrivateKeyJWT("cli_1", KEY, dpop=KEY))
            get_tenant(mode, issuer, WAYS["secret"]())
        secret = ["s-e-c-r-e-t", *issuer.tokens, *[each.headers.get("dpop", "-") for each in issuer.asked]]
        secret += [each.form.get("client_assertion", "-") for each in issuer.paths("/oauth/token")]
        text = "\n".join(caplog.messages) + repr([way() for way in WAYS.values()])
        assert [each for each in secret if each in text and each != "-"] == []


class TestANonce:
    def test_is_learned_from_both_servers(self, mode: str, issuer: AuthorizationServer):
        """The token endpoint's 400 costs one more request, and what it brought serves the API as well."""
        issuer.nonce = "nonce-1"
        assert get_tenant(mode, issuer, PrivateKeyJWT("cli_1", KEY, dpop=KEY), times=3) == ["sandbox"] * 3
        assert [len(issuer.paths(end)) for end in ("/oauth/token", "/v1/tenant")] == [2, 3]

    def test_that_has_changed_costs_one_more_request(self, mode: str, issuer: AuthorizationServer):
        """The API's 401 isn't a refused token: the same token goes again with the new nonce."""
        auth = PrivateKeyJWT("cli_1", KEY, dpop=KEY)
        challenge = {"WWW_Authenticate": 'DPoP error="use_dpop_nonce"', "DPoP_Nonce": "nonce-2"}
        issuer.nonce = "nonce-2"
        issuer.faults["/oauth/token"] = []
        issuer.faults["/v1/tenant"] = [in_json({}, 401, **challenge)]
        assert get_tenant(mode, issuer, auth) == ["sandbox"]
        assert [len(issuer.paths(end)) for end in ("/oauth/token", "/v1/tenant")] == [2, 2]

    def test_is_tried_once_only(self, mode: str, issuer: AuthorizationServer):
        """A server that is never content gets no loop."""
        refusal = in_json({"error": "use_dpop_nonce"}, 400, DPoP_Nonce="n")
        issuer.faults["/oauth/token"] = [refusal] * 9
        with pytest.raises(errors.AuthenticationFailed) as caught:
            get_tenant(mode, issuer, PrivateKeyJWT("cli_1", KEY, dpop=KEY))
        assert caught.value.oauth_error == "use_dpop_nonce"
        assert len(issuer.paths("/oauth/token")) == 2


class TestAClockThatIsWrong:
    @pytest.mark.parametrize("off_s", [-3000.0, -90.0, 90.0, 3000.0])
    def test_is_corrected_by_what_the_server_says(self, mode: str, off_s: float, issuer: AuthorizationServer):
        """The discovery's answer has told the time already, so that no try is lost."""
        issuer.off_s = off_s
        assert get_tenant(mode, issuer, PrivateKeyJWT("cli_1", KEY, dpop=KEY)) == ["sandbox"]
        assert [len(issuer.paths(end)) for end in ("/oauth/token", "/v1/tenant")] == [1, 1]

    def test_is_corrected_by_a_refusal(self, mode: str, issuer: AuthorizationServer):
        """Without discovery the first proof is refused, and the second made by the server's clock."""
        issuer.off_s = -600
        assert get_tenant(mode, issuer, WAYS["secret and DPoP"]()) == ["sandbox"]
        assert [len(issuer.paths(end)) for end in ("/oauth/token", "/v1/tenant")] == [2, 1]


class TestDiscovery:
    @pytest.mark.parametrize(
        "said",
        [
            {"issuer": "https://other.example", "token_endpoint": "https://other.example/token"},
            {"token_endpoint": "https://other.example/token"},
            [],
            "text",
        ],
    )
    def test_takes_the_issuers_own_word_only(self, mode: str, said: Any, issuer: AuthorizationServer):
        """Metadata of another issuer, or what isn't metadata, end the matter before anything is sent."""
        issuer.faults["/.well-known/openid-configuration"] = [in_json(said)]
        with pytest.raises(DiscoveryFailed) as caught:
            get_tenant(mode, issuer, PrivateKeyJWT("cli_1", KEY))
        assert caught.value.code == "discovery_failed"
        assert issuer.paths("/oauth/token") == []

    @pytest.mark.parametrize(
        ("issuer_said", "told"),
        [
            ("https://other.example/t/x", ", https://other.example/t/x;"),
            ("https://other.example/\x1b[2J", "another issuer;"),
            ("https://u:s-e-c-r-e-t@other.example", "another issuer;"),
            ("https://other.example/" + "x" * 500, "another issuer;"),
        ],
    )
    def test_names_the_issuer_that_it_has_found(
        self, mode: str, issuer_said: str, told: str, issuer: AuthorizationServer
    ):
        """Whoever uses another of the server's addresses reads which one is its name, where that is an address."""
        said = {"issuer": issuer_said, "token_endpoint": "https://other.example/token"}
        issuer.faults["/.well-known/openid-configuration"] = [in_json(said)]
        with pytest.raises(DiscoveryFailed) as caught:
            get_tenant(mode, issuer, PrivateKeyJWT("cli_1", KEY))
        assert told in str(caught.value)

    def test_looks_where_oauth_has_it(self, mode: str, issuer: AuthorizationServer):
        """Where OpenID Connect's address is empty, that of RFC 8414 is asked, and then the last."""
        issuer.faults["/.well-known/openid-configuration"] = [in_json({}, 404)]
        with pytest.raises(DiscoveryFailed):
            get_tenant(mode, issuer, PrivateKeyJWT("cli_1", KEY))
        assert [each.path for each in issuer.asked] == [
            "/t/test/.well-known/openid-configuration",
            "/.well-known/oauth-authorization-server/t/test",
            "/t/test/.well-known/oauth-authorization-server",
        ]

    def test_may_be_given_another_name_for_the_issuer(self, mode: str, issuer: AuthorizationServer):
        """What ``issuer`` says is what the metadata must say, wherever they are reached."""
        with pytest.raises(DiscoveryFailed):
            get_tenant(mode, issuer, PrivateKeyJWT("cli_1", KEY, issuer="https://bank.example"))


class TestManyAtOnce:
    def test_threads_share_one_token(self, issuer: AuthorizationServer):
        """Forty calls in ten threads ask once for metadata and once for a token."""
        auth = PrivateKeyJWT("cli_1", KEY, dpop=KEY)
        with Billfold(base_url=issuer.base, auth=auth) as billfold, ThreadPoolExecutor(10) as threads:
            assert set(threads.map(lambda _: billfold.tenant.get().slug, range(40))) == {"sandbox"}
        assert [len(issuer.paths(end)) for end in ("/openid-configuration", "/oauth/token")] == [1, 1]

    async def test_tasks_share_one_token(self, issuer: AuthorizationServer):
        """Forty tasks ask once for metadata and once for a token."""
        auth = PrivateKeyJWT("cli_1", KEY, dpop=KEY)
        async with AsyncBillfold(base_url=issuer.base, auth=auth) as billfold:
            found = await asyncio.gather(*[billfold.tenant.get() for _ in range(40)])
        assert {each.slug for each in found} == {"sandbox"}
        assert [len(issuer.paths(end)) for end in ("/openid-configuration", "/oauth/token")] == [1, 1]

    async def test_tasks_share_one_failure(self, issuer: AuthorizationServer):
        """Forty tasks at a server that says nothing of itself ask once, and each gets the error."""
        issuer.faults["/.well-known/openid-configuration"] = [in_json([])] * 40
        async with AsyncBillfold(base_url=issuer.base, auth=PrivateKeyJWT("cli_1", KEY)) as billfold:
            found = await asyncio.gather(*[billfold.tenant.get() for _ in range(40)], return_exceptions=True)
        assert {type(each) for each in found} == {DiscoveryFailed}
        assert len(issuer.asked) == 1


class Slow:
    """A key that waits for something, as one in Vault does."""

    def __init__(self) -> None:
        self.threads: set[str] = set()
        self.algorithm, self.kid, self.public_jwk, self.blocks = KEY.algorithm, KEY.kid, KEY.public_jwk, True
        self.away = False

    def sign(self, data: bytes) -> bytes:
        """Sign, and note where."""
        self.threads.add(threading.current_thread().name.partition("_")[0])
        if self.away:
            raise KeyUnavailable("away")
        return KEY.sign(data)


class TestAKeyThatWaits:
    def test_signs_in_a_thread_beside_the_event_loop(self, mode: str, issuer: AuthorizationServer):
        """The asynchronous client isn't held up; the synchronous one signs where it is."""
        key = Slow()
        assert get_tenant(mode, issuer, PrivateKeyJWT("cli_1", key, dpop=key)) == ["sandbox"]
        assert key.threads == ({"MainThread"} if mode == "sync" else {"billfold-sign"})

    def test_that_is_away_is_a_typed_error(self, mode: str, issuer: AuthorizationServer):
        """The caller hears of it, and nothing is sent."""
        key = Slow()
        key.away = True
        with pytest.raises(KeyUnavailable):
            get_tenant(mode, issuer, PrivateKeyJWT("cli_1", key))
        assert issuer.paths("/oauth/token") == []


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[AuthorizationServer, MutualTLS]]:
    """A server with TLS, and a client with a certificate that it knows."""
    with serving_tls(tmp_path_factory.mktemp("tls")) as (issuer, authority):
        issued, root = authority.ensure_client("acme"), authority.ensure()
        issuer.clients["cli_tls"] = Client("cli_tls", [KEY.public_jwk], thumbprint=issued.thumbprint)
        yield issuer, MutualTLS("cli_tls", issued.certificate, issued.key, ca=root.certificate)


class TestACertificate:
    @pytest.mark.parametrize("missing", ["certificate", "key", "ca"])
    def test_that_is_missing_is_named(self, mode: str, missing: str, issuer: AuthorizationServer, tmp_path: Path):
        """Of three files the one that can't be read is told."""
        certificate, key = issue().write(tmp_path)
        files = {"certificate": certificate, "key": key, "ca": certificate, missing: str(tmp_path / "nope.pem")}
        auth = MutualTLS("c", ClientCertificate(files["certificate"], files["key"], ca=files["ca"]))
        with pytest.raises(FileNotFoundError, match=r"nope\.pem") as caught:
            get_tenant(mode, issuer, auth)
        assert caught.value.filename == files[missing]

    @pytest.mark.parametrize("way", ["mTLS", "mTLS and DPoP", "key and mTLS"])
    def test_proves_who_is_asking(self, mode: str, way: str, tls: tuple[AuthorizationServer, MutualTLS]):
        """Token and API requests go to the addresses that ask for it, and discovery to the one that doesn't."""
        issuer, auth = tls
        assert auth.certificate is not None
        issuer.asked.clear()
        ways: dict[str, ClientAuthentication] = {
            "mTLS": auth,
            "mTLS and DPoP": MutualTLS("cli_tls", auth.certificate, dpop=KEY),
            "key and mTLS": PrivateKeyJWT("cli_tls", KEY, certificate=auth.certificate),
        }
        assert get_tenant(mode, issuer, ways[way], times=2) == ["sandbox"] * 2
        assert {each.path: each.base for each in issuer.asked} == {
            "/t/test/.well-known/openid-configuration": issuer.base,
            "/t/test/oauth/token": issuer.mtls_base,
            "/t/test/v1/tenant": issuer.mtls_base,
        }
        bound = [token["x5t"] is not None for token in list(issuer.tokens.values())[-1:]]
        assert bound == [way != "mTLS and DPoP"]

    def test_of_another_is_refused(self, mode: str, tls: tuple[AuthorizationServer, MutualTLS], tmp_path: Path):
        """A certificate that the authority hasn't issued makes no connection."""
        issuer, auth = tls
        assert auth.certificate is not None
        with serving_tls(tmp_path) as (_, other):
            issued = other.ensure_client("acme")
        certificate = ClientCertificate(issued.certificate, issued.key, ca=auth.certificate.ca)
        with pytest.raises(errors.TransportError):
            get_tenant(mode, issuer, MutualTLS("cli_tls", certificate), max_retries=0)

    def test_that_is_none_is_a_typed_error(self, mode: str, tmp_path: Path, issuer: AuthorizationServer):
        """Files that hold something else, without their content in the error."""
        (tmp_path / "x.pem").write_text("no certificate", encoding="utf-8")
        with pytest.raises(KeyUnusable):
            get_tenant(mode, issuer, MutualTLS("cli_1", tmp_path / "x.pem"))

    def test_belongs_to_one_object(self, tls: tuple[AuthorizationServer, MutualTLS]):
        """What a ClientCertificate says isn't said again beside it, and tokens aren't bound twice."""
        certificate = tls[1].certificate
        assert certificate is not None
        with pytest.raises(ValueError, match="ClientCertificate"):
            MutualTLS("cli_1", certificate, "key.pem")
        with pytest.raises(ValueError, match="not to both"):
            PrivateKeyJWT("cli_1", KEY, dpop=KEY, certificate=certificate)


class TestMakingAClient:
    def test_takes_auth_or_a_secret(self):
        """Not both, since one would be ignored."""
        with pytest.raises(ValueError, match="auth"):
            Billfold(base_url="http://127.0.0.1:1", client_id="cli_1", auth=PrivateKeyJWT("cli_1", KEY))

    def test_lets_another_transport_carry_the_certificate(self, tls: tuple[AuthorizationServer, MutualTLS]):
        """A transport that is made with the certificate's context serves as well."""
        issuer, auth = tls
        assert auth.certificate is not None
        context = auth.certificate.context()
        assert get_tenant("sync", issuer, auth, transport=HttpxTransport(verify=context)) == ["sandbox"]
        assert get_tenant("async", issuer, auth, transport=AsyncHttpxTransport(verify=context)) == ["sandbox"]

    def test_shows_the_id_alone(self):
        """Each way's text names the client, and is JSON-safe for logs."""
        shown = [repr(way()) for way in WAYS.values()]
        assert all("'cli_1', …" in each for each in shown)
        assert json.dumps(shown)
