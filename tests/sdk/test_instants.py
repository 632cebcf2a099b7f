"""Instants as all of Billfold has them: in UTC, and within the years that a calendar has."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from billfold.clock import ensure_utc

FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
TICK = timedelta(microseconds=1)


class TestAnInstant:
    @pytest.mark.parametrize("hours", [-14, 0, 14])
    def test_is_told_in_utc(self, hours: int):
        """It is the same one, whatever the zone."""
        zone = timezone(timedelta(hours=hours))
        instant = datetime(2026, 11, 20, 12, tzinfo=zone)
        assert (ensure_utc(instant), ensure_utc(instant).tzinfo) == (instant, UTC)

    @pytest.mark.parametrize(
        "text",
        [
            "0001-01-01T00:00:00+00:00",
            "0001-01-01T02:00:00+02:00",
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59.999999+00:00",
            "9999-12-31T21:59:59.999999-02:00",
            "9999-12-31T23:59:59-14:00",
        ],
    )
    def test_lies_between_the_first_and_the_last_there_is(self, text: str):
        """These two a database has for what is before and after everything, and gives them back without a zone."""
        with pytest.raises(ValueError, match="between the first and the last"):
            ensure_utc(datetime.fromisoformat(text))

    def test_may_be_any_other(self):
        """The next and the last but one are instants as all others."""
        for instant in (FIRST + TICK, LAST - TICK):
            assert ensure_utc(instant) == instant
