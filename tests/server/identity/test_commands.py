"""``billfold clients``, against a server that runs."""

import json
import stat
import time
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from click.testing import CliRunner, Result
from joserfc.jwk import OKPKey

from billfold import errors
from billfold_server.app import open_services
from billfold_server.identity import jose
from billfold_server.identity.clients.private_key_jwt import TYPE
from billfold_server.identity.commands import clients
from billfold_server.identity.rules import PLATFORM_SCOPES
from tests.live import LiveServer
from tests.tenants import manifest


def invoke(live: LiveServer, *words: str) -> Result:
    """Call a command as ``billfold clients`` does."""
    return CliRunner().invoke(clients, words, obj=partial(open_services, live.settings))


def ask(live: LiveServer, made: dict[str, str]) -> httpx.Response:
    """Ask for a token with what ``create`` has printed; the tests' server has its port from the system."""
    secret = (made["client_id"], made["client_secret"])
    url = live.url + urlsplit(made["token_url"]).path
    return httpx.post(url, data={"grant_type": "client_credentials"}, auth=secret)


class TestAClientThatWasCreated:
    """A client that was created."""

    def test_gets_a_token_where_it_was_told_to(self, live: LiveServer) -> None:
        """The printed id, secret and token URL work, for exactly the scopes that were given."""
        words = (
            "create",
            "--tenant",
            "alpha",
            "--scope",
            "wallets:read",
            "--scope",
            "parties:read,tenant:read",
            "--json",
        )
        made = json.loads(invoke(live, *words).stdout)
        assert ask(live, made).json()["scope"] == "parties:read tenant:read wallets:read"

    def test_may_be_an_operators(self, live: LiveServer) -> None:
        """With --platform it is a client of the platform, with its scopes."""
        made = json.loads(invoke(live, "create", "--platform", "--scope", "all", "--json").stdout)
        assert made["scope"] == " ".join(sorted(PLATFORM_SCOPES))
        assert ask(live, made).status_code == 200

    def test_is_shut_out_and_let_in_again(self, live: LiveServer) -> None:
        """Disabling takes its tokens' force, and enabling gives it back."""
        made = json.loads(invoke(live, "create", "--tenant", "alpha", "--scope", "all", "--json").stdout)
        assert invoke(live, "disable", "--tenant", "alpha", made["client_id"]).exit_code == 0
        deadline = time.monotonic() + 60
        while ask(live, made).status_code != 401:
            assert time.monotonic() < deadline
        listed = json.loads(invoke(live, "list", "--tenant", "alpha", "--json").stdout)
        assert {client["id"]: client["state"] for client in listed}[made["client_id"]] == "disabled"
        assert invoke(live, "enable", "--tenant", "alpha", made["client_id"]).exit_code == 0
        deadline = time.monotonic() + 60
        while ask(live, made).status_code != 200:
            assert time.monotonic() < deadline


class TestACommand:
    """A command."""

    def test_asks_whose_client_it_is_about(self, live: LiveServer) -> None:
        """A tenant or the platform must be named, and not both."""
        assert invoke(live, "list").exit_code == 2
        assert invoke(live, "list", "--tenant", "alpha", "--platform").exit_code == 2


class TestAClientWithAKeyOfItsOwn:
    """A client with a key of its own."""

    def test_signs_with_the_file_that_was_made_for_it(self, live: LiveServer, tmp_path: Path) -> None:
        """--new-key writes the private key for its owner alone, and the client proves itself by it."""
        file = tmp_path / "client.pem"
        words = ("create", "--tenant", "alpha", "--scope", "wallets:read", "--new-key", str(file), "--alg", "EdDSA")
        made = json.loads(invoke(live, *words, "--json").stdout)
        assert (made["token_endpoint_auth_method"], made["private_key_file"]) == ("private_key_jwt", str(file))
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert "client_secret" not in made
        now, issuer = int(time.time()), live.base("alpha")
        claims = {"iss": made["client_id"], "sub": made["client_id"], "aud": issuer, "exp": now + 60, "jti": "1"}
        key = OKPKey.import_key(file.read_bytes())
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": TYPE,
            "client_assertion": jose.sign(claims, key, alg="EdDSA", kid=made["kid"], typ="JWT"),
        }
        assert httpx.post(f"{issuer}/oauth/token", data=form).json()["scope"] == "wallets:read"

    def test_is_told_how_to_have_one(self, live: LiveServer) -> None:
        """Who says nothing of keys where one is needed reads by which options."""
        words = ("create", "--tenant", "alpha", "--scope", "wallets:read", "--auth-method", "private_key_jwt")
        refused = invoke(live, *words)
        assert isinstance(refused.exception, errors.ClientMetadataRefused)
        for option in ("--new-key", "--jwks"):
            assert option in refused.exception.detail

    def test_never_takes_the_place_of_another_file(self, live: LiveServer, tmp_path: Path) -> None:
        """What is there already stays as it is, and a client that is refused leaves no key behind."""
        file = tmp_path / "client.pem"
        file.write_text("mine")
        words = ("create", "--tenant", "alpha", "--scope", "wallets:read", "--new-key", str(file))
        assert invoke(live, *words).exit_code == 2
        assert file.read_text() == "mine"
        other = tmp_path / "other.pem"
        refused = invoke(live, "create", "--tenant", "alpha", "--scope", "nothing:here", "--new-key", str(other))
        assert refused.exit_code == 1
        assert not other.exists()

    @pytest.mark.parametrize(
        ("words", "param"),
        [(("--name", ""), "client_name"), (("--grant", "password"), "grant_types[0]"), (("--scope", '"'), "scope")],
    )
    def test_leaves_no_key_behind_where_it_can_not_be(
        self, live: LiveServer, tmp_path: Path, words: tuple[str, ...], param: str
    ) -> None:
        """What no client may be called or do is told in words, and the same line may be given again."""
        file = tmp_path / "client.pem"
        scope = () if "--scope" in words else ("--scope", "wallets:read")
        refused = invoke(live, "create", "--tenant", "alpha", *scope, "--new-key", str(file), *words)
        assert isinstance(refused.exception, errors.ValidationFailed)
        assert (refused.exception.param, file.exists()) == (param, False)

    def test_may_be_known_by_its_certificate(self, live: LiveServer) -> None:
        """A subject is enough to say that it shows a certificate."""
        words = ("create", "--tenant", "alpha", "--scope", "wallets:read", "--certificate-dn", "CN=payouts,O=Example")
        made = json.loads(invoke(live, *words, "--json").stdout)
        assert made["token_endpoint_auth_method"] == "tls_client_auth"
        listed = json.loads(invoke(live, "list", "--tenant", "alpha", "--json").stdout)
        (found,) = (client for client in listed if client["id"] == made["client_id"])
        assert found["tls_client_auth_subject_dn"] == "CN=payouts,O=Example"

    def test_is_all_that_a_strict_tenant_takes(self, live: LiveServer, tmp_path: Path) -> None:
        """Without keys a client of a bank is refused, and the refusal says what is missing."""
        live.add_tenant(manifest("keyed", security_profile="fapi2"))
        refused = invoke(live, "create", "--tenant", "keyed", "--scope", "all")
        assert isinstance(refused.exception, errors.ClientMetadataRefused)
        assert refused.exception.param == "jwks"
        file = tmp_path / "keyed.pem"
        assert invoke(live, "create", "--tenant", "keyed", "--scope", "all", "--new-key", str(file)).exit_code == 0
