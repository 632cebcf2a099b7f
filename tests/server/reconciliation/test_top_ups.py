"""Top-ups that were ordered here, and the entries of banks' statements that show them."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

from billfold import errors, ids
from billfold.contract.ledger import AccountType
from billfold.contract.statements import EntryOutcome, EntryReason
from billfold_server.keys.service import Keys
from billfold_server.ledger.export import export_ledger
from billfold_server.ledger.importing import import_ledger
from billfold_server.tenancy.context import COMMAND_LINE
from tests.server.reconciliation.desk import Desk
from tests.server.reconciliation.statement_files import ACCOUNT, Entry, camt053
from tests.server.reconciliation.test_withdrawals import IBAN, Statements, execute, forget, named, payer
from tests.tenants import Tenancy

UNKNOWN = "top_01m7w9tnzcejq9b78b81gh4nmw"
DIFFERS = (EntryOutcome.SUSPENSE, EntryReason.TOP_UP_DIFFERS, None)


@pytest_asyncio.fixture
async def desk(tenancy: Tenancy, tenant_keys: Keys) -> AsyncIterator[Desk]:
    """Return where a tenant's bank statements come in."""
    made = Desk(tenancy.database, tenant_keys, tenancy.tenant)
    yield made
    await made.engine.close()


async def last(desk: Desk) -> tuple[EntryOutcome, EntryReason | None, str | None]:
    """Return what became of the newest entry."""
    entry = (await desk.entries())[-1]
    return entry.outcome, entry.reason, entry.top_up_id


class TestACreditThatNamesATopUp:
    @pytest.mark.parametrize("written", ["{}", "{u}", "inv 7 {u}, thanks", "{sepa}"])
    async def test_tops_the_wallet_up_no_second_time(self, desk: Desk, written: str) -> None:
        """The wallet has the money; what was on its way has come to the bank account, whatever alias it names."""
        wallet, statements = await payer(desk)
        top_up = await desk.top_up(wallet, 2_500)
        on_its_way = await desk.account_minor("cash")
        text = written.format(top_up, u=top_up.upper(), sepa=top_up.upper().replace("_", ""))
        await statements.show(Entry(2_500, remittance=text, iban=IBAN))
        assert await last(desk) == (EntryOutcome.ASSIGNED, None, top_up)
        assert (await desk.wallet_minor(wallet), await desk.cash_minor(ACCOUNT)) == (12_500, 102_500)
        assert (on_its_way, await desk.account_minor("cash")) == (12_500, 10_000)
        assert await desk.account_minor("breaks") == 0

    async def test_waits_where_it_is_not_that_top_up(self, desk: Desk) -> None:
        """Another amount, one that has come in before or was taken back, two at once, none: no wallet is topped up."""
        wallet, statements = await payer(desk)
        first, undone = await desk.top_up(wallet, 2_500), await desk.top_up(wallet, 100)
        withdrawal = await desk.withdraw(wallet, 300)
        await desk.reverse(undone)
        await statements.show(named(first, 2_499))
        assert await last(desk) == DIFFERS
        await statements.show(named(first, 2_500))
        for entry in (
            named(first, 2_500),
            named(undone, 100),
            named(UNKNOWN, 100),
            named(withdrawal.replace("wdr", "top"), 300),
            Entry(200, remittance=f"{first} {withdrawal}", iban=IBAN),
        ):
            await statements.show(entry)
            assert await last(desk) == DIFFERS
        assert await desk.wallet_minor(wallet) == 12_200

    async def test_waits_where_that_was_booked_on_the_bank_account_itself(self, desk: Desk) -> None:
        """As every top-up that a statement has made, and those that somebody has ordered there."""
        wallet, statements = await payer(desk)
        top_up = await desk.top_up(wallet, 2_500, cash_account_id=await desk.account_id(f"cash:{ACCOUNT}"))
        await statements.show(named(top_up, 2_500))
        assert await last(desk) == DIFFERS

    async def test_is_forgotten_with_whose_it_is(self, desk: Desk) -> None:
        """What the bank says of it is under the key of the wallet's owner at once."""
        wallet = await desk.add_wallet()
        statements = Statements(desk)
        await desk.take_in(camt053(statements.plan))
        top_up = await desk.top_up(wallet, 2_500)
        await statements.show(Entry(2_500, end_to_end_id=top_up, name="Ada Lovelace"))
        await forget(desk, wallet)
        assert [each.counterparty_name for each in await desk.entries()] == ["Capital", None]


