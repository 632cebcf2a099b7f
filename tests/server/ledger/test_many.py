"""Commands that are given many at a time: each for itself, or all together."""

import asyncio
import copy
import random
from typing import Any

import pytest

from billfold import errors
from billfold.contract.wallets import CreateTransfer
from billfold.money import Money
from billfold_server.invariants.service import check
from billfold_server.ledger.protocol import Answer, Order
from billfold_server.tenancy.context import IdempotencyRef
from billfold_server.wallets import kinds
from tests.server.ledger import orders as modelled
from tests.server.ledger.books import CALLER, Bench, decoded, open_engine
from tests.server.ledger.model import NOT_KEPT, Model
from tests.server.ledger.test_failures import (
    BUG,
    HEAD,
    OUTBOX,
    OVERDRAW,
    WAIT_AT_COMMIT,
    account_of,
    blocked_backend,
    locked,
    settled,
    terminate,
)
from tests.server.ledger.test_model import STEPS, Hands, Play, bench, clock
from tests.tenants import Tenancy

__all__ = ["bench", "clock"]


def ref(key: str) -> IdempotencyRef:
    """Return a key of the test's client."""
    return IdempotencyRef(client_id=CALLER.client_id, key=key, fingerprint=bytes(32))


def transfer(bench: Bench, amount_minor: int, key: str | None = None) -> Order:
    """Order a transfer from the first wallet to the second."""
    body = CreateTransfer(
        from_wallet_id=bench.wallets[0], to_wallet_id=bench.wallets[1], amount=Money(amount_minor, "EUR")
    )
    return kinds.TRANSFER, kinds.transfer(body), None if key is None else ref(key)


async def give(bench: Bench, *orders: Order, together: bool = False) -> list[Any]:
    """Give orders to the bench's engine at once."""
    return list(await bench.engine.submit_many(bench.tenant, CALLER, orders, together=together))


@pytest.fixture
async def funded(bench: Bench) -> Bench:
    """A bench with two wallets, the first of which has a hundred cents."""
    await bench.add_wallets(2)
    await bench.top_up(0, 100)
    return bench


def beside(bench: Bench, **options: Any) -> Bench:
    """Return another engine on the same ledger, as another worker has."""
    other = Bench(open_engine(bench.database, **options), bench.database, bench.tenant)
    other.wallets = bench.wallets
    return other


def carry_out_together(model: Model, orders: list[modelled.Order]) -> list[str]:
    """Carry out all orders or none, in the model, and return the verdicts."""
    known = {place: order for place, order in enumerate(orders) if order.key is not None and order.key in model.answers}
    trial = copy.deepcopy(model)
    verdicts = [copy.deepcopy(model).carry_out(order) if place in known else "" for place, order in enumerate(orders)]
    refused = next((place for place in known if verdicts[place] != "again ok"), None)
    for place, order in enumerate(orders):
        if refused is None:
            verdicts[place] = trial.carry_out(order)
            refused = None if verdicts[place] in {"ok", "again ok"} else place
    if refused is None:
        model.__dict__.update(trial.__dict__)
        return verdicts
    order, verdict = orders[refused], verdicts[refused]
    if order.key is not None and refused not in known and verdict not in {*NOT_KEPT, "idempotency_key_reused"}:
        model.answers[order.key] = (order, verdict)
    model.number += len(orders)
    return [verdicts[place] if place in {*known, refused} else "bulk_aborted" for place in range(len(orders))]


@pytest.mark.slow
class TestWhateverIsGivenAtOnce:
    """Whatever is given at once."""

    @pytest.mark.parametrize("seed", range(2))
    async def test_ends_as_if_it_had_been_given_one_by_one(self, bench: Bench, clock: Hands, seed: int) -> None:
        """Requests of any size, each item for itself or all together, get the serial model's verdicts and books."""
        random_ = random.Random(seed)
        play = Play(bench, clock)
        await play.open()
        keyed: list[modelled.Order] = []
        done: list[list[modelled.Order]] = []
        seen: set[tuple[bool, str]] = set()
        while play.model.number < 2_500:
            together = random_.random() < 0.9
            size = random_.choice([1, 2, 3, 4]) if together else random_.choice([2, 20, 300])
            batch = modelled.random_batch(random_, play.model, keyed, size)
            if done and random_.random() < 0.1:
                batch += random_.choice(done)
            if not batch:
                continue
            number = play.model.number + 1
            expected = carry_out_together(play.model, batch) if together else [*map(play.model.carry_out, batch)]
            found = await play.clerk.give_many(batch, number, together=together)
            assert list(zip(batch, found, strict=True)) == list(zip(batch, expected, strict=True))
            if together and "ok" in expected:
                done.append(batch)
            seen |= {(together, verdict) for verdict in expected}
            await play.pass_time(random_.choice(STEPS))
        await play.compare(random_)
        assert await check(bench.database, bench.tenant) == []
        assert {(True, "bulk_aborted"), (True, "again ok"), (True, "ok"), (False, "again ok")} <= seen


