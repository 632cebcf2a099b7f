"""How much of the machine the embedded PostgreSQL takes, by what the machine has."""

import os
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Machine", "look_at_machine", "sizes"]

_MIB = 1024**2
_GIB = 1024**3
_LEAST_BUFFERS, _MOST_BUFFERS = 128 * _MIB, _GIB
_MEMORY_SHARE = 16
_LEAST_WAL, _MOST_WAL = _GIB, 4 * _GIB
_DISK_SHARE = 8
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where a container reads how much memory it may have (cgroup, versions 2 and 1)."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is to share.

    Attributes:
        memory_bytes: The memory of the machine, or of the container that we are in; 0 where nobody says.
        disk_bytes: What is free on the file system that the cluster lies on; 0 where nobody says.
    """

    memory_bytes: int
    disk_bytes: int


def sizes(machine: Machine) -> dict[str, str]:
    """Return the settings of PostgreSQL that depend on the machine (ADR 59).

    A sixteenth of the memory holds pages, at least 128 MB (the default of PostgreSQL) and at most 1 GB: the machine is
    shared with Billfold, and on a laptop with much else. Memory is taken page by page as it is used.

    The write-ahead log may grow to an eighth of what is free on the disk between two checkpoints, at least 1 GB (the
    default) and at most 4 GB: after each checkpoint a page is logged whole when it is touched first, and after a crash
    all that was logged since the last one is read again.
    """
    buffers = min(max(machine.memory_bytes // _MEMORY_SHARE, _LEAST_BUFFERS), _MOST_BUFFERS)
    wal = min(max(machine.disk_bytes // _DISK_SHARE, _LEAST_WAL), _MOST_WAL)
    return {"shared_buffers": f"{buffers // _MIB}MB", "max_wal_size": f"{wal // _MIB}MB"}


def look_at_machine(folder: Path) -> Machine:
    """Return what this process may use, and what is free where a folder lies. What can't be told is 0, not an error."""
    return Machine(memory_bytes=_memory_bytes(), disk_bytes=_disk_bytes(folder))


def _memory_bytes() -> int:
    try:
        physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return 0
    return max(0, min(physical, *(_limit_bytes(path, physical) for path in _LIMITS)))


def _limit_bytes(path: Path, physical: int) -> int:
    """Return a container's limit; where there is none, the file is missing or has a word or a huge number in it."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return physical


def _disk_bytes(folder: Path) -> int:
    try:
        found = os.statvfs(folder)
    except OSError:
        return 0
    return found.f_frsize * found.f_bavail
