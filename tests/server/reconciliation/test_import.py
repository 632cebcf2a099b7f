"""What the import of bank statements does to the books (reconciliation.kinds), against a real PostgreSQL."""

import asyncio
import datetime as dt
import time
from dataclasses import replace
from typing import Any

import asyncpg
import msgspec
import pytest

from billfold import errors, ids
from billfold.contract.ledger import ReverseJournalEntry
from billfold.contract.statements import EntryOutcome, EntryReason
from billfold.contract.wallets import AliasScheme, CreateTopUp
from billfold.ids import Prefix
from billfold.money import Money
from billfold_server.invariants.service import check
from billfold_server.ledger import kinds as ledger_kinds
from billfold_server.reconciliation import service
from billfold_server.reconciliation.model import MAX_ENTRIES
from billfold_server.wallets import kinds
from billfold_server.wallets.service import get_wallet
from tests.server.reconciliation.desk import Desk
from tests.server.reconciliation.statement_files import ACCOUNT, DAY, Entry, Plan, camt053, daily, mt940
from tests.tenants import Tenancy

ADA = "DE42100100100043921105"
BOB = "NL56AGDH9619008421"


def day(number: int) -> dt.date:
    """Return a day of the statements' month."""
    return DAY + dt.timedelta(days=number)


def entry(amount_minor: int, number: int = 0, iban: str | None = ADA, **facts: Any) -> Entry:
    """Say that an amount moved on a day, and who was on the other side."""
    return Entry(amount_minor, booking_date=day(number), value_date=day(number), iban=iban, **facts)


def month(*entries: Entry, days: int = 1, opening_minor: int = 10_000) -> Plan:
    """Say what a statement over some days shows."""
    return Plan(list(entries), opening_minor=opening_minor, last_day=day(days - 1))


WEEK = month(
    entry(500, 0, name="Ada"),
    entry(700, 1, name="Ada"),
    entry(-300, 1, name="Ada"),
    entry(250, 3, iban=None, name="Nobody"),
    entry(-200, 4, iban=BOB),
    days=5,
)
"""Five days: two wallets could be in it, one entry names nobody, and a day has none."""


