"""Clients that register themselves: who may, what a statement decides, and who looks after a registration later."""

import contextlib
import time
from typing import Any

import httpx
import msgspec
import pytest

from billfold_server.http.limits import Buckets, ClientLimits
from billfold_server.identity import jose
from tests.live import LiveServer
from tests.server.identity import clients_of
from tests.server.identity.flows import later
from tests.tenants import manifest

DIRECTORY = "https://directory.example"
PUBLISHER = clients_of.key_for("PS256")
KEY = clients_of.key_for("ES256")
JWKS = {"keys": [clients_of.public_jwk(KEY, "mine")]}
CALLBACK = "https://tpp.example/callback"


@pytest.fixture(scope="module", autouse=True)
def tenants(live: LiveServer) -> None:
    """A sandbox where anybody registers, and a bank that believes a directory."""
    publishers = [{"issuer": DIRECTORY, "jwks": {"keys": [clients_of.public_jwk(PUBLISHER, "dir")]}}]
    scopes = ["wallets:read", "tenant:read"]
    live.add_tenant(manifest("openreg", registration={"mode": "open", "scopes": [*scopes, "accounts", "payments"]}))
    believing = {"mode": "statement", "publishers": publishers, "scopes": scopes}
    live.add_tenant(manifest("dirreg", security_profile="fapi2", registration=believing))


def post(live: LiveServer, slug: str, **said: Any) -> httpx.Response:
    """Ask for a registration."""
    return httpx.post(f"{live.base(slug)}/oauth/register", json=said)


def statement(key: jose.SigningKey = PUBLISHER, kid: str = "dir", alg: Any = "PS256", **claims: Any) -> str:
    """Return a software statement."""
    now = int(time.time())
    said = {"iss": DIRECTORY, "iat": now, "exp": now + 600, "software_id": "sw-1", **claims}
    return jose.sign(
        {name: value for name, value in said.items() if value is not None}, key, alg=alg, kid=kid, typ="JWT"
    )


