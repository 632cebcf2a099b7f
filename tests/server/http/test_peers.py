"""Peers: who asks, whatever stands between it and the server, and who is counted as one."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
import msgspec
import pytest
import pytest_asyncio

from billfold import errors
from billfold_server.app import build_app
from billfold_server.http.limits import Buckets, ClientLimits
from billfold_server.settings import Secret, Settings
from tests.live import LiveServer

Asked = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]
PROXY, MONITOR = "10.1.2.3", "198.51.100.7"

one_loop = pytest.mark.asyncio(loop_scope="module")
"""The servers are shared, and each of them lives in one event loop."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def asked_from(live: LiveServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Asked]:
    """Return what opens a client at an address, of a server that trusts 10.0.0.0/8 and shows its metrics to one.

    Servers that are set alike are one: nothing that is asked here changes them.
    """
    defaults = {"trusted_proxies": ["10.0.0.0/8"], "metrics_networks": [f"{MONITOR}/32"]}
    sealed = {
        "keyring_file": str(tmp_path_factory.mktemp("peers") / "keyring.json"),
        "keyring_passphrase": Secret("nine tall ships sail at dawn"),
    }
    apps: dict[str, Any] = {}

    @asynccontextmanager
    async def client(address: str, **changes: object) -> AsyncIterator[httpx.AsyncClient]:
        production = sealed if changes.get("environment") == "production" else {}
        settings = msgspec.structs.replace(live.settings, **{**defaults, **production, **changes})
        if (alike := repr(sorted(changes.items()))) not in apps:
            apps[alike] = build_app(settings)
        transport = httpx.ASGITransport(apps[alike], client=(address, 4711))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as opened:
            yield opened

    yield client
    for app in apps.values():
        await app.state.services.engine.close()
        await app.state.services.keys.close()
        await app.state.services.database.close()


@one_loop
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


@one_loop
class TestAProxyThatEndsTls:
    @pytest.mark.parametrize(
        ("connected", "code"),
        [
            (PROXY, "invalid_token"),
            (f"::ffff:{PROXY}", "invalid_token"),
            ("127.0.0.1", "invalid_token"),
            ("::1", "invalid_token"),
            (MONITOR, "proxy_required"),
            ("192.168.1.7", "proxy_required"),
            ("2001:db8::7", "proxy_required"),
            ("somewhere", "proxy_required"),
        ],
    )
    async def test_is_not_walked_around_in_production(self, asked_from: Asked, connected: str, code: str) -> None:
        """In clear text it alone is served, and this machine; what is said to be forwarded changes nothing."""
        headers = {"X-Forwarded-For": PROXY}
        async with asked_from(connected, environment="production") as client:
            answer = await client.get("/t/beta/v1/tenant", headers=headers)
            assert answer.json()["code"] == code
            assert (answer.status_code == 403) == (code == "proxy_required")

    async def test_is_not_needed_for_health_or_in_development(self, asked_from: Asked) -> None:
        """Load balancers ask each machine by itself, and a developer has no proxy."""
        async with asked_from("192.168.1.7", environment="production") as client:
            assert (await client.get("/health/live")).status_code == 200
        async with asked_from("192.168.1.7") as client:
            assert (await client.get("/t/beta/v1/tenant")).status_code == 401

    async def test_is_not_needed_where_the_server_speaks_tls(self, asked_from: Asked) -> None:
        """Then nothing comes in clear text."""
        changes = {"environment": "production", "tls_certificate": "cert.pem", "tls_key": "key.pem"}
        async with asked_from("192.168.1.7", **changes) as client:
            assert (await client.get("/t/beta/v1/tenant")).status_code == 401


@one_loop
class TestABrowser:
    @pytest.mark.parametrize(("scheme", "told"), [("https", True), ("http", False)])
    async def test_is_told_to_come_by_tls_where_the_server_speaks_it(
        self, asked_from: Asked, scheme: str, *, told: bool
    ) -> None:
        """With a certificate of the deployment's, and over TLS alone (RFC 6797, section 7.2), also when refused."""
        changes = {"environment": "production", "tls_certificate": "cert.pem", "tls_key": "key.pem"}
        async with asked_from("192.168.1.7", **changes) as client:
            answer = await client.get(f"{scheme}://127.0.0.1/t/beta/v1/tenant")
            assert ("max-age=63072000" in answer.headers.get("strict-transport-security", "")) is told
        async with asked_from("192.168.1.7") as client:
            answer = await client.get(f"{scheme}://127.0.0.1/t/beta/v1/tenant")
            assert "strict-transport-security" not in answer.headers

    async def test_isnt_told_so_on_a_developers_machine(self, asked_from: Asked) -> None:
        """It would ask every other program on that host for TLS, for two years."""
        async with asked_from("127.0.0.1", tls_certificate="cert.pem", tls_key="key.pem") as client:
            answer = await client.get("https://localhost/t/beta/v1/tenant")
            assert answer.status_code == 401
            assert "strict-transport-security" not in answer.headers


@one_loop
class TestMetrics:
    @pytest.mark.parametrize(
        ("environment", "connected", "status"),
        [
            ("development", "127.0.0.1", 200),
            ("development", "192.168.1.7", 200),
            ("development", "203.0.113.9", 404),
            ("production", "127.0.0.1", 200),
            ("production", "::1", 200),
            ("production", PROXY, 404),
        ],
    )
    async def test_are_for_this_machine_alone_in_production(
        self, asked_from: Asked, environment: str, connected: str, status: int
    ) -> None:
        """Where nobody is named, neighbours on the network see them in development only."""
        async with asked_from(connected, environment=environment, metrics_networks=None) as client:
            assert (await client.get("/metrics")).status_code == status


@one_loop
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
