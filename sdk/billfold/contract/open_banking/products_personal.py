"""What is told of a current account for persons."""

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
    "OBPCAData1",
    "PCAApplicationFrequency",
    "PCACappingPeriod",
    "PCACreditInterest",
    "PCAFeeChargeCap",
    "PCAFeeChargeDetail",
    "PCAFeeChargeDetailApplicationFrequency",
    "PCAFeeRateType",
    "PCAFeeType",
    "PCAOtherFeesCharges",
    "PCAOverdraft",
    "PCAOverdraftFeeChargeCap",
    "PCAOverdraftFeeChargeDetail",
    "PCAOverdraftFeeChargeDetailOverdraftFeeChargeCap",
    "PCAOverdraftFeesCharges",
    "PCAOverdraftTierBand",
    "PCAOverdraftTierBandSet",
    "PCAOverdraftType",
    "PCAProductDetails",
    "PCASegment",
    "PCATierBand",
    "PCATierBandMethod",
    "PCATierBandSet",
]

PCASegment = Literal[
    "Basic", "BenefitAndReward", "CreditInterest", "Cashback", "General", "Graduate", "Other", "Overdraft",
    "Packaged", "Premium", "Reward", "Student", "YoungAdult", "Youth",
]  # fmt: skip


class PCAProductDetails(Closed, frozen=True, kw_only=True):
    """``ProductDetails`` of ``OBPCAData1``."""

    segment: list[PCASegment] | UnsetType = UNSET
    monthly_maximum_charge: OBAmount14 | UnsetType = UNSET
    notes: list[Text2000] | UnsetType = UNSET


PCATierBandMethod = Literal["Tiered", "Whole"]

PCAApplicationFrequency = Literal[
    "PerAcademicTerm", "Daily", "HalfYearly", "Monthly", "Other", "Quarterly", "PerStatementDate", "Weekly", "Yearly",
]  # fmt: skip

PCAFeeRateType = Literal["LinkedBaseRate", "Gross", "Net", "Other"]


class PCATierBand(Open, frozen=True, kw_only=True):
    """``TierBand`` of ``PCATierBandSet``."""

    identification: Text35 | UnsetType = UNSET
    tier_value_minimum: OBAmount14
    tier_value_maximum: OBAmount14 | UnsetType = UNSET
    calculation_frequency: PCAApplicationFrequency | UnsetType = UNSET
    application_frequency: PCAApplicationFrequency
    deposit_interest_applied_coverage: PCATierBandMethod | UnsetType = UNSET
    fixed_variable_interest_rate_type: BCAFixedVariableInterestRateType
    aer: OBRate11
    bank_interest_rate_type: PCAFeeRateType | UnsetType = UNSET
    bank_interest_rate: OBRate11 | UnsetType = UNSET
    notes: list[Text2000] | UnsetType = UNSET
    other_bank_interest_type: BCAOtherTariffType | UnsetType = UNSET
    other_application_frequency: BCAOtherTariffType | UnsetType = UNSET
    other_calculation_frequency: BCAOtherTariffType | UnsetType = UNSET


class PCATierBandSet(Open, frozen=True, kw_only=True):
    """``TierBandSet`` of ``PCACreditInterest``."""

    tier_band_method: PCATierBandMethod
    calculation_method: BCACalculationMethod | UnsetType = UNSET
    destination: BCADestination | UnsetType = UNSET
    notes: list[Text2000] | UnsetType = UNSET
    tier_band: Annotated[list[PCATierBand], msgspec.Meta(min_length=1)]


class PCACreditInterest(Closed, frozen=True, kw_only=True):
    """``CreditInterest`` of ``OBPCAData1``."""

    tier_band_set: Annotated[list[PCATierBandSet], msgspec.Meta(min_length=1)]


PCAOverdraftType = Literal["Committed", "OnDemand", "Other"]

PCACappingPeriod = Literal["AcademicTerm", "Day", "Half Year", "Month", "Quarter", "Week", "Year"]


