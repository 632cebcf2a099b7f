"""Imports of wrong files that are taken back as a whole (reconciliation.reversing)."""

import asyncio
import datetime as dt
import random
import time
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from billfold import errors, ids
from billfold.contract.statements import EntryOutcome, StatementImport
from billfold.contract.wallets import AliasScheme
from billfold.ids import Prefix
from billfold_server.invariants.service import check
from billfold_server.keys.service import Keys
from billfold_server.ledger.export import export_ledger
from billfold_server.ledger.importing import import_ledger
from billfold_server.reconciliation import service
from billfold_server.tenancy.context import COMMAND_LINE
from tests.server.reconciliation.desk import Desk
from tests.server.reconciliation.statement_files import ACCOUNT, DAY, Entry, Plan, camt053, mt940
from tests.server.reconciliation.test_any_order import parts, random_plan
from tests.server.reconciliation.test_import import ADA, BOB
from tests.server.reconciliation.test_withdrawals import named, payer
from tests.tenants import Tenancy


async def standing(desk: Desk) -> dict[str, Any]:
    """Return where all accounts and bank accounts stand, and what is known of orders."""
    async with desk.database.tx(desk.tenant) as tx:
        accounts = await tx.fetch(
            "SELECT id, posted_minor, held_minor FROM accounts WHERE posted_minor <> 0 ORDER BY id"
        )
        banks = await tx.fetch(
            "SELECT bank_account, currency, first_statement_key, first_opening_minor, last_statement_key, "
            "last_reached_minor, break_minor, break_at FROM bank_accounts "
            "WHERE first_statement_key IS NOT NULL ORDER BY 1, 2"
        )
        shown = await tx.fetch(
            "SELECT withdrawal_id AS id, out_minor AS gone, back_minor FROM withdrawals_shown WHERE out_minor <> 0 "
            "UNION ALL SELECT top_up_id, in_minor, back_minor FROM top_ups_shown WHERE in_minor <> 0 ORDER BY 1"
        )
    return {
        name: [tuple(row.values()) for row in rows]
        for name, rows in (("accounts", accounts), ("banks", banks), ("shown", shown))
    }


def alike(made: StatementImport) -> list[Any]:
    """Return what an import says of its statements."""
    return [msgspec.to_builtins(one) for one in made.statements]


