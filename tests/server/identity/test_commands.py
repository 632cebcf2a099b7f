"""``billfold clients``, against a server that runs."""

import json
import time
from functools import partial
from urllib.parse import urlsplit

import httpx
from click.testing import CliRunner, Result

from billfold_server.app import open_services
from billfold_server.identity.commands import clients
from tests.live import LiveServer


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
        assert made["scope"] == "platform:audit:read platform:tenants:read platform:tenants:write"
        assert ask(live, made).status_code == 200

    def test_is_shut_out_and_let_in_again(self, live: LiveServer) -> None:
        """Disabling takes its tokens' force, and enabling gives it back."""
        made = json.loads(invoke(live, "create", "--tenant", "alpha", "--scope", "all", "--json").stdout)
        assert invoke(live, "disable", "--tenant", "alpha", made["client_id"]).exit_code == 0
        deadline = time.monotonic() + 5
        while ask(live, made).status_code != 401:
            assert time.monotonic() < deadline
        listed = json.loads(invoke(live, "list", "--tenant", "alpha", "--json").stdout)
        assert {client["id"]: client["state"] for client in listed}[made["client_id"]] == "disabled"
        assert invoke(live, "enable", "--tenant", "alpha", made["client_id"]).exit_code == 0
        deadline = time.monotonic() + 5
        while ask(live, made).status_code != 200:
            assert time.monotonic() < deadline


class TestACommand:
    """A command."""

    def test_asks_whose_client_it_is_about(self, live: LiveServer) -> None:
        """A tenant or the platform must be named, and not both."""
        assert invoke(live, "list").exit_code == 2
        assert invoke(live, "list", "--tenant", "alpha", "--platform").exit_code == 2
