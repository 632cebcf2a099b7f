"""Withdrawals that were ordered here, and the entries of banks' statements that show them."""

import asyncio
import datetime as dt
from dataclasses import replace

import asyncpg
import pytest

from billfold import errors, ids
from billfold.contract.ledger import AccountType
from billfold.contract.statements import EntryOutcome, EntryReason
from billfold.contract.wallets import AliasScheme, CreateTransfer
from billfold.ids import Prefix
from billfold.money import Money
from billfold_server.ledger.export import export_ledger
from billfold_server.ledger.importing import import_ledger
from billfold_server.reconciliation.ordered import Shown, ordered_named
from billfold_server.reconciliation.statements import read_statements
from billfold_server.tenancy.context import COMMAND_LINE
from billfold_server.wallets import kinds
from billfold_server.wallets.service import get_wallet
from tests.server.reconciliation.desk import Desk
from tests.server.reconciliation.statement_files import ACCOUNT, DAY, Entry, Plan, camt053, mt940
from tests.shared_files import shared_path
from tests.tenants import Tenancy

IBAN = "DE75512108001245126199"
UNKNOWN = "wdr_01m7w9tnzcejq9b78b81gh4nmw"


def named(withdrawal_id: str, amount_minor: int, **facts: object) -> Entry:
    """Return an entry that names a withdrawal, and whose counterparty is a wallet's alias besides."""
    return Entry(amount_minor, end_to_end_id=withdrawal_id, iban=IBAN, **facts)  # type: ignore[arg-type]


