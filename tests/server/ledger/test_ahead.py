"""A batch that is decided while the one before it is still being committed, whatever becomes of that one."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, time, timedelta
from time import monotonic
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from billfold import errors, ids
from billfold.contract.wallets import CreateTopUp
from billfold.ids import Prefix
from billfold.money import Money
from billfold_server.invariants.service import check
from billfold_server.ledger import batches
from billfold_server.ledger.books import Books, Draft
from billfold_server.ledger.deciding import Decider
from billfold_server.ledger.protocol import Answer, Keys, Kind, Reply
from billfold_server.tenancy.clock import arrive, lock_clock, request_advance, tenant_now
from billfold_server.wallets import kinds
from billfold_server.wallets.rows import WalletRow
from tests.server.ledger.books import CALLER, Bench, decoded, open_engine
from tests.server.ledger.test_failures import HEAD, WAIT_AT_COMMIT, another_session, locked, settled, terminate
from tests.tenants import Tenancy

COMMIT = "SELECT pg_advisory_xact_lock(4711)"
REFUSE_AT_COMMIT = (
    """
    CREATE FUNCTION refuse_at_commit() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$ BEGIN
        PERFORM pg_advisory_xact_lock(4711);
        IF new.description = 'refused' THEN RAISE EXCEPTION 'refused' USING ERRCODE = 'check_violation'; END IF;
        RETURN NULL;
    END $$
    """,
    """
    CREATE CONSTRAINT TRIGGER refuse_at_commit AFTER INSERT ON journal_entries
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse_at_commit()
    """,
    "GRANT EXECUTE ON FUNCTION refuse_at_commit TO {runtime}",
)
"""Makes COMMIT wait for a lock of the test's, and then fail for an entry with a certain description."""


def _wallet_of(now: datetime, wallets: Sequence[UUID]) -> UUID:
    return wallets[now.toordinal() % 2]


def _of_the_day(books: Books, wallets: Sequence[UUID]) -> Keys:
    return {WalletRow: [_wallet_of(books.now, wallets)]}


def _tell(draft: Draft, wallets: Sequence[UUID]) -> Reply:
    wallet = draft.find(WalletRow, _wallet_of(draft.now, wallets))
    return Reply(200, None if wallet is None else str(wallet.id))


OF_THE_DAY: Kind[Sequence[UUID]] = Kind("test.of_the_day", _of_the_day, _tell)
"""A kind that needs one row on even days and another one on odd days."""


@pytest_asyncio.fixture
async def small(tenancy: Tenancy, bench: Bench) -> AsyncIterator[Bench]:
    """Return an engine with batches of two that knows its three wallets, of which the first has money."""
    made = Bench(open_engine(tenancy.database, max_batch=2, copy_wait_s=30), tenancy.database, tenancy.tenant)
    made.wallets = bench.wallets
    for wallet in (0, 1, 2):
        await made.top_up(wallet, 100 if wallet == 0 else 1)
    yield made
    await made.engine.close()


async def blocked(tenancy: Tenancy, number: int) -> list[int]:
    """Wait until that many sessions wait for a lock, and return their processes: first those that wait at COMMIT."""
    async with another_session(tenancy) as session:
        while True:
            found = await session.fetch(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' "
                "ORDER BY wait_event <> 'advisory', query_start"
            )
            if len(found) >= number:
                return [row["pid"] for row in found]


def start(*orders: Any) -> "list[asyncio.Task[Answer]]":
    """Give orders at once, in this order."""
    return [asyncio.create_task(order) for order in orders]


async def stop(tenancy: Tenancy, *orders: Any) -> "tuple[list[asyncio.Task[Answer]], list[int]]":
    """Give two orders, and the others once their batch waits at COMMIT; return all, and the processes that wait.

    Given at once, the second batch may have the ledger sooner than the first, and would find that it came too early.
    """
    first = start(*orders[:2])
    await blocked(tenancy, 1)
    rest = start(*orders[2:])
    return first + rest, await blocked(tenancy, 2)


