"""Where the platform of a test run lies: in memory if there is plenty, and for no longer than the run.

The processes of one run, as pytest-xdist starts them, share a cluster; whoever is last takes it away. A run that was
killed can't, so the next one does that for it.
"""

import contextlib
import os
import shutil
import stat
import time
from pathlib import Path
from typing import Final

from billfold_server.db.embedded import EmbeddedPostgres, EmbeddedPostgresError, scratch_data_dir

__all__ = ["discard", "discard_abandoned", "folder_of"]

_PREFIX: Final = "pytest-"
_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - The names in it can't be guessed.
_PLENTY_BYTES: Final = 1024**3
_ABANDONED_AFTER_S: Final = 3600


def folder_of(run: str) -> Path:
    """Return the folder of a run, which isn't made yet.

    Args:
        run: Some name that nobody can guess, the same in all processes of the run.
    """
    return _place(f"{_PREFIX}{run}")


def _place(name: str) -> Path:
    folder = scratch_data_dir(name)
    with contextlib.suppress(OSError):
        if shutil.disk_usage(_MEMORY).free > _PLENTY_BYTES:
            return _MEMORY / folder.name
    return folder


def discard(folder: Path) -> None:
    """Stop the cluster of a run and delete it with all else of the run, unless another process uses it.

    A process that is late to begin may make the cluster anew beside this: all that it makes stays.
    """
    others: set[Path] = set()
    with contextlib.suppress(FileNotFoundError):
        others = {*folder.iterdir()} - {folder / "postgres"}
    if EmbeddedPostgres(folder).discard():
        for each in others:
            shutil.rmtree(each, ignore_errors=True)
        with contextlib.suppress(OSError):
            folder.rmdir()


def discard_abandoned() -> None:
    """Take away what runs have left that were killed.

    In both places: what they have left in memory may be why there is no longer plenty of it. What can't be taken away
    stays for the next one, as it is no business of this run's; and so does what isn't ours, or is a link under such a
    name, which anybody may put there and may lead to somebody's data.
    """
    pattern = scratch_data_dir(_PREFIX)
    for place in {pattern.parent, _MEMORY}:
        for left in place.glob(f"{pattern.name}*"):
            with contextlib.suppress(OSError, EmbeddedPostgresError):
                found = left.lstat()
                is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
                if is_ours and found.st_mtime < time.time() - _ABANDONED_AFTER_S:
                    discard(left)
