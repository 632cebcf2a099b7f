"""A serial model of the ledger: as simple as can be, and independent of the code that it judges.

Accounts are (owner, currency), where the owner is a wallet's number or a name in the chart of accounts. Posted amounts
are signed, positive is debit. An order is carried out at once, or refused with the code of what is wrong with it first.
Whatever an order has changed is kept in a history, from which balances as of any time are added up again.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tests.server.ledger.orders import BACKDATE_DAYS, CHART, CURRENCIES, UNKNOWN, WALLETS, Order, account_name, lines

Key = tuple[object, str]
CASH = "cash"
DEBIT_NORMAL = {CASH, "float"}
NOT_KEPT = {"not_found"}
FLOAT_LIMIT = 500


@dataclass
class Entry:
    """What was posted, by which kind of order, and how much of it has been undone."""

    kind: str
    postings: list[tuple[Key, int]]
    reversing: bool = False
    reversed_amount: int = 0

    @property
    def amount(self) -> int:
        """Return the sum of its debits."""
        return sum(signed for _, signed in self.postings if signed > 0)


@dataclass
class Hold:
    """A reservation on one account for another, or for nobody yet."""

    source: Key
    target: Key | None
    remaining: int
    expires_at: datetime | None
    open: bool = True


@dataclass
class Alias:
    """A name that a wallet has, or had."""

    wallet: int
    scheme: str
    normal: str
    gone: bool = False


@dataclass(frozen=True)
class Change:
    """What one order has changed on one account, and when it took effect."""

    number: int
    effective_at: datetime
    key: Key
    posted: int = 0
    pending: int = 0
    held: int = 0


@dataclass
class Model:
    """The whole ledger of a few wallets.

    Attributes:
        now: The tenant's time.
        number: How many orders were given; the number of the present one.
    """

    now: datetime
    number: int = 0
    posted: dict[Key, int] = field(default_factory=lambda: defaultdict(int))
    held: dict[Key, int] = field(default_factory=lambda: defaultdict(int))
    pending: dict[Key, int] = field(default_factory=lambda: defaultdict(int))
    limits: dict[Key, int | None] = field(default_factory=dict)
    status: dict[int, str] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    aliases: list[Alias] = field(default_factory=list)
    codes: set[int] = field(default_factory=set)
    answers: dict[int, tuple[Order, str]] = field(default_factory=dict)
    history: list[Change] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Give the accounts their overdraft limits: none in the chart but for one, nothing in wallets."""
        self.limits = {(wallet, currency): 0 for wallet in range(WALLETS) for currency in CURRENCIES}
        for key in (*CHART, *((CASH, currency) for currency in CURRENCIES)):
            self.limits[key] = FLOAT_LIMIT if key[0] == "float" else None

    def carry_out(self, order: Order) -> str:
        """Carry an order out, or return the code of what refuses it; ``ok`` otherwise.

        A copy of an order under its idempotency key gets ``again`` and the first one's verdict.
        """
        self.number += 1
        if order.key is not None and order.key in self.answers:
            first, verdict = self.answers[order.key]
            return f"again {verdict}" if first == order else "idempotency_key_reused"
        verdict = str(getattr(self, f"_{order.what}")(order))
        if order.key is not None and verdict not in NOT_KEPT:
            self.answers[order.key] = (order, verdict)
        return verdict

    def as_of(self, key: Key, *, effective_at: datetime | None, number: int | None) -> tuple[int, int, int]:
        """Return an account's posted, pending and held balance, adding up what had been ordered and was in effect."""
        changes = [
            change
            for change in self.history
            if change.key == key
            and (effective_at is None or change.effective_at <= effective_at)
            and (number is None or change.number <= number)
        ]
        posted = self._shown(key, sum(change.posted for change in changes))
        return posted, sum(change.pending for change in changes), sum(change.held for change in changes)

    def balance(self, key: Key) -> tuple[int, int, int]:
        """Return an account's present posted, pending and held balance."""
        return self._shown(key, self.posted[key]), self.pending[key], self.held[key]

    # What orders have in common.

    def _shown(self, key: Key, signed: int) -> int:
        return signed if key[0] in DEBIT_NORMAL else -signed

    def _available(self, key: Key) -> int:
        return self._shown(key, self.posted[key]) - self.held[key]

    def _state(self, *wallets: object) -> str | None:
        for status in ("closed", "frozen"):
            for wallet in wallets:
                if isinstance(wallet, int) and self.status.get(wallet) == status:
                    return f"wallet_{status}"
        return None

    def _first_state(self, *wallets: int) -> str | None:
        # The parties of a transfer are looked at one after the other, each as a whole.
        return next((refusal for wallet in wallets if (refusal := self._state(wallet))), None)

    def _allowed(self, effective_at: datetime | None) -> bool:
        oldest = self.now - timedelta(days=BACKDATE_DAYS)
        return effective_at is None or oldest <= effective_at <= self.now

    def _short(self, key: Key, available: int) -> bool:
        """Tell whether an available balance is below the limit, and has come down to it."""
        limit = self.limits[key]
        return limit is not None and available < -limit and available < self._available(key)

    def _post(self, kind: str, postings: list[tuple[Key, int]], effective_at: datetime | None = None) -> str:
        """Post an entry whose accounts exist and whose wallets' states have been looked at."""
        change: dict[Key, int] = defaultdict(int)
        for key, signed in postings:
            change[key] += signed
        if any(self._short(key, self._available(key) + self._shown(key, signed)) for key, signed in change.items()):
            return "insufficient_funds"
        for key, signed in change.items():
            self.posted[key] += signed
            self.history.append(Change(self.number, effective_at or self.now, key, posted=signed))
        self.entries.append(Entry(kind, postings))
        return "ok"

    # Movements and journal entries.

    def _move(self, order: Order, debit: Key, credit: Key) -> str:
        if refusal := self._first_state(*(owner for owner, _ in (debit, credit) if isinstance(owner, int))):
            return refusal
        if not self._allowed(order.effective_at):
            return "effective_date_not_allowed"
        return self._post(order.what, [(debit, order.amount), (credit, -order.amount)], order.effective_at)

    def _transfer(self, order: Order) -> str:
        if order.source == order.target:
            return "same_wallet"
        return self._move(order, (order.source, order.currency), (order.target, order.currency))

    def _top_up(self, order: Order) -> str:
        return self._move(order, (CASH, order.currency), (order.target, order.currency))

    def _withdrawal(self, order: Order) -> str:
        return self._move(order, (order.source, order.currency), (CASH, order.currency))

    def _journal(self, order: Order) -> str:
        posted = lines(order)
        if not self._allowed(order.effective_at):
            return "effective_date_not_allowed"
        if any(number == UNKNOWN for number, _, _ in posted):
            return "not_found"
        postings = [(account_name(number), amount) for number, amount, _ in posted]
        if refusal := self._state(*(owner for (owner, _), _ in postings)):
            return refusal
        if any(key[1] != currency for (key, _), (_, _, currency) in zip(postings, posted, strict=True)):
            return "currency_mismatch"
        if any(sum(amount for _, amount, each in posted if each == currency) for currency in CURRENCIES):
            return "unbalanced_entry"
        return self._post("journal", postings, order.effective_at)

    def _reverse(self, order: Order) -> str:
        entry = self.entries[order.source]
        if entry.reversing:
            return "entry_not_reversible"
        remaining = entry.amount - entry.reversed_amount
        amount = remaining if order.whole else order.amount
        if amount > remaining or remaining == 0:
            return "reversal_exceeds_entry"
        if amount != entry.amount and len(entry.postings) != 2:
            return "entry_not_reversible"
        if refusal := self._state(*(owner for (owner, _), _ in entry.postings)):
            return refusal
        share = [
            (key, -signed if amount == entry.amount else -amount if signed > 0 else amount)
            for key, signed in entry.postings
        ]
        answer = self._post("reversal", share)
        if answer == "ok":
            self.entries[-1].reversing = True
            entry.reversed_amount += amount
        return answer

    _undo = _reverse

    # Wallets, accounts and aliases.

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
        if any(self.balance((order.source, currency)) != (0, 0, 0) for currency in CURRENCIES):
            return "wallet_not_empty"
        self.status[order.source] = "closed"
        return "ok"

    def _limit(self, order: Order) -> str:
        number = order.account or 0
        if number == UNKNOWN:
            return "not_found"
        limit = None if order.whole else order.amount
        key = account_name(number)
        if limit is not None and self._available(key) < -limit:
            return "insufficient_funds"
        self.limits[key] = limit
        return "ok"

    def _open(self, order: Order) -> str:
        if order.amount in self.codes:
            return "account_code_taken"
        self.codes.add(order.amount)
        return "ok"

    def _alias(self, order: Order) -> str:
        if self.status.get(order.source) == "closed":
            return "wallet_closed"
        scheme, normal = ("reference" if order.final else "name"), f"alias {order.amount}"
        if any((alias.scheme, alias.normal, alias.gone) == (scheme, normal, False) for alias in self.aliases):
            return "alias_taken"
        self.aliases.append(Alias(order.source, scheme, normal))
        return "ok"

    def _unalias(self, order: Order) -> str:
        alias = self.aliases[order.source]
        if alias.gone:
            return "not_found"
        alias.gone = True
        return "ok"

    # Holds.

    def _reserve(self, hold: Hold, amount: int) -> None:
        self.held[hold.source] += amount
        self.history.append(Change(self.number, self.now, hold.source, held=amount))
        if hold.target is not None:
            self.pending[hold.target] += amount
            self.history.append(Change(self.number, self.now, hold.target, pending=amount))

    def _hold(self, order: Order) -> str:
        source: Key = (order.source, order.currency)
        there = self._target(order)
        names_wallet = order.account is None and there is not None
        if names_wallet and order.target == order.source:
            return "same_wallet"
        wallets = (order.source, order.target) if names_wallet else (order.source,)
        if refusal := self._first_state(*wallets) or self._not_payable(order.account, source):
            return refusal
        if order.expires_at is not None and order.expires_at <= self.now:
            return "effective_date_not_allowed"
        if there is not None and (refusal := self._state(there[0])):
            return refusal
        if self._short(source, self._available(source) - order.amount):
            return "insufficient_funds"
        self.holds.append(Hold(source, there, order.amount, order.expires_at))
        self._reserve(self.holds[-1], order.amount)
        return "ok"

    def _target(self, order: Order) -> Key | None:
        """Return the account for which an order wants a hold, by its wallet or itself."""
        if order.account is not None:
            return None if order.account == UNKNOWN else account_name(order.account)
        return None if order.whole else (order.target, order.currency)

    def _not_payable(self, number: int | None, source: Key) -> str | None:
        """Return what speaks against an account as the destination of what is held on another."""
        if number is None:
            return None
        if number == UNKNOWN:
            return "not_found"
        if account_name(number) == source:
            return "same_wallet"
        return "currency_mismatch" if account_name(number)[1] != source[1] else None

    def _capture(self, order: Order) -> str:  # noqa: PLR0911 - one for each refusal
        hold = self.holds[order.source]
        refusal, there = self._destination(order, hold)
        if refusal in {"same_wallet", "not_found", "wallet_closed", "wallet_frozen"}:
            return refusal
        if not hold.open or self._lapsed(hold):
            return "hold_not_open"
        amount = hold.remaining if order.whole else order.amount
        if amount > hold.remaining:
            return "capture_exceeds_hold"
        if there is None:
            return "hold_has_no_destination"
        if refusal := self._state(hold.source[0], there[0]) or refusal:
            return refusal
        ends = order.final or amount == hold.remaining
        if self._short(there, self._available(there) + self._shown(there, -amount)):
            return "insufficient_funds"
        self._reserve(hold, -(hold.remaining if ends else amount))
        hold.remaining, hold.open = hold.remaining - amount, not ends
        answer = self._post("capture", [(hold.source, amount), (there, -amount)])
        assert answer == "ok", answer
        return answer

    def _destination(self, order: Order, hold: Hold) -> tuple[str | None, Key | None]:
        """Return where a capture goes, and what speaks against it; a destination that it names itself goes first."""
        if order.account is not None:
            there = None if order.account == UNKNOWN else account_name(order.account)
            return self._not_payable(order.account, hold.source), there
        if hold.target is not None and order.balanced:
            return None, hold.target
        if order.wrong:
            return None, hold.target
        if order.target == hold.source[0]:
            return "same_wallet", None
        return self._state(order.target), (order.target, hold.source[1])

    def _lapsed(self, hold: Hold) -> bool:
        return hold.expires_at is not None and hold.expires_at <= self.now

    def _release(self, order: Order) -> str:
        hold = self.holds[order.source]
        if not hold.open or self._lapsed(hold):
            return "hold_not_open"
        return self._end(hold)

    def _expire(self, order: Order) -> str:
        hold = self.holds[order.source]
        return self._end(hold) if hold.open and self._lapsed(hold) else "ok"

    def _end(self, hold: Hold) -> str:
        self._reserve(hold, -hold.remaining)
        hold.remaining, hold.open = 0, False
        return "ok"
