"""Orders in terms of the serial model, where wallets, accounts, entries, holds and aliases are numbers.

An order means the same to the model and to the engine. It may be wrong in every way that a request can be wrong
without being malformed.
"""

import random
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.server.ledger.model import Model

WALLETS = 6
CURRENCIES = ("EUR", "JPY", "USD")
"""The last one is opened by the first money that arrives; the others are there from the beginning."""
OPENED = CURRENCIES[:2]
CHART = (("fees", "EUR"), ("float", "EUR"), ("reserve", "JPY"))
"""Accounts of the chart of accounts: income, asset and equity; the asset account has an overdraft limit."""
UNKNOWN = len(CHART) + WALLETS * len(OPENED)
"""The number of an account that there isn't."""
BACKDATE_DAYS = 30


@dataclass(frozen=True)
class Order:
    """One order.

    Attributes:
        what: The kind of command.
        source, target: Numbers of wallets; ``source`` is that of an entry, a hold or an alias where one is named.
        account: Number of an account as a hold's or capture's destination, or as what a limit is set on.
        picks: Account numbers and amounts of a journal entry's postings.
        balanced: Whether further postings balance these.
        wrong: Whether the first posting names another currency than its account's.
        final, whole: Switches, see the model.
        age: How long ago it took effect; negative is the future.
        effective_at, expires_at: Instants, made of ``age`` and ``lasts`` when the order is given first.
        lasts: For how long a hold lasts.
        key: Number of an idempotency key.
    """

    what: str
    amount: int = 1
    currency: str = "EUR"
    source: int = 0
    target: int = 1
    account: int | None = None
    picks: tuple[tuple[int, int], ...] = ()
    balanced: bool = True
    wrong: bool = False
    final: bool = True
    whole: bool = False
    age: timedelta | None = None
    lasts: timedelta | None = None
    effective_at: datetime | None = None
    expires_at: datetime | None = None
    key: int | None = None


def account_name(number: int) -> tuple[object, str]:
    """Return the owner and currency of an account by its number."""
    if number < len(CHART):
        return CHART[number]
    wallet, currency = divmod(number - len(CHART), len(OPENED))
    return wallet, OPENED[currency]


def lines(order: Order) -> list[tuple[int, int, str]]:
    """Return a journal entry's postings: account number, signed amount (positive is debit) and currency."""
    posted = [
        (number, amount, account_name(number)[1] if number < UNKNOWN else "EUR") for number, amount in order.picks
    ]
    if order.wrong:
        number, amount, currency = posted[0]
        posted[0] = (number, amount, OPENED[1 - OPENED.index(currency)])
    if order.balanced:
        for number, currency in enumerate(OPENED):
            difference = sum(amount for _, amount, each in posted if each == currency)
            if difference:
                # The first account of the chart in each currency takes what is left over.
                posted.append((2 * number, -difference, currency))
    return posted


REFERRING = {"reverse": "entries", "undo": "entries", "capture": "holds", "release": "holds", "expire": "holds"}


def resolve(order: Order, model: "Model") -> Order | None:
    """Settle what an order refers to before its batch is given, or return None where there is nothing of the kind.

    Otherwise the two sides could mean different things, because the engine's side knows no id before the answer.
    """
    if order.what in REFERRING or order.what == "unalias":
        known = len(model.aliases if order.what == "unalias" else getattr(model, REFERRING[order.what]))
        if not known:
            return None
        order = replace(order, source=order.source % known)
    else:
        order = replace(order, source=order.source % WALLETS)
    if order.what == "undo" and model.entries[order.source].kind not in {"transfer", "top_up", "withdrawal"}:
        order = replace(order, what="reverse")
    if order.what == "journal" and len(lines(order)) < 2:
        return None
    return replace(
        order,
        effective_at=None if order.age is None else model.now - order.age,
        expires_at=None if order.lasts is None else model.now + order.lasts,
    )


WHATS = {
    "transfer": 26,
    "top_up": 12,
    "withdrawal": 7,
    "journal": 12,
    "hold": 12,
    "capture": 10,
    "release": 4,
    "expire": 4,
    "reverse": 6,
    "undo": 4,
    "freeze": 3,
    "unfreeze": 6,
    "close": 2,
    "limit": 2,
    "alias": 4,
    "unalias": 2,
    "open": 1,
}
AMOUNTS = (1, 5, 20, 100, 250, 1000)
AGES = (timedelta(), timedelta(days=1), timedelta(days=BACKDATE_DAYS), timedelta(days=31), -timedelta(seconds=1))
LASTS = (timedelta(hours=1), timedelta(hours=30), timedelta(days=4), timedelta(), -timedelta(hours=1))


def random_order(random_: random.Random) -> Order:
    """Return an order that is as often refused as not."""
    chance = random_.random
    return Order(
        what=random_.choices(list(WHATS), weights=list(WHATS.values()))[0],
        amount=random_.choice(AMOUNTS),
        currency=random_.choice(CURRENCIES),
        source=random_.randrange(200),
        target=random_.randrange(WALLETS),
        account=random_.randrange(UNKNOWN + 1) if chance() < 0.2 else None,
        picks=tuple(
            (random_.randrange(UNKNOWN + (chance() < 0.05)), random_.choice(AMOUNTS) * random_.choice((1, -1)))
            for _ in range(random_.randrange(1, 5))
        ),
        balanced=chance() < 0.85,
        wrong=chance() < 0.07,
        final=chance() < 0.7,
        whole=chance() < 0.3,
        age=random_.choice(AGES) + timedelta(seconds=random_.randrange(90)) if chance() < 0.3 else None,
        lasts=random_.choice(LASTS) if chance() < 0.5 else None,
    )


def random_batch(random_: random.Random, model: "Model", keyed: list[Order], size: int) -> list[Order]:
    """Return orders to be given at once; some are copies of orders with idempotency keys, in this batch or before.

    Args:
        random_: Chance.
        model: The books as they are before.
        keyed: The orders with keys so far; new ones are added.
        size: About how many.
    """
    batch = []
    for _ in range(size):
        if keyed and random_.random() < 0.08:
            batch.append(random_.choice(keyed[-200:]))
            continue
        order = resolve(random_order(random_), model)
        if order is None:
            continue
        if random_.random() < 0.3:
            reused = keyed and random_.random() < 0.05
            order = replace(order, key=random_.choice(keyed).key if reused else len(keyed))
            keyed.append(order)
        batch.append(order)
    return batch