class TestCommandsForThemselves:
    """Commands that are given at once, each for itself."""

    async def test_follow_one_another(self, funded: Bench) -> None:
        """They are decided in order, whatever is refused between them."""
        answers = await give(funded, *(transfer(funded, amount) for amount in (60, 50, 40)))
        assert [answer.status for answer in answers] == [201, 409, 201]
        assert decoded(answers[2])["from_balance_after_minor"] == 0

    async def test_fail_for_themselves(self, funded: Bench) -> None:
        """A defect, and a row that the database refuses, take nobody else along."""
        bad = await account_of(funded, 0)
        answers = await give(funded, transfer(funded, 1), (BUG, None, ref("b")), (OVERDRAW, bad, None))
        assert [type(answer) for answer in answers] == [Answer, errors.InternalError, errors.InternalError]
        assert await funded.balance(1) == 1
        assert (await give(funded, transfer(funded, 1, "b")))[0].replayed is False

    async def test_are_carried_out_though_the_caller_goes_away(self, funded: Bench) -> None:
        """All that was taken is done once, and copies learn of it."""
        orders = [transfer(funded, 1, f"k{number}") for number in range(50)]
        caller = asyncio.create_task(give(funded, *orders))
        await asyncio.sleep(0)
        caller.cancel()
        assert isinstance((await settled(caller))[0], asyncio.CancelledError)
        assert [answer.replayed for answer in await give(funded, *orders)] == [True] * 50
        assert await funded.balance(1) == 50

    async def test_wait_for_no_copy_for_ever(self, tenancy: Tenancy, funded: Bench) -> None:
        """A copy of what is in flight hears so after its time; those beside it are waited for to the end."""
        other = beside(funded, copy_wait_s=0.05, max_batch=1)
        async with locked(tenancy, HEAD) as session:
            first = asyncio.create_task(other.transfer(0, 1, 10, key="slow"))
            await blocked_backend(tenancy)
            only = asyncio.create_task(give(other, transfer(other, 10, "slow")))
            copies = asyncio.create_task(give(other, transfer(other, 10, "slow"), transfer(other, 5, "own")))
            assert [type(answer) for answer in await only] == [errors.RequestInFlight]
            await session.execute("ROLLBACK; BEGIN")
            assert (await first).status == 201
        (_, own) = await copies
        assert (own.status, await funded.balance(1)) == (201, 15)
        await other.engine.close()

    async def test_are_taken_all_or_not_at_all(self, tenancy: Tenancy, funded: Bench) -> None:
        """Past its bound a queue takes none of them, and says when to come back."""
        other = beside(funded, max_waiting=3, max_batch=1)
        async with locked(tenancy, HEAD) as session:
            first = asyncio.create_task(other.transfer(0, 1, 1))
            await blocked_backend(tenancy)
            waiting = asyncio.create_task(give(other, *[transfer(other, 1)] * 2))
            await asyncio.sleep(0)
            for together in (False, True):
                with pytest.raises(errors.Overloaded) as refused:
                    await give(other, *[transfer(other, 1)] * 2, together=together)
            taken = asyncio.create_task(give(other, transfer(other, 1)))
            await asyncio.sleep(0)
            await session.execute("ROLLBACK; BEGIN")
            assert {answer.status for answer in [await first, *await waiting, *await taken]} == {201}
        assert (refused.value.retry_after_s, await funded.balance(1)) == (1, 4)
        assert [answer.status for answer in await give(other, *[transfer(other, 1)] * 9)] == [201] * 9
        await other.engine.close()

    async def test_are_exact_after_the_database_was_away(self, tenancy: Tenancy, funded: Bench) -> None:
        """What was committed before is told, what wasn't is not; the same commands again are carried out once."""
        other = beside(funded, max_batch=2)
        orders = [transfer(funded, 1, f"k{number}") for number in range(6)]
        await give(other, *orders[:2])
        async with locked(tenancy, OUTBOX):
            given = asyncio.create_task(give(other, *orders))
            await terminate(tenancy, await blocked_backend(tenancy))
            await terminate(tenancy, await blocked_backend(tenancy))
            found = await given
        assert [type(answer) for answer in found] == [Answer, Answer, *[errors.DatabaseUnavailable] * 4]
        assert [answer.replayed for answer in await give(other, *orders)] == [True, True, *[False] * 4]
        assert await funded.balance(1) == 6
        await other.engine.close()