async def approach_midnight(bench: Bench, before_s: float) -> datetime:
    """Let the tenant's clock run from shortly before a midnight, and return which."""
    async with bench.database.tx(bench.tenant) as tx:
        # Not the next one, which may be too near.
        midnight = datetime.combine(await tenant_now(tx) + timedelta(days=2), time(), UTC)
        await request_advance(tx, midnight - timedelta(seconds=before_s), freeze=False)
        await arrive(tx, await lock_clock(tx))
    return midnight


async def across_midnight(tenancy: Tenancy, bench: Bench, midnight: datetime, wallets: Sequence[UUID]) -> Answer | None:
    """Give an order before midnight whose row can't be loaded until after it; None where midnight came sooner."""
    async with locked(tenancy, "LOCK TABLE wallets IN ACCESS EXCLUSIVE MODE") as session:
        (order,) = start(bench.submit(OF_THE_DAY, wallets))
        await blocked(tenancy, 1)
        # The ledger isn't taken by who learns ahead, or this would be refused.
        await session.execute(f"{HEAD} NOWAIT")
        async with bench.database.tx(bench.tenant) as tx:
            in_time = await tenant_now(tx) < midnight
            while await tenant_now(tx) < midnight:
                await asyncio.sleep(0.01)
    answer = await order
    return answer if in_time else None


def kept(bench: Bench) -> list[int]:
    """Return how many commands each batch under way has."""
    return [len(run.batch) for run in bench.engine._queues[bench.tenant.id].runs]


