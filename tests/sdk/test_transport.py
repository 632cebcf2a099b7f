"""The transports that come with Billfold, against a server on the loopback that misbehaves."""

import asyncio
import gzip
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from billfold import AsyncBillfold, AsyncHttpxTransport, Billfold, HttpxTransport, Request, Timeouts, errors
from tests.pace import quickest_call
from tests.sdk.misbehaving import (
    Behaviour,
    Server,
    babbles,
    drips,
    drops,
    floods,
    is_silent,
    misbehaving,
    says,
    truncates,
)

TENANT = (Path(__file__).parent / "wire" / "0.1" / "TenantInfo.json").read_bytes()
PROBLEM = (Path(__file__).parent / "wire" / "0.1" / "Problem.json").read_bytes()
FINE = says(200, TENANT)
AWAY = PROBLEM.replace(b"insufficient_funds", b"overloaded").replace(b"409", b"503")


def sync_client(server: Server, **options: Any) -> Billfold:
    """Return a synchronous client of a server."""
    return Billfold(base_url=server.base_url, client_id="cli_1", client_secret="s-e-c-r-e-t", **options)


def async_client(server: Server, **options: Any) -> AsyncBillfold:
    """Return an asynchronous client of a server."""
    return AsyncBillfold(base_url=server.base_url, client_id="cli_1", client_secret="s-e-c-r-e-t", **options)


def get_tenant(mode: str, server: Server, **options: Any) -> Any:
    """Ask for the tenant in either mode, with a client of its own."""
    if mode == "sync":
        with sync_client(server, **options) as billfold:
            return billfold.tenant.get()

    async def ask() -> Any:
        async with async_client(server, **options) as billfold:
            return await billfold.tenant.get()

    return asyncio.run(ask())


def second_of(mode: str, server: Server, timeouts: Timeouts) -> errors.BillfoldError:
    """Ask twice, the second time with less patience, and return what that fails by: a token is there by then."""
    if mode == "sync":
        with sync_client(server, max_retries=0) as billfold:
            billfold.tenant.get()
            with pytest.raises(errors.BillfoldError) as caught:
                billfold.with_options(timeout_s=timeouts).tenant.get()
            return caught.value

    async def ask() -> errors.BillfoldError:
        async with async_client(server, max_retries=0) as billfold:
            await billfold.tenant.get()
            with pytest.raises(errors.BillfoldError) as caught:
                await billfold.with_options(timeout_s=timeouts).tenant.get()
            return caught.value

    return asyncio.run(ask())


both_modes = pytest.mark.parametrize("mode", ["sync", "async"])


