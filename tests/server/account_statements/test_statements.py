"""Account statements against PostgreSQL."""

import asyncio
import csv
import io
import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from billfold import errors, ids
from billfold.contract.events import ACCOUNT_STATEMENTS_MADE
from billfold.contract.ledger import CreateJournalEntry, NewPosting
from billfold.contract.wallets import CreateTopUp, CreateTransfer
from billfold.ids import Prefix
from billfold.money import Money
from billfold_server.account_statements import pdf, queries, rules, service, tasks
from billfold_server.account_statements.rows import MonthRow
from billfold_server.audit import service as audit
from billfold_server.db.jobs import Job, JobKinds, JobRun
from billfold_server.db.outbox import list_events
from billfold_server.keys.service import Keys
from billfold_server.ledger import service as ledger
from billfold_server.ledger.kinds import POST_JOURNAL_ENTRY
from billfold_server.tenancy.context import SYSTEM
from billfold_server.tenancy.transaction import TenantTx
from billfold_server.wallets import kinds
from tests.apart import apart
from tests.server.ledger.books import Bench, open_engine
from tests.server.ledger.giving import accepted
from tests.tenants import Tenancy

JUNE, JULY, AUGUST = (datetime(2026, month, 1, tzinfo=UTC) for month in (6, 7, 8))


class Bank(Bench):
    """A bench whose tenant has keys."""

    keys: Keys

    def tx(self) -> Any:
        """Open the tenant's transaction."""
        return self.database.tx(self.tenant)

    async def receive(self, amount: int, at: datetime, currency: str = "EUR", wallet: int = 0) -> None:
        """Top a wallet up as of a time."""
        body = CreateTopUp(wallet_id=self.wallets[wallet], amount=Money(amount, currency), effective_at=at)
        accepted(await self.submit(kinds.TOP_UP, kinds.top_up(body)))

    async def pay(self, amount: int, at: datetime, description: str) -> None:
        """Pay from the first wallet to the second as of a time."""
        body = CreateTransfer(
            from_wallet_id=self.wallets[0],
            to_wallet_id=self.wallets[1],
            amount=Money(amount, "EUR"),
            description=description,
            effective_at=at,
        )
        accepted(await self.submit(kinds.TRANSFER, kinds.transfer(body)))

    async def made(self, wallet: int = 0) -> list[service.StatementRow]:
        """Make what is due, and return a wallet's statements, the oldest first."""
        await service.make_due(self.tx, SYSTEM, accounts=2)
        async with self.tx() as tx:
            return (await service.list_statements(tx, limit=100, wallet_id=self.uuid(wallet)))[::-1]

    def uuid(self, wallet: int) -> UUID:
        """Return a wallet's id as the database has it."""
        return ids.decode(Prefix.WALLET, self.wallets[wallet])


@pytest.fixture
async def bank(tenancy: Tenancy, tenant_keys: Keys) -> AsyncIterator[Bank]:
    """Return a tenant whose books may be written far back, with two wallets."""
    tenant = await tenancy.add("statements", limits={"backdate_days": 3660})
    bank = Bank(open_engine(tenancy.database), tenancy.database, tenant)
    bank.keys = tenant_keys
    await bank.add_wallets(2, ["EUR"])
    yield bank
    await bank.engine.close()


