"""Domestic payments."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from billfold.contract.open_banking.base import (
    Closed,
    Open,
    ecma,
)
from billfold.contract.open_banking.codes import (
    ExternalDocumentType1Code,
    OBDomesticVRPConsentRequestReadRefundAccount,
    OBInternalChargeBearerType1Code,
    OBRegulatoryReporting1DebitCreditReportingIndicator,
)
from billfold.contract.open_banking.common import (
    ActiveOrHistoricCurrencyCode1,
    CountryCode,
    DateTime,
    Int32,
    Links,
    Meta,
    OBActiveCurrencyAndAmountSimpleType,
    OBPostalAddress7Payment,
    OBProxy1,
    OBRegulatoryAuthority2,
    OBRemittanceInformationStructuredCreditorReferenceInformation,
    OBRisk1,
    OBStatusReason,
    Text4,
    Text34,
    Text35,
    Text40,
    Text128,
    Text140,
    Text210,
    Text256,
    Text350,
)

__all__ = [
    "LEIPayment",
    "OBActiveOrHistoricCurrencyAndAmount",
    "OBCashAccountDebtor4",
    "OBReferredDocumentInformationPayment",
    "OBRegulatoryReporting1",
    "OBRemittanceInformation2Payment",
    "OBRemittanceInformationStructuredPayment",
    "OBSCASupportData1",
    "OBSCASupportData1AppliedAuthenticationApproach",
    "OBSCASupportData1RequestedSCAExemptionType",
    "OBStructuredRegulatoryReporting3",
    "OBUltimateCreditor1Payment",
    "OBWriteDomestic2",
    "OBWriteDomestic2CreditorAccount",
    "OBWriteDomestic2CreditorAgent",
    "OBWriteDomestic2Data",
    "OBWriteDomestic2DebtorAccount",
    "OBWriteDomestic2Initiation",
    "OBWriteDomesticConsent4",
    "OBWriteDomesticConsent4Authorisation",
    "OBWriteDomesticConsent4AuthorisationType",
    "OBWriteDomesticConsent4Data",
    "OBWriteDomesticConsentResponse5",
    "OBWriteDomesticConsentResponse5Charges",
    "OBWriteDomesticConsentResponse5Data",
    "OBWriteDomesticConsentResponse5Status",
    "OBWriteDomesticResponse5",
    "OBWriteDomesticResponse5Account",
    "OBWriteDomesticResponse5Data",
    "OBWriteDomesticResponse5MultiAuthorisation",
    "OBWriteDomesticResponse5MultiAuthorisationStatus",
    "OBWriteDomesticResponse5Refund",
    "OBWriteDomesticResponse5Status",
    "OBWriteFundsConfirmationResponse1",
    "OBWriteFundsConfirmationResponse1Data",
    "OBWriteFundsConfirmationResponse1FundsAvailableResult",
    "OBWritePaymentDetails1",
    "OBWritePaymentDetails1Status",
    "OBWritePaymentDetails1StatusDetail",
    "OBWritePaymentDetailsResponse1",
    "OBWritePaymentDetailsResponse1Data",
]


class OBActiveOrHistoricCurrencyAndAmount(Closed, frozen=True, kw_only=True):
    """``Amount`` of ``OBStructuredRegulatoryReporting3`` and others."""

    amount: OBActiveCurrencyAndAmountSimpleType
    currency: ActiveOrHistoricCurrencyCode1


class OBWriteDomestic2DebtorAccount(Closed, frozen=True, kw_only=True):
    """``DebtorAccount`` of ``OBWriteDomestic2Initiation``."""

    scheme_name: str
    identification: Text256
    name: Text350 | UnsetType = UNSET
    secondary_identification: Text34 | UnsetType = UNSET
    proxy: OBProxy1 | UnsetType = UNSET


LEIPayment = Annotated[
    str, msgspec.Meta(min_length=1, max_length=20, pattern=ecma(r"^[0-9]{4}[0]{2}[A-Z0-9]{12}[0-9]{2}"))
]


class OBWriteDomestic2CreditorAgent(Closed, frozen=True, kw_only=True):
    """``CreditorAgent`` of ``OBWriteDomestic2Initiation``."""

    scheme_name: str | UnsetType = UNSET
    identification: Text35 | UnsetType = UNSET
    name: Text140 | UnsetType = UNSET
    lei: LEIPayment | UnsetType = UNSET
    postal_address: OBPostalAddress7Payment | UnsetType = UNSET


class OBWriteDomestic2CreditorAccount(Closed, frozen=True, kw_only=True):
    """``CreditorAccount`` of ``OBWriteDomestic2Initiation``."""

    scheme_name: str
    identification: Text256
    name: Text350
    secondary_identification: Text34 | UnsetType = UNSET
    proxy: OBProxy1 | UnsetType = UNSET


class OBUltimateCreditor1Payment(Open, frozen=True, kw_only=True):
    """``UltimateCreditor`` of ``OBWriteDomestic2Initiation`` and others."""

    name: Text140 | UnsetType = UNSET
    identification: Text256 | UnsetType = UNSET
    lei: LEIPayment | UnsetType = UNSET
    scheme_name: str | UnsetType = UNSET
    postal_address: OBPostalAddress7Payment | UnsetType = UNSET


class OBStructuredRegulatoryReporting3(Open, frozen=True, kw_only=True):
    """``Details`` of ``OBRegulatoryReporting1``."""

    type: Text35 | UnsetType = UNSET
    date: DateTime | UnsetType = UNSET
    country: CountryCode | UnsetType = UNSET
    amount: OBActiveOrHistoricCurrencyAndAmount | UnsetType = UNSET
    information: list[Text35] | UnsetType = UNSET


class OBRegulatoryReporting1(Open, frozen=True, kw_only=True):
    """``RegulatoryReporting`` of ``OBWriteDomestic2Initiation``."""

    debit_credit_reporting_indicator: OBRegulatoryReporting1DebitCreditReportingIndicator | UnsetType = UNSET
    authority: OBRegulatoryAuthority2 | UnsetType = UNSET
    details: list[OBStructuredRegulatoryReporting3] | UnsetType = UNSET


class OBReferredDocumentInformationPayment(Open, frozen=True, kw_only=True):
    """``ReferredDocumentInformation`` of ``OBRemittanceInformationStructuredPayment``."""

    code: ExternalDocumentType1Code | UnsetType = UNSET
    issuer: Text35 | UnsetType = UNSET
    number: Text35 | UnsetType = UNSET
    related_date: DateTime | UnsetType = UNSET
    line_details: list[str] | UnsetType = UNSET


class OBRemittanceInformationStructuredPayment(Open, frozen=True, kw_only=True):
    """``Structured`` of ``OBRemittanceInformation2Payment``."""

    referred_document_information: list[OBReferredDocumentInformationPayment] | UnsetType = UNSET
    referred_document_amount: Int32 | UnsetType = UNSET
    creditor_reference_information: OBRemittanceInformationStructuredCreditorReferenceInformation | UnsetType = UNSET
    invoicer: Text256 | UnsetType = UNSET
    invoicee: Text256 | UnsetType = UNSET
    tax_remittance: Text140 | UnsetType = UNSET
    additional_remittance_information: Annotated[list[Text140], msgspec.Meta(max_length=3)] | UnsetType = UNSET


class OBRemittanceInformation2Payment(Open, frozen=True, kw_only=True):
    """``RemittanceInformation`` of ``OBWriteDomestic2Initiation``."""

    structured: list[OBRemittanceInformationStructuredPayment] | UnsetType = UNSET
    unstructured: list[Text140] | UnsetType = UNSET


class OBWriteDomestic2Initiation(Closed, frozen=True, kw_only=True):
    """``Initiation`` of ``OBWriteDomestic2Data`` and others."""

    instruction_identification: Text35
    end_to_end_identification: Text35
    local_instrument: str | UnsetType = UNSET
    instructed_amount: OBActiveOrHistoricCurrencyAndAmount
    debtor_account: OBWriteDomestic2DebtorAccount | UnsetType = UNSET
    creditor_agent: OBWriteDomestic2CreditorAgent | UnsetType = UNSET
    creditor_account: OBWriteDomestic2CreditorAccount
    creditor_postal_address: OBPostalAddress7Payment | UnsetType = UNSET
    ultimate_creditor: OBUltimateCreditor1Payment | UnsetType = UNSET
    ultimate_debtor: OBUltimateCreditor1Payment | UnsetType = UNSET
    regulatory_reporting: Annotated[list[OBRegulatoryReporting1], msgspec.Meta(max_length=10)] | UnsetType = UNSET
    remittance_information: OBRemittanceInformation2Payment | UnsetType = UNSET
    supplementary_data: dict[str, Any] | UnsetType = UNSET


OBWriteDomesticConsent4AuthorisationType = Literal["Any", "Single"]


class OBWriteDomesticConsent4Authorisation(Closed, frozen=True, kw_only=True):
    """``Authorisation`` of ``OBWriteDomesticConsent4Data`` and others."""

    authorisation_type: OBWriteDomesticConsent4AuthorisationType
    completion_date_time: DateTime | UnsetType = UNSET


OBSCASupportData1RequestedSCAExemptionType = Literal[
    "BillPayment", "ContactlessTravel", "EcommerceGoods", "EcommerceServices", "Kiosk", "Parking", "PartyToParty",
]  # fmt: skip

OBSCASupportData1AppliedAuthenticationApproach = Literal["CA", "SCA"]


class OBSCASupportData1(Open, frozen=True, kw_only=True):
    """``SCASupportData`` of ``OBWriteDomesticConsent4Data`` and others."""

    requested_sca_exemption_type: OBSCASupportData1RequestedSCAExemptionType | UnsetType = UNSET
    applied_authentication_approach: OBSCASupportData1AppliedAuthenticationApproach | UnsetType = UNSET
    reference_payment_order_id: Text40 | UnsetType = UNSET


class OBWriteDomesticConsent4Data(Closed, frozen=True, kw_only=True):
    """``Data`` of ``OBWriteDomesticConsent4``."""

    read_refund_account: OBDomesticVRPConsentRequestReadRefundAccount | UnsetType = UNSET
    initiation: OBWriteDomestic2Initiation
    authorisation: OBWriteDomesticConsent4Authorisation | UnsetType = UNSET
    sca_support_data: OBSCASupportData1 | UnsetType = UNSET


class OBWriteDomesticConsent4(Closed, frozen=True, kw_only=True):
    """What is sent by ``POST /domestic-payment-consents``."""

    data: OBWriteDomesticConsent4Data
    risk: OBRisk1


OBWriteDomesticConsentResponse5Status = Literal["AWAU", "RJCT", "AUTH", "COND"]


class OBWriteDomesticConsentResponse5Charges(Closed, frozen=True, kw_only=True):
    """``Charges`` of ``OBWriteDomesticConsentResponse5Data`` and others."""

    charge_bearer: OBInternalChargeBearerType1Code
    type: str
    amount: OBActiveOrHistoricCurrencyAndAmount


class OBCashAccountDebtor4(Open, frozen=True, kw_only=True):
    """``Debtor`` of ``OBWriteDomesticConsentResponse5Data`` and others."""

    scheme_name: str | UnsetType = UNSET
    identification: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    secondary_identification: str | UnsetType = UNSET
    lei: LEIPayment | UnsetType = UNSET


class OBWriteDomesticConsentResponse5Data(Closed, frozen=True, kw_only=True):
    """``Data`` of ``OBWriteDomesticConsentResponse5``."""

    consent_id: Text128
    creation_date_time: DateTime
    status: OBWriteDomesticConsentResponse5Status
    status_reason: list[OBStatusReason] | UnsetType = UNSET
    status_update_date_time: DateTime
    read_refund_account: OBDomesticVRPConsentRequestReadRefundAccount | UnsetType = UNSET
    cut_off_date_time: DateTime | UnsetType = UNSET
    expected_execution_date_time: DateTime | UnsetType = UNSET
    expected_settlement_date_time: DateTime | UnsetType = UNSET
    charges: list[OBWriteDomesticConsentResponse5Charges] | UnsetType = UNSET
    initiation: OBWriteDomestic2Initiation
    authorisation: OBWriteDomesticConsent4Authorisation | UnsetType = UNSET
    sca_support_data: OBSCASupportData1 | UnsetType = UNSET
    debtor: OBCashAccountDebtor4 | UnsetType = UNSET


class OBWriteDomesticConsentResponse5(Closed, frozen=True, kw_only=True):
    """What is answered to ``GET /domestic-payment-consents/{ConsentId}`` and others."""

    data: OBWriteDomesticConsentResponse5Data
    risk: OBRisk1
    links: Links | UnsetType = UNSET
    meta: Meta | UnsetType = UNSET


class OBWriteFundsConfirmationResponse1FundsAvailableResult(Closed, frozen=True, kw_only=True):
    """``FundsAvailableResult`` of ``OBWriteFundsConfirmationResponse1Data``."""

    funds_available_date_time: DateTime
    funds_available: bool


class OBWriteFundsConfirmationResponse1Data(Closed, frozen=True, kw_only=True):
    """``Data`` of ``OBWriteFundsConfirmationResponse1``."""

    funds_available_result: OBWriteFundsConfirmationResponse1FundsAvailableResult | UnsetType = UNSET
    supplementary_data: dict[str, Any] | UnsetType = UNSET


class OBWriteFundsConfirmationResponse1(Closed, frozen=True, kw_only=True):
    """What is answered to ``GET /domestic-payment-consents/{ConsentId}/funds-confirmation``."""

    data: OBWriteFundsConfirmationResponse1Data
    links: Links | UnsetType = UNSET
    meta: Meta | UnsetType = UNSET


class OBWriteDomestic2Data(Closed, frozen=True, kw_only=True):
    """``Data`` of ``OBWriteDomestic2``."""

    consent_id: Text128
    initiation: OBWriteDomestic2Initiation


class OBWriteDomestic2(Closed, frozen=True, kw_only=True):
    """What is sent by ``POST /domestic-payments``."""

    data: OBWriteDomestic2Data
    risk: OBRisk1


OBWriteDomesticResponse5Status = Literal[
    "RCVD", "PDNG", "ACTC", "PATC", "ACCP", "ACFC", "ACSP", "ACWC", "ACSC", "ACWP", "ACCC", "BLCK", "RJCT",
]  # fmt: skip


class OBWriteDomesticResponse5Account(Closed, frozen=True, kw_only=True):
    """``Account`` of ``OBWriteDomesticResponse5Refund``."""

    scheme_name: str
    identification: Text256
    name: Text350
    secondary_identification: Text34 | UnsetType = UNSET


class OBWriteDomesticResponse5Refund(Closed, frozen=True, kw_only=True):
    """``Refund`` of ``OBWriteDomesticResponse5Data``."""

    account: OBWriteDomesticResponse5Account


OBWriteDomesticResponse5MultiAuthorisationStatus = Literal["AUTH", "AWAF", "RJCT"]


class OBWriteDomesticResponse5MultiAuthorisation(Closed, frozen=True, kw_only=True):
    """``MultiAuthorisation`` of ``OBWriteDomesticResponse5Data``."""

    status: OBWriteDomesticResponse5MultiAuthorisationStatus
    number_required: int | UnsetType = UNSET
    number_received: int | UnsetType = UNSET
    last_update_date_time: DateTime | UnsetType = UNSET
    expiration_date_time: DateTime | UnsetType = UNSET


class OBWriteDomesticResponse5Data(Closed, frozen=True, kw_only=True):
    """``Data`` of ``OBWriteDomesticResponse5``."""

    domestic_payment_id: Text40
    consent_id: Text128
    creation_date_time: DateTime
    status: OBWriteDomesticResponse5Status
    status_update_date_time: DateTime
    status_reason: list[OBStatusReason] | UnsetType = UNSET
    expected_execution_date_time: DateTime | UnsetType = UNSET
    expected_settlement_date_time: DateTime | UnsetType = UNSET
    refund: OBWriteDomesticResponse5Refund | UnsetType = UNSET
    charges: list[OBWriteDomesticConsentResponse5Charges] | UnsetType = UNSET
    initiation: OBWriteDomestic2Initiation
    multi_authorisation: OBWriteDomesticResponse5MultiAuthorisation | UnsetType = UNSET
    debtor: OBCashAccountDebtor4 | UnsetType = UNSET


class OBWriteDomesticResponse5(Closed, frozen=True, kw_only=True):
    """What is answered to ``GET /domestic-payments/{DomesticPaymentId}`` and others."""

    data: OBWriteDomesticResponse5Data
    links: Links | UnsetType = UNSET
    meta: Meta | UnsetType = UNSET


OBWritePaymentDetails1Status = Literal[
    "PDNG", "ACTC", "PATC", "ACCP", "ACFC", "ACSP", "ACWC", "ACSC", "ACWP", "ACCC", "BLCK", "RJCT",
]  # fmt: skip


class OBWritePaymentDetails1StatusDetail(Open, frozen=True, kw_only=True):
    """``StatusDetail`` of ``OBWritePaymentDetails1``."""

    local_instrument: str | UnsetType = UNSET
    status: OBWritePaymentDetails1Status
    status_reason: Text4 | UnsetType = UNSET
    status_reason_description: Text256 | UnsetType = UNSET


class OBWritePaymentDetails1(Open, frozen=True, kw_only=True):
    """``PaymentStatus`` of ``OBWritePaymentDetailsResponse1Data``."""

    payment_transaction_id: Text210
    status: OBWritePaymentDetails1Status
    status_update_date_time: DateTime
    status_detail: OBWritePaymentDetails1StatusDetail | UnsetType = UNSET


class OBWritePaymentDetailsResponse1Data(Closed, frozen=True, kw_only=True):
    """``Data`` of ``OBWritePaymentDetailsResponse1``."""

    payment_status: list[OBWritePaymentDetails1] | UnsetType = UNSET


class OBWritePaymentDetailsResponse1(Open, frozen=True, kw_only=True):
    """What is answered to ``GET /domestic-payments/{DomesticPaymentId}/payment-details``."""

    data: OBWritePaymentDetailsResponse1Data
    links: Links | UnsetType = UNSET
    meta: Meta | UnsetType = UNSET