class PCAOverdraftFeeChargeCap(Open, frozen=True, kw_only=True):
    """``OverdraftFeeChargeCap`` of ``PCAOverdraftFeesCharges``."""

    fee_type: Annotated[list[BCAFeeType], msgspec.Meta(min_length=1)]
    overdraft_control_indicator: bool | UnsetType = UNSET
    min_max_type: BCAMinMaxType
    fee_cap_occurrence: float | UnsetType = UNSET
    fee_cap_amount: OBAmount14 | UnsetType = UNSET
    capping_period: PCACappingPeriod | UnsetType = UNSET
    notes: list[Text2000] | UnsetType = UNSET
    other_fee_type: list[BCAOtherFeeType] | UnsetType = UNSET


PCAFeeChargeDetailApplicationFrequency = Literal[
    "AccountClosing", "AccountOpening", "AcademicTerm", "ChargingPeriod", "Daily", "PerItem", "Monthly",
    "OnAccountAnniversary", "Other", "PerHour", "PerOccurrence", "PerSheet", "PerTransaction", "PerTransactionAmount",
    "PerTransactionPercentage", "Quarterly", "SixMonthly", "StatementMonthly", "Weekly", "Yearly",
]  # fmt: skip


class PCAOverdraftFeeChargeDetailOverdraftFeeChargeCap(Closed, frozen=True, kw_only=True):
    """``OverdraftFeeChargeCap`` of ``PCAOverdraftFeeChargeDetail``."""

    fee_type: Annotated[list[BCAFeeType], msgspec.Meta(min_length=1)]
    overdraft_control_indicator: bool | UnsetType = UNSET
    min_max_type: BCAMinMaxType
    fee_cap_occurrence: float | UnsetType = UNSET
    fee_cap_amount: OBAmount14 | UnsetType = UNSET
    capping_period: PCACappingPeriod | UnsetType = UNSET
    notes: list[Text2000] | UnsetType = UNSET
    other_fee_type: list[BCAOtherFeeType] | UnsetType = UNSET


class PCAOverdraftFeeChargeDetail(Open, frozen=True, kw_only=True):
    """``OverdraftFeeChargeDetail`` of ``PCAOverdraftFeesCharges``."""

    fee_type: BCAFeeType
    overdraft_control_indicator: bool | UnsetType = UNSET
    incremental_borrowing_amount: OBAmount14 | UnsetType = UNSET
    fee_amount: OBAmount14 | UnsetType = UNSET
    fee_rate: OBRate11 | UnsetType = UNSET
    fee_rate_type: PCAFeeRateType | UnsetType = UNSET
    application_frequency: PCAFeeChargeDetailApplicationFrequency
    calculation_frequency: PCAFeeChargeDetailApplicationFrequency | UnsetType = UNSET
    notes: list[Text2000] | UnsetType = UNSET
    other_fee_type: BCAOtherTariffType | UnsetType = UNSET
    other_fee_rate_type: BCAOtherTariffType | UnsetType = UNSET
    other_application_frequency: BCAOtherTariffType | UnsetType = UNSET
    other_calculation_frequency: BCAOtherTariffType | UnsetType = UNSET
    overdraft_fee_charge_cap: PCAOverdraftFeeChargeDetailOverdraftFeeChargeCap | UnsetType = UNSET


class PCAOverdraftFeesCharges(Open, frozen=True, kw_only=True):
    """``OverdraftFeesCharges`` of ``PCAOverdraftTierBand`` and others."""

    overdraft_fee_charge_cap: list[PCAOverdraftFeeChargeCap] | UnsetType = UNSET
    overdraft_fee_charge_detail: Annotated[list[PCAOverdraftFeeChargeDetail], msgspec.Meta(min_length=1)]


class PCAOverdraftTierBand(Open, frozen=True, kw_only=True):
    """``OverdraftTierBand`` of ``PCAOverdraftTierBandSet``."""

    identification: Text35 | UnsetType = UNSET
    tier_value_min: OBAmount14
    tier_value_max: OBAmount14 | UnsetType = UNSET
    overdraft_interest_charging_coverage: PCATierBandMethod | UnsetType = UNSET
    bank_guaranteed_indicator: bool | UnsetType = UNSET
    ear: OBRate11 | UnsetType = UNSET
    representative_apr: OBRate11 | UnsetType = UNSET
    notes: list[Text2000] | UnsetType = UNSET
    overdraft_fees_charges: list[PCAOverdraftFeesCharges] | UnsetType = UNSET