class TestABatchThatFollowsAnother:
    """A batch that follows another."""

    async def test_is_decided_before_the_other_is_committed(self, tenancy: Tenancy, small: Bench) -> None:
        """Both are with the database at once; nobody is answered before COMMIT, and the second builds on the first."""
        await tenancy.as_owner(tenancy.tenant, *WAIT_AT_COMMIT)
        async with locked(tenancy, COMMIT):
            orders, _ = await stop(tenancy, *(small.transfer(0, 1, 30) for _ in range(4)))
            assert kept(small) == [2, 2]
            assert not any(order.done() for order in orders)
        answers = await asyncio.gather(*orders)
        assert [answer.status for answer in answers] == [201, 201, 201, 409]
        assert (await small.balance(0), await small.balance(1)) == (10, 91)
        assert await check(small.database, small.tenant) == []

    async def test_learns_what_it_needs_meanwhile(self, tenancy: Tenancy, bench: Bench) -> None:
        """Rows that nobody has asked for yet are read beside the other, which changes none of them."""
        other = Bench(open_engine(tenancy.database, max_batch=2), tenancy.database, tenancy.tenant)
        other.wallets = bench.wallets
        await bench.top_up(2, 7)
        await other.top_up(0, 100)
        await other.transfer(0, 1, 10)
        await tenancy.as_owner(tenancy.tenant, *WAIT_AT_COMMIT)
        async with locked(tenancy, COMMIT):
            known, new = [other.transfer(0, 1, 30) for _ in range(2)], [other.transfer(0, 2, 15) for _ in range(3)]
            orders, _ = await stop(tenancy, *known, *new)
            assert kept(other) == [2, 2]
        assert [answer.status for answer in await asyncio.gather(*orders)] == [201, 201, 201, 201, 409]
        assert [await other.balance(wallet) for wallet in (0, 1, 2)] == [0, 70, 37]
        assert await check(other.database, other.tenant) == []
        await other.engine.close()

    async def test_learns_anew_where_midnight_comes_between(self, tenancy: Tenancy, bench: Bench) -> None:
        """Which rows it needs may depend on the day: what was learned on one isn't what the next one asks for."""
        wallets = [ids.decode(Prefix.WALLET, each) for each in bench.wallets[1:3]]
        # A machine that is busy may miss a midnight; then the next one is waited for, from further away.
        for before_s in (0.4, 0.8, 1.2, 4, 12):
            other = Bench(open_engine(tenancy.database), tenancy.database, tenancy.tenant)
            other.wallets = bench.wallets
            midnight = await approach_midnight(bench, before_s)
            await other.top_up(0, 1)
            told = str(_wallet_of(midnight, wallets))
            with capture_logs() as logs:
                answer = await across_midnight(tenancy, other, midnight, wallets)
            await other.engine.close()
            if answer is not None and decoded(answer) == told:
                break
        else:
            pytest.fail("no midnight came between")
        # It would have been carried out all the same, after a fault of ours.
        assert logs == []

    async def test_is_decided_again_where_the_other_fails(self, tenancy: Tenancy, small: Bench) -> None:
        """What COMMIT refuses takes nobody else along: neither its neighbour nor the batch that had built on it."""
        await tenancy.as_owner(tenancy.tenant, *REFUSE_AT_COMMIT)
        bad = small.described_transfer(0, 1, 90, "refused")
        async with locked(tenancy, COMMIT):
            given = (small.transfer(0, 2, 5), small.transfer(0, 1, 90), small.transfer(1, 2, 91))
            orders, _ = await stop(tenancy, bad, *given)
        found = await settled(*orders)
        assert [type(answer) for answer in found] == [errors.InternalError, Answer, Answer, Answer]
        assert [answer.status for answer in found[1:]] == [201, 201, 201]
        assert [await small.balance(wallet) for wallet in (0, 1, 2)] == [5, 0, 97]
        assert await check(small.database, small.tenant) == []

    async def test_waits_for_one_that_is_carried_out_again(
        self, tenancy: Tenancy, small: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """While a batch that has failed loads its rows for another attempt, nobody decides on what is being loaded."""
        await tenancy.as_owner(tenancy.tenant, *REFUSE_AT_COMMIT)
        again, go_on, loads = asyncio.Event(), asyncio.Event(), 0
        load = small.engine._load_rows

        async def slowly(*arguments: Any) -> None:
            nonlocal loads
            loads += 1
            # The first is of the command that is refused, by itself.
            if loads == 2:
                again.set()
                await go_on.wait()
            await load(*arguments)

        monkeypatch.setattr(small.engine, "_load_rows", slowly)
        orders = start(small.described_transfer(0, 1, 1, "refused"), small.transfer(0, 1, 5))
        await again.wait()
        orders += start(small.transfer(0, 1, 7))
        for _ in range(20):
            await asyncio.sleep(0)
        assert kept(small) == [2]
        go_on.set()
        found = await settled(*orders)
        assert [type(answer) for answer in found] == [errors.InternalError, Answer, Answer]
        assert (await small.balance(0), await small.balance(1)) == (88, 13)
        assert await check(small.database, small.tenant) == []

    async def test_is_decided_again_where_the_other_is_lost(self, tenancy: Tenancy, small: Bench) -> None:
        """Who was in the lost batch hears that nothing has happened; the next is answered by what is there."""
        await tenancy.as_owner(tenancy.tenant, *WAIT_AT_COMMIT)
        async with locked(tenancy, COMMIT):
            orders, waiting = await stop(tenancy, *(small.transfer(0, 1, 30, key=f"k{number}") for number in range(4)))
            await terminate(tenancy, waiting[0])
            assert [type(each) for each in await settled(*orders[:2])] == [errors.DatabaseUnavailable] * 2
        answers = await asyncio.gather(*orders[2:])
        assert [decoded(answer)["from_balance_after_minor"] for answer in answers] == [70, 40]
        again = await asyncio.gather(*(small.transfer(0, 1, 30, key=f"k{number}") for number in range(4)))
        assert [(answer.status, answer.replayed) for answer in again] == [
            (201, False),
            (409, False),
            (201, True),
            (201, True),
        ]
        assert await check(small.database, small.tenant) == []

    async def test_is_lost_alone(self, tenancy: Tenancy, small: Bench) -> None:
        """Where the connection of the one that follows dies, the one before is answered all the same."""
        await tenancy.as_owner(tenancy.tenant, *WAIT_AT_COMMIT)
        async with locked(tenancy, COMMIT):
            orders, waiting = await stop(tenancy, *(small.transfer(0, 1, 30, key=f"k{number}") for number in range(4)))
            await terminate(tenancy, waiting[1])
            assert [type(each) for each in await settled(*orders[2:])] == [errors.DatabaseUnavailable] * 2
        assert [answer.status for answer in await asyncio.gather(*orders[:2])] == [201, 201]
        again = await asyncio.gather(*(small.transfer(0, 1, 10, key=f"n{number}") for number in range(5)))
        assert [answer.status for answer in again] == [201, 201, 201, 201, 409]
        assert await check(small.database, small.tenant) == []

    async def test_says_what_is_wrong_with_us(self, small: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        """A fault that only being ahead meets would make everything slower and be heard by nobody; it is logged."""

        async def broken(*_: Any) -> bool:
            msg = "a fault of ours"
            raise LookupError(msg)

        monkeypatch.setattr(small.engine, "_learn", broken)
        with capture_logs() as logs:
            assert (await small.transfer(0, 1, 30)).status == 201
        assert [(line["event"], line["log_level"]) for line in logs] == [("ledger_ahead_failed", "error")]

    async def test_waits_where_it_has_only_copies(self, tenancy: Tenancy, small: Bench) -> None:
        """A copy of what isn't committed yet is answered after COMMIT, with the same bytes."""
        await tenancy.as_owner(tenancy.tenant, *WAIT_AT_COMMIT)
        async with locked(tenancy, COMMIT):
            orders, _ = await stop(tenancy, *(small.transfer(0, 1, 30, key=key) for key in ("a", "b", "b", "a")))
            assert not any(order.done() for order in orders)
        answers = await asyncio.gather(*orders)
        assert [answer.replayed for answer in answers] == [False, False, True, True]
        assert [answer.body for answer in answers[2:]] == [answers[1].body, answers[0].body]

    async def test_carries_out_a_copy_of_what_failed(self, tenancy: Tenancy, small: Bench) -> None:
        """A copy of what COMMIT has refused isn't answered by what never happened."""
        await tenancy.as_owner(tenancy.tenant, *REFUSE_AT_COMMIT)
        async with locked(tenancy, COMMIT):
            first = (small.described_transfer(0, 1, 90, "refused", key="a"), small.transfer(0, 1, 1))
            copies = (small.transfer(0, 2, 90, key="a"), small.transfer(0, 2, 90, key="a"))
            orders, _ = await stop(tenancy, *first, *copies)
        found = await settled(*orders)
        assert [type(each) for each in found] == [errors.InternalError, Answer, Answer, Answer]
        assert [(each.status, each.replayed) for each in found[1:]] == [(201, False), (201, False), (201, True)]
        assert [await small.balance(wallet) for wallet in (0, 1, 2)] == [9, 2, 91]

    async def test_takes_no_refusal_from_one_that_is_lost(self, tenancy: Tenancy, small: Bench) -> None:
        """A copy of what was refused isn't answered by a refusal that was never kept, or its key might move money."""
        async with locked(tenancy, HEAD):
            given = [small.transfer(0, 1, 500, key=key) for key in ("a", "b", "a")]
            orders, waiting = await stop(tenancy, *given)
            await terminate(tenancy, waiting[0])
        lost, _, copy = await settled(*orders)
        assert isinstance(lost, errors.Unavailable)
        assert (copy.status, copy.replayed) == (409, False)
        await small.top_up(0, 1000)
        again = await small.transfer(0, 1, 500, key="a")
        assert (again.status, again.replayed) == (409, True)

    async def test_that_takes_too_long_is_given_up_alone(
        self, tenancy: Tenancy, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Who waits for a batch that is carried out again, for too long, takes nothing from it nor from the line."""
        hasty = Bench(open_engine(tenancy.database, max_batch=2), tenancy.database, tenancy.tenant)
        hasty.wallets = bench.wallets
        for wallet in (0, 1):
            await hasty.top_up(wallet, 100)
        # So what it knows isn't so any more, and both batches that are decided on it have to be decided again.
        await bench.top_up(2, 1)
        async with locked(tenancy, "LOCK TABLE wallets IN ACCESS EXCLUSIVE MODE"):
            async with locked(tenancy, HEAD):
                orders, _ = await stop(tenancy, *(hasty.transfer(0, 1, 1) for _ in range(5)))
                # From here on; until they stand there, they may take as long as the machine does.
                monkeypatch.setattr(hasty.engine, "_timeout_s", 1.0)
            found = await settled(*orders[:4])
            monkeypatch.undo()
        assert {type(each) for each in found} == {errors.OutcomeUnknown}
        assert (await orders[4]).status == 201
        assert (await hasty.transfer(0, 1, 1)).status == 201
        await hasty.engine.close()
        assert await check(hasty.database, hasty.tenant) == []


class TestWhatIsNotLookedUp:
    """What a batch that follows another doesn't look up."""

    async def test_is_met_when_it_is_written(self, small: Bench) -> None:
        """A key that was answered elsewhere has the same answer here, and its neighbour isn't hurt."""
        await small.transfer(0, 1, 1)
        async with small.database.tx(small.tenant) as tx:
            await tx.execute(
                "INSERT INTO idempotency_keys (client_id, key, fingerprint, status, body, created_at) "
                "VALUES ($1, 'elsewhere', $2, 201, $3, $4)",
                CALLER.client_id,
                bytes(32),
                b"{}",
                await small.now(tx),
            )
        for _ in range(2):
            copy, neighbour = await asyncio.gather(small.transfer(0, 1, 5, key="elsewhere"), small.transfer(0, 1, 2))
            assert (copy.status, copy.replayed, copy.body) == (201, True, b"{}")
            assert neighbour.status == 201
        assert await small.balance(0) == 95

    async def test_is_the_clock_unless_it_was_moved(self, small: Bench) -> None:
        """A clock that was moved meanwhile is looked at again."""
        await small.transfer(0, 1, 1)
        async with small.database.tx(small.tenant) as tx:
            to = await tenant_now(tx) + timedelta(days=3)
            await request_advance(tx, to, freeze=True)
            await arrive(tx, await lock_clock(tx))
        answers = [decoded(await small.transfer(0, 1, 1)) for _ in range(2)]
        assert [datetime.fromisoformat(answer["effective_at"]) for answer in answers] == [to, to]


class TestWhatHappensNow:
    """What callers say to happen at the present, in a process that got to see the clock late."""

    async def test_is_not_in_the_future(self, tenancy: Tenancy, small: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        """The time that was told is too early; what only that refuses has the clock looked at, then each time."""
        engine = open_engine(tenancy.database)
        bench = Bench(engine, tenancy.database, tenancy.tenant)
        bench.wallets = small.wallets
        monkeypatch.setattr(batches, "time", SimpleNamespace(monotonic=_LateClock().monotonic))
        await bench.top_up(0, 1)
        decided, decide = [], Decider.decide

        def watched(*told: Any) -> Any:
            decided.append(told)
            return decide(*told)

        monkeypatch.setattr(Decider, "decide", watched)
        found = []
        for later in (0, 0, 0, 3600):
            answer = await self.top_up_at(bench, datetime.now(UTC) + timedelta(seconds=later))
            found.append((answer.status, len(decided)))
            decided.clear()
        await engine.close()

        assert found == [(201, 2), (201, 1), (201, 1), (409, 1)]

    async def top_up_at(self, bench: Bench, at: datetime) -> Answer:
        """Fund a wallet at some time."""
        body = CreateTopUp(wallet_id=bench.wallets[0], amount=Money(1, "EUR"), effective_at=at)
        return await bench.submit(kinds.TOP_UP, kinds.top_up(body), at.isoformat())


class _LateClock:
    """A clock of a process that, after each look at something, isn't given the processor for seconds."""

    def __init__(self) -> None:
        self._looks = 0

    def monotonic(self) -> float:
        """Return the seconds, with those that each second look comes late."""
        self._looks += 1
        return monotonic() + 5 * (self._looks % 2 == 0)


class TestAnotherWorker:
    """Another worker."""

    async def test_that_takes_the_ledger_between_is_heeded(self, tenancy: Tenancy, small: Bench) -> None:
        """A batch that was decided on what is no longer so is decided again."""
        async with locked(tenancy, HEAD) as session:
            (order,) = start(small.transfer(0, 1, 30))
            await blocked(tenancy, 1)
            # This is what a batch of another worker leaves.
            await session.execute("UPDATE wallets SET status = 'frozen'")
            await session.execute("UPDATE ledger_head SET revision = revision + 1, fence = gen_random_uuid()")
            await session.execute("COMMIT; BEGIN")
            answer = await order
        assert isinstance(answer.error, errors.WalletFrozen)
        assert await small.balance(0) == 100

    async def test_is_heeded_by_refusals_too(self, tenancy: Tenancy, small: Bench) -> None:
        """A refusal that would write nothing is given only where the books are as this worker knows them."""
        other = Bench(open_engine(tenancy.database), tenancy.database, tenancy.tenant)
        other.wallets = small.wallets
        assert (await small.transfer(1, 0, 50)).status == 409
        await other.top_up(1, 49)
        assert (await small.transfer(1, 0, 50)).status == 201
        await other.engine.close()

    async def test_on_the_same_wallets_loses_nothing(self, tenancy: Tenancy, small: Bench) -> None:
        """Two engines move the same money to and fro, each behind the other's back; all of it is still there."""
        other = Bench(open_engine(tenancy.database, max_batch=5), tenancy.database, tenancy.tenant)
        other.wallets = small.wallets
        benches = (small, other)
        await small.top_up(0, 400)
        answers = await asyncio.gather(
            *(benches[number % 2].transfer(number % 3, (number + 1) % 3, 1 + number % 7) for number in range(300))
        )
        assert {answer.status for answer in answers} <= {201, 409}
        assert sum([await small.balance(wallet) for wallet in (0, 1, 2)]) == 502
        assert await check(small.database, small.tenant) == []
        await other.engine.close()


class TestATextThatNoTextMayBe:
    """A text that no text may be."""

    @pytest.mark.parametrize("text", ["\0", "\ud800"])
    async def test_fails_alone(self, small: Bench, text: str) -> None:
        """What PostgreSQL can't keep is its own caller's trouble."""
        orders = [small.transfer(0, 1, 1), small.described_transfer(0, 1, 1, text), small.transfer(0, 1, 1)]
        found = await settled(*orders)
        assert [type(each) for each in found] == [Answer, errors.InternalError, Answer]
        assert await small.balance(0) == 98

    @pytest.mark.parametrize("text", ["$$; DROP TABLE postings; --", "'); --", "\\", '"', "{NULL}", "$t$", "ä€😀"])
    async def test_is_kept_as_it_is(self, small: Bench, text: str) -> None:
        """Whatever else people write is kept, and does nothing."""
        answer = await small.described_transfer(0, 1, 1, text)
        assert decoded(answer)["description"] == text
        async with small.database.tx(small.tenant) as tx:
            assert await tx.fetchval("SELECT description FROM transfers ORDER BY id DESC LIMIT 1") == text
