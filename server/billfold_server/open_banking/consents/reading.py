"""What may be asked of a customer's accounts together, and for how long. Pure.

Source: UK Open Banking Account and Transaction API Specification 4.0, account access consents: permissions.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Final

from msgspec import UNSET, UnsetType

from billfold.clock import ensure_utc
from billfold_server.open_banking.edge.errors import DATE_INVALID, FIELD_INVALID, field_error

__all__ = ["check_period", "check_permissions", "read_end", "to_utc"]

_PERMISSIONS: Final = "Data.Permissions"

_ACCOUNTS: Final = frozenset({"ReadAccountsBasic", "ReadAccountsDetail"})
_HOW: Final = frozenset({"ReadTransactionsBasic", "ReadTransactionsDetail"})
_WHICH: Final = frozenset({"ReadTransactionsCredits", "ReadTransactionsDebits"})


def check_permissions(permissions: Collection[str]) -> None:
    """Refuse permissions that say nothing without others: which accounts there are, and what of transactions.

    Raises:
        errors.ValidationFailed: The accounts aren't among them, or how much of transactions without which of them.
    """
    asked = set(permissions)
    if not asked & _ACCOUNTS:
        raise field_error(_PERMISSIONS, FIELD_INVALID, "must hold ReadAccountsBasic or ReadAccountsDetail")
    if asked & _HOW and not asked & _WHICH:
        raise field_error(_PERMISSIONS, FIELD_INVALID, "say whether transactions are credits, debits or both")
    if asked & _WHICH and not asked & _HOW:
        raise field_error(_PERMISSIONS, FIELD_INVALID, "say whether transactions are basic or in detail")


def to_utc(path: str, instant: datetime | UnsetType) -> datetime | None:
    """Return an instant in UTC, or None where there is none.

    Raises:
        errors.ValidationFailed: There it isn't within the years that a calendar has.
    """
    if instant is UNSET:
        return None
    try:
        return ensure_utc(instant)
    except ValueError:
        raise field_error(path, DATE_INVALID, "lies outside of the calendar") from None


def read_end(instant: datetime | UnsetType, now: datetime) -> datetime | None:
    """Return until when something is asked for, in UTC; None is for as long as the bank lets it last.

    Raises:
        errors.ValidationFailed: That has passed.
    """
    path = "Data.ExpirationDateTime"
    end = to_utc(path, instant)
    if end is not None and end <= now:
        raise field_error(path, DATE_INVALID, "has passed")
    return end


def check_period(begin: datetime | None, end: datetime | None) -> None:
    """Refuse transactions of a period that ends before it begins.

    Raises:
        errors.ValidationFailed: It does.
    """
    if begin is not None and end is not None and end < begin:
        raise field_error("Data.TransactionToDateTime", DATE_INVALID, "lies before the beginning")
