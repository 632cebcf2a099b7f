"""How a connection becomes requests: uvicorn's protocol, with bounds on what comes before a request is one.

Between the first byte and the end of the headers nothing of ours runs, and the parser takes whatever comes, for as long
as it comes: a header without end fills the memory, and costs the square of its length; a header that comes byte by byte
keeps its connection for ever. Nobody needs a token for that.

It is also made to cost little: one timer per connection that is seldom set anew instead of two per request, a scope
that is made once all of it is known, and answers that go out in one piece (``receiving.Exchange``).
"""

import asyncio
import contextvars
import functools
import inspect
import re
import urllib.parse
from collections.abc import Coroutine, Sequence
from enum import Enum, auto
from http import HTTPStatus
from typing import Any, Final, NoReturn

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from billfold_server.http.receiving import Exchange
from billfold_server.http.shares import Place, Shares
from billfold_server.http.surfaces import surface_at
from billfold_server.open_banking.edge.headers import INTERACTION_ID, interaction_id

__all__ = ["HEADERS_LIMIT", "HEAD_LIMIT_BYTES", "HEAD_PATIENCE_S", "BoundedProtocol"]

HEAD_LIMIT_BYTES: Final = 32 * 1024
"""How long request line and headers may be together; what proxies and browsers take, too."""

HEADERS_LIMIT: Final = 100
"""How many headers there may be."""

HEAD_PATIENCE_S: Final = 20.0
"""How long a request's head may take, from the connection or from its first byte on."""

_LAST_LOOK_S: Final = 0.002
"""For how long a connection that is to end is looked at once more."""

_NO_CONTENT: Final = 204
_VERSIONS: Final = ("1.1", "1.0")


def _path_of(url: bytes) -> str:
    """Return what the router sees of a target, as far as it has come: its path, decoded."""
    path = url.partition(b"?")[0].partition(b"#")[0]
    return urllib.parse.unquote(path.decode("latin-1"))


def _coding_refused(headers: Sequence[tuple[bytes, bytes]], version: str) -> HTTPStatus | None:
    """Return by what a body is refused that isn't just chunked, or None; its end is where others may not see it.

    Source: RFC 9112, sections 6.1 and 6.3. The parser refuses what has a length beside, and a second ``chunked``.
    """
    said = b",".join(value for name, value in headers if name == b"transfer-encoding").lower()
    codings = [each.strip() for each in said.split(b",")]
    if version == "1.0" or codings[-1] != b"chunked":
        return HTTPStatus.BAD_REQUEST
    return None if len(codings) == 1 else HTTPStatus.NOT_IMPLEMENTED


def _add_host(headers: list[tuple[bytes, bytes]], url: bytes) -> None:
    """Add the host that a target names to one that the header names, where it is another: nobody is served by two."""
    named = re.split(rb"[/?#]", url.partition(b"://")[2], maxsplit=1)[0].lower()
    hosts = [value.lower() for name, value in headers if name == b"host"]
    if hosts and hosts != [named]:
        headers.append((b"host", named))


