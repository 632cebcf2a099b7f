"""Sandboxes of a platform that runs in a thread of this process, one after the other or several at a time."""

import warnings
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from os import PathLike, fspath
from typing import Any, Protocol

from anyio.from_thread import BlockingPortal, start_blocking_portal

from billfold import _server
from billfold._portal import AsyncPortalTransport, PortalTransport
from billfold.client._async.transport import AsyncHttpxTransport
from billfold.testing._async.sandbox import AsyncSandbox
from billfold.testing._sync.sandbox import Sandbox
from billfold.testing.receiver import Receiver

__all__ = ["Sandboxes", "Tenant", "open_sandboxes"]


class _Lent(Protocol):
    """A tenant that nobody has used before."""

    base_url: str
    client_id: str
    client_secret: str


class _Platform(Protocol):
    """What the server hands out: the application, and tenants in it."""

    app: Any

    async def take(self) -> _Lent: ...

    async def give_back(self, lent: Any) -> None: ...


class Tenant:
    """A fresh tenant, of which one or both kinds of sandbox can be had."""

    def __init__(self, lent: _Lent, portal: BlockingPortal, transport: AsyncHttpxTransport) -> None:
        self._credentials = {
            "base_url": lent.base_url,
            "client_id": lent.client_id,
            "client_secret": lent.client_secret,
        }
        self._portal = portal
        self._transport = transport
        self._receivers: list[Receiver] = []

    def close(self) -> None:
        """Receive no webhooks any more."""
        for each in self._receivers:
            each.close()
        self._receivers.clear()

    def sandbox(self) -> Sandbox:
        """Return the tenant's sandbox, for any thread."""
        return Sandbox(
            {**self._credentials, "transport": PortalTransport(self._portal, self._transport)}, self._receivers
        )

    def async_sandbox(self) -> AsyncSandbox:
        """Return the tenant's sandbox, for any event loop."""
        return AsyncSandbox(
            {**self._credentials, "transport": AsyncPortalTransport(self._portal, self._transport)}, self._receivers
        )


class Sandboxes:
    """Makes sandboxes: the fixture ``wallet_sandboxes``, for fixtures of any scope.

    ::

        @pytest.fixture(scope="module")
        def shop(wallet_sandboxes):
            with wallet_sandboxes.fresh() as sandbox:
                yield Shop(sandbox.client)
    """

    def __init__(self, portal: BlockingPortal, platform: _Platform) -> None:
        self._portal = portal
        self._platform = platform
        self._transport = AsyncHttpxTransport(app=platform.app)

    @contextmanager
    def fresh(self) -> Iterator[Sandbox]:
        """Have a sandbox that nobody has used before, until the block ends."""
        with self.tenant() as tenant:
            yield tenant.sandbox()

    @contextmanager
    def fresh_async(self) -> Iterator[AsyncSandbox]:
        """Have a sandbox that nobody has used before, for asyncio, until the block ends."""
        with self.tenant() as tenant:
            yield tenant.async_sandbox()

    @contextmanager
    def tenant(self) -> Iterator[Tenant]:
        """Have a tenant that nobody has used before, until the block ends."""
        lent = self._portal.call(self._platform.take)
        tenant = Tenant(lent, self._portal, self._transport)
        try:
            yield tenant
        finally:
            tenant.close()
            # Cleared up while the program goes on to what it does next.
            self._portal.call(self._platform.give_back, lent)


@contextmanager
def open_sandboxes(*, run: str | None = None, tenant: str | PathLike[str] | None = None) -> Iterator[Sandboxes]:
    """Open a platform for tests in a thread of this process until the block ends; then nothing of it is left.

    For other test runners than pytest, whose plugin does this by itself.

    Args:
        run: What the processes of one run have in common, and nobody else; they share a PostgreSQL.
        tenant: The folder of a tenant whose manifest all sandboxes have; the shipped sandbox's where absent.

    Raises:
        ImportError: The extras aren't installed; the message says how to install them.
    """
    with warnings.catch_warnings():
        # Tests that make errors of warnings mean those of their own program.
        warnings.simplefilter("ignore")
        opening = _server.load("testing", extra="server,postgres")
    platform: AbstractAsyncContextManager[_Platform] = opening(
        run=run, tenant=None if tenant is None else fspath(tenant)
    )
    with (
        start_blocking_portal("asyncio", name="billfold-testing") as portal,
        portal.wrap_async_context_manager(platform) as opened,
    ):
        yield Sandboxes(portal, opened)
