"""The rail simulator's process: ``python -m billfold_server.serving.simulating CHANNEL``.

It is started like a worker and told its settings through a channel, of which it needs but the data folder. It listens
on a port of the loopback address that is free, and writes down where, with a secret that callers must know. When the
channel ends, its parent is gone, however it went, and it ends too: all that it must remember is on the disk.
"""

import asyncio
import contextlib
import functools
import logging
import signal
import socket
import sys
from typing import Final

import msgspec
import uvicorn

from billfold_server.connectors.simulator.address import announce, folder_of
from billfold_server.connectors.simulator.server import simulator
from billfold_server.connectors.simulator.state import Orders as Remembered
from billfold_server.http.logs import configure_logs
from billfold_server.serving.ending import EndingServer
from billfold_server.serving.orders import Report, read_orders, report_failure, settings_of, take_sockets
from billfold_server.serving.pulse import beating
from billfold_server.settings import Settings

__all__ = ["main"]

_log = logging.getLogger("billfold.simulator")

_LOOPBACK: Final = "127.0.0.1"
_PATIENCE_S: Final = 1


class _Server(EndingServer):
    def __init__(self, config: uvicorn.Config, channel: socket.socket) -> None:
        super().__init__(config)
        self._channel = channel

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and let it be known."""
        await super().startup(sockets)
        with contextlib.suppress(ConnectionError):
            await asyncio.get_running_loop().sock_sendall(self._channel, msgspec.json.encode(Report()) + b"\n")


async def _live(settings: Settings, channel: socket.socket) -> None:
    """Serve until told to end, or until the parent is gone."""
    folder = folder_of(settings.data_dir)
    remembered = Remembered(folder)
    with socket.create_server((_LOOPBACK, 0)) as listener:
        address = announce(folder, listener.getsockname()[1])
        config = uvicorn.Config(
            simulator(remembered, address.secret),
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=_PATIENCE_S,
        )
        server = _Server(config, channel)
        watching = asyncio.create_task(_watch(channel, server, settings.hung_timeout_s))
        try:
            await server.serve(sockets=[listener])
        finally:
            watching.cancel()
            remembered.close()


async def _watch(channel: socket.socket, server: _Server, hung_timeout_s: float) -> None:
    """End when the parent is gone: nothing is said after the settings, so what comes is the end."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(ConnectionError):
        async with beating(functools.partial(loop.sock_sendall, channel), hung_timeout_s):
            await loop.sock_recv(channel, 1)
    server.drain()


def main() -> None:
    """Take the parent's settings and serve."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    (channel,) = take_sockets()
    try:
        orders = read_orders(channel)
        if orders is None:
            return
        settings = settings_of(orders)
        configure_logs(settings)
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
        asyncio.run(_live(settings, channel))
    except Exception as error:  # noqa: BLE001 - The last place where the parent can be told.
        from billfold_server.serving.explaining import explain  # noqa: PLC0415 - Knows all rooms, and is seldom asked.

        failure = explain(error)
        _log.exception("the rail simulator ends")
        report_failure(channel, failure)
        sys.exit(failure.exit_code)


if __name__ == "__main__":
    main()
