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
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

import asyncpg
import msgspec
import structlog

from billfold import errors
from billfold.clock import Clock
from billfold.errors import ProblemError
from billfold.ids import uuid7
from billfold_server.db.engine import ENGINE
from billfold_server.http import idempotency as keys_of_requests
from billfold_server.http.routing import IdempotencyRef
from billfold_server.ledger import stores as own
from billfold_server.ledger.books import Books, Draft
from billfold_server.tenancy.context import Caller, TenantRef
from billfold_server.tenancy.transaction import Database, TenantTx

__all__ = ["Answer", "Engine", "Kind", "Reply", "Store"]

log = structlog.get_logger(__name__)

B = TypeVar("B")

Keys = Mapping[type, Sequence[Hashable]]
"""What a command needs to be loaded: keys by the type of row."""

_MAX_LOADS = 5
_RETRY_AFTER_S = 1


class Reply(msgspec.Struct, frozen=True):
    """What an accepted command answers."""

    status: int
    response: Any


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a command, encoded once.

    Attributes:
        status: The HTTP status that the idempotency record keeps.
        body: The JSON that was answered, to the byte.
        replayed: Whether it is the answer to an earlier request with the same key.
        error: The refusal, where it was one and happened just now.
    """

    status: int
    body: bytes
    replayed: bool = False
    error: ProblemError | None = None


class Kind(Generic[B]):
    """A kind of command.

    Args:
        name: What it is called in logs and metrics.
        keys: Names the rows that a decision needs. It is asked again after each load, with a draft that knows what was
            loaded, until it names nothing new; so a hold can name the accounts that it turned out to concern.
        decide: Decides on a draft, or raises a ``ProblemError``. Pure.
    """

    def __init__(self, name: str, keys: Callable[[Books, B], Keys], decide: Callable[[Draft, B], Reply]) -> None:
        self.name = name
        self.keys = keys
        self.decide = decide


class Store(Protocol):
    """How the engine loads and writes one type of row on behalf of its room, set by set."""

    @property
    def row_type(self) -> type:
        """The type of row."""
        ...

    async def load(self, tx: TenantTx, keys: Sequence[Hashable]) -> dict[Any, Any]:
        """Return the rows that exist, by key, in one query."""
        ...

    async def write(self, tx: TenantTx, rows: Sequence[Any]) -> None:
        """Insert or update the rows, in one statement."""
        ...


RenderRefusal = Callable[[ProblemError, str | None], tuple[int, bytes]]
"""Turns a refusal into the status and body that are answered and kept, given the request id."""


class _Item:
    __slots__ = ("body", "caller", "future", "idempotency", "kind")

    def __init__(self, kind: Kind[Any], body: object, caller: Caller, idempotency: IdempotencyRef | None) -> None:
        self.kind = kind
        self.body = body
        self.caller = caller
        self.idempotency = idempotency
        self.future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    @property
    def key(self) -> tuple[UUID, str] | None:
        return (self.idempotency.client_id, self.idempotency.key) if self.idempotency else None

    def settle(self, answer: Answer | ProblemError) -> None:
        if self.future.done():
            return
        if isinstance(answer, Answer):
            self.future.set_result(answer)
        else:
            self.future.set_exception(answer)


class _BlockedError(Exception):
    """An idempotency key of the batch is held by a request that is carried out elsewhere."""


class _Queue:
    """One tenant's commands that wait for a batch, and the task that works them off."""

    def __init__(self, tenant: TenantRef) -> None:
        self.tenant = tenant
        self.waiting: deque[_Item] = deque()
        self.worker: asyncio.Task[None] | None = None
        self._in_flight: Counter[tuple[UUID, str]] = Counter()

    def add(self, tenant: TenantRef, item: _Item) -> bool:
        """Put a command in line, and tell whether one with the same idempotency key is in flight already."""
        # A slow request may come with what the registry knew before.
        if tenant.revision >= self.tenant.revision:
            self.tenant = tenant
        self.waiting.append(item)
        key = item.key
        if key is None:
            return False
        self._in_flight[key] += 1
        item.future.add_done_callback(lambda _: self._landed(key))
        return self._in_flight[key] > 1

    def _landed(self, key: tuple[UUID, str]) -> None:
        self._in_flight[key] -= 1
        if not self._in_flight[key]:
            del self._in_flight[key]


