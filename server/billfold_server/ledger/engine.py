"""The engine: the one writer of money.

Every change that moves money, or that such a change reads, is a *command*. Commands of one tenant are collected while
the batch before commits, decided one after the other on the same books, and written as sets in one transaction, so a
room's own rows, postings, events, audit and the idempotent answer commit together or not at all.

There is no timer: a lone command starts a batch at once. If a write fails, the batch is rolled back and its items are
replayed one at a time, so that a bad item never fails its neighbours.
"""

import asyncio
import contextvars
import copy
import hmac
import os
from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TypeVar
from uuid import UUID, uuid4

import asyncpg
import msgspec
import structlog

from billfold import errors
from billfold.clock import Clock
from billfold.errors import ProblemError
from billfold.ids import uuid7, uuid7_at
from billfold_server.db.engine import ENGINE
from billfold_server.db.sets import Write, write_all
from billfold_server.db.wakeups import Work
from billfold_server.http import idempotency as keys_of_requests
from billfold_server.http.routing import IdempotencyRef
from billfold_server.ledger import batches
from billfold_server.ledger import stores as own
from billfold_server.ledger.books import Books, Changes, Draft, Known, Memory
from billfold_server.ledger.protocol import Answer, Kind, Loader, Order, Store, Writer
from billfold_server.ledger.queue import Item, Key, Queue, Ticket, turns
from billfold_server.tenancy.context import Caller, TenantRef
from billfold_server.tenancy.transaction import Database, TenantTx

__all__ = ["Engine"]

log = structlog.get_logger(__name__)

B = TypeVar("B")

_FIRST_REFUSAL = 400
_MAX_LOADS = 5
_LEAST_PART, _MOST_PARTS = 32, 4
"""Each part costs a round trip, which a few commands aren't worth."""
_RETRY_AFTER_S = 1
_TURNS = 4
"""How many tenants' batches are under way at once; more would only share the same processors."""
_SHARED_BATCH = 64
"""How many commands a batch takes at most while other tenants wait: what they wait for must end soon."""


RenderRefusal = Callable[[ProblemError, str | None], tuple[int, bytes]]
"""Turns a refusal into the status and body that are answered and kept, given the request id."""


class _BlockedError(Exception):
    """An idempotency key of the batch is held by a request that is carried out elsewhere."""


