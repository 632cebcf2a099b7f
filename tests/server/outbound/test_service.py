"""Requests to endpoints of strangers, by sockets and against those that mean harm."""

import asyncio
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509

from billfold_server.outbound.rules import Address
from billfold_server.outbound.service import Answer, Failure, Outbound, UrlRefused
from tests.pace import quickest
from tests.server.certificates import SERVER, Pair, authority, issue
from tests.server.outbound.endpoints import Endpoint, answering, sandbox, sending, silent

NAME = "hooks.partner.example"
HEAD = b"HTTP/1.1 202 Accepted\r\n"


def leading_to(*answers: Sequence[str]):
    """Return a resolver that gives one answer after the other, the last for good."""
    left = list(answers)

    def resolve(_: str, __: int) -> list[Address]:
        return [ip_address(text) for text in (left.pop(0) if len(left) > 1 else left[0])]

    return resolve


@pytest.fixture
def outbound() -> Iterator[Outbound]:
    """Return what sends."""
    made = Outbound()
    yield made
    made.close()


async def post(outbound: Outbound, url: str, *, tenant=None, timeout_s: float = 5.0) -> Answer | Failure:
    """Send a request."""
    return await outbound.post(
        tenant or sandbox(), url, headers={"Content-Type": "application/jwt"}, body=b"signed", timeout_s=timeout_s
    )


class TestARequest:
    async def test_brings_what_is_said_and_the_answer_back(self, outbound: Outbound):
        """Headers and body arrive, nothing is asked to be compressed, and status, headers and body come back."""
        async with Endpoint(answering("202 Accepted", "Retry-After: 7", body=b"ok")).listening() as endpoint:
            answer = await post(outbound, endpoint.url("/hooks?a=b"))
        assert isinstance(answer, Answer)
        assert (answer.status, answer.headers["retry-after"], answer.body, answer.whole) == (202, "7", b"ok", True)
        head = endpoint.heads[0].lower()
        assert head.startswith("post /hooks?a=b http/1.1\r\n")
        assert f"\r\nhost: 127.0.0.1:{endpoint.port}\r\n" in head
        assert "\r\naccept-encoding: identity\r\n" in head
        assert "\r\ncontent-type: application/jwt\r\n" in head
        assert endpoint.bodies == [b"signed"]

    async def test_takes_no_proxy_from_the_environment(self, outbound: Outbound, monkeypatch: pytest.MonkeyPatch):
        """What the machine is told about proxies is passed over."""
        async with (
            Endpoint(answering("502 Bad Gateway")).listening() as proxy,
            Endpoint(answering("202 Accepted")).listening() as endpoint,
        ):
            for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
                monkeypatch.setenv(name, proxy.url(""))
            answer = await post(outbound, endpoint.url())
        assert isinstance(answer, Answer)
        assert (answer.status, proxy.heads) == (202, [])

    async def test_doesnt_follow_a_redirect(self, outbound: Outbound):
        """Where an answer sends us isn't asked, however private or public it is."""
        async with Endpoint(answering("200 OK")).listening() as secret:
            redirect = answering("307 Temporary Redirect", f"Location: {secret.url('/admin')}")
            async with Endpoint(redirect).listening() as endpoint:
                answer = await post(outbound, endpoint.url())
        assert isinstance(answer, Answer)
        assert (answer.status, secret.heads) == (307, [])

    @pytest.mark.parametrize(
        ("answers", "reason"),
        [
            ([["10.0.0.1"]], "address"),
            ([["1.1.1.1", "169.254.169.254"]], "address"),
            ([["fe80::1%eth0"]], "address"),
            ([["::ffff:127.0.0.1"]], "address"),
            ([[]], "address"),
        ],
    )
    async def test_isnt_sent_where_a_name_leads_inside(self, answers: Sequence[Sequence[str]], reason: str):
        """A name is judged by what it leads to when it is called."""
        outbound = Outbound(resolve=leading_to(*answers))
        found = await post(outbound, f"https://{NAME}/")
        assert isinstance(found, Failure)
        assert (found.cause, found.reason) == ("refused", reason)
        outbound.close()

    async def test_goes_to_nobody_whom_the_policy_leaves_out(self, outbound: Outbound):
        """A tenant without loopback, one in production, and one that names other hosts call nobody here."""
        async with Endpoint(answering("202 Accepted")).listening() as endpoint:
            strict = await post(outbound, endpoint.url(), tenant=sandbox(loopback=False))
            named = await post(outbound, endpoint.url(), tenant=sandbox(hosts=["tpp.example"]))
            production = Outbound(production=True)
            real = await post(production, endpoint.url())
            production.close()
        assert [each.reason for each in (strict, named, real) if isinstance(each, Failure)] == [
            "address",
            "policy",
            "address",
        ]
        assert endpoint.heads == []

    def test_can_be_refused_when_its_address_is_registered(self, outbound: Outbound):
        """What could never be called is said at once."""
        with pytest.raises(UrlRefused):
            outbound.check(sandbox(), "https://user:secret@tpp.example/")
        outbound.check(sandbox(), "https://tpp.example/")