class Engine:
    """Takes commands, and answers each when it is durable or refused.

    Args:
        database: The door to the tenants' tables.
        clock: The real clock, which ``recorded_at`` follows.
        tenant_now: Reads the tenant's time within its transaction.
        render_refusal: Encodes a refusal for the answer and for its idempotency record.
        max_batch: How many commands one transaction takes at most.
        max_waiting: How many commands of one tenant may wait; past it new ones are refused.
        copy_wait_s: How long a copy of a request that is in flight waits for its answer.
        timeout_s: How long one batch may take. PostgreSQL's own time-outs are shorter; this one is for a database that
            has stopped answering at all.
    """

    def __init__(
        self,
        database: Database,
        *,
        clock: Clock,
        tenant_now: Callable[[TenantTx], Awaitable[datetime]],
        render_refusal: RenderRefusal,
        stores: Sequence[Store] = (),
        max_batch: int = 256,
        max_waiting: int = 10_000,
        copy_wait_s: float = 2.0,
        timeout_s: float = 30.0,
    ) -> None:
        self._database = database
        self._clock = clock
        self._tenant_now = tenant_now
        self._render_refusal = render_refusal
        self._stores: dict[type, Store] = {}
        self._queues: dict[UUID, _Queue] = {}
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._copy_wait_s = copy_wait_s
        self._timeout_s = timeout_s
        self._closed = False
        every: list[Store] = [*own.STORES, *stores]
        for store in every:
            self._stores[store.row_type] = store

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
        ENGINE.refuse_nesting()
        if self._closed:
            raise _shutting_down()
        queue = self._queues.setdefault(tenant.id, _Queue(tenant))
        if len(queue.waiting) >= self._max_waiting:
            detail = "Too many commands wait for this tenant's ledger."
            raise errors.Overloaded(detail, retry_after_s=_RETRY_AFTER_S)
        item = _Item(kind, body, caller, idempotency)
        is_copy = queue.add(tenant, item)
        if queue.worker is None or queue.worker.done():
            # It works for many callers, so it has nothing of the one that happens to start it.
            queue.worker = asyncio.get_running_loop().create_task(
                self._work(queue), name=f"ledger-{tenant.slug}", context=contextvars.Context()
            )
        return await self._answer_to(item, is_copy=is_copy)

    async def close(self) -> None:
        """Take no further command, and wait until those taken are answered."""
        self._closed = True
        workers = [queue.worker for queue in self._queues.values() if queue.worker is not None]
        await asyncio.gather(*workers, return_exceptions=True)

    async def _answer_to(self, item: _Item, *, is_copy: bool) -> Answer:
        if not is_copy:
            return await asyncio.shield(item.future)
        try:
            async with asyncio.timeout(self._copy_wait_s):
                return await asyncio.shield(item.future)
        except TimeoutError:
            raise errors.RequestInFlight(param=keys_of_requests.HEADER) from None

    async def _work(self, queue: _Queue) -> None:
        batch: list[_Item] = []
        try:
            while queue.waiting:
                batch = [queue.waiting.popleft() for _ in range(min(len(queue.waiting), self._max_batch))]
                await self._settle(queue.tenant, batch)
        except BaseException:
            # The event loop is ending. Nobody is left waiting for an answer that no one will give.
            _fail(batch, errors.OutcomeUnknown(retry_after_s=_RETRY_AFTER_S))
            _fail(queue.waiting, _shutting_down())
            queue.waiting.clear()
            raise

    async def _settle(self, tenant: TenantRef, batch: list[_Item]) -> None:
        """Carry out a batch and answer it; if that fails for a reason of one item, carry out each by itself."""
        try:
            answers = await self._run(tenant, batch)
        except errors.Unavailable as error:
            _fail(batch, error)
        except Exception as error:
            if len(batch) > 1:
                log.warning("ledger_batch_replayed", items=len(batch), tenant=tenant.slug, cause=type(error).__name__)
                for item in batch:
                    await self._settle(tenant, [item])
            elif isinstance(error, _BlockedError):
                _fail(batch, errors.RequestInFlight(param=keys_of_requests.HEADER))
            else:
                log.exception("ledger_command_failed", kind=batch[0].kind.name, tenant=tenant.slug)
                _fail(batch, errors.InternalError())
        else:
            for item, answer in zip(batch, answers, strict=True):
                item.settle(answer)

    async def _run(self, tenant: TenantRef, batch: list[_Item]) -> list[Answer | ProblemError]:
        try:
            async with asyncio.timeout(self._timeout_s):
                try:
                    return await self._attempt(tenant, batch)
                except asyncpg.InvalidCachedStatementError:
                    # A migration has changed the tables since they were last asked; asyncpg knows better by now.
                    return await self._attempt(tenant, batch)
        except TimeoutError as error:
            raise errors.OutcomeUnknown(retry_after_s=_RETRY_AFTER_S) from error

    async def _attempt(self, tenant: TenantRef, batch: list[_Item]) -> list[Answer | ProblemError]:
        async with self._database.tx(tenant, begin_sql=own.LOCK_HEAD) as tx:
            books = await own.load_head(tx)
            now = await self._tenant_now(tx)
            keys = [item.key for item in batch if item.key is not None]
            known = await own.load_answers(tx, keys) if keys else {}
            await self._load(tx, books, [item for item in batch if item.key not in known])
            answers, fresh = self._decide(tenant, books, batch, known, now)
            await self._write(tx, books, fresh)
        return answers

    async def _load(self, tx: TenantTx, books: Books, batch: Sequence[_Item]) -> None:
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
                found = await self._stores[row_type].load(tx, list(new_keys))
                books.loaded(row_type, found, list(new_keys))
        msg = "a kind of command keeps naming new keys"
        raise RuntimeError(msg)

    def _decide(
        self,
        tenant: TenantRef,
        books: Books,
        batch: Sequence[_Item],
        known: dict[tuple[UUID, str], own.StoredAnswer],
        now: datetime,
    ) -> tuple[list[Answer | ProblemError], list[own.StoredAnswer]]:
        answers: list[Answer | ProblemError] = []
        fresh: list[own.StoredAnswer] = []
        recorded_at = self._clock.now()
        for item in batch:
            stored = known.get(item.key) if item.key is not None else None
            if stored is not None:
                answers.append(_replay(item, stored))
                continue
            draft = Draft(
                books,
                now=now,
                clock_now=recorded_at,
                caller=item.caller,
                manifest=tenant.manifest,
                new_id=uuid7,
            )
            answer = self._decide_one(item, draft)
            if isinstance(answer, Answer) and answer.error is None:
                books.merge(draft)
            if isinstance(answer, Answer) and item.key is not None and item.idempotency is not None:
                record = own.StoredAnswer(
                    client_id=item.idempotency.client_id,
                    key=item.idempotency.key,
                    fingerprint=item.idempotency.fingerprint,
                    status=answer.status,
                    body=answer.body,
                    created_at=recorded_at,
                )
                known[item.key] = record
                fresh.append(record)
            answers.append(answer)
        return answers, fresh

    def _decide_one(self, item: _Item, draft: Draft) -> Answer | ProblemError:
        try:
            reply = item.kind.decide(draft, item.body)
        except ProblemError as error:
            if not keys_of_requests.is_kept(error):
                return error
            status, body = self._render_refusal(error, item.caller.request_id)
            return Answer(status=status, body=body, error=error)
        body = b"" if reply.response is None else msgspec.json.encode(reply.response)
        return Answer(status=reply.status, body=body)

    async def _write(self, tx: TenantTx, books: Books, answers: Sequence[own.StoredAnswer]) -> None:
        if answers:
            try:
                await own.write_answers(tx, answers)
            except asyncpg.LockNotAvailableError as error:
                raise _BlockedError from error
        # In the order in which the stores were given, so that what refers to something comes after it.
        for row_type, store in self._stores.items():
            if rows := books.changed.get(row_type):
                await store.write(tx, list(rows.values()))
        await own.write_ledger(tx, books)


def _replay(item: _Item, stored: own.StoredAnswer) -> Answer | ProblemError:
    """Return the stored answer, or refuse a key that was used for something else."""
    if item.idempotency is None or not hmac.compare_digest(item.idempotency.fingerprint, stored.fingerprint):
        return errors.IdempotencyKeyReused(param=keys_of_requests.HEADER)
    return Answer(status=stored.status, body=stored.body, replayed=True)


def _shutting_down() -> errors.Unavailable:
    detail = "The server is shutting down."
    return errors.Unavailable(detail, retry_after_s=_RETRY_AFTER_S)


def _fail(items: Iterable[_Item], error: ProblemError) -> None:
    """Answer all items with an error, each with one of its own: one that is raised in many tasks tangles tracebacks."""
    for item in items:
        own_error = copy.copy(error)
        own_error.__cause__ = error.__cause__
        item.settle(own_error)
