"""The line in which a tenant's commands wait for the engine, and what their callers wait for."""

import asyncio
import copy
import math
import time
from collections import deque
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from billfold import errors
from billfold.errors import ProblemError
from billfold_server.db.sets import Write
from billfold_server.http import idempotency as keys_of_requests
from billfold_server.ledger.books import Books, Key
from billfold_server.ledger.protocol import Answer, Foresee, Order, Presumed
from billfold_server.ledger.rows import GrantKey, GrantRow
from billfold_server.tenancy.context import Caller, OneUse, TenantRef

__all__ = ["Item", "Pace", "Queue", "Run", "Ticket", "fail", "turns"]

_MOST_RUNS = 2
_WORTH = 0.5
_LEAST = 16
"""Fewer commands than this are never parted: each batch has its own costs."""
_LASTING = 0.8
"""How much of what a batch says of the pace still counts after the next one."""
_RETRY_AFTER_S = (1, 30)
"""The shortest and the longest time for which callers are sent away. The SDK gives a call 45 s in all."""


class Ticket:
    """What a caller waits for: the answers to the commands that it has given at once, with one future for all."""

    def __init__(self, queue: "Queue", size: int) -> None:
        self.queue = queue
        self._answers: list[Answer | ProblemError | None] = [None] * size
        self._left = size
        self._copies = 0
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._all_but_copies: asyncio.Future[None] | None = None

    def expect_copy(self) -> None:
        """Note that one of the commands is a copy of one in flight, so that somebody else brings its answer."""
        self._copies += 1

    def settle(self, item: "Item", answer: Answer | ProblemError) -> bool:
        """Take in a command's answer, and tell whether it is the first."""
        if self._answers[item.place] is not None:
            return False
        self._answers[item.place] = answer
        self._left -= 1
        self._copies -= item.is_copy
        if not self._left and not self._done.done():
            self._done.set_result(None)
        if self._left == self._copies and self._all_but_copies is not None and not self._all_but_copies.done():
            self._all_but_copies.set_result(None)
        return True

    async def wait(self, copy_wait_s: float) -> list[Answer | ProblemError]:
        """Return the answers. After ``copy_wait_s`` no copy is waited for any longer, but for the others it is."""
        if not self._copies:
            await self._done
            if not self._left:
                return self._answers  # type: ignore[return-value] # All of them are there.
        else:
            try:
                async with asyncio.timeout(copy_wait_s):
                    await asyncio.shield(self._done)
            except TimeoutError:
                if self._left > self._copies:
                    self._all_but_copies = asyncio.get_running_loop().create_future()
                    await asyncio.shield(self._all_but_copies)
        return [answer or errors.RequestInFlight(param=keys_of_requests.HEADER) for answer in self._answers]


class Item:
    """One command in line.

    Attributes:
        together: The commands, this one among them, of which either all are carried out or none; they follow one
            another in line. None where it stands for itself.
        is_copy: Whether one with the same idempotency key is in flight already.
        shown: What is to be remembered with it, and without which it isn't carried out.
        foresee: Is told what it will be answered if what was decided is committed.
    """

    __slots__ = (
        "body",
        "caller",
        "foresee",
        "idempotency",
        "is_copy",
        "key",
        "kind",
        "place",
        "shown",
        "ticket",
        "together",
    )

    def __init__(self, order: Order, caller: Caller, ticket: Ticket, place: int) -> None:
        self.kind, self.body, self.idempotency = order
        self.key = (self.idempotency.client_id, self.idempotency.key) if self.idempotency else None
        self.caller = caller
        self.ticket = ticket
        self.place = place
        self.together: list[Item] | None = None
        self.is_copy = False
        self.shown: OneUse | None = None
        self.foresee: Foresee | None = None

    @property
    def grant(self) -> GrantKey | None:
        """Return the grant that must stand when the command is decided, if there is one, with the token's digest."""
        if not self.kind.sees_grant or self.caller.grant_id is None:
            return None
        return GrantKey(self.caller.grant_id, self.caller.token_digest or b"")

    def keys(self, books: Books) -> Iterable[tuple[type, Sequence[Hashable]]]:
        """Name the rows that the decision needs, as far as the books tell yet."""
        keys = self.kind.keys(books, self.body)
        grant = self.grant
        return keys.items() if grant is None else (*keys.items(), (GrantRow, (grant,)))

    def presumed(self) -> Presumed:
        """Return rows that others than commands change, as the caller has seen them a moment ago."""
        rows = () if self.kind.presumes is None else self.kind.presumes(self.caller, self.body)
        grant = self.grant
        return rows if grant is None else (*rows, GrantRow(grant))

    def settle(self, answer: Answer | ProblemError) -> None:
        """Give the command's answer to whoever waits for it."""
        if self.ticket.settle(self, answer) and self.key is not None:
            self.ticket.queue.land(self.key)


