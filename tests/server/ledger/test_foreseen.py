"""What is told of a command's answer while it is being written: only that, and never more than getting ready for it."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from billfold import errors
from billfold.contract.wallets import CreateTransfer
from billfold.money import Money
from billfold_server.http.routing import IdempotencyRef
from billfold_server.ledger.protocol import Answer, Foresee, Kind
from billfold_server.wallets import kinds
from tests.server.ledger.books import CALLER, Bench, decoded
from tests.server.ledger.test_ahead import COMMIT, REFUSE_AT_COMMIT
from tests.server.ledger.test_failures import (
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
from tests.tenants import Tenancy


class Foreseeing:
    """Somebody who gives commands, and notes what is foretold of each."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.told: list[Answer] = []

    async def give(self, kind: Kind[Any], body: Any, key: str | None = None, foresee: Foresee | None = None) -> Answer:
        """Give a command."""
        reference = None
        if key is not None:
            reference = IdempotencyRef(client_id=CALLER.client_id, key=key, fingerprint=bytes(32))
        noting = self.told.append if foresee is None else foresee
        return await self.bench.engine.submit(self.bench.tenant, CALLER, kind, body, reference, foresee=noting)

    async def transfer(
        self, amount_minor: int, key: str | None = None, text: str | None = None, foresee: Foresee | None = None
    ) -> Answer:
        """Move money from the first wallet to the second."""
        source, target = self.bench.wallets[:2]
        amount = Money(amount_minor, "EUR")
        body = CreateTransfer(from_wallet_id=source, to_wallet_id=target, amount=amount, description=text)
        return await self.give(kinds.TRANSFER, kinds.transfer(body), key, foresee)

    async def moved(self) -> int:
        """Return what has come to the second wallet."""
        return await self.bench.balance(1)


@pytest.fixture
async def payer(bench: Bench) -> Foreseeing:
    """Return somebody with a hundred in the first wallet; what transfers need is known to the engine."""
    await bench.top_up(0, 100)
    await bench.top_up(1, 1)
    await bench.transfer(1, 0, 1)
    return Foreseeing(bench)


class TestAnAnswerThatIsForeseen:
    async def test_is_the_one_that_is_given_once_it_is_committed(self, tenancy: Tenancy, payer: Foreseeing) -> None:
        """It is told while COMMIT waits, when nobody else sees anything of it and its caller has no answer."""
        await tenancy.as_owner(tenancy.tenant, *WAIT_AT_COMMIT)
        async with locked(tenancy, COMMIT):
            order = asyncio.create_task(payer.transfer(10))
            await blocked_backend(tenancy)
            assert [answer.status for answer in payer.told] == [201]
            assert not order.done()
            assert await payer.moved() == 0
        assert await order == payer.told[0]
        assert await payer.moved() == 10

    async def test_is_told_of_what_was_decided_behind_the_ledgers_lock(self, tenancy: Tenancy, bench: Bench) -> None:
        """An engine that has to read first tells it as well, before it writes."""
        await bench.top_up(0, 100)
        payer = Foreseeing(bench)
        bench.engine._memory.of(bench.tenant.id).clear()
        async with locked(tenancy, OUTBOX):
            order = asyncio.create_task(payer.transfer(10))
            await blocked_backend(tenancy)
            assert len(payer.told) == 1
            assert not order.done()
        assert (await order).body == payer.told[0].body

    async def test_is_none_of_refusals_and_copies(self, payer: Foreseeing) -> None:
        """Of what isn't carried out now there is nothing to get ready."""
        first = await payer.transfer(10, "one")
        payer.told.clear()
        copy = await payer.transfer(10, "one")
        assert (copy.body, copy.replayed) == (first.body, True)
        assert isinstance((await payer.transfer(1_000, "two")).error, errors.InsufficientFunds)
        with pytest.raises(errors.NotFound):
            await payer.give(kinds.TRANSFER, kinds.transfer(_to_nobody(payer.bench)))
        assert payer.told == []

    async def test_is_told_to_one_of_many_copies(self, payer: Foreseeing) -> None:
        """Of copies that come at once one is carried out and told of, and all have its answer."""
        answers = await asyncio.gather(*(payer.transfer(10, "same") for _ in range(50)))
        assert {answer.body for answer in answers} == {payer.told[0].body}
        assert len(payer.told) == 1
        assert await payer.moved() == 10

    async def test_harms_nobody_by_what_is_made_of_it(self, payer: Foreseeing) -> None:
        """A defect of who gets ready is logged, and neither its own command nor its neighbours fail by it."""

        def broken(_answer: Answer) -> None:
            raise ZeroDivisionError

        with capture_logs() as logs:
            answers = await asyncio.gather(payer.transfer(1), payer.transfer(2, foresee=broken), payer.transfer(4))
        assert [answer.status for answer in answers] == [201] * 3
        assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["ledger_foresee_failed"]
        assert len(payer.told) == 2
        assert await payer.moved() == 7


