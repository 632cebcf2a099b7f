"""Plays a call without input or output: a clock that stands still, and outcomes that are given beforehand."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from billfold import errors
from billfold.client._flow import Authorize, Call, Kit, Send, Shown, Timeouts, Wait, exchange
from billfold.client._message import Hooks, Request, Response
from billfold.client._retry import RetryBudget, RetryPolicy

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)

Outcome = Response | errors.TransportError


def problem(status: int, code: str, **headers: str) -> Response:
    """Return a refusal as the server words it."""
    body = (
        f'{{"type":"urn:billfold:problem:{code}","title":"T","status":{status},"code":"{code}","detail":"D",'
        f'"request_id":"req_1","facts":{{}},"violations":[],"param":null}}'
    )
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, body.encode())


def success(body: bytes = b"{}") -> Response:
    """Return a success."""
    return Response(200, {}, body)


class Play:
    """One call, played to its end.

    Attributes:
        requests: What was sent.
        tokens: The Authorization header of each.
        waits: How long was waited, in order.
        refused: Which tokens were asked to be replaced, in order; None is an ordinary request for one.
        answer: What the caller gets.
        error: Or what it catches.
    """

    def __init__(self, outcomes: Iterable[Outcome], *, took_s: float = 0.0, chance: float = 1.0, **options: Any):
        self.requests: list[Request] = []
        self.tokens: list[str | None] = []
        self.waits: list[float] = []
        self.refused: list[str | None] = []
        self.answer: Any = None
        self.error: errors.BillfoldError | None = None
        self.now = 0.0
        self._outcomes = iter(outcomes)
        self._took_s = took_s
        self._outdated = options.pop("outdated", lambda _: False)
        self._untoken: list[errors.BillfoldError | None] = options.pop("untoken", [])
        self.budget = options.pop("budget", None) or RetryBudget()
        self.kit = Kit(
            policy=options.pop("policy", RetryPolicy()),
            budget=self.budget,
            hooks=options.pop("hooks", Hooks()),
            monotonic=lambda: self.now,
            now=lambda: NOW,
            chance=lambda: chance,
        )
        self.call = call(**options)
        self._run()

    def _run(self) -> None:
        steps = exchange(self.call, self.kit)
        outcome: Any = None
        try:
            step = steps.send(outcome)
            while True:
                try:
                    outcome = self._do(step)
                except errors.BillfoldError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(outcome)
        except StopIteration as stop:
            self.answer = stop.value
        except errors.BillfoldError as error:
            self.error = error

    def _do(self, step: Any) -> Any:
        if isinstance(step, Send):
            self.requests.append(step.request)
            self.tokens.append(step.request.headers.get("authorization"))
            self.now += self._took_s
            return next(self._outcomes)
        if isinstance(step, Authorize):
            self.refused.append(step.refused)
            if self._untoken and (error := self._untoken.pop(0)) is not None:
                raise error
            token = f"token-{len(self.refused)}"
            return Shown({"authorization": f"Bearer {token}"}, token=token, outdated=self._outdated)
        assert isinstance(step, Wait)
        self.waits.append(step.seconds)
        self.now += step.seconds
        return None


def call(**options: Any) -> Call:
    """Return a call, by default a question with the usual time-outs."""
    values: dict[str, Any] = {
        "url": "http://127.0.0.1/t/sandbox/v1/wallets",
        "name": "GET /v1/wallets",
        "headers": {"accept": "application/json"},
        "read": lambda body: body,
        "timeouts": Timeouts(),
        **options,
    }
    return Call(values.pop("method", "GET"), values.pop("url"), **values)
