"""The application inside another program's process: for whoever embeds the platform, and for tests of programs.

Its requests are calls of an ASGI application. What a server runs as processes of their own (the decryptor, the rail
simulator) is started when it is first needed.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from litestar import Litestar

from billfold_server.app import build_app
from billfold_server.http.logs import leave_logs_to_the_program
from billfold_server.payments import service as payments
from billfold_server.serving.on_demand import OnDemand
from billfold_server.serving.supervisor import SIMULATOR
from billfold_server.settings import Settings

__all__ = ["in_process"]


@asynccontextmanager
async def in_process(
    settings: Settings, *, prepare: Callable[[Litestar], None] = lambda _: None
) -> AsyncIterator[Litestar]:
    """Have the application, started, until the block ends.

    Args:
        settings: With databases that are set up.
        prepare: Changes something of the application before it starts.
    """
    leave_logs_to_the_program()
    app = build_app(settings)
    prepare(app)
    async with AsyncExitStack() as stack:
        decryptor = OnDemand(settings)
        app.state.services.decryptor.client.wake = decryptor.wake
        stack.push_async_callback(asyncio.to_thread, decryptor.stop)
        simulator = OnDemand(settings, SIMULATOR)
        app.state.services.rooms[payments.ROOM].simulated.wake = simulator.wake
        stack.push_async_callback(asyncio.to_thread, simulator.stop)
        await stack.enter_async_context(_started(app))
        yield app


@asynccontextmanager
async def _started(app: Litestar) -> AsyncIterator[None]:
    """Have the application started, in a task of its own.

    It holds task groups open, which would dress up what the program around us raises, and would have to be closed by
    the very task that opened them.
    """
    ready, stop = asyncio.Event(), asyncio.Event()

    async def live() -> None:
        async with app.lifespan():
            ready.set()
            await stop.wait()

    living, starting = asyncio.create_task(live(), name="billfold"), asyncio.create_task(ready.wait())
    await asyncio.wait({living, starting}, return_when=asyncio.FIRST_COMPLETED)
    starting.cancel()
    try:
        if not living.done():
            yield
    finally:
        stop.set()
        await living
