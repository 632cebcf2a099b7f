"""Account information: beneficiaries, direct debits, standing orders, scheduled payments and offers."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from billfold.contract.open_banking.base import (
    Closed,
    Open,
    ecma,
)
from billfold.contract.open_banking.codes import (
    ExternalCategoryPurpose1Code,
    ExternalDocumentType1Code,
)
from billfold.contract.open_banking.common import (
    LEI,
    DateTime,
    Int32,
    Links,
    Meta,
    OBActiveOrHistoricCurrencyAndAmount5,
    OBBranchAndFinancialInstitutionIdentification61,
    OBCashAccount51,
    OBPostalAddress7,
    OBRate11,
    OBRemittanceInformationStructuredCreditorReferenceInformation,
    Text35,
    Text40,
    Text70,
    Text140,
    Text256,
    Text500,
)

__all__ = [
    "ExternalMandateStatus1Code",
    "FrequencyType",
    "OBBeneficiary5",
    "OBBranchAndFinancialInstitutionIdentification51",
    "OBExternalMandateClassification1Code",
    "OBFrequency6",
    "OBInternalBeneficiaryType1Code",
    "OBInternalScheduleType1Code",
    "OBMandateRelatedInformation1",
    "OBReadBeneficiary5",
    "OBReadBeneficiary5Data",
    "OBReadDirectDebit2",
    "OBReadDirectDebit2Data",
    "OBReadDirectDebit2DirectDebit",
    "OBReadOffer1",
    "OBReadOffer1Data",
    "OBReadOffer1Offer",
    "OBReadOffer1OfferType",
    "OBReadScheduledPayment3",
    "OBReadScheduledPayment3Data",
    "OBReadStandingOrder6",
    "OBReadStandingOrder6Data",
    "OBReferredDocumentInformation",
    "OBRemittanceInformation2",
    "OBRemittanceInformationStructured",
    "OBScheduledPayment3",
    "OBStandingOrder6",
    "UpTo2",
]

OBInternalBeneficiaryType1Code = Literal["Trusted", "Ordinary"]


class OBBeneficiary5(Closed, frozen=True, kw_only=True):
    """``Beneficiary`` of ``OBReadBeneficiary5Data``."""

    account_id: Text40 | UnsetType = UNSET
    beneficiary_id: Text40 | UnsetType = UNSET
    beneficiary_type: OBInternalBeneficiaryType1Code | UnsetType = UNSET
    reference: Text35 | UnsetType = UNSET
    supplementary_data: dict[str, Any] | UnsetType = UNSET
    creditor_agent: OBBranchAndFinancialInstitutionIdentification61 | UnsetType = UNSET
    creditor_account: OBCashAccount51 | UnsetType = UNSET


class OBReadBeneficiary5Data(Open, frozen=True, kw_only=True):
    """``Data`` of ``OBReadBeneficiary5``."""

    beneficiary: list[OBBeneficiary5] | UnsetType = UNSET


class OBReadBeneficiary5(Open, frozen=True, kw_only=True):
    """What is answered to ``GET /accounts/{AccountId}/beneficiaries`` and others."""

    data: OBReadBeneficiary5Data
    links: Links | UnsetType = UNSET
    meta: Meta | UnsetType = UNSET


ExternalMandateStatus1Code = Literal["ACTV", "CANC", "EXPI", "SUSP"]

OBExternalMandateClassification1Code = Literal["FIXE", "USGB", "VARI"]

FrequencyType = Annotated[
    str,
    msgspec.Meta(
        pattern=ecma(
            r"^(ADHO|YEAR|DAIL|FRTN|INDA|MNTH|QURT|MIAN|WEEK|WODL|FOWK|TWMH|FOMH|FIMH|ALMH|NONE)$|"
            r"^(NotKnown)$|^(EvryDay)$|^(EvryWorkgDay)$|^(IntrvlDay:((0[2-9])|([1-2][0-9])|3[0-1]))$|"
            r"^(IntrvlWkDay:0[1-9]:0[1-7])$|^(WkInMnthDay:0[1-5]:0[1-7])$|^(IntrvlMnthDay:(0[1-6]|12|"
            r"24):(-0[1-5]|0[1-9]|[12][0-9]|3[01]))$|^(QtrDay:(ENGLISH|SCOTTISH|RECEIVED))$"
        )
    ),
]

UpTo2 = Annotated[str, msgspec.Meta(max_length=2)]


class OBFrequency6(Open, frozen=True, kw_only=True):
    """``Frequency`` of ``OBMandateRelatedInformation1``."""

    type: FrequencyType
    count_per_period: Int32 | UnsetType = UNSET
    point_in_time: UpTo2 | UnsetType = UNSET


class OBMandateRelatedInformation1(Open, frozen=True, kw_only=True):
    """``MandateRelatedInformation`` of ``OBReadDirectDebit2DirectDebit`` and others."""

    mandate_identification: Text35 | UnsetType = UNSET
    classification: OBExternalMandateClassification1Code | UnsetType = UNSET
    category_purpose_code: ExternalCategoryPurpose1Code | UnsetType = UNSET
    first_payment_date_time: DateTime | UnsetType = UNSET
    recurring_payment_date_time: DateTime | UnsetType = UNSET
    final_payment_date_time: DateTime | UnsetType = UNSET
    frequency: OBFrequency6
    reason: Text256 | UnsetType = UNSET


class OBReadDirectDebit2DirectDebit(Open, frozen=True, kw_only=True):
    """``DirectDebit`` of ``OBReadDirectDebit2Data``."""

    account_id: Text40
    direct_debit_id: Text40 | UnsetType = UNSET
    direct_debit_status_code: ExternalMandateStatus1Code | UnsetType = UNSET
    mandate_related_information: OBMandateRelatedInformation1 | UnsetType = UNSET
    name: Text70
    previous_payment_date_time: DateTime | UnsetType = UNSET
    previous_payment_amount: OBActiveOrHistoricCurrencyAndAmount5 | UnsetType = UNSET


class OBReadDirectDebit2Data(Open, frozen=True, kw_only=True):
    """``Data`` of ``OBReadDirectDebit2``."""

    direct_debit: list[OBReadDirectDebit2DirectDebit] | UnsetType = UNSET


class OBReadDirectDebit2(Closed, frozen=True, kw_only=True):
    """What is answered to ``GET /accounts/{AccountId}/direct-debits`` and others."""

    data: OBReadDirectDebit2Data
    links: Links | UnsetType = UNSET
    meta: Meta | UnsetType = UNSET


OBReadOffer1OfferType = Literal["BalanceTransfer", "LimitIncrease", "MoneyTransfer", "Other", "PromotionalRate"]


class OBReadOffer1Offer(Open, frozen=True, kw_only=True):
    """``Offer`` of ``OBReadOffer1Data``."""

    account_id: Text40
    offer_id: Text40 | UnsetType = UNSET
    offer_type: OBReadOffer1OfferType | UnsetType = UNSET
    description: Text500 | UnsetType = UNSET
    start_date_time: DateTime | UnsetType = UNSET
    end_date_time: DateTime | UnsetType = UNSET
    rate: OBRate11 | UnsetType = UNSET
    value: int | UnsetType = UNSET
    term: Text500 | UnsetType = UNSET
    url: Text256 | UnsetType = UNSET
    amount: OBActiveOrHistoricCurrencyAndAmount5 | UnsetType = UNSET
    fee: OBActiveOrHistoricCurrencyAndAmount5 | UnsetType = UNSET


class OBReadOffer1Data(Open, frozen=True, kw_only=True):
    """``Data`` of ``OBReadOffer1``."""

    offer: list[OBReadOffer1Offer] | UnsetType = UNSET


class OBReadOffer1(Closed, frozen=True, kw_only=True):
    """What is answered to ``GET /accounts/{AccountId}/offers`` and others."""

    data: OBReadOffer1Data
    links: Links | UnsetType = UNSET
    meta: Meta | UnsetType = UNSET


OBInternalScheduleType1Code = Literal["Arrival", "Execution"]


class OBBranchAndFinancialInstitutionIdentification51(Open, frozen=True, kw_only=True):
    """``CreditorAgent`` of ``OBScheduledPayment3`` and others."""

    scheme_name: str
    identification: Text35
    name: Text140 | UnsetType = UNSET
    postal_address: OBPostalAddress7 | UnsetType = UNSET
    lei: LEI | UnsetType = UNSET


class OBScheduledPayment3(Closed, frozen=True, kw_only=True):
    """``ScheduledPayment`` of ``OBReadScheduledPayment3Data``."""

    account_id: Text40
    scheduled_payment_id: Text40 | UnsetType = UNSET
    scheduled_payment_date_time: DateTime
    scheduled_type: OBInternalScheduleType1Code
    reference: Text35 | UnsetType = UNSET
    debtor_reference: Text35 | UnsetType = UNSET
    instructed_amount: OBActiveOrHistoricCurrencyAndAmount5
    creditor_agent: OBBranchAndFinancialInstitutionIdentification51 | UnsetType = UNSET
    creditor_account: OBCashAccount51 | UnsetType = UNSET


class OBReadScheduledPayment3Data(Open, frozen=True, kw_only=True):
    """``Data`` of ``OBReadScheduledPayment3``."""

    scheduled_payment: list[OBScheduledPayment3] | UnsetType = UNSET


class OBReadScheduledPayment3(Closed, frozen=True, kw_only=True):
    """What is answered to ``GET /accounts/{AccountId}/scheduled-payments`` and others."""

    data: OBReadScheduledPayment3Data
    links: Links | UnsetType = UNSET
    meta: Meta | UnsetType = UNSET


class OBReferredDocumentInformation(Open, frozen=True, kw_only=True):
    """``ReferredDocumentInformation`` of ``OBRemittanceInformationStructured``."""

    code: ExternalDocumentType1Code | UnsetType = UNSET
    issuer: Text140 | UnsetType = UNSET
    number: Text35 | UnsetType = UNSET
    related_date: DateTime | UnsetType = UNSET
    line_details: list[str] | UnsetType = UNSET


class OBRemittanceInformationStructured(Open, frozen=True, kw_only=True):
    """``Structured`` of ``OBRemittanceInformation2``."""

    referred_document_information: list[OBReferredDocumentInformation] | UnsetType = UNSET
    referred_document_amount: Int32 | UnsetType = UNSET
    creditor_reference_information: OBRemittanceInformationStructuredCreditorReferenceInformation | UnsetType = UNSET
    invoicer: Text256 | UnsetType = UNSET
    invoicee: Text256 | UnsetType = UNSET
    tax_remittance: Text140 | UnsetType = UNSET
    additional_remittance_information: Annotated[list[Text140], msgspec.Meta(max_length=3)] | UnsetType = UNSET


class OBRemittanceInformation2(Open, frozen=True, kw_only=True):
    """``RemittanceInformation`` of ``OBStandingOrder6``."""

    structured: list[OBRemittanceInformationStructured] | UnsetType = UNSET
    unstructured: list[Text140] | UnsetType = UNSET


class OBStandingOrder6(Closed, frozen=True, kw_only=True):
    """``StandingOrder`` of ``OBReadStandingOrder6Data``."""

    account_id: Text40
    standing_order_id: Text40 | UnsetType = UNSET
    next_payment_date_time: DateTime | UnsetType = UNSET
    last_payment_date_time: DateTime | UnsetType = UNSET
    number_of_payments: Text35 | UnsetType = UNSET
    standing_order_status_code: ExternalMandateStatus1Code | UnsetType = UNSET
    first_payment_amount: OBActiveOrHistoricCurrencyAndAmount5 | UnsetType = UNSET
    next_payment_amount: OBActiveOrHistoricCurrencyAndAmount5 | UnsetType = UNSET
    last_payment_amount: OBActiveOrHistoricCurrencyAndAmount5 | UnsetType = UNSET
    final_payment_amount: OBActiveOrHistoricCurrencyAndAmount5 | UnsetType = UNSET
    creditor_agent: OBBranchAndFinancialInstitutionIdentification51 | UnsetType = UNSET
    creditor_account: OBCashAccount51 | UnsetType = UNSET
    supplementary_data: dict[str, Any] | UnsetType = UNSET
    mandate_related_information: OBMandateRelatedInformation1 | UnsetType = UNSET
    remittance_information: OBRemittanceInformation2 | UnsetType = UNSET


class OBReadStandingOrder6Data(Open, frozen=True, kw_only=True):
    """``Data`` of ``OBReadStandingOrder6``."""

    standing_order: list[OBStandingOrder6] | UnsetType = UNSET


class OBReadStandingOrder6(Closed, frozen=True, kw_only=True):
    """What is answered to ``GET /accounts/{AccountId}/standing-orders`` and others."""

    data: OBReadStandingOrder6Data
    links: Links | UnsetType = UNSET
    meta: Meta | UnsetType = UNSET
