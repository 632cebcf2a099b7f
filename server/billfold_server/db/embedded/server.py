"""One running server per data folder, however many processes use it.

Three lock files in the folder arrange it:

``starting``
    held exclusively by whoever starts or stops the server, so that one does at a time;
``users``
    held shared by everyone who uses the server; who can have it exclusively is the last one, and stops the server;
``running``
    held by the server's own processes, which inherit it, until the last of them is gone. It tells more than a process
    number: nothing that runs is mistaken for dead (a server behind another container's network, orphans of a killed
    postmaster), and nothing dead for running (a number that another program has by now, a zombie).
"""

import asyncio
import contextlib
import errno
import logging
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self, TypeVar

import asyncpg

from billfold_server.db.connections import hang_up
from billfold_server.db.embedded.binaries import find_binaries, runnable_binaries
from billfold_server.db.embedded.cluster import OWNER, Cluster
from billfold_server.db.embedded.errors import (
    DataDirUnreachable,
    DataDirUnwritable,
    EmbeddedPostgresError,
    NotStarted,
    StartFailed,
    StartTimedOut,
    StopTimedOut,
)
from billfold_server.db.embedded.folders import os_errors_explained, prepare_home, runtime_user
from billfold_server.db.embedded.locks import is_locked, locked, open_lock, try_lock
from billfold_server.db.ports import HOST

DATABASE = "billfold"
"""The database that is always there."""
_MAINTENANCE_DATABASE = "postgres"
_CONNECT_TIMEOUT_S = 5.0
_CLOSE_TIMEOUT_S = 5.0
_POLL_S = 0.02
_FAST_STOP_S = 60
_IMMEDIATE_STOP_S = 15
_LONGEST_PAUSE_S = 5.0
_DISCARDED_AT_MOST = 10

