"""The engine: the one writer of money.

Every change that moves money, or that such a change reads, is a *command*. Commands of one tenant are collected while
the batch before commits, decided one after the other on the same books, and written as sets in one transaction, so a
room's own rows, postings, events, audit and the idempotent answer commit together or not at all.

There is no timer: a lone command starts a batch at once. If a write fails, the batch is rolled back and its items are
replayed one at a time, so that a bad item never fails its neighbours.
"""

import asyncio
import contextlib
import contextvars
import time
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Sequence
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import structlog

from billfold import errors
from billfold.clock import Clock
from billfold.errors import ProblemError
from billfold_server.db.engine import ENGINE
from billfold_server.db.sets import PLANS, Write, call, joined, write_all
from billfold_server.http import idempotency as keys_of_requests
from billfold_server.http.routing import IdempotencyRef
from billfold_server.ledger import batches
from billfold_server.ledger import stores as own
from billfold_server.ledger.ahead import LOOKS_AT_CLOCK, is_over, may_follow, time_of
from billfold_server.ledger.books import Books, Changes, Key, Known, Memory, StoredAnswer, TimeUnclearError
from billfold_server.ledger.deciding import Answers, Decider, RenderRefusal
from billfold_server.ledger.prepared import Prepared, find_copies, foretold, remembering, with_copies, work_of
from billfold_server.ledger.protocol import Answer, Foresee, Guarding, Kind, Loader, OneUses, Order, Store, Writer
from billfold_server.ledger.queue import Item, Queue, Run, Ticket, fail, turns
from billfold_server.tenancy.context import Caller, OneUse, TenantRef
from billfold_server.tenancy.transaction import Database, TenantTx

__all__ = ["Engine"]

log = structlog.get_logger(__name__)

B = TypeVar("B")
T = TypeVar("T")


_Wanted = dict[type, dict[Hashable, None]]
"""Keys of rows by type, each once and in the order in which it was asked for."""
_MAX_LOADS = 5
_RETRY_AFTER_S = 1
_ASK_S, _ASK_AGAIN_S = 2.0, 0.02
_REMEMBERED = timedelta(hours=1)
"""For how long answers are told from memory; kept they are for much longer."""
_LOOKS_BACK = 1000
"""For how many batches copies of earlier requests are expected once there has been one that memory didn't know.

Looking them up costs some 5 % of a batch; meeting one unawares costs all that is remembered of the ledger.
"""
_DOUBTS = 50
"""For how many batches nothing is presumed after one that couldn't be decided ahead: what callers see may be old."""
_NOTHING = "the connection was lost before anything was committed"
_TURNS = 4
"""How many tenants' batches are under way at once; more would only share the same processors."""
_SHARED_BATCH = 64
"""How many commands a batch takes at most while other tenants wait: what they wait for must end soon."""


class _BlockedError(Exception):
    """An idempotency key of the batch is held by a request that is carried out elsewhere."""


class _AnsweredError(Exception):
    """A request of the batch was answered before, so long ago that memory didn't know."""