class Statements:
    """A bank account's statements, one a day, each of which opens where the one before has led."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.plan = Plan(entries=[Entry(100_000, name="Capital")])

    async def show(self, *entries: Entry) -> bytes:
        """Import the statement of the next day."""
        last = self.plan
        at = last.last_day + dt.timedelta(days=1)
        moved = [replace(each, booking_date=at, value_date=at) for each in entries]
        self.plan = Plan(
            entries=moved,
            opening_minor=last.closing_minor,
            id=f"S{last.sequence + 1}",
            sequence=last.sequence + 1,
            first_day=at,
            last_day=at,
        )
        data = camt053(self.plan)
        await self.desk.take_in(data)
        return data


async def payer(desk: Desk) -> tuple[str, Statements]:
    """Return a wallet with 100.00 that an IBAN names, and the statements of a bank account with as much and more."""
    wallet = await desk.add_wallet((AliasScheme.IBAN, IBAN), funds_minor=10_000)
    statements = Statements(desk)
    await desk.take_in(camt053(statements.plan))
    return wallet, statements


async def last(desk: Desk) -> tuple[EntryOutcome, EntryReason | None, str | None]:
    """Return what became of the newest entry."""
    entry = (await desk.entries())[-1]
    return entry.outcome, entry.reason, entry.withdrawal_id


DIFFERS = (EntryOutcome.SUSPENSE, EntryReason.WITHDRAWAL_DIFFERS, None)


class TestADebitThatNamesAWithdrawal:
    async def test_takes_nothing_from_the_wallet_once_more(self, desk: Desk) -> None:
        """The wallet has paid; what was on its way has left the bank account, and nothing is on its way any more."""
        wallet, statements = await payer(desk)
        withdrawal = await desk.withdraw(wallet, 2_500)
        on_its_way = await desk.account_minor("cash")
        await statements.show(named(withdrawal, -2_500))
        assert await last(desk) == (EntryOutcome.ASSIGNED, None, withdrawal)
        assert await desk.wallet_minor(wallet) == 7_500
        assert (on_its_way, await desk.account_minor("cash")) == (7_500, 10_000)
        assert await desk.cash_minor(ACCOUNT) == 97_500
        assert await desk.account_minor("breaks") == 0

    async def test_is_counted_by_its_statement(self, desk: Desk) -> None:
        """It went through suspense, and doesn't wait there."""
        wallet, statements = await payer(desk)
        withdrawal = await desk.withdraw(wallet, 2_500)
        await statements.show(named(withdrawal, -2_500), named(UNKNOWN, -1))
        async with desk.database.tx(desk.tenant) as tx:
            row = await tx.fetchrow("SELECT suspense, matched, withdrawn FROM statements ORDER BY id DESC LIMIT 1")
        assert row is not None
        assert tuple(row) == (2, 1, 0)
        assert len(await desk.entries(EntryOutcome.SUSPENSE)) == 2  # With the capital.

    @pytest.mark.parametrize("written", ["{}", "{u}", "inv 7 {u}, thanks", "{sepa}", "{dot}"])
    async def test_names_it_as_banks_can_write_it(self, desk: Desk, written: str) -> None:
        """SEPA has no underscore, and banks write in capitals; the name may stand in a text."""
        wallet, statements = await payer(desk)
        withdrawal = await desk.withdraw(wallet, 2_500)
        upper = withdrawal.upper()
        text = written.format(withdrawal, u=upper, sepa=upper.replace("_", ""), dot=upper.replace("_", "."))
        await statements.show(Entry(-2_500, remittance=text, iban=IBAN))
        assert await last(desk) == (EntryOutcome.ASSIGNED, None, withdrawal)

    async def test_is_known_in_mt940_as_well(self, desk: Desk) -> None:
        """Where references come in a field of their own, cut into pieces."""
        wallet, _ = await payer(desk)
        withdrawal = await desk.withdraw(wallet, 2_500)
        at = DAY + dt.timedelta(days=1)
        entry = Entry(-2_500, booking_date=at, value_date=at, end_to_end_id=withdrawal.upper().replace("_", ""))
        await desk.take_in(mt940(Plan([entry], 100_000, id="S2", sequence=2, first_day=at, last_day=at)))
        assert await last(desk) == (EntryOutcome.ASSIGNED, None, withdrawal)

    async def test_waits_where_it_is_not_that_withdrawal(self, desk: Desk) -> None:
        """Another amount, one that was shown before or given back, two at once, one that isn't there: none fits."""
        wallet, statements = await payer(desk)
        first, undone = await desk.withdraw(wallet, 2_500), await desk.withdraw(wallet, 100)
        await desk.reverse(undone)
        await statements.show(named(first, -2_499))
        assert await last(desk) == DIFFERS
        await statements.show(named(first, -2_500))
        for entry in (
            named(first, -2_500),
            named(undone, -100),
            named(UNKNOWN, -100),
            Entry(-200, remittance=f"{first} {undone}", iban=IBAN),
        ):
            await statements.show(entry)
            assert await last(desk) == DIFFERS
        assert await desk.wallet_minor(wallet) == 7_500

    async def test_waits_where_that_was_in_another_currency(self, desk: Desk) -> None:
        """The same digits of other money."""
        wallet, statements = await payer(desk)
        dollars = await desk.add_wallet(funds_minor=5_000, currency="USD")
        withdrawal = await desk.withdraw(dollars, 2_500, "USD")
        await statements.show(named(withdrawal, -2_500))
        assert (await last(desk), await desk.wallet_minor(wallet)) == (DIFFERS, 10_000)

    async def test_waits_where_that_was_booked_on_the_bank_account_itself(self, desk: Desk) -> None:
        """Whoever withdraws from a cash account that follows statements has made a break; it is put right by hand."""
        wallet, statements = await payer(desk)
        cash = await desk.account_id(f"cash:{ACCOUNT}")
        withdrawal = await desk.withdraw(wallet, 2_500, cash_account_id=cash)
        await statements.show(named(withdrawal, -2_500))
        assert await last(desk) == DIFFERS
        [*_, waiting] = await desk.entries(EntryOutcome.SUSPENSE)
        with pytest.raises(errors.AccountNotUsable):
            await desk.assign(waiting.id, withdrawal)
        await desk.assign(waiting.id, await desk.account_id("breaks"))
        assert (await desk.account_minor("breaks"), await desk.wallet_minor(wallet)) == (0, 7_500)

    async def test_is_found_in_what_a_bank_has_sent(self, desk: Desk) -> None:
        """A real statement, whose debit was ordered with the withdrawal's id as the name from end to end."""
        data = shared_path("statements", "camt053_v2_multi_statement.xml").read_bytes()
        wallet = await desk.add_wallet(funds_minor=10_000)
        withdrawal = await desk.withdraw(wallet, 700)
        name = withdrawal.replace("_", "").encode()
        await desk.take_in(data.replace(b"<EndToEndId>000000002</EndToEndId>", b"<EndToEndId>%b</EndToEndId>" % name))
        assert await last(desk) == (EntryOutcome.ASSIGNED, None, withdrawal)
        assert (await desk.wallet_minor(wallet), await desk.account_minor("cash")) == (9_300, 10_000)

    async def test_is_forgotten_with_whose_it_is(self, desk: Desk) -> None:
        """What the bank says of it is under the key of the wallet's owner at once, though no alias has named them."""
        wallet = await desk.add_wallet(funds_minor=10_000)
        statements = Statements(desk)
        await desk.take_in(camt053(statements.plan))
        withdrawal = await desk.withdraw(wallet, 2_500)
        await statements.show(Entry(-2_500, end_to_end_id=withdrawal, name="Ada Lovelace"))
        assert (await desk.entries())[-1].counterparty_name == "Ada Lovelace"
        await forget(desk, wallet)
        assert [each.counterparty_name for each in await desk.entries()] == ["Capital", None]

    async def test_says_nothing_of_who_was_forgotten_before(self, desk: Desk) -> None:
        """Nobody could forget them once more, so what the bank says of them isn't kept, whoever assigns it."""
        wallet, statements = await payer(desk)
        first, second = await desk.withdraw(wallet, 2_500), await desk.withdraw(wallet, 100)
        await statements.show(Entry(-100, name="Ada Lovelace"))
        await forget(desk, wallet)
        await statements.show(named(first, -2_500, name="Ada Lovelace"), named(first, 2_400, name="Ada Lovelace"))
        waiting = next(each for each in await desk.entries() if each.amount_minor == -100)
        assert waiting.counterparty_name == "Ada Lovelace"
        assert (await desk.assign(waiting.id, second)).counterparty_name is None
        assert [each.counterparty_name for each in await desk.entries()] == ["Capital", None, None, None]
        async with desk.database.tx(desk.tenant) as tx:
            assert await tx.fetchval("SELECT count(sealed_texts) FROM statement_entries") == 1

    @pytest.mark.parametrize("alias_first", [True, False])
    async def test_says_nothing_of_them_beside_what_names_their_wallet(self, desk: Desk, *, alias_first: bool) -> None:
        """Whichever comes first in a file that comes while they are forgotten, and whose names are still there."""
        wallet, statements = await payer(desk)
        ordered = await desk.withdraw(wallet, 2_500)
        await forget(desk, wallet)
        shown = [Entry(100, name="By name", iban=IBAN), named(ordered, -2_500, name="By order")]
        await statements.show(*(shown if alias_first else reversed(shown)))
        told = {each.amount_minor: each.counterparty_name for each in await desk.entries()}
        assert (told[100], told[-2_500]) == ("By name", None)

    async def test_is_not_forgotten_with_whose_it_is_not(self, desk: Desk) -> None:
        """Whatever else has the id that it names: it waits, and staff must know what it says."""
        wallet, statements = await payer(desk)
        posing = (await desk.top_up(wallet, 100)).replace("top", "wdr")
        await statements.show(named(posing, -100, name="Grace Hopper"))
        await forget(desk, wallet)
        assert (await desk.entries())[-1].counterparty_name == "Grace Hopper"

    async def test_changes_nothing_when_it_comes_twice(self, desk: Desk) -> None:
        """The same file again, and twice at once."""
        wallet, statements = await payer(desk)
        withdrawal = await desk.withdraw(wallet, 2_500)
        data = await statements.show(named(withdrawal, -2_500))
        for answer in await asyncio.gather(desk.give(data), desk.give(data)):
            assert answer.error is None
        await desk.take_in(data)
        assert (await desk.wallet_minor(wallet), await desk.account_minor("cash")) == (7_500, 10_000)

    async def test_is_no_wallets_where_it_names_something_else(self, desk: Desk) -> None:
        """Who was paid knows the transfer's id, and may write it as a withdrawal's: that makes it nobody's entry."""
        wallet, statements = await payer(desk)
        other = await desk.add_wallet()
        order = CreateTransfer(from_wallet_id=wallet, to_wallet_id=other, amount=Money(100, "EUR"))
        transfer_id: str = (await desk.submit(kinds.TRANSFER, kinds.transfer(order)))["id"]
        posing = ids.encode(Prefix.WITHDRAWAL, ids.decode(Prefix.TRANSFER, transfer_id))
        for amount_minor in (-100, 100):
            await statements.show(named(posing, amount_minor))
            assert await last(desk) == DIFFERS
            assert (await desk.entries())[-1].wallet_id is None


