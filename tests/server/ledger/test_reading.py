"""Rows that hold what no command can have written, since somebody has taken their tables' constraints away."""

# ruff: noqa: S608 - the SQL is the tests' own.

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from types import NoneType

import asyncpg
import pytest

from billfold import ids
from billfold.chain import Damage, Verification, Verifier
from billfold.chain.records import HeadRecord
from billfold.ids import Prefix
from billfold_server.db.wakeups import Wakeups
from billfold_server.invariants.service import breaches_in
from billfold_server.keys.service import Keys
from billfold_server.ledger.export import BESIDE, read_ledger
from billfold_server.ledger.importing import _TABLES as TABLES
from billfold_server.ledger.reading import BALANCE, BESIDE_MAY_BE_NULL, POSTING, Shape, UnreadableError, shape_of
from billfold_server.reconciliation.service import import_file
from billfold_server.tenancy.context import TenantRef
from billfold_server.tenancy.transaction import TenantTx
from tests.server.ledger.books import CALLER
from tests.server.ledger.full import full_books
from tests.server.ledger.past import SHORT, past
from tests.server.ledger.test_import import STATEMENT
from tests.server.payments.desk import Desk
from tests.server.payments.test_collecting import Receiving, collect, credit
from tests.server.payments.test_hearing import said
from tests.server.reconciliation.desk import Desk as StatementDesk
from tests.server.reconciliation.statement_files import Entry, Plan, camt053
from tests.tenants import Tenancy


@asynccontextmanager
async def unconstrained(tenancy: Tenancy, tenant: TenantRef) -> AsyncIterator[TenantTx]:
    """Yield a transaction of the tables' owner in which nothing is refused any more, and of which nothing is kept."""
    connection = await asyncpg.connect(tenancy.admin_dsn)
    try:
        await connection.execute(f"BEGIN; SET ROLE {tenant.owner_role}; SET search_path TO {tenant.schema}")
        tx = TenantTx(connection, tenant, Wakeups())
        constraints = await tx.fetch(
            """
            SELECT DISTINCT c.conrelid::regclass::text AS table, c.conname AS name FROM pg_constraint AS c
            WHERE c.connamespace = current_schema()::regnamespace AND c.contype <> 'n' AND c.conparentid = 0
                AND c.coninhcount = 0 AND c.conrelid <> 0
            """
        )
        for each in constraints:
            await tx.execute(f"ALTER TABLE {each['table']} DROP CONSTRAINT IF EXISTS {each['name']} CASCADE")
        yield tx
    finally:
        await connection.close()


async def verified(tx: TenantTx) -> Verification:
    """Verify a ledger as a transaction sees it."""
    verifier = Verifier()
    try:
        async for record in read_ledger(tx):
            verifier.take(record)
    except UnreadableError as error:
        verifier.unreadable(error.record, error.id)
    return verifier.finish()


async def columns(tx: TenantTx, *, null: bool) -> dict[str, set[str]]:
    """Return the columns of each table that may be NULL, or may not, as the tenant's migrations have made them."""
    rows = await tx.fetch(
        """
        SELECT c.relname AS table, coalesce(array_agg(a.attname::text) FILTER (WHERE a.attnotnull <> $1), '{}') AS names
        FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
        GROUP BY c.relname
        """,
        null,
    )
    return {row["table"]: set(row["names"]) for row in rows}


async def unnoticed(tenancy: Tenancy, tenant: TenantRef, tables: Iterable[str]) -> list[str]:
    """Return the columns of which nobody notices that a value is gone from them."""
    silent = []
    async with unconstrained(tenancy, tenant) as tx:
        # What was read so far holds its tables, until this is undone.
        await tx.execute("SAVEPOINT one")
        assert (await verified(tx)).findings == []
        await tx.execute("ROLLBACK TO SAVEPOINT one")
        required = await columns(tx, null=False)
        for table in tables:
            for column in sorted(required[table] & KNOWN[table]):
                await tx.execute(f"SAVEPOINT one; ALTER TABLE {table} ALTER {column} DROP NOT NULL")
                done = await tx.execute(
                    f"UPDATE {table} SET {column} = NULL WHERE (tableoid, ctid) = "
                    f"(SELECT tableoid, ctid FROM {table} WHERE {column} IS NOT NULL LIMIT 1)"
                )
                assert done == "UPDATE 1", f"there is nothing in {table}.{column}"
                findings = (await verified(tx)).findings
                if Damage.MALFORMED not in {finding.damage for finding in findings}:
                    silent.append(f"{table}.{column}")
                # What is checked beside doesn't break at it, either.
                assert all(each.object and each.fact for each in await breaches_in(tx))
                await tx.execute("ROLLBACK TO SAVEPOINT one")
    return silent