class Engine:
    """Takes commands, and answers each when it is durable or refused.

    Args:
        database: The door to the tenants' tables.
        clock: The real clock, which ``recorded_at`` follows.
        render_refusal: Encodes a refusal for the answer and for its idempotency record.
        max_batch: How many commands one transaction takes at most.
        max_waiting: How many commands of one tenant may wait; past it new ones are refused.
        max_known: How many rows of all tenants are remembered between batches; one takes about a kilobyte.
        copy_wait_s: How long a copy of a request that is in flight waits for its answer.
        timeout_s: How long one batch may take. PostgreSQL's own time-outs are shorter; this one is for a database that
            has stopped answering at all.
    """

    def __init__(
        self,
        database: Database,
        *,
        clock: Clock,
        render_refusal: RenderRefusal,
        stores: Sequence[Store] = (),
        max_batch: int = 512,
        max_waiting: int = 10_000,
        max_known: int = 100_000,
        copy_wait_s: float = 2.0,
        timeout_s: float = 30.0,
    ) -> None:
        self._database = database
        self._clock = clock
        self._render_refusal = render_refusal
        every: list[Store] = [*own.STORES, *stores]
        self._loaders = {store.row_type: store for store in every if isinstance(store, Loader)}
        self._writers = [store for store in every if isinstance(store, Writer)]
        self._cached = {row_type for row_type, loader in self._loaders.items() if loader.cached}
        self._memory = Memory(max_known)
        # Whoever waits is served in the order of coming, so a tenant with a long line has one turn like everybody.
        self._turns = asyncio.Semaphore(_TURNS)
        self._in_line = 0
        self._queues: dict[UUID, Queue] = {}
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._copy_wait_s = copy_wait_s
        self._timeout_s = timeout_s
        self._closed = False

    async def submit(
        self,
        tenant: TenantRef,
        caller: Caller,
        kind: Kind[B],
        body: B,
        idempotency: IdempotencyRef | None = None,
    ) -> Answer:
        """Give a command, and wait until it is durable or refused.

        A caller who goes away doesn't take the command back: it is decided all the same.

        Returns:
            The answer; refusals that depend on state are answers too.

        Raises:
            ProblemError: The request was wrong, or the outcome can't be told now.
            NestedTransactionError: The caller has a transaction open, for which its own command would wait.
        """
        (answer,) = await self.submit_many(tenant, caller, [(kind, body, idempotency)])
        if isinstance(answer, ProblemError):
            raise answer
        return answer

    async def submit_many(
        self, tenant: TenantRef, caller: Caller, orders: Sequence[Order], *, together: bool = False
    ) -> list[Answer | ProblemError]:
        """Give commands that follow one another in line, and wait until each is durable or refused.

        They are taken all or not at all, but each has an answer of its own. Those that are given ``together`` are also
        carried out all or not at all: they are decided in order, each on what the ones before would leave, and the
        first refusal ends it. It is kept under its key, so that a late copy of the request can't be carried out after
        all; nothing is kept under the keys of the others, which are answered with ``BulkAborted``. What is known under
        its key from before counts as done and is answered as it was.

        Args:
            tenant: Whose ledger.
            caller: Who gives them.
            orders: The commands, at least one.
            together: Whether all are carried out or none.

        Returns:
            The answers in order. A ``ProblemError`` among them is kept under no key: it may go differently next time.

        Raises:
            ProblemError: None of them was taken.
            NestedTransactionError: The caller has a transaction open, for which its own commands would wait.
        """
        ENGINE.refuse_nesting()
        if self._closed:
            raise _shutting_down()
        queue = self._queues.setdefault(tenant.id, Queue(tenant))
        # More than what may wait is taken where nothing waits, or it never could be.
        if queue.waiting and len(queue.waiting) + len(orders) > self._max_waiting:
            detail = "Too many commands wait for this tenant's ledger."
            raise errors.Overloaded(detail, retry_after_s=_RETRY_AFTER_S)
        ticket = Ticket(queue, len(orders))
        items = [Item(order, caller, ticket, place) for place, order in enumerate(orders)]
        if together:
            for item in items:
                item.together = items
        queue.add(tenant, items)
        if queue.worker is None or queue.worker.done():
            # It works for many callers, so it has nothing of the one that happens to start it.
            queue.worker = asyncio.get_running_loop().create_task(
                self._work(queue), name=f"ledger-{tenant.slug}", context=contextvars.Context()
            )
        return await ticket.wait(self._copy_wait_s)

    async def close(self) -> None:
        """Take no further command, and wait until those taken are answered."""
        self._closed = True
        workers = [queue.worker for queue in self._queues.values() if queue.worker is not None]
        await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self, queue: Queue) -> None:
        batch: list[Item] = []
        try:
            while queue.waiting:
                async with self._turn(queue):
                    batch = queue.take(_SHARED_BATCH if self._in_line else self._max_batch)
                    await self._settle(queue, batch)
        except BaseException:
            # The event loop is ending. Nobody is left waiting for an answer that no one will give.
            _fail(batch, errors.OutcomeUnknown(retry_after_s=_RETRY_AFTER_S))
            _fail(queue.waiting, _shutting_down())
            queue.waiting.clear()
            raise

    @asynccontextmanager
    async def _turn(self, queue: Queue) -> AsyncIterator[None]:
        """Wait for a turn, unless the tenant's last batch was held up: others needn't wait for what holds it up."""
        if queue.is_held_up:
            yield
            return
        self._in_line += 1
        try:
            await self._turns.acquire()
        finally:
            self._in_line -= 1
        try:
            yield
        finally:
            self._turns.release()

    async def _settle(self, queue: Queue, batch: list[Item]) -> None:
        """Carry out a batch and answer it; if that fails for a reason of one item, carry out each turn by itself."""
        try:
            answers = await self._run(queue, batch)
        except errors.Unavailable as error:
            queue.is_held_up = True
            _fail(batch, error)
        except Exception as error:
            slug = queue.tenant.slug
            each = list(turns(batch))
            if len(each) > 1:
                log.warning("ledger_batch_replayed", items=len(batch), tenant=slug, cause=type(error).__name__)
                for turn in each:
                    await self._settle(queue, turn)
            elif isinstance(error, _BlockedError):
                _fail(batch, errors.RequestInFlight(param=keys_of_requests.HEADER))
            else:
                log.exception("ledger_command_failed", kind=batch[0].kind.name, tenant=slug)
                _fail(batch, errors.InternalError())
        else:
            queue.is_held_up = False
            for item, answer in zip(batch, answers, strict=True):
                item.settle(answer)

    async def _run(self, queue: Queue, batch: list[Item]) -> list[Answer | ProblemError]:
        try:
            async with asyncio.timeout(self._timeout_s):
                try:
                    return await self._attempt(queue, batch)
                except asyncpg.InvalidCachedStatementError:
                    # A migration has changed the tables since they were last asked; asyncpg knows better by now.
                    return await self._attempt(queue, batch)
                except errors.Busy as error:
                    if not isinstance(error.__cause__, asyncpg.DeadlockDetectedError):
                        raise
                    # Another room's transaction and this one had each what the other wanted; the other goes on now.
                    return await self._attempt(queue, batch)
        except TimeoutError as error:
            raise errors.OutcomeUnknown(retry_after_s=_RETRY_AFTER_S) from error

    async def _attempt(self, queue: Queue, batch: list[Item]) -> list[Answer | ProblemError]:
        known = self._memory.of(queue.tenant.id)
        try:
            async with self._database.tx(queue.tenant, begin_sql=batches.LOCK_HEAD) as tx:
                opening = await batches.open_books(tx, [item.key for item in batch if item.key is not None])
                fence = opening.fence
                if known.fence != fence:
                    known.clear()
                books = _books(known, opening)
                await self._load(tx, books, [item for item in batch if item.key not in opening.answers])
                answers, fence = await self._carry_out(tx, queue.tenant, books, batch, opening)
        except BaseException:
            # Whatever was decided may not have come true.
            known.clear()
            raise
        known.fence = fence
        known.keep(self._cached)
        self._memory.used(queue.tenant.id)
        return answers

    async def _load(self, tx: TenantTx, books: Books, batch: Sequence[Item]) -> None:
        for _ in range(_MAX_LOADS):
            wanted: dict[type, dict[Hashable, None]] = {}
            for item in batch:
                for row_type, keys in item.kind.keys(books, item.body).items():
                    for key in keys:
                        if not books.has(row_type, key):
                            wanted.setdefault(row_type, {})[key] = None
            if not wanted:
                return
            for row_type, new_keys in wanted.items():
                found = await self._loaders[row_type].load(tx, list(new_keys))
                books.loaded(row_type, found, list(new_keys))
        msg = "a kind of command keeps naming new keys"
        raise RuntimeError(msg)

    def _decide(
        self, tenant: TenantRef, books: Books, batch: Sequence[Item], opening: batches.Opening
    ) -> tuple[list[Answer | ProblemError], list[batches.StoredAnswer]]:
        known = opening.answers
        answers: list[Answer | ProblemError] = []
        fresh: list[batches.StoredAnswer] = []
        clock_now = self._clock.now()
        for turn in turns(batch):
            alone = turn[0] if turn[0].together is None else None
            stored = known.get(alone.key) if alone is not None and alone.key is not None else None
            if alone is not None and stored is not None:
                answers.append(_replay(alone, stored))
                continue
            draft = Draft(
                books,
                now=opening.now,
                clock_now=clock_now,
                caller=turn[0].caller,
                manifest=tenant.manifest,
                chance=_CHANCE,
            )
            decided = [self._decide_one(alone, draft)] if alone else self._decide_together(turn, draft, known)
            if not any(map(_refuses, decided)):
                books.merge(draft)
            for item, answer in zip(turn, decided, strict=True):
                record = _record(item, answer, clock_now)
                if record is not None:
                    known[record.client_id, record.key] = record
                    fresh.append(record)
            answers += decided
        return answers, fresh

    def _decide_together(
        self, turn: Sequence[Item], draft: Draft, known: Mapping[Key, batches.StoredAnswer]
    ) -> list[Answer | ProblemError]:
        """Decide commands on one draft, which is accepted if none of them is refused.

        What is known from before is answered first, so that a request with a key that was refused moves nothing.
        """
        answers = {
            place: _replay(item, known[item.key])
            for place, item in enumerate(turn)
            if item.key is not None and item.key in known
        }
        replays = dict(answers)
        refused = next((place for place, answer in replays.items() if _refuses(answer)), None)
        first: dict[Key | None, batches.StoredAnswer] = {}
        for place, item in enumerate(turn):
            if refused is not None:
                break
            if place in replays:
                continue
            copied = first.get(item.key)
            answer = self._decide_one(item, draft) if copied is None else _replay(item, copied)
            answers[place] = answer
            if _refuses(answer):
                refused = place
            elif (record := _record(item, answer, draft.clock_now)) is not None:
                first[item.key] = record
        if refused is None:
            return [answers[place] for place in range(len(turn))]
        aborted = errors.BulkAborted(refused_item=refused)
        told = {**replays, refused: answers[refused]}
        return [told.get(place, aborted) for place in range(len(turn))]

    def _decide_one(self, item: Item, draft: Draft) -> Answer | ProblemError:
        try:
            reply = item.kind.decide(draft, item.body)
        except ProblemError as error:
            if not keys_of_requests.is_kept(error):
                return error
            status, body = self._render_refusal(error, item.caller.request_id)
            return Answer(status=status, body=body, error=error)
        body = b"" if reply.response is None else _encode(reply.response)
        # Most events tell of what is answered, which is then encoded once.
        draft.encode(lambda data: body if data is reply.response else _encode(data))
        return Answer(status=reply.status, body=body)

    async def _carry_out(
        self, tx: TenantTx, tenant: TenantRef, books: Books, batch: Sequence[Item], opening: batches.Opening
    ) -> tuple[list[Answer | ProblemError], UUID]:
        """Decide a batch and write it, part by part: while PostgreSQL writes one, the next is decided.

        Returns:
            The answers, and the ledger's fence after the batch.
        """
        answers: list[Answer | ProblemError] = []
        leaves: list[bytes] = []
        writing: asyncio.Task[None] | None = None
        changed, fence, parts = False, opening.fence, list(_parts(batch))
        try:
            for number, part in enumerate(parts):
                if any(item.kind.long for item in part):
                    decided, changes, writes = await asyncio.to_thread(self._prepare, tenant, books, part, opening)
                else:
                    decided, changes, writes = self._prepare(tenant, books, part, opening)
                answers += decided
                changed = changed or bool(changes)
                if is_last := number == len(parts) - 1:
                    leaves += batches.leaves_of(changes)
                    if changed:
                        fence = uuid4()
                        writes += batches.head_writes(books, opening, leaves, fence)
                if writing is not None:
                    await writing
                writing = asyncio.create_task(_write(tx, writes))
                # Lets it be sent, so that what follows takes place meanwhile.
                await asyncio.sleep(0)
                if not is_last:
                    leaves += batches.leaves_of(changes)
                _wake(tx, changes)
            if writing is not None:
                await writing
        finally:
            if writing is not None and not writing.done():
                writing.cancel()
                await asyncio.wait([writing])
        return answers, fence

    def _prepare(
        self, tenant: TenantRef, books: Books, part: Sequence[Item], opening: batches.Opening
    ) -> tuple[list[Answer | ProblemError], Changes, list[Write]]:
        """Decide a part, and return its answers, what it has changed, and what writes that."""
        answers, fresh = self._decide(tenant, books, part, opening)
        changes = books.take_changes()
        return answers, changes, batches.answer_writes(fresh) + self._writes(changes)

    def _writes(self, changes: Changes) -> list[Write]:
        writes = batches.ledger_writes(changes)
        for writer in self._writers:
            if rows := changes.rows.get(writer.row_type):
                writes += writer.writes(list(rows.values()), changes.before[writer.row_type])
        return writes


