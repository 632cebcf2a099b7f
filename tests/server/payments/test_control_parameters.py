"""Control parameters of variable recurring payments: periods and limits, against a slow model."""

import calendar
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from fractions import Fraction
from math import floor
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billfold_server.payments.control_parameters import (
    Amount,
    Breach,
    ControlParameters,
    Order,
    PeriodicLimit,
    PeriodType,
    breach_of_limits,
    breach_of_terms,
    day_of,
    period_of,
    periods_on,
    read_terms,
    write_terms,
)

DAY = timedelta(days=1)
SWEEPING = "UK.OBIE.VRPType.Sweeping"
NOT_REQUIRED = "UK.OBIE.SCANotRequired"
KINDS = [(period_type, "Consent") for period_type in get_args(PeriodType)]
KINDS += [(period_type, "Calendar") for period_type in get_args(PeriodType) if period_type != "Fortnight"]


def terms(*limits: PeriodicLimit, **facts: Any) -> ControlParameters:
    """Return terms with these limits."""
    given_: dict[str, Any] = {
        "created_on": date(2021, 6, 6),
        "maximum_individual": Amount(10_000, "GBP"),
        "periodic_limits": limits or (limit("Month", "Consent"),),
        "vrp_types": (SWEEPING,),
        "authentication_methods": (NOT_REQUIRED,),
    }
    return ControlParameters(**given_ | facts)


def limit(period_type: Any, alignment: Any, amount_minor: int = 50_000) -> PeriodicLimit:
    """Return a limit."""
    return PeriodicLimit(period_type=period_type, period_alignment=alignment, amount_minor=amount_minor, currency="GBP")


def order(amount_minor: int = 1_000, **facts: Any) -> Order:
    """Return an order that keeps to the terms."""
    given_: dict[str, Any] = {"currency": "GBP", "vrp_type": SWEEPING, "authentication_method": NOT_REQUIRED}
    return Order(amount_minor=amount_minor, **given_ | facts)


WHOLE = terms(valid_from=date(2021, 6, 10), valid_to=date(2021, 6, 20), interaction_types=("InSession",))
PAID = order(10_000, interaction_type="InSession")


# The slow model: it asks of each day whether a period begins on it, and walks.


def _begins(period_type: str, alignment: str, anchor: date, day: date) -> bool:
    if period_type in {"Day", "Week", "Fortnight"}:
        if alignment == "Calendar":
            return period_type == "Day" or calendar.day_name[day.weekday()] == "Monday"
        return (day.toordinal() - anchor.toordinal()) % {"Day": 1, "Week": 7, "Fortnight": 14}[period_type] == 0
    if alignment == "Calendar":
        return day.day == 1 and day.month in {"Month": range(1, 13), "Half-year": (1, 7), "Year": (1,)}[period_type]
    is_last = (day + DAY).month != day.month
    is_its_day = day.day == anchor.day or (is_last and day.day < anchor.day)
    months = {
        "Month": range(1, 13),
        "Half-year": (anchor.month, anchor.month + 6, anchor.month - 6),
        "Year": (anchor.month,),
    }
    return is_its_day and day.month in months[period_type]


def _days(period_type: str, alignment: str, anchor: date, day: date) -> list[date]:
    first = last = day
    while not _begins(period_type, alignment, anchor, first):
        first -= DAY
    while not _begins(period_type, alignment, anchor, last + DAY):
        last += DAY
    return [first + DAY * number for number in range((last - first).days + 1)]


