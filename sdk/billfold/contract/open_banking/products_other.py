"""What is told of a product that is no current account."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from billfold.contract.open_banking.base import (
    Closed,
    Open,
    ecma,
)
from billfold.contract.open_banking.common import (
    OBRate11,
    Text35,
    Text70,
    Text350,
)
from billfold.contract.open_banking.products_shared import (
    OBAmount14,
    Text2000,
)

__all__ = [
    "OBCodeMnemonic",
    "OBFeeCategory1Code",
    "OBFeeFrequency1Code2",
    "OBFeeType1Code",
    "OBInterestCalculationMethod1Code",
    "OBInterestFixedVariableType1Code",
    "OBInterestRateType1Code1",
    "OBMinMaxType1Code",
    "OBOtherCodeType10",
    "OBOtherFeeChargeDetailType",
    "OBOverdraftFeeType1Code",
    "OBPeriod1Code",
    "ProductAmountType",
    "ProductApplicationFrequency",
    "ProductCreditInterest",
    "ProductDestination",
    "ProductFeeApplicableRange",
    "ProductFeeChargeCap",
    "ProductFeeChargeDetail",
    "ProductLoanInterest",
    "ProductLoanInterestFeeChargeCap",
    "ProductLoanInterestFeesCharges",
    "ProductLoanInterestTierBand",
    "ProductLoanInterestTierBandSet",
    "ProductOtherFeesCharges",
    "ProductOtherProductType",
    "ProductOtherTariffType",
    "ProductOverdraft",
    "ProductOverdraftFeeChargeCap",
    "ProductOverdraftFeeChargeDetail",
    "ProductOverdraftFeesCharges",
    "ProductOverdraftTierBand",
    "ProductOverdraftTierBandSet",
    "ProductOverdraftType",
    "ProductProductDetails",
    "ProductRepayment",
    "ProductRepaymentFeeChargeDetail",
    "ProductRepaymentFeeCharges",
    "ProductRepaymentFrequency",
    "ProductRepaymentHoliday",
    "ProductRepaymentType",
    "ProductSegment",
    "ProductTariffType",
    "ProductTierBand",
    "ProductTierBandMethod",
    "ProductTierBandSet",
]

ProductSegment = Literal[
    "GEAS", "GEBA", "GEBR", "GEBU", "GECI", "GECS", "GEFB", "GEFG", "GEG", "GEGR", "GEGS", "GEOT", "GEOV", "GEPA",
    "GEPR", "GERE", "GEST", "GEYA", "GEYO", "PSCA", "PSES", "PSNC", "PSNP", "PSRG", "PSSS", "PSST", "PSSW",
]  # fmt: skip

OBPeriod1Code = Literal["PACT", "PDAY", "PHYR", "PMTH", "PQTR", "PWEK", "PYER"]

OBCodeMnemonic = Annotated[str, msgspec.Meta(pattern=ecma(r"^\\w{0,4}$"))]


class OBOtherCodeType10(Closed, frozen=True, kw_only=True):
    """``OtherApplicationFrequency`` of ``ProductFeeChargeDetail`` and others."""

    code: OBCodeMnemonic | UnsetType = UNSET
    name: Text70
    description: Text350


class ProductProductDetails(Open, frozen=True, kw_only=True):
    """``ProductDetails`` of ``ProductOtherProductType``."""

    segment: list[ProductSegment] | UnsetType = UNSET
    fee_free_length: int | UnsetType = UNSET
    fee_free_length_period: OBPeriod1Code | UnsetType = UNSET
    monthly_maximum_charge: OBAmount14 | UnsetType = UNSET
    notes: list[Text2000] | UnsetType = UNSET
    other_segment: OBOtherCodeType10 | UnsetType = UNSET


ProductTierBandMethod = Literal["INBA", "INTI", "INWH"]

OBInterestCalculationMethod1Code = Literal["ITCO", "ITOT", "ITSI"]

ProductDestination = Literal["INOT", "INPA", "INSC"]

ProductApplicationFrequency = Literal["FQAT", "FQDY", "FQHY", "FQMY", "FQOT", "FQQY", "FQSD", "FQWY", "FQYY"]

OBInterestFixedVariableType1Code = Literal["INFI", "INVA"]

OBInterestRateType1Code1 = Literal["INBB", "INFR", "INGR", "INLR", "INNE", "INOT"]


class ProductOtherTariffType(Open, frozen=True, kw_only=True):
    """``OtherAmountType`` of ``ProductFeeChargeCap`` and others."""

    code: OBCodeMnemonic | UnsetType = UNSET
    name: Text70
    description: Text350


class ProductTierBand(Open, frozen=True, kw_only=True):
    """``TierBand`` of ``ProductTierBandSet``."""

    identification: Text35 | UnsetType = UNSET
    tier_value_minimum: OBAmount14
    tier_value_maximum: OBAmount14 | UnsetType = UNSET
    calculation_frequency: ProductApplicationFrequency | UnsetType = UNSET
    application_frequency: ProductApplicationFrequency
    deposit_interest_applied_coverage: ProductTierBandMethod | UnsetType = UNSET
    fixed_variable_interest_rate_type: OBInterestFixedVariableType1Code
    aer: OBRate11
    bank_interest_rate_type: OBInterestRateType1Code1 | UnsetType = UNSET
    bank_interest_rate: OBRate11 | UnsetType = UNSET
    notes: list[Text2000] | UnsetType = UNSET
    other_bank_interest_type: ProductOtherTariffType | UnsetType = UNSET
    other_application_frequency: OBOtherCodeType10 | UnsetType = UNSET
    other_calculation_frequency: OBOtherCodeType10 | UnsetType = UNSET


class ProductTierBandSet(Open, frozen=True, kw_only=True):
    """``TierBandSet`` of ``ProductCreditInterest``."""

    tier_band_method: ProductTierBandMethod
    calculation_method: OBInterestCalculationMethod1Code | UnsetType = UNSET
    destination: ProductDestination
    notes: list[Text2000] | UnsetType = UNSET
    other_calculation_method: OBOtherCodeType10 | UnsetType = UNSET
    other_destination: OBOtherCodeType10 | UnsetType = UNSET
    tier_band: Annotated[list[ProductTierBand], msgspec.Meta(min_length=1)]


class ProductCreditInterest(Open, frozen=True, kw_only=True):
    """``CreditInterest`` of ``ProductOtherProductType``."""

    tier_band_set: Annotated[list[ProductTierBandSet], msgspec.Meta(min_length=1)]


ProductOverdraftType = Literal["OVCO", "OVOD", "OVOT"]

OBOverdraftFeeType1Code = Literal[
    "FBAO", "FBAR", "FBEB", "FBIT", "FBOR", "FBOS", "FBSC", "FBTO", "FBUB", "FBUT", "FTOT", "FTUT",
]  # fmt: skip

OBMinMaxType1Code = Literal["FMMN", "FMMX"]


class ProductOverdraftFeeChargeCap(Open, frozen=True, kw_only=True):
    """``OverdraftFeeChargeCap`` of ``ProductOverdraftFeeChargeDetail`` and others."""

    fee_type: Annotated[list[OBOverdraftFeeType1Code], msgspec.Meta(min_length=1)]
    min_max_type: OBMinMaxType1Code
    fee_cap_occurrence: int | UnsetType = UNSET
    fee_cap_amount: OBAmount14 | UnsetType = UNSET
    capping_period: OBPeriod1Code | UnsetType = UNSET
    notes: list[Text2000] | UnsetType = UNSET
    other_fee_type: list[ProductOtherTariffType] | UnsetType = UNSET


OBFeeFrequency1Code2 = Literal[
    "FEAC", "FEAO", "FECP", "FEDA", "FEHO", "FEI", "FEMO", "FEOA", "FEOT", "FEPC", "FEPH", "FEPO", "FEPS", "FEPT",
    "FEPTA", "FEPTP", "FEQU", "FESM", "FEST", "FEWE", "FEYE",
]  # fmt: skip


class ProductOverdraftFeeChargeDetail(Open, frozen=True, kw_only=True):
    """``OverdraftFeeChargeDetail`` of ``ProductOverdraftFeesCharges``."""

    fee_type: OBOverdraftFeeType1Code
    negotiable_indicator: bool | UnsetType = UNSET
    overdraft_control_indicator: bool | UnsetType = UNSET
    incremental_borrowing_amount: OBAmount14 | UnsetType = UNSET
    fee_amount: OBAmount14 | UnsetType = UNSET
    fee_rate: OBRate11 | UnsetType = UNSET
    fee_rate_type: OBInterestRateType1Code1 | UnsetType = UNSET
    application_frequency: OBFeeFrequency1Code2
    calculation_frequency: OBFeeFrequency1Code2 | UnsetType = UNSET
    notes: list[Text2000] | UnsetType = UNSET
    overdraft_fee_charge_cap: list[ProductOverdraftFeeChargeCap] | UnsetType = UNSET
    other_fee_type: OBOtherCodeType10 | UnsetType = UNSET
    other_fee_rate_type: OBOtherCodeType10 | UnsetType = UNSET
    other_application_frequency: OBOtherCodeType10 | UnsetType = UNSET
    other_calculation_frequency: OBOtherCodeType10 | UnsetType = UNSET


class ProductOverdraftFeesCharges(Open, frozen=True, kw_only=True):
    """``OverdraftFeesCharges`` of ``ProductOverdraftTierBand`` and others."""

    overdraft_fee_charge_cap: list[ProductOverdraftFeeChargeCap] | UnsetType = UNSET
    overdraft_fee_charge_detail: Annotated[list[ProductOverdraftFeeChargeDetail], msgspec.Meta(min_length=1)]


class ProductOverdraftTierBand(Open, frozen=True, kw_only=True):
    """``OverdraftTierBand`` of ``ProductOverdraftTierBandSet``."""

    identification: Text35 | UnsetType = UNSET
    tier_value_min: OBAmount14
    tier_value_max: OBAmount14 | UnsetType = UNSET
    ear: OBRate11 | UnsetType = UNSET
    agreement_length_min: int | UnsetType = UNSET
    agreement_length_max: int | UnsetType = UNSET
    agreement_period: OBPeriod1Code | UnsetType = UNSET
    overdraft_interest_charging_coverage: ProductTierBandMethod | UnsetType = UNSET
    bank_guaranteed_indicator: bool | UnsetType = UNSET
    notes: list[Text2000] | UnsetType = UNSET
    overdraft_fees_charges: list[ProductOverdraftFeesCharges] | UnsetType = UNSET


class ProductOverdraftTierBandSet(Open, frozen=True, kw_only=True):
    """``OverdraftTierBandSet`` of ``ProductOverdraft``."""

    tier_band_method: ProductTierBandMethod
    overdraft_type: ProductOverdraftType | UnsetType = UNSET
    identification: Text35 | UnsetType = UNSET
    authorised_indicator: bool | UnsetType = UNSET
    buffer_amount: OBAmount14 | UnsetType = UNSET
    notes: list[Text2000] | UnsetType = UNSET
    overdraft_tier_band: Annotated[list[ProductOverdraftTierBand], msgspec.Meta(min_length=1)]
    overdraft_fees_charges: list[ProductOverdraftFeesCharges] | UnsetType = UNSET


class ProductOverdraft(Open, frozen=True, kw_only=True):
    """``Overdraft`` of ``ProductOtherProductType``."""

    notes: list[Text2000] | UnsetType = UNSET
    overdraft_tier_band_set: Annotated[list[ProductOverdraftTierBandSet], msgspec.Meta(min_length=1)]


OBFeeType1Code = Literal["FEPF", "FTOT", "FYAF", "FYAM", "FYAQ", "FYCP", "FYDB", "FYMI", "FYXX"]

OBFeeCategory1Code = Literal["FCOT", "FCRE", "FCSV"]


class OBOtherFeeChargeDetailType(Closed, frozen=True, kw_only=True):
    """``OtherFeeType`` of ``ProductFeeChargeDetail`` and others."""

    code: OBCodeMnemonic | UnsetType = UNSET
    fee_category: OBFeeCategory1Code
    name: Text70
    description: Text350


class ProductRepaymentFeeChargeDetail(Open, frozen=True, kw_only=True):
    """``LoanInterestFeeChargeDetail`` of ``ProductLoanInterestFeesCharges`` and others."""

    fee_type: OBFeeType1Code
    negotiable_indicator: bool | UnsetType = UNSET
    fee_amount: OBAmount14 | UnsetType = UNSET
    fee_rate: OBRate11 | UnsetType = UNSET
    fee_rate_type: OBInterestRateType1Code1 | UnsetType = UNSET
    application_frequency: OBFeeFrequency1Code2
    calculation_frequency: OBFeeFrequency1Code2
    notes: list[Text2000] | UnsetType = UNSET
    other_fee_type: OBOtherFeeChargeDetailType | UnsetType = UNSET
    other_fee_rate_type: OBOtherCodeType10 | UnsetType = UNSET
    other_application_frequency: OBOtherCodeType10 | UnsetType = UNSET
    other_calculation_frequency: OBOtherCodeType10 | UnsetType = UNSET


class ProductLoanInterestFeeChargeCap(Open, frozen=True, kw_only=True):
    """``LoanInterestFeeChargeCap`` of ``ProductLoanInterestFeesCharges``."""

    fee_type: Annotated[list[OBFeeType1Code], msgspec.Meta(min_length=1)]
    min_max_type: OBMinMaxType1Code
    fee_cap_occurrence: int | UnsetType = UNSET
    fee_cap_amount: OBAmount14 | UnsetType = UNSET
    capping_period: OBFeeFrequency1Code2 | UnsetType = UNSET
    notes: list[Text2000] | UnsetType = UNSET
    other_fee_type: list[ProductOtherTariffType] | UnsetType = UNSET


class ProductLoanInterestFeesCharges(Open, frozen=True, kw_only=True):
    """``LoanInterestFeesCharges`` of ``ProductLoanInterestTierBand`` and others."""

    loan_interest_fee_charge_detail: Annotated[list[ProductRepaymentFeeChargeDetail], msgspec.Meta(min_length=1)]
    loan_interest_fee_charge_cap: list[ProductLoanInterestFeeChargeCap] | UnsetType = UNSET


class ProductLoanInterestTierBand(Open, frozen=True, kw_only=True):
    """``LoanInterestTierBand`` of ``ProductLoanInterestTierBandSet``."""

    identification: Text35 | UnsetType = UNSET
    tier_value_minimum: OBAmount14
    tier_value_maximum: OBAmount14 | UnsetType = UNSET
    tier_value_min_term: int
    min_term_period: OBPeriod1Code
    tier_value_max_term: int | UnsetType = UNSET
    max_term_period: OBPeriod1Code | UnsetType = UNSET
    fixed_variable_interest_rate_type: OBInterestFixedVariableType1Code
    rep_apr: OBRate11
    loan_provider_interest_rate_type: OBInterestRateType1Code1 | UnsetType = UNSET
    loan_provider_interest_rate: OBRate11 | UnsetType = UNSET
    notes: list[Text2000] | UnsetType = UNSET
    other_loan_provider_interest_rate_type: ProductOtherTariffType | UnsetType = UNSET
    loan_interest_fees_charges: list[ProductLoanInterestFeesCharges] | UnsetType = UNSET


class ProductLoanInterestTierBandSet(Open, frozen=True, kw_only=True):
    """``LoanInterestTierBandSet`` of ``ProductLoanInterest``."""

    tier_band_method: ProductTierBandMethod
    identification: Text35 | UnsetType = UNSET
    calculation_method: OBInterestCalculationMethod1Code
    notes: list[Text2000] | UnsetType = UNSET
    other_calculation_method: OBOtherCodeType10 | UnsetType = UNSET
    loan_interest_tier_band: Annotated[list[ProductLoanInterestTierBand], msgspec.Meta(min_length=1)]
    loan_interest_fees_charges: list[ProductLoanInterestFeesCharges] | UnsetType = UNSET


class ProductLoanInterest(Open, frozen=True, kw_only=True):
    """``LoanInterest`` of ``ProductOtherProductType``."""

    notes: list[Text2000] | UnsetType = UNSET
    loan_interest_tier_band_set: Annotated[list[ProductLoanInterestTierBandSet], msgspec.Meta(min_length=1)]


ProductRepaymentType = Literal[
    "USBA", "USBU", "USCI", "USCS", "USER", "USFA", "USFB", "USFI", "USIO", "USOT", "USPF", "USRW", "USSL",
]  # fmt: skip

ProductRepaymentFrequency = Literal["SMDA", "SMFL", "SMFO", "SMHY", "SMMO", "SMOT", "SMQU", "SMWE", "SMYE"]

ProductAmountType = Literal["RABD", "RABL", "RACI", "RAFC", "RAIO", "RALT", "USOT"]


class ProductFeeChargeCap(Open, frozen=True, kw_only=True):
    """``FeeChargeCap`` of ``ProductFeeChargeDetail`` and others."""

    fee_type: Annotated[list[OBFeeType1Code], msgspec.Meta(min_length=1)]
    min_max_type: OBMinMaxType1Code
    fee_cap_occurrence: int | UnsetType = UNSET
    fee_cap_amount: OBAmount14 | UnsetType = UNSET
    capping_period: OBPeriod1Code | UnsetType = UNSET
    notes: list[Text2000] | UnsetType = UNSET
    other_fee_type: list[ProductOtherTariffType] | UnsetType = UNSET


class ProductRepaymentFeeCharges(Open, frozen=True, kw_only=True):
    """``RepaymentFeeCharges`` of ``ProductRepayment``."""

    repayment_fee_charge_detail: Annotated[list[ProductRepaymentFeeChargeDetail], msgspec.Meta(min_length=1)]
    repayment_fee_charge_cap: list[ProductFeeChargeCap] | UnsetType = UNSET


class ProductRepaymentHoliday(Open, frozen=True, kw_only=True):
    """``RepaymentHoliday`` of ``ProductRepayment``."""

    max_holiday_length: int | UnsetType = UNSET
    max_holiday_period: OBPeriod1Code | UnsetType = UNSET
    notes: list[Text2000] | UnsetType = UNSET


class ProductRepayment(Open, frozen=True, kw_only=True):
    """``Repayment`` of ``ProductOtherProductType``."""

    repayment_type: ProductRepaymentType | UnsetType = UNSET
    repayment_frequency: ProductRepaymentFrequency | UnsetType = UNSET
    amount_type: ProductAmountType | UnsetType = UNSET
    notes: list[Text2000] | UnsetType = UNSET
    other_repayment_type: ProductOtherTariffType | UnsetType = UNSET
    other_repayment_frequency: ProductOtherTariffType | UnsetType = UNSET
    other_amount_type: ProductOtherTariffType | UnsetType = UNSET
    repayment_fee_charges: ProductRepaymentFeeCharges | UnsetType = UNSET
    repayment_holiday: list[ProductRepaymentHoliday] | UnsetType = UNSET


ProductTariffType = Literal["TTEL", "TTMX", "TTOT"]


class ProductFeeApplicableRange(Open, frozen=True, kw_only=True):
    """``FeeApplicableRange`` of ``ProductFeeChargeDetail``."""

    minimum_amount: OBAmount14 | UnsetType = UNSET
    maximum_amount: OBAmount14 | UnsetType = UNSET
    minimum_rate: OBRate11 | UnsetType = UNSET
    maximum_rate: OBRate11 | UnsetType = UNSET


class ProductFeeChargeDetail(Open, frozen=True, kw_only=True):
    """``FeeChargeDetail`` of ``ProductOtherFeesCharges``."""

    fee_category: OBFeeCategory1Code
    fee_type: OBFeeType1Code
    negotiable_indicator: bool | UnsetType = UNSET
    fee_amount: OBAmount14 | UnsetType = UNSET
    fee_rate: OBRate11 | UnsetType = UNSET
    fee_rate_type: OBInterestRateType1Code1 | UnsetType = UNSET
    application_frequency: OBFeeFrequency1Code2
    calculation_frequency: OBFeeFrequency1Code2 | UnsetType = UNSET
    notes: list[Text2000] | UnsetType = UNSET
    fee_charge_cap: list[ProductFeeChargeCap] | UnsetType = UNSET
    other_fee_category_type: OBOtherCodeType10 | UnsetType = UNSET
    other_fee_type: OBOtherFeeChargeDetailType | UnsetType = UNSET
    other_fee_rate_type: OBOtherCodeType10 | UnsetType = UNSET
    other_application_frequency: OBOtherCodeType10 | UnsetType = UNSET
    other_calculation_frequency: OBOtherCodeType10 | UnsetType = UNSET
    fee_applicable_range: ProductFeeApplicableRange | UnsetType = UNSET


class ProductOtherFeesCharges(Open, frozen=True, kw_only=True):
    """``OtherFeesCharges`` of ``ProductOtherProductType``."""

    tariff_type: ProductTariffType | UnsetType = UNSET
    tariff_name: Text350 | UnsetType = UNSET
    other_tariff_type: ProductOtherTariffType | UnsetType = UNSET
    fee_charge_detail: Annotated[list[ProductFeeChargeDetail], msgspec.Meta(min_length=1)]
    fee_charge_cap: list[ProductFeeChargeCap] | UnsetType = UNSET


class ProductOtherProductType(Open, frozen=True, kw_only=True):
    """``OtherProductType`` of ``ProductProduct``."""

    name: Text350
    description: Text350
    product_details: ProductProductDetails | UnsetType = UNSET
    credit_interest: ProductCreditInterest | UnsetType = UNSET
    overdraft: ProductOverdraft | UnsetType = UNSET
    loan_interest: ProductLoanInterest | UnsetType = UNSET
    repayment: ProductRepayment | UnsetType = UNSET
    other_fees_charges: list[ProductOtherFeesCharges] | UnsetType = UNSET
    supplementary_data: dict[str, Any] | UnsetType = UNSET
