"""``billfold up --vault``, with real processes: a server whose keys are in a Vault, sealed and killed under it."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from uuid import uuid4

import httpx
import hvac
import pytest

from billfold_server.db.embedded.locks import is_locked
from billfold_server.serving.vault.examining import examine_vault
from billfold_server.serving.vault.files import Files
from billfold_server.settings import Settings
from tests.openbao import binary
from tests.pace import quickest_call, until
from tests.postgres import binaries
from tests.processes import children
from tests.server.tokens.banks import IBAN
from tests.server.upping import Up, data_dirs


@pytest.fixture
def up() -> Iterator[Up]:
    """A server with a Vault."""
    binary()
    binaries(18)
    with data_dirs() as give:
        up = Up(give(), "--port=0", "--vault").ready()
        yield up
        up.end(signal.SIGKILL)


class Client:
    """The sandbox's client, whose token was issued while Vault was there."""

    def __init__(self, up: Up) -> None:
        self._up = up
        self._headers = {"Authorization": f"Bearer {up.token()}"}

    def post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        """Send a request under a new key."""
        headers = {**self._headers, "Idempotency-Key": uuid4().hex}
        return httpx.post(self._up.welcome["base_url"] + path, json=body, headers=headers)

    def get(self, path: str) -> httpx.Response:
        """Read something."""
        return httpx.get(self._up.welcome["base_url"] + path, headers=self._headers)

    def make(self, path: str, **body: Any) -> str:
        """Make something, and return its id."""
        return str(self.post(path, body).raise_for_status().json()["id"])


def keys_of(up: Up) -> tuple[str, str]:
    """Return what readiness says of keys and cards; a server without them is ready for the ledger all the same."""
    said = httpx.get(f"{up.welcome['url']}/health/ready").raise_for_status().json()
    return said["keys"], said["cards"]


def refused(call: Callable[[], httpx.Response]) -> None:
    """See that a request that needs a key is told why there is none, and when to come again."""
    answer = call()
    assert (answer.status_code, answer.json()["code"]) == (503, "keys_unavailable")
    assert int(answer.headers["Retry-After"]) >= 1
    assert '"sealed"' in answer.text
    assert "127.0.0.1" not in answer.text


@pytest.mark.slow
class TestAServerOnVault:
    def test_serves_the_ledger_while_it_is_sealed_and_all_else_once_it_is_not(self, up: Up) -> None:
        """A worker that has never seen a key moves money, and says of persons when to come again; nobody restarts."""
        client, files = Client(up), Files(up.data_dir)
        party = client.make("/v1/parties", kind="person", name="Grace Hopper", email="grace@example.com")
        first, second = (client.make("/v1/wallets", party_id=party, currencies=["EUR"]) for _ in range(2))
        client.make("/v1/top-ups", wallet_id=first, amount={"amount_minor": 1000, "currency": "EUR"})
        account = {"kind": "bank_account", "bank_account": {"iban": IBAN, "holder": "Grace Hopper"}, "party_id": party}
        client.make("/v1/vault-tokens", **account)
        root = hvac.Client(files.address, token=files.root_token.read_text())
        # One that has become the leader only just now unseals itself once more.
        until(lambda: root.sys.seal() and root.sys.read_seal_status()["sealed"])
        assert client.get(f"/v1/parties/{party}").json()["name"] == "Grace Hopper"
        (worker,), decryptor = up.workers(), up.decryptor()
        assert decryptor is not None
        for each in (worker, decryptor):
            os.kill(each, signal.SIGKILL)
        until(lambda: up.workers() not in ([], [worker]) and up.answers())
        until(lambda: keys_of(up) == ("sealed", "sealed"))

        (check,) = asyncio.run(examine_vault(Settings(data_dir=str(up.data_dir))))
        assert (check.verdict, check.sentence.split(":")[0]) == ("fail", "Vault is sealed")

        transfer = {"from_wallet_id": first, "to_wallet_id": second}
        client.make("/v1/transfers", **transfer, amount={"amount_minor": 10, "currency": "EUR"})
        ada = {"kind": "person", "name": "Ada Lovelace"}
        for call in (
            partial(client.get, f"/v1/parties/{party}"),
            partial(client.post, "/v1/parties", ada),
            partial(client.post, "/v1/vault-tokens", account),
        ):
            assert quickest_call(partial(refused, call), below_s=2) < 2

        # What seals itself by a key of its own unseals when it is started again, which the server sees to.
        (shell,) = (pid for pid, command in children(up.process.pid).items() if "-config=" in command)
        (program,) = (pid for pid, command in children(shell).items() if not command.startswith("/bin/sh"))
        os.kill(program, signal.SIGKILL)
        until(lambda: client.get(f"/v1/parties/{party}").status_code == 200)
        assert client.post("/v1/parties", ada).status_code == 201
        until(lambda: client.post("/v1/vault-tokens", account).status_code == 201)
        until(lambda: keys_of(up) == ("ok", "ok"))

        up.end(signal.SIGKILL)
        until(lambda: not is_locked(files.running))
        again = Up(up.data_dir, "--port=0").ready()
        try:
            assert again.get(f"/v1/parties/{party}")["name"] == "Grace Hopper"
            said = httpx.get(f"{again.welcome['url']}/metrics").text
            assert 'billfold_vault_calls_total{operation="unwrap",outcome="ok"}' in said
        finally:
            assert again.end() == 0, again.log()
        assert not is_locked(files.running)
        (check,) = asyncio.run(examine_vault(Settings(data_dir=str(up.data_dir))))
        assert check.verdict == "ok"
        assert "Bearer" not in up.log()
