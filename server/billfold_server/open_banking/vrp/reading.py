"""How requests about variable recurring payments are read and refused. Pure.

Source: UK Open Banking Read/Write API v4.0, "Domestic VRP consents" and "Domestic VRPs"; codes of the standard's
``OBExternalStatusReason1Code``.
"""

from collections.abc import Collection
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

import msgspec
from msgspec import UNSET

from billfold.contract.open_banking.vrp import (
    OBDomesticVRPConsentRequest,
    OBDomesticVRPControlParameters,
    OBDomesticVRPInitiation,
    OBDomesticVRPRequest,
)
from billfold.money import Money
from billfold_server.open_banking.edge.errors import (
    CONSENT_MISMATCH,
    DATE_INVALID,
    FIELD_EXPECTED,
    FIELD_INVALID,
    FIELD_UNEXPECTED,
    field_error,
)
from billfold_server.open_banking.payments.reading import check_instrument, read_amount
from billfold_server.payments.service import AgreedAmount, ControlParameters, PeriodicLimit, RecurringOrder, day_of

__all__ = [
    "check_last_day",
    "check_migration",
    "check_repeats",
    "expires_at",
    "money_of",
    "read_consent",
    "read_order",
]

_CONTROL: Final = "Data.ControlParameters"
_SWEEPING: Final = "UK.OBIE.VRPType.Sweeping"
_TYPES: Final = frozenset({_SWEEPING, "UK.OBIE.VRPType.Other"})
_METHODS: Final = frozenset({"UK.OBIE.SCA", "UK.OBIE.SCANotRequired"})
_MOST_LIMITS: Final = 50
"""Each payment is held to all of them under the lock of the ledger; there are eleven kinds of period."""


# Consents.


def read_consent(body: OBDomesticVRPConsentRequest, currencies: Collection[str]) -> ControlParameters:
    """Return the control parameters that are asked for.

    Args:
        body: The request.
        currencies: Those that the tenant uses.

    Raises:
        errors.ProblemError: The path says what can't be agreed to.
    """
    given = body.data.control_parameters
    _check_lists(given)
    _check_dates(given)
    _check_creditor(body.data.initiation, given)
    if given.supplementary_data:
        raise field_error(f"{_CONTROL}.SupplementaryData", FIELD_UNEXPECTED, "there is no such data that is understood")
    maximum = read_amount(given.maximum_individual_amount, f"{_CONTROL}.MaximumIndividualAmount", currencies)
    interactions = () if given.psu_interaction_types is UNSET else tuple(dict.fromkeys(given.psu_interaction_types))
    agreed = ControlParameters(
        valid_from=None if given.valid_from_date_time is UNSET else given.valid_from_date_time.date(),
        valid_to=None if given.valid_to_date_time is UNSET else given.valid_to_date_time.date(),
        maximum_individual=AgreedAmount(maximum.amount_minor, maximum.currency),
        periodic_limits=_read_limits(given, maximum.currency, currencies),
        vrp_types=tuple(dict.fromkeys(given.vrp_type)),
        authentication_methods=tuple(dict.fromkeys(given.psu_authentication_methods)),
    )
    return msgspec.structs.replace(agreed, interaction_types=interactions) if interactions else agreed


def _check_lists(given: OBDomesticVRPControlParameters) -> None:
    for name, values, known in (
        ("VRPType", given.vrp_type, _TYPES),
        ("PSUAuthenticationMethods", given.psu_authentication_methods, _METHODS),
    ):
        for place, value in enumerate(values):
            if value not in known:
                raise field_error(f"{_CONTROL}.{name}[{place}]", FIELD_INVALID, "there is no such value")


_LAST_DAY: Final = f"{_CONTROL}.ValidToDateTime"


def check_last_day(given: OBDomesticVRPControlParameters, now: datetime) -> None:
    """Refuse to begin what would have ended; a copy of what was asked for in time isn't held to that.

    Raises:
        errors.ValidationFailed: The last day has passed.
    """
    if given.valid_to_date_time is not UNSET and given.valid_to_date_time.date() < day_of(now):
        raise field_error(_LAST_DAY, DATE_INVALID, "the last day has passed")


def _check_dates(given: OBDomesticVRPControlParameters) -> None:
    first, last = given.valid_from_date_time, given.valid_to_date_time
    if first is not UNSET and last is not UNSET and last.date() < first.date():
        raise field_error(_LAST_DAY, DATE_INVALID, "the last day comes before the first")


def _check_creditor(initiation: OBDomesticVRPInitiation, given: OBDomesticVRPControlParameters) -> None:
    if initiation.creditor_account is UNSET and _SWEEPING in given.vrp_type:
        path = "Data.Initiation.CreditorAccount"
        raise field_error(path, FIELD_EXPECTED, "whoever sweeps says to which account")


