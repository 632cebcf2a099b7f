"""What was booked to wallets, as transactions.

The day of booking is when an entry came into the books, on the tenant's clock; the value date is when it took effect,
which may lie before it (ADR 30).
"""

from functools import lru_cache
from typing import Final
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from billfold.contract.open_banking.transactions import (
    OBBankTransactionCodeStructure1,
    OBCashAccount60,
    OBMerchantDetails1,
    OBTransaction6,
    OBTransactionCashBalance,
    ProprietaryBankTransactionCodeStructure1,
)
from billfold.ids import Prefix, encode
from billfold_server.ledger.service import Booking
from billfold_server.open_banking.accounts.wallets import account_id
from billfold_server.open_banking.accounts.words import amount, identification_of, indicator, or_unset
from billfold_server.wallets.service import OtherSide

__all__ = ["CODES", "PAYMENT", "Paid", "creditor_of", "to_transaction", "wallet_of"]

_INSIDE: Final = ("RCDT", "BOOK"), ("ICDT", "BOOK")
_OUTSIDE: Final = ("RCDT", "DMCT"), ("ICDT", "DMCT")
_PAYMENT: Final = ("ICDT", "RRTN"), ("ICDT", "DMCT")
_CORRECTION: Final = ("MCOP", "ADJT"), ("MDOP", "ADJT")

CODES: Final[dict[str, tuple[tuple[str, str], tuple[str, str]]]] = {
    "transfer": _INSIDE,
    "hold_capture": _INSIDE,
    "top_up": _OUTSIDE,
    "withdrawal": _OUTSIDE,
    "statement_entry": _OUTSIDE,
    "statement_assignment": _OUTSIDE,
    "payment": _PAYMENT,
    "payment.returned": _PAYMENT,
}
"""Family and sub-family of the ISO 20022 bank transaction codes by the kind of entry: of credits, and of debits.

Received and issued credit transfers, inside the bank or domestic, and issued ones that came back; anything else is an
adjustment.
"""

PAYMENT: Final = "payment"
_RETURNED: Final = "payment.returned"


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


_CODE_LENGTHS: Final = frozenset({3, 4})


def wallet_of(booking: Booking) -> UUID:
    """Return the wallet to which something was booked."""
    assert booking.wallet_id is not None, "accounts here are wallets"
    return booking.wallet_id


@lru_cache(maxsize=256)
def _codes(
    kind: str, issuer: str, *, received: bool
) -> tuple[OBBankTransactionCodeStructure1, ProprietaryBankTransactionCodeStructure1]:
    """Return the codes of a kind of entry; made once, since a page has few of them."""
    credit, debit = CODES.get(kind, _CORRECTION)
    family, sub_family = credit if received else debit
    return (
        OBBankTransactionCodeStructure1(code=family, sub_code=sub_family),
        ProprietaryBankTransactionCodeStructure1(code=kind[:35], issuer=issuer),
    )


@lru_cache(maxsize=1024)
def _account_of(wallet_id: UUID, iban: str | None) -> OBCashAccount60:
    """Return another wallet as an account; made once, since many transactions are with the same few."""
    ((scheme, number), *_) = identification_of(account_id(wallet_id), iban)
    return OBCashAccount60(scheme_name=scheme, identification=number)


def to_transaction(
    booking: Booking, *, issuer: str, detail: bool, other: OtherSide | None = None, paid: Paid | None = None
) -> OBTransaction6:
    """Return a transaction; with its text, balance and the other side where all of it may be read.

    Args:
        booking: What was booked to a wallet.
        issuer: Whose own codes are shown.
        detail: Whether all of it may be read.
        other: What is known of the other side.
        paid: The payment of which it was booked.
    """
    # A wallet is a liability of the books, so what its owner gets is a credit there.
    received, balance = -booking.amount_minor, -booking.posted_after_minor
    kind = _RETURNED if paid is not None and paid.returned else booking.kind
    code, own_code = _codes(kind, issuer, received=received >= 0)
    side, merchant = _with_whom(other if detail else None)
    debtor, creditor = (side, UNSET) if received >= 0 else (UNSET, side)
    if detail and paid is not None and paid.creditor is not None and not paid.returned:
        creditor = paid.creditor
    return OBTransaction6(
        account_id=account_id(wallet_of(booking)),
        transaction_id=f"{encode(Prefix.JOURNAL_ENTRY, booking.entry_id)}-{booking.line}",
        transaction_reference=UNSET if paid is None or not detail else or_unset(paid.reference, 210),
        credit_debit_indicator=indicator(received),
        status="BOOK",
        transaction_mutability="Immutable",
        booking_date_time=booking.booked_at,
        value_date_time=booking.effective_at,
        transaction_information=or_unset(booking.description, 500) if detail else UNSET,
        amount=amount(received, booking.currency),
        bank_transaction_code=code,
        proprietary_bank_transaction_code=own_code,
        balance=OBTransactionCashBalance(
            credit_debit_indicator=indicator(balance), type="ITBD", amount=amount(balance, booking.currency)
        )
        if detail
        else UNSET,
        merchant_details=merchant,
        creditor_account=creditor,
        debtor_account=debtor,
    )


def _with_whom(other: OtherSide | None) -> tuple[OBCashAccount60 | UnsetType, OBMerchantDetails1 | UnsetType]:
    """Return the other side's account, and which merchant that is."""
    if other is None:
        return UNSET, UNSET
    merchant: OBMerchantDetails1 | UnsetType = UNSET
    code = other.merchant_category_code
    if other.merchant_name is not None or code is not None:
        merchant = OBMerchantDetails1(
            merchant_name=or_unset(other.merchant_name, 350),
            merchant_category_code=code if code is not None and len(code) in _CODE_LENGTHS else UNSET,
        )
    return UNSET if other.wallet_id is None else _account_of(other.wallet_id, other.iban), merchant