class TestAnImport:
    """An import."""

    async def test_moves_wallets_by_alias(self, desk: Desk) -> None:
        """A credit tops up the wallet that it names, and a debit is taken from it."""
        ada = await desk.add_wallet((AliasScheme.IBAN, ADA))
        done = await desk.take_in(camt053(month(entry(500), entry(-200))))
        assert await desk.wallet_minor(ada) == 300
        [statement] = done.statements
        assert (statement.topped_up, statement.withdrawn, statement.suspense) == (1, 1, 0)
        assert (statement.cash_before_minor, statement.cash_after_minor) == (0, 10_300)
        [topped, withdrawn] = await desk.entries()
        assert (topped.outcome, topped.matched_by, topped.wallet_id) == (EntryOutcome.TOPPED_UP, "iban", ada)
        assert (withdrawn.outcome, withdrawn.reason) == (EntryOutcome.WITHDRAWN, None)
        assert str(topped.movement_id).startswith("top_")
        assert str(withdrawn.movement_id).startswith("wdr_")

    async def test_puts_the_first_opening_balance_against_equity(self, desk: Desk) -> None:
        """The cash account begins with what the bank says, and later statements go on from there."""
        for plan in daily(WEEK):
            await desk.take_in(mt940(plan))
        assert await desk.account_minor("equity") == -WEEK.opening_minor
        assert await desk.cash_minor(ACCOUNT) == WEEK.closing_minor
        assert await desk.account_minor("breaks") == 0

    async def test_of_the_largest_file_lets_other_money_wait_for_seconds_at_most(self, desk: Desk) -> None:
        """While a file is booked nothing else of the tenant moves, so what one may hold is bounded by that."""
        ada = await desk.add_wallet((AliasScheme.IBAN, ADA))
        largest = month(*(entry(number + 1) for number in range(MAX_ENTRIES)))
        order = kinds.top_up(CreateTopUp(wallet_id=await desk.add_wallet(), amount=Money(1, "EUR")))
        importing = asyncio.create_task(desk.take_in(mt940(largest)))
        longest_s = 0.0
        while not importing.done():
            began_s = time.monotonic()
            await desk.submit(kinds.TOP_UP, order)
            longest_s = max(longest_s, time.monotonic() - began_s)
            await asyncio.sleep(0.01)
        assert (await importing).statements[0].topped_up == MAX_ENTRIES
        assert await desk.wallet_minor(ada) == sum(range(MAX_ENTRIES + 1))
        # It is one second or two; a machine with much else to do is given time.
        assert longest_s < 10

    async def test_opens_a_cash_account_per_bank_account(self, desk: Desk) -> None:
        """Two bank accounts have two cash accounts, also where their numbers hold what a code can't."""
        plans = [replace(month(entry(5)), account="10020030/4711"), replace(month(entry(7)), account="10020030.4711")]
        done = await desk.take_in(mt940(*plans))
        assert len({statement.cash_account_id for statement in done.statements}) == 2
        assert [await desk.cash_minor(plan.account) for plan in plans] == [10_005, 10_007]

    async def test_takes_effect_on_the_booking_date(self, desk: Desk) -> None:
        """At the end of each day the cash account stood where the bank says, whenever the file came."""
        await desk.take_in(camt053(WEEK))
        balances = [await desk.cash_minor(ACCOUNT, at=_end_of(plan.last_day)) for plan in daily(WEEK)]
        assert balances == [plan.closing_minor for plan in daily(WEEK)]

    async def test_knows_no_future(self, desk: Desk) -> None:
        """An entry that is booked ahead of the tenant's present takes effect at once, and says so."""
        ada = await desk.add_wallet((AliasScheme.IBAN, ADA))
        ahead = (dt.datetime.now(dt.UTC) + dt.timedelta(days=3)).date()
        plan = Plan([Entry(500, booking_date=ahead, value_date=ahead, iban=ADA)], first_day=ahead, last_day=ahead)
        await desk.take_in(camt053(plan))
        [booked] = await desk.entries()
        assert booked.booked_ahead
        assert booked.effective_at == booked.created_at
        assert (booked.booking_date, await desk.wallet_minor(ada)) == (ahead, 500)

    async def test_keeps_what_the_bank_has_not_booked(self, desk: Desk) -> None:
        """A pending entry moves nothing, is kept once, and isn't the entry that books it later."""
        data = camt053(month(entry(500)))
        pending = data.replace(b"<Cd>BOOK</Cd>", b"<Cd>PDNG</Cd>")
        for _ in range(2):
            await desk.take_in(pending.replace(b">105.00<", b">100.00<"))
        await desk.take_in(data)
        outcomes = [(one.outcome, one.status, one.journal_entry_id is None) for one in await desk.entries()]
        assert outcomes == [
            (EntryOutcome.NOT_BOOKED, "PDNG", True),
            (EntryOutcome.DUPLICATE, "PDNG", True),
            (EntryOutcome.SUSPENSE, "BOOK", False),
        ]
        assert await desk.cash_minor(ACCOUNT) == 10_500

    async def test_tells_nobody_what_the_bank_says_of_people(self, desk: Desk) -> None:
        """Names, IBANs and texts are in the entries alone, not in events, audit, journal or movements."""
        wallet = await desk.add_wallet((AliasScheme.IBAN, ADA))
        secrets: dict[str, Any] = {
            "name": "Grace Hopper",
            "remittance": "for the moth",
            "end_to_end_id": "E2E-MOTH-1947",
        }
        await desk.take_in(camt053(month(entry(500, **secrets), entry(700, iban=None, **secrets))))
        [waiting] = await desk.entries(EntryOutcome.SUSPENSE)
        await desk.assign(waiting.id, wallet)
        texts = [*secrets.values(), ADA]
        async with desk.database.tx(desk.tenant) as tx:
            for table in ("outbox_events", "audit_records", "journal_entries", "transfers", "statements"):
                rows = await tx.fetch(f"SELECT t::text AS row FROM {table} AS t")  # noqa: S608 - constants
                written = b" ".join(row["row"].encode() for row in rows)
                assert rows
                assert [
                    text for text in texts if text.encode() in written or text.encode().hex().encode() in written
                ] == []

    async def test_tells_of_each_movement(self, desk: Desk) -> None:
        """Whoever follows the tenant's events learns of top-ups, withdrawals and the import itself."""
        await desk.add_wallet((AliasScheme.IBAN, ADA))
        await desk.take_in(camt053(month(entry(500), entry(-200))))
        async with desk.database.tx(desk.tenant) as tx:
            types = {row["type"] for row in await tx.fetch("SELECT type FROM outbox_events")}
        assert {"top_up.posted", "withdrawal.posted", "statement.imported"} <= types

    async def test_in_a_currency_of_another_is_refused(self, desk: Desk) -> None:
        """A statement in a currency that the tenant doesn't keep changes nothing."""
        before = await desk.counts()
        with pytest.raises(errors.CurrencyNotEnabled) as caught:
            await desk.take_in(camt053(replace(month(entry(500)), currency="SEK")))
        assert caught.value.currency == "SEK"
        assert await desk.counts() == before


