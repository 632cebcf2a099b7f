"""What was booked to wallets, as transactions.

The day of booking is when an entry came into the books, on the tenant's clock; the value date is when it took effect,
which may lie before it (ADR 30).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import repeat
from typing import Final, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from billfold.contract.open_banking.base import wire_name
from billfold.contract.open_banking.common import OBActiveOrHistoricCurrencyAndAmount5
from billfold.contract.open_banking.transactions import (
    OBBankTransactionCodeStructure1,
    OBCashAccount60,
    OBMerchantDetails1,
    OBTransactionCashBalance,
    ProprietaryBankTransactionCodeStructure1,
)
from billfold.ids import Prefix, encode
from billfold_server.ledger.service import Booking, JournalKind
from billfold_server.open_banking.accounts.wallets import account_id
from billfold_server.open_banking.accounts.words import amount, identification_of, or_unset
from billfold_server.wallets.service import OtherSide

__all__ = [
    "CAPTURE",
    "CODES",
    "CORRECTION",
    "PAYMENT",
    "REVERSAL",
    "TOP_UP",
    "Paid",
    "Transaction",
    "creditor_of",
    "to_transactions",
    "wallet_of",
]

_INSIDE: Final = ("RCDT", "BOOK"), ("ICDT", "BOOK")
_OUTSIDE: Final = ("RCDT", "DMCT"), ("ICDT", "DMCT")
_PAYMENT: Final = ("ICDT", "RRTN"), ("ICDT", "DMCT")
_REVERSAL: Final = ("ICDT", "RRTN"), ("RCDT", "RRTN")
_CORRECTION: Final = ("MCOP", "ADJT"), ("MDOP", "ADJT")

CAPTURE: Final[JournalKind] = "capture"
PAYMENT: Final[JournalKind] = "payment"
TOP_UP: Final[JournalKind] = "top_up"
REVERSAL: Final[JournalKind] = "reversal"
CORRECTION: Final[JournalKind] = "journal_entry"
_RETURNED: Final[JournalKind] = "payment.returned"

CODES: Final[dict[JournalKind, tuple[tuple[str, str], tuple[str, str]]]] = {
    "transfer": _INSIDE,
    CAPTURE: _INSIDE,
    TOP_UP: _OUTSIDE,
    "withdrawal": _OUTSIDE,
    "statement_assignment": _OUTSIDE,
    PAYMENT: _PAYMENT,
    _RETURNED: _PAYMENT,
    REVERSAL: _REVERSAL,
    CORRECTION: _CORRECTION,
}
"""Family and sub-family of the ISO 20022 bank transaction codes by the kind of entry: of credits, and of debits.

