"""Drives calls: does what ``exchange`` asks for, and keeps the access token that they share."""

import copy
from typing import Any

from billfold import errors
from billfold.auth import ClientCredentials, TokenStore
from billfold.client import _forking as forking
from billfold.client._async.backend import Lock, sleep
from billfold.client._flow import Authorize, Call, Kit, Send, Timeouts, exchange
from billfold.client._message import AsyncTransport
from billfold.client._problems import token_error_of

__all__ = ["AsyncSession", "AsyncTokens"]


class AsyncTokens:
    """Fetches access tokens, one request at a time, however many calls wait for one.

    Args:
        credentials: What proves who is asking.
        url: The token endpoint.
    """

    def __init__(self, credentials: ClientCredentials, url: str) -> None:
        self.credentials = credentials
        self._url = url
        self._store = TokenStore()
        self._lock = Lock()
        forking.watch(self)

    def after_fork(self) -> None:
        """Replace the lock, which may have been held at that moment."""
        self._lock = Lock()

    async def get(self, session: "AsyncSession", refused: str | None) -> str:
        """Return an access token that isn't the refused one.

        Raises:
            errors.AuthenticationFailed: The credentials aren't accepted.
            errors.BillfoldError: The token endpoint can't be reached, or doesn't answer as it should.
        """
        kit, store = session.kit, self._store
        token = store.current(refused, kit.monotonic())
        if token is not None:
            return token
        turn = store.turn
        async with self._lock:
            token = store.current(refused, kit.monotonic())
            if token is not None:
                return token
            error = store.failure_since(turn)
            if error is not None:
                # A copy, because each waiter adds its own traceback.
                raise copy.copy(error)
            return await self._fetch(session)

    async def _fetch(self, session: "AsyncSession") -> str:
        now = session.kit.monotonic()
        call = Call(
            "POST",
            self._url,
            name="POST /oauth/token",
            headers={
                "accept": "application/json",
                "content-type": "application/x-www-form-urlencoded",
                "user-agent": session.headers["user-agent"],
                **self.credentials.headers(),
            },
            body=self.credentials.form(),
            read=lambda body: self.credentials.read(body, now),
            fail=token_error_of,
            timeouts=session.timeouts,
            authorized=False,
        )
        try:
            return self._store.keep(await session.run(call))
        except errors.BillfoldError as error:
            self._store.fail(error)
            raise


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
        """
        steps = exchange(call, self.kit)
        step = next(steps)
        try:
            while True:
                outcome: Any = None
                if isinstance(step, Send):
                    try:
                        outcome = await self.transport.send(step.request)
                    except errors.TransportError as error:
                        outcome = error
                elif isinstance(step, Authorize):
                    outcome = await self.tokens.get(self, step.refused)
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