def _end_of(date: dt.date) -> dt.datetime:
    return dt.datetime.combine(date, dt.time(23, 59, 59), dt.UTC)


class TestAFileThatComesAgain:
    """A file that comes again."""

    @pytest.mark.parametrize("write", [camt053, mt940])
    async def test_changes_nothing(self, desk: Desk, write: type) -> None:
        """Every entry is a duplicate, and no balance has moved."""
        await desk.add_wallet((AliasScheme.IBAN, ADA))
        await desk.take_in(write(WEEK))
        before = await desk.counts()
        done = await desk.take_in(write(WEEK))
        [statement] = done.statements
        assert (statement.duplicates, statement.topped_up, statement.suspense) == (5, 0, 0)
        assert statement.cash_before_minor == statement.cash_after_minor == WEEK.closing_minor
        after = await desk.counts()
        changed = {table for table in after if after[table] != before[table]}
        assert changed == {"audit_records", "outbox_events", "statement_entries", "statement_imports", "statements"}

    async def test_keeps_no_texts_twice(self, desk: Desk) -> None:
        """A duplicate names the entry that has them."""
        data = camt053(month(entry(500, name="Grace Hopper")))
        await desk.take_in(data)
        await desk.take_in(data)
        first, again = await desk.entries()
        assert (again.outcome, again.duplicate_of) == (EntryOutcome.DUPLICATE, first.id)
        assert (again.counterparty_name, again.counterparty_iban, again.remittance) == (None, None, None)

    async def test_posts_once_for_200_copies_at_once(self, desk: Desk) -> None:
        """Of 200 concurrent imports one posts and all others find its entries; of one key all get its answer."""
        ada = await desk.add_wallet((AliasScheme.IBAN, ADA))
        data = camt053(WEEK)
        answers = await asyncio.gather(*(desk.give(data, key=f"key {number % 100}") for number in range(200)))
        assert {answer.status for answer in answers} == {201}
        assert sum(answer.replayed for answer in answers) == 100
        assert await desk.wallet_minor(ada) == 900
        assert await desk.cash_minor(ACCOUNT) == WEEK.closing_minor
        assert len(await desk.entries(EntryOutcome.TOPPED_UP)) == 2
        assert await check(desk.database, desk.tenant) == []

    async def test_in_one_file_twice_counts_once(self, desk: Desk) -> None:
        """A copy inside the same file is a duplicate too."""
        done = await desk.take_in(camt053(WEEK, WEEK))
        assert [statement.duplicates for statement in done.statements] == [0, 5]
        assert await desk.cash_minor(ACCOUNT) == WEEK.closing_minor


