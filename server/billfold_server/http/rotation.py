"""Files that are read anew when they change, so that a certificate is renewed without a restart.

Each worker looks at them by itself, once a second. Connections that are open go on as they were. A new file that can't
be used changes nothing: the old one is kept, and log, readiness and metrics say so until somebody mends it.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Generic, NamedTuple, TypeVar

from billfold_server.http.metrics import Metrics
from billfold_server.settings import SettingsInvalid

__all__ = ["ENDS_SOON", "End", "Kept", "Rotation"]

_log = logging.getLogger("billfold.tls")

T = TypeVar("T")

ENDS_SOON: Final = timedelta(days=21)
"""How long before its end a certificate is warned of."""

_POLL_S: Final = 1.0
_DAY: Final = timedelta(days=1)


class End(NamedTuple):
    """Until when something is good, and how long before one should know."""

    at: datetime
    notice: timedelta = ENDS_SOON


Ends = Mapping[str, End]
_Mark = tuple[int, int, int] | None


class Kept(Generic[T]):
    """What was read from some files.

    Attributes:
        name: What it is, in words for a machine.
        current: What was read last.
        failure: Why what lies there now can't be used, where it can't.

    Args:
        name: As above.
        paths: The files.
        read: Reads them, or raises SettingsInvalid.
        ends: Tells until when what was read is good, by name.

    Raises:
        SettingsInvalid: What lies there to begin with can't be used.
    """

    def __init__(self, name: str, paths: Sequence[Path], read: Callable[[], T], *, ends: Callable[[T], Ends]) -> None:
        self.name = name
        self.failure: str | None = None
        self._paths = paths
        self._read = read
        self._ends = ends
        self._seen = self._marks()
        self._coming = self._seen
        self.current = read()

    def look(self) -> bool:
        """Read the files anew if they have changed and have come to rest, and tell whether something new was read."""
        marks = self._marks()
        if marks == self._seen or marks != self._coming:
            # A certificate and its key are two files, and a copy takes its time.
            self._coming = marks
            return False
        try:
            found = self._read()
        except SettingsInvalid as error:
            self.failure = str(error)
            self._seen = marks
            _log.error("what has changed can't be used, and what was there before still is: %s", error)
            return False
        if self._marks() != marks:
            return False
        self.current, self.failure, self._seen = found, None, marks
        _log.info("%s was read anew", self.name)
        return True

    def ends(self) -> Ends:
        """Return until when what is used now is good, by name."""
        return self._ends(self.current)

    def _marks(self) -> tuple[_Mark, ...]:
        """Return by what a change of the files is known."""
        return tuple(map(_mark, self._paths))


def _mark(path: Path) -> _Mark:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


class Rotation:
    """All such files of a process.

    Args:
        metrics: Where it is counted how long they are good for.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._kept: list[Kept[Any]] = []

    def keep(self, kept: Kept[T]) -> Kept[T]:
        """Look at these files from now on."""
        self._kept.append(kept)
        return kept

    async def run(self) -> None:
        """Look, until cancelled."""
        while self._kept:
            # A file may lie on another machine, which may be slow to answer.
            await asyncio.to_thread(self._look)
            self._count(datetime.now(UTC))
            await asyncio.sleep(_POLL_S)

    def warnings(self, now: datetime) -> list[str]:
        """Return what should be seen to, in words for a machine."""
        found = [f"{kept.name}_unusable" for kept in self._kept if kept.failure is not None]
        for kept in self._kept:
            for name, end in kept.ends().items():
                if now >= end.at:
                    found.append(f"{name}_ended")
                elif now >= end.at - end.notice:
                    found.append(f"{name}_ends_soon")
        return found

    def _look(self) -> None:
        for kept in self._kept:
            try:
                kept.look()
            except Exception:  # noqa: BLE001 - One file must not end the watch over all.
                _log.exception("a change of %s could not be followed", kept.name)

    def _count(self, now: datetime) -> None:
        for kept in self._kept:
            self._metrics.file_usable(kept.name, usable=kept.failure is None)
            for name, end in kept.ends().items():
                self._metrics.days_left(name, (end.at - now) / _DAY)
