"""What was booked to accounts, in the order of booking."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from billfold import ids
from billfold.contract.wallets import CreateTopUp, CreateTransfer
from billfold.ids import Prefix
from billfold.money import Money
from billfold_server.ledger import bookings
from billfold_server.ledger.bookings import Booking, Span
from billfold_server.wallets import kinds
from tests.server.ledger.books import Bench, open_engine
from tests.server.ledger.giving import accepted
from tests.tenants import Tenancy


class Books(Bench):
    """A bench with two wallets, which remembers their accounts."""

    accounts: list[UUID]
    now_: datetime

    async def receive(self, amount: int, *, days_ago: float = 0, wallet: int = 0) -> UUID:
        """Top a wallet up, as of some time, and return the entry."""
        at = self.now_ - timedelta(days=days_ago) if days_ago else None
        body = CreateTopUp(wallet_id=self.wallets[wallet], amount=Money(amount, "EUR"), effective_at=at)
        answer = accepted(await self.submit(kinds.TOP_UP, kinds.top_up(body)))
        return ids.decode(Prefix.JOURNAL_ENTRY, answer["journal_entry_id"])

    async def pay(self, amount: int) -> UUID:
        """Pay from the first wallet to the second."""
        body = CreateTransfer(from_wallet_id=self.wallets[0], to_wallet_id=self.wallets[1], amount=Money(amount, "EUR"))
        answer = accepted(await self.submit(kinds.TRANSFER, kinds.transfer(body)))
        return ids.decode(Prefix.JOURNAL_ENTRY, answer["journal_entry_id"])

    async def booked(self, *wallets: int, **options: Any) -> tuple[list[Booking], bookings.Place | None]:
        """Return what was booked to wallets."""
        options = {"span": Span(), "limit": 100, **options}
        async with self.database.tx(self.tenant) as tx:
            return await bookings.list_bookings(tx, account_ids=[self.accounts[each] for each in wallets], **options)


@pytest.fixture
async def books(tenancy: Tenancy) -> AsyncIterator[Books]:
    """Return books with two wallets."""
    books = Books(open_engine(tenancy.database), tenancy.database, tenancy.tenant)
    await books.add_wallets(2, ["EUR"])
    async with books.database.tx(books.tenant) as tx:
        books.now_ = await books.now(tx)
        rows = await tx.fetch("SELECT id, wallet_id FROM accounts WHERE wallet_id IS NOT NULL")
    found = {row["wallet_id"]: row["id"] for row in rows}
    books.accounts = [found[ids.decode(Prefix.WALLET, each)] for each in books.wallets]
    yield books
    await books.engine.close()


def amounts(found: list[Booking]) -> list[int]:
    """Return amounts as the owner sees them."""
    return [-each.amount_minor for each in found]


class TestBookings:
    async def test_come_newest_first_with_running_balances(self, books: Books):
        """The balance after each line is that of the line before it and its amount."""
        await books.receive(500)
        await books.pay(120)
        await books.receive(30)
        found, following = await books.booked(0)
        assert (amounts(found), following) == ([30, -120, 500], None)
        assert [-each.posted_after_minor for each in found] == [410, 380, 500]

    async def test_of_two_accounts_are_merged(self, books: Books):
        """Lines of several accounts come in the order of the journal."""
        await books.receive(500)
        await books.pay(120)
        found, _ = await books.booked(0, 1)
        assert sorted(amounts(found)[:2]) == [-120, 120]
        async with books.database.tx(books.tenant) as tx:
            wallets = [ids.decode(Prefix.WALLET, each) for each in books.wallets]
            assert (await bookings.list_bookings(tx, wallet_ids=wallets, span=Span(), limit=9))[0] == found
        assert {each.wallet_id for each in found} == set(wallets)
        assert amounts(found)[2] == 500

    async def test_that_come_late_are_booked_when_they_come(self, books: Books):
        """An entry that took effect earlier than one before it was booked with that one, not in the past."""
        await books.receive(500, days_ago=5)
        await books.receive(30, days_ago=2)
        await books.receive(7, days_ago=9)
        found, _ = await books.booked(0)
        assert amounts(found) == [7, 30, 500]
        assert [(books.now_ - each.effective_at).days for each in found] == [9, 2, 5]
        assert [(books.now_ - each.booked_at).days for each in found] == [2, 2, 5]

    async def test_are_found_by_the_time_of_booking(self, books: Books):
        """Both ends of a span belong to it."""
        for days in (5, 3, 1):
            await books.receive(days, days_ago=days)
        at = {days: books.now_ - timedelta(days=days) for days in (5, 3, 1)}
        for span, wanted in (
            (Span(from_=at[3]), [1, 3]),
            (Span(to=at[3]), [3, 5]),
            (Span(from_=at[3], to=at[3]), [3]),
            (Span(from_=at[3] + timedelta(seconds=1), to=at[1] - timedelta(seconds=1)), []),
            (Span(), [1, 3, 5]),
        ):
            found, _ = await books.booked(0, span=span)
            assert amounts(found) == wanted

    async def test_are_paged_both_ways(self, books: Books):
        """Pages go on behind a place, and back before it, and meet each line once."""
        for amount in range(1, 8):
            await books.receive(amount)
        seen, place = [], None
        while True:
            found, place = await books.booked(0, limit=3, place=place)
            seen.append(amounts(found))
            if place is None:
                break
        assert seen == [[7, 6, 5], [4, 3, 2], [1]]
        last, _ = await books.booked(0, limit=3)
        first, _ = await books.booked(0, limit=3, place=last[-1].place)
        back, before = await books.booked(0, limit=2, place=first[0].place, backwards=True)
        assert (amounts(back), before) == ([6, 5], back[0].place)
        top, before = await books.booked(0, limit=2, place=back[0].place, backwards=True)
        assert (amounts(top), before) == ([7], None)

    async def test_of_one_side_leave_the_other_out(self, books: Books):
        """Credits alone, or debits alone, and pages of them."""
        for amount in (500, 30, 20):
            await books.receive(amount)
            await books.pay(1)
        assert amounts((await books.booked(0, span=Span(side="credit")))[0]) == [20, 30, 500]
        assert amounts((await books.booked(0, span=Span(side="debit")))[0]) == [-1, -1, -1]
        found, place = await books.booked(0, span=Span(side="credit"), limit=2)
        assert (amounts(found), place) == ([20, 30], found[-1].place)
        assert amounts((await books.booked(0, span=Span(side="credit"), limit=2, place=place))[0]) == [500]

    async def test_of_one_side_are_looked_for_so_far_and_no_further(
        self, books: Books, monkeypatch: pytest.MonkeyPatch
    ):
        """A page ends where enough was looked at, and says where to go on, even with nothing on it."""
        await books.receive(500)
        for _ in range(8):
            await books.pay(1)
        # What isn't among the first that are looked at is looked for further.
        found, place = await books.booked(0, span=Span(side="credit"), limit=1)
        assert (amounts(found), place) == ([500], None)
        monkeypatch.setattr(bookings, "_SCAN", 2)
        pages, place = [], None
        while True:
            found, place = await books.booked(0, span=Span(side="credit"), limit=5, place=place)
            pages.append(amounts(found))
            if place is None:
                break
        assert pages == [[], [], [], [], [500]]


class TestTurnovers:
    async def test_are_sums_between_two_entries(self, books: Books):
        """Opening and closing balance and the sums of both sides agree, account by account, also without postings."""
        behind = await books.receive(500)
        await books.pay(120)
        until = await books.receive(30)
        await books.receive(1_000)
        async with books.database.tx(books.tenant) as tx:
            found = await bookings.list_turnovers(tx, behind, until, after=None, limit=10)
            rest = await bookings.list_turnovers(tx, behind, until, after=found[0].account_id, limit=10)
        by_account = {each.account_id: each for each in found}
        own = by_account[books.accounts[0]]
        assert (-own.opening_minor, own.credits_minor, own.debits_minor, -own.closing_minor) == (500, 30, 120, 410)
        other = by_account[books.accounts[1]]
        assert (other.opening_minor, other.credits_minor, other.entries) == (0, 120, 1)
        assert rest == found[1:]
