"""The engine when something fails: callers, other sessions, rooms' code, and PostgreSQL itself."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest

from billfold import errors
from billfold_server.db.engine import NestedTransactionError
from billfold_server.http.idempotency import carry_out
from billfold_server.invariants.service import check
from billfold_server.ledger.books import Draft
from billfold_server.ledger.protocol import Answer, Kind, Reply
from billfold_server.ledger.rows import AccountRow
from billfold_server.tenancy import transaction
from billfold_server.tenancy.context import IdempotencyRef
from billfold_server.tenancy.transaction import TenantTx
from tests.apart import apart
from tests.server.ledger.books import CALLER, Bench, decoded, open_engine
from tests.tenants import Tenancy


def _bug(_draft: Draft, _body: None) -> Reply:
    raise ZeroDivisionError


def _overdraw(draft: Draft, body: UUID) -> Reply:
    account = draft.get_account(body)
    draft.put(msgspec.structs.replace(account, held_minor=account.held_minor + 1_000_000))
    return Reply(200, None)


BUG: Kind[None] = Kind("test.bug", lambda _books, _body: {}, _bug)
"""A kind whose room has a defect."""
OVERDRAW: Kind[UUID] = Kind("test.overdraw", lambda _books, body: {AccountRow: [body]}, _overdraw)
"""A kind that forgets a rule, so that the database has to refuse its row."""


@contextlib.asynccontextmanager
async def another_session(tenancy: Tenancy) -> AsyncIterator["asyncpg.Connection[Any]"]:
    """Open a session of the administrator in the tenant's schema."""
    connection = await asyncpg.connect(tenancy.admin_dsn)
    try:
        await connection.execute(f"SET search_path TO {tenancy.tenant.schema}")
        yield connection
    finally:
        await connection.close()


