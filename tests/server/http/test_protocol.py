"""The protocol: what a connection may send and how long it may take before it is a request."""

import asyncio
import contextlib
import os
import re
import socket
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
import uvloop

from billfold_server.http.protocol import HEAD_LIMIT_BYTES, HEADERS_LIMIT, BoundedProtocol
from billfold_server.http.receiving import exchange_of
from billfold_server.tenancy.context import TenantRef
from tests.live import LiveServer
from tests.pace import quickest_call
from tests.server.http.keeping import ANSWER, POST, REFUSAL, START, UPGRADE, Keeping, send, serving
from tests.server.http.resetting import abort

_FAR_TOO_MUCH = 64 * 1024 * 1024
"""More than the kernel keeps for a reader who has gone."""


@contextlib.contextmanager
def connected(live: LiveServer) -> Iterator[socket.socket]:
    """Connect to the server."""
    parts = urlsplit(live.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=15) as connection:
        yield connection


def statuses(connection: socket.socket) -> list[int]:
    """Return the statuses of what the server answers until it closes the connection."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3})", heard(connection))]


def heard(connection: socket.socket) -> bytes:
    """Return what the server answers until it closes the connection."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while data := connection.recv(65_536):
            received += data
    return received


class TestAHead:
    @pytest.mark.parametrize(
        "endless",
        [b"X-Filler: ", b"X-", b"X-Filler: a\r\n", b"GET /", b"\r\n"],
        ids=["value", "name", "many", "line", "empty"],
    )
    def test_that_never_ends_is_refused(self, live: LiveServer, endless: bytes) -> None:
        """After a few kilobytes the connection is closed, whichever part goes on and on."""
        repeated = endless if endless.endswith(b"\n") else b"a"
        with connected(live) as connection:
            connection.sendall((b"" if endless in {b"GET /", b"\r\n"} else START) + endless)
            with pytest.raises(ConnectionError):
                for _ in range(_FAR_TOO_MUCH // 4096):
                    connection.sendall(repeated * (4096 // len(repeated)))
            assert set(statuses(connection)) <= {400, 431}

    def test_with_too_many_headers_is_refused(self, live: LiveServer) -> None:
        """Also if it comes at once, and its body doesn't get anywhere either."""
        for headers, status in ((HEADERS_LIMIT - 3, 200), (HEADERS_LIMIT + 1, 431)):
            with connected(live) as connection:
                lines = b"".join(b"X-%d: a\r\n" % number for number in range(headers))
                connection.sendall(START + lines + b"Content-Length: 5\r\nConnection: close\r\n\r\n12345")
                assert statuses(connection) == [status]

    def test_that_is_long_but_not_too_long_is_read(self, live: LiveServer) -> None:
        """Request after request on one connection, each with its own bound, and bodies don't count."""
        head = START + b"X-Filler: " + b"a" * (HEAD_LIMIT_BYTES // 2)
        with connected(live) as connection:
            for _ in range(4):
                connection.sendall(head + b"\r\nContent-Length: 100000\r\n\r\n" + b"a" * 100_000)
            connection.sendall(head + b"\r\nConnection: close\r\n\r\n")
            assert statuses(connection) == [200] * 5

    @pytest.mark.parametrize("begun", [b"", b"\r\n", b"GET /health/live HTT", START])
    def test_that_does_not_come_is_not_waited_for(
        self, live: LiveServer, monkeypatch: pytest.MonkeyPatch, begun: bytes
    ) -> None:
        """Neither after connecting nor in the middle, also when a byte comes now and then."""
        monkeypatch.setattr(BoundedProtocol, "patience_s", 0.3)

        def wait() -> None:
            with connected(live) as connection:
                connection.sendall(begun)
                assert set(statuses(connection)) <= {400, 408}

        assert 0.2 < quickest_call(wait, below_s=5) < 5

    @pytest.mark.parametrize(
        ("path", "broken", "status", "is_open_banking"),
        [
            (b"/t/alpha/open-banking/v4.0/aisp/accounts", b"X: a\r\n" * (HEADERS_LIMIT + 1), 431, True),
            (b"/t/alpha/open-banking/v4.0/aisp/accounts", b"no header\r\n", 400, True),
            (b"/t/alpha/open%2Dbanking%2fv4.0/aisp/accounts", b"X: a\r\n" * (HEADERS_LIMIT + 1), 431, True),
            (b"/t/alpha/%6fpen-banking/v4.0/aisp/accounts", b"no header\r\n", 400, True),
            (b"/t/alpha/open%252Dbanking/v4.0/aisp/accounts", b"no header\r\n", 400, False),
            (b"/t/alpha/v1/wallets?near=/open-banking/v4.0/", b"no header\r\n", 400, False),
            (b"/t/alpha/v1/wallets", b"no header\r\n", 400, False),
        ],
    )
    def test_of_open_banking_is_refused_under_its_interaction_id(
        self, live: LiveServer, path: bytes, broken: bytes, status: int, *, is_open_banking: bool
    ) -> None:
        """It is on every answer of an address that the router takes for open banking's: by the path, decoded once."""
        named = b"x-fapi-interaction-id: 8d3ef7d5-6a9b-4a3c-9f41-8c9e1f2a7b10"
        head = b"GET " + path + b" HTTP/1.1\r\n" + named + b"\r\nHost: here\r\n"
        answers = []
        for rest in (broken, b"Connection: close\r\n"):
            with connected(live) as connection:
                connection.sendall(head + rest + b"\r\n")
                answers.append(heard(connection))
        refused, routed = answers
        assert refused.startswith(b"HTTP/1.1 %d " % status)
        assert (named in refused) is (named in routed) is is_open_banking

    @pytest.mark.parametrize("blanks", [b"", b" ", b" \t "])
    def test_has_values_without_the_blanks_around_them(self, live: LiveServer, blanks: bytes) -> None:
        """A token is good whatever whitespace a proxy has left beside it (RFC 9112, section 5.1)."""
        with live.client("alpha") as client:
            token = client.headers["Authorization"].encode()
        with connected(live) as connection:
            head = START.replace(b"/health/live", b"/t/alpha/v1/tenant") + b"Connection: close\r\nAuthorization:"
            connection.sendall(head + blanks + token + blanks + b"\r\n\r\n")
            assert statuses(connection) == [200]

    @pytest.mark.parametrize("version", [b"2.0", b"0.9", b"3.0", b"1.2"])
    def test_of_another_version_is_refused(self, live: LiveServer, version: bytes) -> None:
        """What it means isn't what this one's mean."""
        with connected(live) as connection:
            connection.sendall(START.replace(b"1.1", version) + b"\r\n")
            assert statuses(connection) == [505 if version in {b"2.0", b"0.9"} else 400]

    def test_that_says_nothing_of_where_it_goes_is_refused_under_a_new_id(self, live: LiveServer) -> None:
        """It may have been meant for open banking."""
        with connected(live) as connection:
            connection.sendall(b"\0\r\n\r\n")
            answer = heard(connection)
        assert re.match(rb"HTTP/1\.1 400 .*x-fapi-interaction-id: [0-9a-f-]{36}\r\n", answer, re.DOTALL)


CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
CODED = POST + b"Transfer-Encoding: %b\r\nConnection: close\r\n\r\n0\r\n\r\n"


class TestAConnection:
    async def test_answers_no_request_by_the_refusal_of_what_comes_behind_it(self) -> None:
        """What isn't HTTP ends the connection, but only after the answers to all that came whole before."""
        app = Keeping()
        async with serving(app) as (reader, writer):
            writer.write(START + b"\r\n")
            await asyncio.wait_for(app.begun.wait(), 15)
            writer.write(START + b"\r\n\0\r\n\r\n")
            await asyncio.sleep(0.1)
            app.may_answer.set()
            assert re.fullmatch(ANSWER * 2 + REFUSAL, await asyncio.wait_for(reader.read(), 15), re.DOTALL)
        assert len(app.asked) == 2

    async def test_answers_what_came_in_one_piece_with_what_is_none(self) -> None:
        """Requests that came whole are carried out, so they are answered; the connection ends after the last."""
        app = Keeping()
        app.may_answer.set()
        async with serving(app) as (reader, writer):
            writer.write(POST + b"Content-Length: 2\r\n\r\nok" + START + b"\r\nGARBAGE\r\n\r\n")
            assert re.fullmatch(ANSWER * 2 + REFUSAL, await asyncio.wait_for(reader.read(), 15), re.DOTALL)
        assert len(app.asked) == 2

    @pytest.mark.parametrize("before", [0, 1, 2])
    async def test_carries_nothing_out_whose_body_comes_broken_in_one_piece_with_its_head(self, before: int) -> None:
        """It is refused, behind the answers to what came before."""
        app = Keeping()
        app.may_answer.set()
        async with serving(app) as (reader, writer):
            writer.write((START + b"\r\n") * before + CHUNKED + b"2\r\nokay, and what now?\r\n")
            assert re.fullmatch(ANSWER * before + REFUSAL, await asyncio.wait_for(reader.read(), 15), re.DOTALL)
        assert len(app.asked) == before

    async def test_refuses_the_request_whose_body_turns_out_to_be_broken(self) -> None:
        """It gets an answer, and who reads its body learns that no more comes; what that answers goes nowhere."""
        app = Keeping()
        async with serving(app) as (reader, writer):
            writer.write(CHUNKED + b"2\r\nok\r\n")
            await asyncio.wait_for(app.begun.wait(), 15)
            writer.write(b"no size\r\n")
            assert re.fullmatch(REFUSAL, await asyncio.wait_for(reader.read(), 15), re.DOTALL)
            app.may_answer.set()
            await asyncio.wait_for(app.answered.wait(), 15)
        assert app.asked == [["http.request", "http.disconnect"]]

    async def test_takes_no_request_behind_one_that_is_too_large(self) -> None:
        """The parser has it in the same piece, but the connection ends with what was refused."""
        app = Keeping()
        app.may_answer.set()
        async with serving(app) as (reader, writer):
            writer.write(START + b"X: a\r\n" * HEADERS_LIMIT + b"\r\n" + START + b"\r\n")
            assert (await asyncio.wait_for(reader.read(), 15)).startswith(b"HTTP/1.1 431 ")
        assert app.asked == []

    async def test_tells_the_request_that_is_carried_out_that_the_client_is_gone(self) -> None:
        """Also while others wait behind it; or its answer would be written to a connection that isn't there."""
        begun = asyncio.Event()
        told: asyncio.Queue[str] = asyncio.Queue()

        async def app(_scope: Any, receive: Any, send: Any) -> None:
            await receive()
            begun.set()
            await told.put((await receive())["type"])
            exchange = exchange_of(receive, send)
            assert exchange is not None
            assert exchange.answer(200, [(b"content-length", b"2")], b"ok")

        async with serving(app) as (_, writer):
            writer.write((START + b"\r\n") * 2)
            await asyncio.wait_for(begun.wait(), 15)
            abort(writer)
            assert await asyncio.wait_for(told.get(), 15) == "http.disconnect"

    @pytest.mark.parametrize("before", [1, 2])
    @pytest.mark.parametrize("behind", [b"", b"GET /hea", CHUNKED + b"2\r\n"], ids=["nothing", "head", "body"])
    @pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
    async def test_that_the_client_ends_halfway_is_answered_on(self, before: int, behind: bytes, loop: str) -> None:
        """What came whole is carried out, so it is answered; what didn't is nothing, and the connection ends."""
        app = Keeping()

        async def ask() -> None:
            async with serving(app) as (reader, writer):
                writer.write((START + b"\r\n") * before + behind)
                writer.write_eof()
                await asyncio.wait_for(app.begun.wait(), 15)
                await asyncio.sleep(0.1)
                app.may_answer.set()
                assert await asyncio.wait_for(reader.read(), 15) == ANSWER * before

        if loop == "uvloop":
            await asyncio.to_thread(uvloop.run, ask())
        else:
            await ask()
        assert len(app.asked) == before

    @pytest.mark.parametrize("loop_of", ["asyncio", "uvloop"])
    async def test_reads_what_came_in_time_before_it_ends(self, loop_of: str) -> None:
        """A request that lies there while the server is busy is answered, though by now nothing more is waited for."""

        async def ask() -> bool:
            app, loop = Keeping(), asyncio.get_running_loop()
            app.may_answer.set()
            async with serving(app, timeout_keep_alive=0.4) as (reader, writer):
                began = loop.time()
                writer.write(START + b"\r\n")
                assert await asyncio.wait_for(reader.readexactly(len(ANSWER)), 15) == ANSWER
                if loop.time() - began > 0.15:
                    # The machine is busy, so the connection might end before anything else is sent.
                    return False
                # When the loop is free again, two timers are due: what comes by the first isn't read before the other.
                loop.call_later(0.1, time.sleep, 0.4)
                loop.call_later(0.2, os.write, writer.get_extra_info("socket").fileno(), START + b"\r\n")
                assert await asyncio.wait_for(reader.readexactly(len(ANSWER)), 15) == ANSWER
                assert await asyncio.wait_for(reader.read(), 15) == b""
            assert len(app.asked) == 2
            return True

        async def until_asked() -> None:
            while not await ask():
                pass

        if loop_of == "uvloop":
            await asyncio.to_thread(uvloop.run, until_asked())
        else:
            await until_asked()

    async def test_that_the_client_ends_in_the_middle_of_its_request_ends(self) -> None:
        """Who reads the body learns that no more of it comes."""
        app = Keeping()
        async with serving(app) as (reader, writer):
            writer.write(CHUNKED + b"2\r\nok\r\n")
            await asyncio.wait_for(app.begun.wait(), 15)
            writer.write_eof()
            assert await asyncio.wait_for(reader.read(), 15) == b""
            app.may_answer.set()
            await asyncio.wait_for(app.answered.wait(), 15)
        assert app.asked[0][-1] == "http.disconnect"

    async def test_is_kept_for_a_time_from_its_last_answer_on(self) -> None:
        """Its timer isn't set anew for each request, and still counts from the last one."""

        async def app(_scope: Any, receive: Any, send: Any) -> None:
            exchange = exchange_of(receive, send)
            assert exchange is not None
            assert exchange.answer(200, [(b"content-length", b"2")], b"ok")

        async def ask() -> bool:
            async with serving(app, timeout_keep_alive=1) as (reader, writer):
                began = time.monotonic()
                for pause_s in (0.6, 0.6, 0.0):
                    if time.monotonic() - began > 0.9:
                        # The machine is busy, so the connection may have ended by itself.
                        return False
                    began = time.monotonic()
                    writer.write(START + b"\r\n")
                    assert await reader.readexactly(len(ANSWER)) == ANSWER
                    await asyncio.sleep(pause_s)
                assert await asyncio.wait_for(reader.read(), 15) == b""
                assert time.monotonic() - began > 0.8
            return True

        while not await ask():
            pass

    @pytest.mark.parametrize("value", [b"a\r\nset-cookie: b", b"a\nb", b"a\rb", b"a\0b"])
    async def test_takes_no_header_with_a_line_break_in_one_piece(self, value: bytes) -> None:
        """Nor one whose length isn't the body's: such an answer goes by ASGI, where it fails."""
        taken: list[bool] = []

        async def app(_scope: Any, receive: Any, send: Any) -> None:
            exchange = exchange_of(receive, send)
            assert exchange is not None
            answer = exchange.answer
            taken.append(answer(200, [(b"content-length", b"2"), (b"x", value)], b"ok"))
            taken.append(answer(200, [(b"content-length", b"1")], b"ok"))
            taken.append(answer(200, [], b"ok"))
            taken.append(answer(200, [(b"content-length", b"2")], b"ok"))

        async with serving(app) as (reader, writer):
            writer.write(START + b"\r\n")
            assert await reader.readexactly(len(ANSWER)) == ANSWER
        assert taken == [False, False, False, True]

    def test_that_a_stop_ends_is_told_that_the_outcome_is_unknown(
        self, live: LiveServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """What was begun may be carried out all the same, so the client is to ask again; no fault is logged."""
        begun = asyncio.Event()

        async def wait(_: TenantRef) -> None:
            begun.set()
            await asyncio.Event().wait()

        async def under_way() -> set[asyncio.Task[Any]]:
            return {each for each in asyncio.all_tasks() if "run_asgi" in repr(each.get_coro())}

        async def end(before: set[asyncio.Task[Any]]) -> None:
            await begun.wait()
            (request,) = await under_way() - before
            # As uvicorn does once its time for a stop is over.
            request.cancel()

        with live.client("alpha") as client:
            monkeypatch.setattr(live.services, "slow_down", wait)
            # Whoever hung up on a request of another test may not have been heard yet.
            ending = live.begin(end(live.run(under_way())))
            answer = client.post("/v1/parties", json={"kind": "person"}, headers={"Idempotency-Key": "ended"})
            ending.result(15)
        told = answer.status_code, answer.json()["code"], answer.headers["retry-after"]
        assert told == (503, "outcome_unknown", "1")
        assert "Exception in ASGI application" not in caplog.text

    async def test_is_spoken_to_by_messages_where_something_stands_between(self) -> None:
        """An application around ours sees, and may change, all that is received and sent."""

        async def app(_scope: Any, receive: Any, send: Any) -> None:
            async def receiving() -> Any:
                return await receive()

            async def sending(message: Any) -> None:
                await send(message)

            between = (exchange_of(receiving, send), exchange_of(receive, sending), exchange_of(receiving, sending))
            assert between == (None, None, None)
            exchange = exchange_of(receive, send)
            assert exchange is not None
            assert exchange.answer(200, [(b"content-length", b"2")], b"ok")

        async with serving(app) as (reader, writer):
            writer.write(START + b"\r\n")
            assert await reader.readexactly(len(ANSWER)) == ANSWER


HIDDEN = START + b"X-Hidden: yes\r\n\r\n"


class TestAnUpgrade:
    @pytest.mark.parametrize(
        "body",
        [
            b"Content-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN,
            b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(HIDDEN) + HIDDEN + b"\r\n0\r\nUpgrade: h2c\r\n\r\n",
            b"\r\n",
        ],
        ids=["measured", "chunked", "none"],
    )
    @pytest.mark.parametrize("pieces", [1, 2, 3, 7, 1000])
    async def test_is_not_followed(self, body: bytes, pieces: int, caplog: pytest.LogCaptureFixture) -> None:
        """A request that asks for one is as any other: its body is its own, and what comes behind it is answered."""
        app = Keeping()
        app.may_answer.set()
        came = (POST + UPGRADE + body) * 2 + START + b"\r\n"
        async with serving(app) as (reader, writer):
            await send(writer, came, pieces)
            assert await asyncio.wait_for(reader.readexactly(len(ANSWER) * 3), 15) == ANSWER * 3
        expected = HIDDEN if len(body) > 2 else b""
        assert app.bodies == [expected, expected, b""]
        assert not any(name in {b"upgrade", b"x-hidden"} for each in app.headers for name, _ in each)
        assert not caplog.records

    @pytest.mark.parametrize("coding", [b"identity", b"gzip, chunked"])
    async def test_makes_no_other_framing_good(self, coding: bytes) -> None:
        """What is refused without it is refused with it."""
        app = Keeping()
        async with serving(app) as (reader, writer):
            writer.write(POST + UPGRADE + b"Transfer-Encoding: " + coding + b"\r\n\r\n0\r\n\r\n")
            assert re.match(rb"HTTP/1.1 (400|501) ", await asyncio.wait_for(reader.read(), 15))
        assert app.asked == []

    def test_to_a_tunnel_is_refused(self, live: LiveServer) -> None:
        """There is none here, so what comes behind is nobody's."""
        with connected(live) as connection:
            connection.sendall(b"CONNECT here:443 HTTP/1.1\r\nHost: here\r\n\r\n" + HIDDEN)
            assert statuses(connection) == [501]

    def test_keeps_no_order_from_being_carried_out(self, live: LiveServer) -> None:
        """Libraries ask for HTTP/2 by the way, with whatever they send."""
        with live.client("alpha") as client:
            asked = {"Upgrade": "h2c", "Connection": "Upgrade, HTTP2-Settings", "HTTP2-Settings": "AAMAAABkAAQAAP__"}
            made = client.post("/v1/parties", headers=asked, json={"kind": "person", "name": "Ada"})
            assert made.status_code == 201, made.text


class TestTrailers:
    @pytest.mark.parametrize("pieces", [1, 2, 3])
    async def test_are_no_headers_of_the_request(self, pieces: int) -> None:
        """Who could add one behind the body would say as whom it comes, past the proxy that takes care of the head."""
        app = Keeping()
        async with serving(app) as (reader, writer):
            came = CHUNKED + b"2\r\nok\r\n0\r\nX-Forwarded-For: 10.0.0.1\r\nAuthorization: Bearer x\r\n\r\n"
            for each in (came, came[: -len(b"ok\r\n\r\n")]):
                for place in range(0, len(each), -(-len(each) // pieces)):
                    writer.write(each[place : place + -(-len(each) // pieces)])
                    await asyncio.sleep(0.05)
            app.may_answer.set()
            assert await reader.readexactly(len(ANSWER)) == ANSWER
        assert app.headers[0] == [(b"host", b"here"), (b"transfer-encoding", b"chunked")]

    def test_say_nothing_of_who_asks(self, live: LiveServer) -> None:
        """A token has its place before the body."""
        with live.client("alpha") as client:
            token = client.headers["Authorization"].encode()
        head = b"GET /t/alpha/v1/tenant HTTP/1.1\r\nHost: here\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n"
        for header, trailer, status in ((token, b"", 200), (b"", token, 401)):
            with connected(live) as connection:
                first, last = (b"Authorization: " + each + b"\r\n" if each else b"" for each in (header, trailer))
                connection.sendall(head + first + b"\r\n0\r\n" + last + b"\r\n")
                assert statuses(connection) == [status]

    @pytest.mark.parametrize(
        "trailers",
        [
            b"X: a\r\n" * (HEADERS_LIMIT + 1),
            b"X: " + b"a" * HEAD_LIMIT_BYTES + b"\r\n",
            b"X: " + b"a" * 300_000 + b"\r\n",
        ],
        ids=["many", "long", "longer than what is read at once"],
    )
    @pytest.mark.parametrize("at_once", [True, False])
    async def test_are_bounded_as_a_head_is(self, trailers: bytes, *, at_once: bool) -> None:
        """The request is refused, and who has begun to read it learns that it has come to nothing."""
        app = Keeping()
        app.may_answer.set()
        pieces = [CHUNKED, b"0\r\n", trailers + b"\r\n"]
        async with serving(app) as (reader, writer):
            for piece in [b"".join(pieces)] if at_once else pieces:
                writer.write(piece)
                await asyncio.sleep(0.05)
            with contextlib.suppress(ConnectionError):
                assert (await asyncio.wait_for(reader.read(), 15)).startswith(b"HTTP/1.1 431 ")
        assert {each[-1] for each in app.asked} <= {"http.disconnect"}

    @pytest.mark.parametrize("endless", [b"0\r\nX: ", b"0\r\n", b"2;x="], ids=["value", "many", "extension"])
    async def test_that_never_end_are_refused(self, endless: bytes) -> None:
        """What the parser holds back, or drops, is counted as well: nobody waits for its end."""
        app = Keeping()
        piece = b"X: a\r\n" * 1000 if endless == b"0\r\n" else b"a" * 6000
        async with serving(app) as (reader, writer):
            writer.write(CHUNKED + endless)
            with contextlib.suppress(ConnectionError):
                for _ in range(20):
                    await asyncio.sleep(0.01)
                    writer.write(piece)
                assert (await asyncio.wait_for(reader.read(), 15)).startswith(b"HTTP/1.1 431 ")
        assert [each[-1] for each in app.asked] == ["http.disconnect"]


class TestABody:
    @pytest.mark.parametrize("sent", [b"", b"{"])
    def test_of_what_is_refused_is_not_asked_for(self, live: LiveServer, sent: bytes) -> None:
        """Who waits to be asked for it hears why it isn't wanted, and that the connection ends."""
        with connected(live) as connection:
            connection.sendall(POST + b"Content-Length: 100\r\nExpect: 100-continue\r\n\r\n" + sent)
            answer = heard(connection) if not sent else connection.recv(65_536)
        assert answer.startswith(b"HTTP/1.1 401 ")
        assert (b"connection: close\r\n" in answer) is (not sent)

    @pytest.mark.parametrize(
        ("coding", "status"),
        [
            (b"identity", 400),
            (b"x", 400),
            (b"deflate", 400),
            (b"chunked;a=b", 400),
            (b"chunked, identity", 400),
            (b"chunked, chunked", 400),
            (b"", 400),
            (b"chunked\r\nContent-Length: 5", 400),
            (b"gzip, chunked", 501),
            (b"identity, chunked", 501),
            (b"gzip\r\nTransfer-Encoding: chunked", 501),
            (b"Chunked", 200),
        ],
    )
    @pytest.mark.parametrize("before", [0, 1])
    async def test_is_chunked_or_has_a_length(self, coding: bytes, status: int, before: int) -> None:
        """What another would read as another request is carried out by nobody here (RFC 9112, section 6.1)."""
        app = Keeping()
        app.may_answer.set()
        async with serving(app) as (reader, writer):
            writer.write((START + b"\r\n") * before + CODED % coding)
            answers = await asyncio.wait_for(reader.read(), 15)
        assert re.findall(rb"HTTP/1\.1 (\d+)", answers) == [b"200"] * before + [b"%d" % status]
        assert len(app.asked) == before + (status == 200)

    async def test_of_the_first_version_is_never_chunked(self) -> None:
        """It knows no codings (RFC 9112, section 6.1)."""
        app = Keeping()
        async with serving(app) as (reader, writer):
            writer.write(CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0") + b"0\r\n\r\n")
            assert re.fullmatch(REFUSAL, await asyncio.wait_for(reader.read(), 15), re.DOTALL)
        assert app.asked == []

    @pytest.mark.parametrize(
        ("path", "content_type"),
        [
            ("/t/alpha/v1/parties", "application/json"),
            ("/t/alpha/v1/statement-imports", "application/octet-stream"),
            ("/t/alpha/oauth/token", "application/x-www-form-urlencoded"),
        ],
    )
    def test_that_drips_is_not_waited_for(
        self, live: LiveServer, monkeypatch: pytest.MonkeyPatch, path: str, content_type: str
    ) -> None:
        """Its time is for all of it, so bytes that come now and then buy none, and the connection ends with it."""
        with live.client("alpha") as client:
            token = client.headers["Authorization"]
        hasty = msgspec.structs.replace(live.services.settings, body_timeout_s=1, upload_timeout_s=1)
        monkeypatch.setattr(live.services, "settings", hasty)
        head = (
            f"POST {path} HTTP/1.1\r\nHost: here\r\nAuthorization: {token}\r\nIdempotency-Key: {path}\r\n"
            f"Content-Type: {content_type}\r\nContent-Length: 1000\r\n\r\n"
        )
        with connected(live) as connection:
            began = time.monotonic()
            connection.sendall(head.encode())
            assert [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3})", drip(connection))] == [408]
            assert 0.9 < time.monotonic() - began < 10


def drip(connection: socket.socket) -> bytes:
    """Send a byte whenever there is nothing to read, and return what the server says until it ends the connection."""
    received = b""
    connection.settimeout(0.1)
    with contextlib.suppress(ConnectionError):
        for _ in range(200):
            try:
                data = connection.recv(65_536)
            except TimeoutError:
                connection.sendall(b" ")
                continue
            if not data:
                return received
            received += data
        pytest.fail("the server keeps the connection")
    return received
