"""A serial model of the ledger: as simple as can be, and independent of the code that it judges.

Every wallet has one account in each of two currencies; amounts are plain integers on the credit side. An order is
carried out at once, or refused with the code of the first thing that is wrong.
"""

import random
from dataclasses import dataclass, field

CURRENCIES = ("EUR", "JPY")
CASH = "cash"


@dataclass
class Order:
    """One order, in terms of the model: wallets, entries and holds are numbers."""

    what: str
    amount: int = 0
    currency: str = "EUR"
    source: int = 0
    target: int = 0
    final: bool = True
    whole: bool = False


@dataclass
class Entry:
    """What was posted: (account, signed amount on the credit side), where an account is (owner, currency)."""

    postings: list[tuple[tuple[object, str], int]]
    reversing: bool = False
    reversed_amount: int = 0

    @property
    def amount(self) -> int:
        """Return the sum of its debits."""
        return sum(-signed for _, signed in self.postings if signed < 0)


@dataclass
class Hold:
    """A reservation from one wallet for another, or for nobody yet."""

    source: int
    target: int | None
    currency: str
    remaining: int
    open: bool = True


@dataclass
class Model:
    """The whole ledger of a few wallets."""

    wallets: int
    posted: dict[tuple[object, str], int] = field(default_factory=dict)
    held: dict[tuple[object, str], int] = field(default_factory=dict)
    pending: dict[tuple[object, str], int] = field(default_factory=dict)
    status: dict[int, str] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)

    def carry_out(self, order: Order) -> str:
        """Carry an order out, or return the code of what refuses it; ``ok`` otherwise."""
        return str(getattr(self, f"_{order.what}")(order))

    def _state(self, *wallets: int) -> str | None:
        for status in ("closed", "frozen"):
            for wallet in wallets:
                if self.status.get(wallet) == status:
                    return f"wallet_{status}"
        return None

    def _first_state(self, *wallets: int) -> str | None:
        # The parties of a transfer are looked at one after the other, each as a whole.
        return next((refusal for wallet in wallets if (refusal := self._state(wallet))), None)

    def _available(self, key: tuple[object, str]) -> int:
        return self.posted.get(key, 0) - self.held.get(key, 0)

    def _post(self, postings: list[tuple[tuple[object, str], int]]) -> str:
        after: dict[tuple[object, str], int] = {}
        for key, signed in postings:
            after[key] = after.get(key, 0) + signed
        for key, change in after.items():
            if key[0] != CASH and change < 0 and self._available(key) + change < 0:
                return "insufficient_funds"
        for key, change in after.items():
            self.posted[key] = self.posted.get(key, 0) + change
        self.entries.append(Entry(postings))
        return "ok"

    def _transfer(self, order: Order) -> str:
        if order.source == order.target:
            return "same_wallet"
        refusal = self._first_state(order.source, order.target)
        source, target = (order.source, order.currency), (order.target, order.currency)
        return refusal or self._post([(source, -order.amount), (target, order.amount)])

    def _top_up(self, order: Order) -> str:
        postings = [((CASH, order.currency), -order.amount), ((order.target, order.currency), order.amount)]
        return self._state(order.target) or self._post(postings)

    def _withdrawal(self, order: Order) -> str:
        postings = [((order.source, order.currency), -order.amount), ((CASH, order.currency), order.amount)]
        return self._state(order.source) or self._post(postings)

    def _freeze(self, order: Order) -> str:
        if refusal := self._state(order.source):
            return refusal
        self.status[order.source] = "frozen"
        return "ok"

    def _unfreeze(self, order: Order) -> str:
        status = self.status.get(order.source)
        if status != "frozen":
            return "wallet_closed" if status == "closed" else "wallet_not_frozen"
        del self.status[order.source]
        return "ok"

    def _close(self, order: Order) -> str:
        if self.status.get(order.source) == "closed":
            return "wallet_closed"
        for currency in CURRENCIES:
            key = (order.source, currency)
            if self.posted.get(key, 0) or self.held.get(key, 0) or self.pending.get(key, 0):
                return "wallet_not_empty"
        self.status[order.source] = "closed"
        return "ok"

    def _reverse(self, order: Order) -> str:
        if not self.entries:
            return "not_found"
        entry = self.entries[order.source % len(self.entries)]
        if entry.reversing:
            return "entry_not_reversible"
        remaining = entry.amount - entry.reversed_amount
        amount = remaining if order.whole else order.amount
        if amount > remaining or remaining == 0:
            return "reversal_exceeds_entry"
        refusal = self._state(*[owner for (owner, _), _ in entry.postings if isinstance(owner, int)])
        if refusal:
            return refusal
        answer = self._post([(key, -amount if signed > 0 else amount) for key, signed in entry.postings])
        if answer == "ok":
            self.entries[-1].reversing = True
            entry.reversed_amount += amount
        return answer

    def _hold(self, order: Order) -> str:
        target = None if order.whole else order.target
        if target == order.source:
            return "same_wallet"
        refusal = self._first_state(order.source, *([] if target is None else [target]))
        if refusal:
            return refusal
        key = (order.source, order.currency)
        if self._available(key) < order.amount:
            return "insufficient_funds"
        self.held[key] = self.held.get(key, 0) + order.amount
        if target is not None:
            there = (target, order.currency)
            self.pending[there] = self.pending.get(there, 0) + order.amount
        self.holds.append(Hold(order.source, target, order.currency, order.amount))
        return "ok"

    def _give_back(self, hold: Hold, amount: int) -> None:
        self.held[hold.source, hold.currency] -= amount
        if hold.target is not None:
            self.pending[hold.target, hold.currency] -= amount
        hold.remaining -= amount

    def _capture(self, order: Order) -> str:  # noqa: PLR0911 - one for each refusal
        if not self.holds:
            return "not_found"
        hold = self.holds[order.source % len(self.holds)]
        # A destination that the capture names itself is looked at before the hold.
        named = order.target if hold.target is None else None
        if named == hold.source:
            return "same_wallet"
        if named is not None and (refusal := self._state(named)):
            return refusal
        if not hold.open:
            return "hold_not_open"
        amount = hold.remaining if order.whole else order.amount
        if amount > hold.remaining:
            return "capture_exceeds_hold"
        target = hold.target if named is None else named
        if refusal := self._state(hold.source, target or 0) if target is not None else None:
            return refusal
        ends = order.final or amount == hold.remaining
        self._give_back(hold, hold.remaining if ends else amount)
        hold.open = not ends
        return self._post([((hold.source, hold.currency), -amount), ((target, hold.currency), amount)])

    def _release(self, order: Order) -> str:
        if not self.holds:
            return "not_found"
        hold = self.holds[order.source % len(self.holds)]
        if not hold.open:
            return "hold_not_open"
        self._give_back(hold, hold.remaining)
        hold.open = False
        return "ok"


WHATS = {
    "transfer": 30,
    "top_up": 14,
    "withdrawal": 8,
    "hold": 12,
    "capture": 10,
    "release": 5,
    "reverse": 10,
    "freeze": 3,
    "unfreeze": 6,
    "close": 1,
}


def random_order(random_: random.Random, wallets: int) -> Order:
    """Return an order that is as often refused as not."""
    return Order(
        what=random_.choices(list(WHATS), weights=list(WHATS.values()))[0],
        amount=random_.choice([1, 5, 20, 100, 250, 1000]),
        currency=random_.choice(CURRENCIES),
        source=random_.randrange(wallets) if random_.random() < 0.5 else random_.randrange(200),
        target=random_.randrange(wallets),
        final=random_.random() < 0.7,
        whole=random_.random() < 0.3,
    )
