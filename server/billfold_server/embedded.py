"""The platform inside another program's process: what ``billfold.embedded`` finds by its entry point.

It is for development, tests and trials. The application is called in process, over no socket; its database is a real
PostgreSQL, which all processes with the same data folder share. The first of them does the jobs; when it ends, however
it ends, another takes over.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from litestar import Litestar

from billfold_server.db.background import Background
from billfold_server.db.embedded.locks import open_lock, try_lock
from billfold_server.http.logs import leave_logs_to_the_program
from billfold_server.serving.database import find_database
from billfold_server.serving.failures import Exit, Failure
from billfold_server.serving.in_process import in_process
from billfold_server.serving.service import make_current, make_data_dir
from billfold_server.settings import load_settings

__all__ = ["Platform", "open_embedded"]

_STARTING = "embedded.lock"
_JOBS = "jobs.lock"
_CREDENTIALS = "embedded.env"
_ASK_AGAIN_S = 0.02
_TAKE_OVER_S = 0.5


class Platform(msgspec.Struct, frozen=True, kw_only=True):
    """A platform that is open in this process.

    Attributes:
        app: The ASGI application, started.
        base_url: Where it believes to be; a client of the sandbox begins its addresses so.
        client_id: An API client of the sandbox that may do everything.
        client_secret: Its secret.
    """

    app: Any
    base_url: str
    client_id: str
    client_secret: str

    def __repr__(self) -> str:
        """Show where it is, and not the secret."""
        return f"Platform({self.base_url})"


@asynccontextmanager
async def open_embedded(*, data_dir: str | None = None) -> AsyncIterator[Platform]:
    """Open the platform in this process until the block ends.

    Args:
        data_dir: Where the database lives; the settings' where absent.

    Raises:
        SettingsInvalid: The environment or the file that it names holds a wrong setting.
        Failure: The database can't be had, or the settings are those of production.
        EmbeddedPostgresError: The embedded database can't be had.
    """
    settings = load_settings(data_dir=data_dir)
    if settings.production:
        raise Failure(
            "embedded_in_production",
            "A platform in production is never embedded: run billfold up, and give the SDK its address.",
            Exit.SETTINGS,
        )
    leave_logs_to_the_program()
    folder = make_data_dir(settings)
    async with AsyncExitStack() as stack:
        async with _held(folder / _STARTING, ask_again_s=_ASK_AGAIN_S):
            found = await stack.enter_async_context(find_database(settings))
            credentials = await make_current(found.settings, file=_CREDENTIALS)
        if credentials is None:
            raise _without_administrator()

        def first_only(app: Litestar) -> None:
            rooms = app.state.services.rooms
            rooms["background"] = _FirstOnly(rooms["background"], folder / _JOBS)

        app = await stack.enter_async_context(in_process(found.settings, prepare=first_only))
        yield Platform(
            app=app,
            base_url=credentials.base_url,
            client_id=credentials.client_id,
            client_secret=credentials.client_secret,
        )


def _without_administrator() -> Failure:
    return Failure(
        "embedded_without_administrator",
        "The database's login may not set up a sandbox: unset BILLFOLD_DATABASE_URL, or give an administrator's.",
        Exit.SETTINGS,
    )


class _FirstOnly:
    """The background, in the first of several processes, and in the next when that one has gone."""

    def __init__(self, background: Background, lock: Path) -> None:
        self._background = background
        self._lock = lock

    async def run(self) -> None:
        """Wait for the place, then do what there is to do until cancelled."""
        async with _held(self._lock, ask_again_s=_TAKE_OVER_S):
            await self._background.run()

    async def leave(self, tenant_id: UUID) -> None:
        """Let go of a tenant that is about to be gone."""
        await self._background.leave(tenant_id)


@asynccontextmanager
async def _held(path: Path, *, ask_again_s: float) -> AsyncIterator[None]:
    """Hold a lock that processes share, without blocking the event loop around us."""
    descriptor = open_lock(path)
    try:
        while not try_lock(descriptor, shared=False):  # noqa: ASYNC110 - No event comes from another process.
            await asyncio.sleep(ask_again_s)
        yield
    finally:
        os.close(descriptor)
