"""Customers' account statements that say otherwise than the postings, and what finds them out."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta

import asyncpg
import pytest
import pytest_asyncio

from billfold.clock import ManualClock
from billfold.contract.wallets import CreateTopUp
from billfold.money import Money
from billfold_server.account_statements.service import make_due
from billfold_server.invariants.account_statements import ACCOUNT_STATEMENTS
from billfold_server.invariants.service import breaches_in, check
from billfold_server.ledger.detaching import detach
from billfold_server.tenancy.context import COMMAND_LINE, SYSTEM
from billfold_server.tenancy.transaction import Tx
from billfold_server.wallets import kinds
from tests.server.invariants.tampering import missed
from tests.server.ledger.books import Bench, open_engine
from tests.server.ledger.giving import accepted
from tests.tenants import Tenancy

JANUARY, FEBRUARY, MARCH, APRIL, MAY, JUNE = (datetime(2025, month, 10, tzinfo=UTC) for month in range(1, 7))
MONTHS = "account_statement_months_follow_one_another"
TIMES = "account_statements_are_of_their_months"
CHAIN = "account_statements_follow_one_another"
SUMS = "account_statements_equal_postings"

COLUMNS = ("opening_minor", "closing_minor", "credits_minor", "debits_minor", "beyond_minor", "entries")
TAMPERING = [
    ("{shift}", SUMS),
    ("{shift} WHERE id = {first}", CHAIN),
    ("{shift} WHERE id = {last}", CHAIN),
    *(("{unheld}; {more} WHERE id = {first}".replace("more", f"more_{column}"), SUMS) for column in COLUMNS),
    *(("{unheld}; {more} WHERE id = {last}".replace("more", f"more_{column}"), SUMS) for column in COLUMNS),
    ("UPDATE account_statements SET credits_minor = credits_minor + 1, debits_minor = debits_minor + 1", SUMS),
    ("UPDATE account_statements SET opening_minor = opening_minor + 1, debits_minor = debits_minor + 1", CHAIN),
    ("UPDATE account_statements SET starts_at = starts_at - interval '1 hour'", TIMES),
    ("UPDATE account_statements SET ends_at = ends_at + interval '1 hour'", TIMES),
    ("UPDATE account_statements SET behind = until WHERE id = {last}", TIMES),
    ("UPDATE account_statements SET until = behind WHERE id = {last}", TIMES),
    ("DELETE FROM account_statements WHERE id = {first}", SUMS),
    ("DELETE FROM account_statements WHERE id = {last}", SUMS),
    ("DELETE FROM account_statements", SUMS),
    # Months.
    ("UPDATE account_statement_months SET starts_at = starts_at - interval '1 hour'", MONTHS),
    ("UPDATE account_statement_months SET ends_at = ends_at + interval '1 hour' WHERE {newest}", MONTHS),
    ("UPDATE account_statement_months SET behind = {behind_next} WHERE {newest}", MONTHS),
    ("UPDATE account_statement_months SET until = {until_next} WHERE {newest}", SUMS),
    ("UPDATE account_statement_months SET until = behind WHERE {newest}", TIMES),
    ("UPDATE account_statement_months SET until = {nowhere} WHERE {newest}", MONTHS),
    ("UPDATE account_statement_months SET {year_before}", MONTHS),
    ("UPDATE account_statement_months SET made_at = NULL", MONTHS),
    ("DELETE FROM account_statement_months WHERE NOT {newest}", MONTHS),
    ("DELETE FROM account_statement_months WHERE {newest}", TIMES),
]
"""What is done to statements, each from the same beginning, and which invariant finds it at the least."""

TAMPERING_BESIDE_CHECKPOINTS = [
    ("{shift}", SUMS),
    ("{shift} WHERE {detached}", SUMS),
    ("{shift} WHERE NOT {detached}", CHAIN),
    *(("{unheld}; {more} WHERE id = {last}".replace("more", f"more_{column}"), SUMS) for column in COLUMNS),
    ("DELETE FROM account_statements WHERE id = {last}", SUMS),
    ("UPDATE account_statement_months SET behind = {behind_next} WHERE {newest}", MONTHS),
]
"""The same where months have left: sums that were detached aren't compared, and balances still are."""

