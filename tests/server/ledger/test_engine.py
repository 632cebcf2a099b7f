"""The engine, against a real PostgreSQL."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from billfold import errors, ids
from billfold.ids import Prefix
from billfold_server.invariants.service import check
from billfold_server.ledger.engine import Answer, Kind
from billfold_server.ledger.service import balances_as_of, list_wallet_accounts
from tests.server.ledger.books import Bench, decoded, open_engine
from tests.server.ledger.model import CURRENCIES, Model, Order, random_order
from tests.tenants import Tenancy

WALLETS = 8


@pytest_asyncio.fixture
async def bench(tenancy: Tenancy) -> AsyncIterator[Bench]:
    """Return an engine with a few wallets."""
    engine = open_engine(tenancy.database)
    made = Bench(engine, tenancy.database, tenancy.tenant)
    await made.add_wallets(WALLETS)
    yield made
    await engine.close()


async def settle(bench: Bench, orders: list[Order]) -> list[str]:
    """Give orders at once, and return each verdict: ``ok`` or the code of the refusal."""
    commands = [bench.command(order) for order in orders]

    async def give(order: Order, command: tuple[Kind[Any], object] | None) -> str:
        if command is None:
            return "not_found"
        kind, body = command
        try:
            answer = await bench.submit(kind, body)
        except errors.ProblemError as error:
            return error.code
        made.append((order, answer))
        return "ok" if answer.error is None else answer.error.code

    made: list[tuple[Order, Answer]] = []
    verdicts = await asyncio.gather(*(give(order, command) for order, command in zip(orders, commands, strict=True)))
    for order, answer in made:
        bench.learn(order, answer)
    return verdicts


async def read_balances(bench: Bench) -> dict[tuple[int, str], tuple[int, int, int]]:
    """Return posted, held and pending of every wallet, by number and currency."""
    wallet_ids = [ids.decode(Prefix.WALLET, wallet) for wallet in bench.wallets]
    async with bench.database.tx(bench.tenant) as tx:
        accounts = await list_wallet_accounts(tx, wallet_ids)
    return {
        (number, account.currency): (account.balance_minor, account.held_minor, account.pending_minor)
        for number, wallet_id in enumerate(wallet_ids)
        for account in accounts[wallet_id]
    }


class TestABatchOfCommands:
    """A batch of commands."""

    @pytest.mark.parametrize("seed", range(4))
    async def test_gives_the_verdicts_of_the_serial_model(self, bench: Bench, seed: int) -> None:
        """Whatever is given at once is decided as if one after the other, item by item, and the books agree."""
        random_ = random.Random(seed)
        model = Model(WALLETS)
        seen = set()
        for _ in range(30):
            orders = [random_order(random_, WALLETS) for _ in range(random_.choice([1, 2, 20, 60]))]
            for order in orders:
                if order.what not in {"reverse", "capture", "release"}:
                    order.source %= WALLETS
            # What an order refers to must exist before the batch, or the two sides could mean different things.
            entries, holds = len(model.entries), len(model.holds)
            for order in orders:
                if order.what == "reverse":
                    order.source %= max(entries, 1)
                elif order.what in {"capture", "release"}:
                    order.source %= max(holds, 1)
            orders = [
                order
                for order in orders
                if not (order.what == "reverse" and not entries)
                and not (order.what in {"capture", "release"} and not holds)
            ]
            expected = [model.carry_out(order) for order in orders]
            assert await settle(bench, orders) == expected
            seen |= {(order.what, verdict) for order, verdict in zip(orders, expected, strict=True)}
        found = await read_balances(bench)
        for number in range(WALLETS):
            for currency in CURRENCIES:
                key = (number, currency)
                wanted = (model.posted.get(key, 0), model.held.get(key, 0), model.pending.get(key, 0))
                assert found.get(key, (0, 0, 0)) == wanted
        assert await check(bench.database, bench.tenant) == []
        assert len(seen) >= 20, seen

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
        assert (await read_balances(bench))[0, "EUR"][0] == 990

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
        assert (await read_balances(bench))[0, "EUR"][0] == 990
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
        kind, body = bench.command(Order("transfer", 1, "EUR", 0, 1)) or (None, None)
        assert kind is not None
        with pytest.raises(errors.IdempotencyKeyReused):
            await bench.submit(kind, body, key="a", fingerprint=bytes(31) + b"1")


class TestBalancesAsOf:
    """Balances as of any time."""

    async def test_equal_the_replay_of_the_postings(self, bench: Bench) -> None:
        """On both time axes, at random instants, the balance is the sum of what counted then."""
        random_ = random.Random(5)
        for _ in range(6):
            orders = [random_order(random_, WALLETS) for _ in range(40)]
            orders = [order for order in orders if order.what in {"transfer", "top_up", "withdrawal", "hold"}]
            for order in orders:
                order.source %= WALLETS
            await settle(bench, orders)
        wallet_ids = [ids.decode(Prefix.WALLET, wallet) for wallet in bench.wallets]
        async with bench.database.tx(bench.tenant) as tx:
            accounts = [a for of in (await list_wallet_accounts(tx, wallet_ids)).values() for a in of]
            postings = await tx.fetch("SELECT account_id, amount_minor, effective_at, recorded_at FROM postings")
            instants = [datetime(2000, 1, 1, tzinfo=UTC), *(row["effective_at"] for row in postings)]
            for _ in range(20):
                effective, recorded = random_.choice(instants), random_.choice([*instants, datetime.now(UTC)])
                found = await balances_as_of(tx, accounts, effective_at=effective, recorded_at=recorded)
                for account, balance in zip(accounts, found, strict=True):
                    replay = sum(
                        row["amount_minor"]
                        for row in postings
                        if row["account_id"] == account.id
                        and row["effective_at"] <= effective
                        and row["recorded_at"] <= recorded
                    )
                    assert balance.posted_minor == -replay