class TestACreditThatNamesAWithdrawal:
    @pytest.mark.parametrize("order", [1, -1])
    async def test_may_be_of_the_day_on_which_it_has_left(self, desk: Desk, order: int) -> None:
        """An instant payment is sent back within seconds, and a bank's day has no order."""
        wallet, statements = await payer(desk)
        withdrawal = await desk.withdraw(wallet, 2_500)
        await statements.show(*[named(withdrawal, -2_500), named(withdrawal, 2_500)][::order])
        assert [each.withdrawal_id for each in (await desk.entries())[-2:]] == [withdrawal] * 2
        assert await desk.wallet_minor(wallet) == 10_000
        assert await desk.cash_minor(ACCOUNT) == 100_000

    async def test_gives_it_back_to_the_wallet(self, desk: Desk) -> None:
        """It is reversed by what the bank has sent back, less its charges, and the wallet isn't topped up besides."""
        wallet, statements = await payer(desk)
        withdrawal = await desk.withdraw(wallet, 2_500)
        await statements.show(named(withdrawal, -2_500))
        await statements.show(named(withdrawal, 2_400, reversal=True))
        assert await last(desk) == (EntryOutcome.ASSIGNED, None, withdrawal)
        assert (await desk.wallet_minor(wallet), await desk.account_minor("cash")) == (9_900, 10_000)
        await statements.show(named(withdrawal, 101))
        assert await last(desk) == DIFFERS
        with pytest.raises(errors.ReversalExceedsEntry):
            await desk.reverse(withdrawal, 101)
        await statements.show(named(withdrawal, 100))
        assert (await desk.wallet_minor(wallet), await desk.account_minor("suspense")) == (10_000, -100_101)

    async def test_gives_back_what_staff_has_given_back_before_no_second_time(self, desk: Desk) -> None:
        """Who was told of the return before the statement came has their money; the entry is what the bank owed."""
        wallet, statements = await payer(desk)
        withdrawal = await desk.withdraw(wallet, 2_500)
        await statements.show(named(withdrawal, -2_500))
        await desk.reverse(withdrawal, 1_000)
        assert await desk.account_minor("cash") == 11_000
        await statements.show(named(withdrawal, 2_500))
        assert (await desk.wallet_minor(wallet), await desk.account_minor("cash")) == (10_000, 10_000)

    async def test_waits_where_none_has_left(self, desk: Desk) -> None:
        """What no statement has shown to leave can't be what comes back."""
        wallet, statements = await payer(desk)
        withdrawal = await desk.withdraw(wallet, 2_500)
        await statements.show(named(withdrawal, 2_500))
        assert (await last(desk), await desk.wallet_minor(wallet)) == (DIFFERS, 7_500)

    @pytest.mark.parametrize("step", ["freeze", "close"])
    async def test_waits_where_the_wallet_can_not_take_it(self, desk: Desk, step: str) -> None:
        """Money that comes back to a frozen or closed wallet waits in suspense, with the reason and the wallet."""
        wallet, statements = await payer(desk)
        withdrawal = await desk.withdraw(wallet, 10_000)
        await statements.show(named(withdrawal, -10_000))
        await desk.change(wallet, step)
        await statements.show(named(withdrawal, 10_000))
        entry = (await desk.entries())[-1]
        reason = EntryReason.WALLET_FROZEN if step == "freeze" else EntryReason.WALLET_CLOSED
        assert (entry.outcome, entry.reason, entry.wallet_id) == (EntryOutcome.SUSPENSE, reason, wallet)
        if step == "freeze":
            await desk.change(wallet, "unfreeze")
            assert (await desk.assign(entry.id, withdrawal)).withdrawal_id == withdrawal
            assert await desk.wallet_minor(wallet) == 10_000