@contextlib.asynccontextmanager
async def locked(tenancy: Tenancy, sql: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    """Hold a lock in another session; the block may end it sooner by ``ROLLBACK``."""
    async with another_session(tenancy) as session:
        await session.execute("BEGIN")
        await session.execute(sql)
        yield session
        await session.execute("ROLLBACK")


async def blocked_backend(tenancy: Tenancy) -> int:
    """Wait until a session of the test's database waits for another's lock, and return its process."""
    async with another_session(tenancy) as session:
        while True:
            found: int | None = await session.fetchval(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            if found is not None:
                return found


HEAD = "SELECT FROM ledger_head FOR UPDATE"
OUTBOX = "LOCK TABLE outbox_events IN ACCESS EXCLUSIVE MODE"
"""Stops a batch at its events, when accounts and answers have been written already."""


async def settled(*work: Any) -> list[Any]:
    """Return results or errors, in order."""
    return await asyncio.gather(*work, return_exceptions=True)


async def account_of(bench: Bench, wallet: int) -> UUID:
    """Return the account of a wallet that has had euros."""
    async with bench.database.tx(bench.tenant) as tx:
        found = await tx.fetchval(
            "SELECT a.id FROM accounts AS a JOIN wallets AS w ON w.id = a.wallet_id ORDER BY w.id OFFSET $1", wallet
        )
    assert isinstance(found, UUID)
    return UUID(int=found.int)


class TestACallerWhoGoesAway:
    """A caller who goes away."""

    async def test_has_ordered_all_the_same(self, bench: Bench) -> None:
        """A cancelled request's command is carried out once, and a copy learns its answer."""
        await bench.top_up(0, 100)
        caller = asyncio.create_task(bench.transfer(0, 1, 10, key="left"))
        neighbour = asyncio.create_task(bench.transfer(0, 1, 1))
        await asyncio.sleep(0)
        caller.cancel()
        assert (await neighbour).status == 201
        assert isinstance((await settled(caller))[0], asyncio.CancelledError)
        copy = await bench.transfer(0, 1, 10, key="left")
        assert (copy.status, copy.replayed, await bench.balance(1)) == (201, True, 11)

    async def test_with_a_transaction_open_is_refused(self, bench: Bench) -> None:
        """A command inside of a transaction would wait for itself; it is refused, and the next caller is served."""
        async with bench.database.tx(bench.tenant):
            with pytest.raises(NestedTransactionError):
                await bench.top_up(0, 1)
        assert (await bench.top_up(0, 1)).status == 201


class TestAnEngineThatCloses:
    """An engine that closes."""

    async def test_answers_those_who_wait(self, bench: Bench) -> None:
        """Everything that was taken is carried out, and nothing more is taken."""
        orders = [asyncio.create_task(bench.top_up(0, 1)) for _ in range(600)]
        await asyncio.sleep(0)
        await bench.engine.close()
        assert {answer.status for answer in await asyncio.gather(*orders)} == {201}
        with pytest.raises(errors.Unavailable) as refused:
            await bench.top_up(0, 1)
        assert refused.value.retry_after_s == 1
        assert await bench.balance(0) == 600

    async def test_leaves_nobody_without_an_answer(self, tenancy: Tenancy, bench: Bench) -> None:
        """Where its work is ended by force, who was in a batch doesn't know, and who waited was not served."""
        engine = open_engine(tenancy.database, max_batch=2)
        other = Bench(engine, tenancy.database, tenancy.tenant)
        other.wallets = bench.wallets
        async with locked(tenancy, HEAD):
            orders = [asyncio.create_task(other.top_up(0, 1)) for _ in range(5)]
            await blocked_backend(tenancy)
            worker = engine._queues[tenancy.tenant.id].worker
            assert worker is not None
            worker.cancel()
            found = await settled(*orders)
        assert [type(error) for error in found] == [errors.OutcomeUnknown] * 2 + [errors.Unavailable] * 3
        assert len({id(error) for error in found}) == 5


class TestOneBadItem:
    """One bad item of a batch."""

    async def test_with_a_defect_fails_alone(self, bench: Bench) -> None:
        """What a room's defect raises is its own caller's, and the key stays free."""
        found = await settled(bench.top_up(0, 5, key="a"), bench.submit(BUG, None, key="b"), bench.top_up(0, 7))
        assert [type(answer) for answer in found] == [Answer, errors.InternalError, Answer]
        assert (await bench.top_up(0, 1, key="b")).replayed is False
        assert await bench.balance(0) == 13

    async def test_that_the_database_refuses_fails_alone(self, bench: Bench) -> None:
        """A row against a constraint takes nobody else's along, and nothing of its own remains."""
        await bench.top_up(0, 5)
        account = await account_of(bench, 0)
        found = await settled(bench.top_up(0, 5), bench.submit(OVERDRAW, account, key="b"), bench.transfer(0, 1, 10))
        assert [type(answer) for answer in found] == [Answer, errors.InternalError, Answer]
        assert decoded(found[2])["from_balance_after_minor"] == 0
        assert (await bench.top_up(0, 1, key="b")).replayed is False
        assert await check(bench.database, bench.tenant) == []

    @pytest.mark.usefixtures("product_locks")
    async def test_whose_key_is_claimed_elsewhere_waits_alone(self, tenancy: Tenancy, bench: Bench) -> None:
        """A key that a request outside of the engine holds makes its own item wait and hear so; the others go on."""
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def slow(_: TenantTx) -> dict[str, int]:
            begun.set()
            await go_on.wait()
            return {}

        async def elsewhere() -> None:
            async with tenancy.database.tx(tenancy.tenant) as tx:
                await carry_out(tx, claimed, slow, status=201, request_id="req_1", now=await bench.now(tx))

        claimed = IdempotencyRef(client_id=CALLER.client_id, key="claimed", fingerprint=bytes(31) + b"2")
        other = apart(elsewhere())
        await begun.wait()
        found = await settled(bench.top_up(0, 5, key="mine"), bench.top_up(0, 6, key="claimed"), bench.top_up(0, 7))
        assert [type(answer) for answer in found] == [Answer, errors.RequestInFlight, Answer]
        go_on.set()
        await other
        with pytest.raises(errors.IdempotencyKeyReused):
            await bench.top_up(0, 6, key="claimed")
        assert await bench.balance(0) == 12


class TestAKey:
    """An idempotency key."""

    @pytest.mark.parametrize("first", ["unknown_wallet", "stale", "malformed", "away"])
    async def test_is_free_after_what_may_go_differently(self, tenancy: Tenancy, bench: Bench, first: str) -> None:
        """After 404, 412, 400 or 503 the same key carries out the next request."""
        await bench.top_up(0, 1)
        with pytest.raises(errors.ProblemError) as refused:
            if first == "unknown_wallet":
                known, bench.wallets[0] = bench.wallets[0], "wal_" + "0" * 26
                try:
                    await bench.top_up(0, 5, key="k")
                finally:
                    bench.wallets[0] = known
            elif first == "away":
                async with locked(tenancy, OUTBOX):
                    order = asyncio.create_task(bench.top_up(0, 5, key="k"))
                    await terminate(tenancy, await blocked_backend(tenancy))
                    await order
            else:
                await bench.rename(0, if_match='"7"' if first == "stale" else "7", key="k")
        expected = {"unknown_wallet": 404, "stale": 412, "malformed": 400, "away": 503}
        assert bench.status(refused.value) == expected[first]
        assert (await bench.top_up(0, 5, key="k")).replayed is False
        assert await bench.balance(0) == 6

    async def test_tells_a_copy_that_waits_too_long(self, tenancy: Tenancy, bench: Bench) -> None:
        """A copy of a request in flight waits its time and hears so; the request itself goes on."""
        engine = open_engine(tenancy.database, copy_wait_s=0.05)
        other = Bench(engine, tenancy.database, tenancy.tenant)
        other.wallets = bench.wallets
        async with locked(tenancy, HEAD) as session:
            first = asyncio.create_task(other.top_up(0, 5, key="slow"))
            await blocked_backend(tenancy)
            with pytest.raises(errors.RequestInFlight) as refused:
                await other.top_up(0, 5, key="slow")
            assert refused.value.param == "Idempotency-Key"
            await session.execute("ROLLBACK; BEGIN")
            assert (await first).replayed is False
        assert (await other.top_up(0, 5, key="slow")).replayed is True
        assert await bench.balance(0) == 5
        await engine.close()


class TestALedgerThatIsLocked:
    """A ledger that another session has locked."""

    @pytest.mark.usefixtures("product_locks")
    async def test_is_busy_after_two_seconds(self, tenancy: Tenancy, bench: Bench) -> None:
        """The caller hears that nothing was changed, and when to come back."""
        async with locked(tenancy, HEAD):
            before = time.monotonic()
            with pytest.raises(errors.Busy) as refused:
                await bench.top_up(0, 5, key="k")
            assert 1.9 < time.monotonic() - before < 10
        assert refused.value.retry_after_s == 1
        assert (await bench.top_up(0, 5, key="k")).replayed is False

    async def test_refuses_more_than_it_can_queue(self, tenancy: Tenancy, bench: Bench) -> None:
        """Past its bound a queue takes no more, and says when to come back; what it took is carried out."""
        engine = open_engine(tenancy.database, max_waiting=3, max_batch=1)
        other = Bench(engine, tenancy.database, tenancy.tenant)
        other.wallets = bench.wallets
        async with locked(tenancy, HEAD) as session:
            orders = [asyncio.create_task(other.top_up(0, 1))]
            await blocked_backend(tenancy)
            orders += [asyncio.create_task(other.top_up(0, 1)) for _ in range(3)]
            await asyncio.sleep(0)
            with pytest.raises(errors.Overloaded) as refused:
                await other.top_up(0, 1)
            await session.execute("ROLLBACK; BEGIN")
            assert {answer.status for answer in await asyncio.gather(*orders)} == {201}
        assert refused.value.retry_after_s == 1
        assert await bench.balance(0) == 4
        await engine.close()

    async def test_says_how_long_its_line_will_take(self, tenancy: Tenancy, bench: Bench) -> None:
        """Where one command has waited 0.6 s for the lock, four will take more than two seconds."""
        engine = open_engine(tenancy.database, max_waiting=3, max_batch=1)
        other = Bench(engine, tenancy.database, tenancy.tenant)
        other.wallets = bench.wallets
        async with locked(tenancy, HEAD) as session:
            order = asyncio.create_task(other.top_up(0, 1))
            await blocked_backend(tenancy)
            await asyncio.sleep(0.6)
            await session.execute("ROLLBACK; BEGIN")
            assert (await order).status == 201
        async with locked(tenancy, HEAD) as session:
            orders = [asyncio.create_task(other.top_up(0, 1))]
            await blocked_backend(tenancy)
            orders += [asyncio.create_task(other.top_up(0, 1)) for _ in range(3)]
            await asyncio.sleep(0)
            with pytest.raises(errors.Overloaded) as refused:
                await other.top_up(0, 1)
            await session.execute("ROLLBACK; BEGIN")
            await asyncio.gather(*orders)
        assert refused.value.retry_after_s is not None
        assert 3 <= refused.value.retry_after_s <= 30
        await engine.close()


async def terminate(tenancy: Tenancy, backend: int) -> None:
    """End a session of the server from outside, and wait until it is gone.

    One that was only told to end still waits for its lock in PostgreSQL's view, and would be found there once more.
    """
    async with another_session(tenancy) as session:
        assert await session.fetchval("SELECT pg_terminate_backend($1, 30000)", backend)


WAIT_AT_COMMIT = (
    """
    CREATE FUNCTION wait_at_commit() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS
    $$ BEGIN PERFORM pg_advisory_xact_lock(4711); RETURN NULL; END $$
    """,
    """
    CREATE CONSTRAINT TRIGGER wait_at_commit AFTER INSERT ON journal_entries
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait_at_commit()
    """,
    "GRANT EXECUTE ON FUNCTION wait_at_commit TO {runtime}",
)
"""Makes COMMIT itself wait for a lock of the test's."""


class TestADatabaseThatGoesAway:
    """A database that goes away."""

    async def test_in_the_middle_of_a_batch_has_changed_nothing(self, tenancy: Tenancy, bench: Bench) -> None:
        """Everyone in the batch is told that it is away, and the next batch finds the books as they were."""
        await bench.top_up(0, 100)
        async with locked(tenancy, OUTBOX):
            orders = [asyncio.create_task(bench.transfer(0, 1, 10, key=f"k{n}")) for n in range(3)]
            await terminate(tenancy, await blocked_backend(tenancy))
            found = await settled(*orders)
        assert [type(error) for error in found] == [errors.DatabaseUnavailable] * 3
        assert (await bench.balance(0), await bench.balance(1)) == (100, 0)
        again = await asyncio.gather(*(bench.transfer(0, 1, 10, key=f"k{n}") for n in range(3)))
        assert [(answer.status, answer.replayed) for answer in again] == [(201, False)] * 3
        assert await check(bench.database, bench.tenant) == []

    async def test_in_commit_leaves_the_outcome_to_the_key(self, tenancy: Tenancy, bench: Bench) -> None:
        """Nobody is told a success or a failure that isn't known, and the copy is carried out once."""
        await bench.top_up(0, 100)
        await tenancy.as_owner(tenancy.tenant, *WAIT_AT_COMMIT)
        # An engine that knows nothing yet takes the ledger first, and is told of the COMMIT by itself.
        other = Bench(open_engine(tenancy.database), tenancy.database, tenancy.tenant)
        other.wallets = bench.wallets
        async with locked(tenancy, "SELECT pg_advisory_xact_lock(4711)"):
            orders = [asyncio.create_task(other.transfer(0, 1, 10, key=f"k{n}")) for n in range(3)]
            await terminate(tenancy, await blocked_backend(tenancy))
            found = await settled(*orders)
        await other.engine.close()
        assert [type(error) for error in found] == [errors.OutcomeUnknown] * 3
        again = await asyncio.gather(*(bench.transfer(0, 1, 10, key=f"k{n}") for n in range(3)))
        assert {answer.status for answer in again} == {201}
        assert (await bench.balance(0), await bench.balance(1)) == (70, 30)

    async def test_without_a_word_is_given_up(
        self, tenancy: Tenancy, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A server that has stopped answering keeps nobody for ever, and the ledger goes on when it is back."""
        monkeypatch.setattr(transaction, "_END_TIMEOUT_S", 0.2)
        async with locked(tenancy, OUTBOX):
            # A machine that is busy may take so long to get there; then it is given more.
            for timeout_s in (0.5, 4, 15):
                engine = open_engine(tenancy.database, timeout_s=timeout_s)
                other = Bench(engine, tenancy.database, tenancy.tenant)
                other.wallets = bench.wallets
                order = asyncio.create_task(other.top_up(0, 5, key="k"))
                seeing = asyncio.create_task(blocked_backend(tenancy))
                await asyncio.wait([order, seeing], return_when=asyncio.FIRST_COMPLETED)
                if seeing.done() and not order.done():
                    break
                seeing.cancel()
                await settled(order, seeing)
                await engine.close()
            backend = await seeing
            os.kill(backend, signal.SIGSTOP)
            try:
                found = await settled(order)
            finally:
                os.kill(backend, signal.SIGCONT)
        assert isinstance(found[0], errors.OutcomeUnknown)
        monkeypatch.undo()
        assert (await bench.top_up(0, 5, key="k")).status == 201
        assert await bench.balance(0) == 5
        await engine.close()


class TestAMigration:
    """A migration under a running engine."""

    async def test_costs_no_command(self, tenancy: Tenancy, bench: Bench) -> None:
        """A statement that it has made stale is asked again, also for a batch of one."""
        await bench.top_up(0, 5)
        await tenancy.as_owner(tenancy.tenant, "ALTER TABLE accounts ALTER COLUMN name TYPE varchar(500)")
        assert (await bench.top_up(0, 5)).status == 201