def _an_id_made(ahead_ms: int) -> int:
    """Return as what a process remembers the last id that it made, at a clock that is ahead by so much."""
    return (time.time_ns() // 1_000_000 + ahead_ms) << 74


async def refused(desk: Desk, made: StatementImport) -> errors.StatementImportNotReversible:
    """Return what refuses to take an import back, which changes nothing."""
    before = await standing(desk)
    with pytest.raises(errors.StatementImportNotReversible) as caught:
        await desk.take_back(made.id)
    assert await standing(desk) == before
    assert caught.value.statement_import_id == made.id
    return caught.value


WRONG = Plan(
    [Entry(700, iban=ADA), Entry(-200, iban=ADA), Entry(50, name="Nobody"), Entry(0, name="Zero")],
    opening_minor=1_000,
)
SECOND = Plan(
    [Entry(300, DAY + dt.timedelta(1), DAY + dt.timedelta(1), iban=ADA)],
    opening_minor=9_000,
    id="S2",
    sequence=2,
    first_day=DAY + dt.timedelta(1),
    last_day=DAY + dt.timedelta(1),
)


class TestAnImportThatIsTakenBack:
    @pytest.mark.parametrize("write", [camt053, mt940])
    async def test_leaves_the_books_as_if_it_had_not_come(self, desk: Desk, write: Any) -> None:
        """Opening, wallets and suspense are undone; the same file is new afterwards, and does what it did at first."""
        await desk.add_wallet((AliasScheme.IBAN, ADA), funds_minor=100)
        before = await standing(desk)
        made = await desk.take_in(write(WRONG))
        after = await standing(desk)
        back = await desk.take_back(made.id)
        assert (back.id, back.reversed_at is not None) == (made.id, True)
        assert await standing(desk) == before
        again = await desk.take_in(write(WRONG))
        assert alike(again) == alike(made)
        assert sorted(each.outcome for each in (await desk.entries())[-4:]) == [
            EntryOutcome.NOT_BOOKED,
            EntryOutcome.SUSPENSE,
            EntryOutcome.TOPPED_UP,
            EntryOutcome.WITHDRAWN,
        ]
        assert (await standing(desk))["accounts"] == after["accounts"]
        assert (await desk.take_in(write(WRONG))).statements[0].duplicates == 4

    async def test_gives_way_to_the_corrected_file(self, desk: Desk) -> None:
        """A break that the wrong file made goes with it; the right one has none."""
        await desk.take_in(camt053(WRONG))
        wrong = await desk.take_in(camt053(SECOND))
        assert wrong.statements[0].break_minor == 9_000 - WRONG.closing_minor
        await desk.take_back(wrong.id)
        assert await desk.account_minor("breaks") == 0
        right = await desk.take_in(camt053(replace(SECOND, opening_minor=WRONG.closing_minor)))
        assert (right.statements[0].break_minor, right.statements[0].topped_up) == (0, 0)
        assert await desk.cash_minor(ACCOUNT) == WRONG.closing_minor + 300

    async def test_is_told_of_with_its_entries(self, desk: Desk) -> None:
        """What had moved money is reversed, the rest as it was; none waits, and none is found by what it isn't."""
        await desk.add_wallet((AliasScheme.IBAN, ADA), funds_minor=100)
        made = await desk.take_in(camt053(WRONG, WRONG))
        await desk.take_back(made.id)
        entries = await desk.entries()
        assert all(each.taken_back for each in entries)
        counts = {outcome: len(await desk.entries(outcome)) for outcome in EntryOutcome}
        assert {outcome: count for outcome, count in counts.items() if count} == {
            EntryOutcome.REVERSED: 3,
            EntryOutcome.DUPLICATE: 4,
            EntryOutcome.NOT_BOOKED: 1,
        }
        waited = next(each for each in entries if each.amount_minor == 50)
        with pytest.raises(errors.StatementEntryNotInSuspense, match="taken back"):
            await desk.assign(waited.id, await desk.add_account("fees"))
        async with desk.database.tx(desk.tenant) as tx:
            rows = await tx.fetch("SELECT type, count(*) FROM outbox_events GROUP BY type")
        told = {row["type"]: row["count"] for row in rows}
        assert (told["statement_import.reversed"], told["top_up.reversed"], told["withdrawal.reversed"]) == (1, 1, 1)

    async def test_takes_what_was_assigned_since_with_it(self, desk: Desk) -> None:
        """Assignments are undone, also of what showed an order, which is on its way again."""
        wallet, statements = await payer(desk)
        withdrawal = await desk.withdraw(wallet, 2_500)
        before = await standing(desk)
        await statements.show(named(withdrawal, -2_500), Entry(70, name="Nobody"), Entry(-30, name="Fee"))
        fee, credit = (await desk.entries(EntryOutcome.SUSPENSE))[-2:]
        await desk.assign(fee.id, await desk.add_account("fees"))
        await desk.assign(credit.id, wallet)
        made = await desk.newest()
        await desk.take_back(made.id)
        assert await standing(desk) == before
        await desk.take_in(camt053(statements.plan))
        assert await desk.account_minor("cash") == 10_000

    async def test_leaves_what_was_undone_by_hand_before(self, desk: Desk) -> None:
        """A top-up that was reversed whole or in part, an entry out of suspense, a break: each is undone once."""
        wallet = await desk.add_wallet((AliasScheme.IBAN, ADA))
        before = await standing(desk)
        made = await desk.take_in(camt053(replace(WRONG, entries=[*WRONG.entries, Entry(41, iban=ADA)])))
        by_amount = {each.amount_minor: each for each in await desk.entries()}
        await desk.undo(by_amount[41].journal_entry_id)
        await desk.undo(by_amount[700].journal_entry_id, 100)
        await desk.undo(by_amount[50].journal_entry_id)
        async with desk.database.tx(desk.tenant) as tx:
            opening = await tx.fetchval("SELECT opening_entry_id FROM statements")
        await desk.undo(ids.encode(Prefix.JOURNAL_ENTRY, opening), 1)
        await desk.take_back(made.id)
        assert await standing(desk) == before
        assert await desk.wallet_minor(wallet) == 0

    async def test_leaves_an_assignment_that_was_undone_before_that_was_noted(
        self, desk: Desk, tenancy: Tenancy
    ) -> None:
        """An earlier version let the entry say that it is assigned; its money is in suspense all the same."""
        before = await standing(desk)
        made = await desk.take_in(camt053(WRONG))
        (waits, *_) = await desk.entries(EntryOutcome.SUSPENSE)
        fees = await desk.add_account("fees")
        assigning = (await desk.assign(waits.id, fees)).assigning_journal_entry_id
        await desk.undo(assigning)
        await tenancy.as_owner(
            desk.tenant,
            "UPDATE statement_entries SET outcome = 'assigned', "  # noqa: S608 - the test's own ids
            f"assigning_journal_entry_id = '{ids.decode(Prefix.JOURNAL_ENTRY, str(assigning))}', "
            f"account_id = '{ids.decode(Prefix.ACCOUNT, fees)}' "
            f"WHERE id = '{ids.decode(Prefix.STATEMENT_ENTRY, waits.id)}'",
        )
        await desk.take_back(made.id)
        assert await standing(desk) == before
        assert len(await desk.entries(EntryOutcome.REVERSED)) == 3

    async def test_goes_with_the_books(self, desk: Desk, tenancy: Tenancy) -> None:
        """An export holds what was taken back, and where it is imported the same file is new."""
        await desk.add_wallet((AliasScheme.IBAN, ADA), funds_minor=100)
        made = await desk.take_in(camt053(WRONG))
        await desk.take_back(made.id)
        there = Desk(desk.database, desk.keys, await tenancy.add("elsewhere"))
        lines = [line async for line in export_ledger(desk.database, desk.tenant)]
        await import_ledger(desk.database, there.tenant, lines, caller=COMMAND_LINE)
        assert (await there.newest()).reversed_at == (await desk.newest()).reversed_at
        again = await there.take_in(camt053(WRONG))
        assert again.statements[0].duplicates == 0
        await there.engine.close()

    async def test_keeps_nobody_from_being_forgotten(self, desk: Desk) -> None:
        """Money that waits in suspense does; taken back, none waits."""
        wallet = await desk.add_wallet((AliasScheme.IBAN, ADA))
        await desk.change(wallet, "freeze")
        made = await desk.take_in(camt053(Plan([Entry(700, iban=ADA)])))
        key = [ids.decode(Prefix.WALLET, wallet)]
        async with desk.database.tx(desk.tenant) as tx:
            assert await service.count_waiting(tx, key) == 1
        await desk.take_back(made.id)
        async with desk.database.tx(desk.tenant) as tx:
            assert await service.count_waiting(tx, key) == 0

    @pytest.mark.parametrize("seed", range(6))
    async def test_is_as_if_it_had_never_come(self, tenancy: Tenancy, tenant_keys: Keys, seed: int) -> None:
        """Files in any order with copies and overlaps: each is taken back and comes again with the same outcome."""
        random_ = random.Random(seed)
        plan = random_plan(random_)
        files = parts(plan, random_) * 2
        random_.shuffle(files)
        desk = Desk(tenancy.database, tenant_keys, tenancy.tenant)
        for iban in (ADA, BOB):
            await desk.add_wallet((AliasScheme.IBAN, iban), funds_minor=10_000)
        places, made = [await standing(desk)], []
        for file in files:
            made.append(await desk.take_in(camt053(file)))
            places.append(await standing(desk))
            if random_.random() < 1 / 3:
                again = random_.randrange(1, len(made) + 1)
                for one, place in zip(made[: -again - 1 : -1], places[-2 : -again - 2 : -1], strict=True):
                    await desk.take_back(one.id)
                    assert await standing(desk) == place
                for at in range(len(made) - again, len(made)):
                    once_more = await desk.take_in(camt053(files[at]))
                    assert alike(once_more) == alike(made[at])
                    made[at] = once_more
                    assert (await standing(desk))["accounts"] == places[at + 1]["accounts"]
        for one, place in zip(made[::-1], places[-2::-1], strict=True):
            await desk.take_back(one.id)
            assert await standing(desk) == place
        await desk.engine.close()


class TestAnImportThatCanNotBeTakenBack:
    async def test_was_taken_back_before_or_is_not_there(self, desk: Desk) -> None:
        """The second time is refused, and so is what there isn't."""
        made = await desk.take_in(camt053(WRONG))
        await desk.take_back(made.id)
        assert (await refused(desk, made)).reason == "already_reversed"
        with pytest.raises(errors.NotFound):
            await desk.take_back("sti_01m7w9tnzcejq9b78b81gh4nmw")

    async def test_names_the_later_import_of_its_bank_account(self, desk: Desk) -> None:
        """Also one that changed nothing; one of another bank account is in nobody's way."""
        made = await desk.take_in(camt053(WRONG))
        again = await desk.take_in(camt053(WRONG))
        await desk.take_in(camt053(replace(WRONG, account="NL58VAYB0000000001")))
        error = await refused(desk, made)
        assert (error.reason, error.later_statement_import_id) == ("later_import", again.id)
        await desk.take_back(again.id)
        await desk.take_back(made.id)

    async def test_names_the_later_import_of_a_server_whose_clock_is_behind(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Which import was the last is told by the ledger's order, not by the ids that two machines make."""
        behind = _an_id_made(0)
        monkeypatch.setattr("billfold.ids._last", _an_id_made(60_000))
        made = await desk.take_in(camt053(WRONG))
        monkeypatch.setattr("billfold.ids._last", behind)
        later = await desk.take_in(camt053(SECOND))
        error = await refused(desk, made)
        assert (error.reason, error.later_statement_import_id) == ("later_import", later.id)
        assert (await desk.newest()).id == later.id
        await desk.take_back(later.id)
        await desk.take_back(made.id)

    @pytest.mark.parametrize("step", ["spend", "freeze", "close"])
    async def test_names_the_entry_whose_money_is_not_there(self, desk: Desk, step: str) -> None:
        """Its top-up was spent, its wallet frozen or closed; nothing of the import is undone then."""
        wallet = await desk.add_wallet((AliasScheme.IBAN, ADA))
        made = await desk.take_in(camt053(Plan([Entry(700, iban=ADA), Entry(50, name="Nobody")])))
        if step != "freeze":
            await desk.withdraw(wallet, 700)
        if step != "spend":
            await desk.change(wallet, step)
        entry = next(each for each in await desk.entries() if each.amount_minor == 700)
        reason = {"spend": "insufficient_funds", "freeze": "wallet_frozen", "close": "wallet_closed"}[step]
        error = await refused(desk, made)
        assert (error.reason, error.statement_entry_id) == (reason, entry.id)
        assert error.journal_entry_id == entry.journal_entry_id

    @pytest.mark.parametrize("kind", ["withdrawal", "top_up"])
    async def test_has_given_an_order_back(self, desk: Desk, kind: str) -> None:
        """Its wallet has the money again, or no longer; undone by hand, the import goes."""
        wallet, statements = await payer(desk)
        way = -1 if kind == "withdrawal" else 1
        ordered = await (desk.withdraw if kind == "withdrawal" else desk.top_up)(wallet, 2_500)
        await statements.show(named(ordered, way * 2_500))
        await statements.show(named(ordered, -way * 2_500))
        made, entry = await desk.newest(), (await desk.entries())[-1]
        error = await refused(desk, made)
        assert (error.reason, error.statement_entry_id) == ("gave_back", entry.id)
        await desk.undo(entry.assigning_journal_entry_id)
        await desk.take_back(made.id)

    async def test_shows_what_another_bank_account_shows_to_come_back(self, desk: Desk) -> None:
        """That something left isn't undone while elsewhere it has come back."""
        wallet, statements = await payer(desk)
        withdrawal = await desk.withdraw(wallet, 2_500)
        await statements.show(named(withdrawal, -2_500))
        made, entry = await desk.newest(), (await desk.entries())[-1]
        await desk.take_in(camt053(Plan([named(withdrawal, 2_500)], account="NL58VAYB0000000001")))
        error = await refused(desk, made)
        assert (error.reason, error.statement_entry_id) == ("entry_not_reversible", entry.id)

    async def test_was_imported_before_openings_were_noted(self, desk: Desk, tenancy: Tenancy) -> None:
        """What it posted besides entries isn't known; where that was nothing, it goes."""
        made = await desk.take_in(camt053(WRONG))
        plain = await desk.take_in(camt053(replace(SECOND, opening_minor=WRONG.closing_minor)))
        await tenancy.as_owner(desk.tenant, "UPDATE statements SET opening_entry_id = NULL, break_entry_id = NULL")
        await desk.take_back(plain.id)
        assert (await refused(desk, made)).reason == "unknown_opening"


class TestAtOnce:
    async def test_two_take_it_back_once(self, desk: Desk) -> None:
        """One does, the other is told."""
        before = await standing(desk)
        made = await desk.take_in(camt053(WRONG))
        done = await asyncio.gather(*(desk.take_back(made.id) for _ in range(4)), return_exceptions=True)
        told = [each.reason for each in done if isinstance(each, errors.StatementImportNotReversible)]
        assert (told, sum(isinstance(each, StatementImport) for each in done)) == (["already_reversed"] * 3, 1)
        assert await standing(desk) == before

    async def test_all_are_taken_back_in_turn_or_told_why_not(self, desk: Desk) -> None:
        """Whatever order they come in, each leaves the books right."""
        first = await desk.take_in(camt053(WRONG))
        second = await desk.take_in(camt053(SECOND))
        done = await asyncio.gather(desk.take_back(second.id), desk.take_back(first.id), return_exceptions=True)
        assert isinstance(done[0], StatementImport)
        if isinstance(done[1], BaseException):
            assert getattr(done[1], "reason", None) == "later_import"
        assert await check(desk.database, desk.tenant) == []

    @pytest.mark.parametrize("import_first", [True, False])
    async def test_one_is_taken_back_while_the_same_file_comes(self, desk: Desk, import_first: bool) -> None:  # noqa: FBT001
        """The file is a copy that is later, or it is new: never a copy of what was taken back."""
        made = await desk.take_in(camt053(WRONG))
        tasks = [desk.give(camt053(WRONG)), desk.take_back(made.id)]
        if not import_first:
            tasks.reverse()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert await check(desk.database, desk.tenant) == []
        refusals = [each for each in done if isinstance(each, BaseException)]
        newest = await desk.newest()
        if refusals:
            assert [getattr(each, "reason", None) for each in refusals] == ["later_import"]
            assert newest.statements[0].duplicates == 4
        else:
            assert newest.statements[0].duplicates == 0

    async def test_an_entry_is_assigned_meanwhile(self, desk: Desk) -> None:
        """Assigned before, it is undone with the rest; after, it doesn't wait any more."""
        fees = await desk.add_account("fees")
        before = await standing(desk)
        made = await desk.take_in(camt053(WRONG))
        (waits, *_) = await desk.entries(EntryOutcome.SUSPENSE)
        done = await asyncio.gather(desk.assigned(waits.id, fees), desk.take_back(made.id), return_exceptions=True)
        assert isinstance(done[0], bytes | errors.StatementEntryNotInSuspense)
        assert isinstance(done[1], StatementImport)
        assert await standing(desk) == before