class TestADebitThatNamesATopUp:
    @pytest.mark.parametrize("order", [1, -1])
    async def test_may_be_of_the_day_on_which_it_has_come_in(self, desk: Desk, order: int) -> None:
        """A bank's day has no order: what came in is there for what goes back."""
        wallet, statements = await payer(desk)
        top_up = await desk.top_up(wallet, 2_500)
        await statements.show(*[named(top_up, 2_500), named(top_up, -2_500)][::order])
        assert [each.top_up_id for each in (await desk.entries())[-2:]] == [top_up] * 2
        assert (await desk.wallet_minor(wallet), await desk.cash_minor(ACCOUNT)) == (10_000, 100_000)

    async def test_takes_it_back_from_the_wallet_never_more_than_has_come_in(self, desk: Desk) -> None:
        """A direct debit that is returned, in parts: the top-up is reversed by as much, and no withdrawal is made."""
        wallet, statements = await payer(desk)
        top_up = await desk.top_up(wallet, 2_500)
        await statements.show(named(top_up, -2_500))
        assert await last(desk) == DIFFERS
        await statements.show(named(top_up, 2_500))
        await statements.show(named(top_up, -2_400, reversal=True))
        assert await last(desk) == (EntryOutcome.ASSIGNED, None, top_up)
        assert await desk.wallet_minor(wallet) == 10_100
        await statements.show(named(top_up, -101))
        assert await last(desk) == DIFFERS
        with pytest.raises(errors.ReversalExceedsEntry):
            await desk.reverse(top_up, 101)
        await statements.show(named(top_up, -100))
        assert (await desk.wallet_minor(wallet), await desk.account_minor("cash")) == (10_000, 10_000)

    async def test_takes_back_what_staff_has_taken_back_before_no_second_time(self, desk: Desk) -> None:
        """Whoever was told of it before the statement came has taken the money; the entry is what the bank took."""
        wallet, statements = await payer(desk)
        top_up = await desk.top_up(wallet, 2_500)
        await statements.show(named(top_up, 2_500))
        await desk.reverse(top_up, 1_000)
        await statements.show(named(top_up, -2_500))
        assert (await desk.wallet_minor(wallet), await desk.account_minor("cash")) == (10_000, 10_000)

    @pytest.mark.parametrize("reason", [EntryReason.INSUFFICIENT_FUNDS, EntryReason.WALLET_FROZEN])
    async def test_waits_where_the_wallet_can_not_give_it_back(self, desk: Desk, reason: EntryReason) -> None:
        """The money is spent, or the wallet frozen: it waits with the reason and the wallet, its neighbour not."""
        wallet, statements = await payer(desk)
        top_up = await desk.top_up(wallet, 2_500)
        await statements.show(named(top_up, 2_500))
        spent = await desk.withdraw(wallet, 12_000)
        if reason is EntryReason.WALLET_FROZEN:
            await desk.change(wallet, "freeze")
        await statements.show(named(top_up, -2_500), named(spent, -12_000))
        entries = {each.amount_minor: each for each in (await desk.entries())[-2:]}
        waits, goes = entries[-2_500], entries[-12_000]
        assert (waits.outcome, waits.reason, waits.wallet_id) == (EntryOutcome.SUSPENSE, reason, wallet)
        assert (goes.outcome, goes.withdrawal_id) == (EntryOutcome.ASSIGNED, spent)
        if reason is EntryReason.INSUFFICIENT_FUNDS:
            await desk.top_up(wallet, 2_500)
            assert (await desk.assign(waits.id, top_up)).top_up_id == top_up
            assert await desk.wallet_minor(wallet) == 500

    async def test_waits_where_the_cash_account_can_not_bear_it(self, desk: Desk) -> None:
        """What was on its way was taken elsewhere, and the account has a limit of its own."""
        wallet, statements = await payer(desk)
        top_up = await desk.top_up(wallet, 2_500)
        await desk.post("cash", await desk.add_account("vault", AccountType.ASSET), 12_500)
        await desk.limit("cash", 0)
        await statements.show(named(top_up, 2_500), Entry(300, iban=IBAN))
        entries = {each.amount_minor: each for each in (await desk.entries())[-2:]}
        assert (entries[2_500].outcome, entries[2_500].reason) == (
            EntryOutcome.SUSPENSE,
            EntryReason.CASH_ACCOUNT_LIMIT,
        )
        assert entries[300].outcome is EntryOutcome.TOPPED_UP


