"""How requests about domestic payments are read and refused. Pure.

Source: UK Open Banking Read/Write API v4.0, "Domestic payment consents" and "Domestic payments"; codes of the
standard's ``OBExternalStatusReason1Code``.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from billfold.contract.open_banking.payments import (
    OBRemittanceInformation2Payment,
    OBWriteDomestic2Initiation,
    OBWriteDomesticConsent4Authorisation,
)
from billfold.contract.open_banking.vrp import OBRemittanceInformation2Vrp
from billfold.money import AmountError, Money, from_decimal
from billfold_server.open_banking.consents.reading import to_utc
from billfold_server.open_banking.edge.errors import field_error

__all__ = [
    "Terms",
    "check_authorisation",
    "check_instrument",
    "read_amount",
    "reference_of",
    "repeated",
    "to_authorise_by",
]

_INITIATION: Final = "Data.Initiation"
INVALID, DATE, UNEXPECTED, CURRENCY, INSTRUMENT = "U002", "U003", "U005", "U023", "U026"
_COMPLETION: Final = "Data.Authorisation.CompletionDateTime"
_INSTRUMENTS: Final = frozenset(
    f"UK.OBIE.{name}"
    for name in (
        "BACS",
        "BalanceTransfer",
        "CHAPS",
        "Euro1",
        "FPS",
        "Link",
        "MoneyTransfer",
        "Paym",
        "SEPACreditTransfer",
        "SEPAInstantCreditTransfer",
        "SWIFT",
        "Target2",
    )
)
"""``OBInternalLocalInstrument1Code``. It says how a payment is to leave; the bank adds none of its own."""


class Terms(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a consent says that tells of nobody.

    Attributes:
        refund: Whether the third party asks for the account to which the payment can be given back.
    """

    refund: bool = False


def read_amount(initiation: OBWriteDomestic2Initiation, currencies: Collection[str]) -> Money:
    """Return how much is to be paid, in a currency that the tenant uses.

    Raises:
        errors.ProblemError: Not zero, too exact or too large for its currency, or of another one; or the order says
            what nobody understands here.
    """
    if initiation.supplementary_data:
        raise field_error(f"{_INITIATION}.SupplementaryData", UNEXPECTED, "there is no such data that is understood")
    given, path = initiation.instructed_amount, f"{_INITIATION}.InstructedAmount"
    if given.currency not in currencies:
        raise field_error(f"{path}.Currency", CURRENCY, "this bank keeps no accounts in the currency")
    try:
        amount_minor = from_decimal(given.amount, given.currency)
    except AmountError as error:
        raise field_error(f"{path}.Amount", INVALID, str(error)) from None
    if amount_minor <= 0:
        raise field_error(f"{path}.Amount", INVALID, "the amount must be more than nothing")
    return Money(amount_minor, given.currency)


def check_instrument(instrument: str | UnsetType, path: str) -> None:
    """Refuse a means of payment that the standard doesn't name.

    Raises:
        errors.ProblemError: It is another one.
    """
    if instrument is not UNSET and instrument not in _INSTRUMENTS:
        raise field_error(path, INSTRUMENT, "payments aren't sent by this local instrument")


def to_authorise_by(authorisation: OBWriteDomesticConsent4Authorisation | UnsetType) -> datetime | None:
    """Return by when a consent must be authorised, in UTC; None is for as long as the bank lets it wait.

    Raises:
        errors.ProblemError: That lies outside of the years that a calendar has.
    """
    return None if authorisation is UNSET else to_utc(_COMPLETION, authorisation.completion_date_time)


def check_authorisation(authorise_by: datetime | None, now: datetime) -> None:
    """Refuse a time for authorising that has passed.

    Raises:
        errors.ProblemError: It has.
    """
    if authorise_by is not None and authorise_by <= now:
        raise field_error(_COMPLETION, DATE, "has passed")


_canonical: Final = msgspec.json.Encoder(order="deterministic").encode


def repeated(initiation: OBWriteDomestic2Initiation, risk: Any) -> bytes:
    """Return, in its one form, what the payment must repeat of its consent."""
    return _canonical({"Initiation": initiation, "Risk": risk})


def reference_of(remittance: OBRemittanceInformation2Payment | OBRemittanceInformation2Vrp | UnsetType) -> str | None:
    """Return what the payer writes to the payee: the creditor's own reference, or else the first free text."""
    if remittance is UNSET:
        return None
    for each in () if remittance.structured is UNSET else remittance.structured:
        information = each.creditor_reference_information
        if information is not UNSET and information.reference is not UNSET:
            return information.reference
    texts = [] if remittance.unstructured is UNSET else remittance.unstructured
    return texts[0] if texts else None
