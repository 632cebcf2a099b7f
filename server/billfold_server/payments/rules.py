"""How a payment moves from status to status, and what a rail's word does to it: pure decisions.

The statuses are those of ISO 20022's external code set of payment transaction statuses, as the UK's Read/Write API,
version 4, has them of domestic payments.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

import msgspec

from billfold.clock import ensure_utc
from billfold.contract.payments import PaymentBreak, PaymentOutcome, PaymentStatus
from billfold_server.connectors.service import Credit, Notice, Report, Word

__all__ = [
    "AFTERCARE",
    "BY_HAND",
    "FINAL",
    "HEARD",
    "MONEY",
    "OPENING",
    "PAYMENT_STATES",
    "UNDER_WAY",
    "WAITS",
    "Doing",
    "Effect",
    "Event",
    "Money",
    "Where",
    "as_kept",
    "credit_as_kept",
    "doing",
    "effect_of",
    "is_outside",
    "is_silent",
    "may_come_back",
    "may_resolve",
    "name_of_credit",
    "next_status",
    "resolved_status",
    "wait_after",
]

Event = Literal["pend", "validate", "approve", "accept", "change", "settle", "credit", "reject", "cancel", "block"]
"""What happens to a payment. The bank itself does the first three, by deciding; the others are words of a rail."""

_S = PaymentStatus

PAYMENT_STATES: Final[Mapping[tuple[PaymentStatus, Event], PaymentStatus]] = {
    (_S.RECEIVED, "pend"): _S.PENDING,
    (_S.RECEIVED, "validate"): _S.VALIDATED,
    (_S.RECEIVED, "reject"): _S.REJECTED,
    (_S.RECEIVED, "cancel"): _S.CANCELLED,
    (_S.PENDING, "validate"): _S.VALIDATED,
    (_S.PENDING, "reject"): _S.REJECTED,
    (_S.PENDING, "cancel"): _S.CANCELLED,
    (_S.VALIDATED, "approve"): _S.APPROVED,
    (_S.VALIDATED, "reject"): _S.REJECTED,
    (_S.VALIDATED, "cancel"): _S.CANCELLED,
    # From here on the rail has the say; it may leave steps out.
    (_S.APPROVED, "accept"): _S.IN_PROCESS,
    (_S.APPROVED, "change"): _S.ACCEPTED_WITH_CHANGE,
    (_S.APPROVED, "settle"): _S.SETTLED,
    (_S.APPROVED, "credit"): _S.CREDITED,
    (_S.APPROVED, "reject"): _S.REJECTED,
    (_S.APPROVED, "cancel"): _S.CANCELLED,
    (_S.APPROVED, "block"): _S.BLOCKED,
    (_S.IN_PROCESS, "change"): _S.ACCEPTED_WITH_CHANGE,
    (_S.IN_PROCESS, "settle"): _S.SETTLED,
    (_S.IN_PROCESS, "credit"): _S.CREDITED,
    (_S.IN_PROCESS, "reject"): _S.REJECTED,
    (_S.IN_PROCESS, "cancel"): _S.CANCELLED,
    (_S.IN_PROCESS, "block"): _S.BLOCKED,
    (_S.ACCEPTED_WITH_CHANGE, "settle"): _S.SETTLED,
    (_S.ACCEPTED_WITH_CHANGE, "credit"): _S.CREDITED,
    (_S.ACCEPTED_WITH_CHANGE, "reject"): _S.REJECTED,
    (_S.ACCEPTED_WITH_CHANGE, "cancel"): _S.CANCELLED,
    (_S.ACCEPTED_WITH_CHANGE, "block"): _S.BLOCKED,
    (_S.SETTLED, "credit"): _S.CREDITED,
}
"""The life of a payment. What isn't listed doesn't happen to it."""

FINAL: Final[frozenset[PaymentStatus]] = frozenset(
    status for status in PaymentStatus if not any(start is status for start, _ in PAYMENT_STATES)
)
"""From where nothing leads on."""

_BY_THE_BANK: Final[tuple[Event, ...]] = ("validate", "approve")
_RECEIVED: Final = (("receive", _S.RECEIVED),)


def _steps(*words: Event) -> tuple[tuple[str, PaymentStatus], ...]:
    """Return the steps that words make of a payment that comes in, each with where it leads."""
    status, steps = _S.RECEIVED, list(_RECEIVED)
    for word in words:
        status = PAYMENT_STATES[status, word]
        steps.append((word, status))
    return tuple(steps)


OPENING: Final[Mapping[bool, tuple[tuple[str, PaymentStatus], ...]]] = {
    True: _steps(*_BY_THE_BANK, "settle", "credit"),
    False: _steps(*_BY_THE_BANK),
}
"""The steps that a payment takes the moment it is ordered, by whether it stays inside, each with where it leads.

