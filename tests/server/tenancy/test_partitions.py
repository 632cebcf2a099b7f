"""The months of a ledger: made ahead of time, and filled from the default partitions where they were late."""

import asyncio
from datetime import UTC, date, datetime, time, timedelta

import asyncpg
import pytest
import pytest_asyncio

from billfold import errors
from billfold.clock import ManualClock
from billfold_server.ledger.export import verify_ledger
from billfold_server.tenancy import partitions
from tests.server.ledger.books import Bench, open_engine
from tests.tenants import Tenancy

NAMES = "SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r' AND relnamespace = to_regnamespace($1)"
ENOUGH = timedelta(seconds=20)
"""How long before the end of a month no test is begun any more."""


def now() -> date:
    """Return the present month, which may be another one than when the tests were collected."""
    return partitions.month_of(datetime.now(UTC))


@pytest_asyncio.fixture
async def tenancy(tenancy: Tenancy) -> Tenancy:
    """See that the month doesn't end while a test goes on, and that the tenant is as if it was made in this month.

    The template is of the run's beginning, which may have been in the month before.
    """
    left = datetime.combine(partitions.next_month(now()), time(), UTC) - datetime.now(UTC)
    if left < ENOUGH:
        await asyncio.sleep(left.total_seconds() + 0.1)
    begun, *_ = await months(tenancy)
    if begun != f"{now():%Y_%m}":
        await tenancy.tenants.partition(tenancy.tenant.slug, ahead=partitions.AT_FIRST)
        await tenancy.as_owner(tenancy.tenant, f"DROP TABLE postings_{begun}, journal_entries_{begun}")
    return tenancy


async def months(tenancy: Tenancy) -> list[str]:
    """Return the months of which the tenant's postings have a partition."""
    async with tenancy.database.tx(tenancy.tenant) as tx:
        names = {row["relname"] for row in await tx.fetch(NAMES, tenancy.tenant.schema)}
    return sorted(name.removeprefix("postings_") for name in names if name.startswith("postings_2"))


async def counted(tenancy: Tenancy, table: str) -> int:
    """Return how many rows a table of the tenant's holds, as the database's owner sees it."""
    connection = await asyncpg.connect(tenancy.admin_dsn)
    try:
        count: int = await connection.fetchval(f"SELECT count(*) FROM {tenancy.tenant.schema}.{table}")  # noqa: S608
    finally:
        await connection.close()
    return count


async def filled(tenancy: Tenancy, *, at: datetime) -> Bench:
    """Return a bench whose wallets have moved money in this month, or in a month that is long past."""
    clock = ManualClock(at)
    bench = Bench(open_engine(tenancy.database, clock=clock), tenancy.database, tenancy.tenant)
    await bench.add_wallets(2)
    await bench.top_up(0, 1_000)
    clock.advance(timedelta(days=31))
    await bench.transfer(0, 1, 250)
    return bench


class TestAMonth:
    """A month."""

    @pytest.mark.parametrize(
        ("month", "following"), [(date(2026, 11, 1), date(2026, 12, 1)), (date(2026, 12, 1), date(2027, 1, 1))]
    )
    def test_is_followed_by_the_next_one(self, month: date, following: date) -> None:
        """Also at the end of a year."""
        assert partitions.next_month(month) == following

    def test_begins_where_the_one_before_ends(self) -> None:
        """So no id is between two months."""
        all_ = [partitions.bounds(month) for month in partitions.months_from(date(2026, 1, 1), 24)]
        assert [after for _, after in all_[:-1]] == [first for first, _ in all_[1:]]
        assert [first for first, _ in all_] == sorted(first for first, _ in all_)