class TestStatements:
    async def test_are_made_of_months_that_have_passed(self, bank: Bank):
        """Each month in which something was booked has one, and the balances lead from one to the next."""
        await bank.receive(1_000, JUNE + timedelta(days=3))
        await bank.pay(250, JUNE + timedelta(days=9), "Rent")
        await bank.receive(40, AUGUST)
        june, august = await bank.made()
        assert (june.starts_at, june.ends_at, june.entries) == (JUNE, JULY, 2)
        assert (june.opening_minor, june.credits_minor, june.debits_minor, june.closing_minor) == (0, 1_000, 250, 750)
        assert (august.opening_minor, august.closing_minor, august.starts_at) == (750, 790, AUGUST)

    async def test_hold_each_currency_by_itself(self, bank: Bank):
        """A wallet of two currencies has two statements of a month."""
        await bank.receive(1_000, JUNE)
        await bank.receive(7, JUNE, "USD")
        assert {(each.currency, each.closing_minor) for each in await bank.made()} == {("EUR", 1_000), ("USD", 7)}

    async def test_are_made_once(self, bank: Bank):
        """Asked for again, or by two at the same time, none is made twice, and none changes."""
        await bank.receive(1_000, JUNE)
        first = await bank.made()
        assert await service.make_due(bank.tx, SYSTEM) == 0
        assert await bank.made() == first

    async def test_go_on_where_a_failure_has_left_them(self, bank: Bank):
        """A month that was begun and not finished is made whole."""
        await bank.receive(1_000, JUNE)
        await bank.receive(5, JUNE, wallet=1)
        first = await bank.made()
        async with bank.tx() as tx:
            await tx.execute("UPDATE account_statement_months SET made_at = NULL WHERE starts_at >= $1", JULY)
        assert await bank.made() == first

    async def test_count_more_than_a_bigint_holds(self, bank: Bank):
        """The largest amounts may go to and fro all month: each sum is told in full, and others get theirs."""
        await bank.receive(10**15, JUNE)
        await bank.receive(5, JUNE, wallet=1)
        async with bank.tx() as tx:
            wallet = await tx.fetchval("SELECT id FROM accounts WHERE wallet_id = $1", bank.uuid(0))
        account = ids.encode(Prefix.ACCOUNT, wallet)
        there = [NewPosting(account_id=account, amount_minor=10**15, currency="EUR")] * 50
        back = [NewPosting(account_id=account, amount_minor=-(10**15), currency="EUR")] * 50
        entry = CreateJournalEntry(postings=[*there, *back], effective_at=JUNE)
        for given in await asyncio.gather(*(bank.submit(POST_JOURNAL_ENTRY, entry) for _ in range(200))):
            accepted(given)
        (statement,) = await bank.made()
        assert (statement.credits_minor, statement.debits_minor) == (10**19 + 10**15, 10**19)
        assert (statement.opening_minor, statement.closing_minor, statement.entries) == (0, 10**15, 20_001)
        assert [each.closing_minor for each in await bank.made(1)] == [5]

    async def test_leave_no_late_entry_out(self, bank: Bank):
        """What comes after a month's statements were made is in the next ones, though it took effect before."""
        await bank.receive(1_000, JUNE)
        assert [each.closing_minor for each in await bank.made()] == [1_000]
        await bank.receive(20, JUNE + timedelta(days=1))
        async with bank.tx() as tx:
            begins = await tx.fetchval("SELECT max(ends_at) FROM account_statement_months")
            await tx.execute("UPDATE tenant_clock SET frozen_at = $1 WHERE id = 1", rules.month_after(begins))
        _, late = await bank.made()
        assert (late.starts_at, late.opening_minor, late.closing_minor) == (begins, 1_000, 1_020)

    async def test_of_the_first_month_hold_no_entry_twice(self, bank: Bank, monkeypatch: pytest.MonkeyPatch):
        """Of two who begin it at once with an entry between them, both make the statements of the one who was first."""
        find_place = ledger.place_before
        await bank.receive(1_000, JUNE)
        async with bank.tx() as tx:
            first = MonthRow(JUNE, JULY, UUID(int=0), await find_place(tx, JULY), None)
        await bank.receive(20, JUNE)

        async def begin() -> None:
            async with bank.tx() as tx:
                await queries.begin_month(tx, first)

        async def overtaken(tx: TenantTx, instant: datetime) -> UUID:
            place = await find_place(tx, instant)
            await apart(begin())
            return place

        monkeypatch.setattr(ledger, "place_before", overtaken)
        june, july = await bank.made()
        assert (june.closing_minor, june.entries, july.opening_minor, july.entries) == (1_000, 1, 1_000, 1)

    async def test_are_told_of_month_by_month(self, bank: Bank):
        """One event and one audit record tell of all of a month's statements."""
        await bank.receive(1_000, JUNE)
        await bank.receive(5, JUNE, wallet=1)
        await bank.made()
        async with bank.tx() as tx:
            events = [each.data for each in await list_events(tx) if each.type == ACCOUNT_STATEMENTS_MADE.name]
            records = [
                each.facts for each in await audit.list_records(tx) if each.action == ACCOUNT_STATEMENTS_MADE.name
            ]
        assert events == records == [{"month": "2026-06", "statements": 2}]

    @pytest.mark.parametrize("whole", [3, 5])
    async def test_are_told_of_whole_though_somebody_died_while_making_them(self, bank: Bank, whole: int):
        """Whoever goes on tells of those that were made before, too, also where these were all."""
        await bank.receive(1_000, JUNE)
        await bank.receive(5, JUNE, wallet=1)
        opened = 0

        def dying() -> Any:
            nonlocal opened
            opened += 1
            if opened > whole:
                raise ZeroDivisionError
            return bank.tx()

        with pytest.raises(ZeroDivisionError):
            await service.make_due(dying, SYSTEM, accounts=1)
        await bank.made()
        async with bank.tx() as tx:
            events = [each.data for each in await list_events(tx) if each.type == ACCOUNT_STATEMENTS_MADE.name]
        assert events == [{"month": "2026-06", "statements": 2}]

    async def test_are_made_however_long_it_takes_to_add_them_up(self, bank: Bank, monkeypatch: pytest.MonkeyPatch):
        """A month of millions of entries takes longer than a request's query may, and holds up no other job."""
        await bank.receive(1_000, JUNE)
        add_up, bounds = ledger.list_turnovers, set()

        async def watched(tx: TenantTx, *args: Any, **options: Any) -> Any:
            bounds.add(await tx.fetchval("SHOW statement_timeout"))
            return await add_up(tx, *args, **options)

        monkeypatch.setattr(ledger, "list_turnovers", watched)
        kinds_of_job = JobKinds()
        tasks.register(kinds_of_job)
        kind = kinds_of_job[tasks.MAKE]
        job = Job(id=ids.uuid7(), kind=tasks.MAKE, due_at=JULY, payload=b"{}", attempt=1, token=ids.uuid7())
        await kind.handler(JobRun(bank.database, bank.tenant, job))
        assert (bounds, kind.retry.timeout_s, kind.apart) == ({"10min"}, 3600, True)
        assert [each.closing_minor for each in await bank.made()] == [1_000]


