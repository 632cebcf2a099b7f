"""Traces: what callers say of them, and what is said to those whom we ask."""

import asyncio
import contextvars
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from billfold_server.http.context import RequestContext, read_headers, trace_headers
from billfold_server.http.inside import Inside, Origin
from billfold_server.http.logs import note_request
from billfold_server.http.receiving import Receiving
from billfold_server.http.tracing import read_trace
from billfold_server.keys.backends.vault.backend import open_vault
from billfold_server.outbound.service import Answer, Outbound
from billfold_server.settings import Settings
from tests.server.keys.vault.kit import SEALING_KEY, until
from tests.server.keys.vault.kit import answering as vault_answering
from tests.server.outbound.endpoints import Endpoint, answering, sandbox

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACED = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"}


def request(headers: Mapping[str, str] = TRACED) -> RequestContext:
    """Return a request with these headers."""

    async def receive() -> Any:
        """Receive nothing."""

    receiving = Receiving(receive, None, has_body=False)
    return RequestContext(request_id="req_1", path="/", receiving=receiving, headers=headers)


def state(text: str) -> str:
    """Return what is handed on of a ``tracestate``."""
    return read_trace({**TRACED, "tracestate": text}).state


class TestATrace:
    def test_is_the_one_that_the_caller_names(self):
        """Our part of it has an id of its own, which those are told whom the request makes us ask."""
        trace = read_trace(TRACED)
        assert (trace.trace_id, trace.flags, trace.state) == (TRACE, 1, TRACED["tracestate"])
        assert trace.span_id not in {PARENT, read_trace(TRACED).span_id}
        assert trace.headers == {**TRACED, "traceparent": f"00-{TRACE}-{trace.span_id}-01"}

    @pytest.mark.parametrize(
        ("flags", "expected"), [("00", "00"), ("01", "01"), ("02", "02"), ("03", "03"), ("ff", "03"), ("0c", "00")]
    )
    def test_keeps_the_flags_that_there_are(self, flags: str, expected: str):
        """Whether it is recorded and whether its id is random; what may have a meaning one day isn't handed on."""
        headers = read_trace({"traceparent": f"00-{TRACE}-{PARENT}-{flags}"}).headers
        assert headers["traceparent"].endswith(f"-{expected}")

    @pytest.mark.parametrize("more", ["", "-", "-what-the-future-will-be-like"])
    def test_is_read_of_later_versions_as_well(self, more: str):
        """And is handed on as of the version that is known here (section 3.2.4)."""
        headers = read_trace({"traceparent": f"cc-{TRACE}-{PARENT}-01{more}"}).headers
        assert headers["traceparent"].startswith(f"00-{TRACE}-")

    @pytest.mark.parametrize(
        "bad",
        [
            "",
            "1",
            f"00-{TRACE}-{PARENT}",
            f"00-{TRACE}-{PARENT}-1",
            f"00-{TRACE}-{PARENT}-01-",
            f"00-{TRACE}-{PARENT}-01-more",
            f"00-{TRACE}-{PARENT}-01.",
            f"cc-{TRACE}-{PARENT}-01.more",
            f"ff-{TRACE}-{PARENT}-01",
            f"0-{TRACE}-{PARENT}-01",
            f"00-{TRACE.upper()}-{PARENT}-01",
            f"00-{TRACE}-{PARENT.upper()}-01",
            f"00-{TRACE[:-1]}g-{PARENT}-01",
            f"00-{TRACE[:-1]}\u0664-{PARENT}-01",
            f"00-{'0' * 32}-{PARENT}-01",
            f"00-{TRACE}-{'0' * 16}-01",
            f"00-{TRACE}-{PARENT}-01, 00-{TRACE}-{PARENT}-01",
        ],
    )
    def test_begins_with_us_where_none_can_be_read(self, bad: str):
        """Then nothing of the other header is handed on, either (section 4.3)."""
        trace = read_trace({**TRACED, "traceparent": bad})
        again = read_trace({"traceparent": trace.headers["traceparent"]})
        assert trace.trace_id != TRACE
        assert (again.trace_id, again.flags, trace.state) == (trace.trace_id, 2, "")

    def test_is_not_told_apart_by_two_headers(self):
        """Which of them is meant nobody knows; the other header may come in pieces (section 3.3.1)."""
        raw = [(b"traceparent", TRACED["traceparent"].encode())]
        pieces = [(b"tracestate", b"congo=1"), (b"tracestate", b"rojo=2")]
        assert read_trace(read_headers(raw * 2)).trace_id != TRACE
        assert read_trace(read_headers(raw + pieces)).state == "congo=1,rojo=2"

    @pytest.mark.parametrize(
        "good",
        ["a=1", "0a-b_c*d/e=1", "tenant@vendor=a b", "a=!~", f"{'k' * 100}=1", ",".join(f"k{n}=1" for n in range(32))],
    )
    def test_hands_on_what_others_say(self, good: str):
        """As it came, without the room between and empty members, which mean nothing."""
        assert state(good) == good
        assert state(f" ,\t{good} ,, ") == good

    @pytest.mark.parametrize(
        "bad",
        [
            *("a", "a=", "=1", "A=1", "-a=1", "a b=1", "a=b=c", "a=\u00e4", "a=1,a=2", "a=4111 1111 1111 1111"),
            *(f"{'k' * 257}=1", f"a={'v' * 257}", ",".join(f"k{n}=1" for n in range(33))),
        ],
    )
    def test_hands_on_nothing_of_what_cannot_be_read(self, bad: str):
        """The trace goes on without it (section 4.3)."""
        assert read_trace({**TRACED, "tracestate": f"good=1,{bad}"}).headers.keys() == {"traceparent"}

    def test_hands_on_no_more_than_everybody_should(self):
        """Long members are left out first, and then those at the end (section 3.3.1.5)."""
        members = [f"k{number}={'v' * 57}" for number in range(10)]
        long = f"long={'v' * 200}"
        assert state(",".join([long, *members])) == ",".join(members[:8])
        assert state(",".join([long, *members[:4]])) == ",".join([long, *members[:4]])


