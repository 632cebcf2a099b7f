"""Payments: money that is ordered to move out of a wallet, to another wallet or by a bank's rail.

The bank's own clients order them here, and licensed third parties under customers' consents.
"""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from billfold.contract.bookings import JournalEntry
from billfold.contract.common import (
    SHOWN,
    ClientId,
    Expanded,
    Instant,
    JournalEntryId,
    LongText,
    Metadata,
    PaymentId,
    Reference,
    Request,
    Response,
    WalletId,
)
from billfold.contract.consents import Consent
from billfold.contract.wallets import Wallet
from billfold.money import Money

__all__ = [
    "CreatePayment",
    "CreditorScheme",
    "Payment",
    "PaymentBreak",
    "PaymentCreditor",
    "PaymentExpanded",
    "PaymentKind",
    "PaymentOutcome",
    "PaymentStatus",
    "PaymentStep",
    "ResolvePayment",
]


_NO_NUL = "^[^\\u0000]*$"

_Named = Annotated[str, Meta(min_length=1, max_length=35, pattern=_NO_NUL, extra_json_schema=SHOWN)]


class PaymentKind(StrEnum):
    """How a payment came to be ordered: by a client of the bank's own, or under a consent of this kind."""

    CREDIT_TRANSFER = "credit_transfer"
    DOMESTIC_PAYMENT = "domestic_payment"
    DOMESTIC_VRP = "domestic_vrp"


class PaymentStatus(StrEnum):
    """Where a payment stands (ISO 20022, external code set of payment transaction statuses)."""

    RECEIVED = "RCVD"
    PENDING = "PDNG"
    VALIDATED = "ACTC"
    APPROVED = "ACCP"
    IN_PROCESS = "ACSP"
    ACCEPTED_WITH_CHANGE = "ACWC"
    SETTLED = "ACSC"
    CREDITED = "ACCC"
    REJECTED = "RJCT"
    CANCELLED = "CANC"
    BLOCKED = "BLCK"


class PaymentBreak(StrEnum):
    """Why a payment needs somebody to look at it: what is known of it doesn't tell what has become of its money."""

    SILENCE = "silence"
    CONTRADICTION = "contradiction"
    NOT_RETURNED = "not_returned"
    REVERSED_BY_HAND = "reversed_by_hand"
    BLOCKED = "blocked"


class PaymentOutcome(StrEnum):
    """What somebody has found out of a payment that needed it: its money has left, or goes back; or all is as it is."""

    SETTLED = "settled"
    RETURNED = "returned"
    NOTED = "noted"


class CreditorScheme(StrEnum):
    """What kind of number names an account that can be paid."""

    IBAN = "iban"
    SORT_CODE_ACCOUNT_NUMBER = "sort_code_account_number"
    WALLET = "wallet"


class PaymentCreditor(Request, frozen=True, kw_only=True):
    """The account that is to be paid."""

    scheme: CreditorScheme
    identification: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=256,
            pattern=_NO_NUL,
            description="The number itself; sort code and account number are fourteen digits, a wallet is its id.",
            examples=["GB33BUKB20201555555555"],
        ),
    ]
    name: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=140,
                pattern=_NO_NUL,
                extra_json_schema=SHOWN,
                description="Whose it is.",
                examples=["Grace Hopper"],
            ),
        ]
        | None
    ) = None
    secondary_identification: (
        Annotated[
            str,
            Meta(min_length=1, max_length=34, pattern=_NO_NUL, description="Such as a building society's roll number."),
        ]
        | None
    ) = None


class CreatePayment(Request, frozen=True, kw_only=True):
    """An order to pay somebody out of a wallet.

    An account that is a wallet's here is paid at once; any other by the bank's rail.
    """

    wallet_id: WalletId
    amount: Money
    creditor: PaymentCreditor
    reference: Reference | None = None
    creditor_reference: Annotated[
        _Named | None,
        Meta(
            description="By which the payee knows what is paid (ISO 20022 structured remittance, creditor reference). "
            "A rail that carries one text is told this one."
        ),
    ] = None
    end_to_end_id: Annotated[
        _Named | None,
        Meta(description="The payer's own name for it, which the payee is told; NOTPROVIDED where absent."),
    ] = None
    instruction_id: Annotated[
        _Named | None, Meta(description="The name that the order has between who gives it and the bank.")
    ] = None
    metadata: Metadata = {}


