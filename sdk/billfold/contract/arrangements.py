"""Arrangements: what a customer or the bank has arranged for a wallet, and the products that wallets are of.

Beneficiaries, direct debits, standing orders, scheduled payments and offers are what open banking shows of an account
beside its money. They are records: nothing here moves money.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from billfold.clock import ensure_utc
from billfold.contract.common import SHOWN, ArrangementId, Expanded, Instant, ProductId, Request, Response, WalletId
from billfold.contract.wallets import Wallet
from billfold.money import Money

__all__ = [
    "AccountScheme",
    "Arrangement",
    "ArrangementExpanded",
    "ArrangementKind",
    "ArrangementStatus",
    "AssignProduct",
    "Beneficiary",
    "CounterpartyAccount",
    "CreateArrangement",
    "CreateProduct",
    "DirectDebit",
    "Frequency",
    "MandateClass",
    "Offer",
    "OfferType",
    "PlannedPayment",
    "Product",
    "ProductAssignment",
    "ProductType",
    "ScheduleType",
    "ScheduledPayment",
    "StandingOrder",
    "UpdateArrangement",
    "UpdateProduct",
]

_NO_NUL = "^[^\\u0000]*$"
_Short = Annotated[str, Meta(min_length=1, max_length=35, pattern=_NO_NUL, extra_json_schema=SHOWN)]
_Name = Annotated[str, Meta(min_length=1, max_length=70, pattern=_NO_NUL, extra_json_schema=SHOWN)]
_Line = Annotated[str, Meta(min_length=1, max_length=140, pattern=_NO_NUL, extra_json_schema=SHOWN)]
_Long = Annotated[str, Meta(min_length=1, max_length=500, pattern=_NO_NUL)]
_Note = Annotated[str, Meta(min_length=1, max_length=2000, pattern=_NO_NUL)]
_Rate = Annotated[
    str,
    Meta(
        pattern=r"^-?[0-9]{1,3}(\.[0-9]{1,4})?$(?!\n)",
        description="Per cent, with up to four decimal places.",
        examples=["1.25"],
    ),
]
_Purpose = Annotated[
    str,
    Meta(pattern="^[A-Z0-9]{4}$(?!\\n)", description="ISO 20022 external category purpose code.", examples=["SUPP"]),
]


class ArrangementKind(StrEnum):
    """What has been arranged."""

    BENEFICIARY = "beneficiary"
    DIRECT_DEBIT = "direct_debit"
    STANDING_ORDER = "standing_order"
    SCHEDULED_PAYMENT = "scheduled_payment"
    OFFER = "offer"


class ArrangementStatus(StrEnum):
    """Whether it holds."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class AccountScheme(StrEnum):
    """What kind of number names an account."""

    IBAN = "iban"
    SORT_CODE_ACCOUNT_NUMBER = "sort_code_account_number"
    BBAN = "bban"
    PAYM = "paym"
    WALLET = "wallet"


class Frequency(StrEnum):
    """How often payments come, by the ISO 20022 codes."""

    ADHOC = "ADHO"
    YEARLY = "YEAR"
    DAILY = "DAIL"
    FORTNIGHTLY = "FRTN"
    INTRADAY = "INDA"
    MONTHLY = "MNTH"
    QUARTERLY = "QURT"
    HALF_YEARLY = "MIAN"
    WEEKLY = "WEEK"
    WORKING_DAYS = "WODL"
    FOUR_WEEKLY = "FOWK"
    TWO_MONTHLY = "TWMH"
    FOUR_MONTHLY = "FOMH"
    FIVE_MONTHLY = "FIMH"
    LAST_OF_MONTH = "ALMH"
    NONE = "NONE"


class MandateClass(StrEnum):
    """Whether the amounts of a mandate are always the same."""

    FIXED = "fixed"
    USAGE = "usage"
    VARIABLE = "variable"


class ScheduleType(StrEnum):
    """Whether the day is that on which a payment is sent, or that on which it arrives."""

    EXECUTION = "execution"
    ARRIVAL = "arrival"


class OfferType(StrEnum):
    """What is offered."""

    BALANCE_TRANSFER = "balance_transfer"
    LIMIT_INCREASE = "limit_increase"
    MONEY_TRANSFER = "money_transfer"
    PROMOTIONAL_RATE = "promotional_rate"
    OTHER = "other"