class TestFilesThatOverlap:
    """Files that overlap."""

    @pytest.mark.parametrize("order", ["days first", "week first", "days backwards", "halves"])
    async def test_lead_to_the_same_books(self, desk: Desk, order: str) -> None:
        """A week, its days and its halves say the same: each entry counts once, and nothing is left unexplained."""
        days = daily(WEEK)
        early = replace(WEEK, id="S2", entries=[e for e in WEEK.entries if e.booking_date < day(3)], last_day=day(2))
        late = replace(
            WEEK,
            id="S3",
            entries=[e for e in WEEK.entries if e.booking_date >= day(1)],
            opening_minor=days[1].opening_minor,
            first_day=day(1),
        )
        files = {
            "days first": [*days, WEEK],
            "week first": [WEEK, *days],
            "days backwards": [*days[::-1], WEEK],
            "halves": [late, early, WEEK],
        }[order]
        for plan in files:
            await desk.take_in(camt053(replace(plan, id=f"{plan.id}-{plan.first_day}-{plan.last_day}")))
        assert await desk.cash_minor(ACCOUNT) == WEEK.closing_minor
        assert await desk.account_minor("equity") == -WEEK.opening_minor
        assert await desk.account_minor("breaks") == 0
        booked = [one for one in await desk.entries() if one.outcome is not EntryOutcome.DUPLICATE]
        assert sorted(one.amount_minor for one in booked) == sorted(one.amount_minor for one in WEEK.entries)


class TestAMissingDay:
    """A missing day."""

    async def test_is_a_break_until_it_comes(self, desk: Desk) -> None:
        """The cash account stands where the bank says; what is unexplained is shown apart, and goes when it's known."""
        first, second, *_ = days = daily(WEEK)
        await desk.take_in(camt053(first))
        done = await desk.take_in(camt053(days[3]))
        [statement] = done.statements
        assert statement.break_minor == second.closing_minor - second.opening_minor == 400
        assert statement.cash_after_minor == days[3].closing_minor
        assert "+4.00 EUR" in statement.verdict
        assert await desk.account_minor("breaks") == -400
        late = await desk.take_in(camt053(second))
        assert late.statements[0].break_minor == -400
        assert await desk.account_minor("breaks") == 0
        assert await desk.cash_minor(ACCOUNT) == days[3].closing_minor
        assert await desk.cash_minor(ACCOUNT, at=_end_of(day(1))) == second.closing_minor

    async def test_before_the_first_statement_changes_the_opening_balance(self, desk: Desk) -> None:
        """Where history begins earlier than was known, equity takes the earlier opening balance."""
        days = daily(WEEK)
        await desk.take_in(camt053(days[1]))
        assert await desk.account_minor("equity") == -days[1].opening_minor
        done = await desk.take_in(camt053(days[0]))
        assert done.statements[0].break_minor == 0
        assert await desk.account_minor("equity") == -days[0].opening_minor
        assert await desk.cash_minor(ACCOUNT) == days[1].closing_minor

    async def test_leaves_a_break_that_a_posting_by_hand_has_made(self, desk: Desk) -> None:
        """Money that somebody moved on the cash account without the bank shows at the next statement."""
        await desk.take_in(camt053(daily(WEEK)[0]))

        [booked] = await desk.entries()
        entry_id = ids.decode(ids.Prefix.JOURNAL_ENTRY, str(booked.journal_entry_id))
        order = ledger_kinds.Reversal(entry_id, ReverseJournalEntry(reason="test"))
        await desk.submit(ledger_kinds.REVERSE_JOURNAL_ENTRY, order)
        done = await desk.take_in(camt053(daily(WEEK)[1]))
        assert done.statements[0].break_minor == 500
        assert done.statements[0].cash_after_minor == daily(WEEK)[1].closing_minor


