"""A shop whose customers pay from wallets: what a partner writes, and tests in test_shop.py."""

import asyncio
from collections.abc import Iterable
from datetime import timedelta

from billfold import AsyncBillfold, Billfold, Money, errors

RESERVED_FOR = timedelta(minutes=30)


class CannotPay(Exception):
    """The customer's wallet doesn't hold the price.

    Attributes:
        missing: How much more it takes.
    """

    def __init__(self, missing: Money) -> None:
        super().__init__(f"{missing} are missing")
        self.missing = missing


def buy(billfold: Billfold, *, order: str, payer: str, till: str, price: Money) -> str:
    """Pay for an order and return the transfer's id; the same order is never paid twice."""
    try:
        transfer = billfold.transfers.create(
            from_wallet_id=payer, to_wallet_id=till, amount=price, idempotency_key=f"order-{order}"
        )
    except errors.InsufficientFunds as error:
        raise CannotPay(Money(error.required_minor - error.available_minor, price.currency)) from error
    return transfer.id


def reserve(billfold: Billfold, *, payer: str, till: str, price: Money) -> str:
    """Keep the price of what lies in a basket, for half an hour, and return the hold's id."""
    until = billfold.clock.get().now + RESERVED_FOR
    return billfold.holds.create(wallet_id=payer, to_wallet_id=till, amount=price, expires_at=until).id


async def refund(billfold: AsyncBillfold, transfers: Iterable[str]) -> None:
    """Give back what was paid for some orders, all at once."""
    await asyncio.gather(*(billfold.transfers.reverse(each, idempotency_key=f"refund-{each}") for each in transfers))