class _Terms(Response, frozen=True, kw_only=True, omit_defaults=True):
    """The base of what has been arranged: sent and answered alike, and what is absent isn't written."""

    def _utc(self, *fields: str) -> None:
        """Bring instants to UTC, for ``__post_init__``."""
        for field in fields:
            instant: datetime | None = getattr(self, field)
            if instant is not None:
                msgspec.structs.force_setattr(self, field, ensure_utc(instant))


class CounterpartyAccount(_Terms, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody else's account."""

    scheme: AccountScheme
    identification: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=256,
            pattern=_NO_NUL,
            description="The number itself, without blanks; sort code and account number are fourteen digits.",
            examples=["20000055779911"],
        ),
    ]
    name: _Line | None = None
    secondary_identification: Annotated[str, Meta(min_length=1, max_length=34, pattern=_NO_NUL)] | None = None
    bic: Annotated[str, Meta(pattern=r"^[A-Z0-9]{4}[A-Z]{2}[A-Z0-9]{2}([A-Z0-9]{3})?$(?!\n)")] | None = None


class Beneficiary(_Terms, frozen=True, kw_only=True, omit_defaults=True):
    """Whom the customer pays more than once."""

    creditor: CounterpartyAccount
    trusted: bool = False
    reference: _Short | None = None


class PlannedPayment(_Terms, frozen=True, kw_only=True, omit_defaults=True):
    """One payment of a series: when, and how much where that is known."""

    at: Instant
    amount: Money | None = None

    def __post_init__(self) -> None:
        """Bring the instant to UTC."""
        self._utc("at")


class DirectDebit(_Terms, frozen=True, kw_only=True, omit_defaults=True):
    """A mandate by which somebody collects from the wallet."""

    name: _Name
    mandate_id: _Short
    frequency: Frequency
    classification: MandateClass | None = None
    category_purpose: _Purpose | None = None
    previous_payment: PlannedPayment | None = None
    next_payment_at: Instant | None = None
    final_payment_at: Instant | None = None
    reason: Annotated[str, Meta(min_length=1, max_length=256, pattern=_NO_NUL)] | None = None

    def __post_init__(self) -> None:
        """Bring the instants to UTC."""
        self._utc("next_payment_at", "final_payment_at")


class StandingOrder(_Terms, frozen=True, kw_only=True, omit_defaults=True):
    """What the customer pays again and again."""

    creditor: CounterpartyAccount
    frequency: Frequency
    point_in_time: (
        Annotated[
            str,
            Meta(pattern=r"^[0-9]{2}$(?!\n)", description="On which day of the period, such as 01.", examples=["01"]),
        ]
        | None
    ) = None
    mandate_id: _Short | None = None
    reference: Annotated[str, Meta(min_length=1, max_length=140, pattern=_NO_NUL, extra_json_schema=SHOWN)] | None = (
        None
    )
    category_purpose: _Purpose | None = None
    first_payment: PlannedPayment | None = None
    last_payment: PlannedPayment | None = None
    next_payment: PlannedPayment | None = None
    final_payment: PlannedPayment | None = None
    number_of_payments: Annotated[int, Meta(ge=1, le=100_000)] | None = None


class ScheduledPayment(_Terms, frozen=True, kw_only=True, omit_defaults=True):
    """A payment of the future."""

    scheduled_at: Instant
    amount: Money
    type: ScheduleType = ScheduleType.EXECUTION
    creditor: CounterpartyAccount | None = None
    reference: _Short | None = None
    debtor_reference: _Short | None = None

    def __post_init__(self) -> None:
        """Bring the instant to UTC."""
        self._utc("scheduled_at")


class Offer(_Terms, frozen=True, kw_only=True, omit_defaults=True):
    """What the bank offers the customer for this wallet."""

    type: OfferType
    description: _Long
    starts_at: Instant | None = None
    ends_at: Instant | None = None
    rate: _Rate | None = None
    value: Annotated[int, Meta(ge=0, le=1_000_000_000)] | None = None
    term: _Long | None = None
    url: Annotated[str, Meta(min_length=1, max_length=256, pattern=r"^https://[!-~]+$(?!\n)")] | None = None
    amount: Money | None = None
    fee: Money | None = None

    def __post_init__(self) -> None:
        """Bring the instants to UTC."""
        self._utc("starts_at", "ends_at")