def fail(items: Iterable[Item], error: ProblemError) -> None:
    """Answer all items with an error, each with one of its own: one that is raised in many tasks tangles tracebacks."""
    for item in items:
        own_error = copy.copy(error)
        own_error.__cause__ = error.__cause__
        item.settle(own_error)


def turns(batch: Sequence[Item]) -> Iterator[list[Item]]:
    """Cut a batch into what is decided at once: single commands, and those that belong together."""
    place = 0
    while place < len(batch):
        turn = batch[place].together or [batch[place]]
        yield turn
        place += len(turn)


class Run:
    """A batch under way.

    Attributes:
        before: The one before it, for as long as that isn't over.
        backend: PostgreSQL's process that was told to write it.
        writes: What that was told to write.
        is_decided: Whether it is, so that what it leaves is known and the next may begin.
        changed: By type, the keys of changed rows of which a caller may have seen how they were.
        learned_on: On which day, by the tenant's time, it was known which rows it needs.
        presumed_any: Whether anything was presumed of rows that others than commands change.
        has_failed: Whether it has come to something else than was decided first, which the next may have built on.
    """

    def __init__(self, batch: list[Item], before: "Run | None" = None, *, presumes: bool = False) -> None:
        self.batch = batch
        self.before = before
        self.changed: Mapping[type, Collection[Hashable]] = {}
        self._presumes = presumes
        self.presumed_any = False
        self.learned_on: date | None = None
        self._changed_before = {} if before is None else before.changed
        self.backend = 0
        self.writes: list[Write] = []
        self.is_decided = False
        self.has_failed = False
        self.task: asyncio.Task[None] | None = None
        self._over = asyncio.Event()

    def presumed(self, items: Iterable[Item]) -> dict[type, dict[Hashable, Any]]:
        """Return, by type and key, what has been seen for items of it of rows that others than commands change.

        What the batch before has changed was seen too soon. Of two who have seen the same row, the first is believed.
        """
        found: dict[type, dict[Hashable, Any]] = {}
        for item in items if self._presumes else ():
            for row in item.presumed():
                if row.key not in self._changed_before.get(type(row), ()):
                    found.setdefault(type(row), {}).setdefault(row.key, row)
        self.presumed_any = bool(found)
        return found

    def end(self) -> None:
        """Note that all its commands are answered."""
        self._over.set()

    async def wait(self) -> None:
        """Wait until all its commands are answered. Whoever gives up waiting takes nothing from it."""
        await self._over.wait()


class Pace:
    """How fast a line goes: a mean over its batches, in which each counts for less than the one after it."""

    def __init__(self) -> None:
        self._items = 0.0
        self._seconds = 0.0

    def note(self, items: int, took_s: float) -> None:
        """Note that a batch is over, and how long after the one before."""
        self._items = _LASTING * self._items + items
        self._seconds = _LASTING * self._seconds + took_s

    def retry_after_s(self, items: int) -> int:
        """Return in how many seconds so many commands will be over, in bounds; before the first batch, the least."""
        least, most = _RETRY_AFTER_S
        return min(max(math.ceil(items * self._seconds / self._items), least), most) if self._items else least