class TestAFile:
    async def test_holds_every_entry(self, bank: Bank):
        """The lines of both files are those of the month, the oldest first, with the balance after each."""
        await bank.receive(100_000, JUNE)
        await bank.pay(25_050, JUNE + timedelta(days=1), "=Rent (June)")
        await bank.receive(1, JULY)
        statement = (await bank.made())[0]
        file = await service.read_file(bank.tx, bank.keys, bank.tenant, statement)
        rows = list(csv.DictReader(io.StringIO(service.to_csv(file).decode(), newline="")))
        assert [(row["amount"], row["balance"], row["currency"]) for row in rows] == [
            ("1000.00", "1000.00", "EUR"),
            ("-250.50", "749.50", "EUR"),
        ]
        # No spreadsheet takes what somebody has written for a formula.
        assert rows[1]["description"] == "'=Rent (June)"
        text = content(service.to_pdf(file))
        assert b"=Rent \\(June\\)" in text
        assert (b"749.50" in text, bank.wallets[0].encode() in text) == (True, True)

    async def test_is_refused_of_too_many_entries(self, bank: Bank, monkeypatch: pytest.MonkeyPatch):
        """They are read page by page."""
        await bank.receive(1, JUNE)
        await bank.receive(1, JUNE)
        (statement,) = await bank.made()
        monkeypatch.setattr(rules, "FILE_ENTRIES", 1)
        with pytest.raises(errors.NotFound):
            await service.read_file(bank.tx, bank.keys, bank.tenant, statement)


def content(document: bytes) -> bytes:
    """Return what a document shows, page after page."""
    parts = document.split(b"stream\n")[1::2]
    return b"".join(zlib.decompress(part.removesuffix(b"\nend")) for part in parts)


class TestAPdf:
    def test_says_where_each_object_begins(self):
        """The table at its end names the place of every object (ISO 32000-1, 7.5.4)."""
        document = pdf.document("Title", [f"line {number} é 漢" for number in range(200)], made_at=JUNE)
        table = document[int(document.split()[-2]) :]
        places = [int(line[:10]) for line in table.splitlines()[3:] if line.endswith(b" n ")]
        assert [document[place:].split(b" ", 1)[0] for place in places] == [
            b"%d" % number for number in range(1, len(places) + 1)
        ]
        assert document.count(b"/Type /Page ") == 3

    def test_shows_what_its_font_has(self):
        """Characters of Western Europe are shown; others are question marks, and controls are blanks."""
        shown = content(pdf.document("x", ["é € 漢 \\ \x07"], made_at=JUNE))
        assert "(é € ? \\\\  )".encode("cp1252") in shown


class TestAMonth:
    @pytest.mark.parametrize(("instant", "wanted"), [(JUNE, JULY), (datetime(2026, 12, 31, 23, tzinfo=UTC), None)])
    def test_ends_where_the_next_begins(self, instant: datetime, wanted: datetime | None):
        """After December comes January."""
        assert rules.month_after(rules.month_of(instant)) == (wanted or datetime(2027, 1, 1, tzinfo=UTC))
