"""Any statements in any order, with copies and overlaps: the books end where the bank does, whoever assigns between."""

import random
from dataclasses import replace

import pytest

from billfold.contract.statements import EntryOutcome
from billfold.contract.wallets import AliasScheme
from billfold_server.keys.service import Keys
from tests.server.reconciliation.desk import Desk
from tests.server.reconciliation.statement_files import ACCOUNT, Entry, Plan, camt053, daily, mt940
from tests.server.reconciliation.test_import import ADA, BOB, day
from tests.tenants import Tenancy


def random_plan(random_: random.Random) -> Plan:
    """Make a statement over some days, with entries that look alike and some that name nobody."""
    days = random_.randrange(1, 7)
    entries = []
    for _ in range(random_.randrange(12)):
        booked = day(random_.randrange(days))
        amount = random_.choice([-300, -100, 100, 100, 250, 700])
        iban = random_.choice([ADA, BOB, None])
        entries.append(Entry(amount, booking_date=booked, value_date=booked, iban=iban, name="Somebody"))
    entries.sort(key=lambda one: one.booking_date)
    return Plan(entries, opening_minor=random_.randrange(-5_000, 5_000), last_day=day(days - 1))


def parts(plan: Plan, random_: random.Random) -> list[Plan]:
    """Cut a statement into runs of whole days that may overlap and together leave out no day."""
    days = daily(plan)
    runs = [(first, first) for first in range(len(days))]
    for _ in range(3):
        first, last = sorted(random_.choices(range(len(days)), k=2))
        runs.append((first, last))
    return [
        replace(
            plan,
            id=f"S{first}-{last}",
            entries=[entry for one in days[first : last + 1] for entry in one.entries],
            opening_minor=days[first].opening_minor,
            first_day=days[first].first_day,
            last_day=days[last].last_day,
        )
        for first, last in runs
    ]


async def assign_some(desk: Desk, account: str, random_: random.Random) -> None:
    """Give one of the entries that wait to an account, or take one back from there, or do nothing."""
    found = await desk.entries()
    waits = [one.id for one in found if one.outcome is EntryOutcome.SUSPENSE]
    assigned = [one.assigning_journal_entry_id for one in found if one.outcome is EntryOutcome.ASSIGNED]
    if waits and random_.random() < 2 / 3:
        await desk.assigned(random_.choice(waits), account)
    elif assigned:
        await desk.undo(random_.choice(assigned))


class TestStatementsInAnyOrder:
    """Statements in any order."""

    @pytest.mark.parametrize("write", [camt053, mt940])
    @pytest.mark.parametrize("seed", range(5))
    async def test_lead_where_the_bank_does(self, tenancy: Tenancy, tenant_keys: Keys, seed: int, write: type) -> None:
        """Each entry counts once and nothing is left unexplained, whoever assigns what waits or takes it back."""
        random_ = random.Random(seed)
        plan = random_plan(random_)
        files = parts(plan, random_) * 2
        random_.shuffle(files)
        desk = Desk(tenancy.database, tenant_keys, tenancy.tenant)
        wallets = [await desk.add_wallet((AliasScheme.IBAN, iban)) for iban in (ADA, BOB)]
        fees = await desk.add_account("fees")
        for file in files:
            [statement] = (await desk.take_in(write(file))).statements
            assert statement.difference_minor == 0
            await assign_some(desk, fees, random_)
        assert await desk.cash_minor(ACCOUNT) == plan.closing_minor
        assert await desk.account_minor("equity") == -plan.opening_minor
        assert await desk.account_minor("breaks") == 0
        booked = [one for one in await desk.entries() if one.outcome is not EntryOutcome.DUPLICATE]
        assert sorted(one.amount_minor for one in booked) == sorted(one.amount_minor for one in plan.entries)
        waiting = sum(one.amount_minor for one in booked if one.outcome is EntryOutcome.SUSPENSE)
        held = sum([await desk.wallet_minor(wallet) for wallet in wallets])
        assert await desk.account_minor("suspense") == -waiting
        assigned = sum(one.amount_minor for one in booked if one.outcome is EntryOutcome.ASSIGNED)
        assert await desk.account_minor("fees") == -assigned
        assert waiting + assigned + held == sum(one.amount_minor for one in plan.entries)
        await desk.engine.close()
