"""One call from the first request to the answer, without input or output.

``exchange`` is a generator that says what should be done next: fetch an access token, send a request, or wait. The
driver (``AsyncSession``, and ``Session``, which is generated from it) does that and sends back what came of it. All
decisions are therefore made in one place for both, and tests need neither network nor clock.
"""

import logging
import random
import time
from collections.abc import Callable, Generator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from billfold import errors
from billfold.client._message import Hooks, Request, Response
from billfold.client._problems import error_of
from billfold.client._retry import RetryBudget, RetryPolicy, is_worth_repeating, retry_after_s, settles
from billfold.client._tracing import CallSpan, begin

__all__ = ["Authorize", "Call", "Kit", "Send", "Shown", "Step", "Timeouts", "Wait", "exchange"]

_log = logging.getLogger("billfold")

_SUCCESS: Final = range(200, 300)
_UNAUTHENTICATED: Final = 401
_KEYS: Final = ("idempotency-key", "x-idempotency-key")
"""Billfold's own and open banking's."""


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """How long the client waits.

    Attributes:
        connect_s: For a connection.
        read_s: For the server to say something, each time.
        total_s: For the whole call, with all its attempts and the waits between them.
    """

    connect_s: float = 5.0
    read_s: float = 15.0
    total_s: float = 45.0


class Call:
    """What to ask the server.

    Attributes:
        method: The HTTP method.
        url: The absolute address, with the query.
        name: How logs call it: the method and the path, without the query, which may hold someone's name.
        template: How traces call it: the path below the tenant, with placeholders.
        headers: By name in lower case, without the access token.
        body: As it goes over the wire.
        read: Turns the body of a success into what the caller gets.
        fail: Turns a response that is no success into an error.
        timeouts: How long to wait.
        repeatable: Whether a copy of the request is answered as the first: a question, or an order with a key.
        authorized: Whether it needs an access token.
        receive: Turns a success into what the caller gets, instead of ``read``, where its headers matter too.
        identity: What shows who is asking instead of the client's access token, such as the client's own credentials
            at the token endpoint; it has the driver's method ``authorize``.
    """

    __slots__ = (
        "authorized",
        "body",
        "fail",
        "headers",
        "identity",
        "method",
        "name",
        "read",
        "receive",
        "repeatable",
        "template",
        "timeouts",
        "url",
    )

    def __init__(
        self,
        method: str,
        url: str,
        *,
        name: str,
        headers: dict[str, str],
        read: Callable[[bytes], Any],
        timeouts: Timeouts,
        body: bytes | None = None,
        repeatable: bool = True,
        authorized: bool = True,
        fail: Callable[[Response, float | None], errors.BillfoldError] = error_of,
        identity: Any = None,
        receive: Callable[[Response], Any] | None = None,
        template: str | None = None,
    ) -> None:
        self.method = method
        self.url = url
        self.name = name
        self.headers = headers
        self.body = body
        self.read = read
        self.fail = fail
        self.timeouts = timeouts
        self.repeatable = repeatable
        self.authorized = authorized
        self.identity = identity
        self.receive = receive
        self.template = template


def _never(_response: Response) -> bool:
    return False


class Shown:
    """What one attempt shows of who is asking. Proofs are good once, so each attempt has its own.

    Attributes:
        token: The access token, where there is one.
        headers: What is added to the request on its way, and taken away before anyone sees it again.
        url: Where the request goes instead.
        body: What it says instead.
        outdated: Tells whether a refusal says what the proof lacked, such as a nonce, and so is worth another proof.
    """

    __slots__ = ("body", "headers", "outdated", "token", "url")

    def __init__(
        self,
        headers: dict[str, str],
        *,
        token: str | None = None,
        url: str | None = None,
        body: bytes | None = None,
        outdated: Callable[[Response], bool] = _never,
    ) -> None:
        self.headers = headers
        self.token = token
        self.url = url
        self.body = body
        self.outdated = outdated

    def __repr__(self) -> str:
        return "Shown(…)"


