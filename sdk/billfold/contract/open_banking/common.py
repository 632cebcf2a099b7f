"""What the areas of the contract share."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType, field

from billfold.contract.open_banking.base import (
    Closed,
    Open,
    ecma,
)
from billfold.contract.open_banking.codes import (
    ExternalCategoryPurpose1Code,
    ExternalCreditorReferenceType1Code,
    ExternalProxyAccountType1Code,
    OBAddressType2Code,
    OBExternalPurpose1Code,
    OBInternalExtendedAccountType1Code,
    OBRisk1PaymentContextCode,
    OBStatement2SubType,
)

__all__ = [
    "LEI",
    "ActiveOrHistoricCurrencyCode1",
    "Code4",
    "CountryCode",
    "DateTime",
    "Int32",
    "Links",
    "Meta",
    "OBActiveCurrencyAndAmountSimpleType",
    "OBActiveOrHistoricCurrencyAndAmount5",
    "OBBranchAndFinancialInstitutionIdentification61",
    "OBCashAccount51",
    "OBError1",
    "OBErrorResponse1",
    "OBPostalAddress7",
    "OBPostalAddress7Payment",
    "OBProxy1",
    "OBRate11",
    "OBRegulatoryAuthority2",
    "OBRemittanceInformationStructuredCreditorReferenceInformation",
    "OBRisk1",
    "OBStatement2Amount",
    "OBStatement2LocalAmount",
    "OBStatusReason",
    "Text3To4",
    "Text4",
    "Text16",
    "Text34",
    "Text35",
    "Text40",
    "Text70",
    "Text128",
    "Text140",
    "Text210",
    "Text256",
    "Text350",
    "Text500",
    "Text2048",
    "Uri",
]

DateTime = Annotated[datetime, msgspec.Meta(tz=True)]

Text128 = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]

Text4 = Annotated[str, msgspec.Meta(min_length=1, max_length=4)]

Text500 = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class OBStatusReason(Open, frozen=True, kw_only=True):
    """``StatusReason`` of ``OBDomesticVRPConsentResponseData`` and others."""

    status_reason_code: Text4 | UnsetType = UNSET
    status_reason_description: Text500 | UnsetType = UNSET
    path: Text500 | UnsetType = UNSET


Uri = Annotated[str, msgspec.Meta(extra_json_schema={"format": "uri"})]


class Links(Closed, frozen=True, kw_only=True):
    """``Links`` of ``OBEventSubscriptionResponse1`` and others."""

    self_: Uri
    first: Uri | UnsetType = UNSET
    prev: Uri | UnsetType = UNSET
    next: Uri | UnsetType = UNSET
    last: Uri | UnsetType = UNSET


Int32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]


class Meta(Closed, frozen=True, kw_only=True):
    """``Meta`` of ``OBEventSubscriptionResponse1`` and others."""

    total_pages: Int32 | UnsetType = UNSET
    first_available_date_time: DateTime | UnsetType = UNSET
    last_available_date_time: DateTime | UnsetType = UNSET


Text40 = Annotated[str, msgspec.Meta(min_length=1, max_length=40)]

Code4 = Annotated[str, msgspec.Meta(min_length=4, max_length=4)]


class OBError1(Closed, frozen=True, kw_only=True):
    """``Errors`` of ``OBErrorResponse1``."""

    error_code: Code4
    message: Text500 | UnsetType = UNSET
    path: Text500 | UnsetType = UNSET
    url: str | UnsetType = field(name="Url", default=UNSET)


class OBErrorResponse1(Closed, frozen=True, kw_only=True):
    """What is refused, and why."""

    id: Text40 | UnsetType = UNSET
    code: Text40 | UnsetType = UNSET
    message: Text500 | UnsetType = UNSET
    errors: Annotated[list[OBError1], msgspec.Meta(min_length=1)]


ActiveOrHistoricCurrencyCode1 = Annotated[str, msgspec.Meta(pattern=ecma(r"^[A-Z]{3,3}$"))]

Text35 = Annotated[str, msgspec.Meta(min_length=1, max_length=35)]

Text70 = Annotated[str, msgspec.Meta(min_length=1, max_length=70)]

Text256 = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]

Text350 = Annotated[str, msgspec.Meta(min_length=1, max_length=350)]

LEI = Annotated[str, msgspec.Meta(min_length=1, max_length=20, pattern=ecma(r"^[A-Z0-9]{18,18}[0-9]{2,2}$"))]

Text34 = Annotated[str, msgspec.Meta(min_length=1, max_length=34)]

Text140 = Annotated[str, msgspec.Meta(min_length=1, max_length=140)]

Text16 = Annotated[str, msgspec.Meta(min_length=1, max_length=16)]

CountryCode = Annotated[str, msgspec.Meta(pattern=ecma(r"^[A-Z]{2,2}$"))]


class OBPostalAddress7(Open, frozen=True, kw_only=True):
    """``Address`` of ``OBBranchAndFinancialInstitutionIdentification51`` and others."""

    address_type: OBAddressType2Code | UnsetType = UNSET
    department: Text70 | UnsetType = UNSET
    sub_department: Text70 | UnsetType = UNSET
    street_name: Text140 | UnsetType = UNSET
    building_number: Text16 | UnsetType = UNSET
    building_name: Text140 | UnsetType = UNSET
    floor: Text70 | UnsetType = UNSET
    unit_number: Text16 | UnsetType = UNSET
    room: Text70 | UnsetType = UNSET
    post_box: Text16 | UnsetType = UNSET
    town_location_name: Text140 | UnsetType = UNSET
    district_name: Text140 | UnsetType = UNSET
    care_of: Text140 | UnsetType = UNSET
    post_code: Text16 | UnsetType = UNSET
    town_name: Text140 | UnsetType = UNSET
    country_sub_division: Text35 | UnsetType = UNSET
    country: CountryCode | UnsetType = UNSET
    address_line: Annotated[list[Text70], msgspec.Meta(max_length=7)] | UnsetType = UNSET


OBActiveCurrencyAndAmountSimpleType = Annotated[str, msgspec.Meta(pattern=ecma(r"^\d{1,13}$|^\d{1,13}\.\d{1,5}$"))]


class OBStatement2Amount(Open, frozen=True, kw_only=True):
    """``Amount`` of ``OBReadBalance1Balance`` and others."""

    amount: OBActiveCurrencyAndAmountSimpleType
    currency: ActiveOrHistoricCurrencyCode1
    sub_type: OBStatement2SubType = "BCUR"


class OBActiveOrHistoricCurrencyAndAmount5(Open, frozen=True, kw_only=True):
    """``Amount`` of ``OBCurrencyExchange5`` and others."""

    amount: OBActiveCurrencyAndAmountSimpleType
    currency: ActiveOrHistoricCurrencyCode1


class OBStatement2LocalAmount(Open, frozen=True, kw_only=True):
    """``LocalAmount`` of ``OBReadBalance1Balance`` and others."""

    amount: OBActiveCurrencyAndAmountSimpleType
    currency: ActiveOrHistoricCurrencyCode1
    sub_type: OBStatement2SubType = "LCUR"


class OBBranchAndFinancialInstitutionIdentification61(Open, frozen=True, kw_only=True):
    """``CreditorAgent`` of ``OBBeneficiary5`` and others."""

    scheme_name: str | UnsetType = UNSET
    identification: Text35 | UnsetType = UNSET
    name: Text140 | UnsetType = UNSET
    postal_address: OBPostalAddress7 | UnsetType = UNSET
    lei: LEI | UnsetType = UNSET


Text2048 = Annotated[str, msgspec.Meta(min_length=1, max_length=2048)]


class OBProxy1(Open, frozen=True, kw_only=True):
    """``Proxy`` of ``OBCashAccount51`` and others."""

    identification: Text2048
    code: ExternalProxyAccountType1Code
    type: Text35 | UnsetType = UNSET


class OBCashAccount51(Open, frozen=True, kw_only=True):
    """``CreditorAccount`` of ``OBBeneficiary5`` and others."""

    scheme_name: str
    identification: Text256
    name: Text350 | UnsetType = UNSET
    secondary_identification: Text34 | UnsetType = UNSET
    proxy: OBProxy1 | UnsetType = UNSET


OBRate11 = Annotated[str, msgspec.Meta(pattern=ecma(r"^(-?\d{1,3}){1}(\.\d{1,4}){0,1}$"))]


class OBRemittanceInformationStructuredCreditorReferenceInformation(Open, frozen=True, kw_only=True):
    """``CreditorReferenceInformation`` of ``OBRemittanceInformationStructured`` and others."""

    code: ExternalCreditorReferenceType1Code | UnsetType = UNSET
    issuer: Text35 | UnsetType = UNSET
    reference: Text35 | UnsetType = UNSET


Text210 = Annotated[str, msgspec.Meta(min_length=1, max_length=210)]

Text3To4 = Annotated[str, msgspec.Meta(min_length=3, max_length=4)]


class OBPostalAddress7Payment(Closed, frozen=True, kw_only=True):
    """``CreditorPostalAddress`` of ``OBDomesticVRPInitiation`` and others."""

    address_type: OBAddressType2Code | UnsetType = UNSET
    department: Text70 | UnsetType = UNSET
    sub_department: Text70 | UnsetType = UNSET
    street_name: Text140 | UnsetType = UNSET
    building_number: Text16 | UnsetType = UNSET
    building_name: Text140 | UnsetType = UNSET
    floor: Text70 | UnsetType = UNSET
    unit_number: Text16 | UnsetType = UNSET
    room: Text70 | UnsetType = UNSET
    post_box: Text16 | UnsetType = UNSET
    town_location_name: Text140 | UnsetType = UNSET
    district_name: Text140 | UnsetType = UNSET
    care_of: Text140 | UnsetType = UNSET
    post_code: Text16 | UnsetType = UNSET
    town_name: Text140 | UnsetType = UNSET
    country_sub_division: Text35 | UnsetType = UNSET
    country: CountryCode | UnsetType = UNSET
    address_line: Annotated[list[Text70], msgspec.Meta(max_length=7)] | UnsetType = UNSET


class OBRegulatoryAuthority2(Open, frozen=True, kw_only=True):
    """``Authority`` of ``OBRegulatoryReporting1`` and others."""

    name: Text140 | UnsetType = UNSET
    country_code: CountryCode | UnsetType = UNSET


class OBRisk1(Closed, frozen=True, kw_only=True):
    """``Risk`` of ``OBDomesticVRPConsentRequest`` and others."""

    payment_context_code: OBRisk1PaymentContextCode | UnsetType = UNSET
    merchant_category_code: Text3To4 | UnsetType = UNSET
    merchant_customer_identification: Text70 | UnsetType = UNSET
    contract_present_indicator: bool | UnsetType = UNSET
    beneficiary_prepopulated_indicator: bool | UnsetType = UNSET
    payment_purpose_code: OBExternalPurpose1Code | UnsetType = UNSET
    category_purpose_code: ExternalCategoryPurpose1Code | UnsetType = UNSET
    beneficiary_account_type: OBInternalExtendedAccountType1Code | UnsetType = UNSET
    delivery_address: OBPostalAddress7Payment | UnsetType = UNSET
