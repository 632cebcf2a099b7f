"""The export of a tenant's books, and what finds them broken."""

import asyncpg
import msgspec
import pytest

from billfold_server.invariants.service import check
from billfold_server.ledger.export import export_ledger
from tests.server.ledger.books import Bench, open_engine
from tests.tenants import Tenancy


async def filled(tenancy: Tenancy) -> Bench:
    """Return a bench whose wallets have moved money."""
    bench = Bench(open_engine(tenancy.database), tenancy.database, tenancy.tenant)
    await bench.add_wallets(3)
    await bench.top_up(0, 1_000)
    await bench.transfer(0, 1, 250)
    await bench.engine.close()
    return bench


class TestAnExport:
    """An export."""

    async def test_holds_the_whole_books(self, tenancy: Tenancy) -> None:
        """Head, accounts, entries with postings, and a last line that counts them."""
        bench = await filled(tenancy)
        lines = [msgspec.json.decode(line) async for line in export_ledger(bench.database, bench.tenant)]
        assert lines[0]["record"] == "head"
        assert lines[0]["sequence"] == 2
        assert lines[-1] == {"record": "end", "account": 3, "journal_entry": 2, "hold": 0}
        entries = [line for line in lines if line["record"] == "journal_entry"]
        assert [posting["amount_minor"] for posting in entries[1]["postings"]] == [250, -250]


class TestBrokenBooks:
    """Broken books."""

    async def test_are_named(self, tenancy: Tenancy) -> None:
        """A balance or posting that an owner of the tables has changed behind the engine's back is found."""
        bench = await filled(tenancy)
        assert await check(bench.database, bench.tenant) == []
        await tenancy.as_owner(
            tenancy.tenant,
            "UPDATE accounts SET posted_minor = posted_minor + 1 WHERE code = 'cash'",
            "UPDATE postings SET amount_minor = amount_minor - 1 WHERE sequence = 2 AND line = 0",
            "DELETE FROM journal_entries WHERE sequence = 1",
        )
        broken = {breach.invariant for breach in await check(bench.database, bench.tenant)}
        assert broken == {
            "entries_balance",
            "books_balance",
            "balances_equal_postings",
            "running_balances_add_up",
            "journal_has_no_gaps",
            "postings_have_their_entry",
            "transfers_have_their_entry",
        }

    async def test_cant_be_made_by_the_server(self, tenancy: Tenancy) -> None:
        """The runtime role lacks the privilege to change or delete postings and entries."""
        bench = await filled(tenancy)
        for statement in (
            "UPDATE postings SET amount_minor = 0",
            "DELETE FROM postings",
            "UPDATE journal_entries SET kind = 'x'",
            "DELETE FROM journal_entries",
            "DELETE FROM hold_movements",
            "DELETE FROM accounts",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with bench.database.tx(bench.tenant) as tx:
                    await tx.execute(statement)