class TestAnAnswerThatWasForeseenInVain:
    async def test_is_given_to_nobody_where_the_database_dies(self, tenancy: Tenancy, payer: Foreseeing) -> None:
        """Who waits is told that it is away, and nothing is kept: a copy is carried out anew, with another answer."""
        async with locked(tenancy, OUTBOX):
            orders = [asyncio.create_task(payer.transfer(10, f"k{n}")) for n in range(3)]
            await terminate(tenancy, await blocked_backend(tenancy))
            found = await settled(*orders)
        assert [type(error) for error in found] == [errors.DatabaseUnavailable] * 3
        assert len(payer.told) == 3
        assert await payer.moved() == 0
        again = await asyncio.gather(*(payer.transfer(10, f"k{n}") for n in range(3)))
        assert not {answer.body for answer in again} & {answer.body for answer in payer.told[:3]}
        assert [answer.replayed for answer in again] == [False] * 3

    async def test_is_given_to_nobody_where_commit_has_no_answer(self, tenancy: Tenancy, payer: Foreseeing) -> None:
        """Whatever has become of it, its caller isn't told a success that isn't known, and its key tells."""
        await tenancy.as_owner(tenancy.tenant, *WAIT_AT_COMMIT)
        payer.bench.engine._memory.of(payer.bench.tenant.id).clear()
        async with locked(tenancy, COMMIT):
            order = asyncio.create_task(payer.transfer(10, "key"))
            await terminate(tenancy, await blocked_backend(tenancy))
            (found,) = await settled(order)
        assert isinstance(found, errors.OutcomeUnknown)
        (foreseen,) = payer.told
        again = await payer.transfer(10, "key")
        assert again.replayed or again.body != foreseen.body
        assert await payer.moved() == 10

    async def test_is_given_to_nobody_where_commit_is_refused(self, tenancy: Tenancy, payer: Foreseeing) -> None:
        """What only COMMIT finds wrong ends in an error for its own caller alone; the others are decided again."""
        await tenancy.as_owner(tenancy.tenant, *REFUSE_AT_COMMIT)
        with capture_logs():
            found = await settled(payer.transfer(1), payer.transfer(2, "key", "refused"), payer.transfer(4))
        assert [type(each) for each in found] == [Answer, errors.InternalError, Answer]
        assert await payer.moved() == 5
        # Once as a batch, perhaps once more behind the ledger's lock, and then item by item.
        told = [decoded(answer)["amount"]["amount_minor"] for answer in payer.told]
        assert min(told.count(amount) for amount in (1, 2, 4)) >= 2
        for answer, amount in ((found[0], 1), (found[2], 4)):
            last = [each for each in payer.told if decoded(each)["amount"]["amount_minor"] == amount][-1]
            assert answer == last

    async def test_is_left_where_items_are_replayed_one_by_one(self, payer: Foreseeing) -> None:
        """The row that the database refuses was foretold as a success, which nobody is given; its key stays free."""
        account = await account_of(payer.bench, 0)
        told: list[Answer] = []
        with capture_logs():
            found = await settled(
                payer.transfer(10), payer.give(OVERDRAW, account, "bad", told.append), payer.transfer(20)
            )
        assert [type(each) for each in found] == [Answer, errors.InternalError, Answer]
        assert {answer.status for answer in told} == {200}
        assert found[0] in payer.told
        assert found[2] in payer.told
        assert await payer.moved() == 30
        assert (await payer.transfer(1, "bad")).replayed is False

    async def test_is_left_where_it_was_decided_again(self, tenancy: Tenancy, payer: Foreseeing) -> None:
        """Where somebody else has had the ledger meanwhile, what is answered is what was decided after that."""
        async with locked(tenancy, HEAD) as session:
            order = asyncio.create_task(payer.transfer(60))
            await blocked_backend(tenancy)
            (foreseen,) = payer.told
            assert foreseen.status == 201
            # Another worker takes most of the money, and leaves the ledger elsewhere.
            await session.execute(
                "UPDATE accounts SET posted_minor = posted_minor + 50 WHERE wallet_id = "
                "(SELECT id FROM wallets ORDER BY id LIMIT 1)"
            )
            await session.execute("UPDATE ledger_head SET fence = gen_random_uuid(); COMMIT; BEGIN")
            answer = await order
        assert isinstance(answer.error, errors.InsufficientFunds)
        assert answer.body != foreseen.body
        assert await payer.moved() == 0


def _to_nobody(bench: Bench) -> CreateTransfer:
    return CreateTransfer(
        from_wallet_id=bench.wallets[0], to_wallet_id="wal_" + "0" * 26, amount=Money(1, "EUR"), description=None
    )
