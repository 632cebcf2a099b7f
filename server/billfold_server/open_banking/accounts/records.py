"""Beneficiaries, direct debits, standing orders, scheduled payments and offers, in the words of the standard."""

from typing import Final, Literal, cast, get_args

from msgspec import UNSET, UnsetType

from billfold.contract.arrangements import (
    ArrangementStatus,
    Beneficiary,
    DirectDebit,
    MandateClass,
    Offer,
    OfferType,
    ScheduledPayment,
    ScheduleType,
    StandingOrder,
)
from billfold.contract.open_banking.codes import ExternalCategoryPurpose1Code
from billfold.contract.open_banking.records import (
    ExternalMandateStatus1Code,
    OBBeneficiary5,
    OBExternalMandateClassification1Code,
    OBFrequency6,
    OBMandateRelatedInformation1,
    OBReadDirectDebit2DirectDebit,
    OBReadOffer1Offer,
    OBReadOffer1OfferType,
    OBRemittanceInformation2,
    OBScheduledPayment3,
    OBStandingOrder6,
)
from billfold_server.arrangements.service import ArrangementRow
from billfold_server.open_banking.accounts.wallets import account_id
from billfold_server.open_banking.accounts.words import account_of, agent_of, amount_of, branch_of, or_unset

__all__ = [
    "CLASSES",
    "OFFER_TYPES",
    "STATUSES",
    "to_beneficiary",
    "to_direct_debit",
    "to_offer",
    "to_scheduled_payment",
    "to_standing_order",
]

STATUSES: Final[dict[ArrangementStatus, ExternalMandateStatus1Code]] = {
    ArrangementStatus.ACTIVE: "ACTV",
    ArrangementStatus.SUSPENDED: "SUSP",
    ArrangementStatus.CANCELLED: "CANC",
    ArrangementStatus.EXPIRED: "EXPI",
}
CLASSES: Final[dict[MandateClass, OBExternalMandateClassification1Code]] = {
    MandateClass.FIXED: "FIXE",
    MandateClass.USAGE: "USGB",
    MandateClass.VARIABLE: "VARI",
}
OFFER_TYPES: Final[dict[OfferType, OBReadOffer1OfferType]] = {
    OfferType.BALANCE_TRANSFER: "BalanceTransfer",
    OfferType.LIMIT_INCREASE: "LimitIncrease",
    OfferType.MONEY_TRANSFER: "MoneyTransfer",
    OfferType.PROMOTIONAL_RATE: "PromotionalRate",
    OfferType.OTHER: "Other",
}
_SCHEDULES: Final[dict[ScheduleType, Literal["Arrival", "Execution"]]] = {
    ScheduleType.ARRIVAL: "Arrival",
    ScheduleType.EXECUTION: "Execution",
}


_PURPOSES: Final = frozenset(get_args(ExternalCategoryPurpose1Code))


def _purpose(code: str | None) -> ExternalCategoryPurpose1Code | UnsetType:
    """Return a purpose that the standard knows; another one isn't told."""
    return cast("ExternalCategoryPurpose1Code", code) if code in _PURPOSES else UNSET


def to_beneficiary(row: ArrangementRow, terms: Beneficiary, *, detail: bool) -> OBBeneficiary5:
    """Return whom the customer pays; with their account where all of it may be read."""
    return OBBeneficiary5(
        account_id=account_id(row.wallet_id),
        beneficiary_id=row.wire_id,
        beneficiary_type="Trusted" if terms.trusted else "Ordinary",
        reference=or_unset(terms.reference, 35),
        creditor_agent=agent_of(terms.creditor) if detail else UNSET,
        creditor_account=account_of(terms.creditor) if detail else UNSET,
    )