NO_ANSWER = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What asyncpg raises when the server goes away; the last, which has no base of asyncpg's, when it does so in
the middle of preparing a statement."""

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class EmbeddedPostgres:
    """The embedded PostgreSQL of one data folder, as one of its users.

    Synchronous: it belongs to a supervisor, or runs beside an event loop by ``asyncio.to_thread``. One object may be
    shared by threads. A forked child that inherits one can't stop the server with it.

    Args:
        data_dir: The data folder of Billfold; the database lies in ``postgres`` below it.
        binaries: The ``bin`` folder of a PostgreSQL; None takes the wheel's.
        max_connections: How many connections the server accepts, if this process is the one that starts it.
        durable: False gives up safety from crashes for speed, on throw-away test clusters.
        start_timeout_s: How long recovery after a crash, or another process that starts the server, may take.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        binaries: Path | None = None,
        max_connections: int = 100,
        durable: bool = True,
        start_timeout_s: float = 120.0,
    ) -> None:
        self._home = data_dir.expanduser().absolute().resolve() / "postgres"
        self._binaries = binaries
        self._max_connections = max_connections
        self._durable = durable
        self._start_timeout_s = start_timeout_s
        self._cluster: Cluster | None = None
        self._users_fd: int | None = None
        self._started_in: int | None = None
        self._mutex = threading.RLock()

    def start(self) -> str:
        """Start the server, or join the one that runs, and return its DSN.

        Takes what a crash left as it finds it: half a cluster is made anew, a dead server is recovered, one whose
        owner was killed is adopted, orphans of a killed postmaster are waited for.

        Raises:
            EmbeddedPostgresError: One of its subclasses, each a sentence that says what to do.
        """
        with self._mutex, os_errors_explained(self._home), contextlib.ExitStack() as held:
            self._cluster, lock = self._open_to_start(held)
            self._join()
            try:
                self._bring_up(self._cluster, lock)
            except BaseException:
                self._leave()
                raise
            return self.dsn()

    def dsn(self, database: str = DATABASE) -> str:
        """Return the owner's DSN of a database. The port may be another one after a restart.

        Raises:
            NotStarted: There is no server to connect to yet.
        """
        cluster = self._started()
        # The password is made of characters that a URL takes as they are. The server has no TLS to try first.
        return f"postgresql://{OWNER}:{cluster.password()}@{HOST}:{cluster.port()}/{database}?sslmode=disable"

    def is_alive(self) -> bool:
        """Tell whether a connection to this cluster works, as opposed to whether some process exists."""
        try:
            return self._cluster is not None and self._is_up(self._cluster)
        except EmbeddedPostgresError:
            return False

    def ensure(self) -> bool:
        """Start the server again if it died, and tell whether that was needed.

        Raises:
            NotStarted: This process isn't using it.
            EmbeddedPostgresError: As from ``start``.
        """
        with self._mutex, os_errors_explained(self._home):
            cluster = self._started()
            if self._is_up(cluster):
                return False
            with self._starting() as lock:
                self._bring_up(cluster, lock)
            return True

    def watch(self, stopping: threading.Event, *, interval_s: float = 0.2) -> None:
        """Start the server again whenever it dies, until the event is set; for a supervisor's thread.

        Looking costs some microseconds, as it asks a lock and not the server. After a failure it is left alone for
        longer and longer, at most five seconds, since a full disk is not mended by haste.
        """
        pause_s = interval_s
        while not stopping.wait(pause_s):
            try:
                if not is_locked(self._home / "running") and self.ensure():
                    _log.warning("the embedded PostgreSQL had died and was started again")
                pause_s = interval_s
            except NotStarted:
                return
            except (EmbeddedPostgresError, OSError) as error:
                _log.error("the embedded PostgreSQL died and can't be started: %s", error)
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    def stop(self) -> bool:
        """Give the server up, stop it if nobody else uses it, and tell whether it was stopped.

        An object that never started it may call this as well: it stops a server that killed processes left behind.

        Raises:
            StopTimedOut: Some process of the server didn't end.
            StartTimedOut: Another process has been starting or stopping it all the time.
        """
        return self._give_up(and_delete=False)

    def discard(self) -> bool:
        """Stop the server like ``stop``, and delete the database with all that is in it, unless others use it.

        For throw-away data folders. Tells whether the database is gone.
        """
        return self._give_up(and_delete=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _open_cluster(self) -> Cluster:
        user = runtime_user(self._home / "data")
        binaries = runnable_binaries(self._binaries or find_binaries(), user)
        prepare_home(self._home, user)
        return Cluster(self._home, binaries, user, max_connections=self._max_connections, durable=self._durable)

    def _open_to_start(self, held: contextlib.ExitStack) -> tuple[Cluster, int]:
        """Make the folder, and be the only one who starts the server: anew where others were just discarding it."""
        for _ in range(_DISCARDED_AT_MOST):
            try:
                return self._open_cluster(), held.enter_context(self._starting())
            except (FileNotFoundError, DataDirUnreachable, DataDirUnwritable) as error:
                # Nobody can enter what is gone, nor the database's user what another process has only just made.
                if isinstance(error, DataDirUnwritable) and error.facts["errno"] != errno.ENOENT:
                    raise
        return self._open_cluster(), held.enter_context(self._starting())

    def _started(self) -> Cluster:
        if self._cluster is None or self._users_fd is None:
            raise NotStarted("The embedded PostgreSQL is not started: call start() first.")
        return self._cluster

    @contextlib.contextmanager
    def _starting(self) -> Iterator[int]:
        """Be the only one who starts or stops the server, and yield the lock that says so."""
        with contextlib.ExitStack() as held:
            try:
                lock = held.enter_context(locked(self._home / "starting", timeout_s=self._start_timeout_s))
            except TimeoutError as error:
                raise StartTimedOut(
                    f"Another process has been starting or stopping the database in {self._home} for "
                    f"{self._start_timeout_s:.0f} s: end that process, then try again.",
                    home=str(self._home),
                ) from error
            yield lock

    def _join(self) -> None:
        """Be counted as a user. It never waits: who holds the lock exclusively holds the one for starting as well."""
        if self._users_fd is None:
            self._users_fd = open_lock(self._home / "users")
            self._started_in = os.getpid()
        if not try_lock(self._users_fd, shared=True):
            raise StartFailed(f"Something else than Billfold holds {self._home / 'users'}: end it, then try again.")

    def _give_up(self, *, and_delete: bool) -> bool:
        with self._mutex:
            if self._started_in not in {None, os.getpid()}:
                # A fork's copy. Closing the descriptor leaves the lock with the process that took it.
                self._leave()
                return False
            if not self._home.exists():
                return and_delete
            with os_errors_explained(self._home), contextlib.ExitStack() as held:
                try:
                    held.enter_context(self._starting())
                except FileNotFoundError:
                    # Somebody else has discarded it meanwhile.
                    return and_delete
                self._users_fd = open_lock(self._home / "users") if self._users_fd is None else self._users_fd
                try:
                    if not try_lock(self._users_fd, shared=False):
                        return False
                    stopped = self._shut_down()
                    if and_delete:
                        self._delete()
                    return stopped or and_delete
                finally:
                    self._leave()

    def _delete(self) -> None:
        """Delete what the folder holds, which is no longer there for anybody from the first moment on."""
        gone = Path(tempfile.mkdtemp(prefix=f"{self._home.name}.gone-", dir=self._home.parent))
        self._home.rename(gone)
        while gone.exists():
            # Whoever deletes the folder around it may be at the same files.
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(gone)

    def _leave(self) -> None:
        if self._users_fd is not None:
            os.close(self._users_fd)
        self._users_fd = None
        self._started_in = None

    def _bring_up(self, cluster: Cluster, starting_lock: int) -> None:
        """Get the server to answer: wait for one that is on its way up or down, start one where there is none."""
        cluster.ensure_made(starting_lock)
        launched_on: int | None = None
        deadline = time.monotonic() + self._start_timeout_s
        while not self._is_up(cluster):
            if time.monotonic() > deadline:
                raise StartTimedOut(
                    f"The database in {cluster.data} did not answer for {self._start_timeout_s:.0f} s: "
                    f"see {cluster.log}, end what is left of PostgreSQL there, then try again.",
                    data=str(cluster.data),
                )
            if is_locked(self._home / "running"):
                time.sleep(_POLL_S)
                continue
            # A server that ended although its port is free would end again; a taken port is replaced.
            if launched_on is not None and launched_on == cluster.choose_port():
                raise cluster.start_failure()
            with locked(self._home / "running", timeout_s=self._start_timeout_s) as running:
                launched_on = cluster.launch(running)
        try:
            _wait_for(_ensure_database(cluster, timeout_s=self._start_timeout_s))
        except NO_ANSWER as error:
            raise cluster.start_failure(str(error)) from error

    def _is_up(self, cluster: Cluster) -> bool:
        return is_locked(self._home / "running") and self._answers(cluster)

    def _answers(self, cluster: Cluster) -> bool:
        if cluster.port() is None:
            return False
        try:
            data = _wait_for(_data_directory(cluster))
        except asyncpg.TooManyConnectionsError:
            return True
        except asyncpg.InvalidPasswordError as error:
            raise StartFailed(
                f"The database in {cluster.data} refuses the password in {cluster.home / 'password'}: "
                "put the file back that belongs to it.",
                data=str(cluster.data),
            ) from error
        except NO_ANSWER:
            return False
        return data == str(cluster.data)

    def _shut_down(self) -> bool:
        """Stop the server: at first so that it finishes its files, in the end at once."""
        if not is_locked(self._home / "running"):
            return False
        cluster = self._cluster or self._open_cluster()
        told: int | None = None
        now = time.monotonic()
        at_once, deadline = now + _FAST_STOP_S, now + _FAST_STOP_S + _IMMEDIATE_STOP_S
        while is_locked(self._home / "running"):
            # The number is the server's for sure only while the server answers.
            if told is None and self._answers(cluster):
                told = cluster.postmaster_pid()
                _signal(told, signal.SIGINT)
            if time.monotonic() > at_once:
                _signal(told, signal.SIGQUIT)
            if time.monotonic() > deadline:
                raise StopTimedOut(
                    f"PostgreSQL does not end in {cluster.data} (process {told or 'unknown'}): end it by hand.",
                    data=str(cluster.data),
                    pid=told,
                )
            time.sleep(_POLL_S)
        return True


def _signal(pid: int | None, number: signal.Signals) -> None:
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _wait_for(work: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine to its end in a thread, because the caller's may have an event loop already."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, work).result()


async def _connect(cluster: Cluster, *, timeout_s: float) -> "asyncpg.Connection[asyncpg.Record]":
    return await asyncpg.connect(
        host=HOST,
        port=cluster.port(),
        user=OWNER,
        password=cluster.password(),
        database=_MAINTENANCE_DATABASE,
        ssl=False,
        timeout=timeout_s,
        command_timeout=timeout_s,
    )


async def _data_directory(cluster: Cluster) -> str:
    """Return whose server answers on our port: another program, even another PostgreSQL, may have it by now."""
    connection = await _connect(cluster, timeout_s=_CONNECT_TIMEOUT_S)
    try:
        return str(await connection.fetchval("SELECT current_setting('data_directory')"))
    finally:
        await hang_up(connection, timeout_s=_CLOSE_TIMEOUT_S)


async def _ensure_database(cluster: Cluster, *, timeout_s: float) -> None:
    connection = await _connect(cluster, timeout_s=timeout_s)
    try:
        if not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", DATABASE):
            await connection.execute(f"CREATE DATABASE {DATABASE}")
    finally:
        await hang_up(connection, timeout_s=_CLOSE_TIMEOUT_S)
