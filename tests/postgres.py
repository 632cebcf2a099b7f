"""The PostgreSQL that tests run on: one cluster per run, shared by its processes, and a database per test.

The cluster gives up durability, so a test about crashes starts one of its own. ``BILLFOLD_TEST_POSTGRES`` chooses the
major version (16 or 18; the wheel carries both).
"""

import asyncio
import contextlib
import os
import shutil
import stat
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import pytest

from billfold_server.db.embedded import (
    DEFAULT_MAJOR,
    MAJORS,
    BinariesMissing,
    EmbeddedPostgres,
    EmbeddedPostgresError,
    PlatformUnsupported,
    find_binaries,
    scratch_data_dir,
)
from billfold_server.db.embedded.locks import locked
from billfold_server.tenancy.transaction import Tx
from tests.soak import SOAK

_T = TypeVar("_T")

RUN = "BILLFOLD_TEST_RUN"
"""The environment variable that tells the processes of one run in which folder their cluster lies."""
_SCRATCH = "tests-"
_MEMORY = Path("/dev/shm")  # noqa: S108 -- the names in it are ours and can't be guessed.
_ABANDONED_AFTER_S = 3600
_PLENTY_BYTES = 2 * 1024**3
_owns_run = pytest.StashKey[bool]()

WAITS = """
SELECT EXISTS (
    SELECT FROM pg_locks AS wanted WHERE NOT wanted.granted AND EXISTS (
        SELECT FROM pg_locks AS locked WHERE locked.pid = wanted.pid
            AND locked.database = (SELECT oid FROM pg_database WHERE datname = current_database())))
"""
"""Whether some session of this database waits for a lock.

Locks of all databases are shown, so of other tests' sessions too. Which database a session is of is told by its locks
alone: ``pg_stat_activity`` stays, within a transaction, as it was at first.
"""
WAITS_FOR_US = """
SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid)))
"""
"""Whether somebody waits for a lock of the session that asks."""
_PATIENCE_S = 60


async def until_waited_for(tx: Tx, waiting: "asyncio.Task[Any]") -> None:
    """Wait until what another task does stands at a lock of a transaction that is open."""
    async with asyncio.timeout(_PATIENCE_S):
        while not await tx.fetchval(WAITS_FOR_US):
            assert not waiting.done(), "it went ahead"
            await asyncio.sleep(0.01)


def pytest_configure(config: pytest.Config) -> None:
    """Say where the run's cluster lies, in the process that everyone else's environment comes from.

    Once for all of them: there may be plenty of memory for the first one, and none any more for the last.
    """
    config.stash[_owns_run] = RUN not in os.environ
    os.environ.setdefault(RUN, str(_in_memory(_SCRATCH + uuid.uuid4().hex)))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the run's cluster once every process is done with it, and those that killed runs left behind."""
    if config.stash.get(_owns_run, default=False):
        remove(_run_dir())
        del os.environ[RUN]
        _remove_abandoned()


def binaries(major: int) -> Path:
    """Return the ``bin`` folder of a PostgreSQL version; skip the test where the wheel isn't installed."""
    try:
        return find_binaries(major)
    except (BinariesMissing, PlatformUnsupported) as error:
        pytest.skip(f"needs the extra [postgres]: {error.detail}")


def own_data_dir() -> Path:
    """Return the data folder for a cluster of a test's own, in a soak on a disk; ``remove`` it at the end."""
    name = f"{_SCRATCH}{uuid.uuid4().hex}"
    return scratch_data_dir(name) if SOAK else _in_memory(name)


def remove(data_dir: Path) -> None:
    """Stop what runs in a data folder, unless someone uses it, and delete it."""
    if EmbeddedPostgres(data_dir).discard():
        # A server that ran there may have been killed before it could clear up after itself.
        shutil.rmtree(data_dir, ignore_errors=True)


