"""The decryptor's process: ``python -m billfold_server.serving.decrypting CHANNEL``.

It is started like a worker, and told its settings through a channel that nobody else can read; neither its arguments
nor its environment hold a secret. When the channel ends, its parent is gone, however it went: it then serves the
workers that finish what they have begun, and ends when they have.
"""

import asyncio
import contextlib
import functools
import gc
import logging
import signal
import socket
import sys
from collections import Counter
from typing import Any, Final

import msgspec
import uvloop

from billfold.clock import SystemClock
from billfold_server.decryptor.cvcs import Cvcs
from billfold_server.decryptor.handling import Handling
from billfold_server.decryptor.hardening import close_to_others, frames_of, keep_words_out_of_logs, silence_failures
from billfold_server.decryptor.server import Server
from billfold_server.decryptor.service import SECRET, folder_of
from billfold_server.http.logs import configure_logs
from billfold_server.keys.service import Keeper, open_keyring, open_keys
from billfold_server.serving.files import insist_on_keyring
from billfold_server.serving.orders import Report, read_orders, report_failure, settings_of, take_sockets
from billfold_server.serving.pulse import beating
from billfold_server.settings import Settings

__all__ = ["main"]

_log = logging.getLogger("billfold.decryptor")

_SWEEP_S: Final = 5.0


async def _live(settings: Settings, channel: socket.socket, *, memory_locked: bool) -> None:
    """Serve until told to end, or until the parent is gone and nobody asks any more."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_told)
    insist_on_keyring(settings)
    keyring = open_keyring(settings)
    cvcs = Cvcs()
    called: Counter[tuple[str, str]] = Counter()

    def observe(operation: str, outcome: str, _took_s: float) -> None:
        called[operation, outcome] += 1

    keys = open_keys(settings, keyring, domain="cards", observe=observe)
    if not (cvcs.locked or memory_locked):
        _log.warning("the system locks no memory, so card codes may be swapped: raise the limit (LimitMEMLOCK)")
    server = Server(
        folder_of(settings.data_dir),
        keyring.derive(SECRET),
        Handling(keys, SystemClock(), cvcs, memory_locked=memory_locked, vault_calls=called),
    )
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    keeper = Keeper(keys, rotate_days=settings.key_rotation_days)
    works = [asyncio.create_task(each) for each in (server.serve(), keys.run(), keeper.run(), _sweep(cvcs))]
    parent = asyncio.create_task(_watch(channel, settings.hung_timeout_s))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([*works, parent, stopping], return_when=asyncio.FIRST_COMPLETED)
        works[0].cancel()
        await asyncio.wait([works[0]])
        if parent.done() and not stop.is_set():
            await asyncio.wait(
                [asyncio.create_task(server.hung_up(timeout_s=settings.shutdown_timeout_s)), stopping],
                return_when=asyncio.FIRST_COMPLETED,
            )
        await server.drain()
    finally:
        for each in (*works, parent, stopping):
            each.cancel()
        await asyncio.wait([*works, parent, stopping])
        cvcs.close()
        await keys.close()
    for each in works:
        if not each.cancelled() and (error := each.exception()) is not None:
            raise error


async def _sweep(cvcs: Cvcs) -> None:
    while True:
        await asyncio.sleep(_SWEEP_S)
        cvcs.sweep()


async def _watch(channel: socket.socket, hung_timeout_s: float) -> None:
    """Say that orders are taken, and go on saying that this process turns; return when the parent is gone."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(ConnectionError):
        await loop.sock_sendall(channel, msgspec.json.encode(Report()) + b"\n")
        async with beating(functools.partial(loop.sock_sendall, channel), hung_timeout_s):
            # Nothing more is said after the settings, so what comes is the end.
            await loop.sock_recv(channel, 1)


def _told(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Tell what nobody waits for without its words."""
    error = context.get("exception")
    if isinstance(error, BaseException):
        _log.error("the decryptor failed\n%s", frames_of((type(error), error, error.__traceback__)))


def main() -> None:
    """Take the parent's settings and serve."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # Before anything is known that others might look for.
    memory_locked = close_to_others()
    (channel,) = take_sockets()
    try:
        orders = read_orders(channel)
        if orders is None:
            return
        settings = settings_of(orders)
        configure_logs(settings)
        keep_words_out_of_logs()
        silence_failures()
        # What was loaded stays, so it is no business of the collector; what orders leave behind is looked for as often.
        gc.collect()
        gc.freeze()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_live(settings, channel, memory_locked=memory_locked))
    except Exception as error:  # noqa: BLE001 - The last place where the parent can be told.
        from billfold_server.serving.explaining import explain  # noqa: PLC0415 - Knows all rooms, and is seldom asked.

        failure = explain(error)
        _log.error("the decryptor ends\n%s", frames_of((type(error), error, error.__traceback__)))
        report_failure(channel, failure)
        sys.exit(failure.exit_code)


if __name__ == "__main__":
    main()