def to_direct_debit(row: ArrangementRow, terms: DirectDebit) -> OBReadDirectDebit2DirectDebit:
    """Return a mandate by which somebody collects."""
    previous = terms.previous_payment
    return OBReadDirectDebit2DirectDebit(
        account_id=account_id(row.wallet_id),
        direct_debit_id=row.wire_id,
        direct_debit_status_code=STATUSES[row.status],
        name=terms.name,
        mandate_related_information=OBMandateRelatedInformation1(
            mandate_identification=terms.mandate_id,
            classification=UNSET if terms.classification is None else CLASSES[terms.classification],
            category_purpose_code=_purpose(terms.category_purpose),
            recurring_payment_date_time=terms.next_payment_at or UNSET,
            final_payment_date_time=terms.final_payment_at or UNSET,
            frequency=OBFrequency6(type=terms.frequency.value),
            reason=or_unset(terms.reason, 256),
        ),
        previous_payment_date_time=UNSET if previous is None else previous.at,
        previous_payment_amount=UNSET if previous is None else amount_of(previous.amount),
    )


def to_standing_order(row: ArrangementRow, terms: StandingOrder, *, detail: bool) -> OBStandingOrder6:
    """Return what the customer pays again and again; with whom where all of it may be read."""
    first, last, following, final = terms.first_payment, terms.last_payment, terms.next_payment, terms.final_payment
    return OBStandingOrder6(
        account_id=account_id(row.wallet_id),
        standing_order_id=row.wire_id,
        standing_order_status_code=STATUSES[row.status],
        next_payment_date_time=UNSET if following is None else following.at,
        next_payment_amount=UNSET if following is None else amount_of(following.amount),
        last_payment_date_time=UNSET if last is None else last.at,
        last_payment_amount=UNSET if last is None else amount_of(last.amount),
        first_payment_amount=UNSET if first is None else amount_of(first.amount),
        final_payment_amount=UNSET if final is None else amount_of(final.amount),
        number_of_payments=UNSET if terms.number_of_payments is None else str(terms.number_of_payments),
        mandate_related_information=OBMandateRelatedInformation1(
            mandate_identification=or_unset(terms.mandate_id, 35),
            category_purpose_code=_purpose(terms.category_purpose),
            first_payment_date_time=UNSET if first is None else first.at,
            recurring_payment_date_time=UNSET if following is None else following.at,
            final_payment_date_time=UNSET if final is None else final.at,
            frequency=OBFrequency6(type=terms.frequency.value, point_in_time=terms.point_in_time or UNSET),
        ),
        remittance_information=UNSET
        if terms.reference is None
        else OBRemittanceInformation2(unstructured=[terms.reference]),
        creditor_agent=branch_of(terms.creditor) if detail else UNSET,
        creditor_account=account_of(terms.creditor) if detail else UNSET,
    )


def to_scheduled_payment(row: ArrangementRow, terms: ScheduledPayment, *, detail: bool) -> OBScheduledPayment3:
    """Return a payment of the future; with whom where all of it may be read."""
    creditor = terms.creditor if detail else None
    amount = amount_of(terms.amount)
    assert amount is not UNSET
    return OBScheduledPayment3(
        account_id=account_id(row.wallet_id),
        scheduled_payment_id=row.wire_id,
        scheduled_payment_date_time=terms.scheduled_at,
        scheduled_type=_SCHEDULES[terms.type],
        reference=or_unset(terms.reference, 35),
        debtor_reference=or_unset(terms.debtor_reference, 35),
        instructed_amount=amount,
        creditor_agent=UNSET if creditor is None else branch_of(creditor),
        creditor_account=UNSET if creditor is None else account_of(creditor),
    )


def to_offer(row: ArrangementRow, terms: Offer) -> OBReadOffer1Offer:
    """Return what the bank offers."""
    return OBReadOffer1Offer(
        account_id=account_id(row.wallet_id),
        offer_id=row.wire_id,
        offer_type=OFFER_TYPES[terms.type],
        description=terms.description,
        start_date_time=terms.starts_at or UNSET,
        end_date_time=terms.ends_at or UNSET,
        rate=terms.rate or UNSET,
        value=UNSET if terms.value is None else terms.value,
        term=or_unset(terms.term, 500),
        url=or_unset(terms.url, 256),
        amount=amount_of(terms.amount),
        fee=amount_of(terms.fee),
    )
