"""Payments under consents for recurring ones: their check, which rows it needs, and what is given back. Pure."""

from collections.abc import Hashable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from billfold import errors
from billfold.contract.payments import PaymentStatus
from billfold_server.consents.service import Consent, ConsentKind, ConsentRow
from billfold_server.ledger.service import Books, Draft, Keys, Kind, Reply, Row
from billfold_server.payments import control_parameters as rules
from billfold_server.payments import kinds
from billfold_server.payments.control_parameters import ControlParameters
from billfold_server.payments.domestic import check_same
from billfold_server.payments.kinds import Heard, Initiated, Order, Resolution, initiation
from billfold_server.payments.rows import PaymentRow
from billfold_server.payments.spending import SpentRow, give_back, spend, spent_keys
from billfold_server.wallets.service import WalletRow

__all__ = ["HEAR", "INITIATE_RECURRING", "RESOLVE", "agreed"]

_KIND: Final[ConsentKind] = "domestic_vrp"
_OK: Final = 200
_CAME_TO_NOTHING: Final = frozenset({PaymentStatus.REJECTED, PaymentStatus.CANCELLED})


def agreed(consent: Consent) -> ControlParameters:
    """Return what the payer has agreed to in a consent for recurring payments."""
    return rules.read_terms(consent.terms, consent.created_at)


def _periods(books: Books, consent_id: UUID | None, at: datetime) -> list[Hashable]:
    assert consent_id is not None, "these are ordered under one"
    found: ConsentRow | None = books.rows.get(ConsentRow, {}).get(consent_id)
    if found is None or found.consent.kind != _KIND:
        return []
    return list(spent_keys(consent_id, agreed(found.consent), at))


# Ordering.


def _more_keys(books: Books, order: Order) -> Keys:
    return {SpentRow: _periods(books, order.consent_id, books.now)}


def _check(draft: Draft, consent: Consent, order: Order) -> Sequence[Row]:
    """Hold a payment to its consent, and count it in the periods of the day."""
    check_same(consent, order)
    facts: rules.Order = order.facts
    _check_swept(draft, consent, order)
    assert (facts.amount_minor, facts.currency) == (order.amount.amount_minor, order.amount.currency), "it is one order"
    return spend(draft, consent.id, agreed(consent), facts)


def _check_swept(draft: Draft, consent: Consent, order: Order) -> None:
    """Refuse to sweep to somebody else's wallet, whatever was known of the account when the payer agreed.

    Of accounts elsewhere nobody here knows whose they are; an account's number may come to be another's wallet's.

    Raises:
        errors.ControlParametersBreached: What is said to be the payer's own isn't.
    """
    to_wallet_id = kinds.creditor_of(draft, order) if order.facts.vrp_type == rules.SWEEPING else None
    if to_wallet_id is None:
        return
    wallet = draft.find(WalletRow, to_wallet_id)
    assert wallet is not None, "whose names are there is there as well"
    if wallet.party_id != consent.party_id:
        raise errors.ControlParametersBreached(
            "sweeping goes to accounts of the payer's own, and this one is somebody else's",
            param="Data.ControlParameters.VRPType",
            currency=order.amount.currency,
            limit_minor=None,
            remaining_minor=None,
        )


INITIATE_RECURRING: Final[Kind[Order]] = initiation(_KIND, _check, _more_keys)
"""Orders a payment under a consent for recurring ones."""


# Hearing.


def _heard_keys(books: Books, heard: Heard) -> Keys:
    wanted = dict(kinds.HEAR.keys(books, heard))
    row: PaymentRow | None = books.rows.get(PaymentRow, {}).get(heard.payment_id)
    if row is None or row.kind != _KIND:
        return wanted
    return {**wanted, ConsentRow: [row.consent_id], SpentRow: _periods(books, row.consent_id, row.created_at)}


def _hear(draft: Draft, heard: Heard) -> Reply:
    """Record what a rail says; a payment that comes to nothing leaves its consent's periods."""
    before = draft.find(PaymentRow, heard.payment_id)
    reply = kinds.HEAR.decide(draft, heard)
    row = draft.find(PaymentRow, heard.payment_id)
    assert before is not None, "a payment that isn't there was refused"
    assert row is not None, "and none is taken away"
    _uncount(draft, before, row)
    return reply


def _uncount(draft: Draft, before: PaymentRow, row: PaymentRow) -> None:
    """Let a payment that has come to nothing leave its consent's periods."""
    if row.kind == _KIND and row.status in _CAME_TO_NOTHING and before.status not in _CAME_TO_NOTHING:
        assert row.consent_id is not None, "its kind has one"
        found = draft.find(ConsentRow, row.consent_id)
        # What was counted goes with a consent whose time to be kept is over.
        if found is not None:
            terms = agreed(found.consent)
            for each in give_back(draft, row.consent_id, terms, paid_at=row.created_at, amount_minor=row.amount_minor):
                draft.put(each)


HEAR: Final[Kind[Heard]] = Kind(kinds.HEAR.name, _heard_keys, _hear)
"""Takes in what a rail says of a payment, of whatever kind its consent is."""


# Resolving.


def _resolution_keys(books: Books, said: Resolution) -> Keys:
    return _heard_keys(books, Heard(payment_id=said.payment_id, turn=None, report=None))


def _resolve(draft: Draft, said: Resolution) -> Reply:
    before = draft.find(PaymentRow, said.payment_id)
    row = kinds.resolve(draft, said)
    assert before is not None, "a payment that isn't there was refused"
    _uncount(draft, before, row)
    return Reply(_OK, Initiated(payment_id=row.wire_id))


RESOLVE: Final[Kind[Resolution]] = Kind("payment.resolve", _resolution_keys, _resolve)
"""Takes in what a member of staff has found out of a payment, of whatever kind its consent is."""
