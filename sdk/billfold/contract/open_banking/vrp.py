"""Variable recurring payments."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from billfold.contract.open_banking.base import (
    Open,
    ecma,
)
from billfold.contract.open_banking.codes import (
    ConsentStatus,
    OBDomesticVRPConsentRequestReadRefundAccount,
    OBInternalChargeBearerType1Code,
    OBRegulatoryReporting1DebitCreditReportingIndicator,
)
from billfold.contract.open_banking.common import (
    CountryCode,
    DateTime,
    Int32,
    OBActiveCurrencyAndAmountSimpleType,
    OBPostalAddress7Payment,
    OBProxy1,
    OBRegulatoryAuthority2,
    OBRemittanceInformationStructuredCreditorReferenceInformation,
    OBRisk1,
    OBStatusReason,
    Text34,
    Text35,
    Text40,
    Text70,
    Text128,
    Text140,
    Text210,
    Text256,
    Uri,
)

__all__ = [
    "ActiveOrHistoricCurrencyCode",
    "ExternalDocumentType1CodeVrp",
    "LinksVrp",
    "OBActiveOrHistoricCurrencyAndAmountVrp",
    "OBCashAccountDebtorWithName",
    "OBDomesticVRPConsentRequest",
    "OBDomesticVRPConsentRequestData",
    "OBDomesticVRPConsentResponse",
    "OBDomesticVRPConsentResponseData",
    "OBDomesticVRPControlParameters",
    "OBDomesticVRPControlParametersPeriodAlignment",
    "OBDomesticVRPControlParametersPeriodType",
    "OBDomesticVRPControlParametersPeriodicLimits",
    "OBDomesticVRPDetails",
    "OBDomesticVRPDetailsData",
    "OBDomesticVRPDetailsPaymentStatus",
    "OBDomesticVRPDetailsStatusDetail",
    "OBDomesticVRPInitiation",
    "OBDomesticVRPInstruction",
    "OBDomesticVRPRequest",
    "OBDomesticVRPRequestData",
    "OBDomesticVRPResponse",
    "OBDomesticVRPResponseCharges",
    "OBDomesticVRPResponseData",
    "OBDomesticVRPResponseStatus",
    "OBInternalPaymentChargeType1Code",
    "OBPAFundsAvailableResult1",
    "OBPAFundsAvailableResult1FundsAvailable",
    "OBReferredDocumentInformationVrp",
    "OBRegulatoryReporting1Vrp",
    "OBRemittanceInformation2Vrp",
    "OBRemittanceInformationStructuredVrp",
    "OBStructuredRegulatoryReporting3Vrp",
    "OBUltimateCreditor1Vrp",
    "OBVRPFundsConfirmationRequest",
    "OBVRPFundsConfirmationRequestData",
    "OBVRPFundsConfirmationResponse",
    "OBVRPFundsConfirmationResponseData",
    "OBVRPInteractionTypes",
    "Text20",
    "UpTo256",
]

ActiveOrHistoricCurrencyCode = Annotated[str, msgspec.Meta(min_length=3, max_length=3, pattern=ecma(r"^[A-Z]{3,3}$"))]


class OBActiveOrHistoricCurrencyAndAmountVrp(Open, frozen=True, kw_only=True):
    """``Amount`` of ``OBDomesticVRPControlParameters`` and others."""

    amount: OBActiveCurrencyAndAmountSimpleType
    currency: ActiveOrHistoricCurrencyCode


OBDomesticVRPControlParametersPeriodType = Literal["Day", "Week", "Fortnight", "Month", "Half-year", "Year"]

OBDomesticVRPControlParametersPeriodAlignment = Literal["Consent", "Calendar"]


class OBDomesticVRPControlParametersPeriodicLimits(Open, frozen=True, kw_only=True):
    """``PeriodicLimits`` of ``OBDomesticVRPControlParameters``."""

    period_type: OBDomesticVRPControlParametersPeriodType
    period_alignment: OBDomesticVRPControlParametersPeriodAlignment
    amount: OBActiveCurrencyAndAmountSimpleType
    currency: ActiveOrHistoricCurrencyCode


OBVRPInteractionTypes = Literal["InSession", "OffSession"]


class OBDomesticVRPControlParameters(Open, frozen=True, kw_only=True):
    """``ControlParameters`` of ``OBDomesticVRPConsentRequestData`` and others."""

    valid_from_date_time: DateTime | UnsetType = UNSET
    valid_to_date_time: DateTime | UnsetType = UNSET
    maximum_individual_amount: OBActiveOrHistoricCurrencyAndAmountVrp
    periodic_limits: Annotated[list[OBDomesticVRPControlParametersPeriodicLimits], msgspec.Meta(min_length=1)]
    vrp_type: Annotated[list[str], msgspec.Meta(min_length=1)]
    psu_authentication_methods: Annotated[list[str], msgspec.Meta(min_length=1)]
    psu_interaction_types: list[OBVRPInteractionTypes] | UnsetType = UNSET
    supplementary_data: dict[str, Any] | UnsetType = UNSET


class OBCashAccountDebtorWithName(Open, frozen=True, kw_only=True):
    """``CreditorAccount`` of ``OBDomesticVRPConsentResponseData`` and others."""

    scheme_name: str
    identification: Text256
    name: Text70
    secondary_identification: Text34 | UnsetType = UNSET
    proxy: OBProxy1 | UnsetType = UNSET


Text20 = Annotated[str, msgspec.Meta(min_length=1, max_length=20)]


class OBUltimateCreditor1Vrp(Open, frozen=True, kw_only=True):
    """``UltimateCreditor`` of ``OBDomesticVRPInitiation`` and others."""

    name: Text140 | UnsetType = UNSET
    identification: Text256 | UnsetType = UNSET
    lei: Text20 | UnsetType = UNSET
    scheme_name: str | UnsetType = UNSET
    postal_address: OBPostalAddress7Payment | UnsetType = UNSET


ExternalDocumentType1CodeVrp = Literal[
    "CINV", "CNFA", "CONT", "CREN", "DEBN", "DISP", "DNFA", "HIRI", "INVS", "MSIN", "PROF", "PUOR", "QUOT", "SBIN",
    "SPRR", "TISH", "USAR", "AROI", "BOLD", "CMCN", "SOAC", "TSUT", "VCHR",
]  # fmt: skip


class OBReferredDocumentInformationVrp(Open, frozen=True, kw_only=True):
    """``ReferredDocumentInformation`` of ``OBRemittanceInformationStructuredVrp``."""

    code: ExternalDocumentType1CodeVrp | UnsetType = UNSET
    issuer: Text35 | UnsetType = UNSET
    number: Text35 | UnsetType = UNSET
    related_date: DateTime | UnsetType = UNSET
    line_details: list[str] | UnsetType = UNSET


UpTo256 = Annotated[str, msgspec.Meta(max_length=256)]


class OBRemittanceInformationStructuredVrp(Open, frozen=True, kw_only=True):
    """``Structured`` of ``OBRemittanceInformation2Vrp``."""

    referred_document_information: list[OBReferredDocumentInformationVrp] | UnsetType = UNSET
    referred_document_amount: Int32 | UnsetType = UNSET
    creditor_reference_information: OBRemittanceInformationStructuredCreditorReferenceInformation | UnsetType = UNSET
    invoicer: UpTo256 | UnsetType = UNSET
    invoicee: UpTo256 | UnsetType = UNSET
    tax_remittance: Text140 | UnsetType = UNSET
    additional_remittance_information: Annotated[list[Text140], msgspec.Meta(max_length=3)] | UnsetType = UNSET


class OBRemittanceInformation2Vrp(Open, frozen=True, kw_only=True):
    """``RemittanceInformation`` of ``OBDomesticVRPInitiation`` and others."""

    structured: list[OBRemittanceInformationStructuredVrp] | UnsetType = UNSET
    unstructured: list[Text140] | UnsetType = UNSET


class OBStructuredRegulatoryReporting3Vrp(Open, frozen=True, kw_only=True):
    """``Details`` of ``OBRegulatoryReporting1Vrp``."""

    type: Text35 | UnsetType = UNSET
    date: DateTime | UnsetType = UNSET
    country: CountryCode | UnsetType = UNSET
    amount: OBActiveOrHistoricCurrencyAndAmountVrp | UnsetType = UNSET
    information: list[Text35] | UnsetType = UNSET


class OBRegulatoryReporting1Vrp(Open, frozen=True, kw_only=True):
    """``RegulatoryReporting`` of ``OBDomesticVRPInitiation``."""

    debit_credit_reporting_indicator: OBRegulatoryReporting1DebitCreditReportingIndicator | UnsetType = UNSET
    authority: OBRegulatoryAuthority2 | UnsetType = UNSET
    details: list[OBStructuredRegulatoryReporting3Vrp] | UnsetType = UNSET


class OBDomesticVRPInitiation(Open, frozen=True, kw_only=True):
    """``Initiation`` of ``OBDomesticVRPConsentRequestData`` and others."""

    debtor_account: OBCashAccountDebtorWithName | UnsetType = UNSET
    creditor_account: OBCashAccountDebtorWithName | UnsetType = UNSET
    creditor_postal_address: OBPostalAddress7Payment | UnsetType = UNSET
    ultimate_creditor: OBUltimateCreditor1Vrp | UnsetType = UNSET
    ultimate_debtor: OBUltimateCreditor1Vrp | UnsetType = UNSET
    remittance_information: OBRemittanceInformation2Vrp | UnsetType = UNSET
    regulatory_reporting: Annotated[list[OBRegulatoryReporting1Vrp], msgspec.Meta(max_length=10)] | UnsetType = UNSET


class OBDomesticVRPConsentRequestData(Open, frozen=True, kw_only=True):
    """``Data`` of ``OBDomesticVRPConsentRequest``."""

    read_refund_account: OBDomesticVRPConsentRequestReadRefundAccount | UnsetType = UNSET
    control_parameters: OBDomesticVRPControlParameters
    initiation: OBDomesticVRPInitiation


class OBDomesticVRPConsentRequest(Open, frozen=True, kw_only=True):
    """What is sent by ``POST /domestic-vrp-consents`` and others."""

    data: OBDomesticVRPConsentRequestData
    risk: OBRisk1


class OBDomesticVRPConsentResponseData(Open, frozen=True, kw_only=True):
    """``Data`` of ``OBDomesticVRPConsentResponse``."""

    read_refund_account: OBDomesticVRPConsentRequestReadRefundAccount | UnsetType = UNSET
    consent_id: Text128
    creation_date_time: DateTime
    status: ConsentStatus
    status_reason: list[OBStatusReason] | UnsetType = UNSET
    status_update_date_time: DateTime
    control_parameters: OBDomesticVRPControlParameters
    initiation: OBDomesticVRPInitiation
    debtor_account: OBCashAccountDebtorWithName | UnsetType = UNSET


class LinksVrp(Open, frozen=True, kw_only=True):
    """``Links`` of ``OBDomesticVRPConsentResponse`` and others."""

    self_: Uri
    first: Uri | UnsetType = UNSET
    prev: Uri | UnsetType = UNSET
    next: Uri | UnsetType = UNSET
    last: Uri | UnsetType = UNSET


class OBDomesticVRPConsentResponse(Open, frozen=True, kw_only=True):
    """What is answered to ``GET /domestic-vrp-consents/{ConsentId}`` and others."""

    data: OBDomesticVRPConsentResponseData
    risk: OBRisk1
    links: LinksVrp
    meta: dict[str, Any]


class OBVRPFundsConfirmationRequestData(Open, frozen=True, kw_only=True):
    """``Data`` of ``OBVRPFundsConfirmationRequest``."""

    consent_id: Text128
    reference: Text35 | UnsetType = UNSET
    instructed_amount: OBActiveOrHistoricCurrencyAndAmountVrp


class OBVRPFundsConfirmationRequest(Open, frozen=True, kw_only=True):
    """What is sent by ``POST /domestic-vrp-consents/{ConsentId}/funds-confirmation``."""

    data: OBVRPFundsConfirmationRequestData


OBPAFundsAvailableResult1FundsAvailable = Literal["Available", "NotAvailable"]


class OBPAFundsAvailableResult1(Open, frozen=True, kw_only=True):
    """``FundsAvailableResult`` of ``OBVRPFundsConfirmationResponseData``."""

    funds_available_date_time: DateTime
    funds_available: OBPAFundsAvailableResult1FundsAvailable


class OBVRPFundsConfirmationResponseData(Open, frozen=True, kw_only=True):
    """``Data`` of ``OBVRPFundsConfirmationResponse``."""

    funds_confirmation_id: Text40
    consent_id: Text128
    creation_date_time: DateTime
    reference: Text35 | UnsetType = UNSET
    funds_available_result: OBPAFundsAvailableResult1
    instructed_amount: OBActiveOrHistoricCurrencyAndAmountVrp


class OBVRPFundsConfirmationResponse(Open, frozen=True, kw_only=True):
    """What is answered to ``POST /domestic-vrp-consents/{ConsentId}/funds-confirmation``."""

    data: OBVRPFundsConfirmationResponseData


class OBDomesticVRPInstruction(Open, frozen=True, kw_only=True):
    """``Instruction`` of ``OBDomesticVRPRequestData`` and others."""

    instruction_identification: Text35
    end_to_end_identification: Text35
    remittance_information: OBRemittanceInformation2Vrp | UnsetType = UNSET
    local_instrument: str | UnsetType = UNSET
    instructed_amount: OBActiveOrHistoricCurrencyAndAmountVrp
    creditor_postal_address: OBPostalAddress7Payment | UnsetType = UNSET
    creditor_account: OBCashAccountDebtorWithName
    ultimate_creditor: OBUltimateCreditor1Vrp | UnsetType = UNSET
    supplementary_data: dict[str, Any] | UnsetType = UNSET


class OBDomesticVRPRequestData(Open, frozen=True, kw_only=True):
    """``Data`` of ``OBDomesticVRPRequest``."""

    consent_id: Text128
    psu_authentication_method: str
    psu_interaction_type: OBVRPInteractionTypes | UnsetType = UNSET
    vrp_type: str
    initiation: OBDomesticVRPInitiation
    instruction: OBDomesticVRPInstruction


class OBDomesticVRPRequest(Open, frozen=True, kw_only=True):
    """What is sent by ``POST /domestic-vrps``."""

    data: OBDomesticVRPRequestData
    risk: OBRisk1


OBDomesticVRPResponseStatus = Literal[
    "RCVD", "RJCT", "CANC", "PDNG", "ACTC", "ACCP", "ACFC", "ACSP", "ACWC", "ACSC", "ACWP", "ACCC", "BLCK",
]  # fmt: skip

OBInternalPaymentChargeType1Code = Literal[
    "UK.OBIE.CHAPSOut", "UK.OBIE.BalanceTransferOut", "UK.OBIE.MoneyTransferOut",
]  # fmt: skip


class OBDomesticVRPResponseCharges(Open, frozen=True, kw_only=True):
    """``Charges`` of ``OBDomesticVRPResponseData``."""

    charge_bearer: OBInternalChargeBearerType1Code
    type: OBInternalPaymentChargeType1Code
    amount: OBActiveOrHistoricCurrencyAndAmountVrp


class OBDomesticVRPResponseData(Open, frozen=True, kw_only=True):
    """``Data`` of ``OBDomesticVRPResponse``."""

    domestic_vrp_id: Text40
    consent_id: Text128
    creation_date_time: DateTime
    status: OBDomesticVRPResponseStatus
    status_reason: list[OBStatusReason] | UnsetType = UNSET
    status_update_date_time: DateTime
    expected_execution_date_time: DateTime | UnsetType = UNSET
    expected_settlement_date_time: DateTime | UnsetType = UNSET
    refund: OBCashAccountDebtorWithName | UnsetType = UNSET
    charges: list[OBDomesticVRPResponseCharges] | UnsetType = UNSET
    initiation: OBDomesticVRPInitiation
    instruction: OBDomesticVRPInstruction
    debtor_account: OBCashAccountDebtorWithName | UnsetType = UNSET


class OBDomesticVRPResponse(Open, frozen=True, kw_only=True):
    """What is answered to ``GET /domestic-vrps/{DomesticVRPId}`` and others."""

    data: OBDomesticVRPResponseData
    risk: OBRisk1
    links: LinksVrp
    meta: dict[str, Any]


class OBDomesticVRPDetailsStatusDetail(Open, frozen=True, kw_only=True):
    """``StatusDetail`` of ``OBDomesticVRPDetailsPaymentStatus``."""

    local_instrument: str | UnsetType = UNSET
    status: Text128
    status_reason: str | UnsetType = UNSET
    status_reason_description: Text256 | UnsetType = UNSET


class OBDomesticVRPDetailsPaymentStatus(Open, frozen=True, kw_only=True):
    """``PaymentStatus`` of ``OBDomesticVRPDetailsData``."""

    payment_transaction_id: Text210
    status: OBDomesticVRPResponseStatus
    status_update_date_time: DateTime
    status_detail: OBDomesticVRPDetailsStatusDetail | UnsetType = UNSET


class OBDomesticVRPDetailsData(Open, frozen=True, kw_only=True):
    """``Data`` of ``OBDomesticVRPDetails``."""

    payment_status: list[OBDomesticVRPDetailsPaymentStatus] | UnsetType = UNSET


class OBDomesticVRPDetails(Open, frozen=True, kw_only=True):
    """What is answered to ``GET /domestic-vrps/{DomesticVRPId}/payment-details``."""

    data: OBDomesticVRPDetailsData
