"""What benchmarks stand on: a durable PostgreSQL on a disk, Billfold's database in it, and pgbench's beside that.

The cluster has the settings that ``billfold up`` gives it. It lies in the system's temporary folder or below
``BILLFOLD_BENCH_DIR``, which must be a disk: in memory a commit would cost nothing.
"""

import os
import re
import secrets
import subprocess
import tempfile
from pathlib import Path

import pytest

from billfold_server.db.embedded import EmbeddedPostgres
from billfold_server.settings import Settings
from tests.benchmarks.extent import Extent
from tests.live import settings_for
from tests.postgres import binaries, query, remove

__all__ = ["Ground", "family_s", "processor_s", "sweep"]

_PREFIX = f"billfold-{os.geteuid()}-bench-"
_TPCB = "tpcb"
_CLIENTS = 8
_CHECKPOINTER_SINCE = 17
_CHECKPOINTS_BEFORE_17 = "checkpoints_timed + checkpoints_req"
_IN_MEMORY = {"tmpfs", "ramfs"}
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class Ground:
    """A cluster of its own, which ``close`` removes.

    Attributes:
        folder: The data folder, which ``billfold up`` can serve from at the same time.
        settings: Of a Billfold that is set up there.
        tpcb_us: What each run of TPC-B took of all processors for a transaction, whatever else ran meanwhile; nothing
            where the system doesn't tell.
    """

    def __init__(self, extent: Extent, major: int) -> None:
        self._extent = extent
        self._programs = binaries(major)
        self.folder = _place() / f"{_PREFIX}{secrets.token_hex(6)}"
        # At least as many connections as ``billfold up`` asks for, which joins this server.
        self._server = EmbeddedPostgres(self.folder, binaries=self._programs, max_connections=250)
        self._server.start()
        self.settings: Settings = settings_for(self.folder, self._server.dsn())
        query(self._server.dsn(), f"CREATE DATABASE {_TPCB}")
        self._pgbench("-i", "-q", f"-s{extent.scale}")
        self.version = str(query(self._server.dsn(), "SHOW server_version")[0][0])
        self.tpcb_us: list[float] = []

    def tpcb(self) -> float:
        """Return how many transactions of TPC-B the machine does per second, as pgbench has them by itself."""
        seconds, busy_s = round(self._extent.seconds), _busy_s()
        said = self._pgbench(f"-c{_CLIENTS}", f"-T{seconds}" if seconds else "-t10")
        found = re.search(r"actually processed: ([0-9]+).*^tps = ([0-9.]+)", said, re.MULTILINE | re.DOTALL)
        assert found is not None, said
        self.tpcb_us.append((_busy_s() - busy_s) / int(found[1]) * 1e6)
        return float(found[2])

    def wal_bytes(self) -> int:
        """Return how much write-ahead log the cluster has written since it was made."""
        return int(query(self._server.dsn(), "SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")[0][0])

    def checkpoint(self) -> None:
        """Write everything to its place, so that each page is logged whole when it is touched next."""
        query(self._server.dsn(), "CHECKPOINT")

    def checkpoints(self) -> int:
        """Return how many checkpoints have begun."""
        new, old = ("pg_stat_checkpointer", "num_timed + num_requested"), ("pg_stat_bgwriter", _CHECKPOINTS_BEFORE_17)
        view, counted = new if int(self.version.partition(".")[0]) >= _CHECKPOINTER_SINCE else old
        return int(query(self._server.dsn(), f"SELECT {counted} FROM {view}")[0][0])  # noqa: S608 - of the above

    def size_bytes(self, schema: str) -> int:
        """Return what the tables of a tenant take, with indexes and all."""
        sql = """
            SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class AS c
            WHERE c.relnamespace = $1::regnamespace AND c.relkind IN ('r', 'm')
            """
        return int(query(self._server.dsn(), sql, schema)[0][0])

    def dsn(self) -> str:
        """Return the owner's way into Billfold's database."""
        return self._server.dsn()

    def postgres_s(self) -> float:
        """Return the processor time of PostgreSQL's processes, also of sessions that have ended."""
        return family_s(int((self.folder / "postgres" / "data" / "postmaster.pid").read_text().split()[0]))

    def close(self) -> None:
        """Stop the cluster and remove it."""
        self._server.stop()
        remove(self.folder)

    def _pgbench(self, *options: str) -> str:
        done = subprocess.run(
            [str(self._programs / "pgbench"), *options, self._server.dsn(_TPCB)],
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def processor_s(pid: int) -> float:
    """Return the processor time of a process; nothing where the system doesn't tell, or the process is gone."""
    return sum(_times_s(pid)[:2])


def family_s(pid: int) -> float:
    """Return the processor time of a process with its children, those that have ended included."""
    while True:
        # A child that has ended counts by itself until its parent has heard of it, and with the parent from then on.
        whole = _times_s(pid)
        children_s = sum(processor_s(child) for child in _children(pid))
        if _times_s(pid)[2:] == whole[2:]:
            return sum(whole) + children_s


def _children(pid: int) -> list[int]:
    """Return a process's children, also those that have ended and that it hasn't heard of yet."""
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _times_s(pid: int) -> list[float]:
    """Return a process's own time for itself and in the system, and the same of its children that it saw end."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    return [int(ticks) * _TICK_S for ticks in stat.rpartition(")")[2].split()[11:15]]


def _busy_s() -> float:
    """Return for how long the processors have worked; nothing where the system doesn't tell."""
    try:
        (_, *ticks), *_ = (line.split() for line in Path("/proc/stat").read_text().splitlines())
    except OSError:
        return 0.0
    user, nice, system, _, _, irq, softirq = map(int, ticks[:7])
    return (user + nice + system + irq + softirq) * _TICK_S


def sweep() -> None:
    """Remove what killed runs have left behind; what a living run uses stays."""
    for left in _place().glob(f"{_PREFIX}*"):
        if left.is_dir():
            remove(left)
            left.with_name(f"{left.name}.log").unlink(missing_ok=True)


def _place() -> Path:
    """Return a folder on a disk."""
    chosen = os.environ.get("BILLFOLD_BENCH_DIR")
    places = [Path(chosen)] if chosen else [Path(tempfile.gettempdir()), Path("/var/tmp")]  # noqa: S108 - made unique
    for place in places:
        if place.is_dir() and _kind_of_disk(place.resolve()) not in _IN_MEMORY:
            return place.resolve()
    pytest.fail(f"{places[0]} is in memory: set BILLFOLD_BENCH_DIR to a folder on a disk")


def _kind_of_disk(folder: Path) -> str:
    try:
        mounts = Path("/proc/mounts").read_text().splitlines()
    except OSError:
        return "unknown"
    kinds = {Path(line.split()[1]): line.split()[2] for line in mounts}
    return next(kinds[each] for each in (folder, *folder.parents) if each in kinds)