class ResolvePayment(Request, frozen=True, kw_only=True):
    """What has become of a payment's money, as a member of staff has found out.

    Attributes:
        outcome: Money that waits has left (``settled``), or goes back to the wallet (``returned``). Where it has moved
            before, or staff has given it back by hand, all was looked at (``noted``).
        reason: How that is known; it is kept in the audit.
    """

    outcome: PaymentOutcome
    reason: LongText


class PaymentStep(Response, frozen=True, kw_only=True):
    """Something that was heard of a payment, or done with it.

    Attributes:
        number: Its place, from 1.
        word: What was said or done, such as ``settle``.
        effect: Whether the payment moved on by it (``moves``), or it said nothing new, came late, or contradicts what
            was said before; then no money moved.
        status: Where the payment stands since then.
        reason: The code that was given with it, mostly of ISO 20022.
        happened_at: When, on the tenant's clock.
    """

    number: int
    word: str
    effect: str
    status: PaymentStatus
    reason: str | None
    happened_at: Instant


class PaymentExpanded(Expanded, frozen=True, kw_only=True):
    """What a payment refers to, where it was asked for."""

    consent: Consent | None = None
    wallet: Wallet | None = None
    to_wallet: Wallet | None = None
    journal_entry: JournalEntry | None = None


class Payment(Response, frozen=True, kw_only=True, omit_defaults=True):
    """A payment.

    Attributes:
        id: Its id.
        kind: ``credit_transfer`` where a client of the bank's own has ordered it; else of which kind the consent is.
        status: Where it stands.
        status_reason: The code by which a rail has said why.
        needs_attention: Why somebody must look at it.
        consent_id: Under which consent a third party has ordered it; null where the bank's own client has.
        client_id: Which API client, or third party, has ordered it.
        wallet_id: Out of which wallet.
        to_wallet_id: To which wallet, where it stays here.
        rail: By which rail it leaves, where it does.
        rail_reference: What the rail calls it.
        amount: How much.
        creditor_name: To whom, as the order says; absent where the payer was forgotten.
        creditor_account: To which account, in words of the order's own scheme.
        reference: What the payer has written to the payee.
        creditor_reference: By which the payee knows what is paid.
        end_to_end_id: The name that who ordered it has given it, which the payee is told.
        instruction_id: The name that the order has between who gave it and the bank.
        metadata: The keys and values of who ordered it.
        returned_minor: How much of it banks have sent back after it had left, in all (pacs.004); never more than it.
            What staff has undone of it, by reversing its top-ups, isn't counted any more.
        journal_entry_id: What moved the money out of the wallet.
        closing_journal_entry_id: What settled it, or brought the money back.
        steps: What has been heard and done, in order.
        created_at: When it was ordered.
        updated_at: When its status changed last, or money of it came back.
        expanded: What it refers to, where it was asked for.
    """

    id: PaymentId
    kind: PaymentKind
    status: PaymentStatus
    status_reason: str | None
    needs_attention: PaymentBreak | None
    consent_id: str | None
    client_id: ClientId
    wallet_id: WalletId
    to_wallet_id: WalletId | None
    rail: str | None
    rail_reference: str | None
    amount: Money
    creditor_name: str | None
    creditor_account: str | None
    reference: str | None
    creditor_reference: str | None = None
    end_to_end_id: str | None
    instruction_id: str | None = None
    metadata: dict[str, str] = {}
    returned_minor: int = 0
    journal_entry_id: JournalEntryId
    closing_journal_entry_id: JournalEntryId | None
    steps: list[PaymentStep]
    created_at: Instant
    updated_at: Instant
    expanded: PaymentExpanded = PaymentExpanded()
