"""When and how often a request is repeated (billfold.client._retry)."""

import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billfold.client._message import Response
from billfold.client._retry import RetryBudget, RetryPolicy, retry_after_s

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
chances = st.floats(0, 1, exclude_max=True)


class TestThePolicy:
    @given(attempt=st.integers(1, 5000), chance=chances)
    def test_waits_between_nothing_and_a_bound_that_doubles(self, attempt, chance):
        """Full jitter: any wait from zero to the bound, and never more than the cap."""
        policy = RetryPolicy(max_retries=10_000, base_s=0.25, cap_s=8)
        wait_s = policy.wait_s(attempt, None, chance)
        assert wait_s is not None
        assert 0 <= wait_s <= min(8, 0.25 * 2 ** min(attempt - 1, 10))

    @given(asked_s=st.floats(0, 1e9), chance=chances)
    def test_never_comes_back_earlier_than_asked(self, asked_s, chance):
        """What the server asks for is a lower bound, or the caller gets the error."""
        wait_s = RetryPolicy().wait_s(1, asked_s, chance)
        assert (wait_s is None) == (asked_s > 60)
        assert wait_s is None or asked_s <= wait_s <= asked_s + 5

    @pytest.mark.parametrize(("asked_s", "latest_s"), [(0, 0.25), (1, 1.25), (10, 12), (30, 35)])
    def test_spreads_who_was_turned_away_over_a_fifth_of_the_wait(self, asked_s, latest_s):
        """A moment that was named to all isn't when all come back; five seconds later the last one has."""
        waits = [RetryPolicy().wait_s(1, asked_s, chance) for chance in (0.0, 0.5, 1.0)]
        assert waits == [asked_s, (asked_s + latest_s) / 2, latest_s]

    def test_gives_up_after_its_attempts(self):
        """With two retries, the third failure is the last."""
        policy = RetryPolicy(max_retries=2)
        assert [policy.wait_s(attempt, None, 0.0) for attempt in (1, 2, 3)] == [0.0, 0.0, None]


class TestTheBudget:
    def test_is_spent_and_earned(self):
        """A retry costs one, and ten successes earn one."""
        budget = RetryBudget(2)
        assert [budget.spend() for _ in range(3)] == [True, True, False]
        for _ in range(11):
            budget.earn()
        assert [budget.spend() for _ in range(2)] == [True, False]

    def test_holds_no_more_than_its_capacity(self):
        """Successes of a quiet year don't add up to a storm."""
        budget = RetryBudget(1)
        for _ in range(1000):
            budget.earn()
        assert [budget.spend() for _ in range(2)] == [True, False]

    def test_is_exact_in_threads(self):
        """Threads that spend at the same time get no more than there is."""
        budget = RetryBudget(500)
        taken: list[bool] = []
        start = threading.Barrier(4)

        def spend() -> None:
            start.wait()
            taken.extend(budget.spend() for _ in range(1000))

        threads = [threading.Thread(target=spend) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(taken) == 500


def response(**headers: str) -> Response:
    """Return a refusal with headers."""
    return Response(503, {name.replace("_", "-"): value for name, value in headers.items()}, b"")


class TestRetryAfter:
    @pytest.mark.parametrize(
        ("text", "seconds"), [("0", 0.0), ("7", 7.0), (" 120 ", 120.0), ("999999999", 999999999.0)]
    )
    def test_reads_seconds(self, text: str, seconds: float):
        """A number is a number of seconds."""
        assert retry_after_s(response(retry_after=text), NOW) == seconds

    def test_reads_a_date(self):
        """A date is compared with our clock where the server doesn't tell its own."""
        then = format_datetime(NOW + timedelta(seconds=90), usegmt=True)
        assert retry_after_s(response(retry_after=then), NOW) == 90

    def test_compares_a_date_with_the_clock_of_the_server(self):
        """A machine whose clock is an hour off waits as long as all others."""
        server_now = NOW + timedelta(hours=1)
        then = format_datetime(server_now + timedelta(seconds=5), usegmt=True)
        assert retry_after_s(response(retry_after=then, date=format_datetime(server_now, usegmt=True)), NOW) == 5

    def test_takes_a_date_that_has_passed_as_now(self):
        """Waiting is never negative."""
        then = format_datetime(NOW - timedelta(days=1), usegmt=True)
        assert retry_after_s(response(retry_after=then), NOW) == 0

    @pytest.mark.parametrize(
        "text", ["", "soon", "-1", "1.5", "1_0", "\u0667", "1e3", "99999999999999999999", "Fri, 99 Nov 2026"]
    )
    def test_ignores_what_it_cannot_read(self, text: str):
        """Anything else is as if it weren't there."""
        assert retry_after_s(response(retry_after=text), NOW) is None

    @given(st.text())
    def test_survives_any_text(self, text):
        """No header makes the client fail."""
        seconds = retry_after_s(response(retry_after=text, date=text), NOW)
        assert seconds is None or seconds >= 0