class TestAPeriod:
    """A period of a limit."""

    @settings(max_examples=150, deadline=None)
    @given(
        kind=st.sampled_from(KINDS),
        created_on=st.dates(date(2019, 1, 1), date(2029, 1, 1)),
        later=st.integers(0, 1500),
        head_start=st.none() | st.integers(-400, 400),
        amount_minor=st.integers(1, 10**15),
    )
    def test_is_that_of_the_slow_model(
        self, kind: Any, created_on: date, later: int, head_start: int | None, amount_minor: int
    ) -> None:
        """Days and limit equal those of a model that walks from day to day."""
        valid_from = None if head_start is None else created_on + DAY * head_start
        starts_on = max(created_on, valid_from or created_on)
        day = starts_on + DAY * later
        one = limit(kind[0], kind[1], amount_minor)
        period = period_of(one, terms(one, created_on=created_on, valid_from=valid_from), day)
        days = _days(kind[0], kind[1], created_on, day)
        assert (period.slot.starts_on, period.ends_before) == (days[0], days[-1] + DAY)
        usable = days if kind[1] == "Consent" else [each for each in days if each >= starts_on]
        assert period.limit_minor == floor(Fraction(amount_minor * len(usable), len(days)))

    @pytest.mark.parametrize(
        ("created_on", "kind", "day", "starts_on", "ends_on", "amount_minor", "limit_minor"),
        [
            (date(2021, 6, 6), ("Month", "Calendar"), date(2021, 6, 30), date(2021, 6, 1), date(2021, 6, 30), 300, 250),
            (date(2021, 6, 6), ("Month", "Calendar"), date(2021, 7, 1), date(2021, 7, 1), date(2021, 7, 31), 300, 300),
            (date(2021, 6, 5), ("Month", "Consent"), date(2021, 7, 4), date(2021, 6, 5), date(2021, 7, 4), 500, 500),
            (date(2021, 6, 5), ("Month", "Consent"), date(2021, 8, 5), date(2021, 8, 5), date(2021, 9, 4), 500, 500),
            (date(2021, 6, 6), ("Year", "Calendar"), date(2021, 9, 9), date(2021, 1, 1), date(2021, 12, 31), 500, 286),
            (date(2021, 6, 6), ("Year", "Calendar"), date(2022, 9, 9), date(2022, 1, 1), date(2022, 12, 31), 500, 500),
            (date(2021, 6, 5), ("Year", "Consent"), date(2023, 6, 4), date(2022, 6, 5), date(2023, 6, 4), 500, 500),
            (date(2024, 2, 29), ("Year", "Consent"), date(2025, 2, 28), date(2025, 2, 28), date(2026, 2, 27), 9, 9),
            (date(2024, 2, 29), ("Year", "Consent"), date(2028, 2, 28), date(2027, 2, 28), date(2028, 2, 28), 9, 9),
            (date(2026, 8, 31), ("Month", "Consent"), date(2026, 9, 30), date(2026, 9, 30), date(2026, 10, 30), 9, 9),
            (
                date(2026, 8, 31),
                ("Half-year", "Consent"),
                date(2027, 2, 28),
                date(2027, 2, 28),
                date(2027, 8, 30),
                9,
                9,
            ),
            (
                date(2026, 11, 20),
                ("Week", "Calendar"),
                date(2026, 11, 22),
                date(2026, 11, 16),
                date(2026, 11, 22),
                7,
                3,
            ),
        ],
    )
    def test_is_as_in_examples(  # noqa: PLR0917 - the columns of a table
        self,
        created_on: date,
        kind: Any,
        day: date,
        starts_on: date,
        ends_on: date,
        amount_minor: int,
        limit_minor: int,
    ) -> None:
        """The standard's own examples, months without the day, leap years and a week begun on a Friday come out."""
        one = limit(kind[0], kind[1], amount_minor * 100)
        period = period_of(one, terms(one, created_on=created_on), day)
        assert (period.slot.starts_on, period.ends_before - DAY) == (starts_on, ends_on)
        assert period.limit_minor // 100 == limit_minor

    def test_is_rounded_down_to_minor_units(self) -> None:
        """500.00 for 209 of 365 days are 286.30."""
        one = limit("Year", "Calendar", 50_000)
        assert period_of(one, terms(one), date(2021, 12, 31)).limit_minor == 28_630

    def test_is_cut_at_the_first_valid_day(self) -> None:
        """A calendar's first period counts from the day from which the consent is valid, where that comes later."""
        one = limit("Month", "Calendar", 3_100)
        valid = terms(one, valid_from=date(2021, 7, 22))
        assert period_of(one, valid, date(2021, 7, 30)).limit_minor == 1_000
        assert period_of(one, valid, date(2021, 8, 1)).limit_minor == 3_100


class TestLimitsOfOneKind:
    """Limits of one kind."""

    def test_are_counted_once_and_the_narrowest_holds(self) -> None:
        """Of two monthly limits there is one period, with the lower amount and the place of its limit."""
        several = terms(limit("Month", "Consent", 900), limit("Month", "Consent", 700), limit("Week", "Consent", 500))
        periods = periods_on(several, date(2021, 6, 7))
        assert [(each.slot.period_type, each.limit_minor, each.place) for each in periods] == [
            ("Month", 700, 1),
            ("Week", 500, 2),
        ]


