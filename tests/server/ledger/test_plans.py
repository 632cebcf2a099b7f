"""What the readers' queries touch of a long history: the rows that they show, however many months there are."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import pytest
import pytest_asyncio

from billfold import ids
from billfold_server.ledger import bookings, queries
from billfold_server.ledger.bookings import Span
from billfold_server.tenancy import partitions
from billfold_server.tenancy.transaction import TenantTx
from billfold_server.wallets import queries as wallets
from tests.explaining import Explaining
from tests.postgres import copying, in_own_loop
from tests.tenants import Administer, Tenancy, in_database, open_tenancy

MONTHS = [date(2026, month, 1) for month in range(1, 7)]
EACH = 25_000
ACCOUNTS = 500
MOST_ROWS = 400
TABLES = ("journal_entries", "postings")
FILLED = ("transfers", *(partitions.partition_name(table, month) for table in TABLES for month in MONTHS))


def uuid_of(number: str) -> str:
    """Return SQL for an id whose number, up to twelve hexadecimal digits, is given."""
    return f"('00000000-0000-7000-8000-' || lpad(to_hex({number}), 12, '0'))::uuid"


def filling(month: date, place: int) -> Iterator[str]:
    """Yield what fills a month: entries at equal distances, each with two postings and a transfer."""
    begin = int(datetime(month.year, month.month, 1, tzinfo=UTC).timestamp() * 1000)
    step = 27 * 86_400_000 // EACH
    ms = f"({begin} + n * {step}::bigint)"
    id_ = f"(lpad(to_hex({ms}), 12, '0') || '70008000' || lpad(to_hex(n), 12, '0'))::uuid"
    at = f"to_timestamp({ms} / 1000.0)"
    late = f"{at} - CASE WHEN n % 100 = 0 THEN interval '20 minutes' ELSE interval '0' END"
    yield f"""
        INSERT INTO journal_entries (id, sequence, kind, effective_at, effective_high, recorded_at, metadata)
        SELECT {id_}, {place * EACH} + n, CASE n % 1000 WHEN 500 THEN 'payment' ELSE 'transfer' END, {late}, {at},
            {at}, '{{}}'
        FROM generate_series(1, {EACH}) AS n
    """  # noqa: S608
    for line, sign in ((0, 1), (1, -1)):
        yield f"""
            INSERT INTO postings (
                entry_id, line, account_id, amount_minor, currency, posted_after_minor, effective_at, late_class)
            SELECT {id_}, {line}, {uuid_of(f"(n + {line}) % {ACCOUNTS} + 1")}, {sign}, 'EUR', n, {late},
                CASE WHEN n % 100 = 0 THEN 10 END
            FROM generate_series(1, {EACH}) AS n
        """  # noqa: S608
    yield f"""
        INSERT INTO transfers (
            id, kind, from_wallet_id, to_wallet_id, amount_minor, currency, metadata, effective_at, recorded_at,
            actor)
        SELECT {id_}, 'transfer', {uuid_of(f"n % {ACCOUNTS} + 1")}, {uuid_of(f"(n + 1) % {ACCOUNTS} + 1")}, 1, 'EUR',
            '{{}}', {late}, {at}, 'cli_test'
        FROM generate_series(1, {EACH}) AS n
    """  # noqa: S608


@pytest.fixture(scope="module")
def history(postgres_dsn: str, administer: Administer, tenancy_template: str) -> Iterator[str]:
    """Have a database whose tenant has some hundred thousand postings in six months, and yield its DSN."""
    name = f"test_{secrets.token_hex(6)}"
    administer(copying(name, tenancy_template))
    dsn = in_database(postgres_dsn, name)
    in_own_loop(fill(dsn))
    yield dsn
    administer(f"DROP DATABASE {name} WITH (FORCE)")


async def fill(dsn: str) -> None:
    """Write the history."""
    accounts = f"""
        INSERT INTO accounts (
            id, type, normal_side, currency, wallet_id, status, posted_minor, pending_minor, held_minor, metadata,
            version, created_at, updated_at)
        SELECT {uuid_of("n")}, 'liability', 'credit', 'EUR', {uuid_of("n")}, 'active', 0, 0, 0, '{{}}', 1,
            '2026-01-01Z', '2026-01-01Z'
        FROM generate_series(1, {ACCOUNTS}) AS n
    """  # noqa: S608
    made = [
        f"CREATE TABLE {partitions.partition_name(table, month)} PARTITION OF {table} "
        f"FOR VALUES FROM ('{first}') TO ('{after}')"
        for month in MONTHS
        for first, after in [partitions.bounds(month)]
        for table in TABLES
    ]
    filled = [statement for place, month in enumerate(MONTHS) for statement in filling(month, place)]
    analyzed = ["ANALYZE journal_entries", "ANALYZE postings", "ANALYZE transfers", "ANALYZE accounts"]
    tenancy = await open_tenancy(dsn)
    await tenancy.as_owner(tenancy.tenant, accounts, *made, *filled, *analyzed)
    await tenancy.database.close()


@pytest_asyncio.fixture
async def long(history: str) -> AsyncIterator[Tenancy]:
    """Open the history, which is only read."""
    opened = await open_tenancy(history)
    yield opened
    await opened.database.close()


MIDDLE = datetime(2026, 4, 10, 12, tzinfo=UTC)
ACCOUNT = UUID(int=(7 << 76) | (2 << 62) | 42)


async def some_entry(tx: TenantTx) -> UUID:
    """Return the id of an entry in the middle of the history."""
    found: UUID = await tx.fetchval(
        "SELECT id FROM journal_entries WHERE id >= $1 ORDER BY id LIMIT 1", ids.first_at(MIDDLE)
    )
    return found


Question = Callable[[TenantTx, UUID], Awaitable[Any]]

QUESTIONS: dict[str, tuple[Question, int]] = {
    "an entry": (queries.find_entry, 2),
    "balances as of a past time": (
        lambda tx, _: queries.balances_as_of(
            tx, [ACCOUNT], effective_at=MIDDLE, recorded_at=MIDDLE + timedelta(days=1000)
        ),
        2 * len(MONTHS),
    ),
    "balances as they were known": (
        lambda tx, _: queries.balances_as_of(
            tx, [ACCOUNT], effective_at=MIDDLE + timedelta(days=1000), recorded_at=MIDDLE
        ),
        2 * len(MONTHS),
    ),
    "the newest page of a statement": (lambda tx, _: queries.list_statement(tx, [ACCOUNT], limit=25), 1 + len(MONTHS)),
    "a later page of a statement": (
        lambda tx, entry: queries.list_statement(tx, [ACCOUNT], limit=25, before=(entry, 0)),
        len(MONTHS),
    ),
    "a page of one side": (
        lambda tx, _: bookings.list_bookings(tx, account_ids=[ACCOUNT], span=Span(side="credit"), limit=25),
        1 + len(MONTHS),
    ),
    "the newest entries": (lambda tx, _: queries.list_entries(tx, limit=25), 1 + len(MONTHS)),
    "a later page of entries": (lambda tx, entry: queries.list_entries(tx, limit=25, before=entry), len(MONTHS)),
    "entries of transfers": (lambda tx, _: queries.list_entries(tx, limit=25, kind="transfer"), 1 + len(MONTHS)),
    "entries of payments": (lambda tx, _: queries.list_entries(tx, limit=25, kind="payment"), 1 + len(MONTHS)),
    "entries of transfers, by when they took effect": (
        lambda tx, _: queries.list_entries(
            tx, limit=25, kind="transfer", from_=MIDDLE, to=MIDDLE + timedelta(hours=20)
        ),
        2 * len(MONTHS),
    ),
    "a wallet's transfers": (lambda tx, _: wallets.list_transfers(tx, "transfer", limit=25, wallet_id=ACCOUNT), 0),
}


class TestALongHistory:
    """A long history."""

    @pytest.mark.parametrize("mode", ["force_generic_plan", "force_custom_plan"])
    async def test_costs_no_question_more_than_it_asks_for(self, long: Tenancy, mode: str) -> None:
        """No month is read from end to end: where several can hold the answer, each costs a look at its index."""
        async with long.database.tx(long.tenant) as tx:
            await tx.execute(f"SET LOCAL plan_cache_mode TO {mode}")
            entry = await some_entry(tx)
            for name, (ask, months) in QUESTIONS.items():
                explaining = Explaining(tx, FILLED)
                assert await ask(cast("TenantTx", explaining), entry), name
                assert "Seq Scan" not in {scan["Node Type"] for scan in explaining.scans}, name
                assert explaining.rows <= MOST_ROWS, (name, explaining.rows)
                assert len(explaining.looked_into - {"transfers"}) <= months, (name, explaining.looked_into)