class TestCommandsTogether:
    """Commands that are given together."""

    async def test_are_one_batch_however_small_batches_are(self, funded: Bench) -> None:
        """They are never parted, so what another engine sees is all or nothing."""
        other = beside(funded, max_batch=2)
        answers = await give(other, *(transfer(other, 10) for _ in range(5)), together=True)
        assert [decoded(answer)["from_balance_after_minor"] for answer in answers] == [90, 80, 70, 60, 50]
        await other.engine.close()

    async def test_leave_nothing_where_one_is_refused(self, funded: Bench) -> None:
        """No posting, event, audit record or answer remains, but the refusal under its own key."""
        tables = ("journal_entries", "postings", "transfers", "outbox_events", "audit_records", "idempotency_keys")

        async def counted() -> list[int]:
            async with funded.database.tx(funded.tenant) as tx:
                return [await tx.fetchval(f"SELECT count(*) FROM {table}") for table in tables]  # noqa: S608

        before = await counted()
        orders = [transfer(funded, amount, f"k{amount}") for amount in (40, 70, 30)]
        answers = await give(funded, *orders, together=True)
        assert [type(answer) for answer in answers] == [errors.BulkAborted, Answer, errors.BulkAborted]
        assert {answer.refused_item for answer in answers if isinstance(answer, errors.BulkAborted)} == {1}
        assert isinstance(answers[1].error, errors.InsufficientFunds)
        assert answers[1].error.available_minor == 60
        assert [after - number for after, number in zip(await counted(), before, strict=True)] == [0, 0, 0, 0, 0, 1]

    async def test_are_told_what_was_answered_long_ago(self, funded: Bench) -> None:
        """One that was carried out before is answered as it was, though memory has forgotten and another is refused."""
        (first,) = await give(funded, transfer(funded, 5, "a"))
        funded.engine._memory.of(funded.tenant.id).answers = ({}, {})
        again, refused = await give(funded, transfer(funded, 5, "a"), transfer(funded, 1000, "b"), together=True)
        assert (again.status, again.replayed, again.body) == (201, True, first.body)
        assert isinstance(refused.error, errors.InsufficientFunds)

    async def test_fail_together(self, funded: Bench) -> None:
        """A defect, or a row that the database refuses, is the answer to all of them; the neighbours go on."""
        bad = await account_of(funded, 0)
        for wrong in ((BUG, None, None), (OVERDRAW, bad, None)):
            alone, answers = await asyncio.gather(
                funded.transfer(0, 1, 1), give(funded, transfer(funded, 5, "a"), wrong, together=True)
            )
            assert (alone.status, [type(answer) for answer in answers]) == (201, [errors.InternalError] * 2)
        assert await funded.balance(1) == 2
        assert (await funded.transfer(0, 1, 5, key="a")).replayed is False

    @pytest.mark.parametrize("at_commit", [False, True], ids=["before commit", "in commit"])
    async def test_are_exact_after_the_database_was_away(
        self, tenancy: Tenancy, funded: Bench, *, at_commit: bool
    ) -> None:
        """Where it ends in mid-batch or in COMMIT, the same commands again have all been carried out, once."""
        if at_commit:
            await tenancy.as_owner(tenancy.tenant, *WAIT_AT_COMMIT)
        # An engine that knows nothing yet takes the ledger first, and is told of the COMMIT by itself.
        other = beside(funded)
        orders = [transfer(funded, 10, f"k{number}") for number in range(5)]
        async with locked(tenancy, "SELECT pg_advisory_xact_lock(4711)" if at_commit else OUTBOX):
            given = asyncio.create_task(give(other, *orders, together=True))
            await terminate(tenancy, await blocked_backend(tenancy))
            found = await given
        assert {type(answer) for answer in found} == {
            errors.OutcomeUnknown if at_commit else errors.DatabaseUnavailable
        }
        await other.engine.close()
        again = await give(funded, *orders, together=True)
        assert [answer.status for answer in again] == [201] * 5
        assert await funded.balance(1) == 50

    async def test_move_money_once_over_several_engines(self, funded: Bench) -> None:
        """Copies at once on two engines, together and for themselves, have one answer per key."""
        other = beside(funded)
        orders = [transfer(funded, 1, f"k{number}") for number in range(40)]
        found = await asyncio.gather(
            *(
                give(side, *(orders if together else reversed(orders)), together=together)
                for side in (funded, other)
                for together in (True, False)
                for _ in range(3)
            )
        )
        bodies = [{answer.body for answer in answers} for answers in found]
        assert bodies == [bodies[0]] * 12
        assert (len(bodies[0]), await funded.balance(1)) == (40, 40)
        await other.engine.close()
