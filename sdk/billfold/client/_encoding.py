"""Turns arguments of Python into what goes over the wire."""

import re
import urllib.parse
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec import UNSET

from billfold.clock import ensure_utc
from billfold.contract.ledger import NewPosting
from billfold.contract.wallets import KeyedTransfer
from billfold.ids import uuid7
from billfold.money import Money, from_decimal, pair

__all__ = [
    "Amount",
    "changes",
    "credit",
    "debit",
    "etag",
    "fields",
    "key",
    "money",
    "order",
    "query",
    "segment",
    "several",
]

Amount = Money | tuple[Decimal | str, str]
"""Money as a caller may state it: ``Money(1250, "EUR")`` in minor units, or ``("12.50", "EUR")``. Never a float."""

_encoder = msgspec.json.Encoder()
_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_KEY: Final = re.compile(r"[!#-~][!-~]{0,254}", re.ASCII)


def money(amount: Amount) -> Money:
    """Return an amount as the contract has it.

    Raises:
        TypeError: It is neither ``Money`` in whole minor units nor a decimal text or ``Decimal`` with a currency.
        billfold.money.AmountError: The currency is unknown, or has fewer decimal places than the amount.
    """
    if isinstance(amount, Money):
        return amount
    number, currency = pair(amount, "EUR")
    return Money(from_decimal(number, currency), currency)


def debit(account_id: str, amount: Amount) -> NewPosting:
    """Return the posting that debits an account, for ``journal_entries.create``."""
    value = money(amount)
    return NewPosting(account_id=account_id, amount_minor=value.amount_minor, currency=value.currency)


def credit(account_id: str, amount: Amount) -> NewPosting:
    """Return the posting that credits an account, for ``journal_entries.create``."""
    value = money(amount)
    return NewPosting(account_id=account_id, amount_minor=-value.amount_minor, currency=value.currency)


def order(
    *,
    from_wallet_id: str,
    to_wallet_id: str,
    amount: Amount,
    description: str | None = None,
    effective_at: datetime | None = None,
    metadata: Mapping[str, str] | None = None,
    idempotency_key: str | None = None,
) -> KeyedTransfer:
    """Return the order of a transfer, for ``transfers.bulk``; the arguments are those of ``transfers.create``.

    Where no key is given, one is made here and stays with the order: sent again, in any request, it is booked once.
    """
    return KeyedTransfer(
        from_wallet_id=from_wallet_id,
        to_wallet_id=to_wallet_id,
        amount=money(amount),
        description=description,
        effective_at=effective_at,
        metadata=dict(metadata or {}),
        idempotency_key=uuid7().hex if idempotency_key is None else key(idempotency_key),
    )


def fields(**values: Any) -> bytes:
    """Return the body of an order. What is None is left out, so that an older server isn't told of newer fields."""
    return _encoder.encode({name: _plain(value) for name, value in values.items() if value is not None})


def changes(**values: Any) -> bytes:
    """Return the body of a change. What is ``UNSET`` is left out and stays as it is; None clears."""
    return _encoder.encode({name: _plain(value) for name, value in values.items() if value is not UNSET})


def query(**values: Any) -> dict[str, str]:
    """Return the parameters of a question. What is None is left out; an underscore at a name's end is dropped.

    Several names, of which there may be none, are one parameter.
    """
    return {
        name.rstrip("_"): _text(value) for name, value in values.items() if value is not None and value not in ((), [])
    }


def segment(value: str) -> str:
    """Return an id as one segment of a path.

    Raises:
        TypeError: It is no text, such as None, or a whole party in place of its id.
        ValueError: It is empty or made of dots, and would lead to another resource.
    """
    if not isinstance(value, str):
        raise TypeError(f"an id is a text, such as party.id, and not of type {type(value).__name__}")
    if _PLAIN.fullmatch(value):
        return value
    if not value.strip("."):
        raise ValueError("an id is never empty")
    return urllib.parse.quote(value, safe="")


def several(values: Iterable[str], of: str) -> list[str]:
    """Return texts as a list.

    Args:
        values: The texts.
        of: What they are, as the caller calls them.

    Raises:
        TypeError: It is one text, which Python, and whoever checks types, takes for as many as it has characters.
    """
    if isinstance(values, str):
        raise TypeError(f"{of} are several, as in {of}=[…], and not one text")
    return list(values)


def key(value: str) -> str:
    """Return an idempotency key of the caller's.

    Raises:
        TypeError: It is no text, such as a number or a UUID.
        ValueError: It isn't 1 to 255 visible ASCII characters.
    """
    if not isinstance(value, str):
        raise TypeError(f"an idempotency key is a text, such as str(order.id), and not of type {type(value).__name__}")
    if not _KEY.fullmatch(value):
        raise ValueError("an idempotency key has 1 to 255 visible ASCII characters, of which the first is no quote")
    return value


def etag(version: int | str) -> str:
    """Return the entity tag of a version, as in ``if_match=wallet.version``; a tag in quotes is taken as it is."""
    return f'"{version}"' if isinstance(version, int) else version


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return ensure_utc(value)
    return dict(value) if isinstance(value, Mapping) else value


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return ensure_utc(value).isoformat().replace("+00:00", "Z")
    if isinstance(value, list | tuple):
        return ",".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)