_NOTHING: Final = Shown({})


class Authorize:
    """Send back what the next attempt shows. ``refused`` is an access token that the server no longer takes."""

    __slots__ = ("call", "refused")

    def __init__(self, call: Call, refused: str | None) -> None:
        self.call = call
        self.refused = refused


class Send:
    """Send a request, and send back the ``Response`` or the ``TransportError`` that came of it."""

    __slots__ = ("request",)

    def __init__(self, request: Request) -> None:
        self.request = request


class Wait:
    """Wait for so many seconds."""

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


Step = Authorize | Send | Wait


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Kit:
    """What all calls of a client share.

    Args:
        policy: How often and how patiently to repeat.
        budget: What repetitions draw from.
        hooks: Functions of the caller's.
        monotonic: A clock that only runs forward, in seconds.
        now: The wall clock.
        chance: A random number of [0, 1).
    """

    __slots__ = ("budget", "chance", "hooks", "monotonic", "now", "policy")

    def __init__(
        self,
        *,
        policy: RetryPolicy,
        budget: RetryBudget,
        hooks: Hooks,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = _utc_now,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.policy = policy
        self.budget = budget
        self.hooks = hooks
        self.monotonic = monotonic
        self.now = now
        self.chance = chance


def exchange(call: Call, kit: Kit) -> Generator[Step, Any, Any]:
    """Carry out a call, step by step, and return what ``call.read`` or ``call.receive`` makes of the answer.

    An access token that the server refuses is replaced once, and a proof that lacks what the server wants is made once
    more. Neither is counted as a repetition: the server refused before it began.

    The driver throws in here what an access token can't be had for, because an attempt may have gone before.

    Raises:
        errors.ProblemError: The server says no.
        errors.TransportError: No answer came, within the time and the attempts there are.
    """
    span = begin(call)
    return _attempts(call, kit) if span is None else _traced(_attempts(call, kit), span)


def _traced(steps: Generator[Step, Any, Any], span: CallSpan) -> Generator[Step, Any, Any]:
    """Hand steps on as they come, and note in a span what is sent and answered."""
    try:
        step = next(steps)
        while True:
            if isinstance(step, Send):
                span.send(step.request)
            try:
                outcome = yield step
            except errors.BillfoldError as error:
                step = steps.throw(error)
                continue
            if isinstance(outcome, Response):
                span.note(outcome)
            step = steps.send(outcome)
    except StopIteration as answer:
        span.end(None)
        return answer.value
    except BaseException as error:
        span.end(error)
        raise
    finally:
        steps.close()


def _attempts(call: Call, kit: Kit) -> Generator[Step, Any, Any]:
    doubts = _Doubts(call)
    try:
        return (yield from _repeated(call, kit, doubts))
    except errors.BillfoldError as error:
        told = doubts.left_by(error)
        told.idempotency_key = next((call.headers[name] for name in _KEYS if name in call.headers), None)
        if told is error:
            raise
        raise told from error


class _Doubts:
    """Whether an order that is given up may have been carried out by an earlier attempt.

    Where a server dies over an order, its answer is lost, and whoever asks again is refused the connection. That
    nothing was sent is true of the last attempt alone, and whoever took it for the whole would give a new order.
    """

    __slots__ = ("_first", "_matters")

    def __init__(self, call: Call) -> None:
        self._matters = call.authorized and call.method != "GET"
        self._first: errors.BillfoldError | None = None

    def note(self, error: errors.BillfoldError) -> None:
        """Keep the first trouble of an attempt after which nobody knows what has become of the order."""
        if self._matters and self._first is None and error.in_doubt:
            self._first = error

    def left_by(self, error: errors.BillfoldError) -> errors.BillfoldError:
        """Return what the caller is told: an earlier doubt, where the last error doesn't settle it."""
        return error if self._first is None or settles(error) or error.in_doubt else self._first


def _repeated(call: Call, kit: Kit, doubts: _Doubts) -> Generator[Step, Any, Any]:
    deadline = kit.monotonic() + call.timeouts.total_s
    attempt = 0
    refused: str | None = None
    renewed = False
    shown = _NOTHING
    while True:
        if call.authorized or call.identity is not None:
            try:
                shown = yield Authorize(call, refused)
            except (errors.TransportError, errors.ProblemError) as absence:
                # What was sent asked for a token, and this call is still to be.
                absence.sent = False
                raise
        attempt += 1
        sent_at = kit.monotonic()
        if sent_at >= deadline:
            raise errors.TimedOut("the time was over before the request could be sent", sent=False)
        request = _request(call, kit, shown, deadline - sent_at)
        request.headers.update(shown.headers)
        outcome: Response | errors.TransportError = yield Send(request)
        for name in shown.headers:
            request.headers.pop(name, None)
        asked_s: float | None = None
        if isinstance(outcome, Response):
            _tell(call, kit, request, outcome, kit.monotonic() - sent_at)
            if outcome.status in _SUCCESS:
                kit.budget.earn()
                return call.read(outcome.body) if call.receive is None else call.receive(outcome)
            asked_s = retry_after_s(outcome, kit.now())
            error = call.fail(outcome, asked_s)
            if not renewed and shown.outdated(outcome):
                renewed = True
                attempt -= 1
                continue
            if shown.token is not None and refused is None and outcome.status == _UNAUTHENTICATED:
                refused = shown.token
                attempt -= 1
                continue
        else:
            error = outcome
        doubts.note(error)
        yield Wait(_pause(call, kit, error, attempt=attempt, asked_s=asked_s, deadline=deadline))


def _request(call: Call, kit: Kit, shown: Shown, left_s: float) -> Request:
    timeouts = call.timeouts
    request = Request(
        call.method,
        shown.url or call.url,
        headers=call.headers.copy(),
        body=call.body if shown.body is None else shown.body,
        connect_s=min(timeouts.connect_s, left_s),
        read_s=min(timeouts.read_s, left_s),
        total_s=left_s,
    )
    if kit.hooks.on_request is not None and call.authorized:
        kit.hooks.on_request(request)
    return request


_deprecated: Final[set[str]] = set()
"""Of what the log was told that it ends. A race of threads would tell it twice, which harms nothing."""


def _warn(call: Call, since: str, headers: Mapping[str, str]) -> None:
    """Tell the log, once in a process, that the server is going to stop serving something (RFC 9745, RFC 8594)."""
    what = f"{call.method} {call.template or call.name}"
    if what not in _deprecated:
        _deprecated.add(what)
        ends, link = headers.get("sunset", "an unknown date"), headers.get("link", "the changelog")
        _log.warning("%s is deprecated (%.40s) and served until %.60s; see %.300s", what, since, ends, link)


def _tell(call: Call, kit: Kit, request: Request, response: Response, took_s: float) -> None:
    """Tell the log and the caller's hook of a response."""
    if (since := response.headers.get("deprecation")) is not None:
        _warn(call, since, response.headers)
    if _log.isEnabledFor(logging.DEBUG):
        request_id = response.headers.get("x-request-id", "-")
        _log.debug("%s: %d in %.1f ms (%s)", call.name, response.status, took_s * 1000, request_id)
    if kit.hooks.on_response is not None and call.authorized:
        kit.hooks.on_response(request, response, took_s)


def _pause(
    call: Call, kit: Kit, error: errors.BillfoldError, *, attempt: int, asked_s: float | None, deadline: float
) -> float:
    """Return how long to wait before the next attempt, or raise the error when there is to be none."""
    wait_s: float | None = None
    if is_worth_repeating(error, repeatable=call.repeatable):
        wait_s = kit.policy.wait_s(attempt, asked_s, kit.chance())
    # A wait that outlasts the call's time would only delay the bad news.
    if wait_s is None or kit.monotonic() + wait_s >= deadline or not kit.budget.spend():
        raise error
    _log.info("%s: attempt %d failed (%s), the next in %.2f s", call.name, attempt, type(error).__name__, wait_s)
    return wait_s
