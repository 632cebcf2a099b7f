"""Account information: statements."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, UnsetType

from billfold.contract.open_banking.base import (
    Closed,
    Open,
    ecma,
)
from billfold.contract.open_banking.codes import (
    OBCreditDebitCode0,
)
from billfold.contract.open_banking.common import (
    DateTime,
    Links,
    Meta,
    OBActiveOrHistoricCurrencyAndAmount5,
    OBStatement2Amount,
    OBStatement2LocalAmount,
    Text35,
    Text40,
    Text128,
    Text500,
)

__all__ = [
    "OBInternalStatementType1Code",
    "OBReadDataStatement2",
    "OBReadStatement2",
    "OBStatement2",
    "OBStatement2StatementAmount",
    "OBStatement2StatementBenefit",
    "OBStatement2StatementDateTime",
    "OBStatement2StatementFee",
    "OBStatement2StatementRate",
    "OBStatement2StatementValue",
    "Rate",
]

OBInternalStatementType1Code = Literal["AccountClosure", "AccountOpening", "Annual", "Interim", "RegularPeriodic"]


class OBStatement2StatementBenefit(Open, frozen=True, kw_only=True):
    """``StatementBenefit`` of ``OBStatement2``."""

    type: str
    amount: OBActiveOrHistoricCurrencyAndAmount5


class OBStatement2StatementFee(Open, frozen=True, kw_only=True):
    """``StatementFee`` of ``OBStatement2`` and others."""

    description: Text128 | UnsetType = UNSET
    credit_debit_indicator: OBCreditDebitCode0
    type: str
    rate: float | UnsetType = UNSET
    rate_type: str | UnsetType = UNSET
    frequency: str | UnsetType = UNSET
    amount: OBActiveOrHistoricCurrencyAndAmount5


class OBStatement2StatementAmount(Open, frozen=True, kw_only=True):
    """``StatementAmount`` of ``OBStatement2``."""

    credit_debit_indicator: OBCreditDebitCode0
    type: str
    amount: OBStatement2Amount
    local_amount: OBStatement2LocalAmount | UnsetType = UNSET


class OBStatement2StatementDateTime(Open, frozen=True, kw_only=True):
    """``StatementDateTime`` of ``OBStatement2``."""

    date_time: DateTime
    type: str


Rate = Annotated[str, msgspec.Meta(max_length=40, pattern=ecma(r"^(-?\d{1,3}){1}(\.\d{1,4}){0,1}$"))]


class OBStatement2StatementRate(Open, frozen=True, kw_only=True):
    """``StatementRate`` of ``OBStatement2``."""

    rate: Rate
    type: str


class OBStatement2StatementValue(Open, frozen=True, kw_only=True):
    """``StatementValue`` of ``OBStatement2``."""

    value: Text40
    type: str


class OBStatement2(Closed, frozen=True, kw_only=True):
    """``Statement`` of ``OBReadDataStatement2``."""

    account_id: Text40
    statement_id: Text40 | UnsetType = UNSET
    statement_reference: Text35 | UnsetType = UNSET
    type: OBInternalStatementType1Code
    start_date_time: DateTime
    end_date_time: DateTime
    creation_date_time: DateTime
    statement_description: list[Text500] | UnsetType = UNSET
    statement_benefit: list[OBStatement2StatementBenefit] | UnsetType = UNSET
    statement_fee: list[OBStatement2StatementFee] | UnsetType = UNSET
    statement_interest: list[OBStatement2StatementFee] | UnsetType = UNSET
    statement_amount: list[OBStatement2StatementAmount] | UnsetType = UNSET
    statement_date_time: list[OBStatement2StatementDateTime] | UnsetType = UNSET
    statement_rate: list[OBStatement2StatementRate] | UnsetType = UNSET
    statement_value: list[OBStatement2StatementValue] | UnsetType = UNSET
    total_value: OBActiveOrHistoricCurrencyAndAmount5 | UnsetType = UNSET


class OBReadDataStatement2(Closed, frozen=True, kw_only=True):
    """``Data`` of ``OBReadStatement2``."""

    statement: list[OBStatement2] | UnsetType = UNSET


class OBReadStatement2(Closed, frozen=True, kw_only=True):
    """What is answered to ``GET /accounts/{AccountId}/statements`` and others."""

    data: OBReadDataStatement2
    links: Links | UnsetType = UNSET
    meta: Meta | UnsetType = UNSET
