"""Time as Billfold uses it: aware, in UTC, and always handed in from outside.

Rules never read a clock; they are given ``now``. Two clocks exist: the real one (tokens, TLS, ``recorded_at``) and
the tenant's, which a sandbox may freeze and advance (holds, schedules, ``effective_at``).
"""

from datetime import UTC, datetime, timedelta
from typing import Protocol

__all__ = ["Clock", "ManualClock", "SystemClock", "ensure_utc"]

_FIRST = datetime.min.replace(tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC)


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """Return the present instant, aware and in UTC."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Return the machine's present instant, aware and in UTC."""
        return datetime.now(UTC)


class ManualClock:
    """A clock that stands still until it is moved, for tests and simulations."""

    def __init__(self, start: datetime) -> None:
        self._now = ensure_utc(start)

    def now(self) -> datetime:
        """Return the instant at which the clock stands."""
        return self._now

    def advance(self, by: timedelta) -> datetime:
        """Move the clock forward.

        Raises:
            ValueError: ``by`` is negative; time never runs backwards.
        """
        if by < timedelta(0):
            msg = "a clock can't be moved backwards"
            raise ValueError(msg)
        self._now += by
        return self._now


def ensure_utc(instant: datetime) -> datetime:
    """Return the same instant expressed in UTC.

    Raises:
        ValueError: The instant is naive, so nobody can say when it is, or in UTC it doesn't lie between the first and
            the last one of the years 1 to 9999.
    """
    if instant.tzinfo is None or instant.utcoffset() is None:
        msg = "an instant needs an offset from UTC"
        raise ValueError(msg)
    msg = "in UTC the instant doesn't lie between the first and the last one of the years 1 to 9999"
    try:
        utc = instant if instant.tzinfo is UTC else instant.astimezone(UTC)
    except OverflowError:
        raise ValueError(msg) from None
    # To a database these two are no instants but before and after all others, and come back without a zone.
    if not _FIRST < utc < _LAST:
        raise ValueError(msg)
    return utc
