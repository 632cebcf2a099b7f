"""Confirmation of funds."""

from msgspec import UNSET, UnsetType

from billfold.contract.open_banking.base import (
    Closed,
    Open,
)
from billfold.contract.open_banking.codes import (
    ConsentStatus,
)
from billfold.contract.open_banking.common import (
    DateTime,
    Links,
    Meta,
    OBActiveOrHistoricCurrencyAndAmount5,
    OBCashAccount51,
    OBStatusReason,
    Text35,
    Text40,
    Text128,
)

__all__ = [
    "OBFundsConfirmation1",
    "OBFundsConfirmation1Data",
    "OBFundsConfirmationConsent1",
    "OBFundsConfirmationConsent1Data",
    "OBFundsConfirmationConsentResponse1",
    "OBFundsConfirmationConsentResponse1Data",
    "OBFundsConfirmationResponse1",
    "OBFundsConfirmationResponse1Data",
]


class OBFundsConfirmationConsent1Data(Open, frozen=True, kw_only=True):
    """``Data`` of ``OBFundsConfirmationConsent1``."""

    expiration_date_time: DateTime | UnsetType = UNSET
    debtor_account: OBCashAccount51


class OBFundsConfirmationConsent1(Closed, frozen=True, kw_only=True):
    """What is sent by ``POST /funds-confirmation-consents``."""

    data: OBFundsConfirmationConsent1Data


class OBFundsConfirmationConsentResponse1Data(Open, frozen=True, kw_only=True):
    """``Data`` of ``OBFundsConfirmationConsentResponse1``."""

    consent_id: Text128
    creation_date_time: DateTime
    status: ConsentStatus
    status_reason: list[OBStatusReason] | UnsetType = UNSET
    status_update_date_time: DateTime
    expiration_date_time: DateTime | UnsetType = UNSET
    debtor_account: OBCashAccount51


class OBFundsConfirmationConsentResponse1(Closed, frozen=True, kw_only=True):
    """What is answered to ``GET /funds-confirmation-consents/{ConsentId}`` and others."""

    data: OBFundsConfirmationConsentResponse1Data
    links: Links | UnsetType = UNSET
    meta: Meta | UnsetType = UNSET


class OBFundsConfirmation1Data(Open, frozen=True, kw_only=True):
    """``Data`` of ``OBFundsConfirmation1``."""

    consent_id: Text128
    reference: Text35
    instructed_amount: OBActiveOrHistoricCurrencyAndAmount5


class OBFundsConfirmation1(Closed, frozen=True, kw_only=True):
    """What is sent by ``POST /funds-confirmations``."""

    data: OBFundsConfirmation1Data


class OBFundsConfirmationResponse1Data(Open, frozen=True, kw_only=True):
    """``Data`` of ``OBFundsConfirmationResponse1``."""

    funds_confirmation_id: Text40
    consent_id: Text128
    creation_date_time: DateTime
    funds_available: bool
    reference: Text35
    instructed_amount: OBActiveOrHistoricCurrencyAndAmount5


class OBFundsConfirmationResponse1(Closed, frozen=True, kw_only=True):
    """What is answered to ``POST /funds-confirmations``."""

    data: OBFundsConfirmationResponse1Data
    links: Links | UnsetType = UNSET
    meta: Meta | UnsetType = UNSET
