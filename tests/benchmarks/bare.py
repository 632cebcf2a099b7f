"""The least that a ledger can be: what this machine lets an engine of Billfold's kind do, with nothing else around it.

Its batches are collected, decided and written as Billfold's are: two sessions take turns, all rows travel in one text,
role and search path are set for the transaction, and each batch extends a hash chain. Its rows are accounts, entries,
postings, idempotency keys and events, one table each and no more indexes than their reading needs. It has one kind of
order, knows all accounts from the start, and whatever fails, fails for good: no caller should keep money in it.
"""

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from itertools import pairwise
from typing import TypeAlias
from uuid import UUID, uuid4

import asyncpg
import msgspec

from billfold import ids
from billfold_server.db.sets import PIECES, PLANS, Columns, Write, call, joined
from tests.benchmarks.bank import FUNDS_MINOR
from tests.benchmarks.extent import Extent
from tests.benchmarks.gauge import Sample
from tests.benchmarks.ground import Ground

__all__ = ["BareRoom"]

_Session: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_SESSIONS = 2
_BEGIN = (
    "BEGIN; SET LOCAL ROLE bare; SET LOCAL search_path TO bare, pg_temp; SET LOCAL lock_timeout TO 2000; "
    f"SET LOCAL statement_timeout TO 15000; {PLANS}EXECUTE taking; "
)
_TABLES = """
CREATE SCHEMA bare;
SET search_path TO bare;
CREATE TABLE head (
    id integer PRIMARY KEY, sequence bigint NOT NULL, link bigint NOT NULL, hash bytea NOT NULL, fence uuid NOT NULL);
CREATE TABLE accounts (id uuid PRIMARY KEY, posted_minor bigint NOT NULL) WITH (fillfactor = 50);
CREATE TABLE entries (
    id uuid PRIMARY KEY, sequence bigint NOT NULL, recorded_at timestamptz NOT NULL, metadata jsonb NOT NULL);
CREATE TABLE postings (
    entry_id uuid NOT NULL, line smallint NOT NULL, account_id uuid NOT NULL, amount_minor bigint NOT NULL,
    posted_after_minor bigint NOT NULL, PRIMARY KEY (entry_id, line));
CREATE INDEX ON postings (account_id, entry_id);
CREATE TABLE answers (
    key text NOT NULL, client_id uuid NOT NULL, fingerprint bytea NOT NULL, body bytea NOT NULL,
    PRIMARY KEY (client_id, key));
CREATE TABLE events (sequence bigint PRIMARY KEY, id uuid NOT NULL, type text NOT NULL, object_id uuid NOT NULL);
CREATE TABLE links (
    number bigint PRIMARY KEY, recorded_at timestamptz NOT NULL, leaves bytea NOT NULL, hash bytea NOT NULL);
CREATE ROLE bare;
GRANT USAGE ON SCHEMA bare TO bare;
GRANT ALL ON ALL TABLES IN SCHEMA bare TO bare;
"""
_ENTRIES = Columns(id="uuid", sequence="bigint", recorded_at="timestamptz", metadata="jsonb")
_POSTINGS = Columns(
    entry_id="uuid", line="smallint", account_id="uuid", amount_minor="bigint", posted_after_minor="bigint"
)
_ANSWERS = Columns(key="text", client_id="uuid", fingerprint="bytea", body=PIECES)
_EVENTS = Columns(sequence="bigint", id="uuid", type="text", object_id="uuid")
_BALANCES = Columns(id="uuid", posted_minor="bigint")
_SET_BALANCES = f"""
UPDATE accounts AS a SET posted_minor = {_BALANCES.value["posted_minor"]} FROM {_BALANCES.rows} WHERE a.id = n.id
"""  # noqa: S608 - constants
_INSERT = {
    table: f"INSERT INTO {table} ({columns.names}) SELECT {columns.values} FROM {columns.rows}"  # noqa: S608 - constants
    for table, columns in (("entries", _ENTRIES), ("postings", _POSTINGS), ("answers", _ANSWERS), ("events", _EVENTS))
}
_LINK = "INSERT INTO links (number, recorded_at, leaves, hash) VALUES ($1, $2, $3, $4)"
_MOVE = "UPDATE head SET sequence = $1, link = $2, hash = $3, fence = $4 WHERE id = 1"
_GUARD = "SELECT 1 / count(*) FROM head WHERE id = 1 AND fence = $1::uuid"


class _Order(msgspec.Struct, frozen=True, gc=False):
    """A transfer between two accounts, with the idempotency key of its request."""

    payer: UUID
    payee: UUID
    amount_minor: int
    key: str
    metadata: dict[str, str]