SHAPES = {
    **{table: shape_of(record_type) for record_type, table in TABLES.items()},
    "ledger_head": shape_of(HeadRecord),
    "postings": POSTING,
    "checkpoint_balances": BALANCE,
}
KNOWN = {table: {column.name for column in shape} for table, shape in SHAPES.items()} | {
    table: set(names.split(", ")) for table, (_, names) in BESIDE.items()
}
CHECKPOINTS = ("ledger_checkpoints", "checkpoint_balances")
PAYMENTS = ("payments", "payment_steps", "payment_returns")
ORDERED = ("withdrawals_shown", "top_ups_shown")


def _may_be_null(shape: Shape) -> frozenset[str]:
    """Return the names of the columns that may be NULL."""
    return frozenset(column.name for column in shape if NoneType in column.types)


class TestAValueThatIsMissing:
    """A value that is missing."""

    async def test_is_one_where_the_table_asks_for_one(self, tenancy: Tenancy) -> None:
        """What may be NULL is known of every column that is exported, and is what the migrations say."""
        may = {**{table: _may_be_null(shape) for table, shape in SHAPES.items()}, **BESIDE_MAY_BE_NULL}
        async with tenancy.database.tx(tenancy.tenant) as tx:
            nullable = await columns(tx, null=True)
        assert may == {table: nullable[table] & known for table, known in KNOWN.items()}

    async def test_is_noticed_in_every_table(self, tenancy: Tenancy, tenant_keys: Keys) -> None:
        """Of head, people, chain, journal, what hangs on it, statements and kept answers: no column is let be."""
        bench = await full_books(tenancy)
        answer = await import_file(
            bench.engine,
            bench.database,
            tenant_keys,
            bench.tenant,
            STATEMENT.read_bytes(),
            caller=CALLER,
            secret=bytes(32),
        )
        assert answer.error is None
        await bench.engine.close()
        assert await unnoticed(tenancy, tenancy.tenant, KNOWN.keys() - {*CHECKPOINTS, *PAYMENTS, *ORDERED}) == []

    async def test_is_noticed_in_payments(self, tenancy: Tenancy, tenant_keys: Keys) -> None:
        """And in the steps that they have taken, and in what came back of them."""
        desk = await Desk.open(tenancy, tenant_keys)
        payment_id = await desk.pay()
        desk.rail.said = said("settle")
        assert await desk.turn(payment_id)
        returned = credit(returns=ids.encode(Prefix.PAYMENT, payment_id))
        assert (await collect(desk, Receiving(returned))).refused is None
        assert await unnoticed(tenancy, tenancy.tenant, PAYMENTS) == []

    async def test_is_noticed_in_orders_that_statements_show(self, tenancy: Tenancy, tenant_keys: Keys) -> None:
        """How much of withdrawals has left, of top-ups has come in, and has come back."""
        desk = StatementDesk(tenancy.database, tenant_keys, tenancy.tenant)
        wallet = await desk.add_wallet(funds_minor=900)
        withdrawal, top_up = await desk.withdraw(wallet, 500), await desk.top_up(wallet, 500)
        moved = [Entry(-500, end_to_end_id=withdrawal), Entry(500, end_to_end_id=top_up)]
        await desk.take_in(camt053(Plan(moved, opening_minor=500)))
        await desk.engine.close()
        assert await unnoticed(tenancy, tenancy.tenant, ORDERED) == []

    async def test_is_noticed_in_a_checkpoint(self, tenancy: Tenancy, tmp_path: Path) -> None:
        """And in the balances that it has sealed."""
        books = await past(tenancy, await tenancy.add("oldbank", limits=SHORT))
        await books.detach(date(2025, 2, 1), tmp_path)
        assert await unnoticed(tenancy, books.tenant, CHECKPOINTS) == []


class TestAValueOfAnotherType:
    """A value of another type."""

    @pytest.mark.parametrize(
        ("record", "change"),
        [
            ("account", "ALTER TABLE accounts ALTER held_minor TYPE numeric"),
            ("link", "ALTER TABLE ledger_links ALTER recorded_at TYPE timestamp"),
            ("posting", "ALTER TABLE postings ALTER amount_minor TYPE float8"),
        ],
    )
    async def test_is_noticed(self, tenancy: Tenancy, record: str, change: str) -> None:
        """Though it says the same, and may be equal to the other one."""
        bench = await full_books(tenancy)
        await bench.engine.close()
        async with unconstrained(tenancy, tenancy.tenant) as tx:
            await tx.execute(change)
            assert [(each.damage, each.record) for each in (await verified(tx)).findings][-1:] == [
                (Damage.MALFORMED, record)
            ]
