"""How requests about domestic payments are read and refused, and what those about recurring ones share. Pure.

Source: UK Open Banking Read/Write API v4.0, "Domestic payment consents" and "Domestic payments"; codes of the
standard's ``OBExternalStatusReason1Code``.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final, Protocol

import msgspec
from msgspec import UNSET, UnsetType

from billfold.contract.open_banking.payments import (
    OBRemittanceInformation2Payment,
    OBWriteDomestic2Initiation,
    OBWriteDomesticConsent4Authorisation,
)
from billfold.contract.open_banking.vrp import (
    OBDomesticVRPInitiation,
    OBDomesticVRPInstruction,
    OBRemittanceInformation2Vrp,
)
from billfold.money import AmountError, Money, from_decimal
from billfold_server.open_banking.consents.reading import to_utc
from billfold_server.open_banking.edge.errors import (
    DATE_INVALID,
    FIELD_INVALID,
    FIELD_UNEXPECTED,
    UNSUPPORTED_CURRENCY,
    UNSUPPORTED_INSTRUMENT,
    field_error,
)
from billfold_server.payments.service import Texts

__all__ = [
    "Terms",
    "check_authorisation",
    "check_instrument",
    "read_amount",
    "read_initiation",
    "repeated",
    "texts_of",
    "to_authorise_by",
]

_INITIATION: Final = "Data.Initiation"
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


class GivenAmount(Protocol):
    """An amount as a request writes it."""

    @property
    def amount(self) -> str:
        """How much, as a decimal number."""

    @property
    def currency(self) -> str:
        """Of what."""


def read_amount(given: GivenAmount, path: str, currencies: Collection[str]) -> Money:
    """Return an amount of a currency that the tenant uses.

    Raises:
        errors.ProblemError: It is zero or less, too exact or too large for its currency, or of another one.
    """
    if given.currency not in currencies:
        raise field_error(f"{path}.Currency", UNSUPPORTED_CURRENCY, "this bank keeps no accounts in the currency")
    try:
        amount_minor = from_decimal(given.amount, given.currency)
    except AmountError as error:
        raise field_error(f"{path}.Amount", FIELD_INVALID, str(error)) from None
    if amount_minor <= 0:
        raise field_error(f"{path}.Amount", FIELD_INVALID, "the amount must be more than nothing")
    return Money(amount_minor, given.currency)


def read_initiation(initiation: OBWriteDomestic2Initiation, currencies: Collection[str]) -> Money:
    """Return how much is to be paid.

    Raises:
        errors.ProblemError: It is no amount that ``read_amount`` takes, or the order says what nobody understands here.
    """
    if initiation.supplementary_data:
        path = f"{_INITIATION}.SupplementaryData"
        raise field_error(path, FIELD_UNEXPECTED, "there is no such data that is understood")
    return read_amount(initiation.instructed_amount, f"{_INITIATION}.InstructedAmount", currencies)


def check_instrument(instrument: str | UnsetType, path: str) -> None:
    """Refuse a means of payment that the standard doesn't name.

    Raises:
        errors.ProblemError: It is another one.
    """
    if instrument is not UNSET and instrument not in _INSTRUMENTS:
        raise field_error(path, UNSUPPORTED_INSTRUMENT, "payments aren't sent by this local instrument")


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
        raise field_error(_COMPLETION, DATE_INVALID, "has passed")


_canonical: Final = msgspec.json.Encoder(order="deterministic").encode


def repeated(initiation: OBWriteDomestic2Initiation | OBDomesticVRPInitiation, risk: Any) -> bytes:
    """Return, in its one form, what each payment must repeat of its consent."""
    return _canonical({"Initiation": initiation, "Risk": risk})


def texts_of(order: OBWriteDomestic2Initiation | OBDomesticVRPInstruction, body: msgspec.Struct) -> Texts:
    """Return what an order says of people.

    Args:
        order: The part that names whom is to be paid.
        body: The whole order.
    """
    account = order.creditor_account
    return Texts(
        scheme=account.scheme_name,
        identification=account.identification,
        creditor_name=account.name,
        secondary=None if account.secondary_identification is UNSET else account.secondary_identification,
        end_to_end_id=order.end_to_end_identification,
        instruction_id=order.instruction_identification,
        reference=_reference_of(order.remittance_information),
        instrument=None if order.local_instrument is UNSET else order.local_instrument,
        order=msgspec.Raw(msgspec.json.encode(body)),
    )


def _reference_of(remittance: OBRemittanceInformation2Payment | OBRemittanceInformation2Vrp | UnsetType) -> str | None:
    """Return what the payer writes to the payee: the creditor's own reference, or else the first free text."""
    if remittance is UNSET:
        return None
    for each in () if remittance.structured is UNSET else remittance.structured:
        information = each.creditor_reference_information
        if information is not UNSET and information.reference is not UNSET:
            return information.reference
    texts = [] if remittance.unstructured is UNSET else remittance.unstructured
    return texts[0] if texts else None