class TestACorrectedStatement:
    """A corrected statement."""

    async def test_adds_what_the_first_one_lacked(self, desk: Desk) -> None:
        """Under the same id, only the entry that is new is booked, and the books go on to the new closing balance."""
        plan = month(entry(500))
        await desk.take_in(camt053(plan))
        corrected = replace(plan, entries=[*plan.entries, entry(300, iban=None)])
        done = await desk.take_in(camt053(corrected))
        [statement] = done.statements
        assert (statement.duplicates, statement.suspense, statement.break_minor) == (1, 1, 0)
        assert await desk.cash_minor(ACCOUNT) == corrected.closing_minor

    async def test_shows_what_it_has_taken_back(self, desk: Desk) -> None:
        """An entry that the bank doesn't know any more stays booked, and is a break for people to look into."""
        plan = month(entry(500), entry(300, iban=None))
        await desk.take_in(camt053(plan))
        done = await desk.take_in(camt053(replace(plan, entries=plan.entries[:1])))
        assert done.statements[0].break_minor == -300
        assert await desk.cash_minor(ACCOUNT) == 10_500
        assert await desk.account_minor("breaks") == 300


class TestAStatementThatDoesNotClose:
    """A statement that doesn't close."""

    async def test_is_booked_as_far_as_its_entries_prove(self, desk: Desk) -> None:
        """Its entries move the cash account, and its closing balance is believed only when the next one opens there."""
        data = camt053(month(entry(500)))
        broken = data.replace(b">105.00<", b">106.00<")
        [statement] = (await desk.take_in(broken)).statements
        assert (statement.difference_minor, statement.closing_balance_minor) == (-100, 10_600)
        assert (statement.cash_after_minor, statement.break_minor) == (10_500, 0)
        assert statement.verdict.startswith("does not close")
        following = replace(month(entry(1), opening_minor=10_600), id="S2", first_day=day(1), last_day=day(1))
        [statement] = (await desk.take_in(camt053(following))).statements
        assert (statement.break_minor, statement.cash_after_minor) == (100, 10_601)


class TestABrokenFile:
    """A broken file."""

    @pytest.mark.parametrize("write", [camt053, mt940])
    async def test_changes_nothing(self, desk: Desk, write: type) -> None:
        """Whatever line is cut, the file is refused with a reason, and every table holds what it held."""
        data: bytes = write(WEEK, replace(WEEK, id="S2", account="NL00BILL0000000001"))
        await desk.take_in(camt053(month(entry(1), opening_minor=0)))
        before = await desk.counts()
        for share in (0.3, 0.6, 0.9):
            with pytest.raises(errors.StatementUnreadable) as caught:
                await desk.take_in(data[: int(len(data) * share)])
            assert caught.value.reason
        assert await desk.counts() == before

    @pytest.mark.parametrize("write", [camt053, mt940])
    async def test_of_years_ahead_is_refused(self, desk: Desk, write: type) -> None:
        """The books would stay where it leads, whatever is told of nearer days; as they go on without it."""
        wrong = replace(month(entry(500)), id="S9", first_day=dt.date(2099, 3, 2), last_day=dt.date(2099, 3, 2))
        with pytest.raises(errors.StatementUnreadable) as caught:
            await desk.take_in(write(wrong))
        assert (caught.value.line is not None, "31 days ahead" in caught.value.reason) == (True, True)
        await desk.take_in(write(month(entry(500))))
        following = replace(month(entry(700, 1), opening_minor=10_500), id="S2", first_day=day(1), last_day=day(1))
        [statement] = (await desk.take_in(write(following))).statements
        assert (statement.break_minor, statement.cash_after_minor) == (0, 11_200)

    @pytest.mark.parametrize("facts", [{"account": "X" * 5_000}, {"id": "X" * 5_000}])
    async def test_with_an_endless_number_is_refused(self, desk: Desk, facts: dict[str, str]) -> None:
        """What no index could hold, or every list of imports would show, is refused with its line."""
        with pytest.raises(errors.StatementUnreadable) as caught:
            await desk.take_in(camt053(replace(month(entry(5)), **facts)))  # type: ignore[arg-type]
        assert caught.value.line is not None


