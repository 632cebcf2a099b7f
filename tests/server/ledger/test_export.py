"""The export of a tenant's books, and what finds them broken."""

import asyncpg
import msgspec
import pytest

from billfold_server.invariants.service import check
from billfold_server.ledger.export import export_ledger
from tests.server.ledger.books import Bench, open_engine
from tests.server.ledger.giving import capture, hold, reverse
from tests.tenants import Tenancy


async def filled(tenancy: Tenancy) -> Bench:
    """Return a bench whose wallets have moved money."""
    bench = Bench(open_engine(tenancy.database), tenancy.database, tenancy.tenant)
    await bench.add_wallets(3)
    await bench.top_up(0, 1_000)
    await bench.transfer(0, 1, 250)
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
            "UPDATE postings AS p SET amount_minor = p.amount_minor - 1 FROM journal_entries AS j "
            "WHERE j.id = p.entry_id AND j.sequence = 2 AND p.line = 0",
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

    @pytest.mark.parametrize(
        ("statement", "invariant"),
        [
            ("UPDATE accounts SET currency = 'JPY' WHERE code = 'cash'", "postings_are_in_their_accounts_currency"),
            ("UPDATE accounts SET held_minor = held_minor + 1 WHERE held_minor > 0", "held_equals_open_holds"),
            (
                "UPDATE accounts SET pending_minor = pending_minor + 1 WHERE pending_minor > 0",
                "pending_equals_open_holds",
            ),
            ("UPDATE accounts SET held_minor = 9999 WHERE held_minor > 0", "overdrafts_keep_within_their_limit"),
            ("DELETE FROM hold_movements WHERE step = 1", "holds_equal_their_movements"),
            ("UPDATE holds SET captured_minor = captured_minor + 1", "captures_equal_their_entries"),
            ("UPDATE accounts SET status = 'frozen' WHERE wallet_id IS NOT NULL", "wallets_and_their_accounts_agree"),
            ("UPDATE wallets SET currencies = '{}'", "wallets_and_their_accounts_agree"),
            ("UPDATE reversals SET reversed_minor = reversed_minor + 1", "reversals_equal_entries"),
            ("UPDATE journal_entries SET recorded_at = '2000-01-02Z' WHERE sequence = 2", "recorded_in_order"),
        ],
    )
    async def test_are_named_each_by_its_invariant(self, tenancy: Tenancy, statement: str, invariant: str) -> None:
        """Each thing that must hold is found when it alone is broken, or with what follows from it."""
        bench = await filled(tenancy)
        made = await hold(bench, 100, to_wallet_id=bench.wallets[2])
        captured = await capture(bench, made, amount_minor=40, final=False)
        await reverse(bench, captured["journal_entry_ids"][0], 3)
        await bench.engine.close()
        assert await check(bench.database, bench.tenant) == []
        await tenancy.as_owner(tenancy.tenant, "ALTER TABLE accounts DROP CONSTRAINT accounts_overdraft", statement)
        assert invariant in {breach.invariant for breach in await check(bench.database, bench.tenant)}

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