class _Entry(msgspec.Struct, frozen=True, gc=False):
    """An order that was decided, and the balances that it leaves."""

    id: UUID
    sequence: int
    recorded_at: datetime
    order: _Order
    payer_minor: int
    payee_minor: int
    body: bytes


class _Ledger:
    """One ledger whose accounts have money.

    Args:
        sessions: Connections to the database in which it is.
        accounts: Its accounts.
    """

    def __init__(self, sessions: Sequence[_Session], accounts: Sequence[UUID]) -> None:
        self._sessions = sessions
        self._free = list(sessions)
        self._minor = dict.fromkeys(accounts, FUNDS_MINOR)
        self._client_id = uuid4()
        self._waiting: list[tuple[_Order, asyncio.Future[bytes]]] = []
        self._batches: list[asyncio.Task[None]] = []
        self._begins = False
        self.sequence = self._link = 0
        self._hash, self._fence = bytes(32), UUID(int=0)

    @classmethod
    async def open(cls, dsn: str, accounts: Sequence[UUID]) -> "_Ledger":
        """Make the tables, give every account the same funds, and carry out a first order, by which all is prepared."""
        sessions = [await asyncpg.connect(dsn) for _ in range(_SESSIONS)]
        await sessions[0].execute(_TABLES)
        await sessions[0].execute("INSERT INTO head VALUES (1, 0, 0, '', $1)", UUID(int=0))
        funded = "INSERT INTO accounts SELECT n, $2 FROM unnest($1::uuid[]) AS n"
        await sessions[0].execute(funded, accounts, FUNDS_MINOR)
        await sessions[0].execute("ANALYZE accounts")
        made = cls(sessions, accounts)
        order = _Order(accounts[0], accounts[1], 1, uuid4().hex, {"order": "A-4711"})
        guard = Write(_GUARD, (made._fence,))
        writes = made._writes([made._decide(order)])
        for session in sessions:
            await session.execute("SET search_path TO bare; PREPARE taking AS SELECT FROM head WHERE id = 1 FOR UPDATE")
            await session.execute(f"PREPARE writing AS {joined(writes, guard)}")
        await sessions[0].execute(f"{_BEGIN}{call('writing', [*writes, guard])}; COMMIT")
        return made

    async def close(self) -> None:
        """Close its sessions."""
        for session in self._sessions:
            await session.close()

    async def submit(self, order: _Order) -> bytes:
        """Give an order, and wait until it is durable."""
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting.append((order, answer))
        self._begin_soon()
        return await answer

    async def check(self) -> None:
        """See that the tables say what was answered, and that the chain is what its links say."""
        session = self._sessions[0]
        said = await session.fetchrow("SELECT (SELECT count(*) FROM entries), sum(posted_minor) FROM accounts")
        assert said is not None
        assert tuple(said) == (self.sequence, FUNDS_MINOR * len(self._minor))
        links = await session.fetch("SELECT leaves, hash FROM links ORDER BY number")
        hashes = [bytes(32), *(link["hash"] for link in links)]
        assert all(
            sha256(before + _root(link["leaves"])).digest() == after
            for (before, after), link in zip(pairwise(hashes), links, strict=True)
        )

    def _begin_soon(self) -> None:
        if self._waiting and self._free and not self._begins:
            self._begins = True
            asyncio.get_running_loop().call_soon(self._begin)

    def _begin(self) -> None:
        self._begins = False
        batch, self._waiting = self._waiting, []
        before = self._batches[-1:]
        work = self._carry_out(self._free.pop(), batch, before)
        self._batches = [*before, asyncio.get_running_loop().create_task(work)]

    async def _carry_out(
        self,
        session: _Session,
        batch: Sequence[tuple[_Order, asyncio.Future[bytes]]],
        before: Sequence[asyncio.Task[None]],
    ) -> None:
        guard = Write(_GUARD, (self._fence,))
        entries = [self._decide(order) for order, _ in batch]
        text = f"{_BEGIN}{call('writing', [*self._writes(entries), guard])}; COMMIT"
        try:
            await session.execute(text)
        except asyncpg.DivisionByZeroError:
            # It has had the head sooner than the batch before.
            await asyncio.gather(*before)
            await session.execute(f"ROLLBACK; {text}")
        self._free.append(session)
        for (_, answer), entry in zip(batch, entries, strict=True):
            answer.set_result(entry.body)
        self._begin_soon()

    def _decide(self, order: _Order) -> _Entry:
        minor = self._minor
        assert minor[order.payer] >= order.amount_minor
        minor[order.payer] -= order.amount_minor
        minor[order.payee] += order.amount_minor
        self.sequence += 1
        entry_id, now = ids.uuid7(), datetime.now(UTC)
        told = {
            "id": entry_id,
            "from_account_id": order.payer,
            "to_account_id": order.payee,
            "amount_minor": order.amount_minor,
            "balance_minor": minor[order.payer],
            "metadata": order.metadata,
            "recorded_at": now,
        }
        return _Entry(entry_id, self.sequence, now, order, minor[order.payer], minor[order.payee], _encode(told))

    def _writes(self, entries: Sequence[_Entry]) -> list[Write]:
        orders = [entry.order for entry in entries]
        both = [(entry, line) for entry in entries for line in (0, 1)]
        accounts = [(entry.order.payer, entry.order.payee)[line] for entry, line in both]
        changed = dict.fromkeys(accounts)
        events = (
            [entry.sequence for entry in entries],
            [ids.uuid7() for _ in entries],
            ["transfer.created"] * len(entries),
            [entry.id for entry in entries],
        )
        leaves = b"".join([sha256(entry.body).digest() for entry in entries])
        self._link += 1
        self._hash, self._fence = sha256(self._hash + _root(leaves)).digest(), uuid4()
        lines = (
            [entry.id for entry, _ in both],
            [line for _, line in both],
            accounts,
            [(-entry.order.amount_minor, entry.order.amount_minor)[line] for entry, line in both],
            [(entry.payer_minor, entry.payee_minor)[line] for entry, line in both],
        )
        heads = (
            [entry.id for entry in entries],
            [entry.sequence for entry in entries],
            [entry.recorded_at for entry in entries],
            [order.metadata for order in orders],
        )
        answers = (
            [order.key for order in orders],
            [self._client_id] * len(orders),
            [bytes(32)] * len(orders),
            [entry.body for entry in entries],
        )
        return [
            Write(_INSERT["entries"], _ENTRIES.arguments(*heads)),
            Write(_INSERT["postings"], _POSTINGS.arguments(*lines)),
            Write(_INSERT["answers"], _ANSWERS.arguments(*answers)),
            Write(_INSERT["events"], _EVENTS.arguments(*events)),
            Write(_SET_BALANCES, _BALANCES.arguments(list(changed), [self._minor[each] for each in changed])),
            Write(_LINK, (self._link, entries[-1].recorded_at, leaves, self._hash)),
            Write(_MOVE, (self.sequence, self._link, self._hash, self._fence)),
        ]