class TestOpenRegistration:
    def test_gives_a_client_that_works(self, live: LiveServer) -> None:
        """All that is registered comes back, and the client gets a token."""
        answer = post(live, "openreg", client_name="Try", scope="wallets:read", of_tomorrow=[1], logo_uri=None)
        made = answer.json()
        assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
        assert made["token_endpoint_auth_method"] == "client_secret_basic"
        assert (made["grant_types"], made["scope"], made["client_secret_expires_at"]) == (
            ["client_credentials"],
            "wallets:read",
            0,
        )
        assert "of_tomorrow" not in made
        token = httpx.post(
            f"{live.base('openreg')}/oauth/token",
            data={"grant_type": "client_credentials"},
            auth=(made["client_id"], made["client_secret"]),
        )
        assert token.json()["scope"] == "wallets:read"

    def test_gives_one_to_who_asks_for_nothing_in_particular(self, live: LiveServer) -> None:
        """No member must be said (RFC 7591, section 2): an empty object gets all that there is by default."""
        made = post(live, "openreg")
        assert (made.status_code, made.json().get("scope")) == (201, "tenant:read wallets:read"), made.text

    def test_is_named_in_the_metadata_where_it_is_open(self, live: LiveServer) -> None:
        """A tenant that is closed doesn't name the endpoint, and refuses at it."""
        for slug, there in (("openreg", True), ("dirreg", True), ("alpha", False)):
            said = httpx.get(f"{live.base(slug)}/.well-known/openid-configuration").json()
            assert ("registration_endpoint" in said) is there
        assert post(live, "alpha", client_name="x").json()["error"] == "access_denied"

    @pytest.mark.parametrize(
        ("said", "error"),
        [
            ({"redirect_uris": ["http://bank.example/cb"]}, "invalid_redirect_uri"),
            ({"redirect_uris": [1]}, "invalid_redirect_uri"),
            ({"redirect_uris": ["https://bank.example/cb#x"]}, "invalid_redirect_uri"),
            ({"jwks_uri": "https://tpp.example/jwks"}, "invalid_client_metadata"),
            ({"token_endpoint_auth_method": "none"}, "invalid_client_metadata"),
            ({"token_endpoint_auth_method": "private_key_jwt"}, "invalid_client_metadata"),
            ({"scope": "wallets:write"}, "invalid_client_metadata"),
            ({"scope": "nothing:here"}, "invalid_client_metadata"),
            # No role says that this client is licensed for that.
            ({"scope": "accounts"}, "invalid_client_metadata"),
            ({"grant_types": ["password"]}, "invalid_client_metadata"),
            ({"grant_types": ["refresh_token"]}, "invalid_client_metadata"),
            ({"client_name": 7}, "invalid_client_metadata"),
            ({"client_uri": "https://["}, "invalid_client_metadata"),
            ({"software_statement": "x.y.z"}, "invalid_software_statement"),
            ({"software_statement": 1}, "invalid_software_statement"),
        ],
        ids=str,
    )
    def test_is_refused_by_the_codes_of_the_rfc(self, live: LiveServer, said: dict[str, Any], error: str) -> None:
        """RFC 7591, section 3.2.2."""
        answer = post(live, "openreg", **said)
        assert (answer.status_code, answer.json()["error"]) == (400, error)

    @pytest.mark.parametrize("slug", ["openreg", "alpha"])
    def test_takes_no_longer_request_than_can_be_needed(self, live: LiveServer, slug: str) -> None:
        """Strangers send them, and looking through a megabyte takes half a second, in which nobody is served."""
        answer = post(live, slug, client_name="1 " * 500_000)
        assert (answer.status_code, answer.json()["error"]) == (413, "invalid_request"), answer.text
        assert post(live, "openreg", client_name="Padded", further="x" * 30_000).status_code == 201

    def test_is_slowed_down(self, live: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
        """One address doesn't fill the table."""
        few = msgspec.structs.replace(live.settings, token_rate_limit_per_min=20)
        # By buckets of its own, so that nobody else who asks from this address is slowed down with it.
        with contextlib.closing(Buckets(None, b"of this test")) as buckets, monkeypatch.context() as patched:
            patched.setattr(live.services, "limits", ClientLimits(buckets, few))
            # The allowance grows while a slow machine asks, by less than each request takes.
            assert any(post(live, "openreg", client_name=7).status_code == 429 for _ in range(300))


class TestAStatement:
    def test_wins_over_what_the_client_says(self, live: LiveServer) -> None:
        """Addresses, keys and names of the statement count, not those beside it."""
        vouched = statement(client_name="Licensed TPP", organisation="TPP Ltd", redirect_uris=[CALLBACK], jwks=JWKS)
        answer = post(
            live,
            "dirreg",
            software_statement=vouched,
            client_name="Your Bank",
            redirect_uris=["https://attacker.example/cb"],
            jwks={"keys": [clients_of.public_jwk(clients_of.key_for("ES256"), "evil")]},
            scope="openid wallets:read",
        )
        made = answer.json()
        assert answer.status_code == 201, answer.text
        assert (made["client_name"], made["redirect_uris"], made["software_id"]) == ("Licensed TPP", [CALLBACK], "sw-1")
        assert [key["kid"] for key in made["jwks"]["keys"]] == ["mine"]
        assert made["software_statement"] == vouched
        assert (made["token_endpoint_auth_method"], "client_secret" in made) == ("private_key_jwt", False)

    def test_is_needed_where_the_manifest_says_so(self, live: LiveServer) -> None:
        """Without one nobody registers at a bank."""
        answer = post(live, "dirreg", jwks=JWKS, scope="wallets:read")
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_software_statement")

    def test_of_anybody_else_is_refused(self, live: LiveServer) -> None:
        """Another issuer, another key, another algorithm, an ended one, none at all: each is refused by its code."""
        now = int(time.time())
        attempts = {
            statement(iss="https://other.example", jwks=JWKS): "unapproved_software_statement",
            statement(iss=None, jwks=JWKS): "unapproved_software_statement",
            statement(clients_of.key_for("PS256"), jwks=JWKS): "invalid_software_statement",
            statement(KEY, alg="ES256", jwks=JWKS): "invalid_software_statement",
            statement(kid="other", jwks=JWKS): "invalid_software_statement",
            statement(exp=now - 1, jwks=JWKS): "invalid_software_statement",
            statement(iat=10**400, jwks=JWKS): "invalid_software_statement",
            statement(exp="never", jwks=JWKS): "invalid_software_statement",
            statement(nbf=now + 60, jwks=JWKS): "invalid_software_statement",
            statement(jwks=JWKS)[:-6] + "AAAAAA": "invalid_software_statement",
            statement(jwks=JWKS).rpartition(".")[0] + ".": "invalid_software_statement",
        }
        for text, error in attempts.items():
            answer = post(live, "dirreg", software_statement=text)
            assert (answer.status_code, answer.json()["error"]) == (400, error)

    def test_cant_allow_a_secret_under_a_strict_profile(self, live: LiveServer) -> None:
        """The profile is the tenant's, whatever a publisher says."""
        text = statement(jwks=JWKS, token_endpoint_auth_method="client_secret_basic")
        assert post(live, "dirreg", software_statement=text).json()["error"] == "invalid_client_metadata"


class TestARegistration:
    def test_is_looked_after_by_its_own_token(self, live: LiveServer) -> None:
        """Shown, replaced with a new token for it, and ended; the former token is worth nothing (RFC 7592)."""
        made = post(live, "openreg", client_name="Mine", scope="wallets:read").json()
        url, token = made["registration_client_uri"], made["registration_access_token"]
        bearer = {"Authorization": f"Bearer {token}"}
        found = httpx.get(url, headers=bearer)
        assert (found.status_code, found.json()["client_name"]) == (200, "Mine")
        assert not {"client_secret", "registration_access_token"} & found.json().keys()
        body = {"client_id": made["client_id"], "client_name": "Other", "scope": "tenant:read"}
        changed = httpx.put(url, headers=bearer, json=body)
        assert (changed.status_code, changed.json()["client_name"], changed.json()["scope"]) == (
            200,
            "Other",
            "tenant:read",
        )
        assert httpx.get(url, headers=bearer).status_code == 401
        bearer = {"Authorization": f"Bearer {changed.json()['registration_access_token']}"}
        assert httpx.delete(url, headers=bearer).status_code == 204
        assert httpx.get(url, headers=bearer).status_code == 401
        auth = (made["client_id"], made["client_secret"])
        form = {"grant_type": "client_credentials"}
        assert httpx.post(f"{live.base('openreg')}/oauth/token", data=form, auth=auth).status_code == 401

    def test_is_changed_once_more_where_the_answer_got_lost(self, live: LiveServer) -> None:
        """The same change by the token that was good before it brings the same new one; a day later, nothing."""
        made = post(live, "openreg", client_name="Mine", scope="wallets:read").json()
        url, body = made["registration_client_uri"], {"client_id": made["client_id"], "scope": "tenant:read"}
        former = {"Authorization": f"Bearer {made['registration_access_token']}"}
        lost, again = (httpx.put(url, headers=former, json=body) for _ in range(2))
        assert (lost.status_code, again.status_code) == (200, 200)
        token = again.json()["registration_access_token"]
        assert lost.json()["registration_access_token"] == token != made["registration_access_token"]
        assert httpx.delete(url, headers=former).status_code == 401
        assert httpx.get(url, headers={"Authorization": f"Bearer {token}"}).json()["scope"] == "tenant:read"
        with later(live, 86_400 + 60):
            assert httpx.put(url, headers=former, json=body).status_code == 401
        assert httpx.put(url, headers={"Authorization": f"Bearer {token}"}, json=body).status_code == 200
        assert httpx.put(url, headers=former, json=body).status_code == 401

    def test_isnt_opened_by_anything_else(self, live: LiveServer) -> None:
        """Another client's token, none, an unknown client: one answer, which tells nothing."""
        one, other = (post(live, "openreg", scope="wallets:read").json() for _ in range(2))
        url = one["registration_client_uri"]
        unknown = url.replace(one["client_id"], "cli_01m7w9tnzcejq9b78b81gh4nmw")
        attempts = [
            (url, {"Authorization": f"Bearer {other['registration_access_token']}"}),
            (url, {"Authorization": f"Basic {one['registration_access_token']}"}),
            (url, {}),
            (unknown, {"Authorization": f"Bearer {one['registration_access_token']}"}),
            (url.replace(one["client_id"], "nobody"), {}),
        ]
        answers = [httpx.get(address, headers=headers) for address, headers in attempts]
        assert {(answer.status_code, answer.text) for answer in answers} == {(401, answers[0].text)}
        assert all('error="invalid_token"' in answer.headers["www-authenticate"] for answer in answers)

    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            ({"client_id": "cli_other"}, "invalid_request"),
            ({"registration_access_token": "x"}, "invalid_request"),
            ({"scope": "wallets:write"}, "invalid_client_metadata"),
            ({"token_endpoint_auth_method": "private_key_jwt", "jwks": JWKS}, "invalid_client_metadata"),
            ({"redirect_uris": ["https://x.example/#"]}, "invalid_redirect_uri"),
        ],
        # Not by what is sent: keys are made anew in each process, and all of them must know a test by the same name.
        ids=lambda each: " and ".join(each) if isinstance(each, dict) else each,
    )
    def test_isnt_replaced_by_what_is_wrong(self, live: LiveServer, changes: dict[str, Any], error: str) -> None:
        """A refused change leaves all as it was, and its token too."""
        made = post(live, "openreg", scope="wallets:read").json()
        bearer = {"Authorization": f"Bearer {made['registration_access_token']}"}
        url = made["registration_client_uri"]
        answer = httpx.put(url, headers=bearer, json={"client_id": made["client_id"], **changes})
        assert (answer.status_code, answer.json()["error"]) == (400, error)
        assert httpx.get(url, headers=bearer).json()["scope"] == "wallets:read"

    def test_that_a_publisher_vouched_for_isnt_changed_without_it(self, live: LiveServer) -> None:
        """Whoever came by a statement brings one to change anything, or else nothing it says would last."""
        made = post(live, "dirreg", software_statement=statement(jwks=JWKS), scope="wallets:read").json()
        bearer = {"Authorization": f"Bearer {made['registration_access_token']}"}
        body = {"client_id": made["client_id"], "jwks": JWKS, "scope": "tenant:read"}
        refused = httpx.put(made["registration_client_uri"], headers=bearer, json=body)
        assert refused.json()["error"] == "invalid_software_statement"
        body["software_statement"] = statement(jwks=JWKS)
        taken = httpx.put(made["registration_client_uri"], headers=bearer, json=body)
        assert taken.json()["scope"] == "tenant:read"
        assert taken.json()["software_statement"] == body["software_statement"]
        bearer = {"Authorization": f"Bearer {taken.json()['registration_access_token']}"}
        other = {**body, "software_id": "sw-1", "software_statement": statement(jwks=JWKS, software_id="sw-2")}
        refused = httpx.put(made["registration_client_uri"], headers=bearer, json=other)
        assert refused.json()["error"] == "unapproved_software_statement"
        assert httpx.get(made["registration_client_uri"], headers=bearer).json()["software_id"] == "sw-1"