class TestACashAccountWithALimitOfItsOwn:
    async def spent(self, desk: Desk) -> tuple[str, str, Statements]:
        """Return a withdrawal that staff has given back before its money came, and whose cash was taken elsewhere."""
        wallet, statements = await payer(desk)
        withdrawal = await desk.withdraw(wallet, 2_500)
        await statements.show(named(withdrawal, -2_500))
        await desk.reverse(withdrawal)
        vault = await desk.add_account("vault", AccountType.ASSET)
        await desk.post("cash", vault, 11_000)
        await desk.limit("cash", 0)
        return wallet, withdrawal, statements

    async def test_keeps_what_it_can_not_bear_waiting_and_no_other_entry(self, desk: Desk) -> None:
        """The return waits in suspense and says why; its neighbours are booked as if it weren't there."""
        wallet, withdrawal, statements = await self.spent(desk)
        other = await desk.withdraw(wallet, 100)
        await statements.show(named(withdrawal, 2_500), named(other, -100), Entry(300, iban=IBAN))
        entries = {each.amount_minor: each for each in (await desk.entries())[-3:]}
        assert [(entries[minor].outcome, entries[minor].reason) for minor in (2_500, -100, 300)] == [
            (EntryOutcome.SUSPENSE, EntryReason.CASH_ACCOUNT_LIMIT),
            (EntryOutcome.ASSIGNED, None),
            (EntryOutcome.TOPPED_UP, None),
        ]
        assert (entries[2_500].wallet_id, await desk.wallet_minor(wallet)) == (wallet, 10_200)
        assert (await desk.cash_minor(ACCOUNT), await desk.account_minor("breaks")) == (100_200, 0)

    async def test_takes_it_once_it_can_bear_it(self, desk: Desk) -> None:
        """By hand it is refused for the same reason, by the account's name; with the limit taken away it goes."""
        wallet, withdrawal, statements = await self.spent(desk)
        await statements.show(named(withdrawal, 2_500))
        entry = (await desk.entries())[-1]
        with pytest.raises(errors.InsufficientFunds) as caught:
            await desk.assign(entry.id, withdrawal)
        assert caught.value.account_id == await desk.account_id("cash")
        await desk.limit("cash", None)
        assert (await desk.assign(entry.id, withdrawal)).withdrawal_id == withdrawal
        assert (await desk.account_minor("cash"), await desk.wallet_minor(wallet)) == (-1_000, 10_000)

    async def test_bears_what_the_return_itself_brings(self, desk: Desk) -> None:
        """What is reversed comes to the account before it leaves it, so an empty one bears the whole return."""
        wallet, statements = await payer(desk)
        withdrawal = await desk.withdraw(wallet, 10_000)
        await statements.show(named(withdrawal, -10_000))
        await desk.post("cash", await desk.add_account("vault", AccountType.ASSET), 10_000)
        await desk.limit("cash", 0)
        await statements.show(named(withdrawal, 10_000))
        assert await last(desk) == (EntryOutcome.ASSIGNED, None, withdrawal)
        assert await desk.wallet_minor(wallet) == 10_000

    async def test_of_a_bank_account_is_named_where_the_statement_leads_below_it(self, desk: Desk) -> None:
        """What follows the bank can't have a limit that the bank doesn't keep, whatever entry meets it."""
        _, statements = await payer(desk)
        cash = f"cash:{ACCOUNT}"
        await desk.limit(cash, 0)
        with pytest.raises(errors.AccountNotUsable) as caught:
            await statements.show(Entry(-100_001, name="Rent"))
        assert caught.value.account_id == await desk.account_id(cash)