Received and issued credit transfers, inside the bank or domestic, and those that were taken back. What the bank posts
by hand is an adjustment, and so is what undoes that. Kinds that aren't here post to no wallet.
"""


class Paid(msgspec.Struct, frozen=True, kw_only=True):
    """The payment of which something was booked.

    Attributes:
        returned: Whether its money came back by that.
        reference: By which name it is known outside.
        creditor: Whose account it goes to, where that is known.
    """

    returned: bool
    reference: str
    creditor: OBCashAccount60 | None = None


def creditor_of(scheme: str, identification: str, name: str | None) -> OBCashAccount60:
    """Return the account that a payment goes to."""
    return OBCashAccount60(scheme_name=scheme, identification=or_unset(identification, 256), name=or_unset(name, 350))


# Books that have come from elsewhere may know other kinds.
_CODES: Final[Mapping[str, tuple[tuple[str, str], tuple[str, str]]]] = dict(CODES.items())
_CODE_LENGTHS: Final = frozenset({3, 4})
_Codes = tuple[OBBankTransactionCodeStructure1, ProprietaryBankTransactionCodeStructure1]
_Side = tuple[OBCashAccount60 | UnsetType, OBMerchantDetails1 | UnsetType]
_NOBODY: Final[_Side] = (UNSET, UNSET)


def wallet_of(booking: Booking) -> UUID:
    """Return the wallet to which something was booked."""
    assert booking.wallet_id is not None, "accounts here are wallets"
    return booking.wallet_id


class Transaction(msgspec.Struct, frozen=True, rename=wire_name, gc=False):
    """``OBTransaction6``, as far as this bank ever fills it.

    A page has a hundred, and each of the standard's takes eight times as long to make as this.
    """

    account_id: str
    transaction_id: str
    transaction_reference: str | UnsetType
    credit_debit_indicator: Literal["Credit", "Debit"]
    status: Literal["BOOK"]
    transaction_mutability: Literal["Immutable"]
    booking_date_time: datetime
    value_date_time: datetime
    transaction_information: str | UnsetType
    amount: OBActiveOrHistoricCurrencyAndAmount5
    bank_transaction_code: OBBankTransactionCodeStructure1
    proprietary_bank_transaction_code: ProprietaryBankTransactionCodeStructure1
    balance: OBTransactionCashBalance | UnsetType
    merchant_details: OBMerchantDetails1 | UnsetType
    creditor_account: OBCashAccount60 | UnsetType
    debtor_account: OBCashAccount60 | UnsetType


def to_transactions(
    bookings: Sequence[Booking],
    *,
    issuer: str,
    detail: bool,
    others: Sequence[OtherSide | None] | None = None,
    paid: Sequence[Paid | None] | None = None,
    corrections: frozenset[UUID] = frozenset(),
) -> list[Transaction]:
    """Return transactions; with texts, balances and other sides where all of it may be read.

    Args:
        bookings: What was booked to wallets.
        issuer: Whose own codes are shown.
        detail: Whether all of it may be read.
        others: What is known of the other side of each.
        paid: The payment of which each was booked.
        corrections: The reversing entries that undo what the bank had posted by hand.
    """
    page = _Page(issuer, corrections)
    show = page.in_detail if detail else page.in_short
    beside = zip(bookings, others or repeat(None), paid or repeat(None), strict=False)
    return [show(booking, other, payment) for booking, other, payment in beside]


class _Page:
    """Shows what was booked, and makes once what many transactions of a page have in common."""

    def __init__(self, issuer: str, corrections: frozenset[UUID]) -> None:
        self._issuer = issuer
        self._corrections = corrections
        self._codes: dict[tuple[str, bool, bool], _Codes] = {}
        self._sides: dict[OtherSide | None, _Side] = {None: _NOBODY}

    def in_short(self, booking: Booking, _other: OtherSide | None, paid: Paid | None) -> Transaction:
        """Return a transaction without what only all of it tells."""
        received = -booking.amount_minor
        code, own_code = self._codes_of(booking, paid)
        return Transaction(
            account_id(wallet_of(booking)),
            f"{encode(Prefix.JOURNAL_ENTRY, booking.entry_id)}-{booking.line}",
            UNSET,
            "Debit" if received < 0 else "Credit",
            "BOOK",
            "Immutable",
            booking.booked_at,
            booking.effective_at,
            UNSET,
            amount(received, booking.currency),
            code,
            own_code,
            UNSET,
            UNSET,
            UNSET,
            UNSET,
        )

    def in_detail(self, booking: Booking, other: OtherSide | None, paid: Paid | None) -> Transaction:
        """Return all of a transaction."""
        # A wallet is a liability of the books, so what its owner gets is a credit there.
        received, balance = -booking.amount_minor, -booking.posted_after_minor
        code, own_code = self._codes_of(booking, paid)
        side, merchant = self._sides.get(other) or self._made_side(other)
        debtor, creditor = (UNSET, side) if received < 0 else (side, UNSET)
        if paid is not None and paid.creditor is not None and not paid.returned:
            creditor = paid.creditor
        return Transaction(
            account_id(wallet_of(booking)),
            f"{encode(Prefix.JOURNAL_ENTRY, booking.entry_id)}-{booking.line}",
            UNSET if paid is None else or_unset(paid.reference, 210),
            "Debit" if received < 0 else "Credit",
            "BOOK",
            "Immutable",
            booking.booked_at,
            booking.effective_at,
            UNSET if booking.description is None else or_unset(booking.description, 500),
            amount(received, booking.currency),
            code,
            own_code,
            OBTransactionCashBalance(
                credit_debit_indicator="Debit" if balance < 0 else "Credit",
                type="ITBD",
                amount=amount(balance, booking.currency),
            ),
            merchant,
            creditor,
            debtor,
        )

    def _codes_of(self, booking: Booking, paid: Paid | None) -> _Codes:
        kind = _RETURNED if paid is not None and paid.returned else booking.kind
        key = kind, booking.amount_minor <= 0, booking.entry_id in self._corrections
        return self._codes.get(key) or self._made_codes(*key)

    def _made_codes(self, kind: str, received: bool, corrects: bool) -> _Codes:  # noqa: FBT001 - as the key has it
        credit, debit = _CORRECTION if corrects else _CODES.get(kind, _CORRECTION)
        family, sub_family = credit if received else debit
        codes = (
            OBBankTransactionCodeStructure1(code=family, sub_code=sub_family),
            ProprietaryBankTransactionCodeStructure1(code=kind[:35], issuer=self._issuer),
        )
        self._codes[kind, received, corrects] = codes
        return codes

    def _made_side(self, other: OtherSide | None) -> _Side:
        """Return the other side's account, and which merchant that is."""
        assert other is not None, "nobody is known from the start"
        merchant: OBMerchantDetails1 | UnsetType = UNSET
        code = other.merchant_category_code
        if other.merchant_name is not None or code is not None:
            merchant = OBMerchantDetails1(
                merchant_name=or_unset(other.merchant_name, 350),
                merchant_category_code=code if code is not None and len(code) in _CODE_LENGTHS else UNSET,
            )
        account: OBCashAccount60 | UnsetType = UNSET
        if other.wallet_id is not None:
            scheme, number = identification_of(account_id(other.wallet_id), other.iban)[0]
            account = OBCashAccount60(scheme_name=scheme, identification=number)
        self._sides[other] = account, merchant
        return account, merchant
