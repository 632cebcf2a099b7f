"""Lists of what took effect between two instants, whatever order it was recorded in."""

import random
from datetime import timedelta
from typing import Any
from uuid import UUID

from billfold.contract.ledger import CreateJournalEntry
from billfold.contract.wallets import CreateTopUp
from billfold.money import Money
from billfold_server.ledger import kinds, queries
from billfold_server.wallets import kinds as wallet_kinds
from tests.server.ledger.books import Bench
from tests.server.ledger.giving import account, entry

LIMIT = 7


async def page_on(read: Any, place: Any) -> list[Any]:
    """Return all rows of a list, page by page."""
    found: list[Any] = []
    while True:
        page = await read(place(found[-1]) if found else None)
        found += page
        if len(page) < LIMIT:
            return found


class TestAListBetweenTwoInstants:
    """A list between two instants."""

    async def test_is_the_same_as_sifting_all(self, bench: Bench) -> None:
        """Entries and statements hold just what took effect within, late entries too, newest first, on every page."""
        random_ = random.Random(1)
        one, two = await account(bench, "one"), await account(bench, "two")
        async with bench.database.tx(bench.tenant) as tx:
            now = await bench.now(tx)
        for _ in range(120):
            back = random_.choice([0, 0, 0, 1, 30, 4000, 90_000, 2_000_000])
            at = None if not back else now - timedelta(seconds=random_.randint(1, back))
            order: CreateJournalEntry = entry((one, 5), (two, -5))
            await bench.submit(kinds.POST_JOURNAL_ENTRY, CreateJournalEntry(postings=order.postings, effective_at=at))
        async with bench.database.tx(bench.tenant) as tx:
            every, _ = await queries.list_entries(tx, limit=1000)
            account_id = UUID(int=every[0].postings[0].account_id.int)
            instants = [None, now, *(each.effective_at for each in every)]
            for _ in range(60):
                from_, to = random_.choice(instants), random_.choice(instants)
                wanted = [
                    each.id
                    for each in every
                    if (from_ is None or each.effective_at >= from_) and (to is None or each.effective_at < to)
                ]
                bounds: dict[str, Any] = {"limit": LIMIT, "from_": from_, "to": to}

                async def entries(before: Any, bounds: dict[str, Any] = bounds) -> list[Any]:
                    return (await queries.list_entries(tx, before=before, account_id=account_id, **bounds))[0]

                async def all_entries(before: Any, bounds: dict[str, Any] = bounds) -> list[Any]:
                    return (await queries.list_entries(tx, before=before, **bounds))[0]

                async def lines(before: Any, bounds: dict[str, Any] = bounds) -> list[Any]:
                    return (await queries.list_statement(tx, [account_id], before=before, **bounds))[0]

                for read in (entries, all_entries):
                    assert [each.id for each in await page_on(read, lambda row: row.id)] == wanted
                found = await page_on(lines, lambda row: (row["id"], row["line"]))
                assert [row["id"] for row in found] == wanted


class TestEntriesOfOneKind:
    """Entries of one kind."""

    async def test_are_the_same_as_sifting_all(self, bench: Bench) -> None:
        """Those of transfers and top-ups, which are found by these, and others, between any instants, page by page."""
        random_ = random.Random(2)
        one, two = await account(bench, "one"), await account(bench, "two")
        await bench.add_wallets(2)
        async with bench.database.tx(bench.tenant) as tx:
            now = await bench.now(tx)
        for _ in range(80):
            back = timedelta(seconds=random_.choice([1, 30, 4000, 90_000]))
            match random_.randint(0, 2):
                case 0:
                    order: CreateJournalEntry = entry((one, 5), (two, -5))
                    body = CreateJournalEntry(postings=order.postings, effective_at=now - back)
                    await bench.submit(kinds.POST_JOURNAL_ENTRY, body)
                case 1:
                    paid = CreateTopUp(wallet_id=bench.wallets[0], amount=Money(100, "EUR"), effective_at=now - back)
                    await bench.submit(wallet_kinds.TOP_UP, wallet_kinds.top_up(paid))
                case _:
                    await bench.transfer(0, 1, 1)
        async with bench.database.tx(bench.tenant) as tx:
            every, _ = await queries.list_entries(tx, limit=1000)
            instants = [None, now, *(each.effective_at for each in every)]
            assert {each.kind for each in every} == {"journal_entry", "top_up", "transfer"}
            for _ in range(40):
                from_, to = random_.choice(instants), random_.choice(instants)
                for kind in ("journal_entry", "top_up", "transfer", "withdrawal", "payment"):

                    async def read(before: Any, bounds: Any = (kind, from_, to)) -> list[Any]:
                        kind, from_, to = bounds
                        page = queries.list_entries(tx, limit=LIMIT, before=before, kind=kind, from_=from_, to=to)
                        return (await page)[0]

                    assert [each.id for each in await page_on(read, lambda row: row.id)] == [
                        each.id
                        for each in every
                        if each.kind == kind
                        and (from_ is None or each.effective_at >= from_)
                        and (to is None or each.effective_at < to)
                    ]