class TestAnAssignmentToAWithdrawal:
    async def test_is_for_entries_that_name_none(self, desk: Desk) -> None:
        """Staff says what an entry shows, also a part of it; together they show no more than it was."""
        wallet, statements = await payer(desk)
        withdrawal = await desk.withdraw(wallet, 2_500)
        await statements.show(Entry(-2_000, name="Payroll"), Entry(-600, name="Payroll"), Entry(-500, name="Payroll"))
        parts = {each.amount_minor: each.id for each in await desk.entries(EntryOutcome.SUSPENSE)}
        shown = await desk.assign(parts[-2_000], withdrawal)
        assert (shown.withdrawal_id, shown.wallet_id, shown.account_id) == (withdrawal, wallet, None)
        with pytest.raises(errors.WithdrawalDiffers) as caught:
            await desk.assign(parts[-600], withdrawal)
        assert (caught.value.remaining_minor, caught.value.withdrawal_id) == (500, withdrawal)
        await desk.assign(parts[-500], withdrawal)
        assert (await desk.wallet_minor(wallet), await desk.account_minor("cash")) == (7_500, 10_000)

    async def test_of_several_at_once_shows_no_more_than_it_was(self, desk: Desk) -> None:
        """Two people assign two entries to one withdrawal at one moment: one of them is refused."""
        wallet, statements = await payer(desk)
        withdrawal = await desk.withdraw(wallet, 2_500)
        await statements.show(Entry(-2_500, name="One"), Entry(-2_500, name="Two"))
        waiting = [each.id for each in await desk.entries(EntryOutcome.SUSPENSE) if each.amount_minor == -2_500]
        done = await asyncio.gather(*(desk.assigned(each, withdrawal) for each in waiting), return_exceptions=True)
        assert sorted(type(each).__name__ for each in done) == ["WithdrawalDiffers", "bytes"]
        assert await desk.account_minor("cash") == 10_000

    async def test_is_undone_whole_and_made_anew(self, desk: Desk) -> None:
        """What was shown of the wrong one waits again, and the withdrawal can be shown by another entry."""
        wallet, statements = await payer(desk)
        wrong, right = await desk.withdraw(wallet, 2_500), await desk.withdraw(wallet, 2_500)
        await statements.show(named(wrong, -2_500))
        entry = (await desk.entries())[-1]
        await desk.undo(entry.assigning_journal_entry_id)
        assert (await last(desk))[::2] == (EntryOutcome.SUSPENSE, None)
        await desk.assign(entry.id, right)
        await statements.show(named(wrong, -2_500))
        assert await last(desk) == (EntryOutcome.ASSIGNED, None, wrong)
        assert (await desk.wallet_minor(wallet), await desk.account_minor("cash")) == (5_000, 10_000)

    async def test_is_not_undone_while_others_show_that_it_came_back(self, desk: Desk) -> None:
        """What comes back must have left."""
        wallet, statements = await payer(desk)
        withdrawal = await desk.withdraw(wallet, 2_500)
        await statements.show(named(withdrawal, -2_500))
        out = (await desk.entries())[-1]
        await statements.show(named(withdrawal, 2_500))
        back = (await desk.entries())[-1]
        with pytest.raises(errors.EntryNotReversible):
            await desk.undo(out.assigning_journal_entry_id)
        await desk.undo(back.assigning_journal_entry_id)
        assert (await desk.assign(back.id, withdrawal)).withdrawal_id == withdrawal
        assert (await desk.wallet_minor(wallet), await desk.account_minor("cash")) == (10_000, 10_000)

    async def test_to_none_is_refused(self, desk: Desk) -> None:
        """There is no such withdrawal, or it is a top-up's id."""
        await payer(desk)
        [entry] = await desk.entries(EntryOutcome.SUSPENSE)
        with pytest.raises(errors.NotFound) as caught:
            await desk.assign(entry.id, UNKNOWN)
        assert caught.value.param == "withdrawal_id"

    async def test_is_held_by_the_database(self, desk: Desk) -> None:
        """A row that counts more than was withdrawn, or more back than out, is refused, whoever writes it."""
        insert = (
            "INSERT INTO withdrawals_shown (withdrawal_id, amount_minor, out_minor, back_minor) VALUES ($1, 5, $2, $3)"
        )
        for out, back in ((6, 0), (5, 6), (-1, 0)):
            with pytest.raises(asyncpg.CheckViolationError):
                await execute(desk, insert, ids.uuid7(), out, back)