@both_modes
class TestAClient:
    def test_gets_its_answer(self, mode: str):
        """Token, request and answer go over a real connection, and over one only."""
        with misbehaving(FINE) as server:
            assert get_tenant(mode, server).slug == "sandbox"
            assert server.requests == ["GET /t/sandbox/v1/tenant HTTP/1.1"]
            assert (server.connections, server.tokens) == (1, 1)
            assert server.headers[0]["authorization"] == "Bearer at-1"
            assert server.headers[0]["user-agent"].startswith("billfold-python/")

    def test_reads_compressed_answers(self, mode: str):
        """A proxy may compress what the server says."""
        with misbehaving(says(200, gzip.compress(TENANT), content_encoding="gzip")) as server:
            assert get_tenant(mode, server).slug == "sandbox"

    @pytest.mark.parametrize("trouble", [drops, truncates, babbles], ids=lambda each: each.__name__)
    def test_recovers_from_a_broken_answer(self, mode: str, trouble: Behaviour):
        """A connection that breaks is replaced, and the question asked again."""
        with misbehaving(trouble, FINE) as server:
            assert get_tenant(mode, server).slug == "sandbox"
            assert len(server.requests) == 2

    def test_recovers_from_a_storm_of_refusals(self, mode: str):
        """Two answers of 503 and one of 429 pass."""
        trouble = [says(503, AWAY), says(503, b"<html>"), says(429, PROBLEM, retry_after="0")]
        with misbehaving(*trouble, FINE) as server:
            assert get_tenant(mode, server).slug == "sandbox"
            assert len(server.requests) == 4

    def test_waits_as_long_as_the_server_asks(self, mode: str):
        """A Retry-After of a second is a second's wait."""
        with misbehaving(says(429, PROBLEM, retry_after="1"), FINE) as server:
            began = time.monotonic()
            assert get_tenant(mode, server).slug == "sandbox"
            assert time.monotonic() - began >= 1

    def test_gives_up_on_a_server_that_is_silent(self, mode: str):
        """Without a word within the time for reading, the call is in doubt."""
        with misbehaving(FINE, is_silent) as server:
            caught = second_of(mode, server, Timeouts(read_s=0.1, total_s=60))
            assert isinstance(caught, errors.TimedOut)
            assert caught.sent

    @pytest.mark.parametrize("trouble", [is_silent, drips], ids=lambda each: each.__name__)
    def test_keeps_to_its_total_time(self, mode: str, trouble: Behaviour):
        """Neither silence nor an answer that drips makes a call last longer than it may, retries included."""
        with misbehaving(trouble) as server:

            def ask() -> None:
                with pytest.raises(errors.TimedOut):
                    get_tenant(mode, server, timeout_s=0.4, max_retries=5)

            assert quickest_call(ask, below_s=5) < 5

    def test_takes_no_more_than_it_can_hold(self, mode: str):
        """An answer without end is cut off."""
        with misbehaving(floods) as server, pytest.raises(errors.MalformedAnswer):
            get_tenant(mode, server)

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"slug":1}', b"\xff\xfe", b"<html>Welcome</html>"])
    def test_refuses_an_answer_that_it_does_not_understand(self, mode: str, body: bytes):
        """A success that isn't in the contract's words is an error, and isn't asked for again."""
        with misbehaving(says(200, body)) as server:
            with pytest.raises(errors.MalformedAnswer):
                get_tenant(mode, server)
            assert len(server.requests) == 1

    def test_refuses_a_broken_compression(self, mode: str):
        """Garbage that is called gzip is an error of ours."""
        with (
            misbehaving(says(200, b"garbage", content_encoding="gzip")) as server,
            pytest.raises(errors.MalformedAnswer),
        ):
            get_tenant(mode, server)

    def test_follows_no_redirect(self, mode: str):
        """A redirect would carry the access token elsewhere."""
        with misbehaving(says(302, b"", location="http://127.0.0.1:1/")) as server:
            with pytest.raises(errors.MalformedAnswer):
                get_tenant(mode, server)
            assert len(server.requests) == 1

    def test_knows_when_nothing_was_sent(self, mode: str):
        """A port where nobody listens means that no request has arrived."""
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            base_url = f"http://127.0.0.1:{unused.getsockname()[1]}/t/sandbox"
            with pytest.raises(errors.ConnectionFailed) as caught:
                get_tenant(mode, Server(base_url=base_url), max_retries=0)
        assert not caught.value.sent

    def test_shows_what_the_server_refuses(self, mode: str):
        """A problem becomes its error, with what the server said."""
        with misbehaving(says(409, PROBLEM)) as server:
            with pytest.raises(errors.InsufficientFunds) as caught:
                get_tenant(mode, server)
            assert (caught.value.status, caught.value.available_minor) == (409, 1000)