class CreateArrangement(Request, frozen=True, kw_only=True):
    """Something arranged for a wallet. The member that the kind names says what, and is the only one of the five."""

    wallet_id: WalletId
    kind: ArrangementKind
    beneficiary: Beneficiary | None = None
    direct_debit: DirectDebit | None = None
    standing_order: StandingOrder | None = None
    scheduled_payment: ScheduledPayment | None = None
    offer: Offer | None = None


class UpdateArrangement(Request, frozen=True, kw_only=True):
    """Changes to an arrangement. Its kind stays; the member that the kind names is replaced as a whole."""

    status: ArrangementStatus | None = None
    beneficiary: Beneficiary | None = None
    direct_debit: DirectDebit | None = None
    standing_order: StandingOrder | None = None
    scheduled_payment: ScheduledPayment | None = None
    offer: Offer | None = None


class ArrangementExpanded(Expanded, frozen=True, kw_only=True):
    """What an arrangement refers to, where it was asked for."""

    wallet: Wallet | None = None


class Arrangement(Response, frozen=True, kw_only=True, omit_defaults=True):
    """Something arranged for a wallet. The member that its kind names says what; the others are null."""

    id: ArrangementId
    wallet_id: WalletId
    kind: ArrangementKind
    status: ArrangementStatus
    beneficiary: Beneficiary | None
    direct_debit: DirectDebit | None
    standing_order: StandingOrder | None
    scheduled_payment: ScheduledPayment | None
    offer: Offer | None
    version: Annotated[int, Meta(description="Counts up at each change; the ETag is made of it.")]
    created_at: Instant
    updated_at: Instant
    expanded: ArrangementExpanded = ArrangementExpanded()


class ProductType(StrEnum):
    """What kind of account a product is."""

    PERSONAL_CURRENT_ACCOUNT = "personal_current_account"
    BUSINESS_CURRENT_ACCOUNT = "business_current_account"
    OTHER = "other"


class CreateProduct(Request, frozen=True, kw_only=True):
    """A product that wallets can be of."""

    name: Annotated[
        str, Meta(min_length=1, max_length=70, pattern=_NO_NUL, extra_json_schema=SHOWN, examples=["Everyday wallet"])
    ]
    type: ProductType
    description: Annotated[str, Meta(min_length=1, max_length=350, pattern=_NO_NUL, examples=["A wallet for all days"])]
    secondary_id: Annotated[str, Meta(min_length=1, max_length=70, pattern=_NO_NUL)] | None = None
    monthly_fee_cap: Money | None = None
    interest_rate: _Rate | None = None
    notes: Annotated[list[_Note], Meta(max_length=20)] = []


class UpdateProduct(Request, frozen=True, kw_only=True):
    """Changes to a product. What is absent stays, and null clears what may be empty."""

    name: Annotated[str, Meta(min_length=1, max_length=70, pattern=_NO_NUL, extra_json_schema=SHOWN)] | UnsetType = (
        UNSET
    )
    description: Annotated[str, Meta(min_length=1, max_length=350, pattern=_NO_NUL)] | UnsetType = UNSET
    secondary_id: Annotated[str, Meta(min_length=1, max_length=70, pattern=_NO_NUL)] | UnsetType | None = UNSET
    monthly_fee_cap: Money | UnsetType | None = UNSET
    interest_rate: _Rate | UnsetType | None = UNSET
    notes: Annotated[list[_Note], Meta(max_length=20)] | UnsetType = UNSET


class Product(Response, frozen=True, kw_only=True):
    """A product that wallets can be of."""

    id: ProductId
    name: str
    type: ProductType
    description: str
    secondary_id: str | None
    monthly_fee_cap: Money | None
    interest_rate: str | None
    notes: list[str]
    version: Annotated[int, Meta(description="Counts up at each change; the ETag is made of it.")]
    created_at: Instant
    updated_at: Instant


class AssignProduct(Request, frozen=True, kw_only=True):
    """The wallets that are to be of a product. A wallet is of one product at a time."""

    wallet_ids: Annotated[list[WalletId], Meta(min_length=1, max_length=100)]


class ProductAssignment(Response, frozen=True, kw_only=True):
    """Wallets that are now of a product."""

    product_id: ProductId
    wallet_ids: list[WalletId]
