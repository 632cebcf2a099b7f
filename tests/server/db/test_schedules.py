"""When schedules recur."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billfold_server.db.schedules import Schedule, next_occurrence

INSTANTS = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis wants them naive


class TestARule:
    @pytest.mark.parametrize(
        ("rule", "after", "expected"),
        [
            ("every 15m", "2026-11-20T12:00:00+00:00", "2026-11-20T12:15:00+00:00"),
            ("every 15m", "2026-11-20T12:14:59.999999+00:00", "2026-11-20T12:15:00+00:00"),
            ("every 1d", "2026-11-20T23:59:59+00:00", "2026-11-21T00:00:00+00:00"),
            ("0 2 * * *", "2026-11-20T02:00:00+00:00", "2026-11-21T02:00:00+00:00"),
            ("30 1 29 2 *", "2026-11-20T00:00:00+00:00", "2028-02-29T01:30:00+00:00"),
            ("0 2 * * *", "2026-11-20T02:30:00+02:00", "2026-11-20T02:00:00+00:00"),
        ],
    )
    def test_gives_the_next_occurrence(self, rule: str, after: str, expected: str):
        """Intervals count from the epoch, cron fields are in UTC, and the instant itself isn't its own next one."""
        assert next_occurrence(rule, datetime.fromisoformat(after)) == datetime.fromisoformat(expected)

    @given(after=INSTANTS, minutes=st.integers(1, 100_000))
    def test_never_stands_still_or_skips(self, after: datetime, minutes: int):
        """The next occurrence of an interval lies ahead, but not by more than the interval."""
        found = next_occurrence(f"every {minutes}m", after)
        assert after < found <= after + timedelta(minutes=minutes)

    @pytest.mark.parametrize(
        "rule", ["", "every", "every 0m", "every 5", "every 1w", "61 * * * *", "0 0 31 2 *", "daily"]
    )
    def test_that_makes_no_sense_is_refused(self, rule: str):
        """A schedule can't be declared with a rule that never holds or can't be read."""
        with pytest.raises(ValueError, match="interval"):
            Schedule(name="n", kind="k", rule=rule)