def _read_limits(
    given: OBDomesticVRPControlParameters, currency: str, currencies: Collection[str]
) -> tuple[PeriodicLimit, ...]:
    if len(given.periodic_limits) > _MOST_LIMITS:
        raise field_error(f"{_CONTROL}.PeriodicLimits", FIELD_INVALID, f"there may be at most {_MOST_LIMITS} limits")
    limits = []
    for place, limit in enumerate(given.periodic_limits):
        path = f"{_CONTROL}.PeriodicLimits[{place}]"
        if limit.period_type == "Fortnight" and limit.period_alignment == "Calendar":
            raise field_error(f"{path}.PeriodAlignment", FIELD_INVALID, "a calendar has no fortnights")
        amount = read_amount(limit, path, currencies)
        if amount.currency != currency:
            raise field_error(f"{path}.Currency", FIELD_INVALID, "all limits are in the currency of the maximum")
        limits.append(
            PeriodicLimit(
                period_type=limit.period_type,
                period_alignment=limit.period_alignment,
                amount_minor=amount.amount_minor,
                currency=amount.currency,
            )
        )
    return tuple(limits)


def expires_at(given: OBDomesticVRPControlParameters) -> datetime | None:
    """Return when a consent ends: with the last day that it names, which it includes."""
    if given.valid_to_date_time is UNSET or given.valid_to_date_time.date() == date.max:
        return None
    return datetime.combine(given.valid_to_date_time.date() + timedelta(days=1), time.min, UTC)


def check_migration(asked: OBDomesticVRPConsentRequest, body: OBDomesticVRPConsentRequest) -> None:
    """Refuse to bring over a consent with something else than its customer has seen.

    Raises:
        errors.ProblemError: The path names the first field that differs.
    """
    _check_same(asked.data.control_parameters, body.data.control_parameters, _CONTROL)
    _check_same(asked.data.initiation, body.data.initiation, "Data.Initiation")
    _check_same(asked.risk, body.risk, "Risk")
    if asked.data.read_refund_account != body.data.read_refund_account:
        raise field_error("Data.ReadRefundAccount", CONSENT_MISMATCH, "the consent says something else")


# Payments.


def money_of(order: RecurringOrder) -> Money:
    """Return an order's amount."""
    return Money(order.amount_minor, order.currency)


def read_order(body: OBDomesticVRPRequest, currencies: Collection[str]) -> RecurringOrder:
    """Return what control parameters must allow of a payment.

    Raises:
        errors.ProblemError: The path says what can't be paid.
    """
    data, path = body.data, "Data.Instruction"
    if data.instruction.supplementary_data:
        raise field_error(f"{path}.SupplementaryData", FIELD_UNEXPECTED, "there is no such data that is understood")
    for name, value, known in (
        ("VRPType", data.vrp_type, _TYPES),
        ("PSUAuthenticationMethod", data.psu_authentication_method, _METHODS),
    ):
        if value not in known:
            raise field_error(f"Data.{name}", FIELD_INVALID, "there is no such value")
    check_instrument(data.instruction.local_instrument, f"{path}.LocalInstrument")
    amount = read_amount(data.instruction.instructed_amount, f"{path}.InstructedAmount", currencies)
    order = RecurringOrder(
        amount_minor=amount.amount_minor,
        currency=amount.currency,
        vrp_type=data.vrp_type,
        authentication_method=data.psu_authentication_method,
    )
    if data.psu_interaction_type is UNSET:
        return order
    return msgspec.structs.replace(order, interaction_type=data.psu_interaction_type)


_REPEATED: Final = {
    "creditor_account": "CreditorAccount",
    "creditor_postal_address": "CreditorPostalAddress",
    "ultimate_creditor": "UltimateCreditor",
    "remittance_information": "RemittanceInformation",
}
"""What a consent settles for every payment, where it says it at all; the instruction repeats it."""


def check_repeats(agreed: OBDomesticVRPConsentRequest, body: OBDomesticVRPRequest) -> None:
    """Refuse a payment that says something else than its consent.

    Initiation and risk are those of the consent. So is what the consent says of the creditor and of the remittance;
    what it leaves open is the instruction's to say.

    Raises:
        errors.ProblemError: The path names the first field that differs.
    """
    _check_same(agreed.data.initiation, body.data.initiation, "Data.Initiation")
    _check_same(agreed.risk, body.risk, "Risk")
    for name, wire_name in _REPEATED.items():
        settled = getattr(agreed.data.initiation, name)
        said = getattr(body.data.instruction, name)
        is_said = said is not UNSET or name == "remittance_information"
        if settled is not UNSET and is_said and said != settled:
            raise field_error(f"Data.Instruction.{wire_name}", CONSENT_MISMATCH, "the consent says something else")


def _check_same(agreed: msgspec.Struct, said: msgspec.Struct, path: str) -> None:
    for field in msgspec.structs.fields(agreed):
        if getattr(agreed, field.name) != getattr(said, field.name):
            raise field_error(f"{path}.{field.encode_name}", CONSENT_MISMATCH, "the consent says something else")
