"""What was ordered here, what statements show of it and what people undo, in any order: nobody has money twice."""

import asyncio
import random
from dataclasses import dataclass, field

import pytest

from billfold import errors, ids
from billfold.contract.statements import EntryOutcome
from billfold.contract.wallets import AliasScheme
from billfold.ids import Prefix
from billfold_server.invariants.service import check
from billfold_server.keys.service import Keys
from billfold_server.reconciliation import service
from tests.server.reconciliation.desk import Desk
from tests.server.reconciliation.statement_files import ACCOUNT, Entry, Plan, camt053
from tests.server.reconciliation.test_withdrawals import IBAN, Statements
from tests.soak import many
from tests.tenants import Tenancy

FUNDS = 10_000
AMOUNTS = (1, 99, 100, 250, 2_500)
_AT_ONCE = 0.2
SEEDS, STEPS = many(4, 200), 40


@dataclass
class Play:
    """Books on which chance plays."""

    desk: Desk
    random_: random.Random
    statements: Statements
    wallets: list[str]
    fees: str
    orders: dict[str, tuple[str, int]] = field(default_factory=dict)
    shown: list[Plan] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin with what the bank has shown."""
        self.shown.append(self.statements.plan)

    async def order(self) -> None:
        """Withdraw from a wallet, or top one up."""
        wallet, amount = self.random_.choice(self.wallets), self.random_.choice(AMOUNTS)
        give = self.random_.choice([self.desk.withdraw, self.desk.top_up])
        self.orders[await give(wallet, amount)] = (wallet, amount)

    def entry(self) -> Entry:
        """Return what a bank may have booked: most often just what was ordered, and now and then anything."""
        amount = self.random_.choice(AMOUNTS)
        way = self.random_.choice([1, -1])
        if not self.orders or self.random_.random() < 0.2:
            return Entry(way * amount, iban=self.random_.choice([IBAN, None]), name="Somebody")
        named = self.random_.choice(list(self.orders))
        _, whole = self.orders[named]
        if self.random_.random() < 0.75:
            amount = whole
        if self.random_.random() < 0.6:
            way = 1 if named.startswith("top") else -1
        return Entry(way * amount, end_to_end_id=named, iban=IBAN)

    async def show(self) -> None:
        """Import the statement of the next day."""
        await self.statements.show(*(self.entry() for _ in range(self.random_.randrange(1, 4))))
        self.shown.append(self.statements.plan)

    async def assign(self) -> None:
        """Say what an entry shows that waits, or whose it is, rightly or not."""
        waits = [each.id for each in await self.desk.entries(EntryOutcome.SUSPENSE)]
        to = self.random_.choice([*self.orders, *self.orders, self.fees, *self.wallets])
        if waits:
            await self.desk.assigned(self.random_.choice(waits), to)

    async def undo(self) -> None:
        """Take an assignment back."""
        done = [each for each in await self.desk.entries() if each.assigning_journal_entry_id is not None]
        if done:
            await self.desk.undo(self.random_.choice(done).assigning_journal_entry_id)

    async def take_back(self) -> None:
        """Take an import back as a whole: the newest, or one that others have continued."""
        async with self.desk.database.tx(self.desk.tenant) as tx:
            found = await service.list_imports(tx, limit=100, before=None)
        standing = [each for each in found if each.reversed_at is None]
        if len(standing) > 1:
            await self.desk.take_back(self.random_.choice([*standing[:1] * 4, *standing]).id)
            self.shown.pop()
            self.statements.plan = self.shown[-1]

    async def reverse(self) -> None:
        """Undo an order by hand, whole or in part."""
        if self.orders:
            named = self.random_.choice(list(self.orders))
            await self.desk.reverse(named, self.random_.choice([None, 1, 50]))

    async def freeze(self) -> None:
        """Freeze a wallet, or let it go."""
        await self.desk.change(self.random_.choice(self.wallets), self.random_.choice(["freeze", "unfreeze"]))

    async def step(self) -> None:
        """Do one thing, or several at once; what is refused changes nothing."""
        moves = [self.assign] * 3 + [self.undo] * 2 + [self.reverse, self.freeze, self.take_back]
        if self.random_.random() < _AT_ONCE:
            todo = self.random_.choices(moves, k=4)
        else:
            todo = [self.random_.choice([self.order] * 3 + [self.show] * 5 + moves)]
        for done in await asyncio.gather(*(each() for each in todo), return_exceptions=True):
            assert done is None or (
                isinstance(done, errors.ProblemError) and not isinstance(done, errors.InternalError)
            )

    async def see(self) -> None:
        """Every wallet has what was ordered and booked for it, and what is on its way is where it was ordered."""
        desk = self.desk
        assert await check(desk.database, desk.tenant) == []
        found = [each for each in await desk.entries() if not each.taken_back]
        waiting = [each for each in found if each.outcome is EntryOutcome.SUSPENSE]
        assert await desk.account_minor("suspense") == -sum(each.amount_minor for each in waiting)
        assert await desk.cash_minor(ACCOUNT) == self.statements.plan.closing_minor
        assert await desk.account_minor("breaks") == 0
        due = dict.fromkeys(self.wallets, FUNDS)
        on_its_way = FUNDS * len(self.wallets)
        undone = await self.undone()
        for each in found:
            shows_order = each.withdrawal_id is not None or each.top_up_id is not None
            if each.wallet_id is not None and not shows_order and each.outcome is not EntryOutcome.SUSPENSE:
                due[each.wallet_id] += each.amount_minor
        for named, (wallet, amount) in self.orders.items():
            way = 1 if named.startswith("top") else -1
            left = amount - undone.get(named, 0)
            shown = sum(each.amount_minor for each in found if named in {each.withdrawal_id, each.top_up_id})
            assert 0 <= left <= amount
            assert 0 <= way * shown <= amount
            due[wallet] += way * left
            on_its_way += way * left - shown
        assert {each: await desk.wallet_minor(each) for each in self.wallets} == due
        assert await desk.account_minor("cash") == on_its_way

    async def undone(self) -> dict[str, int]:
        """Return how much of each order was undone."""
        async with self.desk.database.tx(self.desk.tenant) as tx:
            rows = await tx.fetch("SELECT journal_entry_id, reversed_minor FROM reversals")
        by_id = {row["journal_entry_id"]: row["reversed_minor"] for row in rows}
        keys = {each: ids.decode(Prefix(each.partition("_")[0]), each) for each in self.orders}
        return {each: by_id.get(key, 0) for each, key in keys.items()}


class TestAnyOrder:
    @pytest.mark.parametrize("seed", range(SEEDS))
    async def test_gives_nobody_money_twice(self, tenancy: Tenancy, tenant_keys: Keys, seed: int) -> None:
        """Orders, statements, assignments, reversals and frozen wallets by chance; each step leaves the books right."""
        desk = Desk(tenancy.database, tenant_keys, tenancy.tenant)
        wallets = [
            await desk.add_wallet((AliasScheme.IBAN, IBAN), funds_minor=FUNDS),
            await desk.add_wallet(funds_minor=FUNDS),
        ]
        statements = Statements(desk)
        await desk.take_in(camt053(statements.plan))
        play = Play(desk, random.Random(seed), statements, wallets, await desk.add_account("fees"))
        for _ in range(STEPS):
            await play.step()
            await play.see()
        await desk.engine.close()
