"""What the products of businesses, of persons and of other kinds share."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, UnsetType

from billfold.contract.open_banking.base import (
    Closed,
    Open,
    ecma,
)
from billfold.contract.open_banking.common import (
    OBRate11,
    Text70,
    Text350,
)

__all__ = [
    "BCACalculationMethod",
    "BCADestination",
    "BCAFeeApplicableRange",
    "BCAFeeCategory",
    "BCAFeeChargeDetailOtherFeeType",
    "BCAFeeType",
    "BCAFixedVariableInterestRateType",
    "BCAMinMaxType",
    "BCAOtherFeeType",
    "BCAOtherTariffType",
    "BCATierBandMethod",
    "CodeText",
    "OBAmount14",
    "Text2000",
]

OBAmount14 = Annotated[str, msgspec.Meta(pattern=ecma(r"^(-?\d{1,14}){1}(\.\d{1,4}){0,1}$"))]

Text2000 = Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]

BCATierBandMethod = Literal["Banded", "Tiered", "Whole"]

BCACalculationMethod = Literal["Compound", "SimpleInterest"]

BCADestination = Literal["PayAway", "SelfCredit"]

BCAFixedVariableInterestRateType = Literal["Fixed", "Variable"]

CodeText = Annotated[str, msgspec.Meta(max_length=4, pattern=ecma(r"^\w{0,4}$"))]


class BCAOtherTariffType(Closed, frozen=True, kw_only=True):
    """``OtherApplicationFrequency`` of ``BCAFeeChargeDetail`` and others."""

    code: CodeText | UnsetType = UNSET
    name: Text70
    description: Text350


BCAFeeType = Literal[
    "ArrangedOverdraft", "AnnualReview", "EmergencyBorrowing", "BorrowingItem", "OverdraftRenewal", "OverdraftSetup",
    "Surcharge", "TempOverdraft", "UnauthorisedBorrowing", "UnauthorisedPaidTrans", "Other",
    "UnauthorisedUnpaidTrans",
]  # fmt: skip

BCAMinMaxType = Literal["Minimum", "Maximum"]


class BCAOtherFeeType(Open, frozen=True, kw_only=True):
    """``OtherFeeType`` of ``BCAFeeChargeCap`` and others."""

    code: CodeText | UnsetType = UNSET
    name: Text70
    description: Text350


BCAFeeCategory = Literal["Other", "Servicing"]


class BCAFeeChargeDetailOtherFeeType(Closed, frozen=True, kw_only=True):
    """``OtherFeeType`` of ``BCAFeeChargeDetail`` and others."""

    code: CodeText | UnsetType = UNSET
    fee_category: BCAFeeCategory
    name: Text70
    description: Text350


class BCAFeeApplicableRange(Closed, frozen=True, kw_only=True):
    """``FeeApplicableRange`` of ``BCAFeeChargeDetail`` and others."""

    minimum_amount: OBAmount14 | UnsetType = UNSET
    maximum_amount: OBAmount14 | UnsetType = UNSET
    minimum_rate: OBRate11 | UnsetType = UNSET
    maximum_rate: OBRate11 | UnsetType = UNSET
