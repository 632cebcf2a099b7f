"""What a variable recurring payment may be: the control parameters of its consent, decided without I/O or clock.

A day is a day of UTC. The standard's text names no zone; it says that times of day don't count where it reckons with
dates, so a date that a consent gives is the one it has written, whatever its offset.

Source: UK Open Banking Read/Write API v4.0, "Domestic VRP consents" (OBDomesticVRPControlParameters, with its examples
of periodic limits) and "Domestic VRPs".
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal, NamedTuple

import msgspec

__all__ = [
    "OFF_SESSION",
    "SWEEPING",
    "Amount",
    "Breach",
    "ControlParameters",
    "Order",
    "Period",
    "PeriodAlignment",
    "PeriodType",
    "PeriodicLimit",
    "Slot",
    "breach_of_limits",
    "breach_of_maximum",
    "breach_of_terms",
    "day_of",
    "period_of",
    "periods_on",
    "read_terms",
    "write_terms",
]

PeriodType = Literal["Day", "Week", "Fortnight", "Month", "Half-year", "Year"]
PeriodAlignment = Literal["Consent", "Calendar"]

OFF_SESSION: Final = "OffSession"
"""How a payment is made where neither it nor its consent says so: without the payer."""

SWEEPING: Final = "UK.OBIE.VRPType.Sweeping"
"""The kind of payments between accounts of one person."""

_DAY: Final = timedelta(days=1)
_DAYS: Final[dict[PeriodType, int]] = {"Day": 1, "Week": 7, "Fortnight": 14}
_MONTHS: Final[dict[PeriodType, int]] = {"Month": 1, "Half-year": 6, "Year": 12}
_MONTHS_OF_A_YEAR: Final = 12
_LAST_DAYS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class Amount(msgspec.Struct, frozen=True):
    """An amount of one currency, in minor units."""

    amount_minor: int
    currency: str


class PeriodicLimit(msgspec.Struct, frozen=True, kw_only=True):
    """How much may be paid within each period of a kind."""

    period_type: PeriodType
    period_alignment: PeriodAlignment
    amount_minor: int
    currency: str


class ControlParameters(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the payer has agreed to.

    Attributes:
        created_on: The day on which the consent was made, from which periods aligned with it are counted; the consent's
            row knows it.
        valid_from: The first day on which may be paid; absent where the consent leaves it open.
        valid_to: The last one.
        maximum_individual: How much one payment may be, and in which currency all of them are.
        periodic_limits: At least one; a payment keeps to all of them.
        vrp_types: What kinds of payment there may be.
        authentication_methods: How the payer may have been authenticated for one.
        interaction_types: Whether the payer may, or must, be there.
    """

    created_on: date = date.min
    valid_from: date | None = None
    valid_to: date | None = None
    maximum_individual: Amount
    periodic_limits: tuple[PeriodicLimit, ...]
    vrp_types: tuple[str, ...]
    authentication_methods: tuple[str, ...]
    interaction_types: tuple[str, ...] = (OFF_SESSION,)

    @property
    def starts_on(self) -> date:
        """The first day on which a payment can be."""
        return self.created_on if self.valid_from is None else max(self.created_on, self.valid_from)


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One payment that is asked for, as far as control parameters tell of it."""

    amount_minor: int
    currency: str
    vrp_type: str
    authentication_method: str
    interaction_type: str = OFF_SESSION


class Slot(NamedTuple):
    """Which period of which kind it is; limits of one kind share what is counted."""

    period_type: PeriodType
    period_alignment: PeriodAlignment
    starts_on: date
    currency: str


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """A period, and what may be paid within it.

    Attributes:
        slot: Which one it is.
        ends_before: The day after its last.
        limit_minor: In full, or pro rata where it is the first one of a calendar's and has begun without the consent.
        place: Which of the consent's limits sets it, counted from 0.
    """

    slot: Slot
    ends_before: date
    limit_minor: int
    place: int


class Breach(msgspec.Struct, frozen=True, kw_only=True):
    """Why a payment isn't within its consent.

    Attributes:
        path: Which control parameter stops it, from the consent's ``Data`` on.
        limit_minor: How much that one allows, where it is an amount.
        remaining_minor: How much of it is left.
    """

    path: str
    limit_minor: int | None = None
    remaining_minor: int | None = None


def day_of(instant: datetime) -> date:
    """Return the day on which an instant lies."""
    return instant.astimezone(UTC).date()


def write_terms(terms: ControlParameters) -> bytes:
    """Return what a consent keeps of its control parameters, as JSON; nothing of it is personal."""
    return _encode(msgspec.structs.replace(terms, created_on=date.min))


def read_terms(terms: bytes, created_at: datetime) -> ControlParameters:
    """Return the control parameters of a consent that was made at an instant."""
    return msgspec.structs.replace(_decode(terms), created_on=day_of(created_at))


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(ControlParameters).decode


# Periods.


def period_of(limit: PeriodicLimit, terms: ControlParameters, day: date, place: int = 0) -> Period:
    """Return the period of a limit in which a day lies.

    Periods aligned with the consent begin on the day it was made, and each later one on the same day of its month, or
    on that month's last where it is too short. Those of the calendar begin on Mondays, and with months, half-years and
    years; the one in which the consent's range begins has its limit pro rata of the days that are left, that one
    included, rounded down to whole minor units.

    Args:
        limit: The limit.
        terms: The consent's.
        day: The day.
        place: Which of the consent's limits it is.
    """
    if limit.period_alignment == "Consent":
        starts_on, ends_before = _since(terms.created_on, limit.period_type, day)
        amount_minor = limit.amount_minor
    else:
        starts_on, ends_before = _in_calendar(limit.period_type, day)
        left = (ends_before - max(starts_on, min(terms.starts_on, ends_before - _DAY))).days
        amount_minor = limit.amount_minor * left // (ends_before - starts_on).days
    slot = Slot(limit.period_type, limit.period_alignment, starts_on, limit.currency)
    return Period(slot=slot, ends_before=ends_before, limit_minor=amount_minor, place=place)


def periods_on(terms: ControlParameters, day: date) -> list[Period]:
    """Return the periods in which a payment of a day counts, in the order of the limits; of one kind, the narrowest."""
    narrowest: dict[Slot, Period] = {}
    for place, limit in enumerate(terms.periodic_limits):
        period = period_of(limit, terms, day, place)
        known = narrowest.get(period.slot)
        if known is None or period.limit_minor < known.limit_minor:
            narrowest[period.slot] = period
    return list(narrowest.values())


def _since(anchor: date, period_type: PeriodType, day: date) -> tuple[date, date]:
    """Return the period in which a day lies, counted from an anchor."""
    if period_type in _DAYS:
        length = _DAYS[period_type]
        starts_on = anchor + timedelta(days=(day - anchor).days // length * length)
        return starts_on, starts_on + timedelta(days=length)
    length = _MONTHS[period_type]
    months = (day.year - anchor.year) * _MONTHS_OF_A_YEAR + day.month - anchor.month
    number = months // length
    if _months_after(anchor, number * length) > day:
        number -= 1
    return _months_after(anchor, number * length), _months_after(anchor, (number + 1) * length)


def _in_calendar(period_type: PeriodType, day: date) -> tuple[date, date]:
    """Return the period of the calendar in which a day lies (ISO 8601: weeks begin on Mondays)."""
    if period_type == "Day":
        return day, day + _DAY
    if period_type == "Week":
        monday = day - timedelta(days=day.weekday())
        return monday, monday + timedelta(days=7)
    length = _MONTHS[period_type]
    first = date(day.year, (day.month - 1) // length * length + 1, 1)
    return first, _months_after(first, length)


def _months_after(day: date, months: int) -> date:
    """Return the same day of another month, or that month's last where it has no such day."""
    years, month = divmod(day.month - 1 + months, _MONTHS_OF_A_YEAR)
    year = day.year + years
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    last = _LAST_DAYS[month] + (is_leap and month == 1)
    return date(year, month + 1, min(day.day, last))


