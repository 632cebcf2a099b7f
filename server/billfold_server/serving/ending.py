"""How a process that serves by uvicorn ends: when its parent says so, and not by a terminal."""

import asyncio
import contextlib
import signal
from collections.abc import Iterator

import uvicorn

__all__ = ["EndingServer"]


class EndingServer(uvicorn.Server):
    """A server that is stopped by SIGTERM or by its parent's end, and by nothing else."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Drain on SIGTERM. A terminal's Ctrl-C reaches every process, and is the parent's to answer."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.drain)
        yield
        loop.remove_signal_handler(signal.SIGTERM)

    def drain(self) -> None:
        """Accept nothing more, finish what is under way, and end."""
        self.should_exit = True