class TestAnEntryInSuspense:
    """An entry in suspense."""

    async def test_says_why(self, desk: Desk) -> None:
        """Nobody's, two wallets', too much for the wallet, a frozen and a closed wallet's each have their reason."""
        poor = await desk.add_wallet((AliasScheme.IBAN, ADA), (AliasScheme.REFERENCE, "one-one"))
        frozen = await desk.add_wallet((AliasScheme.IBAN, BOB), (AliasScheme.REFERENCE, "two-two"))
        closed = await desk.add_wallet((AliasScheme.NAME, "Gone"))
        await desk.change(frozen, "freeze")
        await desk.change(closed, "close")
        plan = month(
            entry(10, iban=None, name="Nobody"),
            entry(20, iban=None, remittance="one-one two-two"),
            entry(-30, iban=ADA),
            entry(40, iban=BOB),
            entry(50, iban=None, name="gone"),
        )
        await desk.take_in(camt053(plan))
        waiting = {one.amount_minor: one for one in await desk.entries(EntryOutcome.SUSPENSE)}
        assert {amount: one.reason for amount, one in waiting.items()} == {
            10: EntryReason.NO_ALIAS,
            20: EntryReason.AMBIGUOUS_ALIAS,
            -30: EntryReason.INSUFFICIENT_FUNDS,
            40: EntryReason.WALLET_FROZEN,
            50: EntryReason.WALLET_CLOSED,
        }
        assert (waiting[-30].wallet_id, waiting[40].wallet_id, waiting[50].wallet_id) == (poor, frozen, closed)
        assert await desk.account_minor("suspense") == -90
        assert await desk.cash_minor(ACCOUNT) == plan.closing_minor

    async def test_is_spared_where_money_came_in_on_the_same_day(self, desk: Desk) -> None:
        """A bank gives a day no order, so the day's credits are there for its debits."""
        ada = await desk.add_wallet((AliasScheme.IBAN, ADA))
        await desk.take_in(camt053(month(entry(-400), entry(500))))
        assert await desk.entries(EntryOutcome.SUSPENSE) == []
        assert await desk.wallet_minor(ada) == 100

    @pytest.mark.parametrize("amount", [500, -500])
    async def test_can_be_assigned_once(self, desk: Desk, amount: int) -> None:
        """The money moves from suspense to the wallet as of the booking date, by an entry of its own."""
        wallet = await desk.add_wallet(funds_minor=1_000)
        await desk.take_in(camt053(month(entry(amount, iban=None))))
        [waiting] = await desk.entries()
        done = await desk.assign(waiting.id, wallet)
        assert (done.outcome, done.wallet_id, done.reason) == (EntryOutcome.ASSIGNED, wallet, EntryReason.NO_ALIAS)
        assert done.journal_entry_id == waiting.journal_entry_id != done.assigning_journal_entry_id
        assert await desk.wallet_minor(wallet) == 1_000 + amount
        assert await desk.account_minor("suspense") == 0
        assert await desk.cash_minor(ACCOUNT) == 10_000 + amount
        [kept] = await desk.entries()
        assert kept == done
        with pytest.raises(errors.StatementEntryNotInSuspense) as caught:
            await desk.assign(waiting.id, wallet)
        assert caught.value.statement_entry_id == waiting.id

    async def test_can_be_assigned_anew_once_it_was_taken_back_whole(self, desk: Desk) -> None:
        """Money that went to the wrong wallet and was taken back by hand waits in suspense again, for the right one."""
        wrong, right = await desk.add_wallet(), await desk.add_wallet()
        await desk.take_in(camt053(month(entry(500, iban=None))))
        [waiting] = await desk.entries()
        assigned = (await desk.assign(waiting.id, wrong)).assigning_journal_entry_id
        assert assigned is not None
        for part in (200, 300):
            with pytest.raises(errors.StatementEntryNotInSuspense):
                await desk.assign(waiting.id, right)
            order = ReverseJournalEntry(amount_minor=part, reason="the wrong wallet")
            back = ledger_kinds.Reversal(ids.decode(Prefix.JOURNAL_ENTRY, assigned), order)
            await desk.submit(ledger_kinds.REVERSE_JOURNAL_ENTRY, back)
        done = await desk.assign(waiting.id, right)
        assert (done.outcome, done.wallet_id) == (EntryOutcome.ASSIGNED, right)
        assert [await desk.wallet_minor(each) for each in (wrong, right)] == [0, 500]
        assert await desk.account_minor("suspense") == 0
        with pytest.raises(errors.StatementEntryNotInSuspense):
            await desk.assign(waiting.id, right)

    async def test_is_found_again_once_its_assignment_was_taken_back(self, desk: Desk) -> None:
        """Who looks for what waits finds it, as nobody's, once all of it has come back; not while some is away."""
        wrong = await desk.add_wallet()
        await desk.take_in(camt053(month(entry(500, iban=None))))
        [waiting] = await desk.entries(EntryOutcome.SUSPENSE)
        assigned = (await desk.assign(waiting.id, wrong)).assigning_journal_entry_id
        await desk.undo(assigned, 200)
        assert await desk.entries(EntryOutcome.SUSPENSE) == []
        await desk.undo(assigned, 300)
        assert await desk.entries(EntryOutcome.SUSPENSE) == [waiting]
        assert await check(desk.database, desk.tenant) == []

    async def test_is_not_paid_back_from_others_that_wait(self, desk: Desk) -> None:
        """What was assigned is no longer there to be undone; once it is back it can be, and then isn't assigned."""
        wallet = await desk.add_wallet()
        await desk.take_in(camt053(month(entry(500, iban=None), entry(700, iban=None))))
        _, waiting = sorted(await desk.entries(), key=lambda each: -each.amount_minor)
        assigned = (await desk.assign(waiting.id, wallet)).assigning_journal_entry_id
        with pytest.raises(errors.EntryNotReversible) as caught:
            await desk.undo(waiting.journal_entry_id)
        assert (caught.value.journal_entry_id, str(assigned) in caught.value.detail) == (waiting.journal_entry_id, True)
        assert await desk.account_minor("suspense") == -700
        await desk.undo(assigned)
        await desk.undo(waiting.journal_entry_id)
        assert await desk.account_minor("suspense") == -700
        with pytest.raises(errors.StatementEntryNotInSuspense):
            await desk.assign(waiting.id, wallet)

    async def test_is_forgotten_with_whom_it_was_assigned_to(self, desk: Desk) -> None:
        """What the bank says goes under their key with the money, in the answer that is kept for copies, too."""
        wallet = await desk.add_wallet()
        await desk.take_in(camt053(month(entry(500, iban=None, name="Ada Lovelace"))))
        [waiting] = await desk.entries()
        kept = await desk.assigned(waiting.id, wallet)
        async with desk.database.tx(desk.tenant) as tx:
            party_id = (await get_wallet(tx, ids.decode(Prefix.WALLET, wallet))).party_id
        shown = [*await desk.entries(), await service.open_answer(desk.keys, desk.tenant, kept)]
        assert [each.counterparty_name for each in shown] == ["Ada Lovelace"] * 2
        await desk.keys.forget(desk.tenant, [party_id], reason="test")
        shown = [*await desk.entries(), await service.open_answer(desk.keys, desk.tenant, kept)]
        assert [each.counterparty_name for each in shown] == [None] * 2

    async def test_stays_where_the_wallet_cannot_bear_it(self, desk: Desk) -> None:
        """A refused assignment leaves the entry where it was."""
        wallet = await desk.add_wallet()
        await desk.take_in(camt053(month(entry(-500, iban=None))))
        [waiting] = await desk.entries()
        with pytest.raises(errors.InsufficientFunds):
            await desk.assign(waiting.id, wallet)
        await desk.change(wallet, "freeze")
        with pytest.raises(errors.WalletFrozen):
            await desk.assign(waiting.id, wallet)
        with pytest.raises(errors.NotFound):
            await desk.assign("ste_01m7w9tnzcejq9b78b81gh4nmw", wallet)
        assert await desk.entries() == [waiting]

    async def test_is_assigned_by_one_of_two_at_once(self, desk: Desk) -> None:
        """Two people assign one entry to two wallets; one of them is refused."""
        wallets = [await desk.add_wallet(), await desk.add_wallet()]
        await desk.take_in(camt053(month(entry(500, iban=None))))
        [waiting] = await desk.entries()
        results = await asyncio.gather(*(desk.assign(waiting.id, one) for one in wallets), return_exceptions=True)
        assert sorted(type(result).__name__ for result in results) == ["StatementEntry", "StatementEntryNotInSuspense"]
        assert sum([await desk.wallet_minor(one) for one in wallets]) == 500