class TestBooksThatWereMoved:
    async def test_know_what_was_shown(self, desk: Desk, tenancy: Tenancy) -> None:
        """Where they went, too, a withdrawal that was shown is shown once."""
        wallet, statements = await payer(desk)
        withdrawal = await desk.withdraw(wallet, 2_500)
        await statements.show(named(withdrawal, -2_500))
        other = Desk(desk.database, desk.keys, await tenancy.add("elsewhere"))
        lines = [line async for line in export_ledger(desk.database, desk.tenant)]
        await import_ledger(desk.database, other.tenant, lines, caller=COMMAND_LINE)
        elsewhere = Statements(other)
        elsewhere.plan = statements.plan
        await elsewhere.show(named(withdrawal, -2_500))
        assert await last(other) == DIFFERS
        await other.engine.close()


async def forget(desk: Desk, wallet_id: str) -> None:
    """Destroy the keys of a wallet's owner, as forgetting them does in the end."""
    async with desk.database.tx(desk.tenant) as tx:
        party_id = (await get_wallet(tx, ids.decode(Prefix.WALLET, wallet_id))).party_id
    await desk.keys.forget(desk.tenant, [party_id], reason="test")


async def execute(desk: Desk, sql: str, *arguments: object) -> None:
    """Execute a statement as the tenant."""
    async with desk.database.tx(desk.tenant) as tx:
        await tx.execute(sql, *arguments)