_NEXT = "(SELECT id FROM journal_entries WHERE id > place ORDER BY id LIMIT 1)"
WORDS = {
    "shift": (
        "UPDATE account_statements SET opening_minor = opening_minor + 1000000, closing_minor = closing_minor + 1000000"
    ),
    "unheld": "ALTER TABLE account_statements DROP CONSTRAINT account_statements_whole",
    **{f"more_{column}": "UPDATE account_statements SET x = x + 1".replace("x", column) for column in COLUMNS},
    "first": "(SELECT id FROM account_statements ORDER BY starts_at, account_id LIMIT 1)",
    "last": "(SELECT id FROM account_statements ORDER BY starts_at DESC, account_id LIMIT 1)",
    "newest": "starts_at = (SELECT max(starts_at) FROM account_statement_months)",
    "detached": "until <= (SELECT entry_id FROM ledger_checkpoints ORDER BY number DESC LIMIT 1)",
    "behind_next": _NEXT.replace("place", "behind"),
    "until_next": _NEXT.replace("place", "until"),
    "nowhere": "'ffffffff-ffff-7fff-bfff-ffffffffffff'",
    "year_before": "starts_at = starts_at - interval '1 year', ends_at = ends_at - interval '1 year'",
}


class Bank(Bench):
    """Books whose months pass as a test says.

    Attributes:
        clock: The machine's.
        tenancy: Where the tenant is.
    """

    clock: ManualClock
    tenancy: Tenancy

    async def at(self, instant: datetime) -> None:
        """Let it be another time, for the machine and for the tenant."""
        self.clock.advance(instant - self.clock.now())
        await self.tenancy.as_owner(self.tenant, f"UPDATE tenant_clock SET frozen_at = '{instant.isoformat()}'")  # noqa: S608

    async def make(self) -> int:
        """Make the statements that are due."""
        return await make_due(lambda: self.database.tx(self.tenant), SYSTEM, accounts=2)

    async def detach(self, before: date) -> None:
        """Detach the months before one."""
        await detach(
            self.database,
            self.tenancy.tenants,
            self.tenant,
            before=before,
            archive=None,
            reason="ten years are over",
            caller=COMMAND_LINE,
        )


@pytest_asyncio.fixture
async def bank(tenancy: Tenancy) -> AsyncIterator[Bank]:
    """Return books of five months: one is quiet, one wallet after the first, and something came late."""
    tenant = await tenancy.add("statements", limits={"retention_months": 1, "backdate_days": 3660})
    clock = ManualClock(JANUARY)
    bank = Bank(open_engine(tenancy.database, clock=clock), tenancy.database, tenant)
    bank.clock, bank.tenancy = clock, tenancy
    await bank.at(JANUARY)
    await bank.add_wallets(3, ["EUR"])
    for wallet in range(3):
        accepted(await bank.top_up(wallet, 10_000))
    accepted(await bank.transfer(0, 1, 100))
    await bank.at(FEBRUARY)
    accepted(await bank.transfer(1, 0, 30))
    accepted(await bank.top_up(0, 7, "USD"))
    await bank.at(APRIL)
    assert await bank.make() > 0
    # This one is in the next statement, since those of its own month were made before it came.
    late = CreateTopUp(wallet_id=bank.wallets[1], amount=Money(11, "EUR"), effective_at=MARCH)
    accepted(await bank.submit(kinds.TOP_UP, kinds.top_up(late)))
    accepted(await bank.transfer(0, 1, 5))
    await bank.at(MAY)
    accepted(await bank.transfer(1, 0, 6))
    assert await bank.make() > 0
    await bank.at(JUNE)
    assert await bank.make() > 0
    # Nobody has made the statements of this one yet.
    accepted(await bank.transfer(0, 1, 8))
    yield bank
    await bank.engine.close()


