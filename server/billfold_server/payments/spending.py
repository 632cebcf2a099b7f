"""What has been paid under consents for recurring payments, period by period, as commands see and change it.

Periods are rows of the engine's: a payment is decided on what the payments before it in the batch leave of each, so
that payments at once are held to the limits exactly as payments one by one. All decisions here are pure.

What is refused never counted. What a rail rejects, or what is cancelled, gives its amount back to the periods in which
it counted. What was paid and comes back later gives back nothing: the limit is on what is ordered, and that was.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from billfold import errors
from billfold.money import Money
from billfold_server.ledger.service import Draft
from billfold_server.payments import control_parameters as rules
from billfold_server.payments.control_parameters import ControlParameters, Order, Period, Slot

__all__ = ["SpentKey", "SpentRow", "check_maximum", "check_terms", "give_back", "spend", "spent_keys"]

_OF_A_CONSENT: Final = "Data."


class SpentKey(NamedTuple):
    """A period of a consent."""

    consent_id: UUID
    slot: Slot


class SpentRow(msgspec.Struct, frozen=True, kw_only=True):
    """What has been paid within a period of a consent.

    Attributes:
        consent_id: Of which consent.
        slot: Which period.
        ends_before: The day after its last.
        limit_minor: How much may be.
        spent_minor: How much has been, rejected and cancelled payments not counted.
        payments: How many payments that are.
        updated_at: When that changed last, on the tenant's clock.
    """

    consent_id: UUID
    slot: Slot
    ends_before: date
    limit_minor: int
    spent_minor: int = 0
    payments: int = 0
    updated_at: datetime

    @property
    def key(self) -> SpentKey:
        """What the row is loaded by."""
        return SpentKey(self.consent_id, self.slot)


def spent_keys(consent_id: UUID, terms: ControlParameters, at: datetime) -> list[SpentKey]:
    """Name the periods in which a payment of an instant counts.

    Args:
        consent_id: The consent.
        terms: Its own.
        at: When the payment is made: the books' present for a new one, its own for one that is there.
    """
    return [SpentKey(consent_id, period.slot) for period in rules.periods_on(terms, rules.day_of(at))]


def check_terms(terms: ControlParameters, order: Order, at: datetime) -> None:
    """Refuse a payment that its consent doesn't allow, whatever has been paid before.

    Raises:
        ControlParametersBreached: The path says which control parameter stops it.
    """
    _raise_if(rules.breach_of_terms(terms, order, rules.day_of(at)), order.currency)


def check_maximum(terms: ControlParameters, amount: Money) -> None:
    """Refuse to tell of an amount that no payment under a consent can be: its payer has agreed to nothing of the kind.

    Raises:
        ControlParametersBreached: The path says which control parameter stops it.
    """
    _raise_if(rules.breach_of_maximum(terms, amount.amount_minor, amount.currency), amount.currency)


def spend(draft: Draft, consent_id: UUID, terms: ControlParameters, order: Order) -> list[SpentRow]:
    """Return the periods of a payment as it leaves them, or refuse it.

    Args:
        draft: The command's; the rows of ``spent_keys`` at the draft's present have been loaded.
        consent_id: The consent.
        terms: Its own.
        order: The payment.

    Raises:
        ControlParametersBreached: The path says which control parameter stops it.
    """
    check_terms(terms, order, draft.now)
    rows = [_row(draft, consent_id, period) for period in rules.periods_on(terms, rules.day_of(draft.now))]
    counted = [(period, row.spent_minor) for period, row in rows]
    _raise_if(rules.breach_of_limits(order, counted), order.currency)
    return _counted(draft, [row for _, row in rows], order.amount_minor, 1)


def give_back(
    draft: Draft, consent_id: UUID, terms: ControlParameters, *, paid_at: datetime, amount_minor: int
) -> list[SpentRow]:
    """Return the periods in which a payment counted that has come to nothing, without it.

    Args:
        draft: The command's; the rows of ``spent_keys`` at ``paid_at`` have been loaded.
        consent_id: The consent.
        terms: Its own.
        paid_at: When the payment was made.
        amount_minor: Its amount.
    """
    rows = [draft.find(SpentRow, key) for key in spent_keys(consent_id, terms, paid_at)]
    return _counted(draft, [row for row in rows if row is not None], -amount_minor, -1)


def _row(draft: Draft, consent_id: UUID, period: Period) -> tuple[Period, SpentRow]:
    known = draft.find(SpentRow, SpentKey(consent_id, period.slot))
    return period, known or SpentRow(
        consent_id=consent_id,
        slot=period.slot,
        ends_before=period.ends_before,
        limit_minor=period.limit_minor,
        updated_at=draft.now,
    )


def _counted(draft: Draft, rows: Sequence[SpentRow], amount_minor: int, payments: int) -> list[SpentRow]:
    return [
        msgspec.structs.replace(
            row,
            spent_minor=row.spent_minor + amount_minor,
            payments=row.payments + payments,
            updated_at=draft.now,
        )
        for row in rows
    ]


def _raise_if(breach: rules.Breach | None, currency: str) -> None:
    if breach is not None:
        raise errors.ControlParametersBreached(
            "the payment isn't within what its payer has agreed to",
            param=_OF_A_CONSENT + breach.path,
            currency=currency,
            limit_minor=breach.limit_minor,
            remaining_minor=breach.remaining_minor,
        )
