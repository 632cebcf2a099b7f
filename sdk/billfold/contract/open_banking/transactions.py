"""Account information: transactions."""

from typing import Any, Literal

from msgspec import UNSET, UnsetType

from billfold.contract.open_banking.base import (
    Closed,
    Open,
)
from billfold.contract.open_banking.codes import (
    ExternalCategoryPurpose1Code,
    OBBalanceType1Code,
    OBCreditDebitCode0,
    OBExternalPurpose1Code,
)
from billfold.contract.open_banking.common import (
    LEI,
    ActiveOrHistoricCurrencyCode1,
    DateTime,
    Links,
    Meta,
    OBActiveOrHistoricCurrencyAndAmount5,
    OBBranchAndFinancialInstitutionIdentification61,
    OBPostalAddress7,
    OBProxy1,
    Text3To4,
    Text34,
    Text35,
    Text40,
    Text70,
    Text140,
    Text210,
    Text256,
    Text350,
    Text500,
)

__all__ = [
    "ExternalEntryStatus1Code",
    "OBBankTransactionCodeStructure1",
    "OBCashAccount60",
    "OBCurrencyExchange5",
    "OBExtendedProprietaryBankTransactionCode",
    "OBInternalTransactionMutability1Code",
    "OBMerchantDetails1",
    "OBReadDataTransaction6",
    "OBReadTransaction6",
    "OBTransaction6",
    "OBTransactionCardInstrument1",
    "OBTransactionCardInstrument1AuthorisationType",
    "OBTransactionCardInstrument1CardSchemeName",
    "OBTransactionCashBalance",
    "OBUltimateCreditor1",
    "ProprietaryBankTransactionCodeStructure1",
]

ExternalEntryStatus1Code = Literal["BOOK", "FUTR", "INFO", "PDNG", "RJCT"]

OBInternalTransactionMutability1Code = Literal["Mutable", "Immutable"]


class OBCurrencyExchange5(Open, frozen=True, kw_only=True):
    """``CurrencyExchange`` of ``OBTransaction6``."""

    source_currency: ActiveOrHistoricCurrencyCode1
    target_currency: ActiveOrHistoricCurrencyCode1 | UnsetType = UNSET
    unit_currency: ActiveOrHistoricCurrencyCode1 | UnsetType = UNSET
    exchange_rate: float
    contract_identification: Text35 | UnsetType = UNSET
    quotation_date: DateTime | UnsetType = UNSET
    instructed_amount: OBActiveOrHistoricCurrencyAndAmount5 | UnsetType = UNSET


class OBBankTransactionCodeStructure1(Open, frozen=True, kw_only=True):
    """``BankTransactionCode`` of ``OBTransaction6``."""

    code: str
    sub_code: str


class ProprietaryBankTransactionCodeStructure1(Closed, frozen=True, kw_only=True):
    """``ProprietaryBankTransactionCode`` of ``OBTransaction6``."""

    code: Text35
    issuer: Text35 | UnsetType = UNSET


class OBExtendedProprietaryBankTransactionCode(Open, frozen=True, kw_only=True):
    """``ExtendedProprietaryBankTransactionCodes`` of ``OBTransaction6``."""

    code: Text35
    issuer: Text35 | UnsetType = UNSET
    description: Text500 | UnsetType = UNSET


class OBTransactionCashBalance(Closed, frozen=True, kw_only=True):
    """``Balance`` of ``OBTransaction6``."""

    credit_debit_indicator: OBCreditDebitCode0
    type: OBBalanceType1Code
    amount: OBActiveOrHistoricCurrencyAndAmount5


class OBMerchantDetails1(Open, frozen=True, kw_only=True):
    """``MerchantDetails`` of ``OBTransaction6``."""

    merchant_name: Text350 | UnsetType = UNSET
    merchant_category_code: Text3To4 | UnsetType = UNSET


class OBCashAccount60(Open, frozen=True, kw_only=True):
    """``CreditorAccount`` of ``OBTransaction6`` and others."""

    scheme_name: str | UnsetType = UNSET
    identification: Text256 | UnsetType = UNSET
    name: Text350 | UnsetType = UNSET
    secondary_identification: Text34 | UnsetType = UNSET
    proxy: OBProxy1 | UnsetType = UNSET


