# Generated from billfold/client/_async/session.py by tests/sdk/generate_sync.py. Change that one instead.

"""Drives calls: does what ``exchange`` asks for."""

from types import TracebackType
from typing import Any, Self

from billfold import errors
from billfold.auth._sync.tokens import Tokens
from billfold.client._flow import Authorize, Call, Kit, Send, Timeouts, exchange
from billfold.client._message import Transport
from billfold.client._sync.backend import sleep

__all__ = ["Closing", "Session"]


class Session:
    """What the resources of a client share: transport, tokens, time-outs and retries.

    Args:
        base_url: Where the tenant is served, without a slash at the end.
        transport: What carries requests.
        tokens: Where access tokens come from.
        kit: Policy, budget, hooks and clocks.
        timeouts: How long to wait.
        headers: What goes with every request.
    """

    def __init__(
        self,
        *,
        base_url: str,
        transport: Transport,
        tokens: Tokens,
        kit: Kit,
        timeouts: Timeouts,
        headers: dict[str, str],
    ) -> None:
        self.base_url = base_url
        self.transport = transport
        self.tokens = tokens
        self.kit = kit
        self.timeouts = timeouts
        self.headers = headers

    def run(self, call: Call) -> Any:
        """Carry out a call and return its answer.

        Raises:
            errors.ProblemError: The server says no.
            errors.TransportError: No answer came.
            errors.BillfoldError: A key can't sign, or the authorization server isn't what it should be.
        """
        steps = exchange(call, self.kit)
        step = next(steps)
        try:
            while True:
                outcome: Any = None
                if isinstance(step, Send):
                    try:
                        outcome = self.transport.send(step.request)
                        self.tokens.authority.notice(step.request.url, outcome, self.kit)
                    except errors.TransportError as error:
                        outcome = error
                elif isinstance(step, Authorize):
                    try:
                        outcome = (step.call.identity or self.tokens).authorize(self, step)
                    except errors.BillfoldError as error:
                        step = steps.throw(error)
                        continue
                else:
                    sleep(step.seconds)
                step = steps.send(outcome)
        except StopIteration as answer:
            return answer.value
        finally:
            steps.close()

    def close(self) -> None:
        """Give back connections."""
        self.transport.close()


class Closing:
    """What has a session of its own, and ends it."""

    _session: Session

    def close(self) -> None:
        """Give back connections. A later call opens new ones."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self._session.base_url!r})"
