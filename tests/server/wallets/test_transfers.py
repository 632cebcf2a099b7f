"""Transfers over HTTP: idempotency, refusals and headers of what the ledger's engine answers."""

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from billfold import ids
from billfold.ids import Prefix
from tests.live import LiveServer
from tests.patient.sitecustomize import PATH


class Desk:
    """A client, and two wallets of which the first has money."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        party = self.post("/v1/parties", {"kind": "person", "name": "Ada"}).json()["id"]
        self.wallets = [self.post("/v1/wallets", {"party_id": party}).json()["id"] for _ in range(2)]
        self.post("/v1/top-ups", {"wallet_id": self.wallets[0], "amount": euros(1_000)}, ids.new(Prefix.EVENT))

    def post(self, path: str, body: dict[str, Any], key: str | None = None) -> httpx.Response:
        """Post JSON, under a key where one is given."""
        return self.client.post(path, json=body, headers={} if key is None else {"Idempotency-Key": key})

    def order(self, amount_minor: int, **changes: Any) -> dict[str, Any]:
        """Return a transfer from the first wallet to the second."""
        return {
            "from_wallet_id": self.wallets[0],
            "to_wallet_id": self.wallets[1],
            "amount": euros(amount_minor),
            **changes,
        }

    def transfer(self, amount_minor: int, key: str | None = None, **changes: Any) -> httpx.Response:
        """Order a transfer."""
        return self.post("/v1/transfers", self.order(amount_minor, **changes), key)

    def balance(self, wallet: int) -> int:
        """Return a wallet's posted balance."""
        balances = self.client.get(f"/v1/wallets/{self.wallets[wallet]}/balances").json()["data"]
        return int(balances[0]["posted_minor"]) if balances else 0


def euros(amount: int) -> dict[str, Any]:
    """Return an amount of euros."""
    return {"amount_minor": amount, "currency": "EUR"}


@pytest.fixture
def desk(live: LiveServer) -> Iterator[Desk]:
    """Two wallets of a client of its own, so that its keys are its own too."""
    with live.client("alpha") as client:
        yield Desk(client)


class TestATransfer:
    """A transfer."""

    def test_needs_a_key(self, desk: Desk) -> None:
        """Without the header it is 400 with the code that says so, and nothing moves."""
        answer = desk.transfer(10)
        assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_missing")
        assert (answer.json()["param"], desk.balance(0)) == ("Idempotency-Key", 1_000)

    def test_is_carried_out_once_per_key(self, desk: Desk) -> None:
        """The copy has the same status, bytes, place and type, and says that it is one."""
        first, second = desk.transfer(10, "k"), desk.transfer(10, "k")
        assert (first.status_code, second.status_code) == (201, 201)
        assert first.content == second.content
        for name in ("location", "content-type", "cache-control"):
            assert first.headers[name] == second.headers[name]
        assert first.headers["location"].endswith(f"/t/alpha/v1/transfers/{first.json()['id']}")
        assert "idempotent-replayed" not in first.headers
        assert second.headers["idempotent-replayed"] == "true"
        assert first.headers["x-request-id"] != second.headers["x-request-id"]
        assert desk.client.get(first.headers["location"]).json() == first.json()
        assert desk.balance(1) == 10

    def test_is_the_same_however_it_is_written(self, desk: Desk) -> None:
        """Spaces, the order of members and a default that is spelled out make no other request of it."""
        first = desk.transfer(10, "k")
        text = json.dumps(dict(reversed(desk.order(10, description=None, metadata={}).items())), indent=2)
        headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
        second = desk.client.post("/v1/transfers", content=text, headers=headers)
        assert (second.content, second.headers["idempotent-replayed"]) == (first.content, "true")
        assert desk.balance(1) == 10

    @pytest.mark.parametrize("change", [{"description": "x"}, {"amount": euros(11)}], ids=repr)
    def test_shares_its_key_with_no_other(self, desk: Desk, change: dict[str, Any]) -> None:
        """Another body under the same key is 422, and changes nothing."""
        assert desk.transfer(10, "k").status_code == 201
        answer = desk.transfer(10, "k", **change)
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
        assert desk.balance(1) == 10

    def test_shares_its_key_with_no_other_operation(self, desk: Desk) -> None:
        """The key of a transfer is taken for its own reversal, for top-ups, and for what the engine doesn't do."""
        made = desk.transfer(10, "k").json()
        answers = [
            desk.post(f"/v1/transfers/{made['id']}/reversals", {}, "k"),
            desk.post(f"/v1/journal-entries/{made['journal_entry_id']}/reversals", {}, "k"),
            desk.post("/v1/top-ups", {"wallet_id": desk.wallets[0], "amount": euros(1)}, "k"),
            desk.post("/v1/parties", {"kind": "person", "name": "Ada"}, "k"),
        ]
        assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [
            (422, "idempotency_key_reused")
        ] * 4

    def test_is_refused_the_same_way_again(self, desk: Desk) -> None:
        """A refusal that depends on state is kept to the byte, though there is money by now."""
        first = desk.transfer(1_001, "k")
        desk.post("/v1/top-ups", {"wallet_id": desk.wallets[0], "amount": euros(500)}, "more")
        second = desk.transfer(1_001, "k")
        assert (first.status_code, second.status_code, first.content == second.content) == (409, 409, True)
        assert first.json()["code"] == "insufficient_funds"
        assert first.json()["facts"]["available_minor"] == 1_000
        assert first.headers["content-type"] == second.headers["content-type"] == "application/problem+json"
        assert first.headers["cache-control"] == second.headers["cache-control"] == "no-store"
        assert second.headers["idempotent-replayed"] == "true"
        assert desk.balance(1) == 0

    @pytest.mark.parametrize(
        ("wrong", "status"),
        [
            ({"to_wallet_id": "wal_" + "0" * 26}, 404),
            ({"amount": {"amount_minor": 0, "currency": "EUR"}}, 400),
            ({"effective_at": "9999-12-31T23:59:59-12:00"}, 400),
            ({"effective_at": "0001-01-01T00:00:00+12:00"}, 400),
            ({"effective_at": "9999-12-31T23:59:59.999999Z"}, 400),
            ({"effective_at": "0001-01-01T00:00:00Z"}, 400),
        ],
    )
    def test_frees_its_key_where_it_was_wrong(self, desk: Desk, wrong: dict[str, Any], status: int) -> None:
        """After a request that is wrong in itself the key carries out the right one."""
        assert desk.transfer(10, "k", **wrong).status_code == status
        answer = desk.transfer(10, "k")
        assert (answer.status_code, "idempotent-replayed" in answer.headers) == (201, False)

    def test_is_counted_by_its_code_when_refused(self, live: LiveServer, desk: Desk) -> None:
        """Metrics know why a transfer was refused."""
        desk.transfer(1_001, "k")
        line = 'billfold_http_problems_total{code="insufficient_funds"}'
        assert any(each.startswith(line) for each in httpx.get(f"{live.url}/metrics").text.splitlines())