def _root(leaves: bytes) -> bytes:
    """Return the root of a Merkle tree over digests that follow one another."""
    level = [leaves[at : at + 32] for at in range(0, len(leaves), 32)]
    while len(level) > 1:
        level = [sha256(b"".join(level[at : at + 2])).digest() for at in range(0, len(level), 2)]
    return level[0]


_encode = msgspec.json.Encoder().encode


class BareRoom:
    """A bare ledger, and callers that give it orders."""

    def __init__(self, runner: asyncio.Runner, ground: Ground, extent: Extent) -> None:
        self._runner, self._ground, self._extent = runner, ground, extent
        self._accounts = [ids.uuid7() for _ in range(extent.wallets)]
        self._ledger = runner.run(_Ledger.open(ground.dsn(), self._accounts))

    def close(self) -> None:
        """See once more that all is as it was answered, and close its sessions."""
        self._runner.run(self._ledger.check())
        self._runner.run(self._ledger.close())

    def measure(self) -> Sample:
        """Give orders for a while."""
        postgres_s, sequence = self._ground.postgres_s(), self._ledger.sequence
        processor_s, begun = time.process_time(), time.perf_counter()
        took = sorted(self._runner.run(self._give(begun + self._extent.seconds)))
        elapsed_s, processor_s = time.perf_counter() - begun, time.process_time() - processor_s
        assert self._ledger.sequence - sequence == len(took)
        return Sample(
            rate=len(took) / elapsed_s,
            mean_ms=sum(took) / len(took) * 1000,
            p95_ms=took[int(len(took) * 0.95)] * 1000,
            facts={
                "µs of the process": processor_s / len(took) * 1e6,
                "µs of PostgreSQL": (self._ground.postgres_s() - postgres_s) / len(took) * 1e6,
            },
        )

    async def _give(self, deadline: float) -> list[float]:
        took: list[float] = []

        async def call_(orders: Iterator[_Order]) -> None:
            began = time.perf_counter()
            for order in orders:
                await self._ledger.submit(order)
                now = time.perf_counter()
                took.append(now - began)
                began = now
                if now > deadline:
                    return

        await asyncio.gather(*(call_(self._orders(caller)) for caller in range(self._extent.callers)))
        return took

    def _orders(self, seed: int) -> Iterator[_Order]:
        random_ = random.Random(seed)
        while True:
            payer, payee = random_.sample(self._accounts, 2)
            yield _Order(payer, payee, 1, uuid4().hex, {"order": "A-4711"})
