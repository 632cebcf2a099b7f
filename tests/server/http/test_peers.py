"""Peers: who asks, whatever stands between it and the server, and who is counted as one."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
import msgspec
import pytest

from billfold import errors
from billfold_server.app import build_app
from billfold_server.http.limits import Buckets, ClientLimits
from billfold_server.settings import Settings
from tests.live import LiveServer

Asked = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]
PROXY, MONITOR = "10.1.2.3", "198.51.100.7"


@pytest.fixture
def asked_from(live: LiveServer) -> Asked:
    """Return what opens a client at an address, of a server that trusts 10.0.0.0/8 and shows its metrics to one."""

    @asynccontextmanager
    async def client(address: str, **changes: object) -> AsyncIterator[httpx.AsyncClient]:
        settings = msgspec.structs.replace(
            live.settings, trusted_proxies=["10.0.0.0/8"], metrics_networks=[f"{MONITOR}/32"], **changes
        )
        app: Any = build_app(settings)
        transport = httpx.ASGITransport(app, client=(address, 4711))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as opened:
            yield opened
        await app.state.services.engine.close()
        await app.state.services.database.close()

    return client


class TestAPeer:
    @pytest.mark.parametrize(
        ("connected", "forwarded_for", "status"),
        [
            (MONITOR, [], 200),
            (f"::ffff:{MONITOR}", [], 200),
            (PROXY, [MONITOR], 200),
            (f"::ffff:{PROXY}", [MONITOR], 200),
            (PROXY, [f"{MONITOR}:50123"], 200),
            (PROXY, [f"203.0.113.9, {MONITOR}, 10.0.0.1"], 200),
            (PROXY, ["203.0.113.9", MONITOR, "10.0.0.1"], 200),
            (PROXY, [f"{MONITOR}, 203.0.113.9"], 404),
            (PROXY, [f"{MONITOR}, unknown"], 404),
            (PROXY, [MONITOR, "203.0.113.9"], 404),
            (PROXY, [], 404),
            ("203.0.113.9", [MONITOR], 404),
            ("203.0.113.9", [f"{MONITOR}, 10.0.0.1"], 404),
            ("::ffff:203.0.113.9", [MONITOR], 404),
        ],
    )
    async def test_is_the_last_address_before_the_trusted_proxies(
        self, asked_from: Asked, connected: str, forwarded_for: list[str], status: int
    ) -> None:
        """However it is written and in however many headers; what a stranger has put before it doesn't count."""
        async with asked_from(connected) as client:
            answer = await client.get("/metrics", headers=[("X-Forwarded-For", each) for each in forwarded_for])
        assert answer.status_code == status

    async def test_is_not_what_a_trusted_proxy_says_of_hosts(self, asked_from: Asked) -> None:
        """Forwarded hosts, and rewritten addresses, name no tenant."""
        lies = {"X-Forwarded-Host": "wallet.beta.example", "X-Original-URL": "/t/beta/v1/tenant"}
        async with asked_from(PROXY) as client:
            lies |= {"Forwarded": "host=wallet.beta.example", "X-Rewrite-URL": "/t/beta/v1/tenant"}
            answer = await client.get("/v1/tenant", headers=lies)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
            answer = await client.get("/v1/tenant", headers={"Host": "wallet.beta.example"})
            assert answer.status_code == 401


class TestTheDeploymentsOwnHost:
    async def test_belongs_to_no_tenant(self, asked_from: Asked) -> None:
        """A manifest that claims it doesn't lock the operators out."""
        headers = {"Host": "wallet.beta.example"}
        async with asked_from(MONITOR, public_url="https://wallet.beta.example") as client:
            assert (await client.get("/metrics", headers=headers)).status_code == 200
            assert (await client.get("/platform/.well-known/jwks.json", headers=headers)).status_code == 200
            answer = await client.get("/v1/tenant", headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


class TestFailedTokenRequests:
    @pytest.mark.parametrize(
        ("one", "other", "stranger"),
        [
            ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:db8:1:3::1"),
            ("", "", "192.0.2.1"),
        ],
    )
    def test_are_counted_by_who_may_have_the_address(self, one: str, other: str, stranger: str) -> None:
        """An IPv4 address is one asker, and so is a /64 of IPv6, or guessing would go on from the next address."""
        buckets = Buckets(None, b"key")
        limits = ClientLimits(buckets, Settings(token_rate_limit_per_min=3))
        for _ in range(3):
            limits.count_failure(one)
        with pytest.raises(errors.RateLimited):
            limits.check_address(other)
        limits.check_address(stranger)
        buckets.close()
