"""Processes that are started when they are first needed, for platforms that live in another program's process.

Such are the decryptor and the rail simulator. Each is looked after in a thread of its own, so that it is replaced when
it dies whatever the program around us does. Several processes may share a data folder: the first of them has the
process, and when that one ends the next does.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from billfold_server.db.embedded.locks import open_lock, try_lock
from billfold_server.serving.orders import Orders, decryptors_orders, simulators_orders
from billfold_server.serving.supervisor import DECRYPTOR, SIMULATOR, Supervisor
from billfold_server.settings import Settings

__all__ = ["OnDemand"]

_log = logging.getLogger("billfold.supervisor")

_ORDERS: Final[dict[str, Callable[[Settings], Orders]]] = {DECRYPTOR: decryptors_orders, SIMULATOR: simulators_orders}
_LOCKS: Final = {DECRYPTOR: "decryptor.lock", SIMULATOR: "simulator.lock"}
_ASK_AGAIN_S: Final = 0.1
_STOP_S: Final = 5.0


class OnDemand:
    """Starts the decryptor, or another process, of a data folder when it is needed, and ends it.

    Args:
        settings: With databases.
        module: What the process runs.
    """

    def __init__(self, settings: Settings, module: str = DECRYPTOR) -> None:
        self._settings = settings
        self._module = module
        self._once = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopped = False
        self._there = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    async def wake(self) -> None:
        """See that there is one, or that everything was tried; what failed is tried anew by who asks next."""
        if self._there.is_set() and (self._stopped or (self._thread is not None and self._thread.is_alive())):
            return
        with self._once:
            if not self._stopped and (self._thread is None or not self._thread.is_alive()):
                self._there.clear()
                self._thread = threading.Thread(target=self._run, name=f"watch-{self._module}", daemon=True)
                self._thread.start()
        await asyncio.to_thread(self._there.wait)

    def stop(self) -> None:
        """End it, if it was started."""
        with self._once:
            self._stopped = True
            thread = self._thread
        if thread is None:
            self._there.set()
            return
        self._there.wait()
        if self._loop is not None and self._stop is not None and thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._live())
        except Exception:  # noqa: BLE001 - A thread's last place; without it the rest goes on.
            _log.exception("%s can't be looked after", self._module)
        finally:
            self._there.set()

    async def _live(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        stopping = asyncio.create_task(self._stop.wait())
        lock = open_lock(Path(self._settings.data_dir) / _LOCKS[self._module])
        try:
            while not try_lock(lock, shared=False):
                # Another process has one, which serves us, too.
                self._there.set()
                await asyncio.wait([stopping], timeout=_ASK_AGAIN_S)
                if stopping.done():
                    return
            await self._keep(stopping)
        finally:
            os.close(lock)

    async def _keep(self, stopping: "asyncio.Task[bool]") -> None:
        supervisor = Supervisor([], 1, module=self._module)
        await supervisor.prepare()
        try:
            await supervisor.serve(_ORDERS[self._module](self._settings))
            self._there.set()
            keeping = asyncio.create_task(supervisor.keep())
            await asyncio.wait([stopping, keeping], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._there.set()
            await supervisor.stop(timeout_s=_STOP_S, at_once=asyncio.Event())