OBTransactionCardInstrument1CardSchemeName = Literal["AmericanExpress", "Diners", "Discover", "MasterCard", "VISA"]

OBTransactionCardInstrument1AuthorisationType = Literal["ConsumerDevice", "Contactless", "None", "PIN"]


class OBTransactionCardInstrument1(Closed, frozen=True, kw_only=True):
    """``CardInstrument`` of ``OBTransaction6``."""

    card_scheme_name: OBTransactionCardInstrument1CardSchemeName
    authorisation_type: OBTransactionCardInstrument1AuthorisationType | UnsetType = UNSET
    name: Text70 | UnsetType = UNSET
    identification: Text34 | UnsetType = UNSET


class OBUltimateCreditor1(Open, frozen=True, kw_only=True):
    """``UltimateCreditor`` of ``OBTransaction6`` and others."""

    name: Text140 | UnsetType = UNSET
    identification: Text256 | UnsetType = UNSET
    lei: LEI | UnsetType = UNSET
    scheme_name: str | UnsetType = UNSET
    postal_address: OBPostalAddress7 | UnsetType = UNSET


class OBTransaction6(Closed, frozen=True, kw_only=True):
    """``Transaction`` of ``OBReadDataTransaction6``."""

    account_id: Text40
    transaction_id: Text210 | UnsetType = UNSET
    transaction_reference: Text210 | UnsetType = UNSET
    statement_reference: list[Text35] | UnsetType = UNSET
    credit_debit_indicator: OBCreditDebitCode0
    status: ExternalEntryStatus1Code
    transaction_mutability: OBInternalTransactionMutability1Code | UnsetType = UNSET
    booking_date_time: DateTime
    value_date_time: DateTime | UnsetType = UNSET
    transaction_information: Text500 | UnsetType = UNSET
    address_line: Text70 | UnsetType = UNSET
    amount: OBActiveOrHistoricCurrencyAndAmount5
    charge_amount: OBActiveOrHistoricCurrencyAndAmount5 | UnsetType = UNSET
    currency_exchange: OBCurrencyExchange5 | UnsetType = UNSET
    bank_transaction_code: OBBankTransactionCodeStructure1 | UnsetType = UNSET
    proprietary_bank_transaction_code: ProprietaryBankTransactionCodeStructure1 | UnsetType = UNSET
    extended_proprietary_bank_transaction_codes: list[OBExtendedProprietaryBankTransactionCode] | UnsetType = UNSET
    balance: OBTransactionCashBalance | UnsetType = UNSET
    merchant_details: OBMerchantDetails1 | UnsetType = UNSET
    creditor_agent: OBBranchAndFinancialInstitutionIdentification61 | UnsetType = UNSET
    creditor_account: OBCashAccount60 | UnsetType = UNSET
    debtor_agent: OBBranchAndFinancialInstitutionIdentification61 | UnsetType = UNSET
    debtor_account: OBCashAccount60 | UnsetType = UNSET
    card_instrument: OBTransactionCardInstrument1 | UnsetType = UNSET
    supplementary_data: dict[str, Any] | UnsetType = UNSET
    category_purpose_code: ExternalCategoryPurpose1Code | UnsetType = UNSET
    payment_purpose_code: OBExternalPurpose1Code | UnsetType = UNSET
    ultimate_creditor: OBUltimateCreditor1 | UnsetType = UNSET
    ultimate_debtor: OBUltimateCreditor1 | UnsetType = UNSET


class OBReadDataTransaction6(Closed, frozen=True, kw_only=True):
    """``Data`` of ``OBReadTransaction6``."""

    transaction: list[OBTransaction6] | UnsetType = UNSET


class OBReadTransaction6(Closed, frozen=True, kw_only=True):
    """What is answered to ``GET /accounts/{AccountId}/statements/{StatementId}/transactions`` and others."""

    data: OBReadDataTransaction6
    links: Links | UnsetType = UNSET
    meta: Meta | UnsetType = UNSET
