"""The whole platform in the caller's own process: the same clients, a real PostgreSQL, and no server to run.

::

    from billfold import Money
    from billfold.embedded import embedded

    async with embedded() as billfold:
        party = await billfold.parties.create(kind="person", name="Ada Lovelace")

It needs the extras ``billfold[server,postgres]``, and finds the server by its entry point, so that the SDK itself
imports nothing of it. Processes that are given the same data folder share one platform: the first starts the database
and does the jobs, the others attach, and whoever is last stops the database.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from os import PathLike, fspath
from typing import Any, Protocol

from anyio.from_thread import start_blocking_portal

from billfold import _server
from billfold._portal import PortalTransport
from billfold.client._async.client import AsyncBillfold
from billfold.client._async.transport import AsyncHttpxTransport
from billfold.client._flow import Timeouts
from billfold.client._message import Hooks
from billfold.client._sync.client import Billfold

__all__ = ["embedded", "embedded_sync"]


class _Platform(Protocol):
    """What the server hands out: the application, and credentials of the sandbox tenant in it."""

    app: Any
    base_url: str
    client_id: str
    client_secret: str


def _open(data_dir: str | PathLike[str] | None) -> AbstractAsyncContextManager[_Platform]:
    """Find the server and let it open a platform.

    Raises:
        MissingExtraError: The server isn't installed.
    """
    platform: AbstractAsyncContextManager[_Platform] = _server.load("embedded", extra="server,postgres")(
        data_dir=None if data_dir is None else fspath(data_dir)
    )
    return platform


@asynccontextmanager
async def embedded(
    *,
    data_dir: str | PathLike[str] | None = None,
    timeout_s: float | Timeouts | None = None,
    max_retries: int | None = None,
    hooks: Hooks | None = None,
) -> AsyncIterator[AsyncBillfold]:
    """Run the platform in this process until the block ends, and yield a client of its sandbox.

    Args:
        data_dir: Where the database lives; kept between runs. Where absent it is ``BILLFOLD_DATA_DIR``, or else the
            folder of ``billfold up``: ``/var/lib/billfold`` for root, ``billfold`` below ``$XDG_STATE_HOME`` for others
            (``~/.local/state``; on macOS ``~/Library/Application Support``).
        timeout_s: Total time of a call in seconds with all retries, or ``Timeouts``.
        max_retries: How often a call is repeated at most, where that is safe.
        hooks: Functions to call around every exchange.

    Raises:
        ImportError: The extras aren't installed; the message says how to install them.
    """
    async with (
        _open(data_dir) as platform,
        AsyncBillfold(
            base_url=platform.base_url,
            client_id=platform.client_id,
            client_secret=platform.client_secret,
            transport=AsyncHttpxTransport(app=platform.app),
            timeout_s=timeout_s,
            max_retries=max_retries,
            hooks=hooks,
        ) as client,
    ):
        yield client


@contextmanager
def embedded_sync(
    *,
    data_dir: str | PathLike[str] | None = None,
    timeout_s: float | Timeouts | None = None,
    max_retries: int | None = None,
    hooks: Hooks | None = None,
) -> Iterator[Billfold]:
    """Run the platform in a thread of this process until the block ends, and yield a client of its sandbox.

    The client may be used in any thread of this process. A process that is forked from it opens its own.

    Args:
        data_dir: Where the database lives; kept between runs. Where absent it is ``BILLFOLD_DATA_DIR``, or else the
            folder of ``billfold up``: ``/var/lib/billfold`` for root, ``billfold`` below ``$XDG_STATE_HOME`` for others
            (``~/.local/state``; on macOS ``~/Library/Application Support``).
        timeout_s: Total time of a call in seconds with all retries, or ``Timeouts``.
        max_retries: How often a call is repeated at most, where that is safe.
        hooks: Functions to call around every exchange.

    Raises:
        ImportError: The extras aren't installed; the message says how to install them.
    """
    with (
        start_blocking_portal("asyncio", name="billfold-embedded") as portal,
        portal.wrap_async_context_manager(_open(data_dir)) as platform,
        Billfold(
            base_url=platform.base_url,
            client_id=platform.client_id,
            client_secret=platform.client_secret,
            transport=PortalTransport(portal, AsyncHttpxTransport(app=platform.app)),
            timeout_s=timeout_s,
            max_retries=max_retries,
            hooks=hooks,
        ) as client,
    ):
        yield client