class PCAOverdraftTierBandSet(Open, frozen=True, kw_only=True):
    """``OverdraftTierBandSet`` of ``PCAOverdraft``."""

    tier_band_method: BCATierBandMethod
    overdraft_type: PCAOverdraftType | UnsetType = UNSET
    identification: Text35 | UnsetType = UNSET
    authorised_indicator: bool | UnsetType = UNSET
    buffer_amount: OBAmount14 | UnsetType = UNSET
    notes: list[Text2000] | UnsetType = UNSET
    overdraft_tier_band: Annotated[list[PCAOverdraftTierBand], msgspec.Meta(min_length=1)]
    overdraft_fees_charges: list[PCAOverdraftFeesCharges] | UnsetType = UNSET


class PCAOverdraft(Closed, frozen=True, kw_only=True):
    """``Overdraft`` of ``OBPCAData1``."""

    notes: list[Text2000] | UnsetType = UNSET
    overdraft_tier_band_set: Annotated[list[PCAOverdraftTierBandSet], msgspec.Meta(min_length=1)]


PCAFeeType = Literal["ServiceCAccountFee", "ServiceCAccountFeeMonthly", "ServiceCOther", "Other"]


class PCAFeeChargeCap(Open, frozen=True, kw_only=True):
    """``FeeChargeCap`` of ``PCAFeeChargeDetail`` and others."""

    fee_type: Annotated[list[PCAFeeType], msgspec.Meta(min_length=1)]
    min_max_type: BCAMinMaxType
    fee_cap_occurrence: float | UnsetType = UNSET
    fee_cap_amount: OBAmount14 | UnsetType = UNSET
    capping_period: PCACappingPeriod | UnsetType = UNSET
    notes: list[Text2000] | UnsetType = UNSET
    other_fee_type: list[BCAOtherFeeType] | UnsetType = UNSET


class PCAFeeChargeDetail(Open, frozen=True, kw_only=True):
    """``FeeChargeDetail`` of ``PCAOtherFeesCharges``."""

    fee_category: BCAFeeCategory
    fee_type: PCAFeeType
    fee_amount: OBAmount14 | UnsetType = UNSET
    fee_rate: OBRate11 | UnsetType = UNSET
    fee_rate_type: PCAFeeRateType | UnsetType = UNSET
    application_frequency: PCAFeeChargeDetailApplicationFrequency
    calculation_frequency: PCAFeeChargeDetailApplicationFrequency | UnsetType = UNSET
    notes: list[Text2000] | UnsetType = UNSET
    other_fee_category_type: BCAOtherTariffType | UnsetType = UNSET
    other_fee_type: BCAFeeChargeDetailOtherFeeType | UnsetType = UNSET
    other_fee_rate_type: BCAOtherTariffType | UnsetType = UNSET
    other_application_frequency: BCAOtherTariffType | UnsetType = UNSET
    other_calculation_frequency: BCAOtherTariffType | UnsetType = UNSET
    fee_charge_cap: list[PCAFeeChargeCap] | UnsetType = UNSET
    fee_applicable_range: BCAFeeApplicableRange | UnsetType = UNSET


class PCAOtherFeesCharges(Closed, frozen=True, kw_only=True):
    """``OtherFeesCharges`` of ``OBPCAData1``."""

    fee_charge_detail: Annotated[list[PCAFeeChargeDetail], msgspec.Meta(min_length=1)]
    fee_charge_cap: list[PCAFeeChargeCap] | UnsetType = UNSET


class OBPCAData1(Closed, frozen=True, kw_only=True):
    """``PCA`` of ``ProductProduct``."""

    product_details: PCAProductDetails | UnsetType = UNSET
    credit_interest: PCACreditInterest | UnsetType = UNSET
    overdraft: PCAOverdraft | UnsetType = UNSET
    other_fees_charges: PCAOtherFeesCharges | UnsetType = UNSET