class TestALedger:
    """A ledger."""

    async def test_begins_with_this_month_and_the_next(self, tenancy: Tenancy) -> None:
        """So there is time to make more."""
        assert await months(tenancy) == [f"{month:%Y_%m}" for month in partitions.months_from(now(), 1)]
        assert await tenancy.tenants.without_next_month() == []

    async def test_is_kept_ahead_by_each_migration(self, tenancy: Tenancy) -> None:
        """Also where its schema is of the newest version."""
        (migrated,) = await tenancy.tenants.migrate()
        assert migrated.error is None
        assert await months(tenancy) == [f"{month:%Y_%m}" for month in partitions.months_from(now(), partitions.AHEAD)]

    async def test_is_not_waited_for_by_a_start_while_it_has_the_next_month(self, tenancy: Tenancy) -> None:
        """A server that has many ledgers makes the months further ahead once it serves; the next one it needs."""
        begun_with = await months(tenancy)
        await tenancy.tenants.migrate(ahead=partitions.AT_FIRST)
        assert await months(tenancy) == begun_with
        late = [
            partitions.partition_name(table, partitions.next_month(now())) for table in ("postings", "journal_entries")
        ]
        await tenancy.as_owner(tenancy.tenant, f"DROP TABLE {', '.join(late)}")
        (migrated,) = await tenancy.tenants.migrate(ahead=partitions.AT_FIRST)
        assert migrated.error is None
        assert await months(tenancy) == [f"{month:%Y_%m}" for month in partitions.months_from(now(), partitions.AHEAD)]

    async def test_keeps_what_is_posted_in_its_month(self, tenancy: Tenancy) -> None:
        """And nothing in the default partitions."""
        bench = Bench(open_engine(tenancy.database), tenancy.database, tenancy.tenant)
        await bench.add_wallets(2)
        await bench.top_up(0, 1_000)
        await bench.transfer(0, 1, 250)
        assert await counted(tenancy, f"journal_entries_{now():%Y_%m}") == 2
        assert await counted(tenancy, f"postings_{now():%Y_%m}") == 4
        assert await counted(tenancy, "postings_rest") == 0

    async def test_takes_what_has_no_month_yet(self, tenancy: Tenancy) -> None:
        """Nothing is refused for want of a partition, and nothing is lost when it is made."""
        bench = await filled(tenancy, at=datetime(2025, 3, 10, tzinfo=UTC))
        assert await counted(tenancy, "journal_entries_rest") == 2
        found = await tenancy.tenants.partition(tenancy.tenant.slug)
        assert found.made[:2] == ["2025-03", "2025-04"]
        by_month = {each.month: each.journal_entries for each in found.months}
        assert (by_month["2025-03"], by_month["2025-04"], by_month["rest"]) == (1, 1, 0)
        assert await counted(tenancy, "journal_entries_rest") == await counted(tenancy, "postings_rest") == 0
        assert await counted(tenancy, "postings_2025_04") == 2
        assert (await verify_ledger(tenancy.database, tenancy.tenant)).ok
        assert await bench.balance(1) == 250

    async def test_has_nothing_to_make_the_second_time(self, tenancy: Tenancy) -> None:
        """So it can be repeated at any time."""
        await tenancy.tenants.partition(tenancy.tenant.slug, ahead=5)
        assert (await tenancy.tenants.partition(tenancy.tenant.slug, ahead=5)).made == []

    async def test_goes_on_while_months_are_made(self, tenancy: Tenancy) -> None:
        """Engine and administrator wait for each other, and don't lock each other out."""
        bench = await filled(tenancy, at=datetime(2025, 3, 10, tzinfo=UTC))
        await tenancy.tenants.partition(tenancy.tenant.slug)
        assert (await bench.transfer(0, 1, 1)).status == 201
        assert (await verify_ledger(tenancy.database, tenancy.tenant)).ok

    @pytest.mark.parametrize(
        "statement", ["DELETE FROM {0}", "UPDATE {0} SET line = 7", "SELECT FROM {0}", "DROP TABLE {0}"]
    )
    async def test_grants_no_right_on_a_partition_itself(self, tenancy: Tenancy, statement: str) -> None:
        """The runtime role goes through the table as a whole, where it may read and add."""
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with tenancy.database.tx(tenancy.tenant) as tx:
                await tx.execute(statement.format(f"postings_{now():%Y_%m}"))

    async def test_tells_that_the_next_month_is_missing(self, tenancy: Tenancy) -> None:
        """Whoever watches over it learns its name."""
        late = partitions.partition_name("postings", partitions.next_month(now()))
        await tenancy.as_owner(tenancy.tenant, f"DROP TABLE {late}")
        assert await tenancy.tenants.without_next_month() == [tenancy.tenant.slug]

    async def test_must_be_of_a_tenant_that_has_one(self, tenancy: Tenancy) -> None:
        """An unknown tenant is named as such."""
        with pytest.raises(errors.UnknownTenant):
            await tenancy.tenants.partition("nobody")


class TestAMonthThatWasDetached:
    async def test_is_told_with_whether_it_may_be_erased_and_none_of_the_ledger_is(self, tenancy: Tenancy):
        """By one query for whoever erases what is in it or drops it."""
        for table in ("journal_entries", "postings"):
            await tenancy.as_owner(tenancy.tenant, f"CREATE TABLE {table}_2025_01 (LIKE {table} INCLUDING ALL)")
        async with tenancy.database.tx(tenancy.tenant) as tx:
            (before,) = await partitions.detached_months(tx)
        assert before == partitions.DetachedMonth(date(2025, 1, 1), erasable=False)
        assert (before.journal_entries, before.postings) == ("journal_entries_2025_01", "postings_2025_01")
        await tenancy.tenants.partition(tenancy.tenant.slug, ahead=partitions.AT_FIRST)
        async with tenancy.database.tx(tenancy.tenant) as tx:
            (after,) = await partitions.detached_months(tx)
        assert (after.month, after.erasable) == (before.month, True)
