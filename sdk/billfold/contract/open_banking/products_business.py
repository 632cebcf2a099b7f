"""What is told of a current account for businesses."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, UnsetType

from billfold.contract.open_banking.base import (
    Closed,
    Open,
)
from billfold.contract.open_banking.common import (
    OBRate11,
    Text35,
    Text350,
)
from billfold.contract.open_banking.products_shared import (
    BCACalculationMethod,
    BCADestination,
    BCAFeeApplicableRange,
    BCAFeeCategory,
    BCAFeeChargeDetailOtherFeeType,
    BCAFeeType,
    BCAFixedVariableInterestRateType,
    BCAMinMaxType,
    BCAOtherFeeType,
    BCAOtherTariffType,
    BCATierBandMethod,
    OBAmount14,
    Text2000,
)

__all__ = [
    "BCAApplicationFrequency",
    "BCACreditInterest",
    "BCAFeeChargeCap",
    "BCAFeeChargeCapFeeType",
    "BCAFeeChargeDetail",
    "BCAFeeChargeDetailApplicationFrequency",
    "BCAFeeFreeLengthPeriod",
    "BCAFeeRateType",
    "BCAOtherFeesCharges",
    "BCAOverdraft",
    "BCAOverdraftFeeChargeCap",
    "BCAOverdraftFeeChargeDetail",
    "BCAOverdraftFeesCharges",
    "BCAOverdraftTierBand",
    "BCAOverdraftTierBandSet",
    "BCAOverdraftType",
    "BCAProductDetails",
    "BCASegment",
    "BCATariffType",
    "BCATierBand",
    "BCATierBandSet",
    "OBBCAData1",
]

BCASegment = Literal[
    "ClientAccount", "Standard", "NonCommercialChaitiesClbSoc", "NonCommercialPublicAuthGovt", "Religious",
    "SectorSpecific", "Startup", "Switcher",
]  # fmt: skip

BCAFeeFreeLengthPeriod = Literal["Day", "Half Year", "Month", "Quarter", "Week", "Year"]


class BCAProductDetails(Closed, frozen=True, kw_only=True):
    """``ProductDetails`` of ``OBBCAData1``."""

    segment: list[BCASegment] | UnsetType = UNSET
    fee_free_length: float | UnsetType = UNSET
    fee_free_length_period: BCAFeeFreeLengthPeriod | UnsetType = UNSET
    notes: list[Text2000] | UnsetType = UNSET


BCAApplicationFrequency = Literal[
    "Daily", "HalfYearly", "Monthly", "Other", "Quarterly", "PerStatementDate", "Weekly", "Yearly",
]  # fmt: skip

BCAFeeRateType = Literal["Gross", "Other"]


class BCATierBand(Open, frozen=True, kw_only=True):
    """``TierBand`` of ``BCATierBandSet``."""

    identification: Text35 | UnsetType = UNSET
    tier_value_minimum: OBAmount14
    tier_value_maximum: OBAmount14 | UnsetType = UNSET
    calculation_frequency: BCAApplicationFrequency | UnsetType = UNSET
    application_frequency: BCAApplicationFrequency
    deposit_interest_applied_coverage: BCATierBandMethod | UnsetType = UNSET
    fixed_variable_interest_rate_type: BCAFixedVariableInterestRateType
    aer: OBRate11
    bank_interest_rate_type: BCAFeeRateType | UnsetType = UNSET
    bank_interest_rate: OBRate11 | UnsetType = UNSET
    notes: list[Text2000] | UnsetType = UNSET
    other_bank_interest_type: BCAOtherTariffType | UnsetType = UNSET
    other_application_frequency: BCAOtherTariffType | UnsetType = UNSET
    other_calculation_frequency: BCAOtherTariffType | UnsetType = UNSET


class BCATierBandSet(Open, frozen=True, kw_only=True):
    """``TierBandSet`` of ``BCACreditInterest``."""

    tier_band_method: BCATierBandMethod
    calculation_method: BCACalculationMethod | UnsetType = UNSET
    destination: BCADestination
    notes: list[Text2000] | UnsetType = UNSET
    tier_band: Annotated[list[BCATierBand], msgspec.Meta(min_length=1)]


class BCACreditInterest(Closed, frozen=True, kw_only=True):
    """``CreditInterest`` of ``OBBCAData1``."""

    tier_band_set: Annotated[list[BCATierBandSet], msgspec.Meta(min_length=1)]


BCAOverdraftType = Literal["Committed", "OnDemand"]


class BCAOverdraftFeeChargeCap(Open, frozen=True, kw_only=True):
    """``OverdraftFeeChargeCap`` of ``BCAOverdraftFeeChargeDetail`` and others."""

    fee_type: Annotated[list[BCAFeeType], msgspec.Meta(min_length=1)]
    min_max_type: BCAMinMaxType
    fee_cap_occurrence: float | UnsetType = UNSET
    fee_cap_amount: OBAmount14 | UnsetType = UNSET
    capping_period: BCAFeeFreeLengthPeriod | UnsetType = UNSET
    notes: list[Text2000] | UnsetType = UNSET
    other_fee_type: list[BCAOtherFeeType] | UnsetType = UNSET


BCAFeeChargeDetailApplicationFrequency = Literal[
    "OnClosing", "OnOpening", "ChargingPeriod", "Daily", "PerItem", "Monthly", "OnAnniversary", "Other",
    "PerHundredPounds", "PerHour", "PerOccurrence", "PerSheet", "PerTransaction", "PerTransactionAmount",
    "PerTransactionPercentage", "Quarterly", "SixMonthly", "StatementMonthly", "Weekly", "Yearly",
]  # fmt: skip


class BCAOverdraftFeeChargeDetail(Open, frozen=True, kw_only=True):
    """``OverdraftFeeChargeDetail`` of ``BCAOverdraftFeesCharges``."""

    fee_type: BCAFeeType
    negotiable_indicator: bool | UnsetType = UNSET
    overdraft_control_indicator: bool | UnsetType = UNSET
    incremental_borrowing_amount: OBAmount14 | UnsetType = UNSET
    fee_amount: OBAmount14 | UnsetType = UNSET
    fee_rate: OBRate11 | UnsetType = UNSET
    fee_rate_type: BCAFeeRateType | UnsetType = UNSET
    application_frequency: BCAFeeChargeDetailApplicationFrequency
    calculation_frequency: BCAFeeChargeDetailApplicationFrequency | UnsetType = UNSET
    notes: list[Text2000] | UnsetType = UNSET
    overdraft_fee_charge_cap: list[BCAOverdraftFeeChargeCap] | UnsetType = UNSET
    other_fee_type: BCAOtherTariffType | UnsetType = UNSET
    other_fee_rate_type: BCAOtherTariffType | UnsetType = UNSET
    other_application_frequency: BCAOtherTariffType | UnsetType = UNSET
    other_calculation_frequency: BCAOtherTariffType | UnsetType = UNSET


class BCAOverdraftFeesCharges(Open, frozen=True, kw_only=True):
    """``OverdraftFeesCharges`` of ``BCAOverdraftTierBand`` and others."""

    overdraft_fee_charge_cap: list[BCAOverdraftFeeChargeCap] | UnsetType = UNSET
    overdraft_fee_charge_detail: Annotated[list[BCAOverdraftFeeChargeDetail], msgspec.Meta(min_length=1)]


class BCAOverdraftTierBand(Open, frozen=True, kw_only=True):
    """``OverdraftTierBand`` of ``BCAOverdraftTierBandSet``."""

    identification: Text35 | UnsetType = UNSET
    tier_value_min: OBAmount14
    tier_value_max: OBAmount14 | UnsetType = UNSET
    ear: OBRate11 | UnsetType = UNSET
    representative_apr: OBRate11 | UnsetType = UNSET
    agreement_length_min: float | UnsetType = UNSET
    agreement_length_max: float | UnsetType = UNSET
    agreement_period: BCAFeeFreeLengthPeriod | UnsetType = UNSET
    overdraft_interest_charging_coverage: BCATierBandMethod | UnsetType = UNSET
    bank_guaranteed_indicator: bool | UnsetType = UNSET
    notes: list[Text2000] | UnsetType = UNSET
    overdraft_fees_charges: list[BCAOverdraftFeesCharges] | UnsetType = UNSET


class BCAOverdraftTierBandSet(Open, frozen=True, kw_only=True):
    """``OverdraftTierBandSet`` of ``BCAOverdraft``."""

    tier_band_method: BCATierBandMethod
    overdraft_type: BCAOverdraftType | UnsetType = UNSET
    identification: Text35 | UnsetType = UNSET
    authorised_indicator: bool | UnsetType = UNSET
    buffer_amount: OBAmount14 | UnsetType = UNSET
    notes: list[Text2000] | UnsetType = UNSET
    overdraft_tier_band: Annotated[list[BCAOverdraftTierBand], msgspec.Meta(min_length=1)]
    overdraft_fees_charges: list[BCAOverdraftFeesCharges] | UnsetType = UNSET


class BCAOverdraft(Closed, frozen=True, kw_only=True):
    """``Overdraft`` of ``OBBCAData1``."""

    notes: list[Text2000] | UnsetType = UNSET
    overdraft_tier_band_set: Annotated[list[BCAOverdraftTierBandSet], msgspec.Meta(min_length=1)]


BCATariffType = Literal["Electronic", "Mixed", "Other"]

BCAFeeChargeCapFeeType = Literal[
    "Other", "ServiceCAccountFee", "ServiceCAccountFeeMonthly", "ServiceCAccountFeeQuarterly", "ServiceCFixedTariff",
    "ServiceCBusiDepAccBreakage", "ServiceCMinimumMonthlyFee", "ServiceCOther",
]  # fmt: skip


class BCAFeeChargeCap(Open, frozen=True, kw_only=True):
    """``FeeChargeCap`` of ``BCAFeeChargeDetail`` and others."""

    fee_type: Annotated[list[BCAFeeChargeCapFeeType], msgspec.Meta(min_length=1)]
    min_max_type: BCAMinMaxType
    fee_cap_occurrence: float | UnsetType = UNSET
    fee_cap_amount: OBAmount14 | UnsetType = UNSET
    capping_period: BCAFeeFreeLengthPeriod | UnsetType = UNSET
    notes: list[Text2000] | UnsetType = UNSET
    other_fee_type: list[BCAOtherFeeType] | UnsetType = UNSET


class BCAFeeChargeDetail(Open, frozen=True, kw_only=True):
    """``FeeChargeDetail`` of ``BCAOtherFeesCharges``."""

    fee_category: BCAFeeCategory
    fee_type: BCAFeeChargeCapFeeType
    negotiable_indicator: bool | UnsetType = UNSET
    fee_amount: OBAmount14 | UnsetType = UNSET
    fee_rate: OBRate11 | UnsetType = UNSET
    fee_rate_type: BCAFeeRateType | UnsetType = UNSET
    application_frequency: BCAFeeChargeDetailApplicationFrequency
    calculation_frequency: BCAFeeChargeDetailApplicationFrequency | UnsetType = UNSET
    notes: list[Text2000] | UnsetType = UNSET
    fee_charge_cap: list[BCAFeeChargeCap] | UnsetType = UNSET
    other_fee_category_type: BCAOtherTariffType | UnsetType = UNSET
    other_fee_type: BCAFeeChargeDetailOtherFeeType | UnsetType = UNSET
    other_fee_rate_type: BCAOtherTariffType | UnsetType = UNSET
    other_application_frequency: BCAOtherTariffType | UnsetType = UNSET
    other_calculation_frequency: BCAOtherTariffType | UnsetType = UNSET
    fee_applicable_range: BCAFeeApplicableRange | UnsetType = UNSET


class BCAOtherFeesCharges(Open, frozen=True, kw_only=True):
    """``OtherFeesCharges`` of ``OBBCAData1``."""

    tariff_type: BCATariffType | UnsetType = UNSET
    tariff_name: Text350 | UnsetType = UNSET
    other_tariff_type: BCAOtherTariffType | UnsetType = UNSET
    fee_charge_detail: Annotated[list[BCAFeeChargeDetail], msgspec.Meta(min_length=1)]
    fee_charge_cap: list[BCAFeeChargeCap] | UnsetType = UNSET


class OBBCAData1(Closed, frozen=True, kw_only=True):
    """``BCA`` of ``ProductProduct``."""

    product_details: BCAProductDetails | UnsetType = UNSET
    credit_interest: BCACreditInterest | UnsetType = UNSET
    overdraft: BCAOverdraft | UnsetType = UNSET
    other_fees_charges: list[BCAOtherFeesCharges] | UnsetType = UNSET