def _remove_abandoned() -> None:
    """Remove what killed runs left behind, in both places; what can't be removed stays for the next run.

    Other tests' folders are among what is found, and go at any moment: a run that is part of a test ends beside them.
    """
    pattern = scratch_data_dir(_SCRATCH)
    for place in {pattern.parent, _MEMORY}:
        for left in place.glob(f"{pattern.name}*"):
            with contextlib.suppress(OSError, EmbeddedPostgresError):
                found = left.lstat()
                if found.st_uid != os.geteuid() or found.st_mtime > time.time() - _ABANDONED_AFTER_S:
                    continue
                # A link is neither: it may lead to what isn't for throwing away.
                if stat.S_ISREG(found.st_mode):
                    left.unlink()
                elif stat.S_ISDIR(found.st_mode):
                    remove(left)


def _run_dir() -> Path:
    return Path(os.environ[RUN])


def _in_memory(name: str) -> Path:
    """Return a scratch folder in memory where there is plenty, so that tests don't wait for each other's disk."""
    if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _PLENTY_BYTES:
        return _MEMORY / scratch_data_dir(name).name
    return scratch_data_dir(name)


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """The cluster that all processes of this run share."""
    major = int(os.environ.get("BILLFOLD_TEST_POSTGRES") or DEFAULT_MAJOR)
    assert major in MAJORS
    server = EmbeddedPostgres(_run_dir(), binaries=binaries(major), max_connections=300, durable=False)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def postgres_dsn(postgres: EmbeddedPostgres) -> str:
    """The DSN by which the cluster's owner makes and drops databases."""
    return postgres.dsn("postgres")


@pytest.fixture
def database(postgres: EmbeddedPostgres) -> Iterator[str]:
    """The DSN of an empty database of the test's own."""
    dsn = create_database(postgres)
    yield dsn
    drop_database(postgres, dsn)


def create_database(server: EmbeddedPostgres, *, template: str = "template0") -> str:
    """Create a database as a copy of a template, and return its DSN."""
    name = f"test_{uuid.uuid4().hex[:16]}"
    _execute(server, copying(name, template))
    return server.dsn(name)


def copying(name: str, template: str) -> str:
    """Return the SQL that creates a database as a copy of a template, file by file.

    The other way, which is what PostgreSQL does by itself, writes every page to its log as well.
    """
    return f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy'


def drop_database(server: EmbeddedPostgres, dsn: str) -> None:
    """Drop a database by its DSN, and with it the connections that a test left open."""
    _execute(server, f'DROP DATABASE "{_name(dsn)}" WITH (FORCE)')


def template_database(
    server: EmbeddedPostgres, name: str, build: Callable[[str], Awaitable[None]], *, template: str = "template0"
) -> str:
    """Return the name of a template, which the first process that asks for it builds.

    Args:
        server: The shared cluster.
        name: What the template is called; one name stands for one way to build it.
        build: Fills the database of the DSN that it is given; it runs in an event loop of its own and closes every
            connection that it opens. Until it is done the database has another name, so a failure leaves no template.
        template: What it is a copy of before it is filled.
    """
    with locked(_run_dir() / f"{name}.lock", timeout_s=100):
        if not _execute(server, "SELECT FROM pg_database WHERE datname = $1", name):
            dsn = create_database(server, template=template)
            in_own_loop(_built(build, dsn))
            _execute(server, f'ALTER DATABASE "{_name(dsn)}" RENAME TO "{name}"')
    return name


async def _built(build: Callable[[str], Awaitable[None]], dsn: str) -> None:
    await build(dsn)


def _name(dsn: str) -> str:
    return dsn.rpartition("/")[2].partition("?")[0]


def _execute(server: EmbeddedPostgres, sql: str, *args: object) -> list[asyncpg.Record]:
    return query(server.dsn("postgres"), sql, *args)


async def execute(dsn: str, sql: str) -> None:
    """Run one statement on a connection of its own."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


def query(dsn: str, sql: str, *args: object) -> list[asyncpg.Record]:
    """Run one statement on a connection of its own, from synchronous code, and return its rows."""

    async def run() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(dsn)
        try:
            return await connection.fetch(sql, *args)
        finally:
            await connection.close()

    return in_own_loop(run())


def in_own_loop(work: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine to its end in a thread, so that fixtures of asynchronous tests can call this too."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, work).result()