class Bank:
    """An authority, and endpoints with certificates of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.authority = authority()
        ca_file = folder / "ca.pem"
        ca_file.write_bytes(self.authority.pem())
        self.trust = ssl.create_default_context(cafile=str(ca_file))

    def side(self, pair: Pair | None = None, **options: object) -> ssl.SSLContext:
        """Return an endpoint's side of TLS."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate = pair or issue(
            NAME,
            self.authority,
            purposes=(SERVER,),
            **{"names": [x509.DNSName(NAME)], **options},  # type: ignore[arg-type]
        )
        context.load_cert_chain(*certificate.write(self._folder, f"s{time.monotonic_ns()}"))
        return context


class TestTls:
    async def test_says_the_name_and_connects_to_the_number_that_was_judged(self, tmp_path: Path):
        """A name that leads elsewhere a moment later changes nothing: SNI, certificate and Host are the name's."""
        bank = Bank(tmp_path)
        seen: list[str] = []
        side = bank.side()
        side.sni_callback = lambda _, name, __: seen.append(name)
        # A second lookup would lead inside.
        outbound = Outbound(trust=bank.trust, resolve=leading_to(["127.0.0.1"], ["10.0.0.1"]))
        async with Endpoint(answering("202 Accepted"), side).listening() as endpoint:
            answer = await post(outbound, endpoint.url(host=NAME))
        assert isinstance(answer, Answer)
        assert seen == [NAME]
        assert f"\r\nhost: {NAME}:{endpoint.port}\r\n" in endpoint.heads[0].lower()
        outbound.close()

    @pytest.mark.parametrize("fault", ["strangers", "other name", "expired", "no TLS"])
    async def test_that_fails_is_the_end(self, tmp_path: Path, fault: str):
        """A certificate that doesn't prove the name, or none, is a failure; nothing is sent."""
        bank = Bank(tmp_path)
        past = datetime.now(UTC) - timedelta(days=2)
        sides: dict[str, Callable[[], ssl.SSLContext | None]] = {
            "strangers": lambda: bank.side(issue(NAME, purposes=(SERVER,), names=[x509.DNSName(NAME)])),
            "other name": lambda: bank.side(names=[x509.DNSName("other.example")]),
            "expired": lambda: bank.side(begins=past, ends=past + timedelta(days=1)),
            "no TLS": lambda: None,
        }
        outbound = Outbound(trust=bank.trust, resolve=leading_to(["127.0.0.1"]))
        async with Endpoint(sending(b"SSH-2.0-x\r\n"), sides[fault]()).listening() as endpoint:
            # Only one of them is waited for in vain; on a busy machine the others take their time, too.
            timeout_s = 0.5 if fault == "no TLS" else 30
            answer = await post(outbound, f"https://{NAME}:{endpoint.port}/", timeout_s=timeout_s)
        assert isinstance(answer, Failure)
        # An endpoint that doesn't know of TLS waits for the end of a request that never begins.
        assert answer.cause == ("timeout" if fault == "no TLS" else "tls")
        assert endpoint.bodies == []
        outbound.close()


