"""Payments: money that a third party orders to move out of a wallet, to another wallet or by a bank's rail."""

from enum import StrEnum

from billfold.contract.bookings import JournalEntry
from billfold.contract.common import (
    ClientId,
    Expanded,
    Instant,
    JournalEntryId,
    LongText,
    PaymentId,
    Request,
    Response,
    WalletId,
)
from billfold.contract.consents import Consent
from billfold.contract.wallets import Wallet
from billfold.money import Money

__all__ = [
    "Payment",
    "PaymentBreak",
    "PaymentExpanded",
    "PaymentOutcome",
    "PaymentStatus",
    "PaymentStep",
    "ResolvePayment",
]


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
        kind: Of which kind the consent is under which it was ordered.
        status: Where it stands.
        status_reason: The code by which a rail has said why.
        needs_attention: Why somebody must look at it.
        consent_id: Under which consent it was ordered.
        client_id: Which third party has ordered it.
        wallet_id: Out of which wallet.
        to_wallet_id: To which wallet, where it stays here.
        rail: By which rail it leaves, where it does.
        rail_reference: What the rail calls it.
        amount: How much.
        creditor_name: To whom, as the order says; absent where the payer was forgotten.
        creditor_account: To which account, in words of the order's own scheme.
        reference: What the payer has written to the payee.
        end_to_end_id: The third party's own name for it.
        journal_entry_id: What moved the money out of the wallet.
        closing_journal_entry_id: What settled it, or brought the money back.
        steps: What has been heard and done, in order.
        created_at: When it was ordered.
        updated_at: When its status changed last.
        expanded: What it refers to, where it was asked for.
    """

    id: PaymentId
    kind: str
    status: PaymentStatus
    status_reason: str | None
    needs_attention: PaymentBreak | None
    consent_id: str
    client_id: ClientId
    wallet_id: WalletId
    to_wallet_id: WalletId | None
    rail: str | None
    rail_reference: str | None
    amount: Money
    creditor_name: str | None
    creditor_account: str | None
    reference: str | None
    end_to_end_id: str | None
    journal_entry_id: JournalEntryId
    closing_journal_entry_id: JournalEntryId | None
    steps: list[PaymentStep]
    created_at: Instant
    updated_at: Instant
    expanded: PaymentExpanded = PaymentExpanded()