class Engine:
    """Takes commands, and answers each when it is durable or refused.

    Args:
        database: The door to the tenants' tables.
        clock: The real clock, which ``recorded_at`` follows.
        render_refusal: Encodes a refusal for the answer and for its idempotency record.
        uses: Remembers what requests have shown that counts once.
        stores: What rooms load and write with their commands.
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
        uses: OneUses,
        stores: Sequence[Store] = (),
        max_batch: int = 512,
        max_waiting: int = 10_000,
        max_known: int = 100_000,
        copy_wait_s: float = 2.0,
        timeout_s: float = 30.0,
    ) -> None:
        self._database = database
        self._clock = clock
        self._decider = Decider(clock, render_refusal)
        every: list[Store] = [*own.STORES, *stores]
        self._loaders = {store.row_type: store for store in every if isinstance(store, Loader)}
        self._writers = [store for store in every if isinstance(store, Writer)]
        self._cached = {row_type for row_type, loader in self._loaders.items() if loader.cached}
        self._guarding = {store.row_type: store for store in every if isinstance(store, Guarding)}
        self._uses = uses
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
        *,
        foresee: Foresee | None = None,
    ) -> Answer:
        """Give a command, and wait until it is durable or refused.

        A caller who goes away doesn't take the command back: it is decided all the same. What the caller has shown that
        counts once is remembered with it, and refuses it if it was shown before. Who wants to ``foresee`` the answer is
        told of it each time that the command is decided.

        Returns:
            The answer; refusals that depend on state are answers too.

        Raises:
            ProblemError: The request was wrong, or the outcome can't be told now.
            NestedTransactionError: The caller has a transaction open, for which its own command would wait.
        """
        orders = ((kind, body, idempotency),)
        ticket = self._take(tenant, caller, orders, together=False, shown=caller.shown, foresee=foresee)
        (answer,) = await ticket.wait(self._copy_wait_s)
        if isinstance(answer, ProblemError):
            raise answer
        if caller.shown is not None:
            caller.shown.settled = True
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
        return await self._take(tenant, caller, orders, together=together).wait(self._copy_wait_s)

    def _take(
        self,
        tenant: TenantRef,
        caller: Caller,
        orders: Sequence[Order],
        *,
        together: bool,
        shown: OneUse | None = None,
        foresee: Foresee | None = None,
    ) -> Ticket:
        """Put commands in line."""
        ENGINE.refuse_nesting()
        if self._closed:
            raise _shutting_down()
        queue = self._queues.get(tenant.id)
        if queue is None:
            queue = self._queues[tenant.id] = Queue(tenant)
        # More than what may wait is taken where nothing waits, or it never could be.
        if queue.waiting and len(queue.waiting) + len(orders) > self._max_waiting:
            detail = "Too many commands wait for this tenant's ledger."
            raise errors.Overloaded(detail, retry_after_s=queue.retry_after_s())
        ticket = Ticket(queue, len(orders))
        items = [Item(order, caller, ticket, place) for place, order in enumerate(orders)]
        items[0].foresee = foresee
        if together:
            for item in items:
                item.together = items
        if shown is not None and not shown.taken:
            assert not together, "what belongs together is decided whole"
            items[0].shown, shown.taken = shown, True
        queue.add(tenant, items)
        if queue.worker is None or queue.worker.done():
            # It works for many callers, so it has nothing of the one that happens to start it.
            queue.worker = asyncio.get_running_loop().create_task(
                self._work(queue), name=f"ledger-{tenant.slug}", context=contextvars.Context()
            )
        return ticket

    async def close(self) -> None:
        """Take no further command, and wait until those taken are answered."""
        self._closed = True
        workers = [queue.worker for queue in self._queues.values() if queue.worker is not None]
        await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self, queue: Queue) -> None:
        try:
            while queue.waiting or queue.runs:
                # Being ahead fills gaps; where other tenants wait, they fill them.
                if queue.may_begin() and not (queue.runs and self._in_line):
                    await self._begin(queue)
                else:
                    queue.stirred.clear()
                    await queue.stirred.wait()
        except BaseException:
            # The event loop is ending. Nobody is left waiting for an answer that no one will give.
            for run in queue.runs:
                assert run.task is not None
                run.task.cancel()
            fail(queue.waiting, _shutting_down())
            queue.waiting.clear()
            raise

    async def _begin(self, queue: Queue) -> None:
        """Begin a batch when it is the tenant's turn.

        A tenant whose last batch was held up takes none: others needn't wait for what holds it up.
        """
        has_turn = not queue.is_held_up
        if has_turn:
            self._in_line += 1
            try:
                await self._turns.acquire()
            finally:
                self._in_line -= 1
        run = queue.begin(_SHARED_BATCH if self._in_line else self._max_batch)
        run.task = asyncio.get_running_loop().create_task(self._see_through(queue, run, has_turn=has_turn))

    async def _see_through(self, queue: Queue, run: Run, *, has_turn: bool) -> None:
        try:
            await self._settle(queue, run)
        except BaseException:
            fail(run.batch, errors.OutcomeUnknown(retry_after_s=_RETRY_AFTER_S))
            raise
        finally:
            queue.end(run)
            if has_turn:
                self._turns.release()

    async def _settle(self, queue: Queue, run: Run) -> None:
        """Carry out a batch and answer it; if that fails for a reason of one item, carry out each turn by itself."""
        batch = run.batch
        try:
            answers = await self._run(queue, run)
        except errors.Unavailable as error:
            queue.is_held_up = True
            fail(batch, error)
        except Exception as error:
            slug = queue.tenant.slug
            each = list(turns(batch))
            if len(each) > 1:
                log.warning("ledger_batch_replayed", items=len(batch), tenant=slug, cause=type(error).__name__)
                for turn in each:
                    await self._settle(queue, Run(turn))
            elif isinstance(error, _BlockedError):
                fail(batch, errors.RequestInFlight(param=keys_of_requests.HEADER))
            else:
                log.exception("ledger_command_failed", kind=batch[0].kind.name, tenant=slug)
                fail(batch, errors.InternalError())
        else:
            queue.is_held_up = False
            for item, answer in zip(batch, answers, strict=True):
                item.settle(answer)

    async def _run(self, queue: Queue, run: Run) -> Answers:
        answers = await self._in_time(self._run_ahead(queue, run))
        queue.follows = answers is not None
        if answers is not None:
            return answers
        if run.before is not None:
            await run.before.wait()
        try:
            return await self._in_time(self._run_behind(queue, run))
        except asyncpg.InvalidCachedStatementError:
            # A migration has changed the tables since they were last asked; asyncpg knows better by now.
            return await self._in_time(self._run_behind(queue, run))
        except errors.Busy as error:
            if not isinstance(error.__cause__, asyncpg.DeadlockDetectedError):
                raise
            # Another room's transaction and this one had each what the other wanted; the other goes on now.
            return await self._in_time(self._run_behind(queue, run))

    async def _in_time(self, attempt: Coroutine[Any, Any, T]) -> T:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await attempt
        except TimeoutError as error:
            raise errors.OutcomeUnknown(retry_after_s=_RETRY_AFTER_S) from error

    async def _run_ahead(self, queue: Queue, run: Run) -> Answers | None:
        """Decide a batch on what the one before it leaves, while that is still being written.

        It is committed only if the ledger then stands where it was supposed to.

        Returns:
            The answers; or None if that can't be done, or has turned out to be wrong. Then nothing has happened.
        """
        known = self._memory.of(queue.tenant.id)
        # Where the one before has to be carried out again, what is known is what it is just being decided on.
        again = run.before is not None and run.before.has_failed
        if again or not queue.is_alone or not may_follow(known, run.batch):
            return None
        try:
            prepared = await self._follow(queue, run, known) if await self._learn(queue, run, known) else None
        except BaseException as error:
            self._forget(known, run)
            if isinstance(error, errors.OutcomeUnknown) and await self._came_to_nothing(queue.tenant, run):
                raise errors.DatabaseUnavailable(_NOTHING, retry_after_s=_RETRY_AFTER_S) from error
            if not isinstance(error, Exception) or is_over(error, run):
                raise
            if isinstance(error, asyncpg.UniqueViolationError | _AnsweredError):
                # A key has an answer already, and more copies may come; or something was shown before.
                queue.looks_back = _LOOKS_BACK
                return None
            if isinstance(error, TimeUnclearError):
                queue.looks_at_clock = LOOKS_AT_CLOCK
                return None
            if not isinstance(error, asyncpg.PostgresError | errors.ProblemError):
                # The batch is carried out all the same, so a fault of ours would only make everything slower.
                log.exception("ledger_ahead_failed", tenant=queue.tenant.slug)
            # Where another worker is busy with this ledger, it would come between again.
            queue.is_alone = False
            queue.doubts = _DOUBTS
            return None
        return None if prepared is None else prepared.answers

    async def _learn(self, queue: Queue, run: Run, known: Known) -> bool:
        """Load what a batch needs and isn't known, while the one before is still being written.

        That one changes none of these rows, or they would be known. If anybody else does, the fence will tell.

        Returns:
            Whether all is known now, or presumed. What others than commands change, and no caller has seen, is neither:
            for that the ledger must be taken first.
        """
        place, clock = known.place, known.clock
        assert place is not None
        assert clock is not None
        books = Books(known, place, clock.now(time.monotonic()))
        run.learned_on = books.now.date()
        wanted, loads = self._wanted_ahead(run, books), 0
        if not wanted:
            return True
        if not wanted.keys() <= self._cached:
            return False
        async with self._database.tx(queue.tenant, begin_sql=PLANS) as tx:
            while wanted and wanted.keys() <= self._cached and loads < _MAX_LOADS:
                await self._load_rows(tx, books, wanted)
                wanted, loads = self._wanted_ahead(run, books), loads + 1
        return not wanted and known.place is place

    def _wanted_ahead(self, run: Run, books: Books) -> "_Wanted":
        """Return what a batch needs besides what is known and what its callers have seen."""
        books.presume(run.presumed(run.batch))
        wanted = self._wanted(books, run.batch)
        # It counts for nobody else, and not while something is waited for.
        books.forget(self._guarding)
        return wanted

    async def _follow(self, queue: Queue, run: Run, known: Known) -> Prepared | None:
        place, clock, before = known.place, known.clock, run.before
        assert place is not None
        assert clock is not None
        remembered = remembering(self._uses, run.batch, self._clock.now())
        if remembered is None:
            return None
        keys = [item.key for item in run.batch if item.key is not None]
        answers = await self._answered(queue, known, keys)
        clock, now, latest = await time_of(self._database, queue, clock)
        opening = batches.Opening(place=place, clock=clock, now=now, latest=latest, answers=answers)
        books = Books(known, place, opening.now)
        has_changed = known.place is not place or (before is not None and before.has_failed)
        # Which rows are needed may depend on the day.
        if has_changed or books.now.date() != run.learned_on:
            return None
        presumed_any, open_items = run.presumed_any, [item for item in run.batch if item.key not in answers]
        presumed = run.presumed(open_items)
        books.presume(presumed)
        if presumed_any and self._wanted(books, open_items):
            # Only who is answered already has seen what another needs.
            books.forget(self._guarding)
            return None
        # What has an answer is noted in ``answers`` as it is decided.
        prepared = self._prepare(queue, run.batch, books, opening)
        if unanswered := [key for key in keys if key not in answers]:
            # What keeps no answer meets none when it is written, so whether there is one has to be asked.
            async with self._database.tx(queue.tenant, begin_sql=PLANS) as tx:
                if await batches.find_answers(tx, unanswered):
                    raise _AnsweredError
            if known.place is not place or (before is not None and before.has_failed):
                raise _AnsweredError
        prepared.writes.extend(remembered)
        self._is_decided(queue, run, known, prepared)
        # Also refusals hold only if the ledger stands where they were decided.
        seen = [(store, presumed[each]) for each, store in self._guarding.items() if each in presumed]
        conditions = [store.guard(list(rows.values())) for store, rows in seen]
        guard = batches.guard(place, clock, conditions)
        try:
            await self._send(queue, run, prepared, guard)
        except asyncpg.DivisionByZeroError:
            if before is None:
                raise
            # It may have got the ledger sooner than the one before, and finds it as it should be after that.
            await before.wait()
            if before.has_failed:
                raise
            await self._send(queue, run, prepared, guard)
        return prepared

    async def _answered(self, queue: Queue, known: Known, keys: Sequence[Key]) -> dict[Key, StoredAnswer]:
        """Return what is remembered to have been answered under keys, and where copies are expected what is kept."""
        answers = known.answers_to(keys, self._clock.now() - _REMEMBERED)
        if queue.looks_back:
            queue.looks_back -= 1
            async with self._database.tx(queue.tenant, begin_sql=PLANS) as tx:
                found = await batches.find_answers(tx, [key for key in keys if key not in answers])
            if found:
                queue.looks_back = _LOOKS_BACK
                answers |= found
        return answers

    async def _send(self, queue: Queue, run: Run, prepared: Prepared, guard: Write) -> None:
        """Send a decided batch as one text: take the ledger, see that it stands where it should, write, commit."""
        run.writes = prepared.writes
        async with self._database.tx(queue.tenant, begin_sql=PLANS, at_once=True) as tx:
            run.backend = tx.connection.get_server_pid()
            tx.wake(prepared.work)
            lock, lock_first = tx.statement(batches.LOCK_HEAD)
            name, first = tx.statement(joined(prepared.writes, guard))
            tx.end_with(f"{lock_first}EXECUTE {lock}; {first}{call(name, [*prepared.writes, guard])}")

    async def _came_to_nothing(self, tenant: TenantRef, run: Run) -> bool:
        """Tell whether a batch whose COMMIT had no answer is known to have failed: who was told to write it is gone."""
        if not run.backend:
            # Nobody was; what was lost had only looked something up.
            return True
        with contextlib.suppress(errors.BillfoldError, asyncpg.PostgresError, TimeoutError):
            async with asyncio.timeout(_ASK_S):
                # Whoever is told to end says so to its client first, and ends then.
                while await self._ask(tenant, lambda tx: batches.is_served(tx, run.backend)):  # noqa: ASYNC110 - it is elsewhere
                    await asyncio.sleep(_ASK_AGAIN_S)
                return await self._ask(tenant, lambda tx: batches.has_come_true(tx, run.writes)) is False
        return False

    async def _ask(self, tenant: TenantRef, question: Callable[[TenantTx], Awaitable[T]]) -> T:
        # What PostgreSQL says of its processes stays the same within a transaction.
        async with self._database.tx(tenant) as tx:
            return await question(tx)

    def _forget(self, known: Known, run: Run) -> None:
        """Forget what is known: what was decided may not have come true, and is to be decided again."""
        run.has_failed = True
        run.is_decided = False
        known.clear()

    async def _run_behind(self, queue: Queue, run: Run) -> Answers:
        """Take the ledger, then load what isn't known, decide and write."""
        known, batch = self._memory.of(queue.tenant.id), run.batch
        try:
            async with self._database.tx(queue.tenant, begin_sql=PLANS + batches.LOCK_HEAD) as tx:
                opening = await batches.open_books(tx, [item.key for item in batch if item.key is not None])
                if known.place is not None:
                    queue.is_alone = known.place.fence == opening.place.fence
                if not queue.is_alone:
                    known.clear()
                known.place, known.clock = opening.place, opening.clock
                self._memory.reading = opening.clock
                books = Books(known, opening.place, opening.now)
                await self._load(tx, books, [item for item in batch if item.key not in opening.answers])
                copies = await find_copies(self._uses, tx, batch, self._clock.now())
                if copies:
                    batch = [item for item in batch if item not in copies]
                    if not opening.answers:
                        # That explains what refused the batch, so no copy of a key is looked for.
                        queue.looks_back = 0
                if any(item.kind.long for item in batch):
                    prepared = await asyncio.to_thread(self._prepare, queue, batch, books, opening)
                else:
                    prepared = self._prepare(queue, batch, books, opening)
                self._is_decided(queue, run, known, prepared)
                tx.wake(prepared.work)
                await _write(tx, prepared.writes)
        except BaseException:
            self._forget(known, run)
            raise
        return with_copies(run.batch, prepared.answers, copies) if copies else prepared.answers

    async def _load(self, tx: TenantTx, books: Books, batch: Sequence[Item]) -> None:
        for _ in range(_MAX_LOADS):
            wanted = self._wanted(books, batch)
            if not wanted:
                return
            await self._load_rows(tx, books, wanted)
        msg = "a kind of command keeps naming new keys"
        raise RuntimeError(msg)

    async def _load_rows(self, tx: TenantTx, books: Books, wanted: "_Wanted") -> None:
        for row_type, keys in wanted.items():
            books.loaded(row_type, await self._loaders[row_type].load(tx, list(keys)), list(keys))

    @staticmethod
    def _wanted(books: Books, batch: Sequence[Item]) -> "_Wanted":
        """Return the keys of rows that a batch needs and that aren't known yet."""
        named: dict[type, list[Hashable]] = {}
        for item in batch:
            for row_type, keys in item.keys(books):
                if row_type in named:
                    named[row_type] += keys
                else:
                    named[row_type] = list(keys)
        wanted = {row_type: dict.fromkeys(books.lacks(row_type, keys)) for row_type, keys in named.items()}
        return {row_type: keys for row_type, keys in wanted.items() if keys}

    def _prepare(self, queue: Queue, batch: Sequence[Item], books: Books, opening: batches.Opening) -> Prepared:
        """Decide a batch on the books."""
        answers, kept = self._decider.decide(queue.tenant, books, batch, opening)
        changes = books.take_changes()
        batches.begin_era(changes, opening.place)
        changed = {row_type: changes.rows[row_type].keys() for row_type in self._guarding if row_type in changes.rows}
        writes = batches.answer_writes(kept) + self._writes(changes)
        place = opening.place
        # Also where there are refusals alone: who repeats one of them must see whether it was kept.
        if changes or kept:
            leaves = batches.leaves_of(changes)
            place, link = batches.next_place(books, place, leaves)
            writes += batches.head_writes(place, leaves, link)
        work, told = work_of(changes), foretold(batch, answers)
        return Prepared(
            answers=answers, kept=kept, writes=writes, place=place, work=work, changed=changed, foretold=told
        )

    def _is_decided(self, queue: Queue, run: Run, known: Known, prepared: Prepared) -> None:
        """Remember what a batch leaves, so that the next can follow, and tell who wants to get ready for its answer."""
        known.keep(self._cached)
        known.place = prepared.place
        known.remember(prepared.kept)
        self._memory.used(queue.tenant.id)
        prepared.foretell()
        run.changed = prepared.changed
        run.is_decided = True
        queue.stirred.set()

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


def _shutting_down() -> errors.Unavailable:
    detail = "The server is shutting down."
    return errors.Unavailable(detail, retry_after_s=_RETRY_AFTER_S)
