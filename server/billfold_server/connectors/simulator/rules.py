"""How the simulator answers: what an order says decides it, or what it was told to play. Pure.

By default a payment is accepted and settled at once. An order whose reference or end-to-end id holds the word of a row
of ``BEHAVIOURS``, whose amount is the one beside it (in the currency's minor units), or whose payee's account ends in
that amount with three noughts before it, is answered as the row says.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from billfold_server.connectors.words import Instruction, Notice, Report, Word

__all__ = ["BEHAVIOURS", "PROMPT", "Behaviour", "Saying", "behaviour_of", "listed", "rejection", "report", "table"]


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
        does: What the rail does, in words.
        amount_minor: By which amount it does.
        sayings: What is said of it.
        lost: How many times the order is lost before it is taken.
        answers_orders: Whether whoever gives the order is answered.
        answers_inquiries: Whether whoever asks is.
    """

    word: str
    amount_minor: int
    does: str = ""
    sayings: tuple[Saying, ...] = ()
    lost: int = 0
    answers_orders: bool = True
    answers_inquiries: bool = True

    @property
    def account_ending(self) -> str:
        """How the number of a payee's account ends that asks for it."""
        return f"000{self.amount_minor}"


PROMPT: Final = Behaviour(word="", amount_minor=0, sayings=(Saying("accept"), Saying("settle")))
"""How an order is answered that asks for nothing else."""

_NEVER: Final = 1_000_000

BEHAVIOURS: Final[tuple[Behaviour, ...]] = (
    Behaviour(
        word="RAIL-CREDIT",
        amount_minor=66601,
        does="accepts and settles, and says that the money has arrived",
        sayings=(Saying("accept"), Saying("settle"), Saying("credit")),
    ),
    Behaviour(
        word="RAIL-CHANGE",
        amount_minor=66602,
        does="accepts with a change; settles by the first inquiry",
        sayings=(Saying("change"), Saying("settle", after=1)),
    ),
    Behaviour(
        word="RAIL-LATE",
        amount_minor=66603,
        does="accepts; settles only by the second inquiry",
        sayings=(Saying("accept"), Saying("settle", after=2)),
    ),
    Behaviour(
        word="RAIL-TWICE",
        amount_minor=66604,
        does="accepts and settles, and says both twice, as notices of their own",
        sayings=(Saying("accept", times=2), Saying("settle", times=2)),
    ),
    Behaviour(
        word="RAIL-ORDER",
        amount_minor=66605,
        does="settles, and says afterwards that it accepts",
        sayings=(Saying("settle"), Saying("accept")),
    ),
    Behaviour(
        word="RAIL-CONTRARY",
        amount_minor=66606,
        does="settles, and says by the first inquiry that it rejects",
        sayings=(Saying("settle"), Saying("reject", "AC04", after=1)),
    ),
    Behaviour(
        word="RAIL-REVIVE",
        amount_minor=66607,
        does="rejects, and says by the first inquiry that it settles",
        sayings=(Saying("reject", "AC04"), Saying("settle", after=1)),
    ),
    Behaviour(
        word="RAIL-SILENT",
        amount_minor=66608,
        does="takes the order and doesn't answer; asked, it knows of it and says nothing",
        answers_orders=False,
    ),
    Behaviour(
        word="RAIL-LOST",
        amount_minor=66609,
        does="loses the first order without an answer; takes the second one and settles",
        sayings=(Saying("accept"), Saying("settle")),
        lost=1,
    ),
    Behaviour(
        word="RAIL-DEAF",
        amount_minor=66610,
        does="doesn't answer at all, and keeps nothing",
        lost=_NEVER,
        answers_inquiries=False,
    ),
    # The longer word comes before the one that it holds.
    Behaviour(
        word="RAIL-REJECT-LATE",
        amount_minor=66612,
        does="accepts; rejects by the second inquiry (AC04)",
        sayings=(Saying("accept"), Saying("reject", "AC04", after=2)),
    ),
    Behaviour(
        word="RAIL-REJECT",
        amount_minor=66611,
        does="rejects: the account is closed (AC04)",
        sayings=(Saying("reject", "AC04"),),
    ),
    Behaviour(word="RAIL-CANCEL", amount_minor=66613, does="calls it off (CUST)", sayings=(Saying("cancel", "CUST"),)),
    Behaviour(
        word="RAIL-BLOCK",
        amount_minor=66614,
        does="accepts; blocks it by the first inquiry (RR04)",
        sayings=(Saying("accept"), Saying("block", "RR04", after=1)),
    ),
)
"""Every other way of answering."""


def behaviour_of(instruction: Instruction) -> Behaviour:
    """Return how an order is answered."""
    text = f"{instruction.reference or ''} {instruction.end_to_end_id}".upper()
    account, amount_minor = instruction.creditor.identification, instruction.amount.amount_minor
    for each in BEHAVIOURS:
        if each.word in text or each.amount_minor == amount_minor or account.endswith(each.account_ending):
            return each
    return PROMPT


def rejection(reason: str) -> Behaviour:
    """Return how an order is answered that is rejected because somebody has said so."""
    return Behaviour(word="", amount_minor=0, sayings=(Saying("reject", reason),))


def report(key: str, sayings: Sequence[Saying], inquiries: int) -> Report:
    """Return all that has been said of an order once it has been asked about so many times; always the same."""
    notices = [
        Notice(id=f"{key}-{place}-{time}", word=saying.word, reason=saying.reason)
        for place, saying in enumerate(sayings)
        if saying.after <= inquiries
        for time in range(saying.times)
    ]
    return Report(reference=f"SIM{key[-12:].upper()}", notices=tuple(notices))


def listed() -> list[Behaviour]:
    """Return the ways of answering in the order in which they are shown: that of their amounts."""
    return sorted(BEHAVIOURS, key=lambda each: each.amount_minor)


def table() -> str:
    """Return every value that means something, as a table in Markdown: the only place where they are written down."""
    rows = [f"| `{each.word}` | {each.amount_minor} | `…{each.account_ending}` | {each.does} |" for each in listed()]
    head = [
        "| Reference or end-to-end id has | Amount | Payee's account ends in | The rail |",
        "| --- | --- | --- | --- |",
    ]
    return "\n".join([*head, *rows])