class TestAHostileEndpoint:
    async def test_that_says_nothing_costs_a_bounded_time(self, outbound: Outbound):
        """The whole has a time-out."""

        async def ask() -> None:
            answer = await post(outbound, endpoint.url(), timeout_s=0.3)
            assert isinstance(answer, Failure)
            assert answer.cause == "timeout"

        async with Endpoint(silent).listening() as endpoint:
            assert await quickest(ask, below_s=1) < 1

    async def test_that_drips_its_head_costs_a_bounded_time(self, outbound: Outbound):
        """Each byte that arrives doesn't begin the time anew."""
        drip = sending(HEAD, *[b"X-A: %d\r\n" % number for number in range(1_000)], pause_s=0.02)

        async def ask() -> None:
            answer = await post(outbound, endpoint.url(), timeout_s=0.5)
            assert isinstance(answer, Failure)
            assert answer.cause == "timeout"

        async with Endpoint(drip).listening() as endpoint:
            assert await quickest(ask, below_s=1) < 1

    async def test_that_drips_its_body_has_answered(self, outbound: Outbound, monkeypatch: pytest.MonkeyPatch):
        """The status counts; the rest is read for a moment and no longer."""
        monkeypatch.setattr("billfold_server.outbound.service._BODY_S", 0.3)
        drip = sending(HEAD + b"Content-Length: 1000\r\n\r\n", *[b"x"] * 1_000, pause_s=0.02)

        async def ask() -> None:
            answer = await post(outbound, endpoint.url())
            assert isinstance(answer, Answer)
            assert (answer.status, answer.whole) == (202, False)

        async with Endpoint(drip).listening() as endpoint:
            assert await quickest(ask, below_s=1) < 1

    @pytest.mark.parametrize(
        "flood",
        [b"HTTP/1.1 100 \r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"],
        ids=["continue", "hints"],
    )
    async def test_that_never_comes_to_its_answer_is_left(self, outbound: Outbound, flood: bytes):
        """Taking apart what comes before an answer costs a moment, in which others have their turns."""
        behaviour = sending(*[flood * 1000] * 1000)

        async def ask() -> None:
            answer = await post(outbound, endpoint.url())
            assert isinstance(answer, Failure)
            assert answer.cause == "protocol"

        async with Endpoint(behaviour).listening() as endpoint:
            assert await quickest(ask, below_s=2) < 2

    async def test_that_sends_a_gigabyte_is_left(self, outbound: Outbound):
        """A few kilobytes are kept, and little more than what sockets hold is taken."""
        sent = 0

        async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal sent
            writer.write(HEAD + b"\r\n")
            for _each in range(16_384):
                writer.write(b"\0" * 65_536)
                await writer.drain()
                sent += 65_536

        async with Endpoint(flood).listening() as endpoint:
            answer = await post(outbound, endpoint.url())
        assert isinstance(answer, Answer)
        assert (answer.status, len(answer.body), answer.whole) == (202, 16 * 1024, False)
        assert sent < 32 * 1024 * 1024

    @pytest.mark.parametrize(
        ("said", "cause"),
        [
            (b"", "protocol"),
            (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "protocol"),
            (HEAD + b"X: " + b"a" * 200_000, "protocol"),
            (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", "protocol"),
        ],
    )
    async def test_that_doesnt_speak_http_fails(self, outbound: Outbound, said: bytes, cause: str):
        """What isn't an answer is a failure."""
        async with Endpoint(sending(said)).listening() as endpoint:
            answer = await post(outbound, endpoint.url())
        assert isinstance(answer, Failure)
        assert answer.cause == cause

    async def test_that_isnt_there_fails(self, outbound: Outbound):
        """A refused connection is a failure."""
        async with Endpoint(silent).listening() as endpoint:
            url = endpoint.url()
        answer = await post(outbound, url)
        assert isinstance(answer, Failure)
        assert answer.cause == "unconnected"

    async def test_has_few_connections(self, outbound: Outbound):
        """However much there is to say to it, four requests are on their way at once."""
        full = asyncio.Event()

        async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await full.wait()
            await answering("202 Accepted")(reader, writer)

        async with Endpoint(behave).listening() as endpoint:
            requests = [asyncio.create_task(post(outbound, endpoint.url())) for _ in range(12)]
            while len(endpoint.heads) < 4:
                await asyncio.sleep(0.001)
            # Time for a fifth one.
            await asyncio.sleep(0.2)
            assert endpoint.open == 4
            full.set()
            await asyncio.gather(*requests)
        assert (endpoint.most, len(endpoint.heads)) == (4, 12)

    async def test_of_one_tenant_doesnt_delay_anothers(self, outbound: Outbound):
        """While one tenant's endpoint is silent under forty requests, another's answers at once."""
        async with (
            Endpoint(silent).listening() as slow,
            Endpoint(answering("202 Accepted")).listening() as quick,
        ):
            stuck = [asyncio.create_task(post(outbound, slow.url(), timeout_s=30)) for _ in range(40)]
            while slow.open < 4:
                await asyncio.sleep(0.001)
            answer = await post(outbound, quick.url(), tenant=sandbox("other", number=2))
            assert not any(each.done() for each in stuck)
            for each in stuck:
                each.cancel()
            await asyncio.gather(*stuck, return_exceptions=True)
        assert isinstance(answer, Answer)

    async def test_whose_name_isnt_answered_delays_nobody(self):
        """Lookups that hang have threads of their own: one for each name, however much is to be sent there."""
        released = asyncio.Event()
        loop = asyncio.get_running_loop()

        def hang(host: str, _: int) -> list[Address]:
            if host == "hangs.example":
                asyncio.run_coroutine_threadsafe(released.wait(), loop).result(20)
            raise OSError

        outbound = Outbound(resolve=hang)
        hanging = [asyncio.create_task(post(outbound, "https://hangs.example/", timeout_s=0.3)) for _ in range(8)]
        await asyncio.sleep(0)
        for tenant in (sandbox(), sandbox("other", number=2)):
            other = await post(outbound, "https://tpp.example/", tenant=tenant)
            # While the others hang, for longer than it would be waited for.
            assert isinstance(other, Failure)
            assert other.cause == "unresolved"
        found = await asyncio.gather(*hanging)
        assert {each.cause for each in found if isinstance(each, Failure)} == {"timeout"}
        released.set()
        outbound.close()