class TestAnAnswer:
    """An answer."""

    async def test_is_what_is_shown_later(self, desk: Desk) -> None:
        """The import, read again, says what it said."""
        done = await desk.take_in(mt940(*daily(WEEK)))
        async with desk.database.tx(desk.tenant) as tx:
            shown = await service.get_import(tx, ids.decode(ids.Prefix.STATEMENT_IMPORT, done.id))
            [listed] = await service.list_imports(tx, limit=10, before=None)
        assert msgspec.json.encode(shown) == msgspec.json.encode(listed) == msgspec.json.encode(done)


class TestTheBooksOfStatements:
    """The books of statements."""

    async def test_are_looked_after(self, desk: Desk, tenancy: Tenancy) -> None:
        """What an owner of the tables changes behind the engine's back breaks the invariant that is about it."""
        await desk.add_wallet((AliasScheme.IBAN, ADA))
        await desk.take_in(camt053(WEEK))
        await tenancy.as_owner(
            tenancy.tenant,
            "UPDATE statement_entries SET amount_minor = 499 WHERE amount_minor = 500",
            "UPDATE statement_entries SET outcome = 'not_booked', journal_entry_id = NULL, effective_at = NULL "
            "WHERE amount_minor = 250",
            "UPDATE bank_accounts SET break_minor = 1",
        )
        breaches = await check(desk.database, desk.tenant)
        assert {breach.invariant for breach in breaches} == {
            "statement_entries_are_posted",
            "statement_entries_have_their_movement",
            "statement_entries_took_effect_when_booked",
            "statements_add_up",
            "statements_name_what_they_posted",
            "suspense_equals_unassigned_entries",
            "bank_accounts_equal_postings",
            "bank_accounts_equal_their_statements",
        }

    async def test_cant_be_rewritten_by_the_server(self, desk: Desk) -> None:
        """The runtime role can't change what the bank said, nor take anything away."""
        await desk.take_in(camt053(WEEK))
        for statement in (
            "UPDATE statement_entries SET amount_minor = 0",
            "UPDATE statement_entries SET bank_account = 'x'",
            "DELETE FROM statement_entries",
            "UPDATE statements SET verdict = 'x'",
            "DELETE FROM statement_imports",
            "DELETE FROM bank_accounts",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with desk.database.tx(desk.tenant) as tx:
                    await tx.execute(statement)

    async def test_hold_an_entry_once(self, desk: Desk) -> None:
        """Even SQL that goes around the engine can't keep one entry as new twice."""
        await desk.take_in(camt053(WEEK))
        with pytest.raises(asyncpg.UniqueViolationError):
            async with desk.database.tx(desk.tenant) as tx:
                await tx.execute(
                    "INSERT INTO statement_entries (id, statement_import_id, statement_id, position, bank_account, "
                    "dedup_key, booking_date, amount_minor, currency, status, outcome, booked_ahead, "
                    "created_at) SELECT gen_random_uuid(), statement_import_id, statement_id, position, bank_account, "
                    "dedup_key, booking_date, amount_minor, currency, status, 'not_booked', FALSE, "
                    "created_at FROM statement_entries LIMIT 1"
                )