class TestAnAssignmentToATopUp:
    async def test_is_for_entries_that_name_none(self, desk: Desk) -> None:
        """Staff says what a credit shows, also a part of it; together they show no more than it was."""
        wallet, statements = await payer(desk)
        top_up = await desk.top_up(wallet, 2_500)
        await statements.show(Entry(2_000, name="PSP"), Entry(600, name="PSP"), Entry(500, name="PSP"))
        parts = {each.amount_minor: each.id for each in await desk.entries(EntryOutcome.SUSPENSE)}
        shown = await desk.assign(parts[2_000], top_up)
        assert (shown.top_up_id, shown.wallet_id, shown.withdrawal_id) == (top_up, wallet, None)
        with pytest.raises(errors.TopUpDiffers) as caught:
            await desk.assign(parts[600], top_up)
        assert (caught.value.remaining_minor, caught.value.top_up_id) == (500, top_up)
        await desk.assign(parts[500], top_up)
        assert (await desk.wallet_minor(wallet), await desk.account_minor("cash")) == (12_500, 10_000)

    async def test_of_several_at_once_shows_no_more_than_it_was(self, desk: Desk) -> None:
        """Two people assign two entries to one top-up at one moment: one of them is refused."""
        wallet, statements = await payer(desk)
        top_up = await desk.top_up(wallet, 2_500)
        await statements.show(Entry(2_500, name="One"), Entry(2_500, name="Two"))
        waiting = [each.id for each in await desk.entries(EntryOutcome.SUSPENSE) if each.amount_minor == 2_500]
        done = await asyncio.gather(*(desk.assigned(each, top_up) for each in waiting), return_exceptions=True)
        assert sorted(type(each).__name__ for each in done) == ["TopUpDiffers", "bytes"]

    async def test_is_undone_whole_and_made_anew(self, desk: Desk) -> None:
        """What was shown of the wrong one waits again; not while another entry shows that its money went back."""
        wallet, statements = await payer(desk)
        wrong, right = await desk.top_up(wallet, 2_500), await desk.top_up(wallet, 2_500)
        await statements.show(named(wrong, 2_500))
        came = (await desk.entries())[-1]
        await statements.show(named(wrong, -2_500))
        back = (await desk.entries())[-1]
        with pytest.raises(errors.EntryNotReversible):
            await desk.undo(came.assigning_journal_entry_id)
        await desk.undo(back.assigning_journal_entry_id)
        await desk.undo(came.assigning_journal_entry_id)
        assert (await desk.assign(came.id, right)).top_up_id == right
        with pytest.raises(errors.TopUpDiffers):
            await desk.assign(back.id, wrong)

    async def test_to_none_is_refused(self, desk: Desk) -> None:
        """There is no such top-up."""
        await payer(desk)
        [entry] = await desk.entries(EntryOutcome.SUSPENSE)
        with pytest.raises(errors.NotFound) as caught:
            await desk.assign(entry.id, UNKNOWN)
        assert caught.value.param == "top_up_id"

    async def test_is_held_by_the_database(self, desk: Desk) -> None:
        """A row that counts more than was topped up, or more back than in, is refused, whoever writes it."""
        insert = "INSERT INTO top_ups_shown (top_up_id, amount_minor, in_minor, back_minor) VALUES ($1, 5, $2, $3)"
        for came, back in ((6, 0), (5, 6), (-1, 0)):
            with pytest.raises(asyncpg.CheckViolationError):
                await execute(desk, insert, ids.uuid7(), came, back)


class TestBooksThatWereMoved:
    async def test_know_what_was_shown(self, desk: Desk, tenancy: Tenancy) -> None:
        """Where they went, too, a top-up that was shown is shown once."""
        wallet, statements = await payer(desk)
        top_up = await desk.top_up(wallet, 2_500)
        await statements.show(named(top_up, 2_500))
        other = Desk(desk.database, desk.keys, await tenancy.add("elsewhere"))
        lines = [line async for line in export_ledger(desk.database, desk.tenant)]
        await import_ledger(desk.database, other.tenant, lines, caller=COMMAND_LINE)
        elsewhere = Statements(other)
        elsewhere.plan = statements.plan
        await elsewhere.show(named(top_up, 2_500))
        assert await last(other) == DIFFERS
        await other.engine.close()