class TestWhatIsShown:
    @pytest.mark.parametrize(
        ("known", "entry_minor", "takes", "takes_whole"),
        [
            (Shown(amount_minor=10), -10, True, True),
            (Shown(amount_minor=10), -9, True, False),
            (Shown(amount_minor=10), -11, False, False),
            (Shown(amount_minor=10), 1, False, False),
            (Shown(amount_minor=10, reversed_minor=10), -10, False, False),
            (Shown(amount_minor=10, reversed_minor=4), -6, True, True),
            (Shown(amount_minor=10, out_minor=10), 10, True, True),
            (Shown(amount_minor=10, out_minor=10), 11, False, False),
            (Shown(amount_minor=10, out_minor=10, back_minor=4), 7, False, False),
            (Shown(amount_minor=10, reversed_minor=10, out_minor=10), -1, False, False),
        ],
    )
    def test_takes_what_fits(self, known: Shown, entry_minor: int, takes: bool, takes_whole: bool):  # noqa: FBT001
        """Never more out than is on its way, nor more back than has left."""
        assert (known.takes(entry_minor, whole=False), known.takes(entry_minor, whole=True)) == (takes, takes_whole)

    @pytest.mark.parametrize(
        ("known", "entry_minor", "reverses"),
        [
            (Shown(amount_minor=10, out_minor=10), 10, 10),
            (Shown(amount_minor=10, out_minor=10, reversed_minor=10), 10, 0),
            (Shown(amount_minor=10, out_minor=10, reversed_minor=4), 10, 6),
            (Shown(amount_minor=10, out_minor=6), 6, 6),
        ],
    )
    def test_is_reversed_but_for_what_was_before(self, known: Shown, entry_minor: int, reverses: int):
        """So the wallet has it once."""
        assert known.reverses(entry_minor) == reverses

    def test_is_named_whole_or_not_at_all(self):
        """A longer word isn't a name, nor is one with letters that names don't have; each counts once, two at most."""
        names = [ids.new(Prefix.WITHDRAWAL) for _ in range(3)]
        texts = {
            f"x{names[0]}": 0,
            f"{names[0]}0": 0,
            names[0][:-1]: 0,
            names[0].replace("wdr", Prefix.TRANSFER.value): 0,
            names[0].replace("wdr", Prefix.TOP_UP.value): 1,
            f"{names[0]} {names[0].upper()}": 1,
            " ".join(names): 2,
        }
        for text, count in texts.items():
            (statement,) = read_statements(camt053(Plan(entries=[Entry(-1, remittance=text)])))
            assert len(ordered_named(statement.entries[0])) == count
