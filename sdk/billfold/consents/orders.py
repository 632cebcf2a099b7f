"""What third parties send, made of little: accounts, amounts, payments, and the limits of recurring payments.

Whatever these don't say can be said by the contract's classes themselves, which all methods take.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple, TypeVar
from uuid import uuid4

from msgspec import UNSET, UnsetType

from billfold.contract.open_banking.common import (
    OBActiveOrHistoricCurrencyAndAmount5,
    OBCashAccount51,
    OBRisk1,
)
from billfold.contract.open_banking.payments import (
    OBActiveOrHistoricCurrencyAndAmount,
    OBRemittanceInformation2Payment,
    OBWriteDomestic2CreditorAccount,
    OBWriteDomestic2DebtorAccount,
    OBWriteDomestic2Initiation,
)
from billfold.contract.open_banking.vrp import (
    OBActiveOrHistoricCurrencyAndAmountVrp,
    OBCashAccountDebtorWithName,
    OBDomesticVRPControlParameters,
    OBDomesticVRPControlParametersPeriodicLimits,
    OBDomesticVRPInitiation,
    OBDomesticVRPInstruction,
    OBRemittanceInformation2Vrp,
)
from billfold.money import Money, from_decimal, pair, to_decimal

__all__ = [
    "Account",
    "Amount",
    "Limit",
    "account",
    "amount",
    "control_parameters",
    "domestic_payment",
    "funds_account",
    "instruction",
    "recurring_payments",
    "risk",
]

T = TypeVar("T")

Amount = Money | tuple[Decimal | str, str]
"""Money as a caller may state it: ``Money(1250, "GBP")`` in minor units, or ``("12.50", "GBP")``. Never a float."""

SWEEPING: Final = "UK.OBIE.VRPType.Sweeping"
SCA_NOT_REQUIRED: Final = "UK.OBIE.SCANotRequired"

Period = Literal["Day", "Week", "Fortnight", "Month", "Half-year", "Year"]
Alignment = Literal["Consent", "Calendar"]
Interaction = Literal["InSession", "OffSession"]


class Account(NamedTuple):
    """An account, by what names it outside of the bank that holds it.

    Attributes:
        scheme_name: In which scheme it is named, such as ``UK.OBIE.IBAN``.
        identification: Its name there.
        name: Whose it is.
        secondary_identification: What further names it, such as a roll number.
    """

    scheme_name: str
    identification: str
    name: str | None = None
    secondary_identification: str | None = None


class Limit(NamedTuple):
    """How much recurring payments may come to in each period.

    Attributes:
        period: Of what length.
        amount: How much at most.
        alignment: Whether periods begin with the consent or with the calendar.
    """

    period: Period
    amount: Amount
    alignment: Alignment = "Consent"


def account(
    scheme_name: str, identification: str, name: str | None = None, *, secondary_identification: str | None = None
) -> Account:
    """Return an account by what names it: ``account("UK.OBIE.IBAN", "GB33BUKB20201555555555", "Ada Lovelace")``."""
    return Account(scheme_name, identification, name, secondary_identification)


def amount(value: Amount) -> OBActiveOrHistoricCurrencyAndAmount:
    """Return an amount as the contract of payments has it, in decimal text.

    Raises:
        TypeError: It is neither ``Money`` nor a decimal text or ``Decimal`` with a currency.
        billfold.money.AmountError: The currency is unknown, or has fewer decimal places than the amount.
    """
    text, currency = _decimal(value)
    return OBActiveOrHistoricCurrencyAndAmount(amount=text, currency=currency)


def funds_amount(value: Amount) -> OBActiveOrHistoricCurrencyAndAmount5:
    """Return an amount as the contract of funds confirmations has it."""
    text, currency = _decimal(value)
    return OBActiveOrHistoricCurrencyAndAmount5(amount=text, currency=currency)


def recurring_amount(value: Amount) -> OBActiveOrHistoricCurrencyAndAmountVrp:
    """Return an amount as the contract of recurring payments has it."""
    text, currency = _decimal(value)
    return OBActiveOrHistoricCurrencyAndAmountVrp(amount=text, currency=currency)


def _decimal(value: Amount) -> tuple[str, str]:
    if isinstance(value, Money):
        return str(to_decimal(value.amount_minor, value.currency)), value.currency
    number, currency = pair(value, "GBP")
    return str(to_decimal(from_decimal(number, currency), currency)), currency


def _as(cls: type[T], given: Account) -> T:
    members = {name: value for name, value in given._asdict().items() if value is not None}
    return cls(**members)


def funds_account(given: Account) -> OBCashAccount51:
    """Return an account as the contract of funds confirmations has it."""
    return _as(OBCashAccount51, given)


def _or_unset(value: T | None) -> T | UnsetType:
    return UNSET if value is None else value


def domestic_payment(
    amount_: Amount,
    to: Account,
    *,
    from_: Account | None = None,
    reference: str | None = None,
    instruction_id: str | None = None,
    end_to_end_id: str | None = None,
    local_instrument: str | None = None,
) -> OBWriteDomestic2Initiation:
    """Return what is to be paid, for ``domestic_payment_consents.create``.

    Args:
        amount_: How much.
        to: To whom; the account needs its owner's name.
        from_: From which account, where the customer shall not choose.
        reference: What both sides see.
        instruction_id: Our name for the instruction; a new one where absent.
        end_to_end_id: The name that goes through to the payee; the same where absent.
        local_instrument: By which scheme, such as ``UK.OBIE.FPS``.
    """
    own = instruction_id or uuid4().hex
    return OBWriteDomestic2Initiation(
        instruction_identification=own,
        end_to_end_identification=end_to_end_id or own,
        local_instrument=_or_unset(local_instrument),
        instructed_amount=amount(amount_),
        debtor_account=UNSET if from_ is None else _as(OBWriteDomestic2DebtorAccount, from_),
        creditor_account=_as(OBWriteDomestic2CreditorAccount, to),
        remittance_information=UNSET
        if reference is None
        else OBRemittanceInformation2Payment(unstructured=[reference]),
    )


def risk(context: str = "TransferToThirdParty", **members: Any) -> OBRisk1:
    """Return what the bank is told for judging the risk.

    Args:
        context: For what kind of purpose.
        members: What else ``OBRisk1`` has.
    """
    return OBRisk1(payment_context_code=context, **members)  # type: ignore[arg-type]


def control_parameters(
    maximum: Amount,
    limits: Sequence[Limit],
    *,
    valid_from: datetime | None = None,
    valid_to: datetime | None = None,
    types: Sequence[str] = (SWEEPING,),
    authentication: Sequence[str] = (SCA_NOT_REQUIRED,),
    interaction: Sequence[Interaction] | None = None,
) -> OBDomesticVRPControlParameters:
    """Return what recurring payments have to keep to, for ``domestic_vrp_consents.create``.

    Args:
        maximum: How much one payment may be.
        limits: How much they may come to in each period; one limit at least.
        valid_from: When they may begin.
        valid_to: When they end.
        types: For what.
        authentication: Whether the customer is asked for each.
        interaction: Whether the customer is there.
    """
    return OBDomesticVRPControlParameters(
        valid_from_date_time=_or_unset(valid_from),
        valid_to_date_time=_or_unset(valid_to),
        maximum_individual_amount=recurring_amount(maximum),
        periodic_limits=[_limit(each) for each in limits],
        vrp_type=list(types),
        psu_authentication_methods=list(authentication),
        psu_interaction_types=UNSET if interaction is None else list(interaction),
    )


def _limit(limit: Limit) -> OBDomesticVRPControlParametersPeriodicLimits:
    text, currency = _decimal(limit.amount)
    return OBDomesticVRPControlParametersPeriodicLimits(
        period_type=limit.period, period_alignment=limit.alignment, amount=text, currency=currency
    )


def recurring_payments(
    *, to: Account | None = None, from_: Account | None = None, reference: str | None = None
) -> OBDomesticVRPInitiation:
    """Return what recurring payments have in common, for ``domestic_vrp_consents.create``.

    Args:
        to: To whom, where it is always the same.
        from_: From which account, where the customer shall not choose.
        reference: What both sides see.
    """
    return OBDomesticVRPInitiation(
        debtor_account=UNSET if from_ is None else _as(OBCashAccountDebtorWithName, from_),
        creditor_account=UNSET if to is None else _as(OBCashAccountDebtorWithName, to),
        remittance_information=UNSET if reference is None else OBRemittanceInformation2Vrp(unstructured=[reference]),
    )


def instruction(
    amount_: Amount,
    to: Account,
    *,
    reference: str | None = None,
    instruction_id: str | None = None,
    end_to_end_id: str | None = None,
) -> OBDomesticVRPInstruction:
    """Return one recurring payment, for ``domestic_vrps.create``.

    Args:
        amount_: How much.
        to: To whom; the account needs its owner's name.
        reference: What both sides see.
        instruction_id: Our name for the instruction; a new one where absent.
        end_to_end_id: The name that goes through to the payee; the same where absent.
    """
    own = instruction_id or uuid4().hex
    return OBDomesticVRPInstruction(
        instruction_identification=own,
        end_to_end_identification=end_to_end_id or own,
        instructed_amount=recurring_amount(amount_),
        creditor_account=_as(OBCashAccountDebtorWithName, to),
        remittance_information=UNSET if reference is None else OBRemittanceInformation2Vrp(unstructured=[reference]),
    )