# What stops a payment.


def breach_of_terms(terms: ControlParameters, order: Order, day: date) -> Breach | None:
    """Return what stops a payment whatever has been paid before, or None.

    The checks come in this order, and the first that fails is the answer: range of days, kind of payment,
    authentication, interaction, currency, amount of one payment.
    """
    checks: Sequence[tuple[str, bool]] = (
        ("ValidFromDateTime", terms.valid_from is not None and day < terms.valid_from),
        ("ValidToDateTime", terms.valid_to is not None and day > terms.valid_to),
        ("VRPType", order.vrp_type not in terms.vrp_types),
        ("PSUAuthenticationMethods", order.authentication_method not in terms.authentication_methods),
        ("PSUInteractionTypes", order.interaction_type not in terms.interaction_types),
    )
    for name, fails in checks:
        if fails:
            return Breach(path=f"ControlParameters.{name}")
    return breach_of_maximum(terms, order.amount_minor, order.currency)


def breach_of_maximum(terms: ControlParameters, amount_minor: int, currency: str) -> Breach | None:
    """Return what stops any payment of an amount, whenever and for whatever it is made, or None."""
    path, maximum = "ControlParameters.MaximumIndividualAmount", terms.maximum_individual
    if currency != maximum.currency:
        return Breach(path=f"{path}.Currency")
    if amount_minor > maximum.amount_minor:
        return Breach(path=path, limit_minor=maximum.amount_minor, remaining_minor=maximum.amount_minor)
    return None


def breach_of_limits(order: Order, counted: Iterable[tuple[Period, int]]) -> Breach | None:
    """Return which periodic limit a payment would break, or None.

    Args:
        order: The payment.
        counted: Each period in which it counts, with what has been paid within it.
    """
    for period, paid_minor in counted:
        if paid_minor + order.amount_minor > period.limit_minor:
            return Breach(
                path=f"ControlParameters.PeriodicLimits[{period.place}].Amount",
                limit_minor=period.limit_minor,
                remaining_minor=max(0, period.limit_minor - paid_minor),
            )
    return None