async def _write(tx: TenantTx, writes: Sequence[Write]) -> None:
    try:
        await write_all(tx, writes)
    except asyncpg.LockNotAvailableError as error:
        if "idempotency_keys" in (error.as_dict().get("context") or ""):
            raise _BlockedError from error
        raise


def _wake(tx: TenantTx, changes: Changes) -> None:
    if changes.events:
        tx.wake(Work.EVENTS)
    if changes.jobs:
        tx.wake(Work.JOBS)


def _parts(batch: Sequence[Item]) -> Iterator[list[Item]]:
    """Cut a batch into a few parts, each of whole turns."""
    size = max(_LEAST_PART, -(-len(batch) // _MOST_PARTS))
    part: list[Item] = []
    for turn in turns(batch):
        part += turn
        if len(part) >= size:
            yield part
            part = []
    if part:
        yield part


def _books(known: Known, opening: batches.Opening) -> Books:
    return Books(
        known,
        sequence=opening.sequence,
        recorded_at=opening.recorded_at,
        effective_high=opening.effective_high,
    )


class _Chance:
    """Where decisions get what is random."""

    def new_id(self) -> UUID:
        """Return a new id."""
        return uuid7()

    def id_at(self, instant: datetime) -> UUID:
        """Return a new id that holds an instant."""
        return uuid7_at(instant)

    def salt(self) -> bytes:
        """Return 16 random bytes."""
        return os.urandom(16)


_CHANCE = _Chance()
_encode = msgspec.json.Encoder().encode


def _replay(item: Item, stored: batches.StoredAnswer) -> Answer | ProblemError:
    """Return the stored answer, or refuse a key that was used for something else."""
    if item.idempotency is None or not hmac.compare_digest(item.idempotency.fingerprint, stored.fingerprint):
        return errors.IdempotencyKeyReused(param=keys_of_requests.HEADER)
    return Answer(status=stored.status, body=stored.body, replayed=True)


def _refuses(answer: Answer | ProblemError) -> bool:
    return isinstance(answer, ProblemError) or answer.status >= _FIRST_REFUSAL


def _record(item: Item, answer: Answer | ProblemError, now: datetime) -> batches.StoredAnswer | None:
    """Return what is to be kept of an answer; nothing of one that is kept already, or that may go differently."""
    if item.idempotency is None or isinstance(answer, ProblemError) or answer.replayed:
        return None
    return batches.StoredAnswer(
        client_id=item.idempotency.client_id,
        key=item.idempotency.key,
        fingerprint=item.idempotency.fingerprint,
        status=answer.status,
        body=answer.body,
        created_at=now,
    )


def _shutting_down() -> errors.Unavailable:
    detail = "The server is shutting down."
    return errors.Unavailable(detail, retry_after_s=_RETRY_AFTER_S)


def _fail(items: Iterable[Item], error: ProblemError) -> None:
    """Answer all items with an error, each with one of its own: one that is raised in many tasks tangles tracebacks."""
    for item in items:
        own_error = copy.copy(error)
        own_error.__cause__ = error.__cause__
        item.settle(own_error)
