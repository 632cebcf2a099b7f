"""One server per data folder, held by a lock that no ``kill -9`` leaves stale.

Two lock files, both flock(2), which the kernel drops with the process that holds them:

``server.lock``
    held exclusively by the parent; its text says where the server is reached.
``workers.lock``
    held shared by every worker. While it is held and ``server.lock`` isn't, workers of a killed parent are still
    answering their last requests. Who can have it exclusively then is the last one out, and puts out the lights.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from billfold_server.db.embedded.locks import is_locked, open_lock, try_lock
from billfold_server.serving.failures import Exit, Failure

__all__ = ["Running", "find_running", "is_last_worker", "join_workers", "only_server", "workers_remain"]

_SERVER = "server.lock"
_WORKERS = "workers.lock"
_ASKED_FOR_S = 0.2


class Running(msgspec.Struct, frozen=True):
    """A server that runs on a data folder.

    Attributes:
        pid: Its parent process.
        url: Where it is reached; None while it is still starting.
        port: Its port; None while it is still starting.
    """

    pid: int
    url: str | None = None
    port: int | None = None


class Place:
    """The place of this data folder's one server, taken."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def announce(self, running: Running) -> None:
        """Tell who comes later where the server is."""
        text = msgspec.json.encode(running)
        os.pwrite(self._descriptor, text, 0)
        os.ftruncate(self._descriptor, len(text))


@contextlib.contextmanager
def only_server(data_dir: Path) -> Iterator[Place]:
    """Be the data folder's one server until the block ends.

    Raises:
        Failure: Another one is; the sentence says where.
    """
    descriptor = open_lock(data_dir / _SERVER)
    try:
        _take(descriptor, data_dir)
        place = Place(descriptor)
        place.announce(Running(os.getpid()))
        yield place
    finally:
        os.close(descriptor)


def _take(descriptor: int, data_dir: Path) -> None:
    # Whoever asks whether a server runs holds the lock for the moment of the question.
    deadline = time.monotonic() + _ASKED_FOR_S
    while not try_lock(descriptor, shared=False):
        if time.monotonic() > deadline:
            raise _already_running(data_dir)
        time.sleep(_ASKED_FOR_S / 10)


def find_running(data_dir: Path) -> Running | None:
    """Return the server that runs on a data folder, or None."""
    path = data_dir / _SERVER
    if not path.exists() or not is_locked(path):
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=Running)
    except (OSError, msgspec.DecodeError):
        # It has the lock and hasn't yet said anything.
        return Running(pid=0)


def _already_running(data_dir: Path) -> Failure:
    running = find_running(data_dir)
    where = f" at {running.url}" if running is not None and running.url is not None else ""
    who = f" (process {running.pid})" if running is not None and running.pid else ""
    return Failure(
        "already_running",
        f"Billfold is already running on {data_dir}{where}{who}: "
        "use that one, stop it, or name another folder with --data-dir.",
        Exit.TRY_AGAIN,
        data_dir=str(data_dir),
        url=None if running is None else running.url,
        pid=None if running is None else running.pid,
    )


def join_workers(data_dir: Path) -> int:
    """Be counted as a worker, and return the descriptor that says so."""
    descriptor = open_lock(data_dir / _WORKERS)
    # Who holds it exclusively is about to let go: the last worker of a killed server, or who asks for such.
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def is_last_worker(descriptor: int) -> bool:
    """Tell whether no other worker is left, at the end of a worker's life.

    The place among the workers is given up first. So of two that end together at least one finds itself the last.
    """
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return try_lock(descriptor, shared=False)


def workers_remain(data_dir: Path) -> bool:
    """Tell whether workers of a killed parent are still there; to be asked by who holds the server's place."""
    path = data_dir / _WORKERS
    if not path.exists():
        return False
    descriptor = open_lock(path)
    try:
        return not try_lock(descriptor, shared=False)
    finally:
        os.close(descriptor)