class TestTerms:
    """Terms that a consent keeps."""

    @pytest.mark.parametrize("agreed", [terms(), WHOLE])
    def test_come_back_as_they_were(self, agreed: ControlParameters) -> None:
        """What is written is read again, with the day that the consent's own row knows."""
        assert read_terms(write_terms(agreed), datetime(2021, 6, 6, 12, tzinfo=UTC)) == agreed


class TestADay:
    """The day of an instant."""

    def test_is_one_of_utc(self) -> None:
        """Half past midnight in London's summer is still the day before."""
        assert day_of(datetime(2026, 7, 1, 0, 30, tzinfo=timezone(timedelta(hours=1)))) == date(2026, 6, 30)
        assert day_of(datetime(2026, 7, 1, tzinfo=UTC)) == date(2026, 7, 1)


class TestAPayment:
    """A payment under a consent."""

    def test_passes_at_each_bound(self) -> None:
        """The first day, the last day and the greatest amount are within."""
        assert breach_of_terms(WHOLE, PAID, date(2021, 6, 10)) is None
        assert breach_of_terms(WHOLE, PAID, date(2021, 6, 20)) is None

    @pytest.mark.parametrize(
        ("changes", "day", "name"),
        [
            ({}, date(2021, 6, 9), "ValidFromDateTime"),
            ({}, date(2021, 6, 21), "ValidToDateTime"),
            ({"vrp_type": "UK.OBIE.VRPType.Other"}, date(2021, 6, 15), "VRPType"),
            ({"authentication_method": "UK.OBIE.SCA"}, date(2021, 6, 15), "PSUAuthenticationMethods"),
            ({"interaction_type": "OffSession"}, date(2021, 6, 15), "PSUInteractionTypes"),
            ({"currency": "EUR"}, date(2021, 6, 15), "MaximumIndividualAmount.Currency"),
            ({"amount_minor": 10_001}, date(2021, 6, 15), "MaximumIndividualAmount"),
        ],
    )
    def test_is_stopped_by_each_parameter(self, changes: dict[str, Any], day: date, name: str) -> None:
        """Whatever differs from the consent alone is named."""
        breach = breach_of_terms(WHOLE, msgspec.structs.replace(PAID, **changes), day)
        assert breach is not None
        assert breach.path == f"ControlParameters.{name}"

    def test_may_fill_a_period_and_no_more(self) -> None:
        """What is left is named with the limit that stops it."""
        several = terms(limit("Month", "Consent", 5_000), limit("Day", "Consent", 1_500))
        month, day = periods_on(several, date(2021, 6, 7))
        assert breach_of_limits(order(1_000), [(month, 4_000), (day, 500)]) is None
        assert breach_of_limits(order(1_000), [(month, 4_000), (day, 501)]) == Breach(
            path="ControlParameters.PeriodicLimits[1].Amount", limit_minor=1_500, remaining_minor=999
        )


class TestPaymentsInARow:
    """Payments over time."""

    @settings(max_examples=40, deadline=None)
    @given(
        kinds=st.lists(st.tuples(st.sampled_from(KINDS), st.integers(1, 3_000)), min_size=1, max_size=4),
        steps=st.lists(st.tuples(st.integers(0, 40), st.integers(1, 1_500)), max_size=40),
        created_on=st.dates(date(2023, 11, 1), date(2024, 4, 1)),
    )
    def test_never_sum_to_more_than_a_limit(
        self, kinds: Sequence[Any], steps: Sequence[tuple[int, int]], created_on: date
    ) -> None:
        """Each is let through exactly if every period of the slow model has room for it."""
        limits = [limit(kind[0], kind[1], amount_minor) for kind, amount_minor in kinds]
        agreed = terms(*limits, created_on=created_on, maximum_individual=Amount(1_500, "GBP"))
        sums: dict[Any, int] = {}
        paid: list[tuple[date, int]] = []
        day = created_on
        for later, amount_minor in steps:
            day += DAY * later
            periods = periods_on(agreed, day)
            breach = breach_of_limits(order(amount_minor), [(each, sums.get(each.slot, 0)) for each in periods])
            fits = True
            for kind, full_minor in kinds:
                days = _days(kind[0], kind[1], created_on, day)
                usable = days if kind[1] == "Consent" else [each for each in days if each >= created_on]
                spent = sum(amount for each, amount in paid if each in days)
                fits = fits and spent + amount_minor <= full_minor * len(usable) // len(days)
            assert (breach is None) is fits
            if fits:
                paid.append((day, amount_minor))
                for each in periods:
                    sums[each.slot] = sums.get(each.slot, 0) + amount_minor
