"""Where the decryptor's socket lies: in a folder of its own, which nobody but its owner may enter."""

import contextlib
import os
import socket
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["AddressUnsafe", "folder_of", "listen", "reached", "same_socket"]

_LONGEST: Final = 100
"""Of a socket's path in bytes; systems allow 104 to 108 (unix(7))."""


class AddressUnsafe(Exception):
    """Others may enter the folder, or it isn't ours."""


def folder_of(data_dir: str | Path) -> Path:
    """Return the folder of the decryptor of a data folder."""
    return Path(data_dir) / "decryptor"


@contextlib.contextmanager
def reached(folder: Path, name: str = "socket") -> Iterator[str]:
    """Have a path to a socket that the system takes, however long the folder's own path is."""
    path = folder / name
    if len(os.fsencode(path)) <= _LONGEST or sys.platform != "linux":
        yield str(path)
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)


def listen(folder: Path) -> socket.socket:
    """Return a socket that listens in the folder, in the place of one that may be there.

    Raises:
        AddressUnsafe: The folder is open to others.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise AddressUnsafe
    draft = f".socket-{os.getpid()}"
    (folder / draft).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with reached(folder, draft) as path:
            listener.bind(path)
        (folder / draft).chmod(0o600)
        listener.listen(128)
        listener.settimeout(0)
        # Whoever asks finds the former one or this, and never one that doesn't listen yet.
        (folder / draft).replace(folder / "socket")
    except BaseException:
        listener.close()
        (folder / draft).unlink(missing_ok=True)
        raise
    return listener


def same_socket(folder: Path, listener_inode: int) -> bool:
    """Tell whether the socket in the folder is still the one that was put there."""
    try:
        return (folder / "socket").lstat().st_ino == listener_inode
    except FileNotFoundError:
        return False
