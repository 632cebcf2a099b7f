"""What a consent for one domestic payment allows: that payment, once. Pure."""

import hmac
from collections.abc import Sequence
from typing import Final

from billfold import errors
from billfold.money import Money
from billfold_server.consents.service import Consent, ConsentRow, consumed
from billfold_server.ledger.service import Draft, Kind, Row
from billfold_server.payments.kinds import Order, initiation

__all__ = ["INITIATE_PAYMENT", "check_same"]


def check_same(consent: Consent, order: Order) -> None:
    """Refuse an order that doesn't repeat what was consented to.

    Raises:
        errors.PaymentDiffersFromConsent: It says something else.
    """
    if not hmac.compare_digest(consent.request_digest, order.digest):
        raise errors.PaymentDiffersFromConsent


def _check(draft: Draft, consent: Consent, order: Order) -> Sequence[Row]:
    """See that the order is the one that was consented to, and use the consent up."""
    check_same(consent, order)
    assert consent.amount_minor is not None, "a consent for one payment names its amount"
    assert consent.currency is not None, "and its currency"
    if order.amount != Money(consent.amount_minor, consent.currency):
        raise errors.PaymentDiffersFromConsent
    row = draft.find(ConsentRow, consent.id)
    assert row is not None, "it was looked at"
    return [consumed(draft, row)]


INITIATE_PAYMENT: Final[Kind[Order]] = initiation("domestic_payment", _check)
"""Orders the one payment of a consent."""