They are the same for all, so nobody writes them down (ADR 47): they follow from the payment's own row.
"""

HEARD: Final[frozenset[PaymentStatus]] = frozenset({_S.APPROVED, _S.IN_PROCESS, _S.ACCEPTED_WITH_CHANGE})
"""Where a rail is to be heard before anybody knows what becomes of the money."""

Where = Literal["inside", "under_way", "settled", "returned", "suspense", "by_hand"]
"""Where a payment's money is: in a wallet here, on the clearing account, gone, back, waiting for somebody, or back by
the hand of staff, who has closed the payment then."""

UNDER_WAY: Final[Where] = "under_way"
BY_HAND: Final[Where] = "by_hand"

Money = Literal["settle", "return", "park"]
"""What a status does with money that is under way: it leaves, goes back, or waits for somebody to look at it."""

MONEY: Final[Mapping[PaymentStatus, Money]] = {
    _S.SETTLED: "settle",
    _S.CREDITED: "settle",
    _S.REJECTED: "return",
    _S.CANCELLED: "return",
    # The rail neither sends it on nor gives it back.
    _S.BLOCKED: "park",
}
"""At which status money moves. It does so once: what comes later finds none under way."""


def next_status(status: PaymentStatus, event: Event) -> PaymentStatus:
    """Return the status to which an event leads.

    Raises:
        KeyError: It can't happen in this status.
    """
    return PAYMENT_STATES[status, event]


Effect = Literal["moves", "repeats", "late", "contradicts", "nothing"]
"""What a word does: it moves the payment on, says again what is so, comes after what it was before, says that
something else is so than was said, or says nothing."""

_SAYS: Final[Mapping[Word, PaymentStatus]] = {
    "accept": _S.IN_PROCESS,
    "change": _S.ACCEPTED_WITH_CHANGE,
    "settle": _S.SETTLED,
    "credit": _S.CREDITED,
    "reject": _S.REJECTED,
    "cancel": _S.CANCELLED,
    "block": _S.BLOCKED,
}


def effect_of(status: PaymentStatus, word: Word) -> Effect:
    """Return what a rail's word does to a payment.

    Two words contradict each other where they don't agree on what has become of the money. A payment that a rail was
    never told of contradicts whatever it says.

    Args:
        status: Where the payment stands.
        word: What the rail says.
    """
    if word == "pending":
        return "nothing"
    if status not in HEARD and status not in MONEY:
        return "contradicts"
    if (status, word) in PAYMENT_STATES:
        return "moves"
    said = _SAYS[word]
    if said is status:
        return "repeats"
    if MONEY.get(said, MONEY.get(status)) != MONEY.get(status):
        return "contradicts"
    # Both tell the same of the money: an earlier stage of what goes well, or another name for what went back.
    return "late"


_LONGEST_NAME: Final = 200
_LONGEST_REASON: Final = 35


def as_kept(report: Report) -> Report:
    """Return what a rail says in a form that can be written down, whatever it says.

    Names of notices stay different ones: what can't be kept as it is is known by its digest. Other texts are cut.
    """
    return msgspec.structs.replace(
        report,
        reference=_cut(report.reference, _LONGEST_NAME),
        notices=tuple(
            Notice(id=_name(each.id), word=each.word, reason=_cut(each.reason, _LONGEST_REASON), at=_at(each.at))
            for each in report.notices
        ),
    )


def credit_as_kept(credit: Credit) -> Credit:
    """Return money that a rail has in a form that can be written down, whatever the rail says of it.

    Its texts are made printable; its name is ``name_of_credit``'s to keep.
    """
    return msgspec.structs.replace(
        credit,
        end_to_end_id=_printable(credit.end_to_end_id),
        reference=None if credit.reference is None else _printable(credit.reference),
        reason=_cut(credit.reason, _LONGEST_REASON),
    )


def name_of_credit(key: str) -> str:
    """Return by which name money is known again that a rail has; different ones stay different.

    It has no blank: keys with one are other standards', and aren't remembered for as long.
    """
    return _digest(key) if " " in key else _name(key)


def _cut(text: str | None, longest: int) -> str | None:
    """Return a text without what no table holds, and no longer than that; None where nothing is left of it to read."""
    kept = "" if text is None else _printable(text)[:longest]
    return kept if kept.strip() else None


def _printable(text: str) -> str:
    return text if text.isprintable() else "".join(each if each.isprintable() else " " for each in text)


def _name(name: str) -> str:
    return name if name.isprintable() and len(name) <= _LONGEST_NAME else _digest(name)


def _digest(name: str) -> str:
    return f"sha256:{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()}"


def _at(at: datetime | None) -> datetime | None:
    """Return an instant in UTC, or None where it has no place in the calendar that tables and answers have."""
    if at is None:
        return None
    try:
        return ensure_utc(at.replace(tzinfo=UTC) if at.tzinfo is None else at)
    except ValueError:
        return None


WAITS: Final[tuple[timedelta, ...]] = (
    timedelta(seconds=10),
    timedelta(minutes=1),
    timedelta(minutes=10),
    timedelta(hours=1),
    timedelta(hours=6),
    timedelta(hours=24),
)
"""How long a rail is left alone after each time that it has said nothing new, on the tenant's clock. After the last
of them somebody must look at the payment; the rail is asked on, for as long each time, because whoever was away for two
days may well know what has become of the money."""

AFTERCARE: Final = timedelta(days=1)
"""After how long a rail is asked once more about a payment of which it has told the end."""


def wait_after(silences: int) -> timedelta:
    """Return how long to wait when a rail has said nothing new so many times in a row."""
    return WAITS[min(silences, len(WAITS) - 1)]


def is_silent(silences: int) -> bool:
    """Tell whether a rail has said nothing new so many times in a row that somebody must look at the payment."""
    return silences >= len(WAITS)


def may_resolve(
    status: PaymentStatus, money: Where, needs: PaymentBreak | None, outcome: PaymentOutcome, *, undone: bool = False
) -> bool:
    """Tell whether somebody may say of a payment what has become of it.

    Money that waits for a rail's word, or that a rail has blocked, may have left or go back; what was rejected can only
    go back. Money that has moved stays where it is, whatever is said of it. What staff has undone by hand is theirs to
    put right by hand: once all of it is back, the payment is closed without moving anything.

    Args:
        status: Where the payment stands.
        money: Where its money is.
        needs: Why somebody must look at it.
        outcome: What is said of it.
        undone: Whether staff has undone all of its entry by hand.
    """
    if needs is PaymentBreak.REVERSED_BY_HAND:
        return undone and outcome is PaymentOutcome.NOTED
    if undone and needs is PaymentBreak.SILENCE:
        return outcome is PaymentOutcome.RETURNED
    if needs is PaymentBreak.CONTRADICTION and money in {"inside", "settled", "returned", BY_HAND}:
        return outcome is PaymentOutcome.NOTED
    if needs is PaymentBreak.SILENCE and money == UNDER_WAY:
        return outcome is not PaymentOutcome.NOTED
    if needs is None or money != "suspense":
        return False
    return outcome is PaymentOutcome.RETURNED or (outcome is PaymentOutcome.SETTLED and status is _S.BLOCKED)


def resolved_status(status: PaymentStatus, outcome: PaymentOutcome) -> PaymentStatus:
    """Return where a payment stands once somebody has said what has become of it."""
    if outcome is PaymentOutcome.SETTLED:
        return _S.SETTLED
    if outcome is PaymentOutcome.RETURNED and status not in {_S.REJECTED, _S.CANCELLED}:
        return _S.REJECTED
    return status


def may_come_back(status: PaymentStatus, money: Where) -> bool:
    """Tell whether a rail may bring back a payment that it was given: it wasn't rejected, nor undone by hand.

    A rail may do so before it has told that the money left.

    Args:
        status: Where the payment stands.
        money: Where its money is.
    """
    return money != BY_HAND and MONEY.get(status) != "return"


def is_outside(amount_minor: int, *, paid_minor: int, returned_minor: int) -> bool:
    """Tell whether as much of a payment is still outside as a rail brings back, with all that it has brought before.

    A bank may keep its charges, or send money back in parts, but never more than it was sent.

    Args:
        amount_minor: How much the rail brings.
        paid_minor: How much was paid.
        returned_minor: How much the rail has brought before.
    """
    return 0 < amount_minor <= paid_minor - returned_minor


Doing = Literal["submit", "inquire", "nothing"]
"""What a turn at the rail does."""


def doing(status: PaymentStatus, *, turn: int, attempt: int) -> Doing:
    """Return how a turn at the rail begins.

    Only the very first try gives the order at once. Whoever can't tell whether it was given before asks first, and
    gives it where the rail says that it doesn't know of it.

    Args:
        status: Where the payment stands.
        turn: How often the rail has been asked and its answer was recorded.
        attempt: How often this turn was begun.
    """
    if status not in HEARD and status not in MONEY:
        return "nothing"
    return "submit" if turn == 0 and attempt == 1 else "inquire"