class Queue:
    """One tenant's commands that wait for a batch, the batches under way, and the task that begins them.

    Attributes:
        follows: Whether the last batch could be decided while the one before it was written, and was worth parting.
        is_alone: Whether the ledger was found where it had been left, so that nobody else seems to work on it.
        doubts: For how many more batches nothing is presumed of rows that others than commands change.
        looks_back: For how many more batches earlier answers are looked up first. Without it a copy is only met when
            its key is written, and its batch is carried out once more.
        looks_at_clock: For how many more batches the tenant's clock is looked at before they are decided. Without it a
            batch with something of the very present may have to be decided once more, on what is then loaded anew.
        runs: The batches under way: at most one that is being written, and one that follows on what it will leave.
        stirred: Set when it may be time to begin a batch.
        pace: How fast its batches go, with what they wait for: their turn among the tenants, and the ledger's lock.

    Args:
        tenant: Whose.
        monotonic: A clock that doesn't jump, read when a batch begins or is over.
    """

    def __init__(self, tenant: TenantRef, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.tenant = tenant
        self._monotonic = monotonic
        self._busy_since: float | None = None
        self.pace = Pace()
        self.waiting: deque[Item] = deque()
        self.worker: asyncio.Task[None] | None = None
        self.is_held_up = False
        self.follows = True
        self.is_alone = True
        self.looks_back = 0
        self.looks_at_clock = 0
        self.doubts = 0
        self.runs: list[Run] = []
        self.stirred = asyncio.Event()
        self._in_flight: dict[Key, int] = {}

    def add(self, tenant: TenantRef, items: Sequence[Item]) -> None:
        """Put commands in line, and note which are copies of what is in flight already."""
        # A slow request may come with what the registry knew before.
        if tenant.revision >= self.tenant.revision:
            self.tenant = tenant
        self.waiting.extend(items)
        self.stirred.set()
        for item in items:
            if item.key is None:
                continue
            copies = self._in_flight.get(item.key, 0)
            self._in_flight[item.key] = copies + 1
            if copies:
                item.is_copy = True
                item.ticket.expect_copy()

    def land(self, key: Key) -> None:
        """Note that one command with this key is answered."""
        left = self._in_flight.pop(key) - 1
        if left:
            self._in_flight[key] = left

    def may_begin(self) -> bool:
        """Tell whether to begin a batch now.

        One that follows another waits until it is worth a transaction of its own; where none does, until that is over.
        """
        if not self.runs or not self.follows:
            return bool(self.waiting) and not self.runs
        last = self.runs[-1]
        worth = _WORTH * len(last.batch)
        return len(self.runs) < _MOST_RUNS and last.is_decided and not self.is_held_up and len(self.waiting) >= worth

    def begin(self, most: int) -> Run:
        """Take the next batch out of the line, and note that it is under way."""
        run = Run(self.take(most), self.runs[-1] if self.runs else None, presumes=not self.doubts)
        self.doubts = max(self.doubts - 1, 0)
        self.runs.append(run)
        if self._busy_since is None:
            self._busy_since = self._monotonic()
        return run

    def end(self, run: Run) -> None:
        """Note that a batch is over, whatever has become of it."""
        run.before = None
        self.runs.remove(run)
        run.end()
        now = self._monotonic()
        assert self._busy_since is not None, "it has begun"
        self.pace.note(len(run.batch), now - self._busy_since)
        # While nothing is to be done no time passes, so a quiet tenant isn't taken for a slow one.
        self._busy_since = now if self.waiting or self.runs else None
        self.stirred.set()

    def retry_after_s(self) -> int:
        """Return in how many seconds what waits and what is under way will be over."""
        return self.pace.retry_after_s(len(self.waiting) + sum(len(run.batch) for run in self.runs))

    def take(self, most: int) -> list[Item]:
        """Take the next batch out of the line, half of what is under way at most: so while one is written, one follows.

        Where that couldn't be, nothing is gained by two, and each has its own costs. What belongs together isn't
        parted, even if it is more.
        """
        if self.follows:
            under_way = len(self.waiting) + sum(len(run.batch) for run in self.runs)
            most = min(most, max(_LEAST, -(-under_way // _MOST_RUNS)))
        batch: list[Item] = []
        waiting = self.waiting
        while waiting:
            together = waiting[0].together
            size = 1 if together is None else len(together)
            if batch and len(batch) + size > most:
                break
            if together is None:
                batch.append(waiting.popleft())
            else:
                batch += [waiting.popleft() for _ in together]
        return batch
