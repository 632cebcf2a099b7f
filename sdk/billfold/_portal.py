"""Transports into a platform that runs in a thread of this process, for the program in its other threads."""

import asyncio
from typing import TYPE_CHECKING

from billfold.client import _forking as forking
from billfold.client._message import Request, Response

if TYPE_CHECKING:
    from concurrent.futures import Future

    from anyio.from_thread import BlockingPortal

    from billfold.client._async.transport import AsyncHttpxTransport

__all__ = ["AsyncPortalTransport", "PortalTransport"]


class _Portal:
    """What carries requests into the event loop of the platform's thread.

    Args:
        portal: Into that thread.
        transport: Carries them further, there.
    """

    def __init__(self, portal: "BlockingPortal", transport: "AsyncHttpxTransport") -> None:
        self._portal: BlockingPortal | None = portal
        self._transport = transport
        forking.watch(self)

    def _begin(self, request: Request) -> "Future[Response]":
        if self._portal is None:
            # The thread that would answer isn't in this process, so waiting for it would have no end.
            raise RuntimeError("the platform runs in the process that this one was forked from; open one here")
        return self._portal.start_task_soon(self._transport.send, request)

    def after_fork(self) -> None:
        """Remember that the platform stayed behind."""
        self._portal = None


class PortalTransport(_Portal):
    """Carries requests from any thread, which waits."""

    def send(self, request: Request) -> Response:
        """Send a request and return the whole answer."""
        return self._begin(request).result()

    def close(self) -> None:
        """Do nothing: there are no connections, and the platform is closed by who has opened it."""


class AsyncPortalTransport(_Portal):
    """Carries requests from any event loop of asyncio's, and from one after the other."""

    async def send(self, request: Request) -> Response:
        """Send a request and return the whole answer."""
        return await asyncio.wrap_future(self._begin(request))

    async def aclose(self) -> None:
        """Do nothing: there are no connections, and the platform is closed by who has opened it."""