class TestADeadServer:
    def test_meets_no_storm(self):
        """A hundred calls to a server that always says 503 make a hundred requests, and twenty repetitions at most."""
        with misbehaving(says(503, AWAY, retry_after="0")) as server, sync_client(server) as billfold:
            for _ in range(100):
                with pytest.raises(errors.Overloaded):
                    billfold.tenant.get()
            assert 100 <= len(server.requests) <= 120

    def test_of_tokens_meets_one_request_for_all_who_wait(self):
        """A hundred tasks that need a token share the one request, and its failure."""

        async def ask(server: Server) -> list[Any]:
            async with async_client(server, max_retries=0) as billfold:
                return await asyncio.gather(*(billfold.tenant.get() for _ in range(100)), return_exceptions=True)

        with misbehaving(FINE) as server:
            server.token_behaviours += [says(503, AWAY)]
            results = asyncio.run(ask(server))
            assert {type(each) for each in results} == {errors.Overloaded}
            assert (server.tokens, len(server.requests)) == (1, 0)

    def test_of_tokens_holds_no_call_up_for_longer_than_it_may_take(self):
        """One call waits for a token with more patience than another, which ends in its own time and unsent."""
        with misbehaving(FINE) as server, sync_client(server, max_retries=0) as billfold:

            def wait() -> None:
                with pytest.raises(errors.ConnectionFailed):
                    billfold.tenant.get()

            server.token_behaviours += [is_silent]
            patient = threading.Thread(target=wait)
            patient.start()
            while not server.tokens:
                time.sleep(0.01)

            def ask() -> None:
                with pytest.raises(errors.TimedOut) as caught:
                    billfold.with_options(timeout_s=0.1).tenant.get()
                assert not caught.value.sent

            assert quickest_call(ask, below_s=5) < 5
        patient.join()

    async def test_of_tokens_holds_no_task_up_for_longer_than_it_may_take(self):
        """The same among tasks; whoever has the patience gets the token that comes in the end."""
        release = asyncio.Event()

        async def hesitates(writer: asyncio.StreamWriter) -> None:
            while not release.is_set():
                await asyncio.sleep(0.01)
            await says(200, b'{"access_token":"late","token_type":"Bearer","expires_in":600}')(writer)

        with misbehaving(FINE) as server:
            async with async_client(server, max_retries=0) as billfold:
                server.token_behaviours += [hesitates]
                patient = asyncio.create_task(billfold.tenant.get())
                while not server.tokens:
                    await asyncio.sleep(0.01)
                with pytest.raises(errors.TimedOut):
                    await billfold.with_options(timeout_s=0.1).tenant.get()
                release.set()
                assert (await patient).slug == "sandbox"
                assert server.tokens == 1


