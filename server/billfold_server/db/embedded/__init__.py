"""PostgreSQL that comes with the install, run for the data folder that Billfold is given.

It is for development, sandboxes, tests and a trial on one machine; production gives the URL of a database of its own.
The binaries come from the wheel of the extra ``[postgres]``, of which nothing is imported (``binaries``). Processes
that share a data folder share one server: the first starts it, the last one out stops it (``server``). What each may
assume about the others is held by three lock files, which no ``kill -9`` leaves stale (``locks``).
"""

from billfold_server.db.embedded.binaries import DEFAULT_MAJOR, MAJORS, find_binaries
from billfold_server.db.embedded.cluster import OWNER
from billfold_server.db.embedded.errors import (
    BinariesMissing,
    ClusterVersionMismatch,
    DataDirUnreachable,
    DataDirUnwritable,
    DiskFull,
    EmbeddedPostgresError,
    InitFailed,
    NotStarted,
    NoUnprivilegedUser,
    PlatformUnsupported,
    StartFailed,
    StartTimedOut,
    StopTimedOut,
)
from billfold_server.db.embedded.folders import default_data_dir, make_data_dir, scratch_data_dir
from billfold_server.db.embedded.server import DATABASE, EmbeddedPostgres

__all__ = [
    "DATABASE",
    "DEFAULT_MAJOR",
    "MAJORS",
    "OWNER",
    "BinariesMissing",
    "ClusterVersionMismatch",
    "DataDirUnreachable",
    "DataDirUnwritable",
    "DiskFull",
    "EmbeddedPostgres",
    "EmbeddedPostgresError",
    "InitFailed",
    "NoUnprivilegedUser",
    "NotStarted",
    "PlatformUnsupported",
    "StartFailed",
    "StartTimedOut",
    "StopTimedOut",
    "default_data_dir",
    "find_binaries",
    "make_data_dir",
    "scratch_data_dir",
]
