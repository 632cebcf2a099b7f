"""Drives calls: does what ``exchange`` asks for."""

from types import TracebackType
from typing import Any, Self

from billfold import errors
from billfold.auth._async.tokens import AsyncTokens
from billfold.client._async.backend import sleep
from billfold.client._flow import Authorize, Call, Kit, Send, Timeouts, exchange
from billfold.client._message import AsyncTransport

__all__ = ["AsyncClosing", "AsyncSession"]


class AsyncSession:
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
        transport: AsyncTransport,
        tokens: AsyncTokens,
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

    async def run(self, call: Call) -> Any:
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
                        outcome = await self.transport.send(step.request)
                        self.tokens.authority.notice(step.request.url, outcome, self.kit)
                    except errors.TransportError as error:
                        outcome = error
                elif isinstance(step, Authorize):
                    try:
                        outcome = await (step.call.identity or self.tokens).authorize(self, step)
                    except errors.BillfoldError as error:
                        step = steps.throw(error)
                        continue
                else:
                    await sleep(step.seconds)
                step = steps.send(outcome)
        except StopIteration as answer:
            return answer.value
        finally:
            steps.close()

    async def aclose(self) -> None:
        """Give back connections."""
        await self.transport.aclose()


class AsyncClosing:
    """What has a session of its own, and ends it."""

    _session: AsyncSession

    async def aclose(self) -> None:
        """Give back connections. A later call opens new ones."""
        await self._session.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self._session.base_url!r})"