class TestAccountStatements:
    """Account statements."""

    async def test_that_say_otherwise_than_the_postings_are_found_out(self, tenancy: Tenancy, bank: Bank) -> None:
        """A balance, a sum, a time, a part of the journal, a row that isn't there: each is held."""
        async with bank.database.tx(bank.tenant) as tx:
            found = await tx.fetch("SELECT until > behind AS any FROM account_statement_months ORDER BY starts_at")
        assert [row["any"] for row in found] == [True, True, False, True, True]
        assert await check(bank.database, bank.tenant) == []
        assert await missed(tenancy, bank.tenant, TAMPERING, WORDS) == []
        assert await check(bank.database, bank.tenant) == []

    async def test_are_held_beside_checkpoints(self, tenancy: Tenancy, bank: Bank) -> None:
        """Where months have left the ledger, what an account had at the checkpoint holds the statements before it."""
        for before in (date(2025, 2, 1), date(2025, 3, 1)):
            await bank.detach(before)
            assert await check(bank.database, bank.tenant) == []
        assert await missed(tenancy, bank.tenant, TAMPERING_BESIDE_CHECKPOINTS, WORDS) == []
        await bank.detach(date(2025, 7, 1))
        assert await check(bank.database, bank.tenant) == []

    async def test_are_made_beside_checkpoints(self, bank: Bank) -> None:
        """Statements that are first made when months have left already begin with what was there."""
        await bank.tenancy.as_owner(
            bank.tenant, "DELETE FROM account_statements", "DELETE FROM account_statement_months"
        )
        await bank.detach(date(2025, 2, 1))
        assert await bank.make() > 0
        assert await check(bank.database, bank.tenant) == []

    async def test_that_are_half_made_break_nothing(self, bank: Bank) -> None:
        """A month whose statements aren't all there yet is no breach, unless it is an older one."""
        await bank.tenancy.as_owner(
            bank.tenant,
            f"UPDATE account_statement_months SET made_at = NULL WHERE {WORDS['newest']}",  # noqa: S608 - constants
            f"DELETE FROM account_statements WHERE id = {WORDS['last']}",  # noqa: S608 - constants
        )
        assert await check(bank.database, bank.tenant) == []

    async def test_are_found_out_by_the_hundred(self, tenancy: Tenancy, bank: Bank) -> None:
        """However many say otherwise, each invariant names a hundred at most."""
        connection = await asyncpg.connect(tenancy.admin_dsn)
        try:
            await connection.execute(f"SET search_path TO {bank.tenant.schema}")
            await connection.execute(
                "INSERT INTO account_statements SELECT gen_random_uuid(), wallet_id, gen_random_uuid(), currency, "
                "starts_at, ends_at + interval '1 day', behind, until, 0, 1, 1, 0, 1, created_at, 0 "
                "FROM account_statements, generate_series(1, 150)"
            )
            found = [breach.invariant for breach in await breaches_in(Tx(connection))]
        finally:
            await connection.close()
        assert max(found.count(name) for name in ACCOUNT_STATEMENTS) == 100


@pytest.mark.parametrize("offset", [timedelta(0), timedelta(microseconds=-1)])
class TestTheEndOfAMonth:
    """The end of a month."""

    async def test_parts_the_journal(self, bank: Bank, offset: timedelta) -> None:
        """What was booked in a month's last instant is its own, and in the next one's first instant isn't."""
        july = datetime(2025, 7, 1, tzinfo=UTC)
        await bank.at(july + offset)
        accepted(await bank.transfer(0, 1, 1))
        await bank.at(july + timedelta(days=40))
        assert await bank.make() > 0
        assert await check(bank.database, bank.tenant) == []
