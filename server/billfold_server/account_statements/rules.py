"""Which months have statements. Pure."""

from datetime import UTC, datetime
from typing import Final

__all__ = ["FILE_ENTRIES", "month_after", "month_of"]

FILE_ENTRIES: Final = 10_000
"""A statement of more entries has no file: they are read page by page."""


def month_of(instant: datetime) -> datetime:
    """Return the beginning of the month in which an instant lies, in UTC."""
    return instant.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def month_after(starts_at: datetime) -> datetime:
    """Return the beginning of the month after one."""
    year, month = divmod(starts_at.year * 12 + starts_at.month, 12)
    return starts_at.replace(year=year, month=month + 1)
