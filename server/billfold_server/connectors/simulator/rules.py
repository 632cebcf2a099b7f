"""How the simulator answers: what an order says decides it, and nothing else does. Pure.

By default a payment is accepted and settled at once. An order whose reference or end-to-end id holds one of the words
below, or whose amount is the one beside it (in the currency's minor units), is answered otherwise::

    word               amount  what the rail does
    RAIL-CREDIT         66601  accepts and settles, and says that the money has arrived
    RAIL-CHANGE         66602  accepts with a change; settles by the first inquiry
    RAIL-LATE           66603  accepts; settles only by the second inquiry
    RAIL-TWICE          66604  accepts and settles, and says both twice, as notices of their own
    RAIL-ORDER          66605  settles, and says afterwards that it accepts
    RAIL-CONTRARY       66606  settles, and says by the first inquiry that it rejects
    RAIL-REVIVE         66607  rejects, and says by the first inquiry that it settles
    RAIL-SILENT         66608  takes the order and doesn't answer; asked, it knows of it and says nothing
    RAIL-LOST           66609  loses the first order without an answer; takes the second one and settles
    RAIL-DEAF           66610  doesn't answer at all, and keeps nothing
    RAIL-REJECT         66611  rejects: the account is closed (AC04)
    RAIL-REJECT-LATE    66612  accepts; rejects by the second inquiry (AC04)
    RAIL-CANCEL         66613  calls it off (CUST)
    RAIL-BLOCK          66614  accepts; blocks it by the first inquiry (RR04)
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from billfold_server.connectors.words import Instruction, Notice, Report, Word

__all__ = ["BEHAVIOURS", "PROMPT", "Behaviour", "Saying", "behaviour_of", "report"]


class Saying(msgspec.Struct, frozen=True):
    """Something that is said of an order.

    Attributes:
        word: What.
        reason: Why.
        after: From which inquiry on; 0 is at once.
        times: How often, each time as a notice of its own.
    """

    word: Word
    reason: str | None = None
    after: int = 0
    times: int = 1


class Behaviour(msgspec.Struct, frozen=True, kw_only=True):
    """How an order is answered.

    Attributes:
        word: By what an order asks for it.
        amount_minor: By which amount it does.
        sayings: What is said of it.
        lost: How many times the order is lost before it is taken.
        answers_orders: Whether whoever gives the order is answered.
        answers_inquiries: Whether whoever asks is.
    """

    word: str
    amount_minor: int
    sayings: tuple[Saying, ...] = ()
    lost: int = 0
    answers_orders: bool = True
    answers_inquiries: bool = True


PROMPT: Final = Behaviour(word="", amount_minor=0, sayings=(Saying("accept"), Saying("settle")))
"""How an order is answered that asks for nothing else."""

_NEVER: Final = 1_000_000

BEHAVIOURS: Final[tuple[Behaviour, ...]] = (
    Behaviour(word="RAIL-CREDIT", amount_minor=66601, sayings=(Saying("accept"), Saying("settle"), Saying("credit"))),
    Behaviour(word="RAIL-CHANGE", amount_minor=66602, sayings=(Saying("change"), Saying("settle", after=1))),
    Behaviour(word="RAIL-LATE", amount_minor=66603, sayings=(Saying("accept"), Saying("settle", after=2))),
    Behaviour(word="RAIL-TWICE", amount_minor=66604, sayings=(Saying("accept", times=2), Saying("settle", times=2))),
    Behaviour(word="RAIL-ORDER", amount_minor=66605, sayings=(Saying("settle"), Saying("accept"))),
    Behaviour(word="RAIL-CONTRARY", amount_minor=66606, sayings=(Saying("settle"), Saying("reject", "AC04", after=1))),
    Behaviour(word="RAIL-REVIVE", amount_minor=66607, sayings=(Saying("reject", "AC04"), Saying("settle", after=1))),
    Behaviour(word="RAIL-SILENT", amount_minor=66608, answers_orders=False),
    Behaviour(
        word="RAIL-LOST",
        amount_minor=66609,
        sayings=(Saying("accept"), Saying("settle")),
        lost=1,
    ),
    Behaviour(word="RAIL-DEAF", amount_minor=66610, lost=_NEVER, answers_inquiries=False),
    # The longer word comes before the one that it holds.
    Behaviour(
        word="RAIL-REJECT-LATE", amount_minor=66612, sayings=(Saying("accept"), Saying("reject", "AC04", after=2))
    ),
    Behaviour(word="RAIL-REJECT", amount_minor=66611, sayings=(Saying("reject", "AC04"),)),
    Behaviour(word="RAIL-CANCEL", amount_minor=66613, sayings=(Saying("cancel", "CUST"),)),
    Behaviour(word="RAIL-BLOCK", amount_minor=66614, sayings=(Saying("accept"), Saying("block", "RR04", after=1))),
)
"""Every other way of answering."""


def behaviour_of(instruction: Instruction) -> Behaviour:
    """Return how an order is answered."""
    text = f"{instruction.reference or ''} {instruction.end_to_end_id}".upper()
    for each in BEHAVIOURS:
        if each.word in text or each.amount_minor == instruction.amount.amount_minor:
            return each
    return PROMPT


def report(key: str, sayings: Sequence[Saying], inquiries: int) -> Report:
    """Return all that has been said of an order once it has been asked about so many times; always the same."""
    notices = [
        Notice(id=f"{key}-{place}-{time}", word=saying.word, reason=saying.reason)
        for place, saying in enumerate(sayings)
        if saying.after <= inquiries
        for time in range(saying.times)
    ]
    return Report(reference=f"SIM{key[-12:].upper()}", notices=tuple(notices))
