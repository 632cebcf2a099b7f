"""Account information: consents, accounts, balances, and the parties of accounts."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, UnsetType

from billfold.contract.open_banking.base import (
    Closed,
    Open,
    ecma,
)
from billfold.contract.open_banking.codes import (
    ConsentStatus,
    OBBalanceType1Code,
    OBCreditDebitCode0,
)
from billfold.contract.open_banking.common import (
    LEI,
    ActiveOrHistoricCurrencyCode1,
    DateTime,
    Links,
    Meta,
    OBActiveOrHistoricCurrencyAndAmount5,
    OBPostalAddress7,
    OBStatement2Amount,
    OBStatement2LocalAmount,
    OBStatusReason,
    Text34,
    Text35,
    Text40,
    Text70,
    Text128,
    Text140,
    Text256,
    Text350,
    Uri,
)

__all__ = [
    "OBAccount6",
    "OBAccount6Account",
    "OBBranchAndFinancialInstitutionIdentification50",
    "OBCommunicationMethod",
    "OBExternalAccountSubType1Code",
    "OBFileFormat",
    "OBFrequency2",
    "OBInternalAccountStatus1Code",
    "OBInternalAccountType1Code",
    "OBInternalPartyType1Code",
    "OBParty2",
    "OBPartyRelationships1",
    "OBPartyRelationships1Account",
    "OBReadAccount6",
    "OBReadAccount6Data",
    "OBReadBalance1",
    "OBReadBalance1Balance",
    "OBReadBalance1CreditLine",
    "OBReadBalance1Data",
    "OBReadBalance1Type",
    "OBReadConsent1",
    "OBReadConsent1Data",
    "OBReadConsent1Permissions",
    "OBReadConsentResponse1",
    "OBReadConsentResponse1Data",
    "OBReadParty2",
    "OBReadParty2Data",
    "OBReadParty3",
    "OBReadParty3Data",
    "OBRisk2",
    "PhoneNumber0",
    "StatementFrequencyAndFormatEntry",
]

OBReadConsent1Permissions = Literal[
    "ReadAccountsBasic", "ReadAccountsDetail", "ReadBalances", "ReadBeneficiariesBasic", "ReadBeneficiariesDetail",
    "ReadDirectDebits", "ReadOffers", "ReadPAN", "ReadParty", "ReadPartyPSU", "ReadProducts",
    "ReadScheduledPaymentsBasic", "ReadScheduledPaymentsDetail", "ReadStandingOrdersBasic",
    "ReadStandingOrdersDetail", "ReadStatementsBasic", "ReadStatementsDetail", "ReadTransactionsBasic",
    "ReadTransactionsCredits", "ReadTransactionsDebits", "ReadTransactionsDetail",
]  # fmt: skip


class OBReadConsent1Data(Open, frozen=True, kw_only=True):
    """``Data`` of ``OBReadConsent1``."""

    permissions: Annotated[list[OBReadConsent1Permissions], msgspec.Meta(min_length=1)]
    expiration_date_time: DateTime | UnsetType = UNSET
    transaction_from_date_time: DateTime | UnsetType = UNSET
    transaction_to_date_time: DateTime | UnsetType = UNSET


class OBRisk2(Closed, frozen=True, kw_only=True):
    """``Risk`` of ``OBReadConsent1`` and others."""


class OBReadConsent1(Open, frozen=True, kw_only=True):
    """What is sent by ``POST /account-access-consents``."""

    data: OBReadConsent1Data
    risk: OBRisk2


class OBReadConsentResponse1Data(Open, frozen=True, kw_only=True):
    """``Data`` of ``OBReadConsentResponse1``."""

    consent_id: Text128
    creation_date_time: DateTime
    status: ConsentStatus
    status_reason: list[OBStatusReason] | UnsetType = UNSET
    status_update_date_time: DateTime
    permissions: Annotated[list[OBReadConsent1Permissions], msgspec.Meta(min_length=1)]
    expiration_date_time: DateTime | UnsetType = UNSET
    transaction_from_date_time: DateTime | UnsetType = UNSET
    transaction_to_date_time: DateTime | UnsetType = UNSET


class OBReadConsentResponse1(Closed, frozen=True, kw_only=True):
    """What is answered to ``GET /account-access-consents/{ConsentId}`` and others."""

    data: OBReadConsentResponse1Data
    risk: OBRisk2
    links: Links | UnsetType = UNSET
    meta: Meta | UnsetType = UNSET


OBInternalAccountStatus1Code = Literal["Deleted", "Disabled", "Enabled", "Pending", "ProForma"]

OBInternalAccountType1Code = Literal["Business", "Personal"]

OBExternalAccountSubType1Code = Literal[
    "CACC", "CARD", "CASH", "CHAR", "CISH", "COMM", "CPAC", "LLSV", "LOAN", "MGLD", "MOMA", "NREX", "ODFT", "ONDP",
    "OTHR", "SACC", "SLRY", "SVGS", "TAXE", "TRAN", "TRAS", "VACC", "NFCA", "MORT", "WALT",
]  # fmt: skip


class OBAccount6Account(Open, frozen=True, kw_only=True):
    """``Account`` of ``OBAccount6``."""

    scheme_name: str
    identification: Text256
    name: Text350 | UnsetType = UNSET
    lei: LEI | UnsetType = UNSET
    secondary_identification: Text34 | UnsetType = UNSET


OBFrequency2 = Literal["YEAR", "DAIL", "INDA", "MNTH", "QURT", "MIAN", "TEND", "MOVE", "WEEK"]

OBCommunicationMethod = Literal["EMAL", "FAXI", "FILE", "ONLI", "POST"]

OBFileFormat = Literal["DPDF", "DXML", "SDSH", "WORD", "XSLT"]


class StatementFrequencyAndFormatEntry(Open, frozen=True, kw_only=True):
    """``StatementFrequencyAndFormat`` of ``OBAccount6``."""

    frequency: OBFrequency2 | UnsetType = UNSET
    communication_method: OBCommunicationMethod | UnsetType = UNSET
    format: OBFileFormat | UnsetType = UNSET
    delivery_address: OBPostalAddress7 | UnsetType = UNSET


class OBBranchAndFinancialInstitutionIdentification50(Open, frozen=True, kw_only=True):
    """``Servicer`` of ``OBAccount6``."""

    scheme_name: str
    identification: Text35
    name: Text140 | UnsetType = UNSET


class OBAccount6(Closed, frozen=True, kw_only=True):
    """``Account`` of ``OBReadAccount6Data``."""

    account_id: Text40
    status: OBInternalAccountStatus1Code | UnsetType = UNSET
    status_update_date_time: DateTime | UnsetType = UNSET
    currency: ActiveOrHistoricCurrencyCode1 | UnsetType = UNSET
    account_category: OBInternalAccountType1Code | UnsetType = UNSET
    account_type_code: OBExternalAccountSubType1Code | UnsetType = UNSET
    description: Text35 | UnsetType = UNSET
    nickname: Text70 | UnsetType = UNSET
    opening_date: DateTime | UnsetType = UNSET
    maturity_date: DateTime | UnsetType = UNSET
    switch_status: str | UnsetType = UNSET
    account: list[OBAccount6Account] | UnsetType = UNSET
    statement_frequency_and_format: list[StatementFrequencyAndFormatEntry] | UnsetType = UNSET
    servicer: OBBranchAndFinancialInstitutionIdentification50 | UnsetType = UNSET


class OBReadAccount6Data(Open, frozen=True, kw_only=True):
    """``Data`` of ``OBReadAccount6``."""

    account: list[OBAccount6] | UnsetType = UNSET


class OBReadAccount6(Closed, frozen=True, kw_only=True):
    """What is answered to ``GET /accounts`` and others."""

    data: OBReadAccount6Data
    links: Links | UnsetType = UNSET
    meta: Meta | UnsetType = UNSET


OBReadBalance1Type = Literal["Available", "Credit", "Emergency", "Pre-Agreed", "Temporary"]


class OBReadBalance1CreditLine(Open, frozen=True, kw_only=True):
    """``CreditLine`` of ``OBReadBalance1Balance``."""

    included: bool
    type: OBReadBalance1Type | UnsetType = UNSET
    amount: OBActiveOrHistoricCurrencyAndAmount5 | UnsetType = UNSET


class OBReadBalance1Balance(Open, frozen=True, kw_only=True):
    """``Balance`` of ``OBReadBalance1Data``."""

    account_id: Text40
    credit_debit_indicator: OBCreditDebitCode0
    type: OBBalanceType1Code
    date_time: DateTime
    amount: OBStatement2Amount
    credit_line: list[OBReadBalance1CreditLine] | UnsetType = UNSET
    local_amount: OBStatement2LocalAmount | UnsetType = UNSET


class OBReadBalance1Data(Open, frozen=True, kw_only=True):
    """``Data`` of ``OBReadBalance1``."""

    balance: Annotated[list[OBReadBalance1Balance], msgspec.Meta(min_length=1)]
    total_value: OBActiveOrHistoricCurrencyAndAmount5 | UnsetType = UNSET


class OBReadBalance1(Closed, frozen=True, kw_only=True):
    """What is answered to ``GET /accounts/{AccountId}/balances`` and others."""

    data: OBReadBalance1Data
    links: Links | UnsetType = UNSET
    meta: Meta | UnsetType = UNSET


OBInternalPartyType1Code = Literal["Delegate", "Joint", "Sole"]

PhoneNumber0 = Annotated[str, msgspec.Meta(pattern=ecma(r"\+[0-9]{1,3}-[0-9()+\-]{1,30}"))]


class OBPartyRelationships1Account(Open, frozen=True, kw_only=True):
    """``Account`` of ``OBPartyRelationships1``."""

    related: Uri
    id: Text40


class OBPartyRelationships1(Open, frozen=True, kw_only=True):
    """``Relationships`` of ``OBParty2``."""

    account: OBPartyRelationships1Account | UnsetType = UNSET


class OBParty2(Closed, frozen=True, kw_only=True):
    """``Party`` of ``OBReadParty2Data`` and others."""

    party_id: Text40
    party_number: Text35 | UnsetType = UNSET
    party_type: OBInternalPartyType1Code | UnsetType = UNSET
    name: Text350 | UnsetType = UNSET
    full_legal_name: Text350 | UnsetType = UNSET
    legal_structure: str | UnsetType = UNSET
    lei: LEI | UnsetType = UNSET
    beneficial_ownership: bool | UnsetType = UNSET
    account_role: str | UnsetType = UNSET
    email_address: Text256 | UnsetType = UNSET
    phone: PhoneNumber0 | UnsetType = UNSET
    mobile: PhoneNumber0 | UnsetType = UNSET
    relationships: OBPartyRelationships1 | UnsetType = UNSET
    address: list[OBPostalAddress7] | UnsetType = UNSET


class OBReadParty3Data(Open, frozen=True, kw_only=True):
    """``Data`` of ``OBReadParty3``."""

    party: list[OBParty2] | UnsetType = UNSET


class OBReadParty3(Closed, frozen=True, kw_only=True):
    """What is answered to ``GET /accounts/{AccountId}/parties``."""

    data: OBReadParty3Data
    links: Links | UnsetType = UNSET
    meta: Meta | UnsetType = UNSET


class OBReadParty2Data(Open, frozen=True, kw_only=True):
    """``Data`` of ``OBReadParty2``."""

    party: OBParty2 | UnsetType = UNSET


class OBReadParty2(Closed, frozen=True, kw_only=True):
    """What is answered to ``GET /accounts/{AccountId}/party`` and others."""

    data: OBReadParty2Data
    links: Links | UnsetType = UNSET
    meta: Meta | UnsetType = UNSET