class TestAPool:
    def test_is_made_for_each_event_loop(self):
        """One client serves several loops, whose connections belong to each alone, and are kept while it is there."""
        with misbehaving(FINE) as server, asyncio.Runner() as first, asyncio.Runner() as second:
            transport = AsyncHttpxTransport()
            billfold = async_client(server, transport=transport)
            for each in (first, second, first, second):
                assert each.run(billfold.tenant.get()).slug == "sandbox"
            assert (server.connections, server.tokens) == (2, 1)
            first.run(billfold.aclose())
            assert second.run(billfold.tenant.get()).slug == "sandbox"
            assert server.connections == 2
            second.run(billfold.aclose())

    def test_opens_again_after_it_was_closed(self):
        """A closed client that is used again makes a new connection."""
        with misbehaving(FINE) as server:
            billfold = sync_client(server)
            for _ in range(2):
                billfold.tenant.get()
                billfold.close()
            assert server.connections == 2

    def test_keeps_its_connections(self):
        """Calls one after the other use the same connection."""
        with misbehaving(FINE) as server, sync_client(server) as billfold:
            for _ in range(10):
                billfold.tenant.get()
            assert server.connections == 1

    @pytest.mark.parametrize("scheme", ["http://", ""])
    def test_heeds_the_proxy_of_the_environment(self, monkeypatch: pytest.MonkeyPatch, scheme: str):
        """HTTP_PROXY is used, with a scheme or with host and port alone, and NO_PROXY heeded."""
        with misbehaving(FINE) as proxy:
            address = proxy.base_url.removeprefix("http://").removesuffix("/t/sandbox")
            monkeypatch.setenv("HTTP_PROXY", f"{scheme}{address}")
            monkeypatch.setenv("NO_PROXY", "other.invalid")
            request = Request(
                "GET", "http://wallet.invalid/v1/tenant", headers={}, body=None, connect_s=60, read_s=60, total_s=60
            )
            transport = HttpxTransport()
            assert transport.send(request).status == 200
            transport.close()
            assert proxy.requests == ["GET http://wallet.invalid/v1/tenant HTTP/1.1"]
            with misbehaving(FINE) as server, sync_client(server) as billfold:
                billfold.tenant.get()
            assert len(proxy.requests) == 1
            assert HttpxTransport()._options("http://other.invalid/v1/tenant")["proxy"] is None

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
    def test_asks_no_proxy_of_the_environment_for_this_machine(self, monkeypatch: pytest.MonkeyPatch, host: str):
        """A company's proxy can't reach a server that was started here to try things."""
        monkeypatch.setenv("HTTP_PROXY", "http://proxy.invalid:3128")
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert HttpxTransport()._options(f"http://{host}:8000/v1/tenant")["proxy"] is None
        assert HttpxTransport()._options("http://wallet.invalid/v1/tenant")["proxy"] == "http://proxy.invalid:3128"
        named = HttpxTransport(proxy="http://127.0.0.1:3128")
        assert named._options(f"http://{host}:8000/v1/tenant")["proxy"] == "http://127.0.0.1:3128"

    def test_tells_no_password_of_a_proxy_that_it_cannot_use(self):
        """An address of another scheme is refused in our own words, without the address."""
        with misbehaving(FINE) as server:
            transport = HttpxTransport(proxy="ftp://ada:s-e-c-r-e-t@proxy.invalid:21")
            with (
                pytest.raises(ValueError, match="begins with http://") as refused,
                sync_client(server, transport=transport) as billfold,
            ):
                billfold.tenant.get()
            assert "s-e-c-r-e-t" not in str(refused.value)

    def test_is_not_shared_with_a_forked_child(self):
        """A child makes connections of its own, and both go on, even when another thread held the locks."""
        script = Path(__file__).parent / "forking.py"
        with misbehaving(FINE) as server:
            command = [sys.executable, str(script), server.base_url]
            run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            assert (run.returncode, run.stderr) == (0, "")
            assert run.stdout.split() == ["sandbox"] * 3
            assert server.connections == 2


class TestTheAsgiTransport:
    async def test_calls_an_application_without_a_network(self):
        """The same client talks to an ASGI application in its own process."""
        seen: list[str] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            seen.append(scope["path"])
            token = scope["path"].endswith("/oauth/token")
            body = b'{"access_token":"a","token_type":"Bearer","expires_in":60,"scope":"x"}' if token else TENANT
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": body})

        transport = AsyncHttpxTransport(app=app)
        async with AsyncBillfold(
            base_url="http://127.0.0.1/t/sandbox", client_id="i", client_secret="s", transport=transport
        ) as billfold:
            assert (await billfold.tenant.get()).slug == "sandbox"
        assert seen == ["/t/sandbox/oauth/token", "/t/sandbox/v1/tenant"]

    def test_keeps_nothing_of_event_loops_that_are_over(self):
        """A program may run a loop for each call."""

        async def app(_scope: Any, _receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        transport = AsyncHttpxTransport(app=app)
        for _ in range(3):
            request = Request("GET", "http://h/", headers={}, body=None, connect_s=60, read_s=60, total_s=60)
            assert asyncio.run(transport.send(request)).status == 200
        assert len(transport._pools) == 1
        asyncio.run(transport.aclose())
        assert transport._pools == {}

    async def test_ends_an_application_that_hangs(self):
        """The total time holds in process too."""

        async def app(_scope: Any, _receive: Any, _send: Any) -> None:
            await asyncio.Event().wait()

        request = Request("GET", "http://h/", headers={}, body=None, connect_s=1, read_s=1, total_s=0.1)
        with pytest.raises(errors.TimedOut):
            await AsyncHttpxTransport(app=app).send(request)
