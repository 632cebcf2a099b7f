"""A kind of command that carries a room's own state, in batches, against a serial model."""

import asyncio
import hashlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from billfold import errors, ids
from billfold.contract.ledger import AccountType, CreateAccount
from billfold.contract.wallets import CreateTransfer
from billfold.ids import Prefix
from billfold.money import Money
from billfold_server.invariants.service import check
from billfold_server.ledger import kinds as ledger_kinds
from billfold_server.ledger.export import verify_ledger
from billfold_server.ledger.protocol import Answer, Kind
from billfold_server.ledger.service import list_wallet_accounts
from billfold_server.wallets import kinds
from tests.server.ledger.books import Bench, decoded, open_engine
from tests.server.ledger.paying import CLEARING, CURRENCY, FEES, KINDS, STORE, TABLE, TOO_MUCH_MINOR, Payment
from tests.server.ledger.payments_model import FUNDS_MINOR, WALLETS, Model, Order, random_orders
from tests.soak import many
from tests.tenants import Tenancy

BATCH = 256


class Till:
    """Wallets, a clearing account and one for fees, and the engines of one or more workers that know payments."""

    def __init__(self, tenancy: Tenancy, engines: int, max_batch: int) -> None:
        made = [
            open_engine(tenancy.database, stores=(STORE,), max_batch=max_batch, copy_wait_s=60) for _ in range(engines)
        ]
        self.benches = [Bench(engine, tenancy.database, tenancy.tenant) for engine in made]
        self.wallets: list[UUID] = []

    async def open(self) -> None:
        """Open the accounts, and fund the wallets."""
        bench = self.benches[0]
        await bench.add_wallets(WALLETS)
        for number, key in enumerate((CLEARING, FEES)):
            kind = AccountType.INCOME if number else AccountType.LIABILITY
            body = CreateAccount(code=key.code, type=kind, currency=CURRENCY)
            assert (await bench.submit(ledger_kinds.CREATE_ACCOUNT, body)).status == 201
        for wallet in range(WALLETS):
            await bench.top_up(wallet, FUNDS_MINOR)
        self.wallets = [ids.decode(Prefix.WALLET, wallet) for wallet in bench.wallets]

    async def give(self, orders: list[Order], worker: int = 0) -> list[str]:
        """Give orders at once to one of the workers, and return each verdict: ``ok`` or the code of the refusal."""
        return [_verdict(each) for each in await asyncio.gather(*(self._give(each, worker) for each in orders))]

    async def _give(self, order: Order, worker: int) -> Answer | errors.ProblemError:
        kind, body = self._command(order)
        key = None if order.key is None else f"key {order.key}"
        fingerprint = hashlib.blake2b(repr(order).encode(), digest_size=32).digest()
        try:
            return await self.benches[worker].submit(kind, body, key, fingerprint)
        except errors.ProblemError as error:
            return error

    def _command(self, order: Order) -> tuple[Kind[Any], Any]:
        payer, payee = self.wallets[order.payer], self.wallets[order.payee]
        if order.what in KINDS:
            return KINDS[order.what], Payment(UUID(int=order.payment), payer, payee, order.amount)
        if order.what == "transfer":
            wallets = self.benches[0].wallets
            body = CreateTransfer(
                from_wallet_id=wallets[order.payer],
                to_wallet_id=wallets[order.payee],
                amount=Money(order.amount, CURRENCY),
            )
            return kinds.TRANSFER, kinds.transfer(body)
        step: Any = order.what
        return kinds.CHANGE_STATUS, kinds.StatusChange(payer, step, "test")

    async def compare(self, model: Model) -> None:
        """Hold all that was written to the model: balances, payments, events, audit and jobs."""
        bench = self.benches[0]
        async with bench.database.tx(bench.tenant) as tx:
            accounts = await list_wallet_accounts(tx, self.wallets)
            chart = await bench.chart(tx)
            rows = await tx.fetch("SELECT id, status, refunded_minor, amount_minor FROM orders_paid")
            events = await tx.fetch("SELECT object_id, type FROM outbox_events WHERE type LIKE 'payment.%'")
            audit = await tx.fetch("SELECT object_id, action FROM audit_records WHERE action LIKE 'payment.%'")
            jobs = await tx.fetch("SELECT dedup_key FROM jobs WHERE kind = 'payment.expire'")
        assert [accounts[wallet][0].balance_minor for wallet in self.wallets] == model.balances
        balances = [chart[key.code, CURRENCY].balance_minor for key in (CLEARING, FEES)]
        assert balances == [model.clearing, model.fees]
        assert {row["id"].int: (row["status"], row["refunded_minor"], row["amount_minor"]) for row in rows} == {
            number: (payment.status, payment.refunded, payment.amount) for number, payment in model.payments.items()
        }
        told = Counter((number, what) for number, payment in model.payments.items() for what in payment.told)
        assert Counter((UUID(row["object_id"]).int, row["type"]) for row in events) == told
        assert Counter((UUID(row["object_id"]).int, row["action"]) for row in audit) == told
        assert sorted(UUID(row["dedup_key"]).int for row in jobs) == sorted(model.payments)
        assert await check(bench.database, bench.tenant) == []
        assert (await verify_ledger(bench.database, bench.tenant)).findings == []


