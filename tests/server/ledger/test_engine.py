"""The engine, against a real PostgreSQL: batches, order and idempotency."""

import asyncio

import msgspec
import pytest

from billfold import errors, ids
from billfold.contract.ledger import ReverseJournalEntry
from billfold.contract.wallets import CreateTopUp, CreateTransfer
from billfold.ids import Prefix
from billfold.money import Money
from billfold_server.db import outbox
from billfold_server.wallets import kinds
from tests.server.ledger.books import Bench, decoded, open_engine
from tests.tenants import Tenancy


class TestABatchOfCommands:
    """A batch of commands."""

    async def test_is_written_in_the_order_in_which_it_was_given(self, bench: Bench) -> None:
        """Entries are numbered without gaps, in the order of submission."""
        await bench.top_up(0, 1_000)
        answers = await asyncio.gather(*(bench.transfer(0, 1, 1) for _ in range(100)))
        after = [decoded(answer)["from_balance_after_minor"] for answer in answers]
        assert after == list(range(999, 899, -1))

    async def test_lets_no_bad_item_fail_its_neighbours(self, bench: Bench) -> None:
        """Refusals and good commands in one batch each get their own answer."""
        await bench.top_up(0, 10)
        answers = await asyncio.gather(bench.transfer(0, 1, 5), bench.transfer(0, 1, 50), bench.transfer(0, 2, 5))
        assert [answer.status for answer in answers] == [201, 409, 201]
        refusal = answers[1].error
        assert isinstance(refusal, errors.InsufficientFunds)
        assert (refusal.available_minor, refusal.required_minor) == (5, 50)


class TestAnIdempotencyKey:
    """An idempotency key."""

    async def test_moves_money_once_for_200_copies_at_once(self, bench: Bench) -> None:
        """All copies get the same answer to the byte, and one transfer exists."""
        await bench.top_up(0, 1_000)
        answers = await asyncio.gather(*(bench.transfer(0, 1, 10, key="once") for _ in range(200)))
        assert len({answer.body for answer in answers}) == 1
        assert sum(not answer.replayed for answer in answers) == 1
        assert await bench.balance(0) == 990

    async def test_holds_over_several_engines(self, bench: Bench, tenancy: Tenancy) -> None:
        """Copies given to two engines, as to two workers, move money once."""
        await bench.top_up(0, 1_000)
        engine = open_engine(tenancy.database)
        other = Bench(engine, tenancy.database, tenancy.tenant)
        other.wallets = bench.wallets
        answers = await asyncio.gather(
            *(side.transfer(0, 1, 10, key="once") for _ in range(50) for side in (bench, other))
        )
        assert len({answer.body for answer in answers}) == 1
        assert await bench.balance(0) == 990
        await engine.close()

    async def test_keeps_a_refusal(self, bench: Bench) -> None:
        """A business refusal is replayed, even after there is money."""
        first = await bench.transfer(0, 1, 10, key="poor")
        await bench.top_up(0, 1_000)
        second = await bench.transfer(0, 1, 10, key="poor")
        assert (first.status, second.status, second.replayed) == (409, 409, True)
        assert first.body == second.body

    async def test_is_refused_for_another_request(self, bench: Bench) -> None:
        """Another fingerprint under the same key is 422 by its code, and changes nothing."""
        await bench.top_up(0, 1_000, key="a")
        body = CreateTopUp(wallet_id=bench.wallets[0], amount=Money(1_000, "EUR"))
        with pytest.raises(errors.IdempotencyKeyReused):
            await bench.submit(kinds.TOP_UP, kinds.top_up(body), key="a", fingerprint=bytes(31) + b"1")
        assert await bench.balance(0) == 1_000


class TestAnEvent:
    """An event."""

    async def test_holds_no_free_text(self, bench: Bench) -> None:
        """Names and what people write don't get into the stream, at any depth; amounts and ids do."""
        body = CreateTransfer(
            from_wallet_id=bench.wallets[0],
            to_wallet_id=bench.wallets[1],
            amount=Money(5, "EUR"),
            description="For Ada Lovelace",
            metadata={"who": "Ada Lovelace"},
        )
        await bench.top_up(0, 10)
        await bench.submit(kinds.TRANSFER, kinds.transfer(body))
        async with bench.database.tx(bench.tenant) as tx:
            told = await outbox.list_events(tx)
        assert "Lovelace" not in "".join(str(event.data) for event in told)
        (posted,) = [event.data for event in told if event.type == "transfer.posted"]
        assert posted["amount"] == {"amount_minor": 5, "currency": "EUR"}
        assert (posted["description"], posted["metadata"]) == (None, {})

    async def test_says_what_its_object_was_when_it_was_made(self, bench: Bench) -> None:
        """What has moved is told from its own row, as it was answered then; it needn't be written twice."""
        await bench.top_up(0, 10)
        body = CreateTransfer(from_wallet_id=bench.wallets[0], to_wallet_id=bench.wallets[1], amount=Money(5, "EUR"))
        answer = await bench.submit(kinds.TRANSFER, kinds.transfer(body))
        transfer_id = ids.decode(Prefix.TRANSFER, (answered := msgspec.json.decode(answer.body))["id"])
        order = ReverseJournalEntry(reason="wrong")
        await bench.submit(kinds.REVERSE_TRANSFER, kinds.TransferReversal("transfer", transfer_id, order))
        async with bench.database.tx(bench.tenant) as tx:
            told = {event.type: event for event in await outbox.list_events(tx)}
            written = {row["type"] for row in await tx.fetch("SELECT type FROM outbox_events WHERE data IS NOT NULL")}
            (again,) = (await outbox.find_events(tx, [told["transfer.posted"].sequence])).values()
        assert told["transfer.posted"].data == answered
        assert again == told["transfer.posted"]
        assert told["top_up.posted"].data["balance_after_minor"] == 10
        assert written.isdisjoint({"transfer.posted", "top_up.posted"})
        assert "transfer.reversed" in written

    async def test_of_one_of_many_transfers_is_found_by_it(self, bench: Bench) -> None:
        """Transfers of one batch are told of in one row, each as if it had been alone."""
        await bench.top_up(0, 1_000)
        alone = await bench.transfer(0, 1, 1)
        answers = [alone, *await asyncio.gather(*(bench.transfer(0, 1, amount) for amount in range(2, 40)))]
        moved = [msgspec.json.decode(answer.body) for answer in answers]
        async with bench.database.tx(bench.tenant) as tx:
            events = await outbox.list_events(tx, event_type="transfer.posted")
            rows = await tx.fetchval("SELECT count(*) FROM outbox_events WHERE type = 'transfer.posted'")
            found = [(await outbox.list_events(tx, object_id=transfer["id"])) for transfer in moved]
        assert sorted((event.data for event in events), key=lambda data: data["id"]) == moved
        assert [event.sequence for event in events] == sorted(event.sequence for event in events)
        assert [[event.data for event in each] for each in found] == [[transfer] for transfer in moved]
        assert {event.id.partition("_")[2] for event in events} == {each["id"].partition("_")[2] for each in moved}
        assert rows < len(moved)
