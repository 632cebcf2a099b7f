"""``billfold keys rotate-fingerprints``: new keys for what parties and vault tokens are found by."""

import json
from collections.abc import Callable
from functools import partial
from uuid import uuid4

import httpx
import pytest
from click.testing import CliRunner, Result

from billfold import errors
from billfold_server.app import open_services
from billfold_server.keys import commands
from billfold_server.keys.upkeep_queries import PURPOSES
from billfold_server.serving.explaining import explain
from billfold_server.serving.failures import Exit
from tests.live import LiveServer
from tests.tenants import manifest

SLUG = "found_anew"
ACCOUNT = {"kind": "bank_account", "bank_account": {"iban": "NL91ABNA0417164300"}}

Rotate = Callable[..., Result]


@pytest.fixture(scope="module")
def rotate(live: LiveServer) -> Rotate:
    """Return a function that calls the command for a tenant of its own."""
    live.add_tenant(manifest(SLUG))
    opening = partial(open_services, live.settings)

    def invoke(*words: str) -> Result:
        return CliRunner().invoke(commands.keys, ["rotate-fingerprints", "--tenant", SLUG, *words], obj=opening)

    return invoke


def purposes(live: LiveServer) -> set[str]:
    """Return for what the tenant has keys of fingerprints."""
    tenant = live.run(live.services.registry.get(SLUG))
    return {row["purpose"] for row in live.run(live.services.keys.store.fetch(PURPOSES, tenant.id))}


def create(client: httpx.Client, path: str, body: object) -> httpx.Response:
    """Make something under a key of its own."""
    return client.post(path, json=body, headers={"Idempotency-Key": uuid4().hex}).raise_for_status()


class TestATenant:
    def test_without_fingerprints_has_none_to_rotate(self, live: LiveServer, rotate: Rotate) -> None:
        """The command says so, and makes no key."""
        refused = rotate("--json")
        assert isinstance(refused.exception, errors.NotFound)
        assert (explain(refused.exception).exit_code, purposes(live)) == (Exit.REFUSED, set())

    def test_has_new_keys_while_values_are_found(self, live: LiveServer, rotate: Rotate) -> None:
        """In both domains, or of one purpose alone; the audit knows why, and parties and tokens are found as before."""
        with live.client(SLUG) as client:
            party = create(client, "/v1/parties", {"kind": "person", "name": "Emmy Noether"}).json()["id"]
            token = create(client, "/v1/vault-tokens", {**ACCOUNT, "party_id": party}).json()
            every = json.loads(rotate("--reason", "a leak", "--json").stdout)
            assert every == [
                {"domain": "cards", "purpose": "vault token bank_account", "version": 2},
                {"domain": "data", "purpose": "parties.search", "version": 2},
            ]
            (one,) = json.loads(rotate("--purpose", "parties.search", "--json").stdout)
            assert one == {"domain": "data", "purpose": "parties.search", "version": 3}
            text = rotate("--purpose", "parties.search")
            assert (text.exit_code, "parties.search" in text.stdout) == (0, True)
            found = client.get("/v1/parties", params={"q": "noether"}).json()["data"]
            assert [each["id"] for each in found] == [party]
            assert client.post("/v1/vault-tokens/search", json=ACCOUNT).json()["fingerprint"] == token["fingerprint"]
            told = {"action": "data_keys.fingerprints_rotated"}
            records = client.get("/v1/audit-records", params=told).json()["data"]
        leaked = [("a leak", each) for each in reversed(every)]
        facts = [(each["reason"], each["facts"]) for each in records]
        assert facts == [(None, {**one, "version": 4}), (None, one), *leaked]

    def test_gets_no_key_by_a_mistyped_name(self, live: LiveServer, rotate: Rotate) -> None:
        """The refusal lists the purposes that there are."""
        with live.client(SLUG) as client:
            create(client, "/v1/parties", {"kind": "person", "name": "Ada"})
        refused = rotate("--purpose", "parties.serach", "--json")
        assert isinstance(refused.exception, errors.NotFound)
        failure = explain(refused.exception)
        assert (failure.exit_code, '"parties.search"' in failure.sentence) == (Exit.REFUSED, True)
        assert "parties.serach" not in purposes(live)