def _verdict(answer: Answer | errors.ProblemError) -> str:
    if isinstance(answer, errors.ProblemError):
        return answer.code
    if answer.replayed:
        return f"again {decoded(answer)['code'] if answer.status >= 400 else 'ok'}"
    return "ok" if answer.error is None else answer.error.code


OpenTill = Callable[..., Any]


@pytest_asyncio.fixture
async def open_till(tenancy: Tenancy) -> AsyncIterator[OpenTill]:
    """Open tills, each with a tenant of its own that has the table of payments."""
    tills: list[Till] = []

    async def open_(*, engines: int = 1, max_batch: int = BATCH) -> Till:
        tenant = await tenancy.add(f"payments_{len(tills)}")
        await tenancy.as_owner(tenant, *TABLE)
        till = Till(_with(tenancy, tenant), engines, max_batch)
        tills.append(till)
        await till.open()
        return till

    yield open_
    for till in tills:
        for bench in till.benches:
            await bench.engine.close()


def _with(tenancy: Tenancy, tenant: Any) -> Tenancy:
    return Tenancy(**{name: getattr(tenancy, name) for name in Tenancy.__struct_fields__} | {"tenant": tenant})


@pytest.mark.timeout(600)
@pytest.mark.slow
class TestAKindWithItsRoomsState:
    """A kind of command with its room's own state."""

    @pytest.mark.parametrize("seed", range(many(2, 8)))
    async def test_ends_as_in_the_serial_model(self, open_till: OpenTill, seed: int) -> None:
        """In batches of 256, of one worker or the other, each item gets the model's verdict, and all rows are there."""
        random_, model = random.Random(seed), Model()
        till = await open_till(engines=2)
        verdicts: set[tuple[str, str]] = set()
        for number in range(many(12, 60)):
            # Some batches hold an item that fails in the database, after which each is carried out by itself.
            mistakes = 0.05 if number % 4 == 3 else 0.0
            orders = random_orders(random_, BATCH, mistakes=mistakes, first=number * BATCH)
            expected = [model.carry_out(order) for order in orders]
            found = await till.give(orders, number % 2 if random_.random() < 0.8 else 0)
            assert list(zip(orders, found, strict=True)) == list(zip(orders, expected, strict=True))
            verdicts |= {(order.what, verdict) for order, verdict in zip(orders, expected, strict=True)}
        await till.compare(model)
        assert len(verdicts) >= 40, sorted(verdicts)

    async def test_ends_the_same_alone_and_in_a_batch_of_a_thousand(self, open_till: OpenTill) -> None:
        """A thousand orders get the same verdicts one by one and all at once, and leave the same behind."""
        orders, model = random_orders(random.Random(7), 1_000, mistakes=0.0), Model()
        expected = [model.carry_out(order) for order in orders]
        alone, together = await open_till(max_batch=1), await open_till(max_batch=1_000)
        assert await together.give(orders) == expected
        assert await alone.give(orders) == expected
        await together.compare(model)
        await alone.compare(model)

    async def test_that_the_database_refuses_fails_alone(self, open_till: OpenTill) -> None:
        """A row against a constraint of the room's table fails its own order; neighbours before and after are done."""
        till, model = await open_till(), Model()
        orders = [Order("create", 10, number, number % WALLETS, (number + 1) % WALLETS) for number in range(BATCH)]
        orders[100] = Order("create", TOO_MUCH_MINOR, 100, 0, 1, key=1)
        # Its key stays free: what the same caller asks for under it next is carried out.
        orders += [Order("authorise", 10, 100, 0, 1), Order("create", 20, 100, 0, 1, key=1)]
        expected = [model.carry_out(order) for order in orders]
        assert Counter(expected) == {"ok": BATCH, "internal_error": 1, "not_found": 1}
        assert await till.give(orders) == expected
        await till.compare(model)
