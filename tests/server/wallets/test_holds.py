"""Holds over HTTP, under a test clock that is moved."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from billfold import errors, ids
from billfold.ids import Prefix
from billfold_server.ledger.service import EXPIRE_HOLD
from tests.live import LiveServer
from tests.tenants import manifest


@pytest.fixture(scope="module")
def client(live: LiveServer) -> Iterator[httpx.Client]:
    """A client of a sandbox of this module's own, whose clock nobody else minds."""
    live.add_tenant(manifest("holdings"))
    with live.client("holdings") as opened:
        yield opened


def post(client: httpx.Client, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
    """Post JSON under a key of its own."""
    return client.post(path, json=body, headers={"Idempotency-Key": ids.new(Prefix.EVENT)})


def euros(amount: int) -> dict[str, Any]:
    """Return an amount of euros."""
    return {"amount_minor": amount, "currency": "EUR"}


class TestAHoldThatLasts:
    """A hold that lasts for a time."""

    def test_ends_when_the_tenants_clock_has_passed_it(self, client: httpx.Client) -> None:
        """Moving the test clock past its time gives the money back, and tells so by an event; not a moment sooner."""
        party = post(client, "/v1/parties", {"kind": "person", "name": "Ada"}).json()["id"]
        wallets = [post(client, "/v1/wallets", {"party_id": party}).json()["id"] for _ in range(2)]
        post(client, "/v1/top-ups", {"wallet_id": wallets[0], "amount": euros(100)})
        ends = datetime.fromisoformat(client.get("/v1/clock").json()["now"]) + timedelta(days=1)
        order = {
            "wallet_id": wallets[0],
            "to_wallet_id": wallets[1],
            "amount": euros(60),
            "expires_at": ends.isoformat(),
        }
        hold = post(client, "/v1/holds", order).json()
        seen = []
        for to in (ends - timedelta(microseconds=1), ends):
            assert post(client, "/v1/clock/advance", {"to": to.isoformat()}).status_code == 200
            balances = [client.get(f"/v1/wallets/{wallet}/balances").json()["data"][0] for wallet in wallets]
            status = client.get(f"/v1/holds/{hold['id']}").json()["status"]
            seen.append((status, balances[0]["available_minor"], balances[1]["pending_minor"]))
        assert seen == [("open", 40, 60), ("expired", 100, 0)]
        refused = post(client, f"/v1/holds/{hold['id']}/capture", {})
        assert (refused.status_code, refused.json()["code"]) == (409, "hold_not_open")
        assert refused.json()["facts"]["status_of_hold"] == "expired"

        def as_of(instant: datetime) -> int:
            query = {"effective_at": instant.isoformat()}
            return int(client.get(f"/v1/wallets/{wallets[0]}/balances", params=query).json()["data"][0]["held_minor"])

        assert [as_of(ends - timedelta(seconds=1)), as_of(ends)] == [60, 0]


class TestAHoldThatCannotBeEndedInTime:
    """A hold whose time is over while the ledger can't be had."""

    def test_gives_back_what_it_holds_once_the_ledger_is_there_again(
        self, live: LiveServer, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Hours without a ledger leave nothing reserved for good, which nobody could capture or release any more."""
        party = post(client, "/v1/parties", {"kind": "person", "name": "Ada"}).json()["id"]
        wallet = post(client, "/v1/wallets", {"party_id": party}).json()["id"]
        post(client, "/v1/top-ups", {"wallet_id": wallet, "amount": euros(100)})
        ends = datetime.fromisoformat(client.get("/v1/clock").json()["now"]) + timedelta(days=1)
        order = {"wallet_id": wallet, "amount": euros(60), "expires_at": ends.isoformat()}
        hold = post(client, "/v1/holds", order).json()

        def available(at: datetime) -> int:
            assert post(client, "/v1/clock/advance", {"to": at.isoformat()}).status_code == 200
            return int(client.get(f"/v1/wallets/{wallet}/balances").json()["data"][0]["available_minor"])

        engine = live.services.engine
        submit = engine.submit

        async def busy(tenant: Any, caller: Any, kind: Any, *rest: Any, **facts: Any) -> Any:
            if kind is EXPIRE_HOLD:
                raise errors.Busy(retry_after_s=1)
            return await submit(tenant, caller, kind, *rest, **facts)

        with monkeypatch.context() as patch:
            patch.setattr(engine, "submit", busy)
            assert available(ends + timedelta(hours=6)) == 40
        assert available(ends + timedelta(hours=8)) == 100
        assert client.get(f"/v1/holds/{hold['id']}").json()["status"] == "expired"
