"""Lock files between processes, by flock(2).

The kernel drops such a lock when the last process that holds its descriptor ends, however it ends. So no lock is ever
stale, and a descriptor that a server inherits says, until its last process is gone, that it runs.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

_POLL_S = 0.01


def open_lock(path: Path) -> int:
    """Return a descriptor of the lock file, made if need be; closing it gives the lock back."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def try_lock(fd: int, *, shared: bool) -> bool:
    """Take the lock if nobody is in the way, and tell whether it was taken."""
    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_locked(path: Path) -> bool:
    """Tell whether someone holds the lock exclusively, without getting in anyone's way for longer than the question."""
    fd = open_lock(path)
    try:
        return not try_lock(fd, shared=True)
    finally:
        os.close(fd)


@contextlib.contextmanager
def locked(path: Path, *, timeout_s: float) -> Iterator[int]:
    """Hold the lock exclusively and yield its descriptor.

    Polls, because a blocked flock can't be given a time-out without signals, which belong to the program around us.
    A file that was moved or deleted before we had it locks nothing any more: then it is the one that lies there now.

    Raises:
        TimeoutError: Someone else held it all the time.
        FileNotFoundError: Its folder is gone.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        fd = open_lock(path)
        try:
            if try_lock(fd, shared=False) and _lies_at(path, fd):
                yield fd
                return
        finally:
            os.close(fd)
        if time.monotonic() > deadline:
            raise TimeoutError(f"{path} stayed locked for {timeout_s} s")
        time.sleep(_POLL_S)


def _lies_at(path: Path, fd: int) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False
