"""A serial model of payments, and of what else moves or stops money on the same wallets.

It shares nothing with the kind of command that it judges but the words.
"""

import random
from dataclasses import dataclass, field

from tests.server.ledger.paying import TOO_MUCH_MINOR, fee

__all__ = ["FUNDS_MINOR", "WALLETS", "Model", "Order", "random_orders"]

WALLETS = 8
FUNDS_MINOR = 5_000
_MISTAKE = "internal_error"


@dataclass(frozen=True)
class Order:
    """One order.

    Attributes:
        what: A step of a payment, ``transfer``, ``freeze`` or ``unfreeze``.
        payment: The number of the payment.
        payer, payee: Numbers of wallets; ``payer`` is the one to freeze or unfreeze.
        key: Number of an idempotency key.
    """

    what: str
    amount: int
    payment: int = 0
    payer: int = 0
    payee: int = 1
    key: int | None = None


@dataclass
class Payment:
    """A payment, and what has been done to it."""

    payer: int
    payee: int
    amount: int
    status: str = "created"
    refunded: int = 0
    told: list[str] = field(default_factory=lambda: ["payment.created"])


@dataclass
class Model:
    """A few wallets, the accounts between them, and all payments."""

    balances: list[int] = field(default_factory=lambda: [FUNDS_MINOR] * WALLETS)
    frozen: set[int] = field(default_factory=set)
    clearing: int = 0
    fees: int = 0
    payments: dict[int, Payment] = field(default_factory=dict)
    answers: dict[int, tuple[Order, str]] = field(default_factory=dict)

    def carry_out(self, order: Order) -> str:
        """Carry an order out, or return the code of what refuses it; ``ok`` otherwise."""
        if order.key is not None and order.key in self.answers:
            first, verdict = self.answers[order.key]
            return f"again {verdict}" if first == order else "idempotency_key_reused"
        verdict = str(getattr(self, f"_{order.what}")(order))
        if order.key is not None and verdict not in {"not_found", _MISTAKE}:
            self.answers[order.key] = (order, verdict)
        return verdict

    def _create(self, order: Order) -> str:
        if order.payment in self.payments:
            return "conflict"
        if order.amount >= TOO_MUCH_MINOR:
            return _MISTAKE
        self.payments[order.payment] = Payment(order.payer, order.payee, order.amount)
        return "ok"

    def _authorise(self, order: Order) -> str:
        payment = self.payments.get(order.payment)
        if payment is None or payment.status != "created":
            return "not_found" if payment is None else "conflict"
        if refusal := self._take(payment.payer, payment.amount):
            return refusal
        self.clearing += payment.amount
        return _done(payment, "authorised")

    def _capture(self, order: Order) -> str:
        payment = self.payments.get(order.payment)
        if payment is None or payment.status != "authorised":
            return "not_found" if payment is None else "conflict"
        if payment.payee in self.frozen:
            return "wallet_frozen"
        self.clearing -= payment.amount
        self.fees += fee(payment.amount)
        self.balances[payment.payee] += payment.amount - fee(payment.amount)
        return _done(payment, "captured")

    def _cancel(self, order: Order) -> str:
        payment = self.payments.get(order.payment)
        if payment is None or payment.status not in {"created", "authorised"}:
            return "not_found" if payment is None else "conflict"
        if payment.status == "authorised":
            if payment.payer in self.frozen:
                return "wallet_frozen"
            self.clearing -= payment.amount
            self.balances[payment.payer] += payment.amount
        return _done(payment, "cancelled")

    def _refund(self, order: Order) -> str:
        payment = self.payments.get(order.payment)
        if payment is None or payment.status != "captured":
            return "not_found" if payment is None else "conflict"
        if payment.refunded + order.amount > payment.amount:
            return "reversal_exceeds_entry"
        if {payment.payer, payment.payee} & self.frozen:
            return "wallet_frozen"
        if refusal := self._take(payment.payee, order.amount):
            return refusal
        self.balances[payment.payer] += order.amount
        payment.refunded += order.amount
        payment.told.append("payment.refunded")
        if payment.refunded == payment.amount:
            payment.status = "refunded"
        return "ok"

    def _transfer(self, order: Order) -> str:
        if {order.payer, order.payee} & self.frozen:
            return "wallet_frozen"
        if refusal := self._take(order.payer, order.amount):
            return refusal
        self.balances[order.payee] += order.amount
        return "ok"

    def _freeze(self, order: Order) -> str:
        if order.payer in self.frozen:
            return "wallet_frozen"
        self.frozen.add(order.payer)
        return "ok"

    def _unfreeze(self, order: Order) -> str:
        if order.payer not in self.frozen:
            return "wallet_not_frozen"
        self.frozen.remove(order.payer)
        return "ok"

    def _take(self, wallet: int, amount: int) -> str | None:
        """Take money out of a wallet, or say why not."""
        if wallet in self.frozen:
            return "wallet_frozen"
        if self.balances[wallet] < amount:
            return "insufficient_funds"
        self.balances[wallet] -= amount
        return None


def _done(payment: Payment, status: str) -> str:
    payment.status = status
    payment.told.append(f"payment.{status}")
    return "ok"


_WHATS = {
    "create": 24,
    "authorise": 24,
    "capture": 20,
    "cancel": 5,
    "refund": 12,
    "transfer": 20,
    "freeze": 2,
    "unfreeze": 4,
}


def random_orders(random_: random.Random, number: int, *, mistakes: float = 0.0, first: int = 0) -> list[Order]:
    """Return orders whose payments go through their lives within a few dozen orders, often in the wrong order.

    Args:
        random_: Chance.
        number: How many.
        mistakes: How often a new payment is one that only the database refuses.
        first: How many orders were made before, whose payments and keys may come up again.
    """
    orders: list[Order] = []
    for place in range(first, first + number):
        if orders and random_.random() < 0.08:
            orders.append(random_.choice(orders[-300:]))
            continue
        what = random_.choices(list(_WHATS), weights=list(_WHATS.values()))[0]
        payment = max(0, place // 4 - random_.randrange(12))
        # Whoever speaks of a payment knows between whom it is.
        payer, payee = (payment % WALLETS, (payment * 3 + 1) % WALLETS) if what in _ABOUT else (random_.randrange(8), 0)
        if payer == payee:
            payee = (payee + 1) % WALLETS
        amount = random_.choice((1, 20, 100, 400, 1_500))
        if what == "create" and random_.random() < mistakes:
            amount = TOO_MUCH_MINOR
        key = None
        if random_.random() < 0.4:
            key = place if random_.random() < 0.95 or place == 0 else random_.randrange(place)
        orders.append(Order(what, amount, payment, payer, payee, key))
    return orders


_ABOUT = {"create", "authorise", "capture", "cancel", "refund"}