class TestARequest:
    def test_is_looked_at_for_its_trace_once(self):
        """All that it causes says the same."""
        context = request({})
        assert context.trace is context.trace

    async def test_tells_an_endpoint_of_its_trace(self):
        """As where somebody moves a sandbox's clock, and webhooks fall due on the way."""
        outbound = Outbound()

        async def post() -> None:
            assert isinstance(await outbound.post(sandbox(), endpoint.url(), headers={}, body=b""), Answer)

        async with Endpoint(answering("202 Accepted")).listening() as endpoint:
            await post()
            note_request(context := request())
            await post()
        outbound.close()
        without, traced = (head.lower() for head in endpoint.heads)
        assert "\r\ntrace" not in without
        assert f"\r\ntraceparent: {context.trace.headers['traceparent']}\r\n" in traced
        assert f"\r\ntracestate: {TRACED['tracestate']}\r\n".lower() in traced

    async def test_tells_vault_of_its_trace(self, tmp_path: Path):
        """In the threads that ask it, and whoever keeps us logged in later is part of no request."""
        (token := tmp_path / "token").write_text("s.token")
        with vault_answering() as vault:
            vault.answer = (200, {}, b'{"data": {"ttl": 1, "renewable": true}, "auth": {"lease_duration": 1}}')
            backend = open_vault(
                Settings(
                    key_backend="vault",
                    vault_address=vault.url,
                    vault_login="token",
                    vault_token_file=str(token),
                    data_dir=str(tmp_path),
                ),
                "data",
                sealing_key=SEALING_KEY,
            )
            await backend._in_thread(backend._session.look, patience_s=20)
            note_request(context := request())
            await backend.health()
            asked = len(vault.seen)
            await until(lambda: _is_longer(vault.seen, asked))
            await backend.close()
        said = [{name.lower(): value for name, value in each.items()}.get("traceparent") for each in vault.seen]
        assert said[0] is None
        assert said[2] == context.trace.headers["traceparent"]
        assert said[asked] is None

    async def test_tells_a_request_of_our_own_of_its_trace(self):
        """One that a person has the portal make belongs to what they do there."""
        scopes: list[Any] = []

        async def app(scope: Any, _receive: Any, send: Any) -> None:
            scopes.append(scope)
            await send({"type": "http.response.start", "status": 204, "headers": []})

        note_request(context := request())
        await Inside(app).ask("GET", "/", "", {"host": "a"}, b"", origin=Origin("req_2", ""))
        assert dict(scopes[0]["headers"])[b"traceparent"] == context.trace.headers["traceparent"].encode()

    async def test_leaves_what_it_has_not_caused_alone(self):
        """A job says nothing of any trace."""
        assert not await asyncio.get_running_loop().create_task(_headers(), context=contextvars.Context())


async def _is_longer(seen: Sequence[object], number: int) -> bool:
    return len(seen) > number


async def _headers() -> Mapping[str, str]:
    return trace_headers()