class TestInstantsOfAQuery:
    """Instants of a query."""

    @pytest.mark.parametrize(
        "instant",
        [
            "9999-12-31T23:59:59-12:00",
            "0001-01-01T00:00:00+12:00",
            "9999-12-31T23:59:59.999999Z",
            "0001-01-01T00:00:00Z",
        ],
    )
    @pytest.mark.parametrize("path", ["balances?effective_at=", "balances?recorded_at=", "statement?from="])
    def test_are_refused_outside_of_utcs_calendar(self, desk: Desk, path: str, instant: str) -> None:
        """What has no place in UTC is 400 with the parameter's name."""
        answer = desk.client.get(f"/v1/wallets/{desk.wallets[0]}/{path}{instant.replace('+', '%2B')}")
        assert answer.status_code == 400
        assert answer.json()["param"] == path.partition("?")[2].rstrip("=")


@pytest.fixture
def workers(live: LiveServer) -> Iterator[list[str]]:
    """The addresses of the server's process and of a second one on the same ledger."""
    assert live.settings.database_url is not None
    assert live.settings.key_store_url is not None
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.server.wallets.worker",
            live.settings.data_dir,
            live.settings.database_url.reveal(),
            live.settings.key_store_url.reveal(),
            live.url,
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([PATH, *filter(None, sys.path)])},
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield [live.url, process.stdout.readline().strip()]
    finally:
        process.stdin.close()
        process.wait(30)
        process.stdout.close()


class TestCopiesOfATransfer:
    """Copies of a transfer."""

    async def test_move_money_once_across_processes(self, desk: Desk, workers: list[str]) -> None:
        """Two hundred at once, over two processes: one is carried out, and all get its answer."""
        order = desk.order(10)
        headers = {"Idempotency-Key": "once", "Authorization": desk.client.headers["Authorization"]}

        async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=50)) as client:

            async def copy(number: int) -> httpx.Response:
                url = f"{workers[number % 2]}/t/alpha/v1/transfers"
                while True:
                    answer = await client.post(url, json=order, headers=headers)
                    if answer.status_code == 201:
                        return answer
                    assert (answer.status_code, answer.json()["code"]) in {(409, "request_in_flight"), (503, "busy")}
                    # As every client does; whoever asks again at once keeps the one that is carried out from its end.
                    await asyncio.sleep(0.05)

            answers = await asyncio.gather(*(copy(number) for number in range(200)))
        assert len({answer.content for answer in answers}) == 1
        assert Counter("idempotent-replayed" in answer.headers for answer in answers) == {False: 1, True: 199}
        assert (desk.balance(0), desk.balance(1)) == (990, 10)