class _Cycle(RequestResponseCycle, Exchange):
    """One request and its answer."""

    # What nearly always stays as it is needn't be set for every request.
    access_log = False
    disconnected = False
    more_body = True
    response_started = False
    response_complete = False
    chunked_encoding = None
    expected_content_length = 0
    shares: Shares | None = None
    place: Place | None = None

    def __init__(self, protocol: "BoundedProtocol", scope: Any, *, keep_alive: bool) -> None:
        self.scope = scope
        self.transport = protocol.transport
        self.flow: FlowControl = protocol.flow
        self.logger = protocol.logger
        self.default_headers = protocol.server_state.default_headers
        self.message_event = asyncio.Event()
        self.on_response = protocol.on_response_complete
        self.keep_alive = keep_alive
        self.waiting_for_100_continue = protocol.expect_100_continue
        self.body = bytearray()

    def body_at_hand(self) -> bytes | None:
        """Return what is left of the body, if all of it has come in; then there is nothing to receive."""
        if self.more_body or self.disconnected or self.response_complete:
            return None
        return bytes(self.body)

    def declines(self) -> bool:
        """Ask for no body any more, and tell whether that is why none comes; the connection then ends with the answer.

        Who waits to be asked may send it all the same, or another request in its place (RFC 9110, section 10.1.1).
        """
        waits, self.waiting_for_100_continue = self.waiting_for_100_continue, False
        if not waits or self.body:
            return False
        self.keep_alive = False
        return True

    async def receive(self) -> Any:
        """Receive a message; who waits for it has no place meanwhile.

        Else a few bodies that don't come would have all of a tenant's, and they need no token for that.
        """
        place, shares = self.place, self.shares
        if shares is None or place is None or not place.held or self.message_event.is_set():
            return await super().receive()
        shares.leave(place)
        message = await super().receive()
        if message["type"] == "http.request":
            shares.resume(place)
        return message

    def answer(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> bool:
        """Send a whole answer, and tell whether it was sent; if not, it goes by ASGI."""
        if self.response_started or self.flow.write_paused:
            return False
        if self.disconnected or self.transport.is_closing():
            # It is over all the same, and gives its place back.
            self.on_response()
            return True
        pieces = [STATUS_LINE[status]]
        measured = False
        for name, value in (*self.default_headers, *headers):
            if name == b"content-length":
                measured = int(value) == len(body)
            elif name == b"connection":
                self.keep_alive = self.keep_alive and value != b"close"
                continue
            pieces += (name, b": ", value, b"\r\n")
        if not self.keep_alive:
            pieces.append(b"connection: close\r\n")
        head = b"".join(pieces)
        lines = 1 + (len(pieces) - 1) // 4 + (not self.keep_alive)
        # A value with a line break in it would be a header of somebody else's choice.
        broken = head.count(b"\n") != lines or head.count(b"\r") != lines or b"\0" in head
        if broken or not (measured or status == _NO_CONTENT):
            return False
        self.response_started = self.response_complete = True
        if self.scope["method"] == "HEAD":
            body = b""
        self.transport.write(b"%b\r\n%b" % (head, body))
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()
        return True


class _TurnedDownError(Exception):
    """A request must go no further; it ends the parser's work."""


def _coroutine_of(task: asyncio.Task[None]) -> Coroutine[Any, Any, None]:
    coroutine = task.get_coro()
    assert inspect.iscoroutine(coroutine)
    return coroutine


class _Awaited(Enum):
    """For what the connection's timer runs."""

    NOTHING = auto()
    HEAD = auto()
    NEXT = auto()
    LAST = auto()


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    patience_s: float = HEAD_PATIENCE_S

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.url: bytes = b""

        self._shares: Shares | None = getattr(self.config, "shares", None)
        self._place: Place | None = None
        self._running: _Cycle | None = None
        self._task: asyncio.Task[None] | None = None
        self._in_body = False
        self._trailers: list[tuple[bytes, bytes]] = []
        self._steps = self._held_bytes = self._come_bytes = 0
        self._is_coded = False
        self._turned_down: HTTPStatus | None = None
        self._refused = False
        self._last_words = b""
        self._awaited = _Awaited.NOTHING
        self._until = 0.0
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._await(_Awaited.HEAD, self.patience_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._awaited = _Awaited.NOTHING
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        super().connection_lost(exc)
        for cycle in (self._running, *(cycle for cycle, _ in self.pipeline)):
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
        # What is under way goes on, and keeps its place for as long as anything does.
        if self._place is not None and self._place.waits:
            self._leave()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Answer what has come whole, where the client says that it sends nothing more; tell whether there is any.

        It may as well be gone, so what waits for its turn among its tenant's waits no longer. TLS ends both ways.
        """
        if self.scheme == "https" or (self._place is not None and self._place.waits):
            return False
        if not self._refused:
            self._end(b"")
        return self._answering()

    def data_received(self, data: bytes) -> None:
        """Read what has come, and refuse a head, or trailers, that are too long.

        What comes in one read with the end of what was before isn't counted, so the bound is kept to within that one
        read. The parser keeps what isn't complete, so it is bound here what it has been given since something was.
        """
        if self._refused:
            return
        in_body, steps = self._in_body, self._steps
        self._come_bytes = self._held_bytes + len(data)
        try:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                self._go_on(memoryview(data)[upgrade.args[0] :])
        except httptools.HttpParserError:
            if self._turned_down is None:
                self.logger.warning("Invalid HTTP request received.")
            self._refuse(self._turned_down or HTTPStatus.BAD_REQUEST)
            return
        if steps != self._steps or in_body != self._in_body:
            self._held_bytes = 0
            return
        self._held_bytes = self._come_bytes
        if self._held_bytes > HEAD_LIMIT_BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif not in_body and self._awaited is not _Awaited.HEAD:
            self._await(_Awaited.HEAD, self.patience_s)

    def _go_on(self, data: memoryview) -> None:
        """Read on behind the head of a request that asks for another protocol, as if it didn't.

        Nobody need follow it there (RFC 9110, section 7.8), but the parser has no eye for its body any more. So another
        is told the head without the wish.
        """
        while True:
            head = self._head_without_upgrade()
            self.parser = httptools.HttpRequestParser(self)
            # As uvicorn has it of the first one.
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            self.parser.feed_data(head)
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]
            else:
                return

    def _head_without_upgrade(self) -> bytes:
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
        lines += [b"%b: %b" % each for each in self.headers if each[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def on_message_begin(self) -> None:
        """Begin a request."""
        self.url = b""
        self.expect_100_continue = self._is_coded = False
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or a trailer; blanks behind a value are none of it (RFC 9112, section 5.1)."""
        name, value = name.lower(), value.rstrip()
        if name == b"transfer-encoding":
            self._is_coded = True
        elif name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Take the request, if its head is within bounds."""
        self._awaited = _Awaited.NOTHING
        headers = self.headers
        if len(headers) > HEADERS_LIMIT or (self._come_bytes > HEAD_LIMIT_BYTES and self._is_long(headers)):
            self._turn_down(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        version = self.parser.get_http_version()
        if self.parser.should_upgrade():
            # It comes again, without that wish; a tunnel (CONNECT) is all that some wish for.
            if self.parser.get_method() == b"CONNECT":
                self._turn_down(HTTPStatus.NOT_IMPLEMENTED)
            return
        if version not in _VERSIONS:
            self._turn_down(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
        if self._is_coded and (refused := _coding_refused(headers, version)) is not None:
            self._turn_down(refused)
        scope = self._scope(version)
        before: RequestResponseCycle | None = self.cycle
        cycle = _Cycle(self, scope, keep_alive=version != "1.0" and self.parser.should_keep_alive())
        self.scope, self.cycle = scope, cycle
        self._in_body = True
        self._steps += 1
        # What comes behind the body is no header of the request (RFC 9110, section 6.5.1), whatever it says.
        self.headers = self._trailers
        if before is None or before.response_complete:
            self._begin(cycle)
        else:
            # It waits for its turn, and the client with what may come behind it.
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))

    def _turn_down(self, status: HTTPStatus) -> NoReturn:
        """Take no request of what the parser is at, nor of anything behind it."""
        self._turned_down = status
        raise _TurnedDownError

    def _begin(self, cycle: _Cycle) -> None:
        """Begin a request, now or when its tenant has a place for it."""
        self._running = cycle
        if self._shares is not None:
            self._place = place = self._shares.ask(cycle.scope)
            if place is not None:
                cycle.shares, cycle.place = self._shares, place
                if place.waits:
                    # What makes room for it is another request, whose context is none of its business.
                    start = contextvars.copy_context().run
                    place.begin = functools.partial(start, self._start_asgi_task, cycle, self.app)
                    return
        self._start_asgi_task(cycle, self.app)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._task = task = self.loop.create_task(cycle.run_asgi(app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def _leave(self) -> None:
        """Give the place back of the request that is over."""
        place, self._place = self._place, None
        if place is not None and self._shares is not None:
            self._shares.leave(place)

    def _is_long(self, headers: Sequence[tuple[bytes, bytes]]) -> bool:
        return len(self.url) + sum(len(name) + len(value) for name, value in headers) > HEAD_LIMIT_BYTES

    def _scope(self, version: str) -> Any:
        url = self.url
        if url.startswith(b"/") and not url.startswith(b"//") and b"#" not in url:
            raw_path, _, query = url.partition(b"?")
        else:
            parsed = httptools.parse_url(url)
            raw_path, query = parsed.path or b"/", parsed.query or b""
            if parsed.host is not None:
                _add_host(self.headers, url)
        path = raw_path.decode("ascii")
        return {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": version,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "root_path": "",
            "headers": self.headers,
            "state": self.app_state.copy(),
            "method": self.parser.get_method().decode("ascii"),
            "path": urllib.parse.unquote(path) if "%" in path else path,
            "raw_path": raw_path,
            "query_string": query,
        }

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._steps += 1
        cycle = self.cycle
        if cycle.response_complete:
            return
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        """Note that what comes next is another request's head, and forget what came behind the body."""
        if not self._in_body:
            return
        if self._trailers:
            if len(self._trailers) > HEADERS_LIMIT or self._is_long(self._trailers):
                self._turn_down(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            self._trailers.clear()
        self._in_body = False
        cycle = self.cycle
        cycle.more_body = False
        cycle.message_event.set()

    def on_response_complete(self) -> None:
        """Go on with the next request, or wait for it."""
        self.server_state.total_requests += 1
        self._leave()
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            following: Any = self.pipeline.pop()[0]
            self._begin(following)
        elif self._refused:
            self._close(self._last_words)
        elif self._awaited is _Awaited.NOTHING:
            self._await(_Awaited.NEXT, self.timeout_keep_alive)

    def _await(self, what: _Awaited, seconds: float) -> None:
        """Wait for something, for so long; the timer is only set anew if it would ring too late."""
        self._awaited = what
        self._until = self.loop.time() + seconds
        if self._alarm is None or self._alarm_at > self._until:
            if self._alarm is not None:
                self._alarm.cancel()
            self._set_alarm(seconds)

    def _set_alarm(self, seconds: float) -> None:
        self._alarm_at = self._until
        self._alarm = self.loop.call_later(seconds, self._ring)

    def _ring(self) -> None:
        """See whether what was waited for has come, or something else is waited for by now."""
        self._alarm = None
        if self._awaited is _Awaited.NOTHING:
            return
        left_s = self._until - self.loop.time()
        # Timers count in milliseconds.
        if left_s > 0.001:  # noqa: PLR2004
            self._set_alarm(left_s)
        elif self._awaited is _Awaited.NEXT:
            # A loop that was busy until now may not have read yet what came in time, and who has sent it can't tell
            # whether it was carried out.
            self._await(_Awaited.LAST, _LAST_LOOK_S)
        elif self._awaited is _Awaited.LAST:
            self.timeout_keep_alive_handler()
        elif self._answering():
            # The head of a next request may have to wait for that.
            self._await(_Awaited.HEAD, self.patience_s)
        else:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)

    def _answering(self) -> bool:
        return self._running is not None and not self._running.response_complete

    def _refuse(self, status: HTTPStatus) -> None:
        """Say why, once all that came before is answered, and close."""
        head = f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-length: 0\r\nconnection: close\r\n"
        self._end(f"{head}{self._interaction()}\r\n".encode())

    def _end(self, last_words: bytes) -> None:
        """Take nothing more, and close with some last words once all that has come whole is answered."""
        self._refused = True
        self._awaited = _Awaited.NOTHING
        if self.transport.is_closing():
            return
        if self._in_body and not self._drop():
            last_words = b""
        if self._answering():
            self._last_words = last_words
        else:
            self._close(last_words)

    def _drop(self) -> bool:
        """Let go of the request whose body was coming in, and tell whether it may still be answered.

        Where it came in one read with what is wrong with it, nothing of it has been carried out yet, and nothing is.
        """
        if self.pipeline:
            self.pipeline.popleft()
            return True
        cycle, place, task = self._running, self._place, self._task
        assert cycle is not None, "a body belongs to a request"
        self._running = None
        cycle.disconnected = True
        cycle.message_event.set()
        if place is not None and place.begin is not None:
            place.begin = None
            self._leave()
        elif task is not None and inspect.getcoroutinestate(_coroutine_of(task)) == inspect.CORO_CREATED:
            task.cancel()
            self._leave()
        return not cycle.response_started

    def _close(self, last_words: bytes) -> None:
        if last_words:
            self.transport.write(last_words)
        self.transport.close()

    def _interaction(self) -> str:
        """Return the header that every answer of open banking has, where that was asked, or may have been."""
        if self.url and surface_at(_path_of(self.url)) != "open_banking":
            return ""
        headers = self.scope["headers"] if self._in_body else self.headers or ()
        said = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
        return f"{INTERACTION_ID}: {interaction_id(said)}\r\n"
