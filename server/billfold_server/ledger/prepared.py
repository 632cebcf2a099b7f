"""A batch that is decided, whom that is told while it is being written, and what of it was shown before."""

import asyncio
import contextvars
import functools
from collections.abc import Collection, Hashable, Mapping, Sequence
from datetime import datetime

import msgspec
import structlog

from billfold.errors import ProblemError
from billfold_server.db.sets import Write
from billfold_server.db.wakeups import Work
from billfold_server.ledger.books import Changes, Place, StoredAnswer
from billfold_server.ledger.deciding import Answers
from billfold_server.ledger.protocol import Answer, Foresee, OneUses
from billfold_server.ledger.queue import Item
from billfold_server.tenancy.transaction import TenantTx

__all__ = ["Prepared", "find_copies", "foretold", "remembering", "with_copies", "work_of"]

_log = structlog.get_logger(__name__)

Foretold = list[tuple[Foresee, Answer]]
"""Who wants to know, and what each will be answered."""


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A batch that is decided.

    Attributes:
        kept: The answers that are kept under idempotency keys.
        place: Where it leaves the ledger.
        work: What it leaves to the background.
        changed: The keys of changed rows of which a caller may have seen how they were.
        foretold: Who wants to know what they will be answered if it is committed, and what that is.
    """

    answers: Answers
    kept: list[StoredAnswer]
    writes: list[Write]
    place: Place
    work: Work
    changed: Mapping[type, Collection[Hashable]]
    foretold: Foretold

    def foretell(self) -> None:
        """Tell who wants to know, once the batch is on its way to the database."""
        if self.foretold:
            loop = asyncio.get_running_loop()
            # What is decided is sent in the next turn of the event loop, so it doesn't wait for what they do in the one
            # after that; and whatever they begin has nothing of the batch's transaction.
            tell = functools.partial(loop.call_soon, _foretell, self.foretold, context=contextvars.Context())
            loop.call_soon(tell)


def _foretell(told: Foretold) -> None:
    for foresee, answer in told:
        try:
            foresee(answer)
        except Exception:  # noqa: BLE001 - it is only about being ready sooner
            _log.exception("ledger_foresee_failed")


def foretold(batch: Sequence[Item], answers: Answers) -> Foretold:
    """Return who of a batch wants to know what they will be answered, and what that is; not of refusals and copies."""
    return [
        (item.foresee, answer)
        for item, answer in zip(batch, answers, strict=True)
        if item.foresee is not None and isinstance(answer, Answer) and answer.error is None and not answer.replayed
    ]


_NO_WORK = Work(0)


def work_of(changes: Changes) -> Work:
    """Return what a batch leaves to the background."""
    # Flags are slow to put together.
    if not changes.jobs:
        return Work.EVENTS if changes.events else _NO_WORK
    return Work.EVENTS | Work.JOBS if changes.events else Work.JOBS


def remembering(uses: OneUses, batch: Sequence[Item], now: datetime) -> list[Write] | None:
    """Return what remembers, with a batch, what its requests have shown; it fails where anything was shown before.

    Returns:
        None where something of it comes too late.
    """
    shown = [item.shown for item in batch if item.shown is not None]
    if not shown:
        return []
    return None if any(now >= use.late_at for use in shown) else [uses.writes(shown)]


async def find_copies(uses: OneUses, tx: TenantTx, batch: Sequence[Item], now: datetime) -> dict[Item, ProblemError]:
    """Remember what a batch's requests have shown, and return the refusals of those that come too late or show a copy.

    Of two in the batch that have shown the same, the first has shown it first.
    """
    shown = [item.shown for item in batch if item.shown is not None]
    if not shown:
        return {}
    fresh = await uses.remember(tx, [use for use in shown if now < use.late_at])
    copies = {}
    for item in batch:
        if item.shown is None:
            continue
        if item.shown.digest in fresh:
            fresh.remove(item.shown.digest)
        else:
            copies[item] = item.shown.refusal()
            item.shown.settled = True
    return copies


def with_copies(batch: Sequence[Item], answers: Answers, copies: Mapping[Item, ProblemError]) -> Answers:
    """Return the answers of a whole batch, of which some were decided and the others have shown copies."""
    decided = iter(answers)
    return [copies[item] if item in copies else next(decided) for item in batch]
